"""StreamWriter: writer.c and writer_coros.c, compared with asyncio's."""

import asyncio
import gc
import inspect
import weakref

import pytest

import support
from streamsupport import (
    FakeTransport,
    attempt,
    finish,
    is_coroutine_function,
    writer_of,
)

fastasync = pytest.importorskip("fastasync")


# -- making -----------------------------------------------------------------------


def test_constructor():
    def scenario(side, loop):
        made = side.module.StreamWriter
        transport = FakeTransport()
        transport.close()
        return [
            attempt(made),
            attempt(made, transport, None, None),
            attempt(made, transport, None, None, loop, 5),
            attempt(made, transport, None, None, loop, other=1),
            attempt(made, transport, None, None, loop, loop=loop),
        ]

    with support.hooks():  # asyncio's __del__ misses the attributes
        texts = support.compare(scenario)
        gc.collect()
    for text in texts:
        assert text.startswith("TypeError: StreamWriter.__init__()")


def test_a_reader_is_a_reader(side, loop):
    transport = FakeTransport()
    transport.close()
    made = side.module.StreamWriter
    assert made(transport, None, None, loop)._reader is None
    ours = side.module.StreamReader(loop=loop)
    assert made(transport, None, ours, loop)._reader is ours
    if side.ours:
        theirs = asyncio.StreamReader(loop=loop)
        assert made(transport, None, theirs, loop)._reader is theirs
    with pytest.raises(AssertionError):
        made(transport, None, "a text", loop)


def test_attributes():
    def scenario(side, loop):
        writer, reader, protocol, transport = writer_of(side, loop)
        seen = [
            writer._transport is transport is writer.transport,
            writer._protocol is protocol,
            writer._reader is reader,
            writer._loop is loop,
            writer._complete_fut.result(),
            writer._complete_fut is writer._complete_fut,
        ]
        writer._transport = other = FakeTransport()
        writer._complete_fut = 5
        seen += [writer.transport is other, writer._complete_fut]
        writer.mine = 1
        seen.append(vars(writer).get("mine"))
        seen.append(attempt(setattr, writer, "transport", 5)[:14])
        transport.close()
        writer.close()
        return seen

    support.compare(scenario)


def test_repr():
    def scenario(side, loop):
        class Mine(side.module.StreamWriter):
            pass

        writer, reader, protocol, transport = writer_of(side, loop)
        transport.close()
        return [
            repr(writer),
            repr(Mine(transport, protocol, reader, loop)),
            repr(Mine(transport, protocol, None, loop)),
        ]

    support.compare(scenario)


def test_is_asyncios(side, loop):
    writer, *_, transport = writer_of(side, loop)
    assert isinstance(writer, asyncio.StreamWriter)
    assert issubclass(type(writer), asyncio.StreamWriter)
    assert weakref.ref(writer)() is writer
    transport.close()


def parameters(function):
    """All but self, which is positional-only for a method in C."""
    return list(inspect.signature(function).parameters.values())[1:]


def test_signatures():
    for name in dir(asyncio.StreamWriter):
        if name.startswith("__"):
            continue
        theirs = getattr(asyncio.StreamWriter, name)
        ours = getattr(fastasync.StreamWriter, name)
        if callable(theirs):
            assert parameters(ours) == parameters(theirs), name
            assert is_coroutine_function(
                ours
            ) == is_coroutine_function(theirs), name


def test_uninitialised():
    writer = fastasync.StreamWriter.__new__(fastasync.StreamWriter)
    for name, *args in (
        ("write", b"x"),
        ("writelines", []),
        ("write_eof",),
        ("can_write_eof",),
        ("close",),
        ("is_closing",),
        ("get_extra_info", "x"),
        ("__repr__",),
    ):
        with pytest.raises(AttributeError):
            getattr(writer, name)(*args)
    for coroutine in (
        writer.drain(),
        writer.wait_closed(),
        writer.start_tls(None),
    ):
        with pytest.raises(AttributeError):
            coroutine.send(None)
    assert not hasattr(writer, "_complete_fut")


# -- what goes to the transport -------------------------------------------------------


