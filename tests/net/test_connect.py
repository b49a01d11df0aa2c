"""Outgoing connections: connect.c, connecting.c, api/loop_connect.c."""

import asyncio
import contextlib
import contextvars
import errno
import gc
import os
import pathlib
import resource
import socket
import ssl
import sys
import weakref
from unittest import mock

import pytest

import support
from netsupport import Recorder, settle, short_paths, until

fastasync = pytest.importorskip("fastasync")
import _fastasync  # noqa: E402

LOCAL = "127.0.0.1"


def outcome(function, *args, **kwargs):
    """What it returns, or the type, arguments and text of what it raises."""
    try:
        return "returned", function(*args, **kwargs)
    except BaseException as error:
        return describe(error)


def describe(error):
    inner = getattr(error, "exceptions", ())
    return (type(error).__name__, getattr(error, "errno", None), str(error),
            [describe(one) for one in inner])


def refused_port(host=LOCAL, family=socket.AF_INET):
    """A port where nobody listens."""
    with socket.socket(family) as sock:
        sock.bind((host, 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def listening(family=socket.AF_INET, host=LOCAL):
    with socket.socket(family) as sock:
        sock.bind((host, 0))
        sock.listen()
        yield sock


@contextlib.contextmanager
def silent():
    """The address of a server that answers nobody: its queue is full."""
    with socket.socket() as sock, contextlib.ExitStack() as stack:
        sock.bind((LOCAL, 0))
        sock.listen(0)
        for _ in range(16):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(sock.getsockname())
        yield sock.getsockname()


def has_ipv6():
    try:
        with listening(socket.AF_INET6, "::1"):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="needs IPv6")


def count_fds():
    return len(os.listdir("/proc/self/fd"))


def resolving(side, infos):
    """A loop whose getaddrinfo answers that."""
    plain = side.new_loop()
    plain.close()

    class Loop(type(plain)):
        async def getaddrinfo(self, *args, **kwargs):
            return list(infos)

    return Loop()


def stream_info(address, family=socket.AF_INET):
    return family, socket.SOCK_STREAM, 6, "", address


# -- connecting -----------------------------------------------------------------


@pytest.mark.parametrize("host", [LOCAL, pytest.param("::1", marks=needs_ipv6)])
def test_connects(loop, side, host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with listening(family, host) as listener:
        transport, protocol = loop.run_until_complete(
            loop.create_connection(Recorder, host, listener.getsockname()[1]))
        server, peer = listener.accept()
        with server:
            server.settimeout(10)
            assert protocol.events == ["made"]
            assert protocol.transport is transport
            assert transport.get_extra_info("peername") == listener.getsockname()
            assert transport.get_extra_info("sockname") == peer
            sock = transport.get_extra_info("socket")
            assert sock.family == family
            assert sock.type == socket.SOCK_STREAM
            assert sock.proto == socket.IPPROTO_TCP
            assert sock.gettimeout() == 0
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not os.get_inheritable(sock.fileno())
            transport.write(b"hello")
            settle(loop)
            assert server.recv(9) == b"hello"
            server.sendall(b"world")
            until(loop, lambda: protocol.data == b"world")
        until(loop, lambda: protocol.events[-1] == ("lost", None))
        assert transport.get_extra_info("peername") == listener.getsockname()
        assert transport.get_extra_info("sockname") == peer


@pytest.mark.parametrize("kwargs", [
    {}, {"family": 0}, {"family": socket.AF_INET}, {"proto": 6}, {"proto": 17},
    {"flags": socket.AI_PASSIVE}, {"interleave": 1}, {"ssl": False},
    {"happy_eyeballs_delay": 0.25}, {"local_addr": (LOCAL, 0)}, {"sock": None},
])
def test_keywords(loop, kwargs):
    with listening() as listener:
        transport, protocol = loop.run_until_complete(
            loop.create_connection(Recorder, *listener.getsockname(), **kwargs))
        assert transport.get_extra_info("peername") == listener.getsockname()
        transport.abort()
        settle(loop)
        assert protocol.events == ["made", ("lost", None)]


@pytest.mark.parametrize("host, port", [
    ("localhost", int), (LOCAL, str), (None, int), (b"127.0.0.1", int),
    (LOCAL, lambda port: str(port).encode()),
])
def test_odd_names(loop, host, port):
    with listening() as listener:
        transport, _ = loop.run_until_complete(loop.create_connection(
            Recorder, host, port(listener.getsockname()[1]),
            family=socket.AF_INET))
        assert transport.get_extra_info("peername") == listener.getsockname()
        transport.abort()
        settle(loop)


def test_any_address_tells_its_real_name(loop):
    with listening() as listener:
        port = listener.getsockname()[1]
        transport, _ = loop.run_until_complete(
            loop.create_connection(Recorder, "0.0.0.0", port))
        assert transport.get_extra_info("peername") == (LOCAL, port)
        transport.abort()
        settle(loop)


def test_the_path_in_c_is_taken(new_loop, side):
    """No Python socket is made, unless somebody asks."""
    loop = new_loop()
    with listening() as listener, mock.patch.object(
        asyncio.base_events.BaseEventLoop, "create_connection"
    ) as theirs:
        if not side.ours:
            pytest.skip("asyncio's own")
        transport, _ = loop.run_until_complete(
            loop.create_connection(Recorder, *listener.getsockname()))
        assert not theirs.called
        made = [one for one in gc.get_objects() if isinstance(one, socket.socket)]
        assert made == [one for one in made if one.fileno() != transport._sock_fd]
        transport.abort()
        settle(loop)


def test_server_and_client_in_one_loop_take_turns():
    """Who accepts hears of the connection before who connects."""
    def scenario(side, loop):
        order = []

        def maker(name):
            return lambda: Recorder(connection_made=lambda t: order.append(name))

        async def main():
            server = await loop.create_server(maker("server"), LOCAL, 0)
            transport, _ = await loop.create_connection(
                maker("client"), *server.sockets[0].getsockname())
            order.append("connected")
            transport.abort()
            server.close()
            await asyncio.sleep(0)

        loop.run_until_complete(main())
        settle(loop)
        return order

    support.compare(scenario)


def test_many_at_once(loop):
    async def main():
        served = []
        server = await loop.create_server(
            lambda: served.append(1) or Recorder(
                data_received=lambda t, d: t.write(d)), LOCAL, 0, backlog=200)
        address = server.sockets[0].getsockname()
        pairs = await asyncio.gather(
            *[loop.create_connection(Recorder, *address) for _ in range(150)])
        for number, (transport, _) in enumerate(pairs):
            transport.write(b"%d" % number)
        while not all(protocol.data for _, protocol in pairs):
            await asyncio.sleep(0)
        assert [bytes(protocol.data) for _, protocol in pairs] == [
            b"%d" % number for number in range(150)]
        assert len(served) == 150
        for transport, _ in pairs:
            transport.close()
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
    settle(loop)


# -- failing ----------------------------------------------------------------------


@pytest.mark.parametrize("host", [LOCAL, "localhost", "0.0.0.0", "127.0.0.2"])
@pytest.mark.parametrize("kwargs", [
    {}, {"happy_eyeballs_delay": 0.1}, {"local_addr": (LOCAL, 0)},
    {"interleave": 2},
])
def test_refused(host, kwargs):
    port = refused_port()

    def scenario(side, loop):
        return outcome(loop.run_until_complete, loop.create_connection(
            Recorder, host, port, family=socket.AF_INET, **kwargs))

    said = support.compare(scenario)
    assert "Connect call failed" in str(said)


@needs_ipv6
def test_refused_v6():
    port = refused_port("::1", socket.AF_INET6)

    def scenario(side, loop):
        return outcome(loop.run_until_complete,
                       loop.create_connection(Recorder, "::1", port))

    said = support.compare(scenario)
    assert f"('::1', {port}, 0, 0)" in str(said)


def test_refusal_lets_others_live(loop):
    """Trying again and again does not keep the loop busy."""
    port = refused_port()

    async def main():
        turns = 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = loop.create_task(count())
        for _ in range(20):
            with pytest.raises(ConnectionRefusedError):
                await loop.create_connection(Recorder, LOCAL, port)
        task.cancel()
        assert turns >= 20

    loop.run_until_complete(main())


@pytest.mark.parametrize("host, port", [
    ("255.255.255.255", 1), ("224.0.0.1", 1), (LOCAL, 65536), (LOCAL, -1),
    (LOCAL, "no such service"), ("nowhere.invalid", 1), (5, 1), ("1.2.3.4\0", 1),
    (LOCAL, 1.5), (LOCAL, [])])
def test_impossible_addresses(host, port):
    def scenario(side, loop):
        return outcome(loop.run_until_complete,
                       loop.create_connection(Recorder, host, port))

    support.compare(scenario)


ALL_ERRORS = [{}] if sys.version_info < (3, 12) else [{}, {"all_errors": True}]


@pytest.mark.parametrize("kwargs", ALL_ERRORS)
@pytest.mark.parametrize("addresses", [
    [], ["r"], ["r", "r"], ["r", "s"], ["s", "bad"], ["bad"], ["r", "bad", "s"],
    ["odd"], ["odd", "r"], ["v6scope"], ["short"],
])
@pytest.mark.parametrize("delay", [None, 0.05])
def test_several_addresses_fail(addresses, kwargs, delay):
    first, second = refused_port(), refused_port()
    kinds = {
        "r": stream_info((LOCAL, first)),
        "s": stream_info((LOCAL, second)),
        "bad": stream_info(("255.255.255.255", 1)),
        "odd": (99, socket.SOCK_STREAM, 6, "", (LOCAL, first)),
        "v6scope": stream_info(("fe80::1", 1, 0, 99), socket.AF_INET6),
        "short": stream_info(("::1", 1), socket.AF_INET6),
    }

    def scenario(side, loop):
        loop = resolving(side, [kinds[name] for name in addresses])
        try:
            return outcome(loop.run_until_complete, loop.create_connection(
                Recorder, "name", 1, happy_eyeballs_delay=delay, **kwargs))
        finally:
            loop.close()

    support.compare(scenario)


@pytest.mark.parametrize("delay", [None, 0.01])
@pytest.mark.parametrize("interleave", [None, 1, 2])
def test_the_first_that_answers(side, delay, interleave):
    refused = stream_info((LOCAL, refused_port()))
    with listening() as listener, silent() as nobody:
        infos = [refused, refused, stream_info(listener.getsockname())]
        if delay is not None:
            infos.insert(0, stream_info(nobody))
        loop = resolving(side, infos)
        transport, _ = loop.run_until_complete(loop.create_connection(
            Recorder, "name", 1, happy_eyeballs_delay=delay,
            interleave=interleave))
        assert transport.get_extra_info("peername") == listener.getsockname()
        transport.abort()
        settle(loop)
        loop.close()


def test_exceptions_are_not_kept_in_cycles(loop, side):
    port = refused_port()
    gc.collect()
    gc.disable()
    try:
        try:
            loop.run_until_complete(
                loop.create_connection(Recorder, LOCAL, port))
        except OSError as error:
            ref = weakref.ref(error) if hasattr(error, "__weakref__") else None
            if side.ours:
                assert gc.get_referrers(error) == []
        assert ref is None or ref() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("local", [
    (LOCAL, 0), ("192.0.2.1", 0), ("nowhere.invalid", 0), ("::1", 0), (LOCAL, 1),
    (LOCAL,), "x", 5,
])
def test_local_addresses(local):
    def scenario(side, loop):
        with listening() as listener:
            said = outcome(loop.run_until_complete, loop.create_connection(
                Recorder, *listener.getsockname(), local_addr=local))
            if said[0] != "returned":
                return said[0], said[2].replace(
                    str(listener.getsockname()[1]), "N")
            said[1][0].abort()
            settle(loop)
            return said[0]

    if os.geteuid() == 0 and local == (LOCAL, 1):
        pytest.skip("root may use that port")
    support.compare(scenario)


# -- what does not fit together ------------------------------------------------------


@pytest.mark.parametrize("args, kwargs", [
    ((), {}), ((Recorder, "h", 1, 2), {}), ((Recorder,), {}),
    ((Recorder, "h"), {"nope": 1}), ((Recorder, "h"), {"host": 1}),
    ((Recorder, LOCAL, 1), {"server_hostname": "x"}),
    ((Recorder, LOCAL, 1), {"server_hostname": ""}),
    ((Recorder, None, 1), {"ssl": True}), ((Recorder, "", 1), {"ssl": True}),
    ((Recorder, LOCAL, 1), {"ssl_handshake_timeout": 1}),
    ((Recorder, LOCAL, 1), {"ssl_shutdown_timeout": 1}),
    ((Recorder, LOCAL, 1), {"ssl": False, "ssl_shutdown_timeout": 0}),
    ((Recorder, LOCAL, 1), {"sock": 5}),
    ((Recorder, None, None), {"sock": 5}),
    ((Recorder, LOCAL, 1), {"happy_eyeballs_delay": "x"}),
    ((Recorder, LOCAL, 1), {"interleave": "x"}),
    ((Recorder, LOCAL, 1), {"family": "x"}),
    ((Recorder, LOCAL, 1), {"proto": 9999}),
    ((Recorder, LOCAL, 1), {"family": socket.AF_INET6}),
    ((5, LOCAL, 1), {"ssl": True, "ssl_handshake_timeout": -1}),
])
def test_wrong_arguments(args, kwargs):
    def scenario(side, loop):
        with support.recorded_warnings():
            said = outcome(loop.create_connection, *args, **kwargs)
            if said[0] == "returned":
                said = outcome(loop.run_until_complete, said[1])
            gc.collect()  # asyncio forgets a coroutine of its own
        return said

    support.compare(scenario)


@pytest.mark.parametrize("args, kwargs", [
    ((), {}), ((Recorder, "p", 1), {}), ((Recorder,), {}),
    ((Recorder, "p"), {"nope": 1}),
    ((Recorder, "p"), {"server_hostname": "x"}),
    ((Recorder, "p"), {"server_hostname": 5}),
    ((Recorder, "p"), {"ssl": True}),
    ((Recorder, "p"), {"ssl_handshake_timeout": 1}),
    ((Recorder, "p"), {"ssl_shutdown_timeout": 1}),
    ((Recorder, "p"), {"sock": 5}), ((Recorder, None), {"sock": 5}),
    ((Recorder, 5), {}), ((Recorder, ""), {}), ((Recorder, "x" * 200), {}),
    ((Recorder, b"\0abstract"), {}), ((Recorder, "\0abstract"), {}),
    ((Recorder, "no/such/path"), {}), ((Recorder, pathlib.Path("no")), {}),
    ((Recorder, b"nothing here"), {}), ((Recorder, "a\0b"), {}),
    ((Recorder, "x" * 107), {}), ((Recorder, "x" * 108), {}),
    ((Recorder, "\0" + "x" * 107), {}), ((Recorder, "\0" + "x" * 108), {}),
    ((Recorder, "\udcff\ud800"), {}),
])
def test_wrong_arguments_unix(args, kwargs):
    def scenario(side, loop):
        said = outcome(loop.create_unix_connection, *args, **kwargs)
        if said[0] == "returned":
            said = outcome(loop.run_until_complete, said[1])
        return said

    support.compare(scenario)


def wrong_socket(kind):
    if kind == "udp":
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if kind == "unix":
        return socket.socket(socket.AF_UNIX)
    if kind == "unconnected":
        return socket.socket()
    sock = socket.socket()
    if kind == "closed":
        sock.close()
        return sock
    assert kind == "ssl"
    context = ssl.create_default_context()
    context.check_hostname = False
    return context.wrap_socket(sock, do_handshake_on_connect=False)


@pytest.mark.parametrize("kind", ["udp", "unix", "unconnected", "closed", "ssl"])
@pytest.mark.parametrize("method", [
    "create_connection", "create_unix_connection", "connect_accepted_socket"])
def test_wrong_sockets(kind, method):
    def scenario(side, loop):
        with wrong_socket(kind) as sock:
            said = outcome(loop.run_until_complete,
                           getattr(loop, method)(Recorder, sock=sock))
            fd = str(sock.fileno())
            if said[0] == "returned":
                said[1][0].abort()
                settle(loop)
                return "returned"
        settle(loop)
        return said[0], said[2].replace(fd, "N").partition("laddr")[0]

    support.compare(scenario)


def test_given_socket(loop):
    with listening() as listener:
        sock = socket.create_connection(listener.getsockname())
        transport, protocol = loop.run_until_complete(
            loop.create_connection(Recorder, sock=sock))
        assert sock.gettimeout() == 0
        assert transport.get_extra_info("socket").fileno() == sock.fileno()
        transport.abort()
        settle(loop)
        assert sock.fileno() == -1


# -- the factory -----------------------------------------------------------------------


class Boom(Exception):
    pass


def boom():
    raise Boom


def test_factory_fails(loop):
    before = count_fds()
    with listening() as listener, support.recorded_warnings():
        with pytest.raises(Boom):
            loop.run_until_complete(
                loop.create_connection(boom, *listener.getsockname()))
        gc.collect()
        assert count_fds() == before + 1


def test_factory_makes_nonsense():
    def scenario(side, loop):
        with listening() as listener, support.recorded_warnings():
            said = outcome(loop.run_until_complete, loop.create_connection(
                lambda: 5, *listener.getsockname()))
            gc.collect()
            return said

    support.compare(scenario)


def test_factory_closes_the_loop(loop, side):
    if not side.ours:
        pytest.skip("asyncio leaves it to the reader")
    with listening() as listener:
        coro = loop.create_connection(
            lambda: loop.close() or Recorder(), *listener.getsockname())
        coro.send(None)._asyncio_future_blocking = False
        settle(loop)
        before = count_fds()
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            coro.send(None)
        assert count_fds() < before


def test_connection_made_closes(loop):
    with listening() as listener:
        transport, protocol = loop.run_until_complete(loop.create_connection(
            lambda: Recorder(connection_made=lambda t: t.abort()),
            *listener.getsockname()))
        assert transport.is_closing()
        settle(loop)
        assert protocol.events == ["made", ("lost", None)]


# -- giving up ---------------------------------------------------------------------------


def turns_until_done(loop, address, limit, **kwargs):
    """Cancel a connecting task after *limit* turns: how it ended."""
    task = loop.create_task(loop.create_connection(Recorder, *address, **kwargs))
    for _ in range(limit):
        support.spin(loop)
    task.cancel()
    try:
        transport, _ = loop.run_until_complete(task)
    except asyncio.CancelledError:
        return "cancelled"
    transport.abort()
    return "connected"


@pytest.mark.parametrize("kwargs", [
    {}, {"happy_eyeballs_delay": 0.25}, {"local_addr": (LOCAL, 0)}])
@pytest.mark.parametrize("host", [LOCAL, "localhost"])
def test_cancelled_at_every_step(loop, host, kwargs):
    with listening() as listener:
        address = host, listener.getsockname()[1]
        before = None
        ends = []
        for limit in range(12):
            ends.append(turns_until_done(
                loop, address, limit, family=socket.AF_INET, **kwargs))
            settle(loop)
            gc.collect()
            if before is None:
                loop.run_until_complete(
                    loop.run_in_executor(None, lambda: None))
                before = count_fds()
            assert count_fds() == before, (limit, ends)
        assert ends[0] == "cancelled"
        assert len(asyncio.all_tasks(loop)) == 0


def test_cancelled_while_nobody_answers(loop):
    with silent() as address:
        before = count_fds()
        for limit in range(6):
            assert turns_until_done(loop, address, limit) == "cancelled"
            settle(loop)
            assert count_fds() == before


def test_timeout_while_nobody_answers(loop):
    async def main(address):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(
                loop.create_connection(Recorder, *address), 0.01)

    with silent() as address:
        before = count_fds()
        loop.run_until_complete(main(address))
        assert count_fds() == before


def test_coroutine_dropped(loop):
    with silent() as address:
        before = count_fds()
        coro = loop.create_connection(Recorder, *address)
        coro.send(None)
        assert count_fds() == before + 1
        coro.close()
        assert count_fds() == before
        coro = loop.create_connection(Recorder, *address)
        coro.send(None)
        with support.recorded_warnings():
            del coro
            gc.collect()
        assert count_fds() == before


def test_oserror_thrown_in_counts_as_failure():
    def scenario(side, loop):
        with silent() as address:
            coro = loop.create_connection(Recorder, *address)
            coro.send(None)
            return outcome(coro.throw, OSError(5, "thrown in"))

    support.compare(scenario)


def test_loop_closed_while_connecting(new_loop):
    loop = new_loop()
    with silent() as address:
        before = count_fds()
        coro = loop.create_connection(Recorder, *address)
        coro.send(None)
        loop.close()
        with support.recorded_warnings():
            coro.close()
            gc.collect()
        assert count_fds() < before + 1


def test_number_reused_while_connecting(loop):
    """Our fd is closed behind our back and its number used by another."""
    with silent() as address:
        task = loop.create_task(loop.create_connection(Recorder, *address))
        fd = os.dup(0)
        os.close(fd)  # the number that the next socket gets
        support.spin(loop)
        os.close(fd)
        ours, theirs = socket.socketpair()
        spare = None
        try:
            if fd not in (ours.fileno(), theirs.fileno()):
                spare = os.dup2(ours.fileno(), fd)
            settle(loop)
            task.cancel()
            with pytest.raises((asyncio.CancelledError, OSError)):
                loop.run_until_complete(task)
        finally:
            for end in ours, theirs:
                with contextlib.suppress(OSError):
                    end.close()
            if spare is not None:
                with contextlib.suppress(OSError):
                    os.close(fd)


# -- no more descriptors ---------------------------------------------------------------------


@contextlib.contextmanager
def few_fds(spare):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(fd) for fd in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1 + spare, hard))
    filler = []
    try:
        with contextlib.suppress(OSError):
            while True:
                filler.append(os.open("/dev/null", os.O_RDONLY))
        for _ in range(spare):
            os.close(filler.pop())
        yield
    finally:
        for fd in filler:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_out_of_descriptors():
    def scenario(side, loop):
        with listening() as listener:
            address = listener.getsockname()
            settle(loop)
            with few_fds(0):
                tcp = outcome(loop.run_until_complete,
                              loop.create_connection(Recorder, *address))
                local = outcome(loop.run_until_complete,
                                loop.create_unix_connection(Recorder, "x"))
            transport, _ = loop.run_until_complete(
                loop.create_connection(Recorder, *address))
            transport.abort()
            settle(loop)
            return tcp, local

    said = support.compare(scenario)
    assert "Too many open files" in str(said)


