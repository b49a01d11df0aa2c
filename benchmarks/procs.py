"""Processes of a cell: the servers under test and what they cost in CPU time.

A server is a child that prints `ready ADDRESS` on its first line of output and
serves until it is terminated.  Its CPU time is read from outside, from the kernel's
clock of that process (all its threads, user and system, in ns), so that a Python
server and a C server are measured by the same ruler and neither takes part in it.
"""

import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

HERE = Path(__file__).resolve().parent
START_SECONDS = 30.0
CPUCLOCK_SCHED = 2  # Linux: the clock id of a process is (~pid << 3) | which


class Pin:
    """One of this process's CPUs by index, or none when there is only one."""

    enabled = True  # cleared by --no-pin

    def __init__(self, index: int) -> None:
        cpus = sorted(os.sched_getaffinity(0))
        self.cpu = cpus[index] if len(cpus) > 1 else None

    def prefix(self) -> list[str]:
        """What to put before a command so that it runs on that CPU."""
        if self.cpu is None or not self.enabled or shutil.which("taskset") is None:
            return []
        return ["taskset", "-c", str(self.cpu)]


CLIENT_CPU = Pin(0)
SERVER_CPU = Pin(-1)


def cpu_ns(pid: int) -> int:
    """CPU time of the whole process `pid` so far."""
    return time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED)


class Server:
    """A child process that serves at `address` while the with block lasts."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.address = ""
        self.pid = 0

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile()
        self._child = subprocess.Popen(
            [*SERVER_CPU.prefix(), *self.command],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
        )
        self.pid = self._child.pid
        try:
            self.address = self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        crashed = self._child.poll()
        errors = self.errors()
        self._stop()
        if crashed is not None and exc_type is None:
            raise RuntimeError(f"the server ended by itself ({crashed}): {errors}")
        if exc is not None and errors:
            exc.add_note(f"the server said: {errors}")

    def errors(self) -> str:
        """The end of what the server wrote to stderr."""
        size = os.fstat(self._errors.fileno()).st_size
        tail = os.pread(self._errors.fileno(), 2000, max(0, size - 2000))
        return tail.decode(errors="replace").strip()

    def _wait_until_ready(self) -> str:
        assert self._child.stdout is not None
        readable, _, _ = select.select([self._child.stdout], [], [], START_SECONDS)
        line = self._child.stdout.readline().decode() if readable else ""
        word, _, address = line.strip().partition(" ")
        if word != "ready":
            raise RuntimeError(f"the server did not start: {line}{self.errors()}")
        return address

    def _stop(self) -> None:
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(5)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._errors.close()


def loop_server(script: str, loop: str, *arguments: str) -> Server:
    """A Python server of this folder on the named loop."""
    return Server([sys.executable, str(HERE / script), loop, *arguments])
