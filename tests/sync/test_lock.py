"""Lock: order, cancellation, loops, subclasses, foreign futures, pickling."""

import asyncio
import copy
import inspect
import pickle
import random
import sys
import weakref

import pytest

import _fastasync
import fastasync
from worlds import made, random_play

KINDS = ["Lock", "Event", "Condition", "Semaphore", "BoundedSemaphore",
         "Barrier"]


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("kind", ["Lock", "Semaphore", "Condition"])
def test_random_play(kind, seed, same):
    same(lambda world: random_play(world, kind, random.Random(seed)))


def test_first_come_first_served(same):
    def script(world):
        lock = world.Lock()

        async def worker(name):
            async with lock as given:
                world.note(name, given, lock, lock.locked())
                await asyncio.sleep(0)
        for name in "abcde":
            world.task(worker(name))
        world.spin(15)
    same(script)


@pytest.mark.parametrize("order", ["cancel", "release", "both"])
def test_woken_and_cancelled(order, same):
    def script(world):
        lock = world.Lock()
        world.run(lock.acquire())
        tasks = [world.task(world.tried(name, lock.acquire()))
                 for name in "abc"]
        world.spin()
        if order != "cancel":
            lock.release()
        if order != "release":
            tasks[0].cancel("why")
        if order == "cancel":
            lock.release()
        for _ in range(6):
            world.spin()
            world.note(lock, len(lock._waiters))
            if lock.locked():
                lock.release()
    same(script)


def test_not_acquired(same):
    def script(world):
        lock = world.Lock()
        world.attempt(lock.release)
        world.run(world.tried("exit", lock.__aexit__(None, None, None)))
    assert "Lock is not acquired." in same(script)[0][2]


def test_with_without_async(same):
    def script(world):
        lock = world.Lock()

        async def wrong():
            with lock:
                pass

        async def wrong_await():
            with await lock:
                pass
        world.run(world.tried("with", wrong()))
        world.run(world.tried("await", wrong_await()))
        world.note(lock.locked())
    same(script)


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_calls_of_coroutine_methods(kind, same):
    def script(world):
        thing = made(world, kind)
        for name in ("acquire", "wait", "wait_for", "__aenter__", "reset"):
            method = getattr(thing, name, None)
            if method is not None:
                world.attempt(method, 1, 2)
                world.attempt(method, *range(20))
                world.attempt(method, x=1)
        if kind not in ("Event", "Barrier"):
            world.attempt(thing.__aexit__)
            world.attempt(thing.__aexit__, 1, 2, 3, 4)
    same(script)


@pytest.mark.parametrize("kind", KINDS)
def test_constructor_errors(kind, same):
    def script(world):
        cls = getattr(world, kind)
        world.attempt(cls, 1, 2)
        world.attempt(cls, loop=None)
        world.attempt(cls, 1, 2, 3)
        if kind == "Barrier":
            world.attempt(cls)
    same(script)


@pytest.mark.parametrize("kind", ["Lock", "Event", "Semaphore"])
def test_no_loop_runs(kind, same):
    """Without a loop asyncio goes on with None: so do we."""
    def script(world):
        thing = made(world, kind)
        if kind == "Semaphore":
            thing._value = 0
        elif kind == "Lock":
            world.run(thing.acquire())
        wait = thing.wait if kind == "Event" else thing.acquire
        for _ in range(2):
            world.attempt(wait().send, None)
            thing._loop = world.loop
    same(script)


@pytest.mark.parametrize("kind", ["Lock", "Event", "Semaphore"])
def test_bound_to_the_first_loop(kind, world):
    thing = made(world, kind)
    wait = thing.wait if kind == "Event" else thing.acquire
    if kind != "Event":
        world.run(thing.acquire())
    assert thing._loop is None
    task = world.task(wait())
    world.spin()
    assert thing._loop is world.loop
    other = asyncio.SelectorEventLoop()
    try:
        with pytest.raises(RuntimeError,
                           match="is bound to a different event loop"):
            other.run_until_complete(wait())
    finally:
        other.close()
    task.cancel()


@pytest.mark.parametrize("kind", KINDS)
def test_is_asyncios(kind):
    ours, theirs = getattr(fastasync, kind), getattr(asyncio, kind)
    assert ours is getattr(_fastasync, kind) and ours is not theirs
    assert issubclass(ours, theirs)
    assert inspect.signature(ours) == inspect.signature(theirs)
    thing = made(fastasync, kind)
    original = made(asyncio, kind)
    assert isinstance(thing, theirs)
    for name in dir(theirs):
        if name.startswith("_") and not name.startswith("__a"):
            continue
        mine, other = getattr(thing, name), getattr(original, name)
        assert callable(mine) == callable(other), name
        if callable(other):
            assert (inspect.signature(mine)
                    == inspect.signature(other)), name
            assert (asyncio.coroutines.iscoroutinefunction(mine)
                    == inspect.iscoroutinefunction(other)), name
            if sys.version_info >= (3, 12):
                assert (inspect.iscoroutinefunction(mine)
                        == inspect.iscoroutinefunction(other)), name
            assert mine.__name__ == other.__name__