# -- Unix sockets ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [
    "sock", b"sock", pathlib.Path("sock"), "./sock", "\0fastasync-test",
    b"\0fastasync-test", "s" * 60])
def test_unix_connects(path):
    def scenario(side, loop):
        with short_paths(), socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.fspath(path))
            listener.listen()
            transport, protocol = loop.run_until_complete(
                loop.create_unix_connection(Recorder, path))
            server, _ = listener.accept()
            with server:
                server.settimeout(10)
                transport.write(b"hello")
                settle(loop)
                assert server.recv(9) == b"hello"
                names = (transport.get_extra_info("peername"),
                         transport.get_extra_info("sockname"))
                sock = transport.get_extra_info("socket")
                kinds = sock.family, sock.type, sock.proto, sock.gettimeout()
            until(loop, lambda: protocol.events[-1] == ("lost", None))
            return names, kinds, protocol.events

    support.compare(scenario)


def test_unix_peername_is_the_servers():
    """A link to the socket is not its name."""
    def scenario(side, loop):
        with short_paths(), socket.socket(socket.AF_UNIX) as listener:
            listener.bind("real")
            listener.listen()
            os.symlink("real", "link")
            transport, _ = loop.run_until_complete(
                loop.create_unix_connection(Recorder, "link"))
            name = transport.get_extra_info("peername")
            transport.abort()
            settle(loop)
            return name

    assert support.compare(scenario) == "real"


