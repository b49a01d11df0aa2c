"""Loops that are made, used, closed and forgotten."""

import asyncio

from measure import check, finish, new_loop


async def work():
    await asyncio.sleep(0)


def unused():
    new_loop().close()


def used():
    loop = new_loop()
    loop.run_until_complete(work())
    loop.run_until_complete(asyncio.sleep(1e-6))
    loop.close()


def closed_with_work():
    loop = new_loop()
    loop.call_soon(print, "never")
    loop.call_soon_threadsafe(print, "never")
    loop.call_later(1000, print, "never")
    loop.call_at(0, print, "never").cancel()
    future = loop.create_future()
    future.add_done_callback(print)
    loop.close()


def closed_with_a_task():
    loop = new_loop()
    task = loop.create_task(work())
    task._log_destroy_pending = False
    loop.stop()
    loop.run_forever()
    loop.close()


def closed_with_a_reader():
    import os
    read, write = os.pipe()
    loop = new_loop()
    loop.add_reader(read, print)
    loop.add_writer(write, print)
    loop.close()
    os.close(read)
    os.close(write)


def forgotten():
    """Not closed: collected with a ResourceWarning, nothing stays open."""
    new_loop()


def in_a_cycle():
    loop = new_loop()
    loop.itself = loop
    loop.handle = loop.call_later(1000, loop.stop)
    loop.close()


def with_executor():
    loop = new_loop()
    loop.run_until_complete(loop.run_in_executor(None, len, "abc"))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def with_runner():
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(work())
        runner.run(work())


for action, repeats in ((unused, 100), (used, 100), (closed_with_work, 100),
                        (closed_with_a_task, 100), (in_a_cycle, 50),
                        (closed_with_a_reader, 100), (forgotten, 50),
                        (with_executor, 20), (with_runner, 50)):
    check(action, repeats)
finish()
