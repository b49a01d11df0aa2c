"""install() and uninstall(): asyncio itself on fastasync, and back again.

What install() changes is one table of names, `_bindings()`, and the event loop
policy. Each change is remembered with what stood there, so that uninstall()
puts it back, unless somebody else has changed it since: theirs is left alone.
Neither touches objects that exist: loops, tasks and names imported earlier
stay what they are.
"""

import asyncio
import sys
import threading
from types import ModuleType
from typing import Any

import _fastasync

from ._loop import Loop, new_event_loop

_lock = threading.Lock()
_rebound: list[tuple[ModuleType, str, Any, Any]] = []  # where, name, old, new
_policies: list[tuple[Any, Any]] = []  # old (None: asyncio's default), new

# What asyncio does not show of itself: the policy that is set, without making
# one, and (3.14+) how to set it without a warning of its removal.
_events: Any = asyncio.events

# Made by asyncio's own function, from a Python function: libraries (anyio)
# recognise a factory by its code object and look into its closure.
eager_task_factory: Any = None
if sys.version_info >= (3, 12):
    eager_task_factory = asyncio.create_eager_task_factory(_fastasync.Task)


def _policy_base() -> Any:
    """Return asyncio's default policy class, None where it has no policies."""
    if sys.version_info < (3, 14):
        return asyncio.DefaultEventLoopPolicy
    # asyncio.DefaultEventLoopPolicy is this class too, but warns when asked.
    return getattr(asyncio.unix_events, "_DefaultEventLoopPolicy", None)


def policies_exist() -> bool:
    """Tell whether this Python's asyncio has event loop policies."""
    return _policy_base() is not None


_policy_class: Any = None


def policy_class() -> Any:
    """Return fastasync.EventLoopPolicy, made when it is first asked for."""
    global _policy_class
    base = _policy_base()
    if base is None:
        raise AttributeError(
            "fastasync.EventLoopPolicy does not exist on Python "
            f"{sys.version_info.major}.{sys.version_info.minor}, whose asyncio "
            "has no event loop policies; use fastasync.run(main()) or "
            "asyncio.run(main(), loop_factory=fastasync.new_event_loop)"
        )
    if _policy_class is None:

        class EventLoopPolicy(base):  # type: ignore[misc, valid-type]
            """asyncio's default policy, whose loops are fastasync loops."""

            _loop_factory = Loop

        EventLoopPolicy.__module__ = "fastasync"
        EventLoopPolicy.__qualname__ = "EventLoopPolicy"
        _policy_class = EventLoopPolicy
    return _policy_class


def _set_policy(policy: Any) -> None:
    if sys.version_info < (3, 14):
        asyncio.set_event_loop_policy(policy)
    else:
        _events._set_event_loop_policy(policy)


def _bindings() -> list[tuple[str, Any, tuple[ModuleType, ...]]]:
    """List what install() rebinds: name, our object, in which modules."""
    tasks, futures, events = asyncio.tasks, asyncio.futures, asyncio.events
    table: list[tuple[str, Any, tuple[ModuleType, ...]]] = [
        ("Task", _fastasync.Task, (asyncio, tasks)),
        ("Future", _fastasync.Future, (asyncio, futures)),
    ]
    if sys.version_info < (3, 12):
        # asyncio's own asks the kernel for the process id at every call.
        for name in ("get_running_loop", "_get_running_loop"):
            ours = getattr(_fastasync, name, None)
            table.append((name, ours, (asyncio, events)))
    else:
        table.append(
            ("eager_task_factory", eager_task_factory, (asyncio, tasks))
        )
    if sys.version_info >= (3, 13):
        table.append(("EventLoop", Loop, (asyncio,)))
    if not policies_exist():
        table.append(("new_event_loop", new_event_loop, (asyncio, events)))
    return [row for row in table if row[1] is not None]


def install() -> None:
    """Make asyncio use fastasync from now on.

    asyncio.run(), asyncio.new_event_loop() and asyncio.Runner() then make
    fastasync loops, and asyncio.Task and asyncio.Future are fastasync's.
    A second call does nothing.
    """
    with _lock:
        if _rebound:
            return
        for name, ours, modules in _bindings():
            for module in modules:
                _rebound.append((module, name, getattr(module, name), ours))
                setattr(module, name, ours)
        if policies_exist():
            ours = policy_class()()
            _policies.append((_events._event_loop_policy, ours))
            _set_policy(ours)


def is_installed() -> bool:
    """Tell whether install() is in force."""
    return bool(_rebound)


def uninstall() -> None:
    """Undo install(): asyncio is itself again. Harmless without install()."""
    with _lock:
        for module, name, old, ours in _rebound:
            if getattr(module, name) is ours:
                setattr(module, name, old)
        _rebound.clear()
        for old, ours in _policies:
            if _events._event_loop_policy is ours:
                _set_policy(old)
        _policies.clear()
