"""as_completed(): the same as asyncio's, seen from outside."""

import asyncio
import collections.abc
import gc
import inspect
import itertools
import random
import sys
import warnings
import weakref

import pytest

from support import both, plain, recorded_warnings, side_of, why

ASYNC = sys.version_info >= (3, 13)
GRAPH = sys.version_info >= (3, 15)


class Notes(list):
    def __call__(self, *what):
        self.append(tuple(
            plain(item if isinstance(item, str) else repr(item))
            for item in what))

    def attempt(self, function, *args, **kwargs):
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            self("raised", why(error))
        else:
            self("returned", result)

    async def wait(self, aw):
        try:
            result = await aw
        except (Exception, asyncio.CancelledError,
                StopAsyncIteration) as error:
            self("raised", why(error))
        else:
            self("got", result)


def both_agree(script):
    """Run `async script(A, note)` on both sides and compare the notes."""
    logs = []
    for side in both():
        loop, note = side.new_loop(), Notes()
        loop.set_exception_handler(
            lambda loop, context, note=note: note("told", context["message"]))
        gc.disable()  # what is never retrieved is told now, not at any time
        try:
            loop.run_until_complete(script(side.module, note))
            gc.collect()
        finally:
            gc.enable()
            loop.close()
        assert note, "the script has noted nothing"
        logs.append(note)
    for at, entries in enumerate(itertools.zip_longest(*logs)):
        assert entries[0] == entries[-1], (at, logs[0][at - 3:at])


async def turns(count=1):
    for _ in range(count):
        await asyncio.sleep(0)


async def after(count, result=None, error=None):
    await turns(count)
    if error is not None:
        raise error
    return result


def futures(count):
    loop = asyncio.get_running_loop()
    return [loop.create_future() for _ in range(count)]


# -- iteration -----------------------------------------------------------------------


def test_order_of_completion():
    async def script(A, note):
        note("begin")
        for coro in A.as_completed([after(n, n) for n in (5, 1, 3, 7)]):
            note(inspect.iscoroutine(coro) or asyncio.iscoroutine(coro))
            note(await coro)
    both_agree(script)


def test_errors_and_cancellations():
    async def script(A, note):
        note("begin")
        tasks = [asyncio.ensure_future(coro) for coro in (
            after(1, error=KeyError("k")), after(3, 3), after(9, 9))]
        asyncio.get_running_loop().call_soon(tasks[2].cancel)
        for coro in A.as_completed(tasks):
            await note.wait(coro)
    both_agree(script)


def test_given_out_before_they_are_awaited():
    async def script(A, note):
        given = futures(4)
        coros = list(A.as_completed(given))
        note(len(coros), coros[0].__name__, coros[0].__qualname__)
        waits = [asyncio.ensure_future(note.wait(coro))
                 for coro in reversed(coros)]
        await turns()
        for index in (2, 0, 3, 1):
            given[index].set_result(index)
            await turns(3)
            note([wait.done() for wait in waits])
        await asyncio.wait(waits)
    both_agree(script)


def test_duplicates_and_done_futures():
    async def script(A, note):
        done, cancelled, other = futures(3)
        done.set_result("done")
        cancelled.cancel()
        note(len(list(A.as_completed([done, done, cancelled, cancelled]))))
        coro = after(1, 1)
        results = [await each for each in A.as_completed([coro, coro, done])]
        note(sorted(map(str, results)))
        for each in A.as_completed({cancelled}):
            await note.wait(each)
        other.cancel()
        gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those never awaited
        both_agree(script)


def test_empty():
    async def script(A, note):
        for empty in ([], (), set(), iter(()), {}, "" ):
            note(list(A.as_completed(empty)))
            note(list(A.as_completed(empty, timeout=1)))
        if ASYNC:
            async for _ in A.as_completed([]):
                note("never")
    both_agree(script)


def test_awaitables():
    class Awaitable:
        def __await__(self):
            yield from after(1, "awaited").__await__()
            return "awaited"

    async def script(A, note):
        future, = futures(1)
        asyncio.get_running_loop().call_later(0.02, future.set_result, "set")
        for coro in A.as_completed(iter([Awaitable(), future])):
            note(await coro)
    both_agree(script)


