"""What write() does with bytes: writebuf.c and flow control."""

import array
import asyncio
import socket

import pytest

import support
from netsupport import (
    Recorder,
    Reports,
    attach,
    pattern,
    read_all,
    settle,
    small_pair,
    tcp_pair,
    until,
)

fastasync = pytest.importorskip("fastasync")
import _fastasync  # noqa: E402


def packets():
    """A transport whose peer sees what was sent by one system call as one
    packet; for what is only ours to test."""
    loop = fastasync.new_event_loop()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.setblocking(False)
    protocol = Recorder()
    transport = _fastasync.SocketTransport(loop, ours, protocol)
    support.spin(loop)
    return loop, transport, theirs


def received(sock):
    """All packets that have arrived."""
    found = []
    while True:
        try:
            found.append(sock.recv(1 << 20))
        except BlockingIOError:
            return found


def end(loop, transport, *socks):
    transport.abort()
    settle(loop)
    for sock in socks:
        sock.close()
    loop.close()


# -- what is taken -----------------------------------------------------------------


@pytest.mark.parametrize("make", [
    bytes, bytearray, memoryview,
    lambda b: memoryview(bytearray(b)),
    lambda b: memoryview(b"__" + b + b"__")[2:-2],
    lambda b: memoryview(array.array("H", b)),
    type("Sub", (bytes,), {}),
    type("Sub", (bytearray,), {}),
], ids=["bytes", "bytearray", "memoryview", "mutable view", "slice",
        "array view", "bytes subclass", "bytearray subclass"])
@pytest.mark.parametrize("size", [2, 4096, 65536, 300_000])
@pytest.mark.parametrize("inside", [False, True])
def test_every_kind_of_bytes(make, size, inside):
    """... whose owner changes it after write(), in or out of the loop."""
    loop = fastasync.new_event_loop()
    ours, theirs = tcp_pair()
    data = pattern(size)
    given = make(data)
    lines = make(data)
    transport = attach(loop, ours, Recorder())

    def act():
        transport.write(given)
        transport.writelines([b"(", lines, b"", b")"])
        for one in given, lines:
            view = memoryview(one).cast("B")
            if not view.readonly:
                view[:] = b"#" * size
                view.release()

    if inside:
        loop.call_soon(act)
    else:
        act()
    theirs.setblocking(False)

    async def read():
        got = bytearray()
        while len(got) < 2 * size + 2:
            got += await loop.sock_recv(theirs, 1 << 20)
        return got

    assert loop.run_until_complete(read()) == data + b"(" + data + b")"
    end(loop, transport, theirs)


@pytest.mark.parametrize("bad", [
    "text", 5, None, [b"x"], array.array("b", b"x"), object()])
def test_wrong_type(bad):
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        transport = attach(loop, ours, Recorder())
        texts = []

        def attempt(call, data):
            try:
                texts.append(call(data))
            except Exception as error:
                texts.append(support.why(error))

        attempt(transport.write, bad)
        if bad != [b"x"]:  # that is right
            attempt(transport.writelines, bad)
        transport.write(b"end")
        got = theirs.recv(100)
        attempt(transport.writelines, [b"never", bad])
        transport.abort()  # asyncio may have half of it in its buffer
        settle(loop)
        theirs.close()
        return texts, got

    support.compare(scenario)


def test_released_memoryview(pair, loop):
    transport = attach(loop, pair[0], Recorder())
    view = memoryview(b"abc")
    view.release()
    with pytest.raises(ValueError):
        transport.write(view)
    transport.abort()
    settle(loop)


@pytest.mark.parametrize("lines", [
    [], (), [b""], [b"", b""], [b"a", bytearray(b"b"), memoryview(b"c")],
    (b"a", b"", b"b"), [b"x" * 70000, b"", b"y" * 70000],
    [b"%d," % i for i in range(1000)],
], ids=str)
def test_writelines(lines):
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        transport = attach(loop, ours, Recorder())
        transport.write(b"<")
        transport.writelines(lines)
        times = 1
        if lines:  # asyncio fails over an iterator that yields nothing
            transport.writelines(iter(lines))
            times = 2
        transport.write(b">")
        expected = b"<" + b"".join(lines) * times + b">"
        theirs.setblocking(False)

        async def read():
            got = bytearray()
            while len(got) < len(expected):
                got += await loop.sock_recv(theirs, 1 << 20)
            return got

        assert loop.run_until_complete(read()) == expected
        transport.close()
        settle(loop)
        theirs.close()

    support.compare(scenario)


