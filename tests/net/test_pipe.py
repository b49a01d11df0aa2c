"""Pipe transports: pipe.c, pipe_read.c, pipe_write.c, api/loop_pipe.c."""

import asyncio
import contextlib
import contextvars
import errno
import gc
import inspect
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import tty
import weakref

import pytest

import support
from netsupport import (
    BufferedRecorder,
    Recorder,
    Reports,
    debug_log,
    pattern,
    settle,
    tcp_pair,
    until,
)

fastasync = pytest.importorskip("fastasync")
import _fastasync  # noqa: E402

# -- files -------------------------------------------------------------------


def pipe_files():
    r, w = os.pipe()
    return open(r, "rb", 0), open(w, "wb", 0)


def buffered_files():
    r, w = os.pipe()
    return open(r, "rb"), open(w, "wb")


def fifo_files():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "fifo")
        os.mkfifo(path)
        r = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        return open(r, "rb", 0), open(path, "wb", 0)


def socket_files():
    return socket.socketpair()


def pty_files():
    """The side of a program, which reads, and the terminal's, which writes."""
    master, slave = os.openpty()
    tty.setraw(master)
    return open(slave, "rb", 0), open(master, "wb", 0)


KINDS = {
    "pipe": pipe_files,
    "buffered": buffered_files,
    "fifo": fifo_files,
    "socket": socket_files,
    "pty": pty_files,
}


@contextlib.contextmanager
def files(kind="pipe"):
    """(reader, writer), both closed at the end."""
    pair = KINDS[kind]()
    try:
        yield pair
    finally:
        for file in pair:
            with contextlib.suppress(OSError):
                file.close()


def reading(loop, file, protocol):
    return loop.run_until_complete(
        loop.connect_read_pipe(lambda: protocol, file))[0]


def writing(loop, file, protocol):
    return loop.run_until_complete(
        loop.connect_write_pipe(lambda: protocol, file))[0]


def drain_file(file, count=None):
    """What can be read from a file without waiting, at most *count*."""
    os.set_blocking(file.fileno(), False)
    data = bytearray()
    while count is None or len(data) < count:
        try:
            piece = os.read(file.fileno(), 65536 if count is None
                            else min(65536, count - len(data)))
        except BlockingIOError:
            break
        if not piece:
            break
        data += piece
    return bytes(data)


def fill(file):
    """Fill the pipe behind a file; the number of bytes it took."""
    os.set_blocking(file.fileno(), False)
    total = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            total += os.write(file.fileno(), b"f" * 65536)
    with contextlib.suppress(BlockingIOError):
        while True:
            total += os.write(file.fileno(), b"f")
    return total


def alike(text):
    """Texts of both sides: without what differs in the names of types."""
    return support.plain(str(text)).replace("_Unix", "")


def seen(reports, nameless=False):
    """What the exception handler was told; *nameless*: but for the callback,
    which asyncio has forgotten when it stopped watching the file."""
    def text(message):
        return re.sub(r"(?<=callback ).*" if nameless else r"\A\Z", "",
                      alike(message))

    return [(text(message), error and alike(error), keys)
            for message, error, keys in reports.seen]


def end(loop, *transports):
    for transport in transports:
        getattr(transport, "abort", transport.close)()
    settle(loop)


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


# -- reading --------------------------------------------------------------------


@pytest.mark.parametrize("answer", [None, True])
@pytest.mark.parametrize("kind", ["pipe", "fifo", "socket"])
def test_end_of_file(kind, answer):
    def scenario(side, loop):
        with files(kind) as (r, w):
            protocol = Recorder(eof_received=lambda t: answer)
            transport = reading(loop, r, protocol)
            w.close()
            trace = []
            for _ in range(5):
                support.spin(loop)
                trace.append((list(protocol.events), transport.is_closing(),
                              transport.is_reading(), r.fileno() == -1
                              if kind == "socket" else r.closed))
            return trace

    support.compare(scenario)


