"""loop.sock_*(): the calls, their waits and their errors, against asyncio's."""

import asyncio
import contextlib
import gc
import os
import socket
import ssl
import sys
import threading

import netsupport
import pytest
import support

FAMILIES = ["tcp", "tcp6", "unix"]


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def listener_of(kind):
    if kind == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.bind("\0fastasync-%d-%s" % (os.getpid(), os.urandom(4).hex()))
        sock.listen(200)
    elif kind == "tcp6":
        if not has_ipv6():
            pytest.skip("no IPv6 here")
        sock = socket.create_server(("::1", 0), family=socket.AF_INET6)
    else:
        sock = socket.create_server(("127.0.0.1", 0), backlog=200)
    sock.setblocking(False)
    return sock


def pair_of(kind):
    """Two connected, non-blocking ends."""
    if kind == "unix":
        ends = socket.socketpair()
    else:
        with listener_of(kind) as listener:
            one = socket.socket(listener.family)
            one.connect(listener.getsockname())
            two, _ = listener.accept()
        ends = one, two
    for end in ends:
        end.setblocking(False)
    return ends


@contextlib.contextmanager
def ends(kind="tcp", small=False):
    one, two = pair_of(kind)
    with one, two:
        if small:
            for end in one, two:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        yield one, two


def run(loop, coro):
    return loop.run_until_complete(asyncio.wait_for(coro, 20))


async def turns(count=3):
    for _ in range(count):
        await asyncio.sleep(0)


async def polls(count=3):
    """Long enough for the poller to have been asked."""
    for _ in range(count):
        await asyncio.sleep(0.002)


async def outcome(aw):
    try:
        return await aw
    except BaseException as exc:
        return support.why(exc)


def ours(side):
    if not side.ours:
        pytest.skip("a promise of ours")


# -- the calls ---------------------------------------------------------------


@pytest.mark.parametrize("kind", FAMILIES)
def test_receive_what_is_there(loop, kind):
    async def main():
        with ends(kind) as (one, two):
            two.send(b"hello")
            await polls(1)
            assert await loop.sock_recv(one, 3) == b"hel"
            assert await loop.sock_recv(one, 100) == b"lo"
            assert await loop.sock_recv(one, 0) == b""

    run(loop, main())


@pytest.mark.parametrize("kind", FAMILIES)
def test_nothing_is_awaited_that_is_there(loop, kind):
    with ends(kind) as (one, two):
        two.send(b"hello")
        for coro, value in (
            (loop.sock_recv(one, 3), b"hel"),
            (loop.sock_recv_into(one, bytearray(2)), 2),
            (loop.sock_sendall(one, b"x"), None),
        ):
            with pytest.raises(StopIteration) as caught:
                coro.send(None)
            assert caught.value.value == value


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("size", [1, 1000, 65536, 65537, 300000])
def test_wait_and_receive(loop, kind, size):
    async def main():
        with ends(kind) as (one, two):
            data = netsupport.pattern(size)
            for _ in range(3):
                task = loop.create_task(loop.sock_recv(one, 1 << 20))
                await turns()
                sending = loop.create_task(loop.sock_sendall(two, data))
                got = await task
                while len(got) < size:
                    got += await loop.sock_recv(one, 1 << 20)
                assert got == data
                await sending
            two.close()
            assert await loop.sock_recv(one, 10) == b""
            assert await loop.sock_recv(one, 10) == b""

    run(loop, main())


@pytest.mark.parametrize("kind", FAMILIES)
def test_end_of_file_behind_data(loop, kind):
    """An end of file that came with the data is not announced again."""

    async def main():
        for _ in range(20):
            with ends(kind) as (one, two):
                task = loop.create_task(loop.sock_recv(one, 100))
                await polls(1)
                two.send(b"last words")
                two.close()
                assert await task == b"last words"
                assert await loop.sock_recv(one, 100) == b""

    run(loop, main())


@pytest.mark.parametrize("kind", FAMILIES)
def test_receive_into(loop, kind):
    async def main():
        with ends(kind) as (one, two):
            buffer = bytearray(10)
            task = loop.create_task(loop.sock_recv_into(one, buffer))
            await turns()
            two.send(b"abc")
            assert await task == 3
            assert buffer[:3] == b"abc"
            two.send(b"defgh")
            view = memoryview(buffer)[4:6]
            assert await loop.sock_recv_into(one, view) == 2
            assert await loop.sock_recv_into(one, memoryview(buffer)) == 3
            assert buffer == b"fgh\0de\0\0\0\0"
            assert await loop.sock_recv_into(one, bytearray()) == 0

    run(loop, main())


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_send_more_than_fits(loop, kind, make):
    data = netsupport.pattern(500_000 if kind == "unix" else 25_000)

    async def main():
        with ends(kind, small=True) as (one, two):
            task = loop.create_task(loop.sock_sendall(one, make(data)))
            got = bytearray()
            while len(got) < len(data):
                await asyncio.sleep(0)
                got += await loop.sock_recv(two, 70_000)
            await task
            assert got == data
            assert await loop.sock_sendall(one, b"") is None

    run(loop, main())


