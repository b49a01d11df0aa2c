"""Queues and as_completed keep nothing alive, whichever way they are left."""

import asyncio
import copy
import gc
import pickle
import sys
import warnings

from measure import check, finish, namespace, new_loop, watch

A = namespace()
payload = watch(type("Payload", (), {"__lt__": lambda self, other: True})())
loop = new_loop()
KINDS = (A.Queue, A.LifoQueue, A.PriorityQueue)


def run(script):
    def action():
        loop.run_until_complete(script())
    action.__name__ = script.__name__
    return action


async def turns(count=3):
    for _ in range(count):
        await asyncio.sleep(0)


def task(coro):
    return loop.create_task(coro)


async def items():
    for kind in KINDS:
        queue = kind(3)
        for _ in range(3):
            await queue.put(payload)
        repr(queue), str(queue)
        try:
            queue.put_nowait(payload)
        except asyncio.QueueFull:
            pass
        await queue.get()
        queue.get_nowait()
        queue.task_done()


async def waiting():
    for kind in KINDS:
        queue = kind(1)
        putters = [task(queue.put(payload)) for _ in range(4)]
        getters = [task(queue.get()) for _ in range(4)]
        joins = [task(queue.join()) for _ in range(2)]
        await asyncio.wait(putters + getters)
        for _ in range(4):
            queue.task_done()
        await asyncio.wait(joins)


async def cancelled():
    queue = A.Queue(1)
    getters = [task(queue.get()) for _ in range(3)]
    await turns()
    queue.put_nowait(payload)
    for getter in getters:
        getter.cancel()
    await asyncio.wait(getters)
    putters = [task(queue.put(payload)) for _ in range(3)]
    join = task(queue.join())
    await turns()
    for putter in (*putters, join):
        putter.cancel()
    await asyncio.wait([*putters, join])


async def closed():
    queue = A.Queue(1)
    get = queue.get()
    get.send(None)
    try:
        get.throw(KeyError(payload))
    except KeyError:
        pass
    get = queue.get()
    get.send(None)
    get.close()
    queue.get().close()
    queue.put(payload).close()


async def attributes():
    for kind in KINDS:
        queue = kind(2)
        queue.put_nowait(payload)
        queue._queue, queue._getters, queue._putters, queue._finished
        queue._queue = type(queue._queue)([payload])
        queue._getters = [payload]
        queue._maxsize = "odd"
        queue.label = payload
        vars(queue)
        for name in ("_maxsize", "_getters", "_putters", "_finished"):
            delattr(queue, name)
        queue.__init__(1)
        queue.__init__(1)
        queue.put_nowait(payload)


class Mine(A.Queue):
    __slots__ = ("extra",)

    def _init(self, maxsize):
        self.store = []
        self.extra = payload

    def _put(self, item):
        self.store.append(item)

    def _get(self):
        return self.store.pop()

    def qsize(self):
        return len(self.store)

    def empty(self):
        return not self.store


async def subclasses():
    queue = Mine(1)
    putters = [task(queue.put(payload)) for _ in range(3)]
    for _ in range(3):
        await queue.get()
    await asyncio.wait(putters)
    queue._unfinished_tasks = 2.5
    queue.put_nowait(payload)
    await queue.get()

    class Odd(A.Queue):
        _queue = None

    odd = Odd()
    await odd.put(payload)
    await odd.get()


async def broken():
    class Bad:
        def __lt__(self, other):
            raise ZeroDivisionError

    queue = A.PriorityQueue()
    queue.put_nowait(Bad())
    for _ in range(2):
        try:
            await queue.put(Bad())
        except ZeroDivisionError:
            pass
    bare = A.Queue.__new__(A.Queue)
    for call in (bare.get_nowait, bare.full, lambda: repr(bare),
                 lambda: bare.put_nowait(payload)):
        try:
            call()
        except AttributeError:
            pass
    for args in ((1, 2), (1, 2, 3)):
        try:
            A.Queue(*args)
        except TypeError:
            pass


async def copies():
    for kind in KINDS:
        queue = kind(2)
        queue.put_nowait(payload)
        queue.label = payload
        copy.copy(queue)
        queue.get_nowait()
        queue.put_nowait(1)
        del queue.label
        pickle.loads(pickle.dumps(queue))
        copy.deepcopy(queue)


async def cycles():
    for kind in KINDS:
        queue = kind()
        queue.put_nowait(queue)
        queue.me = queue
        getter = task(kind().get())
        await turns()
        getter.cancel()
        await asyncio.wait([getter])


async def shutdowns():
    for immediate in (False, True):
        queue = A.Queue(1)
        queue.put_nowait(payload)
        putter = task(queue.put(payload))
        join = task(queue.join())
        await turns()
        queue.shutdown(immediate)
        await asyncio.wait([putter])
        putter.exception()
        join.cancel()
        await asyncio.wait([join])


async def after(count, error=None):
    await turns(count)
    if error:
        raise error
    return payload


async def completed():
    for coro in A.as_completed([after(n) for n in range(4)]):
        await coro
    for coro in A.as_completed([after(1, KeyError(payload))]):
        try:
            await coro
        except KeyError:
            pass
    future = loop.create_future()
    for coro in A.as_completed([after(1), future], timeout=0.001):
        try:
            await coro
        except TimeoutError:
            pass
    coros = list(A.as_completed([future], timeout=100))
    future.set_result(payload)
    for coro in coros:
        await coro


async def not_completed():
    for refused in (5, after(1), [5]):
        try:
            list(A.as_completed(refused))
        except TypeError:
            pass
        if asyncio.iscoroutine(refused):
            refused.close()
    future = loop.create_future()
    iterator = iter(A.as_completed([future]))
    wait = task(next(iterator))
    await turns()
    wait.cancel()
    await asyncio.wait([wait])
    future.cancel()
    await turns()


async def async_completed():
    async for one in A.as_completed([after(n) for n in range(4)]):
        await one
    try:
        async for _ in A.as_completed([loop.create_future()], timeout=0.001):
            pass
    except TimeoutError:
        pass


warnings.simplefilter("ignore")
actions = [items, waiting, cancelled, closed, attributes, subclasses, broken,
           copies, cycles, completed, not_completed]
if sys.version_info >= (3, 13):
    actions += [shutdowns, async_completed]
for action in actions:
    check(run(action), 60)
loop.close()
gc.collect()
finish()
