"""allow_nested(), run(nested=), asyncio.run() and Runner where a loop runs."""

import asyncio
import contextvars
import os
import signal
import sys
import threading
import time

import pytest

import fastasync
from support import journal

var = contextvars.ContextVar("var", default="unset")
REFUSED = r"asyncio.run\(\) cannot be called from a running event loop"


async def answer(value=42, seconds=0.0):
    me = asyncio.current_task()
    await asyncio.sleep(seconds)
    assert asyncio.current_task() is me
    return value


async def where():
    return asyncio.get_running_loop()


def refused(run, **options):
    coro = answer()
    with pytest.raises(RuntimeError, match=REFUSED):
        run(coro, **options)
    coro.close()


# --- the switch --------------------------------------------------------------------


def names():
    runner = vars(asyncio.Runner)
    return [asyncio.run, asyncio.runners.run, runner["run"], runner["close"],
            runner["_lazy_init"], hasattr(asyncio, "_nest_patched")]


def test_allow_nested_rebinds_and_restores():
    before = names()
    fastasync.allow_nested()
    try:
        fastasync.allow_nested()
        during = names()
        assert during[-1] is True
        assert all(a is not b for a, b in zip(before, during))
        assert asyncio.run.__name__ == "run" and asyncio.run.__doc__
    finally:
        fastasync.allow_nested(False)
    assert names() == before
    fastasync.allow_nested(False)
    assert names() == before


def test_what_others_have_rebound_is_left_alone(monkeypatch):
    fastasync.allow_nested()
    monkeypatch.setattr(asyncio, "run", print)
    fastasync.allow_nested(False)
    assert asyncio.run is print
    monkeypatch.undo()  # to what stood there: ours
    asyncio.run = asyncio.runners.run


def test_it_holds_for_all_loops_that_have_no_setting_of_their_own():
    first, second = fastasync.new_event_loop(), fastasync.new_event_loop()
    second.allow_nested = False
    try:
        fastasync.allow_nested()
        third = fastasync.new_event_loop()
        assert first.allow_nested and third.allow_nested
        assert not second.allow_nested
        fastasync.allow_nested(False)
        assert not first.allow_nested and not third.allow_nested
        first.allow_nested = True
        assert first.allow_nested
    finally:
        fastasync.allow_nested(False)
        for loop in (first, second, third):
            loop.close()


def test_it_can_be_switched_by_the_running_program():
    async def main():
        refused(asyncio.run)
        refused(fastasync.run)
        fastasync.allow_nested()
        try:
            assert asyncio.run(answer(1)) == 1
            assert fastasync.run(answer(2)) == 2
        finally:
            fastasync.allow_nested(False)
        refused(asyncio.run)
        return "done"

    assert fastasync.run(main()) == "done"


def test_a_loop_s_own_no_is_heard(allowed):
    async def main():
        asyncio.get_running_loop().allow_nested = False
        refused(asyncio.run)
        refused(fastasync.run)

    fastasync.run(main())


def test_without_a_running_loop_nothing_changes(allowed):
    loop = asyncio.run(where())
    assert not isinstance(loop, fastasync.Loop) and loop.is_closed()
    assert fastasync.run(where()).is_closed()
    with pytest.raises((TypeError, ValueError)):
        asyncio.run("not a coroutine")
    with pytest.raises(TypeError):
        asyncio.run(answer, bogus=1)


# --- asyncio.run inside -----------------------------------------------------------------


RUNS = {
    "asyncio.run": lambda coro, **options: asyncio.run(coro, **options),
    "fastasync.run": lambda coro, **options: fastasync.run(coro, **options),
    "Runner": lambda coro, **options: runner_run(asyncio.Runner, coro, **options),
    "fastasync.Runner":
        lambda coro, **options: runner_run(fastasync.Runner, coro, **options),
}
each_run = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)


def runner_run(kind, coro, **options):
    with kind(**options) as runner:
        return runner.run(coro)


@each_run
def test_it_runs_on_the_live_loop_and_leaves_everything_alone(allowed, run):
    async def forever():
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def numbers():
        yield 1
        yield 2

    async def inner():
        inside.append(asyncio.create_task(forever()))
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    async def main():
        loop, me = asyncio.get_running_loop(), asyncio.current_task()
        outside = asyncio.create_task(forever())
        agen = numbers()
        await agen.__anext__()
        await loop.run_in_executor(None, time.sleep, 0)
        assert run(inner()) is loop
        assert asyncio.current_task() is me
        assert asyncio.get_running_loop() is loop
        assert asyncio.get_event_loop() is loop
        assert not loop.is_closed() and loop.is_running()
        await asyncio.sleep(0)
        assert not outside.done() and not inside[0].done() and not cancelled
        assert await agen.__anext__() == 2
        assert await loop.run_in_executor(None, len, "abc") == 3
        await agen.aclose()
        return "done"

    inside, cancelled = [], []
    assert fastasync.run(main()) == "done"
    assert cancelled == [True, True]  # by the outer run's own end


