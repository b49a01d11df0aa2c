"""Datagram transports: datagram*.c. Each test runs on asyncio's loop and on
ours; what it expects is what asyncio does.

Ours receives several datagrams by one system call once it has found several
waiting, so most tests first make an endpoint expect them: see `Busy`.
"""

import asyncio
import contextlib
import contextvars
import errno
import gc
import os
import socket
import subprocess
import sys
import textwrap
import threading
import weakref

import pytest

import support
from netsupport import Reports, debug_log, settle, short_paths, until

fastasync = pytest.importorskip("fastasync")

HOST = "127.0.0.1"
SENDS_EMPTY = sys.version_info >= (3, 13)
HEADER = 8 if SENDS_EMPTY else 0
# until 3.13.1 or so, the header was added to the size and never taken off
HEADER_STAYS = sys.version_info[:2] == (3, 13) and not hasattr(
    asyncio.selector_events._SelectorDatagramTransport, "_header_size")


class Recorder(asyncio.DatagramProtocol):
    """Keeps what happened; *on* adds a reaction, as netsupport.Recorder."""

    def __init__(self, **on):
        self.on = on
        self.events = []
        self.got = []
        self.senders = []
        self.transport = None

    def react(self, name, *args):
        reaction = self.on.get(name)
        if reaction is not None:
            reaction(self.transport, *args)

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")
        self.react("connection_made")

    def datagram_received(self, data, addr):
        self.got.append(data)
        self.senders.append(addr)
        self.react("datagram_received", data, addr)

    def error_received(self, exc):
        self.events.append(("error", support.why(exc)))
        self.react("error_received", exc)

    def pause_writing(self):
        self.events.append("pause")
        self.react("pause_writing")

    def resume_writing(self):
        self.events.append("resume")
        self.react("resume_writing")

    def connection_lost(self, exc):
        self.events.append(("lost", exc and support.why(exc)))
        self.react("connection_lost", exc)


def endpoint(loop, protocol=None, **keywords):
    """(transport, protocol): made the public way."""
    return loop.run_until_complete(loop.create_datagram_endpoint(
        lambda: protocol or Recorder(), **keywords))


def end(loop, *transports):
    for transport in transports:
        transport.close()
    settle(loop, 3)


def peer(kind=socket.AF_INET, where=None):
    """A socket for the other side, with a timeout."""
    sock = socket.socket(kind, socket.SOCK_DGRAM)
    if where is None:
        where = {socket.AF_INET: (HOST, 0), socket.AF_INET6: ("::1", 0),
                 socket.AF_UNIX: "peer"}[kind]
    if where != "":
        sock.bind(where)
    sock.settimeout(10)
    return sock


@pytest.fixture
def outside():
    with peer() as sock:
        yield sock


class Busy:
    """An endpoint to which several datagrams come at once, and a socket that
    sends to it. `burst` queues datagrams without running the loop.

    `flooded`: so many came before that it fetches the next ones by one call."""

    def __init__(self, loop, outside, flooded, **on):
        self.loop, self.outside = loop, outside
        self.transport, self.protocol = endpoint(
            loop, Recorder(), local_addr=(HOST, 0))
        self.address = self.transport.get_extra_info("sockname")
        for _ in range(8 if flooded else 1):
            self.burst(range(128))
            self.wait(128)
            self.protocol.got.clear()
            self.protocol.senders.clear()
        if not flooded:
            self.burst(range(1))
            self.wait(1)
            self.protocol.got.clear()
            self.protocol.senders.clear()
        self.protocol.on = on

    def burst(self, numbers):
        for number in numbers:
            self.outside.sendto(b"%d" % number, self.address)

    def wait(self, count):
        until(self.loop, lambda: len(self.protocol.got) >= count)

    @property
    def numbers(self):
        return [int(data) for data in self.protocol.got]


@pytest.fixture(params=["singly", "flooded"])
def make_busy(loop, outside, request):
    made = []

    def make(**on):
        busy = Busy(loop, outside, request.param == "flooded", **on)
        made.append(busy.transport)
        return busy

    yield make
    if not loop.is_closed():
        end(loop, *made)


# -- endpoints --------------------------------------------------------------------


def test_kind_of_the_transport(loop, side):
    transport, protocol = endpoint(loop, local_addr=(HOST, 0))
    assert isinstance(transport, asyncio.Transport)
    assert isinstance(transport, asyncio.transports._FlowControlMixin)
    if side.ours or sys.version_info >= (3, 12):
        assert isinstance(transport, asyncio.DatagramTransport)
    if side.ours:
        import _fastasync

        assert type(transport) is _fastasync.DatagramSocketTransport
    assert transport.get_protocol() is protocol
    assert transport.max_size == 256 * 1024
    end(loop, transport)


def test_what_a_datagram_transport_has_not(loop):
    transport, _ = endpoint(loop, local_addr=(HOST, 0))
    for call in (lambda: transport.write(b"x"), transport.write_eof,
                 transport.can_write_eof):
        with pytest.raises(NotImplementedError):
            call()
    end(loop, transport)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_echo_of_both_families(loop, family):
    host = HOST if family == socket.AF_INET else "::1"
    server, at_server = endpoint(
        loop, Recorder(datagram_received=lambda t, d, a: t.sendto(d * 2, a)),
        local_addr=(host, 0))
    address = server.get_extra_info("sockname")
    client, at_client = endpoint(loop, remote_addr=address[:2])
    other, at_other = endpoint(loop, local_addr=(host, 0))
    for number in range(20):
        client.sendto(b"c%d" % number)
        other.sendto(b"o%d" % number, address)
        until(loop, lambda: len(at_other.got) + len(at_client.got)
              == 2 * number + 2)
    assert at_client.got == [b"c%dc%d" % (n, n) for n in range(20)]
    assert at_other.got == [b"o%do%d" % (n, n) for n in range(20)]
    assert set(at_client.senders) == set(at_other.senders) == {address}
    assert at_server.senders.count(client.get_extra_info("sockname")) == 20
    assert at_server.senders.count(other.get_extra_info("sockname")) == 20
    assert all(type(a) is tuple and list(map(type, a)) ==
               [str] + [int] * (len(address) - 1) for a in at_server.senders)
    end(loop, server, client, other)


def test_info(loop):
    server, _ = endpoint(loop, local_addr=(HOST, 0))
    address = server.get_extra_info("sockname")
    client, _ = endpoint(loop, remote_addr=address)
    assert address[0] == HOST and address[1] > 0
    assert server.get_extra_info("peername") is None
    assert server._address is None
    assert client.get_extra_info("peername") == client._address == address
    assert client.get_extra_info("nothing") is None
    assert client.get_extra_info("nothing", 3) == 3
    sock = client.get_extra_info("socket")
    assert sock.type == socket.SOCK_DGRAM
    assert sock.fileno() == client._sock_fd
    assert client._sock.getsockname() == client.get_extra_info("sockname")
    assert client._buffer_size == 0 and not client._buffer
    assert client._loop is loop
    end(loop, server, client)
    assert server.get_extra_info("sockname") == address
    assert client._sock is client._loop is client._protocol is None


def test_repr(loop):
    transport, _ = endpoint(loop, local_addr=(HOST, 0))
    seen = [support.plain(repr(transport))]
    transport.pause_reading()
    seen.append(support.plain(repr(transport)))
    transport.close()
    seen.append(support.plain(repr(transport)))
    settle(loop)
    seen.append(support.plain(repr(transport)))
    name = type(transport).__name__
    assert seen == [
        f"<{name} fd=N read=polling write=<idle, bufsize=0>>",
        f"<{name} fd=N read=idle write=<idle, bufsize=0>>",
        f"<{name} closing fd=N read=idle write=<idle, bufsize=0>>",
        f"<{name} closed fd=N>",
    ]


