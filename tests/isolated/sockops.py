"""loop.sock_*: used, waiting, failing, on sockets closed meanwhile."""

import asyncio
import socket

from measure import check, finish, on_a_loop, watch

DATA = watch(b"z" * 100000)


def pair():
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    return left, right


async def talk():
    loop = asyncio.get_running_loop()
    left, right = pair()
    with left, right:
        waiting = asyncio.ensure_future(loop.sock_recv(right, 10))
        await asyncio.sleep(0)
        await loop.sock_sendall(left, b"hello")
        assert await waiting == b"hello"
        buffer = bytearray(10)
        await loop.sock_sendall(right, b"again")
        assert await loop.sock_recv_into(left, buffer) == 5


async def large():
    loop = asyncio.get_running_loop()
    left, right = pair()
    with left, right:
        sending = asyncio.ensure_future(loop.sock_sendall(left, DATA * 10))
        count = 0
        while count < len(DATA) * 10:
            count += len(await loop.sock_recv(right, 1 << 16))
        await sending


async def accepted():
    loop = asyncio.get_running_loop()
    server = socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)
    client = socket.socket()
    client.setblocking(False)
    accepting = asyncio.ensure_future(loop.sock_accept(server))
    await asyncio.sleep(0)
    await loop.sock_connect(client, server.getsockname())
    peer, _ = await accepting
    for sock in (server, client, peer):
        sock.close()


async def datagrams():
    loop = asyncio.get_running_loop()
    one = socket.socket(type=socket.SOCK_DGRAM)
    two = socket.socket(type=socket.SOCK_DGRAM)
    with one, two:
        for sock in (one, two):
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        waiting = asyncio.ensure_future(loop.sock_recvfrom(two, 10))
        await asyncio.sleep(0)
        await loop.sock_sendto(one, b"hi", two.getsockname())
        assert (await waiting)[0] == b"hi"
        buffer = bytearray(10)
        await loop.sock_sendto(two, b"ho", one.getsockname())
        assert (await loop.sock_recvfrom_into(one, buffer))[0] == 2


async def refused():
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = sock.getsockname()
    client = socket.socket()
    client.setblocking(False)
    try:
        await loop.sock_connect(client, address)
    except ConnectionRefusedError:
        pass
    client.close()


async def wrong():
    loop = asyncio.get_running_loop()
    left, right = pair()
    closed = socket.socket()
    closed.close()
    with left, right:
        for call in (lambda: loop.sock_recv(left, -1),
                     lambda: loop.sock_recv(closed, 1),
                     lambda: loop.sock_recv_into(left, b"read-only"),
                     lambda: loop.sock_sendall(left, "text"),
                     lambda: loop.sock_sendall(closed, b"x"),
                     lambda: loop.sock_connect(left, ("127.0.0.1", "x")),
                     lambda: loop.sock_accept(left),
                     lambda: loop.sock_recv(None, 1)):
            try:
                await call()
            except (OSError, TypeError, ValueError, AttributeError):
                pass


async def cancelled():
    loop = asyncio.get_running_loop()
    left, right = pair()
    with left, right:
        for call in (lambda: loop.sock_recv(left, 10),
                     lambda: loop.sock_recv_into(left, bytearray(10)),
                     lambda: loop.sock_sendall(left, DATA * 20)):
            task = asyncio.ensure_future(call())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])


async def never_awaited():
    loop = asyncio.get_running_loop()
    left, right = pair()
    with left, right:
        loop.sock_recv(left, 10).close()
        loop.sock_sendall(left, b"x").close()


async def several():
    loop = asyncio.get_running_loop()
    left, right = pair()
    with left, right:
        tasks = [asyncio.ensure_future(loop.sock_recv(right, 1))
                 for _ in range(4)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[2].cancel()
        await asyncio.sleep(0)
        left.send(b"ab")
        assert await tasks[1] + await tasks[3] == b"ab"


async def taken_over():
    loop = asyncio.get_running_loop()
    left, right = pair()
    with left, right:
        tasks = [asyncio.ensure_future(loop.sock_recv(right, 1))
                 for _ in range(3)]
        await asyncio.sleep(0)
        loop.add_reader(right, int)
        loop.remove_reader(right)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def closed_meanwhile():
    loop = asyncio.get_running_loop()
    left, right = pair()
    task = asyncio.ensure_future(loop.sock_recv(right, 10))
    await asyncio.sleep(0)
    right.close()
    left.send(b"x")
    assert await task == b"x"
    assert right.fileno() == -1
    left.close()


async def abandoned():
    loop = asyncio.get_running_loop()
    left, right = pair()
    with left, right:
        for coro in (loop.sock_recv(left, 10), loop.sock_recv(left, 10),
                     loop.sock_recv_into(right, bytearray(10))):
            coro.send(None)
        del coro


async def files():
    loop = asyncio.get_running_loop()
    left, right = pair()
    with left, right, open(__file__, "rb") as file:
        for _ in range(3):
            count = await loop.sock_sendfile(left, file, 0, 1000)
            assert len(await loop.sock_recv(right, 5000)) == count
        try:
            await loop.sock_sendfile(left, Nothing(), fallback=False)
        except asyncio.SendfileNotAvailableError:
            pass


class Nothing:
    mode = "b"


def shouts():
    raise KeyError("in a thread")


async def threads():
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, pow, 2, 3) == 8
    assert await asyncio.to_thread(len, b"abc") == 3
    try:
        await loop.run_in_executor(None, shouts)
    except KeyError:
        pass
    future = loop.run_in_executor(None, len, b"")
    future.cancel()
    await asyncio.sleep(0)
    await loop.run_in_executor(None, int)


for function in (several, taken_over, closed_meanwhile, abandoned, files,
                 threads):
    check(on_a_loop(function), 25)
for function in (talk, large, accepted, datagrams, refused, wrong, cancelled,
                 never_awaited):
    check(on_a_loop(function), 25)
finish()
