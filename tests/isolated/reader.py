"""StreamReader: feeding, every kind of read, errors, the buffer shown."""

import asyncio

from measure import check, finish, namespace, on_a_loop, watch

Reader = namespace().StreamReader
chunk = watch(b"some bytes\nand more of them\n" * 3)
large = watch(b"x" * 100_000)
error = watch(ValueError("broken"))


class Transport:
    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


transport = watch(Transport())


async def present():
    reader = Reader()
    reader.set_transport(transport)
    for _ in range(10):
        reader.feed_data(chunk)
        await reader.readline()
        await reader.readuntil(b"them\n")
        await reader.readexactly(5)
        await reader.read(1000)
        reader.feed_data(chunk)
        await reader.read(1000)
        reader.feed_data(bytearray(chunk))
        reader.feed_data(memoryview(chunk))
        await reader.read(1000)
        reader.feed_data(large)
        reader.feed_data(large)
        await reader.readexactly(150_000)
        await reader.read(1 << 20)


async def waited():
    loop = asyncio.get_running_loop()
    reader = Reader()
    for _ in range(5):
        for name, args in (("readline", ()), ("readexactly", (20,)),
                           ("readuntil", (b"more",)), ("read", (3,))):
            loop.call_soon(reader.feed_data, chunk)
            await getattr(reader, name)(*args)
            reader._buffer.clear()
    loop.call_soon(reader.feed_data, chunk)
    loop.call_soon(reader.feed_eof)
    assert await reader.read() == chunk
    reader = Reader()
    reader.feed_data(chunk)
    reader.feed_eof()
    assert len([line async for line in reader]) == 6


async def failing():
    for _ in range(5):
        reader = Reader(limit=4)
        reader.feed_data(chunk)
        for name, args in (("readuntil", ()), ("readline", ()),
                           ("readexactly", (-1,)), ("readuntil", (b"",)),
                           ("read", ("x",)), ("readuntil", (5,))):
            try:
                await getattr(reader, name)(*args)
            except (ValueError, TypeError, asyncio.LimitOverrunError):
                pass
        reader.feed_eof()
        for call in (reader.readexactly(1000), reader.readuntil(b"zz")):
            try:
                await call
            except asyncio.IncompleteReadError:
                pass
        try:
            reader.feed_data(b"x")
        except AssertionError:
            pass
        reader.set_exception(error)
        try:
            await reader.read(3)
        except ValueError:
            error.__traceback__ = error.__context__ = None


async def cancelled():
    for _ in range(5):
        reader = Reader()
        task = asyncio.ensure_future(reader.readline())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        coro = reader.read(5)
        coro.send(None)
        coro.close()
        task = asyncio.ensure_future(reader.read())
        await asyncio.sleep(0)
        reader.feed_data(chunk)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])


async def shown():
    reader = Reader()
    reader.feed_data(chunk)
    repr(reader), len(reader._buffer)
    held = reader._buffer
    reader.feed_data(chunk)
    await reader.readline()
    held.clear()
    reader._buffer = bytearray(chunk)
    await reader.readline()
    del held
    reader.feed_data(chunk)
    await reader.read(10_000)
    reader.__getattribute__("_limit"), reader._waiter, reader.exception()
    reader.__init__(5)
    reader.own = reader
    reader.feed_data(large)


class Sub(Reader):
    async def _wait_for_data(self, name):
        await super()._wait_for_data(name)


async def subclassed():
    loop = asyncio.get_running_loop()
    reader = Sub(limit=50)
    reader.set_transport(transport)
    for _ in range(3):
        loop.call_soon(reader.feed_data, chunk)
        await reader.readline()
        await reader.readexactly(3)
        await reader.read(100)
    loop.call_soon(reader.feed_eof)
    await reader.read()
    assert await reader.readline() == b""


for scenario in (present, waited, failing, cancelled, shown, subclassed):
    check(on_a_loop(scenario), 20)
finish()
