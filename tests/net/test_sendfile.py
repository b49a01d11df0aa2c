"""loop.sock_sendfile() and loop.sendfile(), against asyncio's."""

import asyncio
import contextlib
import io
import os
import socket
import sys

import netsupport
import pytest
import support

NotAvailable = asyncio.SendfileNotAvailableError
DATA = netsupport.pattern(300_000)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(DATA)
    with path.open("rb") as file:
        yield file


@contextlib.contextmanager
def ends(small=False):
    one, two = socket.socketpair()
    with one, two:
        one.setblocking(False)
        two.setblocking(False)
        if small:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        yield one, two


def run(loop, coro):
    return loop.run_until_complete(asyncio.wait_for(coro, 30))


async def outcome(aw):
    try:
        return await aw
    except BaseException as exc:
        return support.why(exc)


async def read(loop, sock, count):
    got = bytearray()
    while len(got) < count:
        data = await loop.sock_recv(sock, 1 << 16)
        if not data:
            break
        got += data
    return bytes(got)


async def polls(count=3):
    for _ in range(count):
        await asyncio.sleep(0.002)


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("offset, count", [
    (0, None), (100, None), (0, 1000), (1234, 200_000), (0, len(DATA)),
    (0, len(DATA) * 2), (len(DATA), None), (len(DATA) - 1, 5),
])
@pytest.mark.parametrize("native", [True, False])
def test_sock_sendfile(loop, file, small, offset, count, native, monkeypatch):
    if not native:
        async def fail(sock, file, offset, count):
            raise NotAvailable

        loop._sock_sendfile_native = fail
    end = len(DATA) if count is None else min(offset + count, len(DATA))
    expected = DATA[offset:end]

    async def main():
        with ends(small) as (one, two):
            task = loop.create_task(
                loop.sock_sendfile(one, file, offset, count))
            got = await read(loop, two, len(expected))
            assert await task == len(expected)
            assert got == expected
            two.setblocking(False)
            with pytest.raises(BlockingIOError):
                two.recv(1)
            if expected or sys.version_info >= (3, 14):
                assert file.tell() == offset + len(expected)

    run(loop, main())


def test_an_empty_file(loop, tmp_path):
    path = tmp_path / "empty"
    path.touch()

    async def main():
        with ends() as (one, two), path.open("rb") as file:
            assert await loop.sock_sendfile(one, file) == 0

    run(loop, main())


def test_between_other_sends(loop, file):
    async def main():
        with ends() as (one, two):
            async def send():
                await loop.sock_sendall(one, b"<<<")
                sent = await loop.sock_sendfile(one, file)
                await loop.sock_sendall(one, b">>>")
                return sent

            task = loop.create_task(send())
            got = await read(loop, two, len(DATA) + 6)
            assert await task == len(DATA)
            assert got == b"<<<" + DATA + b">>>"

    run(loop, main())


class NoFile:
    mode = "rb"

    def __init__(self, answer):
        self.answer = answer

    def fileno(self):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


UNAVAILABLE = {
    "bytes": lambda: io.BytesIO(b"abc"),
    "no fileno": lambda: object(),
    "unsupported": lambda: NoFile(io.UnsupportedOperation("no")),
    "no such fd": lambda: NoFile(9999),
    "raises": lambda: NoFile(KeyError("oh")),
    "text": lambda: NoFile("seven"),
    "negative": lambda: NoFile(-1),
}


@pytest.mark.parametrize("name", UNAVAILABLE)
def test_no_fallback(name):
    told = []
    for side in support.both():
        loop = side.new_loop()

        async def main(loop=loop):
            with ends() as (one, two):
                with pytest.raises(Exception) as caught:
                    await loop.sock_sendfile(one, UNAVAILABLE[name](),
                                             fallback=False)
                context = caught.value.__context__
                return support.why(caught.value), context and support.why(
                    context)

        with contextlib.closing(loop):
            told.append(run(loop, main()))
    assert told[0] == told[-1]


