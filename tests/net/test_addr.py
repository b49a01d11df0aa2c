"""Names and numeric addresses: addr.c, resolve.c, plain.c."""

import asyncio
import concurrent.futures
import itertools
import socket
import sys
import threading
from unittest import mock

import pytest

import support

fastasync = pytest.importorskip("fastasync")

HOSTS = [
    "127.0.0.1", "0.0.0.0", "255.255.255.255", "1.2.3.4", "127.1", "0x7f.1",
    "127.0.0.01", "1.2.3", "1", "1.2.3.4.", " 127.0.0.1", "127.0.0.1\0",
    "\uff11.2.3.4", "::1", "::", "fe80::1", "fe80::1%lo", "::1%1",
    "::ffff:1.2.3.4", "FE80::A", "2001:db8::1", "1:2:3:4:5:6:7:8",
    "::1.2.3.4", "[::1]", "", None, b"127.0.0.1", b"::1", 5,
]
PORTS = [80, 0, 65535, 65536, -1, None, "80", "", "http", b"80", "080", True, 1.5]
FAMILIES = [0, socket.AF_INET, socket.AF_INET6, 2, socket.AF_UNIX, 99]
TYPES = [0, socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, 1]
PROTOS = [0, 6, 17, 132, 255]
FLAGS = [
    0, socket.AI_PASSIVE, socket.AI_NUMERICHOST, socket.AI_NUMERICSERV,
    socket.AI_CANONNAME, socket.AI_ADDRCONFIG, socket.AI_V4MAPPED,
    socket.AI_PASSIVE | socket.AI_NUMERICHOST | socket.AI_NUMERICSERV, 1 << 20,
]


class Never(concurrent.futures.ThreadPoolExecutor):
    """An executor that runs nothing: who asks it waits."""

    asked = 0

    def submit(self, *args):
        self.asked += 1
        return concurrent.futures.Future()


def outcome(function, *args, **kwargs):
    try:
        return "returned", function(*args, **kwargs)
    except Exception as error:
        return type(error), str(error)


def at_once(coro):
    """What the coroutine says without waiting; None if it has to wait."""
    try:
        waits_for = coro.send(None)
    except StopIteration as stop:
        return "returned", stop.value
    except Exception as error:
        return type(error), str(error)
    coro.close()
    waits_for.cancel()
    return None


def kinds(value):
    """The types of everything in nested lists and tuples."""
    if isinstance(value, list | tuple):
        return type(value), [kinds(item) for item in value]
    return type(value)


@pytest.fixture
def alone():
    """A loop of ours whose executor does nothing."""
    loop = fastasync.new_event_loop()
    loop.set_default_executor(Never(1))
    yield loop
    support.spin(loop, 3)
    loop.close()


@pytest.mark.parametrize("host", HOSTS, ids=repr)
def test_getaddrinfo_is_the_real_one(alone, host):
    """Every answer without a thread is what socket.getaddrinfo answers."""
    direct = 0
    for port, family, kind, proto, flags in itertools.product(
        PORTS, FAMILIES, TYPES, PROTOS, FLAGS
    ):
        got = at_once(alone.getaddrinfo(
            host, port, family=family, type=kind, proto=proto, flags=flags))
        if got is None:
            continue
        direct += 1
        want = outcome(socket.getaddrinfo, host, port, family, kind, proto, flags)
        assert got == want, (port, family, kind, proto, flags)
        assert kinds(got) == kinds(want)
    numeric = isinstance(host, str) and "%" not in host and any(
        outcome(socket.inet_pton, family, host)[0] == "returned"
        for family in (socket.AF_INET, socket.AF_INET6))
    assert bool(direct) == numeric


