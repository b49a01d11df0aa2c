"""The life of a stream transport: sockstream.c, life.c, sockread.c, extra.c."""

import asyncio
import contextlib
import contextvars
import gc
import os
import socket
import struct
import weakref

import pytest

import support
from netsupport import (
    BufferedRecorder,
    Recorder,
    Reports,
    attach,
    debug_log,
    pattern,
    settle,
    short_paths,
    small_pair,
    tcp_pair,
    until,
)

fastasync = pytest.importorskip("fastasync")
import _fastasync  # noqa: E402


def closing(loop, transport):
    """Close and let it happen."""
    transport.close()
    settle(loop)


# -- making ---------------------------------------------------------------


def test_is_a_transport(pair):
    loop = fastasync.new_event_loop()
    transport = attach(loop, pair[0], Recorder())
    assert isinstance(transport, asyncio.Transport)
    assert isinstance(transport, asyncio.transports._FlowControlMixin)
    assert type(transport) is _fastasync.SocketTransport
    assert transport._start_tls_compatible is True
    native = asyncio.constants._SendfileMode.TRY_NATIVE
    assert transport._sendfile_compatible is native
    closing(loop, transport)
    loop.close()


def test_order_of_the_beginning():
    """connection_made, reading, waiter; and what they schedule, after."""

    def scenario(side, loop):
        ours, theirs = tcp_pair()
        theirs.send(b"early")
        seen = []
        protocol = Recorder(
            connection_made=lambda t: loop.call_soon(seen.append, "soon"))
        task = loop.create_task(
            loop.create_connection(lambda: protocol, sock=ours))
        task.add_done_callback(lambda _: seen.append("connected"))
        loop.call_soon(seen.append, "other")
        trace = []
        for _ in range(6):
            support.spin(loop)
            trace.append((list(protocol.events), list(seen)))
        until(loop, lambda: protocol.data == b"early")
        closing(loop, task.result()[0])
        theirs.close()
        return trace, protocol.events

    support.compare(scenario)


def test_replaced_call_soon_sees_everything():
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        names = []
        original = loop.call_soon

        def call_soon(callback, *args, context=None):
            name = getattr(callback, "__name__", None)
            names.append((name, len(args)))
            return original(callback, *args, context=context)

        protocol = Recorder()
        loop.call_soon = call_soon
        transport = attach(loop, ours, protocol)
        closing(loop, transport)
        theirs.close()
        wanted = {"connection_made", "_set_result_unless_cancelled",
                  "_call_connection_lost"}
        return [n for n in names if n[0] in wanted], protocol.events

    support.compare(scenario)


def test_fd_in_use(pair, loop):
    transport = attach(loop, pair[0], Recorder())
    with pytest.raises(RuntimeError, match="is used by transport"):
        loop.add_reader(pair[0].fileno(), print)
    # the object that was given is named, as asyncio does
    for method in (loop.add_reader, loop.add_writer):
        for file in (pair[0], pair[0].fileno()):
            with pytest.raises(RuntimeError) as info:
                method(file, print)
            assert str(info.value) == (
                f"File descriptor {file!r} is used by transport {transport!r}")
    with pytest.raises(RuntimeError) as info:
        loop.remove_reader(pair[0])
    assert repr(pair[0]) in str(info.value)
    closing(loop, transport)


def test_second_transport_on_one_socket(pair):
    loop = fastasync.new_event_loop()
    transport = attach(loop, pair[0], Recorder())
    with pytest.raises(RuntimeError) as info:
        loop._make_socket_transport(pair[0], Recorder())
    assert str(info.value) == (
        f"File descriptor {pair[0]!r} is used by transport {transport!r}")
    # the first one is untouched
    pair[1].send(b"x")
    until(loop, lambda: transport.get_protocol().data == b"x")
    closing(loop, transport)
    loop.close()


@pytest.mark.parametrize("args, error", [
    ((), TypeError),
    ((None, None, None), TypeError),
])
def test_bad_constructor_arguments(args, error):
    with pytest.raises(error):
        _fastasync.SocketTransport(*args)


