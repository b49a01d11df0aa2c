"""Pipes: written, read, full, broken, refused, forgotten; failing protocols."""

import asyncio
import contextlib
import os
import tempfile

from measure import check, finish, on_a_loop, watch

DATA = watch(b"x" * 3000)


class Reader(asyncio.Protocol):
    def __init__(self):
        self.count = 0
        self.lost = False

    def data_received(self, data):
        self.count += len(data)

    def connection_lost(self, error):
        self.lost = True


class Failing(asyncio.Protocol):
    def fail(self, *_):
        raise LookupError

    data_received = eof_received = pause_writing = fail
    resume_writing = connection_lost = fail


def ends():
    r, w = os.pipe()
    return open(r, "rb", 0), open(w, "wb", 0)


async def connect(reader, writer, pair=None):
    loop = asyncio.get_running_loop()
    r, w = pair or ends()
    reading = await loop.connect_read_pipe(reader, r)
    return *reading, *await loop.connect_write_pipe(writer, w)


async def turns(count=6):
    for _ in range(count):
        await asyncio.sleep(0)


async def everything_arrives():
    _, received, writer, _ = await connect(Reader, Reader)
    writer.write(DATA)
    writer.writelines([DATA, b"z"])
    writer.writelines((DATA, b"z"))
    writer.write(bytearray(100_000))
    await asyncio.sleep(0)
    writer.write(memoryview(bytearray(300_000)))
    while received.count < 409_002:
        await asyncio.sleep(0)
    writer.close()
    while not received.lost:
        await asyncio.sleep(0)
    writer.write(b"late")


async def refused():
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryFile() as file:
        for maker in loop.connect_read_pipe, loop.connect_write_pipe:
            with contextlib.suppress(ValueError):
                await maker(Reader, file)
    reader, _, writer, _ = await connect(Reader, Reader)
    for wrong in "text", [b"x"]:
        with contextlib.suppress(AssertionError):
            writer.write(wrong)
        with contextlib.suppress(TypeError):
            writer.writelines([wrong])
    writer.abort()
    reader.close()
    await turns()


async def failing_protocols():
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    reader, _, writer, _ = await connect(Failing, Failing)
    writer.write(bytes(200_000))
    await turns()
    writer.close()
    await turns()
    reader.close()
    await turns()


async def broken():
    r, w = ends()
    writer, protocol = await asyncio.get_running_loop().connect_write_pipe(
        Reader, w)
    writer.write(bytes(300_000))
    r.close()
    while not protocol.lost:
        await asyncio.sleep(0)


async def streams():
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    _, _, transport, protocol = await connect(
        lambda: asyncio.StreamReaderProtocol(reader),
        asyncio.streams.FlowControlMixin)
    writer = asyncio.StreamWriter(transport, protocol, None, loop)

    async def send():
        for _ in range(10):
            writer.write(DATA * 17)
            await writer.drain()
        writer.close()

    task = loop.create_task(send())
    assert len(await reader.read()) == 510_000
    await task


async def cancelled():
    loop = asyncio.get_running_loop()
    r, w = ends()
    for maker, file in (loop.connect_read_pipe, r), (loop.connect_write_pipe,
                                                     w):
        task = loop.create_task(maker(Reader, file))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    await turns()


async def forgotten():
    """Not closed by anybody; the collector finds them with a warning."""
    reader, _, writer, _ = await connect(Reader, Reader)
    reader.pause_reading()
    reader._pipe.close()
    await turns()
    del reader, writer
    await turns()


for function, repeats in ((everything_arrives, 10), (refused, 20),
                          (failing_protocols, 20), (broken, 20), (streams, 6),
                          (cancelled, 20), (forgotten, 20)):
    check(on_a_loop(function), repeats)
finish()
