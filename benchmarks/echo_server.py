"""Echo server on a chosen loop, one mode of asyncio's API per run.

    python echo_server.py LOOP MODE [PATH]

Prints `ready ADDRESS` and serves until SIGTERM.  The modes are the ones other
projects publish: a Protocol, a BufferedProtocol, streams by read() and by
readline() (write without drain, as in uvloop's and rloop's own benchmarks),
sock_recv/sock_sendall, and a datagram endpoint; a Protocol and streams over TLS.  limits/echo_epoll.c speaks the
same protocol: whatever arrives goes back.
"""

import argparse
import asyncio
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable

from loops import LOOPS

HOST = "127.0.0.1"
BACKLOG = 1024
READ_SIZE = 262_144  # what one recv may bring
SOCK_READ_SIZE = 102_400
LINE_LIMIT = 1 << 20

# a path: of a Unix socket, or of the folder with a certificate -> the address
Start = Callable[[str], Awaitable[str]]


class EchoProtocol(asyncio.Protocol):
    __slots__ = ("transport",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class EchoBufferedProtocol(asyncio.BufferedProtocol):
    __slots__ = ("buffer", "transport")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.buffer = bytearray(READ_SIZE)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        # The buffer is written again by the next read, and a loop may keep what it
        # could not send at once: hand it a copy.
        self.transport.write(self.buffer[:nbytes])


class EchoDatagramProtocol(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)


def address_of(server: asyncio.Server) -> str:
    host, port = server.sockets[0].getsockname()
    return f"{host}:{port}"


KEPT: list[object] = []  # servers and tasks that live as long as the process


async def start_tcp(protocol: Callable[[], asyncio.BaseProtocol]) -> str:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, HOST, 0, backlog=BACKLOG)
    KEPT.append(server)
    return address_of(server)


async def tcp_proto(_path: str) -> str:
    return await start_tcp(EchoProtocol)


async def tcp_buf(_path: str) -> str:
    return await start_tcp(EchoBufferedProtocol)


async def unix_proto(path: str) -> str:
    loop = asyncio.get_running_loop()
    KEPT.append(await loop.create_unix_server(EchoProtocol, path, backlog=BACKLOG))
    return f"unix:{path}"


async def start_stream(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> str:
    server = await asyncio.start_server(
        serve, HOST, 0, limit=LINE_LIMIT, backlog=BACKLOG
    )
    KEPT.append(server)
    return address_of(server)


async def stream(_path: str) -> str:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(READ_SIZE):
            writer.write(data)
        writer.close()

    return await start_stream(serve)


async def stream_line(_path: str) -> str:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.readline():
            writer.write(data)
        writer.close()

    return await start_stream(serve)


def server_context(folder: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
    return context


async def tls_proto(folder: str) -> str:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        EchoProtocol, HOST, 0, backlog=BACKLOG, ssl=server_context(folder)
    )
    KEPT.append(server)
    return address_of(server)


async def tls_stream(folder: str) -> str:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(READ_SIZE):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(
        serve, HOST, 0, limit=LINE_LIMIT, backlog=BACKLOG, ssl=server_context(folder)
    )
    KEPT.append(server)
    return address_of(server)


async def sock(_path: str) -> str:
    loop = asyncio.get_running_loop()
    listener = socket.create_server((HOST, 0), backlog=BACKLOG)
    listener.setblocking(False)

    async def serve(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            while data := await loop.sock_recv(connection, SOCK_READ_SIZE):
                await loop.sock_sendall(connection, data)

    async def accept() -> None:
        while True:
            connection, _ = await loop.sock_accept(listener)
            task = loop.create_task(serve(connection))
            KEPT.append(task)

    KEPT.append(loop.create_task(accept()))
    host, port = listener.getsockname()
    return f"{host}:{port}"


async def udp(_path: str) -> str:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        EchoDatagramProtocol, local_addr=(HOST, 0)
    )
    KEPT.append(transport)
    host, port = transport.get_extra_info("sockname")
    return f"udp:{host}:{port}"


MODES: dict[str, Start] = {
    fn.__name__: fn
    for fn in (
        tcp_proto,
        tcp_buf,
        unix_proto,
        stream,
        stream_line,
        tls_proto,
        tls_stream,
        sock,
        udp,
    )
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("loop")
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("path", nargs="?", default="")
    options = parser.parse_args()
    loop = LOOPS[options.loop].prepare()()
    asyncio.set_event_loop(loop)

    async def start() -> str:
        return await MODES[options.mode](options.path)

    print("ready", loop.run_until_complete(start()), flush=True)
    loop.run_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
