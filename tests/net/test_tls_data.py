"""Bytes through TLS: tls_read.c, tls_write.c, tls_engine.c."""

import asyncio
import random
import ssl

import pytest

pytest.importorskip("fastasync")

from tlssupport import (  # noqa: E402
    TLS12,
    Buffered,
    Proto,
    client_context,
    connected,
    pattern,
    raw_client,
    server_context,
    serving,
    turns,
)

SIZES = (1, 2, 100, 16383, 16384, 16385, 50_000, 65_536, 131_072, 1_000_000)


async def exchange(size):
    data = pattern(size)
    async with connected() as (client, server):
        client.transport.write(data)
        assert await server.received(size) == data
        server.transport.write(data)
        assert await client.received(size) == data


@pytest.mark.parametrize("size", SIZES)
def test_sizes_both_ways(run, size):
    run(exchange, size)
    assert run.reports == []


def test_tls_1_2(run):
    async def main():
        data = pattern(200_000)
        async with connected(to=client_context(**TLS12)) as (client, server):
            assert client.transport.get_extra_info("cipher")[1] == "TLSv1.2"
            client.transport.write(data)
            assert await server.received(len(data)) == data

    run(main)


def test_nothing_is_nothing(run):
    async def main():
        async with connected() as (client, server):
            client.transport.write(b"")
            client.transport.write(bytearray())
            client.transport.writelines([])
            client.transport.writelines([b"", b"a", b""])
            assert await server.received(1) == b"a"

    run(main)


def test_every_bytes_like_object(run):
    async def main():
        async with connected() as (client, server):
            changing = bytearray(b"bytearray ")
            transport = client.transport
            transport.write(b"bytes ")
            transport.write(changing)
            transport.write(memoryview(b"..view ..")[2:7])
            transport.write(memoryview(bytearray(b"..other ..")).toreadonly()[2:8])
            changing[:] = b"X" * len(changing)  # ours to change at once
            transport.writelines([b"li", bytearray(b"n"), memoryview(b"es")])
            expected = b"bytes bytearray view other lines"
            assert await server.received(len(expected)) == expected

    run(main)


def test_writelines_takes_any_iterable(run):
    async def main():
        async with connected() as (client, server):
            client.transport.writelines(str(i).encode() for i in range(100))
            expected = "".join(map(str, range(100))).encode()
            assert await server.received(len(expected)) == expected

    run(main)


def test_wrong_types(run):
    async def main():
        async with connected() as (client, _server):
            with pytest.raises(TypeError, match="data: expecting a bytes-like "
                                                "instance, got str"):
                client.transport.write("text")
            with pytest.raises(TypeError):
                client.transport.writelines([1])
            with pytest.raises(NotImplementedError):
                client.transport.write_eof()
            assert client.transport.can_write_eof() is False

    run(main)


def test_a_line_that_is_no_bytes_ends_the_connection(run):
    async def main():
        async with connected() as (client, _server):
            client.transport.writelines(["text"])
            return await client.lost

    exc = run(main)
    assert type(exc) is TypeError
    assert [r["message"] for r in run.reports] == ["Fatal error on SSL protocol"]


def slices(rng, data):
    at = 0
    while at < len(data):
        n = rng.choice([1, 2, 7, 100, 1000, 5000, 16384, 40000])
        yield data[at:at + n]
        at += n


@pytest.mark.parametrize("seed", range(6))
def test_random_slices(run, seed):
    """A megabyte in random pieces, both directions at once, with pauses."""
    rng = random.Random(seed)
    there, back = pattern(1_000_000, 1), pattern(700_000, 2)

    async def send(protocol, data):
        for piece in slices(rng, data):
            if rng.random() < 0.3:
                protocol.transport.writelines([piece[:3], piece[3:]])
            else:
                protocol.transport.write(piece)
            if rng.random() < 0.2:
                await asyncio.sleep(0)
            if rng.random() < 0.05:
                protocol.transport.pause_reading()
                await turns(3)
                protocol.transport.resume_reading()

    async def main():
        async with connected() as (client, server):
            await asyncio.gather(send(client, there), send(server, back))
            assert await server.received(len(there)) == there
            assert await client.received(len(back)) == back

    run(main)
    assert run.reports == []


@pytest.mark.parametrize("seed", range(4))
def test_random_slices_of_ciphertext(run, seed):
    """The peer's records arrive in pieces of any size."""
    rng = random.Random(seed)
    data = pattern(120_000, seed)

    async def main():
        loop = asyncio.get_running_loop()
        made = loop.create_future()

        def factory():
            protocol = Proto()
            made.set_result(protocol)
            return protocol

        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context().wrap_bio(
            incoming, outgoing, server_hostname="localhost")

        async with serving(factory) as address:
            reader, writer = await asyncio.open_connection(*address)

            async def flush():
                rest = outgoing.read()
                while rest:
                    n = rng.choice([1, 3, 5, 6, 21, 100, 1000, 16000, 20000])
                    writer.write(rest[:n])
                    await writer.drain()
                    await turns(2)
                    rest = rest[n:]

            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await flush()
                    incoming.write(await reader.read(65536))
            for piece in slices(rng, data):
                tls.write(piece)
                if rng.random() < 0.5:
                    await flush()
            await flush()
            server = await made
            assert await server.received(len(data)) == data
            writer.close()
            await server.lost

    run(main)


