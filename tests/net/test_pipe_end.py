"""How pipe transports end: close, abort, failures, nobody."""

import asyncio
import contextlib
import gc
import os
import weakref

import pytest

import support
from netsupport import Recorder, Reports, settle, until
from pipesupport import (
    alike,
    drain_file,
    end,
    files,
    fill,
    reading,
    seen,
    writing,
)

fastasync = pytest.importorskip("fastasync")

# -- the end ------------------------------------------------------------------


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
            running = asyncio.get_running_loop()
            transport, _ = await running.connect_write_pipe(Recorder, w)
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
