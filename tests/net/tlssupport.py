"""What the tests of TLS share: contexts, and a runner for each way to do it.

Every test that takes `run` runs three times: on asyncio's loop, on ours directly
on OpenSSL, and on ours through ssl.MemoryBIO.
"""

import asyncio
import contextlib
import pathlib
import socket
import ssl

import fastasync
import _fastasync

CERTS = pathlib.Path(__file__).resolve().parent / "certs"
SERVER_PEM = str(CERTS / "server.pem")
CLIENT_PEM = str(CERTS / "client.pem")
TIMEOUT = 60  # of a test that hangs; nothing is measured

SIDES = {
    "asyncio": (asyncio.SelectorEventLoop, False),
    "direct": (fastasync.new_event_loop, False),
    "memory": (fastasync.new_event_loop, True),
}


def server_context(**settings):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SERVER_PEM)
    return adjusted(context, settings)


def client_context(**settings):
    context = ssl.create_default_context(cafile=SERVER_PEM)
    return adjusted(context, settings)


def adjusted(context, settings):
    for name, value in settings.items():
        setattr(context, name, value)
    return context


TLS12 = {"maximum_version": ssl.TLSVersion.TLSv1_2}


class Side:
    """Runs a coroutine function on one kind of loop; `reports` is what the
    loop's exception handler was told."""

    def __init__(self, name):
        self.name = name
        self.ours = name != "asyncio"
        self.factory, self.memory = SIDES[name]
        self.reports = []

    def __call__(self, main, *args, debug=False):
        before = _fastasync._tls_use_memory(self.memory)
        try:
            with asyncio.Runner(loop_factory=self.factory, debug=debug) as runner:
                loop = runner.get_loop()
                loop.set_exception_handler(
                    lambda _loop, context: self.reports.append(context))
                return runner.run(self._bounded(main, args))
        finally:
            _fastasync._tls_use_memory(before)

    async def _bounded(self, main, args):
        async with asyncio.timeout(TIMEOUT):
            return await main(*args)


class Proto(asyncio.Protocol):
    """Records what happens; keyword arguments are called on events."""

    def __init__(self, **actions):
        self.events = []
        self.data = bytearray()
        self.actions = actions
        loop = asyncio.get_running_loop()
        self.made = loop.create_future()
        self.lost = loop.create_future()
        self.eof = loop.create_future()
        self.changed = asyncio.Event()

    def _event(self, name, *args):
        self.events.append(name)
        self.changed.set()
        action = self.actions.get(name)
        return None if action is None else action(self, *args)

    def connection_made(self, transport):
        self.transport = transport
        if not self.made.done():
            self.made.set_result(transport)
        self._event("made")

    def data_received(self, data):
        assert type(data) is bytes
        self.data += data
        self._event("data", data)

    def eof_received(self):
        if not self.eof.done():
            self.eof.set_result(None)
        return self._event("eof")

    def connection_lost(self, exc):
        self._event("lost", exc)
        if not self.lost.done():
            self.lost.set_result(exc)

    def pause_writing(self):
        self._event("pause")

    def resume_writing(self):
        self._event("resume")

    async def received(self, n):
        while len(self.data) < n:
            self.changed.clear()
            await self.changed.wait()
        return bytes(self.data)


class Buffered(asyncio.BufferedProtocol):
    """The same for a BufferedProtocol with a buffer of `size` bytes."""

    def __init__(self, size):
        self.buffer = bytearray(size)
        self.data = bytearray()
        self.hints = []
        self.lost = asyncio.get_running_loop().create_future()
        self.changed = asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, hint):
        self.hints.append(hint)
        return memoryview(self.buffer)

    def buffer_updated(self, n):
        assert 0 < n <= len(self.buffer)
        self.data += self.buffer[:n]
        self.changed.set()

    def eof_received(self):
        pass

    def connection_lost(self, exc):
        self.lost.set_result(exc)

    received = Proto.received


@contextlib.asynccontextmanager
async def serving(factory, context=None, **options):
    """A TLS server; gives its address."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        factory, "127.0.0.1", 0, ssl=context or server_context(), **options)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()


async def connect(factory, address, context=None, **options):
    loop = asyncio.get_running_loop()
    options.setdefault("server_hostname", "localhost")
    return await loop.create_connection(
        factory, *address, ssl=context or client_context(), **options)


@contextlib.asynccontextmanager
async def connected(client=Proto, server=Proto, *, to=None, at=None):
    """Two protocols at the ends of a TLS connection, both closed at the end."""
    made = asyncio.get_running_loop().create_future()

    def factory():
        protocol = server()
        made.set_result(protocol)
        return protocol

    async with serving(factory, at) as address:
        transport, ours = await connect(client, address, to)
        theirs = await made
        if isinstance(theirs, Proto):
            await theirs.made
        try:
            yield ours, theirs
        finally:
            transport.abort()
            theirs_transport = getattr(theirs, "transport", None)
            if theirs_transport is not None:
                theirs_transport.abort()
            await asyncio.wait([ours.lost, theirs.lost], timeout=5)


@contextlib.asynccontextmanager
async def raw_peer(client=Proto, **options):
    """A client that is connecting to a plain socket: (task, socket)."""
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    task = loop.create_task(
        connect(client, listener.getsockname(), **options))
    sock, _ = await loop.sock_accept(listener)
    sock.setblocking(False)
    try:
        yield task, sock
    finally:
        sock.close()
        listener.close()
        if not task.done():
            task.cancel()
        with contextlib.suppress(BaseException):
            await task


def raw_client(address, context=None, **options):
    """A blocking ssl.SSLSocket; for asyncio.to_thread."""
    plain = socket.create_connection(address, timeout=TIMEOUT)
    options.setdefault("server_hostname", "localhost")
    return (context or client_context()).wrap_socket(plain, **options)


def pattern(n, seed=0):
    block = bytes((i * 7 + seed) % 251 for i in range(251))
    return (block * (n // 251 + 1))[:n]


async def turns(n=10):
    for _ in range(n):
        await asyncio.sleep(0)