def test_unix_refused():
    def scenario(side, loop):
        with short_paths():
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind("dead")
            pathlib.Path("file").write_text("no socket")
            return [outcome(loop.run_until_complete,
                            loop.create_unix_connection(Recorder, path))
                    for path in ("dead", "file", "none", ".")]

    support.compare(scenario)


# -- what others have replaced ---------------------------------------------------------------------


REPLACED = [
    "_ensure_resolved", "_connect_sock", "sock_connect", "_sock_connect",
    "_make_socket_transport", "_create_connection_transport", "create_future",
    "call_soon",
]


@pytest.mark.parametrize("name", REPLACED)
@pytest.mark.parametrize("where", ["class", "instance"])
def test_replaced_methods_are_called(side, name, where):
    plain = side.new_loop()
    plain.close()

    class Loop(type(plain)):
        pass

    original = getattr(Loop, name)
    called = []

    def replacement(self, *args, **kwargs):
        called.append(name)
        return original(self, *args, **kwargs)

    if where == "class":
        setattr(Loop, name, replacement)
        loop = Loop()
    else:
        loop = Loop()
        setattr(loop, name, replacement.__get__(loop))
    with listening() as listener:
        transport, _ = loop.run_until_complete(
            loop.create_connection(Recorder, *listener.getsockname()))
        transport.abort()
        settle(loop)
    loop.close()
    assert called


