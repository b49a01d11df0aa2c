"""StreamReaderProtocol: protocol.c and drain.c, compared with asyncio's."""

import asyncio
import collections
import gc
import weakref

import pytest

import support
from streamsupport import FakeTransport, attempt, connected, finish

fastasync = pytest.importorskip("fastasync")

ATTRIBUTES = (
    "_loop",
    "_paused",
    "_connection_lost",
    "_drain_waiters",
    "_stream_reader",
    "_stream_reader_wr",
    "_strong_reader",
    "_source_traceback",
    "_reject_connection",
    "_stream_writer",
    "_task",
    "_transport",
    "_client_connected_cb",
    "_over_ssl",
    "_closed",
)


def state(protocol):
    """Every attribute of asyncio's, as plain data."""
    return {
        name: support.plain(repr(getattr(protocol, name, "absent")))
        .replace("_SelectorSocket", "Socket")
        for name in ATTRIBUTES
    }


# -- making -------------------------------------------------------------------


@pytest.mark.parametrize(
    "args, kwargs",
    [
        ((), {}),
        ((None, None, None, None), {}),
        ((None,), {"stream_reader": None}),
        ((None,), {"what": 1}),
        ((), {"loop": None}),
        ((object(),), {}),
        ((5,), {}),
    ],
)
def test_constructor_refuses(args, kwargs):
    def scenario(side, loop):
        if "loop" not in kwargs:
            made = {**kwargs, "loop": loop} if len(args) < 3 else kwargs
        else:
            made = kwargs
        return attempt(side.module.StreamReaderProtocol, *args, **made)

    assert "Error" in support.compare(scenario)


def test_attributes_over_a_life():
    def scenario(side, loop):
        seen = []
        made = side.module.StreamReaderProtocol
        reader = side.module.StreamReader(loop=loop)
        protocol = made(reader, loop=loop)
        seen.append(state(protocol))
        protocol.connection_made(FakeTransport())
        seen.append(state(protocol))
        protocol.pause_writing()
        seen.append(state(protocol))
        protocol.resume_writing()
        protocol.connection_lost(None)
        seen.append(state(protocol))
        served = made(reader, lambda *args: None, loop=loop)
        seen.append(state(served)["_strong_reader"] != "absent")
        seen.append(state(made(None, loop=loop)))
        return seen

    support.compare(scenario)


def test_attributes_are_the_state(side, loop):
    reader, protocol, transport = connected(side, loop)
    protocol._paused = True
    with pytest.raises(AssertionError):
        protocol.pause_writing()
    protocol._connection_lost = True
    with pytest.raises(ConnectionResetError, match="Connection lost"):
        loop.run_until_complete(protocol._drain_helper())
    protocol._stream_reader_wr = None
    assert protocol._stream_reader is None
    protocol.data_received(b"nobody reads this")
    protocol._stream_reader_wr = lambda: reader
    protocol.data_received(b"read")
    assert reader._buffer == b"read"
    protocol._over_ssl = True
    assert protocol.eof_received() is False
    del protocol._task
    assert not hasattr(protocol, "_task")
    with pytest.raises(AttributeError):
        protocol._stream_reader = reader


def test_is_asyncios(side, loop):
    protocol = side.module.StreamReaderProtocol(None, loop=loop)
    assert isinstance(protocol, asyncio.StreamReaderProtocol)
    assert isinstance(protocol, asyncio.streams.FlowControlMixin)
    assert isinstance(protocol, asyncio.Protocol)
    assert not isinstance(protocol, asyncio.BufferedProtocol)
    assert issubclass(type(protocol), asyncio.StreamReaderProtocol)
    assert weakref.ref(protocol)() is protocol


def test_loop_of_the_thread():
    def scenario(side, loop):
        async def main():
            protocol = side.module.StreamReaderProtocol(None)
            return protocol._loop is loop

        return loop.run_until_complete(main())

    assert support.compare(scenario) is True