def test_pause_and_resume():
    def scenario(side, loop):
        with files() as (r, w):
            protocol = Recorder()
            transport = reading(loop, r, protocol)
            trace = [transport.is_reading()]
            transport.pause_reading()
            transport.pause_reading()
            trace.append(transport.is_reading())
            w.write(b"waits")
            settle(loop)
            trace.append(bytes(protocol.data))
            transport.resume_reading()
            transport.resume_reading()
            trace.append(transport.is_reading())
            until(loop, lambda: protocol.data == b"waits")
            transport.close()
            transport.pause_reading()
            transport.resume_reading()
            trace.append(transport.is_reading())
            settle(loop)
            transport.pause_reading()
            transport.resume_reading()
            transport.close()
            trace.append(transport.is_reading())
            return trace, protocol.events

    support.compare(scenario)


def test_pause_in_connection_made():
    def scenario(side, loop):
        with files() as (r, w):
            protocol = Recorder(connection_made=lambda t: t.pause_reading())
            transport = reading(loop, r, protocol)
            w.write(b"x")
            settle(loop)
            before = bytes(protocol.data)
            transport.resume_reading()
            until(loop, lambda: protocol.data == b"x")
            end(loop, transport)
            return before

    assert support.compare(scenario) == b""


def test_slow_reader_stops_the_writer(loop):
    """Flow control all the way: nothing is lost, nothing overtakes."""
    data = pattern(2_000_000)
    with files() as (r, w):
        received, sent = Recorder(), Recorder()
        reader = reading(loop, r, received)
        writer = writing(loop, w, sent)
        reader.pause_reading()
        writer.write(data)
        settle(loop)
        assert sent.events[-1] == "pause"
        assert not received.data

        received.on["data_received"] = lambda t, d: (
            t.pause_reading(), loop.call_soon(t.resume_reading))
        reader.resume_reading()
        until(loop, lambda: len(received.data) == len(data))
        assert received.data == data
        assert sent.events == ["made", "pause", "resume"]
        end(loop, reader, writer)


def test_buffered_protocol_gets_data_received():
    def scenario(side, loop):
        reports = Reports(loop)
        with files() as (r, w):
            protocol = BufferedRecorder()
            transport = reading(loop, r, protocol)
            w.write(b"x")
            until(loop, lambda: reports.contexts)
            end(loop, transport)
            return seen(reports), protocol.events

    support.compare(scenario)


def test_set_protocol(loop):
    with files() as (r, w):
        first, second = Recorder(), Recorder()
        second.note("here")
        transport = reading(loop, r, first)
        assert transport.get_protocol() is first
        transport.set_protocol(protocol=second)
        assert transport.get_protocol() is second
        w.write(b"x")
        until(loop, lambda: second.data)
        w.close()
        until(loop, lambda: second.events[-1] == ("lost", None))
        assert first.events == ["made"]
        assert transport.get_protocol() is None


def test_peer_of_a_terminal_goes():
    """EIO: no news, but connection_lost is told."""

    def scenario(side, loop):
        reports = Reports(loop)
        master, slave = os.openpty()
        file = open(master, "rb", 0)
        protocol = Recorder()
        reading(loop, file, protocol)
        os.write(slave, b"hello")
        until(loop, lambda: protocol.data == b"hello")
        os.close(slave)
        until(loop, lambda: len(protocol.events) == 3)
        settle(loop)
        return protocol.events, seen(reports), file.closed

    assert support.compare(scenario) == (
        ["made", "data", ("lost", "OSError")], [], True)


def test_read_error_is_reported():
    def scenario(side, loop):
        reports = Reports(loop)
        ours, theirs = tcp_pair()
        protocol = Recorder()
        reading(loop, ours, protocol)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                          struct.pack("ii", 1, 0))
        theirs.close()
        until(loop, lambda: len(protocol.events) == 2)
        return protocol.events, seen(reports)

    events, reports = support.compare(scenario)
    assert events == ["made", ("lost", "ConnectionResetError")]
    assert reports[0][0] == "Fatal read error on pipe transport"


