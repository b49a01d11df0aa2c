"""Subprocesses: what a child inherits, how it ends, and what is told of it.

Each test runs on asyncio's loop and on ours; afterwards there must be no child
left, dead or alive.
"""

import asyncio
import gc
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

import fastasync
import processes
import support
from processes import (
    DEVNULL,
    PIPE,
    PROBE,
    SLEEP,
    STDOUT,
    Events,
    outcome,
    plain,
    run,
    shell,
    why,
)


@pytest.fixture(autouse=True)
def no_children():
    yield
    gc.collect()
    assert processes.children() == []


def same(scenario):
    """compare() for a coroutine function that takes the loop."""
    return support.compare(lambda side, loop: outcome(loop, scenario(loop)))


# -- arguments -----------------------------------------------------------------

KEYWORDS = {
    "nothing": {},
    "cwd": {"cwd": "/tmp"},
    "cwd bytes": {"cwd": b"/tmp"},
    "cwd path": {"cwd": pathlib.Path("/tmp")},
    "no env": {"env": {}},
    "env": {"env": {"A": "1", "B": "two words"}},
    "env bytes": {"env": {b"A": b"\xff\xfe", "B": pathlib.Path("x")}},
    "env surrogates": {"env": {"A": "\udcff"}},
    "os.environ": {"env": os.environ},
    "new session": {"start_new_session": True},
    "own group": {"process_group": 0},
    "no group": {"process_group": None},
    "umask": {"umask": 0o27},
    "signals kept": {"restore_signals": False},
    "signals restored": {"restore_signals": 1},
    "not closed": {"close_fds": False},
    "executable": {"executable": "/bin/sh"},
    "executable bytes": {"executable": b"/bin/sh"},
    "no startupinfo": {"startupinfo": None, "creationflags": 0},
    "preexec_fn": {"preexec_fn": lambda: os.umask(0o11)},
    "user": {"user": os.getuid()},
    "group": {"group": os.getgid()},
    "groups": {"extra_groups": [os.getgid()]},
    "nobody": {"user": None, "group": None, "extra_groups": None},
    "devnull": {"stdin": DEVNULL, "stderr": DEVNULL},
    "one pipe": {"stderr": STDOUT},
    "three pipes": {"stdin": PIPE, "stderr": PIPE},
    "big pipe": {"pipesize": 1 << 17},
    "usual pipe": {"pipesize": None},
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", KEYWORDS)
def test_what_a_child_inherits(name):
    keywords = KEYWORDS[name]
    if {"user", "group", "extra_groups"} & set(keywords) and os.getuid():
        pytest.skip("only root may")

    async def scenario(loop):
        output, errors, code = await shell(PROBE, **keywords)
        return processes.without_own_signals(output), errors, code

    seen = same(scenario)
    assert seen[2] == 0 and b"cwd" in seen[0]


def test_without_pipes_a_child_has_ours():
    assert same(lambda loop: shell("exit 0", stdout=None)) == (None, None, 0)


def test_pass_fds():
    def scenario(side, loop):
        kept, other = os.pipe()
        high = os.dup2(kept, 50, inheritable=False)
        try:
            seen = outcome(loop, shell(
                "cd /proc/$$/fd; echo *", pass_fds=(high, 2),
            ))
            return seen + (os.get_inheritable(high),)
        finally:
            for fd in (kept, other, high):
                os.close(fd)

    # 3 is the directory, which the shell reads
    assert support.compare(scenario) == (b"0 1 2 3 50\n", None, 0, False)


def test_an_inheritable_file_when_not_closing():
    def scenario(side, loop):
        fd = os.open("/dev/null", os.O_RDONLY)
        high = os.dup2(fd, 51, inheritable=True)
        try:
            return [
                outcome(loop, shell("cd /proc/$$/fd; echo *", close_fds=close))
                for close in (False, True)
            ]
        finally:
            os.close(fd)
            os.close(high)

    not_closed, closed = support.compare(scenario)
    assert b"51" in not_closed[0] and b"51" not in closed[0]


@pytest.mark.parametrize("which", ["stdin", "stdout", "stderr"])
@pytest.mark.parametrize("kind", ["number", "file"])
def test_files_for_stdio(which, kind, tmp_path):
    def scenario(side, loop):
        path = tmp_path / side.name
        path.write_bytes(b"content\n")
        with open(path, "r+b") as file:
            given = {which: file if kind == "file" else file.fileno()}
            ended = outcome(loop, shell("cat; echo out; echo err >&2",
                                        **{"stdin": DEVNULL, **given}))
        return ended, path.read_bytes()

    support.compare(scenario)


@pytest.mark.parametrize("low", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_when_a_standard_file_is_closed(low):
    """The pipes then get the numbers 0, 1, 2, in any order."""
    script = (
        "import asyncio, os, sys\n"
        "sys.path[:0] = sys.argv[2:]\n"
        "import processes\n"
        "make = asyncio.SelectorEventLoop\n"
        "if sys.argv[1] == 'fastasync':\n"
        "    import fastasync\n"
        "    make = fastasync.new_event_loop\n"
        "loop = make()\n"
        "save = os.dup(1)\n"
        f"for fd in {low}: os.close(fd)\n"
        "said = processes.outcome(loop, processes.shell(\n"
        "    'cat; echo out; echo err >&2', input=b'in\\n',\n"
        "    stdin=-1, stderr=-1))\n"
        "os.write(save, repr(said).encode())\n"
    )
    said = []
    for side in support.both():
        done = subprocess.run(
            [sys.executable, "-c", script, side.name, os.path.dirname(__file__),
             *sys.path],
            capture_output=True, timeout=60,
        )
        said.append((done.stdout, done.returncode))
    assert said[0] == said[-1]
    assert b"err" in said[0][0]


@pytest.mark.parametrize("command", [
    ("sh", "-c", "exit 3"),
    (b"sh", b"-c", "exit 3"),
    (pathlib.Path("/bin/sh"), "-c", pathlib.Path("exit 3")),
    (pathlib.PurePath("sh"), "-c", "exit 3"),
])
def test_programs_are_found(command):
    assert same(lambda loop: run(*command)) == (b"", None, 3)


@pytest.mark.parametrize("path", ["/bin", ":/bin", "/nowhere:/bin/", "/bin:"])
def test_the_path_of_env_is_searched(path):
    assert same(lambda loop: run("sh", "-c", "exit 4", env={"PATH": path}))[2] == 4


@pytest.mark.parametrize("command, keywords", [
    ("exit 5", {}),
    (b"exit 6", {}),
    ("echo $0", {"executable": "/bin/sh"}),
])
def test_shell(command, keywords):
    async def scenario(loop):
        process = await asyncio.create_subprocess_shell(
            command, stdout=PIPE, **keywords
        )
        return await process.communicate(), process.returncode

    same(scenario)


# -- what is refused -------------------------------------------------------------

def refuse():
    raise ZeroDivisionError("refused")


class Refused:
    def fileno(self):
        raise ZeroDivisionError("no number")


class Odd:
    def fileno(self):
        return "one"


class OddPath:
    def __fspath__(self):
        return 7


WRONG = {
    "no such file": (("/nowhere/prog",), {}),
    "no such name": (("no-such-program",), {}),
    "no such name, bytes": ((b"no-such-program",), {}),
    "no name": (("",), {}),
    "a directory": (("/tmp",), {}),
    "not executable": (("/etc/passwd",), {}),
    "through a file": (("/etc/passwd/x",), {}),
    "not found in PATH": (("sh",), {"env": {"PATH": "/nowhere"}}),
    "denied in PATH": (("passwd",), {"env": {"PATH": "/etc:/nowhere"}}),
    "no directory": (("/bin/true",), {"cwd": "/nowhere"}),
    "a directory that is a file": (("/bin/true",), {"cwd": b"/etc/passwd"}),
    "group of another": (("/bin/true",), {"process_group": 1}),
    "session and group": (
        ("/bin/true",), {"start_new_session": True, "process_group": 1}),
    "NUL in program": (("/bin/tr\0ue",), {}),
    "NUL in argument": (("/bin/true", "a\0b"), {}),
    "NUL in directory": (("/bin/true",), {"cwd": "a\0b"}),
    "NUL in env": (("/bin/true",), {"env": {"A": "a\0b"}}),
    "NUL in name of env": (("/bin/true",), {"env": {"A\0": "b"}}),
    "= in env": (("/bin/true",), {"env": {"A=B": "c"}}),
    "env of numbers": (("/bin/true",), {"env": {"A": 1}}),
    "env no mapping": (("/bin/true",), {"env": 1}),
    "env of pairs": (("/bin/true",), {"env": [("A", "b")]}),
    "number": ((1,), {}),
    "number as argument": (("/bin/true", 1), {}),
    "odd path": (("/bin/true", OddPath()), {}),
    "odd program": ((OddPath(),), {}),
    "odd directory": (("/bin/true",), {"cwd": 1.5}),
    "negative pass_fds": (("/bin/true",), {"pass_fds": [-1]}),
    "pass_fds of strings": (("/bin/true",), {"pass_fds": ["1"]}),
    "pass_fds not open": (("/bin/true",), {"pass_fds": [987]}),
    "pass_fds no sequence": (("/bin/true",), {"pass_fds": 3}),
    "umask": (("/bin/true",), {"umask": "x"}),
    "process_group": (("/bin/true",), {"process_group": "x"}),
    "bufsize": (("/bin/true",), {"bufsize": 1}),
    "shell": (("/bin/true",), {"shell": True}),
    "universal_newlines": (("/bin/true",), {"universal_newlines": True}),
    "text": (("/bin/true",), {"text": True}),
    "encoding": (("/bin/true",), {"encoding": "utf-8"}),
    "errors": (("/bin/true",), {"errors": "strict"}),
    "STDOUT for stdin": (("/bin/true",), {"stdin": STDOUT}),
    "STDOUT for stdout": (("/bin/true",), {"stdout": STDOUT}),
    "negative stdin": (("/bin/true",), {"stdin": -7}),
    "stdin not open": (("/bin/true",), {"stdin": 987}),
    "stdout not open": (("/bin/true",), {"stdout": 987, "stderr": 987}),
    "huge stdin": (("/bin/true",), {"stdin": 1 << 70}),
    "stdin no file": (("/bin/true",), {"stdin": object()}),
    "stdin refuses": (("/bin/true",), {"stdin": Refused(), "stdout": PIPE}),
    "stderr refuses": (
        ("/bin/true",), {"stdin": PIPE, "stdout": DEVNULL, "stderr": Refused()}),
    "stdin is odd": (("/bin/true",), {"stdin": Odd(), "stdout": PIPE}),
    "pipesize": (("/bin/true",), {"pipesize": "x", "stdin": PIPE}),
    "huge pipe": (("/bin/true",), {"pipesize": 1 << 30, "stdin": PIPE}),
    "startupinfo": (("/bin/true",), {"startupinfo": 1}),
    "creationflags": (("/bin/true",), {"creationflags": 1}),
    "unknown": (("/bin/true",), {"no_such_keyword": 1}),
    "preexec_fn": (("/bin/true",), {"preexec_fn": refuse}),
    "user": (("/bin/true",), {"user": "no-such-user"}),
    "user of float": (("/bin/true",), {"user": 1.5}),
    "negative user": (("/bin/true",), {"user": -1}),
    "group": (("/bin/true",), {"group": "no-such-group"}),
    "groups": (("/bin/true",), {"extra_groups": "x"}),
    "empty executable": (("/bin/true",), {"executable": ""}),
    "executable": (("/bin/true",), {"executable": "/nowhere"}),
    "odd executable": (("/bin/true",), {"executable": 1}),
    "first argument empty": (("",), {"executable": "/bin/true"}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused(name):
    command, keywords = WRONG[name]
    keywords = {"stdout": None, **keywords}
    same(lambda loop: run(*command, **keywords))


@pytest.mark.parametrize("wrong", [
    {"cmd": 1}, {"cmd": "true", "shell": False}, {"cmd": "true", "bufsize": 1},
    {"cmd": "true", "text": True}, {"cmd": ["true"]},
])
def test_what_the_shell_refuses(wrong):
    same(lambda loop: asyncio.create_subprocess_shell(**wrong))


def test_pass_fds_without_closing_warns():
    async def scenario(loop):
        with support.recorded_warnings() as texts:
            code = (await run("/bin/true", close_fds=False, pass_fds=[2]))[2]
        return texts, code

    assert same(scenario)[0] != []


def test_no_file_is_left_when_there_are_none():
    """EMFILE at every possible place."""
    def scenario(side, loop):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = len(os.listdir("/proc/self/fd")) - 1
        seen = set()
        for spare in range(12):
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + spare, hard))
            try:
                said = outcome(loop, run("/bin/cat", stdin=PIPE,
                                          stderr=PIPE, input=b"x"))
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            if isinstance(said, tuple) and isinstance(said[0], str):
                seen.add(said[1:3])
            loop.run_until_complete(asyncio.sleep(0.01))
            assert len(os.listdir("/proc/self/fd")) - 1 <= used
        return seen

    loop = support.side_of(support.CHOSEN[-1]).new_loop()
    if not support.side_of(support.CHOSEN[-1]).ours:
        loop.close()
        pytest.skip("asyncio leaves a child behind")
    loop.run_until_complete(run("/bin/true"))  # opens what a loop opens once
    try:
        assert scenario(None, loop) == {(24, "Too many open files")}
    finally:
        loop.close()


# -- the Popen object ---------------------------------------------------------------

@pytest.mark.parametrize("keywords", [
    {}, {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE},
    {"stdout": DEVNULL}, {"pipesize": 65536},
])
def test_popen_is_as_popen_makes_it(keywords):
    async def scenario(loop):
        made, protocol = await loop.subprocess_exec(
            Events, "/bin/cat", **{
                "stdin": DEVNULL, "stdout": None, "stderr": None, **keywords
            })
        popen = made.get_extra_info("subprocess")
        seen = {
            name: plain(repr(value)) for name, value in vars(popen).items()
        }
        kind = type(popen)
        order = list(seen)
        stdin = made.get_pipe_transport(0)
        if stdin is not None:
            stdin.close()
        await protocol.ended
        for name in ("pid", "returncode", "_devnull"):
            seen.pop(name, None)
        result = (kind is subprocess.Popen, order, seen, popen.poll(),
                  popen.wait(), popen.returncode, popen.pid == made.get_pid())
        made.close()
        return result

    assert same(scenario)[3:] == (0, 0, 0, True)


def test_popen_in_use():
    async def scenario(loop):
        made, protocol = await loop.subprocess_exec(
            Events, *SLEEP, stdin=None, stdout=None, stderr=None)
        popen = made.get_extra_info("subprocess")
        running = popen.poll()
        try:
            popen.wait(0.001)
        except subprocess.TimeoutExpired as error:
            late = str(error)
        popen.send_signal(signal.SIGUSR1)
        await protocol.ended
        made.close()
        return running, late, popen.returncode, protocol.events

    assert same(scenario)[2] == -signal.SIGUSR1


def test_a_replaced_popen_is_used(monkeypatch):
    class Mine(subprocess.Popen):
        pass

    monkeypatch.setattr(subprocess, "Popen", Mine)

    async def scenario(loop):
        process = await asyncio.create_subprocess_exec("/bin/true")
        await process.wait()
        return type(process._transport.get_extra_info("subprocess")).__name__

    assert same(scenario) == "Mine"


def test_a_patched_popen_is_used(monkeypatch):
    init = subprocess.Popen.__init__
    calls = []

    def patched(self, *args, **kwargs):
        calls.append(kwargs)
        init(self, *args, **kwargs)

    monkeypatch.setattr(subprocess.Popen, "__init__", patched)

    async def scenario(loop):
        del calls[:]
        process = await asyncio.create_subprocess_exec("/bin/true")
        await process.wait()
        return calls.copy()

    assert len(same(scenario)) == 1


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="has no such switch")
def test_the_switch_of_vfork_is_honoured(monkeypatch):
    monkeypatch.setattr(subprocess, "_USE_VFORK", False)
    monkeypatch.setattr(subprocess, "_USE_POSIX_SPAWN", False)
    used = []
    name = "_fork_exec" if hasattr(subprocess, "_fork_exec") else None
    where = subprocess
    if name is None:
        import _posixsubprocess as where

        name = "fork_exec"
    real = getattr(where, name)
    monkeypatch.setattr(where, name,
                        lambda *args: used.append(1) or real(*args))

    async def scenario(loop):
        del used[:]
        await run("/bin/true")
        return len(used)

    assert same(scenario) == 1


_audited = []
_hooked = []


def _audit(event, args):
    if _audited and event == "subprocess.Popen":
        _audited.append(args)
        if args[1] == ["/bin/true", "forbidden"]:
            raise ZeroDivisionError("forbidden")


def test_audit_events():
    if not _hooked:
        _hooked.append(sys.addaudithook(_audit))

    async def scenario(loop):
        _audited[:] = ["on"]
        try:
            await run("/bin/true", "x", cwd="/tmp", env={"A": "b"})
            process = await asyncio.create_subprocess_shell("true")
            await process.wait()
            try:
                await run("/bin/true", "forbidden", stdin=PIPE)
            except ZeroDivisionError as error:
                return _audited.copy(), str(error)
        finally:
            del _audited[:]

    assert len(same(scenario)[0]) == 4


# -- protocols ---------------------------------------------------------------------

async def told(loop, script, **keywords):
    """What a protocol is told, each pipe by itself."""
    transport, protocol = await loop.subprocess_exec(
        Events, "/bin/sh", "-c", script, **keywords)
    await protocol.ended
    transport.close()
    await asyncio.sleep(0)
    events = protocol.events
    pipes = {fd: [e for e in events if e[1:2] == (fd,) and e[0] != "exited"]
             for fd in range(3)}
    rest = [e for e in events if e[0] in ("made", "m", "exited", "lost")]
    return events[0], pipes, rest, events[-1], protocol.data, [
        transport.get_returncode(), transport.is_closing(),
        transport._loop, transport._proc, transport._protocol,
    ]


@pytest.mark.parametrize("script", [
    "exit 0", "exit 7", "echo out; echo err >&2", "kill -TERM $$",
    "exec >&-; exec 2>&-; exec <&-; sleep 0.05",  # pipes close first
    "sleep 0.1 & exit 3",                         # the process ends first
    "head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2",
])
def test_protocol(script):
    seen = same(lambda loop: told(loop, script))
    assert seen[3] == ("lost", None)


@pytest.mark.parametrize("keywords", [
    {"stdin": None, "stdout": None, "stderr": None},
    {"stdin": DEVNULL, "stderr": STDOUT},
    {"stdin": None, "stdout": None},
])
def test_protocol_with_fewer_pipes(keywords):
    same(lambda loop: told(loop, "echo x >&2; exit 2", **{
        "stdout": DEVNULL, **keywords}))


def test_writing_to_a_child_that_has_closed_its_input():
    async def scenario(loop):
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", "exec <&-; echo ready; exec sleep 60", stdin=PIPE,
            stdout=PIPE)
        await process.stdout.readline()
        process.stdin.write(b"x" * 100000)
        try:
            await process.stdin.drain()
            lost = None
        except (BrokenPipeError, ConnectionResetError) as error:
            lost = type(error).__name__
        process.kill()
        await process.communicate(b"more")
        return lost is not None, process.returncode

    assert same(scenario) == (True, -9)


