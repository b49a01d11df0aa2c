"""task/coro.c and coro_function.c: as good as a Python coroutine.

The C coroutine under test is sleep(); beside it stands `model`, the same in
Python.
"""

import asyncio
import collections.abc
import copy
import gc
import inspect
import pickle
import sys
import types
import unittest.mock
import warnings
import weakref

import _fastasync
import fastasync
import pytest


@types.coroutine
def bare_yield():
    yield


async def model(delay, result=None):
    if delay <= 0:
        await bare_yield()
        return result
    future = asyncio.get_running_loop().create_future()
    timer = asyncio.get_running_loop().call_later(
        delay, future.set_result, result)
    try:
        return await future
    finally:
        timer.cancel()


MAKERS = pytest.mark.parametrize("make", [model, _fastasync.sleep],
                                 ids=["python", "c"])


def outcomes(*calls):
    """What each call returns or raises, one after the other."""
    found = []
    for call in calls:
        try:
            found.append(("returned", call()))
        except BaseException as error:
            context = error.__context__
            found.append((type(error), str(error), getattr(error, "value", 0),
                          type(context)))
    return found


def both(script):
    """Run the script with a coroutine of either kind and compare."""
    wanted, got = (script(make) for make in (model, _fastasync.sleep))
    assert got == wanted
    return wanted


def test_send():
    def script(make):
        coro = make(0, "result")
        return outcomes(lambda: coro.send(1), lambda: coro.send(None),
                        lambda: coro.send("any"), lambda: coro.send(None),
                        lambda: coro.throw(KeyError(1)), coro.close)
    assert ("returned", None) in both(script)


@pytest.mark.parametrize("error", [
    KeyError("thrown"), KeyError, GeneratorExit(), StopIteration(5),
    asyncio.CancelledError("m")])
def test_throw(error):
    def script(make):
        fresh, suspended = make(0, 1), make(0, 2)
        suspended.send(None)
        return outcomes(lambda: fresh.throw(error), lambda: fresh.send(None),
                        *suspended_calls(suspended))

    def suspended_calls(coro):
        if isinstance(error, StopIteration):
            coro.close()  # the model's generator would speak of itself
            return []
        return [lambda: coro.throw(error), lambda: coro.send(None)]
    both(script)


def test_throw_nonsense():
    def script(make):
        coro = make(0)
        coro.send(None)
        found = outcomes(lambda: coro.throw(3), coro.throw)
        coro.close()
        return [entry[0] for entry in found]
    both(script)


def test_close():
    def script(make):
        fresh, suspended, done = make(0), make(0), make(0)
        suspended.send(None)
        found = outcomes(fresh.close, fresh.close, lambda: fresh.send(None),
                         suspended.close, lambda: suspended.send(None))
        outcomes(lambda: done.send(None), lambda: done.send(None))
        return found + outcomes(done.close)
    both(script)


def test_the_states():
    def script(make):
        coro = make(0)
        seen = [(coro.cr_running, coro.cr_suspended)]
        coro.send(None)
        seen.append((coro.cr_running, coro.cr_suspended,
                     inspect.getcoroutinestate(coro)))
        coro.close()
        seen.append((coro.cr_running, coro.cr_suspended,
                     inspect.getcoroutinestate(coro)))
        return seen
    both(script)


def test_what_it_is():
    def script(make):
        coro = make(0)
        found = [isinstance(coro, collections.abc.Coroutine),
                 isinstance(coro, collections.abc.Awaitable),
                 isinstance(coro, collections.abc.Iterator),
                 isinstance(coro, types.CoroutineType),
                 inspect.iscoroutine(coro), inspect.isawaitable(coro),
                 asyncio.iscoroutine(coro), asyncio.isfuture(coro),
                 bool(weakref.ref(coro)), coro.cr_origin]
        found += outcomes(lambda: iter(coro))[0][:1]
        found += outcomes(lambda: copy.copy(coro))[0][:1]
        found += outcomes(lambda: pickle.dumps(coro))[0][:1]
        coro.close()
        return found
    both(script)
    coro = _fastasync.sleep(0)
    assert coro.__name__ == coro.__qualname__ == "sleep"
    assert repr(coro).startswith("<coroutine object sleep at 0x")
    coro.close()


def test_await_method():
    class Awaits:
        def __init__(self, make):
            self.make = make

        def __await__(self):
            found = yield from self.make(0, 1).__await__()
            return found, (yield from self.make(0.001, 2).__await__())

    async def main(make):
        return await Awaits(make)

    for run in (asyncio.run, fastasync.run):
        assert both(lambda make: run(main(make))) == (1, 2)

    def script(make):
        coro = make(0, 5)
        wrapper = coro.__await__()
        return outcomes(lambda: iter(wrapper) is wrapper,
                        lambda: next(wrapper), lambda: wrapper.send(None),
                        lambda: next(wrapper), wrapper.close,
                        lambda: make(0).__await__().throw(KeyError(1)))
    both(script)


def test_yield_from_in_old_coroutines():
    @types.coroutine
    def old(make):
        return (yield from make(0, "old"))

    assert both(lambda make: fastasync.run(wrap(old(make)))) == "old"


async def wrap(aw):
    return await aw


def test_awaited_twice():
    async def main(make):
        coro = make(0.01, 1)
        first = asyncio.ensure_future(wrap(coro))
        await asyncio.sleep(0)
        try:
            await coro
        except RuntimeError as error:
            text = str(error)
        return await first, text, *outcomes(lambda: coro.send(None))

    both(lambda make: fastasync.run(main(make)))


