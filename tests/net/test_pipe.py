"""Making pipe transports, asking them, streams: pipe.c, api/loop_pipe.c."""

import asyncio
import contextvars
import errno
import gc
import inspect
import os
import re
import subprocess
import sys
import tempfile

import pytest

import support
from netsupport import (
    Recorder,
    debug_log,
    pattern,
    settle,
    until,
)
from pipesupport import (
    KINDS,
    alike,
    end,
    files,
    fill,
    pipe_files,
    reading,
    writing,
)

fastasync = pytest.importorskip("fastasync")
import _fastasync  # noqa: E402

# -- making ------------------------------------------------------------------


def test_are_transports():
    loop = fastasync.new_event_loop()
    with files() as (r, w):
        reader = reading(loop, r, Recorder())
        writer = writing(loop, w, Recorder())
        assert type(reader) is _fastasync.ReadPipeTransport
        assert type(writer) is _fastasync.WritePipeTransport
        assert isinstance(reader, asyncio.ReadTransport)
        assert not isinstance(reader, asyncio.WriteTransport)
        assert isinstance(writer, asyncio.WriteTransport)
        assert isinstance(writer, asyncio.transports._FlowControlMixin)
        end(loop, reader, writer)
    loop.close()


def test_same_bases_as_asyncios():
    for name in "ReadPipeTransport", "WritePipeTransport":
        theirs = getattr(asyncio.unix_events, "_Unix" + name)
        ours = getattr(_fastasync, name)
        assert set(theirs.__mro__[1:]) == set(ours.__mro__[1:])
        # whatever is public is there, and nothing else
        assert ({n for n in dir(theirs) if not n.startswith("_")}
                == {n for n in dir(ours) if not n.startswith("_")})


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("size", [1, 5000, 65536, 3_000_000])
def test_everything_arrives(loop, kind, size):
    data = pattern(size)
    with files(kind) as (r, w):
        received, sent = Recorder(), Recorder()
        reader = reading(loop, r, received)
        writer = writing(loop, w, sent)
        writer.write(data)
        until(loop, lambda: len(received.data) >= size)
        assert received.data == data
        assert writer.get_write_buffer_size() == 0
        end(loop, reader, writer)
        assert received.events == ["made", "data", ("lost", None)]
        assert sent.events[-1] == ("lost", None)


@pytest.mark.parametrize("kind", ["pipe", "buffered", "fifo", "socket"])
def test_many_small_writes(loop, kind):
    data = pattern(400_000)
    with files(kind) as (r, w):
        received = Recorder()
        reader = reading(loop, r, received)
        writer = writing(loop, w, Recorder())

        async def write():
            for i in range(0, len(data), 1000):
                writer.write(data[i:i + 1000])
                if i % 7000 == 0:
                    await asyncio.sleep(0)

        loop.run_until_complete(write())
        until(loop, lambda: len(received.data) == len(data))
        assert received.data == data
        end(loop, reader, writer)


def test_refused_files(loop):
    with tempfile.TemporaryFile() as file:
        with pytest.raises(ValueError) as info:
            reading(loop, file, Recorder())
        assert str(info.value) == "Pipe transport is for pipes/sockets only."
        with pytest.raises(ValueError) as info:
            writing(loop, file, Recorder())
        assert str(info.value) == ("Pipe transport is only for "
                                   "pipes, sockets and character devices")
        gc.collect()
        assert not file.closed
        assert os.get_blocking(file.fileno())


def test_closed_file(side, loop):
    class Gone:
        def fileno(self):
            return 99999

        def close(self):
            pass

    with support.recorded_warnings():
        for connect in reading, writing:
            with pytest.raises(OSError) as info:
                connect(loop, Gone(), Recorder())
            assert info.value.errno == errno.EBADF
            assert str(info.value) == "[Errno 9] Bad file descriptor"


def test_fileno_fails(loop):
    class Odd:
        def fileno(self):
            raise ZeroDivisionError

        def close(self):
            pass

    with support.recorded_warnings(), support.hooks():
        for connect in reading, writing:
            with pytest.raises(ZeroDivisionError):
                connect(loop, Odd(), Recorder())
        gc.collect()