WRONG = {
    "text mode": lambda loop, s, f: loop.sock_sendfile(
        s, io.TextIOWrapper(io.BytesIO())),
    "count": lambda loop, s, f: loop.sock_sendfile(s, f, 0, 0),
    "count type": lambda loop, s, f: loop.sock_sendfile(s, f, 0, "1"),
    "offset": lambda loop, s, f: loop.sock_sendfile(s, f, -1),
    "offset type": lambda loop, s, f: loop.sock_sendfile(s, f, 1.5),
    "huge offset": lambda loop, s, f: loop.sock_sendfile(
        s, f, 1 << 70, fallback=False),
    "not a stream": lambda loop, s, f: loop.sock_sendfile(
        s.dgram, f, fallback=False),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("debug", [False, True])
def test_wrong_arguments(name, debug, file):
    class Sock(socket.socket):
        dgram = None

    told = []
    for side in support.both():
        loop = side.new_loop()
        loop.set_debug(debug)
        with contextlib.closing(loop), ends() as (one, two):
            with socket.socket(type=socket.SOCK_DGRAM) as dgram:
                with Sock(fileno=os.dup(one.fileno())) as sock:
                    sock.setblocking(False)
                    dgram.setblocking(False)
                    sock.dgram = dgram
                    target = sock if name == "not a stream" else one
                    told.append(run(loop, outcome(
                        WRONG[name](loop, target, file))))
    assert told[0] == told[-1]


def test_blocking_sockets_in_debug_mode(loop, file):
    loop.set_debug(True)

    async def main():
        with ends() as (one, two):
            one.setblocking(True)
            told = await outcome(loop.sock_sendfile(one, file))
            assert told == "ValueError: the socket must be non-blocking"

    run(loop, main())


def test_a_replaced_os_sendfile_is_called(loop, file, monkeypatch):
    real, calls = os.sendfile, []

    def sendfile(out, source, offset, count):
        calls.append((offset, count))
        return real(out, source, offset, min(count, 1000))

    monkeypatch.setattr(os, "sendfile", sendfile)

    async def main():
        with ends() as (one, two):
            task = loop.create_task(loop.sock_sendfile(one, file, 10, 5000))
            assert await read(loop, two, 5000) == DATA[10:5010]
            assert await task == 5000
        assert calls[0] == (10, 5000) and len(calls) == 5

    run(loop, main())


def test_the_peer_goes_away(loop, file):
    async def main():
        with ends(small=True) as (one, two):
            task = loop.create_task(loop.sock_sendfile(one, file))
            await polls()
            two.close()
            told = await outcome(task)
            assert told.startswith("BrokenPipeError")
            assert file.tell() > 0

    run(loop, main())


def test_the_peer_is_gone_already(loop, file):
    async def main():
        with ends() as (one, two):
            two.close()
            told = await outcome(loop.sock_sendfile(one, file, fallback=False))
            assert told == ("SendfileNotAvailableError: os.sendfile call "
                            "failed")
            told = await outcome(loop.sock_sendfile(one, file))
            assert told.startswith("BrokenPipeError")

    run(loop, main())


def test_cancel(loop, file):
    async def main():
        with ends(small=True) as (one, two):
            for _ in range(3):
                task = loop.create_task(loop.sock_sendfile(one, file))
                await polls(1)
                task.cancel()
                assert (await outcome(task)).startswith("CancelledError")
                assert not loop.remove_writer(one)
                with contextlib.suppress(BlockingIOError):
                    while two.recv(1 << 20):
                        pass
            await loop.sock_sendall(one, b"usable")
            assert await loop.sock_recv(two, 10) == b"usable"

    run(loop, main())


def test_somebody_watches_the_socket(loop, file, side):
    async def main():
        with ends(small=True) as (one, two):
            seen = []
            loop.add_reader(one, lambda: seen.append(one.recv(10)))
            task = loop.create_task(loop.sock_sendfile(one, file))
            await polls(1)
            two.send(b"hello")
            assert await read(loop, two, len(DATA)) == DATA
            assert await task == len(DATA)
            await polls(1)
            assert seen == [b"hello"]
            loop.remove_reader(one)
            # a writer is replaced
            loop.add_writer(one, seen.append, 1)
            task = loop.create_task(loop.sock_sendfile(one, file))
            assert await read(loop, two, len(DATA)) == DATA
            assert await task == len(DATA)
            assert not loop.remove_writer(one)

    run(loop, main())


def test_the_socket_of_a_transport(loop, file):
    async def main():
        with ends(small=True) as (one, two):
            tr, _ = await loop.create_connection(asyncio.Protocol, sock=one)
            told = await outcome(loop.sock_sendfile(one, file))
            assert "is used by transport" in told
            tr.abort()
            await polls(1)

    run(loop, main())


# -- transports --------------------------------------------------------------


async def connect(loop, sock, **on):
    protocol = netsupport.Recorder(**on)
    tr, _ = await loop.create_connection(lambda: protocol, sock=sock)
    return tr, protocol


def test_sendfile(loop, file):
    async def main():
        with ends() as (one, two):
            tr, protocol = await connect(loop, one)

            async def send():
                tr.write(b"<<<")
                assert await loop.sendfile(tr, file) == len(DATA)
                tr.write(b"|||")
                assert await loop.sendfile(tr, file, 100, 1000) == 1000
                tr.write(b">>>")

            task = loop.create_task(send())
            expected = b"<<<" + DATA + b"|||" + DATA[100:1100] + b">>>"
            assert await read(loop, two, len(expected)) == expected
            await task
            two.send(b"and back")
            await polls()
            assert protocol.data == b"and back"
            tr.close()
            await polls(1)

    run(loop, main())


def test_sendfile_over_a_full_buffer(loop, file):
    async def main():
        with ends(small=True) as (one, two):
            tr, protocol = await connect(loop, one)
            tr.write(DATA)
            task = loop.create_task(loop.sendfile(tr, file))
            got = await read(loop, two, 2 * len(DATA))
            assert got == DATA * 2
            assert await task == len(DATA)
            tr.close()
            await polls(1)

    run(loop, main())


def test_write_during_sendfile(loop, file):
    async def main():
        with ends(small=True) as (one, two):
            tr, protocol = await connect(loop, one)
            task = loop.create_task(loop.sendfile(tr, file))
            await polls(1)
            with pytest.raises(RuntimeError, match="sendfile is in progress"):
                tr.write(b"x")
            assert await read(loop, two, len(DATA)) == DATA
            await task
            tr.close()
            await polls(1)

    run(loop, main())


def test_close_during_sendfile(loop, file, side):
    if not side.ours:
        pytest.skip("asyncio waits for ever")

    async def main():
        with ends(small=True) as (one, two):
            tr, protocol = await connect(loop, one)
            task = loop.create_task(loop.sendfile(tr, file))
            await polls(1)
            tr.close()
            await polls(1)
            assert protocol.events[-1] == ("lost", None)
            assert await read(loop, two, len(DATA)) == DATA
            assert await task == len(DATA)
            assert two.recv(1) == b""
            number = tr._sock_fd
            del tr, protocol
            # nobody owns the number any more
            spare, other = socket.socketpair()
            with spare, other:
                for sock in spare, other:
                    loop.add_reader(sock, print)
                    loop.remove_reader(sock)
            assert number >= 0

    run(loop, main())


def test_the_peer_of_a_transport_goes_away(loop, file):
    async def main():
        with ends(small=True) as (one, two):
            tr, protocol = await connect(loop, one)
            task = loop.create_task(loop.sendfile(tr, file))
            await polls(1)
            two.close()
            told = await outcome(task)
            assert told.split(":")[0] in ("BrokenPipeError", "ConnectionError",
                                          "ConnectionResetError")
            tr.close()
            await polls()

    run(loop, main())


def test_cancelled_sendfile_of_a_transport(loop, file):
    async def main():
        with ends(small=True) as (one, two):
            tr, protocol = await connect(loop, one)
            task = loop.create_task(loop.sendfile(tr, file))
            await polls(1)
            task.cancel()
            assert (await outcome(task)).startswith("CancelledError")
            tr.write(b"THE END")
            tr.close()
            got = await read(loop, two, 1 << 30)
            assert got.endswith(b"THE END")
            assert DATA.startswith(got[:-7])
            await polls(1)

    run(loop, main())


def test_closing_transports_are_refused(loop, file):
    async def main():
        with ends() as (one, two):
            tr, _ = await connect(loop, one)
            tr.close()
            told = await outcome(loop.sendfile(tr, file))
            assert told == "RuntimeError: Transport is closing"
            await polls(1)

    run(loop, main())


def test_fallback_of_a_transport(loop):
    async def main():
        with ends() as (one, two):
            tr, protocol = await connect(loop, one)
            task = loop.create_task(loop.sendfile(tr, io.BytesIO(DATA), 5))
            assert await read(loop, two, len(DATA) - 5) == DATA[5:]
            assert await task == len(DATA) - 5
            with pytest.raises(NotAvailable, match="not a regular file"):
                await loop.sendfile(tr, io.BytesIO(DATA), fallback=False)
            tr.close()
            await polls(1)

    run(loop, main())


def test_others_get_their_turn(loop, tmp_path):
    """A file that leaves without a wait does not keep the loop busy."""
    path = tmp_path / "large"
    path.write_bytes(bytes(32 << 20))
    log = []

    async def tick():
        while True:
            log.append(0)
            await asyncio.sleep(0)

    async def main():
        with ends() as (one, two):
            task = loop.create_task(tick())
            with path.open("rb") as file:
                sending = loop.create_task(loop.sock_sendfile(one, file))
                count = 0
                while count < 32 << 20:
                    count += len(await loop.sock_recv(two, 1 << 20))
                assert await sending == 32 << 20
            task.cancel()
            assert len(log) > 8

    run(loop, main())
