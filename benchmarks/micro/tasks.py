"""Rows of Task and Future, and of what asyncio builds straight on them."""

import asyncio

from micro.base import batched, nop, single


@batched(1000)
async def gather_nop(n: int, chunk: int) -> None:
    """gather of 1000 empty coroutines; per coroutine."""
    for _ in range(n):
        await asyncio.gather(*[nop() for _ in range(chunk)])


@single()
async def await_create_task(n: int) -> None:
    """`await loop.create_task(nop())`."""
    create_task = asyncio.get_running_loop().create_task
    for _ in range(n):
        await create_task(nop())


@single()
async def future_set_result(n: int) -> None:
    """A future, call_soon(future.set_result, None), and its await."""
    loop = asyncio.get_running_loop()
    create_future = loop.create_future
    call_soon = loop.call_soon
    for _ in range(n):
        future = create_future()
        call_soon(future.set_result, None)
        await future


@single()
async def wait_for(n: int) -> None:
    """`await wait_for(sleep(0), 10)`."""
    sleep = asyncio.sleep
    for _ in range(n):
        await asyncio.wait_for(sleep(0), 10)


@single()
async def timeout_cm(n: int) -> None:
    """`async with timeout(10): pass`."""
    for _ in range(n):
        async with asyncio.timeout(10):
            pass


@batched(100)
async def taskgroup(n: int, chunk: int) -> None:
    """A TaskGroup of 100 empty tasks; per task."""
    for _ in range(n):
        async with asyncio.TaskGroup() as group:
            for _ in range(chunk):
                group.create_task(nop())


@single()
async def shield(n: int) -> None:
    """`await shield(nop())`."""
    for _ in range(n):
        await asyncio.shield(nop())


@batched(100)
async def wait(n: int, chunk: int) -> None:
    """wait() for 100 empty tasks; per task."""
    create_task = asyncio.get_running_loop().create_task
    for _ in range(n):
        await asyncio.wait([create_task(nop()) for _ in range(chunk)])


@batched(100)
async def as_completed(n: int, chunk: int) -> None:
    """as_completed over 100 empty coroutines; per coroutine."""
    for _ in range(n):
        for earliest in asyncio.as_completed([nop() for _ in range(chunk)]):
            await earliest


@single()
async def cancel(n: int) -> None:
    """Start a task that waits for ever, cancel it, await its end."""
    loop = asyncio.get_running_loop()
    sleep = asyncio.sleep

    async def endless() -> None:
        await loop.create_future()

    for _ in range(n):
        task = loop.create_task(endless())
        await sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            continue
        raise RuntimeError("the task was not cancelled")
