"""What goes wrong with TLS: handshakes, certificates, timeouts, peers that go."""

import asyncio
import gc
import logging
import socket
import ssl
import struct
import weakref

import pytest

pytest.importorskip("fastasync")

from tlssupport import (  # noqa: E402
    TLS12,
    Proto,
    client_context,
    connect,
    connected,
    raw_client,
    raw_peer,
    server_context,
    serving,
    turns,
)


def messages(run):
    return [report["message"] for report in run.reports]


def vanish(sock):
    """Close with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


# -- the handshake ---------------------------------------------------------------


def test_certificate_that_is_not_trusted(run):
    async def main():
        served = []

        def factory():
            served.append(Proto())
            return served[0]

        async with serving(factory) as address:
            with pytest.raises(ssl.SSLCertVerificationError) as info:
                await connect(Proto, address, ssl.create_default_context())
            await turns(20)
        assert served[0].events == []  # it never was connected
        return str(info.value)

    text = run(main)
    assert "certificate verify failed: self-signed certificate" in text
    # an SSLError is an OSError: asyncio tells nobody
    assert messages(run) == []


def test_certificate_of_another_name(run):
    async def main():
        async with serving(Proto) as address:
            with pytest.raises(ssl.CertificateError) as info:
                await connect(Proto, address, server_hostname="wrong.test")
        return str(info.value)

    assert "Hostname mismatch" in run(main)


def test_no_common_version(run):
    async def main():
        context = server_context(minimum_version=ssl.TLSVersion.TLSv1_3)
        async with serving(Proto, context) as address:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await connect(Proto, address, client_context(**TLS12))

    run(main)


def test_garbage_for_a_client_hello(run):
    async def main():
        served = []

        def factory():
            served.append(Proto())
            return served[0]

        async with serving(factory) as address:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"GET / HTTP/1.0\r\n\r\n" * 20)
            try:
                assert await reader.read() == b""
            except ConnectionResetError:
                pass
            writer.close()
            await turns()
        assert served[0].events == []

    run(main)
    assert messages(run) == []


@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_peer_that_goes_during_the_handshake(run, how):
    async def main():
        async with raw_peer() as (task, sock):
            loop = asyncio.get_running_loop()
            hello = await loop.sock_recv(sock, 100_000)
            assert hello[0] == 22
            if how == "close":
                sock.close()
            elif how == "reset":
                vanish(sock)
            else:
                sock.shutdown(socket.SHUT_WR)
            with pytest.raises(ConnectionResetError):
                await task

    run(main)
    assert messages(run) == []


def test_handshake_timeout_of_a_client(run):
    async def main():
        async with raw_peer(ssl_handshake_timeout=0.05) as (task, _sock):
            with pytest.raises(ConnectionAbortedError) as info:
                await task
        return str(info.value)

    assert run(main) == ("SSL handshake is taking longer than 0.05 seconds: "
                         "aborting the connection")


def test_handshake_timeout_of_a_server(run):
    async def main():
        async with serving(Proto, ssl_handshake_timeout=0.05) as address:
            reader, writer = await asyncio.open_connection(*address)
            try:
                assert await reader.read() == b""
            except ConnectionResetError:
                pass
            writer.close()

    run(main)
    assert messages(run) == []


def test_cancelled_during_the_handshake(run):
    async def main():
        made = []

        def factory():
            made.append(Proto())
            return made[0]

        async with raw_peer(factory) as (task, sock):
            loop = asyncio.get_running_loop()
            await loop.sock_recv(sock, 100_000)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while await loop.sock_recv(sock, 100_000):
                pass
            assert made[0].events == []

    run(main)


def test_handshake_that_stops_leaves_nothing(ours):
    async def main():
        async with raw_peer(ssl_handshake_timeout=3600) as (task, sock):
            await asyncio.get_running_loop().sock_recv(sock, 100_000)
            context = client_context()
            ref = weakref.ref(context)
            del context
            sock.close()
            with pytest.raises(ConnectionResetError):
                await task
        return ref

    ref = ours(main)
    gc.collect()
    assert ref() is None


# -- data and after ----------------------------------------------------------------


def test_peer_that_resets(run):
    async def main():
        async with serving(lambda: server_proto[0]) as address:
            server_proto.append(Proto())
            sock = await asyncio.to_thread(raw_client, address)
            await server_proto[0].made
            vanish(sock)
            return await server_proto[0].lost

    server_proto = []
    assert isinstance(run(main), ConnectionResetError)
    assert messages(run) == []


def test_a_large_write_that_comes_too_late_is_one(run, caplog):
    """The transport below warns from its sixth late write on."""
    async def main():
        server = Proto()
        async with serving(lambda: server) as address:
            sock = await asyncio.to_thread(raw_client, address)
            await server.made
            vanish(sock)
            server.transport.write(bytes(20_000_000))
            server.transport.write(bytes(20_000_000))
            await server.lost

    run(main)
    assert "socket.send()" not in caplog.text


def test_end_of_file_without_close_notify(run):
    """Unclean, but not an error in asyncio."""
    async def main():
        server = Proto()
        async with serving(lambda: server) as address:
            sock = await asyncio.to_thread(raw_client, address)
            await server.made
            sock.shutdown(socket.SHUT_RDWR)
            sock.close()
            exc = await server.lost
            return server.events, exc

    events, exc = run(main)
    assert exc is None
    assert events == ["made", "eof", "lost"]


def test_record_that_was_tampered_with(run):
    async def main():
        server = Proto()
        async with serving(lambda: server) as address:
            sock = await asyncio.to_thread(raw_client, address)
            await server.made
            raw = socket.socket(fileno=sock.detach())
            raw.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            exc = await server.lost
            raw.close()
            return exc

    exc = run(main)
    assert isinstance(exc, ssl.SSLError)
    assert exc.library == "SSL"
    assert exc.reason == "DECRYPTION_FAILED_OR_BAD_RECORD_MAC"
    text = str(exc)
    assert text.startswith("[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] "
                           "decryption failed or bad record mac (_ssl.c:")
    assert messages(run) == []


def test_error_texts_are_the_same():
    """Line numbers of _ssl.c included."""
    import tlssupport

    texts = set()
    for name in tlssupport.SIDES:
        run = tlssupport.Side(name)

        async def main():
            server = Proto()
            async with serving(lambda: server) as address:
                sock = await asyncio.to_thread(raw_client, address)
                await server.made
                raw = socket.socket(fileno=sock.detach())
                raw.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
                exc = await server.lost
                raw.close()
                return type(exc), str(exc), exc.errno

        texts.add(run(main))
    assert len(texts) == 1


def test_close_by_the_peer(run):
    async def main():
        async with connected() as (client, server):
            client.transport.write(b"all")
            client.transport.close()
            assert client.transport.is_closing()
            assert await server.lost is None
            assert await client.lost is None
            assert server.data == b"all"
            assert server.events[-2:] == ["eof", "lost"]
            assert client.events == ["made", "eof", "lost"]

    run(main)
    assert messages(run) == []


def test_shutdown_timeout(run):
    async def main():
        server = Proto()
        async with serving(
            lambda: server, ssl_shutdown_timeout=0.05
        ) as address:
            sock = await asyncio.to_thread(raw_client, address)
            await server.made
            server.transport.close()
            exc = await server.lost
            sock.close()
            return exc

    exc = run(main)
    assert type(exc) is TimeoutError
    assert str(exc) == "SSL shutdown timed out"


def test_write_after_close(run, caplog):
    async def main():
        async with connected() as (client, _server):
            client.transport.close()
            for _ in range(10):
                client.transport.write(b"late")
            client.transport.writelines([b"late"])
            await client.lost

    with caplog.at_level(logging.WARNING, "asyncio"):
        run(main)
    assert {r.getMessage() for r in caplog.records} == {"SSL connection is closed"}


def test_closed_twice(run):
    async def main():
        async with connected() as (client, _server):
            transport = client.transport
            transport.close()
            transport.close()
            assert transport.is_closing()
            with pytest.raises(AttributeError, match="'NoneType' object has no "
                                                     "attribute"):
                transport.write(b"x")
            with pytest.raises(AttributeError, match="_get_extra_info"):
                transport.get_extra_info("peername")
            transport.abort()
            await client.lost

    run(main)


def test_after_connection_lost(run):
    async def main():
        async with connected() as (client, _server):
            transport = client.transport
            transport.abort()
            assert await client.lost is None
            assert transport.get_extra_info("ssl_object") is not None
            assert transport.get_extra_info("peername") is None
            assert transport.get_extra_info("none", 7) == 7
            assert transport.get_protocol() is None
            transport.write(b"nothing")
            assert transport.get_write_buffer_size() == 0

    run(main)


@pytest.mark.parametrize("event", ["made", "data", "eof", "lost"])
@pytest.mark.parametrize("deed", ["close", "abort", "twice"])
def test_ends_inside_of_each_callback(run, event, deed):
    def end(protocol, *_args):
        protocol.transport.write(b"bye")
        if deed == "abort":
            protocol.transport.abort()
        else:
            protocol.transport.close()
        if deed == "twice":
            protocol.transport.abort()

    async def main():
        server = Proto(**{event: end})
        async with serving(lambda: server) as address:
            _, client = await connect(Proto, address)
            client.transport.write(b"data")
            if event in ("eof", "lost"):
                await turns(5)
                client.transport.close()
            await server.lost
            await client.lost
        assert server.events.count("lost") == 1
        assert server.events[-1] == "lost"

    run(main)
    assert messages(run) == []


@pytest.mark.parametrize("event", ["data", "eof"])
@pytest.mark.parametrize("kind", [ValueError, OSError, asyncio.CancelledError])
def test_callbacks_that_fail(run, event, kind):
    def fail(_protocol, *_args):
        raise kind("failed")

    async def main():
        server = Proto(**{event: fail})
        async with serving(lambda: server) as address:
            _, client = await connect(Proto, address)
            client.transport.write(b"data")
            await turns(5)
            client.transport.close()
            exc = await server.lost
            await client.lost
            return exc

    exc = run(main)
    expected = {
        ("data", ValueError): ["Fatal error on SSL protocol"],
        ("eof", ValueError): ["Error calling eof_received()"],
        ("data", asyncio.CancelledError):
            ["Fatal error: protocol.buffer_updated() call failed."],
    }
    assert messages(run) == expected.get((event, kind), [])
    assert type(exc) is kind
    for report in run.reports:
        assert report["exception"] is exc
        assert isinstance(report["protocol"], asyncio.sslproto.SSLProtocol)
        assert isinstance(report["transport"], asyncio.Transport)


def test_connection_made_that_fails(run):
    """asyncio reports it where it was raised, in the transport below."""
    def fail(_protocol):
        raise ValueError("made")

    async def main():
        server = Proto()
        server.connection_made = lambda _transport: fail(server)
        async with serving(lambda: server, ssl_handshake_timeout=5) as address:
            _, client = await connect(Proto, address)
            await client.lost

    run(main)
    assert [str(r["exception"]) for r in run.reports] == ["made"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_exits_come_through(ours, kind):
    def leave(_protocol, _data):
        raise kind("out")

    async def main():
        async with connected(server=lambda: Proto(data=leave)) as (client, _):
            client.transport.write(b"data")
            await asyncio.sleep(3600)

    with pytest.raises(kind):
        ours(main)


def test_eof_received_that_returns_true(run, caplog):
    async def main():
        async with connected(server=lambda: Proto(eof=lambda _: True)) as (
            client, server
        ):
            client.transport.close()
            await server.lost

    with caplog.at_level(logging.WARNING, "asyncio"):
        run(main)
    assert ("returning true from eof_received() has no effect when using ssl"
            in [r.getMessage() for r in caplog.records])


# -- debug mode and warnings ----------------------------------------------------------


def test_debug_log(run, caplog):
    async def main():
        server = Proto()
        async with serving(lambda: server) as address:
            sock = await asyncio.to_thread(raw_client, address)
            await server.made
            sock.shutdown(socket.SHUT_RDWR)
            sock.close()
            await server.lost

    with caplog.at_level(logging.DEBUG, "asyncio"):
        run(main, debug=True)
    text = "\n".join(r.getMessage() for r in caplog.records)
    for words in ("starts SSL handshake", "SSL handshake took", "received EOF"):
        assert words in text


def test_unclosed_transport(run):
    async def main():
        server = Proto()
        async with serving(lambda: server) as address:
            transport, client = await connect(Proto, address)
            tls = transport._ssl_protocol
            lower = tls._transport
            await server.made
            with pytest.warns(ResourceWarning, match="unclosed transport "
                              "<asyncio._SSLProtocolTransport object>"):
                lower.set_protocol(asyncio.Protocol())
                client.transport = client.made = tls = transport = None
                gc.collect()
            lower.abort()
            server.transport.abort()
            await server.lost

    run(main)
