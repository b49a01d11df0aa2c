"""docs/differences.md tells the truth: each line that can be shown, shown.

When one of these fails because a difference is gone, delete the test and the
line in the document.
"""

import asyncio
import collections
import copy
import gc
import inspect
import io
import pathlib
import pickle
import selectors
import socket
import subprocess
import sys
import types
import warnings

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


def test_names_are_ours():
    assert repr(fastasync.Lock()).startswith("<fastasync.Lock object at ")
    assert repr(fastasync.Task) == "<class '_fastasync.Task'>"
    assert b"fastasync" in pickle.dumps(fastasync.Queue())
    loop = fastasync.new_event_loop()
    assert repr(loop) == "<Loop running=False closed=False debug=False>"
    for thing in (loop, loop.call_soon(print)):
        with pytest.raises(TypeError, match="cannot pickle"):
            copy.copy(thing)
    for name in ("_call_soon", "_check_thread", "_process_events"):
        assert hasattr(asyncio.SelectorEventLoop, name) and not hasattr(loop, name)
    loop.close()


def test_copies_of_queues_and_locks_are_asyncios():
    def told(module, how):
        queue, lock = module.Queue(5), module.Lock()
        queue.put_nowait(1)
        lock._locked = True
        other = how(queue)
        other.put_nowait(2)
        return (queue.qsize(), other.qsize(), other.maxsize, how(lock).locked())

    for how in (copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
        assert told(fastasync, how) == told(asyncio, how)


def test_a_method_is_called_for_its_own_kind_only():
    with pytest.raises(TypeError, match="doesn't apply to a 'int' object"):
        fastasync.Queue.get(3)


def test_as_completed_is_no_generator():
    async def main():
        found = fastasync.as_completed([nothing()])
        assert not inspect.isgenerator(found)
        if sys.version_info < (3, 13):
            assert found.send and found.throw and found.close
        for each in found:
            await each

    fastasync.run(main())


def test_a_selector_is_not_used():
    class Unused(selectors.SelectSelector):
        def register(self, *arguments):
            raise AssertionError("not to be used")

    with Unused() as selector:
        loop = fastasync.Loop(selector)
        loop.run_until_complete(nothing())
        assert not isinstance(loop._selector, selectors.BaseSelector)
        assert hasattr(loop._selector, "get_key")
        assert not hasattr(loop._selector, "get_map")
        loop.close()


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


def test_what_is_c_has_no_lines():
    async def main():
        task = asyncio.create_task(fastasync.sleep(5))
        await asyncio.sleep(0)
        out = io.StringIO()
        task.print_stack(file=out)
        assert 'File "<fastasync>", line 1, in sleep' in out.getvalue()
        assert "running at <fastasync>:1>" in repr(task)
        (stand_in,) = task.get_stack()
        assert not isinstance(stand_in, types.FrameType)
        task.cancel()

    fastasync.run(main())


def test_a_warning_names_the_line_that_was_running():
    async def main():
        loop = asyncio.get_running_loop()
        a, b = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=a)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            transport.__del__()
        transport.close()
        b.close()
        return pathlib.Path(caught[0].filename).name

    assert on_both(main) == ("selector_events.py", pathlib.Path(__file__).name)


def test_frames_below_a_program():
    program = "import traceback; print(len(traceback.extract_stack()))"
    deep, plain = (
        int(subprocess.check_output([sys.executable, *how, "-c", program]))
        for how in (["-m", "fastasync"], [])
    )
    assert deep > plain == 1


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
    with pytest.raises(TypeError):
        inspect.getsource(fastasync.sleep)
    assert not hasattr(fastasync.sleep, "__globals__")
    with pytest.raises(AttributeError):
        fastasync.gather.mine = 1

    class Holder:
        gather = fastasync.gather
        sleep = fastasync.sleep

    assert not hasattr(Holder().gather, "__func__")
    assert Holder().sleep.__func__ is fastasync.sleep
    loop = fastasync.new_event_loop()
    with pytest.raises(TypeError, match="takes no arguments"):
        loop.time(1)
    loop.slow_callback_duration = 1
    assert type(loop.slow_callback_duration) is float
    with pytest.raises(TypeError):
        loop.slow_callback_duration = "1"
    loop.close()


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


def test_what_is_written_in_one_step_leaves_at_its_end():
    async def main():
        loop = asyncio.get_running_loop()
        a, b = socket.socketpair()
        b.setblocking(False)
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=a)

        def received():
            try:
                return b.recv(100)
            except BlockingIOError:
                return None

        transport.write(b"a")
        told = [received()]
        transport.write(b"b")
        told += [transport.get_write_buffer_size(), received()]
        transport.close()
        b.close()
        return told

    assert on_both(main) == ([b"a", 0, b"b"], [None, 0, b"ab"])


def test_a_server_that_cannot_listen_closes_its_sockets():
    async def main():
        loop = asyncio.get_running_loop()
        a, b = socket.socketpair()
        with pytest.raises(OSError, match="Invalid argument"):
            await loop.create_server(asyncio.Protocol, sock=a)
        closed = a.fileno() == -1
        a.close()
        b.close()
        return closed

    assert on_both(main) == (False, True)


def test_what_the_garbage_collector_is_not_shown():
    async def main():
        loop = asyncio.get_running_loop()
        task, handle = loop.create_task(nothing()), loop.call_soon(int)
        listed = {id(each) for each in gc.get_objects()}
        await task
        return id(task) in listed, id(handle) in listed

    assert on_both(main) == ((True, True), (False, False))