def test_methods_are_the_transports():
    def scenario(side, loop):
        writer, _, _, transport = writer_of(
            side, loop, transport=FakeTransport({"name": "value"})
        )
        seen = [
            writer.write(b"one"),
            writer.write(data=b"two"),
            attempt(writer.write),
            attempt(writer.write, b"1", b"2"),
            attempt(writer.write, text=b"1"),
            writer.writelines([b"a", b"b"]),
            attempt(writer.writelines),
            writer.write_eof(),
            writer.can_write_eof(),
            writer.is_closing(),
            writer.get_extra_info("name"),
            writer.get_extra_info("nothing"),
            writer.get_extra_info("nothing", 5),
            writer.get_extra_info(name="nothing", default=6),
            attempt(writer.get_extra_info),
            writer.close(),
            writer.is_closing(),
        ]
        return seen, transport.calls

    support.compare(scenario)


# -- drain ---------------------------------------------------------------------------------


def test_drain_of_an_open_connection_takes_no_turn(side, loop):
    writer, _, _, transport = writer_of(side, loop)
    with pytest.raises(StopIteration):
        writer.drain().send(None)
    transport.close()


def test_drain_while_closing_takes_a_turn():
    def scenario(side, loop):
        writer, _, protocol, transport = writer_of(side, loop)
        transport.close()
        coroutine = writer.drain()
        seen = [coroutine.send(None)]
        protocol.connection_lost(None)
        seen.append(attempt(coroutine.send, None))
        seen.append(finish(loop, writer.drain()))
        return seen

    assert support.compare(scenario) == [
        None,
        "ConnectionResetError: Connection lost",
        "ConnectionResetError: Connection lost",
    ]


def test_drain_raises_what_the_reader_met():
    def scenario(side, loop):
        writer, reader, _, transport = writer_of(side, loop)
        transport.close()
        reader.set_exception(OSError("broken"))
        seen = [finish(loop, writer.drain()) for _ in range(2)]
        reader._exception = LookupError
        seen.append(finish(loop, writer.drain()))
        reader._exception = 5
        seen.append(finish(loop, writer.drain()))
        return seen

    support.compare(scenario)


@pytest.mark.parametrize("paused_by", ["protocol", "attribute"])
def test_drain_waits(paused_by):
    def scenario(side, loop):
        writer, _, protocol, transport = writer_of(side, loop)
        if paused_by == "protocol":
            protocol.pause_writing()
        else:
            protocol._paused = True
        order = []

        async def write(name):
            await writer.drain()
            order.append(name)

        tasks = [loop.create_task(write(name)) for name in "abc"]
        support.spin(loop, 3)
        assert not order
        tasks[1].cancel()
        support.spin(loop, 2)
        protocol.resume_writing()
        support.spin(loop, 2)
        transport.close()
        return order, len(protocol._drain_waiters), tasks[1].cancelled()

    assert support.compare(scenario) == (["a", "c"], 0, True)


def test_drain_over_any_protocol():
    """What subprocesses and HTTP servers hand to a StreamWriter."""

    def scenario(side, loop):
        calls = []

        class Protocol(asyncio.streams.FlowControlMixin):
            async def _drain_helper(self):
                calls.append("drain")
                await asyncio.sleep(0)
                await super()._drain_helper()

            def _get_close_waiter(self, stream):
                calls.append(stream is writer)
                waiter = loop.create_future()
                loop.call_soon(waiter.set_result, None)
                return waiter

        class Odd:
            pass

        transport = FakeTransport()
        writer = side.module.StreamWriter(
            transport, Protocol(loop=loop), None, loop
        )
        seen = [finish(loop, writer.drain()), finish(loop, writer.wait_closed())]
        writer._protocol._connection_lost = True
        seen.append(finish(loop, writer.drain()))
        writer._protocol = Odd()
        seen.append(finish(loop, writer.drain()))
        seen.append(finish(loop, writer.wait_closed()))
        transport.close()
        return seen, calls

    support.compare(scenario)


def test_overridden_methods_are_called(side, loop):
    calls = []

    class Reader(side.module.StreamReader):
        def exception(self):
            calls.append("exception")

    class Protocol(side.module.StreamReaderProtocol):
        async def _drain_helper(self):
            calls.append("drain")

    class Transport(FakeTransport):
        def is_closing(self):
            calls.append("is_closing")
            return False

    reader = Reader(loop=loop)
    protocol = Protocol(reader, loop=loop)
    transport = Transport()
    writer = side.module.StreamWriter(transport, protocol, reader, loop)
    loop.run_until_complete(writer.drain())
    assert calls == ["exception", "is_closing", "drain"]
    protocol = side.module.StreamReaderProtocol(reader, loop=loop)
    protocol._drain_helper = Protocol._drain_helper.__get__(protocol)
    writer._protocol = protocol
    loop.run_until_complete(writer.drain())
    assert calls[3:] == calls[:3]
    del Transport.is_closing
    transport.close()


