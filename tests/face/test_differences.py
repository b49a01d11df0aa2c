"""docs/differences.md tells the truth: each line that can be shown, shown.

When one of these fails because a difference is gone, delete the test and the
line in the document.
"""

import asyncio
import collections
import inspect
import sys
import types

import pytest

import fastasync


async def nothing():
    pass


def on_both(main):
    """Run it on asyncio and on fastasync; both answers."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        theirs = runner.run(main())
    return theirs, fastasync.run(main())


def test_task_and_future_pass_by_isinstance_only():
    async def main():
        task = asyncio.current_task()
        group = fastasync.gather(nothing())
        await group

        class Mine(fastasync.Future):
            pass

        kind = asyncio.tasks._GatheringFuture
        assert isinstance(task, asyncio.Task)
        assert isinstance(group, kind)
        assert not issubclass(type(task), asyncio.Task)
        assert not issubclass(type(group), kind)
        assert not isinstance(Mine(), asyncio.Future)
        with pytest.raises(TypeError):
            asyncio.Future.done(task)

    fastasync.run(main())


def test_a_loop_is_an_abstract_event_loop():
    assert issubclass(fastasync.Loop, asyncio.AbstractEventLoop)
    assert not issubclass(fastasync.Loop, asyncio.BaseEventLoop)


def test_private_attributes_are_there_and_not_in_dict():
    lock, queue = fastasync.Lock(), fastasync.Queue()
    assert vars(lock) == vars(queue) == {}
    assert lock._waiters is None and lock._locked is False
    assert type(queue._queue) is collections.deque
    queue.put_nowait(1)
    assert list(queue._queue) == [1]
    assert type(fastasync.PriorityQueue()._queue) is list


def test_a_method_replaced_on_the_class_is_seen_where_it_says(monkeypatch):
    calls = []
    for cls, name in [(fastasync.Lock, "acquire"), (fastasync.Queue, "get")]:

        def noted(self, name=name, real=getattr(cls, name)):
            calls.append(name)
            return real(self)

        monkeypatch.setattr(cls, name, noted)

    class Special(fastasync.Lock):
        pass

    async def main():
        async with fastasync.Lock():
            assert calls == []
        async with Special():
            assert calls == ["acquire"]
        queue = fastasync.Queue()
        queue.put_nowait(1)
        await queue.get()
        assert calls == ["acquire", "get"]

    fastasync.run(main())


def test_coroutines_in_c_show_a_stand_in_for_a_frame():
    coro = fastasync.sleep(0)
    frame = coro.cr_frame
    assert not isinstance(frame, types.FrameType)
    assert frame.f_generator is coro and frame.f_locals == {}
    assert frame.f_code.co_filename == "<fastasync>"
    assert coro.cr_code.co_name == "sleep" and coro.cr_await is None
    assert coro.cr_origin is None
    assert inspect.getcoroutinestate(coro) == inspect.CORO_CREATED
    coro.close()
    assert coro.cr_frame is None
    assert inspect.getcoroutinestate(coro) == inspect.CORO_CLOSED


@pytest.mark.skipif(
    sys.version_info < (3, 14), reason="call graphs are of 3.14"
)
def test_the_call_graph_names_what_a_task_waits_in():
    async def main():
        queue = fastasync.Queue()

        async def taker():
            async with fastasync.timeout(10):
                return await fastasync.wait_for(queue.get(), 5)

        task = asyncio.create_task(taker())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        graph = asyncio.format_call_graph(task)
        queue.put_nowait(1)
        await task
        return graph

    graph = fastasync.run(main())
    assert "async wait_for()" in graph and "taker()" in graph
    assert "async Queue.get()" in graph


def test_functions_in_c_are_coroutine_functions_but_no_functions():
    known = sys.version_info >= (3, 12)
    assert inspect.iscoroutinefunction(fastasync.sleep) is known
    assert not inspect.isfunction(fastasync.sleep)
    with pytest.raises(AttributeError):
        fastasync.sleep.__code__ = asyncio.sleep.__code__


def test_timers_of_one_moment_fire_in_the_order_of_their_making():
    async def main():
        loop = asyncio.get_running_loop()
        fired = []
        when = loop.time()
        for number in range(8):
            loop.call_at(when, fired.append, number)
        while len(fired) < 8:
            await asyncio.sleep(0)
        return fired

    theirs, ours = on_both(main)
    assert ours == sorted(theirs) != theirs


def test_a_float_is_no_size():
    async def main():
        reader = fastasync.StreamReader()
        reader.feed_data(b"four")
        with pytest.raises(TypeError):
            await reader.readexactly(4.0)

    fastasync.run(main())


def test_the_lists_of_what_is_ready_are_copies():
    async def main():
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_soon(done.set_result, None)
        assert len(loop._ready) == 1
        loop._ready.clear()
        await done

    fastasync.run(main())
