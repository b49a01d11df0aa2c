"""One cell: one row on one loop, measured in this process, which is fresh.

    python cell.py ROW LOOP SECONDS [--quick]      prints one JSON object

Called by run.py.  The garbage collector stays as a program finds it; a collection
before each slice only makes the slices start alike.  After a calibration that is
thrown away the row runs in SLICES slices of equal n, and the cell's value is the
median slice, so that one preemption does not become the result.
"""

import argparse
import asyncio
import gc
import json
import statistics
import sys
import time
import traceback
from dataclasses import dataclass

from loops import LOOPS, LoopFactory
from memory import idle_task_bytes
from micro import REGISTRY, Micro
from micro.base import nop

SLICES = 5
FEWEST_SLICES = 3  # for rows whose single batch is already longer than a slice


@dataclass(frozen=True)
class Sample:
    """What n batches took."""

    cpu_ns: int
    wall_ns: int


async def timed(micro: Micro, n: int, chunk: int) -> Sample:
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    await micro.run(n, chunk)
    cpu_end, wall_end = time.process_time_ns(), time.perf_counter_ns()
    return Sample(cpu_end - cpu, wall_end - wall)


def timed_entry(loop: asyncio.AbstractEventLoop, n: int) -> Sample:
    run = loop.run_until_complete
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    for _ in range(n):
        run(nop())
    cpu_end, wall_end = time.process_time_ns(), time.perf_counter_ns()
    return Sample(cpu_end - cpu, wall_end - wall)


def sample(runner: asyncio.Runner, micro: Micro, n: int, chunk: int) -> Sample:
    gc.collect()
    if micro.entry:
        return timed_entry(runner.get_loop(), n)
    return runner.run(timed(micro, n, chunk))


def calibrate(
    runner: asyncio.Runner, micro: Micro, chunk: int, slice_ns: float
) -> tuple[int, int]:
    """How many batches fill a slice, and how many slices to take."""
    n = 1
    while True:
        took = sample(runner, micro, n, chunk).wall_ns
        if took >= slice_ns:
            return n, SLICES if took < 2 * slice_ns else FEWEST_SLICES
        if took >= slice_ns / 8:
            return max(n, round(n * slice_ns / took)), SLICES
        n *= 2


def measure(
    micro: Micro, factory: LoopFactory, seconds: float, quick: bool
) -> dict[str, float]:
    chunk = micro.quick_chunk if quick else micro.chunk
    with asyncio.Runner(loop_factory=factory) as runner:
        n, slices = calibrate(runner, micro, chunk, seconds * 1e9 / SLICES)
        samples = [sample(runner, micro, n, chunk) for _ in range(slices)]
    cpu = statistics.median(one.cpu_ns for one in samples) / (n * chunk)
    wall = statistics.median(one.wall_ns for one in samples) / (n * chunk)
    value = cpu if micro.clock == "cpu" else wall
    return {"value": value, "cpu_ns": cpu, "wall_ns": wall, "operations": n * chunk}


def run_cell(row: str, loop: str, seconds: float, quick: bool) -> dict[str, float]:
    factory = LOOPS[loop].prepare()
    if row == "idle_task_bytes":
        return idle_task_bytes(factory, quick)
    return measure(REGISTRY[row], factory, seconds, quick)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row")
    parser.add_argument("loop")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    try:
        result = run_cell(options.row, options.loop, options.seconds, options.quick)
    except Exception as error:
        # Our last words, after whatever the loop has to say while it is torn down.
        traceback.print_exc()
        json.dump({"error": f"{type(error).__name__}: {error}"}, sys.stdout)
        return 1
    json.dump(result, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
