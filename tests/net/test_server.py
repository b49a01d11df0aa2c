"""Servers: accept.c, server.c and fastasync/_server.py."""

import asyncio
import contextlib
import contextvars
import errno
import gc
import os
import resource
import socket
import sys
import weakref

import pytest

import support
from netsupport import (
    Recorder,
    Reports,
    pattern,
    settle,
    short_paths,
    until,
)

fastasync = pytest.importorskip("fastasync")
import _fastasync  # noqa: E402


class Site:
    """A server on *loop* with a Recorder per connection."""

    def __init__(self, loop, **kwargs):
        self.loop = loop
        self.protocols = []
        self.on = kwargs.pop("on", {})
        self.before_make = lambda: None
        self.server = loop.run_until_complete(
            loop.create_server(self.make, "127.0.0.1", 0, **kwargs))
        self.address = (self.server.sockets[0].getsockname()
                        if self.server.sockets else None)

    def make(self):
        self.before_make()
        protocol = Recorder(**self.on)
        self.protocols.append(protocol)
        return protocol

    def connect(self):
        sock = socket.create_connection(self.address, timeout=10)
        count = len(self.protocols)
        until(self.loop, lambda: len(self.protocols) > count and
              self.protocols[-1].events[:1] == ["made"])
        return sock

    def end(self):
        self.server.close()
        for protocol in self.protocols:
            if protocol.transport is not None:
                protocol.transport.abort()
        settle(self.loop)


def test_is_a_server(loop, side):
    site = Site(loop)
    server = site.server
    assert isinstance(server, asyncio.AbstractServer)
    assert isinstance(server, asyncio.Server)
    if side.ours:
        assert isinstance(server, _fastasync.ServerCore)
        assert type(server) is fastasync._server.Server
    assert server.get_loop() is loop
    assert server.is_serving()
    assert weakref.ref(server)() is server
    site.end()


def test_echo_to_many():
    def scenario(side, loop):
        site = Site(loop, on={"data_received": lambda t, d: t.write(d)})
        clients = [site.connect() for _ in range(20)]
        for i, client in enumerate(clients):
            client.send(b"%d" % i)
        until(loop, lambda: all(p.data for p in site.protocols))
        answers = [client.recv(100) for client in clients]
        for client in clients:
            client.close()
        until(loop, lambda: all(p.events[-1] == ("lost", None)
                                for p in site.protocols))
        site.end()
        return answers, [p.events for p in site.protocols]

    support.compare(scenario)


def test_a_crowd_at_once(loop):
    """The whole backlog, and one, wait before the loop runs."""
    site = Site(loop, backlog=5)
    # as many as the kernel keeps; it would make others wait a second
    clients = [socket.create_connection(site.address) for _ in range(6)]
    until(loop, lambda: len(site.protocols) == 6)
    for client in clients:
        client.close()
    site.end()


def test_start_serving_later():
    def scenario(side, loop):
        site = Site(loop, start_serving=False)
        trace = [site.server.is_serving()]
        client = socket.socket()
        try:
            client.connect(site.address)
        except OSError as error:
            trace.append(error.errno == errno.ECONNREFUSED)
        client.close()
        loop.run_until_complete(site.server.start_serving())
        loop.run_until_complete(site.server.start_serving())
        trace.append(site.server.is_serving())
        site.connect().close()
        site.end()
        trace.append(site.server.is_serving())
        return trace

    assert support.compare(scenario) == [False, True, True, False]


def test_close():
    def scenario(side, loop):
        site = Site(loop)
        client = site.connect()
        listening = site.server.sockets
        trace = [len(listening), type(listening[0]).__name__]
        site.server.close()
        site.server.close()
        trace += [site.server.sockets, site.server.is_serving(),
                  listening[0].fileno()]
        late = socket.socket()
        try:
            late.connect(site.address)
        except OSError as error:
            trace.append(error.errno == errno.ECONNREFUSED)
        late.close()
        # those that are connected stay so
        client.send(b"x")
        until(loop, lambda: site.protocols[0].data == b"x")
        client.close()
        until(loop, lambda: site.protocols[0].events[-1] == ("lost", None))
        site.end()
        return trace

    support.compare(scenario)


def test_close_while_accepting():
    """The factory closes the server: nobody is connected, nothing is said."""
    loop = fastasync.new_event_loop()
    reports = Reports(loop)
    site = Site(loop)
    clients = [socket.create_connection(site.address) for _ in range(3)]
    site.before_make = site.server.close
    settle(loop)
    assert [p.events for p in site.protocols] == [[]]
    assert reports.seen == []
    for client in clients:
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(10) == b""
        client.close()
    loop.close()


