"""Loops in many threads, made, run, woken and closed at the same time."""

import asyncio
import threading

from measure import check, finish, new_loop


async def work():
    await asyncio.sleep(0)
    await asyncio.gather(*(asyncio.sleep(1e-5) for _ in range(3)))
    await asyncio.get_running_loop().run_in_executor(None, len, "abc")


def live():
    loop = new_loop()
    loop.run_until_complete(work())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def together(targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def many_loops():
    together([live] * 4)


def one_loop_woken_by_many():
    loop = new_loop()
    ran = []

    def send():
        for number in range(50):
            loop.call_soon_threadsafe(ran.append, number)

    runner = threading.Thread(target=loop.run_forever)
    runner.start()
    together([send] * 4)
    loop.call_soon_threadsafe(loop.stop)
    runner.join()
    loop.close()
    assert len(ran) == 200


def coroutines_from_outside():
    loop = new_loop()
    runner = threading.Thread(target=loop.run_forever)
    runner.start()
    futures = [asyncio.run_coroutine_threadsafe(asyncio.sleep(1e-5, n), loop)
               for n in range(20)]
    assert [f.result(10) for f in futures] == list(range(20))
    cancelled = asyncio.run_coroutine_threadsafe(asyncio.sleep(100), loop)
    cancelled.cancel()
    loop.call_soon_threadsafe(loop.stop)
    runner.join()
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def stopped_and_closed_by_another_thread():
    loop = new_loop()
    started = threading.Event()
    loop.call_soon(started.set)
    runner = threading.Thread(target=loop.run_forever)
    runner.start()
    started.wait()
    loop.call_soon_threadsafe(loop.stop)
    runner.join()
    loop.close()


for action, repeats in ((many_loops, 5), (one_loop_woken_by_many, 10),
                        (coroutines_from_outside, 10),
                        (stopped_and_closed_by_another_thread, 20)):
    check(action, repeats)
finish()
