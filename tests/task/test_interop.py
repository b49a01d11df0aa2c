"""Ours and asyncio's together: each awaits the other, on either's loop."""

import asyncio
import concurrent.futures
import contextvars
import functools
import gc

import pytest

import _fastasync
import fastasync

from support import plain

LOOPS = [asyncio.SelectorEventLoop, fastasync.new_event_loop]
TASKS = [asyncio.Task, _fastasync.Task]
FUTURES = [asyncio.Future, _fastasync.Future]

every = [
    pytest.mark.parametrize("new_loop", LOOPS, ids=["aio-loop", "our-loop"]),
    pytest.mark.parametrize("Task", TASKS, ids=["aio-task", "our-task"]),
    pytest.mark.parametrize("Future", FUTURES, ids=["aio-fut", "our-fut"]),
]


def everywhere(test):
    for mark in every:
        test = mark(test)
    return test


@pytest.fixture
def loop(new_loop):
    made = new_loop()
    made.set_exception_handler(
        lambda loop, context: made.told.append(context["message"]))
    try:
        made.told = []
    except AttributeError:
        pytest.skip("the loop takes no attributes")
    yield made
    made.close()
    gc.collect()
    assert made.told == []


@everywhere
def test_task_awaits_future(loop, Task, Future):
    async def main(value):
        f = Future(loop=loop)
        if isinstance(value, Exception):
            loop.call_soon(f.set_exception, value)
        else:
            loop.call_soon(f.set_result, value)
        return await f

    for value in (None, 5, (), "x"):
        assert loop.run_until_complete(Task(main(value), loop=loop)) is value
    with pytest.raises(KeyError):
        loop.run_until_complete(Task(main(KeyError(1)), loop=loop))


@everywhere
def test_cancelling_through(loop, Task, Future):
    async def main(f):
        await f

    f = Future(loop=loop)
    t = Task(main(f), loop=loop)
    loop.call_soon(t.cancel, "because")
    loop.call_soon(loop.stop)
    loop.run_forever()
    with pytest.raises(asyncio.CancelledError) as caught:
        loop.run_until_complete(t)
    assert caught.value.args == ("because",)
    assert f.cancelled() and t.cancelled()


@everywhere
def test_chain_of_tasks(loop, Task, Future):
    async def inner(f):
        return await f

    async def outer(t):
        return await t

    f = Future(loop=loop)
    t = Task(inner(f), loop=loop)
    for other in TASKS * 2:
        t = other(outer(t), loop=loop)
    loop.call_soon(f.set_result, 7)
    assert loop.run_until_complete(t) == 7


@everywhere
def test_gather_wait_shield_wait_for(loop, Task, Future):
    async def child(n):
        await asyncio.sleep(0)
        return n

    async def main():
        tasks = [other(child(n), loop=loop)
                 for n, other in enumerate(TASKS * 2)]
        assert await asyncio.gather(*tasks) == [0, 1, 2, 3]
        done, pending = await asyncio.wait(tasks)
        assert len(done) == 4 and not pending
        f = Future(loop=loop)
        loop.call_soon(f.set_result, 5)
        assert await asyncio.shield(f) == 5
        assert await asyncio.wait_for(Task(child(6), loop=loop), 5) == 6
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(Future(loop=loop), 0.001)
        async with asyncio.timeout(5):
            await Task(child(1), loop=loop)
        with pytest.raises(ValueError):
            async with asyncio.TaskGroup() as group:
                group.create_task(child(1))
                raise_in = group.create_task(fail())
        assert isinstance(raise_in.exception(), ValueError)
        return [n async for n in completed(tasks)]

    async def completed(tasks):
        for coro in asyncio.as_completed(tasks):
            yield await coro

    async def fail():
        raise ValueError

    async def run():
        try:
            return await main()
        except BaseExceptionGroup:  # pragma: no cover
            raise

    with pytest.raises(BaseException) as caught:
        loop.run_until_complete(Task(run(), loop=loop))
        raise KeyboardInterrupt  # not reached: the group raises
    assert isinstance(caught.value, BaseExceptionGroup)


@everywhere
def test_as_completed_and_task_group(loop, Task, Future):
    async def child(n):
        await asyncio.sleep(n / 1000)
        return n

    async def main():
        tasks = [Task(child(n), loop=loop) for n in (3, 1, 2)]
        seen = [await each for each in asyncio.as_completed(tasks)]
        assert sorted(seen) == [1, 2, 3]
        async with asyncio.TaskGroup() as group:
            made = [group.create_task(child(n)) for n in range(3)]
        return [t.result() for t in made]

    assert loop.run_until_complete(Task(main(), loop=loop)) == [0, 1, 2]