def test_bad_socket():
    loop = fastasync.new_event_loop()
    sock = socket.socket()
    sock.close()
    with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
        _fastasync.SocketTransport(loop, sock, Recorder())
    for wrong in {"extra": 1}, {"context": 1}:
        sock = socket.socket()
        with pytest.raises(TypeError):
            _fastasync.SocketTransport(loop, sock, Recorder(), **wrong)
        assert sock.fileno() >= 0  # it stays ours
        sock.close()
    loop.close()


def test_not_initialised():
    """Every method of an object without __init__ is safe."""
    transport = _fastasync.SocketTransport.__new__(_fastasync.SocketTransport)
    assert transport.is_closing() and not transport.is_reading()
    transport.close()
    transport.abort()
    transport.pause_reading()
    transport.resume_reading()
    transport.write(b"x")
    transport.writelines([b"x"])
    transport.write_eof()
    transport._force_close(ValueError())
    transport._fatal_error(ValueError())
    transport._call_connection_lost(None)
    assert transport.get_write_buffer_size() == 0
    assert transport.get_extra_info("peername") is None
    assert transport.get_extra_info("nothing", 5) == 5
    assert transport._sock is None
    assert "closed" in repr(transport)
    with pytest.raises(ConnectionError):
        transport._make_empty_waiter()


def test_second_init(pair):
    loop = fastasync.new_event_loop()
    transport = attach(loop, pair[0], Recorder())
    with pytest.raises(RuntimeError):
        transport.__init__(loop, pair[0], Recorder())
    closing(loop, transport)
    with pytest.raises(RuntimeError):
        transport.__init__(loop, pair[1], Recorder())
    loop.close()


# -- data and end of file ----------------------------------------------------


@pytest.mark.parametrize("size", [1, 65535, 65536, 65537, 1 << 20, 5_000_001])
def test_reads_everything(pair, loop, size):
    data = pattern(size)
    protocol = Recorder()
    transport = attach(loop, pair[0], protocol)
    sizes = []
    protocol.on["data_received"] = lambda t, d: sizes.append(
        (type(d), len(d)))

    async def feed():
        await loop.sock_sendall(pair[1], data)

    pair[1].setblocking(False)
    loop.run_until_complete(feed())
    until(loop, lambda: len(protocol.data) == size)
    assert protocol.data == data
    assert all(t is bytes and n <= 256 * 1024 for t, n in sizes)
    closing(loop, transport)


def test_eof_closes():
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        protocol = Recorder()
        transport = attach(loop, ours, protocol)
        theirs.send(b"last")
        theirs.shutdown(socket.SHUT_WR)
        until(loop, lambda: protocol.events[-1][0] == "lost")
        assert theirs.recv(10) == b""
        theirs.close()
        return (protocol.events, bytes(protocol.data),
                transport.is_closing(), transport.get_protocol() is None)

    support.compare(scenario)


def test_eof_kept_open():
    """Half-closed: it does not read any more and still writes."""

    def scenario(side, loop):
        ours, theirs = tcp_pair()
        protocol = Recorder(eof_received=lambda t: True)
        transport = attach(loop, ours, protocol)
        theirs.shutdown(socket.SHUT_WR)
        until(loop, lambda: "eof" in protocol.events)
        transport.write(b"still here")
        settle(loop)
        assert theirs.recv(100) == b"still here"
        state = transport.is_closing(), transport.is_reading()
        closing(loop, transport)
        assert theirs.recv(100) == b""
        theirs.close()
        return state, protocol.events

    support.compare(scenario)


def test_write_eof_half_closes():
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        protocol = Recorder()
        transport = attach(loop, ours, protocol)
        assert transport.can_write_eof() is True
        transport.write(b"request")
        transport.write_eof()
        transport.write_eof()
        assert theirs.recv(100) == b"request"
        assert theirs.recv(100) == b""
        theirs.send(b"answer")
        until(loop, lambda: protocol.data == b"answer")
        try:
            transport.write(b"x")
        except RuntimeError as error:
            text = str(error)
        theirs.close()
        until(loop, lambda: protocol.events[-1][0] == "lost")
        return text, protocol.events

    support.compare(scenario)


