"""What runs while system calls fail: small programs with asyncio's public API.

Each scene is a coroutine function. It either succeeds, having compared every
byte, or raises; what it has opened it closes in any case. `Wrong` is raised
for what must never happen, whatever the kernel says: bytes that were not sent,
twice the same, or success without all of them.
"""

import asyncio
import contextlib
import os
import pathlib
import signal
import socket
import ssl
import sys
import tempfile
import threading
from concurrent import futures

HERE = pathlib.Path(__file__).parent
HOST = "127.0.0.1"

#: name -> coroutine function
SCENES = {}

#: The scene that makes a loop and closes it: a function of new_loop.
WHOLE_LIFE = "whole_life"

#: Scenes in which asyncio's own code does the work as long as fastasync borrows
#: it: the method it is borrowed with, and the calls that are not tried then.
#: When the poller refuses a file, asyncio leaves transports that never hear of
#: anything; when a pipe of a child cannot be connected, up to 3.12 the others.
BORROWED = {
    "udp": ("_make_datagram_transport", {"epoll_ctl"}),
    "udp_burst": ("_make_datagram_transport", {"epoll_ctl"}),
    "subprocess": (
        "_make_subprocess_transport",
        {"epoll_ctl", "fcntl", "fstat", "ioctl"},
    ),
    "shell": (
        "_make_subprocess_transport",
        {"epoll_ctl", "fcntl", "fstat", "ioctl"},
    ),
    # a connection whose server is closed before its transport is made
    "tls": ("_accept_connection2", {"connect"}),
    "sendfile": ("_sock_sendfile_native_impl", {"epoll_ctl"}),
}


#: Scenes with sock_* calls. Their sockets are watched edge triggered, and so the
#: kernel's EAGAIN is believed: that it is said of bytes that are there, and no
#: edge follows, is not tried. (Linux does not do that.)
EDGES = {"sock_calls", "sock_datagrams", "sendfile", "ready_made"}


class Wrong(Exception):
    """Something happened that no failing system call excuses."""


def scene(function):
    SCENES[function.__name__] = function
    return function


def check(condition, text):
    if not condition:
        raise Wrong(text)