def test_packets_are_not_cut(loop):
    """A datagram of more than the usual buffer is read whole."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for end_of in ours, theirs:
        for option in socket.SO_SNDBUF, socket.SO_RCVBUF:
            end_of.setsockopt(socket.SOL_SOCKET, option, 400_000)
    with ours, theirs:
        pieces = []
        protocol = Recorder(data_received=lambda t, d: pieces.append(len(d)))
        transport = reading(loop, ours, protocol)
        for size in 100, 150_000, 7:
            theirs.send(b"p" * size)
            until(loop, lambda size=size: pieces[-1:] == [size])
        assert pieces == [100, 150_000, 7]
        end(loop, transport)


# -- writing --------------------------------------------------------------------


def test_writes_of_one_step_leave_together():
    loop = fastasync.new_event_loop()
    with files() as (r, w):
        writer = writing(loop, w, Recorder())
        found = []

        def step():
            writer.write(b"a")
            writer.write(b"b")
            found.append(select.select([r], [], [], 0)[0])
            writer.writelines([b"c", b"", b"d"])
            loop.call_soon(lambda: found.append(drain_file(r)))

        loop.call_soon(step)
        settle(loop)
        assert found == [[], b"abcd"]
        # who looks sees that it has gone
        loop.call_soon(lambda: (writer.write(b"e"), found.append(
            (writer.get_write_buffer_size(), drain_file(r)))))
        loop.call_soon(lambda: (writer.write(b"f"), writer.get_extra_info(
            "pipe"), found.append(drain_file(r))))
        settle(loop)
        assert found[2:] == [(0, b"e"), b"f"]
        end(loop, writer)
    loop.close()


@pytest.mark.skipif(not hasattr(os, "pipe2"), reason="needs pipe2")
def test_packets_stay_apart():
    """Where a write is a message, each write() is one."""

    def scenario(side, loop):
        r, w = os.pipe2(os.O_DIRECT | os.O_NONBLOCK)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        found = []
        with open(r, "rb", 0), open(w, "wb", 0) as file, ours, theirs:
            for target, source in (file, r), (ours, theirs.fileno()):
                writer = writing(loop, target, Recorder())
                loop.call_soon(lambda t=writer: (
                    t.write(b"one"), t.write(b"two"),
                    t.writelines([b"th", b"ree"])))
                settle(loop)
                found += [os.read(source, 100) for _ in range(3)]
                end(loop, writer)
        return found

    assert support.compare(scenario) == [b"one", b"two", b"three"] * 2


@pytest.mark.parametrize("make", [
    bytes, bytearray, memoryview, type("B", (bytes,), {}),
    lambda b: memoryview(bytearray(b)), lambda b: memoryview(b"<" + b)[1:],
])
@pytest.mark.parametrize("size", [0, 1, 3000, 300_000])
def test_what_is_written(loop, make, size):
    data = pattern(size)
    with files() as (r, w):
        writer = writing(loop, w, Recorder())
        given = make(data)
        writer.write(given)
        if isinstance(given, bytearray):
            given[:] = b"!" * size  # it is ours again
        received = bytearray()

        def more():
            received.extend(drain_file(r))
            return len(received) == size

        until(loop, more)
        assert received == data
        end(loop, writer)


@pytest.mark.parametrize("wrong", ["text", None, 7, [b"x"]])
def test_what_is_refused(wrong):
    def scenario(side, loop):
        with files() as (r, w):
            writer = writing(loop, w, Recorder())
            with pytest.raises(AssertionError) as info:
                writer.write(wrong)
            with pytest.raises(TypeError) as lines:
                writer.writelines([b"a", wrong])
            with pytest.raises(TypeError) as no_lines:
                writer.writelines(7)
            end(loop, writer)
            return (info.value.args, str(lines.value), str(no_lines.value),
                    drain_file(r))

    support.compare(scenario)


@pytest.mark.parametrize("blocked", [False, True])
def test_memory_in_pieces(blocked):
    def scenario(side, loop):
        reports = Reports(loop)
        with files() as (r, w):
            protocol = Recorder()
            writer = writing(loop, w, protocol)
            if blocked:
                fill(w)
                writer.write(b"waits")
            outcome = None
            try:
                writer.write(memoryview(b"abcdef")[::2])
            except TypeError as error:
                outcome = str(error)
            settle(loop)
            result = (outcome, seen(reports), protocol.events,
                      writer._conn_lost, writer.is_closing())
            if blocked:
                end(loop, writer)
            return result

    support.compare(scenario)


@pytest.mark.parametrize("lines", [
    [], [b""], [b"a", b"bc"], (b"a", b"b"), [bytearray(b"x"), b"y"],
    [memoryview(b"xyz")[1:]], b"bytes"])
def test_writelines(lines):
    def scenario(side, loop):
        with files() as (r, w):
            writer = writing(loop, w, Recorder())
            outcome = None
            try:
                writer.writelines(lines)
                writer.writelines(list_of_data=iter([b"1", b"2"]))
            except TypeError as error:
                outcome = str(error)
            settle(loop)
            data = drain_file(r)
            end(loop, writer)
            return outcome, data

    support.compare(scenario)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_pause_and_resume_writing(kind):
    """pause at the high-water mark; resume when nothing waits any more."""

    def scenario(side, loop):
        trace = []
        with files(kind) as (r, w):
            protocol = Recorder()
            writer = writing(loop, w, protocol)
            fill(w)
            for size in 65536, 1, 100_000:
                writer.write(b"x" * size)
                trace.append((writer.get_write_buffer_size(),
                              list(protocol.events)))
            left = writer.get_write_buffer_size()
            early = 0
            while left:
                drain_file(r, 4096)
                settle(loop, 2)
                left = writer.get_write_buffer_size()
                early += bool(left) and "resume" in protocol.events
            trace.append((early, list(protocol.events)))
            end(loop, writer)
            return trace

    assert support.compare(scenario)[-1] == (0, ["made", "pause", "resume"])


def test_limits():
    def scenario(side, loop):
        trace = []
        with files() as (r, w):
            protocol = Recorder()
            writer = writing(loop, w, protocol)
            trace.append(writer.get_write_buffer_limits())
            for kwargs in (
                {"high": 100}, {"low": 10}, {"high": 5, "low": 5}, {},
                {"high": 0}, {"high": None, "low": None},
            ):
                writer.set_write_buffer_limits(**kwargs)
                trace.append((writer.get_write_buffer_limits(),
                              writer._high_water, writer._low_water))
            for kwargs in {"high": 1, "low": 2}, {"low": -1}, {"high": "x"}:
                with pytest.raises((ValueError, TypeError)) as info:
                    writer.set_write_buffer_limits(**kwargs)
                trace.append(support.why(info.value))
            fill(w)
            writer.write(b"x" * 50)
            trace.append(list(protocol.events))
            writer.set_write_buffer_limits(high=49)
            trace.append(list(protocol.events))
            trace.append(writer._protocol_paused)
            end(loop, writer)
        return trace

    support.compare(scenario)


def test_resume_writing_may_write_and_close():
    def scenario(side, loop):
        with files() as (r, w):
            again = [b"y" * 200_000]

            def resumed(transport):
                if again:
                    transport.write(again.pop())
                else:
                    transport.write(b"z")

            protocol = Recorder(resume_writing=resumed)
            writer = writing(loop, w, protocol)
            filled = fill(w)
            writer.write(b"x" * 70_000)
            data = bytearray()

            def more():
                data.extend(drain_file(r))
                return data.endswith(b"z")

            until(loop, more)
            end(loop, writer)
            return data[filled:], protocol.events

    data, events = support.compare(scenario)
    assert data == b"x" * 70_000 + b"y" * 200_000 + b"z"
    assert events.count("resume") == 2


def test_character_device(loop):
    with open("/dev/null", "wb", 0) as file:
        writer = writing(loop, file, Recorder())
        writer.write(b"x" * 100_000)
        assert writer.get_write_buffer_size() == 0
        writer.close()
        settle(loop)
        assert file.closed


def test_device_that_cannot_be_watched():
    def scenario(side, loop):
        reports = Reports(loop)
        with open("/dev/null", "rb", 0) as file:
            protocol = Recorder()
            transport = reading(loop, file, protocol)
            end(loop, transport)
            return [(r[1], r[2]) for r in seen(reports)], protocol.events

    support.compare(scenario)


# -- the other side goes -----------------------------------------------------------


@pytest.mark.parametrize("pending", [0, 10, 100_000])
@pytest.mark.parametrize("kind", ["pipe", "fifo", "socket"])
def test_readers_go(kind, pending):
    def scenario(side, loop):
        with files(kind) as (r, w):
            protocol = Recorder()
            writer = writing(loop, w, protocol)
            settle(loop)
            if pending:
                fill(w)
                writer.write(b"x" * pending)
            r.close()
            until(loop, lambda: protocol.events[-1] != "pause"
                  and len(protocol.events) > 1)
            writer.write(b"late")
            return (protocol.events, writer.get_write_buffer_size(),
                    writer._conn_lost, writer.is_closing())

    support.compare(scenario)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_write_finds_the_readers_gone(kind):
    def scenario(side, loop):
        with files(kind) as (r, w):
            reports = Reports(loop)
            protocol = Recorder()
            writer = writing(loop, w, protocol)
            settle(loop)
            r.close()
            loop.call_soon(writer.write, b"x")  # before the loop has looked
            settle(loop)
            return (protocol.events, seen(reports), writer._conn_lost,
                    writer.is_closing())

    events, reports, lost, closing = support.compare(scenario)
    assert events == ["made", ("lost", "BrokenPipeError")]
    assert (reports, lost, closing) == ([], 1, True)


def test_socket_with_input_counts_as_gone():
    def scenario(side, loop):
        with files("socket") as (r, w):
            protocol = Recorder()
            writing(loop, w, protocol)
            r.send(b"anything")
            until(loop, lambda: len(protocol.events) == 2)
            return protocol.events

    assert support.compare(scenario) == ["made", ("lost", None)]


@pytest.mark.parametrize("name", ["asyncio", "fastasync"])
def test_default_sigpipe_ends_the_process(name):
    script = f"""
