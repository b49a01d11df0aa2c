"""Programs for StreamReader, StreamWriter and the protocol between them.

A program is plain data: scripts for tasks that read and write, and a list
of what the transport does to the protocol between two turns of the loop
(or last in one). The transport is a fake that keeps a diary, so that the
calls to it are compared too.
"""

import asyncio
from typing import NamedTuple

from programs import wait_in_way
from world import journal, plain, tell


class StreamProgram(NamedTuple):
    scripts: tuple = ()
    feeds: tuple = ()  # of (turn, last in it?, operation)
    limit: int = 8
    transport: str = "pausable"  # or "unpausable", "none"


class Lost(ConnectionError):
    """What a connection is lost for."""


class FakeTransport(asyncio.Transport):
    """A transport that writes down what is asked of it."""

    def __init__(self, world, pausable):
        super().__init__({"peername": "peer"})
        self.world = world
        self.pausable = pausable
        self.closing = False

    def __repr__(self):
        return "<FakeTransport>"

    def pause_reading(self):
        self.world.note("transport", "pause_reading")
        if not self.pausable:
            raise NotImplementedError

    def resume_reading(self):
        self.world.note("transport", "resume_reading")

    def is_closing(self):
        return self.closing

    def close(self):
        self.world.note("transport", "close")
        self.closing = True

    abort = close

    def write(self, data):
        self.world.note("transport", "write", bytes(data))
        if data == b"bad":
            raise TypeError("bad data")

    def writelines(self, chunks):
        self.world.note("transport", "writelines", b"|".join(chunks))

    def write_eof(self):
        self.world.note("transport", "write_eof")

    def can_write_eof(self):
        return self.pausable


def look_reader(reader):
    return (plain(repr(reader)), reader.at_eof(), tell(reader.exception()),
            bytes(reader._buffer), reader._eof, reader._limit,
            reader._paused, reader._waiter is None)


# -- operations of tasks --------------------------------------------------------

async def read(world, me, name, how, *args):
    return await wait_in_way(
        world, me, lambda: getattr(world.reader, name)(*args), how)


async def lines(world, me, most):
    """`async for line in reader`."""
    got = []
    async for line in world.reader:
        got.append(line)
        world.note(me, "line", line)
        if len(got) >= most:
            break
    return got


async def drain(world, me, how):
    return await wait_in_way(world, me, world.writer.drain, how)


async def wait_closed(world, me, how):
    # As many at once as one likes, and it may be cancelled: the future
    # behind it is not (3.12+) or is (before) shared with the others.
    return await wait_in_way(world, me, world.writer.wait_closed, how)


async def sleep(world, me, turns):
    return await world.ns.sleep(world.delay(turns))


WAITING = {"read": read, "lines": lines, "drain": drain,
           "wait_closed": wait_closed, "sleep": sleep}


# -- operations that do not wait, by tasks and by the transport ----------------

def feed(world, data):
    """What a transport does with data; not after the end (an assertion
    of asyncio's, tested where it is due)."""
    if world.reader._eof:
        return "too late"
    return world.protocol.data_received(data)


def feed_reader(world, data):
    return world.reader.feed_data(data)


def lose(world, broken):
    if world.lost:
        return "lost before"
    world.lost = True
    world.transport.closing = True
    return world.protocol.connection_lost(
        Lost("connection") if broken else None)


def set_exception(world, text):
    return world.reader.set_exception(ValueError(text))


def pause(world):
    if world.blocked:
        return "paused before"
    world.blocked = True
    return world.protocol.pause_writing()


def resume(world):
    if not world.blocked:
        return "not paused"
    world.blocked = False
    return world.protocol.resume_writing()


def cancel(world, number):
    return world.nth_task(number).cancel()


AT_ONCE = {
    "feed": feed, "feed_reader": feed_reader, "lose": lose,
    "set_exception": set_exception, "pause": pause, "resume": resume,
    "cancel": cancel,
    "feed_eof": lambda world: world.reader.feed_eof(),
    "eof_received": lambda world: world.protocol.eof_received(),
    "write": lambda world, data: world.writer.write(data),
    "writelines": lambda world, *chunks: world.writer.writelines(chunks),
    "write_eof": lambda world: world.writer.write_eof(),
    "close": lambda world: world.writer.close(),
    "ask": lambda world: (
        world.writer.is_closing(), world.writer.can_write_eof(),
        world.writer.get_extra_info("peername"),
        world.writer.get_extra_info("nothing", "default"),
        world.writer.transport is world.transport,
        plain(repr(world.writer)), world.reader.at_eof()),
}


async def script(world, me, operations):
    for name, *args in operations:
        try:
            if name in AT_ONCE:
                result = AT_ONCE[name](world, *args)
            else:
                result = await WAITING[name](world, me, *args)
        except Exception as error:
            extra = [getattr(error, key, None)
                     for key in ("partial", "expected", "consumed")]
            world.note(me, name, tell(error), extra, look_reader(world.reader))
        except BaseException as error:
            world.note(me, name, tell(error), look_reader(world.reader))
            raise
        else:
            if isinstance(result, list):
                result = [tell(each) if isinstance(each, BaseException)
                          else each for each in result]
            world.note(me, name, type(result), result,
                       look_reader(world.reader))


def now(world, operation):
    name, *args = operation
    try:
        result = AT_ONCE[name](world, *args)
    except Exception as error:
        result = tell(error)
    world.note("feeds", name, result, look_reader(world.reader))


def play(world, program):
    ns, loop = world.ns, world.loop
    world.blocked = world.lost = False
    world.reader = ns.StreamReader(limit=program.limit, loop=loop)
    world.protocol = ns.StreamReaderProtocol(world.reader, loop=loop)
    world.transport = FakeTransport(world, program.transport == "pausable")
    if program.transport != "none":
        world.protocol.connection_made(world.transport)
    world.writer = ns.StreamWriter(world.transport, world.protocol,
                                   world.reader, loop)
    for index, operations in enumerate(program.scripts):
        label = f"t{index}"
        world.spawn(label, script(world, label, operations))

    def schedule(turn):
        return [(last, lambda operation=operation: now(world, operation))
                for at, last, operation in program.feeds if at == turn]

    world.turns(schedule=schedule)
    # What nobody read is still there.
    world.note("left", look_reader(world.reader))
    world.end()
    now(world, ("lose", False))
    world.note("left", look_reader(world.reader))
    del world.reader, world.writer, world.protocol, world.transport


def run(side, program):
    """The journal of *program* on *side*."""
    return journal(side, (), lambda world: play(world, program))
