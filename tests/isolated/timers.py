"""Timers: due, cancelled in any order, swept, left behind at close."""

import random

from measure import check, finish, new_loop, watch

argument = watch(type("Argument", (), {})())
loop = new_loop()
rng = random.Random(5)


def callback(*args):
    pass


watch(callback)


def turn():
    loop.call_soon(loop.stop)
    loop.run_forever()


def due():
    base = loop.time() - 1000
    for _ in range(100):
        loop.call_at(base + rng.random(), callback, argument)
    turn()


def cancelled():
    handles = [loop.call_later(1000 + rng.random(), callback, argument)
               for _ in range(200)]
    rng.shuffle(handles)
    for handle in handles:
        handle.cancel()
    turn()


def cancelled_one_by_one():
    """A timer set and cancelled in each turn, as timeouts do."""
    for _ in range(20):
        handle = loop.call_later(30, callback, argument)
        turn()
        handle.cancel()
    turn()


def cancelled_after_they_ran():
    handles = [loop.call_later(-1, callback, argument) for _ in range(20)]
    turn()
    for handle in handles:
        handle.cancel()


def cancelled_by_each_other():
    handles = []

    def cancel_all(*args):
        for handle in handles:
            handle.cancel()

    base = loop.time() - 100
    handles += [loop.call_at(base + i, cancel_all, argument)
                for i in range(20)]
    turn()
    turn()


def in_cycles():
    box = []
    box.append(loop.call_later(1000, callback, box))
    box[0].cancel()
    box.append(loop.call_later(-1, callback, box))
    turn()


def left_at_close():
    other = new_loop()
    for _ in range(50):
        other.call_later(rng.random() * 1000, callback, argument)
    other.close()


def infinite():
    for delay in (float("inf"), 1e300, 10 ** 30):
        loop.call_later(delay, callback, argument).cancel()
    turn()


for action, repeats in ((due, 40), (cancelled, 40),
                        (cancelled_one_by_one, 40),
                        (cancelled_after_they_ran, 40),
                        (cancelled_by_each_other, 40), (in_cycles, 100),
                        (left_at_close, 40), (infinite, 60)):
    check(action, repeats)
loop.close()
finish()
