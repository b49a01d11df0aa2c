"""Runs inside of runs: levels that end well, and levels that are left."""

import asyncio
import contextlib
import contextvars

from measure import MEASURE_ASYNCIO, check, finish, new_loop

if MEASURE_ASYNCIO:  # has nothing of the kind
    finish()
    raise SystemExit

import fastasync  # noqa: E402

loop = new_loop()
loop.allow_nested = True
context = contextvars.copy_context()
var = contextvars.ContextVar("var")


async def deep(n):
    await asyncio.sleep(0)
    if n:
        loop.run_until_complete(deep(n - 1))
    var.set(n)


async def fail(n, kind):
    if n:
        loop.run_until_complete(fail(n - 1, kind))
    raise kind


async def in_context():
    async def inner():
        var.set(object())

    for _ in range(3):
        task = loop.create_task(inner(), context=context)
        loop.run_until_complete(task)


async def in_callbacks():
    futures = [loop.create_future() for _ in range(5)]

    def callback(i):
        futures[i].set_result(None)
        loop.run_until_complete(asyncio.gather(*futures))

    for i in range(5):
        loop.call_soon(callback, i)
    await asyncio.gather(*futures)
    await asyncio.sleep(0)


async def stopped():
    loop.call_soon(loop.stop)
    loop.run_forever()
    with contextlib.suppress(RuntimeError):
        loop.call_soon(loop.stop)
        loop.run_until_complete(loop.create_future())


async def too_deep():
    coro = too_deep()
    try:
        loop.run_until_complete(coro)
    except RecursionError:
        coro.close()


async def runs():
    await asyncio.sleep(0)
    assert fastasync.run(deep(2), nested=True) is None
    fastasync.allow_nested()
    asyncio.run(deep(2), debug=False)
    with asyncio.Runner() as runner:
        runner.run(deep(1))
    fastasync.allow_nested(False)


def run(coro):
    with contextlib.suppress(KeyboardInterrupt, ZeroDivisionError):
        loop.run_until_complete(coro)


def inside_another():
    outer = asyncio.SelectorEventLoop()

    async def main():
        loop.run_until_complete(deep(2))
        with contextlib.suppress(ZeroDivisionError):
            loop.run_until_complete(fail(2, ZeroDivisionError))
        fastasync.run(asyncio.sleep(0), nested=True)

    outer.run_until_complete(main())
    outer.close()


def closed_after():
    other = new_loop()
    other.allow_nested = True

    async def main():
        return other.run_until_complete(asyncio.sleep(0))

    other.run_until_complete(main())
    other.close()


for action, repeats in (
    (lambda: run(deep(5)), 100),
    (lambda: run(fail(5, ZeroDivisionError)), 100),
    (lambda: run(fail(5, KeyboardInterrupt)), 100),
    (lambda: context.run(run, deep(2)), 100),
    (lambda: loop.run_until_complete(
        loop.create_task(in_context(), context=context)), 100),
    (lambda: run(in_callbacks()), 100),
    (lambda: run(stopped()), 100),
    (lambda: run(too_deep()), 20),
    (lambda: run(runs()), 50),
    (inside_another, 50),
    (closed_after, 100),
):
    check(action, repeats)
loop.close()
finish()
