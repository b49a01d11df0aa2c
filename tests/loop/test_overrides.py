"""What users put over the loop's methods is what runs.

A Python subclass, or an attribute set on one loop, takes the place of the
method everywhere: also where the loop, its tasks and futures call it
themselves.  Counts and exact arguments are asyncio's.
"""

import asyncio
import gc
import pickle
import weakref

import pytest

from support import compare, journal, spin


@pytest.fixture
def loop_class(side):
    loop = side.new_loop()
    loop.close()
    return type(loop)


@pytest.fixture
def make(loop_class):
    """Makes a loop of a subclass with the given methods."""
    made = []

    def make(**methods):
        loop = type("Sub", (loop_class,), methods)()
        made.append(loop)
        return loop

    yield make
    for loop in made:
        if not loop.is_closed():
            loop.close()


async def answer(value=42):
    await asyncio.sleep(0)
    return value


def subclassing(name, loop_class, log):
    """A method that notes its first argument and goes on to the original."""
    original = getattr(loop_class, name)

    def method(self, *args, **kwargs):
        log.append((name, args, kwargs))
        return original(self, *args, **kwargs)
    return method


# --- subclasses -----------------------------------------------------------

def test_subclass_with_init_and_attributes(loop_class):
    class Mine(loop_class):
        def __init__(self, note):
            super().__init__()
            self.note = note

    loop = Mine("hello")
    assert loop.note == "hello"
    assert loop.run_until_complete(answer()) == 42
    assert repr(loop).startswith("<Mine running=False ")
    loop.close()


def test_call_soon_is_used_by_tasks_and_futures(make, loop_class):
    log = []
    loop = make(call_soon=subclassing("call_soon", loop_class, log))
    assert loop.run_until_complete(answer()) == 42
    steps = len(log)
    assert steps >= 3
    assert all(set(kwargs) <= {"context"} for _, _, kwargs in log)
    future = loop.create_future()
    seen = []
    future.add_done_callback(seen.append)
    future.set_result(1)
    assert log[-1][1] == (seen.append, future)
    spin(loop)
    assert seen == [future]


def test_call_soon_may_refuse(make):
    """An overridden call_soon that raises is not bypassed."""
    class Refused(Exception):
        pass

    refusing = False

    def call_soon(self, *args, **kwargs):
        if refusing:
            raise Refused
        return super(type(self), self).call_soon(*args, **kwargs)

    loop = make(call_soon=call_soon)
    future = loop.create_future()
    future.add_done_callback(print)
    refusing = True
    with pytest.raises(Refused):
        future.set_result(1)
    coro = answer()
    with pytest.raises(Refused):
        loop.create_task(coro)
    gc.collect()
    refusing = False
    coro.close()


def test_number_of_call_soons_is_asyncios():
    def scenario(side, loop):
        log = []

        def call_soon(self, callback, *args, context=None):
            log.append((len(args), context is not None))
            return super(cls, self).call_soon(callback, *args,
                                              context=context)

        cls = type("Counting", (type(loop),), {"call_soon": call_soon})
        counting = cls()

        async def child(number):
            await asyncio.sleep(0)
            return number

        async def main():
            future = counting.create_future()
            counting.call_soon(future.set_result, 1)
            await future
            task = counting.create_task(child(1))
            await task
            await asyncio.gather(child(2), child(3))
            lock = asyncio.Lock()
            async with lock:
                await asyncio.sleep(0)

        counting.run_until_complete(main())
        counting.close()
        return log
    compare(scenario)


def test_call_at_is_used_by_call_later(make, loop_class):
    log = []
    loop = make(call_at=subclassing("call_at", loop_class, log))
    handle = loop.call_later(5, print, 1)
    (_, args, kwargs), = log
    assert args[1:] == (print, 1)
    assert handle.when() == args[0]
    handle.cancel()
    log.clear()
    loop.run_until_complete(asyncio.sleep(0.001))
    assert len(log) == 1


def test_call_later_is_used_by_sleep(make, loop_class):
    log = []
    loop = make(call_later=subclassing("call_later", loop_class, log))
    loop.run_until_complete(asyncio.sleep(0.001))
    assert [args[0] for _, args, _ in log] == [0.001]


def test_time_is_used_for_timers(make, loop_class):
    offset = 0.0

    def time(self):
        return loop_class.time(self) + offset

    loop = make(time=time)
    ran = []
    handle = loop.call_later(1000, ran.append, 1)
    spin(loop, 2)
    assert ran == []
    offset = 2000.0
    spin(loop, 2)
    assert ran == [1]
    assert handle.when() < loop.time()


def test_simulated_time(make):
    """A clock that jumps to the next timer: nothing really sleeps."""
    now = 0.0

    def time(self):
        return now

    loop = make(time=time)

    async def main():
        nonlocal now
        order = []
        for delay in (30, 10, 20):
            loop.call_later(delay, order.append, delay)
        for _ in range(4):
            now += 10
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return order

    assert loop.run_until_complete(main()) == [10, 20, 30]


