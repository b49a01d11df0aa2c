"""What a Handle and a TimerHandle promise to those who hold one."""

import asyncio
import contextvars
import gc
import sys
import weakref

import pytest

from support import compare, journal, plain, run_for, spin


def callback(*args):
    pass


class Thing:
    def method(self, *args):
        pass

    def __call__(self):
        pass


@pytest.fixture(params=["call_soon", "call_soon_threadsafe", "call_later",
                        "call_at"])
def schedule(request, loop):
    """A way to get a handle: schedule(callback, *args)."""
    how = getattr(loop, request.param)
    if request.param in ("call_later", "call_at"):
        return lambda *args, **kw: how(1e-6, *args, **kw)
    return how


# --- types and attributes -------------------------------------------------

def test_types(loop):
    soon = loop.call_soon(callback)
    safe = loop.call_soon_threadsafe(callback)
    later = loop.call_later(1, callback)
    at = loop.call_at(1, callback)
    for handle in (soon, safe, later, at):
        assert isinstance(handle, asyncio.Handle)
        assert issubclass(type(handle), asyncio.Handle)
    assert isinstance(later, asyncio.TimerHandle)
    assert isinstance(at, asyncio.TimerHandle)
    assert not isinstance(soon, asyncio.TimerHandle)
    assert not isinstance(safe, asyncio.TimerHandle)
    assert type(later) is type(at)


def test_namespace_types(side, loop):
    assert isinstance(loop.call_soon(callback), side.Handle)
    assert isinstance(loop.call_later(1, callback), side.TimerHandle)
    assert issubclass(side.TimerHandle, asyncio.Handle)
    assert issubclass(side.Handle, asyncio.Handle)
    assert issubclass(side.TimerHandle, asyncio.TimerHandle)


def test_attributes(loop, schedule):
    context = contextvars.copy_context()
    handle = schedule(callback, 1, "two", context=context)
    assert handle._callback is callback
    assert tuple(handle._args) == (1, "two")
    assert handle._loop is loop
    assert handle._context is context
    assert handle._cancelled is False
    assert handle._source_traceback is None
    assert handle.cancelled() is False
    if sys.version_info >= (3, 12):
        assert handle.get_context() is context


def test_attributes_without_arguments_and_context(loop, schedule):
    handle = schedule(callback)
    assert tuple(handle._args) == ()
    assert isinstance(handle._context, contextvars.Context)


def test_attributes_after_cancel(loop, schedule):
    handle = schedule(callback, 1)
    assert handle.cancel() is None
    assert handle.cancelled() is True
    assert handle._cancelled is True
    assert handle._callback is None
    assert handle._args is None
    assert handle._loop is loop


def test_attributes_after_the_run(loop, schedule):
    """A handle that ran still tells what it ran."""
    handle = schedule(callback, 1)
    run_for(loop, 0.002)
    assert handle.cancelled() is False
    assert handle._callback is callback
    assert tuple(handle._args) == (1,)


def test_weak_references(loop, schedule):
    handle = schedule(callback)
    ref = weakref.ref(handle)
    assert ref() is handle
    del handle
    run_for(loop, 0.002)
    gc.collect()
    assert ref() is None


def test_cancel_lets_the_callback_and_arguments_go(loop, schedule):
    thing, argument = Thing(), Thing()
    refs = [weakref.ref(thing), weakref.ref(argument)]
    handle = schedule(thing.method, argument)
    del thing, argument
    handle.cancel()
    gc.collect()
    assert [ref() for ref in refs] == [None, None]
    assert handle.cancelled()


def test_run_lets_the_callback_go_with_the_handle(loop, schedule):
    thing, argument = Thing(), Thing()
    refs = [weakref.ref(thing), weakref.ref(argument)]
    schedule(thing.method, argument)
    del thing, argument
    run_for(loop, 0.002)
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


def test_closing_the_loop_lets_callbacks_go(new_loop):
    thing = Thing()
    ref = weakref.ref(thing)
    loop = new_loop()
    loop.call_soon(thing.method)
    loop.call_later(100, thing.method)
    loop.call_soon_threadsafe(thing.method)
    loop.close()
    del thing
    gc.collect()
    assert ref() is None


