"""Protocols that close, replace, raise and answer nonsense."""

import array
import asyncio
import gc
import socket

from measure import finish, namespace, new_loop

WHEN = ("connection_made", "data_received", "eof_received",
        "pause_writing", "connection_lost")


def closes(protocol, transport):
    transport.close()


def aborts(protocol, transport):
    transport.abort()


def writes_and_closes(protocol, transport):
    transport.write(b"bye" * 1000)
    transport.close()
    transport.write(b"after close")


def writes_eof_twice(protocol, transport):
    transport.write(b"last")
    transport.write_eof()
    transport.write_eof()


def pauses(protocol, transport):
    transport.pause_reading()
    transport.pause_reading()
    transport.resume_reading()
    transport.resume_reading()
    transport.pause_reading()


def replaces_itself(protocol, transport):
    transport.set_protocol(asyncio.Protocol())


def replaces_by_nothing(protocol, transport):
    transport.set_protocol(None)


def replaces_by_buffered(protocol, transport):
    transport.set_protocol(Nonsense(0))


def raises(protocol, transport):
    raise ValueError("from the protocol")


def floods(protocol, transport):
    transport.set_write_buffer_limits(0)
    for _ in range(20):
        transport.write(b"f" * 70000)


def changes_limits(protocol, transport):
    transport.set_write_buffer_limits(high=10, low=1)
    transport.write(b"x" * 5000000)
    transport.set_write_buffer_limits(high=1 << 30)
    transport.set_write_buffer_limits(0)


def drops_everything(protocol, transport):
    protocol.transport = None
    gc.collect()


ACTIONS = (closes, aborts, writes_and_closes, writes_eof_twice, pauses,
           replaces_itself, replaces_by_nothing, replaces_by_buffered,
           raises, floods, changes_limits, drops_everything)


class Evil(asyncio.Protocol):
    """Does one action when one method is called."""

    def __init__(self, when, action, lost):
        self.when = when
        self.action = action
        self.lost = lost

    def do(self, name):
        if name == self.when:
            try:
                self.action(self, self.transport)
            except RuntimeError:
                pass

    def connection_made(self, transport):
        self.transport = transport
        self.do("connection_made")

    def data_received(self, data):
        self.do("data_received")

    def eof_received(self):
        self.do("eof_received")

    def pause_writing(self):
        self.do("pause_writing")

    def resume_writing(self):
        self.do("pause_writing")

    def connection_lost(self, error):
        self.lost.append(1)
        self.do("connection_lost")


class Nonsense(asyncio.BufferedProtocol):
    """get_buffer and buffer_updated that answer wrongly, by number."""

    KINDS = 9

    def __init__(self, kind, lost=None):
        self.kind = kind
        self.lost = lost if lost is not None else []

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, sizehint):
        if self.kind == 0:
            return bytearray(0)
        if self.kind == 1:
            return b"read only"
        if self.kind == 2:
            return None
        if self.kind == 3:
            raise KeyError("get_buffer")
        if self.kind == 4:
            self.transport.abort()
        if self.kind == 5:
            self.transport.close()
        if self.kind == 6:
            self.transport.set_protocol(asyncio.Protocol())
        if self.kind == 7:
            return memoryview(bytearray(64))[::2]
        return bytearray(64)

    def buffer_updated(self, count):
        if self.kind == 8:
            raise KeyError("buffer_updated")

    def connection_lost(self, error):
        self.lost.append(1)


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)
    await asyncio.sleep(0.0005)


async def meet(protocol):
    """Give the protocol a connection, some data, an end, and an abort."""
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    right.setblocking(False)
    try:
        transport, _ = await loop.create_connection(lambda: protocol,
                                                    sock=left)
    except ValueError:
        right.close()
        return
    try:
        right.send(b"hello")
    except BrokenPipeError:
        pass
    await settle()
    try:
        transport.set_write_buffer_limits(0)
        transport.write(b"x" * 500000)
    except RuntimeError:
        pass
    await settle()
    try:
        while right.recv(1 << 20):
            await asyncio.sleep(0)
    except (BlockingIOError, ConnectionError):
        pass
    try:
        right.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    await settle()
    right.close()
    await settle()
    transport.abort()
    await settle()


async def all_of_them():
    for when in WHEN:
        for action in ACTIONS:
            lost = []
            await meet(Evil(when, action, lost))
            assert len(lost) <= 1, (when, action.__name__, lost)
    for kind in range(Nonsense.KINDS):
        lost = []
        await meet(Nonsense(kind, lost))
        assert len(lost) <= 1, (kind, lost)


async def without_methods():
    class Bare:
        """No method of a protocol at all."""

    class Refusing(asyncio.Protocol):
        def __getattribute__(self, name):
            raise KeyError(name)

    loop = asyncio.get_running_loop()
    for make in (Bare, Refusing, lambda: None, lambda: 1):
        left, right = socket.socketpair()
        transport = None
        try:
            async with asyncio.timeout(0.01):
                transport, _ = await loop.create_connection(make, sock=left)
        except (TimeoutError, AttributeError, KeyError):
            pass
        try:
            right.send(b"x")
        except BrokenPipeError:
            pass
        await settle()
        right.close()
        if transport is not None:
            transport.abort()
        transport = None
        gc.collect()
        await settle()
        left.close()


async def odd_buffers_to_write():
    """Buffers that are empty, change, or are sliced.

    asyncio 3.12 and 3.13 spin for ever on writelines() of empty buffers,
    so these are only given to fastasync.
    """
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
    changing = bytearray(b"1" * 10)
    transport.write(changing)
    changing += b"2"
    changing.clear()
    transport.write(memoryview(b"abcdef")[::2].tobytes())
    transport.write(memoryview(array.array("i", [1, 2, 3])))
    if namespace() is not asyncio:
        transport.writelines([b"", b""])
        transport.writelines([])
        transport.write(b"")
        transport.writelines(iter([b"a", b"", b"b"]))
        transport.writelines([bytearray(b"x"), memoryview(b"y")])
    await settle()
    received = right.recv(1000)
    assert received.startswith(b"1" * 10 + b"ace"), received
    transport.write(b"end")
    await settle()
    assert right.recv(1000).endswith(b"end")
    transport.close()
    right.close()
    await settle()


loop = new_loop()
for function in (all_of_them, without_methods, odd_buffers_to_write):
    for _ in range(2):
        loop.run_until_complete(function())
    gc.collect()
loop.close()
finish()