def test_data_is_locked_while_it_is_sent(loop):
    async def main():
        with ends("unix", small=True) as (one, two):
            data = bytearray(200_000)
            task = loop.create_task(loop.sock_sendall(one, data))
            await polls(1)
            with pytest.raises(BufferError):
                data.append(1)
            task.cancel()
            await asyncio.wait([task])
            del task
            gc.collect()
            data.append(1)

    run(loop, main())


def test_items_of_several_bytes(loop):
    """send() counts bytes, len() items: asyncio waits for the rest."""

    async def main():
        with ends() as (one, two):
            view = memoryview(bytes(8)).cast("I")
            task = loop.create_task(loop.sock_sendall(one, view))
            await polls()
            state = task.done()
            task.cancel()
            await asyncio.wait([task])
            return state, (await loop.sock_recv(two, 100))[:8]

    assert run(loop, main()) == (False, bytes(8))


def udp_pair(family=socket.AF_INET):
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    made = []
    for _ in range(2):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind((host, 0))
        sock.setblocking(False)
        made.append(sock)
    return made


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_datagrams(loop, family):
    if family == socket.AF_INET6 and not has_ipv6():
        pytest.skip("no IPv6 here")

    async def main():
        one, two = udp_pair(family)
        with one, two:
            to = two.getsockname()
            task = loop.create_task(loop.sock_recvfrom(two, 100))
            await turns()
            assert await loop.sock_sendto(one, b"hello", to) == 5
            assert await task == (b"hello", one.getsockname())
            for i in range(5):
                assert await loop.sock_sendto(one, b"%d" % i * 3, to) == 3
            for i in range(5):
                assert (await loop.sock_recvfrom(two, 2))[0] == b"%d" % i * 2
            buffer = bytearray(10)
            task = loop.create_task(loop.sock_recvfrom_into(two, buffer))
            await turns()
            await loop.sock_sendto(one, b"again", to)
            assert await task == (5, one.getsockname())
            await loop.sock_sendto(one, b"AGAIN", to)
            got = await loop.sock_recvfrom_into(two, buffer, 3)
            assert got[0] == 3 and buffer[:5] == b"AGAin"
            big = bytes(60000)
            await loop.sock_sendto(one, big, to)
            assert (await loop.sock_recvfrom(two, 1 << 20))[0] == big
            await loop.sock_sendto(one, b"", to)
            assert (await loop.sock_recvfrom(two, 100))[0] == b""

    run(loop, main())


def test_unix_datagrams(loop):
    async def main():
        one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with one, two:
            one.setblocking(False)
            two.setblocking(False)
            task = loop.create_task(loop.sock_recvfrom(two, 200_000))
            await turns()
            big = netsupport.pattern(100_000)
            await loop.sock_sendall(one, big)
            got, address = await task
            assert got == big and address in (None, "")
            await loop.sock_sendall(one, big)
            # a message that is longer than the buffer is cut off, not split
            assert await loop.sock_recv(two, 1 << 18) == big

    run(loop, main())


@pytest.mark.parametrize("kind", FAMILIES)
def test_accept_and_connect(loop, kind):
    async def main():
        with listener_of(kind) as listener:
            accepting = loop.create_task(loop.sock_accept(listener))
            await turns()
            with socket.socket(listener.family) as client:
                client.setblocking(False)
                where = listener.getsockname()
                assert await loop.sock_connect(client, where) is None
                conn, address = await accepting
                with conn:
                    assert conn.gettimeout() == 0
                    assert type(conn) is socket.socket
                    assert address == conn.getpeername() or kind == "unix"
                    await loop.sock_sendall(client, b"hi")
                    assert await loop.sock_recv(conn, 10) == b"hi"

    run(loop, main())


def test_accept_storm(loop):
    async def main():
        with listener_of("tcp") as listener:
            where = listener.getsockname()
            clients = [socket.create_connection(where) for _ in range(60)]
            seen = set()
            for _ in range(60):
                conn, address = await loop.sock_accept(listener)
                seen.add(address)
                conn.close()
            assert seen == {c.getsockname() for c in clients}
            for client in clients:
                client.close()
            task = loop.create_task(loop.sock_accept(listener))
            await polls(1)
            assert not task.done()
            with socket.create_connection(where):
                (await task)[0].close()

    run(loop, main())


