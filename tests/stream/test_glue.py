"""open_connection(), start_server() and their twins: glue.c; and whole
conversations over real sockets: sink.c and the transport behind it."""

import asyncio
import contextlib
import gc
import inspect
import itertools
import socket
import ssl
import tempfile
import weakref

import pytest

import support
from streamsupport import attempt, finish, is_coroutine_function

fastasync = pytest.importorskip("fastasync")

NAMES = (
    "open_connection",
    "start_server",
    "open_unix_connection",
    "start_unix_server",
)


# -- arguments -----------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_they_are_coroutine_functions(name):
    ours, theirs = getattr(fastasync, name), getattr(asyncio, name)
    assert is_coroutine_function(ours)
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert ours.__name__ == ours.__qualname__ == name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "args, kwargs",
    [
        ((), {}),
        ((1, 2, 3, 4), {}),
        ((1,), {"host": 1, "path": 1, "client_connected_cb": 1}),
        ((), {"limit": 0}),
        ((), {"limit": -1}),
        ((print,), {"limit": 0}),
        ((print,), {"limit": "a text"}),
        ((print,), {"sock": None}),
    ],
)
def test_wrong_arguments(name, args, kwargs):
    def scenario(side, loop):
        try:
            coroutine = getattr(side.module, name)(*args, **kwargs)
        except TypeError as error:
            return "at once", support.why(error)
        return "later", finish(loop, coroutine).__class__

    support.compare(scenario)


class StandIn(asyncio.AbstractEventLoop):
    """Another loop: notes what is asked of it, and runs on a real one."""

    def __init__(self, loop):
        self.loop = loop
        self.calls = []

    def __getattribute__(self, name):
        if name in ("loop", "calls") or name.startswith("__"):
            return object.__getattribute__(self, name)
        if name.startswith(("create_conn", "create_serv", "create_unix")):

            async def answer(factory, *args, **kwargs):
                self.calls.append((name, args, kwargs))
                self.calls.append(type(factory()).__name__)
                return (None, None) if "conn" in name else "a server"

            return answer
        return getattr(self.loop, name)


def test_everything_is_passed_through():
    def scenario(side, loop):
        stand_in = StandIn(loop)

        async def main():
            asyncio.events._set_running_loop(stand_in)
            try:
                for coroutine in (
                    side.module.open_connection("h", 1, ssl="s", limit=5),
                    side.module.open_connection(port=1, host="h"),
                    side.module.open_connection(sock="sock"),
                    side.module.start_server(None, "h", 1, backlog=5),
                    side.module.start_server(
                        client_connected_cb=None, start_serving=False
                    ),
                    side.module.open_unix_connection("path", ssl=None),
                    side.module.open_unix_connection(path="path"),
                    side.module.start_unix_server(None, "path", limit=6),
                    side.module.start_unix_server(None, path="path"),
                ):
                    try:
                        stand_in.calls.append(str(await coroutine))
                    except AttributeError:  # the transport is None
                        stand_in.calls.append("no transport")
            finally:
                asyncio.events._set_running_loop(loop)
            return stand_in.calls

        with support.hooks():  # writers without a transport
            calls = loop.run_until_complete(main())
            gc.collect()
        return [
            call if not isinstance(call, str) else call.split(" object")[0][:20]
            for call in calls
            if not isinstance(call, str) or "Writer" not in call
        ]

    support.compare(scenario)


def test_replaced_classes_are_used(monkeypatch, side, loop):
    """As asyncio's functions do: they look into asyncio.streams."""
    made = []
    for name in "StreamReader", "StreamWriter", "StreamReaderProtocol":
        stock = getattr(asyncio.streams, name)

        class Mine(stock):
            def __init__(self, *args, _name=name, _stock=stock, **kwargs):
                made.append(_name)
                super().__init__(*args, **kwargs)

        monkeypatch.setattr(asyncio.streams, name, Mine)

    async def main():
        served = loop.create_future()

        async def cb(reader, writer):
            writer.close()
            await writer.wait_closed()
            served.set_result(type(reader).__name__)

        server = await side.module.start_server(cb, "127.0.0.1", 0)
        async with server:
            address = server.sockets[0].getsockname()
            reader, writer = await side.module.open_connection(*address)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
            assert await served == "Mine"

    loop.run_until_complete(main())
    assert sorted(made) == sorted(2 * ["StreamReader", "StreamWriter",
                                       "StreamReaderProtocol"])


# -- conversations ------------------------------------------------------------------


