"""What the tests of the pipe transports share: files, transports on them."""

import contextlib
import os
import re
import socket
import tempfile
import tty

import support
from netsupport import settle


def pipe_files():
    r, w = os.pipe()
    return open(r, "rb", 0), open(w, "wb", 0)


def buffered_files():
    r, w = os.pipe()
    return open(r, "rb"), open(w, "wb")


def fifo_files():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "fifo")
        os.mkfifo(path)
        r = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        return open(r, "rb", 0), open(path, "wb", 0)


def socket_files():
    return socket.socketpair()


def pty_files():
    """The side of a program, which reads, and the terminal's, which writes."""
    master, slave = os.openpty()
    tty.setraw(master)
    return open(slave, "rb", 0), open(master, "wb", 0)


KINDS = {
    "pipe": pipe_files,
    "buffered": buffered_files,
    "fifo": fifo_files,
    "socket": socket_files,
    "pty": pty_files,
}


@contextlib.contextmanager
def files(kind="pipe"):
    """(reader, writer), both closed at the end."""
    pair = KINDS[kind]()
    try:
        yield pair
    finally:
        for file in pair:
            with contextlib.suppress(OSError):
                file.close()


def reading(loop, file, protocol):
    return loop.run_until_complete(
        loop.connect_read_pipe(lambda: protocol, file))[0]


def writing(loop, file, protocol):
    return loop.run_until_complete(
        loop.connect_write_pipe(lambda: protocol, file))[0]


def drain_file(file, count=None):
    """What can be read from a file without waiting, at most *count*."""
    os.set_blocking(file.fileno(), False)
    data = bytearray()
    while count is None or len(data) < count:
        try:
            piece = os.read(file.fileno(), 65536 if count is None
                            else min(65536, count - len(data)))
        except BlockingIOError:
            break
        if not piece:
            break
        data += piece
    return bytes(data)


def fill(file):
    """Fill the pipe behind a file; the number of bytes it took."""
    os.set_blocking(file.fileno(), False)
    total = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            total += os.write(file.fileno(), b"f" * 65536)
    with contextlib.suppress(BlockingIOError):
        while True:
            total += os.write(file.fileno(), b"f")
    return total


def alike(text):
    """Texts of both sides: without what differs in the names of types."""
    return support.plain(str(text)).replace("_Unix", "")


def seen(reports, nameless=False):
    """What the exception handler was told; *nameless*: but for the callback,
    which asyncio has forgotten when it stopped watching the file."""
    def text(message):
        return re.sub(r"(?<=callback ).*" if nameless else r"\A\Z", "",
                      alike(message))

    return [(text(message), error and alike(error), keys)
            for message, error, keys in reports.seen]


def end(loop, *transports):
    for transport in transports:
        getattr(transport, "abort", transport.close)()
    settle(loop)
