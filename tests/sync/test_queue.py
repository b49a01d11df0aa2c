"""Queue, LifoQueue, PriorityQueue: the same as asyncio's, seen from outside.

Each script runs on asyncio's classes and on ours, on the loop that goes with
them, and notes what it sees; the notes must be equal.
"""

import asyncio
import collections
import copy
import gc
import inspect
import itertools
import math
import pickle
import random
import sys
import typing
import weakref

import pytest

from support import both, compare, plain, side_of, why

KINDS = ["Queue", "LifoQueue", "PriorityQueue"]
SHUTDOWN = sys.version_info >= (3, 13)


def text(thing):
    return plain(repr(thing))


class Notes(list):
    def __call__(self, *what):
        self.append(tuple(
            plain(item) if isinstance(item, str) else text(item)
            for item in what))

    def attempt(self, function, *args, **kwargs):
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            self("raised", why(error))
        else:
            self("returned", result)

    async def wait(self, aw):
        try:
            result = await aw
        except (Exception, asyncio.CancelledError) as error:
            self("raised", why(error), text(error.__context__))
        else:
            self("got", result)


def both_agree(script):
    """Run `async script(A, note)` on both sides and compare the notes."""
    logs = []
    for side in both():
        loop, note = side.new_loop(), Notes()
        loop.set_exception_handler(
            lambda loop, context, note=note: note("told", context["message"]))
        try:
            loop.run_until_complete(script(side.module, note))
        finally:
            loop.close()
        assert note, "the script has noted nothing"
        logs.append(note)
    for at, entries in enumerate(itertools.zip_longest(*logs)):
        assert entries[0] == entries[-1], (at, logs[0][at - 3:at])


async def turns(count=1):
    for _ in range(count):
        await asyncio.sleep(0)


def task(coro):
    return asyncio.get_running_loop().create_task(coro)


# -- the basics -----------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("maxsize", [0, 1, 3, -1, True, False, 2.5, 3.0,
                                     math.inf, -math.inf, math.nan, 10**30,
                                     -10**30])
def test_nowait(kind, maxsize):
    async def script(A, note):
        queue = getattr(A, kind)(maxsize)
        note(queue.maxsize, queue.empty(), queue.full(), queue.qsize())
        for item in (5, 3, 9, 1):
            note.attempt(queue.put_nowait, item)
            note(queue.empty(), queue.full(), queue.qsize(), queue, str(queue))
        for _ in range(5):
            note.attempt(queue.get_nowait)
            note(queue.empty(), queue.full(), queue.qsize(), queue, str(queue))
    both_agree(script)


@pytest.mark.parametrize("kind", KINDS)
def test_waiting(kind):
    async def script(A, note):
        queue = getattr(A, kind)(2)
        getters = [task(note.wait(queue.get())) for _ in range(3)]
        await turns()
        note(queue, str(queue))
        putters = [task(note.wait(queue.put(i))) for i in (4, 2, 6, 1, 3, 5)]
        for _ in range(6):
            note(queue)
            await turns()
        note(queue, len(queue._getters), len(queue._putters))
        while not queue.empty():
            note(queue.get_nowait())
            await turns(2)
        await asyncio.gather(*getters, *putters)
        note(queue, queue._unfinished_tasks)
    both_agree(script)


@pytest.mark.parametrize("bad", [None, "x", (), 1j])
def test_odd_maxsize(bad):
    async def script(A, note):
        queue = A.Queue(bad)
        note(queue.maxsize, queue)
        note.attempt(queue.full)
        note.attempt(queue.put_nowait, 1)
        await note.wait(queue.put(1))
        note(queue.qsize())
    both_agree(script)


def test_arguments():
    async def script(A, note):
        for args, kwargs in [((1, 2), {}), ((), {"loop": None}),
                             ((1,), {"maxsize": 2}), ((), {"maxsize": 2})]:
            note.attempt(A.Queue, *args, **kwargs)
            note.attempt(A.PriorityQueue, *args, **kwargs)
        queue = A.Queue()
        note.attempt(queue.put_nowait)
        note.attempt(queue.put_nowait, 1, 2)
        note.attempt(queue.put_nowait, item=7)
        note.attempt(queue.put)
        note.attempt(queue.put, 1, 2)
        await queue.put(item=8)
        note(queue)
    both_agree(script)


