"""What a coroutine may yield, and what comes of it."""

import asyncio
import sys
import types

import pytest

import _fastasync

from pairs import pair


@types.coroutine
def give(value):
    """Yield *value* to the task and return what comes back."""
    return (yield value)


def outcome(p, coro):
    t = p.task(coro, name="n")
    p.attempt(p.loop.run_until_complete, t)
    return t


def plain_generator():
    yield


# --- yields ---------------------------------------------------------------

def test_bare_yield(same):
    def script(p):
        async def main(n):
            for turn in range(3):
                p.note(n, turn, await give(None))
        tasks = [p.task(main(n)) for n in range(3)]
        p.spin(5)
        p.note([t.done() for t in tasks])
    same(script)


@pytest.mark.parametrize("value", [
    5, "text", (), object, 3.5, Ellipsis, NotImplemented, print, True, False,
], ids=repr)
def test_bad_yield(same, value):
    def script(p):
        async def main():
            try:
                await give(value)
            except RuntimeError as error:
                p.note(error)
                return "went on"
        p.note(outcome(p, main()))
    same(script)


def test_generator_yield(same):
    def script(p):
        async def main():
            await give(plain_generator())
        outcome(p, main())
    same(script)


def test_future_without_blocking(same):
    def script(p):
        class Mine(p.Future):
            pass

        for cls in (p.Future, Mine):
            async def main(f):
                try:
                    await give(f)
                except RuntimeError as error:
                    p.note(error)
            f = cls(loop=p.loop)
            outcome(p, main(f))
            p.note(f._callbacks)
    same(script)


def test_await_itself(same):
    def script(p):
        class Mine(p.Task):
            pass

        for cls in (p.Task, Mine):
            async def main():
                try:
                    await t
                except RuntimeError as error:
                    p.note(error)
            t = cls(main(), loop=p.loop, name="n")
            p.loop.run_until_complete(t)
            t = None
    same(script)


def test_other_loop(same):
    def script(p):
        other = type(p.loop)()

        class Mine(p.Future):
            pass

        for cls in (p.Future, Mine):
            f = cls(loop=other)

            async def main():
                try:
                    await f
                except RuntimeError as error:
                    p.note(error)
            outcome(p, main())
            p.note(f._callbacks)
        other.close()
    same(script)


def test_blocking_attribute_of_strange_values(same):
    class Strange:
        def __init__(self, value, loop):
            self._asyncio_future_blocking = value
            self._loop = loop

        def __repr__(self):
            return "Strange()"

    class Worse:
        @property
        def _asyncio_future_blocking(self):
            raise ZeroDivisionError("blocking")

        def __repr__(self):
            return "Worse()"

    class Falsy:
        def __bool__(self):
            raise ZeroDivisionError("bool")

    def script(p):
        async def main(value):
            try:
                await give(value)
            except RuntimeError as error:
                p.note(error)
        for value in (None, False, True, 0, 1, [], Falsy()):
            t = p.task(main(Strange(value, p.loop)), name="n")
            p.spin(3)
            p.note(value if not isinstance(value, Falsy) else "falsy",
                   t.done())
            t._log_destroy_pending = False
            t.get_coro().close()
        t = p.task(main(Worse()), name="n")
        p.spin(3)
        p.note(t.done())
        t._log_destroy_pending = False
        t.get_coro().close()
    same(script)


class Duck:
    """A future by protocol only."""

    def __init__(self, p, **bad):
        self.p = p
        self.bad = bad
        self.callbacks = []
        self.value = None
        self._asyncio_future_blocking = False

    def __repr__(self):
        return "Duck()"

    def get_loop(self):
        if "get_loop" in self.bad:
            raise self.bad["get_loop"]
        return self.p.loop

    def add_done_callback(self, fn, *, context):
        self.p.note("add", fn.__self__ is self.task, context is not None)
        if "add" in self.bad:
            raise self.bad["add"]
        self.callbacks.append((fn, context))

    def cancel(self, msg=None):
        self.p.note("cancel", msg)
        if "cancel" in self.bad:
            raise self.bad["cancel"]
        return self.bad.get("refuse", False)

    def result(self):
        self.p.note("result")
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value

    def finish(self, value):
        self.value = value
        for fn, context in self.callbacks:
            self.p.loop.call_soon(fn, self, context=context)

    def __await__(self):
        self._asyncio_future_blocking = True
        yield self
        return self.result()


def duck_task(p, duck):
    async def main():
        try:
            return await duck
        except Exception as error:
            p.note("inside", error)
            raise
    duck.task = p.task(main(), name="n")
    return duck.task


@pytest.mark.parametrize("value", [5, None, ValueError("x"),
                                   asyncio.CancelledError("c")], ids=repr)
def test_duck(same, value):
    def script(p):
        duck = Duck(p)
        t = duck_task(p, duck)
        p.spin()
        p.note(t._fut_waiter is duck, duck._asyncio_future_blocking, t)
        duck.finish(value)
        p.attempt(p.loop.run_until_complete, t)
    same(script)


