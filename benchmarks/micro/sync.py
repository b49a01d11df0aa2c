"""Rows of queues and locks, free and contended."""

import asyncio

from micro.base import batched, single

WORKERS = 10  # tasks that fight for one primitive


@single()
async def queue_put_get(n: int) -> None:
    """put and get on one queue that never makes anyone wait."""
    queue: asyncio.Queue[int] = asyncio.Queue()
    for _ in range(n):
        await queue.put(1)
        await queue.get()


@single()
async def queue_pingpong(n: int) -> None:
    """A token through two queues, there and back: every get waits."""
    there: asyncio.Queue[int] = asyncio.Queue()
    back: asyncio.Queue[int] = asyncio.Queue()

    async def partner() -> None:
        for _ in range(n):
            await back.put(await there.get())

    task = asyncio.get_running_loop().create_task(partner())
    for _ in range(n):
        await there.put(1)
        await back.get()
    await task


@single()
async def lock_uncontended(n: int) -> None:
    """`async with lock` with nobody else there."""
    lock = asyncio.Lock()
    for _ in range(n):
        async with lock:
            pass


async def contend(
    n: int, workers: int, guard: asyncio.Lock | asyncio.Semaphore
) -> None:
    async def worker() -> None:
        sleep = asyncio.sleep
        for _ in range(n):
            async with guard:
                await sleep(0)

    create_task = asyncio.get_running_loop().create_task
    for task in [create_task(worker()) for _ in range(workers)]:
        await task


@batched(WORKERS)
async def lock_contended(n: int, chunk: int) -> None:
    """Ten tasks, one lock, held over a sleep(0); per acquisition."""
    await contend(n, chunk, asyncio.Lock())


@batched(WORKERS)
async def semaphore(n: int, chunk: int) -> None:
    """Ten tasks, three permits, held over a sleep(0); per acquisition."""
    await contend(n, chunk, asyncio.Semaphore(3))


@single()
async def event(n: int) -> None:
    """Two tasks wake each other by two events; per round trip."""
    ping, pong = asyncio.Event(), asyncio.Event()

    async def partner() -> None:
        for _ in range(n):
            await ping.wait()
            ping.clear()
            pong.set()

    task = asyncio.get_running_loop().create_task(partner())
    for _ in range(n):
        ping.set()
        await pong.wait()
        pong.clear()
    await task


@single()
async def condition(n: int) -> None:
    """Two tasks take turns by one condition; per round trip."""
    cond = asyncio.Condition()
    turn = 0

    async def player(me: int) -> None:
        nonlocal turn
        for _ in range(n):
            async with cond:
                while turn != me:
                    await cond.wait()
                turn = 1 - me
                cond.notify()

    task = asyncio.get_running_loop().create_task(player(1))
    await player(0)
    await task
