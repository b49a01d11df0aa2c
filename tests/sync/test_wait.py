"""wait(): the same on asyncio's name and on ours."""

import asyncio
import inspect
import sys

import pytest

import _fastasync
from places import same

ALL = (asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED)


async def give(value, turns=1):
    for _ in range(turns):
        await asyncio.sleep(0)
    return value


async def fail(error, turns=1):
    for _ in range(turns):
        await asyncio.sleep(0)
    raise error


async def hang():
    await asyncio.get_running_loop().create_future()


async def attempt(p, awaitable, names):
    before = p.tick()
    try:
        done, pending = await awaitable
    except BaseException as error:
        p.note("raised", error, p.tick() - before)
        return
    p.note(type(done).__name__, type(pending).__name__,
           sorted(names[fut] for fut in done),
           sorted(names[fut] for fut in pending), p.tick() - before)
    for fut in done:
        if not fut.cancelled():
            fut.exception()


def named(p, *coros):
    return {p.task(coro): i for i, coro in enumerate(coros)}


@pytest.mark.parametrize("when", ALL)
@pytest.mark.parametrize("timeout", [None, 0.01, 0])
def test_ways_to_end(when, timeout):
    async def script(p):
        for coros in ([give(1), give(2, 3)], [give(1, 2), fail(KeyError(1))],
                      [fail(KeyError(1), 0)], [give(1, 2), give(2, 2)]):
            names = named(p, *coros)
            await attempt(p, p.wait(names, timeout=timeout, return_when=when),
                          names)
            for task in names:
                task.cancel()
            await asyncio.gather(*names, return_exceptions=True)
        if timeout is not None or when != asyncio.ALL_COMPLETED:
            names = named(p, hang(), give(1))
            if timeout is None and when == asyncio.FIRST_EXCEPTION:
                next(iter(names)).cancel()
            await attempt(p, p.wait(list(names), timeout=timeout,
                                    return_when=when), names)
            for task in names:
                task.cancel()
            await asyncio.gather(*names, return_exceptions=True)
    # our loop looks at timers every few turns
    same(script, count=timeout is None,
         **({"places": ("asyncio", "ours on asyncio")} if timeout == 0 else {}))


def test_kinds_of_collections():
    async def script(p):
        for make in (list, tuple, set, frozenset, iter,
                     lambda d: (t for t in d), dict, dict.keys):
            names = named(p, give(1), give(2))
            await attempt(p, p.wait(make(names)), names)
        fut = p.future()
        fut.set_result(1)
        await attempt(p, p.wait([fut, fut, fut]), {fut: 0})
        await attempt(p, p.wait(fs=[fut], timeout=1), {fut: 0})
    same(script, count=True)


def test_done_already():
    async def script(p):
        names = {p.future(): i for i in range(3)}
        for i, fut in enumerate(names):
            if i == 0:
                fut.set_result(1)
            elif i == 1:
                fut.set_exception(OSError("x"))
            else:
                fut.cancel()
        for when in ALL:
            await attempt(p, p.wait(names, return_when=when), names)
    same(script, count=True)


def test_refused():
    async def script(p):
        fut = p.future()
        coro = give(1)

        class Empty:
            def __bool__(self):
                raise ZeroDivisionError

        for fs in (fut, coro, [], (), set(), 5, None, [coro], [fut, coro],
                   [1], [[]], iter(()), Empty(), "ab"):
            try:
                await p.wait(fs)
            except (TypeError, ValueError, AttributeError, AssertionError,
                    ZeroDivisionError) as error:
                p.note(type(error).__name__,
                       "" if "has no attribute" in str(error) else str(error))
        for when in (-1, None, "all", 1.5, [1]):
            try:
                await p.wait([fut], return_when=when)
            except ValueError as error:
                p.note(str(error))
        try:
            await p.wait([fut], timeout="x")
        except TypeError as error:
            p.note(str(error))
        for call in (p.wait, lambda: p.wait([fut], 1),
                     lambda: p.wait([fut], other=1)):
            try:
                call()
            except TypeError as error:
                p.note(str(error))
        coro.close()
        p.note(fut._callbacks if not fut._callbacks else "left")
    if sys.version_info >= (3, 12):
        same(script)
    else:
        same(script, places=("asyncio", "ours", "ours, debug"))


def test_cancelled():
    async def script(p):
        fut = p.future()

        async def waiter():
            try:
                await p.wait([fut], timeout=10)
            except asyncio.CancelledError as error:
                p.note(error)
                raise

        task = p.task(waiter())
        await asyncio.sleep(0)
        p.note(len(fut._callbacks))
        task.cancel("enough")
        await asyncio.wait([task])
        p.note(task.cancelled(), fut.cancelled(), fut._callbacks)
    same(script)


def test_callbacks_are_gone_after_a_timeout():
    async def script(p):
        fut = p.future()
        await p.wait([fut], timeout=0.001)
        p.note(fut._callbacks, fut.done())
        await p.wait([fut], timeout=0)
        p.note(fut._callbacks)
        if hasattr(fut, "_asyncio_awaited_by"):
            p.note(fut._asyncio_awaited_by)
    same(script)


def test_mixed_futures():
    async def script(p):
        names = {asyncio.futures._PyFuture(loop=p.loop): 0,
                 asyncio.futures._CFuture(loop=p.loop): 1,
                 p.future(): 2,
                 _fastasync.Future(loop=p.loop): 3}
        for i, fut in enumerate(names):
            p.loop.call_soon(fut.set_result, i)
        await attempt(p, p.wait(names), names)
        bad = _fastasync.Future(loop=p.loop)
        names = {bad: 0, asyncio.futures._PyFuture(loop=p.loop): 1}
        p.loop.call_soon(bad.set_exception, ValueError("bad"))
        await attempt(p, p.wait(names, return_when=asyncio.FIRST_EXCEPTION),
                      names)
    same(script, count=True)


def test_order_of_wakeups():
    """What else waits for the same futures is woken in the same order."""
    async def script(p):
        futs = [p.future() for _ in range(3)]
        for i, fut in enumerate(futs):
            fut.add_done_callback(lambda f, i=i: p.note("before", i))
        task = p.task(p.wait(futs))
        await asyncio.sleep(0)
        for i, fut in enumerate(futs):
            fut.add_done_callback(lambda f, i=i: p.note("after", i))
        task.add_done_callback(lambda t: p.note("waited"))
        for fut in reversed(futs):
            fut.set_result(None)
        await task
        p.note("end")
    same(script, count=True)


def test_awaited_by():
    async def script(p):
        fut = p.task(hang())
        task = p.task(p.wait([fut]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        by = getattr(fut, "_asyncio_awaited_by", None)
        p.note(by is not None and task in by)
        fut.cancel()
        await task
        p.note(bool(getattr(fut, "_asyncio_awaited_by", None)))
    same(script, places=("asyncio", "ours"))


def test_outside_of_tasks():
    async def script(p):
        fut = p.future()
        coro = p.wait([fut])
        said = []

        def callback():
            said.append(coro.send(None) is not fut)
            fut.set_result(1)

        p.loop.call_soon(callback)
        for _ in range(4):
            await asyncio.sleep(0)
        try:
            coro.send(None)
        except StopIteration as stop:
            p.note(said, len(stop.value[0]), len(stop.value[1]))
    same(script)


def test_signature():
    assert str(inspect.signature(_fastasync.wait)) == str(
        inspect.signature(asyncio.tasks.wait))
