"""task/bridge.c, task/ensure.c and task/query.c against asyncio's functions."""

import asyncio
import concurrent.futures
import contextvars
import functools
import inspect
import os
import sys
import threading

import _fastasync
import fastasync
import pytest


async def give(value, turns=0):
    for _ in range(turns):
        await asyncio.sleep(0)
    return value


class Waits:
    def __await__(self):
        return give("awaited").__await__()


@pytest.mark.parametrize("name", [
    "create_task", "ensure_future", "gather", "iscoroutine", "isfuture",
    "run_coroutine_threadsafe", "shield", "sleep", "to_thread",
    "wrap_future"])
def test_signatures(name):
    assert str(inspect.signature(getattr(_fastasync, name))) == str(
        inspect.signature(getattr(asyncio, name)))


@pytest.mark.parametrize("name", [
    "create_task", "ensure_future", "iscoroutine", "isfuture",
    "run_coroutine_threadsafe", "shield", "to_thread", "wrap_future"])
@pytest.mark.parametrize("args, kwargs", [
    ((), {}), ((1, 2, 3), {}), ((), {"nonsense": 1})])
def test_wrong_arguments(name, args, kwargs):
    if name == "to_thread" and args:
        pytest.skip("takes any number")

    async def texts():
        found = []
        for module in (asyncio, _fastasync):
            with pytest.raises(TypeError) as caught:
                getattr(module, name)(*args, **kwargs)
            found.append(str(caught.value))
        return found

    stock, ours = asyncio.run(texts())
    assert ours == stock


def test_ensure_future(alike):
    def script(w):
        async def main():
            for thing in (give(1), Waits(), w.f.ensure_future(give(2))):
                made = w.f.ensure_future(thing)
                w.note(isinstance(made, asyncio.Task), await made)
            future = w.loop.create_future()
            w.note(w.f.ensure_future(future) is future,
                   w.f.ensure_future(future, loop=w.loop) is future)
            future.cancel()
            for bad in (3, None, give):
                w.attempt(w.f.ensure_future, bad)
            w.attempt(w.f.ensure_future, future, loop=object())
        w.run(main())
        coro = give(3)
        w.note(w.run(w.f.ensure_future(coro, loop=w.loop)))
    alike(script)


def test_ensure_future_closes_what_it_cannot_start(alike):
    def script(w):
        closed = type(w.loop)()
        closed.close()
        coro = give(1)
        w.attempt(w.f.ensure_future, coro, loop=closed)
        w.note(inspect.getcoroutinestate(coro))

        class Odd:
            def create_task(self, coro):
                coro.close()
                raise ValueError("odd loop")
        w.attempt(w.f.ensure_future, give(1), loop=Odd())
    alike(script)


def test_task_factories_are_asked(alike):
    def script(w):
        def factory(loop, coro, **kwargs):
            w.note("factory", sorted(kwargs))
            return asyncio.Task(coro, loop=loop, **kwargs)

        async def main():
            w.loop.set_task_factory(factory)
            await w.f.ensure_future(give(1))
            await w.f.create_task(give(2))
            await w.f.create_task(give(3), name="three")
            await w.f.gather(give(4))
        w.run(main())
    alike(script)


def test_create_task(alike):
    var = contextvars.ContextVar("var", default=0)

    def script(w):
        async def look():
            return var.get(), w.f.current_task().get_name()

        async def main():
            context = contextvars.copy_context()
            context.run(var.set, 5)
            w.note(await w.f.create_task(look(), name="named"))
            w.note(await w.f.create_task(look(), name="n", context=context))
            w.note(await w.f.create_task(look(), context=None, name=None))
            w.note(await w.f.create_task(coro=look()))
            w.note(await w.f.create_task(name="before", coro=look()))
            w.note(await w.f.create_task(look(), name=7))
            w.attempt(w.f.create_task, 3)
        w.run(main())
        coro = look()
        w.attempt(w.f.create_task, coro)
        coro.close()
    alike(script)


def test_names_are_numbered_alike(alike):
    def script(w):
        async def main():
            first = w.f.create_task(give(1))
            w.f.create_task(give(1), name="x")
            last = w.f.create_task(give(1))
            numbers = [int(t.get_name().split("-")[1]) for t in (first, last)]
            w.note(numbers[1] - numbers[0])
            await last
        w.run(main())
    alike(script)


