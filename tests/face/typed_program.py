"""What a typed program does with the package; checked by mypy --strict.

Not run: `make lint` has mypy read it. Each use stands for a promise of the
stubs, and each reveal-by-assignment fails the check when a type is lost.
"""

import asyncio
import sys
from typing import Any

import fastasync
import fastasync as aio
from fastasync import (
    Loop,
    Runner,
    allow_nested,
    install,
    new_event_loop,
    run,
    uninstall,
)

import _fastasync


async def answer(value: int) -> int:
    loop: asyncio.AbstractEventLoop = aio.get_running_loop()
    future: asyncio.Future[int] = loop.create_future()
    loop.call_soon(future.set_result, value)
    task: aio.Task[int] = aio.create_task(answer(1))
    both: tuple[int, int] = await aio.gather(future, task)
    try:
        async with aio.timeout(1), aio.TaskGroup() as group:
            group.create_task(aio.sleep(0))
    except aio.exceptions.TimeoutError:
        pass
    return both[0]


async def wait_for_each_other(reader: aio.StreamReader) -> str:
    queue: aio.Queue[int] = aio.PriorityQueue(maxsize=3)
    await queue.put(1)
    number: int = await queue.get()
    event, lock = aio.Event(), aio.Lock()
    flag: bool = await event.wait()
    async with lock, aio.Semaphore(2), aio.BoundedSemaphore(number):
        changed: bool = await aio.Condition(lock).wait()
    place: int = await aio.Barrier(2).wait()
    async with aio.timeout_at(None) as scope:
        scope.reschedule(1.5)
    limit: aio.Timeout = scope
    task: asyncio.Task[int] = aio.create_task(answer(1))
    done: set[asyncio.Task[int]]
    done, _ = await aio.wait([task], return_when=aio.FIRST_COMPLETED)
    for first in aio.as_completed([task], timeout=2):
        number = await first
    number = await aio.wait_for(aio.shield(task), timeout=3)
    late = aio.run_coroutine_threadsafe(answer(2), aio.get_running_loop())
    number = await aio.wrap_future(late)
    future: asyncio.Future[int] = aio.ensure_future(task)
    text: str = await aio.to_thread(str, number)
    line: bytes = await reader.readline()
    return f"{flag}{changed}{place}{limit}{done}{future}{text}{line!r}"


async def talk(path: str) -> bytes:
    async def answer_lines(
        reader: aio.StreamReader, writer: aio.StreamWriter
    ) -> None:
        writer.writelines([await reader.readuntil(b"\n")])
        await writer.drain()

    server: asyncio.Server = await aio.start_unix_server(answer_lines, path)
    reader, writer = await aio.open_unix_connection(path)
    writer.close()
    await writer.wait_closed()
    server.close()
    return await reader.readexactly(1)


def notebook(ipython: object) -> None:
    fastasync.load_ipython_extension(ipython)
    fastasync.unload_ipython_extension(ipython)


class Echo(aio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, aio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def serve(loop: Loop) -> None:
    server: asyncio.Server = await loop.create_server(Echo, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    transport, protocol = await loop.create_connection(Echo, "127.0.0.1", port)
    echo: Echo = protocol
    transport.write(b"x")
    echo.transport.close()
    loop.add_signal_handler(2, server.close)
    handle: asyncio.TimerHandle = loop.call_later(1.5, print, "late")
    handle.cancel()


number: int = run(answer(2), debug=True)
number = fastasync.run(answer(2), loop_factory=new_event_loop)
number = fastasync.run(answer(2), nested=True)
allow_nested()
fastasync.allow_nested(False)
with Runner(loop_factory=Loop) as runner:
    number = runner.run(answer(3))
loop: Loop = Loop()
loop = new_event_loop()
loop.allow_nested = True
number = loop.run_until_complete(answer(4))
install()
uninstall()
version: str = fastasync.__version__

# What the extension exports are asyncio's classes and functions, to types too.
lock: asyncio.Lock = _fastasync.Lock()
items: asyncio.Queue[str] = _fastasync.LifoQueue(2)
group: asyncio.TaskGroup = _fastasync.TaskGroup()
limit: asyncio.Timeout = _fastasync.Timeout(None)
future: asyncio.Future[int] = _fastasync.Future(loop=loop)
task: asyncio.Task[int] = _fastasync.Task(answer(6), loop=loop)
number = loop.run_until_complete(_fastasync.wait_for(task, 1))
tasks: list[asyncio.Task[Any]] = _fastasync._live_tasks()

if sys.version_info >= (3, 12):
    number = asyncio.run(answer(5), loop_factory=fastasync.new_event_loop)
if sys.version_info < (3, 14):
    asyncio.set_event_loop_policy(fastasync.EventLoopPolicy())
