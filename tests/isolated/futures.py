"""Futures: results, exceptions, callbacks, cancellation, forgetting."""

import asyncio
import contextvars

from measure import check, finish, namespace, on_a_loop, watch

value = watch(type("Value", (), {})())
Future = namespace().Future


def callback(future):
    future.done()


def new():
    return asyncio.get_running_loop().create_future()


async def results():
    for _ in range(20):
        future = new()
        future.set_result(value)
        assert future.result() is value
        assert await future is value


async def exceptions():
    for _ in range(20):
        future = new()
        future.set_exception(KeyError(value))
        try:
            await future
        except KeyError as error:
            assert error.args[0] is value


async def never_retrieved():
    for _ in range(10):
        new().set_exception(KeyError(value))
        new().set_exception(KeyError)


async def awaited():
    loop = asyncio.get_running_loop()
    for _ in range(10):
        future = new()
        loop.call_soon(future.set_result, value)
        assert await future is value


async def callbacks():
    for count in range(5):
        future = new()
        for _ in range(count):
            future.add_done_callback(callback)
            future.add_done_callback(print,
                                     context=contextvars.copy_context())
        future.remove_done_callback(print)
        repr(future), future._callbacks
        future.set_result(value)
        await asyncio.sleep(0)


async def cancelled():
    for _ in range(10):
        future = new()
        future.add_done_callback(callback)
        future.cancel(value)
        try:
            await future
        except asyncio.CancelledError as error:
            assert error.args[0] is value
        try:
            future.result()
        except asyncio.CancelledError:
            pass


async def refused():
    """Each refusal leaves the future as it was."""
    future = new()
    for action in (future.result, future.exception,
                   lambda: future.set_exception(1),
                   lambda: future.set_exception(value)):
        try:
            action()
        except (asyncio.InvalidStateError, TypeError):
            pass
    future.set_result(value)
    for action in (lambda: future.set_result(value),
                   lambda: future.set_exception(KeyError(value))):
        try:
            action()
        except asyncio.InvalidStateError:
            pass


async def cycles():
    future = new()
    future.itself = future
    future.add_done_callback(lambda _: future)
    other = new()
    other.set_result([other])
    third = new()
    third.set_exception(KeyError(third))
    third.exception()


async def iterators():
    for _ in range(10):
        future = new()
        iterator = iter(future)
        next(iterator)
        iterator.close()
        iterator = future.__await__()
        try:
            iterator.throw(KeyError(value))
        except KeyError:
            pass


class Mine(Future):
    def add_done_callback(self, *args, **kwargs):
        self.note = value
        return super().add_done_callback(*args, **kwargs)


async def subclassed():
    future = Mine(loop=asyncio.get_running_loop())
    asyncio.get_running_loop().call_soon(future.set_result, value)
    assert await future is value


async def wrapped():
    import concurrent.futures
    source = concurrent.futures.Future()
    target = asyncio.wrap_future(source)
    source.set_result(value)
    assert await target is value


async def again():
    """__init__ called again on a future; 3.15 refuses it."""
    future = new()
    future.set_result(value)
    try:
        future.__init__(loop=asyncio.get_running_loop())
    except RuntimeError:
        return
    future.add_done_callback(callback)
    future.cancel()
    await asyncio.sleep(0)


for function in (results, exceptions, never_retrieved, awaited, callbacks,
                 cancelled, refused, cycles, iterators, subclassed, wrapped,
                 again):
    check(on_a_loop(function), 60)
finish()
