"""Many idle connections and some busy ones; every byte is compared.

    python tests/stress/connections.py                      10,000 and 100
    python tests/stress/connections.py --idle 500 --busy 10
    python tests/stress/connections.py --loop asyncio

The server runs here, on the loop that is tried. The clients are a process of
their own, with plain sockets: each busy one sends messages and compares what
comes back; at the end each idle one is asked once, and must still be alive.
"""

import asyncio
import gc
import selectors
import socket
import subprocess
import sys

import common


class Echo(asyncio.Protocol):
    count = 0

    def connection_made(self, transport):
        self.transport = transport
        Echo.count += 1

    def data_received(self, data):
        self.transport.write(data)

    def connection_lost(self, exc):
        Echo.count -= 1


# -- the clients' process ------------------------------------------------------


def connect(port, count):
    socks = []
    for number in range(count):
        # one address has no more than 28,000 ports to connect from
        sock = socket.socket()
        sock.bind((f"127.0.0.{2 + number // 20000}", 0))
        sock.connect(("127.0.0.1", port))
        sock.settimeout(30)
        socks.append(sock)
    return socks


def exchange(messages):
    """Send a message on each socket, and compare what comes back: all at once,
    and none waits until the whole of its message has been taken."""
    with selectors.DefaultSelector() as selector:
        for sock, data in messages:
            sock.setblocking(False)
            both = selectors.EVENT_READ | selectors.EVENT_WRITE
            selector.register(sock, both, [data, 0, bytearray()])
        while selector.get_map():
            events = selector.select(30)
            if not events:
                raise TimeoutError(f"{len(selector.get_map())} wait for bytes")
            for key, mask in events:
                go_on(selector, key, mask)


def go_on(selector, key, mask):
    data, sent, got = key.data
    if mask & selectors.EVENT_WRITE:
        key.data[1] += key.fileobj.send(data[sent : sent + 65536])
        if key.data[1] == len(data):
            selector.modify(key.fileobj, selectors.EVENT_READ, key.data)
    if mask & selectors.EVENT_READ:
        part = key.fileobj.recv(65536)
        if not part:
            raise ConnectionResetError("the server has closed")
        got += part
        if len(got) >= len(data):
            if got != data:
                raise ValueError("wrong bytes came back")
            selector.unregister(key.fileobj)


def told(word):
    """The server's process says when to go on."""
    line = sys.stdin.readline().strip()
    if line != word:
        raise EOFError(f"expected {word!r}, not {line!r}")


def clients(port, idle, busy, rounds):
    common.open_files_allowed(idle + busy + 50)
    asleep = connect(port, idle)
    print("idle", flush=True)
    told("work")
    awake = connect(port, busy)
    total = 0
    for turn in range(rounds):
        messages = [
            (
                sock,
                common.pattern(
                    (1, 100, 5000, 70_000)[(turn + number) % 4],
                    turn * 1000 + number * 10,
                ),
            )
            for number, sock in enumerate(awake)
        ]
        exchange(messages)
        total += sum(len(data) for _, data in messages)
    for start in range(0, idle, 500):
        exchange(
            [
                (sock, common.pattern(10, start + number))
                for number, sock in enumerate(asleep[start : start + 500])
            ]
        )
    print(f"compared {total + 10 * idle}", flush=True)
    told("close")
    for sock in asleep + awake:
        sock.close()
    print("closed", flush=True)


# -- the server's process ------------------------------------------------------


async def until(condition, patience=30):
    async with asyncio.timeout(patience):
        while not condition():
            await asyncio.sleep(0.005)


async def serve(idle, busy, rounds):
    loop = asyncio.get_running_loop()
    files = common.open_files()
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    gc.collect()
    before = common.resident()
    process = await asyncio.to_thread(start_clients, port, idle, busy, rounds)
    line = asyncio.to_thread
    assert await line(process.stdout.readline) == "idle\n"
    await until(lambda: Echo.count == idle)
    await asyncio.sleep(0.1)
    gc.collect()
    each = (common.resident() - before) / max(idle, 1)
    print(f"{idle} idle connections: {each:.0f} bytes each", flush=True)
    print("work", file=process.stdin, flush=True)
    answer = await line(process.stdout.readline)
    assert answer.startswith("compared"), answer
    assert Echo.count == idle + busy
    print(f"{answer.strip()} bytes over {busy} busy connections", flush=True)
    print("close", file=process.stdin, flush=True)
    assert await line(process.stdout.readline) == "closed\n"
    await until(lambda: Echo.count == 0)
    server.close()
    await server.wait_closed()
    assert await line(process.wait) == 0
    process.stdin.close()
    process.stdout.close()
    common.check_files(files)
    return each


def start_clients(*numbers):
    return subprocess.Popen(
        [sys.executable, __file__, "clients", *map(str, numbers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def main():
    if sys.argv[1:2] == ["clients"]:
        return clients(*map(int, sys.argv[2:]))
    options = common.arguments(__doc__, idle=10_000, busy=100, rounds=50)
    allowed = common.open_files_allowed(options.idle + options.busy + 100)
    idle = min(options.idle, allowed - options.busy - 100)
    if idle < options.idle:
        print(f"only {allowed} files may be open: {idle} idle connections")
    common.run(options.loop, serve(idle, options.busy, options.rounds))


if __name__ == "__main__":
    main()
