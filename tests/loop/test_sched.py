"""Order and time: call_soon, call_later, call_at, call_soon_threadsafe."""

import contextvars
import math
import os
import random
import threading
import time

import fastasync
import pytest

from support import compare, journal, run_for, spin


# --- call_soon ------------------------------------------------------------

def test_call_soon_runs_in_order(loop):
    ran = []
    for number in range(1000):
        loop.call_soon(ran.append, number)
    spin(loop)
    assert ran == list(range(1000))


def test_call_soon_passes_any_number_of_arguments(loop):
    ran = []
    for count in range(12):
        loop.call_soon(lambda *args: ran.append(args), *range(count))
    spin(loop)
    assert ran == [tuple(range(count)) for count in range(12)]


def test_callbacks_added_in_a_turn_run_in_the_next(loop):
    ran = []

    def first():
        ran.append("first")
        loop.call_soon(ran.append, "third")

    loop.call_soon(first)
    loop.call_soon(ran.append, "second")
    spin(loop)
    assert ran == ["first", "second"]
    spin(loop)
    assert ran == ["first", "second", "third"]


def test_many_callbacks_added_while_running(loop):
    ran = []

    def grow(depth):
        ran.append(depth)
        if depth < 12:
            loop.call_soon(grow, depth + 1)
            loop.call_soon(grow, depth + 1)
        elif len(ran) == 2 ** 13 - 1:
            loop.stop()

    loop.call_soon(grow, 0)
    loop.run_forever()
    assert ran == [depth for depth in range(13) for _ in range(2 ** depth)]


def test_cancel_before_the_turn(loop):
    ran = []
    handle = loop.call_soon(ran.append, 1)
    loop.call_soon(ran.append, 2)
    handle.cancel()
    spin(loop, 2)
    assert ran == [2]


def test_cancel_within_the_turn(loop):
    ran = []
    loop.call_soon(lambda: handle.cancel())
    handle = loop.call_soon(ran.append, 1)
    loop.call_soon(ran.append, 2)
    spin(loop, 2)
    assert ran == [2]


def test_cancel_oneself_while_running(loop):
    ran = []

    def callback():
        handle.cancel()
        ran.append(handle.cancelled())

    handle = loop.call_soon(callback)
    spin(loop, 2)
    assert ran == [True]


def test_cancel_twice_and_after_the_run(loop):
    handle = loop.call_soon(lambda: None)
    spin(loop)
    assert not handle.cancelled()
    handle.cancel()
    handle.cancel()
    assert handle.cancelled()


def test_context(loop):
    var = contextvars.ContextVar("var", default="outer")
    seen = []
    context = contextvars.copy_context()
    context.run(var.set, "inner")
    loop.call_soon(lambda: seen.append(var.get()), context=context)
    loop.call_soon(lambda: seen.append(var.get()))
    loop.call_later(0, lambda: seen.append(var.get()), context=context)
    loop.call_soon_threadsafe(lambda: seen.append(var.get()),
                              context=context)
    run_for(loop, 0.01)
    assert sorted(seen) == ["inner", "inner", "inner", "outer"]
    assert seen[:2] == ["inner", "outer"]


def test_context_is_a_copy_taken_at_the_call(loop):
    var = contextvars.ContextVar("var", default=0)
    seen = []

    def callback():
        seen.append(var.get())
        var.set(99)

    var.set(1)
    loop.call_soon(callback)
    var.set(2)
    loop.call_soon(callback)
    var.set(3)
    spin(loop)
    assert seen == [1, 2]
    assert var.get() == 3


def test_nobody_needs_to_keep_the_handle(loop):
    ran = []
    for number in range(100):
        loop.call_soon(ran.append, number)
        loop.call_later(0, ran.append, number + 100)
    run_for(loop, 0.01)
    assert sorted(ran) == list(range(200))
    assert ran[:100] == list(range(100))


# --- timers ---------------------------------------------------------------

def test_timers_run_in_the_order_of_their_time(loop):
    numbers = list(range(500))
    random.Random(1).shuffle(numbers)
    base = loop.time() + 0.01
    ran = []
    for number in numbers:
        loop.call_at(base + number * 1e-5, ran.append, number)
    loop.call_at(base + 0.1, loop.stop)
    loop.run_forever()
    assert ran == sorted(numbers)


def test_timers_all_due_at_once_keep_the_order_of_their_time(loop):
    numbers = list(range(200))
    random.Random(2).shuffle(numbers)
    base = loop.time() - 300
    ran = []
    for number in numbers:
        loop.call_at(base + number, ran.append, number)
    spin(loop)
    assert ran == sorted(numbers)


