"""Descriptors: add_reader, add_writer and their removal."""

import asyncio
import errno
import gc
import os
import socket
import weakref

import pytest

from support import compare, journal, run_for, spin, why


class Pair:
    """Two connected non-blocking sockets."""

    def __init__(self):
        self.left, self.right = socket.socketpair()
        self.left.setblocking(False)
        self.right.setblocking(False)

    def __enter__(self):
        return self.left, self.right

    def __exit__(self, *_):
        self.left.close()
        self.right.close()


def fill(sock):
    """Send until the socket's buffer is full."""
    sent = 0
    try:
        while True:
            sent += sock.send(b"x" * 65536)
    except BlockingIOError:
        return sent


# --- readiness ------------------------------------------------------------

def test_reader_on_a_socket_object(loop):
    with Pair() as (left, right):
        seen = []
        assert loop.add_reader(left, lambda *args: seen.append(
            (args, left.recv(10))), 1, 2) is None
        right.send(b"hello")
        spin(loop, 2)
        assert seen == [((1, 2), b"hello")]
        assert loop.remove_reader(left) is True


def test_reader_is_level_triggered(loop):
    with Pair() as (left, right):
        seen = []
        loop.add_reader(left.fileno(), lambda: seen.append(left.recv(1)))
        right.send(b"abc")
        spin(loop, 3)
        assert seen == [b"a", b"b", b"c"]
        spin(loop, 3)
        assert len(seen) == 3
        loop.remove_reader(left.fileno())


def test_reader_sees_the_end(loop):
    with Pair() as (left, right):
        seen = []
        loop.add_reader(left, lambda: seen.append(left.recv(1)))
        right.close()
        spin(loop)
        assert seen == [b""]
        loop.remove_reader(left)


def test_object_with_fileno_and_number_are_the_same(loop):
    class Wrapper:
        def __init__(self, sock):
            self.sock = sock

        def fileno(self):
            return self.sock.fileno()

    with Pair() as (left, right):
        seen = []
        loop.add_reader(Wrapper(left), seen.append, 1)
        assert loop.remove_reader(left.fileno()) is True
        loop.add_reader(left.fileno(), seen.append, 2)
        assert loop.remove_reader(Wrapper(left)) is True
        right.send(b"x")
        spin(loop, 2)
        assert seen == []


def test_remove_tells_whether_there_was_one(loop):
    with Pair() as (left, right):
        assert loop.remove_reader(left) is False
        assert loop.remove_writer(left) is False
        loop.add_reader(left, print)
        assert loop.remove_writer(left) is False
        loop.add_writer(left, print)
        assert loop.remove_reader(left) is True
        assert loop.remove_reader(left) is False
        assert loop.remove_writer(left) is True
        assert loop.remove_writer(left) is False


def test_replacing_a_reader(loop):
    with Pair() as (left, right):
        seen = []
        loop.add_reader(left, seen.append, "old")
        loop.add_reader(left, lambda: (seen.append("new"), left.recv(9)))
        right.send(b"x")
        spin(loop, 3)
        assert seen == ["new"]
        assert loop.remove_reader(left) is True
        assert loop.remove_reader(left) is False


def test_replacing_lets_the_old_callback_go(loop):
    class Thing:
        def method(self):
            pass

    with Pair() as (left, right):
        things = [Thing(), Thing(), Thing()]
        refs = [weakref.ref(thing) for thing in things]
        loop.add_reader(left, things[0].method)
        loop.add_reader(left, things[1].method)
        loop.add_writer(left, things[2].method)
        loop.remove_writer(left)
        del things[:]
        gc.collect()
        assert [ref() is None for ref in refs] == [True, False, True]
        loop.remove_reader(left)
        gc.collect()
        assert refs[1]() is None


def test_writer(loop):
    with Pair() as (left, right):
        seen = []
        loop.add_writer(left, seen.append, "writable")
        spin(loop, 2)
        assert seen == ["writable"] * 2
        loop.remove_writer(left)
        spin(loop, 2)
        assert len(seen) == 2