def test_keywords(loop):
    transport, _ = endpoint(loop, local_addr=(HOST, 0), reuse_port=True,
                            allow_broadcast=True)
    sock = transport.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    again, _ = endpoint(loop, local_addr=sock.getsockname(), reuse_port=True)
    loose, _ = endpoint(loop, family=socket.AF_INET)
    assert loose.get_extra_info("sockname")[1] == 0
    end(loop, transport, again, loose)


def test_remote_address_with_broadcast_is_not_connected(loop, outside):
    address = outside.getsockname()
    transport, protocol = endpoint(loop, remote_addr=address,
                                   allow_broadcast=True)
    assert transport.get_extra_info("peername") is None
    assert transport._address == address
    transport.sendto(b"1")
    transport.sendto(b"2", None)
    transport.sendto(b"3", tuple(list(address)))
    with pytest.raises(ValueError) as caught:
        transport.sendto(b"4", (HOST, 1))
    assert str(caught.value) == (
        f"Invalid address: must be None or {address}")
    settle(loop)
    assert [outside.recv(9) for _ in range(3)] == [b"1", b"2", b"3"]
    # anybody may answer
    with peer() as third:
        assert transport.get_extra_info("sockname") == ("0.0.0.0", 0)
        port = transport._sock.getsockname()[1]
        third.sendto(b"hello", (HOST, port))
        until(loop, lambda: protocol.got)
        assert protocol.senders == [third.getsockname()]
    end(loop, transport)


@pytest.mark.parametrize("keywords", [
    {}, {"local_addr": HOST}, {"local_addr": (HOST, 0, 1)},
    {"local_addr": (HOST, 0), "remote_addr": ("::1", 1)},
    {"local_addr": 3, "family": socket.AF_UNIX},
    {"local_addr": ("203.0.113.7", 0)},
])
def test_endpoints_that_cannot_be(keywords):
    def why(make):
        loop = make()
        with contextlib.closing(loop), pytest.raises(Exception) as caught:
            endpoint(loop, **keywords)
        return type(caught.value), str(caught.value)

    assert why(asyncio.SelectorEventLoop) == why(fastasync.new_event_loop)


def test_socket_given(loop, outside, side):
    sock = peer()
    transport, protocol = endpoint(loop, sock=sock)
    assert transport._sock is sock and sock.gettimeout() == 0
    outside.sendto(b"x", sock.getsockname())
    until(loop, lambda: protocol.got)
    with pytest.raises(RuntimeError, match="is used by transport"):
        loop.run_until_complete(loop.sock_recv(sock, 1))
    with pytest.raises(RuntimeError, match="is used by transport"):
        loop.add_reader(sock.fileno(), print)
    if side.ours or sys.version_info >= (3, 12):
        with pytest.raises(RuntimeError, match="is used by transport"):
            endpoint(loop, sock=sock)
    end(loop, transport)
    assert sock.fileno() == -1


def test_connected_socket_given(loop, outside):
    sock = peer()
    sock.connect(outside.getsockname())
    transport, protocol = endpoint(loop, sock=sock)
    assert transport.get_extra_info("peername") == outside.getsockname()
    assert transport._address is None
    transport.sendto(b"1")
    transport.sendto(b"2", outside.getsockname())
    transport.sendto(b"3", ("whatever", "it is"))  # not looked at
    settle(loop)
    assert [outside.recv(9) for _ in range(3)] == [b"1", b"2", b"3"]
    outside.sendto(b"back", sock.getsockname())
    until(loop, lambda: protocol.got)
    end(loop, transport)


def test_wrong_socket_given(loop):
    with socket.socket() as sock, pytest.raises(
            ValueError, match="A .* was expected, got <socket"):
        endpoint(loop, sock=sock)
    with peer() as sock, pytest.raises(ValueError, match="sock is specified"):
        endpoint(loop, sock=sock, reuse_port=True)


def test_make_datagram_transport_can_be_overridden(side):
    class Mine(type(side.new_loop())):
        def _make_datagram_transport(self, *args, **keywords):
            made.append(len(args))
            return super()._make_datagram_transport(*args, **keywords)

    made = []
    support_loop = side.new_loop()
    support_loop.close()
    with contextlib.closing(Mine()) as loop:
        transport, _ = endpoint(loop, local_addr=(HOST, 0))
        assert made == [4]
        end(loop, transport)


def test_extra_is_kept(loop):
    sock = peer()
    sock.setblocking(False)
    extra = {"mine": 1}
    transport = loop._make_datagram_transport(sock, Recorder(), None, None,
                                              extra)
    assert transport.get_extra_info("mine") == 1
    assert transport.get_extra_info("sockname") == sock.getsockname()
    settle(loop)
    end(loop, transport)


def test_protocol_without_methods(loop):
    """A failing connection_made is reported; the endpoint is there."""
    class Bare:
        def connection_made(self, transport):
            1 / 0

        def connection_lost(self, exc):
            pass

    reports = Reports(loop)
    transport, _ = endpoint(loop, Bare(), local_addr=(HOST, 0))
    assert [(why, keys) for _, why, keys in reports.seen] == [
        ("ZeroDivisionError: division by zero", ["handle"])]
    end(loop, transport)


# -- addresses ---------------------------------------------------------------------


def test_many_peers(loop):
    """More than any table of addresses has room for."""
    server, protocol = endpoint(
        loop, Recorder(datagram_received=lambda t, d, a: t.sendto(d, a)),
        local_addr=(HOST, 0))
    address = server.get_extra_info("sockname")
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(peer()) for _ in range(150)]
        for turn in range(4):
            for number, sock in enumerate(peers):
                sock.sendto(b"%d %d" % (turn, number), address)
                if number % 10 == 9:
                    count = turn * 150 + number + 1
                    until(loop, lambda: len(protocol.got) == count)
            for number, sock in enumerate(peers):
                assert sock.recv(99) == b"%d %d" % (turn, number)
    assert len(set(protocol.senders)) == 150
    end(loop, server)


def test_answers_go_to_equal_addresses(loop):
    """The tuple may be another one."""
    server, protocol = endpoint(loop, local_addr=(HOST, 0))
    address = server.get_extra_info("sockname")
    with peer() as one, peer() as two:
        for number in range(30):
            for sock in one, two:
                sock.sendto(b"%d" % number, address)
        until(loop, lambda: len(protocol.got) == 60)
        for host, port in protocol.senders:
            server.sendto(b"%d" % port, (host, port))
            settle(loop, 1)
        for sock in one, two:
            port = b"%d" % sock.getsockname()[1]
            assert [sock.recv(9) for _ in range(30)] == [port] * 30
    end(loop, server)


class Host(str):
    pass


class Port(int):
    pass


@pytest.mark.parametrize("change", [
    lambda h, p: (h, p), lambda h, p: (Host(h), p), lambda h, p: (h, Port(p)),
    lambda h, p: ("localhost", p), lambda h, p: (b"127.0.0.1", p),
    lambda h, p: (bytearray(b"127.0.0.1"), p), lambda h, p: ("127.1", p),
    lambda h, p: type("T", (tuple,), {})((h, p)),
    # not addresses
    lambda h, p: [h, p], lambda h, p: h, lambda h, p: None,
    lambda h, p: (h,), lambda h, p: (h, p, 0), lambda h, p: (h, str(p)),
    lambda h, p: (h, 70000), lambda h, p: (h, -1), lambda h, p: (h, 1 << 70),
    lambda h, p: (h, 1.5), lambda h, p: (None, p), lambda h, p: (3, p),
    lambda h, p: ("127.0.0.1\0", p), lambda h, p: ("\udc80", p),
    lambda h, p: ("256.0.0.1", p), lambda h, p: ("not.a.name.invalid", p),
    lambda h, p: ("::1", p),
])
def test_addresses_of_all_kinds(change):
    """What is sent, reported or fatal is the same on both loops."""
    def told(make):
        with contextlib.closing(make()) as loop, peer() as outside:
            reports = Reports(loop)
            transport, protocol = endpoint(loop, local_addr=(HOST, 0))
            raised = None
            try:
                transport.sendto(b"x", change(*outside.getsockname()))
            except Exception as error:
                raised = support.why(error)
            settle(loop)
            outside.setblocking(False)
            try:
                got = outside.recv(9)
            except BlockingIOError:
                got = None
            closing = transport.is_closing()
            end(loop, transport)
            return raised, got, closing, protocol.events, reports.seen

    assert told(asyncio.SelectorEventLoop) == told(fastasync.new_event_loop)