@pytest.mark.parametrize("kind", KINDS)
def test_signatures(kind):
    ours, theirs = (getattr(side_of(name).module, kind)
                    for name in ("fastasync", "asyncio"))
    assert inspect.signature(ours) == inspect.signature(theirs)
    names = ["put", "get", "join", "put_nowait", "get_nowait", "task_done",
             "qsize", "empty", "full", "_init", "_wakeup_next", "_get_loop"]
    if SHUTDOWN:
        names.append("shutdown")
    for name in names:
        mine, other = getattr(ours(), name), getattr(theirs(), name)
        assert inspect.signature(mine) == inspect.signature(other), name
        assert (inspect.iscoroutinefunction(mine)
                == inspect.iscoroutinefunction(other)
                or sys.version_info < (3, 12))
        assert (asyncio.iscoroutinefunction(mine)
                == asyncio.iscoroutinefunction(other))
    for name in names[:-3]:
        assert getattr(ours, name).__doc__
    assert issubclass(ours, theirs)
    assert ours.__name__ == kind and ours.__module__ == "fastasync"


# -- join, shutdown -------------------------------------------------------------------


def test_join():
    async def script(A, note):
        queue = A.Queue()
        note.attempt(queue.task_done)
        await note.wait(queue.join())
        for i in range(3):
            queue.put_nowait(i)
        joins = [task(note.wait(queue.join())) for _ in range(2)]
        await turns()
        note(queue._finished, queue._unfinished_tasks)
        for i in range(3):
            queue.get_nowait()
            queue.task_done()
            note(queue, [join.done() for join in joins])
            await turns()
        for _ in range(3):
            note([join.done() for join in joins])
            await turns()
        note.attempt(queue.task_done)
        note(queue._finished.is_set())
        queue.put_nowait(1)
        note(queue._finished.is_set())
        queue._unfinished_tasks = 5
        note(queue)
        queue._unfinished_tasks = 1
        queue.task_done()
        note(queue._finished.is_set())
    both_agree(script)


def test_finished_event_replaced():
    async def script(A, note):
        queue = A.Queue()

        class Event:
            def __getattr__(self, name):
                return lambda: note("event", name)

        queue._finished = Event()
        queue.put_nowait(1)
        queue.task_done()
        note(queue, type(queue._finished).__name__)
        del queue._finished
        note.attempt(queue.put_nowait, 2)
        note(queue.qsize())
    both_agree(script)


@pytest.mark.skipif(not SHUTDOWN, reason="Queue.shutdown is new in 3.13")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("immediate", [False, True])
def test_shutdown(kind, immediate):
    async def script(A, note):
        queue = getattr(A, kind)(2)
        queue.put_nowait(2)
        queue.put_nowait(1)
        putter = task(note.wait(queue.put(3)))
        join = task(note.wait(queue.join()))
        await turns()
        queue.shutdown(immediate=immediate)
        note(queue, str(queue), queue._is_shutdown, queue._unfinished_tasks)
        note.attempt(queue.put_nowait, 4)
        await note.wait(queue.put(4))
        await turns(3)
        note(putter.done(), join.done())
        await note.wait(queue.get())
        note.attempt(queue.get_nowait)
        note.attempt(queue.get_nowait)
        await note.wait(queue.get())
        queue.shutdown(True)
        for _ in range(2):
            note.attempt(queue.task_done)
        await turns(3)
        note(putter.done(), join.done(), queue)
        join.cancel()
        await asyncio.wait([putter, join])
        empty = getattr(A, kind)()
        getters = [task(note.wait(empty.get())) for _ in range(3)]
        await turns()
        getters[1].cancel()
        empty.shutdown(immediate)
        await asyncio.wait(getters)
        note.attempt(empty.shutdown, 1, 2)
        note(empty)
    both_agree(script)


