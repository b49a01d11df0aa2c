"""The list of live tasks: complete, and owning nothing."""

import asyncio
import gc
import sys
import weakref

import pytest

import _fastasync

from pairs import pair

live = _fastasync._live_tasks


async def wait_for(future):
    await future


def test_from_creation_to_the_end():
    with pair("ours on ours") as p:
        assert live() == []
        futures = [p.future() for _ in range(3)]
        tasks = [p.task(wait_for(f)) for f in futures]
        assert live() == tasks
        p.spin()
        assert live() == tasks
        tasks[1].cancel()
        p.spin()
        assert live() == [tasks[0], tasks[2]]
        futures[0].set_result(None)
        futures[2].set_exception(ZeroDivisionError)
        p.spin()
        assert live() == []
        assert type(tasks[2].exception()) is ZeroDivisionError


@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("second", [0, 1])
def test_removal_in_any_order(first, second):
    with pair("ours on ours") as p:
        futures = [p.future() for _ in range(3)]
        tasks = [p.task(wait_for(f)) for f in futures]
        p.spin()
        for place in (first, second, 0):
            futures.pop(place).set_result(None)
            gone = tasks.pop(place)
            p.spin()
            assert gone.done()
            assert live() == tasks


def test_freed_tasks_leave():
    with pair("ours on ours") as p:
        t = p.task(wait_for(p.future()))
        p.spin()
        t._log_destroy_pending = False
        ref = weakref.ref(t)
        assert live() == [t]
        del t
        gc.collect()
        assert ref() is None
        assert live() == []


def test_failed_construction_leaves_nothing():
    with pair("ours on ours") as p:
        for bad in ({"coro": 5}, {"coro": wait_for(None), "name": Evil()}):
            coro = bad["coro"]
            with pytest.raises((TypeError, ZeroDivisionError)):
                p.task(**bad)
            getattr(coro, "close", int)()
        p.loop.close()
        coro = wait_for(None)
        with pytest.raises(RuntimeError, match="closed"):
            p.task(coro)
        coro.close()
        gc.collect()
        assert live() == []


class Evil:
    def __str__(self):
        raise ZeroDivisionError


def test_subclasses_and_foreign_loops_are_listed():
    with pair("ours on asyncio") as p:
        class Mine(_fastasync.Task):
            pass
        f = p.future()
        t = Mine(wait_for(f), loop=p.loop)
        assert live() == [t]
        f.set_result(None)
        p.loop.run_until_complete(t)
        assert live() == []


def test_asyncio_all_tasks_sees_ours():
    # through the view that the package puts up (fastasync._registry)
    with pair("ours on ours") as p:
        async def main():
            f = p.future()
            t = p.task(wait_for(f))
            assert asyncio.all_tasks() == {t, asyncio.current_task()}
            f.set_result(None)
            await t
            assert asyncio.all_tasks() == {asyncio.current_task()}
        p.run(main())
        assert asyncio.all_tasks(p.loop) == set()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no eager start")
def test_eager_tasks():
    with pair("ours on ours") as p:
        async def child(f):
            assert asyncio.current_task() in live()
            if f is not None:
                await f

        async def main():
            me = asyncio.current_task()
            t = p.task(child(None), eager_start=True)
            assert live() == [me]
            f = p.future()
            t = p.task(child(f), eager_start=True)
            assert live() == [me, t]
            f.set_result(None)
            await t
            assert live() == [me]
        p.run(main())


def test_collection_while_listing():
    with pair("ours on ours") as p:
        for _ in range(20):
            for _ in range(50):
                t = p.task(wait_for(p.future()))
                t._log_destroy_pending = False
            p.spin()
            del t
            old = gc.get_threshold()
            gc.set_threshold(1)
            try:
                listed = live()
            finally:
                gc.set_threshold(*old)
            assert all(isinstance(t, _fastasync.Task) for t in listed)
            del listed
        gc.collect()
        assert live() == []


def test_sizes():
    sizes = _fastasync._sizes()
    assert sizes["Task"] == _fastasync.Task.__basicsize__
    assert sizes["Future"] == _fastasync.Future.__basicsize__