@everywhere
def test_current_task(loop, Task, Future):
    seen = []

    async def child():
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    async def main():
        before = asyncio.current_task()
        tasks = [other(child(), loop=loop) for other in TASKS * 2]
        f = Future(loop=loop)
        loop.call_soon(f.set_result, None)
        await f
        assert asyncio.current_task() is before
        for t in tasks:
            await t
            assert asyncio.current_task() is before
        assert [seen.count(t) for t in tasks] == [2, 2, 2, 2]

    loop.call_soon(lambda: seen.append(asyncio.current_task()))
    loop.run_until_complete(Task(main(), loop=loop))
    assert seen[0] is None
    assert asyncio.current_task(loop) is None


@everywhere
def test_all_tasks(loop, Task, Future):
    async def child(f):
        await f

    async def main():
        f = Future(loop=loop)
        tasks = {other(child(f), loop=loop) for other in TASKS}
        tasks.add(asyncio.current_task())
        assert asyncio.all_tasks() == tasks
        assert asyncio.all_tasks(loop) == tasks
        f.set_result(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    loop.run_until_complete(Task(main(), loop=loop))
    assert asyncio.all_tasks(loop) == set()


@everywhere
def test_concurrent_futures(loop, Task, Future):
    async def main():
        assert await loop.run_in_executor(None, pow, 2, 10) == 1024
        f = Future(loop=loop)
        loop.call_soon(f.set_result, 3)
        return await asyncio.ensure_future(f)

    assert loop.run_until_complete(Task(main(), loop=loop)) == 3
    loop.run_until_complete(loop.shutdown_default_executor())


@everywhere
def test_context_of_callbacks(loop, Task, Future):
    var = contextvars.ContextVar("var", default=0)
    seen = []

    async def child(f, n):
        var.set(n)
        await f
        seen.append((n, var.get()))

    async def main():
        f = Future(loop=loop)
        tasks = [Task(child(f, n), loop=loop) for n in range(5)]
        await asyncio.sleep(0)
        var.set("outer")
        f.set_result(None)
        for t in tasks:
            await t

    loop.run_until_complete(Task(main(), loop=loop))
    assert seen == [(n, n) for n in range(5)]


@everywhere
def test_wrong_loop(loop, Task, Future):
    other = fastasync.new_event_loop()

    async def main():
        await Future(loop=other)

    with pytest.raises(RuntimeError, match="attached to a different loop"):
        loop.run_until_complete(Task(main(), loop=loop))
    other.close()


@everywhere
def test_repr_of_each_other(loop, Task, Future):
    async def main(f):
        await f

    f = Future(loop=loop)
    t = Task(main(f), loop=loop, name="n")
    loop.call_soon(loop.stop)
    loop.run_forever()
    text = plain(repr(t))
    assert "wait_for=<Future pending cb=[Task.task_wakeup()]>" in text
    f.set_result(None)
    loop.run_until_complete(t)


@pytest.mark.parametrize("new_loop", LOOPS, ids=["aio-loop", "our-loop"])
def test_asyncio_functions_on_our_tasks(loop):
    async def main():
        t = asyncio.current_task()
        assert isinstance(t, _fastasync.Task)
        assert asyncio.isfuture(t)
        assert asyncio.ensure_future(t) is t
        f = _fastasync.Future()
        c = concurrent.futures.Future()
        asyncio.futures._chain_future(c, f)
        c.set_result(5)
        assert await f == 5
        c = concurrent.futures.Future()
        asyncio.futures._chain_future(f, c)
        await asyncio.sleep(0)
        assert c.result(0) == 5
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0, 8), loop))

    run = functools.partial(_fastasync.Task, loop=loop)
    assert loop.run_until_complete(run(main())) == 8


@pytest.mark.parametrize("new_loop", LOOPS, ids=["aio-loop", "our-loop"])
def test_python_twins(loop):
    PyTask, PyFuture = asyncio.tasks._PyTask, asyncio.futures._PyFuture

    async def main(f):
        return await f

    f = PyFuture(loop=loop)
    t = _fastasync.Task(main(f), loop=loop)
    loop.call_soon(f.set_result, 3)
    assert loop.run_until_complete(t) == 3
    f = _fastasync.Future(loop=loop)
    t = PyTask(main(f), loop=loop)
    loop.call_soon(f.set_result, 4)
    assert loop.run_until_complete(t) == 4