def test_connect_with_a_name(loop):
    async def main():
        with listener_of("tcp") as listener:
            port = listener.getsockname()[1]
            asked = []
            resolve = loop.getaddrinfo

            async def getaddrinfo(*args, **kwargs):
                asked.append(args[:2])
                return await resolve(*args, **kwargs)

            loop.getaddrinfo = getaddrinfo
            try:
                for host in "localhost", "127.0.0.1":
                    with socket.socket() as client:
                        client.setblocking(False)
                        await loop.sock_connect(client, (host, port))
                        assert client.getpeername()[1] == port
            finally:
                del loop.getaddrinfo
            assert asked == [("localhost", port)]

    run(loop, main())


def test_a_replaced_resolver_is_asked(loop):
    async def main():
        with listener_of("tcp") as listener:
            where = listener.getsockname()
            asked = []

            async def resolved(address, *, family, type, proto, loop):
                asked.append((address, family, type, proto))
                return [(None, None, None, None, where)]

            loop._ensure_resolved = resolved
            with socket.socket() as client:
                client.setblocking(False)
                await loop.sock_connect(client, ("127.0.0.1", 1))
                assert client.getpeername() == where
            assert asked == [(("127.0.0.1", 1), socket.AF_INET,
                              socket.SOCK_STREAM, 0)]
            del loop._ensure_resolved

    run(loop, main())


# -- errors ------------------------------------------------------------------


def closed_socket():
    sock = socket.socket()
    sock.close()
    return sock


class Duck:
    """A socket by its methods only."""

    family, type, proto = socket.AF_UNIX, socket.SOCK_STREAM, 0

    def __init__(self, sock):
        self.sock = sock
        self.calls = []

    def __getattr__(self, name):
        method = getattr(self.sock, name)

        def call(*args):
            self.calls.append(name)
            return method(*args)

        return call


WRONG = {
    "closed recv": lambda loop, s: loop.sock_recv(closed_socket(), 1),
    "closed recv_into": lambda loop, s: loop.sock_recv_into(
        closed_socket(), bytearray(1)),
    "closed recvfrom": lambda loop, s: loop.sock_recvfrom(closed_socket(), 1),
    "closed sendall": lambda loop, s: loop.sock_sendall(closed_socket(), b"x"),
    "closed sendto": lambda loop, s: loop.sock_sendto(
        closed_socket(), b"x", ("127.0.0.1", 1)),
    "closed accept": lambda loop, s: loop.sock_accept(closed_socket()),
    "closed connect": lambda loop, s: loop.sock_connect(
        closed_socket(), ("127.0.0.1", 1)),
    "negative": lambda loop, s: loop.sock_recv(s, -1),
    "no size": lambda loop, s: loop.sock_recv(s, "many"),
    "no int": lambda loop, s: loop.sock_recv(s, 1.5),
    "huge": lambda loop, s: loop.sock_recv(s, 1 << 70),
    "negative from": lambda loop, s: loop.sock_recvfrom(s, -1),
    "read-only": lambda loop, s: loop.sock_recv_into(s, b"abc"),
    "no buffer": lambda loop, s: loop.sock_recv_into(s, 5),
    "none from": lambda loop, s: loop.sock_recvfrom_into(s, None),
    "too long": lambda loop, s: loop.sock_recvfrom_into(s, bytearray(3), 5),
    "below 0": lambda loop, s: loop.sock_recvfrom_into(s, bytearray(3), -5),
    "text": lambda loop, s: loop.sock_sendall(s, "text"),
    "None": lambda loop, s: loop.sock_sendall(s, None),
    "no address": lambda loop, s: loop.sock_sendto(s, b"x", 5),
    "not listening": lambda loop, s: loop.sock_accept(s),
    "no port": lambda loop, s: loop.sock_connect(s, ("127.0.0.1", "x")),
    "no host": lambda loop, s: loop.sock_connect(s, (b"\xff\xfe", 1)),
    "one": lambda loop, s: loop.sock_connect(s, ("127.0.0.1",)),
    "connected": lambda loop, s: loop.sock_connect(s, ("127.0.0.1", 1)),
    "not a socket": lambda loop, s: loop.sock_recv(None, 1),
    "number": lambda loop, s: loop.sock_recv(s.fileno(), 1),
}


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("name", WRONG)
def test_errors_are_asyncios(name, debug):
    told = []
    for side in support.both():
        loop = side.new_loop()
        loop.set_debug(debug)
        with contextlib.closing(loop), ends() as (one, two):
            two.send(b"something")
            told.append(run(loop, outcome(WRONG[name](loop, one))))
    assert told[0] == told[-1]