def test_writelines_is_all_or_nothing(pair):
    loop = fastasync.new_event_loop()
    transport = attach(loop, pair[0], Recorder())
    with pytest.raises(TypeError):
        transport.writelines([b"one", "two", b"three"])

    def lines():
        yield b"four"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        transport.writelines(lines())
    assert transport.get_write_buffer_size() == 0
    transport.write(b"end")
    assert pair[1].recv(100) == b"end"
    end(loop, transport)


@pytest.mark.skipif("sys.version_info < (3, 12)",
                    reason="__buffer__ in Python exists since 3.12")
def test_a_buffer_that_bites(pair):
    """Taking the buffer of an item runs Python code that uses the transport."""
    loop = fastasync.new_event_loop()
    transport = attach(loop, pair[0], Recorder())

    class Biting:
        def __init__(self, act):
            self.act = act

        def __buffer__(self, flags):
            self.act()
            return memoryview(b"bite")

    transport.writelines([b"a", Biting(lambda: transport.write(b"!")), b"b"])
    assert read_all(pair[1], 7) == b"!abiteb"
    transport.writelines([b"a", Biting(transport.abort), b"b"])
    settle(loop)
    assert pair[1].recv(10) == b""
    loop.close()


def test_after_write_eof_and_during_sendfile():
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        transport = attach(loop, ours, Recorder())
        texts = []

        def attempt(call, *args):
            try:
                texts.append(call(*args))
            except Exception as error:
                texts.append(support.why(error))

        waiter = transport._make_empty_waiter()
        texts.append(waiter.done())
        attempt(transport._make_empty_waiter)
        attempt(transport.write, b"x")
        attempt(transport.writelines, [b"x"])
        attempt(transport.write, b"")
        transport._reset_empty_waiter()
        transport.write_eof()
        attempt(transport.write, b"x")
        attempt(transport.write, b"")
        attempt(transport.writelines, [b"x"])
        transport.close()
        settle(loop)
        theirs.close()
        return texts

    support.compare(scenario)


def test_empty_waiter_follows_the_buffer():
    def scenario(side, loop):
        trace = []
        for drain in True, False:
            ours, theirs = small_pair()
            transport = attach(loop, ours, Recorder())
            transport.write(b"x" * 100_000)
            waiter = transport._make_empty_waiter()
            trace.append(waiter.done())
            if drain:
                theirs.setblocking(False)
                until(loop, lambda: len(received(theirs)) < 0 or waiter.done())
                trace.append(waiter.result())
            else:
                transport.abort()
                settle(loop)
                trace.append(support.why(waiter.exception()))
            transport._reset_empty_waiter()
            transport.abort()
            settle(loop)
            theirs.close()
        return trace

    support.compare(scenario)


def test_lost_connection_counts_writes():
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        transport = attach(loop, ours, Recorder())
        transport.abort()
        with support.journal() as journal:
            for _ in range(4):
                transport.write(b"x")
            transport.write(b"")
            count = transport._conn_lost
            before = len(journal.messages)
            for _ in range(3):
                transport.write(bytearray(b"x"))
            transport.write(b"y")
        settle(loop)
        theirs.close()
        return count, before, journal.messages

    assert support.compare(scenario)[2]


# -- when it leaves ----------------------------------------------------------------------


def test_leaves_at_once_outside_the_loop():
    loop, transport, theirs = packets()
    transport.write(b"one")
    assert received(theirs) == [b"one"]
    transport.writelines([b"t", b"w", b"o"])
    assert received(theirs) == [b"two"]
    end(loop, transport, theirs)


def test_one_packet_per_entry():
    """All that a callback writes leaves when it returns, in one piece."""
    loop, transport, theirs = packets()

    def first():
        transport.write(b"head,")
        transport.write(b"body,")
        transport.writelines([b"tail", b"."])
        assert received(theirs) == []

    def second():
        assert received(theirs) == [b"head,body,tail."]
        transport.write(b"next")

    loop.call_soon(first)
    loop.call_soon(second)
    settle(loop)
    assert received(theirs) == [b"next"]
    end(loop, transport, theirs)


def test_one_packet_per_step_of_a_task():
    loop, transport, theirs = packets()

    async def main():
        transport.write(b"1")
        transport.write(b"2")
        await asyncio.sleep(0)
        assert received(theirs) == [b"12"]
        transport.write(b"3")
        await asyncio.sleep(0)
        assert received(theirs) == [b"3"]
        transport.write(b"4")

    loop.run_until_complete(main())
    assert received(theirs) == [b"4"]
    end(loop, transport, theirs)


def test_answer_of_data_received_is_one_packet():
    loop, transport, theirs = packets()
    transport.get_protocol().on["data_received"] = lambda t, data: (
        t.write(b"HEAD "), t.write(data))
    theirs.send(b"x")
    settle(loop)
    assert received(theirs) == [b"HEAD x"]
    end(loop, transport, theirs)


