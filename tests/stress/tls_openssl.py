"""Our TLS server against `openssl s_client`.

    python tests/stress/tls_openssl.py

Lines both ways, key updates (TLS 1.3), renegotiation (TLS 1.2, refused and
allowed), close_notify, many bytes, a client that vanishes, one that speaks no
TLS. After each, a new client must be served.
"""

import asyncio
import contextlib
import shutil
import ssl

import common

PIPE = asyncio.subprocess.PIPE
ALLOW_CLIENT_RENEGOTIATION = 0x100  # SSL_OP_..., which the module ssl lacks


class Echo(asyncio.Protocol):
    """Echoes, and tells how the connection came to its end."""

    ends = None

    def __init__(self):
        self.transport = None
        self.eof = False

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    def eof_received(self):
        self.eof = True

    def connection_lost(self, exc):
        Echo.ends.put_nowait((self.eof, exc))


class Client:
    """One `openssl s_client`, driven through pipes."""

    @classmethod
    @contextlib.asynccontextmanager
    async def run(cls, port, *options):
        self = cls()
        self.process = await asyncio.create_subprocess_exec(
            "openssl",
            "s_client",
            "-connect",
            f"127.0.0.1:{port}",
            "-CAfile",
            str(common.CERTIFICATE),
            "-servername",
            "localhost",
            *options,
            stdin=PIPE,
            stdout=PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            yield self
        finally:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.communicate()

    async def until(self, text):
        """Read what it prints, up to a text."""
        async with asyncio.timeout(20):
            return await self.process.stdout.readuntil(text)

    def type(self, text):
        self.process.stdin.write(text)

    async def echoes(self, line):
        self.type(line)
        got = await self.until(line)
        assert got.endswith(line), got


async def end():
    async with asyncio.timeout(20):
        return await Echo.ends.get()


async def lines(port, *version):
    """Lines there and back, then 'Q': close_notify."""
    async with Client.run(port, *version) as client:
        await client.until(b"Verify return code: 0 (ok)\n")
        for number in range(20):
            await client.echoes(b"line number %d\n" % number)
        client.type(b"Q\n")
        await client.process.wait()
    assert await end() == (True, None)


async def key_updates(port):
    """'k': our peer changes its key; 'K': it wants us to change ours, too."""
    async with Client.run(port, "-tls1_3") as client:
        await client.until(b"Verify return code: 0 (ok)\n")
        for number in range(10):
            client.type(b"K\n" if number % 2 else b"k\n")
            await client.until(b"KEYUPDATE\n")
            await client.echoes(b"after key update %d\n" % number)
        client.type(b"Q\n")
        await client.process.wait()
    assert await end() == (True, None)


async def renegotiation(port):
    """'R' with TLS 1.2, where the server allows it."""
    async with Client.run(port, "-tls1_2") as client:
        await client.until(b"Verify return code: 0 (ok)\n")
        for number in range(3):
            client.type(b"R\n")
            await client.until(b"RENEGOTIATING\n")
            await client.echoes(b"after renegotiation %d\n" % number)
        client.type(b"Q\n")
        await client.process.wait()
    assert await end() == (True, None)


async def renegotiation_refused(port):
    """The client gives up; for the server that is an end like any other."""
    async with Client.run(port, "-tls1_2") as client:
        await client.echoes(b"before\n")
        client.type(b"R\n")
        await client.until(b"RENEGOTIATING\n")
        client.type(b"after\n")
        async with asyncio.timeout(20):
            output, _ = await client.process.communicate()
        assert client.process.returncode == 1, output
    await end()


async def many_bytes(port):
    """5 MB there and back; -quiet: no letter is a command."""
    data = common.pattern(5_000_000)
    async with Client.run(port, "-quiet") as client:
        got = bytearray()

        async def read():
            while len(got) < len(data) or not got.endswith(data[-1000:]):
                part = await client.process.stdout.read(65536)
                assert part, "it ended too early"
                got.extend(part)

        reading = asyncio.ensure_future(read())
        client.type(data)
        async with asyncio.timeout(60):
            await reading
        # s_client prints what it thinks of the certificate first
        assert got[-len(data) :] == data, "wrong bytes came back"
    await end()


async def vanishes(port):
    async with Client.run(port) as client:
        await client.echoes(b"hello\n")
    await end()  # it was killed: no close_notify


async def no_tls(port):
    """Plain bytes are answered with an alert, and the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    async with asyncio.timeout(20):
        answer = await reader.read()
    assert len(answer) < 100
    writer.close()


async def tls_1_3(port):
    await lines(port, "-tls1_3")


async def tls_1_2(port):
    await lines(port, "-tls1_2")


SCENES = (
    tls_1_3,
    tls_1_2,
    key_updates,
    many_bytes,
    vanishes,
    no_tls,
)


async def trial():
    loop = asyncio.get_running_loop()
    Echo.ends = asyncio.Queue()
    files = None
    for option, scenes in (
        (0, SCENES),
        (ssl.OP_NO_RENEGOTIATION, (renegotiation_refused,)),
        (ALLOW_CLIENT_RENEGOTIATION, (renegotiation,)),
    ):
        context = common.server_context()
        context.options |= option
        server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        for scene in scenes:
            await scene(port)
            await lines(port)  # the next is served
            print("passed", scene.__name__, flush=True)
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.01)
        files = files or common.open_files()
    common.check_files(files)


def main():
    options = common.arguments(__doc__)
    if shutil.which("openssl") is None:
        raise SystemExit("openssl is not installed")
    common.run(options.loop, trial())


if __name__ == "__main__":
    main()
