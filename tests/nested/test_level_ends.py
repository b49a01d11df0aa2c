"""Runs of a loop inside of its own runs: what each level begins and ends with."""

import asyncio
import contextvars
import os
import signal
import socket
import threading

import pytest

import fastasync
from support import hooks, journal

var = contextvars.ContextVar("var", default="unset")


async def answer(value=42, seconds=0.0):
    me = asyncio.current_task()
    assert me is not None
    await asyncio.sleep(seconds)
    assert asyncio.current_task() is me
    return value


# --- contexts -------------------------------------------------------------------------


def test_an_inner_task_sees_a_copy_of_the_context(loop, run):
    async def inner():
        seen = var.get()
        var.set("inner")
        await asyncio.sleep(0)
        assert var.get() == "inner"
        return seen

    async def main():
        var.set("outer")
        assert loop.run_until_complete(inner()) == "outer"
        assert var.get() == "outer"
        await asyncio.sleep(0)
        assert var.get() == "outer"

    run(main())
    assert var.get() == "unset"


def test_what_shares_the_context_of_the_interrupted_task_runs(loop, run):
    """asyncio would say: cannot enter context: ... is already entered."""
    context = contextvars.copy_context()

    async def inner():
        var.set(var.get() + " inner")
        await asyncio.sleep(0)
        return var.get()

    async def main():
        var.set("outer")
        done = loop.create_future()
        done.add_done_callback(lambda _: var.set(var.get() + " callback"),
                               context=context)
        loop.call_soon(done.set_result, None)
        loop.run_until_complete(done)
        assert var.get() == "outer callback"
        loop.call_soon(var.set, "soon", context=context)
        loop.run_until_complete(asyncio.sleep(0))
        assert var.get() == "soon"
        task = loop.create_task(inner(), context=context)
        assert loop.run_until_complete(task) == "soon inner"
        assert var.get() == "soon inner"
        return context[var]

    with journal() as log:
        task = loop.create_task(main(), context=context)
        assert loop.run_until_complete(task) == "soon inner"
    assert log.messages == []
    assert var.get() == "unset"


def test_a_stack_of_contexts_is_brought_back(loop, run):
    contexts = [contextvars.copy_context() for _ in range(3)]

    def enter(i):
        var.set(i)
        if i < 2:
            result = contexts[i + 1].run(enter, i + 1)
        else:
            result = [loop.run_until_complete(look(c)) for c in range(3)]
            with pytest.raises(ZeroDivisionError):
                loop.run_until_complete(fail())
        assert var.get() == i
        return result

    async def fail():
        raise ZeroDivisionError

    async def look(i):
        return await loop.create_task(get(), context=contexts[i])

    async def get():
        return var.get()

    async def main():
        result = contexts[0].run(enter, 0)
        assert var.get() == "unset"
        return result

    assert run(main()) == [0, 1, 2]


def test_a_loop_that_runs_in_a_context(loop):
    context = contextvars.copy_context()

    def entered():
        var.set("base")
        return loop.run_until_complete(main())

    async def main():
        var.set("main")
        seen = []
        # a transport's or a reader's callback is given no context of a task
        left, right = socket.socketpair()
        right.send(b"x")
        plain = contextvars.copy_context()
        loop.add_reader(left, lambda: (loop.remove_reader(left),
                                       seen.append(var.get())))
        loop.run_until_complete(asyncio.sleep(0.001))
        left.close()
        right.close()
        del plain
        return seen, var.get()

    assert context.run(entered) == (["main"], "main")
    assert context[var] == "base"


# --- cancelling ------------------------------------------------------------------------


def test_cancelling_the_outer_task_is_delivered_when_it_waits_again(loop, run):
    async def main():
        me = asyncio.current_task()
        loop.call_soon(me.cancel, "message")
        assert loop.run_until_complete(answer(1, 0.001)) == 1
        assert me.cancelling() == 1
        with pytest.raises(asyncio.CancelledError, match="message"):
            await asyncio.sleep(10)
        me.uncancel()
        # and the same for a bare yield
        loop.call_soon(me.cancel)
        loop.run_until_complete(answer())
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
        me.uncancel()
        return "went on"

    assert run(main()) == "went on"