@pytest.mark.parametrize("tail", [
    (), (0,), (0, 0), (5, 0), (1 << 20, 0), (0, 1 << 31), (0, -1), (0, 0, 0),
    ("x",),
])
@pytest.mark.parametrize("host", ["::1", "::0001", "::1%lo", "127.0.0.1"])
def test_addresses_of_ipv6(host, tail):
    def told(make):
        with contextlib.closing(make()) as loop, \
                peer(socket.AF_INET6) as outside:
            reports = Reports(loop)
            transport, protocol = endpoint(loop, local_addr=("::1", 0))
            port = outside.getsockname()[1]
            transport.sendto(b"x", (host, port, *tail))
            settle(loop)
            outside.setblocking(False)
            try:
                got = outside.recv(9)
            except BlockingIOError:
                got = None
            closing = transport.is_closing()
            end(loop, transport)
            return got, closing, protocol.events, reports.seen

    assert told(asyncio.SelectorEventLoop) == told(fastasync.new_event_loop)


def test_unix(loop):
    with short_paths():
        server, at_server = endpoint(
            loop, Recorder(datagram_received=lambda t, d, a: a and
                           t.sendto(d, a)),
            local_addr="server", family=socket.AF_UNIX)
        client, at_client = endpoint(
            loop, local_addr="client", remote_addr="server",
            family=socket.AF_UNIX)
        for number in range(30):
            client.sendto(b"%d" % number)
            until(loop, lambda: len(at_client.got) == number + 1)
        assert at_client.got == at_server.got
        assert set(at_server.senders) == {"client"}
        assert set(at_client.senders) == {"server"}
        with peer(socket.AF_UNIX, "") as nameless:
            nameless.sendto(b"?", "server")
            until(loop, lambda: len(at_server.got) == 31)
            assert at_server.senders[-1] is None
        with peer(socket.AF_UNIX, "\0abstract%d" % os.getpid()) as abstract:
            abstract.sendto(b"a", "server")
            until(loop, lambda: len(at_server.got) == 32)
            assert at_server.senders[-1] == abstract.getsockname()
            assert abstract.recv(9) == b"a"
        with peer(socket.AF_UNIX, "n\u00e4me") as special:
            for name in special.getsockname(), os.fsencode("n\u00e4me"):
                server.sendto(b"b", name)
            settle(loop)
            assert [special.recv(9) for _ in range(2)] == [b"b", b"b"]
        server.sendto(b"gone", "nobody")
        settle(loop)
        assert at_server.events == ["made", (
            "error", "FileNotFoundError: [Errno 2] No such file or directory")]
        end(loop, server, client)


@pytest.mark.parametrize("path", ["", "x" * 107, "x" * 108, "a\0b", 3, None,
                                  b"raw", bytearray(b"raw")])
def test_unix_paths_of_all_kinds(path):
    def told(make):
        with contextlib.closing(make()) as loop, short_paths():
            reports = Reports(loop)
            transport, protocol = endpoint(loop, local_addr="me",
                                           family=socket.AF_UNIX)
            transport.sendto(b"x", path)
            settle(loop)
            closing = transport.is_closing()
            end(loop, transport)
            return closing, protocol.events, reports.seen

    assert told(asyncio.SelectorEventLoop) == told(fastasync.new_event_loop)


def test_unix_socketpair(loop):
    """Connected, but to a peer without a name: asyncio cannot send there."""
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with two:
        reports = Reports(loop)
        transport, protocol = endpoint(loop, sock=one)
        two.send(b"in")
        until(loop, lambda: protocol.got)
        assert protocol.senders == [None]
        transport.sendto(b"out")
        settle(loop)
        assert transport.is_closing()
        assert [(m, keys) for m, _, keys in reports.seen] == [
            ("Fatal write error on datagram transport",
             ["protocol", "transport"])]
        assert reports.seen[0][1].startswith("TypeError: ")


# -- data ----------------------------------------------------------------------------


SIZES = [1, 2, 1023, 1024, 1025, 2047, 2048, 2049, 4096, 9000, 65506, 65507]


