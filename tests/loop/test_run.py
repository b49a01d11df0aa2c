"""Running, stopping and closing: run_forever, run_until_complete, close."""

import asyncio
import gc
import sys
import threading

import pytest

from support import (compare, hooks, journal, plain, recorded_warnings,
                     run_for, spin, why)


async def nothing():
    return None


async def answer(value=42):
    await asyncio.sleep(0)
    return value


# --- run_until_complete ---------------------------------------------------

def test_result_of_a_coroutine(loop):
    assert loop.run_until_complete(answer(7)) == 7


def test_result_of_a_future(loop):
    future = loop.create_future()
    loop.call_soon(future.set_result, "set")
    assert loop.run_until_complete(future) == "set"


def test_result_of_a_done_future(loop):
    future = loop.create_future()
    future.set_result(1)
    assert loop.run_until_complete(future) == 1
    assert loop.run_until_complete(future) == 1


def test_result_of_an_awaitable(loop):
    class Awaitable:
        def __await__(self):
            yield
            return "awaited"

    assert loop.run_until_complete(Awaitable()) == "awaited"


def test_exception_of_a_coroutine(loop):
    async def bad():
        raise ValueError("bad")

    with pytest.raises(ValueError, match="^bad$"):
        loop.run_until_complete(bad())
    assert loop.run_until_complete(answer()) == 42


def test_cancelled_task(loop):
    task = loop.create_task(asyncio.sleep(100))
    loop.call_soon(task.cancel, "why")
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)


def test_stopped_before_complete(loop):
    future = loop.create_future()
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError) as caught:
        loop.run_until_complete(future)
    assert str(caught.value) == "Event loop stopped before Future completed."
    assert not loop.is_running()
    future.set_result(None)
    spin(loop, 2)
    assert loop.run_until_complete(answer()) == 42


def test_callback_is_removed_when_stopped(loop):
    """A later completion must not stop an unrelated run."""
    future = loop.create_future()
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError):
        loop.run_until_complete(future)
    future.set_result(None)
    assert loop.run_until_complete(asyncio.sleep(0.002, "done")) == "done"


def test_the_callback_is_asyncios_own(loop):
    """Libraries find the root task by the identity of this callback."""
    async def main():
        return list(asyncio.current_task()._callbacks)

    callbacks = loop.run_until_complete(main())
    assert [entry[0] for entry in callbacks] == [
        asyncio.base_events._run_until_complete_cb]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_exits_in_the_task(loop, kind):
    async def leave():
        await asyncio.sleep(0)
        raise kind("out")

    with pytest.raises(kind, match="out"):
        loop.run_until_complete(leave())
    assert not loop.is_running()
    assert loop.run_until_complete(answer()) == 42


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_exits_in_another_task(loop, kind):
    async def leave():
        raise kind("out")

    async def main():
        loop.create_task(leave())
        await asyncio.sleep(0.001)
        return "finished"

    task = loop.create_task(main())
    with journal():
        with pytest.raises(kind, match="out"):
            loop.run_until_complete(task)
        assert not task.done()
        assert loop.run_until_complete(task) == "finished"
        gc.collect()


def test_nothing_is_logged_when_an_exit_leaves(loop):
    async def leave():
        raise KeyboardInterrupt

    with journal() as log:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(leave())
        gc.collect()
    assert log.messages == []


def test_bad_arguments():
    def scenario(side, loop):
        seen = []
        other = side.new_loop()
        foreign = other.create_future()
        for thing in (None, 1, "text", nothing, foreign, object()):
            try:
                loop.run_until_complete(thing)
            except Exception as error:
                seen.append(plain(why(error)))
            else:
                seen.append("no error")
        other.close()
        return [text.split(" at 0x")[0] for text in seen]
    seen = compare(scenario)
    assert seen[0] == ("TypeError: An Future, a coroutine or an awaitable "
                       "is required")
    assert seen[4].startswith("ValueError: The future belongs to a different "
                              "loop than the one specified as the loop")


