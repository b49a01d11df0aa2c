"""Exceptions on every way out of the loop keep nothing alive."""

import asyncio
import gc
import weakref

from measure import MEASURE_ASYNCIO, check, finish, new_loop, watch

payload = watch(type("Payload", (), {})())
loop = new_loop()


class Local:
    """Lives in a frame of the failing code."""


def failing_task():
    seen = []

    async def fail():
        local = Local()
        seen.append(weakref.ref(local))
        await asyncio.sleep(0)
        raise ValueError(payload)

    try:
        loop.run_until_complete(fail())
    except ValueError:
        pass
    gc.collect()
    assert seen[0]() is None


def leaving_task():
    async def leave():
        await asyncio.sleep(0)
        raise KeyboardInterrupt(payload)

    try:
        loop.run_until_complete(leave())
    except KeyboardInterrupt:
        pass


def stopped_run():
    async def hang():
        await loop.create_future()

    task = loop.create_task(hang())
    loop.call_soon(loop.stop)
    try:
        loop.run_until_complete(task)
    except RuntimeError:
        pass
    task.cancel()
    try:
        loop.run_until_complete(task)
    except asyncio.CancelledError:
        pass


def failing_handler():
    def handler(loop, context):
        raise KeyError(payload)

    def bad():
        raise ValueError(payload)

    loop.set_exception_handler(handler)
    loop.call_soon(bad)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.set_exception_handler(None)


def reported_contexts():
    kept = []
    loop.set_exception_handler(lambda _, context: kept.append(context))

    def bad():
        raise ValueError(payload)

    loop.call_soon(bad)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.set_exception_handler(None)
    assert kept[0]["exception"].args[0] is payload


def refused_runs():
    for thing in (None, 1, payload):
        try:
            loop.run_until_complete(thing)
        except TypeError:
            pass

    async def nested():
        coro = asyncio.sleep(0)
        for call in (loop.run_forever,
                     lambda: loop.run_until_complete(coro), loop.close):
            try:
                call()
            except RuntimeError:
                pass
        coro.close()

    import sys
    if sys.version_info[:3] != (3, 13, 0) or not MEASURE_ASYNCIO:
        # asyncio 3.13.0 loses its running loop in a refused nested run
        loop.run_until_complete(nested())


def refused_arguments():
    for call in (lambda: loop.call_later(None, print),
                 lambda: loop.call_later("x", print),
                 lambda: loop.create_task(payload),
                 lambda: loop.set_task_factory(payload),
                 lambda: loop.set_exception_handler(payload),
                 lambda: loop.set_default_executor(payload),
                 lambda: loop.add_signal_handler(0, print),
                 lambda: loop.remove_signal_handler("x")):
        try:
            call()
        except (TypeError, ValueError):
            pass


def groups():
    async def fail():
        raise ValueError(payload)

    async def main():
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(fail())
        except* ValueError:
            pass

    loop.run_until_complete(main())


def generators():
    async def numbers():
        try:
            yield payload
        finally:
            raise ValueError(payload)

    async def main():
        generator = numbers()
        await generator.__anext__()
        return generator

    loop.run_until_complete(main())
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))


def task_factories():
    def factory(loop, coro, **kwargs):
        raise KeyError(payload)

    loop.set_task_factory(factory)
    coro = asyncio.sleep(0)
    try:
        loop.create_task(coro)
    except KeyError:
        pass
    coro.close()
    loop.set_task_factory(None)


for action in (failing_task, leaving_task, stopped_run, failing_handler,
               reported_contexts, refused_runs, refused_arguments, groups,
               generators, task_factories):
    check(action, 60)
loop.close()
finish()