# -- cancellation ------------------------------------------------------------------------


@pytest.mark.parametrize("after", range(4))
def test_cancelled_getter(after):
    """Whether it waits, was woken or has its item: nobody else sleeps on."""
    async def script(A, note):
        queue = A.Queue()
        getters = [task(note.wait(queue.get())) for _ in range(3)]
        await turns(2)
        if after > 0:
            queue.put_nowait("a")
        if after > 1:
            queue.put_nowait("b")
        if after > 2:
            await turns()
        getters[0].cancel()
        note(queue)
        for _ in range(4):
            await turns()
            note(queue, [getter.done() for getter in getters])
        for getter in getters:
            getter.cancel()
        await asyncio.wait(getters)
        note(queue, list(queue._getters))
    both_agree(script)


@pytest.mark.parametrize("after", range(3))
def test_cancelled_putter(after):
    async def script(A, note):
        queue = A.Queue(1)
        queue.put_nowait(0)
        putters = [task(note.wait(queue.put(i))) for i in (1, 2, 3)]
        await turns(2)
        if after > 0:
            note(queue.get_nowait())
        if after > 1:
            await turns()
        putters[0].cancel()
        for _ in range(4):
            await turns()
            note(queue, [putter.done() for putter in putters])
        for putter in putters:
            putter.cancel()
        await asyncio.wait(putters)
        note(queue, list(queue._putters))
    both_agree(script)


def test_thrown_and_closed():
    async def script(A, note):
        queue = A.Queue()
        get = queue.get()
        future = get.send(None)
        note(queue, future)
        note.attempt(get.throw, KeyError("thrown"))
        note(queue, future.cancelled())
        get = queue.get()
        get.send(None)
        queue.put_nowait(1)
        other = queue.get()
        note.attempt(other.send, None)
        get.close()
        note(queue)
        first, second = queue.get(), queue.get()
        waits = [coro.send(None) for coro in (first, second)]
        queue.put_nowait(2)
        note([wait.done() for wait in waits])
        first.close()
        note([wait.done() for wait in waits], queue)
        note.attempt(second.send, None)
        note.attempt(second.send, None)
    both_agree(script)


def test_error_while_leaving():
    """What goes wrong in the except block keeps the first error as context."""
    async def script(A, note):
        class Broken(A.Queue):
            def _wakeup_next(self, waiters):
                if waiters:
                    raise ZeroDivisionError("wakeup")
                super()._wakeup_next(waiters)

        queue = Broken()
        first = task(note.wait(queue.get()))
        second = task(note.wait(queue.get()))
        await turns()
        queue._getters[0].set_result(None)
        queue._queue.append(1)
        first.cancel()
        await turns(2)
        second.cancel()
        await asyncio.wait([first, second])
    both_agree(script)


def test_wait_for_timeouts():
    async def script(A, note):
        queue = A.Queue(1)
        for _ in range(3):
            await note.wait(asyncio.wait_for(queue.get(), 0.001))
        queue.put_nowait(1)
        for _ in range(3):
            await note.wait(asyncio.wait_for(queue.put(2), 0.001))
        note(queue)
    both_agree(script)


# -- loops ------------------------------------------------------------------------------------


def test_bound_to_one_loop():
    def scenario(side, loop):
        note = Notes()
        queue = side.module.Queue()
        note(queue._loop)

        async def wait():
            getter = task(queue.get())
            await turns()
            note(queue._loop is asyncio.get_running_loop())
            getter.cancel()
            await asyncio.wait([getter])

        loop.run_until_complete(wait())
        other = side.new_loop()

        async def again():
            await note.wait(queue.get())
            note.attempt(queue._get_loop)
            queue.put_nowait(1)
            note(await queue.get())

        other.run_until_complete(again())
        other.close()
        note.attempt(queue._get_loop)
        get = queue.get()
        note.attempt(get.send, None)
        queue._loop = None
        note.attempt(queue._get_loop)
        get = queue.get()
        note.attempt(get.send, None)
        return note
    assert compare(scenario)