@pytest.mark.parametrize("look", [
    lambda t: t.get_write_buffer_size(),
    lambda t: t.get_extra_info("socket"),
    lambda t: t._sock,
    lambda t: t._buffer,
    lambda t: t.set_write_buffer_limits(high=10),
    lambda t: t._make_empty_waiter(),
    lambda t: t.write_eof(),
    lambda t: t.close(),
    lambda t: t.abort(),
    lambda t: t._force_close(ValueError()),
], ids=["size", "socket", "_sock", "_buffer", "limits", "sendfile",
        "write_eof", "close", "abort", "_force_close"])
def test_who_looks_finds_it_sent(look):
    loop, transport, theirs = packets()
    seen = []

    def act():
        transport.write(b"1")
        transport.write(b"2")
        look(transport)
        try:
            seen.append(theirs.recv(100))
        except BlockingIOError:
            seen.append(None)

    loop.call_soon(act)
    settle(loop)
    assert seen == [b"12"]
    end(loop, transport, theirs)


def test_held_bytes_are_bounded():
    """64 KiB, or the high-water mark, and it leaves at once."""
    loop, transport, theirs = packets()
    trace = []

    def act():
        for _ in range(3):
            transport.write(b"x" * 30000)
            trace.append([len(p) for p in received(theirs)])
        transport.set_write_buffer_limits(high=10)
        transport.write(b"0123456789")
        trace.append([len(p) for p in received(theirs)])
        transport.write(b"a")
        trace.append([len(p) for p in received(theirs)])
        transport.set_write_buffer_limits(high=0)
        transport.write(b"b")
        trace.append([len(p) for p in received(theirs)])

    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    transport._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    loop.call_soon(act)
    settle(loop)
    assert trace == [[], [], [90000], [], [11], [1]]
    end(loop, transport, theirs)


def test_sent_although_the_entry_fails():
    """... by an exception, by stop(), or by one that leaves the loop."""
    loop, transport, theirs = packets()
    reports = Reports(loop)

    def fail(error):
        transport.write(b"before it failed")
        raise error

    loop.call_soon(fail, ValueError("v"))
    settle(loop)
    assert received(theirs) == [b"before it failed"]
    loop.call_soon(fail, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert received(theirs) == [b"before it failed"]
    assert len(reports.seen) == 1
    end(loop, transport, theirs)


def test_write_from_another_thread():
    """Not allowed, often done: it must not wait for the loop to wake up."""
    import threading

    loop, transport, theirs = packets()
    theirs.setblocking(True)
    theirs.settimeout(10)
    seen = []

    def other():
        transport.write(b"hello")
        seen.append(theirs.recv(100))
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=other)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()
    assert seen == [b"hello"]
    end(loop, transport, theirs)


# -- much data, both directions -----------------------------------------------------------


@pytest.mark.parametrize("size", [100, 70_000, 3_000_000])
@pytest.mark.parametrize("piece", [17, 1000, 65536, 1 << 20])
def test_echo_is_exact(size, piece):
    if size // piece > 20000:
        pytest.skip("too many pieces to be worth the time")
    data = pattern(size)

    def scenario(side, loop):
        server_protocol = Recorder(
            data_received=lambda t, d: t.write(d))
        client_protocol = Recorder()
        ours, theirs = tcp_pair()
        theirs.setblocking(False)
        attach(loop, ours, server_protocol)
        client = attach(loop, theirs, client_protocol)
        for start in range(0, size, piece):
            client.write(data[start:start + piece])
        until(loop, lambda: len(client_protocol.data) >= size)
        assert client_protocol.data == data
        client.write_eof()
        until(loop, lambda: client_protocol.events[-1][0] == "lost")
        return ([e for e in server_protocol.events
                 if e not in ("pause", "resume", "data")],
                [e for e in client_protocol.events
                 if e not in ("pause", "resume", "data")])

    support.compare(scenario)


def test_full_duplex_at_once(side, loop):
    """Both ends send a lot before anybody reads."""
    data = pattern(4_000_000)
    ours, theirs = tcp_pair()
    theirs.setblocking(False)
    protocols = Recorder(), Recorder()
    ends = attach(loop, ours, protocols[0]), attach(loop, theirs, protocols[1])
    for transport in ends:
        transport.write(data)
    until(loop, lambda: all(len(p.data) == len(data) for p in protocols))
    assert protocols[0].data == protocols[1].data == data
    for transport in ends:
        transport.close()
    settle(loop)


# -- flow control ------------------------------------------------------------------------


