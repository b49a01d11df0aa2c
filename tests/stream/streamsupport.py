"""What the tests of the streams share: a transport that writes down what it
is asked, and readers of every kind."""

import asyncio
import inspect
import sys

import support

# inspect knows only Python functions before 3.12.
is_coroutine_function = (
    inspect.iscoroutinefunction
    if sys.version_info >= (3, 12)
    else asyncio.iscoroutinefunction
)


class FakeTransport(asyncio.Transport):
    """No socket: notes the calls, and says what it is told to say."""

    def __init__(self, extra=None):
        super().__init__(extra)
        self.calls = []
        self.closing = False

    def note(self, *call):
        self.calls.append(call)

    def write(self, data):
        self.note("write", bytes(data))

    def writelines(self, data):
        self.note("writelines", list(data))
        return "what it returns"

    def write_eof(self):
        self.note("write_eof")
        return "half closed"

    def can_write_eof(self):
        return "can"

    def close(self):
        self.note("close")
        self.closing = True
        return "closed"

    def abort(self):
        self.note("abort")
        self.closing = True

    def is_closing(self):
        return self.closing

    def pause_reading(self):
        self.note("pause_reading")

    def resume_reading(self):
        self.note("resume_reading")

    def __repr__(self):
        return "<FakeTransport>"


def finish(loop, coroutine):
    """Run it to its end; the result, or the exception in words."""
    try:
        return loop.run_until_complete(coroutine)
    except BaseException as error:
        return support.why(error)


def attempt(function, *args, **kwargs):
    """The result, or the exception in words."""
    try:
        return function(*args, **kwargs)
    except BaseException as error:
        return support.why(error)


def connected(side, loop, cb=None, transport=None):
    """A reader, its protocol and a transport, connection made."""
    reader = side.module.StreamReader(loop=loop)
    protocol = side.module.StreamReaderProtocol(reader, cb, loop=loop)
    if transport is None:
        transport = FakeTransport()
    protocol.connection_made(transport)
    return reader, protocol, transport


def writer_of(side, loop, **kwargs):
    """A writer over a FakeTransport, with what it is made of."""
    reader, protocol, transport = connected(side, loop, **kwargs)
    writer = side.module.StreamWriter(transport, protocol, reader, loop)
    return writer, reader, protocol, transport
