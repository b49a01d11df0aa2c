"""Rows that reach outside the loop: threads, children, sockets, names."""

import asyncio
import socket

from micro.base import empty, single

KIB = bytes(range(256)) * 4
MIB = KIB * 1024


@single(clock="wall")
async def executor(n: int) -> None:
    """`await loop.run_in_executor(None, empty)`, there and back."""
    loop = asyncio.get_running_loop()
    for _ in range(n):
        await loop.run_in_executor(None, empty)


@single(clock="wall")
async def spawn_true(n: int) -> None:
    """Start /bin/true and wait for its end."""
    for _ in range(n):
        process = await asyncio.create_subprocess_exec("/bin/true")
        if await process.wait() != 0:
            raise RuntimeError("/bin/true failed")


@single(clock="wall")
async def cat_1mb(n: int) -> None:
    """1 MiB through /bin/cat by communicate()."""
    pipe = asyncio.subprocess.PIPE
    for _ in range(n):
        process = await asyncio.create_subprocess_exec(
            "/bin/cat", stdin=pipe, stdout=pipe
        )
        output, _ = await process.communicate(MIB)
        if output != MIB:
            raise RuntimeError("cat returned something else")


@single(clock="wall")
async def getaddrinfo_literal(n: int) -> None:
    """loop.getaddrinfo of a numeric address."""
    loop = asyncio.get_running_loop()
    for _ in range(n):
        await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)


class EchoProtocol(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class OneShot(asyncio.Protocol):
    """Sends one byte, closes when it came back, reports the end."""

    def __init__(self, lost: asyncio.Future[bytes]) -> None:
        self.lost = lost
        self.got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.write(b"x")

    def data_received(self, data: bytes) -> None:
        self.got += data
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(self.got)


@single()
async def connect_close(n: int) -> None:
    """Connect, one byte there and back, close; client and server in one loop."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(EchoProtocol, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        for _ in range(n):
            lost: asyncio.Future[bytes] = loop.create_future()
            await loop.create_connection(lambda: OneShot(lost), host, port)  # noqa: B023
            if await lost != b"x":
                raise RuntimeError("the byte did not come back")
    finally:
        server.close()
        await server.wait_closed()


@single()
async def stream_pingpong_1k(n: int) -> None:
    """1 KiB there and back through streams; client and server in one loop."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(host, port)
    try:
        for _ in range(n):
            writer.write(KIB)
            await writer.drain()
            if await reader.readexactly(len(KIB)) != KIB:
                raise RuntimeError("the stream returned something else")
    finally:
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
