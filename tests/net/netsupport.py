"""What the tests of the transports share: socket pairs and a protocol that
writes down what it is told."""

import asyncio
import contextlib
import logging
import re
import socket
import tempfile

import support


def tcp_pair():
    """(ours, theirs): a TCP connection over loopback.

    `ours` is for a transport; `theirs` is used from the test, with a timeout,
    so that a test that fails does not hang.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setblocking(False)
    theirs.settimeout(10)
    return ours, theirs


def small_pair():
    """As tcp_pair, but Unix sockets with a small buffer: soon full."""
    ours, theirs = socket.socketpair()
    for end in ours, theirs:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    ours.setblocking(False)
    theirs.settimeout(10)
    return ours, theirs


class Recorder(asyncio.Protocol):
    """Keeps a list of what happened; *on* adds a reaction to an event.

    `on={"data_received": function}` calls function(transport, *args) after
    the event has been noted; what it returns is returned.
    """

    def __init__(self, **on):
        self.events = []
        self.transport = None
        self.on = on
        self.data = bytearray()

    def note(self, name, *args):
        self.events.append((name, *args) if args else name)

    def react(self, name, *args):
        reaction = self.on.get(name)
        return reaction(self.transport, *args) if reaction else None

    def connection_made(self, transport):
        self.transport = transport
        self.note("made")
        self.react("connection_made")

    def data_received(self, data):
        self.data += data
        if self.events[-1] != "data":
            self.note("data")
        self.react("data_received", data)

    def eof_received(self):
        self.note("eof")
        return self.react("eof_received")

    def pause_writing(self):
        self.note("pause")
        self.react("pause_writing")

    def resume_writing(self):
        self.note("resume")
        self.react("resume_writing")

    def connection_lost(self, exc):
        self.note("lost", None if exc is None else type(exc).__name__)
        self.react("connection_lost", exc)


class BufferedRecorder(asyncio.BufferedProtocol):
    """The same with a buffer of its own, of *size* bytes."""

    def __init__(self, size=1000, **on):
        self.buffer = bytearray(size)
        self.hints = set()
        Recorder.__init__(self, **on)

    note, react = Recorder.note, Recorder.react
    connection_made = Recorder.connection_made
    eof_received = Recorder.eof_received
    pause_writing = Recorder.pause_writing
    resume_writing = Recorder.resume_writing
    connection_lost = Recorder.connection_lost

    def get_buffer(self, sizehint):
        self.hints.add(sizehint)
        reaction = self.react("get_buffer", sizehint)
        return self.buffer if reaction is None else reaction

    def buffer_updated(self, nbytes):
        self.data += self.buffer[:nbytes]
        if self.events[-1] != "data":
            self.note("data")
        self.react("buffer_updated", nbytes)


def attach(loop, sock, protocol):
    """A transport of *loop* over a connected socket, made the public way."""
    return loop.run_until_complete(
        loop.create_connection(lambda: protocol, sock=sock))[0]


def settle(loop, turns=8):
    """Enough turns of the loop for everything that follows from what is
    there to have happened."""
    for _ in range(turns):
        support.spin(loop)


def until(loop, condition, turns=20000):
    """Run the loop until *condition()*; fail rather than hang."""

    async def wait():
        for _ in range(turns):
            if condition():
                return True
            await asyncio.sleep(0.0005)
        return False

    assert loop.run_until_complete(wait()), "it never came true"


def read_all(sock, count):
    """Exactly *count* bytes from a socket with a timeout."""
    data = bytearray()
    while len(data) < count:
        piece = sock.recv(min(count - len(data), 1 << 18))
        assert piece, f"end of file after {len(data)} of {count} bytes"
        data += piece
    return bytes(data)


def pattern(count):
    """*count* bytes in which no two places look alike."""
    return b"".join(b"%08x" % i for i in range(count // 8 + 1))[:count]


class Reports:
    """Collects what the loop's exception handler is told."""

    def __init__(self, loop):
        self.contexts = []
        loop.set_exception_handler(lambda _, c: self.contexts.append(c))

    @property
    def seen(self):
        """As plain data: message, exception, the other keys."""
        return [
            (
                # the repr of a transport, which some versions shorten
                re.sub(r"\(<.*>\)", "(<>)", support.plain(c["message"])
                       .replace("_SelectorSocket", "Socket")),
                support.why(c["exception"]) if "exception" in c else None,
                sorted(set(c) - {"message", "exception"}),
            )
            for c in self.contexts
        ]


@contextlib.contextmanager
def debug_log():
    """support.journal(), down to the level DEBUG."""
    with support.journal() as journal:
        logging.getLogger("asyncio").setLevel(logging.DEBUG)
        journal.setLevel(logging.DEBUG)
        yield journal


@contextlib.contextmanager
def short_paths():
    """In an empty directory: Unix socket paths are limited in length."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        yield
