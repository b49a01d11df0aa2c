"""StreamReader, StreamWriter and what connects them: whole conversations, and
every way in which one ends early."""

import asyncio
import contextlib
import socket

from measure import check, finish, namespace, on_a_loop, watch

ours = namespace()
CHUNK = watch(bytes(300_000))


async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def connected(serve=echo, **kwargs):
    server = await ours.start_server(serve, "127.0.0.1", 0, **kwargs)
    async with server:
        yield await ours.open_connection(*server.sockets[0].getsockname())
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.001)


async def close(writer):
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def talk():
    async with connected() as (reader, writer):
        for size in (1, 1000, len(CHUNK), len(CHUNK), 10):
            writer.write(CHUNK[:size])
            await reader.readexactly(size)
        writer.write_eof()
        assert await reader.read() == b""
        await close(writer)


async def small_limit():
    async with connected(limit=100) as (reader, writer):
        writer.write(CHUNK)
        await reader.readexactly(len(CHUNK))
        await close(writer)


async def aborted():
    async with connected() as (reader, writer):
        writer.write(CHUNK)
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.drain()


async def cancelled_drain():
    async def deaf(reader, writer):
        await gone.wait()
        writer.transport.abort()

    gone = asyncio.Event()
    async with connected(deaf) as (reader, writer):
        for _ in range(40):
            writer.write(CHUNK)
        drains = [asyncio.ensure_future(writer.drain()) for _ in range(3)]
        await asyncio.sleep(0)
        drains[0].cancel()
        await asyncio.sleep(0)
        gone.set()
        await asyncio.gather(*drains, return_exceptions=True)
        await close(writer)


async def failing_callback():
    async def fails(reader, writer):
        await reader.read(1)
        raise LookupError("a bug")

    def fails_at_once(reader, writer):
        writer.close()
        raise LookupError("a bug")

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: None)
    for serve in fails, fails_at_once:
        async with connected(serve) as (reader, writer):
            with contextlib.suppress(ConnectionError):
                writer.write(b"x")
                await reader.read()
            await close(writer)


async def cancelled_connecting():
    async with await ours.start_server(echo, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        waiting = asyncio.ensure_future(ours.open_connection(*address))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.001)


async def subclasses():
    class Reader(ours.StreamReader):
        pass

    class Protocol(ours.StreamReaderProtocol):
        def data_received(self, data):
            super().data_received(data)

    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    loop = asyncio.get_running_loop()
    writers = []
    for sock in left, right:
        reader = Reader(loop=loop)
        protocol = Protocol(reader, loop=loop)
        transport, _ = await loop.create_connection(
            lambda protocol=protocol: protocol, sock=sock
        )
        writers.append(
            ours.StreamWriter(transport, protocol, reader, loop)
        )
    writers[0].write(b"hello")
    await writers[0].drain()
    await writers[1]._reader.readexactly(5)
    for writer in writers:
        await close(writer)


def never_awaited():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours.open_connection("host", 1)
        ours.start_server(echo, limit=5, other=6)
        loop = asyncio.new_event_loop()
        writer = ours.StreamWriter.__new__(ours.StreamWriter)
        writer.drain()
        protocol = ours.StreamReaderProtocol(None, loop=loop)
        protocol._drain_waiters
        protocol.pause_writing()
        waiting = protocol._drain_helper()
        waiting.send(None)
        protocol.itself = protocol
        loop.close()


for action in (
    talk,
    small_limit,
    aborted,
    cancelled_drain,
    failing_callback,
    cancelled_connecting,
    subclasses,
):
    check(on_a_loop(action), 40)
check(never_awaited, 20)
finish()