def test_init_again():
    def scenario(side, loop):
        reader, protocol, transport = connected(side, loop)
        protocol.pause_writing()
        loop.create_task(protocol._drain_helper())
        support.spin(loop)
        waiting = protocol._drain_waiters
        other = side.module.StreamReader(loop=loop)
        protocol.__init__(other, loop=loop)
        seen = state(protocol), protocol._stream_reader is other
        for waiter in waiting:
            waiter.cancel()
        support.spin(loop, 3)
        return seen

    support.compare(scenario)


def test_uninitialised():
    protocol = fastasync.StreamReaderProtocol.__new__(
        fastasync.StreamReaderProtocol
    )
    calls = [
        ("connection_made", FakeTransport()),
        ("connection_lost", None),
        ("data_received", b"x"),
        ("eof_received",),
        ("pause_writing",),
        ("resume_writing",),
        ("_get_close_waiter", None),
    ]
    for name, *args in calls:
        with pytest.raises(AttributeError):
            getattr(protocol, name)(*args)
    with pytest.raises(AttributeError):
        protocol._drain_helper().send(None)
    for name in ATTRIBUTES:
        getattr(protocol, name, None)


# -- the reader -------------------------------------------------------------------


def test_the_reader_is_held_weakly():
    def scenario(side, loop):
        reader = side.module.StreamReader(loop=loop)
        protocol = side.module.StreamReaderProtocol(reader, loop=loop)
        gone = weakref.ref(reader)
        del reader
        gc.collect()
        seen = [gone() is None, protocol._stream_reader]
        seen.append(protocol.data_received(b"x"))
        seen.append(protocol.eof_received())
        seen.append(protocol.connection_lost(None))
        return seen

    assert support.compare(scenario) == [True, None, None, True, None]


def test_a_servers_reader_is_held_until_connected():
    def scenario(side, loop):
        seen = []

        def cb(reader, writer):
            seen.append(type(reader).__name__)
            writer.close()

        reader = side.module.StreamReader(loop=loop)
        protocol = side.module.StreamReaderProtocol(reader, cb, loop=loop)
        gone = weakref.ref(reader)
        del reader
        gc.collect()
        seen.append(gone() is None)
        transport = FakeTransport()
        protocol.connection_made(transport)
        gc.collect()
        seen.append(gone() is None)
        protocol.connection_lost(None)
        gc.collect()
        seen.append(gone() is None)
        return seen

    support.compare(scenario)


def test_data_and_end():
    def scenario(side, loop):
        reader, protocol, transport = connected(side, loop)
        protocol.data_received(b"one ")
        protocol.data_received(bytearray(b"two"))
        seen = [bytes(reader._buffer), protocol.eof_received()]
        seen.append(finish(loop, reader.read()))
        seen.append(attempt(protocol.data_received, b"late"))
        return seen

    support.compare(scenario)


def test_a_lost_connection_raises_in_the_reader():
    def scenario(side, loop):
        reader, protocol, transport = connected(side, loop)
        read = loop.create_task(reader.read(1))
        closed = protocol._get_close_waiter(None)
        support.spin(loop)
        protocol.connection_lost(OSError("broken"))
        support.spin(loop, 2)
        return (
            support.why(read.exception()),
            support.why(closed.exception()),
            support.why(reader.exception()),
            state(protocol),
        )

    support.compare(scenario)


class OddReader:
    """Neither asyncio's nor ours; what a protocol may call it with."""

    _source_traceback = None

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args: self.calls.append((name, len(args)))


def test_any_reader():
    def scenario(side, loop):
        reader = OddReader()
        protocol = side.module.StreamReaderProtocol(reader, loop=loop)
        protocol.connection_made(FakeTransport())
        protocol.data_received(b"data")
        protocol.eof_received()
        protocol.connection_lost(OSError())
        protocol._closed.exception()
        other = side.module.StreamReaderProtocol(reader, loop=loop)
        other.connection_lost(None)
        return reader.calls

    support.compare(scenario)


# -- flow control ---------------------------------------------------------------------


