"""A small tornado application on fastasync.

    python tornado_app.py [PORT]

tornado asks asyncio for its loop, so install() is all it takes, before the first
IOLoop is made.
"""

import asyncio
import sys

import tornado.web

import fastasync


class Index(tornado.web.RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(0.01)
        self.write("Hello from tornado\n")


class LoopName(tornado.web.RequestHandler):
    def get(self) -> None:
        cls = type(asyncio.get_running_loop())
        self.write(f"{cls.__module__}.{cls.__name__}\n")


async def main(port: int) -> None:
    app = tornado.web.Application([("/", Index), ("/loop", LoopName)])
    app.listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    fastasync.install()
    try:
        asyncio.run(main(int((sys.argv[1:] or ["8000"])[0])))
    except KeyboardInterrupt:
        pass