def test_limits():
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        transport = attach(loop, ours, Recorder())
        trace = [transport.get_write_buffer_limits()]
        for kwargs in (
            {}, {"high": 100}, {"low": 100}, {"high": 100, "low": 10},
            {"high": 0}, {"high": 10, "low": 10}, {"high": 1 << 70},
            {"high": 10, "low": 20}, {"high": -1}, {"low": -1},
            {"high": 1, "low": -1}, {"high": "x"}, {"low": None},
            {"high": None}, {"nothing": 1},
        ):
            try:
                transport.set_write_buffer_limits(**kwargs)
                high = kwargs.get("high")
                if high is not None and high > 1 << 60:
                    continue  # ours are clamped to what memory can hold
                trace.append(transport.get_write_buffer_limits())
            except Exception as error:
                trace.append(support.why(error))
        transport.set_write_buffer_limits(5, 3)
        trace.append(transport.get_write_buffer_limits())
        transport.abort()
        settle(loop)
        theirs.close()
        return trace

    support.compare(scenario)


@pytest.mark.parametrize("limits", [
    {}, {"high": 0}, {"high": 1000}, {"high": 200_000, "low": 0},
    {"high": 1 << 62}, {"high": float("inf"), "low": 0}])
def test_pause_and_resume_writing(limits):
    """The trace of a fast writer against a slow reader."""

    def scenario(side, loop):
        ours, theirs = small_pair()
        protocol = Recorder()
        transport = attach(loop, ours, protocol)
        transport.set_write_buffer_limits(**limits)
        trace = []

        def act():
            for _ in range(10):
                transport.write(b"x" * 40000)
                trace.append((transport.get_write_buffer_size() > 0,
                              protocol.events[-1]))

        loop.call_soon(act)
        settle(loop)
        trace.append(list(protocol.events))
        theirs.setblocking(False)
        total = 0

        def take():
            nonlocal total
            try:
                total += len(theirs.recv(65536))
            except BlockingIOError:
                pass
            return total == 400_000

        until(loop, take)
        settle(loop)
        trace.append(list(protocol.events))
        trace.append(transport.get_write_buffer_size())
        transport.close()
        settle(loop)
        theirs.close()
        return trace

    support.compare(scenario)


def test_pause_comes_from_write_itself():
    """Not later: drain() right after write() must see it."""

    def scenario(side, loop):
        trace = []
        for high in 0, 1, 5000, None:
            ours, theirs = small_pair()
            protocol = Recorder()
            transport = attach(loop, ours, protocol)
            if high is not None:
                transport.set_write_buffer_limits(high=high)
            steps = []

            def act():
                for _ in range(60):
                    transport.write(b"x" * 2000)
                    steps.append(protocol.events[-1])

            loop.call_soon(act)
            settle(loop)
            assert steps[-1] == protocol.events[-1] == "pause"
            # nothing is held at a mark of 0 or 1: write for write the same
            trace.append(steps if high in (0, 1) else None)
            transport.abort()
            settle(loop)
            theirs.close()
        return trace

    support.compare(scenario)


def test_lowering_the_limit_pauses():
    def scenario(side, loop):
        ours, theirs = small_pair()
        protocol = Recorder()
        transport = attach(loop, ours, protocol)
        transport.write(b"x" * 60000)
        trace = [list(protocol.events)]
        transport.set_write_buffer_limits(high=100)
        trace.append(list(protocol.events))
        transport.abort()
        settle(loop)
        theirs.close()
        return trace

    support.compare(scenario)


def test_writing_in_resume_writing():
    """resume_writing writes again, the last time while closing."""

    def scenario(side, loop):
        ours, theirs = small_pair()
        rounds = []

        def more(transport):
            rounds.append(1)
            if len(rounds) < 4:
                transport.write(b"y" * 100_000)
            if len(rounds) == 3:
                transport.close()

        protocol = Recorder(resume_writing=more)
        transport = attach(loop, ours, protocol)
        transport.write(b"y" * 100_000)
        theirs.setblocking(False)
        total = 0

        def take():
            nonlocal total
            try:
                total += len(theirs.recv(65536))
            except BlockingIOError:
                pass
            return protocol.events[-1][0] == "lost"

        until(loop, take)
        take()
        theirs.close()
        return total, protocol.events

    support.compare(scenario)


def test_broken_pipe():
    """The peer is gone: connection_lost, no report, and writes are dropped."""

    def scenario(side, loop):
        reports = Reports(loop)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        protocol = Recorder()
        transport = attach(loop, ours, protocol)
        transport.pause_reading()
        theirs.close()

        def act():
            transport.write(b"x")
            transport.write(b"y")

        loop.call_soon(act)
        settle(loop)
        transport.write(b"z")
        return protocol.events, reports.seen, transport.is_closing()

    assert support.compare(scenario)[0][-1] == ("lost", "BrokenPipeError")
