"""The interpreter ends while everything is still alive."""

import asyncio
import socket
import subprocess
import sys
import threading

from measure import finish, new_loop

if sys.argv[-1] != "child":
    for kind in ("globals", "thread", "cycle", "running", "exit in task"):
        run = subprocess.run(
            [sys.executable, "-X", "faulthandler", __file__,
             *sys.argv[1:], kind, "child"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        expected = 7 if kind == "exit in task" else 0
        assert run.returncode == expected, (kind, run)
        assert b"Fatal" not in run.stderr, (kind, run)
        assert b"alive" in run.stdout, (kind, run)
    finish()
    sys.exit()

kind = sys.argv[-2]


async def hang():
    await asyncio.get_running_loop().create_future()


loop = new_loop()
task = loop.create_task(hang())
future = loop.create_future()
failed = loop.create_future()
failed.set_exception(KeyError("never retrieved"))
timer = loop.call_later(1000, print)
left, right = socket.socketpair()
other, peer = socket.socketpair()
loop.add_reader(other, print)


async def connect():
    return await loop.create_connection(asyncio.Protocol, sock=left)


transport, protocol = loop.run_until_complete(connect())
transport.write(b"unsent")
server = loop.run_until_complete(
    loop.create_server(asyncio.Protocol, "127.0.0.1", 0))
print("alive", flush=True)
if kind == "thread":
    threading.Thread(target=loop.run_forever, daemon=True).start()
elif kind == "cycle":
    loop.everything = [loop, task, future, failed, timer, transport, server]
    del loop, task, future, failed, timer, transport, server, protocol
elif kind == "running":
    loop.call_soon(sys.exit)
    loop.run_forever()
elif kind == "exit in task":
    async def leave():
        sys.exit(7)
    loop.run_until_complete(leave())
