"""Writing to pipes: pipe_write.c."""

import os
import select
import signal
import socket
import subprocess
import sys

import pytest

import support
from netsupport import (
    Recorder,
    Reports,
    pattern,
    settle,
    until,
)
from pipesupport import (
    drain_file,
    end,
    files,
    fill,
    reading,
    seen,
    writing,
)

fastasync = pytest.importorskip("fastasync")

# -- writing ------------------------------------------------------------------


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
            return [(r[1], r[2]) for r in seen(reports)], protocol.events[0]

    support.compare(scenario)


# -- the other side goes ------------------------------------------------------


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