async def echo(reader, writer):
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(100_000):
            writer.write(data)
            await writer.drain()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def echo_lines(reader, writer):
    async for line in reader:
        writer.writelines([part for part in (line[:1], line[1:]) if part])
        await writer.drain()
    writer.close()


async def talk(reader, writer):
    """Small and large, pieces and lines; ends the connection properly."""
    for size in (1, 10, 1000, 40_000, 300_000, 10, 2_000_000, 1):
        data = bytes(i % 251 for i in range(size - 1)) + b"\n"
        data = data.replace(b"\n", b" ")[:-1] + b"\n"
        writer.write(data)
        drained = asyncio.ensure_future(writer.drain())
        assert await reader.readexactly(size) == data
        await drained
    writer.write_eof()
    assert await reader.read() == b""
    assert reader.at_eof()
    writer.close()
    await writer.wait_closed()
    assert writer.is_closing()


@pytest.mark.parametrize("serve", [echo, echo_lines])
@pytest.mark.parametrize("limit", [2000, 65536, 4_000_000])
def test_tcp(side, loop, serve, limit):
    if serve is echo_lines and limit < 4_000_000:
        pytest.skip("the lines are longer")

    async def main():
        server = await side.module.start_server(
            serve, "127.0.0.1", 0, limit=limit
        )
        async with server:
            address = server.sockets[0].getsockname()
            await asyncio.gather(*[
                talk(*await side.module.open_connection(*address, limit=limit))
                for _ in range(3)
            ])

    loop.run_until_complete(main())


def test_unix(side, loop):
    async def main(path):
        server = await side.module.start_unix_server(echo, path=path)
        async with server:
            await talk(*await side.module.open_unix_connection(path))

    with tempfile.TemporaryDirectory() as folder:
        loop.run_until_complete(main(f"{folder}/socket"))


def sides_and_loops():
    return list(itertools.product(("asyncio", "fastasync"), repeat=3))


@pytest.mark.parametrize("server, client, loop_of", sides_and_loops())
def test_any_mixture(server, client, loop_of):
    """Streams of one on the loop of the other."""
    loop = support.side_of(loop_of).new_loop()

    async def main():
        listening = await support.side_of(server).module.start_server(
            echo, "127.0.0.1", 0
        )
        async with listening:
            address = listening.sockets[0].getsockname()
            opened = support.side_of(client).module.open_connection(*address)
            await talk(*await opened)

    try:
        loop.run_until_complete(main())
        support.spin(loop, 3)
    finally:
        loop.close()


@pytest.mark.keeps("fds", reason="uvloop keeps a pipe for signals")
def test_uvloop():
    uvloop = pytest.importorskip("uvloop")
    loop = uvloop.new_event_loop()

    async def main():
        server = await fastasync.start_server(echo, "127.0.0.1", 0)
        async with server:
            address = server.sockets[0].getsockname()
            await talk(*await fastasync.open_connection(*address))

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def test_debug_mode(side, loop):
    loop.set_debug(True)

    async def main():
        server = await side.module.start_server(echo, "127.0.0.1", 0)
        async with server:
            address = server.sockets[0].getsockname()
            await talk(*await side.module.open_connection(*address))

    loop.run_until_complete(main())


# -- the short way and the long way ------------------------------------------------------


def serve_pair(side, loop, protocol_class, reader_class=None, limit=65536):
    """A protocol on a real connection, and the other end of it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    reader = (reader_class or side.module.StreamReader)(limit=limit, loop=loop)
    protocol = protocol_class(reader, loop=loop)
    transport, _ = loop.run_until_complete(
        loop.create_connection(lambda: protocol, sock=ours)
    )
    return reader, protocol, transport, theirs


def close(loop, transport, theirs):
    transport.close()
    support.spin(loop, 3)
    theirs.close()


def test_subclasses_see_all_data(side, loop):
    seen = []

    class Protocol(side.module.StreamReaderProtocol):
        def data_received(self, data):
            seen.append(data)
            super().data_received(data)

    class Reader(side.module.StreamReader):
        def feed_data(self, data):
            seen.append(len(data))
            super().feed_data(data)

    made = serve_pair(side, loop, Protocol, Reader)
    reader, _, transport, theirs = made
    theirs.send(b"hello")
    assert loop.run_until_complete(reader.read(100)) == b"hello"
    close(loop, transport, theirs)
    assert seen == [b"hello", 5]


@pytest.mark.parametrize("whose", ["protocol", "reader"])
def test_instance_attributes_see_all_data(side, loop, whose):
    seen = []
    reader, protocol, transport, theirs = serve_pair(
        side, loop, side.module.StreamReaderProtocol
    )
    theirs.send(b"one")
    assert loop.run_until_complete(reader.read(100)) == b"one"
    if whose == "protocol":
        protocol.data_received = lambda data: (
            seen.append(data), type(protocol).data_received(protocol, data)
        )
    else:
        reader.feed_data = lambda data: (
            seen.append(data), type(reader).feed_data(reader, data)
        )
    theirs.send(b"two")
    assert loop.run_until_complete(reader.read(100)) == b"two"
    assert seen == [b"two"]
    close(loop, transport, theirs)


def test_another_protocol_later(side, loop):
    """As start_tls and websockets' upgrades do it."""
    reader, protocol, transport, theirs = serve_pair(
        side, loop, side.module.StreamReaderProtocol
    )
    seen = []

    class Other(asyncio.Protocol):
        def data_received(self, data):
            seen.append(data)

    theirs.send(b"stream")
    assert loop.run_until_complete(reader.read(100)) == b"stream"
    transport.set_protocol(Other())
    theirs.send(b"other")
    for _ in range(3):
        support.spin(loop)
    assert seen == [b"other"] and not reader._buffer
    transport.set_protocol(protocol)
    theirs.send(b"back")
    assert loop.run_until_complete(reader.read(100)) == b"back"
    close(loop, transport, theirs)


