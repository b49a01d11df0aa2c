"""The three ways in which a program comes to run on fastasync.

namespace
    Every object of ours stands where asyncio's namesake stood, in the package
    and in all its modules, before a test module binds a name; the stock
    default policy makes our loops. What ``import fastasync as asyncio`` and
    ``fastasync.install()`` amount to, and the only mode in which CPython's
    Task, Future and Handle tests meet ours.

policy
    ``asyncio.set_event_loop_policy(fastasync.EventLoopPolicy())``, stock
    names. Tests drop the policy (``set_event_loop_policy(None)`` in every
    tearDownModule), so the default has to be ours as well: the hook that makes
    the default policy makes our policy.

loop_factory
    ``asyncio.Runner(loop_factory=...)``, and ``fastasync.new_event_loop()`` in
    place of ``asyncio.new_event_loop()``. The policy is the stock one, and no
    loop is set as the current one.

Tests also build stock policies of their own and ask them for a loop, so the
stock policy class gets our loop as its factory in every mode. And a test that
asks for a particular loop class by the package's name
(``asyncio.SelectorEventLoop()``, ``asyncio.BaseEventLoop()``) must still get
ours, or it would test the standard library. Therefore those names are rebound
in every mode as well; on the package only, where asyncio itself never looks
them up, and where the tests' own TestLoop does not take its base class from.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import sys
import warnings
from asyncio import events, runners, unix_events
from collections.abc import Iterator
from types import ModuleType
from typing import Any

# Names of the package that mean "a loop of this platform".
_LOOP_NAMES = ("SelectorEventLoop", "EventLoop", "BaseEventLoop")

# Replaced by a rule of their own, or how a program *chooses* its loop: tests
# that install a policy must find asyncio's run() and new_event_loop() obeying.
_EXCLUDED = frozenset(
    {
        *_LOOP_NAMES,
        "AbstractEventLoop",
        "AbstractEventLoopPolicy",
        "AbstractServer",
        "DefaultEventLoopPolicy",
        "EventLoopPolicy",
        "Runner",
        "Server",
        "get_event_loop",
        "get_event_loop_policy",
        "new_event_loop",
        "run",
        "set_event_loop",
        "set_event_loop_policy",
    }
)

# Hooks of asyncio that are in no __all__ but that a replacement may provide.
_HOOKS = (
    "_swap_current_task",
    "_register_eager_task",
    "_unregister_eager_task",
    "future_add_to_awaited_by",
    "future_discard_from_awaited_by",
)

# Where a public object of asyncio is defined, when the package has it not.
_HOMES = ("asyncio", "asyncio.events", "asyncio.futures", "asyncio.tasks")


# An implementation that has these names at all must have its own behind them.
_OWN = ("Task", "Future", "Handle", "TimerHandle")


class PatchError(Exception):
    """The implementation lacks something the mode cannot do without."""


def load_implementation(name: str) -> ModuleType:
    """Import fastasync or the stand-in; asyncio is imported already."""
    if name == "asyncio":
        return importlib.import_module("harness.standin")
    return importlib.import_module(name)


def apply(ours: ModuleType, mode: str) -> dict[str, tuple[Any, Any]]:
    """Patch this interpreter for *mode*.

    Returns, by name, the stock objects that were replaced and ours in their
    place: nothing that runs later may hold one of the former.
    """
    loop_class = getattr(ours, "Loop", None)
    if not isinstance(loop_class, type):
        raise PatchError(f"{ours.__name__} exports no class named Loop")
    _default_policy()._loop_factory = loop_class
    if mode == "namespace":
        replaced = _patch_names(ours)
        _patch_loop_classes(loop_class, (asyncio, unix_events))
        # On the package only: stock loops have to make their own servers.
        asyncio.Server = getattr(ours, "Server", asyncio.Server)  # type: ignore
        return replaced
    if mode == "policy":
        _patch_policy(ours)
    elif mode == "loop_factory":
        _patch_factory(ours)
    else:
        raise PatchError(f"unknown mode {mode!r}")
    _patch_loop_classes(loop_class, (asyncio,))
    return {}


def _default_policy() -> Any:
    return unix_events._UnixDefaultEventLoopPolicy


def _patch_loop_classes(
    loop_class: type, modules: tuple[ModuleType, ...]
) -> None:
    for module in modules:
        for name in _LOOP_NAMES:
            if name in vars(module):
                setattr(module, name, loop_class)


def _asyncio_modules() -> list[ModuleType]:
    return [
        module
        for name, module in sorted(sys.modules.items())
        if module is not None
        and (name == "asyncio" or name.startswith("asyncio."))
    ]


def _pairs(ours: ModuleType) -> Iterator[tuple[str, Any, Any]]:
    """Yield (name, stock object, our object) wherever the two differ."""
    for name in sorted({*asyncio.__all__, *_HOOKS} - _EXCLUDED):
        mine = getattr(ours, name, None)
        if mine is None:
            continue
        for home in _HOMES:
            stock = getattr(sys.modules[home], name, None)
            if stock is not None and stock is not mine:
                yield name, stock, mine
                break


def _patch_names(ours: ModuleType) -> dict[str, tuple[Any, Any]]:
    """Replace every object of asyncio that has a namesake of ours.

    Goes by identity, so it finds the names under which asyncio keeps the C
    versions for its tests (``tasks._CTask``, ``events._c_get_running_loop``)
    and leaves the pure Python twins (``_PyTask``, ``_py_...``) alone.
    """
    pairs = list(_pairs(ours))
    names = {name for name, _, _ in pairs}
    for name in _OWN:
        if hasattr(ours, name) and name not in names:
            raise PatchError(f"{ours.__name__}.{name} is asyncio's own")
    for module in _asyncio_modules():
        for key, value in list(vars(module).items()):
            if key.lower().startswith("_py"):
                continue
            for _, stock, mine in pairs:
                if value is stock:
                    setattr(module, key, mine)
    return {name: (stock, mine) for name, stock, mine in pairs}


def _patch_policy(ours: ModuleType) -> None:
    policy_class = getattr(ours, "EventLoopPolicy", None)
    if policy_class is None:
        raise PatchError(f"{ours.__name__} exports no EventLoopPolicy")

    def init_default_policy() -> None:
        """The hook asyncio calls when a policy is wanted and none is set."""
        module: Any = events
        if module._event_loop_policy is None:
            module._event_loop_policy = policy_class()

    events._init_event_loop_policy = init_default_policy  # type: ignore
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.set_event_loop_policy(policy_class())


def _patch_factory(ours: ModuleType) -> None:
    factory = getattr(ours, "new_event_loop", None)
    if factory is None:
        raise PatchError(f"{ours.__name__} exports no new_event_loop")
    asyncio.new_event_loop = factory
    real_init = runners.Runner.__init__

    @functools.wraps(real_init)
    def init(
        self: Any, *, debug: bool | None = None, loop_factory: Any = None
    ) -> None:
        if loop_factory is None and _policy_is_stock():
            loop_factory = factory
        real_init(self, debug=debug, loop_factory=loop_factory)

    runners.Runner.__init__ = init  # type: ignore[method-assign]


def _policy_is_stock() -> bool:
    """Whether nobody chose a policy: then the program's factory decides."""
    policy = events._event_loop_policy  # type: ignore[attr-defined]
    return policy is None or type(policy) is _default_policy()
