"""Rows of the scheduler: ready queue, threads, timers, entry of a run."""

import asyncio
import random
import threading

from micro.base import batched, empty, single

FLOOD = 200_000  # the batch that other loops publish


async def yielder(n: int) -> None:
    sleep = asyncio.sleep
    for _ in range(n):
        await sleep(0)


@single()
async def sleep0_1(n: int) -> None:
    """One task doing `await asyncio.sleep(0)`."""
    await yielder(n)


@batched(1000)
async def sleep0_1000(n: int, chunk: int) -> None:
    """1000 tasks doing `await asyncio.sleep(0)` in turn."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(yielder(n)) for _ in range(chunk)]
    for task in tasks:
        await task


@single()
async def call_soon_chain(n: int) -> None:
    """A callback that schedules itself: one turn of the loop per callback."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    call_soon = loop.call_soon
    left = n

    def step() -> None:
        nonlocal left
        left -= 1
        if left:
            call_soon(step)
        else:
            done.set_result(None)

    call_soon(step)
    await done


def take3(a: int, b: int, c: int) -> None:
    """A callback of three arguments."""


async def batches_of_call_soon(n: int, chunk: int) -> None:
    call_soon = asyncio.get_running_loop().call_soon
    sleep = asyncio.sleep
    for _ in range(n):
        for _ in range(chunk):
            call_soon(take3, 1, 2, 3)
        await sleep(0)


@batched(1000)
async def call_soon_batch(n: int, chunk: int) -> None:
    """call_soon(callback, 1, 2, 3) a thousand times, then let them run."""
    await batches_of_call_soon(n, chunk)


@batched(FLOOD)
async def call_soon_flood(n: int, chunk: int) -> None:
    """call_soon with 3 arguments 200,000 times at once: caches and gc feel it."""
    await batches_of_call_soon(n, chunk)


async def batches_of_threadsafe(n: int, chunk: int) -> None:
    call = asyncio.get_running_loop().call_soon_threadsafe
    sleep = asyncio.sleep
    for _ in range(n):
        for _ in range(chunk):
            call(empty)
        await sleep(0)


@batched(1000)
async def call_soon_threadsafe(n: int, chunk: int) -> None:
    """call_soon_threadsafe from the loop's own thread, a thousand at a time."""
    await batches_of_threadsafe(n, chunk)


@batched(FLOOD)
async def call_soon_threadsafe_flood(n: int, chunk: int) -> None:
    """call_soon_threadsafe 200,000 times at once, from the loop's own thread."""
    await batches_of_threadsafe(n, chunk)


@batched(1000, clock="wall")
async def call_soon_threadsafe_thread(n: int, chunk: int) -> None:
    """call_soon_threadsafe from one other thread while the loop drains."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def produce() -> None:
        call = loop.call_soon_threadsafe
        for _ in range(n * chunk):
            call(empty)
        call(done.set_result, None)

    thread = threading.Thread(target=produce)
    thread.start()
    await done
    thread.join()


async def batches_of_call_later(n: int, chunk: int) -> None:
    call_later = asyncio.get_running_loop().call_later
    sleep = asyncio.sleep
    for _ in range(n):
        for _ in range(chunk):
            call_later(30, empty).cancel()
        await sleep(0)


@batched(1000)
async def call_later_cancel(n: int, chunk: int) -> None:
    """call_later(30, callback).cancel(), the life of most timers."""
    await batches_of_call_later(n, chunk)


@batched(FLOOD)
async def call_later_cancel_flood(n: int, chunk: int) -> None:
    """call_later(30, callback).cancel() 200,000 times at once."""
    await batches_of_call_later(n, chunk)


@batched(30_000, quick=5_000)
async def sleep_timers(n: int, chunk: int) -> None:
    """30,000 tasks asleep at once for 50 to 250 ms; CPU time per task."""
    loop = asyncio.get_running_loop()
    rng = random.Random(20)
    delays = [0.05 + 0.2 * rng.random() for _ in range(chunk)]
    for _ in range(n):
        tasks = [loop.create_task(asyncio.sleep(delay)) for delay in delays]
        for task in tasks:
            await task


@single(entry=True)
async def run_entry(n: int) -> None:
    """loop.run_until_complete(nop()): entering and leaving a run."""