def test_pause_and_resume():
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        protocol = Recorder()
        transport = attach(loop, ours, protocol)
        trace = [transport.is_reading()]
        transport.pause_reading()
        transport.pause_reading()
        trace.append(transport.is_reading())
        theirs.send(b"waits")
        settle(loop)
        trace.append(bytes(protocol.data))
        transport.resume_reading()
        transport.resume_reading()
        trace.append(transport.is_reading())
        until(loop, lambda: protocol.data == b"waits")
        closing(loop, transport)
        transport.pause_reading()
        transport.resume_reading()
        trace.append(transport.is_reading())
        theirs.close()
        return trace

    support.compare(scenario)


def test_pause_in_connection_made():
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        protocol = Recorder(connection_made=lambda t: t.pause_reading())
        transport = attach(loop, ours, protocol)
        theirs.send(b"x")
        settle(loop)
        before = bytes(protocol.data)
        transport.resume_reading()
        until(loop, lambda: protocol.data == b"x")
        closing(loop, transport)
        theirs.close()
        return before

    assert support.compare(scenario) == b""


def test_pause_while_an_event_waits_in_the_ring(pair):
    """Two connections ready in one poll; the first pauses the second."""
    loop = fastasync.new_event_loop()
    other, other_peer = tcp_pair()
    protocols = Recorder(), Recorder()
    first = attach(loop, pair[0], protocols[0])
    second = attach(loop, other, protocols[1])
    for protocol in protocols:
        protocol.on["data_received"] = lambda t, d: (
            first.pause_reading(), second.pause_reading())
    pair[1].send(b"1")
    other_peer.send(b"2")
    settle(loop)
    assert len(protocols[0].data) + len(protocols[1].data) == 1
    first.close()
    second.close()
    settle(loop)
    other_peer.close()
    loop.close()


# -- the end -------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("when", [
    "connection_made", "data_received", "eof_received", "connection_lost"])
def test_close_inside_a_callback(how, when):
    def scenario(side, loop):
        ours, theirs = tcp_pair()

        def act(transport, *args):
            transport.write(b"bye")
            getattr(transport, how)()
            getattr(transport, how)()

        protocol = Recorder(**{when: act})
        loop.run_until_complete(
            loop.create_connection(lambda: protocol, sock=ours))
        with contextlib.suppress(OSError):  # it may have been reset already
            theirs.send(b"x")
            settle(loop)
            theirs.shutdown(socket.SHUT_WR)
        until(loop, lambda: protocol.events[-1][0] == "lost")
        got = bytearray()
        try:
            while piece := theirs.recv(100):
                got += piece
        except ConnectionResetError:
            got += b"<reset>"
        theirs.close()
        return protocol.events, bytes(got)

    support.compare(scenario)


def test_connection_lost_is_late_and_once():
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        protocol = Recorder()
        transport = attach(loop, ours, protocol)
        trace = []
        transport.close()
        transport.abort()
        transport.close()
        transport._force_close(ValueError())
        trace.append(list(protocol.events))
        support.spin(loop)
        trace.append(list(protocol.events))
        settle(loop)
        trace.append(list(protocol.events))
        theirs.close()
        return trace

    support.compare(scenario)


def test_close_waits_for_the_data():
    def scenario(side, loop):
        ours, theirs = small_pair()
        protocol = Recorder()
        transport = attach(loop, ours, protocol)
        data = pattern(300_000)
        transport.write(data)
        transport.close()
        settle(loop)
        trace = [list(protocol.events), transport.is_closing()]
        theirs.setblocking(False)
        got = bytearray()

        def take():
            try:
                got.extend(theirs.recv(65536))
            except BlockingIOError:
                pass
            return len(got) == len(data)

        until(loop, take)
        assert got == data
        until(loop, lambda: protocol.events[-1][0] == "lost")
        theirs.close()
        return trace, protocol.events

    support.compare(scenario)


