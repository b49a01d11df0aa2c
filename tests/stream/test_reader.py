"""StreamReader: each script does the same on asyncio's and on ours."""

import array
import asyncio
import copy
import gc
import inspect
import sys
import unittest.mock
import weakref

import pytest

import _fastasync
import fastasync
import readers
from readers import FakeTransport

Ours = _fastasync.StreamReader
Stock = asyncio.streams.StreamReader

CLASSES = [readers.plain_class, readers.subclass, readers.noisy]


@pytest.fixture(params=CLASSES)
def same(request):
    def run(script, **options):
        return readers.same(script, make_class=request.param, **options)
    return run


def finish(bench, name, *args):
    """Start a read and let it end, or wait."""
    bench.start(name, *args)
    bench.spin(2)
    bench.look()


if sys.version_info < (3, 12):  # nothing but a Python function convinces inspect
    is_coroutine_function = asyncio.iscoroutinefunction
else:
    is_coroutine_function = inspect.iscoroutinefunction


# -- what kind of class it is ------------------------------------------------


def test_is_asyncios_class():
    assert issubclass(Ours, Stock)
    assert Ours.__module__ == "fastasync"
    assert Ours.__qualname__ == "StreamReader"


def test_signatures():
    assert inspect.signature(Ours) == inspect.signature(Stock)
    names = [name for name in vars(Stock)
             if inspect.isfunction(getattr(Stock, name))
             and not name.startswith("__")]
    assert len(names) >= 13
    ours, stock = (cls(loop=unittest.mock.Mock()) for cls in (Ours, Stock))
    for name in names:
        mine, theirs = getattr(ours, name), getattr(stock, name)
        assert inspect.signature(mine) == inspect.signature(theirs), name
        assert (is_coroutine_function(mine)
                == is_coroutine_function(theirs)), name
    assert is_coroutine_function(Ours.__anext__)


def test_autospec():
    spec = unittest.mock.create_autospec(Ours)
    spec.return_value.feed_data(b"x")
    with pytest.raises(AttributeError):
        spec.return_value.feed_date(b"x")


@pytest.mark.parametrize("arguments, keywords", [
    ((0,), {}), ((-5,), {}), (("x",), {}), ((None,), {}),
    ((1, None, 3), {}), ((), {"size": 3}), ((1,), {"limit": 3})])