def test_what_is_running(alike):
    def script(w):
        async def main():
            w.note(w.f.get_running_loop() is w.loop)
            w.note(w.f.current_task() is asyncio.current_task(),
                   w.f.current_task(w.loop) is asyncio.current_task(),
                   w.f.current_task(loop=None) is asyncio.current_task())
            w.loop.call_soon(lambda: w.note(w.f.current_task()))
            await asyncio.sleep(0)
            other = type(w.loop)()
            w.note(w.f.current_task(other))
            other.close()
            w.note(await w.loop.run_in_executor(
                None, w.f.current_task, w.loop) is asyncio.current_task())
        w.run(main())
        w.attempt(w.f.get_running_loop)
        w.attempt(w.f.current_task)
        w.note(w.f.current_task(w.loop))
    alike(script)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_no_running_loop():
    async def main():
        loop = asyncio.get_running_loop()
        assert _fastasync.get_running_loop() is loop
        pid = os.fork()
        if pid == 0:
            os._exit(0 if _fastasync._get_running_loop() is None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert _fastasync._get_running_loop() is loop

    for run in (asyncio.run, fastasync.run):
        run(main())
    assert _fastasync._get_running_loop() is None


def test_what_is_what(alike):
    class Future:
        _asyncio_future_blocking = False

    def script(w):
        async def main():
            coro = give(1)
            async def agen():
                yield 1
            for thing in (w.loop.create_future(), w.f.create_task(give(1)),
                          asyncio.futures._PyFuture(loop=w.loop), Future(),
                          coro, w.f.sleep(0), agen(), 3, None, Future,
                          concurrent.futures.Future()):
                w.note(w.f.isfuture(thing), w.f.iscoroutine(thing))
                if w.f.iscoroutine(thing):
                    thing.close()
            await asyncio.sleep(0)
        w.run(main())
    alike(script)


def test_wrap_future(alike):
    def script(w):
        async def main():
            done = concurrent.futures.Future()
            wrapped = w.f.wrap_future(done)
            threading.Timer(0.001, done.set_result, ("there",)).start()
            w.note(await wrapped)
            failing = concurrent.futures.Future()
            failing.set_exception(ValueError("there"))
            await w.outcome(w.f.wrap_future(failing, loop=w.loop))
            cancelled = concurrent.futures.Future()
            wrapped = w.f.wrap_future(cancelled)
            wrapped.cancel()
            await asyncio.sleep(0)
            w.note(cancelled.cancelled())
            w.note(w.f.wrap_future(wrapped) is wrapped)
            w.attempt(w.f.wrap_future, 3)
        w.run(main())
    alike(script)


def in_thread(w, work):
    """Run the blocking *work* beside the loop."""
    async def main():
        return await w.loop.run_in_executor(None, work)
    return w.run(main())


def test_run_coroutine_threadsafe(alike):
    def script(w):
        async def fail():
            raise ValueError("there")

        def work():
            run = functools.partial(w.f.run_coroutine_threadsafe, loop=w.loop)
            w.note(run(give("here", 3)).result(10))
            w.note(run(fail()).exception(10))
            w.attempt(run, 3)
            future = run(asyncio.sleep(1000))
            w.note(type(future).__module__, future.cancel())
            with pytest.raises(concurrent.futures.CancelledError):
                future.result(10)
        in_thread(w, work)
        w.run(asyncio.sleep(0.01))
    alike(script)


def test_a_coroutine_that_cannot_be_started(alike):
    def script(w):
        def factory(loop, coro, **kwargs):
            coro.close()
            raise OSError("no task today")

        def work():
            w.loop.set_task_factory(factory)
            future = w.f.run_coroutine_threadsafe(give(1), w.loop)
            w.note(future.exception(10))
        in_thread(w, work)
        w.loop.set_task_factory(None)
        w.run(asyncio.sleep(0.01))
    log = [entry for entry in alike_without_names(script, alike)]
    assert log


def alike_without_names(script, alike):
    """The callback's arguments are shown in debug mode: compare the rest."""
    def quiet(w):
        w._told = None
        w.loop.set_exception_handler(
            lambda loop, context: w.note("told", context["exception"]))
        script(w)
    return alike(quiet)


def test_to_thread(alike):
    var = contextvars.ContextVar("var", default=0)

    def script(w):
        def work(*args, **kwargs):
            return (var.get(), args, sorted(kwargs.items()),
                    threading.current_thread() is threading.main_thread())

        async def main():
            var.set(3)
            w.note(await w.f.to_thread(work))
            w.note(await w.f.to_thread(work, 1, 2, func=3, b=4))
            await w.outcome(w.f.to_thread(int, "x"))
            await w.outcome(w.f.to_thread(3))
            w.f.to_thread(work).close()
            w.attempt(w.f.to_thread, func=work)
        w.run(main())
    alike(script)


def test_to_thread_is_cancelled(alike):
    def script(w):
        go = threading.Event()

        async def main():
            task = w.loop.create_task(w.f.to_thread(go.wait, 10))
            await asyncio.sleep(0.01)
            task.cancel()
            await w.outcome(task)
            go.set()
        w.run(main())
    alike(script)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="keywords of 3.14")
def test_every_keyword_goes_to_the_factory(alike):
    def script(w):
        def factory(loop, coro, **kwargs):
            w.note("factory", sorted(kwargs))
            return asyncio.Task(coro, loop=loop)

        async def main():
            w.loop.set_task_factory(factory)
            await w.f.create_task(give(1), **{f"k{i}": i for i in range(12)})
            await w.f.create_task(give(1), eager_start=True, name="x")
        w.run(main())
    alike(script)
