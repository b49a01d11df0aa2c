"""Starting programs from a large process: what it costs, how long the loop stands.

    python benchmarks/spawn.py [--loops a,b] [--sizes 0,500,1500] [--number N]

For each loop and each size of the parent (MiB of touched memory), in a process of
its own: the median time of starting /bin/true and waiting for its end, and the
median and largest time for which the loop did not turn while it was starting one.
The latter is the longest single call into `create_subprocess_exec`'s coroutine,
taken by sending to it by hand: no timer can hide it.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Coroutine, Generator
from statistics import median
from typing import Any

from loops import LOOPS


class Watched:
    """An awaitable that runs a coroutine and keeps its longest step."""

    def __init__(self, coro: Coroutine[Any, Any, Any]) -> None:
        self.coro = coro
        self.longest = 0.0

    def __await__(self) -> Generator[Any, Any, Any]:
        while True:
            start = time.perf_counter()
            try:
                yielded = self.coro.send(None)
            except StopIteration as end:
                self.longest = max(self.longest, time.perf_counter() - start)
                return end.value
            self.longest = max(self.longest, time.perf_counter() - start)
            yield yielded


async def measure(number: int) -> dict[str, float]:
    times, stood = [], []
    for _ in range(number):
        start = time.perf_counter()
        watched = Watched(asyncio.create_subprocess_exec("/bin/true"))
        process = await watched
        if await process.wait() != 0:
            raise RuntimeError("/bin/true failed")
        times.append(time.perf_counter() - start)
        stood.append(watched.longest)
    return {
        "spawn": median(times) * 1e6,
        "stood": median(stood) * 1e6,
        "stood_most": max(stood) * 1e6,
    }


def cell(loop: str, size: int, number: int) -> None:
    """Run in the child: measure and print."""
    factory = LOOPS[loop].prepare()
    ballast = bytearray(size << 20)
    for at in range(0, len(ballast), 4096):
        ballast[at] = 1
    with asyncio.Runner(loop_factory=factory) as runner:
        print(json.dumps(runner.run(measure(number))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--loops", default="asyncio,uvloop,fastasync")
    parser.add_argument("--sizes", default="0,500,1500")
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--cell", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        cell(options.cell[0], int(options.cell[1]), options.number)
        return
    names = [name for name in options.loops.split(",") if LOOPS[name].installed()]
    print(f"{'loop':12}{'MiB':>6}{'spawn us':>10}{'stood us':>10}{'at most':>10}")
    for size in options.sizes.split(","):
        for name in names:
            command = [sys.executable, __file__, "--cell", name, size]
            command += ["--number", str(options.number)]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            seen = json.loads(output.stdout)
            print(
                f"{name:12}{size:>6}{seen['spawn']:10.0f}{seen['stood']:10.0f}"
                f"{seen['stood_most']:10.0f}"
            )


if __name__ == "__main__":
    main()