def test_bad_constructor(arguments, keywords):
    errors = []
    for cls in (Stock, Ours):
        with pytest.raises((TypeError, ValueError)) as info:
            cls(*arguments, **{"loop": unittest.mock.Mock(), **keywords}
                if len(arguments) < 2 else keywords)
        errors.append((info.type, str(info.value)))
    assert errors[0] == errors[1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_default_loop():
    async def main(cls):
        assert cls()._loop is asyncio.get_running_loop()
        assert cls(5, None)._loop is asyncio.get_running_loop()

    for cls in (Stock, Ours):
        with asyncio.Runner() as runner:
            runner.run(main(cls))
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            with unittest.mock.patch.object(
                    asyncio.events, "_get_event_loop"
                    if sys.version_info < (3, 12) else "get_event_loop",
                    return_value=loop):
                assert cls()._loop is loop


def test_default_loop_missing():
    with unittest.mock.patch.object(
            asyncio.events, "_get_event_loop"
            if sys.version_info < (3, 12) else "get_event_loop",
            side_effect=RuntimeError("none")):
        with pytest.raises(RuntimeError, match="none"):
            Ours()


def test_not_initialised():
    texts = []
    for cls in (Stock, Ours):
        reader = cls.__new__(cls)
        found = []
        for call in (lambda: repr(reader), lambda: reader.feed_data(b"x"),
                     lambda: reader.at_eof(), lambda: reader.exception(),
                     lambda: reader._buffer, lambda: reader._waiter,
                     lambda: reader.set_transport(None),
                     lambda: reader.read(3).send(None),
                     lambda: reader.readline().send(None),
                     lambda: reader.readexactly(1).send(None),
                     lambda: reader._wait_for_data("x").send(None),
                     reader._maybe_resume_transport):
            with pytest.raises(AttributeError) as info:
                call()
            found.append(str(info.value))
        texts.append(found)
    assert texts[0] == texts[1]


def test_deleted_attributes(same):
    def script(bench):
        for name in ("_limit", "_loop", "_buffer", "_eof", "_waiter",
                     "_exception", "_transport", "_paused"):
            reader = bench.Reader(limit=5, loop=bench.loop)
            if hasattr(reader, "log"):
                reader.log = bench.note
            delattr(reader, name)
            bench.attempt(getattr, reader, name)
            bench.attempt(delattr, reader, name)
            bench.attempt(repr, reader)
            setattr(reader, name, None)
            bench.attempt(getattr, reader, name)

    same(script)


def test_init_again(same):
    def script(bench):
        bench.reader.feed_data(b"abc")
        bench.start("readexactly", 10)
        bench.spin()
        bench.look()
        bench.reader.__init__(3, bench.loop)
        bench.look()
        bench.reader.feed_data(b"more")
        finish(bench, "read", 2)

    same(script)


def test_source_traceback():
    for debug in (False, True):
        for name in readers.SETTINGS:
            with readers.bench(name, debug=debug) as bench:
                stack = bench.reader._source_traceback
                assert (stack is not None) == debug
                if debug:
                    assert stack[-1].name == "__init__"
                    assert stack[-1].filename == readers.__file__


# -- the buffer as Python sees it ---------------------------------------------


def test_buffer_is_one_bytearray(same):
    def script(bench):
        reader = bench.reader
        reader.feed_data(b"abc")
        buffer = reader._buffer
        bench.note(type(buffer).__name__, buffer is reader._buffer)
        reader.feed_data(b"def\nx")
        bench.note(bytes(buffer))
        finish(bench, "readline")
        bench.note(bytes(buffer))
        buffer += b"tail"
        finish(bench, "readexactly", 2)
        buffer.clear()
        finish(bench, "read", 5)
        buffer.extend(b"zz")
        reader.feed_data(b"yy")
        bench.spin(2)
        del buffer
        bench.note(len(reader._buffer))
        finish(bench, "readexactly", 3)
        reader.feed_data(b"1234567")
        finish(bench, "read", 100)

    same(script)


def test_buffer_in_use_cannot_shrink(same):
    def script(bench):
        bench.reader.feed_data(b"abc\n")
        view = memoryview(bench.reader._buffer)
        finish(bench, "readline")
        finish(bench, "read", 1)
        bench.attempt(bench.reader.feed_data, b"more")
        view.release()
        finish(bench, "readline")

    same(script)


@pytest.mark.parametrize("odd", [None, 5, "text", [1, 2]])
def test_odd_buffer(odd):
    def script(bench):
        bench.reader._buffer = odd
        bench.note(bench.reader._buffer is odd)
        try:
            bench.reader.feed_data(b"x")
        except Exception as error:
            bench.note(type(error).__name__)
        bench.reader._buffer = bytearray(b"fine")
        finish(bench, "read", 9)

    readers.same(script)


def test_nothing_is_copied_twice():
    """One chunk that is read whole is handed through."""
    async def main():
        reader = Ours()
        for size in (2, 100, 100_000):
            chunk = bytes(size)
            reader.feed_data(chunk)
            assert await reader.read(1 << 20) is chunk
            reader.feed_data(chunk)
            assert await reader.readexactly(size) is chunk
        line = b"a line\n"
        reader.feed_data(line)
        assert await reader.readline() is line
        reader.feed_data(line)
        reader.feed_eof()
        assert await reader.read() is line

    asyncio.run(main())


def test_what_is_fed_stays_as_it_was():
    async def main():
        reader = Ours()
        first = b"x" * 3000
        reader.feed_data(first)
        reader.feed_data(b"y" * 3000)
        assert await reader.readexactly(4000) == b"x" * 3000 + b"y" * 1000
        reader.feed_data(b"z" * 10_000)
        assert await reader.read(1 << 20) == b"y" * 2000 + b"z" * 10_000
        assert first == b"x" * 3000
        kept = bytearray(b"mutable")
        reader.feed_data(kept)
        kept[:] = b"changed"
        assert await reader.read(100) == b"mutable"

    asyncio.run(main())


def test_a_large_stream_in_all_sizes():
    text = bytes(range(251)) * 4000

    async def main():
        reader = Ours(limit=1 << 30)
        fed = at = 0
        sizes = [1, 7, 100, 5000, 20_000, 70_000, 3]
        turn = 0
        while at < len(text):
            size = sizes[turn % 7]
            reader.feed_data(text[fed:fed + size])
            fed += len(text[fed:fed + size])
            if turn % 3 and fed > at:
                part = await reader.read(sizes[(turn * 5) % 7] or 1)
                assert part == text[at:at + len(part)]
                at += len(part)
            turn += 1
        assert at == len(text)

    asyncio.run(main())


# -- arguments ---------------------------------------------------------------


class Index:
    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value

    def __lt__(self, other):
        return self.value < other

    def __gt__(self, other):
        return self.value > other

    def __ge__(self, other):
        return self.value >= other

    def __eq__(self, other):
        return self.value == other

    __hash__ = None

    def __repr__(self):
        return f"Index({self.value})"


@pytest.mark.parametrize("n", [
    0, 1, 3, True, False, -1, -7, 10**30, -10**30, Index(2), Index(0)])
@pytest.mark.parametrize("name", ["read", "readexactly"])
def test_sizes(same, name, n):
    def script(bench):
        bench.reader.feed_data(b"abcde")
        finish(bench, name, n)
        bench.reader.feed_eof()
        bench.spin(3)
        finish(bench, name, n)

    same(script)


@pytest.mark.parametrize("n", [None, "x", b"3", [], object()])
@pytest.mark.parametrize("name", ["read", "readexactly"])
def test_bad_sizes(same, name, n):
    def script(bench):
        bench.reader.feed_data(b"abcde")
        finish(bench, name, n)

    same(script)


SEPARATORS = [
    b"", b"\n", b"xx", bytearray(b"\n"), bytearray(), memoryview(b"\n"),
    memoryview(b""), "x", "", 10, None, [b"x"], [], array.array("b", [10]),
    (), (b"\n",), (b"\n", b"xx"), (b"xx", b"\n"), (b"xx", b""), ("x",),
    (b"x", "xx"), (1,), (b"\n", bytearray(b"x")), Index(1)]


@pytest.mark.parametrize("separator", SEPARATORS, ids=repr)
def test_separators(same, separator):
    def script(bench):
        bench.reader.feed_data(b"abcxxd\nef")
        finish(bench, "readuntil", separator)
        bench.reader.feed_data(b"\nxx\n")
        finish(bench, "readuntil", separator)

    same(script, limit=100)


@pytest.mark.parametrize("data", [
    b"", b"x", bytearray(b"yy"), memoryview(b"zz"), memoryview(b"abcd")[::2],
    array.array("H", [1, 2]), [1, 2, 3], [300], ["x"], "text", "", None, 0,
    5, (7,), iter([1, 2]), object()], ids=repr)
def test_feeding(same, data):
    def script(bench):
        some = copy.copy(data) if hasattr(data, "__next__") else data
        bench.start("read", 100)
        bench.spin()
        bench.attempt(bench.reader.feed_data, some)
        bench.spin(2)
        bench.look()

    same(script)


@pytest.mark.parametrize("name, arguments, keywords", [
    ("read", (1, 2), {}), ("read", (), {"size": 1}), ("read", (), {"n": 2}),
    ("readexactly", (), {}), ("readexactly", (), {"n": 2}),
    ("readline", (1,), {}), ("readline", (), {"n": 1}),
    ("readuntil", (b"a", b"b"), {}), ("readuntil", (), {"separator": b"b"}),
    ("feed_data", (), {}), ("feed_data", (), {"data": b"x"}),
    ("set_exception", (), {}), ("set_transport", (), {"transport": None}),
    ("_wait_for_data", (), {})])
def test_arguments(name, arguments, keywords):
    def script(bench):
        def call():
            made = getattr(bench.reader, name)(*arguments, **keywords)
            if hasattr(made, "send"):
                bench.reader.feed_data(b"abcdefg")
                try:
                    made.send(None)
                except StopIteration as stop:
                    return stop.value
            return made
        bench.attempt(call)

    readers.same(script, limit=100)


# -- limits, transports --------------------------------------------------------


@pytest.mark.parametrize("limit", [1.5, float("inf"), 10**30, 0, -1, None,
                                   "x", True])
def test_odd_limits(same, limit):
    def script(bench):
        bench.reader._limit = limit
        bench.reader.set_transport(FakeTransport(bench))
        bench.attempt(bench.reader.feed_data, b"a\n")
        bench.attempt(bench.reader.feed_data, b"abcdefghijk\nb\n")
        for _ in range(3):
            finish(bench, "readline")
        bench.reader.feed_eof()
        if limit is None or limit == "x" or limit > 0 and limit != 1.5:
            finish(bench, "read")

    same(script)


def test_overlong_lines(same):
    def script(bench):
        reader = bench.reader
        reader.set_transport(FakeTransport(bench))
        for data in (b"0123456789\nabc\n", b"x" * 30, b"yy\n", b"z" * 9):
            reader.feed_data(data)
            for name in ("readuntil", "readline", "__anext__"):
                finish(bench, name)
        reader.feed_eof()
        bench.spin(3)
        finish(bench, "readline")
        finish(bench, "readuntil")

    same(script, limit=5)


def test_transport_is_paused_and_resumed(same):
    def script(bench):
        reader = bench.reader
        transport = FakeTransport(bench)
        bench.attempt(reader.set_transport, transport)
        bench.attempt(reader.set_transport, transport)
        for _ in range(4):
            reader.feed_data(b"x" * 7)
            bench.look()
        finish(bench, "readexactly", 19)
        finish(bench, "readexactly", 2)
        reader.feed_data(b"y" * 30)
        finish(bench, "readexactly", 100)
        reader.feed_data(b"z" * 100)
        bench.spin(3)
        reader.feed_eof()
        finish(bench, "read")

    same(script)


def test_transport_that_cannot_pause(same):
    def script(bench):
        bench.reader.set_transport(FakeTransport(bench, can_pause=False))
        for _ in range(5):
            bench.attempt(bench.reader.feed_data, b"x" * 10)
        bench.look()

    same(script)


def test_transport_that_fails(same):
    class Failing:
        def pause_reading(self):
            raise KeyError("pause")

        def resume_reading(self):
            raise KeyError("resume")

    def script(bench):
        bench.reader._transport = Failing()
        bench.attempt(bench.reader.feed_data, b"x" * 100)
        bench.reader._paused = True
        finish(bench, "read", 3)
        finish(bench, "read", 300)
        bench.reader._paused = True
        finish(bench, "read", 300)

    same(script)


def test_transport_that_feeds_when_resumed(same):
    def script(bench):
        class Eager(FakeTransport):
            def resume_reading(self):
                super().resume_reading()
                bench.reader.feed_data(b"eager\n" * 4)

        bench.reader.set_transport(Eager(bench))
        bench.reader.feed_data(b"x" * 20)
        finish(bench, "readexactly", 40)
        finish(bench, "readline")
        finish(bench, "read", 100)

    same(script)


@pytest.mark.skipif(not hasattr(Stock, "_replace_transport"), reason="3.14+")
def test_replace_transport(same):
    def script(bench):
        bench.attempt(bench.reader._replace_transport, FakeTransport(bench))
        bench.reader.set_transport(FakeTransport(bench))
        bench.attempt(bench.reader._replace_transport, FakeTransport(bench))

    same(script)


# -- waiting -------------------------------------------------------------------


@pytest.mark.parametrize("name, arguments", [
    ("read", (5,)), ("read", ()), ("readline", ()), ("readuntil", (b"x",)),
    ("readexactly", (3,)), ("__anext__", ()), ("_wait_for_data", ("x",))])
def test_two_readers_and_errors(same, name, arguments):
    def script(bench):
        reader = bench.reader
        for other in ("read", "readline", "readexactly"):
            finish(bench, name, *arguments)
            finish(bench, other, *((2,) if other == "readexactly" else ()))
            bench.cancel()
            bench.spin(2)
            bench.look()
        finish(bench, name, *arguments)
        bench.attempt(reader.set_exception, ValueError("broken"))
        bench.spin(2)
        finish(bench, name, *arguments)
        reader._exception = None
        reader.feed_eof()
        bench.attempt(reader.feed_data, b"late")
        finish(bench, name, *arguments)

    same(script)


@pytest.mark.parametrize("error", [
    ValueError("x"), ValueError, StopIteration(3), 5, "text",
    asyncio.IncompleteReadError(b"part", 9),
    asyncio.LimitOverrunError("over", 2), asyncio.CancelledError("c")],
    ids=repr)
def test_exceptions(same, error):
    def script(bench):
        finish(bench, "readline")
        bench.attempt(bench.reader.set_exception, error)
        bench.spin(2)
        bench.note(bench.reader.exception() is error)
        bench.reader.feed_data(b"a\nb\nc\n")
        for name in ("readline", "readuntil", "__anext__"):
            finish(bench, name)
        finish(bench, "read", 1)
        finish(bench, "readexactly", 1)

    same(script)


def test_closing_a_waiting_coroutine():
    for name in ("readline", "read", "readuntil", "__anext__"):
        def script(bench, name=name):
            coro = getattr(bench.reader, name)()
            bench.note(bench.reader._waiter is None)
            coro.send(None)
            bench.note(bench.reader._waiter is None)
            coro.close()
            bench.note(bench.reader._waiter is None)
            coro = getattr(bench.reader, name)()
            coro.send(None)
            bench.attempt(coro.throw, KeyError("thrown"))
            bench.note(bench.reader._waiter is None)

        readers.same(script)


def test_a_loop_that_makes_odd_futures(same):
    class Awaitable:
        def __await__(self):
            yield
            return None

        def cancelled(self):
            return False

        def set_result(self, value):
            raise KeyError("set_result")

    def script(bench):
        class Loop:
            made = None

            def create_future(self):
                return self.made

        for made in (Awaitable(), 5, None):
            Loop.made = made
            bench.reader._loop = Loop()
            finish(bench, "readline")
            bench.attempt(bench.reader.feed_data, b"x")
            bench.spin(2)
            bench.look()

    same(script)


def test_waiter_set_by_hand(same):
    def script(bench):
        future = bench.loop.create_future()
        bench.reader._waiter = future
        finish(bench, "read", 3)
        bench.reader.feed_data(b"x")
        bench.note(future.done(), bench.reader._waiter is None)
        future = bench.loop.create_future()
        future.set_result(1)
        bench.reader._waiter = future
        bench.attempt(bench.reader.feed_data, b"x")
        bench.reader._waiter = 5
        bench.attempt(bench.reader.feed_eof)

    same(script)


def test_never_awaited():
    reader = Ours(loop=unittest.mock.Mock())
    with pytest.warns(RuntimeWarning, match="StreamReader.read' was never"):
        reader.read(3)
        gc.collect()


# -- subclasses ------------------------------------------------------------------


def test_overridden_methods_are_called():
    def make(stock):
        class Mine(stock):
            def feed_eof(self):
                self.log("feed_eof")
                super().feed_eof()

            async def readuntil(self, separator=b"\n"):
                return b"my line" + separator

            async def read(self, n=-1):
                if n < 0:
                    return await super().read(n)
                if not hasattr(self, "blocks"):
                    self.blocks = [b"one", b"two", b""]
                return self.blocks.pop(0)

            log = None
        return Mine

    def script(bench):
        bench.reader.feed_eof()
        finish(bench, "readline")
        finish(bench, "__anext__")
        finish(bench, "read")
        bench.look()

    readers.same(script, make_class=make)


def test_methods_replaced_on_the_instance():
    def script(bench):
        async def waits(name):
            bench.note("waits", name)
            bench.reader.feed_data(b"data\n")

        bench.reader._wait_for_data = waits
        finish(bench, "readline")
        finish(bench, "readexactly", 7)
        finish(bench, "read", 100)
        bench.reader._wakeup_waiter = lambda: bench.note("wakeup")
        bench.reader._maybe_resume_transport = lambda: bench.note("resume")
        finish(bench, "read", 100)

    readers.same(script)


def test_async_for(same):
    def script(bench):
        async def lines():
            async for line in bench.reader:
                bench.note(line)

        bench.tasks.append(bench.loop.create_task(lines()))
        for data in (b"a\nb", b"b\n", b"", b"c\nd\ne"):
            bench.reader.feed_data(data)
            bench.spin(2)
        bench.reader.feed_eof()
        bench.spin(4)
        bench.note(bench.tasks[-1].done())

    same(script)


def test_an_overridden_anext():
    class Mine(Ours):
        async def __anext__(self):
            raise StopAsyncIteration

    class Line(Ours):
        lines = [b"1", b""]

        async def readline(self):
            return self.lines.pop(0)

    async def main():
        reader = Mine()
        reader.feed_data(b"a\n")
        assert [line async for line in reader] == []
        assert [line async for line in Line()] == [b"1"]

    asyncio.run(main())


# -- copies, weak references, cycles -------------------------------------------


def test_copy():
    def script(bench):
        bench.reader.feed_data(b"abc")
        bench.reader._loop = "a loop"
        state = bench.reader.__getstate__()
        bench.note(*(name for name in state if name != "log"))
        for copied in (copy.copy(bench.reader), copy.deepcopy(bench.reader)):
            bench.note(repr(copied), bytes(copied._buffer))
            bench.note(copied._buffer is bench.reader._buffer)
        bench.reader._loop = bench.loop

    readers.same(script)


def test_weakref_and_cycle():
    loop = unittest.mock.Mock()
    loop.get_debug.return_value = False
    reader = Ours(loop=loop)
    reader.itself = reader
    reader._exception = reader
    ref = weakref.ref(reader)
    del reader
    gc.collect()
    assert ref() is None


def test_state_that_is_no_mapping():
    class Strange(dict):
        def items(self):
            return [1, (1,)]

    loop = fastasync.new_event_loop()
    reader = fastasync.StreamReader(loop=loop)
    for state in (Strange(), {5: 1}):
        with pytest.raises(TypeError):
            reader.__setstate__(state)
    loop.close()