def test_replaced_socket_class(loop):
    made = []

    class Noted(socket.socket):
        def __init__(self, *args, **kwargs):
            made.append(self)
            super().__init__(*args, **kwargs)

    with listening() as listener:
        with mock.patch("socket.socket", Noted):
            transport, _ = loop.run_until_complete(
                loop.create_connection(Recorder, *listener.getsockname()))
        assert len(made) == 1
        transport.abort()
        settle(loop)


def test_replaced_connect_method(loop):
    """Guards against network use in tests do this."""
    def refuse(self, address):
        raise Boom(address)

    with listening() as listener, support.recorded_warnings():
        with mock.patch.object(socket.socket, "connect", refuse, create=True):
            with pytest.raises(Boom):
                loop.run_until_complete(
                    loop.create_connection(Recorder, *listener.getsockname()))
        transport, _ = loop.run_until_complete(
            loop.create_connection(Recorder, *listener.getsockname()))
        transport.abort()
        settle(loop)


def test_mocked_socket_module():
    def scenario(side, loop):
        with mock.patch("asyncio.base_events.socket") as module:
            module.socket.side_effect = OSError("mocked")
            module.SOCK_STREAM = socket.SOCK_STREAM
            module.AF_UNSPEC = 0
            module.AF_INET = socket.AF_INET
            module.IPPROTO_TCP = 6
            module.IPPROTO_UDP = 17
            module.inet_pton = socket.inet_pton
            return outcome(loop.run_until_complete,
                           loop.create_connection(Recorder, LOCAL, 80))

    assert "mocked" in str(support.compare(scenario))


