"""A small ASGI application, served by uvicorn on fastasync.

    python uvicorn_app.py [PORT]

or, with uvicorn's own command line (0.36 or newer):

    uvicorn uvicorn_app:app --loop fastasync:new_event_loop

GET / answers with a line of text, POST /echo with the body it was sent,
GET /slow after a tenth of a second, GET /lines with a body in many pieces,
GET /loop with the name of the event loop's class.

Any other ASGI server runs it as well (from this folder):

    gunicorn -k fastasync.gunicorn.UvicornWorker -w 2 uvicorn_app:app
    gunicorn -k fastasync.gunicorn.AsgiWorker -w 2 uvicorn_app:app
    FASTASYNC_INSTALL=1 hypercorn -k asyncio uvicorn_app:app
    FASTASYNC_INSTALL=1 granian --interface asgi --loop asyncio uvicorn_app:app
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PLAIN = [(b"content-type", b"text/plain; charset=utf-8")]


async def read_body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def answer(send: Send, body: bytes, status: int = 200) -> None:
    headers = [*PLAIN, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status,
                "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def answer_in_pieces(send: Send, pieces: Iterable[bytes]) -> None:
    await send({"type": "http.response.start", "status": 200,
                "headers": PLAIN})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece,
                    "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] != "http":
        raise ValueError(f"this application speaks HTTP, not {scope['type']}")
    elif scope["path"] == "/":
        await answer(send, b"Hello from uvicorn\n")
    elif scope["path"] == "/echo":
        await answer(send, await read_body(receive))
    elif scope["path"] == "/slow":
        await asyncio.sleep(0.1)
        await answer(send, b"Hello, a little later\n")
    elif scope["path"] == "/lines":
        await answer_in_pieces(send, [b"line %d\n" % i for i in range(100)])
    elif scope["path"] == "/loop":
        loop = type(asyncio.get_running_loop())
        await answer(send, f"{loop.__module__}.{loop.__name__}\n".encode())
    else:
        await answer(send, b"No such page\n", status=404)


if __name__ == "__main__":
    import uvicorn
    uvicorn.run(app, port=int((sys.argv[1:] or ["8000"])[0]),
                log_level="warning", loop="fastasync:new_event_loop")