def test_cycle_through_handle_and_loop_is_collected(side):
    loop = side.new_loop()
    thing = Thing()
    thing.loop = loop
    thing.handle = loop.call_later(1000, thing.method, thing)
    ref = weakref.ref(thing)
    loop.close()
    del loop, thing
    gc.collect()
    assert ref() is None


# --- repr -----------------------------------------------------------------

def repr_cases(loop):
    thing = Thing()
    yield loop.call_soon(callback)
    yield loop.call_soon(callback, 1, "two", [3])
    yield loop.call_soon(thing.method, 1)
    yield loop.call_soon(len, "abc")
    yield loop.call_soon([].append, 1)
    yield loop.call_soon(lambda: 1)
    yield loop.call_soon(thing)
    yield loop.call_soon(print, "x" * 500)
    import functools
    yield loop.call_soon(functools.partial(callback, 1, key=2), 3)
    yield loop.call_soon(functools.partial(functools.partial(callback, 1), 2))
    yield loop.call_at(1234.5, callback)
    yield loop.call_at(0, callback, 1)
    yield loop.call_soon_threadsafe(callback, 1)


@pytest.mark.parametrize("debug", [False, True])
def test_repr(debug):
    def scenario(side, loop):
        loop.set_debug(debug)
        handles = list(repr_cases(loop))
        seen = [plain(repr(handle)) for handle in handles]
        for handle in handles:
            handle.cancel()
        seen += [plain(repr(handle)) for handle in handles]
        return seen
    reprs = compare(scenario)
    assert reprs[0].startswith("<Handle callback() at ")
    assert reprs[10].startswith("<TimerHandle when=1234.5 callback() at ")
    if not debug:
        assert reprs[13] == "<Handle cancelled>"
        assert reprs[23] == "<TimerHandle cancelled when=1234.5>"


def test_repr_of_a_handle_that_ran():
    def scenario(side, loop):
        handle = loop.call_soon(callback, 1)
        spin(loop)
        return plain(repr(handle))
    assert compare(scenario).startswith("<Handle callback(")


def test_source_traceback_in_debug(loop, schedule):
    loop.set_debug(True)
    handle = schedule(callback)
    assert handle._source_traceback[-1].filename == __file__


# --- comparison and hash --------------------------------------------------

def test_order_of_timers(loop):
    early = loop.call_at(100, callback)
    same = loop.call_at(100, callback)
    other = loop.call_at(100, callback, 1)
    late = loop.call_at(200, callback)
    assert early < late and late > early and early <= late and late >= early
    assert not late < early and not early > late
    assert not late <= early and not early >= late
    assert early <= same and early >= same and early == same
    assert not early < same and not early > same
    assert early != other and early != late
    assert early <= early and not early != early
    assert sorted([late, early]) == [early, late]


def test_order_with_other_things(loop):
    timer = loop.call_at(100, callback)
    soon = loop.call_soon(callback)
    assert timer != soon and timer != 100 and timer is not None
    assert timer.__lt__(1) is NotImplemented
    assert timer.__gt__(1) is NotImplemented
    assert timer.__le__(1) is NotImplemented
    assert timer.__ge__(1) is NotImplemented
    assert timer.__eq__(1) is NotImplemented
    with pytest.raises(TypeError):
        timer < 1
    with pytest.raises(TypeError):
        soon < soon


def test_hash(loop):
    timer = loop.call_at(123.25, callback)
    assert hash(timer) == hash(123.25)
    assert len({loop.call_soon(callback), loop.call_soon(callback)}) == 2
    cancelled = loop.call_at(5, callback)
    cancelled.cancel()
    assert hash(cancelled) == hash(5)


def test_equality_after_cancel(loop):
    first, second = loop.call_at(7, callback), loop.call_at(7, callback)
    first.cancel()
    assert first != second
    second.cancel()
    assert first == second


# --- made by hand ---------------------------------------------------------

def test_constructor(side, loop):
    handle = side.Handle(callback, (1, 2), loop)
    assert (handle._callback, tuple(handle._args)) == (callback, (1, 2))
    timer = side.TimerHandle(12.5, callback, (1,), loop)
    assert timer.when() == 12.5
    context = contextvars.copy_context()
    handle = side.Handle(callback, (), loop, context=context)
    assert handle._context is context
    timer = side.TimerHandle(1, callback, (), loop, context)
    assert timer._context is context


