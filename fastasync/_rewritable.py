"""The few functions that stay Python functions when asyncio is replaced.

Profilers and tracers do not only wrap names of asyncio, some rewrite the code
object of the function they find there (``shield.__code__ = ...``); ddtrace does
so with ``shield``, ``as_completed`` and ``TaskGroup.create_task`` as soon as
asyncio is imported, whoever has replaced them. A function in C has no code
object, and their import hook would fail. So what install() puts under these
names is a Python function that calls the one in C, at the price of one call.
``create_task`` needs no such twin: asyncio's own is kept, which asks the loop.

`fastasync.shield` and its kin are the functions in C.
"""

import sys
from collections.abc import Awaitable, Coroutine, Iterable
from typing import Any

import _fastasync

_c: Any = _fastasync


def shield(arg: Awaitable[Any]) -> Any:
    """Protect an awaitable from cancellation. See asyncio.shield."""
    return _c.shield(arg)


def as_completed(
    fs: Iterable[Awaitable[Any]], *, timeout: float | None = None
) -> Any:
    """Iterate over awaitables as they finish. See asyncio.as_completed."""
    return _c.as_completed(fs, timeout=timeout)


if sys.version_info >= (3, 14):

    def create_task(
        self: Any, coro: Coroutine[Any, Any, Any], **kwargs: Any
    ) -> Any:
        """Create a task in the group. See asyncio.TaskGroup.create_task."""
        return _group_create_task(self, coro, **kwargs)

else:

    def create_task(
        self: Any,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Any = None,
    ) -> Any:
        """Create a task in the group. See asyncio.TaskGroup.create_task."""
        return _group_create_task(self, coro, name=name, context=context)


create_task.__qualname__ = "TaskGroup.create_task"

# In C, as it is found before anybody can have replaced it.
_group_create_task: Any = getattr(
    getattr(_c, "TaskGroup", None), "create_task", None
)
