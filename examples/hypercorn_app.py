"""Hypercorn's server inside a program of your own, on fastasync.

    python hypercorn_app.py [PORT]

Hypercorn's command line starts its workers as fresh processes. They are on
fastasync when the environment says so:

    FASTASYNC_INSTALL=1 hypercorn -k asyncio uvicorn_app:app
"""

import sys

from hypercorn.asyncio import serve
from hypercorn.config import Config

import fastasync
from uvicorn_app import app

if __name__ == "__main__":
    config = Config()
    port = sys.argv[1] if len(sys.argv) > 1 else "8000"
    config.bind = [f"127.0.0.1:{port}"]
    # its types have a class for each kind of message, the application's do not
    fastasync.run(serve(app, config))  # type: ignore[arg-type]