# -- wait_closed ---------------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, ConnectionAbortedError("gone")])
@pytest.mark.parametrize("early", [True, False])
def test_wait_closed(error, early):
    def scenario(side, loop):
        writer, _, protocol, transport = writer_of(side, loop)
        transport.close()
        if early:
            protocol.connection_lost(error)
        else:
            loop.call_later(0.001, protocol.connection_lost, error)
        seen = [finish(loop, writer.wait_closed())]
        seen.append(finish(loop, writer.wait_closed()))
        return seen

    support.compare(scenario)


def test_wait_closed_is_cancelled(side, loop):
    """asyncio's: the future of the protocol is cancelled with it."""
    writer, _, protocol, transport = writer_of(side, loop)
    transport.close()
    task = loop.create_task(writer.wait_closed())
    support.spin(loop)
    task.cancel()
    support.spin(loop, 2)
    assert task.cancelled() and protocol._closed.cancelled()
    protocol.connection_lost(None)


# -- start_tls -----------------------------------------------------------------------------


@pytest.mark.parametrize("server", [True, False])
def test_start_tls(server):
    def scenario(side, loop):
        calls = []
        cb = (lambda reader, writer: writers.append(writer)) if server else None
        writers = []
        writer, reader, protocol, transport = writer_of(side, loop, cb=cb)
        new = FakeTransport({"sslcontext": "a context"})

        async def start_tls(*args, **kwargs):
            calls.append((args == (transport, protocol, "context"), kwargs))
            return new

        loop.start_tls = start_tls
        seen = [
            finish(loop, writer.start_tls("context", server_hostname="name")),
            writer.transport is new,
            protocol._transport is new,
            protocol._over_ssl,
            reader._transport is new,
            finish(
                loop,
                asyncio.wait_for(
                    writer.start_tls(
                        sslcontext="other", ssl_handshake_timeout=5
                    ),
                    10,
                ),
            ),
            attempt(writer.start_tls),
            attempt(writer.start_tls, "context", "name"),
            attempt(writer.start_tls, "context", what=1),
        ]
        transport.close()
        new.close()
        return seen, calls

    support.compare(scenario)


def test_start_tls_drains_first(side, loop):
    writer, reader, protocol, transport = writer_of(side, loop)
    reader.set_exception(OSError("broken"))
    with pytest.raises(OSError, match="broken"):
        loop.run_until_complete(writer.start_tls(None))
    transport.close()


# -- the end --------------------------------------------------------------------------------


@pytest.mark.parametrize("loop_closed", [True, False])
def test_forgotten_writer(loop_closed):
    def scenario(side, loop):
        writer, reader, protocol, transport = writer_of(side, loop)
        protocol._stream_writer = None
        if loop_closed:
            loop.close()
        with support.recorded_warnings() as texts:
            del writer
            gc.collect()
        return texts, transport.calls

    texts, calls = support.compare(scenario)
    assert len(texts) == 1
    assert calls == ([] if loop_closed else [("close",)])


def test_forgotten_writer_of_a_subclass(side, loop):
    calls = []

    class Mine(side.module.StreamWriter):
        def close(self):
            calls.append("close")

    writer, reader, protocol, transport = writer_of(side, loop)
    transport.closing = True
    del writer
    transport.closing = False
    with support.recorded_warnings() as texts:
        Mine(transport, protocol, reader, loop)
        gc.collect()
    assert calls == ["close"] and "unclosed <Mine" in texts[0]


def test_a_broken_end_is_unraisable(side, loop):
    class Broken(FakeTransport):
        def is_closing(self):
            raise LookupError("broken")

    reader = side.module.StreamReader(loop=loop)
    with support.hooks() as caught:
        side.module.StreamWriter(Broken(), None, reader, loop)
        gc.collect()
    assert [str(error) for _, error in caught] == ["broken"]


def test_a_failed_constructor_is_silent():
    gc.collect()
    with support.hooks() as caught, support.recorded_warnings() as texts:
        with pytest.raises(TypeError):
            fastasync.StreamWriter()
        with pytest.raises(AssertionError):
            fastasync.StreamWriter(FakeTransport(), None, "a text", None)
        gc.collect()
    # what asyncio's own writers of other tests leave has a frame of theirs
    assert not [error for _, error in caught if error.__traceback__ is None]
    assert not texts
