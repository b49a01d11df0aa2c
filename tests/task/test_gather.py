"""task/gather.c against asyncio.gather."""

import asyncio
import contextvars
import gc
import inspect
import sys
import weakref

import _fastasync
import fastasync
import pytest


async def give(value, turns=0):
    for _ in range(turns):
        await asyncio.sleep(0)
    return value


async def fail(error, turns=0):
    for _ in range(turns):
        await asyncio.sleep(0)
    raise error


def test_results_stand_in_the_order_of_the_arguments(alike):
    def script(w):
        async def main():
            w.note(await w.f.gather(give(1, 3), give(2), give(3, 1)))
            w.note(await w.f.gather(*(give(i, i % 3) for i in range(100))))
            w.note(await w.f.gather(give("one")))
            w.note(await w.f.gather(w.f.gather(give(1), give(2)), give(3)))
        w.run(main())
    alike(script)


def test_nothing_to_gather(alike):
    def script(w):
        async def main():
            outer = w.f.gather()
            w.note(outer.done(), outer.result(), type(outer).__name__)
            w.note(await w.f.gather(return_exceptions=True))
        w.run(main())
    alike(script)


def test_turn_by_turn(alike):
    def script(w):
        async def main():
            w.tick("turn", 6)
            outer = w.f.gather(give(1), give(2, 1))
            outer.add_done_callback(lambda fut: w.note("done", fut.result()))
            w.note(await outer)
            w.tick("turn", 3)
            await w.outcome(w.f.gather(fail(ValueError(1)), give(1, 2)))
        w.run(main())
    alike(script)


@pytest.mark.parametrize("count", [3, 60])
def test_arguments_given_twice(alike, count):
    def script(w):
        async def main():
            one = give("one")
            two = w.loop.create_task(give("two"))
            others = [give(i) for i in range(count)]
            outer = w.f.gather(one, two, *others, one, two, others[0])
            w.note(len(outer._children), len(set(outer._children)))
            w.note(await outer)
        w.run(main())
    alike(script)


def test_equal_arguments_are_one(alike):
    class Waits:
        def __init__(self, number):
            self.number = number

        def __eq__(self, other):
            return isinstance(other, Waits) and self.number == other.number

        def __hash__(self):
            return hash(self.number)

        def __await__(self):
            return give(self.number).__await__()

    def script(w):
        async def main():
            outer = w.f.gather(Waits(1), Waits(2), Waits(1), give(3))
            w.note(outer._children[0] is outer._children[2])
            w.note(await outer)
        w.run(main())
    alike(script)


def test_unhashable_and_unwanted_arguments(alike):
    class Unhashable:
        __hash__ = None

        def __await__(self):
            return give(1).__await__()

    def script(w):
        async def main():
            for bad in (Unhashable(), 3, None, [give]):
                w.attempt(w.f.gather, bad)
            good = give(1)
            w.attempt(w.f.gather, good, 3)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            w.attempt(w.f.gather, nonsense=1)
        w.run(main())
    alike(script)


def test_another_loop_is_refused(alike):
    def script(w):
        other = type(w.loop)()
        foreign = other.create_future()

        async def main():
            mine = w.loop.create_future()
            w.attempt(w.f.gather, mine, foreign)
            mine.cancel()
        w.run(main())
        other.close()
    alike(script)


def test_without_a_running_loop(alike):
    def script(w):
        futures = [w.loop.create_future() for _ in range(2)]
        outer = w.f.gather(*futures)
        w.note(outer.get_loop() is w.loop)
        for number, future in enumerate(futures):
            future.set_result(number)
        w.note(w.run(outer))
    alike(script)


def test_the_first_exception_wins(alike):
    def script(w):
        async def main():
            late = w.loop.create_task(fail(KeyError("late"), 3))
            outer = w.f.gather(late, fail(ValueError("early"), 1), give(1))
            await w.outcome(outer)
            w.note(outer, outer.exception())
            for _ in range(5):
                await asyncio.sleep(0)
            w.note(late.done(), late._log_traceback)
        w.run(main())
    alike(script)


