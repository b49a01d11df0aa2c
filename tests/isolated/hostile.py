"""User code that does the worst thing at the worst moment.

Each case is run several times; none may crash, hang or run twice what
should run once.  The results that asyncio promises are asserted.
"""

import asyncio
import gc
import weakref

from measure import (MEASURE_ASYNCIO, SANITIZED, finish, namespace,
                     new_loop)

Future, Task = namespace().Future, namespace().Task


def turns(loop, count=3):
    for _ in range(count):
        loop.call_soon(loop.stop)
        loop.run_forever()


def callbacks_cleared_by_comparison(loop):
    """remove_done_callback() compares; the comparison removes others."""
    future = loop.create_future()

    comparisons = []

    class Evil:
        def __eq__(self, other):
            comparisons.append(1)
            if len(comparisons) < 20:
                future.remove_done_callback(other_callback)
                gc.collect()
            return False

        def __call__(self, future):
            pass

    def other_callback(future):
        pass

    for _ in range(3):
        future.add_done_callback(Evil())
        future.add_done_callback(other_callback)
        future.add_done_callback(lambda _: None)
    future.remove_done_callback(Evil())
    future.set_result(None)
    turns(loop)


def comparison_finishes_the_future(loop):
    future = loop.create_future()

    class Evil:
        def __eq__(self, other):
            if not future.done():
                future.set_result(None)
            return True

        def __call__(self, future):
            pass

    for _ in range(4):
        future.add_done_callback(Evil())
    future.remove_done_callback(Evil())
    turns(loop)


def call_soon_that_bites(loop):
    """The loop's call_soon changes the future that is calling it."""
    future = loop.create_future()
    original = loop.call_soon
    ran = []

    def call_soon(callback, *args, context=None):
        future.remove_done_callback(callback)
        future.add_done_callback(ran.append)
        future.__dict__.clear()
        gc.collect()
        return original(callback, *args, context=context)

    for _ in range(3):
        future.add_done_callback(lambda _: ran.append(1))
    loop.call_soon = call_soon
    try:
        future.set_result(None)
    except RecursionError:
        pass
    del loop.call_soon
    turns(loop)


def init_again(loop):
    """__init__ of a task or future that is in use; 3.15 refuses it."""
    async def work():
        task = asyncio.current_task()
        coro = asyncio.sleep(0)
        try:
            task.__init__(coro, loop=loop)
        except RuntimeError:
            pass
        finally:
            coro.close()
        await asyncio.sleep(0)

    task = loop.create_task(work())
    task._log_destroy_pending = False
    turns(loop, 5)
    future = loop.create_future()
    future.add_done_callback(lambda f: f.done())
    try:
        future.__init__(loop=loop)
        future.__init__(loop=loop)
    except RuntimeError:
        pass
    future.cancel()
    turns(loop)
    del task
    gc.collect()


def task_that_cancels_itself(loop):
    async def main():
        asyncio.current_task().cancel()
        asyncio.current_task().cancel()
        return "not seen"

    task = loop.create_task(main())
    turns(loop, 4)
    assert task.done()


def coroutine_closed_by_others(loop):
    async def main():
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    coro = main()
    task = loop.create_task(coro)
    turns(loop, 1)
    coro.close()
    turns(loop, 3)
    assert task.done()
    task.exception()


def coroutine_driven_by_others(loop):
    async def main():
        await loop.create_future()

    coro = main()
    task = loop.create_task(coro)
    turns(loop, 1)
    for _ in range(3):
        try:
            coro.send(None)
        except (RuntimeError, StopIteration):
            pass
    task.cancel()
    turns(loop, 3)
    assert task.done()
    if not task.cancelled():
        task.exception()


def callback_drops_the_last_reference(loop):
    box = []

    def drop():
        box.clear()
        gc.collect()

    handle = loop.call_soon(drop)
    box.append(handle)
    del handle
    box.append(loop.call_later(-1, drop))
    turns(loop)
    assert box == []


