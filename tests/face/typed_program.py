"""What a typed program does with the package; checked by mypy --strict.

Not run: `make lint` has mypy read it. Each use stands for a promise of the
stubs, and each reveal-by-assignment fails the check when a type is lost.
"""

import asyncio
import sys

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

if sys.version_info >= (3, 12):
    number = asyncio.run(answer(5), loop_factory=fastasync.new_event_loop)
if sys.version_info < (3, 14):
    asyncio.set_event_loop_policy(fastasync.EventLoopPolicy())