ARGUMENTS = {
    "sock_recv": [(), ("s",), ("s", 1, 2)],
    "sock_recv_into": [(), ("s", 1, 2)],
    "sock_recvfrom": [("s",)],
    "sock_recvfrom_into": [("s",), ("s", 1, 2, 3)],
    "sock_sendall": [("s",)],
    "sock_sendto": [("s", 1), ("s", 1, 2, 3)],
    "sock_accept": [(), ("s", 1)],
    "sock_connect": [("s",)],
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_wrong_arguments_are_refused_at_the_call(name):
    for args in ARGUMENTS[name]:
        told = []
        for side in support.both():
            with contextlib.closing(side.new_loop()) as loop:
                with pytest.raises(TypeError) as caught:
                    getattr(loop, name)(*args)
                told.append(str(caught.value))
        assert told[0] == told[-1]


def test_keywords(loop):
    async def main():
        with ends() as (one, two):
            await loop.sock_sendall(sock=one, data=b"abc")
            assert await loop.sock_recv(two, n=10) == b"abc"
        one, two = udp_pair()
        with one, two:
            await loop.sock_sendto(one, data=b"abc", address=two.getsockname())
            buffer = bytearray(5)
            got = await loop.sock_recvfrom_into(sock=two, buf=buffer, nbytes=2)
            assert got[0] == 2

    run(loop, main())


def test_refused(loop):
    async def main():
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            where = sock.getsockname()
            told = []
            for _ in range(2):
                with socket.socket() as client:
                    client.setblocking(False)
                    with pytest.raises(ConnectionRefusedError) as caught:
                        await loop.sock_connect(client, where)
                    told.append(str(caught.value))
        assert told == ["[Errno 111] Connect call failed "
                        f"('127.0.0.1', {where[1]})"] * 2

    run(loop, main())


def test_refused_over_ipv6(loop):
    if not has_ipv6():
        pytest.skip("no IPv6 here")

    async def main():
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
            port = sock.getsockname()[1]
            with socket.socket(socket.AF_INET6) as client:
                client.setblocking(False)
                with pytest.raises(ConnectionRefusedError) as caught:
                    await loop.sock_connect(client, ("::1", port))
        assert f"('::1', {port}, 0, 0)" in str(caught.value)

    run(loop, main())


def test_no_such_unix_socket(loop):
    async def main():
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            return await outcome(loop.sock_connect(client, "/no/such/path"))

    assert run(loop, main()).startswith("FileNotFoundError: ")


def test_a_reset_is_an_error(loop):
    async def main():
        with ends() as (one, two):
            task = loop.create_task(loop.sock_recv(one, 10))
            await polls(1)
            two.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                           b"\1\0\0\0\0\0\0\0")
            two.close()
            assert (await outcome(task)).startswith("ConnectionResetError")
            assert await outcome(loop.sock_recv(one, 10)) == b""
            told = await outcome(loop.sock_sendall(one, b"x"))
            assert told.startswith("BrokenPipeError")

    run(loop, main())


def test_debug_mode_wants_non_blocking_sockets(loop):
    loop.set_debug(True)

    async def main():
        with ends() as (one, two):
            one.settimeout(1)
            for call in (loop.sock_recv(one, 1), loop.sock_sendall(one, b"x"),
                         loop.sock_accept(one),
                         loop.sock_connect(one, ("127.0.0.1", 1))):
                told = await outcome(call)
                assert told == "ValueError: the socket must be non-blocking"
            one.setblocking(False)
            task = loop.create_task(loop.sock_recv(one, 10))
            await turns()
            await loop.sock_sendall(two, b"fine")
            assert await task == b"fine"

    run(loop, main())


def test_tls_sockets_are_refused(loop):
    async def main():
        context = ssl.create_default_context()
        with socket.socket() as raw:
            sock = context.wrap_socket(raw, server_hostname="x",
                                       do_handshake_on_connect=False)
            with sock:
                for call in (loop.sock_recv(sock, 1),
                             loop.sock_sendall(sock, b"x"),
                             loop.sock_accept(sock),
                             loop.sock_connect(sock, ("127.0.0.1", 1))):
                    told = await outcome(call)
                    assert told == ("TypeError: Socket cannot be of type "
                                    "SSLSocket")

    run(loop, main())


def test_other_objects_are_asked_by_their_methods(loop):
    async def main():
        with ends("unix") as (one, two):
            duck = Duck(one)
            task = loop.create_task(loop.sock_recv(duck, 10))
            await turns()
            await loop.sock_sendall(two, b"quack")
            assert await task == b"quack"
            assert duck.calls.count("recv") == 2
            await loop.sock_sendall(duck, b"x")
            assert "send" in duck.calls

    run(loop, main())