@pytest.mark.parametrize("size", [0, 1, 65536, 3_000_000])
def test_communicate(size):
    data = os.urandom(size)

    async def scenario(loop):
        output, _, code = await run("/bin/cat", stdin=PIPE, input=data)
        return output == data, code

    assert same(scenario) == (True, 0)


def test_streams():
    async def scenario(loop):
        process = await asyncio.create_subprocess_exec(
            "/bin/cat", stdin=PIPE, stdout=PIPE)
        lines = []
        for number in range(50):
            process.stdin.write(b"line %d\n" % number)
            await process.stdin.drain()
            lines.append(await process.stdout.readline())
        process.stdin.close()
        await process.stdin.wait_closed()
        return lines, await process.stdout.read(), await process.wait(), repr(
            process).replace(str(process.pid), "N")

    same(scenario)


def test_names_and_text():
    async def scenario(loop):
        transport, protocol = await loop.subprocess_exec(
            Events, "/bin/cat", stdin=PIPE, stdout=PIPE, stderr=STDOUT)
        texts = [repr(transport)]
        transport.get_pipe_transport(0).close()
        await protocol.ended
        texts.append(repr(transport))
        transport.close()
        texts.append(repr(transport))
        mine = Events()
        transport.set_protocol(mine)
        return [plain(text) for text in texts], [
            transport.get_pipe_transport(7),
            transport.get_protocol() is mine,
            transport.get_extra_info("nothing", 5),
            isinstance(transport, asyncio.SubprocessTransport),
        ]

    assert same(scenario)[1] == [None, True, 5, True]


