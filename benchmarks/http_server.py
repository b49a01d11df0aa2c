"""HTTP plaintext server on a chosen loop.

    python http_server.py LOOP uvicorn|aiohttp

uvicorn runs a raw ASGI application with httptools, aiohttp a plain handler; neither
writes an access log.  Prints `ready ADDRESS` and serves until SIGTERM.
"""

import argparse
import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from loops import LOOPS

BODY = b"Hello, World!"
BACKLOG = 1024

Message = MutableMapping[str, Any]

HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(BODY))]


async def application(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


async def serve_uvicorn(listener: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(
        application,
        http="httptools",
        loop="none",  # the loop already runs: it is the one chosen
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
    await uvicorn.Server(config).serve(sockets=[listener])


async def serve_aiohttp(listener: socket.socket) -> None:
    from aiohttp import web

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=BODY, content_type="text/plain")

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener, backlog=BACKLOG).start()
    await asyncio.get_running_loop().create_future()


def listen() -> socket.socket:
    """A listening socket as loop.create_server(host, port) makes it.

    The protocol is named: asyncio sets TCP_NODELAY only on sockets that say so, and
    without it every response of two writes waits 40 ms for a delayed ACK.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


SERVE = {"uvicorn": serve_uvicorn, "aiohttp": serve_aiohttp}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("loop")
    parser.add_argument("framework", choices=SERVE)
    options = parser.parse_args()
    loop = LOOPS[options.loop].prepare()()
    asyncio.set_event_loop(loop)
    listener = listen()
    host, port = listener.getsockname()
    print("ready", f"{host}:{port}", flush=True)
    loop.run_until_complete(SERVE[options.framework](listener))
    return 0


if __name__ == "__main__":
    sys.exit(main())
