"""Tasks and futures leave nothing, however they end."""

import asyncio

import fastasync


async def returns():
    await asyncio.sleep(0)
    return object()


async def raises():
    await asyncio.sleep(0)
    raise ZeroDivisionError(object())


async def waits(future):
    try:
        return await future
    finally:
        await asyncio.sleep(0)


class Subclass(fastasync.Task):
    def add_done_callback(self, callback, *, context=None):
        super().add_done_callback(callback, context=context)


async def endings():
    loop = asyncio.get_running_loop()
    results = await asyncio.gather(
        *(returns() for _ in range(10)),
        *(raises() for _ in range(10)),
        return_exceptions=True,
    )
    assert len(results) == 20
    future, given_up = loop.create_future(), loop.create_future()
    waiting = [loop.create_task(waits(future), name=f"w{n}") for n in range(5)]
    waiting += [loop.create_task(waits(given_up)) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[5].cancel("enough")  # and with it given_up, and all who wait
    future.set_result(object())
    await asyncio.wait(waiting)
    await Subclass(returns(), loop=loop)


async def futures():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    future.attribute = future  # a cycle
    for _ in range(5):
        future.add_done_callback(lambda f: None)
    future.remove_done_callback(print)
    repr(future)
    future.set_exception(ValueError(future))
    future.exception()
    shielded = asyncio.shield(loop.create_future())
    shielded.cancel()
    try:
        async with asyncio.timeout(0.001):
            await loop.create_future()
    except TimeoutError:
        pass
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(raises())
            group.create_task(asyncio.sleep(10))
    except* ZeroDivisionError:
        pass


def abandoned():
    """A loop closed over a task that still waits."""
    loop = fastasync.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    task = loop.create_task(asyncio.sleep(1000))
    loop.run_until_complete(asyncio.sleep(0))
    task._log_destroy_pending = False
    loop.close()


def scenario():
    fastasync.run(endings())
    fastasync.run(endings(), debug=True)
    fastasync.run(futures())
    abandoned()