def test_wait_closed():
    """As the asyncio of this version has it."""

    def scenario(side, loop):
        site = Site(loop)
        trace = []

        async def wait(name):
            await site.server.wait_closed()
            trace.append(name)

        def note(what):
            settle(loop)
            trace.append(what)

        tasks = [loop.create_task(wait("first"))]
        note("- waiting")
        client = site.connect()
        site.server.close()
        note("- closed")
        tasks.append(loop.create_task(wait("second")))
        note("- second")
        client.close()
        until(loop, lambda: site.protocols[0].events[-1] == ("lost", None))
        note("- gone")
        tasks.append(loop.create_task(wait("third")))
        note("- third")
        for task in tasks:
            task.cancel()
        settle(loop)
        return trace, site.server._waiters

    support.compare(scenario)


def test_serve_forever():
    def scenario(side, loop):
        site = Site(loop, start_serving=False)
        server = site.server
        task = loop.create_task(server.serve_forever())
        settle(loop)
        trace = [server.is_serving(), task.done()]
        with pytest.raises(RuntimeError, match="already being awaited"):
            loop.run_until_complete(server.serve_forever())
        task.cancel()
        settle(loop)
        trace += [task.cancelled(), server.is_serving(),
                  server._serving_forever_fut]
        with pytest.raises(RuntimeError, match="is closed"):
            loop.run_until_complete(server.serve_forever())
        return trace

    support.compare(scenario)


def test_close_ends_serve_forever():
    def scenario(side, loop):
        site = Site(loop)
        task = loop.create_task(site.server.serve_forever())
        settle(loop)
        site.server.close()
        settle(loop)
        return task.cancelled(), site.server._serving_forever_fut

    support.compare(scenario)


@pytest.mark.parametrize("how", ["close_clients", "abort_clients"])
def test_end_of_all_clients(how):
    """Ours has them on every version; asyncio since 3.13."""
    loop = fastasync.new_event_loop()
    site = Site(loop)
    clients = [site.connect() for _ in range(3)]
    assert len(site.server._clients) == 3
    assert site.server._active_count == 3
    assert {p.transport for p in site.protocols} == set(site.server._clients)
    getattr(site.server, how)()
    until(loop, lambda: all(p.events[-1] == ("lost", None)
                            for p in site.protocols))
    assert site.server._active_count == 0
    for client in clients:
        assert client.recv(10) == b""
        client.close()
    site.end()
    loop.close()


def test_attach_and_detach_by_hand():
    """As asyncio's, with and without an argument, and by foreign transports."""
    loop = fastasync.new_event_loop()
    server = Site(loop).server

    class Transport(asyncio.Transport):
        __slots__ = ("__weakref__", "closed")

        def close(self):
            self.closed = True

    mine = Transport()
    server._attach(mine)
    server._attach()
    assert server._active_count == 2
    server.close()
    assert server._waiters == []
    server._detach()
    assert server._waiters == []
    server._detach(mine)
    assert server._waiters is None
    with pytest.raises(AssertionError):
        server._detach()
    with pytest.raises(AssertionError):
        server._attach(mine)
    with pytest.raises(TypeError):
        server._attach(mine, mine)
    server = Site(loop).server
    server._attach(mine)
    server.close_clients()
    assert mine.closed
    del mine
    gc.collect()
    assert server._active_count == 0  # a WeakSet
    server.close()
    loop.close()


def test_detached_once_more_than_attached():
    """_detach() by hand takes away a client that then goes by itself."""
    loop = fastasync.new_event_loop()
    site = Site(loop)
    client = site.connect()
    assert site.server._active_count == 1
    site.server._detach()
    assert site.server._active_count == 0
    client.close()
    settle(loop)
    assert site.server._active_count == 0
    site.end()
    loop.close()


def test_abandoned_transport_is_no_client():
    loop = fastasync.new_event_loop()
    site = Site(loop)
    client = site.connect()
    protocol = site.protocols.pop()
    protocol.transport.pause_reading()
    with support.recorded_warnings() as texts:
        protocol.transport = None
        del protocol
        gc.collect()
    assert ["unclosed transport" in t for t in texts] == [True]
    assert site.server._active_count == 0
    client.close()
    site.end()
    loop.close()


