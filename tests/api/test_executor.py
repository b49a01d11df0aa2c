"""run_in_executor, wrap_future and to_thread, against asyncio's."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import gc
import pathlib
import sys
import threading
import time
import weakref

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import support  # noqa: E402
from sides import loop, new_loop, side  # noqa: E402, F401


def run(loop, coro):
    return loop.run_until_complete(asyncio.wait_for(coro, 20))


def finish(loop):
    loop.run_until_complete(loop.shutdown_default_executor())


def test_result(loop):
    async def main():
        assert loop._default_executor is None
        fut = loop.run_in_executor(None, pow, 2, 10)
        assert asyncio.isfuture(fut)
        assert await fut == 1024
        assert await loop.run_in_executor(None, threading.get_ident) != (
            threading.get_ident())
        args = tuple(range(20))
        assert await loop.run_in_executor(None, max, *args) == 19
        assert await loop.run_in_executor(executor=None, func=list) == []

    run(loop, main())
    assert type(loop._default_executor) is (
        concurrent.futures.ThreadPoolExecutor)
    finish(loop)


def test_name_of_the_threads(loop):
    name = run(loop, asyncio.to_thread(lambda: threading.current_thread().name))
    assert name.startswith("asyncio_0")
    finish(loop)


@pytest.mark.parametrize("make", [
    lambda: KeyError("key"), lambda: StopIteration(1),
    lambda: concurrent.futures.CancelledError(), lambda: TimeoutError("t"),
    lambda: concurrent.futures.TimeoutError("t"),
    lambda: concurrent.futures.InvalidStateError("i"),
    lambda: asyncio.CancelledError("c"),
])
def test_exceptions(make):
    told = []
    for side in support.both():
        with contextlib.closing(side.new_loop()) as loop:
            exc = make()

            def fail(exc=exc):
                raise exc

            async def main(fail=fail, loop=loop):
                try:
                    await loop.run_in_executor(None, fail)
                except BaseException as caught:
                    return type(caught), str(caught)

            told.append(run(loop, main()))
            finish(loop)
    assert told[0] == told[-1]


def test_an_executor_of_ones_own(loop):
    with concurrent.futures.ThreadPoolExecutor(1, "mine") as pool:
        async def main():
            return await loop.run_in_executor(
                pool, lambda: threading.current_thread().name)

        assert run(loop, main()) == "mine_0"
        assert loop._default_executor is None
        loop.set_default_executor(pool)
        assert run(loop, asyncio.to_thread(
            lambda: threading.current_thread().name)) == "mine_0"


class Inline(concurrent.futures.Executor):
    """Done before submit() returns."""

    def submit(self, fn, /, *args, **kwargs):
        fut = concurrent.futures.Future()
        try:
            fut.set_result(fn(*args, **kwargs))
        except Exception as exc:
            fut.set_exception(exc)
        return fut


class Later(concurrent.futures.Executor):
    """Done in the loop's own thread."""

    def submit(self, fn, /, *args, **kwargs):
        fut = concurrent.futures.Future()
        asyncio.get_running_loop().call_later(
            0.002, lambda: fut.set_result(fn(*args)))
        return fut


class Strange(concurrent.futures.Executor):
    def submit(self, fn, /, *args, **kwargs):
        return self.answer


@pytest.mark.parametrize("kind", [Inline, Later])
def test_strange_executors(loop, kind):
    async def main():
        fut = loop.run_in_executor(kind(), pow, 2, 3)
        at_once = fut.done()
        return at_once, await fut

    told = run(loop, main())
    assert told[1] == 8
    with contextlib.closing(asyncio.SelectorEventLoop()) as loop:
        assert run(loop, main()) == told


def test_what_submit_returns(loop):
    async def main():
        pool = Strange()
        pool.answer = loop.create_future()
        assert loop.run_in_executor(pool, print) is pool.answer
        pool.answer = 5
        with pytest.raises(AssertionError) as caught:
            loop.run_in_executor(pool, print)
        assert str(caught.value) == (
            "concurrent.futures.Future is expected, got 5")

    run(loop, main())


ERRORS = {
    "arguments": lambda loop: loop.run_in_executor(None),
    "none": lambda loop: loop.run_in_executor(),
    "no executor": lambda loop: loop.run_in_executor(5, print),
    "coroutine function": lambda loop: loop.run_in_executor(None, coroutine),
    "not callable": lambda loop: loop.run_in_executor(Inline(), 5),
}