def test_a_reader_that_nobody_holds(side, loop):
    reader, protocol, transport, theirs = serve_pair(
        side, loop, side.module.StreamReaderProtocol
    )
    gone = weakref.ref(reader)
    del reader
    gc.collect()
    assert gone() is None
    theirs.send(b"x" * 10_000)
    support.spin(loop, 3)
    assert not transport.is_closing()
    close(loop, transport, theirs)


def test_reading_is_paused_and_resumed():
    def scenario(side, loop):
        reader, protocol, transport, theirs = serve_pair(
            side, loop, side.module.StreamReaderProtocol, limit=1000
        )
        theirs.setblocking(False)
        seen = []
        for size in (1000, 1000, 1, 1):
            theirs.send(b"x" * size)
            support.spin(loop, 2)
            seen.append((len(reader._buffer), transport.is_reading(),
                         reader._paused))
        for count in (1000, 1, 1):
            seen.append(len(finish(loop, reader.readexactly(count))))
            seen.append((transport.is_reading(), reader._paused))
        support.spin(loop, 2)
        seen.append(len(reader._buffer))
        close(loop, transport, theirs)
        return seen

    support.compare(scenario)


def test_large_reads_stop_at_the_limit():
    """However much there is: no more than asyncio takes at a time."""

    def scenario(side, loop):
        reader, protocol, transport, theirs = serve_pair(
            side, loop, side.module.StreamReaderProtocol, limit=50_000
        )
        theirs.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 5_000_000:
                sent += theirs.send(b"x" * 65536)
                support.spin(loop, 2)
        held = len(reader._buffer)
        close(loop, transport, theirs)
        return transport.is_reading(), 100_000 < held <= 100_000 + 262_144

    assert support.compare(scenario) == (False, True)


@pytest.mark.parametrize("size", [3, 200_000])
def test_data_after_the_end(side, loop, size):
    """The reader was told that there is nothing more: asyncio's assertion."""
    contexts = []
    loop.set_exception_handler(lambda _, c: contexts.append(c))
    reader, protocol, transport, theirs = serve_pair(
        side, loop, side.module.StreamReaderProtocol, limit=10_000_000
    )
    for _ in range(4):  # it learns that reads are large
        theirs.sendall(b"x" * size)
        support.spin(loop, 4)
    reader.feed_eof()
    theirs.sendall(b"x" * size)
    support.spin(loop, 4)
    (context,) = contexts
    assert "data_received() call failed" in context["message"]
    assert "feed_data after feed_eof" in str(context["exception"])
    assert transport.is_closing()
    with pytest.raises(AssertionError):
        loop.run_until_complete(reader.read())
    theirs.close()


def test_turns_until_the_reader_wakes():
    """Data, end and reset take as many turns as with asyncio."""

    def scenario(side, loop):
        seen = []
        for act in ("data", "end"):
            reader, protocol, transport, theirs = serve_pair(
                side, loop, side.module.StreamReaderProtocol
            )
            task = loop.create_task(reader.read(10))
            support.spin(loop, 2)
            if act == "data":
                theirs.send(b"data")
            else:
                theirs.shutdown(socket.SHUT_WR)
            turns = 0
            while not task.done():
                support.spin(loop)
                turns += 1
            seen.append((act, turns, task.result()))
            close(loop, transport, theirs)
        return seen

    support.compare(scenario)