def test_writer_waits_until_there_is_room(loop):
    with Pair() as (left, right):
        seen = []
        fill(left)
        loop.add_writer(left, lambda: (seen.append("room"),
                                       loop.remove_writer(left)))
        spin(loop, 3)
        assert seen == []
        while True:
            try:
                right.recv(1 << 20)
            except BlockingIOError:
                break
        spin(loop, 2)
        assert seen == ["room"]


def test_both_directions(loop):
    with Pair() as (left, right):
        seen = []
        loop.add_reader(left, lambda: seen.append(left.recv(9)))
        loop.add_writer(left, seen.append, "writable")
        spin(loop)
        assert seen == ["writable"]
        right.send(b"x")
        spin(loop)
        assert seen == ["writable", b"x", "writable"]
        assert loop.remove_writer(left) is True
        right.send(b"y")
        spin(loop, 2)
        assert seen[3:] == [b"y"]
        loop.add_writer(left, seen.append, "again")
        assert loop.remove_reader(left) is True
        right.send(b"z")
        spin(loop)
        assert seen[4:] == ["again"]
        loop.remove_writer(left)


def test_error_wakes_both(loop):
    """A connection that is reset is readable and writable."""
    server = socket.create_server(("127.0.0.1", 0))
    with server, socket.create_connection(server.getsockname()) as client:
        peer, _ = server.accept()
        client.setblocking(False)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                        b"\1\0\0\0\0\0\0\0")
        peer.close()
        seen = []
        loop.add_reader(client, lambda: (seen.append("reader"),
                                         loop.remove_reader(client)))
        loop.add_writer(client, lambda: (seen.append("writer"),
                                         loop.remove_writer(client)))
        run_for(loop, 0.01)
        assert sorted(seen) == ["reader", "writer"]


@pytest.mark.parametrize("arguments", [(), (1,), (1, 2, 3, 4, 5, 6)])
def test_arguments(loop, arguments):
    with Pair() as (left, right):
        seen = []
        loop.add_writer(left, lambda *args: seen.append(args), *arguments)
        spin(loop)
        loop.remove_writer(left)
        assert seen == [arguments]


# --- kinds of descriptors -------------------------------------------------

def test_pipe(loop):
    read, write = os.pipe()
    os.set_blocking(read, False)
    seen = []
    loop.add_reader(read, lambda: seen.append(os.read(read, 100)))
    loop.add_writer(write, lambda: (os.write(write, b"through the pipe"),
                                    loop.remove_writer(write)))
    spin(loop, 3)
    os.close(write)
    spin(loop)
    assert seen == [b"through the pipe", b""]
    loop.remove_reader(read)
    os.close(read)


def test_writer_of_a_broken_pipe(loop):
    read, write = os.pipe()
    os.close(read)
    seen = []
    loop.add_writer(write, lambda: (seen.append("broken"),
                                    loop.remove_writer(write)))
    spin(loop, 2)
    os.close(write)
    assert seen == ["broken"]


def test_eventfd(loop):
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    seen = []
    loop.add_reader(fd, lambda: seen.append(os.eventfd_read(fd)))
    os.eventfd_write(fd, 3)
    os.eventfd_write(fd, 4)
    spin(loop, 2)
    loop.remove_reader(fd)
    os.close(fd)
    assert seen == [7]


def test_many_descriptors(loop):
    pairs = [socket.socketpair() for _ in range(100)]
    seen = []
    try:
        for number, (left, right) in enumerate(pairs):
            loop.add_reader(left, lambda s=left, n=number: (
                s.recv(10), seen.append(n)))
        for _, right in pairs[::2]:
            right.send(b"x")
        spin(loop, 2)
        assert sorted(seen) == list(range(0, 100, 2))
        for left, _ in pairs:
            assert loop.remove_reader(left) is True
    finally:
        for left, right in pairs:
            left.close()
            right.close()


