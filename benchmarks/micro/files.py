"""Rows for what is neither a task nor a TCP message: files, pipes, bursts."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile

from micro.base import batched, single

KIB = bytes(range(256)) * 4
MIB = KIB * 1024

# Another process, so that the CPU time of receiving is not ours.
DRAIN = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sock, _ = listener.accept()
space = bytearray(1 << 20)
while sock.recv_into(space):
    pass
"""


async def drained() -> asyncio.Transport:
    """Connect to a process that only reads; it ends with its connection."""
    drain = subprocess.Popen(
        [sys.executable, "-c", DRAIN], stdout=subprocess.PIPE
    )
    assert drain.stdout is not None
    port = int(drain.stdout.readline())
    transport, _ = await asyncio.get_running_loop().create_connection(
        asyncio.Protocol, "127.0.0.1", port
    )
    return transport


# Made by the first of several runs on a loop: it takes longer than they do.
_drains: dict[asyncio.AbstractEventLoop, asyncio.Transport] = {}


@single()
async def sendfile_1mb(n: int) -> None:
    """loop.sendfile of a 1 MiB file to a process that only reads."""
    loop = asyncio.get_running_loop()
    if loop not in _drains:
        _drains[loop] = await drained()
    transport = _drains[loop]
    with tempfile.TemporaryFile() as file:
        file.write(MIB)
        file.flush()
        for _ in range(n):
            if await loop.sendfile(transport, file, 0) != len(MIB):
                raise RuntimeError("not everything was sent")


class Arrival(asyncio.Protocol):
    """Counts bytes, and tells when as many as wanted are there."""

    def __init__(self) -> None:
        self.count = 0
        self.wanted = -1
        self.done: asyncio.Future[None] | None = None

    def data_received(self, data: bytes) -> None:
        self.count += len(data)
        if self.count == self.wanted and self.done is not None:
            self.done.set_result(None)


async def through_pipe(n: int, message: bytes) -> None:
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()
    reader, arrival = await loop.connect_read_pipe(Arrival, open(reading, "rb", 0))
    writer, _ = await loop.connect_write_pipe(
        asyncio.Protocol, open(writing, "wb", 0)
    )
    for _ in range(n):
        arrival.wanted = arrival.count + len(message)
        arrival.done = loop.create_future()
        writer.write(message)
        await arrival.done
    writer.close()
    reader.close()
    await asyncio.sleep(0.001)


@single()
async def pipe_1k(n: int) -> None:
    """1 KiB through a pipe: connect_write_pipe to connect_read_pipe."""
    await through_pipe(n, KIB)


@single()
async def pipe_1mb(n: int) -> None:
    """1 MiB through a pipe, which takes 64 KiB at a time."""
    await through_pipe(n, MIB)


class Burst(asyncio.DatagramProtocol):
    """Counts datagrams."""

    def __init__(self) -> None:
        self.count = 0
        self.wanted = -1
        self.done: asyncio.Future[None] | None = None

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.count += 1
        if self.count == self.wanted and self.done is not None:
            self.done.set_result(None)


@batched(32)
async def udp_burst(n: int, chunk: int) -> None:
    """A datagram of 1 KiB in a burst of 32: sendto() and datagram_received()."""
    loop = asyncio.get_running_loop()
    served, burst = await loop.create_datagram_endpoint(
        Burst, local_addr=("127.0.0.1", 0)
    )
    served.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20
    )
    sent, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol,
        remote_addr=served.get_extra_info("sockname"),
    )
    for _ in range(n):
        burst.wanted = burst.count + chunk
        burst.done = loop.create_future()
        for _ in range(chunk):
            sent.sendto(KIB)
        await asyncio.wait_for(burst.done, 10)
    sent.close()
    served.close()
    await asyncio.sleep(0.001)