def test_stop_in_a_done_callback_order(loop):
    """run_until_complete stops at the end of the turn that completes it."""
    ran = []

    async def main():
        asyncio.current_task().add_done_callback(
            lambda _: ran.append("callback"))
        loop.call_soon(ran.append, "soon")

    loop.run_until_complete(main())
    assert ran == ["soon", "callback"]


# --- is_running and nesting -----------------------------------------------

def test_is_running(loop):
    seen = []
    assert loop.is_running() is False
    loop.call_soon(lambda: seen.append(loop.is_running()))
    spin(loop)
    assert seen == [True]
    assert loop.is_running() is False


def test_running_loop_is_set(loop):
    seen = []
    loop.call_soon(lambda: seen.append(asyncio.get_running_loop()))
    loop.call_soon(lambda: seen.append(asyncio._get_running_loop()))
    loop.call_soon(lambda: seen.append(asyncio.events.get_running_loop()))
    spin(loop)
    assert seen == [loop] * 3
    assert asyncio._get_running_loop() is None


def test_running_loop_is_per_thread(loop):
    seen = []

    def look():
        thread = threading.Thread(
            target=lambda: seen.append(asyncio._get_running_loop()))
        thread.start()
        thread.join()

    loop.call_soon(look)
    spin(loop)
    assert seen == [None]


NESTING_WORKS = sys.version_info[:3] != (3, 13, 0)
NESTING_BROKEN = ("a refused nested run of asyncio 3.13.0 resets the running "
                  "loop; 3.13.1 repaired it")


@pytest.fixture
def outer(loop, side):
    """A loop in which a refused nested run does no harm."""
    if not side.ours and not NESTING_WORKS:
        pytest.skip(NESTING_BROKEN)
    return loop


@pytest.mark.parametrize("call", ["run_forever", "run_until_complete",
                                  "close"])
@pytest.mark.parametrize("which", ["same", "other"])
def test_nested_runs(outer, new_loop, which, call):
    inner = outer if which == "same" else new_loop()
    if call == "close" and which == "other":
        expected = None
    elif call == "close":
        expected = "Cannot close a running event loop"
    elif which == "same":
        expected = "This event loop is already running"
    else:
        expected = "Cannot run the event loop while another loop is running"
    coro = nothing()

    async def main():
        try:
            if call == "run_until_complete":
                inner.run_until_complete(coro)
            else:
                getattr(inner, call)()
        except RuntimeError as error:
            return str(error)

    assert outer.run_until_complete(main()) == expected
    coro.close()


def test_running_in_another_thread_is_refused(outer):
    loop = outer
    seen = []

    def other():
        for call in (loop.run_forever, loop.close):
            try:
                call()
            except RuntimeError as error:
                seen.append(str(error))

    def start():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    loop.call_soon(start)
    spin(loop)
    assert seen == ["This event loop is already running",
                    "Cannot close a running event loop"]


def test_a_failed_nested_run_does_not_stop_the_outer(outer):
    loop = outer

    async def main():
        with pytest.raises(RuntimeError):
            loop.run_forever()
        await asyncio.sleep(0)
        assert loop.is_running()
        assert asyncio.get_running_loop() is loop
        return "fine"

    assert loop.run_until_complete(main()) == "fine"