def test_never_early(loop, side):
    resolution = time.get_clock_info("monotonic").resolution
    allowance = 0 if side.ours else resolution
    early = []

    def check(when):
        now = loop.time()
        if now < when - allowance:
            early.append(when - now)

    rng = random.Random(3)
    base = loop.time()
    for _ in range(300):
        when = base + rng.random() * 0.05
        loop.call_at(when, check, when)
    run_for(loop, 0.08)
    assert early == []


def test_sleeping_timers_are_never_early(loop):
    """One timer at a time, so that each of them ends a wait in the poll."""
    delays = [0.0001, 0.0005, 0.001, 0.0015, 0.0029, 0.004]
    took = []

    def next_one(began, delay):
        took.append((time.monotonic() - began, delay))
        if delays:
            start()
        else:
            loop.stop()

    def start():
        delay = delays.pop()
        loop.call_later(delay, next_one, time.monotonic(), delay)

    start()
    loop.run_forever()
    assert len(took) == 6
    assert [pair for pair in took if pair[0] < pair[1]] == []


def test_time_is_the_monotonic_clock(loop):
    before = time.monotonic()
    now = loop.time()
    assert before <= now <= time.monotonic()
    assert type(now) is float


def test_when_of_call_later_is_now_plus_the_delay(loop):
    before = loop.time()
    handle = loop.call_later(7.5, lambda: None)
    assert before + 7.5 <= handle.when() <= loop.time() + 7.5


@pytest.mark.parametrize("when", [1, 12.5, 10 ** 9, -3, True, 1e300])
def test_when_of_call_at_is_what_was_given(loop, when):
    assert loop.call_at(when, lambda: None).when() == when


def test_cancelled_timers_do_not_run(loop):
    ran = []
    base = loop.time()
    handles = [loop.call_at(base + i * 1e-5, ran.append, i)
               for i in range(300)]
    for handle in handles[::2]:
        handle.cancel()
    loop.call_at(base + 0.03, loop.stop)
    loop.run_forever()
    assert ran == list(range(1, 300, 2))


def test_a_timer_cancels_another_that_is_due_too(loop):
    ran = []
    base = loop.time() - 10
    loop.call_at(base, lambda: second.cancel())
    second = loop.call_at(base + 1, ran.append, "second")
    loop.call_at(base + 2, ran.append, "third")
    spin(loop, 2)
    assert ran == ["third"]


def test_cancel_after_it_ran(loop):
    ran = []
    handle = loop.call_later(0, ran.append, 1)
    run_for(loop, 0.01)
    handle.cancel()
    assert handle.cancelled()
    run_for(loop, 0.001)
    assert ran == [1]


def test_many_cancelled_timers(loop):
    """More than the number at which asyncio starts to sweep its heap."""
    ran = []
    for round_ in range(5):
        handles = [loop.call_later(1000 + i, ran.append, i)
                   for i in range(400)]
        random.Random(round_).shuffle(handles)
        keep = handles.pop()
        for handle in handles:
            handle.cancel()
        spin(loop)
        assert not keep.cancelled()
        keep.cancel()
    loop.call_later(0.001, ran.append, "due")
    run_for(loop, 0.005)
    assert ran == ["due"]


def test_zero_and_negative_delays_run_in_the_next_turn(loop):
    ran = []
    loop.call_later(-1000, ran.append, "negative")
    loop.call_at(0, ran.append, "epoch")
    loop.call_later(-math.inf, ran.append, "-inf")
    spin(loop)
    assert sorted(ran) == ["-inf", "epoch", "negative"]


@pytest.mark.parametrize("delay", [math.inf, 1e300, 1e18, 1e10, 10 ** 30,
                                   86400 * 365 * 300.0])
def test_huge_delays_wait_and_can_be_cancelled(loop, delay):
    ran = []
    late = loop.call_later(delay, ran.append, "late")
    loop.call_later(0.002, ran.append, "soon")
    run_for(loop, 0.005)
    assert ran == ["soon"]
    assert late.when() >= delay
    late.cancel()
    run_for(loop, 0.002)
    assert ran == ["soon"]


def test_only_a_huge_timer_and_a_wakeup(loop):
    """The poll has nothing but the huge timer to compute its wait from."""
    loop.call_later(math.inf, loop.stop)
    loop.call_later(1e300, loop.stop)
    thread = threading.Timer(0.02, loop.call_soon_threadsafe, [loop.stop])
    thread.start()
    loop.run_forever()
    thread.join()


def test_nan_runs_with_the_turn():
    """With something to do the wait is zero and NaN is not in the future."""
    def scenario(side, loop):
        ran = []
        loop.call_at(math.nan, ran.append, "nan")
        loop.call_soon(ran.append, "soon")
        spin(loop)
        return ran
    assert compare(scenario) == ["soon", "nan"]


