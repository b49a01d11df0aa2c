"""Proof that a test ran on our objects, and not on asyncio's.

A name that a patch missed would silently test the standard library and pass.
So instantiations of the loop class are counted; and since Task and Future must
not be wrapped (their exact type selects the fast path), a test of kind *types*
is accepted if ``_fastasync._counters()`` says that objects were made or, where
the build has no such counter, if no attribute of its class is a stock object
that should have been replaced.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any

Counters = Callable[[], Mapping[str, int]]
# By name: the stock object, and ours that took its place.
Replaced = Mapping[str, tuple[Any, Any]]


class ProofError(Exception):
    """Instantiations of the loop cannot be counted."""


class Witness:
    """Counts what a test makes of ours."""

    def __init__(self, loop_class: type, replaced: Replaced) -> None:
        self.loops = 0
        self._replaced = replaced
        self._native = _native_counters(loop_class)
        self._before: Mapping[str, int] = {}
        self._hook(loop_class)

    def _hook(self, loop_class: Any) -> None:
        real_init = loop_class.__init__

        @functools.wraps(real_init)
        def init(loop: Any, *args: Any, **kwargs: Any) -> None:
            self.loops += 1
            if real_init is not object.__init__:
                real_init(loop, *args, **kwargs)

        try:
            loop_class.__init__ = init
        except TypeError as exc:
            if "loops" not in self._native():
                raise ProofError(
                    f"{loop_class!r} is immutable and _fastasync._counters() "
                    f"counts no loops"
                ) from exc

    def begin(self) -> None:
        """A test starts."""
        self.loops = 0
        self._before = dict(self._native())

    def made(self) -> dict[str, int]:
        """What was made since begin(), by kind of object."""
        counts = {
            kind: count - self._before.get(kind, 0)
            for kind, count in self._native().items()
        }
        counts["loops"] = max(self.loops, counts.get("loops", 0))
        return counts

    def doubt(self, kind: str, mode: str, test: object) -> str | None:
        """Why the finished *test* did not prove use of ours, or None."""
        made = self.made()
        if kind in ("loop", "runner"):
            if not made["loops"]:
                return "never made a loop of ours"
            return None
        if mode != "namespace" or not self._replaced:
            return None
        if kind == "types" and {"tasks", "futures"} & made.keys():
            if not made.get("tasks", 0) + made.get("futures", 0):
                return "never made a Task or Future of ours"
        return self._stock_attribute(type(test))

    def _stock_attribute(self, test_class: type) -> str | None:
        """Name an attribute of *test_class* that is a replaced object."""
        for base in test_class.__mro__:
            for key, value in vars(base).items():
                value = getattr(value, "__func__", value)
                for name, (stock, mine) in self._replaced.items():
                    if _stems_from(value, stock, mine):
                        return f"{base.__name__}.{key} is asyncio's own {name}"
        return None


def _stems_from(value: Any, stock: Any, mine: Any) -> bool:
    """Whether *value* is *stock*, or a subclass of it without ours."""
    if not isinstance(value, type):
        return value is stock
    return stock in value.__mro__ and mine not in value.__mro__


def _native_counters(loop_class: type) -> Counters:
    """The counters of the C module behind *loop_class*, if it has any."""
    if loop_class.__module__.partition(".")[0] in ("fastasync", "_fastasync"):
        native = importlib.import_module("_fastasync")
        counters: Counters | None = getattr(native, "_counters", None)
        if counters is not None:
            return counters
    return dict