def test_replaced_methods_are_called(loop, monkeypatch):
    calls = []

    class Mine(socket.socket):
        def recv(self, n):
            calls.append(n)
            return super().recv(n)

    async def main():
        with ends("unix") as (one, two):
            with Mine(fileno=one.detach()) as mine:
                mine.setblocking(False)
                two.send(b"abc")
                assert await loop.sock_recv(mine, 7) == b"abc"
        assert calls == [7]
        with ends("unix") as (one, two):
            two.send(b"abc")
            monkeypatch.setattr(socket.socket, "recv",
                                lambda self, n: b"replaced", raising=False)
            assert await loop.sock_recv(one, 7) == b"replaced"
            monkeypatch.undo()
            assert await loop.sock_recv(one, 7) == b"abc"

    run(loop, main())


def test_overridden_loop_methods_are_called(side):
    calls = []
    base = type(side.new_loop())

    class Mine(base):
        def _add_reader(self, fd, *args, **kwargs):
            calls.append("add")
            return super()._add_reader(fd, *args, **kwargs)

        def remove_reader(self, fd):
            calls.append("remove")
            return super().remove_reader(fd)

    async def main():
        loop = asyncio.get_running_loop()
        with ends("unix") as (one, two):
            calls.clear()
            task = loop.create_task(loop.sock_recv(one, 10))
            await polls(1)
            two.send(b"x")
            assert await task == b"x"
            assert calls == ["add", "remove"]

    with contextlib.closing(Mine()) as loop:
        run(loop, main())


def test_the_fd_of_a_transport_is_refused(loop):
    async def main():
        with ends("unix") as (one, two):
            tr, _ = await loop.create_connection(asyncio.Protocol, sock=one)
            told = await outcome(loop.sock_recv(one, 1))
            assert told.startswith("RuntimeError: File descriptor")
            assert "is used by transport" in told
            tr.abort()
            await turns()

    run(loop, main())


def test_the_transport_gets_a_socket_that_was_used(loop):
    """create_connection(sock=) after sock_connect and sock_recv."""

    async def main():
        with listener_of("tcp") as listener:
            client = socket.socket()
            client.setblocking(False)
            await loop.sock_connect(client, listener.getsockname())
            conn, _ = await loop.sock_accept(listener)
            task = loop.create_task(loop.sock_recv(client, 5))
            await polls(1)
            await loop.sock_sendall(conn, b"first")
            assert await task == b"first"
            protocol = netsupport.Recorder()
            tr, _ = await loop.create_connection(lambda: protocol, sock=client)
            await loop.sock_sendall(conn, b"second")
            conn.shutdown(socket.SHUT_WR)
            await polls()
            assert protocol.data == b"second"
            assert protocol.events[-1] == ("lost", None)
            conn.close()

    run(loop, main())


# -- waiting -----------------------------------------------------------------


def test_cancelled_calls_leave_the_data(loop, side):
    ours(side)

    async def main():
        with ends() as (one, two):
            for when in range(6):
                task = loop.create_task(loop.sock_recv(one, 100))
                await polls(1)
                two.send(b"data")
                for _ in range(when):
                    await asyncio.sleep(0)
                task.cancel()
                got = await outcome(task)
                if got != b"data":
                    assert got.startswith("CancelledError")
                    assert await loop.sock_recv(one, 100) == b"data"

    run(loop, main())


@pytest.mark.parametrize("name", ["recv", "recv_into", "recvfrom",
                                  "recvfrom_into", "accept", "sendall",
                                  "connect"])
def test_cancel_each(loop, name):
    async def main():
        with ends("unix", small=True) as (one, two):
            with listener_of("tcp") as listener:
                if name == "sendall":
                    with contextlib.suppress(BlockingIOError):
                        while True:
                            one.send(bytes(4096))
                call = {
                    "recv": lambda: loop.sock_recv(one, 10),
                    "recv_into": lambda: loop.sock_recv_into(
                        one, bytearray(5)),
                    "recvfrom": lambda: loop.sock_recvfrom(one, 10),
                    "recvfrom_into": lambda: loop.sock_recvfrom_into(
                        one, bytearray(5)),
                    "accept": lambda: loop.sock_accept(listener),
                    "sendall": lambda: loop.sock_sendall(one, bytes(10)),
                    "connect": lambda: loop.sock_connect(
                        client, listener.getsockname()),
                }[name]
                for _ in range(3):
                    client = socket.socket()
                    client.setblocking(False)
                    task = loop.create_task(call())
                    await asyncio.sleep(0)
                    task.cancel("why")
                    told = await outcome(task)
                    client.close()
                    assert told in (None, "CancelledError: why")
                # and nobody watches any more
                assert not loop.remove_reader(one.fileno())
                assert not loop.remove_writer(one.fileno())
                if name == "recv":
                    two.send(b"later")
                    assert await call() == b"later"

    run(loop, main())


def test_timeouts(loop):
    async def main():
        with ends() as (one, two):
            for _ in range(5):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(loop.sock_recv(one, 1), 0.005)
            two.send(b"x")
            assert await loop.sock_recv(one, 1) == b"x"

    run(loop, main())