def test_the_context_of_whoever_waits(side, loop):
    import contextvars

    var = contextvars.ContextVar("var", default="nothing")
    seen = []

    async def main():
        var.set("main")
        reader, writer = await side.module.open_connection(sock=ours)
        var.set("later")

        async def read(name):
            var.set(name)
            await reader.read(1)
            seen.append(var.get())

        await asyncio.gather(read("reading"))
        seen.append(var.get())
        writer.close()
        await writer.wait_closed()

    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    loop.call_later(0.005, theirs.send, b"x")
    loop.run_until_complete(main())
    theirs.close()
    assert seen == ["reading", "later"]


def test_a_reset_connection():
    def scenario(side, loop):
        async def main():
            served = loop.create_future()

            async def cb(reader, writer):
                try:
                    served.set_result(await reader.read())
                except ConnectionError as error:
                    served.set_result(type(error).__name__)
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

            server = await side.module.start_server(cb, "127.0.0.1", 0)
            async with server:
                address = server.sockets[0].getsockname()
                sock = socket.create_connection(address)
                sock.send(b"x")
                sock.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
                )
                await asyncio.sleep(0.01)
                sock.close()
                return await served

        return finish(loop, main())

    assert support.compare(scenario) == "ConnectionResetError"


# -- TLS ---------------------------------------------------------------------------------


def tls_contexts():
    keys = pytest.importorskip("test.support.os_helper") and __import__(
        "importlib.resources", fromlist=["files"]
    ).files("test")
    for folder in ("certdata", "."):
        certificate = keys / folder / "keycert3.pem"
        authority = keys / folder / "pycacert.pem"
        if certificate.is_file() and authority.is_file():
            server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            server.load_cert_chain(str(certificate))
            client = ssl.create_default_context(cafile=str(authority))
            return server, client
    pytest.skip("no certificates")


async def talk_without_eof(reader, writer):
    for size in (1, 1000, 200_000):
        writer.write(b"x" * size)
        await writer.drain()
        assert await reader.readexactly(size) == b"x" * size
    assert writer.get_extra_info("sslcontext") is not None
    assert not writer.can_write_eof()
    writer.close()
    await writer.wait_closed()


def test_tls(side, loop):
    for_server, for_client = tls_contexts()

    async def main():
        server = await side.module.start_server(
            echo, "127.0.0.1", 0, ssl=for_server
        )
        async with server:
            address = server.sockets[0].getsockname()
            await talk_without_eof(
                *await side.module.open_connection(
                    *address, ssl=for_client, server_hostname="localhost"
                )
            )
            while len(asyncio.all_tasks()) > 1:
                await asyncio.sleep(0.001)

    loop.run_until_complete(main())


def test_start_tls_later(side, loop):
    for_server, for_client = tls_contexts()

    async def upgrade(reader, writer):
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"OK\n")
        await writer.start_tls(for_server)
        await echo(reader, writer)

    async def main():
        server = await side.module.start_server(upgrade, "127.0.0.1", 0)
        async with server:
            address = server.sockets[0].getsockname()
            reader, writer = await side.module.open_connection(*address)
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"OK\n"
            await writer.start_tls(for_client, server_hostname="localhost")
            await talk_without_eof(reader, writer)
            while len(asyncio.all_tasks()) > 1:
                await asyncio.sleep(0.001)

    if not hasattr(asyncio.StreamWriter, "start_tls"):
        pytest.skip("this Python has none")
    loop.run_until_complete(main())


def test_errors_of_connecting():
    def scenario(side, loop):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = listener.getsockname()
        seen = [
            type(attempt_open(side, loop, *address)).__name__,
            finish(loop, side.module.open_connection()),
            finish(loop, side.module.open_unix_connection("/nonexistent")),
        ]
        return seen

    def attempt_open(side, loop, host, port):
        try:
            return loop.run_until_complete(
                side.module.open_connection(host, port)
            )
        except OSError as error:
            return error

    support.compare(scenario)


def test_cancelled_connecting(side, loop):
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            task = asyncio.ensure_future(
                side.module.open_connection(*listener.getsockname())
            )
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    loop.run_until_complete(main())


def test_without_a_running_loop(side):
    for name, *args in (
        ("open_connection",),
        ("start_server", print),
        ("open_unix_connection",),
        ("start_unix_server", print),
    ):
        text = attempt(getattr(side.module, name)(*args).send, None)
        assert text == "RuntimeError: no running event loop"