@pytest.mark.parametrize("order", ["nan first", "nan last"])
def test_nan_does_not_disturb_other_timers_much(loop, order):
    """Where NaN sorts is nobody's promise; that the rest runs is."""
    ran = []
    if order == "nan first":
        loop.call_at(math.nan, ran.append, "nan")
    loop.call_later(-1, ran.append, "past")
    if order == "nan last":
        loop.call_at(math.nan, ran.append, "nan")
    loop.call_soon(ran.append, "soon")
    spin(loop, 2)
    assert ran[0] == "soon"
    assert sorted(ran) == ["nan", "past", "soon"]


# --- sources of work against each other -----------------------------------

def test_order_of_soon_io_and_timers(loop):
    """What was ready, then what the poll found, then the timers due."""
    ran = []
    read, write = os.pipe()
    try:
        loop.add_reader(read, lambda: (ran.append("io"),
                                       loop.remove_reader(read)))
        os.write(write, b"x")
        loop.call_at(loop.time() - 1, ran.append, "timer")
        loop.call_soon(ran.append, "soon")
        spin(loop)
    finally:
        os.close(read)
        os.close(write)
    assert ran == ["soon", "io", "timer"]


def test_busy_ring_does_not_starve_timers_and_io(loop):
    ran = set()
    read, write = os.pipe()

    def busy():
        if ran != {"io", "timer"}:
            loop.call_soon(busy)
        else:
            loop.stop()

    def readable():
        ran.add("io")
        loop.remove_reader(read)

    try:
        loop.add_reader(read, readable)
        os.write(write, b"x")
        loop.call_later(0.002, ran.add, "timer")
        loop.call_soon(busy)
        guard = threading.Timer(20, loop.call_soon_threadsafe, [loop.stop])
        guard.start()
        loop.run_forever()
        guard.cancel()
        guard.join()
    finally:
        os.close(read)
        os.close(write)
    assert ran == {"io", "timer"}


# --- call_soon_threadsafe -------------------------------------------------

def test_threadsafe_wakes_a_sleeping_loop(loop):
    ran = []

    def from_thread():
        time.sleep(0.02)
        loop.call_soon_threadsafe(ran.append, threading.get_ident())
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=from_thread)
    thread.start()
    loop.run_forever()
    thread.join()
    assert ran == [thread.ident]


def test_threadsafe_before_the_loop_runs(loop):
    ran = []
    thread = threading.Thread(
        target=lambda: [loop.call_soon_threadsafe(ran.append, i)
                        for i in range(1000)])
    thread.start()
    thread.join()
    spin(loop)
    assert ran == list(range(1000))


def test_threadsafe_from_many_threads_keeps_each_order(loop):
    ran = []
    count, each = 4, 2000
    left = threading.Semaphore(0)

    def send(name):
        for number in range(each):
            loop.call_soon_threadsafe(ran.append, (name, number))
        left.release()

    def wait_for_all():
        for _ in range(count):
            left.acquire()
        loop.call_soon_threadsafe(loop.stop)

    threads = [threading.Thread(target=send, args=[name])
               for name in range(count)]
    threads.append(threading.Thread(target=wait_for_all))
    for thread in threads:
        thread.start()
    loop.run_forever()
    for thread in threads:
        thread.join()
    assert len(ran) == count * each
    for name in range(count):
        assert [n for who, n in ran if who == name] == list(range(each))


def test_threadsafe_from_the_loop_itself_keeps_the_order(loop):
    ran = []

    def callback():
        loop.call_soon(ran.append, 1)
        loop.call_soon_threadsafe(ran.append, 2)
        loop.call_soon(ran.append, 3)

    loop.call_soon(callback)
    spin(loop, 2)
    assert ran == [1, 2, 3]


def test_threadsafe_handle_can_be_cancelled(loop):
    ran = []
    handle = loop.call_soon_threadsafe(ran.append, 1)
    handle.cancel()
    spin(loop, 2)
    assert ran == []


def test_threadsafe_against_close(new_loop):
    """Threads that call while the loop closes get RuntimeError or nothing."""
    for _ in range(20):
        loop = new_loop()
        errors = []
        go = threading.Event()

        def send():
            go.wait()
            for _ in range(200):
                try:
                    loop.call_soon_threadsafe(lambda: None)
                except RuntimeError as error:
                    errors.append(str(error))
                    return

        threads = [threading.Thread(target=send) for _ in range(2)]
        for thread in threads:
            thread.start()
        go.set()
        spin(loop)
        loop.close()
        for thread in threads:
            thread.join()
        assert set(errors) <= {"Event loop is closed"}


# --- stop and start again -------------------------------------------------

