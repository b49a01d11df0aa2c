"""What can be seen of a TLS connection: types, attributes, extra information,
contexts, lifetimes: tls_type.c, tls_transport.c, tls_engine.c."""

import asyncio
import contextvars
import gc
import inspect
import os
import re
import shutil
import ssl
import subprocess
import sys
import weakref

import pytest

fastasync = pytest.importorskip("fastasync")
import _fastasync  # noqa: E402

from tlssupport import (  # noqa: E402
    CLIENT_PEM,
    SERVER_PEM,
    TLS12,
    Proto,
    adjusted,
    client_context,
    connect,
    connected,
    pattern,
    raw_client,
    server_context,
    serving,
    turns,
)


def test_classes():
    assert issubclass(_fastasync.SSLProtocol, asyncio.sslproto.SSLProtocol)
    assert issubclass(_fastasync.SSLProtocol, asyncio.BufferedProtocol)
    assert issubclass(_fastasync.SSLTransport, asyncio.Transport)
    assert _fastasync.SSLTransport._start_tls_compatible is True
    assert _fastasync.SSLTransport._sendfile_compatible is (
        asyncio.constants._SendfileMode.FALLBACK)
    with pytest.raises(TypeError):
        _fastasync.SSLTransport()


def parameters(method):
    _, *rest = inspect.signature(method).parameters.values()
    return [(one.name, one.kind) for one in rest]


def test_transport_has_what_asyncios_has():
    theirs = asyncio.sslproto._SSLProtocolTransport
    for name in vars(theirs):
        if name.startswith("__"):
            continue
        assert hasattr(_fastasync.SSLTransport, name), name
        if callable(getattr(theirs, name)):
            ours = getattr(_fastasync.SSLTransport, name)
            if not name.startswith("_"):
                assert parameters(ours) == parameters(getattr(theirs, name))


def test_attributes(run):
    async def main():
        async with connected() as (client, server):
            transport = client.transport
            tls = transport._ssl_protocol
            assert isinstance(tls, asyncio.sslproto.SSLProtocol)
            assert isinstance(transport, asyncio.Transport)
            loop = asyncio.get_running_loop()
            assert transport._loop is loop
            assert transport._closed is False
            assert tls._loop is loop
            assert tls._app_protocol is client
            assert tls._app_transport is transport
            assert tls._transport.get_protocol() is tls
            assert tls._sslcontext is tls._extra["sslcontext"]
            assert tls._sslobj is transport.get_extra_info("ssl_object")
            assert tls._server_side is False
            assert tls._server_hostname == "localhost"
            assert server.transport._ssl_protocol._server_side is True
            assert server.transport._ssl_protocol._server_hostname is None
            assert tls._state.name == "WRAPPED"
            assert tls._app_state.name == "STATE_CON_MADE"
            assert tls._waiter is None
            assert tls._conn_lost == 0
            assert tls._write_buffer_size == 0
            assert tls._ssl_handshake_timeout == 60.0
            assert tls._ssl_shutdown_timeout == 30.0
            assert tls._eof_received is False
            assert tls.max_size == 256 * 1024

    run(main)


def test_arguments_by_name(run):
    async def main():
        async with connected() as (client, server):
            transport = client.transport
            transport.write(data=b"ab")
            transport.writelines(list_of_data=[b"c", b"d"])
            assert await server.received(4) == b"abcd"
            transport.set_protocol(protocol=transport.get_protocol())
            for call in (transport.write, transport.writelines,
                         transport.set_protocol):
                for args, kwargs in ((), {}), ((b"", b""), {}), ((), {"x": 1}):
                    with pytest.raises(TypeError):
                        call(*args, **kwargs)

    run(main)


def test_back_ends(ours):
    async def main():
        async with connected() as (client, server):
            assert client.transport._ssl_protocol._backend == ours.name
            assert server.transport._ssl_protocol._backend == ours.name

    ours(main)


