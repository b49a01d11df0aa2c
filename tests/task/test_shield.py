"""task/shield.c against asyncio.shield."""

import asyncio
import gc
import inspect
import sys

import _fastasync
import pytest


async def give(value, turns=0):
    for _ in range(turns):
        await asyncio.sleep(0)
    return value


async def fail(error, turns=0):
    for _ in range(turns):
        await asyncio.sleep(0)
    raise error


def test_outcomes_pass_through(alike):
    def script(w):
        async def main():
            w.tick("turn", 6)
            w.note(await w.f.shield(give(1, 1)))
            await w.outcome(w.f.shield(fail(ValueError(2))))
            inner = w.loop.create_future()
            outer = w.f.shield(inner)
            inner.cancel("message")
            await w.outcome(outer)
            w.note(outer.cancelled(), outer)
        w.run(main())
    alike(script)


def test_what_is_done_is_returned(alike):
    def script(w):
        async def main():
            inner = w.loop.create_future()
            inner.set_result(1)
            w.note(w.f.shield(inner) is inner)
        w.run(main())
    alike(script)


def test_the_inner_one_runs_on(alike):
    def script(w):
        async def main():
            inner = w.loop.create_task(give("inner", 3))
            outer = w.f.shield(inner)
            await asyncio.sleep(0)
            w.note(outer.cancel("m"), outer.cancelled(), inner.cancelled())
            await w.outcome(outer)
            w.note(await inner)
        w.run(main())
    alike(script)


@pytest.mark.parametrize("ends", ["raises", "returns", "cancelled"])
def test_after_the_outer_was_cancelled(alike, ends):
    def script(w):
        async def main():
            inner = w.loop.create_future()
            outer = w.f.shield(inner)
            outer.cancel()
            for _ in range(2):
                await asyncio.sleep(0)
            w.note([fn.__qualname__ for fn, _ in inner._callbacks or ()])
            if ends == "raises":
                inner.set_exception(ValueError("late"))
            elif ends == "returns":
                inner.set_result(1)
            else:
                inner.cancel()
            for _ in range(2):
                await asyncio.sleep(0)
            w.note(inner.done() and inner._log_traceback)
        w.run(main())
        gc.collect()
    alike(script)


def test_both_end_in_the_same_turn(alike):
    def script(w):
        async def main():
            for first in ("inner", "outer"):
                inner = w.loop.create_future()
                outer = w.f.shield(inner)
                if first == "outer":
                    outer.cancel()
                inner.set_exception(ValueError("late"))
                if first == "inner":
                    outer.cancel()
                for _ in range(3):
                    await asyncio.sleep(0)
                w.note(outer.cancelled(), inner._log_traceback)
        w.run(main())
        gc.collect()
    alike(script)


def test_shielded_twice_by_a_cancelled_task(alike):
    def script(w):
        async def main():
            inner = w.loop.create_task(give("kept", 4))

            async def waits():
                await w.f.shield(w.f.shield(inner))

            tasks = [w.loop.create_task(waits()) for _ in range(3)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            for task in tasks:
                await w.outcome(task)
            w.note(await inner)
        w.run(main())
    alike(script)


def test_other_kinds_of_futures(alike):
    class Waits:
        def __await__(self):
            return give("awaited", 1).__await__()

    def script(w):
        async def main():
            foreign = asyncio.futures._PyFuture(loop=w.loop)
            outer = w.f.shield(foreign)
            w.loop.call_soon(foreign.set_exception, OSError("foreign"))
            await w.outcome(outer)
            w.note(await w.f.shield(Waits()))
            w.attempt(w.f.shield, 3)
            w.attempt(w.f.shield)
            w.attempt(w.f.shield, 1, 2)
        w.run(main())
    alike(script)


def test_without_a_running_loop(alike):
    def script(w):
        inner = w.loop.create_future()
        outer = w.f.shield(inner)
        inner.set_result(1)
        w.note(w.run(outer))
    alike(script)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="the graph of 3.14")
def test_who_awaits_the_inner_one(alike):
    def script(w):
        async def main():
            inner = w.loop.create_future()
            outer = w.f.shield(inner)
            w.note(inner._asyncio_awaited_by == {w.f.current_task()})
            inner.set_result(1)
            await outer
            w.note(len(inner._asyncio_awaited_by or ()))
        w.run(main())
    alike(script)


def test_a_dropped_shield_is_collected(alike):
    def script(w):
        async def main():
            w.f.shield(w.loop.create_future())
            w.f.shield(fail(ValueError("nobody")))
            for _ in range(3):
                await asyncio.sleep(0)
        w.run(main())
        gc.collect()
        w.note("over")
    alike(script)


def test_signature():
    assert str(inspect.signature(_fastasync.shield)) == str(
        inspect.signature(asyncio.tasks.shield))
