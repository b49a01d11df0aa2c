"""Runs inside of runs: allow_nested(), and asyncio.run() where a loop runs.

The loop itself does the nesting (loop/level.c); here is what asyncio.run() and
asyncio.Runner do around it, and how their names are rebound. A run where a loop
of ours runs takes place on that very loop: its main coroutine becomes a task
like any other, and nothing of asyncio.run()'s end happens (no other task is
cancelled, nothing is shut down or closed). Where a loop of another kind runs,
the run has a loop of its own, of ours, and the other loop waits meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import signal
import sys
import threading
from asyncio import runners
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Self

import _fastasync

_lock = threading.Lock()
_rebound: list[tuple[Any, str, Any, Any]] = []  # where, name, old, new

# What is private in asyncio and used here.
_asyncio: Any = sys.modules["_asyncio"]
_Runner: Any = asyncio.Runner
_runners: Any = runners


def allow_nested(enable: bool = True) -> None:
    """Let loops of fastasync be run, and asyncio.run() be called, where a
    loop is running already; or with False, forbid it again.

    It holds for all loops of fastasync whose ``allow_nested`` was not set, and
    rebinds asyncio.run and the methods of asyncio.Runner.
    """
    with _lock:
        _fastasync._allow_nested(enable)
        if enable:
            _rebind()
        else:
            _restore()


def _rebind() -> None:
    if _rebound:
        return
    for where, name, new in (
        (asyncio, "run", run),
        (runners, "run", run),
        (_Runner, "run", _runner_run),
        (_Runner, "_lazy_init", _runner_lazy_init),
        (_Runner, "close", _runner_close),
        # so that nest_asyncio.apply() leaves asyncio's Task and Future alone
        (asyncio, "_nest_patched", True),
        (asyncio, "_nest_asyncio2", True),
    ):
        _rebound.append((where, name, vars(where).get(name), new))
        setattr(where, name, new)


def _restore() -> None:
    for where, name, old, new in _rebound:
        if vars(where).get(name) is not new:
            continue  # somebody else's by now
        if old is None:
            delattr(where, name)
        else:
            setattr(where, name, old)
    _rebound.clear()


# -- which loop ---------------------------------------------------------------


def _is_ours(loop: Any) -> bool:
    return isinstance(loop, _fastasync.LoopCore)


def may_run_inside(running: Any) -> bool:
    """May something be run while that loop runs in this thread?"""
    if _is_ours(running):
        return bool(running.allow_nested)
    return bool(_rebound)


# -- one run ------------------------------------------------------------------


def _as_coroutine(main: Any) -> Any:
    """Return main, or what this Python's asyncio.run() makes of it."""
    if asyncio.iscoroutine(main):
        return main
    if sys.version_info < (3, 14):
        raise ValueError(f"a coroutine was expected, got {main!r}")
    if not inspect.isawaitable(main):
        raise TypeError(
            "An asyncio.Future, a coroutine or an awaitable is required"
        )

    async def wrap(awaitable: Any) -> Any:
        return await awaitable

    return wrap(main)


