"""wait_for(): the same on asyncio's name and on ours, turn by turn."""

import asyncio
import inspect

import pytest

import _fastasync
from places import same


async def hang():
    await asyncio.get_running_loop().create_future()


async def give(value, turns=1):
    for _ in range(turns):
        await asyncio.sleep(0)
    return value


async def fail(error, turns=1):
    for _ in range(turns):
        await asyncio.sleep(0)
    raise error


class Awaitable:
    def __await__(self):
        yield
        return "awaited"


async def attempt(p, awaitable):
    before = p.tick()
    try:
        p.note("result", await awaitable, p.tick() - before)
    except BaseException as error:
        p.note("raised", error, p.tick() - before)


TIMEOUTS = [None, 10, 10.5, 0, -1, 0.0, True]


@pytest.mark.parametrize("timeout", TIMEOUTS, ids=repr)
def test_results(timeout):
    async def script(p):
        for turns in (0, 1, 3):
            await attempt(p, p.wait_for(give(turns, turns), timeout))
            await attempt(p, p.wait_for(fail(ValueError(turns), turns),
                                        timeout))
            await attempt(p, p.wait_for(p.task(give(turns, turns)), timeout))
        await attempt(p, p.wait_for(Awaitable(), timeout))
        done = p.future()
        done.set_result("done")
        await attempt(p, p.wait_for(done, timeout))
        failed = p.future()
        failed.set_exception(KeyError("k"))
        await attempt(p, p.wait_for(failed, timeout))
        cancelled = p.future()
        cancelled.cancel("gone")
        await attempt(p, p.wait_for(cancelled, timeout))
        p.note(asyncio.current_task().cancelling())
    same(script, count=True)


def test_bad_arguments():
    async def script(p):
        for arguments in ((5, 10), (None, 0), ("x", None)):
            await attempt(p, p.wait_for(*arguments))
        for timeout in ("x", [], 1j):
            coro = give(1)
            await attempt(p, p.wait_for(coro, timeout))
            coro.close()
        for call in (p.wait_for, lambda: p.wait_for(1),
                     lambda: p.wait_for(1, 2, 3),
                     lambda: p.wait_for(1, loop=2)):
            try:
                call()
            except TypeError as error:
                p.note(str(error))
        await attempt(p, p.wait_for(fut=give(2), timeout=1))
    same(script, count=True)


@pytest.mark.parametrize("timeout", [0.001, 1e-9])
def test_times_out(timeout):
    async def script(p):
        async def ends(how):
            try:
                await hang()
            except asyncio.CancelledError as error:
                p.note(error)
                if how == "late":
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                elif how == "result":
                    return "anyway"
                elif how == "error":
                    raise ValueError("instead")
                elif how == "from":
                    raise ValueError("from") from error
                raise

        for how in ("plain", "late", "result", "error", "from"):
            await attempt(p, p.wait_for(ends(how), timeout))
            task = p.task(ends(how))
            await attempt(p, p.wait_for(task, timeout))
            p.note(task.done(), task.cancelled())
        fut = p.future()
        await attempt(p, p.wait_for(fut, timeout))
        p.note(fut.cancelled(), asyncio.current_task().cancelling())
    same(script)


def test_no_time_at_all():
    async def script(p):
        started = []

        async def start():
            started.append(1)

        await attempt(p, p.wait_for(start(), 0))
        p.note(started)

        async def stubborn(how):
            try:
                await hang()
            except asyncio.CancelledError:
                await asyncio.sleep(0)
                if how:
                    raise KeyError("late")
                return "kept"

        for how in (0, 1):
            task = p.task(stubborn(how))
            await asyncio.sleep(0)
            await attempt(p, p.wait_for(task, 0))
        fut = p.future()
        await attempt(p, p.wait_for(fut, -5))
        p.note(fut.cancelled())
    same(script, count=True)


@pytest.mark.parametrize("timeout", [None, 10, 0.05])
@pytest.mark.parametrize("how", ["plain", "late", "result", "error"])
def test_cancelled_from_outside(timeout, how):
    async def script(p):
        async def inner():
            try:
                await hang()
            except asyncio.CancelledError:
                if how == "late":
                    await asyncio.sleep(0)
                elif how == "result":
                    return "kept"
                elif how == "error":
                    raise ValueError("instead") from None
                raise

        for wrap in (lambda c: c, p.task):
            async def outer():
                await attempt(p, p.wait_for(wrap(inner()), timeout))
                p.note(asyncio.current_task().cancelling())

            task = p.task(outer())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            p.note(task.cancel("stop"))
            await asyncio.wait([task])
            p.note(task.cancelled())
    same(script, count=True)


def test_cancelled_twice_while_the_inner_ends():
    async def script(p):
        async def inner():
            for _ in range(2):
                try:
                    await hang()
                except asyncio.CancelledError as error:
                    p.note("inner", error)
                    for _ in range(2):
                        await asyncio.sleep(0)
            raise OSError("at last")

        for timeout in (10, 0):
            async def outer():
                await attempt(p, p.wait_for(p.task(inner()), timeout))

            task = p.task(outer())
            for text in ("one", "two", "three"):
                for _ in range(3):
                    await asyncio.sleep(0)
                p.note(task.cancel(text))
            await asyncio.wait([task])
            await asyncio.sleep(0)
            p.note(task.cancelled())
    same(script, count=True)


def test_driven_by_hand():
    async def script(p):
        coro = p.wait_for(give(1), 10)
        p.note(coro.send(None) is None)
        try:
            coro.throw(KeyError("thrown"))
        except KeyError as error:
            p.note(error)
        coro = p.wait_for(hang(), 10)
        coro.send(None)
        coro.close()
        p.note("closed")
        inner = give(1)
        coro = p.wait_for(inner, 10)
        coro.close()
        inner.close()
    same(script)


def test_context_of_what_is_handled():
    """An exception that is being handled becomes the context."""
    async def script(p):
        try:
            raise KeyError("outer")
        except KeyError:
            await attempt(p, p.wait_for(hang(), 0.001))
            await attempt(p, p.wait_for(hang(), 0))
    same(script)


def test_many_at_once():
    async def script(p):
        async def one(i):
            try:
                if i % 4:
                    return await p.wait_for(give(i, i % 3), 60)
                return await p.wait_for(hang(), 0.02)
            except TimeoutError:
                return "late"
        tasks = [p.task(one(i)) for i in range(40)]
        p.note([await task for task in tasks])
    same(script)


def test_signature():
    assert str(inspect.signature(_fastasync.wait_for)) == str(
        inspect.signature(asyncio.tasks.wait_for))
    assert asyncio.iscoroutine(coro := _fastasync.wait_for(None, 1))
    coro.close()