def test_file_is_not_blocking_then(loop):
    with files() as (r, w):
        transports = reading(loop, r, Recorder()), writing(loop, w, Recorder())
        assert not os.get_blocking(r.fileno())
        assert not os.get_blocking(w.fileno())
        end(loop, *transports)


@pytest.mark.parametrize("which", [0, 1])
def test_order_of_the_beginning(which):
    def scenario(side, loop):
        with files() as pair:
            seen = []
            os.write(pair[1].fileno(), b"early")
            protocol = Recorder(
                connection_made=lambda t: loop.call_soon(seen.append, "soon"))
            connect = (loop.connect_read_pipe if which == 0
                       else loop.connect_write_pipe)
            task = loop.create_task(connect(lambda: protocol, pair[which]))
            task.add_done_callback(lambda _: seen.append("connected"))
            loop.call_soon(seen.append, "other")
            trace = []
            for _ in range(6):
                support.spin(loop)
                trace.append((list(protocol.events), list(seen)))
            end(loop, task.result()[0])
            return trace, protocol.events

    support.compare(scenario)


@pytest.mark.parametrize("kind", ["pipe", "pty"])
def test_replaced_call_soon_sees_everything(kind):
    def scenario(side, loop):
        names = []
        original = loop.call_soon

        def call_soon(callback, *args, context=None):
            name = getattr(callback, "__name__", None)
            names.append((name, len(args)))
            return original(callback, *args, context=context)

        loop.call_soon = call_soon
        with files(kind) as (r, w):
            received, sent = Recorder(), Recorder()
            reading(loop, r, received)
            writer = writing(loop, w, sent)
            writer.write(b"x")
            until(loop, lambda: received.data)
            writer.close()
            until(loop, lambda: received.events[-1] != "data")
            settle(loop)
        wanted = {"connection_made", "_set_result_unless_cancelled",
                  "eof_received", "_call_connection_lost"}
        return ([n for n in names if n[0] in wanted],
                received.events, sent.events)

    support.compare(scenario)


def test_overridden_makers_are_used():
    for way in "class", "instance":
        calls = []

        def make(name, of, calls=calls):
            def maker(pipe, protocol, waiter=None, extra=None):
                calls.append(name)
                return getattr(of, name)(pipe, protocol, waiter, {"more": 1})
            return maker

        names = "_make_read_pipe_transport", "_make_write_pipe_transport"
        if way == "class":
            class Mine(fastasync.Loop):
                def _make_read_pipe_transport(self, *args):
                    return make(names[0], super())(*args)

                def _make_write_pipe_transport(self, *args):
                    return make(names[1], super())(*args)

            loop = Mine()
        else:
            loop = fastasync.new_event_loop()
            for name in names:
                setattr(loop, name, make(name, super(fastasync.Loop, loop)))
        with files() as (r, w):
            reader = reading(loop, r, Recorder())
            writer = writing(loop, w, Recorder())
            assert calls == list(names)
            assert reader.get_extra_info("more") == 1
            assert writer.get_extra_info("more") == 1
            assert writer.get_extra_info("pipe") is w
            end(loop, reader, writer)
        loop.close()


@pytest.mark.parametrize("which", [0, 1])
def test_cancelled_connect_closes(which):
    def scenario(side, loop):
        with files() as pair:
            protocol = Recorder()
            connect = (loop.connect_read_pipe if which == 0
                       else loop.connect_write_pipe)
            task = loop.create_task(connect(lambda: protocol, pair[which]))
            support.spin(loop)
            task.cancel()
            settle(loop)
            return task.cancelled(), protocol.events, pair[which].closed

    assert support.compare(scenario) == (
        True, ["made", ("lost", None)], True)