def test_leaving_and_cancelling_waiters():
    async def script(A, note):
        given = futures(3)
        coros = list(A.as_completed(given))
        waits = [asyncio.ensure_future(note.wait(coro)) for coro in coros]
        await turns()
        waits[0].cancel()
        await turns(2)
        given[1].set_result(1)
        await turns(1)
        waits[1].cancel()
        await turns(4)
        note([wait.done() for wait in waits])
        given[0].set_result(0)
        given[2].set_result(2)
        await asyncio.wait(waits)
    both_agree(script)


# -- time ---------------------------------------------------------------------------------


def test_timeout():
    async def script(A, note):
        slow = futures(2)
        for coro in A.as_completed([after(2, "quick"), *slow], timeout=0.02):
            await note.wait(coro)
        note([future.done() for future in slow],
             [future._callbacks for future in slow])
        slow[0].set_result(None)  # too late for anybody
        await turns(2)
    both_agree(script)


def test_timeout_that_is_not_needed():
    async def script(A, note):
        iterator = A.as_completed([after(2, "quick")], timeout=100)
        for coro in iterator:
            await note.wait(coro)
        scheduled = getattr(asyncio.get_running_loop(), "_scheduled", [])
        note(sum(not handle.cancelled() for handle in scheduled))
    both_agree(script)


def test_timeout_at_once():
    async def script(A, note):
        for timeout in (0, -1, 0.0):
            for coro in A.as_completed([after(9, 1), after(9, 2)],
                                       timeout=timeout):
                await note.wait(coro)
        await turns(10)
    both_agree(script)


def test_odd_timeout():
    async def script(A, note):
        note.attempt(lambda: list(A.as_completed(futures(1), timeout="x")))
        note(list(A.as_completed([], timeout="x")))
    both_agree(script)


# -- refusals --------------------------------------------------------------------------------


def test_arguments():
    async def script(A, note):
        coro = after(0)
        future, = futures(1)
        for fs in (coro, future, 5, None, [5], [None, future]):
            note.attempt(lambda fs=fs: list(A.as_completed(fs)))
        note.attempt(A.as_completed)
        note.attempt(A.as_completed, [], 1)
        note.attempt(A.as_completed, [], loop=None)
        note.attempt(lambda: list(A.as_completed(fs=[])))
        coro.close()
        future.cancel()
        await turns(2)
    both_agree(script)


def test_signature():
    ours, theirs = (side_of(name).module.as_completed
                    for name in ("fastasync", "asyncio"))
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert ours.__doc__ and ours.__name__ == "as_completed"


def test_without_a_loop():
    for side in both():
        future = side.new_loop
        with recorded_warnings():
            with pytest.raises(RuntimeError):
                coro = after(0)
                try:
                    asyncio.set_event_loop(None)
                    list(side.module.as_completed([coro]))
                finally:
                    coro.close()
        del future


def test_future_of_another_loop():
    async def script(A, note):
        other = asyncio.SelectorEventLoop()
        future = other.create_future()
        note.attempt(lambda: list(A.as_completed([future])))
        other.close()
    both_agree(script)


# -- the object --------------------------------------------------------------------------------


@pytest.mark.skipif(ASYNC, reason="an object of its own since 3.13")
def test_generator():
    async def script(A, note):
        generator = A.as_completed(5)
        note(repr(generator))
        note(isinstance(generator, collections.abc.Iterator))
        note.attempt(generator.send, 1)
        note.attempt(next, generator)
        note.attempt(next, generator, "over")
        given = futures(3)
        generator = A.as_completed(given)
        note(given[0]._callbacks)
        coro = generator.send(None)
        note(len(given[0]._callbacks))
        note.attempt(generator.throw, KeyError("k"))
        note.attempt(next, generator, "over")
        generator = A.as_completed(given)
        second = next(generator)
        generator.close()
        note.attempt(next, generator, "over")
        for future in given:
            future.set_result("result")
        note(await coro, await second)
        generator = A.as_completed(given)
        generator.close()
        note.attempt(next, generator, "over")
    both_agree(script)


@pytest.mark.skipif(ASYNC, reason="an object of its own since 3.13")
def test_generator_entered_twice():
    async def script(A, note):
        class Items:
            def __iter__(self):
                note.attempt(next, generator)
                note.attempt(generator.send, None)
                return iter([after(0, 1)])

        generator = A.as_completed(Items())
        for coro in generator:
            note(await coro)
    both_agree(script)