# -- attributes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_attributes(kind):
    async def script(A, note):
        queue = getattr(A, kind)(3)
        names = ["_maxsize", "_getters", "_putters", "_unfinished_tasks",
                 "_finished", "_queue", "_loop"]
        names += ["_is_shutdown"] if SHUTDOWN else []
        note(hasattr(queue, "_is_shutdown"), hasattr(queue, "shutdown"))
        for name in names:
            note(name, getattr(queue, name), type(getattr(queue, name)).__name__)
        queue.put_nowait(3)
        queue.put_nowait(1)
        items = queue._queue
        assert items is queue._queue
        note(items)
        items.append(2)
        note(queue, queue.qsize(), queue.full())
        await note.wait(queue.get())
        note(items, items is queue._queue)
        queue._maxsize = 2
        note(queue.full(), queue.maxsize)
        note.attempt(setattr, queue, "maxsize", 5)
        queue._queue = type(items)([7])
        note(queue, queue.get_nowait(), queue)
        for name in names:
            if name != "_loop":
                delattr(queue, name)
                note.attempt(getattr, queue, name)
                note.attempt(delattr, queue, name)
        note.attempt(queue.put_nowait, 1)
        note.attempt(queue.get_nowait)
        note.attempt(queue.task_done)
        note.attempt(repr, queue)
        await note.wait(queue.put(1))
        await note.wait(queue.get())
    both_agree(script)


ODD = {
    "_maxsize": ["3", None, [2]],
    "_getters": [[], None, 5],
    "_putters": [[], None, 5],
    "_unfinished_tasks": [2.5, None, 10**30],
    "_is_shutdown": [1, "", None],
    "_queue": [[], None, bytearray(b"ab"), {}],
    "_finished": [None, 3],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name, value", [
    (name, value) for name, values in ODD.items() for value in values],
    ids=lambda value: repr(value))
def test_odd_attributes(kind, name, value):
    """An attribute of a type that asyncio does not put there."""
    if name == "_is_shutdown" and not SHUTDOWN:
        pytest.skip("no such attribute")

    async def script(A, note):
        queue = getattr(A, kind)(2)
        queue.put_nowait(1)
        setattr(queue, name, copy.copy(value))
        note(getattr(queue, name))
        note.attempt(repr, queue)
        for function in (queue.full, queue.empty, queue.qsize,
                         queue.get_nowait, queue.task_done):
            note.attempt(function)
        note.attempt(queue.put_nowait, 2)
        if name != "_queue" or value:  # or they wait for ever
            await note.wait(asyncio.wait_for(queue.get(), 0.001))
        await note.wait(asyncio.wait_for(queue.put(3), 0.001))
        note(getattr(queue, name))
        queue.__init__()
        note(queue, A is not asyncio and name in vars(queue))
        queue.put_nowait(1)
        note(queue.get_nowait())
    both_agree(script)


def test_getters_as_langgraph_uses_them():
    async def script(A, note):
        class AsyncQueue(A.Queue):
            async def wait(self):
                while self.empty():
                    getter = self._get_loop().create_future()
                    self._getters.append(getter)
                    try:
                        await getter
                    except:
                        getter.cancel()
                        try:
                            self._getters.remove(getter)
                        except ValueError:
                            pass
                        if not self.empty() and not getter.cancelled():
                            self._wakeup_next(self._getters)
                        raise

        queue = AsyncQueue()
        waits = [task(note.wait(queue.wait())) for _ in range(2)]
        get = task(note.wait(queue.get()))
        await turns()
        note(queue)
        waits[0].cancel()
        queue.put_nowait(1)
        await turns(3)
        note(queue, [wait.done() for wait in waits], get.done())
        queue.put_nowait(2)
        await turns(3)
        note(queue, [wait.done() for wait in waits], get.done())
        await asyncio.wait([*waits, get])
    both_agree(script)


