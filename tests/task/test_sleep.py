"""task/sleep.c against asyncio.sleep."""

import asyncio
import contextvars
import decimal
import fractions
import gc
import inspect
import sys
import weakref

import _fastasync
import fastasync
import pytest


def test_results_and_turns(alike):
    def script(w):
        async def main():
            w.tick("turn", 6)
            for delay in (0, -1, 0.0, -0.5, False, 1e-9, 0.001):
                w.note(delay, await w.f.sleep(delay, "result"))
            w.note(await w.f.sleep(0), await w.f.sleep(0.001))
            w.note(await w.f.sleep(delay=0, result=1))
        w.run(main())
    alike(script)


def test_odd_delays(alike):
    def script(w):
        async def main():
            nan = [float("nan")] * (sys.version_info >= (3, 13))
            for delay in (*nan, "1", None, decimal.Decimal("NaN"),
                          fractions.Fraction(1, 1000),
                          decimal.Decimal("0.001"), 10 ** 400, True):
                if delay is True:
                    delay = fractions.Fraction(0)
                try:
                    async with asyncio.timeout(0.05):
                        await w.f.sleep(delay)
                except Exception as error:
                    w.note(type(error).__name__)
                else:
                    w.note("slept")
        w.run(main())
    alike(script)


def test_arguments():
    for args, kwargs in [((), {}), ((1, 2, 3), {}), ((1,), {"delay": 1}),
                         ((1,), {"loop": None})]:
        texts = []
        for sleep in (asyncio.sleep, _fastasync.sleep):
            with pytest.raises(TypeError) as caught:
                sleep(*args, **kwargs)
            texts.append(str(caught.value))
        assert texts[0] == texts[1]
    assert str(inspect.signature(_fastasync.sleep)) == str(
        inspect.signature(asyncio.tasks.sleep))


def test_order_of_sleepers(alike):
    def script(w):
        async def sleeper(name, delay):
            await w.f.sleep(delay)
            w.note(name)

        async def main():
            now = w.loop.time()
            w.loop.call_at(now + 0.2, w.note, "timer")
            await asyncio.gather(*(sleeper(i, d) for i, d in enumerate(
                [0.3, 0.1, 0.4, 0.0, 0.1])))  # far apart: machines are slow
        w.run(main())
    alike(script)


def test_cancelled(alike):
    def script(w):
        async def sleeper():
            try:
                await w.f.sleep(100)
            finally:
                w.note("timers", sum(not h.cancelled()
                                     for h in w.loop._scheduled))

        async def main():
            task = w.loop.create_task(sleeper())
            await asyncio.sleep(0)
            w.note("timers", len(w.loop._scheduled), w.loop._scheduled[0])
            task.cancel("m")
            await w.outcome(task)
            w.note("timers", sum(not h.cancelled()
                                 for h in w.loop._scheduled))
        w.run(main())
    alike(script)


def test_closed_in_its_sleep(alike):
    def script(w):
        async def main():
            coro = w.f.sleep(100)
            future = coro.send(None)
            w.note(type(future).__name__, future._asyncio_future_blocking)
            coro.close()
            w.note(sum(not h.cancelled() for h in w.loop._scheduled))
            future.set_result(None)
        w.run(main())
    alike(script)


def test_the_future_is_ended_by_somebody_else(alike):
    def script(w):
        async def main():
            task = w.loop.create_task(w.f.sleep(0.001, "own"))
            await asyncio.sleep(0)
            task._fut_waiter.set_result("theirs")
            w.note(await task)
            await asyncio.sleep(0.005)
            task = w.loop.create_task(w.f.sleep(100))
            await asyncio.sleep(0)
            handle = min(w.loop._scheduled, key=lambda h: -h.when())
            w.note(handle._callback.__name__, len(handle._args))
            handle.cancel()
            task.cancel()
            await w.outcome(task)
        w.run(main())
    alike(script)


def test_overridden_methods_are_called():
    calls = []

    class Loop(fastasync.Loop):
        def call_later(self, *args, **kwargs):
            calls.append("call_later")
            return super().call_later(*args, **kwargs)

    class Clock(fastasync.Loop):
        def time(self):
            calls.append("time")
            return super().time()

    for make in (Loop, Clock):
        calls.clear()
        loop = make()
        loop.run_until_complete(_fastasync.sleep(0.001))
        loop.close()
        assert calls
    calls.clear()
    loop = fastasync.new_event_loop()
    real = loop.call_at
    loop.call_at = lambda *a, **k: calls.append("call_at") or real(*a, **k)
    loop.run_until_complete(_fastasync.sleep(0.001))
    loop.close()
    assert calls == ["call_at"]


