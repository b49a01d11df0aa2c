"""Run one script with asyncio's functions and with ours, and compare.

As in pairs.py, but what varies is the namespace that gather, shield, sleep and
their kin come from (`w.f`) and the loop, with the tasks that this loop makes.
"""

import asyncio
import contextlib
import gc
import itertools
import re
import types

import _fastasync

from pairs import Pair

NAMES = (
    "create_task", "current_task", "ensure_future", "gather",
    "get_running_loop", "iscoroutine", "isfuture",
    "run_coroutine_threadsafe", "shield", "sleep", "to_thread", "wrap_future",
)

STOCK = types.SimpleNamespace(**{name: getattr(asyncio, name)
                                 for name in NAMES})
OURS = types.SimpleNamespace(**{name: getattr(_fastasync, name)
                                for name in NAMES})

PLACES = {
    "asyncio on asyncio": (STOCK, "asyncio on asyncio"),
    "ours on ours": (OURS, "ours on ours"),
    "ours on asyncio": (OURS, "asyncio on asyncio"),
    "asyncio on ours": (STOCK, "ours on ours"),
}


def without_places(item):
    """What C has no source for: where a function is, where a call was made."""
    if isinstance(item, str):
        item = re.sub(r"when=[\d.]+", "when=T", item)
        return re.sub(r"(?: created)? at [^ ]+\.py:\d+|\.\.\.[\w/]+\.py:\d+",
                      "", item)
    if isinstance(item, (list, tuple)):
        return type(item)(without_places(part) for part in item)
    return item


class Waiting(Pair):
    """A loop, functions, and what was seen there."""

    def __init__(self, place, debug=False):
        self.f, name = PLACES[place]
        super().__init__(name, debug)
        self.place = place

    def note(self, *what):
        super().note(*what)
        self.log[-1] = without_places(self.log[-1])

    def run(self, coro):
        return self.loop.run_until_complete(coro)

    async def outcome(self, awaitable):
        """Await and log what comes of it."""
        try:
            self.note("returned", await awaitable)
        except (Exception, asyncio.CancelledError) as error:
            self.note("raised", error)

    def tick(self, name, times):
        """Note *name* in this and the following turns of the loop."""
        def now(left):
            self.note(name, left)
            if left:
                self.loop.call_soon(now, left - 1)
        self.loop.call_soon(now, times)


@contextlib.contextmanager
def place(name, debug=False):
    made = Waiting(name, debug)
    try:
        yield made
    finally:
        made.loop.close()
        gc.collect()


def compare(script, debug=False, places=PLACES):
    """Run *script* in every place; returns the log they agree on."""
    logs = {}
    for name in places:
        with place(name, debug) as made:
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
