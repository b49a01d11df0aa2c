"""Runs test files in child processes and collects how each test ended.

A test that crashes or hangs its process is named and failed, and a fresh
process takes up the rest of the file, so that one fault does not hide the
others. After MAX_DEATHS of them the rest of the file counts as lost.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.wire import VARIABLE, Job, Outcome, read

CHILD = Path(__file__).resolve().parent.parent / "child.py"
MAX_DEATHS = 20
# How much longer than its own watchdog a child may be silent.
GRACE = 30.0
# A hang can eat memory instead of time (a mock that records each call).
MAX_RESIDENT = 4 << 30
_TAIL = 4000
_SILENT = "silent beyond its limit"


@dataclass
class FileRun:
    """Everything one file's children reported."""

    mode: str
    file: str
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    rounds: list[dict[str, int]] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class _Life:
    """What one child wrote before it ended."""

    events: list[dict[str, Any]]
    output: str
    returncode: int
    sentence: str  # why the parent killed it, or ""

    @property
    def done(self) -> bool:
        return any(event["event"] == "done" for event in self.events)

    @property
    def in_flight(self) -> str | None:
        """The test that was running when the child ended."""
        current = None
        for event in self.events:
            if event["event"] == "start":
                current = event["id"]
            elif event["event"] == "end":
                current = None
        return current

    @property
    def hung(self) -> bool:
        """Whether a watchdog ended it: faulthandler's, or the parent."""
        last = self.output.rpartition("\n--- ")[2]
        return self.sentence == _SILENT or "Timeout (" in last

    @property
    def cause(self) -> str:
        """How it ended, in words, with the end of its output."""
        if self.hung:
            how = "hung"
        elif self.sentence:
            how = self.sentence
        elif self.returncode < 0:
            how = f"killed by {_signal_name(-self.returncode)}"
        else:
            how = f"exited with status {self.returncode}"
        return f"{how}\n{self.output[-_TAIL:].strip()}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Pool:
    """Starts children, and ends those still running when it is left."""

    def __init__(self, jobs: int, python: Sequence[str] = ()) -> None:
        self._jobs = jobs
        self._command = [sys.executable, *python, str(CHILD)]
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def run(
        self, jobs: Iterable[Job], report: Callable[[FileRun], None]
    ) -> list[FileRun]:
        """Run every job; *report* sees each as it ends."""

        def one(job: Job) -> FileRun:
            started = time.monotonic()
            done = self._leak_run(job) if job.leak_rounds else self._file(job)
            done.seconds = time.monotonic() - started
            report(done)
            return done

        with ThreadPoolExecutor(self._jobs) as executor:
            try:
                return list(executor.map(one, jobs))
            except BaseException:
                self._kill_all()
                executor.shutdown(wait=False, cancel_futures=True)
                raise

    def _kill_all(self) -> None:
        with self._lock:
            self._closed = True
            for process in self._running:
                _kill_group(process)

    # One file.

    def _file(self, job: Job) -> FileRun:
        run = FileRun(job.mode, job.file)
        pending = dict(job.kinds)
        deaths = 0
        while pending:
            life = self._live(replace(job, kinds=pending))
            before = len(pending)
            _collect(life, run, pending)
            if life.done:
                if life.returncode != 0:
                    run.problems.append(f"after the last test: {life.cause}")
                _lose(run, pending, _fixtures(life))
                break
            deaths += 1
            if deaths > MAX_DEATHS or len(pending) == before:
                _lose(run, pending, life.cause)
                break
        return run

    def _leak_run(self, job: Job) -> FileRun:
        run = FileRun(job.mode, job.file)
        life = self._live(job)
        run.rounds = [
            e["counts"] for e in life.events if e["event"] == "round"
        ]
        if not life.done or life.returncode != 0:
            run.problems.append(f"leak run: {life.cause}")
        return run

    # One child.

    def _live(self, job: Job) -> _Life:
        with tempfile.TemporaryDirectory(
            prefix="conformance-", ignore_cleanup_errors=True
        ) as scratch:
            results = Path(scratch, "results.jsonl")
            log = Path(scratch, "output.log")
            work = Path(scratch, "cwd")
            work.mkdir()
            order = Path(scratch, "job.json")
            replace(job, results=str(results)).save(order)
            with log.open("wb") as output:
                process = self._start(order, work, output)
                try:
                    sentence = _watch(process, log, job)
                finally:
                    with self._lock:
                        self._running.discard(process)
            text = log.read_text(encoding="utf-8", errors="replace")
            events = list(read(results))
            return _Life(events, text, process.returncode, sentence)

    def _start(self, order: Path, cwd: Path, output: Any) -> Any:
        with self._lock:
            if self._closed:
                raise RuntimeError("the run was interrupted")
            process = subprocess.Popen(
                self._command,
                cwd=cwd,
                env=_environment() | {VARIABLE: str(order)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._running.add(process)
        return process


def _environment() -> dict[str, str]:
    """This environment, with PYTHONPATH good in any directory."""
    environment = dict(os.environ)
    if path := environment.get("PYTHONPATH"):
        parts = [os.path.abspath(p) for p in path.split(os.pathsep) if p]
        environment["PYTHONPATH"] = os.pathsep.join(parts)
    return environment


def _watch(process: subprocess.Popen[bytes], log: Path, job: Job) -> str:
    """Wait for the child, or kill it and say why.

    It has to be killed when its own watchdog failed, or when it grows without
    bound.
    """
    limit = job.hang_limit * (job.leak_rounds + 1) + GRACE
    size, since = -1, time.monotonic()
    sentence = ""
    while not sentence:
        try:
            process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            pass
        else:
            _kill_group(process)  # what the tests left behind
            return ""
        if (now := log.stat().st_size) != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > limit:
            sentence = _SILENT
        if (resident := _resident(process.pid)) > MAX_RESIDENT:
            sentence = f"killed: it held {resident >> 20} MiB of memory"
    _kill_group(process)
    process.wait()
    return sentence


def _resident(pid: int) -> int:
    """Bytes of memory the process holds."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _collect(life: _Life, run: FileRun, pending: dict[str, str]) -> None:
    """Move what *life* reported from *pending* to the outcomes of *run*."""
    found = []
    for event in life.events:
        if event["event"] == "end":
            values = {k: v for k, v in event.items() if k != "event"}
            found.append(Outcome(**values))
        elif event["event"] == "loaded":
            found += [Outcome(name, "missing") for name in event["missing"]]
    if not life.done and (culprit := life.in_flight) is not None:
        status = "hang" if life.hung else "crash"
        found.append(Outcome(culprit, status, life.cause))
    for outcome in found:
        run.outcomes[outcome.id] = outcome
        pending.pop(outcome.id, None)


def _fixtures(life: _Life) -> str:
    """What class and module fixtures raised: why tests went unreported."""
    said = [e["detail"] for e in life.events if e["event"] == "fixture"]
    return "\n".join(said) or "the file ended without reporting this test"


def _lose(run: FileRun, pending: dict[str, str], why: str) -> None:
    for name in pending:
        run.outcomes[name] = Outcome(name, "lost", why)