@pytest.mark.parametrize("kind", KINDS)
def test_weak_references_and_attributes(kind):
    things = weakref.WeakValueDictionary()
    thing = things["a"] = made(fastasync, kind)
    thing.note = things
    assert vars(thing) == {"note": things}
    repr(thing)
    del thing.note, thing
    assert not things


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["copy", "deepcopy", "pickle"])
def test_copies(kind, way, same):
    def script(world):
        thing = made(world, kind)
        thing.note = "mine"
        copied = {"copy": copy.copy, "deepcopy": copy.deepcopy,
                  "pickle": lambda x: pickle.loads(pickle.dumps(x)),
                  }[way](thing)
        world.note(thing, copied, copied.note, type(copied) is type(thing))
        state = dict(thing.__getstate__())
        for name in ("acquire", "release", "locked"):
            state.pop(name, None)  # see Condition
        world.note(list(state))

        async def use():
            if kind == "Event":
                copied.set()
                return await copied.wait()
            if kind == "Barrier":
                return await asyncio.gather(copied.wait(), copied.wait())
            async with copied:
                world.note(copied, thing)
                if kind == "Condition":
                    copied.notify_all()
                    if way == "copy":
                        assert copied._lock is thing._lock
                    else:
                        assert copied._lock is not thing._lock
        world.note(world.run(use()))
        world.note(copied, thing)
    same(script)


class Mine(fastasync.Lock):
    __slots__ = ("slot",)


def test_copy_of_a_subclass_with_slots():
    lock = Mine()
    lock.slot, lock.other = 1, 2
    lock._locked = True
    for copied in (copy.copy(lock), pickle.loads(pickle.dumps(lock))):
        assert (copied.slot, copied.other, copied.locked()) == (1, 2, True)


@pytest.mark.parametrize("kind", KINDS)
def test_uninitialised(kind, same):
    def script(world):
        cls = getattr(world, kind)
        for name in ("_waiters", "_value", "_locked", "_lock", "_cond",
                     "_count", "_state", "_parties", "_bound_value", "_loop",
                     "locked", "acquire", "parties", "broken", "n_waiting"):
            thing = cls.__new__(cls)
            if name in ("locked", "acquire") and kind != "Condition":
                continue
            if not (kind == "Barrier" and name == "_waiters"):
                world.attempt(getattr, thing, name)
        for name in ("locked", "release", "is_set", "set", "clear",
                     "notify_all", "notify"):
            thing = cls.__new__(cls)
            if hasattr(thing, name):
                world.attempt(getattr(thing, name))
        world.attempt(repr, cls.__new__(cls))
        for name in ("acquire", "wait", "reset", "abort", "__aenter__"):
            thing = cls.__new__(cls)
            if hasattr(thing, name):
                world.run(world.tried(name, getattr(thing, name)()))
    same(script)


def test_overridden_methods(same):
    def script(world):
        class Loud(world.Lock):
            async def acquire(self):
                world.note("acquire")
                return await super().acquire()

            def release(self):
                world.note("release")
                super().release()

            def _wake_up_first(self):
                world.note("wake")
                super()._wake_up_first()

        lock = Loud()

        async def worker():
            async with lock:
                world.note(lock)
                await asyncio.sleep(0)
        for _ in range(3):
            world.task(worker())
        world.spin(8)
    same(script)


def test_attributes_of_an_instance(same):
    def script(world):
        lock = world.Lock()
        release = lock.release

        def loud():
            world.note("release")
            release()
        lock.release = loud

        async def main():
            async with lock:
                world.note(lock)
        world.run(main())
        world.note(lock)
    same(script)


def test_waiters_as_libraries_see_them(same):
    def script(world):
        lock = world.Lock()
        world.note(lock._waiters)
        world.run(lock.acquire())
        tasks = [world.task(world.tried(i, lock.acquire())) for i in range(4)]
        world.spin()
        world.note(type(lock._waiters).__name__, len(lock._waiters))
        lock._waiters[0].set_result(True)  # barge in
        lock._waiters.rotate(1)
        world.spin()
        world.note(lock)
        lock._waiters.popleft().cancel()
        world.spin()
        lock._waiters = None
        world.note(lock)
        for task in tasks:
            task.cancel()
        world.spin(2)
        lock._locked = False
        world.note(lock, lock.locked())
    same(script)


