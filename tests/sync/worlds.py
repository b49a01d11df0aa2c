"""Run one script with asyncio's primitives and with ours, and compare.

A script is a function of one World: a namespace (`world.Lock`), a loop, and a
log.  Its log must be the same in every world; the first one, asyncio on
asyncio, is the oracle.
"""

import asyncio
import contextlib
import gc
import itertools
import re

import fastasync

from support import plain

WORLDS = {
    "asyncio on asyncio": (asyncio, asyncio.SelectorEventLoop),
    "asyncio on ours": (asyncio, fastasync.new_event_loop),
    "ours on asyncio": (fastasync, asyncio.SelectorEventLoop),
    "ours on ours": (fastasync, fastasync.new_event_loop),
}


class World:
    def __init__(self, name, debug=False):
        self.name = name
        self.module, new_loop = WORLDS[name]
        self.loop = new_loop()
        self.loop.set_debug(debug)
        self.loop.set_exception_handler(self._told)
        self.turn = 0
        self.log = []

    def __getattr__(self, name):
        return getattr(self.module, name)

    @property
    def ours(self):
        return self.module is fastasync

    def _told(self, loop, context):
        self.note("told", context["message"], context.get("exception"))

    def note(self, *what):
        """Log plain data with the loop's turn; the rest by its text."""
        self.log.append((self.turn, *map(show, what)))

    def attempt(self, function, *args, **kwargs):
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            self.note("raised", error)
        else:
            self.note("returned", result)

    async def tried(self, name, coro):
        """Await, and log how it ended, with the chain of exceptions."""
        try:
            self.note(name, "gave", await coro)
        except (Exception, asyncio.CancelledError) as error:
            chain = []
            while error is not None and len(chain) < 5:
                chain.append(error)
                error = error.__context__
            self.note(name, "raised", chain)

    def task(self, coro):
        return self.loop.create_task(coro)

    def spin(self, turns=1):
        for _ in range(turns):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
            self.turn += 1

    def run(self, coro):
        return self.loop.run_until_complete(coro)


def show(item):
    shown = show_all(item)
    if isinstance(shown, str):  # debug mode: where a future was made
        return re.sub(r" created at [^>]*>", ">", shown)
    return shown


def show_all(item):
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
def open_world(name, debug=False):
    world = World(name, debug)
    try:
        yield world
    finally:
        for task in asyncio.all_tasks(world.loop):
            task.cancel()
        world.spin(3)
        world.loop.close()
        gc.collect()


def same(script, debug=False):
    """Run *script* in every world; returns the log they agree on."""
    logs = {}
    for name in WORLDS:
        with open_world(name, debug) as world:
            script(world)
            logs[name] = list(world.log)
    oracle = logs["asyncio on asyncio"]
    assert oracle, "the script has noted nothing"
    for name, log in logs.items():
        for entry, wanted in itertools.zip_longest(log, oracle):
            if entry != wanted:
                raise AssertionError(
                    f"{name}: {entry!r}, but asyncio on asyncio: {wanted!r}")
    return oracle


# -- what all primitives have in common --------------------------------------

def made(world, kind):
    """A new primitive of that name."""
    return getattr(world, kind)(*((2,) if kind == "Barrier" else ()))


def random_play(world, kind, rng):
    """Tasks that come, hold, leave and get cancelled at random."""
    thing = (getattr(world, kind)(rng.randint(0, 3))
             if "Semaphore" in kind else made(world, kind))
    tasks = []

    async def holder(name, turns):
        try:
            async with thing as given:
                world.note(name, "in", given)
                for _ in range(turns):
                    await asyncio.sleep(0)
            world.note(name, "out")
        except (asyncio.CancelledError, RuntimeError) as error:
            world.note(name, error)
            if rng_swallow[name % 7]:
                return
            raise

    rng_swallow = [rng.random() < 0.3 for _ in range(7)]
    for step in range(60):
        move = rng.random()
        if move < 0.4:
            tasks.append(world.task(holder(step, rng.randint(0, 3))))
        elif move < 0.6 and tasks:
            world.note("cancel", rng.choice(tasks).cancel())
        elif move < 0.7 and kind == "Semaphore":
            thing.release()
        else:
            world.spin()
        world.note(thing)
    for task in tasks:
        task.cancel()
    world.spin(8)
    world.note(thing, [task.done() for task in tasks])