_PATTERN = bytes((i * 7 + i // 251) & 255 for i in range(1 << 20))


def pattern(size, start=0):
    """Bytes in which every place looks different from its neighbours."""
    return _PATTERN[start : start + size]


class Compared:
    """Bytes that arrive must be those of a pattern, in order."""

    def __init__(self, start=0):
        self.start = start
        self.count = 0

    def feed(self, data):
        at = self.start + self.count
        check(bytes(data) == pattern(len(data), at), "wrong bytes arrived")
        self.count += len(data)


@contextlib.asynccontextmanager
async def serving(factory, **options):
    """A TCP server; gives its address."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(factory, HOST, 0, **options)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()


def end_of(protocol, name):
    """Tell who waits for the end of a connection."""
    future = getattr(protocol, name)
    if not future.done():
        future.set_result(None)


class Echo(asyncio.Protocol):
    """Gives back what it gets, in two writes."""

    made = []

    def connection_made(self, transport):
        self.transport = transport
        self.made.append(transport)

    def data_received(self, data):
        self.transport.write(data[: len(data) // 2])
        self.transport.write(data[len(data) // 2 :])


class EchoBuffered(asyncio.BufferedProtocol):
    def connection_made(self, transport):
        self.transport = transport
        self.space = bytearray(4096)
        Echo.made.append(transport)

    def get_buffer(self, hint):
        return self.space

    def buffer_updated(self, count):
        self.transport.write(self.space[:count])


class Client(asyncio.Protocol):
    """Sends a pattern in messages; each must have come back before the next."""

    def __init__(self, sizes=(1, 700, 3000, 20)):
        self.sizes = list(sizes)
        self.lost = False
        self.sent = 0
        self.got = Compared()
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.next()

    def next(self):
        if not self.sizes:
            self.transport.close()
            return
        size = self.sizes.pop(0)
        self.sent += size
        self.transport.write(pattern(size, self.sent - size))

    def data_received(self, data):
        self.got.feed(data)
        check(self.got.count <= self.sent, "more came back than was sent")
        if self.got.count == self.sent:
            self.next()

    def connection_lost(self, exc):
        check(not self.lost, "connection_lost was called twice")
        self.lost = True
        if self.ended.done():
            return
        whole = not self.sizes and self.got.count == self.sent
        if exc is None and not whole:
            exc = ConnectionResetError("the server has gone")
        if exc is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(exc)


async def talk(factory, connect):
    """Connect a client made by `factory`, and wait for its end."""
    transport, client = await connect(factory)
    try:
        await client.ended
    finally:
        transport.abort()


async def echoes(server, count=2):
    loop = asyncio.get_running_loop()
    async with serving(server) as address:
        for _ in range(count):
            await talk(
                Client, lambda make: loop.create_connection(make, *address)
            )


@scene
async def tcp_protocol():
    await echoes(Echo)


@scene
async def tcp_buffered():
    await echoes(EchoBuffered)


@scene
async def streams():
    async def serve(reader, writer):
        try:
            Echo.made.append(writer.transport)
            while line := await reader.readline():
                if not line.endswith(b"\n"):
                    return
                writer.write(line)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with contextlib.AsyncExitStack() as stack:
        server = await asyncio.start_server(serve, HOST, 0)
        stack.callback(server.close)
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address)
        stack.callback(writer.transport.abort)
        for size in 10, 2000, 50000:
            line = pattern(size).replace(b"\n", b"-") + b"\n"
            writer.write(line)
            await writer.drain()
            check(await reader.readexactly(len(line)) == line, "wrong line")
        writer.close()
        await writer.wait_closed()


class Slow(asyncio.Protocol):
    """Reads with pauses, and says what has arrived when the peer is done."""

    def __init__(self, start=0):
        self.got = Compared(start)
        self.ended = asyncio.get_running_loop().create_future()
        self.exc = None

    def connection_made(self, transport):
        self.transport = transport
        if isinstance(transport, asyncio.Transport):
            Echo.made.append(transport)

    def data_received(self, data):
        self.got.feed(data)
        self.transport.pause_reading()
        asyncio.get_running_loop().call_soon(self.resume)

    def resume(self):
        try:
            self.transport.resume_reading()
        except OSError:
            self.transport.close()

    def connection_lost(self, exc):
        self.exc = exc
        end_of(self, "ended")


class Writer(asyncio.Protocol):
    """Writes as much as it may, then ends its half."""

    def __init__(self, size):
        self.size = size
        self.sent = 0
        self.paused = False
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        transport.set_write_buffer_limits(20000)
        self.go_on()

    def pause_writing(self):
        check(not self.paused, "pause_writing came twice")
        self.paused = True

    def resume_writing(self):
        check(self.paused, "resume_writing came twice")
        self.paused = False
        self.go_on()

    def go_on(self):
        while not self.paused and self.sent < self.size:
            part = min(9000, self.size - self.sent)
            data = pattern(part, self.sent)
            self.sent += part
            self.transport.writelines([data[:5000], b"", data[5000:]])
        if self.sent == self.size and not self.paused:
            self.transport.write_eof()

    def connection_lost(self, exc):
        self.exc = exc
        end_of(self, "ended")


@scene
async def backpressure():
    loop = asyncio.get_running_loop()
    made = []

    def factory():
        made.append(Slow())
        return made[-1]

    size = 400_000
    async with serving(factory) as address:
        transport, writer = await loop.create_connection(
            lambda: Writer(size), *address
        )
        try:
            await writer.ended
            if writer.exc is not None:
                raise writer.exc
            if not made:
                raise ConnectionResetError("never accepted")
            await made[0].ended
        finally:
            transport.abort()
        if made[0].exc is not None:
            raise made[0].exc
        if made[0].got.count != size:
            raise ConnectionResetError("only a part has arrived")


@scene
async def accepting():
    """Ten connections at once."""
    loop = asyncio.get_running_loop()
    async with serving(Echo) as address:
        await each(
            talk(
                lambda: Client((5, 5)),
                lambda make: loop.create_connection(make, *address),
            )
            for _ in range(10)
        )


async def each(coros):
    """Wait for all, then raise the first failure."""
    tasks = [asyncio.ensure_future(coro) for coro in coros]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for kind in Wrong, BaseException:
        for result in results:
            if isinstance(result, kind):
                raise result


@scene
async def connecting():
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        closed = sock.getsockname()
        try:
            await loop.create_connection(asyncio.Protocol, *closed)
        except OSError:
            pass
        else:
            raise Wrong("connected to a closed port")
    async with serving(Echo) as address:
        for options in {"local_addr": (HOST, 0)}, {"all_errors": True}:
            if sys.version_info < (3, 12):
                options.pop("all_errors", None)
            await talk(
                Client,
                lambda make, options=options: loop.create_connection(
                    make, *address, **options
                ),
            )
        with socket.create_connection(address) as sock:
            await talk(
                Client, lambda make: loop.create_connection(make, sock=sock)
            )


@scene
async def unix():
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        server = await loop.create_unix_server(Echo, path)
        try:
            await talk(
                Client, lambda make: loop.create_unix_connection(make, path)
            )
        finally:
            server.close()


class Datagrams(asyncio.DatagramProtocol):
    """Echoes, or compares and asks again for what got lost with an error."""

    def __init__(self, count=0):
        self.count = count
        self.at = 0
        self.ended = asyncio.get_running_loop().create_future()
        self.exc = None

    def connection_made(self, transport):
        self.transport = transport

    def message(self, number):
        return pattern(100 + 300 * number, number)

    def send(self):
        self.transport.sendto(self.message(self.at))

    def datagram_received(self, data, addr):
        if not self.count:
            self.transport.sendto(data, addr)
            return
        known = [self.message(n) for n in range(self.count)]
        check(data in known, "a wrong datagram arrived")
        if data != known[self.at]:
            return  # asked for twice
        self.at += 1
        if self.at == self.count:
            self.transport.close()
        else:
            self.send()

    def error_received(self, exc):
        self.exc = exc
        if self.peer is not None and self.peer.count:
            self.peer.send()
        elif self.count:
            self.send()

    def connection_lost(self, exc):
        self.exc = exc
        end_of(self, "ended")
        if self.peer is not None:
            self.peer.transport.close()

    peer = None


@scene
async def udp():
    loop = asyncio.get_running_loop()
    served, server = await loop.create_datagram_endpoint(
        Datagrams, local_addr=(HOST, 0)
    )
    try:
        address = served.get_extra_info("sockname")
        if address is None:
            raise OSError("no address")
        sent, client = await loop.create_datagram_endpoint(
            lambda: Datagrams(6), remote_addr=address
        )
        try:
            server.peer, client.peer = client, server
            for end in server, client:
                if end.ended.done():  # the poller would not have it
                    raise end.exc or ConnectionError("ended at once")
            client.send()
            await client.ended
            if client.at < client.count:
                raise client.exc or server.exc or ConnectionError("ended")
        finally:
            sent.abort()
            client.peer = server.peer = None
    finally:
        served.abort()
    # both have closed their sockets when this returns
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@scene
async def udp_burst():
    """Many datagrams in one turn; what arrives, arrives whole and once."""
    loop = asyncio.get_running_loop()
    got = []

    class Sink(asyncio.DatagramProtocol):
        def datagram_received(self, data, addr):
            got.append(data)

    served, _ = await loop.create_datagram_endpoint(Sink, local_addr=(HOST, 0))
    try:
        address = served.get_extra_info("sockname")
        if address is None:
            raise OSError("no address")
        sent, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=(HOST, 0)
        )
        messages = [pattern(50 + n, n) for n in range(40)]
        if sent.is_closing():
            raise ConnectionError("ended at once")
        for message in messages:
            sent.sendto(message, address)
        sent.close()
        for _ in range(30):
            await asyncio.sleep(0.0005)
            if len(got) == len(messages):
                break
        check(len(set(got)) == len(got), "a datagram arrived twice")
        check(set(got) <= set(messages), "a wrong datagram arrived")
    finally:
        served.abort()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@scene
async def pipes():
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()
    with contextlib.ExitStack() as stack:
        to_read = stack.enter_context(open(reading, "rb", 0))
        to_write = stack.enter_context(open(writing, "wb", 0))
        output, source = await loop.connect_write_pipe(End, to_write)
        reader = None
        try:
            reader, sink = await loop.connect_read_pipe(Slow, to_read)
            size = 300_000
            for at in range(0, size, 60_000):
                output.write(pattern(60_000, at))
            output.close()
            await sink.ended
            await source.ended
            for exc in source.exc, sink.exc:
                if exc is not None:
                    raise exc
            if sink.got.count != size:
                raise ConnectionResetError("only a part has arrived")
        finally:
            if not source.ended.done():
                output.abort()
            if reader is not None:
                reader.close()
            await asyncio.sleep(0)
            await asyncio.sleep(0)


class End(asyncio.Protocol):
    """Knows when it is over."""

    def __init__(self):
        self.exc = None
        self.ended = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc):
        self.exc = exc
        end_of(self, "ended")



@scene
async def subprocess():
    cat = await asyncio.create_subprocess_exec(
        "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        data = pattern(200_000)
        output, _ = await cat.communicate(data)
        code = await cat.wait()
        check(data.startswith(output), "wrong output")
        if len(output) != len(data):
            raise ConnectionResetError("only a part came back")
        if code not in (0, 255):
            raise ChildProcessError(f"cat returned {code}")
    finally:
        with contextlib.suppress(ProcessLookupError, OSError):
            cat.kill()
        await cat.wait()
        for _ in range(3):
            await asyncio.sleep(0)


@scene
async def shell():
    child = await asyncio.create_subprocess_shell(
        "echo out; echo err >&2; exit 3",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await child.communicate()
        if child.returncode == 3:
            check(b"out\n".startswith(out), "wrong output")
            check(b"err\n".startswith(err), "wrong output")
        elif child.returncode not in (255, 126, 127):
            raise Wrong(f"exit status {child.returncode}")
    finally:
        with contextlib.suppress(ProcessLookupError, OSError):
            child.kill()
        await child.wait()
        for _ in range(3):
            await asyncio.sleep(0)


@scene
async def sock_calls():
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((HOST, 0)))
        client = stack.enter_context(socket.socket())
        listener.setblocking(False)
        client.setblocking(False)
        accepting = asyncio.ensure_future(loop.sock_accept(listener))
        try:
            await asyncio.sleep(0)
            await loop.sock_connect(client, listener.getsockname())
            served, _ = await accepting
        finally:
            accepting.cancel()
            if accepting.done() and not accepting.cancelled():
                if accepting.exception() is None:
                    stack.enter_context(accepting.result()[0])
        await sock_talk(loop, client, served)


async def sock_talk(loop, client, served):
    size = 300_000
    space = bytearray(50_000)

    async def receive():
        got = Compared()
        while got.count < size:
            if got.count % 2:
                data = await loop.sock_recv(served, 65536)
            else:
                n = await loop.sock_recv_into(served, space)
                data = space[:n]
            if not data:
                raise ConnectionResetError("only a part has arrived")
            got.feed(data)
        check(got.count == size, "too much has arrived")

    await both(receive(), loop.sock_sendall(client, pattern(size)))


async def both(*coros):
    """Wait for all; the first failure ends the others."""
    tasks = [asyncio.ensure_future(coro) for coro in coros]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return [task.result() for task in tasks]


@scene
async def sock_datagrams():
    loop = asyncio.get_running_loop()
    kind = (socket.AF_INET, socket.SOCK_DGRAM)
    with socket.socket(*kind) as one, socket.socket(*kind) as two:
        for sock in one, two:
            sock.setblocking(False)
            sock.bind((HOST, 0))
        space = bytearray(2000)
        for size in 1, 1000, 50:
            await loop.sock_sendto(one, pattern(size), two.getsockname())
            data, address = await loop.sock_recvfrom(two, 2000)
            check(data == pattern(size), "wrong datagram")
            check(address == one.getsockname(), "wrong sender")
            await loop.sock_sendto(two, data, address)
            count, _ = await loop.sock_recvfrom_into(one, space)
            check(space[:count] == data, "wrong datagram")


@scene
async def sendfile():
    loop = asyncio.get_running_loop()
    made = []

    def factory():
        made.append(Slow(start=1000))
        return made[-1]

    size = 300_000
    with tempfile.TemporaryFile() as file:
        file.write(pattern(size))
        file.flush()
        async with serving(factory) as address:
            transport, client = await loop.create_connection(End, *address)
            try:
                if transport.is_closing():
                    raise ConnectionResetError("lost at once")
                count = await loop.sendfile(transport, file, 1000, 200_000)
                check(count == 200_000, f"sendfile() returned {count}")
                transport.close()
                await client.ended
                if client.exc is not None:
                    raise client.exc
                if not made:
                    raise ConnectionResetError("never accepted")
                await made[0].ended
            finally:
                transport.abort()
        if made[0].got.count != 200_000:
            raise made[0].exc or ConnectionResetError("only a part arrived")
        await sock_sendfile(loop, file, size)


async def sock_sendfile(loop, file, size):
    one, two = socket.socketpair()

    async def receive():
        got = Compared()
        while got.count < size:
            data = await loop.sock_recv(two, 65536)
            if not data:
                raise ConnectionResetError("only a part has arrived")
            got.feed(data)

    with one, two:
        one.setblocking(False)
        two.setblocking(False)
        file.seek(0)  # asyncio's fallback does so only for other offsets
        _, count = await both(receive(), loop.sock_sendfile(one, file))
        check(count == size, f"sock_sendfile() returned {count}")


def contexts():
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(HERE / "localhost.pem")
    client = ssl.create_default_context(cafile=HERE / "localhost.pem")
    return server, client


TLS = contexts()


@scene
async def tls():
    loop = asyncio.get_running_loop()
    server, client = TLS
    async with serving(Echo, ssl=server) as address:
        await talk(
            lambda: Client((10, 50_000, 300)),
            lambda make: loop.create_connection(
                make, *address, ssl=client, server_hostname="localhost"
            ),
        )


class Upgraded(Echo):
    """Begins to speak TLS when it is asked to."""

    def data_received(self, data):
        if self.plain:
            self.plain = False
            self.transport.pause_reading()
            self.transport.write(b"!")
            self.task = asyncio.ensure_future(self.upgrade())
        elif self.early is not None:
            self.early += data  # start_tls() has not returned yet
        else:
            super().data_received(data)

    plain, task, early = True, None, b""

    async def upgrade(self):
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            transport = await loop.start_tls(
                self.transport, self, TLS[0], server_side=True
            )
            if transport is not None:
                self.transport = transport
                transport.write(self.early)
                self.early = None


class Plain(End):
    """Asks for TLS, and waits for the answer."""

    def __init__(self):
        super().__init__()
        self.answered = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        transport.write(b"?")

    def data_received(self, data):
        check(data == b"!", "wrong answer")
        end_of(self, "answered")

    def connection_lost(self, exc):
        super().connection_lost(exc)
        end_of(self, "answered")


@scene
async def start_tls():
    """Plain at first, then TLS on the same connection."""
    loop = asyncio.get_running_loop()
    async with serving(Upgraded) as address:
        transport, plain = await loop.create_connection(Plain, *address)
        try:
            await plain.answered
            if plain.ended.done():
                raise plain.exc or ConnectionResetError("the server has gone")
            client = Client((10, 20_000))
            transport.set_protocol(client)
            secure = await loop.start_tls(
                transport, client, TLS[1], server_hostname="localhost"
            )
            if secure is None:  # asyncio, when the connection is lost in it
                raise ConnectionResetError("lost while it began")
            transport = secure
            client.connection_made(transport)
            await client.ended
        finally:
            transport.abort()


@scene
async def threads():
    """Threads wake the loop up, which sleeps or works."""
    loop = asyncio.get_running_loop()
    got, asked = [], []
    done, over = asyncio.Event(), threading.Event()

    def arrive(number):
        got.append(number)
        if len(got) == 60:
            done.set()

    def send():
        for number in range(30):
            loop.call_soon_threadsafe(arrive, number)

    def ask():
        for number in range(30):
            if over.is_set():
                break
            coro = asyncio.sleep(0, number)
            future = asyncio.run_coroutine_threadsafe(coro, loop)
            asked.append(future)
            with contextlib.suppress(futures.CancelledError):
                check(future.result(10) == number, "wrong result")
            loop.call_soon_threadsafe(arrive, number)

    workers = [threading.Thread(target=work) for work in (send, ask)]
    for worker in workers:
        worker.start()
    try:
        await done.wait()
    finally:
        over.set()
        while any(worker.is_alive() for worker in workers):
            for future in asked:
                future.cancel()  # nobody will answer any more
            workers[1].join(0.001)
    check(sorted(got) == sorted([*range(30), *range(30)]), "lost a call")


@scene
async def timers():
    loop = asyncio.get_running_loop()
    order, done = [], loop.create_future()
    start = loop.time()
    for delay in 3, 1, 2, 1:
        loop.call_later(delay / 1000, order.append, delay)
    loop.call_later(0.004, end, done)
    loop.call_later(0.002, order.append, 9).cancel()
    await done
    check(loop.time() - start >= 0.004, "a timer was early")
    check(order == [1, 1, 2, 3], f"timers ran in the order {order}")
    for _ in range(3):
        await asyncio.sleep(0.0003)


@scene
async def signals():
    loop = asyncio.get_running_loop()
    got, done = [], asyncio.Event()

    def arrived(number):
        got.append(number)
        if len(got) == 2:
            done.set()

    for number in signal.SIGUSR1, signal.SIGUSR2:
        try:
            loop.add_signal_handler(number, arrived, number)
        except (RuntimeError, OSError):  # asyncio's way to say OSError
            try:
                loop.add_signal_handler(number, arrived, number)
            except RuntimeError as exc:
                raise OSError("again") from exc
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR2)
        await done.wait()
    finally:
        for number in signal.SIGUSR1, signal.SIGUSR2:
            loop.remove_signal_handler(number)
    check(sorted(got) == [signal.SIGUSR1, signal.SIGUSR2], f"got {got}")


@scene
async def watching():
    """add_reader and add_writer, on, off and on again."""
    loop = asyncio.get_running_loop()
    one, two = socket.socketpair()
    with one, two:
        one.setblocking(False)
        two.setblocking(False)
        try:
            for round in range(3):
                done = loop.create_future()
                loop.add_reader(two, lambda: two.recv(10) and end(done))
                loop.add_writer(one, lambda: (one.send(b"x"), stop(loop, one)))
                loop.add_writer(two, stop, loop, two)
                await done
                if round == 1:
                    loop.remove_reader(two)
        finally:
            for sock in one, two:
                loop.remove_reader(sock)
                loop.remove_writer(sock)


def end(future):
    if not future.done():
        future.set_result(None)


def stop(loop, sock):
    loop.remove_writer(sock)


@scene
async def ready_made():
    """Sockets that were made elsewhere; connections that nobody closes."""
    loop = asyncio.get_running_loop()
    with socket.create_server((HOST, 0)) as listener:
        with socket.create_connection(listener.getsockname()) as sock:
            served, _ = listener.accept()
            with served:
                transport, _ = await loop.connect_accepted_socket(Echo, served)
                sock.setblocking(False)
                try:
                    await loop.sock_sendall(sock, b"hello")
                    got = b""
                    while len(got) < 5:
                        data = await loop.sock_recv(sock, 10)
                        if not data:
                            raise ConnectionResetError("gone")
                        got += data
                    check(got == b"hello", "wrong bytes")
                    for name in "sockname", "peername", "socket":
                        transport.get_extra_info(name)
                finally:
                    transport.abort()
                    await asyncio.sleep(0)


def whole_life(new_loop):
    """A loop is made, used and closed."""
    loop = new_loop()
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(asyncio.wait_for(timers(), 2))
        loop.run_until_complete(asyncio.wait_for(signals(), 2))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