def test_exceptions_as_results(alike):
    def script(w):
        async def main():
            cancelled = w.loop.create_future()
            cancelled.cancel("why")
            silent = w.loop.create_future()
            silent.cancel()
            w.note(await w.f.gather(
                fail(ValueError(1)), give(2), cancelled, silent,
                fail(KeyError(3), 2), return_exceptions=True))
        w.run(main())
    alike(script)


def test_a_cancelled_child(alike):
    def script(w):
        async def main():
            child = w.loop.create_future()
            outer = w.f.gather(child, give(1))
            child.cancel("message")
            await w.outcome(outer)
            w.note(outer.cancelled(), outer.done())
        w.run(main())
    alike(script)


@pytest.mark.parametrize("exceptions", [False, True])
@pytest.mark.parametrize("message", [None, "message"])
def test_cancelling_the_outer(alike, exceptions, message):
    def script(w):
        async def main():
            children = [w.loop.create_future() for _ in range(3)]
            children[0].set_result(0)
            outer = w.f.gather(*children, return_exceptions=exceptions)
            w.note(outer._cancel_requested)
            w.note(outer.cancel(message), outer.cancel(msg=message))
            w.note(outer._cancel_requested, outer.done())
            w.note([child.cancelled() for child in children])
            await w.outcome(outer)
            w.note(outer.cancel(), outer.cancelled(), outer)
        w.run(main())
    alike(script)


def test_a_child_that_is_not_to_be_cancelled(alike):
    async def stubborn():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            return "stays"

    def script(w):
        async def main():
            for exceptions in (False, True):
                outer = w.f.gather(stubborn(), give(1),
                                   return_exceptions=exceptions)
                await asyncio.sleep(0)
                w.note(outer.cancel("ask"))
                await w.outcome(outer)
        w.run(main())
    alike(script)


def test_the_task_that_gathers_is_cancelled(alike):
    def script(w):
        async def inner(name):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError as error:
                w.note(name, error)
                raise

        async def gatherer():
            await w.f.gather(inner("a"), w.f.gather(inner("b"), inner("c")))

        async def main():
            task = w.loop.create_task(gatherer())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel("stop")
            await w.outcome(task)
        w.run(main())
    alike(script)


def test_an_overridden_cancel_is_called(alike):
    def script(w):
        base = type(w.loop.create_future())

        class Child(base):
            def cancel(self, msg=None):
                w.note("cancel", msg)
                return super().cancel(msg=msg)

        async def main():
            plain = w.loop.create_future()
            plain.cancel = lambda msg=None: w.note("instance", msg)
            outer = w.f.gather(Child(loop=w.loop), plain)
            w.note(outer.cancel("m"))
            plain.set_result(1)
            await w.outcome(outer)
        w.run(main())
    alike(script)


def test_futures_of_another_kind(alike):
    def script(w):
        async def main():
            foreign = asyncio.futures._PyFuture(loop=w.loop)
            stock = type(asyncio.Future(loop=w.loop))(loop=w.loop)
            outer = w.f.gather(foreign, give(1), stock)
            w.loop.call_soon(foreign.set_result, "foreign")
            w.loop.call_soon(stock.set_exception, ValueError("stock"))
            await w.outcome(outer)
            done = asyncio.futures._PyFuture(loop=w.loop)
            done.set_result("done")
            w.note(await w.f.gather(done, give(2)))
        w.run(main())
    alike(script)


def test_a_child_whose_methods_look_at_the_context(alike):
    var = contextvars.ContextVar("var", default="unset")

    def script(w):
        class Child(asyncio.futures._PyFuture):
            def cancelled(self):
                w.note("context", var.get())
                return super().cancelled()

        async def main():
            var.set("caller's")
            child = Child(loop=w.loop)
            outer = w.f.gather(child, give(1))
            var.set("later")
            child.set_result(1)
            await w.outcome(outer)
        w.run(main())
    alike(script)


def test_a_child_whose_methods_raise(alike):
    def script(w):
        class Child(asyncio.futures._PyFuture):
            def exception(self):
                raise OSError("bad child")

        async def main():
            child = Child(loop=w.loop)
            outer = w.f.gather(child)
            child.set_result(1)
            for _ in range(3):
                await asyncio.sleep(0)
            w.note(outer.done())
        w.run(main())
    alike(script)


