"""Calling protocols: protocol.c. What they raise, and what they do to the
transport that calls them."""

import asyncio
import contextlib
import gc
import socket

import pytest

import support
from netsupport import (
    BufferedRecorder,
    Recorder,
    Reports,
    attach,
    pattern,
    settle,
    small_pair,
    tcp_pair,
    until,
)

fastasync = pytest.importorskip("fastasync")


class Boom(Exception):
    pass


class BaseBoom(BaseException):
    pass


def raiser(error):
    """Raises one like it: the traceback of `error` itself would grow."""

    def fail(*args):
        raise type(error)(*error.args)

    return fail


def drive(loop, ours, theirs, protocol):
    """Make every method of the protocol be called; tell what came out."""
    escaped = []

    def step(function):
        try:
            function()
        except BaseException as error:
            escaped.append(support.why(error))

    step(lambda: attach(loop, ours, protocol))
    transport = protocol.transport
    step(lambda: transport and transport.write(b"x" * 300_000))
    theirs.setblocking(False)
    total = 0
    for _ in range(300):
        try:
            total += len(theirs.recv(65536))
        except (BlockingIOError, ConnectionError):
            pass
        step(lambda: settle(loop, 1))
    theirs.setblocking(True)
    for act in (lambda: theirs.send(b"data"),
                lambda: theirs.shutdown(socket.SHUT_WR)):
        try:
            act()
        except OSError:
            pass
        step(lambda: settle(loop, 3))
        step(lambda: settle(loop, 3))
    if transport is not None:
        step(transport.close)
    step(lambda: settle(loop, 3))
    step(lambda: settle(loop, 3))
    theirs.close()
    return escaped


@pytest.mark.parametrize("kind", [Recorder, BufferedRecorder])
@pytest.mark.parametrize("error", [
    Boom("b"), BaseBoom("bb"), OSError(5, "o"), ConnectionResetError("c"),
    asyncio.CancelledError("c"), StopIteration(1), GeneratorExit(),
], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("method", [
    "connection_made", "data_received", "get_buffer", "buffer_updated",
    "eof_received", "pause_writing", "resume_writing", "connection_lost"])
def test_every_method_may_fail(kind, error, method):
    def scenario(side, loop):
        reports = Reports(loop)
        ours, theirs = small_pair()
        protocol = kind(**{method: raiser(error)})
        escaped = drive(loop, ours, theirs, protocol)
        return escaped, reports.seen, protocol.events

    support.compare(scenario)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()],
                         ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("kind, method", [
    (Recorder, "connection_made"), (Recorder, "data_received"),
    (BufferedRecorder, "get_buffer"), (BufferedRecorder, "buffer_updated"),
    (Recorder, "eof_received"), (Recorder, "resume_writing"),
    (Recorder, "connection_lost")])
def test_exits_leave_the_loop(kind, error, method):
    def scenario(side, loop):
        reports = Reports(loop)
        ours, theirs = small_pair()
        protocol = kind(**{method: raiser(error)})
        escaped = drive(loop, ours, theirs, protocol)
        if protocol.transport is not None:
            protocol.transport.abort()
        with support.recorded_warnings():
            settle(loop)
            ours.close()
            loop.close()
        return escaped, reports.seen, protocol.events[:4]

    assert support.compare(scenario)[0]


def test_missing_methods():
    def scenario(side, loop):
        reports = Reports(loop)
        errors = []
        for keep in ((), ("connection_made",),
                     ("connection_made", "data_received")):
            ours, theirs = tcp_pair()
            methods = {name: lambda self, *args: None for name in keep}
            protocol = type("Partial", (), methods)()
            try:
                transport = attach(loop, ours, protocol)
            except AttributeError as error:
                errors.append(support.why(error))
                transport = None
            with contextlib.suppress(OSError):  # 3.15 has closed the socket
                theirs.send(b"x")
                settle(loop)
                theirs.shutdown(socket.SHUT_WR)
            settle(loop)
            if transport is not None:
                transport.close()
            settle(loop)
            theirs.close()
            with support.recorded_warnings():  # asyncio leaves it half made
                gc.collect()
            ours.close()
        return errors, reports.seen

    support.compare(scenario)


# -- BufferedProtocol ------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 999, 65536, 1 << 20])
@pytest.mark.parametrize("total", [1, 5000, 400_000])
def test_buffered_gets_everything(size, total, loop):
    if total // size > 10000:
        pytest.skip("too many calls to be worth the time")
    ours, theirs = tcp_pair()
    protocol = BufferedRecorder(size)
    transport = attach(loop, ours, protocol)
    data = pattern(total)
    theirs.setblocking(False)
    loop.run_until_complete(loop.sock_sendall(theirs, data))
    until(loop, lambda: len(protocol.data) == total)
    assert protocol.data == data
    assert protocol.hints == {-1}
    transport.close()
    settle(loop)
    theirs.close()