def test_a_timeout_of_the_outer_task_during_an_inner_run(loop, run):
    async def main():
        try:
            async with asyncio.timeout(0.001):
                assert loop.run_until_complete(answer(1, 0.01)) == 1
                reached = True
                await asyncio.sleep(10)
        except TimeoutError:
            return reached

    assert run(main()) is True


def test_cancelling_the_inner_task(loop, run):
    async def main():
        task = loop.create_task(answer(1, 10))
        loop.call_later(0.001, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0)
        return "alive"

    assert run(main()) == "alive"


# --- order of ending --------------------------------------------------------------------


@pytest.mark.parametrize("first, second", [(0.001, 0.02), (0.02, 0.001)])
def test_siblings_in_levels_of_their_own(loop, run, first, second):
    """Whichever is done first, the later begun run returns first."""
    returned = []

    async def nesting(name, seconds):
        result = loop.run_until_complete(answer(name, seconds))
        returned.append(result)
        await asyncio.sleep(0)
        return result

    async def main():
        tasks = [loop.create_task(nesting("a", first)),
                 loop.create_task(nesting("b", second))]
        return await asyncio.gather(*tasks)

    assert run(main()) == ["a", "b"]
    assert returned == ["b", "a"]


def test_the_end_of_an_outer_run_does_not_end_an_inner_one(loop, run):
    async def main():
        quick = loop.create_task(answer("quick"))
        slow = loop.create_task(answer("slow", 0.02))

        def inner():
            ended.append(loop.run_until_complete(slow))

        ended = []
        loop.call_soon(inner)
        ended.append(loop.run_until_complete(quick))
        return ended

    assert run(main()) == ["slow", "quick"]


def test_the_end_of_the_outermost_run_does_not_end_an_inner_one(loop):
    slow = loop.create_task(answer("slow", 0.02))
    ended = []
    loop.call_soon(lambda: ended.append(loop.run_until_complete(slow)))
    assert loop.run_until_complete(answer("quick")) == "quick"
    assert ended == ["slow"]


def test_many_levels_whose_futures_are_done_at_once(loop, run):
    async def nest(n):
        if n == 0:
            done.set_result(None)
            return []
        loop.create_task(nest(n - 1))
        loop.run_until_complete(asyncio.shield(done))
        returned.append(n)

    done, returned = loop.create_future(), []
    run(nest(10))
    assert returned == [*range(1, 11)]


# --- stop -----------------------------------------------------------------------------


def test_stop_ends_the_innermost_run_only(loop, run):
    async def main():
        future = loop.create_future()
        loop.call_soon(loop.stop)
        with pytest.raises(RuntimeError, match="stopped before Future completed"):
            loop.run_until_complete(future)
        assert loop.is_running()
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        await asyncio.sleep(0.001)
        return "not stopped"

    assert run(main()) == "not stopped"


def test_a_stop_before_the_inner_run_is_the_outer_one_s(loop):
    async def main():
        loop.stop()
        results.append(loop.run_until_complete(answer(1, 0.001)))
        await asyncio.sleep(10)

    results = []
    task = loop.create_task(main())
    loop.run_forever()
    assert results == [1] and not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)


def test_a_stop_before_run_forever_is_one_turn(loop, run):
    async def main():
        seen = []
        for _ in range(3):
            loop.call_soon(seen.append, len(seen))
            loop.stop()
            loop.run_forever()
        return seen

    assert run(main()) == [0, 1, 2]


def test_a_stop_at_each_level(loop, run):
    async def deep(n):
        if n:
            loop.call_soon(loop.create_task, deep(n - 1))
            loop.run_forever()
            order.append(n)
        loop.stop()

    order = []
    loop.create_task(deep(5))
    loop.run_forever()
    assert order == [1, 2, 3, 4, 5]


def test_stop_while_the_future_of_an_outer_run_is_done(loop, run):
    """Two stops, one of them a callback's: both runs end."""

    async def main():
        quick = loop.create_task(answer())

        def inner():
            while not quick.done():
                loop.run_until_complete(asyncio.sleep(0))
            loop.call_soon(loop.stop)
            loop.run_forever()
            ended.append("inner")

        ended = []
        loop.call_soon(inner)
        loop.run_until_complete(quick)
        ended.append("outer")
        await asyncio.sleep(0)
        return ended

    assert run(main()) == ["inner", "outer"]