def test_init_again(same):
    def script(world):
        lock = world.Lock()
        world.run(lock.acquire())
        task = world.task(world.tried("a", lock.acquire()))
        world.spin()
        lock.__init__()
        world.note(lock)
        task.cancel()
        world.spin()
    same(script)


def test_loop_of_foreign_futures(same):
    """The loop's create_future may give anything, or nothing."""
    def script(world):
        lock = world.Lock()
        world.run(lock.acquire())
        for bad in (object, lambda: None, lambda: 1 / 0):
            world.loop.create_future = bad
            task = world.task(world.tried("bad", lock.acquire()))
            world.spin()
            world.note(lock, task.done())
        del world.loop.create_future
        world.loop.create_future = lambda: asyncio.futures._PyFuture(
            loop=world.loop)
        world.task(world.tried("good", lock.acquire()))
        world.spin()
        world.attempt(lock.release)
        world.spin()
        world.note(lock)
        del world.loop.create_future
    same(script)


def test_closed_while_it_waits(same):
    def script(world):
        lock = world.Lock()
        world.run(lock.acquire())

        async def main():
            coro = lock.acquire()
            coro.send(None)
            world.note(lock)
            coro.close()
            world.note(lock)
            coro = lock.acquire()
            coro.send(None)
            world.attempt(coro.throw, KeyError("x"))
            world.note(lock)
            lock.acquire().close()
        world.run(main())
    same(script)


@pytest.mark.filterwarnings("error")
def test_no_effect_before_it_is_awaited():
    lock = fastasync.Lock()
    with pytest.warns(RuntimeWarning, match="Lock.acquire.* never awaited"):
        lock.acquire()
    assert not lock.locked()


# -- subclasses that C may drive ---------------------------------------------------


def calls_of(kind, body, use):
    """What the methods of a subclass with that body are called for."""
    log = []

    async def main():
        cls = type("Mine", (kind,), body(log))
        thing = cls()
        thing.note = "an attribute that hides nothing"
        await use(thing, log)

    fastasync.run(main())
    return log


@pytest.mark.parametrize("ns", [fastasync, asyncio], ids=["ours", "theirs"])
def test_what_a_subclass_or_an_instance_replaces_is_called(ns):
    def body(log):
        def release(self):
            log.append("release")
            ns.Lock.release(self)
        return {"release": release}

    async def use(lock, log):
        async with lock:
            log.append(lock.locked())
        lock.release = lambda: log.append("the instance's")
        async with lock:
            pass
        del lock.release
        type(lock).release = ns.Lock.release
        lock.release()
        async with lock:
            type(lock).acquire = no_acquire
        with pytest.raises(ZeroDivisionError):
            async with lock:
                pass

    async def no_acquire(self):
        raise ZeroDivisionError

    assert calls_of(ns.Lock, body, use) == [True, "release", "the instance's"]


@pytest.mark.parametrize("name", ["Lock", "Event", "Semaphore"])
def test_a_subclass_that_replaces_nothing_still_waits_in_order(name):
    def story(ns):
        order = []

        async def main():
            class Mine(getattr(ns, name)):
                """Documented, with its own constructor and attributes."""

                def __init__(self):
                    super().__init__()
                    self.owner = "me"

                def extra(self):
                    return self.owner

            thing = Mine()
            enter = getattr(thing, "acquire", None) or thing.wait
            leave = getattr(thing, "release", None) or thing.set

            async def one(number):
                await enter()
                order.append(number)
                await asyncio.sleep(0)
                leave()

            tasks = [asyncio.create_task(one(n)) for n in range(5)]
            await asyncio.sleep(0)
            tasks[2].cancel()
            if name == "Event":
                leave()
            await asyncio.wait(tasks)
            order.append((thing.extra(), len(thing._waiters or ())))

        fastasync.run(main())
        return order

    assert story(fastasync) == story(asyncio)


@pytest.mark.parametrize("kind", ["Lock", "Event", "Condition", "Semaphore",
                                  "Queue", "PriorityQueue", "TaskGroup"])
def test_state_with_a_name_that_is_none(kind):
    """Not a name: TypeError, or the attribute is kept in the dictionary."""
    thing = getattr(fastasync, kind)()
    for state in ({5: 1}, {None: 1}, ({}, {5: 1})):
        try:
            thing.__setstate__(state)
        except TypeError:
            pass
    assert repr(thing).startswith("<")
