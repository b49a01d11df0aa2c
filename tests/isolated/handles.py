"""Handles: run, cancelled, kept, failing, from other threads."""

import asyncio
import contextvars
import threading

from measure import check, finish, new_loop, watch

argument = watch(type("Argument", (), {})())
loop = new_loop()
context = watch(contextvars.copy_context())


def callback(*args):
    pass


watch(callback)


def turn():
    loop.call_soon(loop.stop)
    loop.run_forever()


def run():
    for _ in range(20):
        loop.call_soon(callback)
        loop.call_soon(callback, argument)
        loop.call_soon(callback, argument, argument, argument, argument)
        loop.call_soon(callback, *[argument] * 20)
        loop.call_soon(callback, argument, context=context)
    turn()


def cancelled():
    handles = [loop.call_soon(callback, argument) for _ in range(20)]
    for handle in handles:
        handle.cancel()
        handle.cancel()
    turn()


def kept():
    handles = [loop.call_soon(callback, argument) for _ in range(20)]
    turn()
    for handle in handles:
        repr(handle), handle._args, handle._callback, handle._context
        handle.cancel()


def in_cycles():
    box = []
    box.append(loop.call_soon(callback, box))
    box.append(loop.call_later(0, callback, box))
    turn()
    asyncio.Handle(callback, (argument,), loop)._run()


def with_attributes():
    handle = loop.call_soon(callback)
    try:
        handle.note = argument
    except AttributeError:
        pass
    turn()


def failing():
    def bad(*args):
        raise ValueError(argument)

    for _ in range(5):
        loop.call_soon(bad, argument)
        loop.call_soon(None)
        loop.call_soon(callback, context=1)
    turn()


def leaving():
    def leave(*args):
        raise KeyboardInterrupt(argument)

    loop.call_soon(callback, argument)
    loop.call_soon(leave, argument)
    loop.call_soon(callback, argument)
    try:
        loop.run_forever()
    except KeyboardInterrupt:
        pass
    turn()


def from_threads():
    def send():
        for _ in range(20):
            loop.call_soon_threadsafe(callback, argument)

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    turn()
    for thread in threads:
        thread.join()
    turn()


def by_hand():
    handle = asyncio.Handle(callback, (argument,), loop)
    handle._run()
    handle.cancel()
    timer = type(loop.call_later(0, callback))(5, callback, (argument,),
                                               loop)
    timer._run()
    turn()


def in_debug():
    loop.set_debug(True)
    loop.slow_callback_duration = 0
    loop.call_soon(callback, argument)
    loop.call_later(0, callback, argument).cancel()
    turn()
    loop.set_debug(False)


for action, repeats in ((run, 50), (cancelled, 50), (kept, 50),
                        (in_cycles, 50), (with_attributes, 50),
                        (failing, 50), (leaving, 50), (from_threads, 20),
                        (by_hand, 50), (in_debug, 50)):
    check(action, repeats)
loop.close()
finish()
