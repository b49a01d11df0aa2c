"""Attributes that are deleted or replaced, one at a time; the loop runs on.

Any exception is allowed, but SystemError, which says that C code has broken
an interpreter's rule, and so is a report to the loop; a crash is not.
"""

import asyncio
import gc
import os
import socket
import sys
import warnings

from measure import MEASURE_ASYNCIO, finish, namespace, new_loop

module = namespace()
warnings.simplefilter("ignore")  # what is spoiled is not closed by itself


class Strange:
    """Has every attribute, and nothing of it works."""

    def __call__(self, *args, **kwargs):
        raise LookupError

    __bool__ = __len__ = __iter__ = __getitem__ = __call__

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self


VALUES = [None, -1, "text", [1, None], {1: 2}, True, Strange()]
USES = [("write", b"x"), ("get_nowait",), ("put_nowait", 1), ("release",),
        ("set",), ("notify_all",), ("set_result", 1), ("_run",), ("cancel",),
        ("feed_data", b"x"), ("feed_eof",), ("__repr__",), ("close",)]


async def nothing(*args):
    pass


async def connection(loop):
    left, right = socket.socketpair()
    right.setblocking(False)
    right.send(b"data")
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
    return transport, right


async def stream(loop):
    transport, right = await connection(loop)
    reader = module.StreamReader(loop=loop)
    protocol = module.StreamReaderProtocol(reader, loop=loop)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    return reader, protocol, transport, right


async def pipe(loop):
    read, write = os.pipe()
    transport, _ = await loop.connect_read_pipe(asyncio.Protocol,
                                                os.fdopen(read, "rb"))
    return transport, os.fdopen(write, "wb")


async def waited_for(loop, made, name):
    waiting = [loop.create_task(getattr(made, name)()) for _ in range(2)]
    await asyncio.sleep(0)
    return made, waiting


async def group(loop):
    made = module.TaskGroup()
    await made.__aenter__()
    return made, made.create_task(nothing())


async def child(loop):
    transport, _ = await loop.subprocess_exec(
        asyncio.SubprocessProtocol, "true", stdin=None, stdout=None,
        stderr=None)
    return transport, None


async def at_once(thing):
    return thing, None


SCENES = {
    "handle": lambda loop: at_once(loop.call_soon(print_nothing, 1)),
    "timer": lambda loop: at_once(loop.call_later(0, print_nothing, 1)),
    "later": lambda loop: at_once(loop.call_later(9, print_nothing, 1)),
    "future": lambda loop: at_once(loop.create_future()),
    "task": lambda loop: at_once(loop.create_task(nothing())),
    "lock": lambda loop: waited_for(loop, module.Lock(), "acquire"),
    "event": lambda loop: waited_for(loop, module.Event(), "wait"),
    "semaphore": lambda loop: waited_for(loop, module.Semaphore(), "acquire"),
    "queue": lambda loop: waited_for(loop, module.Queue(), "get"),
    "group": group, "transport": connection, "stream": stream,
    "pipe": pipe, "child": child,
}


def print_nothing(*args):
    pass


broken = []


def allowed(error):
    if isinstance(error, SystemError):
        broken.append(error)


sys.unraisablehook = lambda unraisable: allowed(unraisable.exc_value)


def attempt(function, *args):
    try:
        function(*args)
    except Exception as error:
        allowed(error)


def spoil(name, attribute, values):
    """Each value in an object of its own; all of them on one loop."""
    loop = new_loop()
    loop.set_exception_handler(
        lambda _, context: allowed(context.get("exception")))
    scenes = []
    for value in values:
        scene = loop.run_until_complete(SCENES[name](loop))
        if value is values:
            attempt(delattr, scene[0], attribute)
        else:
            attempt(setattr, scene[0], attribute, value)
        scenes.append(scene)
    for use in [(), *USES]:
        for scene in scenes:
            method = getattr(type(scene[0]), use[0], None) if use else None
            if method is not None:
                attempt(method, scene[0], *use[1:])
        loop.call_soon(loop.stop)
        attempt(loop.run_forever)
    for scene in scenes:
        if hasattr(scene[-1], "close"):
            attempt(scene[-1].close)
    loop.call_soon(loop.stop)
    attempt(loop.run_forever)
    loop.set_exception_handler(print_nothing)  # of tasks that are left
    scenes.clear()
    gc.collect()
    loop.close()


def attributes(name):
    loop = new_loop()
    thing, *rest = loop.run_until_complete(SCENES[name](loop))
    found = [attribute for attribute in dir(type(thing))
             if not attribute.startswith("__") and hasattr(
                 getattr(type(thing), attribute), "__set__")]
    loop.set_exception_handler(print_nothing)
    if hasattr(rest[-1], "close"):
        rest[-1].close()
    del thing, rest
    gc.collect()
    loop.close()
    return found


spoiled = 0
for scene in SCENES if not MEASURE_ASYNCIO else ():
    for attribute in attributes(scene):
        if (scene, attribute) == ("task", "_coro"):
            continue  # asyncio calls a wrong one for ever
        everything = [*VALUES]
        everything.append(everything)  # stands for `del`
        spoil(scene, attribute, everything)
        spoiled += 1
assert not broken, broken
assert MEASURE_ASYNCIO or spoiled > 80, spoiled
finish()
