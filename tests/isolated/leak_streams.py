"""Connections, servers and what goes wrong with them leave nothing."""

import asyncio
import os
import tempfile

import fastasync

CALLS = 8


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
    for size in (1, 1000, 300_000):
        writer.write(bytes(size))
        await reader.readexactly(size)
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def over_tcp():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for _ in range(3):
        await talk(*await asyncio.open_connection("127.0.0.1", port))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(bytes(1_000_000))
    writer.transport.abort()
    waiting = asyncio.ensure_future(
        asyncio.open_connection("127.0.0.1", port)
    )
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    server.close()
    await asyncio.sleep(0.01)
    await server.wait_closed()
    try:
        await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        pass


async def over_unix():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        async with await asyncio.start_unix_server(echo, path):
            await talk(*await asyncio.open_unix_connection(path))
            await asyncio.sleep(0.01)


def scenario():
    fastasync.run(over_tcp())
    fastasync.run(over_unix())