@each_run
def test_results_and_exceptions(allowed, run):
    async def fail():
        await asyncio.sleep(0)
        raise ZeroDivisionError("inner")

    async def cancelled():
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    async def main():
        assert run(answer(5, 0.001)) == 5
        with pytest.raises(ZeroDivisionError, match="inner"):
            run(fail())
        with pytest.raises(asyncio.CancelledError):
            run(cancelled())
        assert asyncio.current_task().cancelling() == 0
        assert run(deep(3)) == 3
        return "done"

    async def deep(n):
        return n if n == 0 else run(deep(n - 1)) + 1

    with journal() as log:
        assert fastasync.run(main()) == "done"
    assert log.messages == []


@each_run
def test_what_is_no_coroutine_is_refused_as_ever(allowed, run):
    with pytest.raises((TypeError, ValueError)) as plain:
        asyncio.run(42)

    async def main():
        with pytest.raises(plain.type) as nested:
            run(42)
        return str(nested.value)

    assert fastasync.run(main()) == str(plain.value)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="awaitables since 3.14")
@each_run
def test_awaitables(allowed, run):
    class Awaitable:
        def __await__(self):
            yield from asyncio.sleep(0).__await__()
            return "awaited"

    async def main():
        return run(Awaitable())

    assert fastasync.run(main()) == "awaited"


@each_run
def test_debug_is_set_for_the_run(allowed, run):
    async def debug():
        return asyncio.get_running_loop().get_debug()

    async def main():
        loop = asyncio.get_running_loop()
        assert run(debug(), debug=True) is True
        assert loop.get_debug() is False
        assert run(debug()) is False
        loop.set_debug(True)
        loop.slow_callback_duration = 100
        assert run(debug(), debug=False) is False
        assert run(debug()) is True
        assert loop.get_debug() is True

    fastasync.run(main())


@each_run
def test_a_loop_factory_is_not_needed_on_a_live_loop(allowed, run):
    if run is RUNS["asyncio.run"] and sys.version_info < (3, 12):
        pytest.skip("asyncio.run(loop_factory=) is new in 3.12")

    def factory():
        pytest.fail("a loop was made")

    async def main():
        assert run(where(), loop_factory=factory) is asyncio.get_running_loop()

    fastasync.run(main())


@each_run
def test_the_context_is_a_copy(allowed, run):
    async def inner():
        seen = var.get()
        var.set("inner")
        return seen

    async def main():
        var.set("outer")
        assert run(inner()) == "outer"
        return var.get()

    assert fastasync.run(main()) == "outer"


def test_a_runner_keeps_its_context(allowed):
    async def set_var(value):
        seen = var.get()
        var.set(value)
        return seen

    async def main():
        with asyncio.Runner() as runner:
            assert runner.get_loop() is asyncio.get_running_loop()
            assert runner.run(set_var(1)) == "unset"
            assert runner.run(set_var(2)) == 1
            own = contextvars.copy_context()
            assert runner.run(set_var(3), context=own) == "unset"
            assert own[var] == 3
        with pytest.raises(RuntimeError, match="Runner is closed"):
            runner.get_loop()
        runner.close()
        assert var.get() == "unset"

    fastasync.run(main())


def test_a_runner_runs_inside_of_itself(allowed):
    with fastasync.Runner() as runner:

        async def main(n):
            if n:
                assert runner.run(main(n - 1)) == n - 1
            await asyncio.sleep(0)
            return n

        assert runner.run(main(5)) == 5
        loop = runner.get_loop()
        assert not loop.is_closed()
    assert loop.is_closed()


def test_a_runner_of_another_loop_of_ours(allowed):
    with fastasync.Runner() as other:
        elsewhere = other.get_loop()

        async def main():
            assert other.run(where()) is elsewhere
            return "done"

        assert fastasync.run(main()) == "done"
        assert other.run(where()) is elsewhere


def test_the_run_s_own_task_is_named_as_any(allowed):
    async def name():
        return asyncio.current_task().get_name()

    async def main():
        return asyncio.run(name())

    assert fastasync.run(main()).startswith("Task-")


# --- nested= -----------------------------------------------------------------------------


def test_nested_is_asked_for():
    async def main():
        loop = asyncio.get_running_loop()
        refused(fastasync.run)
        refused(fastasync.run, nested=False)
        assert fastasync.run(where(), nested=True) is loop
        # one run was allowed, not what is called in it
        assert fastasync.run(inner(), nested=True) == "refused"
        return "done"

    async def inner():
        refused(fastasync.run)
        refused(asyncio.run)
        coro = answer()
        with pytest.raises(RuntimeError, match="already running"):
            asyncio.get_running_loop().run_until_complete(coro)
        coro.close()
        return "refused"

    assert fastasync.run(main()) == "done"


def test_nested_without_a_running_loop_is_an_ordinary_run():
    assert fastasync.run(where(), nested=True).is_closed()
    assert fastasync.run(where(), nested=False).is_closed()