@pytest.mark.parametrize("error", [ValueError("v"), OSError("o"),
                                   asyncio.CancelledError()],
                         ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("debug", [False, True])
def test_factory_fails(error, debug):
    def scenario(side, loop):
        site = Site(loop)
        reports = Reports(loop)
        loop.set_debug(debug)
        loop.slow_callback_duration = 100

        def fail():
            raise type(error)(*error.args)  # whose traceback nobody keeps

        site.before_make = fail
        client = socket.socket()
        client.settimeout(10)
        with support.journal():
            client.connect(site.address)
            settle(loop, 12)
            seen = reports.seen
            reports.contexts.clear()  # asyncio: their frames keep the socket
            with support.recorded_warnings():
                gc.collect()
            try:
                end = client.recv(10)
            except ConnectionResetError:
                end = b""
        client.close()
        loop.set_debug(False)
        site.end()
        return seen, end

    seen, _ = support.compare(scenario)
    assert bool(seen) == debug


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)],
                         ids=lambda e: type(e).__name__)
def test_factory_exits(error):
    loop = fastasync.new_event_loop()
    failing = [type(error)(*error.args)]

    def factory():
        if failing:
            raise failing.pop()
        return Recorder()

    server = loop.run_until_complete(
        loop.create_server(factory, "127.0.0.1", 0))
    client = socket.create_connection(server.sockets[0].getsockname())
    with pytest.raises(type(error)):
        settle(loop)
    settle(loop)
    assert client.recv(10) == b""
    client.close()
    server.close()
    loop.close()


def test_no_transport_without_connection_made():
    """A protocol whose connection_made fails keeps its connection."""

    def scenario(side, loop):
        reports = Reports(loop)

        def fail(transport):
            raise ValueError("no")

        site = Site(loop, on={"connection_made": fail})
        client = socket.create_connection(site.address)
        until(loop, lambda: reports.contexts)
        client.send(b"x")
        until(loop, lambda: site.protocols[0].data == b"x")
        client.close()
        until(loop, lambda: site.protocols[0].events[-1] == ("lost", None))
        site.end()
        return reports.seen, site.protocols[0].events

    support.compare(scenario)


def test_out_of_descriptors(monkeypatch):
    """Accepting stops, says so, and begins again later."""
    monkeypatch.setattr(asyncio.constants, "ACCEPT_RETRY_DELAY", 0.05)
    loop = fastasync.new_event_loop()
    site = Site(loop)
    reports = Reports(loop)
    client = socket.create_connection(site.address)
    client.settimeout(10)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    fillers = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                fillers.append(os.dup(client.fileno()))
        settle(loop)
        assert site.protocols == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for fd in fillers:
            os.close(fd)
    assert len(reports.contexts) == 1
    context = reports.contexts[0]
    assert context["message"] == "socket.accept() out of system resource"
    assert context["exception"].errno == errno.EMFILE
    assert type(context["socket"]).__name__ == "TransportSocket"
    until(loop, lambda: site.protocols and site.protocols[0].transport)
    client.send(b"x")
    until(loop, lambda: site.protocols[0].data == b"x")
    client.close()
    settle(loop)
    site.end()
    loop.close()


def test_closed_while_out_of_descriptors(monkeypatch):
    """The retry finds a closed server and does nothing to anybody."""
    monkeypatch.setattr(asyncio.constants, "ACCEPT_RETRY_DELAY", 0.01)
    loop = fastasync.new_event_loop()
    reports = Reports(loop)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    with pytest.raises(ValueError):
        closed = socket.socket()
        closed.close()
        loop._start_serving(Recorder, closed)
    listener.close()
    settle(loop)
    assert reports.contexts == []
    loop.close()