def test_create_task_is_used_by_asyncio(make, loop_class):
    log = []
    loop = make(create_task=subclassing("create_task", loop_class, log))

    async def main():
        await asyncio.create_task(answer())
        await asyncio.gather(answer(), answer())
        async with asyncio.TaskGroup() as group:
            group.create_task(answer())

    loop.run_until_complete(main())
    assert len(log) == 5


def test_create_future_is_used(make, loop_class):
    log = []
    loop = make(create_future=subclassing("create_future", loop_class, log))
    loop.run_until_complete(asyncio.sleep(0.001))
    assert log


def test_get_debug_is_asked(make):
    loop = make(get_debug=lambda self: True)
    assert loop.create_future()._source_traceback is not None


def test_call_exception_handler_override(make):
    seen = []
    loop = make(call_exception_handler=lambda self, context: seen.append(
        context["message"].split(" at ")[0]))

    def bad():
        raise ValueError

    loop.call_soon(bad)
    spin(loop)
    future = loop.create_future()
    future.set_exception(ValueError("x"))
    del future
    gc.collect()
    assert seen[1:] == ["Future exception was never retrieved"]
    assert seen[0].endswith("bad()")


def test_default_exception_handler_override(make):
    seen = []
    loop = make(default_exception_handler=lambda self, context:
                seen.append(sorted(context)))

    def bad():
        raise ValueError

    loop.call_soon(bad)
    spin(loop)
    assert seen == [["exception", "handle", "message"]]


def test_run_forever_override_is_used(make, loop_class):
    log = []
    loop = make(run_forever=subclassing("run_forever", loop_class, log))
    loop.run_until_complete(answer())
    assert len(log) == 1


def test_stop_override_is_used_by_run_until_complete(make, loop_class):
    log = []
    loop = make(stop=subclassing("stop", loop_class, log))
    loop.run_until_complete(answer())
    assert len(log) == 1


def test_several_levels(loop_class):
    log = []

    class First(loop_class):
        def call_soon(self, *args, **kwargs):
            log.append("first")
            return super().call_soon(*args, **kwargs)

    class Second(First):
        def call_soon(self, *args, **kwargs):
            log.append("second")
            return super().call_soon(*args, **kwargs)

    loop = Second()
    loop.call_soon(print)
    loop.close()
    assert log == ["second", "first"]


def test_method_set_on_the_class_later(loop_class):
    """A class can change while its loops live."""
    cls = type("Changing", (loop_class,), {})
    loop = cls()
    log = []
    loop.run_until_complete(answer())
    cls.call_soon = subclassing("call_soon", loop_class, log)
    loop.run_until_complete(answer())
    count = len(log)
    assert count >= 3
    del cls.call_soon
    loop.run_until_complete(answer())
    assert len(log) == count
    loop.close()


# --- attributes of one loop -----------------------------------------------

def test_call_soon_on_the_instance(loop):
    log = []
    original = loop.call_soon

    def call_soon(callback, *args, context=None):
        log.append(callback)
        return original(callback, *args, context=context)

    loop.call_soon = call_soon
    assert loop.run_until_complete(answer()) == 42
    count = len(log)
    assert count >= 3
    del loop.call_soon
    assert loop.run_until_complete(answer()) == 42
    assert len(log) == count


def test_call_soon_set_while_running(loop):
    log = []

    async def main():
        await asyncio.sleep(0)
        original = loop.call_soon

        def call_soon(callback, *args, context=None):
            log.append(callback)
            return original(callback, *args, context=context)

        loop.call_soon = call_soon
        await asyncio.sleep(0)
        future = loop.create_future()
        loop.call_later(0.001, future.set_result, None)
        await future
        del loop.call_soon
        count = len(log)
        await asyncio.sleep(0)
        return count, len(log)

    before, after = loop.run_until_complete(main())
    assert before >= 2 and before == after


def test_create_task_on_the_instance(loop):
    log = []
    original = loop.create_task

    def create_task(coro, **kwargs):
        log.append(coro)
        return original(coro, **kwargs)

    loop.create_task = create_task

    async def main():
        await asyncio.create_task(answer())
        return await asyncio.gather(answer(1), answer(2))

    assert loop.run_until_complete(main()) == [1, 2]
    assert len(log) == 4


def test_time_on_the_instance(loop):
    ran = []
    loop.call_later(1000, ran.append, 1)
    spin(loop)
    original = loop.time
    loop.time = lambda: original() + 2000
    spin(loop, 2)
    assert ran == [1]
    del loop.time


def test_call_exception_handler_on_the_instance(loop):
    seen = []
    loop.call_exception_handler = lambda context: seen.append(
        context["exception"])

    def bad():
        raise ValueError("x")

    with journal() as log:
        loop.call_soon(bad)
        spin(loop)
    assert [str(error) for error in seen] == ["x"]
    assert log.messages == []