def test_abort_drops_the_data():
    def scenario(side, loop):
        ours, theirs = small_pair()
        protocol = Recorder()
        transport = attach(loop, ours, protocol)
        transport.write(b"x" * 1_000_000)
        transport.abort()
        size = transport.get_write_buffer_size()
        settle(loop)
        theirs.close()
        return protocol.events, size

    support.compare(scenario)


def test_reset_by_the_peer():
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        protocol = Recorder()
        attach(loop, ours, protocol)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                          struct.pack("ii", 1, 0))
        theirs.close()
        until(loop, lambda: protocol.events[-1][0] == "lost")
        return protocol.events

    assert support.compare(scenario)[-1] == ("lost", "ConnectionResetError")


def test_fatal_error():
    def scenario(side, loop):
        reports = Reports(loop)
        result = []
        for error in (ValueError("v"), OSError("o"), ConnectionError("c")):
            ours, theirs = tcp_pair()
            protocol = Recorder()
            transport = attach(loop, ours, protocol)
            transport._fatal_error(error)
            transport._fatal_error(error, "again")
            settle(loop)
            result.append(protocol.events)
            theirs.close()
        return result, reports.seen

    support.compare(scenario)


def test_protocol_is_let_go(side, loop, pair):
    protocol = Recorder()
    transport = attach(loop, pair[0], protocol)
    gone = weakref.ref(protocol)
    protocol.transport = None
    transport.close()
    del protocol
    support.spin(loop)
    support.spin(loop)
    assert gone() is None


def test_nothing_keeps_a_lost_transport(pair):
    loop = fastasync.new_event_loop()
    protocol = Recorder()
    transport = attach(loop, pair[0], protocol)
    gone = weakref.ref(transport)
    closing(loop, transport)
    protocol.transport = None
    del transport
    assert gone() is None  # without the collector
    loop.close()


def test_fd_is_free_after_close(pair):
    """The number may be given to another file at once, and nothing of the
    old transport touches that."""
    loop = fastasync.new_event_loop()
    protocol = Recorder()
    transport = attach(loop, pair[0], protocol)
    fd = pair[0].fileno()
    closing(loop, transport)
    assert pair[0].fileno() == -1
    other, other_peer = tcp_pair()
    if other.fileno() != fd:
        os.dup2(other.fileno(), fd)
        moved = socket.socket(fileno=fd)
        other.close()
        other = moved
    fresh = Recorder()
    second = attach(loop, other, fresh)
    transport.write(b"lost")
    transport.abort()
    transport.close()
    transport.resume_reading()
    del transport
    gc.collect()
    other_peer.send(b"y")
    until(loop, lambda: fresh.data == b"y")
    second.write(b"z")
    assert other_peer.recv(10) == b"z"
    closing(loop, second)
    other_peer.close()
    loop.close()


def test_socket_closed_behind_our_back():
    """The transport finds out, and never touches the fd that was reused."""
    loop = fastasync.new_event_loop()
    ours, theirs = tcp_pair()
    protocol = Recorder()
    transport = attach(loop, ours, protocol)
    fd = ours.fileno()
    ours.close()
    innocent, peer = tcp_pair()
    if innocent.fileno() != fd and peer.fileno() != fd:
        os.dup2(innocent.fileno(), fd)
    peer.send(b"private")
    transport.write(b"not for you")
    settle(loop)
    assert protocol.data == b""
    innocent.setblocking(False)
    assert innocent.recv(100) == b"private"
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        peer.recv(100)
    assert protocol.events[-1] == ("lost", "OSError")
    for end in innocent, peer, theirs:
        end.close()
    loop.close()


def test_unclosed_transport_warns(side, loop, pair):
    transport = attach(loop, pair[0], Recorder())
    transport.pause_reading()
    settle(loop)
    transport.get_protocol().transport = None
    with support.recorded_warnings() as texts:
        del transport
        gc.collect()
    texts = [t for t in texts if "unclosed transport" in t]
    assert len(texts) == 1, texts
    assert texts[0].startswith("ResourceWarning: unclosed transport <")
    assert pair[1].recv(10) == b""  # it has closed the socket


