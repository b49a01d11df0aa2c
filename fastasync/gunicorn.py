"""Worker classes for gunicorn whose event loop is fastasync's.

    gunicorn -k fastasync.gunicorn.UvicornWorker app:app     # ASGI, by uvicorn
    gunicorn -k fastasync.gunicorn.AsgiWorker app:app        # ASGI, gunicorn's own
    gunicorn -k fastasync.gunicorn.AiohttpWorker app:app     # aiohttp.web

Each needs what it is named after: uvicorn (with uvicorn-worker), gunicorn 25 or
newer, aiohttp. A class is made when it is first asked for, so none of them need
be installed for the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from . import _loop

__all__ = ("AiohttpWorker", "AsgiWorker", "UvicornWorker")


def _uvicorn_worker() -> type:
    try:
        from uvicorn_worker import UvicornWorker as Base
    except ImportError:  # what it was called up to 2024
        from uvicorn.workers import UvicornWorker as Base

    class UvicornWorker(Base):  # type: ignore[misc]
        """uvicorn in a gunicorn worker, on fastasync."""

        CONFIG_KWARGS = {
            **Base.CONFIG_KWARGS,
            "loop": "fastasync:new_event_loop",
        }

    return UvicornWorker


def _asgi_worker() -> type:
    from gunicorn.workers.gasgi import ASGIWorker

    class AsgiWorker(ASGIWorker):  # type: ignore[misc]
        """gunicorn's own ASGI worker, on fastasync."""

        def _setup_event_loop(self) -> None:
            self.loop = _loop.new_event_loop()
            asyncio.set_event_loop(self.loop)

    return AsgiWorker


def _aiohttp_worker() -> type:
    from aiohttp.worker import GunicornWebWorker

    class AiohttpWorker(GunicornWebWorker):  # type: ignore[misc]
        """aiohttp.web in a gunicorn worker, on fastasync."""

        def init_process(self) -> None:
            # the base class asks for a loop in this process and starts serving
            from . import _install

            _install.install()
            super().init_process()

    return AiohttpWorker


_MAKERS: dict[str, Callable[[], type]] = {
    "AiohttpWorker": _aiohttp_worker,
    "AsgiWorker": _asgi_worker,
    "UvicornWorker": _uvicorn_worker,
}


def __getattr__(name: str) -> Any:
    maker = _MAKERS.get(name)
    if maker is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    worker = maker()
    worker.__qualname__ = worker.__name__ = name
    worker.__module__ = __name__
    globals()[name] = worker
    return worker