def test_bad_factories(side, loop):
    with files() as (r, w):
        with support.recorded_warnings():
            for connect, file in (reading, r), (writing, w):
                with pytest.raises(AttributeError, match="connection_made"):
                    connect(loop, file, object())
            gc.collect()
        with pytest.raises(ZeroDivisionError):
            loop.run_until_complete(
                loop.connect_read_pipe(lambda: 1 // 0, r))


def test_not_awaited_does_nothing(loop):
    with files() as (r, _):
        made = []
        connect = loop.connect_read_pipe(lambda: made.append(1), r)
        assert asyncio.iscoroutine(connect)
        connect.close()
        assert not made
        assert os.get_blocking(r.fileno())


@pytest.mark.parametrize("args", [(), (1,), (1, 2, 3)])
def test_wrong_arguments(args):
    def scenario(side, loop):
        texts = []
        for name in "connect_read_pipe", "connect_write_pipe":
            with pytest.raises(TypeError) as info:
                getattr(loop, name)(*args)
            texts.append(str(info.value))
        return texts

    support.compare(scenario)


def test_bad_constructor_arguments():
    loop = fastasync.new_event_loop()
    with files() as (r, _):
        for cls in _fastasync.ReadPipeTransport, _fastasync.WritePipeTransport:
            for args in (), (None, r, Recorder()), (loop, r), (
                    loop, r, Recorder(), None, 7):
                with pytest.raises(TypeError):
                    cls(*args)
        transport = _fastasync.ReadPipeTransport(loop, r, Recorder())
        with pytest.raises(RuntimeError, match="already initialized"):
            transport.__init__(loop, r, Recorder())
        transport.close()
        settle(loop)
    loop.close()


@pytest.mark.parametrize("name", ["ReadPipeTransport", "WritePipeTransport"])
def test_not_initialised(name):
    cls = getattr(_fastasync, name)
    transport = cls.__new__(cls)
    assert transport.is_closing()
    assert repr(transport) == f"<{name} closed fd=-1 closed>"
    for attribute in dir(transport):
        value = getattr(transport, attribute, None)
        if attribute in ("__reduce__", "__reduce_ex__", "__init__"):
            continue
        if callable(value) and attribute in (
                "close", "abort",
                "write_eof", "get_protocol", "_read_ready",
                "_write_ready", "_close", "get_write_buffer_size",
                "_maybe_pause_protocol", "_maybe_resume_protocol"):
            value()
    if name == "ReadPipeTransport":
        transport.pause_reading()
        transport.resume_reading()
        assert not transport.is_reading()
    transport._call_connection_lost(None)
    transport._fatal_error(OSError())
    transport.set_protocol(Recorder())
    assert transport.get_extra_info("pipe") is None
    if name == "WritePipeTransport":
        transport.write(b"x")
        transport.writelines([b"x"])
    transport._pipe = None


def test_add_reader_is_not_refused(loop):
    with files() as (r, w):
        writer = writing(loop, w, Recorder())
        reader = reading(loop, r, Recorder())
        seen = []
        loop.add_reader(r.fileno(), seen.append, 1)
        writer.write(b"x")
        settle(loop)
        assert seen
        loop.remove_reader(r.fileno())
        end(loop, reader, writer)


# -- what can be asked --------------------------------------------------------


def test_repr_in_all_states():
    def scenario(side, loop):
        trace = []

        def note(*transports):
            trace.append([re.sub(r"bufsize=[1-9]\d+", "bufsize=N", alike(
                repr(t))) for t in transports])

        with files() as (r, w):
            reader = reading(loop, r, Recorder())
            writer = writing(loop, w, Recorder())
            settle(loop)
            note(reader, writer)
            reader.pause_reading()
            fill(w)
            writer.write(b"x" * 100)
            note(reader, writer)
            writer.close()
            reader.close()
            note(reader, writer)
            writer.abort()
            note(reader, writer)
            settle(loop)
            note(reader, writer)
        with files() as (r, w):
            reader = reading(loop, r, Recorder())
            writer = writing(loop, w, Recorder())
            loop.close()
            note(reader, writer)
            reader._pipe = writer._pipe = None
            note(reader, writer)
        return trace

    support.compare(scenario)


def test_extra_info():
    def scenario(side, loop):
        with files() as (r, w):
            given = {"mine": 1}
            reader = loop._make_read_pipe_transport(
                r, Recorder(), extra=given)
            writer = loop._make_write_pipe_transport(w, Recorder(), None, None)
            settle(loop)
            result = [
                reader.get_extra_info("pipe") is r,
                writer.get_extra_info("pipe") is w,
                reader.get_extra_info("mine"),
                writer.get_extra_info("mine", default=2),
                writer.get_extra_info(name="none"),
                writer.get_extra_info("socket"),
                given == {"mine": 1, "pipe": r},
                reader._extra is given,
            ]
            end(loop, reader, writer)
            result.append(reader.get_extra_info("pipe") is r)
            return result

    support.compare(scenario)


def test_private_names():
    """What libraries look at; asyncio's own names and values."""

    def scenario(side, loop):
        with files() as (r, w):
            reader = reading(loop, r, Recorder())
            writer = writing(loop, w, Recorder())
            fill(w)
            writer.write(b"waits")
            names = ["_closing", "_paused", "max_size"]
            result = [getattr(reader, name) for name in names]
            names = ["_closing", "_buffer", "_conn_lost", "_protocol_paused",
                     "_high_water", "_low_water"]
            result += [getattr(writer, name) for name in names]
            result[4] = bytes(result[4])
            for transport, file in (reader, r), (writer, w):
                result += [transport._pipe is file, transport._loop is loop,
                           transport._fileno == file.fileno(),
                           transport._protocol is transport.get_protocol()]
            result.append(hasattr(reader, "abort"))
            end(loop, reader, writer)
            for transport in reader, writer:
                result += [transport._pipe, transport._loop,
                           transport._protocol, transport._closing]
            return result

    support.compare(scenario)


def test_instance_attributes(loop):
    with files() as (r, w):
        reader = reading(loop, r, Recorder())
        writer = writing(loop, w, Recorder())
        for transport in reader, writer:
            transport.mine = 1
            assert transport.__dict__["mine"] == 1
        end(loop, reader, writer)


def parameters(method):
    return list(inspect.signature(method).parameters.values())[1:]


@pytest.mark.parametrize("name", ["ReadPipeTransport", "WritePipeTransport"])
def test_signatures(name):
    theirs = getattr(asyncio.unix_events, "_Unix" + name)
    ours = getattr(_fastasync, name)
    for attribute in dir(ours):
        method = getattr(theirs, attribute, None)
        if attribute.startswith("_") or not inspect.isroutine(method):
            continue
        assert parameters(getattr(ours, attribute)) == parameters(
            method), attribute
    for attribute in ("connect_read_pipe", "connect_write_pipe",
                      "_make_read_pipe_transport"):
        assert (parameters(getattr(fastasync.Loop, attribute))
                == parameters(getattr(asyncio.SelectorEventLoop, attribute)))
        if attribute.startswith("connect") and sys.version_info >= (3, 12):
            assert inspect.iscoroutinefunction(
                getattr(fastasync.Loop, attribute))


def test_one_context_for_all_callbacks():
    var = contextvars.ContextVar("var")
    loop = fastasync.new_event_loop()
    found = []
    with files() as (r, w):
        def note(*_):
            found.append(var.get(None))

        received = Recorder(connection_made=note, data_received=note,
                            eof_received=note, connection_lost=note)
        sent = Recorder(connection_made=note, connection_lost=note)

        async def connect():
            var.set("mine")
            await loop.connect_read_pipe(lambda: received, r)
            return (await loop.connect_write_pipe(lambda: sent, w))[0]

        writer = loop.run_until_complete(connect())
        writer.write(b"x")
        until(loop, lambda: received.data)
        writer.close()
        until(loop, lambda: received.events[-1] == ("lost", None))
    loop.close()
    assert found == ["mine"] * 6


def test_contexts_as_asyncios():
    var = contextvars.ContextVar("var")

    def scenario(side, loop):
        found = []
        with files() as (r, w):
            def note(*_):
                found.append(var.get(None))

            received = Recorder(connection_made=note, data_received=note,
                                eof_received=note, connection_lost=note)

            async def connect():
                var.set("mine")
                await loop.connect_read_pipe(lambda: received, r)

            loop.run_until_complete(connect())
            w.write(b"x")
            until(loop, lambda: received.data)
            w.close()
            until(loop, lambda: received.events[-1] == ("lost", None))
        return found

    assert support.compare(scenario) == ["mine"] * 4


# -- debug mode ---------------------------------------------------------------


def test_debug_mode_tells():
    def scenario(side, loop):
        loop.set_debug(True)
        with files() as (r, w), files() as (r2, w2), debug_log() as journal:
            received, sent = Recorder(), Recorder()
            reader = reading(loop, r, received)
            writer = writing(loop, w, sent)
            reader.pause_reading()
            reader.resume_reading()
            writer.write(b"x")
            until(loop, lambda: received.data)
            writer.close()
            until(loop, lambda: received.events[-1] == ("lost", None))
            writing(loop, w2, sent)
            settle(loop)
            r2.close()
            until(loop, lambda: sent.events[-1] == ("lost", None))
        return ([(level, re.sub(r"pipe \d+", "pipe N", alike(text)))
                 for level, text in journal.messages
                 if "poll" not in text or "Transport" in text],
                received.events, sent.events)

    messages, _, _ = support.compare(scenario)
    assert any("was closed by peer" in text for _, text in messages)


@pytest.mark.parametrize("which", ["read", "write"])
def test_debug_mode_logs_what_is_no_news(which):
    def scenario(side, loop):
        loop.set_debug(True)
        with debug_log() as journal:
            if which == "read":
                master, slave = os.openpty()
                protocol = Recorder()
                reading(loop, open(master, "rb", 0), protocol)
                os.close(slave)
            else:
                r, w = pipe_files()
                protocol = Recorder()
                writer = writing(loop, w, protocol)
                settle(loop)
                r.close()
                loop.call_soon(writer.write, b"x")
            until(loop, lambda: protocol.events[-1] != "made")
        return [(level, alike(text)) for level, text in journal.messages
                if "Fatal" in text], protocol.events

    messages, _ = support.compare(scenario)
    assert len(messages) == 1


# -- streams ------------------------------------------------------------------


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("kind", ["pipe", "fifo", "socket"])
def test_streams(side, loop, kind, debug):
    """StreamReader and StreamWriter over a pipe, far more than it holds."""
    data = pattern(1_500_000)
    loop.set_debug(debug)

    async def main():
        reader = side.module.StreamReader(limit=10_000)
        await loop.connect_read_pipe(
            lambda: side.module.StreamReaderProtocol(reader), r)
        transport, protocol = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, w)
        writer = side.module.StreamWriter(transport, protocol, None, loop)

        async def send():
            for i in range(0, len(data), 30_000):
                writer.write(data[i:i + 30_000])
                await writer.drain()
            writer.write(b"line\n")
            writer.write_eof()

        sender = loop.create_task(send())
        assert await reader.readexactly(100) == data[:100]
        found = bytearray(data[:100])
        while len(found) < len(data):
            found += await reader.read(min(50_000, len(data) - len(found)))
        assert found == data
        assert await reader.readline() == b"line\n"
        assert await reader.read() == b""
        assert reader.at_eof()
        await sender
        assert writer.is_closing()

    with files(kind) as (r, w):
        loop.run_until_complete(asyncio.wait_for(main(), 60))
        settle(loop)


def test_drain_of_a_broken_pipe():
    def scenario(side, loop):
        async def main():
            transport, protocol = await loop.connect_write_pipe(
                asyncio.streams.FlowControlMixin, w)
            writer = side.module.StreamWriter(transport, protocol, None, loop)
            fill(w)
            writer.write(b"x" * 100_000)
            drain = loop.create_task(writer.drain())
            await asyncio.sleep(0)
            r.close()
            try:
                await asyncio.wait_for(drain, 10)
            except ConnectionError as error:
                return support.why(error)

        with files() as (r, w):
            return loop.run_until_complete(main())

    support.compare(scenario)


def test_stream_reader_pauses_the_pipe(side, loop):
    async def main():
        reader = side.module.StreamReader(limit=1000)
        transport, _ = await loop.connect_read_pipe(
            lambda: side.module.StreamReaderProtocol(reader), r)
        w.write(b"x" * 5000)
        for _ in range(8):
            await asyncio.sleep(0)
        while transport.is_reading():
            await asyncio.sleep(0)
        assert await reader.readexactly(5000) == b"x" * 5000
        assert transport.is_reading()
        transport.close()

    with files() as (r, w):
        loop.run_until_complete(asyncio.wait_for(main(), 60))
        settle(loop)


def test_subprocess_through_pipes(loop):
    data = pattern(1_000_000)

    async def main():
        process = await asyncio.create_subprocess_exec(
            "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return await process.communicate(data)

    assert loop.run_until_complete(main()) == (data, None)
