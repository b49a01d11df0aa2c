"""Run one coroutine on asyncio's names and on ours, and compare what it notes.

A script is an `async def` of one Place: a namespace, a loop and a log. What it
notes (plain data, texts, exceptions with their whole chain) must be the same in
every place; the first one, asyncio on asyncio, is the oracle. `tick()` is the
number of turns the loop has taken, so that scripts can note how long an
operation takes.
"""

import asyncio
import gc
import itertools
import re

import _fastasync
import fastasync

ADDRESS = re.compile(r"0x[0-9a-fA-F]+|(?<=when=)\d{3,}[.\d]*")
PyTask = asyncio.tasks._PyTask


def stock_tasks(loop, coro, **kwargs):
    return asyncio.tasks._CTask(coro, loop=loop, **kwargs)


def python_tasks(loop, coro, **kwargs):
    return PyTask(coro, loop=loop, **kwargs)


# name: namespace, loop, task factory, debug
PLACES = {
    "asyncio": (asyncio, asyncio.SelectorEventLoop, None, False),
    "asyncio, Python tasks": (asyncio, asyncio.SelectorEventLoop,
                              python_tasks, False),
    "ours": (_fastasync, fastasync.new_event_loop, None, False),
    "ours, debug": (_fastasync, fastasync.new_event_loop, None, True),
    "ours on asyncio": (_fastasync, asyncio.SelectorEventLoop, None, False),
    "ours, stock tasks": (_fastasync, fastasync.new_event_loop, stock_tasks,
                          False),
    "ours, Python tasks": (_fastasync, fastasync.new_event_loop, python_tasks,
                           False),
}
QUICK = ("asyncio", "ours", "ours on asyncio")


class Place:
    def __init__(self, name):
        self.name = name
        self.module, new_loop, factory, debug = PLACES[name]
        self.loop = new_loop()
        self.loop.set_task_factory(factory)
        self.loop.set_debug(debug)
        self.loop.set_exception_handler(self._told)
        self.log = []
        self.turns = 0

    def __getattr__(self, name):
        return getattr(self.module, name)

    def _told(self, loop, context):
        if "never retrieved" in context["message"]:
            return  # when that is said is the garbage collector's business
        keys = sorted(set(context) - {"source_traceback"})
        self.note("told", context["message"], keys, context.get("exception"))

    def note(self, *what):
        self.log.append(tuple(show(item) for item in what))

    def task(self, coro, **kwargs):
        return self.loop.create_task(coro, **kwargs)

    def future(self):
        return self.loop.create_future()

    def tick(self):
        return self.turns

    def _count(self):
        self.turns += 1
        self.counter = self.loop.call_soon(self._count)

    def run(self, script, count):
        if count:
            self._count()
        current = asyncio.tasks.current_task
        if "Python" in self.name and hasattr(asyncio.tasks, "_py_current_task"):
            asyncio.current_task = asyncio.tasks._py_current_task
            asyncio.tasks.current_task = asyncio.tasks._py_current_task
        try:
            self.loop.run_until_complete(script(self))
        except BaseException as error:
            if isinstance(error, (AssertionError, AttributeError)):
                raise
            self.note("left with", error)
        finally:
            asyncio.current_task = asyncio.tasks.current_task = current
            if count:
                self.counter.cancel()
            self.finish()

    def finish(self):
        try:
            left = [t for t in asyncio.all_tasks(self.loop) if not t.done()]
            for task in left:
                task.cancel()
            for _ in range(5):
                self.loop.run_until_complete(self.pause())
        finally:
            self.loop.close()

    @staticmethod
    async def pause():
        await asyncio.sleep(0)


def chain(error, depth=6):
    """An exception with everything that hangs on it, as plain data."""
    if error is None or depth == 0:
        return None
    parts = [type(error).__name__, [show(arg) for arg in error.args],
             chain(error.__cause__, depth - 1),
             chain(error.__context__, depth - 1),
             error.__suppress_context__]
    if isinstance(error, BaseExceptionGroup):
        parts.append([chain(one, depth - 1) for one in error.exceptions])
    return parts


def show(item):
    if item is None or isinstance(item, (bool, int, float)):
        return item
    if isinstance(item, BaseException):
        return chain(item)
    if isinstance(item, str):
        return ADDRESS.sub("~", item)
    if isinstance(item, (list, tuple)):
        return [show(part) for part in item]
    if isinstance(item, (set, frozenset)):
        return sorted(repr(show(part)) for part in item)
    return ADDRESS.sub("~", repr(item))


def same(script, places=tuple(PLACES), count=False):
    """Run *script* in every place; returns the log they agree on."""
    logs = {}
    for name in places:
        place = Place(name)
        place.run(script, count)
        logs[name] = place.log
        gc.collect()
    assert logs["asyncio"], "the script has noted nothing"
    for name, log in logs.items():
        # a step of a Python task runs in its `except` block: other contexts
        theirs = "asyncio, Python tasks" if "Python" in name else "asyncio"
        oracle = logs[theirs]
        for entry, wanted in itertools.zip_longest(log, oracle):
            if entry != wanted:
                raise AssertionError(
                    f"{name}: {entry!r}, but asyncio: {wanted!r}")
    return logs["asyncio"]