def test_transports_are_not_made_by_hand():
    import fastasync
    import _fastasync

    assert fastasync
    with pytest.raises(TypeError):
        _fastasync.ProcessTransport()
    with pytest.raises(TypeError):
        object.__new__(_fastasync.ProcessTransport)
    with pytest.raises(TypeError):
        type("Sub", (_fastasync.ProcessTransport,), {})


# -- the end -------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["terminate", "kill", "send_signal"])
def test_signals(how):
    async def scenario(loop):
        process = await asyncio.create_subprocess_exec(*SLEEP)
        args = (signal.SIGINT,) if how == "send_signal" else ()
        getattr(process, how)(*args)
        code = await process.wait()
        said = []
        for _ in range(2):
            try:
                said.append(getattr(process, how)(*args))
            except ProcessLookupError as error:
                said.append(type(error).__name__)
            await asyncio.sleep(0)
        return code, said, await process.wait()

    same(scenario)


def test_close_kills():
    async def scenario(loop):
        transport, protocol = await loop.subprocess_exec(
            Events, *SLEEP, stdin=PIPE, stdout=PIPE)
        transport.close()
        transport.close()
        await protocol.ended
        return protocol.events[-1], transport.get_returncode()

    assert same(scenario) == (("lost", None), -9)


def test_an_unclosed_transport_warns():
    def scenario(side, loop):
        async def main():
            transport, protocol = await loop.subprocess_exec(
                Events, "/bin/true", stdin=None, stdout=None, stderr=None)
            await protocol.ended
            del protocol.transport

        with support.recorded_warnings() as texts:
            loop.run_until_complete(main())
            gc.collect()
        return [plain(text) for text in texts]

    assert len(support.compare(scenario)) == 1


