"""Task: construction, names, cancellation, attributes, stacks, finalizer."""

import asyncio
import contextvars
import gc
import io
import sys
import tracemalloc
import weakref

import pytest

import _fastasync
import fastasync

from pairs import pair

EAGER = sys.version_info >= (3, 12)
TASK_ATTRIBUTES = ["_coro", "_fut_waiter", "_must_cancel",
                   "_log_destroy_pending"]


async def nothing():
    pass


async def wait_for(future):
    return await future


# --- construction ---------------------------------------------------------

@pytest.mark.parametrize("args, kwargs", [
    ((), {}), ((5,), {}), ((5, 6), {}), ((), {"coro": 5}), ((5,), {"x": 1}),
    ((5,), {"loop": 5}), ((), {"loop": None}), ((print,), {}),
    ((5,), {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6}),
], ids=repr)
def test_bad_construction(same, args, kwargs):
    def script(p):
        kw = kwargs if "loop" in kwargs else {"loop": p.loop, **kwargs}
        p.attempt(p.Task, *args, **kw)
        gc.collect()
    same(script)


def test_generator_as_coroutine(same):
    def script(p):
        def generator():
            yield
        p.attempt(lambda: p.task(generator()).get_coro().__name__)
        p.spin(3)
    same(script)


@pytest.mark.keeps(
    "objects", reason="asyncio remembers the types it took for coroutines")
def test_coroutine_by_registration(same):
    import collections.abc

    class Own(collections.abc.Coroutine):
        def __init__(self):
            self.left = 3

        def send(self, value):
            self.left -= 1
            if not self.left:
                raise StopIteration("done")

        def throw(self, *args):
            raise args[0]

        def close(self):
            pass

        def __await__(self):
            return self

        def __repr__(self):
            return "Own()"

    def script(p):
        t = p.task(Own())
        p.note(t)
        p.note(p.loop.run_until_complete(t))
        t = p.task(Own())
        p.spin()
        t.cancel()
        p.attempt(p.loop.run_until_complete, t)
        p.note(t)
    same(script)


def test_name_that_cannot_be_made(same):
    class Evil:
        def __str__(self):
            raise ZeroDivisionError

    def script(p):
        coro = nothing()
        p.attempt(p.task, coro, name=Evil())
        coro.close()
        gc.collect()
    same(script)


def test_context(same):
    def script(p):
        var = contextvars.ContextVar("var", default=0)

        async def main():
            p.note(var.get())
            var.set(var.get() + 1)

        var.set(5)
        t = p.task(main())
        var.set(6)
        p.loop.run_until_complete(t)
        p.note(var.get())
        ctx = contextvars.copy_context()
        t = p.task(main(), context=ctx)
        p.loop.run_until_complete(t)
        p.note(ctx[var])
        if EAGER:
            p.note(t.get_context() is ctx)
    same(script)


def test_context_of_a_wrong_type(same):
    def script(p):
        t = p.task(nothing(), context=5)
        p.spin()
        p.note(t.done())
        t._log_destroy_pending = False
        t.get_coro().close()
    same(script)


def test_context_that_is_entered_already(same):
    def script(p):
        ctx = contextvars.copy_context()
        t = p.task(nothing(), context=ctx)
        # asyncio runs the loop's handler in that context too, and fails again
        p.loop.call_exception_handler = lambda context: p.note(
            context["message"], context["exception"])
        ctx.run(p.spin)
        del p.loop.call_exception_handler
        p.note(t.done())
        t._log_destroy_pending = False
        t.get_coro().close()
    same(script)


def test_second_init(same):
    if sys.version_info >= (3, 15):
        def script(p):
            t = p.task(nothing())
            other = nothing()
            p.attempt(t.__init__, other, loop=p.loop)
            other.close()
            p.loop.run_until_complete(t)
    else:
        def script(p):
            async def two():
                return 2
            t = p.task(nothing())
            p.loop.run_until_complete(t)
            t.__init__(two(), loop=p.loop, name="again")
            p.note(t)
            p.note(p.loop.run_until_complete(t))
    same(script)


