"""Connections: echoed, half closed, aborted, reset, refused, unread."""

import asyncio
import os
import socket
import tempfile

from measure import check, finish, on_a_loop, watch

DATA = watch(b"x" * 3000)


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Buffered(asyncio.BufferedProtocol):
    def connection_made(self, transport):
        self.transport = transport
        self.buffer = bytearray(4096)

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, count):
        self.transport.write(bytes(self.buffer[:count]))


class Client(asyncio.Protocol):
    def __init__(self, expect=len(DATA)):
        loop = asyncio.get_running_loop()
        self.done = loop.create_future()
        self.lost = loop.create_future()
        self.left = expect

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.left -= len(data)
        if self.left <= 0 and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, error):
        self.lost.set_result(None)
        if not self.done.done():
            self.done.set_result(None)


async def serve(protocol=Echo, **keywords):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, **keywords)
    return server, server.sockets[0].getsockname()


async def settle(turns=4):
    for _ in range(turns):
        await asyncio.sleep(0)
    await asyncio.sleep(0.0005)


async def echo_with(protocol):
    loop = asyncio.get_running_loop()
    server, address = await serve(protocol)
    pairs = [await loop.create_connection(Client, *address)
             for _ in range(3)]
    for transport, _ in pairs:
        transport.write(DATA)
        transport.writelines([b"a", bytearray(b"b"), memoryview(b"c")])
    for transport, client in pairs:
        await client.done
        transport.get_extra_info("peername")
        repr(transport)
        transport.close()
        await client.lost
    server.close()
    await settle()


async def echoed():
    await echo_with(Echo)


async def buffered():
    await echo_with(Buffered)


async def half_closed():
    loop = asyncio.get_running_loop()
    server, address = await serve()
    transport, client = await loop.create_connection(Client, *address)
    transport.write(DATA)
    transport.write_eof()
    await client.lost
    server.close()
    await settle()


class Deaf(asyncio.Protocol):
    def __init__(self, transports):
        self.transports = transports

    def connection_made(self, transport):
        transport.pause_reading()
        self.transports.append(transport)


async def aborted_with_data():
    """A peer that does not read; the rest of the data is dropped."""
    loop = asyncio.get_running_loop()
    deaf = []
    server, address = await serve(lambda: Deaf(deaf))
    transport, client = await loop.create_connection(Client, *address)
    for _ in range(12):
        transport.write(b"y" * 200000)
    await settle()
    transport.abort()
    await client.lost
    for other in deaf:
        other.abort()
    server.close()
    await settle()


async def reset_by_peer():
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    transport, client = await loop.create_connection(
        Client, *listener.getsockname())
    peer, _ = listener.accept()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    b"\1\0\0\0\0\0\0\0")
    peer.close()
    listener.close()
    await client.lost
    transport.write(b"into the void")
    transport.close()
    await settle()


class Bad(asyncio.Protocol):
    def connection_made(self, transport):
        raise ValueError("made")

    def data_received(self, data):
        raise ValueError("received")

    def connection_lost(self, error):
        raise ValueError("lost")


async def failing_protocols():
    """Every method of the protocol raises."""
    loop = asyncio.get_running_loop()
    server, address = await serve(Bad)
    transport, client = await loop.create_connection(Client, *address)
    transport.write(DATA)
    await settle()
    transport.abort()
    await client.lost
    server.close()
    await settle()


async def given_sockets():
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    first, client = await loop.create_connection(Client, sock=left)
    second, _ = await loop.connect_accepted_socket(Echo, right)
    first.write(DATA)
    await client.done
    second.close()
    await client.lost
    first.close()
    await settle()


async def unix_sockets():
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        server = await loop.create_unix_server(Echo, path)
        transport, client = await loop.create_unix_connection(Client, path)
        transport.write(DATA)
        await client.done
        transport.close()
        await client.lost
        server.close()
        await settle()


async def streams():
    async def handle(reader, writer):
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    for _ in range(2):
        reader, writer = await asyncio.open_connection(*address)
        for number in range(5):
            writer.write(b"line %d\n" % number)
            await writer.drain()
            assert await reader.readline() == b"line %d\n" % number
        writer.close()
        await writer.wait_closed()
    server.close()
    await settle()


async def paused():
    loop = asyncio.get_running_loop()
    server, address = await serve()
    transport, client = await loop.create_connection(Client, *address)
    transport.pause_reading()
    transport.write(DATA)
    await settle()
    transport.resume_reading()
    await client.done
    transport.set_protocol(Client())
    transport.close()
    server.close()
    await settle()


async def servers_without_clients():
    server, _ = await serve()
    server.close()
    server, _ = await serve(start_serving=False)
    server.close()
    server, _ = await serve()
    task = asyncio.ensure_future(server.serve_forever())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    server.close()
    await settle()


async def forgotten():
    """Not closed by anybody; the collector finds them with a warning."""
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
    transport.pause_reading()
    right.close()
    del transport
    await settle()


for function, repeats in ((echoed, 20), (buffered, 20), (half_closed, 20),
                          (aborted_with_data, 6), (reset_by_peer, 30),
                          (failing_protocols, 30), (given_sockets, 30),
                          (unix_sockets, 20), (streams, 20), (paused, 20),
                          (servers_without_clients, 30), (forgotten, 30)):
    check(on_a_loop(function), repeats)
finish()
