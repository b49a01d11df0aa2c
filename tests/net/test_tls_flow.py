"""Flow control of TLS in both directions: tls_read.c, tls_write.c."""

import asyncio

import pytest

pytest.importorskip("fastasync")

from tlssupport import Proto, connected, pattern, turns  # noqa: E402

KB = 1024


def test_limits(run):
    async def main():
        async with connected() as (client, _server):
            transport = client.transport
            assert transport.get_write_buffer_limits() == (128 * KB, 512 * KB)
            assert transport.get_read_buffer_limits() == (64 * KB, 256 * KB)
            transport.set_write_buffer_limits(high=1000)
            assert transport.get_write_buffer_limits() == (250, 1000)
            transport.set_write_buffer_limits(low=1000)
            assert transport.get_write_buffer_limits() == (1000, 4000)
            transport.set_read_buffer_limits(high=1000, low=10)
            assert transport.get_read_buffer_limits() == (10, 1000)
            transport.set_read_buffer_limits()
            assert transport.get_read_buffer_limits() == (64 * KB, 256 * KB)
            for bad in ({"high": 1, "low": 2}, {"high": -1}):
                for name in ("set_write_buffer_limits", "set_read_buffer_limits"):
                    with pytest.raises(ValueError, match=r"high \(.*\) must be >= "
                                                         r"low \(.*\) must be >= 0"):
                        getattr(transport, name)(**bad)
            assert transport.get_write_buffer_size() == 0
            assert transport.get_read_buffer_size() == 0
            assert transport._protocol_paused is False

    run(main)


def test_high_of_zero_pauses_at_once(run):
    async def main():
        async with connected() as (client, _server):
            client.transport.set_write_buffer_limits(high=0)
            assert client.events[-1] == "pause"
            assert client.transport._protocol_paused is True
            client.transport.set_write_buffer_limits()
            assert client.events[-1] == "resume"

    run(main)


def test_a_peer_that_does_not_read(run):
    """pause_writing once, and resume_writing when the peer reads on; no byte is
    lost, and nothing leaves the sizes behind."""
    data = pattern(64 * KB)

    async def main():
        async with connected() as (client, server):
            server.transport.pause_reading()
            sent = 0
            while "pause" not in client.events:
                client.transport.write(data)
                sent += len(data)
                assert sent < 200_000_000
                await asyncio.sleep(0)
            assert client.transport.get_write_buffer_size() >= 512 * KB
            assert client.events == ["made", "pause"]
            assert client.transport._protocol_paused is True
            # asyncio reads until its buffer is full, and not more
            assert server.transport.get_read_buffer_size() < 1024 * KB
            assert server.transport._ssl_protocol._ssl_reading_paused is True
            server.transport.resume_reading()
            assert await server.received(sent) == data * (sent // len(data))
            assert client.events == ["made", "pause", "resume"]
            assert client.transport.get_write_buffer_size() == 0
            return sent

    run(main)
    assert run.reports == []


def test_close_sends_what_could_not_leave(run):
    """Closing while megabytes wait: all arrives, then close_notify."""
    data = pattern(5_000_000)

    async def main():
        async with connected() as (client, server):
            server.transport.pause_reading()
            for at in range(0, len(data), 500_000):
                client.transport.write(data[at:at + 500_000])
            client.transport.close()
            await turns(20)
            server.transport.resume_reading()
            assert await server.received(len(data)) == data
            assert await server.lost is None
            assert server.events[-2:] == ["eof", "lost"]

    run(main)
    assert run.reports == []


def test_flow_control_that_fails(run):
    def fail(_protocol):
        raise ValueError("flow")

    async def main():
        made = lambda: Proto(pause=fail, resume=fail)  # noqa: E731
        async with connected(client=made) as (client, _server):
            client.transport.set_write_buffer_limits(high=0)
            client.transport.set_write_buffer_limits()

    run(main)
    assert [r["message"] for r in run.reports] == [
        "protocol.pause_writing() failed", "protocol.resume_writing() failed"]
    for report in run.reports:
        assert isinstance(report["transport"], asyncio.Transport)
        assert isinstance(report["protocol"], asyncio.sslproto.SSLProtocol)


def test_reading_is_paused_and_resumed(run):
    async def main():
        async with connected() as (client, server):
            assert server.transport.is_reading()
            server.transport.pause_reading()
            server.transport.pause_reading()
            assert not server.transport.is_reading()
            client.transport.write(b"data")
            while server.transport.get_read_buffer_size() == 0:
                await asyncio.sleep(0)
            assert server.data == b""
            server.transport.resume_reading()
            server.transport.resume_reading()
            assert server.transport.is_reading()
            assert await server.received(4) == b"data"
            assert server.transport.get_read_buffer_size() == 0

    run(main)


def test_paused_in_data_received(run):
    """What was read is delivered; what comes later waits."""
    async def main():
        server_proto = lambda: Proto(  # noqa: E731
            data=lambda self, _data: self.transport.pause_reading())
        async with connected(server=server_proto) as (client, server):
            client.transport.write(b"one")
            await server.received(3)
            client.transport.write(b"two")
            await asyncio.sleep(0.02)
            assert server.data == b"one"
            server.transport.resume_reading()
            assert await server.received(6) == b"onetwo"

    run(main)


def test_end_of_file_while_paused(run):
    """Data and the end wait until reading goes on."""
    async def main():
        async with connected() as (client, server):
            server.transport.pause_reading()
            client.transport.write(b"data")
            client.transport.close()
            await asyncio.sleep(0.02)
            assert server.events == ["made"]
            server.transport.resume_reading()
            assert await server.lost is None
            assert server.data == b"data"
            assert server.events == ["made", "data", "eof", "lost"]

    run(main)


@pytest.mark.parametrize("high", [1, 100, 20_000])
def test_small_read_limits(run, high):
    data = pattern(500_000)

    async def main():
        async with connected() as (client, server):
            server.transport.set_read_buffer_limits(high=high)
            client.transport.write(data)
            assert await server.received(len(data)) == data

    run(main)
    assert run.reports == []