def test_stop_lets_the_turn_finish(loop):
    ran = []
    loop.call_soon(loop.stop)
    loop.call_soon(ran.append, 1)
    loop.call_soon(lambda: loop.call_soon(ran.append, 2))
    loop.run_forever()
    assert ran == [1]
    spin(loop)
    assert ran == [1, 2]


def test_stop_before_run_makes_one_turn(loop):
    ran = []
    loop.call_soon(ran.append, 1)
    loop.call_soon(lambda: loop.call_soon(ran.append, 2))
    loop.stop()
    loop.stop()
    loop.run_forever()
    assert ran == [1]


def test_stop_is_forgotten_after_the_run(loop):
    ran = []
    spin(loop)
    loop.call_soon(ran.append, 1)
    loop.call_soon(lambda: loop.call_soon(loop.call_soon, loop.stop))
    loop.run_forever()
    assert ran == [1]


def test_run_forever_many_times(loop):
    ran = []
    for number in range(50):
        loop.call_soon(ran.append, number)
        loop.call_soon(loop.stop)
        loop.run_forever()
    assert ran == list(range(50))


def test_timers_survive_between_runs(loop):
    ran = []
    loop.call_later(0.01, ran.append, "timer")
    spin(loop, 3)
    assert ran == []
    run_for(loop, 0.02)
    assert ran == ["timer"]


# --- exceptions in callbacks ----------------------------------------------

def test_exception_does_not_stop_the_turn(loop):
    ran = []

    def bad():
        raise ValueError("bad callback")

    with journal() as log:
        loop.call_soon(ran.append, 1)
        loop.call_soon(bad)
        loop.call_later(-1, bad)
        loop.call_soon(ran.append, 2)
        spin(loop)
    assert ran == [1, 2]
    assert [str(error) for error in log.errors] == ["bad callback"] * 2


class Odd(BaseException):
    pass


def test_other_base_exceptions_are_reported_too(loop):
    ran = []

    def bad():
        raise Odd("odd")

    with journal() as log:
        loop.call_soon(bad)
        loop.call_soon(ran.append, 1)
        spin(loop)
    assert ran == [1]
    assert [type(error) for error in log.errors] == [Odd]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("how", ["soon", "timer", "io", "threadsafe"])
def test_exits_leave_run_forever_and_the_loop_usable(loop, kind, how):
    ran = []
    read, write = os.pipe()

    def leave():
        loop.remove_reader(read)
        raise kind("now")

    try:
        if how == "soon":
            loop.call_soon(leave)
        elif how == "timer":
            loop.call_later(-1, leave)
        elif how == "io":
            loop.add_reader(read, leave)
            os.write(write, b"x")
        else:
            loop.call_soon_threadsafe(leave)
        loop.call_later(0, ran.append, "timer")
        with pytest.raises(kind, match="now"):
            loop.run_forever()
        assert not loop.is_running()
        loop.call_soon(ran.append, "after")
        run_for(loop, 0.005)
    finally:
        os.close(read)
        os.close(write)
    assert sorted(ran) == ["after", "timer"]


def test_exit_keeps_the_rest_of_the_turn(loop):
    ran = []

    def leave():
        raise KeyboardInterrupt

    loop.call_soon(ran.append, 1)
    loop.call_soon(leave)
    loop.call_soon(ran.append, 2)
    loop.call_soon(leave)
    loop.call_soon(ran.append, 3)
    for expected in [[1], [1, 2]]:
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        assert ran == expected
    spin(loop)
    assert ran == [1, 2, 3]


def test_stop_and_exit_in_one_turn(loop):
    """The stop flag does not leak into the next run."""
    def leave():
        loop.stop()
        raise KeyboardInterrupt

    ran = []
    loop.call_soon(leave)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    loop.call_soon(lambda: loop.call_soon(
        lambda: (ran.append("second turn"), loop.stop())))
    loop.run_forever()
    assert ran == ["second turn"]


def test_many_timers_with_cancellations_keep_their_order():
    loop = fastasync.new_event_loop()  # asyncio keeps the cancelled
    rng = random.Random(7)
    base = loop.time() + 0.02
    ran, alive = [], []
    for number in range(3000):
        when = base + rng.randrange(400) * 1e-5
        timer = loop.call_at(when, ran.append, number)
        alive.append((when, number, timer))
        if rng.random() < 0.6:  # from anywhere in the heap
            alive.pop(rng.randrange(len(alive)))[2].cancel()
        if number % 100 == 0:
            assert len(loop._scheduled) == len(alive)
            assert loop._scheduled[0].when() == min(alive)[0]
    expected = [number for _, number, _ in sorted(alive, key=lambda t: t[:2])]
    loop.call_at(base + 0.01, loop.stop)
    loop.run_forever()
    assert ran == expected
    assert loop._scheduled == []
    loop.close()
