"""Random lives of pipe transports, the same on asyncio and on fastasync."""

import os
import random

import pytest

import support
from netsupport import Recorder, Reports, settle
from pipesupport import (
    alike,
    drain_file,
    files,
    fill,
    reading,
    seen,
    writing,
)

fastasync = pytest.importorskip("fastasync")


class Writer:
    """What can be done with a writing transport, and what is seen of it."""

    def __init__(self, loop, pair, chance):
        self.loop, (self.r, self.w), self.chance = loop, pair, chance
        self.data = bytearray()
        self.protocol = Recorder()
        self.transport = writing(loop, self.w, self.protocol)
        self.reader_open = True
        self.written = 0

    def write(self):
        size = self.chance.choice([1, 100, 5000, 70_000, 200_000])
        self.transport.write(bytes([self.written % 251]) * size)
        self.written += 1

    def writelines(self):
        self.transport.writelines([b"a" * 10, b"", b"b" * 3000])

    def read(self):
        if self.reader_open:
            self.data += drain_file(
                self.r, self.chance.choice([1, 4096, 100_000]))

    def fill(self):
        if not self.w.closed:
            try:
                fill(self.w)
            except BrokenPipeError:
                pass

    def limits(self):
        high = self.chance.choice([0, 10, 65536, 1_000_000])
        self.transport.set_write_buffer_limits(high=high)

    def close(self):
        self.transport.close()

    def write_eof(self):
        self.transport.write_eof()

    def abort(self):
        if not self.transport.is_closing():  # asyncio would end it twice
            self.transport.abort()

    def hang_up(self):
        self.r.close()
        self.reader_open = False

    weights = {"write": 10, "writelines": 3, "read": 10, "fill": 2,
               "limits": 2, "close": 1, "write_eof": 1, "abort": 1,
               "hang_up": 1}

    def look(self):
        transport = self.transport
        return (list(self.protocol.events), transport.is_closing(),
                transport.get_write_buffer_size(), transport._conn_lost,
                bytes(transport._buffer), bytes(self.data),
                alike(repr(transport)), self.w.closed)


class Reader:
    """The same for one that reads."""

    def __init__(self, loop, pair, chance):
        self.loop, (self.r, self.w), self.chance = loop, pair, chance
        os.set_blocking(self.w.fileno(), False)
        self.protocol = Recorder()
        self.transport = reading(loop, self.r, self.protocol)
        self.count = 0

    def feed(self):
        if not self.w.closed and not self.r.closed:
            size = self.chance.choice([1, 100, 5000, 30_000])
            self.count += 1
            try:
                self.w.write(bytes([self.count % 251]) * size)
            except (BlockingIOError, BrokenPipeError):
                pass

    def pause(self):
        self.transport.pause_reading()

    def resume(self):
        self.transport.resume_reading()

    def fail(self):
        self.protocol.on["data_received"] = lambda t, d: 1 // 0

    def heal(self):
        self.protocol.on.clear()

    def change(self):
        if not self.transport.is_closing():
            self.transport.set_protocol(self.protocol)

    def close(self):
        self.transport.close()

    def end(self):
        self.w.close()

    weights = {"feed": 12, "pause": 3, "resume": 4, "fail": 1, "heal": 1,
               "change": 1, "close": 1, "end": 1}

    def look(self):
        transport = self.transport
        return (list(self.protocol.events), transport.is_closing(),
                transport.is_reading(), bytes(self.protocol.data),
                alike(repr(transport)), self.r.closed)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
@pytest.mark.parametrize("life", [Writer, Reader])
@pytest.mark.parametrize("seed", range(25))
def test_random_life(seed, life, kind):
    if life is Reader and kind == "socket":
        kind = "fifo"

    def scenario(side, loop):
        chance = random.Random(seed)
        reports = Reports(loop)
        trace = []
        with files(kind) as pair, support.journal() as journal:
            if kind == "socket":  # files alike
                pair = [open(end.detach(), mode, 0)  # noqa: SIM115
                        for end, mode in zip(pair, ("rb", "wb"), strict=True)]
            subject = life(loop, pair, chance)
            names, weights = zip(*life.weights.items(), strict=True)
            for _ in range(40):
                name = chance.choices(names, weights)[0]
                getattr(subject, name)()
                # a step by itself, so that nothing is held together
                settle(loop, 4)
                trace.append((name, subject.look()))
            if not subject.transport.is_closing():
                getattr(subject.transport, "abort",
                        subject.transport.close)()
            settle(loop, 4)
            for file in pair:
                file.close()
            settle(loop, 4)
            trace.append(subject.look())
            trace.append((seen(reports, nameless=True), journal.messages))
        return trace

    support.compare(scenario)
