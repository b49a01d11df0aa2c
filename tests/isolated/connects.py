"""Connection attempts that fail or are cancelled at any point."""

import asyncio
import socket
from unittest import mock

from measure import check, finish, on_a_loop

# A listener with a full queue: further connections to it hang.
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(0)
FULL = listener.getsockname()
fillers = []


def fill_the_queue():
    for _ in range(8):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(FULL)
        fillers.append(sock)


def closed_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()


async def cancel_after(awaitable, turns):
    """Cancel it after some turns of the loop; it may have ended before."""
    task = asyncio.ensure_future(awaitable)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and task.exception() is None:
        result = task.result()
        if isinstance(result, tuple):
            result[0].abort()
            await asyncio.sleep(0)
    await asyncio.sleep(0)


def connect(address):
    return asyncio.get_running_loop().create_connection(asyncio.Protocol,
                                                        *address)


async def hanging():
    for turns in (0, 1, 2, 3, 5):
        await cancel_after(connect(FULL), turns)


async def hanging_with_timeout():
    try:
        async with asyncio.timeout(0.001):
            await connect(FULL)
    except TimeoutError:
        pass


async def working():
    """Cancelled while the connection is being made and handed over."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    for turns in range(8):
        await cancel_after(connect(address), turns)
    server.close()
    await asyncio.sleep(0.001)


async def refused():
    for keywords in ({}, {"all_errors": True}):
        try:
            await asyncio.get_running_loop().create_connection(
                asyncio.Protocol, *closed_port())
        except OSError:
            pass


async def wrong_arguments():
    loop = asyncio.get_running_loop()
    for keywords in (dict(), dict(host="127.0.0.1", port="nonsense"),
                     dict(sock=socket.socket(type=socket.SOCK_DGRAM)),
                     dict(host="127.0.0.1", port=1, server_hostname="x"),
                     dict(host="127.0.0.1", port=1,
                          local_addr=("203.0.113.77", 0))):
        try:
            await loop.create_connection(asyncio.Protocol, **keywords)
        except (OSError, ValueError):
            pass
        if "sock" in keywords:
            keywords["sock"].close()


async def failing_factory():
    def factory():
        raise KeyError("factory")

    loop = asyncio.get_running_loop()
    server = await loop.create_server(factory, "127.0.0.1", 0)
    try:
        await loop.create_connection(factory,
                                     *server.sockets[0].getsockname())
    except KeyError:
        pass
    server.close()
    await asyncio.sleep(0.001)


async def eyeballs():
    loop = asyncio.get_running_loop()
    await cancel_after(loop.create_connection(
        asyncio.Protocol, *FULL, happy_eyeballs_delay=0.0001), 3)
    try:
        await loop.create_connection(asyncio.Protocol, *closed_port(),
                                     happy_eyeballs_delay=0.01)
    except OSError:
        pass


async def racing():
    """Several addresses at a time: cancelled, overtaken, refused."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    answers = server.sockets[0].getsockname()
    for addresses in ((FULL, FULL, FULL), (FULL, closed_port(), answers),
                      (closed_port(), closed_port()), (answers, FULL)):
        infos = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
                 for address in addresses]
        with mock.patch("socket.getaddrinfo", lambda *args, **kwargs: infos):
            for turns in (1, 3, 5, 8, 20):
                await cancel_after(loop.create_connection(
                    asyncio.Protocol, "name", 1, happy_eyeballs_delay=0),
                    turns)
    server.close()
    await asyncio.sleep(0.001)


async def sock_calls():
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.socket()
    for sock in (left, right, server, client):
        sock.setblocking(False)
    for turns in (0, 1, 2):
        await cancel_after(loop.sock_recv(left, 10), turns)
        await cancel_after(loop.sock_recv_into(left, bytearray(10)), turns)
        await cancel_after(loop.sock_accept(server), turns)
        await cancel_after(loop.sock_sendall(left, b"x" * 4000000), turns)
        while True:
            try:
                right.recv(1 << 20)
            except BlockingIOError:
                break
    await cancel_after(loop.sock_connect(client, FULL), 2)
    for sock in (left, right, server, client):
        sock.close()


async def failing_servers():
    loop = asyncio.get_running_loop()
    taken = socket.create_server(("127.0.0.1", 0))
    for host, port in (taken.getsockname(), ("203.0.113.77", 0)):
        try:
            await loop.create_server(asyncio.Protocol, host, port)
        except OSError:
            pass
    taken.close()


fill_the_queue()
for function, repeats in ((hanging, 20), (hanging_with_timeout, 30),
                          (working, 10), (refused, 30),
                          (wrong_arguments, 20), (failing_factory, 20),
                          (eyeballs, 20), (racing, 10), (sock_calls, 10),
                          (failing_servers, 20)):
    check(on_a_loop(function), repeats)
for sock in (listener, *fillers):
    sock.close()
finish()