def test_debug_mode_tells():
    async def scenario(loop):
        loop.set_debug(True)
        try:
            with support.journal() as told:
                await shell("exit 1", stderr=PIPE)
                transport, protocol = await loop.subprocess_exec(
                    Events, *SLEEP, stdin=None, stdout=None, stderr=None)
                transport.close()
                await protocol.ended
        finally:
            loop.set_debug(False)
        # the exit may come before or after the pipes are connected
        return sorted((level, plain(text)) for level, text in told.messages
                      if "closed by peer" not in text and "pipes" not in text)

    same(scenario)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a thread waits in 3.11")
def test_the_status_was_taken_by_somebody_else():
    async def scenario(loop):
        process = await asyncio.create_subprocess_exec(*SLEEP)
        with support.journal() as told:
            process.kill()
            pid, status = os.waitpid(process.pid, 0)
            code = await process.wait()
        assert pid == process.pid
        return code, [(level, plain(text)) for level, text in told.messages]

    assert same(scenario)[0] == 255


def test_ignored_sigchld():
    """The kernel then keeps no status."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        loop = support.both()[-1].new_loop()
        with support.journal():
            assert outcome(loop, shell("echo x; exit 3"))[0] == b"x\n"
        loop.close()
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_handler_of_sigchld_stays():
    calls = []

    def handler(number, frame):
        calls.append(number)

    before = signal.signal(signal.SIGCHLD, handler)
    try:
        same(lambda loop: shell("exit 3"))
        assert signal.getsignal(signal.SIGCHLD) is handler
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert calls


def test_wait_by_many():
    async def scenario(loop):
        process = await asyncio.create_subprocess_exec(*SLEEP)
        waits = [asyncio.ensure_future(process.wait()) for _ in range(5)]
        await asyncio.sleep(0)
        waits[2].cancel()
        await asyncio.sleep(0)
        process.kill()
        return [
            repr(r) for r in await asyncio.gather(*waits, return_exceptions=True)
        ]

    assert same(scenario).count("-9") == 4


@pytest.mark.parametrize("name", [
    "_closed", "_exit_waiters", "_finished", "_loop", "_pending_calls", "_pid",
    "_pipes", "_proc", "_protocol", "_returncode",
])
def test_an_attribute_stays(name):
    async def scenario():
        loop = asyncio.get_running_loop()
        transport, _ = await loop.subprocess_exec(
            asyncio.SubprocessProtocol, "true", stdin=None, stdout=PIPE, stderr=None
        )
        with pytest.raises(AttributeError, match="cannot delete attribute"):
            delattr(transport, name)
        setattr(transport, name, getattr(transport, name))
        assert transport.get_pipe_transport(1) is not None
        assert await transport._wait() == 0
        transport.close()

    fastasync.run(scenario())


def test_attributes_of_ones_own():
    async def scenario(loop):
        transport, _ = await loop.subprocess_exec(
            asyncio.SubprocessProtocol, "true")
        transport.mine = 1
        told = vars(transport)["mine"], transport.mine
        del transport.mine
        await transport._wait()
        transport.close()
        return told, hasattr(transport, "mine")

    assert same(scenario) == ((1, 1), False)


def repr_of(value):
    return repr(value) if isinstance(value, (int, str, dict, list)) else None


@pytest.mark.parametrize("pipes", [None, 7, (1, 2)])
def test_pipes_that_are_no_dict(pipes):
    """Whatever asyncio's methods say of them is said; none is lost."""

    async def scenario(loop):
        transport, _ = await loop.subprocess_exec(
            asyncio.SubprocessProtocol, "true", stdin=None, stdout=None, stderr=None
        )
        await transport._wait()
        kept, transport._pipes = transport._pipes, pipes
        said = []
        for call in (transport.get_pipe_transport, lambda fd: transport.close()):
            try:
                said.append(call(3))
            except (AttributeError, TypeError) as error:
                said.append(str(error))
        transport._pipes = kept
        return said

    same(scenario)


