"""start_tls on both sides, by loop and by stream, and TLS in TLS."""

import asyncio
import ssl

import pytest

pytest.importorskip("fastasync")

from tlssupport import (  # noqa: E402
    Proto,
    client_context,
    connected,
    pattern,
    server_context,
    turns,
)

DATA = pattern(300_000)


async def upgrade(transport, protocol, **options):
    loop = asyncio.get_running_loop()
    return await loop.start_tls(transport, protocol, **options)


def client_options():
    return {"sslcontext": client_context(), "server_hostname": "localhost"}


def server_options():
    return {"sslcontext": server_context(), "server_side": True}


async def plain_pair():
    """Two protocols at the ends of a plain connection, and the server."""
    loop = asyncio.get_running_loop()
    made = loop.create_future()

    def factory():
        protocol = Proto()
        made.set_result(protocol)
        return protocol

    server = await loop.create_server(factory, "127.0.0.1", 0)
    _, client = await loop.create_connection(
        Proto, *server.sockets[0].getsockname())
    theirs = await made
    await theirs.made
    return client, theirs, server


def test_both_sides(run):
    async def main():
        client, served, server = await plain_pair()
        client.transport.write(b"plain")
        assert await served.received(5) == b"plain"
        client.data.clear()
        served.data.clear()
        ours, theirs = await asyncio.gather(
            upgrade(client.transport, client, **client_options()),
            upgrade(served.transport, served, **server_options()))
        assert client.events.count("made") == 1
        ours.write(DATA)
        assert await served.received(len(DATA)) == DATA
        theirs.write(DATA)
        assert await client.received(len(DATA)) == DATA
        assert ours.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert ours.get_extra_info("peername") == (
            server.sockets[0].getsockname())
        ours.close()
        assert await client.lost is None
        assert await served.lost is None
        assert client.events[-1] == "lost"
        server.close()

    run(main)
    assert run.reports == []


def test_refusals(run):
    async def main():
        client, served, server = await plain_pair()
        with pytest.raises(TypeError, match="sslcontext is expected"):
            await upgrade(client.transport, client, sslcontext=None)
        with pytest.raises(TypeError, match="is not supported by start_tls"):
            await upgrade(object(), client, sslcontext=client_context())
        with pytest.raises(ValueError, match="ssl_handshake_timeout should be "
                                             "a positive number, got 0"):
            await upgrade(client.transport, client, ssl_handshake_timeout=0,
                          **client_options())
        with pytest.raises(ValueError, match="ssl_shutdown_timeout should be "
                                             "a positive number, got -1"):
            await upgrade(client.transport, client, ssl_shutdown_timeout=-1,
                          **client_options())
        client.transport.abort()
        await asyncio.wait([client.lost, served.lost])
        server.close()

    run(main)


def test_the_other_side_is_not_tls(run):
    async def main():
        client, served, server = await plain_pair()
        served.transport.write(b"220 not TLS at all\r\n" * 10)
        with pytest.raises(ssl.SSLError) as info:
            await upgrade(client.transport, client, **client_options())
        assert info.value.reason == "WRONG_VERSION_NUMBER"
        await served.lost
        server.close()

    run(main)


def test_cancelled(run):
    async def main():
        client, served, server = await plain_pair()
        task = asyncio.ensure_future(
            upgrade(client.transport, client, **client_options()))
        await turns(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await served.lost
        server.close()

    run(main)


# -- streams -----------------------------------------------------------------


def test_stream_start_tls(run):
    async def serve(reader, writer):
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go\n")
        await writer.start_tls(server_context())
        data = await reader.readexactly(len(DATA))
        writer.write(data)
        await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname())
        writer.write(b"STARTTLS\n")
        assert await reader.readline() == b"go\n"
        await writer.start_tls(client_context(), server_hostname="localhost")
        writer.write(DATA)
        assert await reader.readexactly(len(DATA)) == DATA
        writer.close()
        await writer.wait_closed()
        server.close()

    run(main)
    assert run.reports == []


