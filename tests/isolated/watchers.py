"""Descriptors that are watched, replaced, closed and used again."""

import os
import socket

from measure import check, finish, new_loop, watch

argument = watch(type("Argument", (), {})())
loop = new_loop()


def callback(*args):
    pass


watch(callback)


def turn():
    loop.call_soon(loop.stop)
    loop.run_forever()


def added_and_removed():
    left, right = socket.socketpair()
    with left, right:
        for _ in range(20):
            loop.add_reader(left, callback, argument)
            loop.add_writer(left, callback, argument)
            loop.remove_reader(left)
            loop.remove_writer(left)


def replaced():
    left, right = socket.socketpair()
    with left, right:
        for _ in range(20):
            loop.add_reader(left, callback, argument)
            loop.add_writer(left, callback, argument, argument)
        loop.remove_reader(left)
        loop.remove_writer(left)


def woken():
    left, right = socket.socketpair()
    with left, right:
        loop.add_reader(left, callback, argument)
        loop.add_writer(left, callback, argument)
        right.send(b"x")
        turn()
        turn()
        loop.remove_reader(left)
        loop.remove_writer(left)


def failing():
    left, right = socket.socketpair()

    def bad(*args):
        raise ValueError(argument)

    with left, right:
        loop.add_writer(left, bad, argument)
        turn()
        loop.remove_writer(left)


def removed_while_ready():
    pairs = [socket.socketpair() for _ in range(4)]

    def remove_all(*args):
        for left, _ in pairs:
            loop.remove_reader(left)

    for left, right in pairs:
        loop.add_reader(left, remove_all, argument)
        right.send(b"x")
    turn()
    turn()
    for left, right in pairs:
        left.close()
        right.close()


def closed_without_removal():
    left, right = socket.socketpair()
    loop.add_reader(left, callback, argument)
    number = left.fileno()
    left.close()
    right.close()
    turn()
    loop.remove_reader(number)


def refused():
    for thing in (-1, None, "text", argument, 10 ** 30):
        for method in (loop.add_reader, loop.add_writer):
            try:
                method(thing, callback, argument)
            except (ValueError, TypeError, OverflowError):
                pass
    with open(__file__, "rb") as file:
        try:
            loop.add_reader(file, callback, argument)
        except PermissionError:
            pass


def left_at_close():
    other = new_loop()
    read, write = os.pipe()
    other.add_reader(read, callback, argument)
    other.add_writer(write, callback, argument)
    other.close()
    os.close(read)
    os.close(write)


for action in (added_and_removed, replaced, woken, failing,
               removed_while_ready, closed_without_removal, refused,
               left_at_close):
    check(action, 60)
loop.close()
finish()