def test_second_init_while_scheduled():
    if sys.version_info >= (3, 15):
        pytest.skip("refused by this version, see test_second_init")
    with pair("ours on ours") as p:
        async def two():
            await asyncio.sleep(0)
            return 2
        first = nothing()
        t = p.task(first)
        t.__init__(two(), loop=p.loop)
        first.close()
        assert p.loop.run_until_complete(t) == 2
        assert not _fastasync._live_tasks()


def test_get_loop_and_running_loop(same):
    def script(p):
        async def main():
            t = p.Task(nothing())
            p.note(t.get_loop() is p.loop, t._loop is p.loop)
            await t
        p.run(main())
    same(script)


# --- names ----------------------------------------------------------------

def test_names(same):
    def script(p):
        for name in ("text", 5, None, ValueError("x"), ["list"]):
            t = p.task(nothing(), name=name)
            p.note(t.get_name())
            t.set_name(3)
            p.note(t.get_name(), t)
            t.set_name("other")
            p.note(t.get_name())
            p.loop.run_until_complete(t)
    same(script)


def test_default_names_count():
    with pair("ours on ours") as p:
        first, second = p.task(nothing()), p.task(nothing())
        number = int(first.get_name().removeprefix("Task-"))
        assert second.get_name() == f"Task-{number + 1}"
        assert first.get_name() is first.get_name()
        p.spin(2)


# --- cancellation ---------------------------------------------------------

def test_cancel_before_the_first_step(same):
    def script(p):
        t = p.task(nothing())
        p.note(t.cancel("early"), t._must_cancel, t.cancelling(), t)
        p.attempt(p.loop.run_until_complete, t)
        p.note(t, t.cancelled(), t.cancel(), t.cancelling())
        p.attempt(t.result)
        p.attempt(t.result)
        p.attempt(t.exception)
    same(script)


@pytest.mark.parametrize("args", [(), ("why",), (None,)], ids=repr)
def test_cancel_while_waiting(same, args):
    def script(p):
        f = p.future()
        t = p.task(wait_for(f))
        p.spin()
        p.note(t._fut_waiter is f, t)
        p.note(t.cancel(*args), t._must_cancel, f, t)
        p.attempt(p.loop.run_until_complete, t)
        p.note(t, t._cancel_message, f._cancel_message)
        p.attempt(t.result)
        p.attempt(t._make_cancelled_error)
    same(script)


def test_cancel_a_chain(same):
    def script(p):
        f = p.future()
        t = p.task(wait_for(f))
        for _ in range(5):
            t = p.task(wait_for(t))
        p.spin()
        t.cancel("deep")
        p.attempt(p.loop.run_until_complete, t)
        p.note(f, f._cancel_message)
    same(script)


def test_cancel_a_chain_that_is_too_deep(same):
    def script(p):
        t = p.future()
        tasks = []
        for _ in range(100_000):
            t = p.task(wait_for(t))
            tasks.append(t)
        p.spin()
        try:
            t.cancel()
        except RecursionError:
            p.note("refused")
        else:
            p.note("refused")  # some versions can
        tasks[0].cancel()
        p.attempt(p.loop.run_until_complete, t)
    # only ours: some versions of asyncio run out of stack here
    for name in ("ours on ours",):
        with pair(name) as p:
            script(p)
            assert p.log[0] == ("refused",)


def test_cancel_that_is_refused(same):
    def script(p):
        async def stubborn(f):
            try:
                await f
            except asyncio.CancelledError as error:
                p.note(error)
            return "stayed"
        f = p.future()
        t = p.task(stubborn(f))
        p.spin()
        t.cancel("no")
        p.note(p.loop.run_until_complete(t), t.cancelling(), t.cancelled())
    same(script)