def test_extra_info(run):
    async def main():
        async with connected() as (client, server):
            info = client.transport.get_extra_info
            assert isinstance(info("ssl_object"), ssl.SSLObject)
            assert isinstance(info("sslcontext"), ssl.SSLContext)
            assert info("peercert")["subject"] == ((("commonName", "localhost"),),)
            assert info("cipher") == info("ssl_object").cipher()
            assert info("compression") is None
            theirs = server.transport.get_extra_info
            assert info("peername") == theirs("sockname")
            assert info("sockname") == theirs("peername")
            assert info("socket").fileno() >= 0
            assert info("nothing") is None
            assert info("nothing", default=3) == 3
            assert theirs("peercert") is None

    run(main)


def test_ssl_object(run):
    """Everything that can be asked of it."""
    async def main():
        async with connected() as (client, server):
            sslobj = client.transport.get_extra_info("ssl_object")
            assert sslobj.version() == "TLSv1.3"
            assert sslobj.pending() == 0
            assert sslobj.server_side is False
            assert sslobj.server_hostname == "localhost"
            assert sslobj.context is client.transport.get_extra_info("sslcontext")
            assert sslobj.selected_alpn_protocol() is None
            assert sslobj.shared_ciphers() is None
            assert sslobj.getpeercert(binary_form=True).startswith(b"\x30")
            theirs = server.transport.get_extra_info("ssl_object")
            assert theirs.shared_ciphers()
            with pytest.raises(ssl.SSLWantReadError):
                sslobj.read(10)
            client.transport.write(b"still")
            assert await server.received(5) == b"still"

    run(main)


def test_channel_binding(run):
    async def main():
        async with connected(to=client_context(**TLS12)) as (client, server):
            ours = client.transport.get_extra_info("ssl_object")
            theirs = server.transport.get_extra_info("ssl_object")
            assert ours.get_channel_binding() is not None
            assert ours.get_channel_binding() == theirs.get_channel_binding()

    run(main)


def test_ssl_object_outlives_the_connection(run):
    async def main():
        async with connected() as (client, server):
            sslobj = client.transport.get_extra_info("ssl_object")
            client.transport.abort()
            await server.lost
        return sslobj

    sslobj = run(main)
    gc.collect()
    assert sslobj.version() == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        sslobj.read(1)
    try:
        sslobj.write(b"to nobody")
    except ssl.SSLError:
        pass
    try:
        sslobj.unwrap()
    except ssl.SSLError:
        pass
    del sslobj
    gc.collect()


# -- what a context can do -------------------------------------------------------------


def test_alpn(run):
    async def main():
        ours, theirs = client_context(), server_context()
        ours.set_alpn_protocols(["h2", "http/1.1"])
        theirs.set_alpn_protocols(["http/1.1"])
        async with connected(to=ours, at=theirs) as (client, server):
            for end in (client, server):
                sslobj = end.transport.get_extra_info("ssl_object")
                assert sslobj.selected_alpn_protocol() == "http/1.1"

    run(main)


def test_sni(run):
    names = []

    async def main():
        other = server_context()

        def choose(sslobj, name, context):
            names.append((type(sslobj), name))
            sslobj.context = other

        async with connected(at=server_context(sni_callback=choose)) as (
            client, server
        ):
            sslobj = server.transport.get_extra_info("ssl_object")
            assert sslobj.context is other
            data = pattern(100_000)
            client.transport.write(data)
            assert await server.received(len(data)) == data

    run(main)
    assert names == [(ssl.SSLObject, "localhost")]


def test_client_certificate(run):
    async def main():
        ours = client_context()
        ours.load_cert_chain(CLIENT_PEM)
        theirs = server_context(verify_mode=ssl.CERT_REQUIRED)
        theirs.load_verify_locations(CLIENT_PEM)
        async with connected(to=ours, at=theirs) as (client, server):
            client.transport.write(b"x")
            await server.received(1)
            cert = server.transport.get_extra_info("peercert")
            assert cert["subject"] == ((("commonName", "client"),),)

    run(main)


def test_client_certificate_that_is_missing(run):
    async def main():
        theirs = server_context(verify_mode=ssl.CERT_REQUIRED)
        theirs.load_verify_locations(CLIENT_PEM)
        async with serving(Proto, theirs) as address:
            try:
                _, client = await connect(Proto, address)
            except (ssl.SSLError, ConnectionError):
                return
            # TLS 1.3: the client is told after its own handshake
            client.transport.write(b"x")
            await client.lost
            assert client.data == b""

    run(main)


