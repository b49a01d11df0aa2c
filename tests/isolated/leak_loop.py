"""Loops, handles, timers, readers and failing callbacks leave nothing."""

import asyncio
import contextvars
import os
import threading

import fastasync

variable = contextvars.ContextVar("variable")


def fail(*arguments):
    raise ZeroDivisionError(arguments)


def handles(loop):
    context = contextvars.copy_context()
    for number in range(20):
        loop.call_soon(variable.set, object(), context=context)
        loop.call_soon(variable.set, number).cancel()
        loop.call_later(0.0001 * number, variable.set, [number])
        loop.call_later(3600 + number, fail, [number]).cancel()
    loop.call_soon(fail, object())
    loop.call_later(1000, fail, object())  # closed over


def descriptors(loop):
    ours, theirs = os.pipe()
    loop.add_reader(ours, os.read, ours, 1)
    loop.add_reader(ours, lambda: os.read(ours, 1))
    loop.add_writer(theirs, lambda: loop.remove_writer(theirs))
    os.write(theirs, b"x")
    loop.call_later(0.003, loop.remove_reader, ours)
    loop.call_later(0.003, os.close, ours)
    loop.call_later(0.003, os.close, theirs)


def wrong_calls(loop):
    for call in (
        lambda: loop.call_soon(),
        lambda: loop.call_later("soon", print),
        lambda: loop.call_at(None, print),
        lambda: loop.add_reader(-1, print),
        lambda: loop.add_reader(object(), print),
        lambda: loop.run_until_complete(None),
        lambda: loop.set_task_factory(1),
        lambda: loop.create_task(1),
    ):
        try:
            call()
        except (TypeError, ValueError, AssertionError, AttributeError):
            pass


def scenario():
    for debug in (False, True):
        loop = fastasync.new_event_loop()
        loop.set_debug(debug)
        loop.slow_callback_duration = 1000
        loop.set_exception_handler(lambda loop, context: None)
        handles(loop)
        descriptors(loop)
        wrong_calls(loop)
        thread = threading.Thread(
            target=loop.call_soon_threadsafe, args=(variable.set, 1)
        )
        thread.start()
        loop.run_until_complete(asyncio.sleep(0.004))
        thread.join()
        loop.run_until_complete(loop.run_in_executor(None, int))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