def finalizer_uses_the_loop(loop):
    class Dying:
        def __call__(self, *args):
            pass

        def __del__(self):
            try:
                loop.call_soon(print_nothing)
                loop.call_later(-1, print_nothing)
                loop.create_future().cancel()
            except RuntimeError:
                pass

    def print_nothing():
        pass

    loop.call_soon(Dying())
    loop.call_soon(Dying()).cancel()
    loop.call_later(-1, Dying())
    loop.call_later(100, Dying()).cancel()
    future = loop.create_future()
    future.add_done_callback(Dying())
    future.set_result(Dying())
    del future
    turns(loop, 4)


def resurrection(loop):
    kept = []

    class Rising(Future):
        def __del__(self):
            kept.append(self)

    Rising(loop=loop)
    gc.collect()
    (risen,) = kept
    risen.set_result(1)
    assert risen.result() == 1
    kept.clear()
    del risen
    gc.collect()

    def handler(loop, context):
        kept.append(context.get("future") or context.get("task"))

    loop.set_exception_handler(handler)
    future = loop.create_future()
    future.set_exception(KeyError("x"))
    del future
    gc.collect()
    (risen,) = kept
    assert isinstance(risen.exception(), KeyError)
    kept.clear()

    async def hang():
        await loop.create_future()

    task = loop.create_task(hang())
    turns(loop, 2)
    del task
    gc.collect()
    assert len(kept) == 1
    kept[0].cancel()
    turns(loop, 3)
    loop.set_exception_handler(None)
    kept.clear()


def loop_closed_in_a_callback(loop):
    errors = []

    def close():
        try:
            loop.close()
        except RuntimeError as error:
            errors.append(error)

    loop.call_soon(close)
    turns(loop)
    assert len(errors) == 1 and not loop.is_closed()


def nested_run_in_a_callback(loop):
    errors = []

    def nest():
        for call in (loop.run_forever, new_loop_run):
            try:
                call()
            except RuntimeError as error:
                errors.append(error)

    def new_loop_run():
        other = new_loop()
        try:
            other.run_forever()
        finally:
            other.close()

    import sys
    if sys.version_info[:3] == (3, 13, 0) and MEASURE_ASYNCIO:
        return  # asyncio 3.13.0 loses its running loop here
    loop.call_soon(nest)
    turns(loop)
    assert len(errors) == 2


def handle_run_inside_itself(loop):
    """Its context is already entered, which is reported."""
    depth = []

    def again():
        depth.append(1)
        if len(depth) < 20:
            handle._run()

    handle = loop.call_soon(again)
    turns(loop)
    assert len(depth) == 1


def cancels_everything_while_running(loop):
    ran = []
    handles = []

    def cancel_all():
        ran.append(1)
        for handle in handles:
            handle.cancel()

    for number in range(50):
        handles.append(loop.call_soon(cancel_all))
        handles.append(loop.call_later(-number, cancel_all))
    turns(loop)
    assert ran == [1]


def arguments_that_change_the_ring(loop):
    """Thousands of callbacks added while a turn is running: it grows."""
    ran = []

    def add():
        for _ in range(5000):
            loop.call_soon(ran.append, 1)

    loop.call_soon(add)
    loop.call_soon(add)
    turns(loop, 3)
    assert len(ran) == 10000


def watchers_changed_in_their_own_turn(loop):
    import socket
    pairs = [socket.socketpair() for _ in range(5)]

    def everything(mine):
        for left, _ in pairs:
            if left.fileno() < 0:
                continue
            loop.remove_reader(left)
            loop.add_writer(left, everything, mine)
            loop.remove_writer(left)
        loop.add_reader(mine, mine.recv, 1)
        victim = pairs[0][0]
        if victim is not mine and victim.fileno() >= 0:
            loop.remove_reader(victim)
            victim.close()

    for left, right in pairs:
        loop.add_reader(left, everything, left)
        right.send(b"x")
    turns(loop, 4)
    for left, right in pairs:
        if left.fileno() >= 0:
            loop.remove_reader(left)
            left.close()
        right.close()


