"""TLS connections whose protocols do anything, at any time: nothing crashes, what
arrives is a prefix of what was sent, connection_lost is called once."""

import asyncio
import gc
import random
import threading

import pytest

pytest.importorskip("fastasync")

from tlssupport import (  # noqa: E402
    Buffered,
    Proto,
    Side,
    connect,
    connected,
    pattern,
    serving,
    turns,
)

STREAM = pattern(4_000_000)


class Wild(asyncio.Protocol):
    """Does random things in every callback; sends STREAM piece by piece."""

    def __init__(self, rng, tame):
        self.rng, self.tame = rng, tame
        self.sent = self.lost_count = 0
        self.data = bytearray()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.act(6)

    def data_received(self, data):
        self.data += data
        self.act()

    def eof_received(self):
        self.act()

    def pause_writing(self):
        self.act(1)

    def resume_writing(self):
        self.act(1)

    def connection_lost(self, exc):
        self.lost_count += 1
        self.act()
        if not self.lost.done():
            self.lost.set_result(exc)

    def act(self, most=3):
        for _ in range(self.rng.randrange(most + 1)):
            try:
                self.one()
            except AttributeError as error:  # closed twice
                assert "'NoneType' object" in str(error)

    def one(self):
        rng, transport = self.rng, self.transport
        action = rng.choice(
            ["write"] * 12 + ["lines"] * 3 + ["pause", "resume", "resume"] * 2
            + ["look", "limits", "protocol", "collect"]
            + ([] if rng.random() < self.tame else ["close", "abort", "twice"]))
        if action in ("write", "lines"):
            n = rng.choice([0, 1, 10, 1000, 16384, 20_000, 100_000, 300_000])
            piece = STREAM[self.sent:self.sent + n]
            if not transport.is_closing():
                self.sent += len(piece)
            if action == "write":
                transport.write(piece)
            else:
                transport.writelines([piece[:5], piece[5:]])
        elif action == "pause":
            transport.pause_reading()
        elif action == "resume":
            transport.resume_reading()
        elif action == "look":
            assert transport.get_write_buffer_size() >= 0
            assert transport.get_read_buffer_size() >= 0
            transport.get_extra_info("socket")
        elif action == "limits":
            transport.set_write_buffer_limits(high=rng.choice([0, 10, 100_000]))
            transport.set_read_buffer_limits(high=rng.choice([1, 10, 100_000]))
        elif action == "protocol":
            transport.set_protocol(self)
        elif action == "collect":
            gc.collect()
        elif action == "close":
            transport.close()
        elif action == "twice":
            transport.close()
            transport.close()
        else:
            transport.abort()


@pytest.mark.parametrize("seed", range(20))
def test_anything_at_any_time(ours, seed):
    rng = random.Random(seed)
    tame = rng.choice([0.5, 0.9, 0.99])

    async def main():
        ends = []

        def factory():
            ends.append(Wild(rng, tame))
            return ends[-1]

        async with serving(factory) as address:
            try:
                await connect(factory, address)
            except (OSError, asyncio.IncompleteReadError):
                return
            for _ in range(60):
                await turns(rng.randrange(4))
                for end in ends:
                    if hasattr(end, "transport") and not end.lost.done():
                        end.act()
            for end in ends:
                if hasattr(end, "transport"):
                    end.transport.abort()
            await turns(30)
            assert len(ends) == 2
            made = [end for end in ends if hasattr(end, "transport")]
            for end in made:
                assert end.lost_count == 1
            if len(made) == 2:
                one, two = made
                assert STREAM.startswith(one.data[:two.sent + 1])
                assert STREAM.startswith(two.data[:one.sent + 1])

    ours(main)
    for report in ours.reports:
        raise report["exception"]


def test_closed_twice_while_it_writes(ours):
    """The transport lets go of the protocol in the middle of its write()."""
    def end(protocol):
        protocol.transport.close()
        protocol.transport.close()
        gc.collect()

    async def main():
        async with connected(client=lambda: Proto(pause=end)) as (client, server):
            server.transport.pause_reading()
            transport = client.transport
            with pytest.raises(AttributeError):
                for _ in range(1000):
                    transport.write(STREAM[:100_000])
                    await asyncio.sleep(0)
            server.transport.abort()
            await client.lost

    ours(main)


def test_a_buffer_that_is_used_meanwhile(ours):
    """The memory that get_buffer() gave cannot be resized under a read."""

    class Resizing(Buffered):
        def get_buffer(self, hint):
            self.buffer = bytearray(self.size)
            return self.buffer

        size = 5000

    async def main():
        async with connected(server=lambda: Resizing(10)) as (client, server):
            client.transport.write(STREAM[:100_000])
            assert await server.received(100_000) == STREAM[:100_000]

    ours(main)


def test_loops_in_several_threads():
    """OpenSSL runs without the GIL during handshakes; what connections share
    must bear it."""
    failures = []

    def work(seed):
        async def main():
            for _ in range(15):
                async with connected() as (client, server):
                    n = 1000 * (seed + 1) * 7
                    client.transport.write(STREAM[:n])
                    assert await server.received(n) == STREAM[:n]
                    server.transport.write(STREAM[:n])
                    assert await client.received(n) == STREAM[:n]

        try:
            Side("direct")(main)
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