def test_run_by_hand(side, loop):
    ran = []
    side.Handle(ran.append, (1,), loop)._run()
    side.TimerHandle(0, ran.append, (2,), loop)._run()
    loop.call_soon(ran.append, 3)._run()
    spin(loop)
    assert ran == [1, 2, 3, 3]


def test_run_by_hand_reports_errors(side, loop):
    def bad():
        raise ValueError("bad")

    with journal() as log:
        side.Handle(bad, (), loop)._run()
        loop.call_soon(bad)._run()
        spin(loop)
    assert [str(error) for error in log.errors] == ["bad"] * 3


def test_run_by_hand_lets_exits_through(side, loop):
    def leave():
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        side.Handle(leave, (), loop)._run()


def test_subclass(side, loop):
    class Mine(side.TimerHandle):
        def __init__(self, when, note):
            super().__init__(when, callback, (note,), loop)
            self.note = note

        def cancel(self):
            self.note = "cancelled"
            super().cancel()

    mine = Mine(5.5, "hello")
    assert mine.when() == 5.5 and mine.note == "hello"
    assert isinstance(mine, asyncio.TimerHandle)
    assert repr(mine).startswith("<Mine when=5.5 ")
    mine.cancel()
    assert mine.note == "cancelled" and mine.cancelled()


def test_asyncio_handle_on_this_loop(loop):
    """A stdlib handle works with any loop."""
    ran = []
    asyncio.Handle(ran.append, (1,), loop)._run()
    handle = asyncio.TimerHandle(1, ran.append, (2,), loop)
    handle.cancel()
    assert ran == [1] and handle.cancelled()


# --- the hook of the profilers --------------------------------------------

def test_patched_run_is_honoured(loop, monkeypatch):
    """Slow-callback tools replace asyncio.events.Handle._run."""
    seen = []
    original = asyncio.events.Handle._run

    def watched(self):
        seen.append((type(self).__name__, self._callback))
        return original(self)

    ran = []
    loop.call_soon(ran.append, "before")
    monkeypatch.setattr(asyncio.events.Handle, "_run", watched)
    loop.call_soon(ran.append, "soon")
    loop.call_later(-1, callback)
    loop.call_soon_threadsafe(callback)
    run_for(loop, 0.002)
    assert ran == ["before", "soon"]
    # asyncio's loop has handles of its own in between.
    assert [name for name, what in seen if what is callback] in (
        ["Handle", "TimerHandle"], ["_ThreadSafeHandle", "TimerHandle"])
    assert [name for name, what in seen if what == ran.append] == [
        "Handle", "Handle"]
    assert [name for name, what in seen if what == loop.stop] == [
        "TimerHandle"]
    monkeypatch.undo()
    count = len(seen)
    loop.call_soon(ran.append, "after")
    spin(loop)
    assert ran[-1] == "after" and len(seen) == count


def test_patched_run_sees_tasks(loop, monkeypatch):
    seen = []
    original = asyncio.events.Handle._run

    def watched(self):
        seen.append(getattr(self._callback, "__self__", None))
        return original(self)

    async def work():
        await asyncio.sleep(0)
        return 42

    monkeypatch.setattr(asyncio.events.Handle, "_run", watched)
    task = loop.create_task(work())
    assert loop.run_until_complete(task) == 42
    assert seen.count(task) >= 2


def test_patched_run_sees_readers(loop, monkeypatch):
    import socket
    seen = []
    original = asyncio.events.Handle._run

    def watched(self):
        seen.append(self._callback)
        return original(self)

    left, right = socket.socketpair()
    with left, right:
        def readable():
            left.recv(1)
            loop.stop()

        monkeypatch.setattr(asyncio.events.Handle, "_run", watched)
        loop.add_reader(left, readable)
        right.send(b"x")
        loop.run_forever()
        loop.remove_reader(left)
    assert readable in seen


