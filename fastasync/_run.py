"""run(), Runner and get_event_loop(): asyncio's, on a fastasync loop.

Everything is asyncio's own code; the one thing that changes hands is who makes
the loop. A Runner that was given no factory makes our loop *and* makes it the
thread's current loop, as asyncio's does.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

from . import _nested
from ._loop import Loop, new_event_loop

_T = TypeVar("_T")
LoopFactory: TypeAlias = Callable[[], asyncio.AbstractEventLoop]
if sys.version_info >= (3, 14):
    Main: TypeAlias = Awaitable[_T]
else:
    Main: TypeAlias = Coroutine[Any, Any, _T]


class Runner(asyncio.Runner):  # type: ignore[misc]  # final to typeshed only
    """asyncio.Runner, whose loop is a fastasync loop unless told otherwise."""

    def __init__(
        self,
        *,
        debug: bool | None = None,
        loop_factory: LoopFactory | None = None,
    ) -> None:
        if loop_factory is None:
            loop_factory = self._new_current_loop
        super().__init__(debug=debug, loop_factory=loop_factory)

    def _new_current_loop(self) -> Loop:
        loop = new_event_loop()
        if asyncio._get_running_loop() is None:
            asyncio.set_event_loop(loop)
            self._set_event_loop = True  # asyncio's close() then unsets it
        return loop


def run(
    main: Main[_T],
    *,
    debug: bool | None = None,
    loop_factory: LoopFactory | None = None,
    nested: bool | None = None,
) -> _T:
    """Run the coroutine on a new fastasync loop and return its result.

    The same as asyncio.run(), and on Python 3.11 too with a *loop_factory*.

    Where a loop is running already it takes *nested*, or that nesting is
    allowed: then the coroutine runs on that loop as one more task, while the
    others go on. False forbids it.
    """
    running = asyncio._get_running_loop()
    if running is not None:
        if nested is None:
            nested = _nested.may_run_inside(running)
        if nested:
            return _nested.run_inside(  # type: ignore[no-any-return]
                main, debug=debug, loop_factory=loop_factory
            )
        raise RuntimeError(
            "asyncio.run() cannot be called from a running event loop"
        )
    with Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(main)


def _get_event_loop() -> asyncio.AbstractEventLoop:
    """Return the running loop, else the current one; make ours if none is.

    asyncio's own policy makes a loop where a program of the old style asks
    for one that was never set; here that loop is ours. The policy is told so
    for the length of this call only, and another policy is left alone.
    """
    loop = asyncio._get_running_loop()
    if loop is not None:
        return loop
    policy = asyncio.get_event_loop_policy()
    if type(policy) is not asyncio.DefaultEventLoopPolicy:
        return policy.get_event_loop()
    setattr(policy, "_loop_factory", Loop)
    try:
        return policy.get_event_loop()
    finally:
        delattr(policy, "_loop_factory")


# From 3.14 on get_event_loop() never makes a loop, and asyncio's own will do.
get_event_loop = _get_event_loop if sys.version_info < (3, 14) else None