# -- streams ----------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_streams(run, size):
    data = pattern(size)

    async def serve(reader, writer):
        while piece := await reader.read(100_000):
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(
            serve, "127.0.0.1", 0, ssl=server_context())
        reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname(), ssl=client_context(),
            server_hostname="localhost")
        sent = asyncio.ensure_future(write_all(writer))
        assert await reader.readexactly(size) == data
        await sent
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    async def write_all(writer):
        writer.write(data)
        await writer.drain()

    run(main)
    assert run.reports == []


def test_streams_by_lines(run):
    lines = [b"%d " % i * (i % 50) + b"\n" for i in range(2000)]

    async def serve(reader, writer):
        async for line in reader:
            writer.write(line)
        writer.close()

    async def main():
        server = await asyncio.start_server(
            serve, "127.0.0.1", 0, ssl=server_context())
        reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname(), ssl=client_context(),
            server_hostname="localhost")
        writer.writelines(lines)
        for line in lines:
            assert await reader.readline() == line
        writer.close()
        await writer.wait_closed()
        server.close()

    run(main)


def test_a_reader_that_is_not_read_pauses_the_peer(run):
    """Both readers have a limit: a lot of data must wait in the sender."""
    data = pattern(20_000_000)

    async def main():
        got = asyncio.get_running_loop().create_future()

        async def serve(reader, writer):
            await asyncio.sleep(0.1)
            received = bytearray()
            while piece := await reader.read(30_000):
                received += piece
            got.set_result(bytes(received))
            writer.close()

        server = await asyncio.start_server(
            serve, "127.0.0.1", 0, ssl=server_context(), limit=4096)
        _reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname(), ssl=client_context(),
            server_hostname="localhost")
        sizes = []
        for at in range(0, len(data), 1_000_000):
            writer.write(data[at:at + 1_000_000])
            sizes.append(writer.transport.get_write_buffer_size() > 0)
            await writer.drain()
        writer.close()
        assert await got == data
        await writer.wait_closed()
        server.close()
        return any(sizes)

    assert run(main)
    assert run.reports == []


# -- BufferedProtocol ---------------------------------------------------------


@pytest.mark.parametrize("size", [1, 1000, 16384, 100_000])
def test_buffered_protocol(run, size):
    data = pattern(300_000)

    async def main():
        async with connected(server=lambda: Buffered(size)) as (client, server):
            if size == 1:
                client.transport.write(data[:300])
                assert await server.received(300) == data[:300]
            else:
                client.transport.write(data)
                assert await server.received(len(data)) == data
            assert all(hint >= 0 for hint in server.hints)

    run(main)
    assert run.reports == []


def test_buffered_protocol_that_fails(run):
    class Failing(Buffered):
        def get_buffer(self, hint):
            raise ValueError("no buffer")

    async def main():
        async with connected(server=lambda: Failing(10)) as (client, server):
            client.transport.write(b"data")
            return await server.lost

    assert str(run(main)) == "no buffer"
    assert [r["message"] for r in run.reports] == ["Fatal error on SSL protocol"]


def test_protocols_change(run):
    async def main():
        async with connected() as (client, server):
            client.transport.write(b"first")
            await server.received(5)
            second = Buffered(100)
            server.transport.set_protocol(second)
            assert server.transport.get_protocol() is second
            client.transport.write(b"second")
            assert await second.received(6) == b"second"
            server.transport.set_protocol(server)
            client.transport.write(b"third")
            assert await server.received(10) == b"firstthird"

    run(main)


# -- when it leaves -------------------------------------------------------------


def test_head_and_body_are_one_record(ours):
    """What one callback writes leaves together."""
    async def main():
        received = []

        def client_records(address):
            with raw_client(address) as sock:
                sock.sendall(b"go")
                while len(b"".join(received)) < 8:
                    received.append(sock.recv(100))

        def answer(self, _data):
            self.transport.write(b"head")
            self.transport.write(b"body")

        async with serving(lambda: Proto(data=answer)) as address:
            await asyncio.to_thread(client_records, address)
        assert received == [b"headbody"]

    ours(main)


def test_what_is_written_before_an_abort_has_been_sent(run):
    async def main():
        async with connected() as (client, server):
            client.transport.write(b"last words")
            client.transport.abort()
            assert await server.received(10) == b"last words"

    run(main)


def test_what_is_written_before_the_lower_transport_closes(run):
    async def main():
        async with connected() as (client, server):
            client.transport.write(b"last words")
            client.transport._ssl_protocol._transport.close()
            assert await server.received(10) == b"last words"

    run(main)


def test_written_before_the_loop_stops():
    """Nothing is held over the end of a run."""
    import fastasync

    loop = fastasync.new_event_loop()

    async def main():
        made = loop.create_future()
        server = await loop.create_server(
            lambda: Proto(made=lambda self: made.set_result(self)),
            "127.0.0.1", 0, ssl=server_context())
        client = await loop.run_in_executor(
            None, raw_client, server.sockets[0].getsockname())
        return server, await made, client

    server, protocol, client = loop.run_until_complete(main())
    protocol.transport.write(b"not running")
    assert client.recv(100) == b"not running"
    client.close()
    server.close()
    protocol.transport.abort()
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
