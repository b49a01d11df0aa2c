"""Reading from pipes: pipe_read.c."""

import os
import socket
import struct

import pytest

import support
from netsupport import (
    BufferedRecorder,
    Recorder,
    Reports,
    pattern,
    settle,
    tcp_pair,
    until,
)
from pipesupport import (
    end,
    files,
    reading,
    seen,
    writing,
)

fastasync = pytest.importorskip("fastasync")

# -- reading ------------------------------------------------------------------


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