@pytest.mark.parametrize("refuse", [True, False, 0, 1, None])
def test_duck_cancel(same, refuse):
    def script(p):
        duck = Duck(p, refuse=refuse)
        t = duck_task(p, duck)
        p.spin()
        p.note(t.cancel("m"), t._must_cancel)
        duck.finish(1)
        p.attempt(p.loop.run_until_complete, t)
        # and when the request comes before the wait
        duck = Duck(p, refuse=refuse)

        async def first():
            asyncio.current_task().cancel("early")
            await duck
        t = duck.task = p.task(first())
        p.spin()
        p.note(t._must_cancel, t._fut_waiter is duck)
        duck.finish(1)
        p.attempt(p.loop.run_until_complete, t)
    same(script)


@pytest.mark.parametrize("where", ["get_loop", "add", "cancel"])
def test_duck_that_raises(same, where):
    def script(p):
        duck = Duck(p, **{where: ZeroDivisionError(where)})

        async def main():
            if where == "cancel":
                asyncio.current_task().cancel()
            await duck
        t = duck.task = p.task(main(), name="n")
        p.spin(3)
        p.note(t.done(), t._fut_waiter is duck)
        t._log_destroy_pending = False
        t.get_coro().close()
    same(script)


# --- wake-ups -------------------------------------------------------------

def test_order_of_waiters_and_callbacks(same):
    def script(p):
        f = p.future()

        async def main(n):
            await f
            p.note("task", n)
        tasks = []
        for n in range(4):
            tasks.append(p.task(main(n)))
            p.spin()
            f.add_done_callback(lambda _, n=n: p.note("callback", n))
        p.note([getattr(fn, "__name__", "?") for fn, _ in f._callbacks])
        f.set_result(1)
        p.loop.call_soon(p.note, "after")
        p.spin()
        p.note([t.done() for t in tasks])
    same(script)


def test_waiters_in_callbacks(same):
    def script(p):
        f = p.future()

        async def main():
            await f
        t = p.task(main(), name="n")
        p.spin()
        (fn, context), = f._callbacks
        p.note(fn.__self__ is t, fn.__name__, fn.__qualname__,
               type(context).__name__)
        (again, _), = f._callbacks
        p.note(fn == again, hash(fn) == hash(again), f)
        p.note(f.remove_done_callback(fn), f._callbacks)
        f.set_result(1)
        p.spin(2)
        p.note(t.done())
        p.loop.call_soon(fn, f)  # a wake-up by hand
        p.spin()
        p.note(t.done())
    same(script)


def test_waiter_among_equal_callbacks(same):
    class Any:
        def __eq__(self, other):
            return True

    def script(p):
        f = p.future()

        async def main():
            await f
        t = p.task(main())
        p.spin()
        f.add_done_callback(print)
        p.note(f.remove_done_callback(Any()), f._callbacks)
        f.set_result(1)
        p.spin(2)
        p.note(t.done())
        t._log_destroy_pending = False
        t.get_coro().close()
    same(script)


def test_many_waiters(same):
    def script(p):
        f = p.future()
        seen = []

        async def main(n):
            seen.append((n, await f))
        tasks = [p.task(main(n)) for n in range(1000)]
        p.spin()
        f.set_result("x")
        p.spin()
        p.note(all(t.done() for t in tasks), seen == [
            (n, "x") for n in range(1000)])
    same(script)


def test_exception_to_many_waiters(same):
    def script(p):
        f = p.future()

        async def main(n):
            try:
                await f
            except ValueError as error:
                depth, tb = 0, error.__traceback__
                while tb is not None:
                    depth, tb = depth + 1, tb.tb_next
                p.note(n, error, depth)
        tasks = [p.task(main(n)) for n in range(3)]
        p.spin()
        try:
            raise ValueError("shared")
        except ValueError as error:
            f.set_exception(error)
        p.spin()
        p.note([t.done() for t in tasks])
    same(script)


def test_wake_up_of_a_finished_task(same):
    def script(p):
        f = p.future()

        async def main():
            await f
        t = p.task(main(), name="n")
        p.spin()
        (fn, _), = f._callbacks
        f.set_result(1)
        p.spin()
        p.note(t.done())
        p.attempt(fn, f)
    same(script)


def test_step_while_it_is_running(same):
    def script(p):
        async def main():
            f = p.future()
            other = p.task(wait(f))
            await asyncio.sleep(0)
            (fn, _), = f._callbacks
            f.cancel()
            p.attempt(fn, f)  # refused: another task is being executed
            try:
                await other
            except asyncio.CancelledError as error:
                p.note(error)

        async def wait(f):
            await f
        p.run(main())
    same(script)


# --- throwing -------------------------------------------------------------

