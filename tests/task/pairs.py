"""Run one script with asyncio's Task and Future and with ours, and compare.

A script is a function of one Pair: types, a loop, and a log.  Its log (plain
data and texts, freed of addresses) must be the same on every pair; the first
pair, asyncio on asyncio, is the oracle.
"""

import asyncio
import contextlib
import gc
import itertools

import _fastasync
import fastasync

from support import plain

COMBINATIONS = {
    "asyncio on asyncio": (asyncio.Task, asyncio.Future,
                           asyncio.SelectorEventLoop),
    "ours on asyncio": (_fastasync.Task, _fastasync.Future,
                        asyncio.SelectorEventLoop),
    "ours on ours": (_fastasync.Task, _fastasync.Future,
                     fastasync.new_event_loop),
    "asyncio on ours": (asyncio.Task, asyncio.Future,
                        fastasync.new_event_loop),
}


class Pair:
    """Types and a loop that belong together, and what was seen there."""

    def __init__(self, name, debug=False):
        self.name = name
        self.Task, self.Future, new_loop = COMBINATIONS[name]
        self.ours = name.startswith("ours")
        self.loop = new_loop()
        self.loop.set_debug(debug)
        self.loop.set_exception_handler(self._told)
        self.log = []

    def _told(self, loop, context):
        keys = sorted(set(context) - {"source_traceback"})
        self.note("told", context["message"], keys,
                  context.get("exception"))

    def note(self, *what):
        """Log plain data; objects and exceptions by their texts."""
        self.log.append(tuple(show(item) for item in what))

    def attempt(self, function, *args, **kwargs):
        """Log what the call returns or raises."""
        try:
            result = function(*args, **kwargs)
        except (Exception, asyncio.CancelledError, GeneratorExit) as error:
            self.note("raised", error)
        else:
            self.note("returned", result)

    def task(self, coro, **kwargs):
        return self.Task(coro, loop=self.loop, **kwargs)

    def future(self):
        return self.Future(loop=self.loop)

    def run(self, coro):
        """Run a coroutine in a task of this pair's type."""
        return self.loop.run_until_complete(self.task(coro))

    def spin(self, turns=1):
        for _ in range(turns):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()


def show(item):
    if item is None or isinstance(item, (bool, int, float)):
        return item
    if isinstance(item, BaseException):
        return f"{type(item).__name__}: {plain(repr(item))}"
    if isinstance(item, str):
        return plain(item)
    if isinstance(item, (list, tuple)):
        return type(item)(show(part) for part in item)
    return plain(repr(item))


@contextlib.contextmanager
def pair(name, debug=False):
    made = Pair(name, debug)
    try:
        yield made
    finally:
        made.loop.close()
        gc.collect()


def same(script, debug=False):
    """Run *script* on every pair; returns the log they agree on."""
    logs = {}
    for name in COMBINATIONS:
        with pair(name, debug) as made:
            script(made)
        logs[name] = made.log
    oracle = logs["asyncio on asyncio"]
    assert oracle, "the script has noted nothing"
    for name, log in logs.items():
        for entry, wanted in itertools.zip_longest(log, oracle):
            if entry != wanted:
                raise AssertionError(
                    f"{name}: {entry!r}, but asyncio on asyncio: {wanted!r}")
    return oracle
