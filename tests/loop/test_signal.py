"""Signals: handlers of the loop, Python's handlers, the wakeup descriptor."""

import asyncio
import gc
import os
import signal
import threading
import time
import weakref

import pytest

from support import compare, journal, run_for, spin, why


@pytest.fixture(autouse=True)
def same_handlers_afterwards():
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
               signal.SIGALRM, signal.SIGCHLD, signal.SIGHUP]
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number in numbers:
        signal.signal(number, before[number])
    assert signal.set_wakeup_fd(-1) == -1


def kill(number=signal.SIGUSR1):
    os.kill(os.getpid(), number)


def turn_until(loop, condition, turns=200):
    """Make turns of a millisecond until *condition()* or too many."""
    for _ in range(turns):
        if condition():
            return
        run_for(loop, 0.001)


# --- add and remove -------------------------------------------------------

def test_handler_runs_in_the_loop(loop):
    seen = []

    def handler(*args):
        seen.append((args, asyncio.get_running_loop()))
        loop.stop()

    assert loop.add_signal_handler(signal.SIGUSR1, handler, 1, 2) is None
    loop.call_soon(kill)
    loop.run_forever()
    assert seen == [((1, 2), loop)]
    assert loop.remove_signal_handler(signal.SIGUSR1) is True


def test_signal_while_the_loop_sleeps(loop):
    loop.add_signal_handler(signal.SIGUSR1, loop.stop)
    timer = threading.Timer(0.02, kill)
    timer.start()
    loop.run_forever()
    timer.join()
    loop.remove_signal_handler(signal.SIGUSR1)


def test_signal_before_the_loop_runs(loop):
    seen = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, 1)
    kill()
    turn_until(loop, lambda: seen)
    assert seen == [1]
    loop.remove_signal_handler(signal.SIGUSR1)


def test_alarm(loop):
    loop.add_signal_handler(signal.SIGALRM, loop.stop)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    loop.run_forever()
    loop.remove_signal_handler(signal.SIGALRM)


def test_replacing(loop):
    seen = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, "old")
    loop.add_signal_handler(signal.SIGUSR1, seen.append, "new")
    kill()
    turn_until(loop, lambda: seen)
    assert seen == ["new"]
    assert loop.remove_signal_handler(signal.SIGUSR1) is True
    assert loop.remove_signal_handler(signal.SIGUSR1) is False


def test_remove_tells_whether_there_was_one(loop):
    assert loop.remove_signal_handler(signal.SIGUSR1) is False
    loop.add_signal_handler(signal.SIGUSR1, print)
    assert loop.remove_signal_handler(signal.SIGUSR2) is False
    assert loop.remove_signal_handler(signal.SIGUSR1) is True
    assert loop.remove_signal_handler(signal.SIGUSR1) is False


def test_default_actions_after_removal(loop):
    for number, expected in ((signal.SIGUSR1, signal.SIG_DFL),
                             (signal.SIGTERM, signal.SIG_DFL),
                             (signal.SIGINT, signal.default_int_handler)):
        loop.add_signal_handler(number, print)
        assert callable(signal.getsignal(number))
        loop.remove_signal_handler(number)
        assert signal.getsignal(number) == expected


def test_handler_removes_itself(loop):
    seen = []
    loop.add_signal_handler(
        signal.SIGUSR1,
        lambda: seen.append(loop.remove_signal_handler(signal.SIGUSR1)))
    kill()
    turn_until(loop, lambda: seen)
    assert seen == [True]


def test_several_signals(loop):
    seen = []
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        loop.add_signal_handler(number, seen.append, number)
        kill(number)
    turn_until(loop, lambda: len(seen) == 3)
    assert sorted(seen) == sorted([signal.SIGUSR1, signal.SIGUSR2,
                                   signal.SIGHUP])
    for number in seen:
        assert loop.remove_signal_handler(number) is True


def test_many_signals_all_arrive(loop):
    """One at a time: signals that are pending together are one."""
    seen = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, 1)
    for count in range(1, 51):
        kill()
        turn_until(loop, lambda: len(seen) == count)
    assert len(seen) == 50
    loop.remove_signal_handler(signal.SIGUSR1)


def test_error_in_a_handler_is_reported(loop):
    def bad():
        raise ValueError("bad handler")

    loop.add_signal_handler(signal.SIGUSR1, bad)
    with journal() as log:
        kill()
        turn_until(loop, lambda: log.records)
        kill()
        turn_until(loop, lambda: len(log.records) == 2)
    assert [str(error) for error in log.errors] == ["bad handler"] * 2
    loop.remove_signal_handler(signal.SIGUSR1)


def test_closing_removes_handlers(new_loop):
    class Thing:
        def method(self):
            pass

    thing = Thing()
    ref = weakref.ref(thing)
    loop = new_loop()
    loop.add_signal_handler(signal.SIGUSR1, thing.method)
    loop.add_signal_handler(signal.SIGINT, thing.method)
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    del thing, loop
    gc.collect()
    assert ref() is None


def test_wakeup_descriptor_is_set_and_cleared(loop):
    loop.add_signal_handler(signal.SIGUSR1, print)
    during = signal.set_wakeup_fd(-1)
    assert during != -1
    signal.set_wakeup_fd(during)
    loop.add_signal_handler(signal.SIGUSR2, print)
    loop.remove_signal_handler(signal.SIGUSR1)
    assert signal.set_wakeup_fd(during) == during
    loop.remove_signal_handler(signal.SIGUSR2)
    assert signal.set_wakeup_fd(-1) == -1


def test_handler_has_the_context_of_the_call(loop):
    import contextvars
    var = contextvars.ContextVar("var", default=None)
    seen = []
    var.set("at add")
    loop.add_signal_handler(signal.SIGUSR1, lambda: seen.append(var.get()))
    var.set("later")
    kill()
    turn_until(loop, lambda: seen)
    loop.remove_signal_handler(signal.SIGUSR1)
    assert seen == ["at add"]