def test_loop_closed_under_an_open_transport():
    def scenario(side, _):
        loop = side.new_loop()
        ours, theirs = tcp_pair()
        transport = attach(loop, ours, Recorder())
        loop.close()
        try:
            transport.close()
        except RuntimeError as error:
            text = str(error)
        with support.recorded_warnings():
            transport.get_protocol().transport = None
            del transport
            gc.collect()
        assert theirs.recv(10) == b""
        theirs.close()
        return text

    support.compare(scenario)


# -- what can be asked -------------------------------------------------------------


def test_socket_asked_for_after_the_end():
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        transport = attach(loop, ours, Recorder())
        closing(loop, transport)
        theirs.close()
        sock = transport.get_extra_info("socket")
        return sock.fileno(), sock.family, transport._sock

    support.compare(scenario)


def test_extra_info():
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        expected = ours.getpeername(), ours.getsockname()
        transport = attach(loop, ours, Recorder())
        sock = transport.get_extra_info("socket")
        result = [
            (transport.get_extra_info("peername"),
             transport.get_extra_info("sockname")) == expected,
            transport.get_extra_info("nothing"),
            transport.get_extra_info("nothing", default=7),
            type(sock).__name__,
            sock is transport.get_extra_info("socket"),
            sock.fileno() == ours.fileno(),
            sorted(transport._extra),
        ]
        if side.ours:  # always; asyncio: if the socket says its protocol
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        closing(loop, transport)
        theirs.close()
        result += [
            (transport.get_extra_info("peername"),
             transport.get_extra_info("sockname")) == expected,
            transport.get_extra_info("socket").fileno(),
        ]
        return result

    support.compare(scenario)


@pytest.mark.parametrize("asked", [(), ("socket",), ("sockname", "peername")])
def test_extra_info_of_an_accepted_connection(asked):
    """Asked for early, late, or only after the end."""

    def scenario(side, loop):
        protocols = []

        def factory():
            protocols.append(Recorder())
            return protocols[-1]

        server = loop.run_until_complete(
            loop.create_server(factory, "127.0.0.1", 0))
        address = server.sockets[0].getsockname()
        theirs = socket.create_connection(address)
        until(loop, lambda: protocols and protocols[0].events == ["made"])
        transport = protocols[0].transport
        for name in asked:
            transport.get_extra_info(name)
        me = theirs.getsockname()
        theirs.close()
        until(loop, lambda: protocols[0].events[-1][0] == "lost")
        server.close()
        sock = transport.get_extra_info("socket")
        return (transport.get_extra_info("peername") == me,
                transport.get_extra_info("sockname") == address,
                sock.fileno(), sock.family, sock.type, transport._sock)

    support.compare(scenario)


@pytest.mark.parametrize("name", ["s", "x" * 60, "\0abstract"])
def test_unix_addresses(name):
    def scenario(side, loop):
        path = name
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            theirs = socket.socket(socket.AF_UNIX)
            theirs.connect(path)
            ours, _ = listener.accept()
        ours.setblocking(False)
        transport = attach(loop, ours, Recorder())
        result = (transport.get_extra_info("sockname") == ours.getsockname(),
                  transport.get_extra_info("peername"))
        closing(loop, transport)
        theirs.close()
        if name[0] != "\0":
            os.unlink(path)
        return result

    with short_paths():
        assert support.compare(scenario)[0] is True


def test_ipv6_addresses():
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    loop = fastasync.new_event_loop()
    with listener:
        theirs = socket.socket(socket.AF_INET6)
        theirs.connect(listener.getsockname())
        ours, _ = listener.accept()
    ours.setblocking(False)
    expected = ours.getpeername(), ours.getsockname()
    transport = attach(loop, ours, Recorder())
    assert (transport.get_extra_info("peername"),
            transport.get_extra_info("sockname")) == expected
    closing(loop, transport)
    theirs.close()
    loop.close()