def test_cancel_twice_before_it_runs(same):
    def script(p):
        f = p.future()
        t = p.task(wait_for(f))
        p.spin()
        t.cancel("one")
        t.cancel("two")
        p.note(t._must_cancel, t.cancelling())
        p.attempt(p.loop.run_until_complete, t)
    same(script)


def test_cancel_itself(same):
    def script(p):
        async def own():
            asyncio.current_task().cancel("self")
            p.note(asyncio.current_task()._must_cancel)
            await asyncio.sleep(0)
            p.note("not reached")

        async def ends():
            asyncio.current_task().cancel("self")
            return 5

        async def awaits(f):
            asyncio.current_task().cancel("self")
            await f
        for coro in (own(), ends(), awaits(p.future())):
            t = p.task(coro)
            p.attempt(p.loop.run_until_complete, t)
            p.note(t, t.cancelling())
    same(script)


def test_cancelled_when_the_future_is_done_already(same):
    def script(p):
        f = p.future()
        t = p.task(wait_for(f))
        p.spin()
        f.set_result(1)
        t.cancel("late")
        p.note(t._must_cancel, t._fut_waiter is f)
        p.attempt(p.loop.run_until_complete, t)
    same(script)


def test_uncancel(same):
    def script(p):
        t = p.task(nothing())
        p.note(t.uncancel())
        t.cancel("x")
        t.cancel("y")
        p.note(t.cancelling(), t.uncancel(), t._must_cancel, t.uncancel(),
               t._must_cancel, t.uncancel())
        p.attempt(p.loop.run_until_complete, t)
        p.note(t)
    same(script)


def test_cancel_calls_the_waiters_method(same):
    def script(p):
        class Mine(p.Future):
            def cancel(self, msg=None):
                p.note("cancel", msg)
                return 0
        f = Mine(loop=p.loop)
        t = p.task(wait_for(f))
        p.spin()
        p.note(t.cancel("a"), t._must_cancel)
        f.set_result(5)
        p.attempt(p.loop.run_until_complete, t)

        f = p.future()
        f.cancel = lambda msg: p.note("instance", msg)
        t = p.task(wait_for(f))
        p.spin()
        p.note(t.cancel("b"), t._must_cancel)
        f.set_result(5)
        p.attempt(p.loop.run_until_complete, t)
    same(script)


def test_cancel_that_raises(same):
    def script(p):
        class Mine(p.Future):
            def cancel(self, msg=None):
                raise ZeroDivisionError
        f = Mine(loop=p.loop)
        t = p.task(wait_for(f))
        p.spin()
        p.attempt(t.cancel)
        p.note(t._must_cancel, t.cancelling())
        f.set_result(5)
        p.attempt(p.loop.run_until_complete, t)
    same(script)


# --- the end of a task ----------------------------------------------------

def test_results(same):
    def script(p):
        async def raises(error):
            raise error

        for error in (ValueError("x"), asyncio.CancelledError("y"),
                      GeneratorExit(), asyncio.InvalidStateError()):
            t = p.task(raises(error))
            p.attempt(p.loop.run_until_complete, t)
            p.note(t, t.done(), t.cancelled(), t._log_traceback)
        t = p.task(nothing())
        p.spin(2)
        p.note(t, t.result(), t.exception())
    same(script)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_exit_exceptions_leave_the_loop(same, error):
    def script(p):
        async def raises():
            await asyncio.sleep(0)
            raise error("bye")
        t = p.task(raises())
        t.add_done_callback(lambda t: p.note("done", t.exception()))
        try:
            p.spin(3)
        except error as caught:
            p.note(caught)
        p.note(t.done(), p.loop.is_running(), asyncio._get_running_loop())
        p.spin()
        p.attempt(lambda: t._log_traceback)
    same(script)


def test_set_result_is_refused(same):
    def script(p):
        t = p.task(nothing())
        p.attempt(t.set_result, 1)
        p.attempt(t.set_exception, ValueError())
        p.spin(2)
    same(script)


