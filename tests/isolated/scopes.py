"""Timeouts, wait(), wait_for(), task groups: ended in every way."""

import asyncio

import _fastasync

from measure import (MEASURE_ASYNCIO, check, finish, on_a_loop, watch)

names = asyncio if MEASURE_ASYNCIO else _fastasync
result = watch(type("Result", (), {})())


async def give(turns=1):
    for _ in range(turns):
        await asyncio.sleep(0)
    return result


async def fail(turns=1):
    for _ in range(turns):
        await asyncio.sleep(0)
    raise ValueError(result)


async def hang():
    await asyncio.get_running_loop().create_future()


async def timeouts():
    async with names.timeout(10) as t:
        t.reschedule(20)
        t.note = result
    async with names.timeout(None):
        pass
    for inside in (hang, fail):
        try:
            async with names.timeout(-1):
                async with names.timeout_at(-1):
                    await inside()
        except (TimeoutError, ValueError):
            pass
    t.__init__(result)
    names.timeout_at(result)


async def replaced_cancellation():
    try:
        async with names.timeout(-1):
            try:
                await hang()
            except asyncio.CancelledError:
                raise KeyError(result)
    except KeyError:
        pass


async def waited_for():
    assert await names.wait_for(give(), 10) is result
    assert await names.wait_for(give(), None) is result
    for awaitable, timeout in ((hang(), 1e-6), (hang(), 0), (fail(), 10)):
        try:
            await names.wait_for(awaitable, timeout)
        except (TimeoutError, ValueError):
            pass
    task = asyncio.create_task(names.wait_for(hang(), 10))
    await asyncio.sleep(0)
    task.cancel(result)
    await names.wait([task])


async def waited():
    tasks = [asyncio.create_task(give(i % 3)) for i in range(10)]
    await names.wait(tasks)
    for when in (asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION):
        tasks = [asyncio.create_task(coro) for coro in (give(), fail(),
                                                        hang())]
        await names.wait(tasks, timeout=10, return_when=when)
        tasks[-1].cancel()
        await names.wait(tasks)
        tasks[1].exception()
    await names.wait([asyncio.get_running_loop().create_future()],
                     timeout=1e-6)


async def refused():
    for bad in ([], 5, [1]):
        try:
            await names.wait(bad)
        except (TypeError, ValueError, AttributeError):
            pass
    try:
        await names.wait_for(5, 10)
    except TypeError:
        pass


async def grouped():
    async with names.TaskGroup() as group:
        for i in range(10):
            group.create_task(give(i % 3), name=f"task {i}")
        group.note = result
    for coro in (fail(), fail(0)):
        try:
            async with names.TaskGroup() as group:
                group.create_task(coro)
                group.create_task(hang())
                await hang()
        except* ValueError:
            pass
    coro = give()
    try:
        group.create_task(coro)
    except RuntimeError:
        coro.close()


async def cancelled_group():
    async def body():
        async with names.TaskGroup() as group:
            group.create_task(hang())
            await hang()
    task = asyncio.create_task(body())
    await asyncio.sleep(0)
    task.cancel()
    await names.wait([task])


async def left_alone():
    """Made, begun, dropped."""
    group = names.TaskGroup()
    await group.__aenter__()
    group.create_task(give())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del group
    await names.timeout(10).__aenter__()
    names.wait_for(give(), 1).close()
    names.wait([]).close()


for function in (timeouts, replaced_cancellation, waited_for, waited, refused,
                 grouped, cancelled_group, left_alone):
    check(on_a_loop(function), 60)
finish()