class _Interrupts:
    """Ctrl-C during a run cancels its main task, as in asyncio.Runner.run().

    The handler is ours only where asyncio would set one, or has set one for a
    run that this one is inside of; afterwards it is again what it was.
    """

    def __init__(self, loop: Any, task: Any) -> None:
        self.loop, self.task = loop, task
        self.count = 0
        self.before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGINT)
            if before is signal.default_int_handler or _is_runners(before):
                with contextlib.suppress(ValueError):
                    signal.signal(signal.SIGINT, self.interrupt)
                    self.before = before
        return self

    def __exit__(self, *error: object) -> None:
        if (
            self.before is not None
            and signal.getsignal(signal.SIGINT) == self.interrupt
        ):
            signal.signal(signal.SIGINT, self.before)

    def interrupt(self, signum: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 1 and not self.task.done():
            self.task.cancel()
            self.loop.call_soon_threadsafe(lambda: None)
            return
        raise KeyboardInterrupt


def _is_runners(handler: Any) -> bool:
    """Is it the handler of a run: asyncio's, or one of this module?"""
    method = getattr(handler, "func", handler)
    owner = getattr(method, "__self__", None)
    return isinstance(owner, (asyncio.Runner, _Interrupts))


def _finish(loop: Any, task: Any) -> None:
    """The run was left, by Ctrl-C say, before its task was done: end that."""
    task.cancel()
    ended = loop.create_future()
    task.add_done_callback(lambda _: ended.cancel())
    try:
        loop._run_nested(ended)
    except asyncio.CancelledError:
        pass
    except RecursionError:
        return  # the runs below this one bring it to its end
    if not task.cancelled() and task.exception() is not None:
        loop.call_exception_handler(
            {
                "message": "unhandled exception during asyncio.run() shutdown",
                "exception": task.exception(),
                "task": task,
            }
        )


def _run_task(loop: Any, task: Any) -> Any:
    """Run the loop until the task is done: the heart of Runner.run()."""
    with _Interrupts(loop, task) as interrupts:
        try:
            return loop._run_nested(task)
        except asyncio.CancelledError:
            if interrupts.count > 0 and getattr(task, "uncancel", int)() == 0:
                raise KeyboardInterrupt
            raise
        finally:
            if not task.done() and not loop.is_closed():
                _finish(loop, task)


@contextlib.contextmanager
def _debug_mode(loop: Any, debug: bool | None) -> Iterator[None]:
    """For the length of a run, the debug mode that it asks for."""
    before = loop.get_debug()
    if debug is not None:
        loop.set_debug(debug)
    try:
        yield
    finally:
        if debug is not None:
            loop.set_debug(before)


def run_inside(
    main: Any,
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Any:
    """Do asyncio.run(main) where a loop is running, whoever allowed it.

    A loop_factory is for the loop to be made, and where a loop of ours runs
    none is.
    """
    running: Any = asyncio._get_running_loop()
    if _is_ours(running):
        coro = _as_coroutine(main)
        with _debug_mode(running, debug):
            return _run_task(running, running.create_task(coro))
    from ._loop import new_event_loop

    loop: Any = (loop_factory or new_event_loop)()
    if not _is_ours(loop):
        loop.close()
        raise RuntimeError(
            "asyncio.run() cannot be called from a running event loop"
        )
    loop.allow_nested = True
    runner: Any = asyncio.Runner(debug=debug, loop_factory=lambda: loop)
    try:
        return _run_in(runner, main, None)
    finally:
        with _set_aside(running):
            _asyncio_runner_close(runner)


@contextlib.contextmanager
def _set_aside(running: Any) -> Iterator[None]:
    """For a while, let no loop be the running one, nor a task the current.

    What asyncio does at the end of a run looks for the running loop.
    """
    swap = getattr(asyncio.tasks, "_swap_current_task", None)
    if sys.version_info < (3, 14) or running is None:
        swap = None  # each loop has a current task of its own
    task = swap(running, None) if swap else None
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(running)
        if swap:
            swap(running, task)


def _run_in(runner: Any, coro: Any, context: Any) -> Any:
    """Do Runner.run(), whose loop we may run here."""
    loop = runner.get_loop()
    if context is None:
        context = runner._context
    task = loop.create_task(_as_coroutine(coro), context=context)
    return _run_task(loop, task)


# -- asyncio.run and asyncio.Runner, rebound ----------------------------------

_asyncio_run = asyncio.run
_asyncio_runner_run = _Runner.run
_asyncio_runner_lazy_init = _Runner._lazy_init
_asyncio_runner_close = _Runner.close


@functools.wraps(_asyncio_run)
def run(main: Any, **options: Any) -> Any:
    running = asyncio._get_running_loop()
    if running is None or not may_run_inside(running):
        return _asyncio_run(main, **options)
    patched = not _is_ours(running) and hasattr(running, "_nest_patched")
    if patched and _nest_asyncio_run is not None:
        return _nest_asyncio_run(main, **options)
    return run_inside(main, **options)


@functools.wraps(_asyncio_runner_run)
def _runner_run(self: Any, coro: Any, *, context: Any = None) -> Any:
    running = asyncio._get_running_loop()
    if running is None or not may_run_inside(running):
        return _asyncio_runner_run(self, coro, context=context)
    self._lazy_init()
    if not _is_ours(self._loop) or not self._loop.allow_nested:
        return _asyncio_runner_run(self, coro, context=context)
    return _run_in(self, coro, context)


@functools.wraps(_asyncio_runner_lazy_init)
def _runner_lazy_init(self: Any) -> None:
    running: Any = asyncio._get_running_loop()
    if (
        self._state is not _runners._State.CREATED
        or running is None
        or not may_run_inside(running)
    ):
        _asyncio_runner_lazy_init(self)
        return
    if _is_ours(running):
        self._loop = running
        self._fastasync_debug = running.get_debug()  # also: it is borrowed
    else:
        from ._loop import new_event_loop

        self._loop = (self._loop_factory or new_event_loop)()
        if _is_ours(self._loop):
            self._loop.allow_nested = True
    if self._debug is not None:
        self._loop.set_debug(self._debug)
    self._context = contextvars.copy_context()
    self._state = _runners._State.INITIALIZED


@functools.wraps(_asyncio_runner_close)
def _runner_close(self: Any) -> None:
    if not hasattr(self, "_fastasync_debug"):
        running = asyncio._get_running_loop()
        if running is not None and _may_close(self, running):
            with _set_aside(running):
                _asyncio_runner_close(self)
        else:
            _asyncio_runner_close(self)
        return
    if self._state is _runners._State.INITIALIZED:
        if self._debug is not None and not self._loop.is_closed():
            self._loop.set_debug(self._fastasync_debug)
        self._loop = None
        self._state = _runners._State.CLOSED


def _may_close(runner: Any, running: Any) -> bool:
    """Has the runner an idle loop that may be run here, for its end?"""
    loop = runner._loop
    return (
        _is_ours(loop)
        and loop.allow_nested
        and not loop.is_running()
        and may_run_inside(running)
    )


# -- nest_asyncio -------------------------------------------------------------


def is_patching(caller: FrameType) -> bool:
    """Is that nest_asyncio, asking whether it has to patch a loop?

    It asks for the attribute ``_nest_patched``, which for everybody else does
    not exist while nesting is off: only apply() is to switch it on.
    """
    module = str(caller.f_globals.get("__name__")).rpartition(".")[2]
    name = caller.f_code.co_name
    return name == "_patch_loop" and module.startswith("nest_asyncio")


def adopt_nest_asyncio(loop: Any) -> None:
    """nest_asyncio.apply() was called: allow nesting, in our way.

    What it has replaced in asyncio, since its own way needs it, is put back.
    """
    if not _rebound:
        _undo_nest_asyncio()
        allow_nested()
    if not loop.allow_nested:
        loop.allow_nested = True


_nest_asyncio_run: Any = None  # its asyncio.run, for loops that it has patched


def _undo_nest_asyncio() -> None:
    """Put asyncio's own objects back in place of those of nest_asyncio."""
    global _nest_asyncio_run
    from . import _install

    futures, tasks = asyncio.futures, asyncio.tasks
    events: Any = asyncio.events
    where: Any
    for module, name in ((tasks, "Task"), (futures, "Future")):
        slow, stock = getattr(module, f"_Py{name}"), getattr(_asyncio, name)
        fast = stock
        if _install.is_installed():
            fast = getattr(_fastasync, name)
        for where in (asyncio, module, sys.modules.get("tornado.concurrent")):
            if getattr(where, name, None) is slow:
                setattr(where, name, fast)
        setattr(module, f"_C{name}", stock)
    for where in (asyncio, events):
        if _is_nest_asyncios(getattr(where, "get_event_loop", None)):
            where.get_event_loop = _asyncio.get_event_loop
    if _is_nest_asyncios(asyncio.run):
        _nest_asyncio_run = asyncio.run
        asyncio.run = _asyncio_run
    for mark in ("_nest_patched", "_nest_asyncio2"):
        vars(asyncio).pop(mark, None)


def _is_nest_asyncios(function: Any) -> bool:
    module = str(getattr(function, "__module__", ""))
    return module.rpartition(".")[2].startswith("nest_asyncio")
