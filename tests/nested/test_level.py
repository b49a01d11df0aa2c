"""Runs of a loop inside of its own runs: what each level has of its own."""

import asyncio
import contextlib
import contextvars
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import fastasync
from support import journal

var = contextvars.ContextVar("var", default="unset")
LIMIT = 64


async def answer(value=42, seconds=0.0):
    me = asyncio.current_task()
    assert me is not None
    await asyncio.sleep(seconds)
    assert asyncio.current_task() is me
    return value


async def wait_for_event(event, value=None):
    await event.wait()
    return value


# --- permission ----------------------------------------------------------------


def refusal(loop, call):
    """What a call inside of a running loop is answered with."""

    async def main():
        coro = answer()
        try:
            call(loop, coro)
        except RuntimeError as error:
            return str(error)
        finally:
            coro.close()

    return loop.run_until_complete(main())


CALLS = {
    "run_until_complete": lambda loop, coro: loop.run_until_complete(coro),
    "run_forever": lambda loop, coro: loop.run_forever(),
    "asyncio.run": lambda loop, coro: asyncio.run(coro),
    "Runner.run": lambda loop, coro: asyncio.Runner().run(coro),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_it_is_off_by_default_and_refused_as_asyncio_does(call):
    texts = []
    for factory in (asyncio.SelectorEventLoop, fastasync.new_event_loop):
        loop = factory()
        texts.append(refusal(loop, call))
        loop.close()
    assert texts[0] == texts[1] and texts[0]


def test_another_loop_is_refused_as_asyncio_does():
    texts = []
    for factory in (asyncio.SelectorEventLoop, fastasync.new_event_loop):
        loop, other = factory(), factory()
        texts.append(refusal(loop, lambda _, coro: other.run_until_complete(coro)))
        loop.close()
        other.close()
    assert texts[0] == texts[1] and texts[0]


def test_allow_nested_is_a_bool_that_can_be_taken_back():
    loop = fastasync.new_event_loop()
    try:
        assert loop.allow_nested is False
        loop.allow_nested = True
        assert loop.allow_nested is True
        loop.allow_nested = False
        assert loop.allow_nested is False
        loop.allow_nested = 1
        assert loop.allow_nested is True
        del loop.allow_nested
        assert loop.allow_nested is False

        class Bad:
            def __bool__(self):
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            loop.allow_nested = Bad()
        assert loop.allow_nested is False
    finally:
        loop.close()


def test_a_thread_cannot_run_the_loop_of_another(loop, run):
    async def main():
        def elsewhere():
            coro = answer()
            with pytest.raises(RuntimeError, match="already running"):
                loop.run_until_complete(coro)
            coro.close()
            return "refused"

        return await loop.run_in_executor(None, elsewhere)

    assert run(main()) == "refused"
    run(loop.shutdown_default_executor())


def test_a_loop_of_another_thread():
    async def deep(n):
        await asyncio.sleep(0)
        return n if n == 0 else fastasync.run(deep(n - 1), nested=True) + 1

    results = []
    thread = threading.Thread(
        target=lambda: results.append(fastasync.run(deep(5))))
    thread.start()
    thread.join()
    assert results == [5]


# --- where it may be called ------------------------------------------------------


def test_in_a_task(loop, run):
    async def main():
        me = asyncio.current_task()
        assert loop.run_until_complete(answer()) == 42
        assert asyncio.current_task() is me
        assert asyncio.get_running_loop() is loop
        assert loop.is_running()
        await asyncio.sleep(0)
        return loop.run_until_complete(answer(43, 0.001))

    assert run(main()) == 43


def test_in_callbacks(loop, run):
    seen = []

    def callback(kind):
        assert asyncio.current_task() is None
        seen.append((kind, loop.run_until_complete(answer(kind, 0.001))))
        assert asyncio.current_task() is None

    async def main():
        read, write = os.pipe()
        loop.call_soon(callback, "soon")
        loop.call_later(0.001, callback, "timer")
        loop.call_soon_threadsafe(callback, "threadsafe")
        loop.add_writer(write, lambda: (loop.remove_writer(write),
                                        callback("writer")))
        task = loop.create_task(answer())
        task.add_done_callback(lambda task: callback("done"))
        while len(seen) < 5:
            await asyncio.sleep(0.001)
        os.close(read)
        os.close(write)

    run(main())
    assert sorted(seen) == sorted(
        (kind, kind) for kind in ("soon", "timer", "threadsafe", "writer", "done")
    )


def test_in_a_signal_handler(loop, run):
    seen = []

    async def main():
        loop.add_signal_handler(
            signal.SIGUSR1,
            lambda: seen.append(loop.run_until_complete(answer(1, 0.001))),
        )
        os.kill(os.getpid(), signal.SIGUSR1)
        while not seen:
            await asyncio.sleep(0.001)
        # and a signal is handled inside of a level as well
        os.kill(os.getpid(), signal.SIGUSR1)

        async def second():
            while len(seen) < 2:
                await asyncio.sleep(0.001)

        loop.run_until_complete(second())
        loop.remove_signal_handler(signal.SIGUSR1)

    run(main())
    assert seen == [1, 1]


def test_in_protocol_methods(loop, run):
    class Echo(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            assert loop.run_until_complete(answer(1, 0.001)) == 1

        def data_received(self, data):
            assert loop.run_until_complete(answer(2, 0.001)) == 2
            self.transport.write(data)
            loop.run_until_complete(answer(3, 0.001))

        def connection_lost(self, exc):
            loop.run_until_complete(answer(4))

    async def main():
        server = await loop.create_server(Echo, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"x" * 1000)
        data = await reader.readexactly(1000)
        writer.close()
        await writer.wait_closed()
        server.close()
        await asyncio.sleep(0.01)
        return data

    assert run(main()) == b"x" * 1000


def test_deep(loop, run):
    async def deep(n):
        me = asyncio.current_task()
        await asyncio.sleep(0)
        result = 0 if n == 0 else loop.run_until_complete(deep(n - 1)) + 1
        assert asyncio.current_task() is me
        await asyncio.sleep(0)
        return result

    assert run(deep(LIMIT - 2)) == LIMIT - 2


def test_too_deep_is_a_recursion_error_that_names_the_task(loop, run):
    async def culprit(n):
        coro = culprit(n + 1)
        try:
            return loop.run_until_complete(coro)
        except RecursionError as error:
            coro.close()
            if not errors:
                errors.append((n, str(error)))
            raise

    errors = []
    with pytest.raises(RecursionError):
        run(culprit(1))
    depth, text = errors[0]
    assert depth == LIMIT
    assert "culprit() running at" in text and str(LIMIT) in text
    assert run(answer()) == 42
    gc.collect()


def test_too_deep_in_callbacks(loop, run):
    errors = []

    def callback():
        coro = wait_a_callback()
        try:
            loop.run_until_complete(coro)
        except RecursionError as error:
            coro.close()
            errors.append(str(error))

    async def wait_a_callback():
        loop.call_soon(callback)
        await asyncio.sleep(0.001)

    run(wait_a_callback())
    assert any("running=True" in text for text in errors)


# --- others go on ------------------------------------------------------------------


def test_other_tasks_timers_and_callbacks_go_on(loop, run):
    async def count():
        while True:
            ticks.append(asyncio.current_task())
            await asyncio.sleep(0)

    async def main():
        counter = loop.create_task(count())
        fired = []
        loop.call_later(0.001, fired.append, "timer")
        loop.call_soon(fired.append, "soon")
        loop.run_until_complete(answer(1, 0.01))
        assert fired == ["soon", "timer"]
        assert len(ticks) > 10 and set(ticks) == {counter}
        counter.cancel()

    ticks = []
    run(main())


def test_entries_keep_their_order(loop, run):
    order = []

    async def main():
        for i in range(5):
            loop.call_soon(order.append, i)
        future = loop.create_future()
        loop.call_soon(future.set_result, "done")
        loop.call_soon(order.append, 5)
        loop.call_soon(loop.call_soon, order.append, 6)
        loop.call_soon(loop.call_soon, loop.call_soon, order.append, "left")
        # as in asyncio, the turn in which it is told of the end is finished
        assert loop.run_until_complete(future) == "done"
        assert order == [0, 1, 2, 3, 4, 5, 6]
        await asyncio.sleep(0)
        assert order == [0, 1, 2, 3, 4, 5, 6, "left"]

    run(main())


def test_what_is_left_over_runs_in_the_outer_level(loop, run):
    async def main():
        left = []
        loop.call_soon(
            lambda: [loop.call_soon(left.append, i) for i in range(300)])
        loop.run_until_complete(answer())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return left

    assert run(main()) == list(range(300))


def test_done_callbacks_have_run_when_it_returns(loop, run):
    async def main():
        seen = []
        task = loop.create_task(answer(7))
        task.add_done_callback(lambda t: seen.append(t.result()))
        assert loop.run_until_complete(task) == 7
        assert seen == [7]
        assert loop.run_until_complete(task) == 7  # done already

    run(main())


def test_calls_from_threads_wake_an_inner_level(loop, run):
    async def main():
        event = asyncio.Event()

        def elsewhere():
            time.sleep(0.01)
            loop.call_soon_threadsafe(event.set)
            return asyncio.run_coroutine_threadsafe(answer(5), loop).result()

        future = loop.run_in_executor(None, elsewhere)
        loop.run_until_complete(event.wait())
        return loop.run_until_complete(future)

    assert run(main()) == 5
    run(loop.shutdown_default_executor())


def test_streams_and_subprocesses_go_on(loop, run):
    async def serve(reader, writer):
        while data := await reader.read(100):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def talk(address):
        reader, writer = await asyncio.open_connection(*address)
        for i in range(50):
            writer.write(b"%d\n" % i)
            assert await reader.readline() == b"%d\n" % i
        writer.close()
        await writer.wait_closed()
        return "talked"

    async def child():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print('child')", stdout=subprocess.PIPE)
        output, _ = await process.communicate()
        return output

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        outside = loop.create_task(talk(address))
        process = loop.create_task(child())
        assert loop.run_until_complete(talk(address)) == "talked"
        assert loop.run_until_complete(child()) == b"child\n"
        assert await outside == "talked"
        assert await process == b"child\n"
        server.close()
        await server.wait_closed()

    with warnings_of_child_watchers():
        run(main())


@contextlib.contextmanager
def warnings_of_child_watchers():
    """Up to 3.11 a watcher must be attached to the loop of the main thread."""
    if sys.version_info < (3, 12):
        watcher = asyncio.ThreadedChildWatcher()
        before = asyncio.get_child_watcher()
        asyncio.set_child_watcher(watcher)
        try:
            yield
        finally:
            asyncio.set_child_watcher(before)
            watcher.close()
    else:
        yield


def test_sock_methods_go_on(loop, run):
    async def main():
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            right.setblocking(False)
            receiving = loop.create_task(loop.sock_recv(left, 10))

            async def send():
                await loop.sock_sendall(right, b"data")
                await asyncio.sleep(0.001)

            loop.run_until_complete(send())
            assert receiving.done()
            return receiving.result()

    assert run(main()) == b"data"


def test_a_file_is_reported_once(loop, run):
    """A reader that waits in the ring is not put there a second time."""
    calls = []

    async def main():
        pairs = [socket.socketpair() for _ in range(20)]
        for left, right in pairs:
            loop.add_reader(left, on_readable, left)
            right.send(b"x")
        while len(calls) < len(pairs):
            await asyncio.sleep(0.001)
        for left, right in pairs:
            loop.remove_reader(left)
            left.close()
            right.close()
        return len(pairs)

    def on_readable(sock):
        # blocking sockets: a second call for the same byte would never return
        calls.append(sock.recv(1, socket.MSG_DONTWAIT))
        loop.run_until_complete(asyncio.sleep(0))

    with journal() as log:
        assert run(main()) == len(calls)
    assert log.messages == []  # no BlockingIOError in a callback


def test_writes_leave_before_an_inner_level_waits(loop, run):
    async def echo(reader, writer):
        writer.write(await reader.readexactly(4))
        writer.close()

    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname())
        writer.write(b"da")
        writer.write(b"ta")
        # held until the step of this task returns, which waits for the answer
        data = loop.run_until_complete(reader.readexactly(4))
        writer.close()
        await writer.wait_closed()
        server.close()
        return data

    assert run(main()) == b"data"


# --- asyncio's tools inside -----------------------------------------------------------


def test_gather_wait_for_and_as_completed(loop, run):
    async def tools():
        assert await asyncio.gather(*map(answer, range(5))) == [*range(5)]
        assert await asyncio.wait_for(answer(3), 10) == 3
        done, _ = await asyncio.wait([loop.create_task(answer(4))])
        assert done.pop().result() == 4
        got = [await each for each in asyncio.as_completed([answer(5)])]
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(answer(1, 10), 0.001)
        return got

    async def main():
        return loop.run_until_complete(tools())

    assert run(main()) == [5]


def test_timeout_and_task_group(loop, run):
    async def tools():
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            tasks = [group.create_task(answer(i)) for i in range(3)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(10)
        return [task.result() for task in tasks]

    async def main():
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            task = group.create_task(answer(9, 0.001))
            result = loop.run_until_complete(tools())
        return result, task.result()

    assert run(main()) == ([0, 1, 2], 9)


def test_locks_and_queues_between_levels(loop, run):
    async def main():
        queue, lock = asyncio.Queue(), asyncio.Lock()
        async with lock:
            waiting = loop.create_task(wait_for_event(queue_event, 1))

            async def feed():
                queue_event.set()
                await queue.put("item")

            loop.run_until_complete(feed())
            assert loop.run_until_complete(queue.get()) == "item"
        assert await waiting == 1

    queue_event = asyncio.Event()
    run(main())


def test_async_generators(loop, run):
    closed = []

    async def numbers():
        try:
            for i in range(10):
                await asyncio.sleep(0)
                yield i
        finally:
            await asyncio.sleep(0)
            closed.append("closed")

    async def two(agen):
        return [await agen.__anext__(), await agen.__anext__()]

    async def main():
        hooks = sys.get_asyncgen_hooks()
        agen = numbers()
        first = loop.run_until_complete(two(agen))
        second = await two(agen)
        assert sys.get_asyncgen_hooks() == hooks
        other = numbers()
        loop.run_until_complete(two(other))
        del other  # finalised by the loop, which is still running
        gc.collect()
        for _ in range(20):
            await asyncio.sleep(0)
        assert closed == ["closed"]
        return first + second, agen

    numbers_seen, agen = run(main())
    assert numbers_seen == [0, 1, 2, 3]
    run(loop.shutdown_asyncgens())
    assert closed == ["closed"] * 2


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")
def test_eager_tasks(loop, run):
    async def eager(depth):
        me = asyncio.current_task()
        if depth:
            # still in its eager first step
            assert loop.run_until_complete(eager(depth - 1)) == depth - 1
            assert asyncio.current_task() is me
        await asyncio.sleep(0)
        assert asyncio.current_task() is me
        return depth

    async def at_once():
        return asyncio.current_task()

    async def main():
        me = asyncio.current_task()
        assert await loop.create_task(eager(3)) == 3
        assert loop.run_until_complete(at_once()) is not me
        assert asyncio.current_task() is me

    loop.set_task_factory(asyncio.eager_task_factory)
    run(main())
    loop.set_task_factory(fastasync.eager_task_factory)
    run(main())


@pytest.mark.parametrize("kind", ["_PyTask", "_CTask"])
def test_tasks_of_asyncio_itself(loop, run, kind):
    make = getattr(asyncio.tasks, kind)
    if kind == "_PyTask" and sys.version_info >= (3, 14):
        pytest.skip("asyncio.current_task() does not know it on 3.14 and later")

    async def main():
        me = asyncio.current_task()
        inner = make(answer(1, 0.001), loop=loop)
        assert loop.run_until_complete(inner) == 1
        assert asyncio.current_task() is me
        return loop.run_until_complete(answer(2))

    assert loop.run_until_complete(make(main(), loop=loop)) == 2


def test_debug_mode(loop, run):
    async def main():
        assert loop.run_until_complete(answer(1, 0.001)) == 1
        loop.run_until_complete(in_a_callback())
        assert sys.get_coroutine_origin_tracking_depth() > 0
        return "done"

    async def in_a_callback():
        done = loop.create_future()

        def callback():
            handle = loop._current_handle
            loop.run_until_complete(answer())
            assert loop._current_handle is handle
            done.set_result(None)

        loop.call_soon(callback)
        await done

    loop.set_debug(True)
    loop.slow_callback_duration = 100
    depth = sys.get_coroutine_origin_tracking_depth()
    assert run(main()) == "done"
    assert sys.get_coroutine_origin_tracking_depth() == depth


# --- other loops ----------------------------------------------------------------------


OUTER = {"asyncio": asyncio.SelectorEventLoop, "fastasync": fastasync.new_event_loop}


@pytest.mark.parametrize("factory", OUTER.values(), ids=OUTER)
def test_another_loop_inside(loop, factory):
    outer = factory()

    async def main():
        me, context = asyncio.current_task(), var.set("outer")
        other = outer.create_task(asyncio.sleep(0))
        assert loop.run_until_complete(inner()) == "outer"
        assert not other.done()  # that loop has waited
        assert asyncio.current_task() is me
        assert asyncio.get_running_loop() is outer
        assert outer.is_running() and not loop.is_running()
        await other
        assert asyncio.current_task() is me
        with pytest.raises(ZeroDivisionError):
            loop.run_until_complete(fail())
        assert asyncio.current_task() is me
        var.reset(context)
        return "done"

    async def inner():
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0.001)
        return var.get()

    async def fail():
        raise ZeroDivisionError

    assert outer.run_until_complete(main()) == "done"
    outer.close()


def test_a_loop_inside_another_inside_itself(loop, run):
    other = fastasync.new_event_loop()
    other.allow_nested = True

    async def there(n):
        me = asyncio.current_task()
        with contextlib.closing(here(n - 1)) as coro:
            loop.run_until_complete(coro)
        assert asyncio.current_task() is me
        assert asyncio.get_running_loop() is other
        await asyncio.sleep(0)
        return n

    async def here(n):
        me = asyncio.current_task()
        if n:
            with contextlib.closing(there(n - 1)) as coro:
                assert other.run_until_complete(coro) == n - 1
        assert asyncio.current_task() is me
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0)
        return n

    assert run(here(6)) == 6
    with pytest.raises(RecursionError):
        run(here(2 * LIMIT))
    other.close()


@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""),
                    reason="greenlet copies stacks, which the sanitizer watches")
def test_greenlets(loop, run):
    greenlet = pytest.importorskip("greenlet", reason="greenlet is not installed")

    async def main():
        me = asyncio.current_task()
        var.set("main")

        def worker():
            return loop.run_until_complete(switching())

        async def switching():
            await asyncio.sleep(0)
            greenlet.getcurrent().parent.switch("half way")
            await asyncio.sleep(0.001)
            return "end"

        green = greenlet.greenlet(worker)
        assert green.switch() == "half way"
        assert green.switch() == "end"
        assert asyncio.current_task() is me
        assert var.get() == "main"
        await asyncio.sleep(0)
        return "done"

    assert run(main()) == "done"