def test_throw_reaches_awaitables(same):
    class Aw:
        def __init__(self, p):
            self.p = p

        def __await__(self):
            return self

        def __iter__(self):
            return self

        def __next__(self):
            self.p.note("next")

        def send(self, value):
            self.p.note("send", value)

        def throw(self, *args):
            self.p.note("throw", len(args))
            raise StopIteration("from throw")

    def script(p):
        async def main():
            return await Aw(p)
        t = p.task(main())
        p.spin(2)
        t.cancel()
        p.attempt(p.loop.run_until_complete, t)
    same(script)


def test_coroutine_that_raises_stop_iteration(same):
    def script(p):
        async def main():
            raise StopIteration("no")
        outcome(p, main())
    same(script)


def test_finalizer_of_the_waiter_during_a_step(same):
    # the step drops the last reference to what the task waited for
    def script(p):
        class Mine(p.Future):
            def __del__(self):
                p.note("del")
                t.cancel("by del")

        async def main():
            f = Mine(loop=p.loop)
            p.loop.call_soon(f.set_result, 1)
            await f
            del f
            p.note("went on")
            await asyncio.sleep(0)
            p.note("not reached")
        t = p.task(main())
        p.attempt(p.loop.run_until_complete, t)
    same(script)


def test_coroutine_replaced_while_it_runs():
    # asyncio does not let one, so there is nothing to compare
    with pair("ours on ours") as p:
        async def second():
            return 2

        async def first():
            t._coro = second()
            await asyncio.sleep(0)
            return 1
        t = p.task(first())
        assert p.loop.run_until_complete(t) == 2


def test_loop_closed_under_a_waiting_task(same):
    def script(p):
        f = p.future()

        async def main():
            await f
        t = p.task(main(), name="n")
        p.spin()
        p.loop.close()
        p.attempt(f.set_result, 1)
        t._log_destroy_pending = False
        coro = main()
        try:
            p.Task(coro, loop=p.loop)
        except RuntimeError as error:
            text = str(error)
        # the half-made task is gone now at the latest
        p.note(text)
        coro.close()
    same(script)


def test_call_soon_replaced_on_the_instance(same):
    def script(p):
        original = p.loop.call_soon
        seen = []

        def call_soon(callback, *args, context=None):
            seen.append((getattr(callback, "__self__", None) is t,
                         len(args), context is not None))
            return original(callback, *args, context=context)

        async def main():
            await asyncio.sleep(0)
            f = p.future()
            original(f.set_result, None)
            await f

        coro = main()
        t = None
        p.loop.call_soon = call_soon
        t = p.task(coro)
        seen.clear()  # made before `t` had a value
        p.loop.run_until_complete(t)
        del p.loop.call_soon
        p.note(seen)
    same(script)


def test_step_callable_on_a_foreign_loop():
    with pair("ours on asyncio") as p:
        async def main():
            return 5
        t = p.task(main())
        handle = p.loop._ready[0]
        step = handle._callback
        assert step.__self__ is t
        assert type(step).__name__ == "TaskStepMethWrapper"
        for args, kwargs in (((1,), {}), ((), {"a": 1})):
            with pytest.raises(TypeError):
                step(*args, **kwargs)
        with pytest.raises(TypeError):
            type(step)()
        assert p.loop.run_until_complete(t) == 5
        with pytest.raises(asyncio.InvalidStateError, match="already done"):
            asyncio._set_running_loop(p.loop)
            try:
                step()
            finally:
                asyncio._set_running_loop(None)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="came with 3.14")
def test_awaited_by(same):
    def script(p):
        f = p.future()

        async def main():
            await f
        p.note(f._asyncio_awaited_by)
        tasks = [p.task(main()) for _ in range(3)]
        for count in range(1, 4):
            p.loop.call_soon(p.loop.stop)
            p.loop.run_forever()
        p.note(f._asyncio_awaited_by == frozenset(tasks),
               type(f._asyncio_awaited_by).__name__)
        f.set_result(1)
        p.note(len(f._asyncio_awaited_by))
        p.spin()
        p.note(not f._asyncio_awaited_by)
    same(script)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="came with 3.14")
def test_awaited_by_functions():
    with pair("ours on ours") as p, pair("asyncio on asyncio") as other:
        add = _fastasync.future_add_to_awaited_by
        discard = _fastasync.future_discard_from_awaited_by
        f, g, h = p.future(), p.future(), other.future()
        add(f, g)
        assert f._asyncio_awaited_by == {g}
        add(f, g)
        add(f, h)  # one of asyncio's may wait for ours
        assert f._asyncio_awaited_by == {g, h}
        discard(f, g)
        discard(f, h)
        discard(f, p.future())
        assert not f._asyncio_awaited_by
        add(h, h)  # handed on
        assert h._asyncio_awaited_by == {h}
        discard(h, h)
        assert h._asyncio_awaited_by is None
        for args in ((3, f), (f, 3), (None, None)):
            assert add(*args) is None
            assert discard(*args) is None
        assert not f._asyncio_awaited_by
        for function in (add, discard):
            for args in ((), (f,), (f, f, f)):
                with pytest.raises(TypeError):
                    function(*args)
