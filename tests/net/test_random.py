"""Transports under random use: whatever happens, no byte is invented, lost in
the middle or repeated, and connection_lost comes exactly once."""

import asyncio
import random

import pytest

import support
from netsupport import pattern, small_pair, tcp_pair

fastasync = pytest.importorskip("fastasync")

STREAM = pattern(1 << 20)


class End(asyncio.Protocol):
    """One end of a connection that behaves at random.

    What it sends is always the continuation of STREAM, so that the other end
    can check what arrives by its position alone.
    """

    def __init__(self, rng, log):
        self.rng = rng
        self.log = log
        self.sent = self.received = self.lost = 0
        self.finished = False  # it has ended its stream properly
        self.paused = False

    def connection_made(self, transport):
        self.transport = transport
        self.act()

    def data_received(self, data):
        start = self.received
        self.received += len(data)
        assert data == STREAM[start:self.received], "not what was sent"
        self.act()

    def eof_received(self):
        self.act()
        return self.rng.random() < 0.5

    def pause_writing(self):
        assert not self.paused
        self.paused = True
        self.act(0.3)

    def resume_writing(self):
        assert self.paused
        self.paused = False
        self.act(0.3)

    def connection_lost(self, exc):
        self.lost += 1
        self.act(0.3)

    def take(self, size):
        if self.transport.is_closing() or self.finished:
            return b""
        data = STREAM[self.sent:self.sent + size]
        self.sent += len(data)
        return data

    def act(self, chance=1.0):
        """A few random things."""
        rng, transport = self.rng, self.transport
        while rng.random() < chance:
            chance *= 0.7
            what = rng.choice(ACTIONS)
            self.log.append((id(self) % 997, what))
            getattr(self, "do_" + what)(rng, transport)

    def do_write(self, rng, transport):
        data = self.take(rng.choice((1, 10, 1000, 5000, 70000)))
        if not self.finished:
            transport.write(rng.choice((bytes, bytearray, memoryview))(data))

    def do_mutable(self, rng, transport):
        data = bytearray(self.take(rng.choice((3, 3000, 80000))))
        if not self.finished:
            transport.write(data)
            data[:] = bytes(len(data))

    def do_lines(self, rng, transport):
        lines = [self.take(rng.randrange(3000))
                 for _ in range(rng.randrange(6))]
        if not self.finished:
            transport.writelines(lines)

    def do_pause(self, rng, transport):
        transport.pause_reading()

    def do_resume(self, rng, transport):
        transport.resume_reading()

    def do_limits(self, rng, transport):
        transport.set_write_buffer_limits(rng.choice((0, 1, 100, 100_000)))

    def do_look(self, rng, transport):
        assert transport.get_write_buffer_size() >= 0
        repr(transport)
        transport.get_extra_info(rng.choice(("socket", "peername")))

    def do_protocol(self, rng, transport):
        if transport.get_protocol() is self:
            transport.set_protocol(self)

    def do_eof(self, rng, transport):
        if rng.random() < 0.05:
            transport.write_eof()
            self.finished = True

    def do_close(self, rng, transport):
        if rng.random() < 0.03:
            transport.close()
            self.finished = True

    def do_abort(self, rng, transport):
        if rng.random() < 0.01:
            self.finished = True
            transport.abort()


ACTIONS = [name[3:] for name in vars(End) if name.startswith("do_")]
ACTIONS += ["write", "mutable", "lines", "resume"]


async def play(rng, make_pair, log):
    loop = asyncio.get_running_loop()
    socks = make_pair()
    socks[1].setblocking(False)
    ends = []
    for sock in socks:
        end = End(rng, log)
        await loop.create_connection(lambda end=end: end, sock=sock)
        ends.append(end)
    for _ in range(rng.randrange(40, 120)):
        rng.choice(ends).act(0.8)
        await asyncio.sleep(rng.choice((0, 0, 0, 0.0002)))
    for end in ends:
        end.finished = True
        end.transport.resume_reading()
        end.transport.close()
    for _ in range(60):
        if all(end.lost for end in ends):
            break
        await asyncio.sleep(0.0005)
    else:  # each waits for the other to read: so it is with close()
        for end in ends:
            end.transport.abort()
        await asyncio.sleep(0.001)
    return ends


@pytest.mark.parametrize("make_pair", [tcp_pair, small_pair])
@pytest.mark.parametrize("seed", range(20))
def test_random_use(make_pair, seed):
    loop = fastasync.new_event_loop()
    failures = []
    loop.set_exception_handler(lambda _, context: failures.append(context))
    log = []
    with support.journal():  # writes on lost connections are warned about
        ends = loop.run_until_complete(
            play(random.Random(seed), make_pair, log))
    loop.close()
    assert not failures, (failures, log[-20:])
    for end, other in zip(ends, reversed(ends), strict=True):
        assert end.lost == 1, log[-20:]
        assert end.received <= other.sent