def test_high_descriptor_numbers(loop):
    """The table of descriptors is not an array of a fixed size."""
    import resource
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    high = min(soft, 4096) - 5
    with Pair() as (left, right):
        os.dup2(left.fileno(), high)
        try:
            seen = []
            loop.add_reader(high, lambda: seen.append(os.read(high, 10)))
            right.send(b"high")
            spin(loop, 2)
            assert seen == [b"high"]
            assert loop.remove_reader(high) is True
        finally:
            os.close(high)


@pytest.mark.parametrize("direction", ["reader", "writer"])
def test_newly_watched_and_ready_is_told_in_the_next_turn(direction):
    """However busy the loop is, and long after it has begun to run."""

    def scenario(side, loop):
        told = []

        async def main():
            a, b = socket.socketpair()
            b.send(b"x")
            add = getattr(loop, f"add_{direction}")
            remove = getattr(loop, f"remove_{direction}")
            seen = []
            with a, b:
                for _ in range(50):
                    await asyncio.sleep(0)
                for _ in range(20):
                    add(a, told.append, 1)
                    await asyncio.sleep(0)
                    seen.append(len(told))  # it comes after us in this turn
                    await asyncio.sleep(0)
                    remove(a)
                    seen.append(len(told))
                    told.clear()
            return seen

        return loop.run_until_complete(main())

    assert compare(scenario) == [0, 1] * 20


def test_regular_file_is_refused():
    def scenario(side, loop):
        with open(__file__, "rb") as file:
            seen = []
            for call in (loop.add_reader, loop.add_writer):
                try:
                    call(file, print)
                except OSError as error:
                    seen.append((type(error).__name__, error.errno))
            seen.append(loop.remove_reader(file))
            return seen
    assert compare(scenario) == [("PermissionError", errno.EPERM)] * 2 + [
        False]


# --- callbacks that change the table --------------------------------------

def test_callback_removes_itself(loop):
    with Pair() as (left, right):
        seen = []
        loop.add_reader(left, lambda: seen.append(loop.remove_reader(left)))
        right.send(b"x")
        spin(loop, 3)
        assert seen == [True]


def test_callback_removes_the_other_in_the_same_turn(loop):
    """Both are ready; whoever is first takes the other out."""
    with Pair() as (a, b), Pair() as (c, d):
        seen = []
        loop.add_reader(a, lambda: (seen.append("a"), a.recv(1),
                                    loop.remove_reader(c)))
        loop.add_reader(c, lambda: (seen.append("c"), c.recv(1),
                                    loop.remove_reader(a)))
        b.send(b"x")
        d.send(b"x")
        spin(loop, 3)
        assert seen in (["a"], ["c"])
        loop.remove_reader(a)
        loop.remove_reader(c)


def test_reader_removes_the_writer_of_its_descriptor(loop):
    with Pair() as (left, right):
        seen = []
        loop.add_reader(left, lambda: (seen.append("reader"), left.recv(1),
                                       loop.remove_writer(left)))
        loop.add_writer(left, seen.append, "writer")
        right.send(b"x")
        spin(loop, 3)
        assert seen == ["reader"]
        loop.remove_reader(left)


def test_callback_replaces_itself(loop):
    with Pair() as (left, right):
        seen = []

        def first():
            seen.append(("first", left.recv(1)))
            loop.add_reader(left, second)

        def second():
            seen.append(("second", left.recv(1)))
            loop.add_reader(left, first)

        loop.add_reader(left, first)
        right.send(b"1234")
        spin(loop, 4)
        assert seen == [("first", b"1"), ("second", b"2"),
                        ("first", b"3"), ("second", b"4")]
        loop.remove_reader(left)