def fileno_that_bites(loop):
    import socket
    left, right = socket.socketpair()

    class Evil:
        def fileno(self):
            loop.remove_reader(left.fileno())
            gc.collect()
            return left.fileno()

    loop.add_reader(left, print)
    loop.add_reader(Evil(), print)
    loop.add_writer(Evil(), print)
    loop.remove_reader(left.fileno())
    loop.remove_writer(left.fileno())
    assert loop.remove_reader(left.fileno()) is False
    left.close()
    right.close()


def time_that_bites(loop):
    """An overridden clock that schedules, goes back, or fails."""
    original = loop.time
    answers = []

    def time():
        if len(answers) < 50:
            answers.append(1)
            loop.call_soon(lambda: None)
            loop.call_at(original() - 1, lambda: None).cancel()
        return original() - len(answers)

    loop.time = time
    turns(loop, 5)
    del loop.time
    turns(loop, 5)


def awaiting_strange_things(loop):
    class Awaitable:
        def __init__(self, value):
            self.value = value

        def __await__(self):
            while True:
                yield self.value

    class Blocking:
        """Says it is a future and has nothing else."""
        _asyncio_future_blocking = True

    class Raising:
        @property
        def _asyncio_future_blocking(self):
            raise KeyError("blocking")

    class Half:
        _asyncio_future_blocking = True

        def get_loop(self):
            return loop

        def add_done_callback(self, callback, *, context=None):
            raise KeyError("add_done_callback")

    for value in (1, "x", Blocking(), Raising(), Half(), loop, object()):
        async def main():
            await Awaitable(value)

        task = loop.create_task(main())
        turns(loop, 4)
        if task.done():
            assert task.exception() is not None, value
        else:
            # The step itself failed; the error went to the log and the
            # task hangs, as asyncio's does.
            assert isinstance(value, (Blocking, Raising, Half)), value
            task._log_destroy_pending = False


def weak_references_to_everything(loop):
    dead = []
    future = loop.create_future()
    task = loop.create_task(asyncio.sleep(0))
    handle = loop.call_soon(print_nothing)
    for thing in (future, task, handle):
        weakref.finalize(thing, dead.append, 1)
    turns(loop, 3)
    del future, task, handle, thing
    gc.collect()
    assert len(dead) == 3


def print_nothing():
    pass


def recursion(loop):
    """A done callback chain as deep as one likes needs no stack."""
    first = loop.create_future()
    future = first
    for _ in range(5000):
        following = loop.create_future()
        future.add_done_callback(
            lambda _, f=following: f.set_result(None))
        future = following
    last = future
    first.set_result(None)
    for _ in range(6000):
        if last.done():
            break
        turns(loop, 1)
    assert last.done()
    del first, future, following, last


def long_chain_is_freed(loop):
    """Futures that hold each other by their results.

    asyncio's own crash with 200000 of them before 3.14, where the
    interpreter began to look after the stack itself.
    """
    future = None
    for _ in range(5000 if SANITIZED else 50000):
        following = loop.create_future()
        following.set_result(future)
        future = following
    del future, following
    task = None
    for _ in range(3000):
        async def wait(other=task):
            return other
        task = loop.create_task(wait())
    turns(loop, 2)
    del task
    gc.collect()


CASES = [
    callbacks_cleared_by_comparison, comparison_finishes_the_future,
    call_soon_that_bites, init_again, task_that_cancels_itself,
    coroutine_closed_by_others, coroutine_driven_by_others,
    callback_drops_the_last_reference, finalizer_uses_the_loop,
    resurrection, loop_closed_in_a_callback, nested_run_in_a_callback,
    handle_run_inside_itself, cancels_everything_while_running,
    arguments_that_change_the_ring, watchers_changed_in_their_own_turn,
    fileno_that_bites, time_that_bites, awaiting_strange_things,
    weak_references_to_everything, recursion, long_chain_is_freed,
]
# These bring asyncio itself down, in some versions at least.
CRASH_ASYNCIO = [init_again]
for case in CASES:
    if MEASURE_ASYNCIO and case in CRASH_ASYNCIO:
        continue
    for _ in range(3):
        loop = new_loop()
        case(loop)
        loop.close()
        del loop
        gc.collect()
finish()