def test_current_task_in_callbacks(same):
    def script(p):
        async def main():
            p.note(asyncio.current_task() is t)
            p.loop.call_soon(lambda: p.note(asyncio.current_task()))
            await asyncio.sleep(0)
            f = p.future()
            f.add_done_callback(lambda _: p.note(asyncio.current_task()))
            f.set_result(None)
            await f
            p.note(asyncio.current_task() is t)
        t = p.task(main())
        t.add_done_callback(lambda _: p.note(asyncio.current_task()))
        p.loop.run_until_complete(t)
        p.note(asyncio.current_task(p.loop))
    same(script)


def test_result_is_not_kept_by_the_machinery(same):
    class Thing:
        pass

    def script(p):
        async def make():
            return Thing()
        t = p.task(make())
        ref = weakref.ref(p.loop.run_until_complete(t))
        p.note(ref() is None)
        t_ref = weakref.ref(t)
        del t
        p.note(ref() is None, t_ref() is None)
    same(script)


# --- attributes and texts -------------------------------------------------

def test_attributes(same):
    def script(p):
        coro = nothing()
        t = p.task(coro)
        p.note(t._coro is coro, t.get_coro() is coro, t._fut_waiter,
               t._must_cancel, t._log_destroy_pending)
        for name in ("_fut_waiter", "_must_cancel", "_state", "_loop"):
            with pytest.raises(AttributeError):
                setattr(t, name, None)
        p.attempt(delattr, t, "_log_destroy_pending")
        t._log_destroy_pending = 0
        p.note(t._log_destroy_pending)
        t.own = weakref.ref(t)
        p.note(t.own() is t)
        p.spin(2)
        p.note(t._coro is coro)
    same(script)


def test_coro_is_writable():
    # not so in asyncio; greenback patches memory for want of it
    with pair("ours on ours") as p:
        async def five():
            return 5
        first = nothing()
        t = p.task(first)
        t._coro = five()
        first.close()
        assert p.loop.run_until_complete(t) == 5
        with pytest.raises(AttributeError):
            del t._coro


def test_uninitialised(same):
    def script(p):
        t = p.Task.__new__(p.Task)
        for name in TASK_ATTRIBUTES:
            p.attempt(getattr, t, name)
        p.attempt(t.cancelling)
        p.attempt(t.uncancel)
        if sys.version_info >= (3, 13):  # crashes of asyncio's before
            p.attempt(t.get_coro)
            p.attempt(t.get_name)
            p.attempt(t.get_stack)
            p.attempt(t.print_stack)
        if sys.version_info >= (3, 15):
            p.attempt(t.get_context)
        t.set_name("name")
        p.note(t.get_name())
        p.attempt(t.cancel)
        p.note(t.cancelling())
        del t
        gc.collect()
    same(script)


def test_uninitialised_is_safe():
    t = _fastasync.Task.__new__(_fastasync.Task)
    assert t.get_name() is None
    assert t.get_coro() is None
    if EAGER:
        assert t.get_context() is None
    assert not _fastasync._live_tasks()
    with pytest.raises(RuntimeError):
        repr(t)


def test_stack(same):
    def script(p):
        async def inner(f):
            await f

        async def outer(f):
            await inner(f)

        def names(frames):
            return [frame.f_code.co_name for frame in frames]

        async def fails():
            raise ValueError("no")

        f = p.future()
        t = p.task(outer(f))
        p.note(names(t.get_stack()))
        p.spin()
        p.note(names(t.get_stack()), names(t.get_stack(limit=0)))
        out = io.StringIO()
        t.print_stack(file=out)
        p.note(out.getvalue())
        f.set_result(1)
        p.loop.run_until_complete(t)
        p.note(names(t.get_stack()))
        t = p.task(fails())
        p.spin(2)
        p.note(t.exception())
        out = io.StringIO()
        t.print_stack(limit=5, file=out)
        p.note(out.getvalue())
        for args, kwargs in (((1,), {}), ((1, 2), {}), ((), {"x": 5})):
            p.attempt(t.get_stack, *args, **kwargs)
            p.attempt(t.print_stack, *args, **kwargs)
    same(script)