def test_pausing_twice():
    def scenario(side, loop):
        protocol = side.module.StreamReaderProtocol(None, loop=loop)
        return [
            attempt(getattr(protocol, name))
            for name in (
                "resume_writing",
                "pause_writing",
                "pause_writing",
                "resume_writing",
                "resume_writing",
            )
        ]

    support.compare(scenario)


@pytest.mark.parametrize("end", ["resume", "lost", "broken", "cancel", "close"])
def test_who_drains_is_told(end):
    def scenario(side, loop):
        _, protocol, _ = connected(side, loop)
        assert finish(loop, protocol._drain_helper()) is None
        protocol.pause_writing()
        order = []

        async def drain(name):
            try:
                order.append((name, await protocol._drain_helper()))
            except BaseException as error:
                order.append((name, support.why(error)))
                raise

        tasks = [loop.create_task(drain(name)) for name in "abc"]
        support.spin(loop)
        before = len(protocol._drain_waiters)
        if end == "resume":
            protocol.resume_writing()
        elif end == "lost":
            protocol.connection_lost(None)
        elif end == "broken":
            protocol.connection_lost(ConnectionAbortedError("gone"))
            protocol._closed.exception()
        elif end == "cancel":
            tasks[1].cancel("enough")
            support.spin(loop, 2)
            protocol.resume_writing()
        else:
            for waiter in list(protocol._drain_waiters):
                waiter.cancel()
            protocol.resume_writing()
        support.spin(loop, 3)
        after = len(protocol._drain_waiters)
        outcomes = [
            "cancelled" if task.cancelled() else repr(task.exception())
            for task in tasks
        ]
        return before, order, after, outcomes

    before, order, after, _ = support.compare(scenario)
    assert before == 3 and after == 0 and len(order) == 3


def test_closing_a_coroutine_that_drains(side, loop):
    _, protocol, _ = connected(side, loop)
    protocol.pause_writing()
    coroutine = protocol._drain_helper()
    coroutine.send(None)
    assert len(protocol._drain_waiters) == 1
    coroutine.close()
    assert len(protocol._drain_waiters) == 0
    assert isinstance(protocol._drain_waiters, collections.deque)


def test_debug_mode_says_so():
    def scenario(side, loop):
        import logging

        loop.set_debug(True)
        protocol = side.module.StreamReaderProtocol(None, loop=loop)
        with support.journal() as journal:
            logging.getLogger("asyncio").setLevel(logging.DEBUG)
            journal.setLevel(logging.DEBUG)
            protocol.pause_writing()
            protocol.resume_writing()
        return [
            (level, text.split(" object at ")[-1])
            for level, text in journal.messages
        ]

    assert len(support.compare(scenario)) == 2


# -- connection_made --------------------------------------------------------------------


def test_rejected_connection():
    def scenario(side, loop):
        contexts = []
        loop.set_exception_handler(lambda _, c: contexts.append(c))
        protocol = side.module.StreamReaderProtocol(None, loop=loop)
        protocol._reject_connection = True
        transport = FakeTransport()
        protocol.connection_made(transport)
        protocol._source_traceback = ["a frame"]
        protocol.connection_made(transport)
        return contexts, transport.calls, protocol._transport

    contexts, calls, _ = support.compare(scenario)
    assert "source_traceback" not in contexts[0]
    assert contexts[1]["source_traceback"] == ["a frame"]
    assert calls == [("abort",), ("abort",)]


def test_tls_is_noticed():
    def scenario(side, loop):
        transport = FakeTransport({"sslcontext": "a context"})
        _, protocol, _ = connected(side, loop, transport=transport)
        return protocol._over_ssl, protocol.eof_received()

    assert support.compare(scenario) == (True, False)


def test_a_reader_has_one_transport():
    def scenario(side, loop):
        reader, protocol, _ = connected(side, loop)
        return attempt(protocol.connection_made, FakeTransport()), reader

    text = support.compare(lambda *sides: scenario(*sides)[0])
    assert text == "AssertionError: Transport already set"


