"""Locks, events, conditions, semaphores, barriers: used, cancelled, copied."""

import asyncio
import copy
import pickle

from measure import check, finish, namespace, on_a_loop, watch

value = watch(type("Value", (), {})())
ours = namespace()


async def play(make, cancel):
    thing = make()

    async def worker():
        async with thing:
            await asyncio.sleep(0)
    tasks = [asyncio.ensure_future(worker()) for _ in range(6)]
    await asyncio.sleep(0)
    repr(thing)
    for task in tasks[:cancel]:
        task.cancel(value)
    await asyncio.gather(*tasks, return_exceptions=True)


async def locks():
    for make in (ours.Lock, ours.Semaphore, ours.BoundedSemaphore,
                 lambda: ours.Semaphore(2.5), ours.Condition,
                 lambda: ours.Condition(asyncio.Lock()),
                 lambda: ours.Barrier(3)):
        await play(make, 0)
        await play(make, 3)


async def waiting(count):
    for make in (ours.Event, ours.Condition):
        thing = make()

        async def worker():
            if make is ours.Event:
                return await thing.wait()
            async with thing:
                await thing.wait_for(lambda: value)
                return await thing.wait()
        tasks = [asyncio.ensure_future(worker()) for _ in range(4)]
        await asyncio.sleep(0)
        for task in tasks[:count]:
            task.cancel()
        if make is ours.Event:
            thing.set()
        else:
            for _ in range(3):
                await asyncio.sleep(0)
            async with thing:
                thing.notify_all()
        await asyncio.gather(*tasks, return_exceptions=True)


async def waited():
    await waiting(0)
    await waiting(2)


async def barriers():
    barrier = ours.Barrier(3)
    tasks = [asyncio.ensure_future(barrier.wait()) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await barrier.reset()
    await barrier.abort()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def shown():
    for thing in (ours.Lock(), ours.Event(), ours.Condition(),
                  ours.Semaphore(2), ours.BoundedSemaphore(2.5),
                  ours.Barrier(2)):
        thing.value = [thing]
        for name in ("_waiters", "_loop", "_cond", "acquire", "_state"):
            getattr(thing, name, None)
        del thing.value
        copy.copy(thing), copy.deepcopy(thing)
        pickle.loads(pickle.dumps(thing))
        thing.itself = thing
        type(thing).__new__(type(thing))


async def refused():
    for action in (ours.Lock().release, ours.BoundedSemaphore().release,
                   ours.Condition().notify, lambda: ours.Semaphore(-1),
                   lambda: ours.Barrier(0), lambda: ours.Lock(1)):
        try:
            action()
        except (RuntimeError, ValueError, TypeError):
            pass
    lock = ours.Lock()
    await lock.acquire()
    coro = lock.acquire()
    coro.send(None)
    coro.close()
    lock.acquire().close()


for function in (locks, waited, barriers, shown, refused):
    check(on_a_loop(function), 60)
finish()
