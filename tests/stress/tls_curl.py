"""curl against an HTTPS server on our loop: aiohttp's, or a small one.

    python tests/stress/tls_curl.py
    python tests/stress/tls_curl.py --megabytes 100 --parallel 50

Downloads and uploads of many sizes over one connection and over many at once;
curl's output is compared byte by byte.
"""

import asyncio
import os
import pathlib
import shutil
import tempfile

import common

try:
    from aiohttp import web
except ImportError:
    web = None

SIZES = (0, 1, 1000, 16384, 16385, 100_000, 3_000_000)


# -- the servers ---------------------------------------------------------------


async def small_server(context):
    """GET /n: n bytes of the pattern; POST: what was sent."""

    async def serve(reader, writer):
        try:
            while line := await reader.readline():
                _, path, _ = line.split()
                length = 0
                while (header := await reader.readline()).strip():
                    name, value = header.lower().split(b":", 1)
                    if name == b"content-length":
                        length = int(value)
                    elif name == b"expect":
                        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await reader.readexactly(length)
                body = body or common.pattern(int(path[1:]))
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
                writer.write(head % len(body))
                writer.write(body)
                await writer.drain()
        except ConnectionError:
            pass  # curl has enough
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)

    async def close():
        server.close()
        await server.wait_closed()

    return server.sockets[0].getsockname()[1], close


async def aiohttp_server(context):
    async def get(request):
        return web.Response(body=common.pattern(int(request.path[1:])))

    async def post(request):
        return web.Response(body=await request.read())

    app = web.Application(client_max_size=1 << 30)
    app.router.add_get("/{size}", get)
    app.router.add_post("/{size}", post)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    return port, runner.cleanup


# -- the client ----------------------------------------------------------------


# A preloaded libasan, which is for our extension, keeps curl from starting.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}


async def curl(port, *options):
    child = await asyncio.create_subprocess_exec(
        "curl",
        "--silent",
        "--show-error",
        "--fail",
        "--http1.1",
        "--cacert",
        str(common.CERTIFICATE),
        "--connect-to",
        f"localhost:{port}:127.0.0.1:{port}",
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=ENVIRONMENT,
    )
    async with asyncio.timeout(120):
        out, err = await child.communicate()
    assert child.returncode == 0, (child.returncode, err)
    return out


async def downloads(url, port):
    """All sizes over one connection."""
    out = await curl(port, *(f"{url}/{size}" for size in SIZES))
    wanted = b"".join(common.pattern(size) for size in SIZES)
    assert out == wanted, "wrong bytes"


async def uploads(url, port, folder):
    for size in SIZES[1:]:
        path = pathlib.Path(folder, str(size))
        path.write_bytes(common.pattern(size, 5))
        out = await curl(port, "--data-binary", f"@{path}", f"{url}/0")
        assert out == common.pattern(size, 5), "wrong bytes"


async def large(url, port, megabytes):
    size = megabytes << 20
    out = await curl(port, f"{url}/{size}")
    assert out == common.pattern(size), "wrong bytes"


async def at_once(url, port, count):
    sizes = [SIZES[number % len(SIZES)] for number in range(count)]
    got = await asyncio.gather(
        *(curl(port, f"{url}/{size}") for size in sizes)
    )
    assert got == [common.pattern(size) for size in sizes], "wrong bytes"


async def gives_up(url, port):
    """A client that goes away in the middle is nothing special."""
    child = await asyncio.create_subprocess_exec(
        *("curl", "--silent", "--insecure", "--max-filesize", "100"),
        *("--output", "/dev/null", f"https://127.0.0.1:{port}/3000000"),
        env=ENVIRONMENT,
    )
    assert await child.wait() == 63  # too large


async def trial(megabytes, parallel):
    make = small_server if web is None else aiohttp_server
    port, close = await make(common.server_context())
    url = f"https://localhost:{port}"
    print(f"server: {make.__name__}", flush=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            await downloads(url, port)
            await uploads(url, port, folder)
            await gives_up(url, port)
            await large(url, port, megabytes)
            await at_once(url, port, parallel)
            await downloads(url, port)
    finally:
        await close()
    print(f"{megabytes} MB, {parallel} at once: all as it should be")


def main():
    options = common.arguments(__doc__, megabytes=20, parallel=20)
    if shutil.which("curl") is None:
        raise SystemExit("curl is not installed")
    common.run(options.loop, trial(options.megabytes, options.parallel))


if __name__ == "__main__":
    main()
