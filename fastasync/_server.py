"""Server: what asyncio's servers do, on fastasync's C core.

`ServerCore` (C) accepts connections, counts them and closes; the coroutines
(start_serving, serve_forever, wait_closed) are asyncio's own, inherited from
the Server of the running Python version, so a Server of ours is an
`asyncio.Server` too.
"""

from __future__ import annotations

import types
from asyncio import base_events, constants, selector_events, unix_events
from collections.abc import Callable
from typing import Any

import _fastasync

__all__ = (
    "Server",
    "StopsServing",
    "create_server",
    "create_unix_server",
    "start_serving",
    "stop_serving_unix",
)


class Server(_fastasync.ServerCore, base_events.Server):
    """A server made by `loop.create_server` or `loop.create_unix_server`."""

    __module__ = "fastasync"


class _Names(dict[str, Any]):
    """The globals of a module, some of them replaced.

    Any other name is looked up in the module itself, each time: what a test or
    a tool has rebound there is found.
    """

    def __init__(self, module: types.ModuleType, **replaced: Any) -> None:
        super().__init__(replaced, __name__=module.__name__)
        self._module = module

    def __missing__(self, name: str) -> Any:
        return vars(self._module)[name]


class _Module:
    """A module as an object, some of its attributes replaced."""

    def __init__(self, module: types.ModuleType, **replaced: Any) -> None:
        self.__dict__.update(replaced, _module=module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _with_globals(
    function: Any,
    names: dict[str, Any],
    closure: tuple[types.CellType, ...] | None = None,
) -> Callable[..., Any]:
    """Return asyncio's function running with other globals, or other cells."""
    copy = types.FunctionType(
        function.__code__,
        names,
        function.__name__,
        function.__defaults__,
        closure or function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__qualname__ = function.__qualname__
    copy.__doc__ = function.__doc__
    return copy


#: asyncio's own coroutines, making servers of our class.
create_server = _with_globals(
    base_events.BaseEventLoop.create_server,
    _Names(base_events, Server=Server),
)
create_unix_server = _with_globals(
    unix_events._UnixSelectorEventLoop.create_unix_server,
    _Names(unix_events, base_events=_Module(base_events, Server=Server)),
)


def start_serving(
    loop: Any,
    protocol_factory: Callable[[], Any],
    sock: Any,
    sslcontext: Any = None,
    server: Any = None,
    backlog: int = 100,
    ssl_handshake_timeout: float | None = constants.SSL_HANDSHAKE_TIMEOUT,
    ssl_shutdown_timeout: float | None = constants.SSL_SHUTDOWN_TIMEOUT,
    context: Any = None,
) -> None:
    """Accept connections on a listening socket: loop._start_serving."""
    _fastasync.start_serving(
        loop,
        protocol_factory,
        sock,
        sslcontext,
        server,
        backlog,
        ssl_handshake_timeout,
        ssl_shutdown_timeout,
        context,
    )


class StopsServing:
    """A base of our loop: _stop_serving as asyncio's selector loops have it."""

    __slots__ = ()

    _stop_serving = vars(selector_events.BaseSelectorEventLoop)["_stop_serving"]


def stop_serving_unix(loop_class: type) -> Callable[..., Any] | None:
    """Return asyncio's own _stop_serving of Unix loops, for our class.

    Since 3.13 it removes a server's socket file. Detectors of blocking calls
    know by file and name who calls os.stat and os.unlink there: it is to be
    asyncio's function. Its `super()` is what follows our class.
    """
    stock = vars(unix_events._UnixSelectorEventLoop).get("_stop_serving")
    if stock is None:
        return None
    cell = types.CellType(loop_class)
    return _with_globals(stock, _Names(unix_events), (cell,))
