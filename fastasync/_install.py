"""install() and uninstall(): asyncio itself on fastasync, and back again.

What install() changes is one table of names, `_bindings()`, and the event loop
policy. A name is replaced in every module of asyncio that holds asyncio's own
object under it; where a tool has put something else there (a tracer that wraps
asyncio.gather), that is left alone. Each change is remembered with what stood
there, so that uninstall() puts it back, unless somebody else has changed it
since: theirs is left alone. Neither touches objects that exist: loops, tasks,
locks and names imported earlier stay what they are, and work with ours.

Not replaced: Handle and TimerHandle, whose `_run` tools patch (the loop honours
it), create_task and eager_task_factory, which libraries recognise or rewrite as
Python functions, and the functions in `_rewritable`, which are for the same
reason replaced by Python functions.
"""

import asyncio
import sys
import threading
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import _fastasync

from . import _rewritable
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
        _policy_class = type(
            "EventLoopPolicy",
            (base,),
            {
                "__doc__": "asyncio's default policy; its loops are fastasync loops.",
                "__module__": "fastasync",
                "_loop_factory": Loop,
            },
        )
    return _policy_class


def _set_policy(policy: Any) -> None:
    if sys.version_info < (3, 14):
        asyncio.set_event_loop_policy(policy)
    else:
        _events._set_event_loop_policy(policy)


# What asyncio defines in Python and we in C, by the module that defines it.
# Names that this Python's asyncio or our extension lacks are passed over.
_NAMES: dict[str, tuple[str, ...]] = {
    "coroutines": ("iscoroutine",),
    "futures": ("Future", "wrap_future"),
    "locks": (
        "Lock",
        "Event",
        "Condition",
        "Semaphore",
        "BoundedSemaphore",
        "Barrier",
    ),
    "queues": ("Queue", "PriorityQueue", "LifoQueue"),
    "streams": (
        "StreamReader",
        "StreamWriter",
        "StreamReaderProtocol",
        "open_connection",
        "start_server",
        "open_unix_connection",
        "start_unix_server",
    ),
    "taskgroups": ("TaskGroup",),
    "tasks": (
        "Task",
        "sleep",
        "gather",
        "wait",
        "wait_for",
        "shield",
        "as_completed",
        "ensure_future",
        "run_coroutine_threadsafe",
    ),
    "threads": ("to_thread",),
    "timeouts": ("Timeout", "timeout", "timeout_at"),
}

_Binding = tuple[str, Any, tuple[ModuleType, ...]]


def _asyncio_modules() -> list[ModuleType]:
    return [
        module
        for name, module in sorted(sys.modules.items())
        if module is not None
        and (name == "asyncio" or name.startswith("asyncio."))
    ]


def _is_asyncios(value: Any, home: ModuleType) -> bool:
    """Tell whether it is what asyncio's module `home` defines or takes from C.

    What a tool has put there is not, however well it pretends (functools.wraps,
    a proxy that answers isinstance): so types are compared, not asked.
    """
    if type(value) is FunctionType:
        return value.__globals__ is vars(home)
    return type(value) in (type, BuiltinFunctionType) and (
        value.__module__ in (home.__name__, "_asyncio")
    )


def _row(home: str, name: str, ours: Any) -> _Binding:
    """List the modules in which a name that `home` defines is asyncio's own."""
    module = sys.modules[f"asyncio.{home}"]
    holders = tuple(
        holder
        for holder in _asyncio_modules()
        if _is_asyncios(vars(holder).get(name), module)
    )
    return name, ours, holders


def _twins() -> list[_Binding]:
    """List the names of `_NAMES` that exist on both sides."""
    return [
        _row(home, name, getattr(_rewritable, name, ours))
        for home, names in _NAMES.items()
        for name in names
        if (ours := getattr(_fastasync, name, None)) is not None
    ]


def _bindings() -> list[_Binding]:
    """List what install() rebinds: name, our object, in which modules."""
    table = _twins()
    if sys.version_info < (3, 12):
        # asyncio's own asks the kernel for the process id at every call.
        for name in ("get_running_loop", "_get_running_loop"):
            table.append(_row("events", name, getattr(_fastasync, name)))
        # and this is a Python function until then
        table.append(_row("tasks", "current_task", _fastasync.current_task))
    else:
        table.append(_row("tasks", "eager_task_factory", eager_task_factory))
    if sys.version_info >= (3, 13):
        table.append(_row("unix_events", "EventLoop", Loop))
    if not policies_exist():
        table.append(_row("events", "new_event_loop", new_event_loop))
    return table


def _rewrite_methods() -> None:
    """Give our TaskGroup a create_task whose code can be rewritten."""
    group: Any = getattr(_fastasync, "TaskGroup", None)
    if group is not None:
        group.create_task = _rewritable.create_task


def _restore_methods() -> None:
    group: Any = getattr(_fastasync, "TaskGroup", None)
    if group is not None and (
        vars(group).get("create_task") is _rewritable.create_task
    ):
        del group.create_task  # the core's comes to light again


def install() -> None:
    """Make asyncio use fastasync from now on.

    asyncio.run(), asyncio.new_event_loop() and asyncio.Runner() then make
    fastasync loops, and asyncio.Task, asyncio.Lock, asyncio.Queue,
    asyncio.gather() and the rest of what waits are fastasync's. A second call
    does nothing.
    """
    with _lock:
        if _rebound:
            return
        for name, ours, modules in _bindings():
            for module in modules:
                _rebound.append((module, name, getattr(module, name), ours))
                setattr(module, name, ours)
        _rewrite_methods()
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
        _restore_methods()
        for old, ours in _policies:
            if _events._event_loop_policy is ours:
                _set_policy(old)
        _policies.clear()
