"""A signal strikes a busy loop thousands of times; each one is noticed.

The loop never sleeps here, and its own work is done in C: nothing but the
loop itself sees to it that the interpreter looks at its signals.  After
each interrupt the task has either failed with it or can go on.

asyncio is not measured: its loop is Python code in which an interrupt may
strike anywhere, and then a task may be left without its wake-up.
"""

import asyncio
import faulthandler
import signal

from measure import MEASURE_ASYNCIO, check, finish, new_loop

ROUNDS = 2000


async def busy():
    while True:
        await asyncio.sleep(0)


def interrupt(loop, number):
    task = loop.create_task(busy())
    loop.call_soon(signal.setitimer, signal.ITIMER_REAL,
                   0.0003 + number % 50 * 1e-6)
    try:
        loop.run_until_complete(task)
    except KeyboardInterrupt:
        pass
    if task.done():
        assert isinstance(task.exception(), KeyboardInterrupt)
        return
    task.cancel()
    try:
        loop.run_until_complete(task)
    except asyncio.CancelledError:
        pass
    assert task.cancelled()


def main():
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    loop = new_loop()
    for number in range(ROUNDS):
        faulthandler.dump_traceback_later(30, exit=True)
        interrupt(loop, number)
    check(lambda: interrupt(loop, 0), 10)
    faulthandler.cancel_dump_traceback_later()
    loop.close()


if not MEASURE_ASYNCIO:
    main()
finish()
