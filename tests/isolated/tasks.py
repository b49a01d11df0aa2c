"""Tasks: finished, failed, cancelled, dropped, in cycles, gathered."""

import asyncio
import contextvars

from measure import check, finish, namespace, on_a_loop, watch

var = contextvars.ContextVar("var")
result = watch(type("Result", (), {})())


async def give():
    await asyncio.sleep(0)
    return result


async def fail():
    await asyncio.sleep(0)
    raise ValueError(result)


async def hang():
    await asyncio.get_running_loop().create_future()


async def finished():
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(give(), name=f"task {i}") for i in range(10)]
    for task in tasks:
        assert await task is result


async def failed():
    tasks = [asyncio.create_task(fail()) for _ in range(10)]
    for task in tasks:
        try:
            await task
        except ValueError as error:
            assert error.args[0] is result


async def failed_and_forgotten():
    for _ in range(5):
        asyncio.create_task(fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def cancelled():
    tasks = [asyncio.create_task(hang()) for _ in range(10)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel(result)
    await asyncio.gather(*tasks, return_exceptions=True)


async def cancelled_before_the_start():
    tasks = [asyncio.create_task(give()) for _ in range(10)]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def refuses_cancellation():
    async def stubborn():
        for _ in range(3):
            try:
                await hang()
            except asyncio.CancelledError:
                asyncio.current_task().uncancel()
        return result

    task = asyncio.create_task(stubborn())
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    assert await task is result


async def dropped():
    """Nobody refers to the task or to what it waits for."""
    task = asyncio.create_task(hang())
    task._log_destroy_pending = False
    await asyncio.sleep(0)


async def in_a_cycle():
    async def mine(box):
        box.append(asyncio.current_task())
        await asyncio.sleep(0)
        return box

    await asyncio.create_task(mine([]))


async def with_context():
    context = contextvars.copy_context()

    async def set_it():
        var.set(result)
        await asyncio.sleep(0)

    await asyncio.create_task(set_it(), context=context)
    assert context[var] is result


async def gathered():
    await asyncio.gather(*(give() for _ in range(10)))
    await asyncio.gather(give(), fail(), give(), return_exceptions=True)
    try:
        await asyncio.gather(give(), fail())
    except ValueError:
        pass
    await asyncio.wait_for(give(), 10)
    await asyncio.shield(give())


async def timed_out():
    try:
        async with asyncio.timeout(0):
            await hang()
    except TimeoutError:
        pass
    try:
        await asyncio.wait_for(hang(), 1e-6)
    except TimeoutError:
        pass


async def grouped():
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(give())
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            group.create_task(hang())
    except ExceptionGroup:
        pass


async def looked_at():
    task = asyncio.create_task(give())
    await asyncio.sleep(0)
    repr(task), task.get_stack(), task.get_coro(), task.get_name()
    task.cancelling(), task._callbacks, task._fut_waiter
    asyncio.all_tasks(), asyncio.current_task()
    task.note = result
    await task


class Mine(namespace().Task):
    def __init__(self, coro):
        super().__init__(coro, loop=asyncio.get_running_loop())
        self.result_too = result


async def subclassed():
    await Mine(give())


async def with_callbacks():
    def callback(task):
        assert task.done()

    task = asyncio.create_task(give())
    for _ in range(5):
        task.add_done_callback(callback)
    task.add_done_callback(print)
    task.remove_done_callback(print)
    await task


async def stdlib_task():
    """A task of asyncio's on the measured loop."""
    await asyncio.tasks._CTask(give(), loop=asyncio.get_running_loop())


for function in (finished, failed, failed_and_forgotten, cancelled,
                 cancelled_before_the_start, refuses_cancellation, dropped,
                 in_a_cycle, with_context, gathered, timed_out, grouped,
                 looked_at, subclassed, with_callbacks, stdlib_task):
    check(on_a_loop(function), 60)
finish()