def test_replacing_in_the_turn_in_which_it_is_ready():
    """What becomes of an event that was already taken from the kernel."""
    def scenario(side, loop):
        with Pair() as (left, right):
            seen = []
            loop.add_reader(left, lambda: (seen.append("old"), left.recv(1)))
            right.send(b"xy")
            # The replacement happens after the poll of the same turn.
            loop.call_at(0, lambda: loop.add_reader(
                left, lambda: (seen.append("new"), left.recv(1))))
            spin(loop, 3)
            loop.remove_reader(left)
            return seen
    assert compare(scenario) == ["old", "new"]


def test_error_in_a_callback_keeps_it(loop):
    with Pair() as (left, right):
        def bad():
            left.recv(1)
            raise ValueError("bad reader")

        loop.add_reader(left, bad)
        with journal() as log:
            right.send(b"xy")
            spin(loop, 3)
        assert [str(error) for error in log.errors] == ["bad reader"] * 2
        assert loop.remove_reader(left) is True


def test_callback_closes_the_loop_later(side):
    """Descriptors stay open when the loop that watched them is closed."""
    with Pair() as (left, right):
        loop = side.new_loop()
        loop.add_reader(left, loop.stop)
        right.send(b"x")
        loop.run_forever()
        loop.close()
        assert left.recv(1) == b"x"
        right.send(b"y")
        assert left.recv(1) == b"y"


# --- descriptors that are closed and reused -------------------------------

def test_closed_without_removal_does_not_wake_the_loop(loop):
    left, right = socket.socketpair()
    seen = []
    loop.add_reader(left, seen.append, "left")
    right.send(b"x")
    number = left.fileno()
    left.close()
    spin(loop, 3)
    assert seen == []
    assert loop.remove_reader(number) is True
    right.close()


@pytest.mark.parametrize("direction", ["reader", "writer"])
def test_removed_by_a_socket_that_is_closed(loop, direction):
    """The object by which a file was given finds it, though it has no number."""
    add = getattr(loop, f"add_{direction}")
    remove = getattr(loop, f"remove_{direction}")
    left, right = socket.socketpair()
    add(left, print)
    left.close()
    assert remove(left) is True
    with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
        remove(left)
    right.close()
    with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
        remove(right)


def test_given_by_number_and_removed_by_a_closed_socket(loop):
    left, right = socket.socketpair()
    number = left.fileno()
    loop.add_reader(number, print)
    left.close()
    with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
        loop.remove_reader(left)
    assert loop.remove_reader(number) is True
    right.close()


def test_object_that_raises_once_closed(loop):
    """remove_reader() asks for a number; _remove_reader() finds the object."""

    class Connection:
        def __init__(self, sock):
            self.sock = sock

        def fileno(self):
            if self.sock.fileno() < 0:
                raise ValueError("closed")
            return self.sock.fileno()

    left, right = socket.socketpair()
    connection = Connection(left)
    loop.add_reader(connection, print)
    left.close()
    with pytest.raises(ValueError, match="Invalid file object: <.*Connection"):
        loop.remove_reader(connection)
    assert loop._remove_reader(connection) is True
    with pytest.raises(ValueError, match="Invalid file object: <.*Connection"):
        loop._remove_reader(connection)
    right.close()


def test_watched_object_lives_until_it_is_removed(loop):
    left, right = socket.socketpair()
    seen = []
    reference = weakref.ref(left)
    number = left.fileno()
    loop.add_reader(left, lambda: seen.append(os.read(number, 10)))
    loop.add_writer(left, print)
    loop.remove_writer(number)
    del left
    gc.collect()
    right.send(b"x")
    spin(loop, 2)
    assert seen == [b"x"]
    assert loop.remove_reader(reference()) is True
    gc.collect()
    assert reference() is None
    right.close()


def test_watched_object_goes_with_the_loop(new_loop):
    loop = new_loop()
    left, right = socket.socketpair()
    reference = weakref.ref(left)
    loop.add_reader(left, print)
    del left
    loop.close()
    gc.collect()
    assert reference() is None
    right.close()


