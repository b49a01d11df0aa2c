"""What the programs of this folder share: arguments, loops, bytes, memory."""

import argparse
import asyncio
import os
import pathlib
import resource
import ssl
import time

CERTIFICATE = pathlib.Path(__file__).parent.parent / "faults" / "localhost.pem"

_PATTERN = bytes((i * 7 + i // 251) & 255 for i in range(1 << 20))


def pattern(size, start=0):
    """`size` bytes that tell where in a stream they stand."""
    start %= 1 << 19
    parts = []
    while size > 0:
        parts.append(_PATTERN[start : start + size])
        size -= len(parts[-1])
        start = 0
    return b"".join(parts)


def new_loop(name):
    if name == "asyncio":
        return asyncio.SelectorEventLoop()
    if name == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    import fastasync

    return fastasync.new_event_loop()


def arguments(doc, **numbers):
    """The command line: --loop, and numbers with their defaults."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument(
        "--loop",
        default="fastasync",
        choices=("fastasync", "asyncio", "uvloop"),
    )
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def run(name, main):
    """Run the coroutine on a loop of that name; print how long it took."""
    start = time.perf_counter()
    with asyncio.Runner(loop_factory=lambda: new_loop(name)) as runner:
        loop = type(runner.get_loop())
        print(f"loop: {loop.__module__}.{loop.__qualname__}", flush=True)
        result = runner.run(main)
    print(f"done in {time.perf_counter() - start:.1f} s", flush=True)
    return result


def server_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def resident():
    """Bytes of memory that this process occupies."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files_allowed(wanted):
    """Raise the limit as far as it goes. Return how many files that allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def check_files(before):
    """Nothing that was opened is left. (Others keep files for the loop.)"""
    left = open_files() - before
    ours = type(asyncio.get_running_loop()).__module__ == "fastasync"
    assert left <= 0 or not ours, f"{left} files are left open"


def open_files():
    return len(os.listdir("/proc/self/fd"))
