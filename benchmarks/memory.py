"""Memory rows: what one idle task and one idle connection add to the process.

Both are differences of the resident set, divided by the count: allocator overhead,
freelists and half-filled pages are part of the price, as they are in production.
A first batch is made and thrown away (tasks) or kept (connections) before the
first reading, so that one-time growth is not charged to the objects.
"""

import asyncio
import gc
import os
import resource
import socket
import time

from loops import LoopFactory
from procs import Server, loop_server

PAGE = os.sysconf("SC_PAGESIZE")
WAIT_SECONDS = 20.0


def resident_bytes(pid: int | str = "self") -> int:
    with open(f"/proc/{pid}/statm", "rb") as statm:
        return int(statm.read().split()[1]) * PAGE


async def _idle_tasks(count: int) -> float:
    loop = asyncio.get_running_loop()

    async def idle(gate: asyncio.Event) -> None:
        await gate.wait()

    async def fill(size: int) -> tuple[asyncio.Event, list[asyncio.Task[None]]]:
        gate = asyncio.Event()
        tasks = [loop.create_task(idle(gate)) for _ in range(size)]
        await asyncio.sleep(0)  # every task is now at its await
        return gate, tasks

    async def drain(gate: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
        gate.set()
        for task in tasks:
            await task

    await drain(*await fill(100))
    gc.collect()
    before = resident_bytes()
    gate, tasks = await fill(count)
    gc.collect()
    grown = resident_bytes() - before
    await drain(gate, tasks)
    return grown / count


def idle_task_bytes(factory: LoopFactory, quick: bool) -> dict[str, float]:
    """Resident bytes per task that waits on one asyncio.Event."""
    count = 20_000 if quick else 200_000
    with asyncio.Runner(loop_factory=factory) as runner:
        return {"value": runner.run(_idle_tasks(count)), "operations": count}


def _open_descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _connect(server: Server, count: int, kept: list[socket.socket]) -> None:
    """Open `count` connections and wait until the server has accepted them all."""
    expected = _open_descriptors(server.pid) + count
    host, _, port = server.address.rpartition(":")
    for _ in range(count):
        kept.append(socket.create_connection((host, int(port)), timeout=WAIT_SECONDS))
    deadline = time.monotonic() + WAIT_SECONDS
    while _open_descriptors(server.pid) < expected:
        if time.monotonic() > deadline:
            raise RuntimeError("the server did not accept every connection")
        time.sleep(0.01)
    last = kept[-1]
    last.sendall(b"x")
    if last.recv(1) != b"x":
        raise RuntimeError("the last connection does not echo")
    time.sleep(0.1)


def idle_conn_bytes(loop: str, _seconds: float, quick: bool) -> dict[str, float]:
    """Resident bytes of the server per accepted connection that says nothing."""
    count = 1_000 if quick else 5_000
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kept: list[socket.socket] = []
    try:
        with loop_server("echo_server.py", loop, "tcp_proto") as server:
            _connect(server, 200, kept)
            before = resident_bytes(server.pid)
            _connect(server, count, kept)
            grown = resident_bytes(server.pid) - before
    finally:
        for connection in kept:
            connection.close()
    return {"value": grown / count, "operations": count}