def test_client_hello_that_has_come_already(ours):
    """It lies in the StreamReader when the server calls start_tls; of asyncio
    only late releases take it over."""
    async def serve(reader, writer):
        assert await reader.readline() == b"STARTTLS\n"
        while len(reader._buffer) < 100:
            await asyncio.sleep(0.001)
        await writer.start_tls(server_context())
        writer.write(await reader.readexactly(5))
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname())
        writer.write(b"STARTTLS\n")
        await writer.start_tls(client_context(), server_hostname="localhost")
        writer.write(b"12345")
        assert await reader.read() == b"12345"
        writer.close()
        await writer.wait_closed()
        server.close()

    ours(main)
    assert ours.reports == []


# -- TLS in TLS -----------------------------------------------------------------


def test_tls_in_tls(run):
    async def main():
        async with connected() as (client, served):
            ours, theirs = await asyncio.gather(
                upgrade(client.transport, client, **client_options()),
                upgrade(served.transport, served, **server_options()))
            assert ours.get_extra_info("ssl_object") is not (
                client.transport.get_extra_info("ssl_object"))
            ours.write(DATA)
            assert await served.received(len(DATA)) == DATA
            theirs.write(DATA)
            assert await client.received(len(DATA)) == DATA
            ours.close()
            assert await client.lost is None
            assert await served.lost is None

    run(main)
    assert run.reports == []


@pytest.mark.parametrize("theirs", ["ours", "asyncio's"])
def test_asyncio_protocol_on_our_transport(ours, theirs):
    """Whoever makes asyncio's SSLProtocol himself (aiosmtpd) gets along with
    our transports, and ours with a transport that is not ours."""
    async def main():
        client, served, server = await plain_pair()
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        tls = asyncio.sslproto.SSLProtocol(
            loop, served, server_context(), waiter, server_side=True,
            call_connection_made=False)
        served.transport.pause_reading()
        served.transport.set_protocol(tls)
        tls.connection_made(served.transport)
        served.transport.resume_reading()
        transport = await upgrade(
            client.transport, client, **client_options())
        await waiter
        transport.write(DATA)
        assert await served.received(len(DATA)) == DATA
        tls._app_transport.write(DATA)
        assert await client.received(len(DATA)) == DATA
        transport.close()
        await client.lost
        await served.lost
        server.close()

    ours(main)


def test_over_a_transport_of_pythons(ours):
    """A pair of Python transports without a socket."""

    class Pipe(asyncio.Transport):
        _start_tls_compatible = True

        def __init__(self, protocol):
            super().__init__()
            self.protocol, self.other, self.closed = protocol, None, False

        def set_protocol(self, protocol):
            self.protocol = protocol

        def is_closing(self):
            return self.closed

        def pause_reading(self):
            pass

        def resume_reading(self):
            pass

        def write(self, data):
            assert type(data) is bytes and data
            asyncio.get_running_loop().call_soon(self.other.feed, data)

        def feed(self, data):
            while data and not self.closed:
                buffer = self.protocol.get_buffer(len(data))
                n = min(len(buffer), len(data))
                buffer[:n] = data[:n]
                self.protocol.buffer_updated(n)
                data = data[n:]

        def close(self):
            self._force_close(None)

        def _force_close(self, exc):
            for end in (self, self.other):
                if not end.closed:
                    end.closed = True
                    asyncio.get_running_loop().call_soon(
                        end.protocol.connection_lost, exc)

    async def main():
        client, served = Proto(), Proto()
        one, two = Pipe(client), Pipe(served)
        one.other, two.other = two, one
        ours_, theirs = await asyncio.gather(
            upgrade(one, client, **client_options()),
            upgrade(two, served, **server_options()))
        ours_.write(DATA)
        assert await served.received(len(DATA)) == DATA
        theirs.write(DATA)
        assert await client.received(len(DATA)) == DATA
        ours_.close()
        assert await client.lost is None
        assert await served.lost is None

    ours(main)
    assert ours.reports == []


def test_sendfile_falls_back(run, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(DATA)

    async def main():
        loop = asyncio.get_running_loop()
        async with connected() as (client, server):
            with path.open("rb") as file:
                with pytest.raises(RuntimeError):
                    await loop.sendfile(client.transport, file, fallback=False)
                assert await loop.sendfile(client.transport, file) == len(DATA)
            assert await server.received(len(DATA)) == DATA

    run(main)