def test_two_wait_for_the_same(loop, side):
    ours(side)  # asyncio forgets the first

    async def main():
        with ends() as (one, two):
            tasks = [loop.create_task(loop.sock_recv(one, 1))
                     for _ in range(5)]
            await polls(1)
            tasks[1].cancel()
            await turns()
            two.send(b"abcd")
            del tasks[1]
            assert await asyncio.gather(*tasks) == [b"a", b"b", b"c", b"d"]

    run(loop, main())


def test_the_first_of_two_is_cancelled(loop, side):
    ours(side)

    async def main():
        with ends() as (one, two):
            first = loop.create_task(loop.sock_recv(one, 10))
            second = loop.create_task(loop.sock_recv(one, 10))
            await polls(1)
            two.send(b"x")
            first.cancel()
            assert await second == b"x"
            await asyncio.wait([first])

    run(loop, main())


def test_reader_and_writer_at_once(loop):
    async def main():
        with ends("unix", small=True) as (one, two):
            data = netsupport.pattern(100_000)
            sending = loop.create_task(loop.sock_sendall(one, data))
            reading = loop.create_task(loop.sock_recv(one, 10))
            await polls(1)
            await loop.sock_sendall(two, b"x")
            assert await reading == b"x"
            got = bytearray()
            while len(got) < len(data):
                got += await loop.sock_recv(two, 1000)
            await sending
            assert got == data

    run(loop, main())


def test_somebody_else_watches_the_other_direction(loop):
    async def main():
        with ends("unix", small=True) as (one, two):
            seen = []
            loop.add_reader(one, lambda: seen.append(one.recv(100)))
            data = netsupport.pattern(100_000)
            sending = loop.create_task(loop.sock_sendall(one, data))
            await polls(1)
            two.send(b"hello")
            await polls(1)
            assert seen == [b"hello"]
            got = bytearray()
            while len(got) < len(data):
                got += await loop.sock_recv(two, 1000)
            await sending
            assert got == data
            two.send(b"again")
            await polls(1)
            assert seen == [b"hello", b"again"]
            assert loop.remove_reader(one)
            assert not loop.remove_writer(one)

    run(loop, main())


def test_add_reader_takes_over(loop):
    """asyncio: the call that waits is not told any more."""

    async def main():
        with ends() as (one, two):
            task = loop.create_task(loop.sock_recv(one, 10))
            await polls(1)
            seen = []
            loop.add_reader(one, lambda: seen.append(one.recv(100)))
            two.send(b"for the reader")
            await polls()
            assert seen == [b"for the reader"] and not task.done()
            task.cancel()
            await asyncio.wait([task])
            two.send(b"more")
            await polls()
            assert seen == [b"for the reader", b"more"]
            assert loop.remove_reader(one)
            two.send(b"x")
            assert await loop.sock_recv(one, 10) == b"x"

    run(loop, main())


def test_remove_reader_ends_the_wait(loop):
    async def main():
        with ends() as (one, two):
            task = loop.create_task(loop.sock_recv(one, 10))
            await polls(1)
            assert loop.remove_reader(one)
            two.send(b"x")
            await polls()
            assert not task.done()
            task.cancel()
            await asyncio.wait([task])
            assert await loop.sock_recv(one, 10) == b"x"

    run(loop, main())


def test_add_reader_after_receiving(loop):
    """Level triggered again, whatever was known of the fd."""

    async def main():
        with ends() as (one, two):
            for _ in range(3):
                task = loop.create_task(loop.sock_recv(one, 1))
                await polls(1)
                two.send(b"abc")
                assert await task == b"a"
                seen = []
                loop.add_reader(one, lambda: seen.append(one.recv(1)))
                await polls()
                assert seen == [b"b", b"c"]
                assert loop.remove_reader(one)

    run(loop, main())


def test_data_that_nobody_waits_for(loop):
    """It is not lost, and it does not keep the loop busy."""

    async def main():
        with ends() as (one, two):
            task = loop.create_task(loop.sock_recv(one, 1))
            await polls(1)
            two.send(b"a")
            assert await task == b"a"
            for i in range(12):
                two.send(b"%x" % i)
                await polls(1)
            assert await loop.sock_recv(one, 100) == b"0123456789ab"
            task = loop.create_task(loop.sock_recv(one, 100))
            await polls(1)
            two.send(b"end")
            assert await task == b"end"

    run(loop, main())


def test_others_may_read_in_between(loop):
    async def main():
        with ends() as (one, two):
            for _ in range(5):
                task = loop.create_task(loop.sock_recv(one, 100))
                await polls(1)
                two.send(b"abc")
                assert await task == b"abc"
                two.send(b"defghi")
                await polls(1)
                assert one.recv(3) == b"def"
                assert await loop.sock_recv(one, 100) == b"ghi"
                two.send(b"gone")
                await polls(1)
                assert one.recv(100) == b"gone"

    run(loop, main())