@pytest.mark.parametrize("host", HOSTS, ids=repr)
def test_getnameinfo_is_the_real_one(alone, host):
    numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    for port, rest, flags in itertools.product(
        PORTS, [(), (0,), (0, 0), (5, 0), (0, 1), (1 << 20, 0), (0, -1)],
        [0, numeric, numeric | socket.NI_DGRAM, socket.NI_NUMERICHOST, 1 << 20],
    ):
        sockaddr = (host, port, *rest)
        got = at_once(alone.getnameinfo(sockaddr, flags))
        if got is not None:
            assert got == outcome(socket.getnameinfo, sockaddr, flags), sockaddr


def test_getnameinfo_numeric_needs_no_thread(alone):
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    assert at_once(alone.getnameinfo(("::1", 80, 0, 0), flags)) == (
        "returned", ("::1", "80"))
    assert at_once(alone.getnameinfo(("127.0.0.1", 80))) is None


@pytest.mark.parametrize("host", HOSTS, ids=repr)
def test_ensure_resolved_is_asyncios(alone, host):
    """_ensure_resolved answers what asyncio's _ipaddr_info knows."""
    async def looked_up(*args, **kwargs):
        return "looked up"

    alone.getaddrinfo = looked_up
    for port, rest, family, kind, proto in itertools.product(
        PORTS, [(), (0,), (5, 6)], FAMILIES, TYPES, PROTOS
    ):
        address = (host, port, *rest)
        want = outcome(asyncio.base_events._ipaddr_info, host, port, family,
                       kind, proto, *rest)
        got = at_once(alone._ensure_resolved(
            address, family=family, type=kind, proto=proto, loop=alone))
        if want == ("returned", None):
            assert got == ("returned", "looked up")
        elif want[0] == "returned":
            assert got == ("returned", [want[1]])
            assert kinds(got[1][0]) == kinds(want[1])
        else:
            assert got == want


@pytest.mark.parametrize("args, kwargs", [
    ((), {}), (("h",), {}), (("h", 1, 2), {}), (("h", 1), {"nope": 1}),
    (("h",), {"host": "x"}),
])
def test_wrong_arguments(args, kwargs):
    def scenario(side, loop):
        return outcome(loop.getaddrinfo, *args, **kwargs)

    support.compare(scenario)


@pytest.mark.parametrize("call", [
    lambda loop: loop.getnameinfo(),
    lambda loop: loop.getnameinfo(1, 2, 3),
    lambda loop: loop._ensure_resolved(("h", 1)),
    lambda loop: loop._ensure_resolved(),
    lambda loop: loop._ensure_resolved(("h", 1), 5, loop=loop),
])
def test_wrong_arguments_of_others(call):
    support.compare(lambda side, loop: outcome(call, loop))


def test_errors_are_the_same():
    def scenario(side, loop):
        seen = []
        for args in [("127.0.0.1", "no such service"), ("nowhere.invalid", 1),
                     ("::1", 65536), (5, 1), ("127.0.0.1", 1.5),
                     (None, None), ("x" * 70 + ".invalid", 1)]:
            for family in 0, socket.AF_INET, socket.AF_INET6:
                got = outcome(loop.run_until_complete,
                              loop.getaddrinfo(*args, family=family))
                seen.append(got)
        return seen

    support.compare(scenario)


def test_names_are_looked_up_in_a_thread(loop):
    threads = []

    def lookup(*args):
        threads.append((threading.current_thread(), args))
        return ["found"]

    with mock.patch("socket.getaddrinfo", lookup):
        # a replaced function is asked about numeric hosts too
        for host in "example.invalid", "127.0.0.1":
            assert loop.run_until_complete(
                loop.getaddrinfo(host, 80, type=1)) == ["found"]
    assert [args for _, args in threads] == [
        ("example.invalid", 80, 0, 1, 0, 0), ("127.0.0.1", 80, 0, 1, 0, 0)]
    assert threading.main_thread() not in [thread for thread, _ in threads]


def test_the_function_is_taken_when_it_runs(loop):
    coro = loop.getaddrinfo("127.0.0.1", 80)
    with mock.patch("socket.getaddrinfo", return_value="patched"):
        assert loop.run_until_complete(coro) == "patched"