def contents(size):
    return bytes((i * 7 + i // 256) % 256 for i in range(size))


def test_sizes_one_by_one(loop, outside):
    transport, protocol = endpoint(loop, local_addr=(HOST, 0))
    for size in SIZES:
        outside.sendto(contents(size), transport.get_extra_info("sockname"))
        until(loop, lambda: protocol.got)
        assert protocol.got.pop() == contents(size)
        transport.sendto(contents(size), outside.getsockname())
        assert outside.recv(70000) == contents(size)
    end(loop, transport)


def test_sizes_in_a_batch(make_busy):
    busy = make_busy()
    sizes = SIZES[:-2] * 2  # what the kernel's buffer has room for
    for size in sizes:
        busy.outside.sendto(contents(size), busy.address)
    busy.wait(len(sizes))
    assert busy.protocol.got == [contents(size) for size in sizes]
    assert all(type(data) is bytes for data in busy.protocol.got)


def test_sizes_over_unix_sockets(loop):
    with short_paths(), peer(socket.AF_UNIX) as outside:
        transport, protocol = endpoint(loop, local_addr="me",
                                       family=socket.AF_UNIX)
        sizes = [10, 70000, 2048, 2049, 65536, 150000, 0, 1]
        for size in sizes:
            outside.sendto(contents(size), "me")
            until(loop, lambda: protocol.got)
            assert protocol.got.pop() == contents(size)
            transport.sendto(contents(size), "peer")
            if size or SENDS_EMPTY:
                assert outside.recv(200000) == contents(size)
        end(loop, transport)


def test_longer_than_max_size(loop):
    """Cut, as asyncio cuts."""
    with short_paths(), peer(socket.AF_UNIX) as outside:
        transport, protocol = endpoint(loop, local_addr="me",
                                       family=socket.AF_UNIX)
        try:
            outside.setsockopt(socket.SOL_SOCKET,
                               getattr(socket, "SO_SNDBUFFORCE", 32), 1 << 20)
        except PermissionError:
            end(loop, transport)
            pytest.skip("needs a privilege")
        data = contents(300_000)
        for count in range(1, 4):
            outside.sendto(data, "me")
            until(loop, lambda: len(protocol.got) == 2 * count - 1)
            outside.sendto(b"next", "me")
            until(loop, lambda: len(protocol.got) == 2 * count)
        assert protocol.got == [data[:256 * 1024], b"next"] * 3
        end(loop, transport)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_empty_datagrams(loop, outside, kind):
    transport, protocol = endpoint(loop, local_addr=(HOST, 0))
    for data in b"", b"1", b"", b"2":
        transport.sendto(kind(data), outside.getsockname())
    settle(loop)
    expected = [b"", b"1", b"", b"2"] if SENDS_EMPTY else [b"1", b"2"]
    assert [outside.recv(9) for _ in expected] == expected
    outside.sendto(b"", transport.get_extra_info("sockname"))
    until(loop, lambda: protocol.got)
    assert protocol.got == [b""]
    end(loop, transport)


class Data(bytes):
    pass


def test_data_of_all_kinds(loop, outside):
    transport, _ = endpoint(loop, remote_addr=outside.getsockname())
    array = bytearray(b"array")
    kinds = [b"bytes", Data(b"sub"), array, memoryview(b"view"),
             memoryview(b"x1x")[1:2], memoryview(array)[1:3],
             memoryview(b"12345678").cast("i")]

    async def send():  # in one step: all but the first are held
        for data in kinds:
            transport.sendto(data)
        array[:] = b"ZZZZZ"

    loop.run_until_complete(send())
    assert [outside.recv(99) for _ in kinds] == [
        b"bytes", b"sub", b"array", b"view", b"1", b"rr", b"12345678"]
    for data in "text", None, 3, [b"x"]:
        with pytest.raises(TypeError) as caught:
            transport.sendto(data)
        assert str(caught.value) == (
            "data argument must be a bytes-like object, not "
            f"{type(data).__name__!r}")
    end(loop, transport)


def test_data_that_is_not_contiguous():
    def told(make):
        with contextlib.closing(make()) as loop, peer() as outside:
            reports = Reports(loop)
            transport, protocol = endpoint(
                loop, remote_addr=outside.getsockname())
            transport.sendto(memoryview(b"123456")[::2])
            settle(loop)
            return protocol.events, reports.seen, transport.is_closing()

    assert told(asyncio.SelectorEventLoop) == told(fastasync.new_event_loop)


def test_arguments(loop, outside, side):
    transport, _ = endpoint(loop, local_addr=(HOST, 0))
    address = outside.getsockname()
    transport.sendto(b"1", address)
    transport.sendto(b"2", addr=address)
    transport.sendto(data=b"3", addr=address)
    transport.sendto(addr=address, data=b"4")
    settle(loop)
    assert [outside.recv(9) for _ in range(4)] == [b"1", b"2", b"3", b"4"]
    for args, keywords in [((), {}), ((b"", address, 1), {}),
                           ((b"",), {"address": 1}), ((b"",), {"data": b""})]:
        with pytest.raises(TypeError, match=r"sendto\(\)"):
            transport.sendto(*args, **keywords)
    end(loop, transport)


# -- order -----------------------------------------------------------------------------


def test_hundreds_in_order(make_busy):
    busy = make_busy()
    total = 0
    for turn in range(20):
        busy.burst(range(total, total + 37))
        total += 37
        busy.wait(total)
    assert busy.numbers == list(range(total))


def test_hundreds_sent_in_one_step(loop, outside):
    outside.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    address = outside.getsockname()
    transport, protocol = endpoint(loop, local_addr=(HOST, 0))

    async def send():
        for number in range(150):
            transport.sendto(b"%d" % number, address)

    loop.run_until_complete(send())
    assert [int(outside.recv(9)) for _ in range(150)] == list(range(150))
    assert protocol.events == ["made"]
    end(loop, transport)


def test_mixed_destinations_keep_their_order(loop):
    """Also when some of them are names, which we leave to the socket."""
    transport, _ = endpoint(loop, local_addr=(HOST, 0))
    with peer() as one, peer() as two:
        def where(number):
            host, port = (one, two)[number % 2].getsockname()
            return ("localhost" if number % 3 == 2 else host, port)

        async def send():
            for number in range(60):
                transport.sendto(b"%d" % number, where(number))

        loop.run_until_complete(send())
        for index, sock in enumerate((one, two)):
            assert [int(sock.recv(9)) for _ in range(30)] == list(
                range(index, 60, 2))
    end(loop, transport)


def test_first_of_a_step_leaves_at_once(loop, outside):
    """A program may wait for the answer in the same step."""
    transport, _ = endpoint(loop, local_addr=(HOST, 0))

    async def ask():
        for number in range(3):
            transport.sendto(b"%d" % number, outside.getsockname())
            assert outside.recv(9) == b"%d" % number
            await asyncio.sleep(0)

    loop.run_until_complete(ask())
    end(loop, transport)


def test_at_once_without_a_running_loop(loop, outside):
    transport, _ = endpoint(loop, local_addr=(HOST, 0))
    for number in range(5):
        transport.sendto(b"%d" % number, outside.getsockname())
        assert outside.recv(9) == b"%d" % number
    end(loop, transport)


@pytest.mark.parametrize("look", [
    lambda t: t.get_write_buffer_size(), lambda t: t._buffer,
    lambda t: t._sock, lambda t: t.get_extra_info("socket"),
    lambda t: t._buffer_size, lambda t: t._sendto_ready(),
])
def test_who_looks_sees_it_gone(loop, outside, look):
    transport, _ = endpoint(loop, local_addr=(HOST, 0))

    async def send():
        for number in range(5):
            transport.sendto(b"%d" % number, outside.getsockname())
        look(transport)
        assert [outside.recv(9) for _ in range(5)] == [
            b"0", b"1", b"2", b"3", b"4"]

    loop.run_until_complete(send())
    end(loop, transport)


def test_from_another_thread(loop, outside):
    """Not allowed, but done: it has to leave at once."""
    transport, _ = endpoint(loop, local_addr=(HOST, 0))

    def work():
        for number in range(5):
            transport.sendto(b"%d" % number, outside.getsockname())
        return [outside.recv(9) for _ in range(5)]

    async def main():
        transport.sendto(b"mine", outside.getsockname())
        assert outside.recv(9) == b"mine"
        return await asyncio.get_running_loop().run_in_executor(None, work)

    assert loop.run_until_complete(main()) == [b"0", b"1", b"2", b"3", b"4"]
    end(loop, transport)
    loop.run_until_complete(loop.shutdown_default_executor())


# -- what a protocol may do in the middle of a batch --------------------------------


def test_answers(make_busy):
    busy = make_busy(datagram_received=lambda t, d, a: t.sendto(d, a))
    for _ in range(5):
        busy.burst(range(20))
        busy.wait(20)
        settle(busy.loop, 1)
        assert [int(busy.outside.recv(9)) for _ in range(20)] == busy.numbers
        busy.protocol.got.clear()


@pytest.mark.parametrize("how", ["close", "abort"])
def test_close_in_a_batch(make_busy, how):
    def act(transport, data, addr):
        transport.sendto(b"re " + data, addr)
        if data == b"5":
            getattr(transport, how)()

    busy = make_busy(datagram_received=act)
    busy.burst(range(20))
    settle(busy.loop, 30)
    assert busy.numbers == [0, 1, 2, 3, 4, 5]
    assert busy.protocol.events == ["made", ("lost", None)]
    assert [busy.outside.recv(9) for _ in range(6)] == [
        b"re %d" % n for n in range(6)]


def test_pause_in_a_batch(make_busy):
    def act(transport, data, addr):
        if int(data) % 5 == 4:
            transport.pause_reading()
            assert not transport.is_reading()

    busy = make_busy(datagram_received=act)
    busy.burst(range(23))
    for number in range(4, 23, 5):
        busy.wait(number + 1)
        settle(busy.loop, 5)
        assert busy.numbers == list(range(number + 1))
        busy.transport.resume_reading()
        busy.transport.resume_reading()  # once is enough
    busy.wait(23)
    assert busy.numbers == list(range(23))


def test_pause_and_resume_at_once(make_busy):
    def act(transport, data, addr):
        transport.pause_reading()
        transport.resume_reading()

    busy = make_busy(datagram_received=act)
    busy.burst(range(20))
    busy.wait(20)
    assert busy.numbers == list(range(20))


def test_close_while_paused(make_busy):
    busy = make_busy(
        datagram_received=lambda t, d, a: t.pause_reading())
    busy.burst(range(20))
    busy.wait(1)
    busy.transport.close()
    busy.transport.resume_reading()
    settle(busy.loop)
    assert busy.numbers == [0]
    assert busy.protocol.events[-1] == ("lost", None)


def test_forgotten_while_paused(make_busy):
    busy = make_busy(
        datagram_received=lambda t, d, a: t.pause_reading())
    busy.burst(range(20))
    busy.wait(1)
    busy.transport.abort()
    settle(busy.loop)


def test_set_protocol_in_a_batch(make_busy):
    second = Recorder()

    def act(transport, data, addr):
        if data == b"7":
            transport.set_protocol(second)

    busy = make_busy(datagram_received=act)
    busy.burst(range(20))
    until(busy.loop, lambda: len(second.got) == 12)
    assert busy.numbers == list(range(8))
    assert [int(data) for data in second.got] == list(range(8, 20))
    assert busy.transport.get_protocol() is second


def test_a_failing_protocol(make_busy):
    """Reported, and the next datagram is delivered all the same."""
    def act(transport, data, addr):
        if int(data) % 3 == 0:
            raise ValueError(data)

    busy = make_busy(datagram_received=act)
    reports = Reports(busy.loop)
    busy.burst(range(10))
    busy.wait(10)
    assert busy.numbers == list(range(10))
    assert [(why, keys) for _, why, keys in reports.seen] == [
        (f"ValueError: b'{n}'", ["handle"]) for n in (0, 3, 6, 9)]
    assert all(m.startswith("Exception in callback ") and "_read_ready" in m
               for m, _, _ in reports.seen)
    assert not busy.transport.is_closing()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_an_exit_in_a_batch(make_busy, error):
    def act(transport, data, addr):
        transport.sendto(data, addr)
        if data == b"5":
            raise error

    busy = make_busy(datagram_received=act)
    busy.burst(range(12))
    with pytest.raises(error):
        busy.wait(12)
    assert busy.numbers == list(range(6))
    assert [int(busy.outside.recv(9)) for _ in range(6)] == list(range(6))
    busy.wait(12)
    assert busy.numbers == list(range(12))


def test_stop_in_a_batch(make_busy):
    busy = make_busy(
        datagram_received=lambda t, d, a: busy.loop.stop())
    busy.burst(range(12))
    for count in range(1, 13):
        busy.loop.run_forever()
        assert busy.numbers == list(range(count))


def test_one_turn_at_a_time(make_busy):
    busy = make_busy()
    busy.burst(range(12))
    for count in range(1, 13):
        settle(busy.loop, 1)
        assert busy.numbers == list(range(count))


def test_tasks_run_between_batches(make_busy):
    """A slow protocol does not keep the rest of the loop waiting."""
    import time

    busy = make_busy(datagram_received=lambda t, d, a: time.sleep(0.001))
    seen = []

    async def watch():
        while len(busy.protocol.got) < 30:
            seen.append(len(busy.protocol.got))
            await asyncio.sleep(0)

    busy.burst(range(30))
    busy.loop.run_until_complete(watch())
    assert busy.numbers == list(range(30))
    steps = [b - a for a, b in zip(seen, seen[1:], strict=False)]
    assert max(steps) < 10


def test_a_nested_run_goes_on_with_the_batch(loop, side, make_busy):
    if not side.ours:
        pytest.skip("asyncio's loop cannot be run inside of itself")
    loop.allow_nested = True

    def act(transport, data, addr):
        transport.sendto(data, addr)
        if data == b"3":
            until(loop, lambda: len(busy.protocol.got) == 15)
            nested.append(busy.numbers)

    nested = []
    busy = make_busy(datagram_received=act)
    busy.burst(range(15))
    busy.wait(15)
    settle(loop, 3)
    assert busy.numbers == list(range(15)) and nested == [busy.numbers]
    assert sorted(int(busy.outside.recv(9)) for _ in range(15)) == list(
        range(15))


def test_the_protocol_goes_with_the_transport(loop, outside):
    transport, protocol = endpoint(loop, local_addr=(HOST, 0))
    gone = weakref.ref(protocol)
    transport.close()
    settle(loop)
    del protocol
    gc.collect()
    assert gone() is None


# -- errors -----------------------------------------------------------------------------


REFUSED = ("error", "ConnectionRefusedError: [Errno 111] Connection refused")
INVALID = ("error", "OSError: [Errno 22] Invalid argument")
TOO_LONG = ("error", "OSError: [Errno 90] Message too long")


def test_nobody_listens(loop):
    with peer() as sock:
        address = sock.getsockname()
    transport, protocol = endpoint(loop, remote_addr=address)
    for _ in range(3):
        before = len(protocol.events)
        transport.sendto(b"x")
        until(loop, lambda: len(protocol.events) > before)
        settle(loop)
    assert protocol.events == ["made", REFUSED, REFUSED, REFUSED]
    assert not transport.is_closing()
    # one who comes later hears us
    with peer(where=address) as sock:
        transport.sendto(b"there?")
        assert sock.recv(9) == b"there?"
        sock.sendto(b"here", transport.get_extra_info("sockname"))
        until(loop, lambda: protocol.got)
    end(loop, transport)


def test_nobody_listens_to_several(loop):
    with peer() as sock:
        address = sock.getsockname()
    transport, protocol = endpoint(loop, remote_addr=address)

    async def send():
        for _ in range(6):
            transport.sendto(b"x")

    for turn in range(3):
        before = len(protocol.events)
        loop.run_until_complete(send())
        until(loop, lambda: len(protocol.events) > before)
        settle(loop)
    assert set(protocol.events) == {"made", REFUSED}
    assert not transport.is_closing()
    end(loop, transport)


def test_too_long(loop, outside):
    transport, protocol = endpoint(loop, remote_addr=outside.getsockname())
    transport.sendto(bytes(70000))
    assert protocol.events == ["made", TOO_LONG]  # at once
    transport.sendto(b"next")
    assert outside.recv(9) == b"next"
    end(loop, transport)


@pytest.mark.parametrize("where", range(6))
def test_an_error_among_others(loop, outside, where):
    """Each datagram is for itself."""
    transport, protocol = endpoint(loop, local_addr=(HOST, 0))
    address = outside.getsockname()

    async def send(data, addr):
        for number in range(6):
            if number == where:
                transport.sendto(data, addr)
            else:
                transport.sendto(b"%d" % number, address)

    # the second is short enough to be held
    for args in (bytes(70000), address), (b"x", (HOST, 0)):
        loop.run_until_complete(send(*args))
        assert [int(outside.recv(9)) for _ in range(5)] == [
            n for n in range(6) if n != where]
    assert protocol.events == ["made", TOO_LONG, INVALID]
    end(loop, transport)


def test_the_context_of_the_transport(loop, outside, side):
    variable = contextvars.ContextVar("variable", default="none")
    seen = []

    async def make():
        variable.set("mine")
        return await loop.create_datagram_endpoint(
            lambda: Recorder(
                connection_made=lambda t: seen.append(variable.get()),
                datagram_received=lambda *a: seen.append(variable.get()),
                error_received=lambda *a: seen.append(variable.get()),
                connection_lost=lambda *a: seen.append(variable.get())),
            remote_addr=outside.getsockname())

    transport, protocol = loop.run_until_complete(make())
    outside.sendto(b"x", transport.get_extra_info("sockname"))
    until(loop, lambda: protocol.got)
    outside.close()
    transport.sendto(b"x")
    until(loop, lambda: len(protocol.events) > 1)
    end(loop, transport)
    assert seen == ["mine"] * 3 + ["mine" if side.ours else "none"]


def test_a_failing_error_received(loop):
    with peer() as sock:
        address = sock.getsockname()

    def fail(transport, exc):
        raise ValueError("from the protocol")

    transport, protocol = endpoint(loop, Recorder(error_received=fail),
                                   remote_addr=address)
    reports = Reports(loop)
    transport.sendto(b"x")
    until(loop, lambda: reports.contexts)
    assert [(why, keys) for _, why, keys in reports.seen] == [
        ("ValueError: from the protocol", ["handle"])]
    with pytest.raises(ValueError, match="from the protocol"):
        transport.sendto(bytes(70000))
    assert not transport.is_closing()
    end(loop, transport)


def test_a_failing_error_received_for_what_was_held(loop, side, outside):
    """asyncio raises it from sendto(); we have left that already."""
    def fail(transport, exc):
        raise ValueError("from the protocol")

    transport, protocol = endpoint(loop, Recorder(error_received=fail),
                                   local_addr=(HOST, 0))
    reports = Reports(loop)
    raised = []

    async def send():
        for data in b"1", b"", b"2", b"", b"3":
            try:
                transport.sendto(data or b"x", outside.getsockname()
                                 if data else (HOST, 0))
            except ValueError as error:
                raised.append(error)

    loop.run_until_complete(send())
    assert [outside.recv(9) for _ in range(3)] == [b"1", b"2", b"3"]
    assert len(reports.contexts if side.ours else raised) == 2
    end(loop, transport)


@pytest.mark.parametrize("act", ["close", "abort"])
def test_closing_in_error_received(loop, outside, act):
    transport, protocol = endpoint(
        loop, Recorder(error_received=lambda t, e: getattr(t, act)()),
        local_addr=(HOST, 0))

    async def send():
        for data in b"1", b"2":
            transport.sendto(data, outside.getsockname())
        transport.sendto(b"x", (HOST, 0))
        for data in b"3", b"4":  # still in time
            transport.sendto(data, outside.getsockname())

    loop.run_until_complete(send())
    settle(loop)
    assert [outside.recv(9) for _ in range(4)] == [b"1", b"2", b"3", b"4"]
    assert protocol.events == ["made", INVALID, ("lost", None)]


def test_the_socket_is_closed_behind_our_back(loop, outside):
    transport, protocol = endpoint(loop, local_addr=(HOST, 0))
    transport._sock.close()
    with peer() as other:  # has the number now
        assert other.fileno() == transport._sock_fd
        transport.sendto(b"x", outside.getsockname())
        assert protocol.events == ["made", (
            "error", "OSError: [Errno 9] Bad file descriptor")]
        other.settimeout(0)
        outside.sendto(b"for the other", other.getsockname())
        settle(loop)
        assert protocol.got == [] and other.recv(99) == b"for the other"
        transport.abort()
        settle(loop)
        assert other.fileno() > 0 and other.getsockname()


# -- backpressure ---------------------------------------------------------------------


@pytest.fixture
def full(loop):
    """(transport, protocol, outside): a Unix endpoint whose peer takes no more.

    Everything it says from here on waits.
    """
    with short_paths(), peer(socket.AF_UNIX) as outside:
        transport, protocol = endpoint(
            loop, local_addr="me", remote_addr="peer", family=socket.AF_UNIX)
        while not transport.get_write_buffer_size():
            transport.sendto(b"fill")
        yield transport, protocol, outside
        if transport._loop is not None:
            transport.abort()
            settle(loop)


def drain(loop, outside, turns=2000):
    """All that arrives at *outside*, without the filling."""
    got = []
    outside.setblocking(False)
    idle = 0
    while idle < 20 and turns:
        turns -= 1
        try:
            got.append(outside.recv(300000))
            idle = 0
        except BlockingIOError:
            settle(loop, 1)
            idle += 1
    return [data for data in got if data != b"fill"]


def test_what_waits(loop, full):
    transport, protocol, outside = full
    assert list(transport._buffer) == [(b"fill", "peer")]
    assert transport.get_write_buffer_size() == 4 + HEADER
    assert transport._buffer_size == 4 + HEADER
    transport.sendto(b"12345")
    transport.sendto(bytearray(b"678"), "peer")
    assert list(transport._buffer)[1:] == [(b"12345", "peer"),
                                           (b"678", "peer")]
    assert transport.get_write_buffer_size() == 12 + 3 * HEADER
    assert "write=<polling, bufsize=" in repr(transport)
    assert drain(loop, outside) == [b"12345", b"678"]
    if not HEADER_STAYS:
        assert transport.get_write_buffer_size() == 0
    assert not transport._buffer
    assert "write=<idle, bufsize=" in repr(transport)
    transport.sendto(b"again")
    assert drain(loop, outside) == [b"again"]


def test_pause_and_resume_writing(loop, full, side):
    transport, protocol, outside = full
    if HEADER_STAYS and not side.ours:
        pytest.skip("this version never resumes")
    transport.set_write_buffer_limits(high=1000, low=100)
    assert transport.get_write_buffer_limits() == (100, 1000)
    sent = 0
    while protocol.events == ["made"]:
        sent += 1
        transport.sendto(b"%099d" % sent)
        assert (transport.get_write_buffer_size() > 1000) == (
            protocol.events == ["made", "pause"])
    assert [int(data) for data in drain(loop, outside)] == list(
        range(1, sent + 1))
    assert protocol.events == ["made", "pause", "resume"]


def test_pause_writing_comes_out_of_sendto_in_a_step(loop):
    """Also when datagrams are held: as soon as more would wait than allowed."""
    with short_paths(), peer(socket.AF_UNIX) as outside:
        transport, protocol = endpoint(
            loop, local_addr="me", remote_addr="peer", family=socket.AF_UNIX)
        transport.set_write_buffer_limits(high=5000)

        async def send():
            for number in range(1000):
                transport.sendto(b"%0999d" % number)
                if protocol.events[-1] == "pause":
                    return number
                size = transport.get_write_buffer_size()
                assert size <= 5000

        last = loop.run_until_complete(send())
        assert last is not None
        assert [int(data) for data in drain(loop, outside)] == list(
            range(last + 1))
        end(loop, transport)


def test_writing_in_resume_writing(loop, full, side):
    transport, protocol, outside = full
    if HEADER_STAYS and not side.ours:
        pytest.skip("this version never resumes")
    transport.set_write_buffer_limits(high=10, low=5)
    protocol.on["resume_writing"] = lambda t: (
        t.sendto(b"a"), t.sendto(b"b"), t.close())
    transport.sendto(b"0123456789")
    assert drain(loop, outside) == [b"0123456789", b"a", b"b"]
    settle(loop)
    assert protocol.events == ["made", "pause", "resume", ("lost", None)]


def test_closing_waits(loop, full):
    transport, protocol, outside = full
    for number in range(50):
        transport.sendto(b"%d" % number)
    transport.close()
    settle(loop)
    assert transport.is_closing() and protocol.events == ["made"]
    transport.sendto(b"also")  # as asyncio: still in time
    got = drain(loop, outside)
    assert got == [b"%d" % n for n in range(50)] + [b"also"]
    settle(loop)
    assert protocol.events == ["made", ("lost", None)]


def test_aborting_does_not_wait(loop, full):
    transport, protocol, outside = full
    for number in range(50):
        transport.sendto(b"%d" % number)
    transport.abort()
    settle(loop)
    assert protocol.events == ["made", ("lost", None)]
    assert drain(loop, outside) == []


def test_the_receiver_goes_while_we_wait(loop, full):
    """One datagram fails at a time, and the others are tried all the same."""
    transport, protocol, outside = full
    for number in range(5):
        transport.sendto(b"%d" % number)
    outside.close()
    until(loop, lambda: len(protocol.events) >= 7)
    assert protocol.events == ["made", REFUSED] + [(
        "error", "OSError: [Errno 107] Transport endpoint is not connected"
    )] * 5
    assert not transport._buffer
    settle(loop)
    assert "write=<idle" in repr(transport)
    end(loop, transport)


def test_unusual_addresses_wait_as_well(loop):
    with short_paths(), peer(socket.AF_UNIX) as outside:
        transport, protocol = endpoint(loop, local_addr="me",
                                       family=socket.AF_UNIX)
        while not transport.get_write_buffer_size():
            transport.sendto(b"fill", "peer")
        kinds = ["peer", Host("peer"), b"peer", "peer", bytearray(b"peer")]
        for number, kind in enumerate(kinds):
            transport.sendto(b"%d" % number, kind)
        assert [a for _, a in transport._buffer][1:] == kinds
        assert drain(loop, outside) == [b"0", b"1", b"2", b"3", b"4"]
        assert protocol.events == ["made"]
        end(loop, transport)


def test_fatal_while_waiting(loop, full):
    with short_paths(), peer(socket.AF_UNIX) as outside:
        transport, protocol = endpoint(loop, local_addr="me",
                                       family=socket.AF_UNIX)
        reports = Reports(loop)
        while not transport.get_write_buffer_size():
            transport.sendto(b"fill", "peer")
        transport.sendto(b"x", 3)
        transport.sendto(b"y", "peer")
        drain(loop, outside)
        settle(loop)
        assert [(m, keys) for m, _, keys in reports.seen] == [
            ("Fatal write error on datagram transport",
             ["protocol", "transport"])]
        assert protocol.events[1][0] == "lost"
        assert "TypeError" in protocol.events[1][1]


# -- the end ---------------------------------------------------------------------------


def test_sending_when_closed(loop, outside):
    connected, at_connected = endpoint(loop, remote_addr=outside.getsockname())
    loose, at_loose = endpoint(loop, local_addr=(HOST, 0))
    for transport in connected, loose:
        transport.close()
        assert transport.is_closing() and not transport.is_reading()
    # not lost yet: what has no address is sent
    with support.journal() as journal:
        connected.sendto(b"dropped")
        loose.sendto(b"sent", outside.getsockname())
        assert outside.recv(9) == b"sent"
        settle(loop)
        for _ in range(6):
            connected.sendto(b"dropped")
        with pytest.raises(AttributeError, match="call_exception_handler"):
            loose.sendto(b"x", outside.getsockname())
        assert journal.messages == [
            ("WARNING", "socket.send() raised exception.")] * 3
    for transport in connected, loose:
        transport.close()
        transport.abort()
        transport.pause_reading()
        transport.resume_reading()
        assert transport.get_write_buffer_size() == 0
    assert at_connected.events == at_loose.events == ["made", ("lost", None)]


def test_unclosed(loop):
    transport, protocol = endpoint(loop, local_addr=(HOST, 0))
    transport.pause_reading()
    fd = transport._sock_fd
    name = type(transport).__name__
    with support.recorded_warnings() as texts:
        protocol.transport = None
        del transport
        gc.collect()
    assert texts == [f"ResourceWarning: unclosed transport <{name} fd=N "
                     "read=idle write=<idle, bufsize=0>>"]
    with pytest.raises(OSError):
        os.fstat(fd)


def test_the_number_is_used_again(loop, outside):
    numbers = set()
    for turn in range(10):
        transport, protocol = endpoint(loop, local_addr=(HOST, 0))
        numbers.add(transport._sock_fd)
        outside.sendto(b"%d" % turn, transport.get_extra_info("sockname"))
        until(loop, lambda: protocol.got)
        end(loop, transport)
        assert protocol.got == [b"%d" % turn]
    assert len(numbers) == 1


def test_a_failing_connection_lost(loop):
    def fail(transport, exc):
        raise ValueError("lost")

    transport, _ = endpoint(loop, Recorder(connection_lost=fail),
                            local_addr=(HOST, 0))
    reports = Reports(loop)
    transport.close()
    settle(loop)
    assert [(why, keys) for _, why, keys in reports.seen] == [
        ("ValueError: lost", ["handle"])]
    assert transport._sock is None


def test_the_loop_is_closed_first(side):
    loop = side.new_loop()
    transport, protocol = endpoint(loop, local_addr=(HOST, 0))
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        transport.close()
    transport._sock.close()
    with support.recorded_warnings():
        del transport
        protocol.transport = None
        gc.collect()


def test_debug(loop):
    loop.set_debug(True)
    with debug_log() as journal:
        transport, protocol = endpoint(loop, local_addr=(HOST, 0))
        transport.pause_reading()
        transport.resume_reading()
        transport._fatal_error(OSError(errno.EIO, "text"), "message")
        settle(loop)
    name = type(transport).__name__
    assert [m for level, m in journal.messages if level == "DEBUG"
            and m.startswith(f"<{name} ")] == [
        f"<{name} closed fd=N> pauses reading",
        f"<{name} closed fd=N> resumes reading",
        f"<{name} closed fd=N>: message",
    ]
    assert any("Datagram endpoint local_addr=" in m
               for _, m in journal.messages)
    assert protocol.events == ["made", ("lost", "OSError: [Errno 5] text")]


def test_debug_mode_delivers(loop, outside):
    loop.set_debug(True)
    transport, protocol = endpoint(
        loop, Recorder(datagram_received=lambda t, d, a: t.sendto(d, a)),
        local_addr=(HOST, 0))
    for turn in range(10):
        for number in range(10):
            outside.sendto(b"%d" % number, transport.get_extra_info("sockname"))
        until(loop, lambda: len(protocol.got) == 10 * turn + 10)
        settle(loop, 1)
        assert [int(outside.recv(9)) for _ in range(10)] == list(range(10))
    end(loop, transport)


# -- other sockets ------------------------------------------------------------------------


class Proxy(socket.socket):
    """As those of proxies: it does something else with addresses."""

    def recvfrom(self, *args):
        data, addr = super().recvfrom(*args)
        return data, ("proxied", addr)

    def sendto(self, data, addr):
        return super().sendto(b"proxied " + data, addr)


def test_sockets_with_methods_of_their_own(loop, outside):
    sock = Proxy(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((HOST, 0))
    transport, protocol = endpoint(loop, sock=sock)

    async def send():
        for number in range(3):
            transport.sendto(b"%d" % number, outside.getsockname())

    loop.run_until_complete(send())
    assert [outside.recv(99) for _ in range(3)] == [
        b"proxied %d" % n for n in range(3)]
    outside.sendto(b"x", sock.getsockname())
    until(loop, lambda: protocol.got)
    assert protocol.senders == [("proxied", outside.getsockname())]
    end(loop, transport)


class Plain(socket.socket):
    """Adds nothing to what we do without it."""


def test_subclasses_of_socket(loop, outside):
    sock = Plain(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((HOST, 0))
    transport, protocol = endpoint(loop, sock=sock)
    outside.sendto(b"x", sock.getsockname())
    until(loop, lambda: protocol.got)
    transport.sendto(b"y", outside.getsockname())
    assert outside.recv(9) == b"y"
    end(loop, transport)


class Broken(socket.socket):
    def recvfrom(self, *args):
        raise self.error

    def sendto(self, *args):
        raise self.error


@pytest.mark.parametrize("error", [
    OSError(5, "x"), BlockingIOError(), InterruptedError(), ValueError("y"),
    KeyboardInterrupt(),
])
@pytest.mark.parametrize("what", ["receive", "send"])
def test_what_a_socket_raises(error, what):
    def told(make):
        with contextlib.closing(make()) as loop, peer() as outside:
            sock = Broken(socket.AF_INET, socket.SOCK_DGRAM)
            sock.error = type(error)(*error.args)
            sock.bind((HOST, 0))
            reports = Reports(loop)
            transport, protocol = endpoint(loop, sock=sock)
            raised = []
            try:
                if what == "receive":
                    outside.sendto(b"x", sock.getsockname())
                else:
                    transport.sendto(b"x", outside.getsockname())
                    settle(loop, 1)
            except BaseException as caught:
                raised.append(support.why(caught))
            try:
                settle(loop, 1)
            except BaseException as caught:
                raised.append(support.why(caught))
            buffered = list(transport._buffer)
            settled = protocol.events[:], transport.is_closing()
            sock.error = OSError("the end")
            transport.abort()
            settle(loop)
            return (raised, settled, reports.seen,
                    [data for data, _ in buffered])

    assert told(asyncio.SelectorEventLoop) == told(fastasync.new_event_loop)


@pytest.mark.skipif(not hasattr(socket, "AF_NETLINK"), reason="not Linux")
def test_another_family(loop):
    """Netlink: addresses of which only the socket module knows."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 0)
    transport, protocol = endpoint(loop, sock=sock)
    # RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP
    message = b"\x14\0\0\0\x12\0\x01\x03\x01\0\0\0\0\0\0\0\x11\0\0\0"
    transport.sendto(message, (0, 0))
    until(loop, lambda: protocol.got)
    assert protocol.senders[0][0] == 0
    assert len(protocol.got[0]) > 20
    end(loop, transport)


# -- by chance ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_lost_or_reordered(loop, seed):
    """Unix sockets lose nothing: whatever is done in between, everything
    arrives, once and in order, and comes back."""
    import random

    rng = random.Random(seed)
    sent = []

    def received(transport, data, addr):
        transport.sendto(data, addr)
        if rng.random() < 0.1:
            transport.pause_reading()
        if rng.random() < 0.03:
            raise ValueError

    def act():
        what = rng.random()
        if what < 0.5:
            for _ in range(rng.choice([1, 1, 2, 5, 20])):
                data = b"%d " % len(sent) + bytes(
                    rng.choice([0, 1, 100, 3000, 70000]))
                sent.append(data)
                client.sendto(data)
        elif what < 0.7:
            server.resume_reading()
        elif what < 0.8:
            at_server.on = {} if at_server.on else {
                "datagram_received": received}
        elif what < 0.9:
            server.set_write_buffer_limits(rng.choice([0, 10, 5000, 70000]))
        if rng.random() < 0.5:
            loop.call_soon(act_once)

    def act_once():
        if len(sent) < 600:
            act()

    def echo(transport, data, addr):
        transport.sendto(data, addr)

    with short_paths():
        server, at_server = endpoint(loop, local_addr="server",
                                     family=socket.AF_UNIX)
        client, at_client = endpoint(loop, local_addr="client",
                                     remote_addr="server",
                                     family=socket.AF_UNIX)
        loop.set_exception_handler(lambda *args: None)
        at_server.on = {"datagram_received": received}
        while len(sent) < 600:
            loop.call_soon(act_once)
            settle(loop, 1) if rng.random() < 0.5 else until(
                loop, lambda: rng.random() < 0.3)
        at_server.on = {"datagram_received": echo}
        server.resume_reading()
        until(loop, lambda: len(at_server.got) == len(sent))
        settle(loop, 50)
        assert at_server.got == sent
        # all that the server has sent comes, in order
        numbers = [int(data.split()[0]) for data in at_client.got]
        assert numbers == sorted(set(numbers))
        assert {e for e in at_server.events + at_client.events} <= {
            "made", "pause", "resume"}
        end(loop, server, client)


# -- objects ---------------------------------------------------------------------------


def test_uninitialised(side):
    if not side.ours:
        pytest.skip("asyncio's has no attributes then")
    import _fastasync

    cls = _fastasync.DatagramSocketTransport
    transport = cls.__new__(cls)
    assert transport.is_closing() and transport._loop is None
    transport.close()
    transport.abort()
    transport.pause_reading()
    transport.resume_reading()
    transport._read_ready()
    transport._sendto_ready()
    transport._add_reader()
    assert not transport._buffer and transport._address is None
    assert transport.get_extra_info("sockname") is None
    with pytest.raises(AttributeError):
        transport.sendto(b"x", (HOST, 1))
    with pytest.raises(TypeError):
        transport.__init__()
    with pytest.raises(TypeError):
        transport.__init__(asyncio.SelectorEventLoop, None, None)


def test_a_subclass(loop, side, outside):
    """With methods and attributes of its own."""
    def make(self, sock, protocol, address=None, waiter=None, extra=None):
        return Mine(self, sock, protocol, address, waiter, extra)

    transport, _ = endpoint(loop, local_addr=(HOST, 0))

    class Mine(type(transport)):
        def sendto(self, data, addr=None):
            super().sendto(b"mine " + data, addr)

    end(loop, transport)
    type(loop)._make_datagram_transport, before = (
        make, type(loop)._make_datagram_transport)
    try:
        transport, protocol = endpoint(loop, local_addr=(HOST, 0))
    finally:
        type(loop)._make_datagram_transport = before
    transport.note = 3
    transport.sendto(b"x", outside.getsockname())
    assert outside.recv(9) == b"mine x"
    end(loop, transport)


def test_reference_cycles_go(loop):
    transport, protocol = endpoint(loop, local_addr=(HOST, 0))
    transport.myself = transport
    transport.pause_reading()
    gone = weakref.ref(transport)
    with support.recorded_warnings():
        del transport, protocol
        gc.collect()
    gc.collect()  # the warning had it
    assert gone() is None


def blocks_of(action, count=100, rounds=25):
    """How many blocks *count* calls leave behind, when all caches are full."""
    grown = count
    while grown >= count // 4 and rounds > 0:
        rounds -= 1
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(count):
            action()
        gc.collect()
        grown = sys.getallocatedblocks() - before
    return grown


def test_nothing_is_kept(make_busy, side):
    if not side.ours:
        pytest.skip("counts our own blocks")

    def act(transport, data, addr):
        transport.sendto(data, addr)
        transport.sendto(bytes(70000), addr)

    busy = make_busy(datagram_received=act)
    loop = busy.loop

    def once():
        busy.protocol.got.clear()
        busy.protocol.senders.clear()
        busy.burst(range(6))
        while len(busy.protocol.got) < 6:
            loop.call_later(0.0005, loop.stop)
            loop.run_forever()
        for _ in range(6):
            busy.outside.recv(9)
        busy.protocol.got.clear()
        busy.protocol.senders.clear()
        busy.protocol.events.clear()

    assert blocks_of(once) < 30


def test_endpoints_are_not_kept(loop, outside, side):
    if not side.ours:
        pytest.skip("counts our own blocks")
    address = outside.getsockname()

    def once():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((HOST, 0))
        sock.setblocking(False)
        transport = loop._make_datagram_transport(sock, protocol)
        outside.sendto(b"x", sock.getsockname())
        settle(loop, 3)
        for host in HOST, "localhost":
            transport.sendto(b"y", (host, address[1]))
        outside.recv(9), outside.recv(9)
        end(loop, transport)
        protocol.__init__()

    protocol = Recorder()
    assert blocks_of(once) < 30


def test_audit_events():
    """Whoever watches a process sees what asyncio's endpoint would show."""
    script = textwrap.dedent("""
        import asyncio, fastasync, socket, sys

        async def main():
            loop = asyncio.get_running_loop()
            t, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
            me = t.get_extra_info("sockname")
            seen.clear()
            for host in "127.0.0.1", "127.0.0.1", "localhost":
                t.sendto(b"x", (host, me[1]))
            print(seen == [("127.0.0.1", me[1])] * 2 + [("localhost", me[1])])
            refuse.append(1)
            loop.set_exception_handler(
                lambda _, c: print(c["message"], repr(c["exception"])))
            t.sendto(b"x", me)
            await asyncio.sleep(0)
            print(t.is_closing())

        def hook(name, args):
            if name == "socket.sendto":
                assert isinstance(args[0], socket.socket)
                seen.append(args[1])
                if refuse:
                    raise RuntimeError("no")

        seen, refuse = [], []
        sys.addaudithook(hook)
        make = getattr(sys.modules[sys.argv[1]], sys.argv[2])
        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(main())
    """)

    def told(*make):
        return subprocess.run([sys.executable, "-c", script, *make], text=True,
                              check=True, capture_output=True).stdout

    expected = told("asyncio", "SelectorEventLoop")
    assert expected.split("\n")[0] == "True"
    assert told("fastasync", "new_event_loop") == expected


def test_threads_have_loops_of_their_own(side):
    """Two endpoints on two loops in two threads."""
    results = []

    def work():
        with contextlib.closing(side.new_loop()) as loop, peer() as outside:
            transport, protocol = endpoint(loop, local_addr=(HOST, 0))
            for number in range(100):
                outside.sendto(b"%d" % number,
                               transport.get_extra_info("sockname"))
                until(loop, lambda: len(protocol.got) == number + 1)
            end(loop, transport)
            results.append([int(data) for data in protocol.got])

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [list(range(100))] * 2