def test_urgent_data(loop):
    async def main():
        with ends() as (one, two):
            task = loop.create_task(loop.sock_recv(one, 100))
            await polls(1)
            two.send(b"abc")
            two.send(b"!", socket.MSG_OOB)
            two.send(b"def")
            got = await task
            while len(got) < 6:
                got += await loop.sock_recv(one, 100)
            assert got == b"abcdef"

    run(loop, main())


def test_passed_file_descriptors_cut_a_read_short(loop):
    """A short read of a Unix socket does not mean that nothing is left."""

    async def main():
        with ends("unix") as (one, two):
            task = loop.create_task(loop.sock_recv(one, 100))
            await polls(1)
            with open(os.devnull) as file:
                two.send(b"a")
                socket.send_fds(two, [b"b"], [file.fileno()])
                two.send(b"c")
            got = await task
            while len(got) < 3:
                got += await loop.sock_recv(one, 100)
            assert got == b"abc"

    run(loop, main())


# -- whose fd it is ----------------------------------------------------------


def test_a_waiting_call_keeps_its_fd(loop, side):
    ours(side)

    async def main():
        with ends() as (one, two):
            task = loop.create_task(loop.sock_recv(one, 10))
            await polls(1)
            number = one.fileno()
            one.close()
            assert one.fileno() == number
            with socket.socket() as other:
                assert other.fileno() != number
            two.send(b"still")
            assert await task == b"still"
            assert one.fileno() == -1
            assert two.recv(10) == b""

    run(loop, main())


def test_close_after_cancel(loop):
    async def main():
        with ends() as (one, two):
            task = loop.create_task(loop.sock_recv(one, 10))
            await polls(1)
            task.cancel()
            await asyncio.wait([task])
            one.close()
            assert one.fileno() == -1
            await polls(1)
            assert two.recv(10) == b""

    run(loop, main())


def test_close_before_cancel(loop, side):
    ours(side)

    async def main():
        with ends() as (one, two):
            task = loop.create_task(loop.sock_recv(one, 10))
            await polls(1)
            one.close()
            task.cancel()
            await asyncio.wait([task])
            assert one.fileno() == -1

    run(loop, main())


def take_over(number):
    """Two connected sockets; the first has that number."""
    one, two = pair_of("tcp")
    if two.fileno() == number:
        return two, one
    if one.fileno() != number:
        os.dup2(one.fileno(), number)
        one.close()
        one = socket.socket(fileno=number)
        one.setblocking(False)
    return one, two


def test_the_number_is_used_again(loop):
    async def main():
        for _ in range(30):
            with ends() as (one, two):
                number = one.fileno()
                task = loop.create_task(loop.sock_recv(one, 10))
                await polls(1)
                two.send(b"old")
                assert await task == b"old"
                one.close()
                three, four = take_over(number)
                with three, four:
                    task = loop.create_task(loop.sock_recv(three, 10))
                    await polls(1)
                    assert not task.done()
                    four.send(b"new")
                    assert await task == b"new"

    run(loop, main())


def test_the_number_is_used_again_while_another_process_has_the_file(loop):
    async def main():
        one, two = pair_of("tcp")
        number = one.fileno()
        task = loop.create_task(loop.sock_recv(one, 10))
        await polls(1)
        two.send(b"old")
        assert await task == b"old"
        kept = os.dup(number)  # as a child would have it
        one.close()
        three, four = take_over(number)
        task = loop.create_task(loop.sock_recv(three, 10))
        await polls(1)
        two.send(b"for the old one")
        await polls()
        assert not task.done()
        four.send(b"new")
        assert await task == b"new"
        os.close(kept)
        for sock in two, three, four:
            sock.close()

    run(loop, main())


def test_detached_while_waiting(loop, side):
    ours(side)

    async def main():
        one, two = pair_of("tcp")
        task = loop.create_task(loop.sock_recv(one, 10))
        await polls(1)
        with two, socket.socket(fileno=one.detach()) as again:
            again.setblocking(False)
            other = loop.create_task(loop.sock_recv(again, 10))
            await polls(1)
            two.send(b"x")
            assert await other == b"x"
            assert (await outcome(task)).startswith("OSError: [Errno 9]")

    run(loop, main())


def test_two_objects_for_one_fd(loop, side):
    ours(side)

    async def main():
        with ends() as (one, two):
            twin = socket.socket(fileno=one.fileno())
            twin.setblocking(False)
            try:
                tasks = [loop.create_task(loop.sock_recv(sock, 1))
                         for sock in (one, twin, one, twin)]
                await polls()
                two.send(b"abcd")
                assert sorted(await asyncio.gather(*tasks)) == [
                    b"a", b"b", b"c", b"d"]
            finally:
                twin.detach()

    run(loop, main())