@pytest.mark.parametrize("end", ["returns", "raises", "cancelled", "exits"])
def test_client_connected_cb(end):
    def scenario(side, loop):
        contexts = []
        loop.set_exception_handler(lambda _, c: contexts.append(c))

        async def serve(reader, writer):
            assert writer.transport is transport
            assert writer._protocol is protocol
            await asyncio.sleep(0)
            if end == "raises":
                raise ValueError("a bug")
            if end == "exits":
                raise asyncio.CancelledError
            if end == "cancelled":
                await asyncio.sleep(100)

        transport = FakeTransport()
        reader = side.module.StreamReader(loop=loop)
        protocol = side.module.StreamReaderProtocol(reader, serve, loop=loop)
        protocol.connection_made(transport)
        task = protocol._task
        seen = [isinstance(task, asyncio.Future), protocol._strong_reader]
        support.spin(loop, 2)
        if end == "cancelled":
            task.cancel()
        support.spin(loop, 3)
        seen += [
            (
                support.plain(c["message"]).split(" at ")[0].split("(")[0],
                repr(c.get("exception")),
                sorted(c),
                c.get("transport") is transport,
            )
            for c in contexts
        ]
        seen += transport.calls, task.done()
        transport.close()
        protocol.connection_lost(None)
        return seen

    support.compare(scenario)


def test_client_connected_cb_of_other_kinds():
    def scenario(side, loop):
        seen = []

        def plain(reader, writer):
            seen.append("plain")
            writer.close()

        def fails(reader, writer):
            writer.close()
            raise LookupError("no")

        def future(reader, writer):
            writer.close()
            return loop.create_future()

        for cb in plain, fails, future:
            reader = side.module.StreamReader(loop=loop)
            protocol = side.module.StreamReaderProtocol(reader, cb, loop=loop)
            seen.append(attempt(protocol.connection_made, FakeTransport()))
            seen.append((protocol._task, protocol._strong_reader is None))
        return seen

    support.compare(scenario)


def test_the_callback_of_the_task_is_asyncios(loop, side):
    async def serve(reader, writer):
        writer.close()

    reader = side.module.StreamReader(loop=loop)
    protocol = side.module.StreamReaderProtocol(reader, serve, loop=loop)
    protocol.connection_made(FakeTransport())
    assert "StreamReaderProtocol.connection_made.<locals>.callback" in repr(
        protocol._task
    )
    support.spin(loop, 3)


# -- the end ---------------------------------------------------------------------------


def test_nobody_waits_for_the_end():
    """An exception of the connection is not reported as never retrieved."""

    def scenario(side, loop):
        contexts = []
        loop.set_exception_handler(lambda _, c: contexts.append(c))
        protocol = side.module.StreamReaderProtocol(None, loop=loop)
        protocol.connection_lost(OSError("broken"))
        del protocol
        gc.collect()
        return contexts

    assert support.compare(scenario) == []


def test_subclass():
    """As mail servers and database drivers do it."""

    def scenario(side, loop):
        events = []

        class Driver(side.module.StreamReaderProtocol):
            def __init__(self, done):
                self.done = done
                super().__init__(
                    side.module.StreamReader(loop=loop),
                    client_connected_cb=self.connected,
                    loop=loop,
                )

            def connected(self, reader, writer):
                self.reader, self.writer = reader, writer

            def connection_made(self, transport):
                super().connection_made(transport)
                events.append("made")
                self.transport = transport

            def data_received(self, data):
                events.append(data)
                super().data_received(data.upper())

            def connection_lost(self, exc):
                super().connection_lost(exc)
                self.done.set_result(None)

            async def _drain_helper(self):
                events.append("drain")
                await super()._drain_helper()

        done = loop.create_future()
        driver = Driver(done)
        driver.connection_made(FakeTransport())
        driver.data_received(b"hello\n")
        events.append(finish(loop, driver.reader.readline()))
        events.append(finish(loop, driver.writer.drain()))
        driver.connection_lost(None)
        driver.writer.close()
        events.append(done.done())
        return events

    assert support.compare(scenario) == [
        "made",
        b"hello\n",
        b"HELLO\n",
        "drain",
        None,
        True,
    ]