def test_getnameinfo_replaced(loop):
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    with mock.patch("socket.getnameinfo", return_value="patched") as function:
        assert loop.run_until_complete(
            loop.getnameinfo(("127.0.0.1", 80), flags)) == "patched"
    function.assert_called_once_with(("127.0.0.1", 80), flags)


def test_base_events_socket_replaced(loop):
    with mock.patch("asyncio.base_events.socket") as module:
        module.getaddrinfo.return_value = "mocked"
        module.getnameinfo.return_value = "named"
        assert loop.run_until_complete(
            loop.getaddrinfo("127.0.0.1", 80)) == "mocked"
        assert loop.run_until_complete(
            loop.getnameinfo(("127.0.0.1", 80), 3)) == "named"


def test_run_in_executor_replaced(side):
    class Loop(type(side.new_loop())):
        pass

    loop = side.new_loop()
    loop.close()
    loop = Loop()
    asked = []

    def run_in_executor(executor, function, *args):
        asked.append((executor, function, args))
        future = loop.create_future()
        future.set_result("by hand")
        return future

    loop.run_in_executor = run_in_executor
    try:
        assert loop.run_until_complete(
            loop.getaddrinfo("127.0.0.1", 80)) == "by hand"
    finally:
        loop.close()
    assert asked == [(None, socket.getaddrinfo, ("127.0.0.1", 80, 0, 0, 0, 0))]


def test_debug_mode_logs(loop):
    loop.set_debug(True)
    with mock.patch.object(
        type(loop), "_getaddrinfo_debug", create=True, return_value="logged"
    ) as function:
        assert loop.run_until_complete(
            loop.getaddrinfo("127.0.0.1", 80, family=2)) == "logged"
    function.assert_called_once_with("127.0.0.1", 80, 2, 0, 0, 0)


def test_closed_loop_and_executor_gone():
    def scenario(side, loop):
        seen = []
        loop.run_until_complete(loop.shutdown_default_executor())
        seen.append(outcome(loop.run_until_complete,
                            loop.getaddrinfo("127.0.0.1", 80)))
        seen.append(outcome(loop.run_until_complete,
                            loop.getnameinfo(("127.0.0.1", 80), 3)))
        loop.close()
        for coro in (loop.getaddrinfo("127.0.0.1", 80),
                     loop.getnameinfo(("127.0.0.1", 80), 3)):
            try:
                coro.send(None)
            except Exception as error:
                seen.append((type(error), str(error)))
        return seen

    support.compare(scenario)


def test_cancelled_while_looking_up(loop):
    release = threading.Event()
    begun = threading.Event()

    def lookup(*args):
        begun.set()
        release.wait(10)
        return []

    async def main():
        task = loop.create_task(loop.create_connection(
            asyncio.Protocol, "example.invalid", 80))
        await loop.run_in_executor(None, begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()

    with mock.patch("socket.getaddrinfo", lookup):
        loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_default_executor())


AUDITED = """
import asyncio, socket, sys, fastasync
seen = []
sys.addaudithook(lambda name, args: seen.append((name, args))
                 if name.startswith("socket.") else None)
async def main():
    loop = asyncio.get_running_loop()
    await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    await loop.getnameinfo(("127.0.0.1", 80), 3)
    names = [name for name, _ in seen]
    assert names.count("socket.getaddrinfo") == 1, seen
    assert names.count("socket.getnameinfo") == 1, seen
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    seen.clear()
    address = server.sockets[0].getsockname()
    transport, _ = await loop.create_connection(asyncio.Protocol, *address)
    assert ("socket.connect", address) in [
        (name, args[1]) for name, args in seen if len(args) == 2], seen
    assert "socket.__new__" in [name for name, _ in seen]
    transport.abort()
    server.close()
    await server.wait_closed()
with asyncio.Runner(loop_factory=fastasync.new_event_loop) as runner:
    runner.run(main())
"""


def test_audit_hooks_see_everything():
    import subprocess

    subprocess.run([sys.executable, "-c", AUDITED], check=True, timeout=60)
