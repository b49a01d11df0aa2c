"""An anyio program on fastasync: a task group, a stream, a cancel scope.

    python anyio_program.py

The same `backend_options` go to starlette's TestClient and to anyio's pytest
plugin, whose fixture `anyio_backend` returns
("asyncio", {"loop_factory": fastasync.new_event_loop}).
"""

import asyncio

import anyio
from anyio.abc import ObjectSendStream

import fastasync


async def produce(stream: ObjectSendStream[int]) -> None:
    async with stream:
        for number in range(5):
            await stream.send(number)


async def main() -> None:
    send, receive = anyio.create_memory_object_stream[int](2)
    total = 0
    async with anyio.create_task_group() as group, receive:
        group.start_soon(produce, send)
        async for number in receive:
            total += number
    with anyio.move_on_after(0.01) as scope:
        await anyio.sleep(60)
    cls = type(asyncio.get_running_loop())
    print(f"{total} on {cls.__module__}.{cls.__name__},",
          "in time" if scope.cancelled_caught else "too late")


if __name__ == "__main__":
    anyio.run(
        main, backend_options={"loop_factory": fastasync.new_event_loop})
