# The types of gunicorn.py, which makes each class when it is first asked for. A class
# whose package is not installed derives from Any to a type checker.

from typing import Any

from aiohttp.worker import GunicornWebWorker
from gunicorn.workers.gasgi import ASGIWorker
from uvicorn_worker import UvicornWorker as _UvicornWorker

__all__ = ("AiohttpWorker", "AsgiWorker", "UvicornWorker")

class UvicornWorker(_UvicornWorker):  # type: ignore[misc]
    CONFIG_KWARGS: dict[str, Any]

class AsgiWorker(ASGIWorker): ...  # type: ignore[misc]

class AiohttpWorker(GunicornWebWorker):  # type: ignore[misc]
    def init_process(self) -> None: ...