def test_each_connection_has_its_own_context():
    var = contextvars.ContextVar("var", default="none")
    loop = fastasync.new_event_loop()
    seen = []

    def begin(transport):
        seen.append(var.get())
        var.set(f"connection {len(seen)}")

    class Protocol(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.saw = var.get()

    protocols = []

    def factory():
        seen.append("factory " + var.get())
        protocols.append(Protocol(connection_made=begin))
        return protocols[-1]

    async def main():
        var.set("server")
        return await loop.create_server(factory, "127.0.0.1", 0)

    server = loop.run_until_complete(main())
    address = server.sockets[0].getsockname()
    clients = [socket.create_connection(address) for _ in range(2)]
    until(loop, lambda: len(seen) == 4)
    for client in clients:
        client.send(b"x")
    until(loop, lambda: all(p.data for p in protocols))
    assert sorted(seen) == ["factory server"] * 2 + ["server"] * 2
    assert len({p.saw for p in protocols}) == 2
    assert var.get() == "none"
    server.close()
    for client in clients:
        client.close()
    settle(loop)
    loop.close()


def test_accepted_socket():
    """Non-blocking, not inherited, TCP_NODELAY; and the object is lazy."""
    loop = fastasync.new_event_loop()
    site = Site(loop)
    client = site.connect()
    transport = site.protocols[0].transport
    fd = transport._sock_fd
    assert not os.get_blocking(fd) and not os.get_inheritable(fd)
    sock = transport.get_extra_info("socket")
    assert sock.fileno() == fd
    assert sock.gettimeout() == 0
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert type(transport._sock) is socket.socket
    assert transport._sock is transport._sock
    assert transport._server is site.server
    transport.close()
    settle(loop)
    assert sock.fileno() == -1 and transport._server is None
    client.close()
    site.end()
    loop.close()


def test_who_looks_at_a_socket_file(monkeypatch):
    """Detectors of blocking calls know these callers by file and name."""
    callers = []

    def spy(name):
        real = getattr(os, name)

        def call(path, *args, **kwargs):
            code = sys._getframe(1).f_code
            callers.append((name, path, code.co_filename, code.co_name))
            return real(path, *args, **kwargs)

        monkeypatch.setattr(os, name, call)

    def scenario(side, loop):
        del callers[:]
        server = loop.run_until_complete(
            loop.create_unix_server(asyncio.Protocol, "s"))
        server.close()
        settle(loop)
        trace = [*callers, os.path.lexists("s")]
        if trace[-1]:  # asyncio removes it since 3.13
            os.unlink("s")
        return trace

    spy("stat")
    spy("unlink")
    with short_paths():
        trace = support.compare(scenario)
    removed = [name for name, *_ in trace[:-1]].count("unlink")
    assert removed == (sys.version_info >= (3, 13))


def test_unix_server():
    def scenario(side, loop):
        protocols = []

        def factory():
            protocols.append(Recorder(
                data_received=lambda t, d: t.write(d)))
            return protocols[-1]

        server = loop.run_until_complete(
            loop.create_unix_server(factory, "s"))
        trace = [os.path.exists("s"), isinstance(server, asyncio.Server)]
        client = socket.socket(socket.AF_UNIX)
        client.bind("\0" + "long client name " * 3 + side.name)
        client.settimeout(10)
        client.connect("s")
        client.send(b"x")
        until(loop, lambda: protocols and protocols[0].data == b"x")
        transport = protocols[0].transport
        trace += [client.recv(10), transport.get_extra_info("sockname"),
                  len(transport.get_extra_info("peername")
                      .replace(side.name.encode(), b""))]
        client.close()
        until(loop, lambda: protocols[0].events[-1] == ("lost", None))
        server.close()
        settle(loop)
        trace.append(os.path.exists("s"))
        with contextlib.suppress(FileNotFoundError):
            os.unlink("s")
        return trace

    with short_paths():
        support.compare(scenario)


def test_streams_over_it(loop):
    """asyncio's own StreamReader and StreamWriter, much data."""
    data = pattern(2_000_000)

    async def serve(reader, writer):
        while piece := await reader.read(50_000):
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address)

        async def feed():
            for start in range(0, len(data), 30_000):
                writer.write(data[start:start + 30_000])
                await writer.drain()
            writer.write_eof()

        _, got = await asyncio.gather(feed(), reader.read())
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return got

    assert loop.run_until_complete(main()) == data


def test_bad_constructor_arguments():
    with pytest.raises(TypeError, match="Server.__init__"):
        _fastasync.ServerCore()
    server = _fastasync.ServerCore.__new__(_fastasync.ServerCore)
    assert server.sockets == () and not server.is_serving()
    server.close()
    server.close_clients()
    with pytest.raises(AssertionError):
        server._attach()
    with pytest.raises(TypeError):
        server._start_serving()
    loop = fastasync.new_event_loop()
    with pytest.raises(TypeError):
        _fastasync.start_serving(loop)
    with pytest.raises(TypeError):
        _fastasync.start_serving(*[None] * 9)
    loop.close()
    with socket.socket() as sock, pytest.raises(RuntimeError):
        loop._start_serving(Recorder, sock)