def test_replaced_later(loop):
    """What is replaced between two calls is seen by the second."""
    with listening() as listener:
        address = listener.getsockname()

        async def main():
            transport, _ = await loop.create_connection(Recorder, *address)
            transport.abort()
            with mock.patch.object(
                loop, "_connect_sock", side_effect=Boom
            ), pytest.raises(Boom):
                await loop.create_connection(Recorder, *address)
            transport, _ = await loop.create_connection(Recorder, *address)
            transport.abort()

        loop.run_until_complete(main())
        settle(loop)


def test_debug_mode(loop):
    loop.set_debug(True)
    with listening() as listener:
        transport, _ = loop.run_until_complete(
            loop.create_connection(Recorder, *listener.getsockname()))
        transport.abort()
        settle(loop)


def test_is_a_coroutine_function(loop):
    import inspect

    for name in ("create_connection", "create_unix_connection", "getaddrinfo",
                 "getnameinfo"):
        method = getattr(loop, name)
        if sys.version_info >= (3, 12):  # before, functions in Python only
            assert inspect.iscoroutinefunction(method)
        assert inspect.signature(method) == inspect.signature(
            getattr(asyncio.SelectorEventLoop, name).__get__(loop))


# -- accepting ---------------------------------------------------------------------------------------


def test_accept_without_descriptors(new_loop):
    """The server says so, waits, and goes on when there are some again."""
    loop = new_loop()
    reports = []
    loop.set_exception_handler(lambda loop, context: reports.append(context))
    made = []
    server = loop.run_until_complete(loop.create_server(
        lambda: made.append(1) or Recorder(), LOCAL, 0))
    with socket.socket() as client, mock.patch.object(
        asyncio.constants, "ACCEPT_RETRY_DELAY", 0.01
    ):
        settle(loop)
        with few_fds(0):
            client.connect(server.sockets[0].getsockname())
            until(loop, lambda: reports)
            assert not made
        until(loop, lambda: made, turns=2000000)
    assert "out of system resource" in reports[0]["message"]
    assert reports[0]["exception"].errno == 24
    server.close()
    loop.run_until_complete(asyncio.sleep(0.02))
    settle(loop)