class Refusing:
    """Nothing of it works; anything may be asked for."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise LookupError(name)


STRANGE = [7, "text", {1: 2}, [7, None, "text"], [(1,)], [(print, 7)],
           Refusing()]


@pytest.mark.parametrize("value", STRANGE, ids=repr_of)
@pytest.mark.parametrize("name", ["_exit_waiters", "_pending_calls", "_pipes"])
@pytest.mark.parametrize("early", [False, True])
def test_attributes_of_another_kind(name, value, early):
    """An exception or a report, no crash, and the child is collected."""

    class Protocol(asyncio.SubprocessProtocol):
        def connection_made(self, transport):
            if early:
                setattr(transport, name, value)

    async def scenario():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *args: reports.append(args[1]))
        transport, _ = await loop.subprocess_exec(
            Protocol, "true", stdin=None, stdout=PIPE, stderr=None)
        setattr(transport, name, value)
        waiting = loop.create_task(transport._wait())
        while transport.get_returncode() is None:
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        waiting.cancel()
        try:
            await waiting
        except (asyncio.CancelledError, AttributeError, LookupError,
                TypeError):
            pass
        for attribute, empty in (("_exit_waiters", []), ("_pipes", {}),
                                 ("_pending_calls", None)):
            setattr(transport, attribute, empty)
        transport.close()

    reports = []
    fastasync.run(scenario())
    for report in reports:
        assert not isinstance(report.get("exception"), SystemError), report


@pytest.mark.parametrize("value", [v for v in STRANGE if isinstance(v, list)],
                         ids=repr)
def test_pending_calls_of_another_kind(value):
    """Before the pipes are connected: spawning fails, as it does in asyncio."""

    async def scenario():
        loop = asyncio.get_running_loop()
        original = loop.connect_read_pipe

        async def connect_read_pipe(factory, pipe):
            transport, protocol = await original(factory, pipe)
            protocol.proc._pending_calls = list(value)
            return transport, protocol

        loop.connect_read_pipe = connect_read_pipe
        await loop.subprocess_exec(
            asyncio.SubprocessProtocol, "true", stdin=None, stdout=PIPE,
            stderr=None)

    with support.recorded_warnings(), pytest.raises((TypeError, ValueError)):
        fastasync.run(scenario())


def test_pipes_that_change_while_they_are_looked_at():
    class Pipe:
        pipe = None

        @property
        def disconnected(self):
            transport._pipes.clear()
            return True

    transport = None

    async def scenario():
        nonlocal transport
        loop = asyncio.get_running_loop()
        read, write = os.pipe()
        transport, _ = await loop.subprocess_exec(
            asyncio.SubprocessProtocol, "cat", stdin=read, stdout=None,
            stderr=None)
        for fd in range(10, 20):
            transport._pipes[fd] = Pipe()
        os.close(read)
        os.close(write)  # its end
        assert await transport._wait() == 0
        while transport._pipes:
            await asyncio.sleep(0)
        transport.close()

    fastasync.run(scenario())


def test_wait_and_pipes_that_stay_open():
    """Late versions return at the exit, early ones when the pipes are closed."""
    async def scenario(loop):
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", "sleep 60 <&- & echo $!; read word; exit 2",
            stdin=PIPE, stdout=PIPE)
        sleeper = int(await process.stdout.readline())
        wait = asyncio.ensure_future(process.wait())
        await asyncio.sleep(0.01)
        process.stdin.write(b"now\n")
        await asyncio.wait({wait}, timeout=2)
        early = wait.done()
        os.kill(sleeper, signal.SIGKILL)
        code = await wait
        await process.stdout.read()
        return code, early

    same(scenario)


# -- the loop's own method ------------------------------------------------------------------

@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("args, kwargs", [
    ((), {}),
    (("factory",), {}),
    (("factory", "/bin/true"), {}),
    (("factory",), {"program": "/bin/true"}),
    ((), {"protocol_factory": asyncio.SubprocessProtocol, "program": "/bin/true"}),
    (("factory", "/bin/true"), {"stdin": None, "stdout": None, "stderr": None}),
    (("factory", "/bin/true"), {"shell": False, "bufsize": 0, "text": False}),
    (("factory", "/bin/true"), {"shell": True}),
    (("factory", "/bin/true"), {"bufsize": 1}),
    (("factory", "/bin/true"), {"universal_newlines": 1}),
    (("factory", "/bin/true"), {"encoding": "utf-8"}),
    (("factory", "/bin/true"), {"errors": "strict"}),
    (("factory", "/bin/true"), {"text": True}),
    (("factory", "/bin/true"), {"nonsense": True}),
    (("factory", "/does/not/exist"), {}),
    ((len, "/bin/true"), {}),
])
def test_subprocess_exec(args, kwargs, debug):
    class Protocol(asyncio.SubprocessProtocol):
        def connection_made(self, transport):
            self.fds = [transport.get_pipe_transport(i) is not None
                        for i in range(3)]
            self.lost = asyncio.get_running_loop().create_future()

        def connection_lost(self, exc):
            self.lost.set_result(exc)

    async def scenario(loop):
        loop.set_debug(debug)
        given = [Protocol if arg == "factory" else arg for arg in args]
        coro = loop.subprocess_exec(*given, **kwargs)
        assert asyncio.iscoroutine(coro)
        pair = await coro
        assert type(pair) is tuple
        transport, protocol = pair
        if isinstance(protocol, Protocol):
            assert await protocol.lost is None
        else:
            await transport._wait()
        transport.close()
        return getattr(protocol, "fds", type(protocol).__name__), (
            transport.get_returncode())

    same(scenario)


def test_an_overridden_way_to_make_the_transport():
    """A loop's class may have its own, as asyncio's have."""
    def scenario(side, loop):
        seen = []

        class Mine(type(loop)):
            def _make_subprocess_transport(self, *args, **kwargs):
                seen.append((args[1:], kwargs))
                return super()._make_subprocess_transport(*args, **kwargs)

        mine = Mine()
        try:
            transport, _ = mine.run_until_complete(mine.subprocess_exec(
                asyncio.SubprocessProtocol, "/bin/echo", "x", stdin=None,
                stdout=subprocess.DEVNULL, cwd="/"))
            mine.run_until_complete(transport._wait())
            transport.close()
            mine.run_until_complete(asyncio.sleep(0))
        finally:
            mine.close()
        return seen

    support.compare(scenario)


# -- cancellation --------------------------------------------------------------------------

@pytest.mark.parametrize("turns", range(14))
def test_cancelled_while_it_starts(turns):
    def scenario(side, loop):
        async def main():
            process = await asyncio.create_subprocess_exec(
                *SLEEP, stdin=PIPE, stdout=PIPE, stderr=PIPE)
            try:
                await process.wait()
            except asyncio.CancelledError:
                process.kill()
                await process.communicate()
                raise

        task = loop.create_task(main())
        support.spin(loop, turns)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.run_until_complete(asyncio.sleep(0))
        return len(processes.children())

    assert support.compare(scenario) == 0


# -- many ----------------------------------------------------------------------------------

def test_hundreds_at_once():
    async def one(number):
        data = b"%d " % number * (number * 20)
        output, errors, code = await run(
            "/bin/sh", "-c", f"cat; echo {number} >&2; exit {number % 250}",
            stdin=PIPE, stderr=PIPE, input=data)
        return output == data, errors == b"%d\n" % number, code == number % 250

    async def scenario(loop):
        return await asyncio.gather(*[one(number) for number in range(200)])

    loop = support.both()[-1].new_loop()
    try:
        seen = loop.run_until_complete(scenario(loop))
    finally:
        loop.close()
    assert seen == [(True, True, True)] * 200


def test_loops_in_threads():
    seen = []

    async def main():
        for number in range(15):
            results = await asyncio.gather(*[
                shell(f"cat; exit {number}", stdin=PIPE, input=b"%d" % i)
                for i in range(3)
            ])
            assert results == [(b"%d" % i, None, number) for i in range(3)]
        seen.append(1)

    def work():
        loop = support.both()[-1].new_loop()
        try:
            loop.run_until_complete(main())
        finally:
            loop.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 4


def test_a_loop_that_is_closed_under_a_child():
    def scenario(side, loop):
        async def main():
            return await asyncio.create_subprocess_exec(*SLEEP, stdout=PIPE)

        with support.recorded_warnings():
            process = loop.run_until_complete(main())
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
            os.kill(process.pid, signal.SIGKILL)
            popen = process._transport.get_extra_info("subprocess")
            code = popen.wait()
            with support.hooks():
                del process
                gc.collect()
            return code

    if support.both()[-1].ours:
        side = support.both()[-1]
        assert scenario(side, side.new_loop()) == -9


# -- watchers ----------------------------------------------------------------------------------

@pytest.mark.skipif(sys.version_info >= (3, 14), reason="no policy has watchers")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_watcher_of_the_program():
    class Watcher(asyncio.AbstractChildWatcher):
        calls = []

        def __enter__(self):
            self.calls.append("enter")
            return self

        def __exit__(self, *args):
            self.calls.append("exit")

        def is_active(self):
            return True

        def attach_loop(self, loop):
            pass

        def close(self):
            pass

        def add_child_handler(self, pid, callback, *args):
            self.calls.append("add")

            def work():
                _, status = os.waitpid(pid, 0)
                callback(pid, os.waitstatus_to_exitcode(status), *args)

            self.thread = threading.Thread(target=work)
            self.thread.start()

    async def scenario(loop):
        watcher = Watcher()
        del watcher.calls[:]
        asyncio.set_child_watcher(watcher)
        try:
            said = await shell("exit 8")
        finally:
            asyncio.set_child_watcher(None)
        watcher.thread.join()
        return said, watcher.calls.copy()

    assert same(scenario)[1] == ["enter", "add", "exit"]


@pytest.mark.skipif(sys.version_info < (3, 14), reason="of the policy then")
def test_another_watcher_of_the_loop():
    class Watcher:
        def add_child_handler(self, pid, callback, *args):
            self.pid = pid
            _, status = os.waitpid(pid, 0)
            asyncio.get_running_loop().call_soon(
                callback, pid, os.waitstatus_to_exitcode(status), *args)

    async def scenario(loop):
        loop._watcher = Watcher()
        process = await asyncio.create_subprocess_exec("/bin/true")
        return await process.wait(), loop._watcher.pid == process.pid

    assert same(scenario) == (0, True)


def test_without_pidfds(monkeypatch):
    """Then asyncio's watcher with threads does it."""
    monkeypatch.setattr(
        asyncio.unix_events, "can_use_pidfd", lambda: False, raising=False)

    async def scenario(loop):
        return await shell("echo x; exit 8")

    assert same(scenario) == (b"x\n", None, 8)