@pytest.mark.parametrize("buffer", [
    b"", bytearray(), b"read-only", "text", 5, memoryview(b"read-only"),
    memoryview(bytearray(10))[::2], [], [1], object(), bytearray(10),
    memoryview(bytearray(10)),
], ids=lambda b: repr(b)[:30].split(" at ")[0])
def test_what_get_buffer_returns(buffer):
    def scenario(side, loop):
        reports = Reports(loop)
        ours, theirs = tcp_pair()
        protocol = BufferedRecorder(get_buffer=lambda t, hint: buffer)
        transport = attach(loop, ours, protocol)
        theirs.send(b"x")
        settle(loop)
        state = transport.is_closing()
        transport.close()
        settle(loop)
        theirs.close()
        return reports.seen, protocol.events, state

    support.compare(scenario)


@pytest.mark.parametrize("how", ["close", "abort", "pause_reading"])
@pytest.mark.parametrize("when", ["get_buffer", "buffer_updated"])
def test_buffered_stops_inside_its_methods(how, when):
    def scenario(side, loop):
        ours, theirs = tcp_pair()

        def stop(transport, *args):
            getattr(transport, how)()

        protocol = BufferedRecorder(**{when: stop})
        transport = attach(loop, ours, protocol)
        theirs.send(b"x")
        settle(loop)
        theirs.send(b"y")
        settle(loop)
        result = bytes(protocol.data), list(protocol.events)
        transport.abort()
        settle(loop)
        theirs.close()
        return result

    support.compare(scenario)


# -- another protocol ----------------------------------------------------------------------


@pytest.mark.parametrize("first", [Recorder, BufferedRecorder])
@pytest.mark.parametrize("second", [Recorder, BufferedRecorder])
@pytest.mark.parametrize("inside", [False, True])
def test_set_protocol(first, second, inside):
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        old, new = first(), second()
        transport = attach(loop, ours, old)

        def switch(*args):
            transport.set_protocol(new)
            new.connection_made(transport)

        if inside:
            old.on["data_received"] = old.on["buffer_updated"] = switch
        theirs.send(b"one")
        until(loop, lambda: old.data == b"one")
        if not inside:
            switch()
        assert transport.get_protocol() is new
        theirs.send(b"two")
        until(loop, lambda: new.data == b"two")
        transport.close()
        settle(loop)
        theirs.close()
        return old.events, new.events

    support.compare(scenario)


def test_set_protocol_in_get_buffer():
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        buffer = bytearray(10)
        new = BufferedRecorder()
        new.events.append("made")
        new.buffer = buffer

        def switch(transport, hint):
            transport.set_protocol(new)
            return buffer

        old = BufferedRecorder(get_buffer=switch)
        transport = attach(loop, ours, old)
        theirs.send(b"x")
        settle(loop)
        transport.close()
        settle(loop)
        theirs.close()
        return old.events, new.events, bytes(new.data)

    support.compare(scenario)


def test_connection_made_belongs_to_the_first_protocol():
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        first, second = Recorder(), Recorder()
        waiter = loop.create_future()
        transport = loop._make_socket_transport(ours, first, waiter)
        transport.set_protocol(second)
        loop.run_until_complete(waiter)
        second.events.append("waited")
        transport.close()
        settle(loop)
        theirs.close()
        return first.events, second.events

    support.compare(scenario)


def test_methods_are_looked_up_when_called(loop, pair):
    """Replaced on the instance, at any time."""
    protocol = Recorder()
    transport = attach(loop, pair[0], protocol)
    got = []
    protocol.data_received = got.append
    pair[1].send(b"x")
    until(loop, lambda: got == [b"x"])
    del protocol.data_received
    pair[1].send(b"y")
    until(loop, lambda: protocol.data == b"y")
    transport.close()
    settle(loop)


def test_protocol_with_slots_only(loop, pair):
    class Slotted:
        __slots__ = ("seen",)

        def __init__(self):
            self.seen = []

        def connection_made(self, transport):
            self.seen.append("made")

        def data_received(self, data):
            self.seen.append(data)

        def eof_received(self):
            self.seen.append("eof")

        def connection_lost(self, exc):
            self.seen.append(exc)

    protocol = Slotted()
    attach(loop, pair[0], protocol)
    pair[1].send(b"x")
    until(loop, lambda: b"x" in protocol.seen)
    pair[1].close()
    until(loop, lambda: protocol.seen[-1] is None)
    assert protocol.seen == ["made", b"x", "eof", None]


def test_protocol_dies_in_its_own_callback(pair):
    """set_protocol drops the last reference while the method runs."""
    loop = fastasync.new_event_loop()

    class Fleeting(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            self.word = "alive"

        def data_received(self, data):
            transport = self.transport
            transport.set_protocol(replacement)
            assert self.word == "alive"

    replacement = Recorder()
    replacement.events.append("made")
    waiter = loop.create_future()
    transport = loop._make_socket_transport(pair[0], Fleeting(), waiter)
    loop.run_until_complete(waiter)
    pair[1].send(b"x")
    settle(loop)
    pair[1].send(b"y")
    until(loop, lambda: replacement.data == b"y")
    transport.close()
    settle(loop)
    loop.close()