# --- Python's own handlers ------------------------------------------------

def test_python_handler_runs_while_the_loop_sleeps(loop):
    seen = []

    def handler(number, frame):
        seen.append(number)
        loop.call_soon_threadsafe(loop.stop)

    signal.signal(signal.SIGUSR1, handler)
    timer = threading.Timer(0.02, kill)
    timer.start()
    loop.run_forever()
    timer.join()
    assert seen == [signal.SIGUSR1]


def test_python_handler_does_not_end_the_wait(loop):
    """After EINTR the loop goes on waiting for what it waited for."""
    seen = []
    signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.004, 0.004)
    began = time.monotonic()
    run_for(loop, 0.05)
    took = time.monotonic() - began
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert took >= 0.05
    assert seen  # how many of them is the scheduler's business


def test_exception_in_a_python_handler_leaves_the_loop(loop):
    class Out(Exception):
        pass

    def handler(number, frame):
        raise Out

    signal.signal(signal.SIGALRM, handler)
    loop.call_soon(signal.setitimer, signal.ITIMER_REAL, 0.02)
    with pytest.raises(Out):
        loop.run_forever()
    assert not loop.is_running()
    seen = []
    loop.call_soon(seen.append, 1)
    spin(loop)
    assert seen == [1]


def interrupt_soon(loop):
    """KeyboardInterrupt from a signal, but not before the loop runs."""
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    loop.call_soon(signal.setitimer, signal.ITIMER_REAL, 0.02)


def test_keyboard_interrupt_while_the_loop_sleeps(loop):
    interrupt_soon(loop)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert not loop.is_running()
    assert loop.run_until_complete(asyncio.sleep(0, "usable")) == "usable"


@pytest.fixture
def interruptible(loop, side):
    if not side.ours:
        pytest.skip("asyncio's loop is Python code: an interrupt may strike "
                    "inside it and leave a task without its wake-up")
    return loop


def test_keyboard_interrupt_while_the_loop_is_busy(interruptible):
    loop = interruptible
    interrupt_soon(loop)
    turns = []

    def busy():
        turns.append(1)
        loop.call_soon(busy)

    loop.call_soon(busy)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert turns


def test_keyboard_interrupt_in_a_busy_task(interruptible):
    loop = interruptible

    async def busy():
        while True:
            await asyncio.sleep(0)

    task = loop.create_task(busy())
    interrupt_soon(loop)
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(task)
    if not task.done():
        # It struck between two steps: the task goes on.
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
    else:
        with pytest.raises(KeyboardInterrupt):
            task.result()


def test_runner_turns_sigint_into_a_cancellation(side):
    """asyncio.Runner's way: the main task is cancelled, then the error."""
    seen = []

    async def main():
        try:
            threading.Timer(0.02, kill, [signal.SIGINT]).start()
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with pytest.raises(KeyboardInterrupt):
        with asyncio.Runner(loop_factory=side.new_loop) as runner:
            runner.run(main())
    assert seen == ["cancelled"]


def test_wakeup_descriptor_of_somebody_else(loop):
    """A program that uses set_wakeup_fd itself gets its bytes."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.set_wakeup_fd(write)
    try:
        kill()
        spin(loop, 2)
        assert os.read(read, 10) == bytes([signal.SIGUSR1])
    finally:
        assert signal.set_wakeup_fd(-1) == write
        os.close(read)
        os.close(write)


# --- refusals -------------------------------------------------------------

def test_refusals():
    def scenario(side, loop):
        async def coroutine():
            pass

        async def other_thread():
            raise AssertionError("not reached")

        object_ = coroutine()
        calls = [
            lambda: loop.add_signal_handler(signal.SIGKILL, print),
            lambda: loop.add_signal_handler(signal.SIGSTOP, print),
            lambda: loop.add_signal_handler(0, print),
            lambda: loop.add_signal_handler(-1, print),
            lambda: loop.add_signal_handler(10000, print),
            lambda: loop.add_signal_handler("SIGINT", print),
            lambda: loop.add_signal_handler(2.5, print),
            lambda: loop.add_signal_handler(None, print),
            lambda: loop.add_signal_handler(signal.SIGUSR1, coroutine),
            lambda: loop.add_signal_handler(signal.SIGUSR1, object_),
            lambda: loop.remove_signal_handler(0),
            lambda: loop.remove_signal_handler(10000),
            lambda: loop.remove_signal_handler("SIGINT"),
            lambda: loop.remove_signal_handler(signal.SIGKILL),
        ]
        seen = []
        for call in calls:
            try:
                seen.append(call())
            except Exception as error:
                seen.append(why(error))
            assert signal.set_wakeup_fd(-1) == -1, calls.index(call)
        object_.close()
        return seen
    seen = compare(scenario)
    assert seen[0] == "RuntimeError: sig 9 cannot be caught"
    assert seen[8] == ("TypeError: coroutines cannot be used with "
                       "add_signal_handler()")
    assert seen[-1] is False


def test_refused_outside_the_main_thread():
    def scenario(side, loop):
        seen = []

        def attempt():
            try:
                loop.add_signal_handler(signal.SIGUSR1, print)
            except Exception as error:
                seen.append(why(error))

        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
        return seen, signal.getsignal(signal.SIGUSR1)
    seen, handler = compare(scenario)
    assert len(seen) == 1 and handler == signal.SIG_DFL


def test_loop_in_another_thread_does_not_touch_signals(side):
    def live():
        loop = side.new_loop()
        loop.run_until_complete(asyncio.sleep(0.001))
        loop.close()

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=live)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before