def test_create_future_on_the_instance(loop):
    made = []
    original = loop.create_future

    def create_future():
        future = original()
        made.append(future)
        return future

    loop.create_future = create_future
    loop.run_until_complete(asyncio.sleep(0.001))
    assert made


def test_close_on_the_instance(side):
    """sentry wraps close() this way."""
    log = []
    with asyncio.Runner(loop_factory=side.new_loop) as runner:
        loop = runner.get_loop()
        original = loop.close

        def close():
            log.append("close")
            original()

        loop.close = close
        runner.run(answer())
    assert log == ["close"] and loop.is_closed()


def test_mock_of_a_method(loop):
    from unittest import mock
    with mock.patch.object(loop, "call_soon", wraps=loop.call_soon) as spy:
        loop.run_until_complete(answer())
    assert spy.call_count >= 3
    count = spy.call_count
    loop.run_until_complete(answer())
    assert spy.call_count == count


# --- task factories -------------------------------------------------------

def test_task_factory_arguments():
    def scenario(side, loop):
        seen = []

        def factory(loop, coro, **kwargs):
            seen.append((type(coro).__name__, sorted(kwargs)))
            return side.Task(coro, loop=loop, **kwargs)

        loop.set_task_factory(factory)
        assert loop.get_task_factory() is factory
        import contextvars
        context = contextvars.copy_context()
        loop.run_until_complete(answer())
        loop.run_until_complete(loop.create_task(answer(), name="n"))
        loop.run_until_complete(loop.create_task(answer(), context=context))
        loop.run_until_complete(loop.create_task(answer(), name="n",
                                                 context=context))
        loop.set_task_factory(None)
        assert loop.get_task_factory() is None
        loop.run_until_complete(answer())
        return seen
    assert len(compare(scenario)) == 4


def test_task_factory_may_return_anything(loop, side):
    class Named(side.Future):
        def set_name(self, name):
            """3.13.0 calls this on whatever a factory returns."""

    def factory(loop, coro, **kwargs):
        coro.close()
        future = Named(loop=loop)
        future.set_result("from the factory")
        return future

    loop.set_task_factory(factory)
    assert loop.run_until_complete(loop.create_task(answer())) == (
        "from the factory")


def test_stdlib_task_on_this_loop(loop):
    task = asyncio.Task(answer(5), loop=loop)
    assert loop.run_until_complete(task) == 5


def test_stdlib_future_on_this_loop(loop):
    future = asyncio.Future(loop=loop)
    loop.call_soon(future.set_result, 6)

    async def main():
        return await future

    assert loop.run_until_complete(main()) == 6


# --- the loop as an object ------------------------------------------------

def test_is_an_event_loop(loop):
    assert isinstance(loop, asyncio.AbstractEventLoop)
    assert issubclass(type(loop), asyncio.AbstractEventLoop)


def test_dict_and_attributes(loop):
    loop.anything = [1]
    assert loop.anything == [1]
    assert loop.__dict__["anything"] == [1]
    assert vars(loop)["anything"] == [1]
    setattr(loop, "more", 2)
    assert getattr(loop, "more") == 2
    del loop.anything
    assert not hasattr(loop, "anything")
    with pytest.raises(AttributeError):
        loop.never_set


def test_cycle_through_an_attribute_is_collected(side):
    loop = side.new_loop()
    loop.me = loop
    loop.close()
    ref = weakref.ref(loop)
    del loop
    gc.collect()
    assert ref() is None


def test_weak_references_and_hash(loop, new_loop):
    other = new_loop()
    assert weakref.ref(loop)() is loop
    table = weakref.WeakKeyDictionary({loop: 1, other: 2})
    assert table[loop] == 1 and table[other] == 2
    assert loop == loop and loop != other
    assert len({loop, other, loop}) == 2
    assert hash(loop) == hash(loop)


def test_cannot_be_pickled(loop):
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(loop)


def test_methods_are_described(loop):
    for name in ("call_soon", "call_later", "create_task", "run_forever",
                 "run_until_complete", "create_connection"):
        method = getattr(loop, name)
        assert callable(method)
        assert method.__name__ == name


def test_every_public_method_of_asyncio_exists():
    def public(loop):
        return {name for name in dir(loop) if not name.startswith("_")}

    def scenario(side, loop):
        return sorted(public(loop) & public(asyncio.SelectorEventLoop))
    compare(scenario)


def test_coroutine_methods_return_awaitables(loop):
    """Called and not awaited, they can be closed without a trace."""
    import inspect
    coro = loop.shutdown_asyncgens()
    assert inspect.isawaitable(coro)
    assert asyncio.iscoroutine(coro)
    coro.close()
    coro = loop.getaddrinfo("127.0.0.1", 80)
    assert asyncio.iscoroutine(coro)
    coro.close()
