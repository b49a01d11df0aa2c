"""Make asyncio.all_tasks() see the tasks of the C extension.

asyncio keeps all tasks in a registry of its own, and entering one object there
costs more than running it for a step. So the extension links its tasks in a
list of its own, and this module widens what asyncio *reads*: whoever iterates
over the registry gets our live tasks first and the registry's own after them.
Nothing is done per task; the price is paid by the caller of all_tasks().

Where asyncio reads, by version:

* 3.11: ``asyncio.tasks._all_tasks``, a WeakSet, read by name. 3.12 and 3.13:
  ``asyncio.tasks._scheduled_tasks``, likewise. The name is bound to a
  `TasksView` that shares the state of the original set, to which asyncio's C
  code goes on adding.
* 3.14 and later: a WeakSet that only the C module ``_asyncio`` holds. Its
  ``data``, the set of weak references, is replaced by a `ReferencesView`.
* Should none of these be found, ``asyncio.all_tasks`` itself is wrapped.

The call graph of 3.14 and later is widened in the same spirit: two functions of
asyncio that pass over foreign objects are replaced by ours, which do not.

Invariant: connecting twice, or after a reload of this module, changes nothing.
"""

import asyncio
import gc
import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakSet

import _fastasync

_MARK = "_fastasync_view"


def live_tasks() -> list[Any]:
    """Return the tasks of ours that are not done, of every loop."""
    return _fastasync._live_tasks()


class TasksView(WeakSet):  # type: ignore[type-arg]
    """A WeakSet whose readers see our live tasks too (3.11 to 3.13).

    It has the very attributes of the set it stands for, so that what is added
    through either is in both. A set computed from it, which has no original,
    is a plain one.
    """

    _fastasync_view = True
    original: "WeakSet[Any] | None" = None

    @classmethod
    def over(cls, original: "WeakSet[Any]") -> "TasksView":
        """Return a view of `original`, one with it from now on."""
        view = cls()
        view.__dict__ = original.__dict__
        view.original = original  # kept alive: its clean-up looks for it
        return view

    def _ours(self) -> list[Any]:
        return [] if self.original is None else live_tasks()

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain(self._ours(), super().__iter__())

    def __len__(self) -> int:
        return len(self._ours()) + super().__len__()

    def __contains__(self, item: object) -> bool:
        return super().__contains__(item) or any(
            item is task for task in self._ours()
        )


class Strong:
    """Answers like a weak reference that is alive: call it, get the task."""

    __slots__ = ("task",)

    def __init__(self, task: Any) -> None:
        self.task = task

    def __call__(self) -> Any:
        return self.task


class ReferencesView(set):  # type: ignore[type-arg]
    """The ``data`` of asyncio's WeakSet, with our live tasks (3.14+).

    A set in every respect but reading it whole: WeakSet iterates over a copy
    of its data and calls each element.
    """

    _fastasync_view = True
    __slots__ = ()

    def copy(self) -> list[Callable[[], Any]]:  # type: ignore[override]
        return [*map(Strong, live_tasks()), *set.copy(self)]

    def __iter__(self) -> Iterator[Callable[[], Any]]:
        return iter(self.copy())


def _widen_named_set(name: str) -> bool:
    original = getattr(asyncio.tasks, name, None)
    if not isinstance(original, WeakSet):
        return False
    if not hasattr(original, _MARK):
        setattr(asyncio.tasks, name, TasksView.over(original))
    return True


def _widen_hidden_set() -> bool:
    extension = sys.modules.get("_asyncio")
    if extension is None:
        return False
    found: list[Any] = [
        x for x in gc.get_referents(extension) if type(x) is WeakSet
    ]
    if len(found) != 1:
        return False
    if not hasattr(found[0].data, _MARK):
        found[0].data = ReferencesView(found[0].data)
    return True


def _wrap_all_tasks() -> bool:
    original = asyncio.all_tasks
    if hasattr(original, _MARK):
        return True

    def all_tasks(loop: Any = None) -> set[Any]:
        """Return a set of all tasks for the loop."""
        if loop is None:
            loop = asyncio.get_running_loop()
        ours = {task for task in live_tasks() if task.get_loop() is loop}
        return ours | original(loop)

    setattr(all_tasks, _MARK, True)
    asyncio.all_tasks = asyncio.tasks.all_tasks = all_tasks
    return True


def _widen_call_graph() -> None:
    """Record who awaits a task or future of ours as well (3.14 and later).

    asyncio's two functions pass over what is not one of its own C types; ours
    hand those on to them. asyncio looks them up in asyncio.futures each time.
    """
    for name in ("future_add_to_awaited_by", "future_discard_from_awaited_by"):
        ours = getattr(_fastasync, name)
        for place in (asyncio, asyncio.futures):
            setattr(place, name, ours)
        setattr(asyncio.futures, f"_c_{name}", ours)


def connect() -> None:
    """Connect our list of tasks to asyncio's registry."""
    if sys.version_info < (3, 12):
        connected = _widen_named_set("_all_tasks")
    elif sys.version_info < (3, 14):
        connected = _widen_named_set("_scheduled_tasks")
    else:
        connected = _widen_hidden_set()
    if not connected:
        _wrap_all_tasks()
    if sys.version_info >= (3, 14):
        _widen_call_graph()