def test_wakeup_next_on_any_deque():
    async def script(A, note):
        queue = A.Queue()
        loop = asyncio.get_running_loop()
        waiters = collections.deque(loop.create_future() for _ in range(3))
        waiters[0].cancel()
        futures = list(waiters)
        note.attempt(queue._wakeup_next, waiters)
        note([future.done() for future in futures], len(waiters))
        note.attempt(queue._wakeup_next, [])
        note.attempt(queue._wakeup_next, [1])
        note.attempt(queue._wakeup_next, None)
        note.attempt(queue._wakeup_next)
    both_agree(script)


# -- subclasses ----------------------------------------------------------------------------------------


HOOKS = ["full", "empty", "qsize", "put_nowait", "get_nowait", "_put", "_get",
         "_init", "_wakeup_next", "_get_loop", "_format", "put", "get", "join",
         "task_done"] + (["shutdown"] if SHUTDOWN else [])


def tracing(base, names, note):
    """A subclass that notes each call of the methods and passes it on."""
    def hook(name):
        def method(self, *args, **kwargs):
            note(name, *args, *kwargs.items())
            return getattr(super(Traced, self), name)(*args, **kwargs)
        return method
    Traced = type("Traced", (base,), {name: hook(name) for name in names})
    return Traced


async def exercise(queue, note):
    await queue.put(2)
    queue.put_nowait(1)
    putter = task(note.wait(queue.put(3)))
    await turns()
    note(queue)
    await note.wait(queue.get())
    await turns(2)
    for _ in range(2):
        note.attempt(queue.get_nowait)
    note.attempt(queue.get_nowait)
    join = task(note.wait(queue.join()))
    getters = [task(note.wait(queue.get())) for _ in range(2)]
    await turns()
    getters[0].cancel()
    await turns()
    await note.wait(queue.put(4))
    for _ in range(4):
        note.attempt(queue.task_done)
    await turns(3)
    note(queue.full(), queue.empty(), queue.qsize(), queue)
    if SHUTDOWN:
        queue.put_nowait(5)
        queue.shutdown(True)
        await note.wait(queue.put(6))
        await note.wait(queue.get())
        note(queue)
    await asyncio.wait([putter, join, *getters])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [[name] for name in HOOKS] + [[], HOOKS],
                         ids=lambda names: "+".join(names))
def test_overridden(kind, names):
    """Every method that a subclass replaces is called when asyncio calls it."""
    async def script(A, note):
        note("begin")
        queue = tracing(getattr(A, kind), names, note)(2)
        await exercise(queue, note)
    both_agree(script)


@pytest.mark.parametrize("name", HOOKS)
@pytest.mark.parametrize("way", ["setattr", "dict", "class"])
def test_replaced_later(name, way):
    """The same for an attribute of an instance and a patched class."""
    async def script(A, note):
        class Patched(A.Queue):
            pass

        queue = Patched(2) if way == "class" else A.Queue(2)
        await queue.put(0)
        note(queue.get_nowait())
        queue.task_done()
        original = getattr(queue, name)

        def replacement(*args, **kwargs):
            note(name, *args, *kwargs.items())
            return original(*args, **kwargs)

        if way == "setattr":
            setattr(queue, name, replacement)
        elif way == "dict":
            vars(queue)[name] = replacement
        else:
            setattr(Patched, name, lambda self, *args, **kwargs:
                    replacement(*args, **kwargs))
        await exercise(queue, note)
        if way == "setattr":
            delattr(queue, name)
            queue.__init__(2)
            await exercise(queue, note)
    both_agree(script)


def test_patched_our_class(monkeypatch):
    async def script(A, note):
        queue = A.Queue()
        queue.put_nowait(1)
        real = A.Queue._put
        with monkeypatch.context() as patch:
            patch.setattr(A.Queue, "_put",
                          lambda self, item: real(self, item * 2))
            queue.put_nowait(2)
            await queue.put(3)
            A.Queue().put_nowait(1)
        queue.put_nowait(4)
        note(queue)
    both_agree(script)