# -- leaks -------------------------------------------------------------------------------------------


def test_nothing_is_kept(side, loop):
    """Thousands of connections, made and refused, leave no objects."""
    if not side.ours:
        pytest.skip("ours only")
    port = refused_port()

    async def some(address, count):
        for _ in range(count):
            transport, _ = await loop.create_connection(Recorder, *address)
            transport.abort()
            with pytest.raises(OSError):
                await loop.create_connection(Recorder, LOCAL, port)
            await loop.getaddrinfo(LOCAL, 80)
            await loop.getnameinfo((LOCAL, 80), 3)
        await asyncio.sleep(0)

    async def main():
        server = await loop.create_server(Recorder, LOCAL, 0, backlog=500)
        address = server.sockets[0].getsockname()
        await some(address, 200)
        settled = []
        for _ in range(3):
            await some(address, 200)
            await asyncio.sleep(0.01)
            gc.collect()
            settled.append(len(gc.get_objects()))
        server.close()
        await server.wait_closed()
        return settled

    first, *_, last = loop.run_until_complete(main())
    assert last - first < 50
    assert isinstance(loop, _fastasync.LoopCore)


# -- sockets made elsewhere ----------------------------------------------------------------------------


@pytest.mark.parametrize("args, kwargs", [
    ((), {}), ((Recorder,), {}), ((Recorder, 5), {}), ((Recorder, 5, 6), {}),
    ((Recorder, 5), {"nope": 1}), ((Recorder, None), {}),
])
def test_accepted_wrong_arguments(args, kwargs):
    def scenario(side, loop):
        said = outcome(loop.connect_accepted_socket, *args, **kwargs)
        if said[0] == "returned":
            said = outcome(loop.run_until_complete, said[1])
        return said

    support.compare(scenario)


