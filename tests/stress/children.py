"""Two thousand children at once, on several loops, every byte compared.

    python tests/stress/children.py [NUMBER] [LOOPS] [asyncio]

Each child gets its own data by stdin and returns it by stdout, writes its number
to stderr and exits with it; one in ten is killed instead. All of them are started
before the first one may end. Prints what it did; exits with 1 if anything was
lost, left running or left open. Run by hand: it takes a minute.
"""

import asyncio
import hashlib
import os
import resource
import signal
import sys
import threading
import time

NUMBER = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
LOOPS = int(sys.argv[2]) if len(sys.argv) > 2 else 4
PIPE = asyncio.subprocess.PIPE

if "asyncio" in sys.argv:
    new_event_loop = asyncio.SelectorEventLoop
else:
    from fastasync import new_event_loop


def data_of(number):
    return hashlib.sha256(b"%d" % number).digest() * (number * 37 % 6000)


async def one(number, started, all_started):
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", f"cat; echo {number} >&2; exit {number % 251}",
        stdin=PIPE, stdout=PIPE, stderr=PIPE)
    started.append(process.pid)
    await all_started.wait()
    if number % 10 == 0:
        process.kill()
        await process.communicate(b"not read")
        return process.returncode == -signal.SIGKILL
    data = data_of(number)
    output, errors = await process.communicate(data)
    return (output, errors, process.returncode) == (
        data, b"%d\n" % number, number % 251)


async def storm(numbers):
    started, all_started = [], asyncio.Event()
    tasks = [asyncio.ensure_future(one(n, started, all_started))
             for n in numbers]
    while len(started) < len(tasks) and not any(t.done() for t in tasks):
        await asyncio.sleep(0.01)
    all_started.set()
    return await asyncio.gather(*tasks), len(set(started))


def work(which, results):
    loop = new_event_loop()
    try:
        results[which] = loop.run_until_complete(
            storm(range(which, NUMBER, LOOPS)))
    finally:
        loop.close()


def main():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before = len(os.listdir("/proc/self/fd"))
    results, start = {}, time.monotonic()
    threads = [threading.Thread(target=work, args=(which, results))
               for which in range(LOOPS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - start
    right = sum(sum(answers) for answers, _ in results.values())
    pids = sum(count for _, count in results.values())
    left = len(os.listdir("/proc/self/fd")) - before
    try:
        os.waitpid(-1, os.WNOHANG)
        children = "children are left"
    except ChildProcessError:
        children = "no child is left"
    print(f"{NUMBER} children on {LOOPS} loops: {pids} alive at once, "
          f"{right} right, {children}, {left} files left, {seconds:.1f} s")
    return 0 if right == pids == NUMBER and not left and "no" in children else 1


sys.exit(main())