@pytest.mark.skipif(not ASYNC, reason="new in 3.13")
def test_async_iteration():
    async def script(A, note):
        tasks = {asyncio.ensure_future(after(n, n)): n for n in (5, 1, 3)}
        async for one in A.as_completed(tasks):
            note(tasks[one], one.done(), await one)
        async for one in A.as_completed([after(1, error=KeyError(1))]):
            note(isinstance(one, asyncio.Task), why(one.exception()))
        slow = futures(2)
        try:
            async for one in A.as_completed([after(1, 1), *slow],
                                            timeout=0.02):
                note(one.result())
        except TimeoutError as error:
            note(why(error))
    both_agree(script)


@pytest.mark.skipif(not ASYNC, reason="new in 3.13")
def test_both_iterations_share():
    async def script(A, note):
        iterator = A.as_completed([after(n, n) for n in (1, 2, 3, 4)])
        note(iter(iterator) is iterator, aiter(iterator) is iterator)
        note(iterator._todo_left, len(iterator._todo))
        first = next(iterator)
        second = anext(iterator)
        note(iterator._todo_left)
        note(await first)
        note(await (await second), iterator._todo_left)
        third = iterator.__anext__()
        note(third.__qualname__)
        note([await coro for coro in iterator], iterator._todo_left)
        await note.wait(third)
        await note.wait(anext(iterator))
        note.attempt(next, iterator, "over")
        note(iterator._done, iterator._timeout_handle)
        weakref.ref(iterator)
    both_agree(script)


def test_never_awaited():
    async def script(A, note):
        given = futures(2)
        with recorded_warnings() as texts:
            coros = list(A.as_completed(given))
            del coros
            gc.collect()
        note(sorted(texts))
        for future in given:
            future.set_result(1)
        await turns(2)
    both_agree(script)


def test_callbacks_names():
    async def script(A, note):
        future, = futures(1)
        for coro in A.as_completed([future]):
            # but for the place in a file, which only Python functions have
            note(repr(future).split(" at ")[0].removesuffix("]>"))
            future.set_result(1)
            await coro
    both_agree(script)


@pytest.mark.skipif(not GRAPH, reason="new in 3.15")
def test_call_graph():
    async def script(A, note):
        me = asyncio.current_task()
        given = [*futures(2), asyncio.ensure_future(after(1))]
        iterator = A.as_completed(given, timeout=0.02)
        note([future._asyncio_awaited_by == {me} for future in given])
        for coro in iterator:
            await note.wait(coro)
        note([future._asyncio_awaited_by for future in given])
    both_agree(script)


# -- odd futures, odd loops -----------------------------------------------------------------------


def test_foreign_futures():
    async def script(A, note):
        loop = asyncio.get_running_loop()
        foreign = [asyncio.futures._PyFuture(loop=loop) for _ in range(2)]
        loop.call_soon(foreign[1].set_result, "b")
        for coro in A.as_completed(foreign, timeout=0.02):
            await note.wait(coro)
        note(foreign[0]._callbacks)
    both_agree(script)


def test_factory_that_fails():
    async def script(A, note):
        loop = asyncio.get_running_loop()

        def factory(loop, coro, **kwargs):
            raise ZeroDivisionError

        coro = after(1)
        loop.set_task_factory(factory)
        note.attempt(lambda: list(A.as_completed([coro])))
        loop.set_task_factory(None)
        coro.close()
    both_agree(script)


# -- chance ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_random(seed):
    async def script(A, note):
        chance = random.Random(seed)
        given = futures(chance.randrange(1, 8))
        order = list(range(len(given)))
        chance.shuffle(order)
        iterator = A.as_completed(given)
        coros = list(iterator)
        waits = []
        for index in order:
            if chance.random() < 0.5 and coros:
                coro = coros.pop()
                waits.append(asyncio.ensure_future(note.wait(coro)))
            if chance.random() < 0.3 and waits:
                chance.choice(waits).cancel()
            if chance.random() < 0.2:
                given[index].cancel()
            elif chance.random() < 0.2:
                given[index].set_exception(KeyError(index))
            else:
                given[index].set_result(index)
            await turns(chance.randrange(3))
            note([wait.done() for wait in waits])
        for coro in coros:
            waits.append(asyncio.ensure_future(note.wait(coro)))
        await turns(4)
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)
        for future in given:
            note(future)
    both_agree(script)