def test_two_loops_in_two_threads(new_loop):
    loops = [new_loop(), new_loop()]
    results = []

    async def talk(other):
        for _ in range(50):
            future = asyncio.wrap_future(
                asyncio.run_coroutine_threadsafe(answer(1), other))
            results.append(await future)

    def run(mine, other):
        mine.run_until_complete(talk(other))

    helper = new_loop()
    helper_thread = threading.Thread(target=helper.run_forever)
    helper_thread.start()
    threads = [threading.Thread(target=run, args=[loop, helper])
               for loop in loops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    helper.call_soon_threadsafe(helper.stop)
    helper_thread.join()
    assert results == [1] * 100


def test_loop_moves_to_another_thread(loop):
    seen = []
    loop.run_until_complete(answer())
    thread = threading.Thread(
        target=lambda: seen.append(loop.run_until_complete(answer(5))))
    thread.start()
    thread.join()
    assert seen == [5]
    assert loop.run_until_complete(answer(6)) == 6


# --- close ----------------------------------------------------------------

def test_close(loop):
    assert loop.is_closed() is False
    loop.close()
    assert loop.is_closed() is True
    loop.close()


def test_everything_is_refused_after_close():
    def scenario(side, loop):
        seen = []
        loop.close()
        coro = nothing()
        calls = {
            "call_soon": lambda: loop.call_soon(print),
            "call_soon_threadsafe": lambda: loop.call_soon_threadsafe(print),
            "call_later": lambda: loop.call_later(1, print),
            "call_at": lambda: loop.call_at(1, print),
            "run_forever": loop.run_forever,
            "run_until_complete": lambda: loop.run_until_complete(coro),
            "create_task": lambda: loop.create_task(coro),
            "run_in_executor": lambda: loop.run_in_executor(None, print),
            "add_reader": lambda: loop.add_reader(0, print),
            "add_writer": lambda: loop.add_writer(0, print),
            "remove_reader": lambda: loop.remove_reader(0),
            "remove_writer": lambda: loop.remove_writer(0),
            "add_signal_handler": lambda: loop.add_signal_handler(10, print),
            "create_future": lambda: loop.create_future() and None,
            "stop": loop.stop,
            "time": lambda: loop.time() and None,
            "get_debug": loop.get_debug,
            "is_running": loop.is_running,
            "repr": lambda: plain(repr(loop)),
        }
        for name, call in calls.items():
            try:
                seen.append((name, call()))
            except Exception as error:
                seen.append((name, why(error)))
        coro.close()
        return seen
    seen = dict(compare(scenario))
    assert seen["call_soon"] == "RuntimeError: Event loop is closed"
    assert seen["call_at"] == "RuntimeError: Event loop is closed"


def test_close_with_pending_work(side):
    """Nothing of it runs, nothing is reported but the pending task."""
    loop = side.new_loop()
    ran = []
    loop.call_soon(ran.append, 1)
    loop.call_later(0, ran.append, 2)
    loop.call_soon_threadsafe(ran.append, 3)
    with journal() as log:
        loop.close()
        gc.collect()
    assert ran == [] and log.messages == []


def test_repr():
    def scenario(side, loop):
        seen = [repr(loop)]
        loop.call_soon(lambda: seen.append(repr(loop)))
        spin(loop)
        loop.set_debug(True)
        seen.append(repr(loop))
        loop.close()
        seen.append(repr(loop))
        name = type(loop).__name__
        return [text.replace(f"<{name} ", "<LOOP ") for text in seen]
    assert compare(scenario) == [
        "<LOOP running=False closed=False debug=False>",
        "<LOOP running=True closed=False debug=False>",
        "<LOOP running=False closed=False debug=True>",
        "<LOOP running=False closed=True debug=True>",
    ]


def test_warning_for_a_loop_that_was_never_closed():
    def scenario(side, _):
        loop = side.new_loop()
        with recorded_warnings() as texts:
            del loop
            gc.collect()
        return [text for text in texts if "event loop" in text]
    seen = compare(scenario)
    assert seen == ["ResourceWarning: unclosed event loop "
                    "<LOOP running=False closed=False debug=False>"]


def test_no_warning_for_a_closed_loop(side):
    loop = side.new_loop()
    loop.run_until_complete(answer())
    loop.close()
    with recorded_warnings() as texts:
        del loop
        gc.collect()
    assert texts == []


# --- asynchronous generators ----------------------------------------------

def test_shutdown_asyncgens_closes_them(loop):
    closed = []

    async def numbers(name):
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append(name)

    async def main():
        kept = [numbers("a"), numbers("b")]
        for generator in kept:
            await generator.__anext__()
        return kept

    kept = loop.run_until_complete(main())
    assert closed == []
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert sorted(closed) == ["a", "b"]
    assert len(kept) == 2


def test_shutdown_asyncgens_reports_errors():
    def scenario(side, loop):
        async def bad():
            try:
                yield 1
            finally:
                raise ValueError("in the generator")

        async def main():
            generator = bad()
            await generator.__anext__()
            return generator

        seen = []
        loop.set_exception_handler(
            lambda loop, context: seen.append(
                (plain(context["message"]), why(context["exception"]),
                 sorted(context))))
        kept = loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_asyncgens())
        del kept
        return seen
    seen = compare(scenario)
    assert seen[0][1] == "ValueError: in the generator"