def test_storage_of_its_own():
    """`_queue` is never there: the documented way to make another queue."""
    async def script(A, note):
        class SetQueue(A.Queue):
            def _init(self, maxsize):
                self.items = {}

            def _put(self, item):
                self.items[item] = None

            def _get(self):
                return self.items.popitem()[0]

            def qsize(self):
                return len(self.items)

            def empty(self):
                return not self.items

        await exercise(SetQueue(2), note)

        class ListQueue(A.Queue):
            def _init(self, maxsize):
                self._queue = []

            def _get(self):
                return self._queue.pop(0)

        await exercise(ListQueue(2), note)

        class DictQueue(A.PriorityQueue):
            def _init(self, maxsize):
                self._queue = {}

            def _put(self, item):
                self._queue[item] = None

            def _get(self):
                return self._queue.popitem()[0]

        await exercise(DictQueue(2), note)
    both_agree(script)


def test_attributes_of_classes():
    """Class attributes, properties, slots in the place of attributes."""
    async def script(A, note):
        class Default(A.Queue):
            _queue = None
            _unfinished_tasks = 0

        class Property(A.Queue):
            @property
            def _maxsize(self):
                note("read")
                return 2

            @_maxsize.setter
            def _maxsize(self, value):
                note("set", value)

        class Slots(A.Queue):
            __slots__ = ("_queue", "extra")

        class Getattr(A.Queue):
            def __getattr__(self, name):
                raise AttributeError(name)

        class Everything(A.Queue):
            def __getattribute__(self, name):
                note("look", name)
                return super().__getattribute__(name)

            def __setattr__(self, name, value):
                note("write", name)
                super().__setattr__(name, value)

        for cls in (Default, Property, Slots, Getattr, Everything):
            note(cls.__name__)
            await exercise(cls(2), note)
    both_agree(script)


@pytest.mark.keeps("objects", reason="typing caches AQueue[int] and its kin")
def test_bases():
    async def script(A, note):
        T = typing.TypeVar("T")

        class AQueue(A.Queue[T]):
            async def get(self):
                while True:
                    try:
                        return self.get_nowait()
                    except asyncio.QueueEmpty:
                        await asyncio.sleep(0)

        class Mixed(collections.abc.Sized, A.LifoQueue, typing.Generic[T]):
            def __init__(self, name):
                self.name = name
                super().__init__(2)

            def __len__(self):
                return self.qsize()

        await exercise(Mixed[int]("n"), note)
        queue = AQueue[int](2)
        queue.put_nowait(1)
        note(await queue.get(), type(queue).__name__, A.Queue[int])
        mixed = Mixed("m")
        mixed.put_nowait(1)
        note(len(mixed), mixed.name, vars(mixed)["name"])
        note(isinstance(mixed, asyncio.LifoQueue), isinstance(queue, A.Queue))
        note.attempt(setattr, A.Queue(), "free", 1)
    both_agree(script)


def test_class_assigned():
    async def script(A, note):
        queue = A.Queue(2)
        queue.put_nowait(1)

        class Doubled(A.Queue):
            def _put(self, item):
                super()._put(item * 2)

        queue.__class__ = Doubled
        queue.put_nowait(2)
        note(queue)
        queue.__class__ = A.Queue
        note(queue.get_nowait(), queue.get_nowait())
    both_agree(script)


# -- objects that are not as they should be ----------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_uninitialised(kind):
    async def script(A, note):
        cls = getattr(A, kind)

        def bare():
            return cls.__new__(cls)

        for name in ("full", "empty", "qsize", "get_nowait", "task_done",
                     "_format", "_get"):
            note.attempt(getattr(bare(), name))
        note.attempt(bare().put_nowait, 1)
        note.attempt(bare()._put, 1)
        note.attempt(repr, bare())
        note.attempt(str, bare())
        note.attempt(getattr, bare(), "maxsize")
        note(bare()._loop)
        for name in ("put", "get", "join"):
            queue = bare()
            await note.wait(getattr(queue, name)(*[1] * (name == "put")))
        if SHUTDOWN:
            note.attempt(bare().shutdown)
        queue = bare()
        queue._init(0)
        queue._put(1)
        note(queue._queue, queue._get())
        queue.__init__(1)
        note(queue)
    both_agree(script)