def test_nested_false_where_it_is_allowed(allowed):
    async def main():
        refused(fastasync.run, nested=False)
        return fastasync.run(answer(1))

    assert fastasync.run(main()) == 1


# --- interrupts --------------------------------------------------------------------------


def interrupt_soon():
    timer = threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    return timer


@each_run
def test_ctrl_c_cancels_the_innermost_run(allowed, run):
    events = []

    async def inner():
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            events.append("cancelled")
            await asyncio.sleep(0)
            raise

    async def main():
        handler = signal.getsignal(signal.SIGINT)
        timer = interrupt_soon()
        with pytest.raises(KeyboardInterrupt):
            run(inner())
        timer.join()
        assert signal.getsignal(signal.SIGINT) is handler
        await asyncio.sleep(0)
        events.append("went on")
        return "done"

    assert fastasync.run(main()) == "done"
    assert events == ["cancelled", "went on"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_ends_a_program(allowed):
    async def inner():
        await asyncio.sleep(20)

    async def main():
        timer = interrupt_soon()
        try:
            asyncio.run(inner())
        finally:
            timer.join()

    with pytest.raises(KeyboardInterrupt):
        fastasync.run(main())


def test_a_handler_of_the_program_is_left_alone(allowed):
    async def inner(caught):
        while not caught:
            await asyncio.sleep(0.001)
        return "handled"

    async def main():
        timer = interrupt_soon()
        result = asyncio.run(inner(caught))
        timer.join()
        return result

    caught = []
    before = signal.signal(signal.SIGINT, lambda *_: caught.append(1))
    try:
        assert fastasync.run(main()) == "handled"
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_a_run_that_is_left_ends_its_task(allowed, kind):
    events = []

    async def other():
        raise kind("other")

    async def inner():
        task = asyncio.create_task(other())
        try:
            await asyncio.sleep(20)
        finally:
            task.exception()
            await asyncio.sleep(0.001)
            events.append("ended")

    async def main():
        with pytest.raises(kind, match="other"):
            asyncio.run(inner())
        return "done"

    assert fastasync.run(main()) == "done"
    assert events == ["ended"]


def test_a_run_that_is_stopped_ends_its_task(allowed):
    async def inner():
        asyncio.get_running_loop().stop()
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            raise ZeroDivisionError("while ending") from None

    async def main():
        with pytest.raises(RuntimeError, match="stopped before"):
            asyncio.run(inner())
        return "done"

    with journal() as log:
        assert fastasync.run(main()) == "done"
    assert [str(error) for error in log.errors] == ["while ending"]


def test_too_deep(allowed):
    async def deep():
        asyncio.run(deep())

    with journal() as log, pytest.raises(RecursionError, match="deep"):
        fastasync.run(deep())
    assert log.messages == []


# --- where a loop of another kind runs -----------------------------------------------------


def on_asyncio(main):
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(main)


@each_run
def test_in_a_loop_of_another_kind_it_has_its_own(allowed, run):
    async def inner():
        task = asyncio.current_task()
        left = asyncio.create_task(asyncio.sleep(1000))
        await asyncio.sleep(0.001)
        assert asyncio.current_task() is task
        return asyncio.get_running_loop(), left, var.get()

    async def deeper():
        return asyncio.run(where()) is asyncio.get_running_loop()

    async def main():
        loop, me = asyncio.get_running_loop(), asyncio.current_task()
        var.set("outer")
        other = asyncio.create_task(asyncio.sleep(0))
        own, left, seen = run(inner())
        assert type(own) is fastasync.Loop and own.is_closed()
        assert left.cancelled() and seen == "outer"
        assert not other.done()
        assert asyncio.get_running_loop() is loop
        assert asyncio.get_event_loop() is loop
        assert asyncio.current_task() is me
        assert run(deeper()) is True
        with pytest.raises(ZeroDivisionError):
            run(fail())
        await other
        assert asyncio.current_task() is me
        return "done"

    async def fail():
        raise ZeroDivisionError

    assert on_asyncio(main()) == "done"


def test_nested_in_a_loop_of_another_kind():
    async def main():
        own = fastasync.run(where(), nested=True)
        assert own is not asyncio.get_running_loop() and own.is_closed()
        refused(fastasync.run)
        refused(asyncio.run)
        return "done"

    assert on_asyncio(main()) == "done"


def test_a_factory_of_other_loops_is_refused(allowed):
    made = []

    def factory():
        made.append(asyncio.SelectorEventLoop())
        return made[-1]

    async def main():
        refused(fastasync.run, loop_factory=factory)
        assert made[0].is_closed()

    on_asyncio(main())


def test_ctrl_c_in_a_loop_of_another_kind(allowed):
    async def inner():
        await asyncio.sleep(20)

    async def main():
        timer = interrupt_soon()
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(inner())
        timer.join()
        return "done"

    assert on_asyncio(main()) == "done"