def test_forgotten_generator_is_closed_by_the_loop(loop):
    closed = []

    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append(asyncio.get_running_loop())

    async def main():
        async for _ in numbers():
            break
        gc.collect()
        await asyncio.sleep(0.002)

    loop.run_until_complete(main())
    assert closed == [loop]


def test_generator_after_shutdown_warns():
    def scenario(side, loop):
        async def late():
            yield 1

        async def main():
            generator = late()
            await generator.__anext__()
            await generator.aclose()

        loop.run_until_complete(loop.shutdown_asyncgens())
        with recorded_warnings() as texts:
            loop.run_until_complete(main())
        return texts
    texts = compare(scenario)
    assert len(texts) == 1
    assert texts[0].startswith("ResourceWarning: asynchronous generator ")
    assert "was scheduled after loop.shutdown_asyncgens() call" in texts[0]


def test_asyncgen_hooks_are_restored(loop):
    before = sys.get_asyncgen_hooks()
    seen = []
    loop.call_soon(lambda: seen.append(sys.get_asyncgen_hooks()))
    spin(loop)
    assert seen[0].firstiter is not None and seen[0] != before
    assert sys.get_asyncgen_hooks() == before

    def leave():
        raise KeyboardInterrupt

    loop.call_soon(leave)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert sys.get_asyncgen_hooks() == before


# --- the default executor -------------------------------------------------

def test_run_in_executor(loop):
    assert loop.run_until_complete(
        loop.run_in_executor(None, sum, [1, 2, 3])) == 6
    loop.run_until_complete(loop.shutdown_default_executor())


def test_executor_is_refused_after_shutdown():
    def scenario(side, loop):
        loop.run_until_complete(loop.run_in_executor(None, len, "ab"))
        loop.run_until_complete(loop.shutdown_default_executor())
        try:
            loop.run_in_executor(None, len, "ab")
        except RuntimeError as error:
            return why(error)
    assert compare(scenario) == ("RuntimeError: Executor shutdown has been "
                                 "called")


def test_executor_error(loop):
    with pytest.raises(ZeroDivisionError):
        loop.run_until_complete(loop.run_in_executor(None, divmod, 1, 0))


@pytest.mark.skipif(sys.version_info < (3, 13),
                    reason="the timeout came with 3.12, and in 3.12.1 it "
                    "waits for the threads all the same")
def test_shutdown_of_the_executor_gives_up(loop):
    release = threading.Event()
    guard = threading.Timer(20, release.set)
    guard.start()

    async def main():
        loop.run_in_executor(None, release.wait)
        with recorded_warnings() as texts:
            await loop.shutdown_default_executor(timeout=0.05)
        release.set()
        return [text for text in texts if "executor" in text]

    texts = loop.run_until_complete(main())
    guard.cancel()
    guard.join()
    assert texts == ["RuntimeWarning: The executor did not finishing joining "
                     "its threads within 0.05 seconds."]


def test_debug_flag(loop, side, monkeypatch):
    assert loop.get_debug() is False
    loop.set_debug(True)
    assert loop.get_debug() is True
    loop.set_debug(False)
    assert loop.get_debug() is False
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    other = side.new_loop()
    assert other.get_debug() is True
    other.close()


def test_no_unraisable_in_a_plain_life(side):
    with hooks() as caught, journal() as log:
        loop = side.new_loop()
        loop.run_until_complete(answer())
        run_for(loop, 0.001)
        loop.close()
        del loop
        gc.collect()
    assert caught == [] and log.messages == []