def test_initialised_again():
    async def script(A, note):
        queue = A.Queue(1)
        queue.put_nowait(1)
        putter = task(note.wait(queue.put(2)))
        await turns()
        queue.__init__(3)
        note(queue, queue.maxsize, queue._finished)
        queue.put_nowait(7)
        await turns(2)
        putter.cancel()
        await asyncio.wait([putter])
        note(queue)
    both_agree(script)


def test_hostile_items():
    """Comparisons of a heap that change the queue under its feet."""
    async def script(A, note):
        queue = A.PriorityQueue()
        ways = {
            "put": lambda: queue.put_nowait(Item("nothing")),
            "get": lambda: queue.get_nowait(),
            "init": lambda: queue.__init__(),
            "list": lambda: setattr(queue, "_queue", []),
            "odd": lambda: setattr(queue, "_getters", None),
            "clear": lambda: queue._queue.clear(),
            "raise": lambda: 1 / 0,
            "nothing": lambda: None,
        }

        class Item:
            def __init__(self, way):
                self.way = way

            def __lt__(self, other):
                way, self.way = self.way, "nothing"
                ways[way]()
                return False

            def __repr__(self):
                return f"Item({self.way})"

        for way in ways:
            queue.__init__()
            for _ in range(3):
                queue.put_nowait(Item("nothing"))
            note.attempt(queue.put_nowait, Item(way))
            note.attempt(repr, queue)
            for _ in range(3):
                note.attempt(queue.get_nowait)
            queue.__init__()
    both_agree(script)


def test_put_that_changes_the_queue():
    async def script(A, note):
        class Odd(A.Queue):
            def _put(self, item):
                super()._put(item)
                item(self)

            def __repr__(self):
                return "<Odd>"

        for change in (lambda q: setattr(q, "_unfinished_tasks", 1.5),
                       lambda q: setattr(q, "_getters", []),
                       lambda q: setattr(q, "_getters", None),
                       lambda q: delattr(q, "_finished"),
                       lambda q: q.__init__(),
                       lambda q: setattr(q, "_maxsize", "x")):
            queue = Odd()
            note.attempt(queue.put_nowait, change)
            note(getattr(queue, "_unfinished_tasks", None), len(queue._queue))
            note.attempt(queue.get_nowait)
    both_agree(script)


# -- life ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(kind, protocol):
    async def script(A, note):
        queue = getattr(A, kind)(5)
        for item in (3, 1, 2):
            queue.put_nowait(item)
        queue.label = "mine"
        queue.get_nowait()
        again = pickle.loads(pickle.dumps(queue, protocol))
        note(type(again) is type(queue), again, again._finished, again.label)
        again.put_nowait(0)
        note([again.get_nowait() for _ in range(3)], queue)
        note(sorted(queue.__getstate__()))
    both_agree(script)


def test_copies():
    async def script(A, note):
        queue = A.PriorityQueue(5)
        for item in ([3], [1], [2]):
            queue.put_nowait(item)
        deep, flat = copy.deepcopy(queue), copy.copy(queue)
        note(deep._queue == queue._queue, deep._queue is queue._queue,
             deep._queue[0] is queue._queue[0])
        note(flat._queue is queue._queue, flat._getters is queue._getters,
             flat._finished is queue._finished)
        flat.put_nowait([0])
        note(queue.get_nowait(), queue, deep)

        waiting = A.Queue()
        getter = task(waiting.get())
        await turns()
        try:
            pickle.dumps(waiting)
        except TypeError as error:
            note("cannot pickle" in str(error))
        getter.cancel()
        await asyncio.wait([getter])

        class Slots(A.Queue):
            __slots__ = ("extra",)

        slots = Slots()
        slots.extra = 3
        slots.put_nowait(1)
        again = copy.deepcopy(slots)
        note(again, again.extra, again.get_nowait())
    both_agree(script)


