"""How the scripts of this folder look for growth.

A script describes one piece of a loop's life in functions and passes them
to check().  Each function is run many times in batches; after each batch,
and a full collection, these are counted:

    fds         open descriptors
    objects     what the garbage collector knows
    blocks      small blocks that Python's allocator has given out
    heap        bytes in use by malloc
    references  of some objects the script names with watch()

The first batches may grow (caches, free lists, arenas); from then on a
count that grows by one per repetition fails the script.
The resident memory is looked at in the same way, with more patience.

    python tasks.py            on fastasync
    python tasks.py asyncio    on asyncio: validates the script itself
"""

import asyncio
import ctypes
import gc
import os
import sys
import threading
import time
import warnings

WARM = 4
BATCHES = 6
PATIENCE = 12  # times that all batches may be repeated

MEASURE_ASYNCIO = "asyncio" in sys.argv[1:]

# AddressSanitizer keeps what was freed for a while, by design.
SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "")

watched = []


def loop_factory():
    if MEASURE_ASYNCIO:
        return asyncio.SelectorEventLoop
    import fastasync
    return fastasync.new_event_loop


new_loop = loop_factory()


def namespace():
    """asyncio or fastasync, whichever is measured."""
    if MEASURE_ASYNCIO:
        return asyncio
    import fastasync
    return fastasync


def watch(thing):
    """Count the references of *thing* too; returns it."""
    watched.append(thing)
    return thing


class MallInfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks",
        "fsmblks", "uordblks", "fordblks", "keepcost")]


def find_mallinfo():
    """glibc's mallinfo2; None where there is none (musl, old glibc)."""
    try:
        function = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return None
    function.restype = MallInfo
    return function


mallinfo = find_mallinfo()


def resident():
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def settle_threads():
    """A thread that was joined may still be taking itself apart."""
    for _ in range(100):
        if len(os.listdir("/proc/self/task")) <= threading.active_count():
            return
        time.sleep(0.001)


def count():
    settle_threads()
    gc.collect()
    counts = {
        "fds": len(os.listdir("/proc/self/fd")),
        "objects": len(gc.get_objects()),
        "blocks": sys.getallocatedblocks(),
        "heap": 0,
    }
    if mallinfo is not None:
        info = mallinfo()
        counts["heap"] = info.uordblks + info.hblkhd
    for number, thing in enumerate(watched):
        counts[f"references of {number}"] = sys.getrefcount(thing)
    return counts


# Growth that is allowed, per repetition of the action and over all batches.
# Blocks are also taken by caches of the interpreter that fill slowly; a leak
# takes one at least with each repetition.
PER_REPEAT = {"fds": 0, "objects": 0.1, "blocks": 0.75, "heap": 12}
FLAT = {"fds": 0, "objects": 12, "blocks": 60, "heap": 3000}


def grown(first, last, repeats):
    """What grew more than it may, as lines."""
    lines = []
    for name in first:
        allowed = max(PER_REPEAT.get(name, 0) * repeats, FLAT.get(name, 0))
        growth = last[name] - first[name]
        if growth > allowed:
            lines.append(f"{name}: grew by {growth} in {repeats} "
                         f"repetitions (allowed: {allowed:.0f})")
    return lines


def check(action, repeats=100):
    """Run *action()* again and again; leave with an error on growth."""
    for _ in range(WARM):
        for _ in range(repeats):
            action()
    first, memory = count(), resident()
    memory_now = None
    for _ in range(PATIENCE):
        for _ in range(BATCHES):
            for _ in range(repeats):
                action()
        last = count()
        memory_now = memory_now or resident()
        lines = grown(first, last, repeats * BATCHES)
        if not lines:
            break
        first = last  # a cache fills up at some time; a leak never does
    if memory_now - memory > 8 << 20 and not SANITIZED:
        lines.append(f"resident memory grew by {memory_now - memory} bytes")
    if lines:
        sys.exit(f"{action.__name__}: " + "\n    ".join(lines))


def on_a_loop(coroutine_function, turns=1):
    """An action that runs the coroutine function on a loop of its own."""
    loop = new_loop()
    import atexit
    atexit.register(loop.close)

    def action():
        for _ in range(turns):
            loop.run_until_complete(coroutine_function())
    action.__name__ = coroutine_function.__name__
    return action


def quiet():
    """The scripts fail on purpose: nothing of it is to be printed."""
    import logging
    logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)
    warnings.simplefilter("ignore")


def finish():
    print("ok")


quiet()