def test_repr():
    def scenario(side, loop):
        ours, theirs = small_pair()
        protocol = Recorder()
        transport = attach(loop, ours, protocol)
        fd = ours.fileno()

        def text():
            return (support.plain(repr(transport))
                    .replace("_SelectorSocketTransport", "SocketTransport")
                    .replace(f"fd={fd}", "fd=N"))

        texts = [text()]
        transport.pause_reading()
        texts.append(text())
        transport.write(b"x" * 1_000_000)
        busy = text()
        assert "write=<polling, bufsize=" in busy, busy
        transport.close()
        texts.append(text().split("bufsize")[0])
        transport.abort()
        texts.append(text())
        settle(loop)
        texts.append(text())
        theirs.close()
        return texts

    support.compare(scenario)


def test_private_names(pair):
    """What asyncio's own code and others' read on a transport."""
    loop = fastasync.new_event_loop()
    protocol = Recorder()
    transport = attach(loop, pair[0], protocol)
    assert transport._loop is loop
    assert transport._protocol is protocol is transport.get_protocol()
    assert transport._sock is pair[0]
    assert transport._sock_fd == pair[0].fileno()
    assert transport._server is None
    assert transport._closing is transport._paused is transport._eof is False
    assert transport._protocol_paused is False
    assert transport._conn_lost == 0
    assert (transport._low_water, transport._high_water) == (16384, 65536)
    assert list(transport._buffer) == []
    assert transport._empty_waiter is None
    transport.anything = 1  # an instance dict
    assert transport.__dict__ == {"anything": 1}
    assert weakref.ref(transport)() is transport
    closing(loop, transport)
    assert transport._loop is transport._protocol is transport._sock is None
    assert transport._conn_lost == 1
    loop.close()


def test_signatures():
    """mock.create_autospec and help() find them."""
    import inspect

    for name in ("write", "writelines", "close", "abort", "get_extra_info",
                 "set_write_buffer_limits", "set_protocol"):
        inspect.signature(getattr(_fastasync.SocketTransport, name))


# -- contexts ------------------------------------------------------------------------

VAR = contextvars.ContextVar("VAR", default="none")


@pytest.mark.parametrize("kind", [Recorder, BufferedRecorder])
def test_one_context_for_all_callbacks(kind):
    """Ours: a value that connection_made sets is there to the end."""
    loop = fastasync.new_event_loop()
    ours, theirs = tcp_pair()
    seen = []

    def look(transport, *args):
        seen.append(VAR.get())

    def begin(transport):
        look(transport)
        VAR.set("connection")

    protocol = kind(connection_made=begin, data_received=look,
                    buffer_updated=look, eof_received=look,
                    connection_lost=look)

    async def main():
        VAR.set("maker")
        await loop.create_connection(lambda: protocol, sock=ours)

    loop.run_until_complete(main())
    theirs.send(b"x")
    until(loop, lambda: protocol.data == b"x")
    theirs.close()
    until(loop, lambda: protocol.events[-1][0] == "lost")
    assert seen == ["maker", "connection", "connection", "connection"]
    assert VAR.get() == "none"
    loop.close()


# -- debug mode ------------------------------------------------------------------------


def test_debug_mode_tells():
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        protocol = Recorder()
        with debug_log() as journal:
            transport = attach(loop, ours, protocol)
            loop.set_debug(True)
            loop.slow_callback_duration = 100
            transport.pause_reading()
            transport.resume_reading()
            theirs.shutdown(socket.SHUT_WR)
            until(loop, lambda: protocol.events[-1][0] == "lost")
            loop.set_debug(False)
        theirs.close()
        kept = []
        for level, text in journal.messages:
            for word in "pauses reading", "resumes reading", "received EOF":
                if text.endswith(word):
                    kept.append((level, word))
        return kept

    assert len(support.compare(scenario)) == 3


def test_debug_mode_logs_a_broken_connection():
    def scenario(side, loop):
        ours, theirs = tcp_pair()
        protocol = Recorder()
        transport = attach(loop, ours, protocol)
        loop.set_debug(True)
        loop.slow_callback_duration = 100
        with debug_log() as journal:
            try:
                raise OSError("gone")
            except OSError as error:
                transport._fatal_error(error, "It failed")
        settle(loop)
        theirs.close()
        return ([t.split(": ", 1)[1] for _, t in journal.messages],
                [support.why(e) for e in journal.errors], protocol.events)

    support.compare(scenario)
