"""What the sweep has found in fastasync, each without the layer."""

import asyncio
import os
import socket

import pytest

import fastasync
from fastasync import _server


@pytest.fixture
def loop():
    made = fastasync.new_event_loop()
    yield made
    made.close()


def test_a_server_that_cannot_serve_closes_its_sockets(loop):
    made = []

    class Refusing(fastasync.Loop):
        def _start_serving(self, factory, sock, *args, **kwargs):
            made.append(sock)
            raise OSError("no room in the poller")

    refusing = Refusing()
    try:
        with pytest.raises(OSError, match="no room"):
            refusing.run_until_complete(
                refusing.create_server(asyncio.Protocol, "127.0.0.1", 0)
            )
        assert [sock.fileno() for sock in made] == [-1]
    finally:
        refusing.close()


def test_closing_a_server_goes_on_after_a_failure(loop):
    class Failing(fastasync.Loop):
        stopped = 0

        def _stop_serving(self, sock):
            super()._stop_serving(sock)
            self.stopped += 1
            if self.stopped == 1:
                raise OSError("close failed")

    failing = Failing()
    try:
        socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        ports = {sock.getsockname()[1] for sock in socks}
        for sock in socks:
            sock.setblocking(False)
        assert len(ports) == 2
        server = _server.Server(
            failing, socks, asyncio.Protocol, None, 5, None
        )
        failing.run_until_complete(server.start_serving())
        with pytest.raises(OSError, match="close failed"):
            server.close()
        assert [sock.fileno() for sock in socks] == [-1, -1]
        failing.run_until_complete(server.wait_closed())
    finally:
        failing.close()


def test_accepting_is_not_taken_up_again_for_a_closed_server(loop):
    async def main():
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        sock = socket.socket(fileno=os.dup(server.sockets[0].fileno()))
        server.close()
        sock.close()
        # as the timer does that is set when descriptors run out
        loop._start_serving(asyncio.Protocol, sock, None, server, 5)

    loop.run_until_complete(main())


def test_a_file_that_the_poller_could_not_forget(loop):
    """Closed behind our back while another number keeps it open, then put
    back: asyncio's epoll says FileExistsError."""
    got = []
    one, two = socket.socketpair()
    with one, two:
        number = os.dup(two.fileno())
        loop.add_reader(number, got.append, 1)
        os.close(number)
        loop.remove_reader(number)
        assert os.dup(two.fileno()) == number
        try:
            loop.add_reader(number, lambda: got.append(two.recv(10)))
            loop.call_soon(one.send, b"x")
            loop.call_later(0.05, loop.stop)
            loop.run_forever()
            loop.remove_reader(number)
        finally:
            os.close(number)
    assert got == [b"x"]


def test_signals_after_the_self_pipe_could_not_be_made(loop):
    class Once(fastasync.Loop):
        failures = 1

        def _add_reader(self, *args):
            if self.failures:
                self.failures -= 1
                raise OSError("no room in the poller")
            return super()._add_reader(*args)

    once = Once()
    try:
        with pytest.raises(OSError, match="no room"):
            _ = once._csock
        assert once._csock is not None
        assert once._internal_fds == 2
    finally:
        once.close()


def test_a_loop_that_could_not_be_made_is_silent(loop, recwarn):
    """No file is left for it: an OSError, and no word from __del__."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir("/proc/self/fd")))
    kept = [os.open("/dev/null", os.O_RDONLY) for _ in range(used)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(kept) + 1, hard))
    try:
        with pytest.raises(OSError):
            fastasync.new_event_loop()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in kept:
            os.close(fd)
    assert not [str(found.message) for found in recwarn.list]


def test_a_failed_close_goes_to_the_exception_handler(loop):
    class Sour(socket.socket):
        def close(self):
            super().close()
            raise OSError("close failed")

    ours, theirs = socket.socketpair()
    sour = Sour(fileno=ours.detach())
    sour.setblocking(False)
    reports, lost = [], []
    loop.set_exception_handler(lambda _, context: reports.append(context))

    class End(asyncio.Protocol):
        def connection_lost(self, exc):
            lost.append(exc)

    async def main():
        transport, _ = await loop.create_connection(End, sock=sour)
        transport.close()
        await asyncio.sleep(0.01)

    with theirs:
        loop.run_until_complete(main())
    assert lost == [None]
    assert [str(report["exception"]) for report in reports] == ["close failed"]
    assert "_call_connection_lost" in reports[0]["message"]