async def coroutine():
    pass


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("name", ERRORS)
def test_errors(name, debug):
    told = []
    for side in support.both():
        with contextlib.closing(side.new_loop()) as loop:
            loop.set_debug(debug)

            async def main(loop=loop):
                try:
                    made = await ERRORS[name](loop)
                except Exception as exc:
                    return support.why(exc)
                made.close()
                return type(made).__name__

            told.append(run(loop, main()))
            finish(loop)
    assert told[0] == told[-1]


def test_after_shutdown(loop):
    finish(loop)

    async def main():
        with pytest.raises(RuntimeError) as caught:
            loop.run_in_executor(None, print)
        assert str(caught.value) == "Executor shutdown has been called"
        assert await loop.run_in_executor(Inline(), pow, 2, 2) == 4

    run(loop, main())
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.run_in_executor(None, print)


def test_cancel_before_it_runs(loop):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        gate = threading.Event()
        ran = []

        async def main():
            blocker = loop.run_in_executor(pool, gate.wait)
            fut = loop.run_in_executor(pool, ran.append, 1)
            fut.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fut
            await asyncio.sleep(0)
            gate.set()
            assert await blocker is True

        run(loop, main())
    assert ran == []


def test_cancel_while_it_runs(loop):
    started, gate = threading.Event(), threading.Event()

    def work():
        started.set()
        gate.wait(10)
        return "too late"

    async def main():
        fut = loop.run_in_executor(None, work)
        while not started.is_set():
            await asyncio.sleep(0.001)
        fut.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fut
        gate.set()
        await asyncio.sleep(0.01)

    run(loop, main())
    finish(loop)


def test_the_loop_is_closed_meanwhile(side):
    gate = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        loop = side.new_loop()

        async def main():
            return loop.run_in_executor(pool, gate.wait, 10)

        fut = loop.run_until_complete(main())
        loop.close()
        gate.set()
        while not pool._work_queue.empty():
            time.sleep(0.001)
    assert not fut.done()


def test_debug_mode(loop):
    loop.set_debug(True)
    assert run(loop, asyncio.to_thread(pow, 2, 5)) == 32
    finish(loop)


def test_replaced_methods_are_called(side):
    calls = []

    class Mine(type(side.new_loop())):
        def call_soon_threadsafe(self, *args, **kwargs):
            calls.append(args[0])
            return super().call_soon_threadsafe(*args, **kwargs)

        def _check_default_executor(self):
            calls.append("check")

    with contextlib.closing(Mine()) as loop:
        gate = threading.Event()

        async def main():
            fut = loop.run_in_executor(None, gate.wait, 10)
            loop.call_soon(gate.set)
            assert await fut is True

        run(loop, main())
        assert calls[0] == "check" and len(calls) >= 2
        finish(loop)


def test_a_replaced_chain_future_is_called(loop, monkeypatch):
    calls = []
    real = asyncio.futures._chain_future
    monkeypatch.setattr(asyncio.futures, "_chain_future",
                        lambda *args: (calls.append(args), real(*args)))
    assert run(loop, asyncio.to_thread(pow, 2, 5)) == 32
    assert len(calls) == 1
    finish(loop)


def test_wrap_future(side, loop):
    async def main():
        source = concurrent.futures.Future()
        fut = side.module.wrap_future(source)
        threading.Timer(0.005, source.set_result, ["hi"]).start()
        assert await fut == "hi"
        source = concurrent.futures.Future()
        fut = side.module.wrap_future(source, loop=loop)
        fut.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert source.cancelled()
        source = concurrent.futures.Future()
        fut = side.module.wrap_future(source)
        source.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fut

    run(loop, main())


def test_context(loop, side):
    variable = contextvars.ContextVar("variable", default=0)

    async def main():
        variable.set(5)
        assert await loop.run_in_executor(None, variable.get) == 0 or (
            sys.version_info >= (3, 14))
        assert await side.module.to_thread(variable.get) == 5

    run(loop, main())
    finish(loop)


def test_nothing_is_kept(loop):
    class Result:
        pass

    async def main():
        for _ in range(20):
            result = await loop.run_in_executor(Inline(), Result)
            ref = weakref.ref(result)
            del result
        fut = loop.run_in_executor(None, Result)
        ref2 = weakref.ref(await fut)
        del fut
        await loop.run_in_executor(None, int)
        await asyncio.sleep(0.001)
        gc.collect()
        assert ref() is None and ref2() is None

    run(loop, main())
    finish(loop)


def test_many_at_once(loop):
    async def main():
        futs = [loop.run_in_executor(None, pow, 2, i) for i in range(500)]
        assert await asyncio.gather(*futs) == [2 ** i for i in range(500)]

    run(loop, main())
    finish(loop)
