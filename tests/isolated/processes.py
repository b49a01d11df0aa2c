"""Subprocesses, started, refused, cancelled and killed again and again."""

import asyncio
import os
import signal

from measure import check, finish, loop_factory

PIPE = asyncio.subprocess.PIPE
loop = loop_factory()()


async def started():
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", "cat; exit 3", stdin=PIPE, stdout=PIPE, stderr=PIPE,
        env={"A": "b"}, cwd="/", pass_fds=(2,))
    assert await process.communicate(b"data") == (b"data", b"")
    assert process.returncode == 3


async def refused():
    for command, keywords in [
        (("/nowhere",), {"stdin": PIPE}),
        (("no-such-program",), {"stdout": PIPE}),
        (("/bin/true", "a\0"), {"stdout": PIPE}),
        (("/bin/true",), {"cwd": "/nowhere"}),
        (("/bin/true",), {"stdin": object(), "stdout": PIPE}),
        (("/bin/true",), {"env": {"a=": "b"}}),
    ]:
        try:
            await asyncio.create_subprocess_exec(*command, **keywords)
        except (OSError, ValueError, AttributeError):
            pass
        else:
            raise AssertionError(command)


async def killed():
    process = await asyncio.create_subprocess_exec(
        "/bin/sleep", "60", stdout=PIPE)
    process.kill()
    assert await process.wait() == -signal.SIGKILL


async def closed():
    ended = loop.create_future()

    class Protocol(asyncio.SubprocessProtocol):
        def connection_lost(self, exc):
            ended.set_result(None)

    transport, _ = await loop.subprocess_exec(
        Protocol, "/bin/sleep", "60", stdin=PIPE, stdout=PIPE)
    transport.close()
    await ended


def cancelled():
    task = loop.create_task(killed())
    for _ in range(3):
        loop.call_soon(loop.stop)
        loop.run_forever()
    task.cancel()
    try:
        loop.run_until_complete(task)
    except asyncio.CancelledError:
        pass


def run(coro):
    def action():
        loop.run_until_complete(coro())

    action.__name__ = coro.__name__
    return action


for _ in range(800):
    run(started)()  # fills the interpreter's freelists of tuples, which is slow
check(run(started), 25)
check(run(refused), 25)
check(run(killed), 25)
check(run(closed), 25)
check(cancelled, 25)
loop.close()
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    finish()