@pytest.mark.parametrize("kind", KINDS)
def test_weakrefs_and_cycles(kind):
    async def script(A, note):
        queue = getattr(A, kind)()
        queue.put_nowait([queue])
        queue.me = queue
        ref = weakref.ref(queue)
        note(ref() is queue)
        get = queue.get()
        get.close()
        del queue, get
        gc.collect()
        note(ref() is None)
    both_agree(script)


def test_never_awaited():
    async def script(A, note):
        queue = A.Queue()
        with pytest.warns(RuntimeWarning) as caught:
            queue.put(1)
            queue.get()
            queue.join()
            gc.collect()
        for warning in caught:
            note(str(warning.message))
        note(queue)
        put = queue.put(1)
        note(put.__name__, put.__qualname__, queue.qsize())
        await put
        note(queue.qsize())
        note.attempt(put.send, None)
    both_agree(script)


def test_repr_of_itself():
    async def script(A, note):
        queue = A.Queue()
        queue.put_nowait(queue)
        with pytest.raises(RecursionError):
            repr(queue)

        class Bad:
            def __repr__(self):
                raise ZeroDivisionError

        queue = A.Queue()
        queue.put_nowait(Bad())
        note.attempt(repr, queue)

        class Shrinking(list):
            def __repr__(self):
                while queue.qsize():
                    queue.get_nowait()
                return "gone"

        queue = A.Queue()
        queue.put_nowait(Shrinking())
        queue.put_nowait(Shrinking())
        note(queue)
    both_agree(script)


# -- chance -----------------------------------------------------------------------------------------------


class Random:
    """A random history of one queue, the same for the same seed."""

    def __init__(self, A, note, seed):
        self.random = random.Random(seed)
        self.note = note
        kind = self.random.choice(KINDS)
        size = self.random.choice([0, 1, 2, 3])
        base = getattr(A, kind)
        if self.random.random() < 0.3:
            names = self.random.sample(HOOKS, 3)
            base = tracing(base, names, note)
        self.queue = base(size)
        self.tasks = []

    async def worker(self, number, coro):
        try:
            self.note(number, "got", await coro)
        except asyncio.CancelledError:
            self.note(number, "cancelled")
        except Exception as error:
            self.note(number, why(error))

    async def step(self, number):
        queue, choice = self.queue, self.random.choice(
            ["put", "put", "get", "get", "put_nowait", "get_nowait", "cancel",
             "turn", "turn", "join", "task_done", "look", "timeout"])
        if choice == "put":
            self.tasks.append(task(self.worker(number, queue.put(number))))
        elif choice in ("get", "join"):
            self.tasks.append(
                task(self.worker(number, getattr(queue, choice)())))
        elif choice == "put_nowait":
            self.note.attempt(queue.put_nowait, number)
        elif choice in ("get_nowait", "task_done"):
            self.note.attempt(getattr(queue, choice))
        elif choice == "cancel" and self.tasks:
            self.random.choice(self.tasks).cancel()
        elif choice == "timeout":
            self.tasks.append(task(self.worker(
                number, asyncio.wait_for(queue.get(), 0))))
        elif choice == "look":
            self.note(queue, queue._getters, queue._putters, queue._queue)
        else:
            await asyncio.sleep(0)
        self.note(choice, queue)

    async def run(self):
        for number in range(60):
            await self.step(number)
        await turns()
        if SHUTDOWN and self.random.random() < 0.5:
            self.queue.shutdown(self.random.random() < 0.5)
            await turns(4)
            self.note(self.queue)
        await turns()
        for one in self.tasks:
            one.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)
        self.note(self.queue, self.queue._getters, self.queue._putters)


@pytest.mark.parametrize("seed", range(60))
def test_random_histories(seed):
    async def script(A, note):
        await Random(A, note, seed).run()
    both_agree(script)