import asyncio, os, signal, {name}
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
async def main():
    r, w = os.pipe()
    t, _ = await asyncio.get_running_loop().connect_write_pipe(
        asyncio.BaseProtocol, open(w, "wb", 0))
    os.close(r)
    t.write(b"x")
    t.get_write_buffer_size()
{name}.run(main())
"""
    if name not in support.CHOSEN:
        pytest.skip("not chosen")
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGPIPE


# -- the end -------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "write_eof"])
@pytest.mark.parametrize("pending", [False, True])
def test_close_of_a_writer(how, pending):
    def scenario(side, loop):
        with files() as (r, w):
            protocol = Recorder()
            writer = writing(loop, w, protocol)
            filled = fill(w) if pending else 0
            writer.write(b"x" * 1000)
            assert writer.can_write_eof()
            getattr(writer, how)()
            getattr(writer, how)()
            writer.write(b"late")
            trace = [(writer.is_closing(), list(protocol.events))]
            data = bytearray()
            for _ in range(8):
                support.spin(loop)
                if pending:
                    data += drain_file(r)
                trace.append(list(protocol.events))
            data += drain_file(r)
            return data[filled:], trace[0], trace[-1], w.closed

    data, _, events, closed = support.compare(scenario)
    assert data == b"x" * 1000
    assert events == ["made", ("lost", None)]
    assert closed


@pytest.mark.parametrize("pending", [False, True])
def test_turns_of_closing(pending):
    def scenario(side, loop):
        with files() as (r, w):
            protocol = Recorder()
            writer = writing(loop, w, protocol)
            if pending:
                fill(w)
                writer.write(b"x")
            writer.close()
            trace = []
            for i in range(5):
                support.spin(loop)
                trace.append((list(protocol.events), w.closed))
                if i == 1:
                    drain_file(r)
            return trace

    support.compare(scenario)


def test_readers_go_while_closing():
    def scenario(side, loop):
        with files() as (r, w):
            protocol = Recorder()
            writer = writing(loop, w, protocol)
            settle(loop)
            fill(w)
            writer.write(b"x")
            writer.close()
            settle(loop)
            r.close()
            until(loop, lambda: len(protocol.events) == 2)
            return protocol.events

    assert support.compare(scenario) == ["made", ("lost", "BrokenPipeError")]


def test_abort_drops_the_data():
    def scenario(side, loop):
        with files() as (r, w):
            protocol = Recorder()
            writer = writing(loop, w, protocol)
            filled = fill(w)
            writer.write(b"x" * 100)
            writer.abort()
            trace = [writer.is_closing(), writer.get_write_buffer_size(),
                     list(protocol.events)]
            settle(loop)
            return trace, protocol.events, drain_file(r)[filled:], w.closed

    assert support.compare(scenario) == (
        [True, 0, ["made"]], ["made", ("lost", None)], b"", True)


def test_abort_after_a_write_has_sent_it():
    def scenario(side, loop):
        with files() as (r, w):
            writer = writing(loop, w, Recorder())
            loop.call_soon(lambda: (writer.write(b"bye"), writer.abort()))
            settle(loop)
            return drain_file(r)

    assert support.compare(scenario) == b"bye"


@pytest.mark.parametrize("how", ["close", "abort"])
def test_late_writes_warn(how):
    def scenario(side, loop):
        with files() as (_, w), support.journal() as journal:
            writer = writing(loop, w, Recorder())
            getattr(writer, how)()
            for _ in range(4):
                writer.write(b"x")
            settle(loop)
            for data in b"x", b"", b"x", bytearray(b"x"), b"x":
                writer.write(data)
            writer.writelines([b"x"])
            return journal.messages, writer._conn_lost

    messages, count = support.compare(scenario)
    assert len(messages) == 4
    assert count == 9


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("when", [
    "connection_made", "pause_writing", "resume_writing", "connection_lost"])
def test_end_inside_a_callback_of_a_writer(how, when):
    if when in ("resume_writing", "connection_lost"):
        sides = ["fastasync"]  # asyncio would end it twice
    else:
        sides = support.CHOSEN
    results = []
    for name in sides:
        loop = support.side_of(name).new_loop()
        reports = Reports(loop)
        with files() as (r, w):
            protocol = Recorder(**{when: lambda t, *a: getattr(t, how)()})
            writer = writing(loop, w, protocol)
            if when != "connection_made":
                fill(w)
                writer.write(b"x" * 100_000)
            if when == "connection_lost":
                writer.close()

            def over(r=r, protocol=protocol):
                drain_file(r)
                return protocol.events[-1][0] == "lost"

            until(loop, over)
            settle(loop)
            assert w.closed
            results.append((protocol.events, seen(reports)))
        loop.close()
    assert all(result == results[0] for result in results), results
    assert results[0][0].count(("lost", None)) == 1
    assert not results[0][1]


@pytest.mark.parametrize("when", [
    "connection_made", "data_received", "eof_received", "connection_lost"])
def test_close_inside_a_callback_of_a_reader(when):
    def scenario(side, loop):
        reports = Reports(loop)
        with files() as (r, w):
            protocol = Recorder(**{when: lambda t, *a: t.close()})
            reading(loop, r, protocol)
            with contextlib.suppress(BrokenPipeError):
                w.write(b"x")
            w.close()
            until(loop, lambda: protocol.events[-1] == ("lost", None))
            settle(loop)
            return protocol.events, seen(reports), r.closed

    support.compare(scenario)


def fail(*_):
    raise LookupError("on purpose")


@pytest.mark.parametrize("when", [
    "connection_made", "data_received", "eof_received", "connection_lost"])
def test_exceptions_in_a_reading_protocol(when):
    def scenario(side, loop):
        reports = Reports(loop)
        with files() as (r, w):
            protocol = Recorder(**{when: fail})
            transport = reading(loop, r, protocol)
            w.write(b"x")
            until(loop, lambda: protocol.data == b"x")
            w.write(b"y")  # it goes on
            until(loop, lambda: protocol.data == b"xy")
            w.close()
            until(loop, lambda: protocol.events[-1] == ("lost", None))
            settle(loop)
            assert transport._pipe is None
            return protocol.events, seen(reports), r.closed

    events, reports, _ = support.compare(scenario)
    assert len(reports) == (2 if when == "data_received" else 1)


@pytest.mark.parametrize("when", [
    "connection_made", "pause_writing", "resume_writing", "connection_lost"])
@pytest.mark.parametrize("pending", [False, True])
def test_exceptions_in_a_writing_protocol(when, pending):
    def scenario(side, loop):
        reports = Reports(loop)
        with files() as (r, w):
            protocol = Recorder(**{when: fail})
            writer = writing(loop, w, protocol)
            filled = fill(w)
            writer.write(b"x" * 70_000)
            data = bytearray()

            def more():
                data.extend(drain_file(r))
                return len(data) == filled + 70_000

            if not pending:
                until(loop, more)
            writer.close()
            until(loop, lambda: more() and w.closed)
            return (protocol.events, seen(reports, nameless=True),
                    len(data) - filled)

    support.compare(scenario)


@pytest.mark.parametrize("exit_type", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("when", [
    "connection_made", "data_received", "eof_received", "connection_lost"])
def test_exits_leave_the_loop(loop, exit_type, when):
    def leave(*_):
        raise exit_type(7)

    with files() as (r, w):
        protocol = Recorder(**{when: leave})

        async def connect():
            await loop.connect_read_pipe(lambda: protocol, r)
            w.write(b"x")
            w.close()
            await asyncio.sleep(10)

        task = loop.create_task(connect())
        with pytest.raises(exit_type):
            loop.run_until_complete(task)
        task.cancel()
        settle(loop)


def test_no_eof_received():
    """A protocol without the method: an error, as in asyncio."""

    class Bare(asyncio.BaseProtocol):
        data_received = staticmethod(lambda data: None)

    def scenario(side, loop):
        reports = Reports(loop)
        with files() as (r, w):
            transport = reading(loop, r, Bare())
            w.close()
            until(loop, lambda: reports.contexts)
            settle(loop)
            result = (seen(reports, nameless=True), transport.is_closing(),
                      r.closed)
            transport._call_connection_lost(None)
            return result

    support.compare(scenario)


def test_close_of_the_file_fails():
    def scenario(side, loop):
        reports = Reports(loop)
        with files() as (r, w), support.hooks() as caught:
            class File:
                fileno = staticmethod(r.fileno)

                @staticmethod
                def close():
                    raise LookupError("cannot close")

            protocol = Recorder()
            transport = reading(loop, File(), protocol)
            transport.close()
            settle(loop)
            result = protocol.events, seen(reports), len(caught)
            with contextlib.suppress(LookupError, AttributeError):
                transport._pipe = None
            return result

    support.compare(scenario)


def test_file_is_closed_once(loop):
    for connect, which in (reading, 0), (writing, 1):
        closed = []
        with files() as pair:
            class File:
                fileno = pair[which].fileno

                @staticmethod
                def close(closed=closed):
                    closed.append(1)

            transport = connect(loop, File(), Recorder())
            end(loop, transport)
            transport.close()
            transport._call_connection_lost(None) if hasattr(
                transport, "_context") else None
            del transport
            gc.collect()
            assert closed == [1]


def test_nothing_keeps_a_lost_transport(loop):
    with files() as (r, w):
        protocols = Recorder(), Recorder()
        transports = (reading(loop, r, protocols[0]),
                      writing(loop, w, protocols[1]))
        end(loop, *transports)
        refs = [weakref.ref(o) for o in (*transports, *protocols)]
        del transports, protocols
        gc.collect()
        assert [ref() for ref in refs] == [None] * 4


@pytest.mark.parametrize("connect, which", [(reading, 0), (writing, 1)])
def test_unclosed_transport_warns(new_loop, connect, which):
    with files() as pair:
        loop = new_loop()
        with support.recorded_warnings() as texts:
            transport = connect(loop, pair[which], Recorder())
            text = alike(repr(transport)).replace(
                " polling", " open").replace(" idle bufsize=0", " open")
            loop.close()
            del transport, loop
            gc.collect()
            if hasattr(new_loop, "__closure__"):
                for cell in new_loop.__closure__:
                    if isinstance(cell.cell_contents, list):
                        cell.cell_contents.clear()
            gc.collect()
        assert pair[which].closed
    assert [alike(t) for t in texts] == [
        f"ResourceWarning: unclosed transport {text}"]


def test_unfinished_output_of_an_unclosed_transport():
    """What was written has left, though nobody has closed."""
    loop = fastasync.new_event_loop()
    with files() as (r, w):
        async def main():
            transport, _ = await loop.connect_write_pipe(Recorder, w)
            transport.write(b"last words")

        loop.run_until_complete(main())
        with support.recorded_warnings():
            loop.close()
            del loop
            gc.collect()
        assert drain_file(r) == b"last words"


def test_close_after_the_loop(loop):
    with files() as (r, w):
        reader = reading(loop, r, Recorder())
        writer = writing(loop, w, Recorder())
        loop.close()
        with support.recorded_warnings():
            for transport in reader, writer:
                with pytest.raises(RuntimeError, match="loop is closed"):
                    transport.close()
                assert transport.is_closing()
                transport._pipe = None
            del reader, writer, transport
            gc.collect()


@pytest.mark.parametrize("kind", ["pipe", "buffered", "socket"])
def test_file_closed_behind_our_back(kind):
    """Nothing is read from, or written to, whoever has the number now."""
    loop = fastasync.new_event_loop()
    Reports(loop)
    with files(kind) as (r, w), files() as (other_r, other_w):
        sent = Recorder()
        writer = writing(loop, w, sent)
        number = w.fileno()
        w.close()
        os.dup2(other_w.fileno(), number)
        writer.write(b"secret")
        settle(loop)
        assert drain_file(other_r) == b""
        assert sent.events[-1] == ("lost", "OSError")
        os.close(number)
        del r
    loop.close()


# -- what can be asked ---------------------------------------------------------------


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
        if attribute.startswith("connect"):
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


# -- debug mode -------------------------------------------------------------------


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


# -- streams ---------------------------------------------------------------------


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


# -- memory --------------------------------------------------------------------


def test_nothing_leaks():
    loop = fastasync.new_event_loop()

    def once():
        with files() as (r, w):
            received = Recorder()
            reading(loop, r, received)
            writer = writing(loop, w, Recorder())
            writer.write(b"x" * 100)
            writer.writelines([b"y", b"z"])
            until(loop, lambda: len(received.data) == 102)
            writer.close()
            until(loop, lambda: received.events[-1] == ("lost", None))
            with pytest.raises(AssertionError):
                writer.write("text")
            with pytest.raises(ValueError), tempfile.TemporaryFile() as file:
                loop._make_read_pipe_transport(file, received)

    def count():
        gc.collect()
        return len(gc.get_objects()), sys.getallocatedblocks()

    for _ in range(5):
        once()
    before = count()
    for _ in range(50):
        once()
    after = count()
    loop.close()
    assert after[0] - before[0] < 50
    assert after[1] - before[1] < 100
