"""asyncio's streams over our transports: talk, break off, close."""

import asyncio
import os
import tempfile

from measure import check, finish, on_a_loop, watch

CHUNK = watch(bytes(200_000))


async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def talk(reader, writer):
    for size in (1, 1000, len(CHUNK)):
        writer.write(CHUNK[:size])
        await reader.readexactly(size)
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def tcp():
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        await talk(*await asyncio.open_connection(*address))
        await settle()


async def unix():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        async with await asyncio.start_unix_server(echo, path):
            await talk(*await asyncio.open_unix_connection(path))
            await settle()


async def aborted():
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        _, writer = await asyncio.open_connection(*address)
        writer.write(CHUNK)
        writer.transport.abort()
        await settle()


async def cancelled():
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        waiting = asyncio.ensure_future(asyncio.open_connection(*address))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await settle()


async def settle():
    """Let the server's side see the end of its connection."""
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0.001)


for action in (tcp, unix, aborted, cancelled):
    check(on_a_loop(action), 20)
finish()
