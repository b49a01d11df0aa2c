"""What the tests of subprocesses share."""

import asyncio
import contextlib
import os
import re

import support

PIPE = asyncio.subprocess.PIPE
STDOUT = asyncio.subprocess.STDOUT
DEVNULL = asyncio.subprocess.DEVNULL

# Prints what a program inherits: directory, mask, signals, session, group,
# descriptors, environment. $$ is the shell that was started.
PROBE = r"""
echo cwd "$PWD"
umask
grep '^Sig[BIC]' /proc/self/status
set -- $(sed 's/.*) //' /proc/$$/stat)
if [ "$3" = $$ ]; then echo own group; fi
if [ "$4" = $$ ]; then echo own session; fi
cd /proc/$$/fd && for fd in *; do echo fd $fd; done
id -u; id -g; id -G
tr '\0' '\n' < /proc/$$/environ | sort
"""


def children():
    """The process ids of our children, zombies among them."""
    found = []
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):
            with open(f"/proc/self/task/{task}/children") as file:
                found += [int(pid) for pid in file.read().split()]
    return found


def plain(text):
    """Without what differs from run to run: numbers, names of classes."""
    text = re.sub(r"pid[ =]\d+", "pid N", support.plain(text))
    text = re.sub(r"process \d+", "process N", text)
    text = re.sub(r"name=\d+", "name=N", text)
    text = text.replace("_UnixSubprocessTransport", "ProcessTransport")
    return re.sub(r"_Unix(?=ReadPipe|WritePipe)", "", text)


def why(error):
    """An exception as something to compare."""
    told = f"{type(error).__name__}: {plain(str(error))}"
    if isinstance(error, OSError):
        return told, error.errno, error.strerror, error.filename
    return told


def without_own_signals(output):
    """Without 32 and 33: libc's own, which posix_spawn makes ignored."""
    return re.sub(
        rb"SigIgn:\t(\w+)",
        lambda m: b"SigIgn: %x" % (int(m[1], 16) & ~0x180000000), output
    )


def outcome(loop, coro):
    """What *coro* returns, or why it does not."""
    try:
        return loop.run_until_complete(coro)
    except Exception as error:
        return why(error)


async def run(*command, input=None, **kwargs):
    """Start a program, wait for its end: what it wrote and its exit code."""
    kwargs.setdefault("stdout", PIPE)
    process = await asyncio.create_subprocess_exec(*command, **kwargs)
    output, errors = await process.communicate(input)
    return output, errors, process.returncode


def shell(script, **kwargs):
    """The same for a script of the shell."""
    return run("/bin/sh", "-c", script, **kwargs)


class Events(asyncio.SubprocessProtocol):
    """Writes down what it is told."""

    def __init__(self):
        self.events = []
        self.data = {1: b"", 2: b""}
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def pipe_data_received(self, fd, data):
        self.data[fd] += data
        if self.events[-1] != ("data", fd):
            self.events.append(("data", fd))

    def pipe_connection_lost(self, fd, exc):
        self.events.append(("pipe lost", fd, exc and type(exc).__name__))

    def process_exited(self):
        self.events.append(("exited", self.transport.get_returncode()))

    def connection_lost(self, exc):
        self.events.append(("lost", exc))
        self.ended.set_result(None)


SLEEP = ("/bin/sleep", "60")
