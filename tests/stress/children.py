"""Thousands of child processes, their output compared byte by byte.

    python tests/stress/children.py                     2,000, 100 at a time
    python tests/stress/children.py --children 50 --together 10

One in four echoes what it is sent (cat), one in four prints a lot, one in four
fails with an exit status, and one in four is killed.
"""

import asyncio
import os
import signal
import sys

import common

PIPE = asyncio.subprocess.PIPE


async def echoes(number):
    child = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    data = common.pattern(1000 + number * 37 % 200_000, number)
    output, _ = await child.communicate(data)
    assert output == data, f"child {number}: wrong output"
    assert child.returncode == 0, child.returncode


async def prints(number):
    count = 1 + number % 5000
    script = f"yes {number:08d} | head -n {count}; echo done >&2"
    child = await asyncio.create_subprocess_shell(
        script, stdout=PIPE, stderr=PIPE
    )
    out, err = await child.communicate()
    assert out == b"%08d\n" % number * count, f"child {number}: wrong output"
    # yes may say that nobody reads any more
    assert err.endswith(b"done\n"), err
    assert child.returncode == 0, child.returncode


async def fails(number):
    status = number % 100
    child = await asyncio.create_subprocess_exec(
        "sh", "-c", f"echo {number}; exit {status}", stdout=PIPE
    )
    assert await child.stdout.read() == b"%d\n" % number
    assert await child.wait() == status


async def is_killed(number):
    child = await asyncio.create_subprocess_exec("sleep", "1000")
    if number % 2:
        await asyncio.sleep(0)
    child.send_signal(signal.SIGTERM)
    assert await child.wait() == -signal.SIGTERM


KINDS = (echoes, prints, fails, is_killed)


async def storm(children, together):
    files = common.open_files()
    turn = asyncio.Semaphore(together)
    done = 0

    async def one(number):
        nonlocal done
        async with turn:
            await KINDS[number % len(KINDS)](number)
            done += 1

    async with asyncio.TaskGroup() as group:
        for number in range(children):
            group.create_task(one(number))
    assert done == children
    await asyncio.sleep(0.05)
    common.check_files(files)
    try:
        pid, _ = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        pid = None
    assert pid is None, "a child is left"
    print(f"{children} children, {together} at a time: all as they should be")


def main():
    options = common.arguments(__doc__, children=2000, together=100)
    common.open_files_allowed(options.together * 8 + 100)
    common.run(options.loop, storm(options.children, options.together))


if __name__ == "__main__":
    main()