def test_it_waits_for_its_own_end():
    """A turn that is entered again while it runs."""
    class Zero(int):
        def __le__(self, other):
            outcome.extend(outcomes(lambda: coro.send(None),
                                    lambda: coro.throw(KeyError()),
                                    coro.close))
            return True

    outcome = []
    coro = _fastasync.sleep(Zero())
    coro.send(None)
    assert [entry[1] for entry in outcome] == [
        "coroutine already executing"] * 3
    coro.close()


@MAKERS
def test_never_awaited(make):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        make(0)
        gc.collect()
        make(0).close()
    assert [str(w.message) for w in seen] == [
        f"coroutine '{make.__name__}' was never awaited"]
    assert seen[0].category is RuntimeWarning


def test_a_suspended_one_is_closed_when_it_goes():
    async def main():
        loop = asyncio.get_running_loop()
        coro = _fastasync.sleep(1000)
        future = coro.send(None)
        assert len(loop._scheduled) == 1
        del coro
        gc.collect()
        assert not loop._scheduled
        assert not future.done()

    fastasync.run(main())


def test_a_cycle_is_collected():
    class Mark:
        pass

    mark = Mark()
    mark.coro = _fastasync.sleep(0, mark)
    mark.coro.send(None)
    gone = weakref.ref(mark)
    del mark
    gc.collect()
    assert gone() is None


def test_stop_iteration_is_no_return():
    class Delay(int):
        def __le__(self, other):
            raise StopIteration(3)

    coro = _fastasync.sleep(Delay())
    with pytest.raises(RuntimeError,
                       match="coroutine raised StopIteration") as caught:
        coro.send(None)
    assert type(caught.value.__cause__) is StopIteration


def test_results_of_every_kind():
    async def main(make):
        results = []
        for value in (None, (1, 2), StopIteration(3), ValueError("x"), [],
                      asyncio):
            results.append(await make(0, value) is value)
            results.append(await make(0.0001, value) is value)
        return results

    assert set(both(lambda make: fastasync.run(main(make)))) == {True}


def test_nobody_iterates_over_it():
    def unpack(make):
        coro = make(0)
        try:
            a, b = coro
        finally:
            coro.close()

    def script(make):
        coro = make(0)
        found = outcomes(lambda: iter(coro), lambda: list(coro),
                         lambda: unpack(make))
        coro.close()
        return [entry[0] for entry in found], hasattr(coro, "__iter__")
    both(script)


def test_the_traceback_does_not_lose_the_caller():
    async def caller():
        await _fastasync.sleep(1000)

    async def main():
        task = asyncio.ensure_future(caller())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        return [entry.name for entry in caught.traceback]

    assert "caller" in fastasync.run(main())


# -- functions ---------------------------------------------------------------------


def test_the_function():
    sleep = _fastasync.sleep
    assert inspect.iscoroutinefunction(sleep) == (sys.version_info >= (3, 12))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert asyncio.iscoroutinefunction(sleep)
    assert callable(sleep)
    assert (sleep.__name__, sleep.__qualname__) == ("sleep", "sleep")
    assert sleep.__doc__.startswith("Wait for")
    assert repr(sleep).startswith("<function sleep at 0x")
    sleep.mark = 1
    assert sleep.__dict__ == {"mark": 1}
    del sleep.mark


def test_it_binds_as_a_method():
    class Sleeper:
        rest = _fastasync.sleep

        def __le__(self, other):
            return True

    sleeper = Sleeper()
    coro = sleeper.rest()
    assert coro.send(None) is None
    coro.close()
    assert sleeper.rest.__self__ is sleeper


def test_it_is_pickled_by_name():
    found = pickle.loads(pickle.dumps(fastasync.sleep))
    assert found is fastasync.sleep
    assert copy.deepcopy(fastasync.sleep) is fastasync.sleep


def test_it_can_be_mocked():
    with unittest.mock.patch.object(_fastasync, "sleep",
                                    autospec=True) as mocked:
        coro = mocked(1)
        assert inspect.iscoroutine(coro)
        coro.close()
        mocked.assert_called_once_with(1)


# -- bound for a moment ---------------------------------------------------------


def test_aenter_and_aexit_bind_like_methods():
    async def main():
        lock = fastasync.Lock()
        enter, leave = lock.__aenter__, lock.__aexit__
        assert enter.__self__ is lock and leave.__self__ is lock
        assert enter.__func__ is type(lock).__aenter__
        assert enter == lock.__aenter__ and enter != leave
        assert hash(enter) == hash(lock.__aenter__)
        assert enter != fastasync.Lock().__aenter__
        assert enter.__name__ == "__aenter__"
        assert repr(enter).startswith("<bound method ")
        assert await enter() is None and lock.locked()
        assert await leave(None, None, None) is None
        assert not lock.locked()
        for call in (lambda: enter(1), lambda: leave(), lambda: leave(1, x=2),
                     lambda: leave(1, 2, 3, 4, 5)):
            with pytest.raises(TypeError):
                call()

    fastasync.run(main())


def test_an_unawaited_aenter_warns_and_one_that_waits_is_collected():
    lock = fastasync.Lock()
    with pytest.warns(RuntimeWarning, match="never awaited"):
        lock.__aenter__()

    async def main():
        await lock.acquire()
        coro = lock.__aenter__()
        coro.send(None)
        assert gc.is_tracked(coro)
        coro.close()
        lock.release()

    fastasync.run(main())