def test_get_context_exists_where_asyncio_has_it(side):
    expected = hasattr(asyncio.Handle, "get_context")
    assert hasattr(side.Handle, "get_context") == expected


def test_no_other_public_names():
    def scenario(side, loop):
        return [sorted(name for name in dir(loop.call_at(1, callback))
                       if not name.startswith("_"))]
    compare(scenario)


# --- attributes that are changed at the wrong moment ------------------------

def broken_by(change, *args):
    """The loop runs a handle that was changed before; what became of it."""
    def scenario(side, loop):
        reports = []
        loop.set_exception_handler(
            lambda _, context: reports.append(repr(context["exception"])))
        handle = loop.call_soon(callback, *args)
        change(handle)
        raised = None
        try:
            spin(loop)
        except AttributeError as error:
            raised = str(error)
        return reports, raised
    return scenario


def fail():
    raise ValueError("of the callback")


def lose_loop(handle):
    handle._callback = fail
    handle._loop = None


def test_no_context():
    compare(broken_by(lambda handle: setattr(handle, "_context", None)))


def test_context_that_is_none():
    compare(broken_by(lambda handle: setattr(handle, "_context", 5)))


def test_no_loop_to_report_to():
    compare(broken_by(lose_loop))


@pytest.mark.parametrize("name", ["_loop", "_context"])
@pytest.mark.parametrize("how", ["call_soon", "call_later"])
def test_attributes_that_cannot_be_deleted(how, name):
    fastasync = pytest.importorskip("fastasync")
    loop = fastasync.new_event_loop()
    try:
        when = (0,) if how == "call_later" else ()
        handle = getattr(loop, how)(*when, callback)
        with pytest.raises(AttributeError):
            delattr(handle, name)
        spin(loop)
    finally:
        loop.close()


def test_scheduled_timer_stays_with_its_loop():
    fastasync = pytest.importorskip("fastasync")
    loop, other = fastasync.new_event_loop(), fastasync.new_event_loop()
    try:
        timer = loop.call_later(1000, callback)
        for value in (None, other, object()):
            with pytest.raises(AttributeError):
                timer._loop = value
        timer._loop = loop
        timer.cancel()
        assert len(loop._scheduled) == 0
        timer._loop = other  # it is in no heap any more
    finally:
        loop.close()
        other.close()


@pytest.mark.parametrize("name, value", [
    ("_context", None), ("_context", contextvars.copy_context()),
    ("_callback", None), ("_callback", callback), ("_args", ()),
    ("_args", None), ("_loop", None)])
def test_changed_by_its_own_call(loop, name, value):
    """What the running call uses lives on, and its context is left."""
    variable = contextvars.ContextVar("variable", default=0)
    seen = []
    dead = []

    class Callback:
        def __call__(self, *args):
            variable.set(1)
            setattr(handle, name, value)
            gc.collect()
            seen.append((len(args), args[0].method(), bool(dead)))

    class Argument(Thing):
        pass

    called = Callback()
    weakref.finalize(called, dead.append, 1)
    handle = loop.call_soon(called, *[Argument() for _ in range(6)])
    del called
    loop.call_soon(lambda: seen.append(variable.get()))
    spin(loop)
    assert seen == [(6, None, False), 0]
    assert variable.get() == 0
    del handle
    gc.collect()
    assert dead == [1]


def test_initialised_again_by_its_own_call(loop):
    seen = []

    def again(*args):
        handle.__init__(callback, (), loop)
        gc.collect()
        seen.append(args)

    handle = loop.call_soon(again, 1, 2, 3, 4, 5, 6)
    spin(loop)
    assert seen == [(1, 2, 3, 4, 5, 6)]


def test_uninitialised_handle_in_the_ring():
    fastasync = pytest.importorskip("fastasync")
    loop = fastasync.new_event_loop()
    reports = []
    loop.set_exception_handler(
        lambda _, context: reports.append(context["exception"]))
    try:
        for kind in (fastasync.Handle, fastasync.TimerHandle):
            handle = kind.__new__(kind)
            handle._callback = callback
            handle._loop = loop
            loop._add_callback(handle)
            spin(loop)
    finally:
        loop.close()
    assert [type(error) for error in reports] == [AttributeError] * 2