def test_asyncios_time_machine_still_works():
    """A test loop that jumps its clock forward."""
    class Loop(fastasync.Loop):
        now = 0.0

        def time(self):
            return self.now

        def _run_once(self):  # asyncio's name; ours has its own
            raise AssertionError

    loop = Loop()

    async def main():
        task = loop.create_task(_fastasync.sleep(50, "woken"))
        await _fastasync.sleep(0)
        loop.now = 100.0
        return await task

    assert loop.run_until_complete(main()) == "woken"
    loop.close()


def test_the_timer_is_seen_and_collected():
    loop = fastasync.new_event_loop()

    async def main():
        tasks = [loop.create_task(_fastasync.sleep(1000)) for _ in range(3)]
        await _fastasync.sleep(0)
        handle = loop._scheduled[0]
        assert gc.is_tracked(handle)
        assert handle._callback is asyncio.futures._set_result_unless_cancelled
        assert handle._context is not None
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert handle.cancelled()

    loop.run_until_complete(main())
    loop.close()


def test_a_stopped_loop_goes_with_its_sleepers():
    class Mark:
        pass

    def abandon():
        loop = fastasync.new_event_loop()
        loop.set_exception_handler(lambda *_: None)
        mark = loop.mark = Mark()
        loop.create_task(_fastasync.sleep(1000, (mark, loop)))
        loop.call_later(0.01, loop.stop)
        loop.run_forever()
        loop.close()
        return weakref.ref(mark)

    gone = abandon()
    gc.collect()
    assert gone() is None


def test_the_context_of_a_sleeper(alike):
    var = contextvars.ContextVar("var", default=0)

    def script(w):
        async def sleeper(number):
            var.set(number)
            await w.f.sleep(0.001)
            w.note(var.get())

        async def main():
            await asyncio.gather(*(sleeper(i) for i in range(5)))
            w.note(var.get())
        w.run(main())
    alike(script)


def kept_from_the_collector(task):
    """The task, its coroutine and the future it hangs on: are they tracked?"""
    return [gc.is_tracked(o) for o in
            (task, task.get_coro(), task._fut_waiter)]


@pytest.mark.parametrize("end", ["fire", "cancel", "look", "stop", "set",
                                 "forget", "throw", "attribute"])
def test_sleepers_are_tracked_as_soon_as_they_may_be_lost(end):
    loop = fastasync.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    hung = []

    async def main():
        delay = 0.001 if end == "fire" else 1000.0
        task = loop.create_task(_fastasync.sleep(delay))
        await _fastasync.sleep(0)
        waiter = task._fut_waiter
        assert kept_from_the_collector(task) == [False] * 3
        hung.extend([task, waiter, task.get_coro()])
        if end == "fire":
            await task
        elif end == "cancel":
            task.cancel()
            await asyncio.wait([task])
        elif end == "look":
            assert len(loop._scheduled) == 1
        elif end == "set":
            waiter.set_result(None)
            await task
        elif end == "forget":
            for fn, _ in waiter._callbacks:
                waiter.remove_done_callback(fn)
            assert gc.is_tracked(task)
        elif end == "throw":
            with pytest.raises(KeyError):
                task.get_coro().throw(KeyError())
            assert not loop._scheduled
        elif end == "attribute":
            task.me = task

    loop.run_until_complete(main())
    task, waiter, coro = hung
    hung.clear()
    assert gc.is_tracked(waiter)
    assert task.done() or gc.is_tracked(task) and gc.is_tracked(coro)
    gone = weakref.ref(task)
    del task, waiter, coro
    loop.close()
    del loop
    gc.collect()
    assert gone() is None


def test_nobody_but_the_loop_holds_a_sleeper():
    done = []

    async def sleeper(number):
        await _fastasync.sleep(0.01)
        done.append(number)

    async def main():
        loop = asyncio.get_running_loop()
        for number in range(200):
            loop.create_task(sleeper(number))
        await _fastasync.sleep(0)
        gc.collect()
        await _fastasync.sleep(0.05)

    fastasync.run(main())
    assert done == list(range(200))


def test_a_sleep_that_is_driven_by_hand_is_collected():
    class Mark:
        pass

    async def main():
        marks = []
        for wait in (0.001, 1000.0):
            mark, coro = Mark(), _fastasync.sleep(wait)
            future = coro.send(None)
            assert not gc.is_tracked(coro) and not gc.is_tracked(future)
            mark.cycle = [mark, coro]
            future.mark = mark
            marks.append(weakref.ref(mark))
        del mark, coro, future
        await _fastasync.sleep(0.01)
        gc.collect()
        assert marks[0]() is None  # the other is alive by its timer
        assert marks[1]() is not None

    fastasync.run(main())


def test_a_timer_whose_cancel_was_replaced(monkeypatch):
    """It fires after its coroutine has gone."""
    async def main():
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(_fastasync.sleep(0.01)) for _ in range(50)]
        await _fastasync.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        del tasks, task
        gc.collect()
        await _fastasync.sleep(0.02)

    monkeypatch.setattr(fastasync.TimerHandle, "cancel", lambda self: None)
    fastasync.run(main())