# -- replaced methods --------------------------------------------------------------------------------

def test_methods_of_the_loop_are_honoured():
    side = support.both()[-1]
    base = type(side.new_loop())
    calls = []

    class Loop(base):
        async def connect_read_pipe(self, *args):
            calls.append("read")
            return await super().connect_read_pipe(*args)

        async def connect_write_pipe(self, *args):
            calls.append("write")
            return await super().connect_write_pipe(*args)

        def _child_watcher_callback(self, *args):
            calls.append("ended")
            return super()._child_watcher_callback(*args)

    made = Loop()
    try:
        said = outcome(made, shell("cat", stdin=PIPE, stderr=PIPE, input=b"x"))
    finally:
        made.close()
    assert said == (b"x", b"", 0)
    assert sorted(calls) == ["ended", "read", "read", "write"]


def test_the_exit_of_a_task_group():
    async def scenario(loop):
        async def child():
            process = await asyncio.create_subprocess_exec(*SLEEP)
            try:
                await process.wait()
            except asyncio.CancelledError:
                process.kill()
                await process.wait()
                raise

        async def fail():
            await asyncio.sleep(0.02)
            raise ValueError("enough")

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
                group.create_task(fail())
        except ExceptionGroup as group:
            return why(group.exceptions[0])

    assert same(scenario) == "ValueError: enough"