def test_exceptions_that_nobody_has_seen(alike):
    def script(w):
        async def main():
            outer = w.f.gather(fail(ValueError("unseen")))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            w.note(outer.done())
        w.run(main())
        gc.collect()
    assert any(entry[0] == "told" for entry in alike(script))


def test_a_gather_that_is_dropped(alike):
    def script(w):
        async def main():
            w.f.gather(w.loop.create_future(), asyncio.sleep(1000))
            await asyncio.sleep(0)
        w.run(main())
        w.note("over")
    alike(script)


def test_what_is_seen_of_it(alike):
    def script(w):
        async def main():
            child = w.loop.create_future()
            outer = w.f.gather(child)
            w.note(isinstance(outer, asyncio.tasks._GatheringFuture),
                   isinstance(outer, asyncio.Future), outer)
            (callback, context), = child._callbacks
            w.note(callable(callback), callback.__qualname__,
                   isinstance(context, contextvars.Context))
            w.note(child.remove_done_callback(callback), child._callbacks)
            child.add_done_callback(callback)
            child.set_result(1)
            w.note(await outer)
        w.run(main())
    alike(script)


def test_the_callback_called_by_hand(alike):
    def script(w):
        async def main():
            child = w.loop.create_future()
            outer = w.f.gather(child)
            (callback, _), = child._callbacks
            w.attempt(callback)
            w.attempt(callback, w.loop.create_future())
            child.cancel()
            await w.outcome(outer)
        w.run(main())
    alike(script)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="the graph of 3.14")
def test_who_awaits_the_children(alike):
    def script(w):
        async def main():
            me = w.f.current_task()
            child, done = w.loop.create_future(), w.loop.create_future()
            done.set_result(1)
            outer = w.f.gather(child, done)
            w.note(child._asyncio_awaited_by == frozenset({me}),
                   done._asyncio_awaited_by)
            child.set_result(1)
            await outer
            w.note(len(child._asyncio_awaited_by or ()))
        w.run(main())
    alike(script)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks of 3.12")
def test_children_that_finish_at_once(alike):
    def script(w):
        task = type(w.loop.create_task(give(0)))
        w.loop.set_task_factory(asyncio.create_eager_task_factory(task))

        async def main():
            outer = w.f.gather(give(1), give(2))
            w.note(outer.done(), outer)
            w.note(await outer)
            outer = w.f.gather(give(1), give(2, 1))
            w.note(outer.done(), await outer)
            outer = w.f.gather(give(1), fail(ValueError(3)), give(2, 1))
            w.note(outer.done())
            await w.outcome(outer)
        w.run(main())
    alike(script)


def test_signature():
    assert str(inspect.signature(_fastasync.gather)) == str(
        inspect.signature(asyncio.tasks.gather))


def test_nothing_is_kept():
    async def round_of_gathers():
        outer = _fastasync.gather(*[fail(ValueError(i)) for i in range(20)])
        await asyncio.wait([outer])
        outer.exception()
        await _fastasync.gather(*(give(i) for i in range(20)))
        outer = _fastasync.gather(*(asyncio.sleep(1) for _ in range(20)))
        await asyncio.sleep(0)
        outer.cancel()
        await asyncio.wait([outer])
        outer.exception()

    def ours():
        gc.collect()
        return sum(type(obj).__module__ == "_fastasync"
                   for obj in gc.get_objects())

    async def main():
        await round_of_gathers()
        before = ours()
        for _ in range(20):
            await round_of_gathers()
        assert ours() <= before

    fastasync.run(main())


def test_a_cycle_with_pending_children_is_collected():
    loop = fastasync.new_event_loop()
    child = loop.create_future()
    outer = _fastasync.gather(child)
    child.outer = outer
    gone = weakref.ref(outer)
    del child, outer
    gc.collect()
    assert gone() is None
    loop.close()


def test_deeply_nested_gathers_are_cancelled_or_refused():
    async def main():
        inner = outer = asyncio.get_running_loop().create_future()
        for _ in range(50):
            outer = _fastasync.gather(outer)
        assert outer.cancel()
        assert inner.cancelled()
        with pytest.raises(asyncio.CancelledError):
            await outer

    fastasync.run(main())