def test_session_is_reused(run):
    async def main():
        context = client_context(**TLS12)
        async with serving(Proto, server_context()) as address:
            transport, client = await connect(Proto, address, context)
            session = transport.get_extra_info("ssl_object").session
            assert session is not None
            transport.close()
            await client.lost
        return session

    assert run(main).has_ticket


def test_messages_are_seen_by_the_callback(ours):
    """A context whose message callback wants every record is not gone past."""
    seen = []
    context = client_context()
    context._msg_callback = lambda *args: seen.append(args[1])

    async def main():
        async with connected(to=context) as (client, server):
            assert client.transport._ssl_protocol._backend == "memory"
            client.transport.write(b"data")
            await server.received(4)

    ours(main)
    assert "write" in seen and "read" in seen


def test_ssl_object_of_a_subclass(ours):
    """Its own read() and write() are called."""
    calls = []

    class Counting(ssl.SSLObject):
        def read(self, *args):
            calls.append("read")
            return super().read(*args)

        def write(self, data):
            calls.append("write")
            return super().write(data)

    async def main():
        context = adjusted(client_context(), {"sslobject_class": Counting})
        async with connected(to=context) as (client, server):
            client.transport.write(b"data")
            await server.received(4)
            server.transport.write(b"back")
            await client.received(4)

    ours(main)
    assert "read" in calls and "write" in calls


def test_default_context_of_ssl_true(ours):
    """ssl=True makes one (and does not trust us)."""
    async def main():
        loop = asyncio.get_running_loop()
        async with serving(Proto) as address:
            with pytest.raises(ssl.SSLCertVerificationError):
                await loop.create_connection(
                    Proto, *address, ssl=True, server_hostname="localhost")

    ours(main)


# -- contexts ------------------------------------------------------------------------------


def test_every_callback_in_one_context(ours):
    var = contextvars.ContextVar("var", default=None)
    seen = []

    def note(_protocol, *_args):
        seen.append(var.get())
        var.set(len(seen))

    async def main():
        actions = dict.fromkeys(("made", "data", "eof", "lost"), note)
        async with connected(server=lambda: Proto(**actions)) as (client, server):
            for i in range(3):
                client.transport.write(b"x")
                await server.received(i + 1)
            server.transport.pause_reading()
            client.transport.write(b"x")
            await turns(5)
            server.transport.resume_reading()
            await server.received(4)
            client.transport.close()
            await server.lost

    ours(main)
    assert seen == [None, *range(1, len(seen))]
    assert len(seen) == 7


# -- lifetimes -----------------------------------------------------------------------------


def test_everything_goes(ours):
    async def main():
        async with connected() as (client, server):
            client.transport.write(b"data")
            await server.received(4)
            refs = []
            for end in (client, server):
                tls = end.transport._ssl_protocol
                refs += [weakref.ref(x) for x in (
                    end.transport, tls, tls._transport, tls._sslobj)]
        del client, server, end, tls
        await turns()
        return refs

    refs = ours(main)
    gc.collect()
    assert [ref() for ref in refs] == [None] * 8


def test_connections_leave_no_memory(ours):
    async def some(n):
        async with serving(Proto) as address:
            for _ in range(n):
                _, client = await connect(Proto, address, context)
                client.transport.write(b"data")
                client.transport.close()
                await client.lost
        await turns(20)

    context = client_context()

    async def main():
        for _ in range(25):  # the first rounds fill freelists and caches
            gc.collect()
            before = sys.getallocatedblocks()
            await some(60)
            gc.collect()
            grown = sys.getallocatedblocks() - before
            if grown < 60:
                break
        return grown

    assert ours(main) < 60


def test_protocol_without_init():
    tls = _fastasync.SSLProtocol.__new__(_fastasync.SSLProtocol)
    for name in ("connection_made", "connection_lost", "buffer_updated",
                 "_take_over", "_write_appdata"):
        with pytest.raises((RuntimeError, TypeError)):
            getattr(tls, name)(None)
    with pytest.raises(RuntimeError):
        tls.eof_received()
    tls.get_buffer(10)
    with pytest.raises(RuntimeError):
        tls.buffer_updated(5)
    with pytest.raises(RuntimeError):
        tls._get_app_transport()
    assert tls._state.name == "UNWRAPPED"
    del tls
    gc.collect()