# --- exceptions -------------------------------------------------------------------------


class Boom(Exception):
    pass


@pytest.mark.parametrize("kind", [Boom, KeyboardInterrupt, SystemExit])
def test_an_exception_of_the_inner_task(loop, run, kind):
    async def fail():
        await asyncio.sleep(0)
        raise kind("inner")

    async def main():
        me = asyncio.current_task()
        var.set("main")
        with pytest.raises(kind, match="inner"):
            loop.run_until_complete(fail())
        assert asyncio.current_task() is me
        assert asyncio.get_running_loop() is loop
        assert var.get() == "main"
        await asyncio.sleep(0.001)
        return loop.run_until_complete(answer())

    assert run(main()) == 42


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_exit_of_another_task_leaves_the_innermost_run(loop, kind):
    async def other():
        raise kind("other")

    async def main():
        loop.create_task(other()).add_done_callback(lambda t: t.exception())
        waiting = loop.create_task(answer(1, 0.01))
        with pytest.raises(kind, match="other"):
            loop.run_until_complete(waiting)
        assert not waiting.done()
        return await waiting

    assert loop.run_until_complete(main()) == 1


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_exit_of_an_outer_run_s_future_that_is_caught(loop, kind):
    async def fail():
        await asyncio.sleep(0)
        raise kind("outer")

    async def catching():
        with pytest.raises(kind, match="outer"):
            loop.run_until_complete(asyncio.sleep(10))

    other = loop.create_task(catching())
    with pytest.raises(kind, match="outer"):
        loop.run_until_complete(fail())
    assert other.done()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    assert loop.run_until_complete(answer()) == 42


def test_an_exit_through_all_levels(loop):
    async def deep(n):
        if n == 0:
            raise KeyboardInterrupt("deep")
        loop.run_until_complete(deep(n - 1))

    with pytest.raises(KeyboardInterrupt, match="deep"):
        loop.run_until_complete(deep(5))
    assert not loop.is_running()
    assert loop.run_until_complete(answer()) == 42


def test_ctrl_c_while_an_inner_level_waits(loop, run):
    async def main():
        me = asyncio.current_task()
        waiting = loop.create_task(answer(1, 10))
        timer = threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(waiting)
        timer.join()
        assert asyncio.current_task() is me
        waiting.cancel()
        await asyncio.sleep(0)
        return "went on"

    assert run(main()) == "went on"


def test_closing_inside_is_refused(loop, run):
    async def inner():
        with pytest.raises(RuntimeError, match="Cannot close a running event loop"):
            loop.close()
        return "refused"

    async def main():
        return loop.run_until_complete(inner())

    assert run(main()) == "refused"
    assert not loop.is_closed()


def test_a_future_of_another_loop_is_refused(loop, run):
    other = fastasync.new_event_loop()
    foreign = other.create_future()

    async def main():
        with pytest.raises(ValueError, match="loop"):
            loop.run_until_complete(foreign)
        return "refused"

    assert run(main()) == "refused"
    other.close()


def test_a_subclass_that_overrides_run_forever():
    class Watched(fastasync.Loop):
        runs = 0

        def run_forever(self):
            self.runs += 1
            super().run_forever()

    loop = Watched()
    loop.allow_nested = True

    async def main():
        return loop.run_until_complete(answer(1, 0.001))

    assert loop.run_until_complete(main()) == 1
    assert loop.runs == 2
    loop.close()


def test_a_future_that_raises_when_stop_asks_it(loop, run):
    class Hostile(asyncio.Future):
        bad = False

        def done(self):
            if self.bad:
                raise Boom("done")
            return super().done()

    async def main():
        future = Hostile(loop=loop)

        def inner():
            future.bad = True
            loop.call_soon(loop.stop)
            loop.run_forever()
            future.bad = False
            future.set_result("stopped")

        loop.call_soon(inner)
        return loop.run_until_complete(future)

    with hooks() as caught:
        assert run(main()) == "stopped"
    assert [type(error) for _, error in caught] == [Boom]