def test_repr(same):
    def script(p):
        async def fails():
            raise ValueError("no")
        f = p.future()
        t = p.task(wait_for(f), name="n")
        p.note(t)
        p.spin()
        p.note(t, f)
        t.add_done_callback(print)
        p.note(t)
        t.cancel()
        p.note(t)
        p.spin(2)
        p.note(t)
        t = p.task(fails(), name="n")
        p.spin(2)
        p.note(t)
        t.exception()
        a = p.task(wait_for(f), name="other")
        p.spin(2)
        p.note(a)
    same(script)


def test_repr_of_a_cycle(same):
    def script(p):
        async def main():
            await asyncio.sleep(0)
            return t
        t = p.task(main(), name="n")
        p.loop.run_until_complete(t)
        p.note(t)
        del t
    same(script)


def test_isinstance_holds_without_install():
    loop = fastasync.new_event_loop()
    t = loop.create_task(nothing())
    assert type(t) is _fastasync.Task
    assert isinstance(t, asyncio.Task)
    assert isinstance(t, asyncio.Future)
    assert isinstance(t, _fastasync.Future)
    assert t.__class__ is asyncio.Task
    loop.run_until_complete(t)
    loop.close()


def test_idle_task_is_smaller_than_asyncios():
    def measure(name):
        with pair(name) as p:
            f = p.future()
            tasks = []
            gc.collect()
            tracemalloc.start()
            try:
                for _ in range(1000):
                    tasks.append(p.task(wait_for(f)))
                p.spin()
                gc.collect()
                size = tracemalloc.get_traced_memory()[0]
            finally:
                tracemalloc.stop()
            f.set_result(None)
            p.spin()
            assert all(t.done() for t in tasks)
            return size

    assert measure("ours on ours") < measure("asyncio on asyncio")


# --- subclasses -----------------------------------------------------------

def test_subclass(same):
    def script(p):
        class Mine(p.Task):
            def __init__(self, *args, **kwargs):
                self.steps = []
                super().__init__(*args, **kwargs)

            def cancel(self, msg=None):
                p.note("cancel", msg)
                return super().cancel(msg)

            def add_done_callback(self, fn, *, context=None):
                p.note("add", getattr(fn, "__name__", None))
                super().add_done_callback(fn, context=context)

            def result(self):
                p.note("result")
                return super().result()

            def get_name(self):
                return "mine"

        f = p.future()
        inner = Mine(wait_for(f), loop=p.loop)
        p.note(inner)
        outer = p.task(wait_for(inner))
        p.spin()
        p.note(outer._fut_waiter is inner)
        outer.cancel("x")
        p.attempt(p.loop.run_until_complete, outer)
        p.note(inner, inner.steps)
    same(script)


def test_subclass_without_init(same):
    def script(p):
        class Mine(p.Task):
            def __init__(self):
                self.name = "mine"
        t = Mine()
        p.note(t.name, t.done(), t.cancelled())
        p.attempt(t.result)
        p.attempt(repr, t)
        f = p.future()
        p.attempt(p.loop.run_until_complete, p.task(wait_for(t)))
        f.cancel()
        del t
        gc.collect()
    same(script)


def test_subclass_with_finalizer(same):
    def script(p):
        class Mine(p.Task):
            def __del__(self):
                p.note("del", self._state)
                super().__del__()
        t = Mine(wait_for(p.future()), loop=p.loop)
        p.spin()
        del t
        gc.collect()
        p.note("collected")
    same(script)


# --- finalizer ------------------------------------------------------------