@pytest.mark.parametrize("kwargs", [
    {}, {"ssl_handshake_timeout": 1}, {"ssl_shutdown_timeout": 1},
    {"ssl": False, "ssl_handshake_timeout": 1}, {"ssl": 5}, {"ssl": True},
])
def test_accepted_keywords(kwargs):
    def scenario(side, loop):
        ours, theirs = socket.socketpair()
        with ours, theirs, support.recorded_warnings():
            said = outcome(loop.run_until_complete,
                           loop.connect_accepted_socket(Recorder, ours, **kwargs))
            if said[0] == "returned":
                transport, protocol = said[1]
                transport.abort()
                settle(loop)
                said = protocol.events, ours.fileno()
            elif side.ours:
                settle(loop)
            gc.collect()
        return said

    support.compare(scenario)


@pytest.mark.parametrize("args", [
    (), (1, 2, 3), (1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4)])
def test_create_connection_transport_arguments(args):
    def scenario(side, loop):
        said = outcome(loop._create_connection_transport, *args)
        if said[0] == "returned":
            said = outcome(loop.run_until_complete, said[1])
        return said

    support.compare(scenario)


@pytest.mark.parametrize("factory", [boom, lambda: 5])
@pytest.mark.parametrize("method", ["create_connection", "connect_accepted_socket"])
def test_factory_fails_with_a_given_socket(factory, method):
    """From 3.15 on the socket is closed; before it is left alone."""
    def scenario(side, loop):
        ours, theirs = socket.socketpair()
        with ours, theirs, support.recorded_warnings():
            said = outcome(loop.run_until_complete,
                           getattr(loop, method)(factory, sock=ours))
            return said, ours.fileno() == -1, ours.gettimeout()

    support.compare(scenario)


@pytest.mark.parametrize("how", ["direct", "sock", "accepted", "unix"])
def test_context_of_the_connection(how):
    """What the factory sets is seen by the protocol, or not: by version."""
    var = contextvars.ContextVar("var", default="unset")

    def scenario(side, loop):
        seen = []

        def factory():
            var.set("by factory")
            return Recorder(connection_made=lambda t: seen.append(var.get()))

        async def main():
            with short_paths(), contextlib.ExitStack() as stack:
                if how == "direct":
                    listener = stack.enter_context(listening())
                    coro = loop.create_connection(factory, *listener.getsockname())
                elif how == "unix":
                    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
                    listener.bind("path")
                    listener.listen()
                    coro = loop.create_unix_connection(factory, "path")
                else:
                    ours, theirs = socket.socketpair()
                    stack.enter_context(theirs)
                    coro = (loop.create_connection(factory, sock=ours)
                            if how == "sock" else
                            loop.connect_accepted_socket(factory, ours))
                transport, _ = await coro
                transport.abort()
            return var.get()

        seen.append(loop.run_until_complete(main()))
        settle(loop)
        return seen

    support.compare(scenario)


