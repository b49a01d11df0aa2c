"""A small aiohttp application on fastasync.

    python aiohttp_app.py [PORT]

GET / answers with a line of text, POST /echo with the body it was sent,
GET /slow after a tenth of a second, GET /lines with a body in many pieces,
GET /loop with the name of the event loop's class. In gunicorn (in this folder):

    gunicorn -k fastasync.gunicorn.AiohttpWorker -w 2 "aiohttp_app:make_app()"
"""

import asyncio
import sys

from aiohttp import web

import fastasync


async def index(request: web.Request) -> web.Response:
    return web.Response(text="Hello from aiohttp\n")


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read(), content_type="text/plain")


async def slow(request: web.Request) -> web.Response:
    await asyncio.sleep(0.1)
    return web.Response(text="Hello, a little later\n")


async def lines(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_type = "text/plain"
    await response.prepare(request)
    for number in range(100):
        await response.write(b"line %d\n" % number)
    await response.write_eof()
    return response


async def loop(request: web.Request) -> web.Response:
    cls = type(asyncio.get_running_loop())
    return web.Response(text=f"{cls.__module__}.{cls.__name__}\n")


def make_app() -> web.Application:
    app = web.Application()
    app.add_routes([web.get("/", index), web.post("/echo", echo),
                    web.get("/slow", slow), web.get("/lines", lines),
                    web.get("/loop", loop)])
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", print=None, access_log=None,
                port=int((sys.argv[1:] or ["8000"])[0]),
                loop=fastasync.new_event_loop())