def test_destroyed_while_pending(same):
    def script(p):
        t = p.task(wait_for(p.future()))
        p.spin()
        del t
        gc.collect()
        t = p.task(wait_for(p.future()))
        t._log_destroy_pending = False
        p.spin()
        del t
        gc.collect()
        p.note("done")
    same(script)


def test_exception_never_retrieved(same):
    def script(p):
        async def fails():
            raise ValueError("lost")
        t = p.task(fails())
        p.spin(2)
        del t
        gc.collect()

        class Mine(p.Task):
            pass
        t = Mine(fails(), loop=p.loop)
        p.spin(2)
        del t
        gc.collect()
    same(script)


def test_pending_task_kept_by_the_handler(same):
    def script(p):
        kept = []
        p.loop.set_exception_handler(
            lambda loop, context: kept.append(context["task"]))
        f = p.future()
        t = p.task(wait_for(f))
        p.spin()
        del t, f
        gc.collect()
        p.note(len(kept), kept[0].done())
        kept[0]._log_destroy_pending = False
        kept.clear()
    same(script)


# --- eager ----------------------------------------------------------------

eager = pytest.mark.skipif(not EAGER, reason="eager_start came with 3.12")


@eager
def test_eager_start(same):
    def script(p):
        async def at_once():
            p.note("runs", asyncio.current_task() is not outer)
            return 5

        async def suspends(f):
            p.note("starts")
            return await f

        async def fails():
            raise ValueError("x")

        async def main():
            t = p.task(at_once(), eager_start=True)
            p.note(t.done(), t.result(), t)
            if sys.version_info >= (3, 13):  # a crash of asyncio's before
                p.note(t.get_coro())
            p.note(asyncio.current_task() is outer)
            f = p.future()
            t = p.task(suspends(f), eager_start=True)
            p.note(t.done(), t._fut_waiter is f)
            f.set_result(6)
            p.note(await t)
            t = p.task(fails(), eager_start=True)
            p.note(t.done(), t.exception())
            t = p.task(at_once(), eager_start=False)
            p.note(t.done())
            await t
        outer = p.task(main())
        p.loop.run_until_complete(outer)
    same(script)


@eager
def test_eager_start_without_a_running_loop(same):
    def script(p):
        t = p.task(nothing(), eager_start=True)
        p.note(t.done())
        p.loop.run_until_complete(t)
        p.attempt(p.Task, 5, loop=p.loop, eager_start=True)
    same(script)


@eager
def test_eager_start_in_its_context(same):
    def script(p):
        var = contextvars.ContextVar("var", default=0)

        async def child():
            p.note(var.get())
            var.set(2)
            await asyncio.sleep(0)
            p.note(var.get())

        async def main():
            var.set(1)
            t = p.task(child(), eager_start=True)
            p.note(var.get())
            await t
            p.note(var.get())
            ctx = contextvars.copy_context()
            await p.task(child(), eager_start=True, context=ctx)
            p.note(ctx[var])
        p.run(main())
    same(script)


@eager
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError,
                                   asyncio.CancelledError])
def test_eager_start_that_raises(same, error):
    def script(p):
        async def raises():
            raise error("now")

        async def main():
            try:
                t = p.task(raises(), eager_start=True)
            except BaseException as caught:
                p.note("raised", caught)
            else:
                p.note("made", t)
                p.attempt(t.result)
            p.note(asyncio.current_task() is outer)
        outer = p.task(main())
        p.loop.run_until_complete(outer)
        gc.collect()
    same(script)


@eager
def test_eager_factory(same):
    def script(p):
        factory = asyncio.create_eager_task_factory(p.Task)
        p.loop.set_task_factory(factory)

        async def child(n):
            if n % 2:
                await asyncio.sleep(0)
            return n

        async def main():
            p.note(await asyncio.gather(*(child(n) for n in range(6))))
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(child(n)) for n in range(4)]
                p.note([t.done() for t in tasks])
        p.run(main())
        p.loop.set_task_factory(None)
    same(script)