def test_waiting_for_connection_made_is_cancelled(loop):
    """The transport is closed, and told so."""
    ours, theirs = socket.socketpair()
    with theirs:
        protocol = Recorder()
        coro = loop.connect_accepted_socket(lambda: protocol, ours)
        coro.send(None)._asyncio_future_blocking = False
        with pytest.raises(Boom):
            coro.throw(Boom())
        settle(loop)
        assert protocol.events == ["made", ("lost", None)]
        assert ours.fileno() == -1


# -- connections that end before they begin ------------------------------------------------------------


def reset(sock):
    """Close with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


@pytest.mark.parametrize("end", ["reset", "close", "half", "data and reset"])
@pytest.mark.parametrize("turns", range(1, 6))
def test_the_peer_ends_while_we_connect(end, turns):
    def scenario(side, loop):
        with listening() as listener:
            protocol = Recorder()
            task = loop.create_task(loop.create_connection(
                lambda: protocol, *listener.getsockname()))
            support.spin(loop)
            for _ in range(turns):
                support.spin(loop)
            server, _ = listener.accept()
            if end == "half":
                server.shutdown(socket.SHUT_WR)
            elif end == "close":
                server.close()
            else:
                if "data" in end:
                    server.send(b"last words")
                reset(server)
            said = outcome(loop.run_until_complete, task)
            until(loop, lambda: protocol.events[-1:] and
                  protocol.events[-1][0] == "lost")
            server.close()
            assert said[0] == "returned"
            return protocol.events

    support.compare(scenario)


def test_the_peer_resets_at_once(loop):
    """Either the connecting fails, or the connection is lost, by a reset."""
    with listening() as listener:
        protocol = Recorder()
        task = loop.create_task(loop.create_connection(
            lambda: protocol, *listener.getsockname()))
        support.spin(loop)
        reset(listener.accept()[0])
        said = outcome(loop.run_until_complete, task)
        if said[0] == "returned":
            until(loop, lambda: protocol.events[-1][0] == "lost")
            said = "ConnectionResetError", protocol.events[-1]
        assert said[0] == "ConnectionResetError"
        assert "Reset" in str(said[1]) or said[1] == errno.ECONNRESET


@pytest.mark.parametrize("end", ["reset", "close", "half", "data and close"])
def test_the_peer_ends_before_it_is_accepted(end):
    def scenario(side, loop):
        made = []
        server = loop.run_until_complete(loop.create_server(
            lambda: made.append(Recorder()) or made[-1], LOCAL, 0))
        with socket.create_connection(server.sockets[0].getsockname()) as client:
            if "data" in end:
                client.send(b"last words")
            if end == "half":
                client.shutdown(socket.SHUT_WR)
            elif end == "reset":
                reset(client)
            else:
                client.close()
            until(loop, lambda: made and made[0].events[-1:] and
                  made[0].events[-1][0] == "lost")
        server.close()
        settle(loop)
        return made[0].events, bytes(made[0].data)

    support.compare(scenario)


def test_no_local_address_is_left(loop):
    """EADDRNOTAVAIL and its like come out as they are."""
    with listening() as listener, pytest.raises(OSError) as caught:
        loop.run_until_complete(loop.create_connection(
            Recorder, *listener.getsockname(), local_addr=("192.0.2.1", 0)))
    assert caught.value.errno == errno.EADDRNOTAVAIL


@pytest.mark.parametrize("number", [99, 105, 12, 1, 13])
def test_errors_of_connect(number):
    """Whatever the kernel answers comes out in asyncio's words."""
    def scenario(side, loop):
        def connect(self, address):
            raise OSError(number, os.strerror(number))

        with listening() as listener, mock.patch.object(
            socket.socket, "connect", connect, create=True
        ):
            return outcome(loop.run_until_complete, loop.create_connection(
                Recorder, *listener.getsockname()))

    support.compare(scenario)


def test_number_of_a_closed_connection_is_used_again(loop):
    """Bytes for a connection that is gone reach nobody else."""
    with listening() as listener:
        address = listener.getsockname()
        first, one = loop.run_until_complete(
            loop.create_connection(Recorder, *address))
        number = first.get_extra_info("socket").fileno()
        gone, _ = listener.accept()
        first.write(b"x" * 100)
        first.abort()
        first.write(b"too late")
        settle(loop)
        second, two = loop.run_until_complete(
            loop.create_connection(Recorder, *address))
        assert second.get_extra_info("socket").fileno() == number
        server, _ = listener.accept()
        with server, gone:
            server.settimeout(10)
            first.write(b"much too late")
            first.abort()
            second.write(b"hello")
            settle(loop)
            assert server.recv(99) == b"hello"
            second.abort()
            settle(loop)
        assert one.events == ["made", ("lost", None)]
        assert two.events == ["made", ("lost", None)]