def test_number_reused_after_removal(loop):
    seen = []
    for turn in range(20):
        left, right = socket.socketpair()
        with left, right:
            loop.add_reader(left, lambda s=left: seen.append(s.recv(10)))
            right.send(b"%d" % turn)
            spin(loop, 2)
            assert loop.remove_reader(left) is True
    assert seen == [b"%d" % turn for turn in range(20)]


def test_number_reused_without_removal(loop):
    """Closed, forgotten, and the same number is a new socket.

    The callback that is added for the new socket is the one that runs.
    """
    left, right = socket.socketpair()
    seen = []
    loop.add_reader(left, seen.append, "old")
    number = left.fileno()
    left.close()
    right.close()
    spin(loop)
    new_left, new_right = socket.socketpair()
    with new_left, new_right:
        if new_left.fileno() != number:
            os.dup2(new_left.fileno(), number)
            watched = number
        else:
            watched = new_left.fileno()
        try:
            loop.remove_reader(watched)
            loop.add_reader(watched, lambda: seen.append(
                os.read(watched, 10)))
            new_right.send(b"new")
            spin(loop, 2)
            assert seen == [b"new"]
            assert loop.remove_reader(watched) is True
        finally:
            if watched != new_left.fileno():
                os.close(watched)


def test_closed_by_a_callback_of_the_same_turn(loop):
    """A ready descriptor that somebody closes and removes does not run."""
    left, right = socket.socketpair()
    other, peer = socket.socketpair()
    with right, peer:
        seen = []

        def close(mine, victim):
            seen.append(mine)
            loop.remove_reader(victim)
            victim.close()

        loop.add_reader(left, close, "left", other)
        loop.add_reader(other, close, "other", left)
        right.send(b"x")
        peer.send(b"x")
        spin(loop)
        assert seen in (["left"], ["other"])
        survivor = left if seen == ["left"] else other
        loop.remove_reader(survivor)
        survivor.close()


def test_two_numbers_of_one_file(loop):
    """dup()ed descriptors are watched each for itself."""
    with Pair() as (left, right):
        twin = os.dup(left.fileno())
        seen = []
        loop.add_reader(left, seen.append, "left")
        loop.add_reader(twin, seen.append, "twin")
        right.send(b"x")
        spin(loop)
        assert sorted(seen) == ["left", "twin"]
        assert loop.remove_reader(twin) is True
        os.close(twin)
        spin(loop)
        assert sorted(seen) == ["left", "left", "twin"]
        loop.remove_reader(left)


# --- with transports ------------------------------------------------------

def test_descriptor_of_a_transport_is_refused():
    def scenario(side, loop):
        seen = []

        async def main():
            server = await loop.create_server(asyncio.Protocol,
                                              "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
            transport, _ = await loop.create_connection(asyncio.Protocol,
                                                        *address)
            sock = transport.get_extra_info("socket")
            for name in ("add_reader", "add_writer"):
                try:
                    getattr(loop, name)(sock.fileno(), print)
                except RuntimeError as error:
                    seen.append(why(error).split(" <")[0].split(
                        "descriptor ")[0])
            for name in ("remove_reader", "remove_writer"):
                try:
                    getattr(loop, name)(sock.fileno())
                except RuntimeError as error:
                    seen.append(why(error).split("descriptor ")[0])
            transport.close()
            server.close()
            await asyncio.sleep(0.01)

        loop.run_until_complete(main())
        return seen
    assert compare(scenario) == ["RuntimeError: File "] * 4


def test_handle_has_the_context_of_the_call(loop):
    import contextvars
    var = contextvars.ContextVar("var", default=None)
    with Pair() as (left, right):
        seen = []
        var.set("at add")
        loop.add_reader(left, lambda: (seen.append(var.get()),
                                       left.recv(1)))
        var.set("later")
        right.send(b"x")
        spin(loop)
        loop.remove_reader(left)
        assert seen == ["at add"]