def test_two_loops_on_one_socket(side):
    one, two = pair_of("tcp")
    got = []
    ready = threading.Barrier(2, timeout=10)

    def reader():
        loop = side.new_loop()

        async def main():
            ready.wait()
            while data := await loop.sock_recv(one, 1):
                got.append(data)

        with contextlib.closing(loop):
            loop.run_until_complete(main())

    threads = [threading.Thread(target=reader) for _ in range(2)]
    for thread in threads:
        thread.start()
    with one, two:
        two.settimeout(10)
        two.sendall(b"0123456789" * 20)
        two.close()
        for thread in threads:
            thread.join(15)
            assert not thread.is_alive()
    assert len(got) == 200


def test_the_loop_closes_while_a_call_waits(side):
    loop = side.new_loop()
    with ends() as (one, two):
        coro = loop.sock_recv(one, 10)

        async def start():
            coro.send(None)

        loop.run_until_complete(start())
        loop.close()
        with pytest.raises(asyncio.CancelledError):
            coro.throw(asyncio.CancelledError())


def test_coroutines_that_nobody_finishes(loop, side):
    ours(side)

    async def main():
        with ends() as (one, two):
            coro = loop.sock_recv(one, 10)
            coro.send(None)
            del coro
            gc.collect()
            two.send(b"x")
            await polls(1)
            assert await loop.sock_recv(one, 10) == b"x"
            one.close()
            assert one.fileno() == -1

    run(loop, main())


def test_on_another_loop(loop, side):
    """The future is of the loop that was asked: the task says no."""
    other = side.new_loop()

    async def main():
        with ends() as (one, two):
            return await outcome(other.sock_recv(one, 10))

    with contextlib.closing(other):
        assert "attached to a different loop" in run(loop, main())


def test_call_order():
    """Who is told first, and in which turn of the loop."""

    async def main(loop):
        log = []
        pairs = [pair_of("unix") for _ in range(3)]

        async def wait(i):
            await loop.sock_recv(pairs[i][0], 10)
            log.append(i)

        tasks = [loop.create_task(wait(i)) for i in range(3)]
        await polls(1)
        for i in (2, 0, 1):
            pairs[i][1].send(b"x")
        await asyncio.wait(tasks)
        for a, b in pairs:
            a.close()
            b.close()
        return log

    told = []
    for side in support.both():
        with contextlib.closing(side.new_loop()) as loop:
            told.append(run(loop, main(loop)))
    assert told[0] == told[-1]


def test_thousands_of_echoes(loop):
    async def serve(conn):
        with conn:
            while data := await loop.sock_recv(conn, 4096):
                await loop.sock_sendall(conn, data)

    async def talk(where, count):
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, where)
            for i in range(count):
                data = b"%d" % i * 50
                await loop.sock_sendall(sock, data)
                assert await loop.sock_recv(sock, 4096) == data

    async def main():
        with listener_of("tcp") as listener:
            where = listener.getsockname()
            talks = [loop.create_task(talk(where, 500)) for _ in range(6)]
            serves = []
            for _ in talks:
                conn, _ = await loop.sock_accept(listener)
                serves.append(loop.create_task(serve(conn)))
            await asyncio.gather(*talks)
            await asyncio.gather(*serves)

    run(loop, main())


COUNTED = """
import asyncio, socket, sys
import fastasync

async def main():
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        two, _ = listener.accept()
    one.setblocking(False), two.setblocking(False)
    async def serve():
        while data := await loop.sock_recv(two, 4096):
            await loop.sock_sendall(two, data)
    task = loop.create_task(serve())
    for _ in range(500):
        await loop.sock_sendall(one, bytes(1024))
        await loop.sock_recv(one, 4096)
    one.close()
    await task
    two.close()

asyncio.run(main(), loop_factory=fastasync.new_event_loop)
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="loop_factory")
def test_system_calls(tmp_path):
    """An echo: two waits, two sends, two receives, nothing else."""
    import shutil
    import subprocess

    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace")
    log = tmp_path / "calls"
    done = subprocess.run(
        [strace, "-f", "-o", log, sys.executable, "-c", COUNTED],
        capture_output=True, text=True, timeout=100)
    if "ptrace" in done.stderr:
        pytest.skip("may not trace")
    assert done.returncode == 0, done.stderr
    lines = log.read_text().splitlines()

    def count(*names):
        return sum(any(f" {name}(" in line for name in names)
                   for line in lines)

    assert count("recvfrom", "recv") <= 1010
    assert count("sendto", "send") <= 1010
    assert count("epoll_wait", "epoll_pwait", "epoll_pwait2") <= 1040
    assert count("epoll_ctl") <= 12