def test_arguments_of_the_protocol():
    loop = fastasync.new_event_loop()
    make = _fastasync.SSLProtocol
    context = client_context()
    with pytest.raises(TypeError):
        make(loop)
    with pytest.raises(ValueError, match="Server side SSL needs a valid SSLContext"):
        make(loop, asyncio.Protocol(), None, None, server_side=True)
    with pytest.raises(ValueError, match="ssl_handshake_timeout should be a "
                                         "positive number, got 0"):
        make(loop, asyncio.Protocol(), context, None, ssl_handshake_timeout=0)

    class Unclear:
        def __bool__(self):
            raise ZeroDivisionError

    for flag in ("server_side", "call_connection_made"):
        with pytest.raises(ZeroDivisionError):
            make(loop, asyncio.Protocol(), context, None, **{flag: Unclear()})
    with pytest.raises(ZeroDivisionError):  # the first of two
        make(loop, asyncio.Protocol(), context, None, Unclear(), None, Unclear())
    tls = make(loop, asyncio.Protocol(), context, None)
    with pytest.raises(RuntimeError):
        tls.__init__(loop, asyncio.Protocol(), context, None)
    tls._app_transport.abort()
    loop.close()


# -- against openssl itself ------------------------------------------------------------------


needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="needs the openssl command")


def s_client(address, *options):
    return asyncio.create_subprocess_exec(
        "openssl", "s_client", "-connect", "%s:%d" % address, "-quiet",
        "-CAfile", SERVER_PEM, *options,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL)


@needs_openssl
def test_openssl_s_client(run):
    async def main():
        echo = lambda: Proto(  # noqa: E731
            data=lambda self, data: self.transport.write(data))
        async with serving(echo) as address:
            process = await s_client(address)
            data = pattern(200_000).replace(b"\n", b" ") + b"\n"
            process.stdin.write(data)
            assert await process.stdout.readexactly(len(data)) == data
            process.stdin.close()
            process.terminate()
            await process.wait()

    run(main)


@needs_openssl
@pytest.mark.parametrize("options", [["-tls1_3"], ["-tls1_2"]])
def test_renegotiation_and_key_update(run, options):
    """A line "R" makes s_client of TLS 1.2 renegotiate, "K" of 1.3 ask for new
    keys; the data after it still arrive."""
    async def main():
        server = Proto(data=lambda self, data: self.transport.write(data.upper()))
        context = server_context()
        context.options |= getattr(ssl, "OP_ALLOW_CLIENT_RENEGOTIATION", 0x100)
        async with serving(lambda: server, context) as address:
            process = await asyncio.create_subprocess_exec(
                "openssl", "s_client", "-connect", "%s:%d" % address,
                "-CAfile", SERVER_PEM, *options,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT)
            out = b""
            for i in range(5):
                # a command has to be a read of its own
                process.stdin.write(b"K\n" if "-tls1_3" in options else b"R\n")
                while out.count(words) <= i:
                    out += await process.stdout.read(10_000)
                process.stdin.write(b"line %d\n" % i)
                await server.received(7 * (i + 1))
            server.transport.write(b"the end")
            process.stdin.write(b"Q\n")
            out += await process.stdout.read()
            await process.wait()
        return out, bytes(server.data)

    words = b"KEYUPDATE" if "-tls1_3" in options else b"RENEGOTIATING"
    out, data = run(main)
    assert data == b"".join(b"line %d\n" % i for i in range(5))
    assert out.count(words) == 5
    assert re.search(rb"LINE 3", out)
    assert run.reports == []


@needs_openssl
def test_two_loops_and_many_connections(ours):
    async def main():
        async with serving(lambda: Proto(
            data=lambda self, data: self.transport.write(data))) as address:
            def talk(i):
                with raw_client(address) as sock:
                    data = pattern(10_000 + i)
                    sock.sendall(data)
                    got = b""
                    while len(got) < len(data):
                        got += sock.recv(100_000)
                    assert got == data

            await asyncio.gather(
                *(asyncio.to_thread(talk, i) for i in range(40)))

    ours(main)
    assert os.getpid()
