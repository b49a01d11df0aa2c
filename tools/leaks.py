"""Look for leaks: references, memory, file descriptors.

    python tools/leaks.py [tests/isolated/leak_x.py ...]

Each script of tests/isolated/ runs in a process of its own. One that defines
`scenario()` is called again and again, and what is alive afterwards is counted
after each round: blocks of Python's allocator, bytes of malloc, open files, and
the references to what everything refers to (None, our types). What grows in
every single round is a leak; caches that fill up grow in some rounds only. A
script without `scenario()` is simply run; its exit code is the verdict.
"""

import ctypes
import gc
import os
import runpy
import subprocess
import sys
import warnings
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent / "tests" / "isolated"
WARM_UP = 20
ROUNDS = 9
CALLS = 20  # a round, unless the script says otherwise with its own CALLS
TIME_LIMIT = 600


class Mallinfo2(ctypes.Structure):
    """glibc's struct mallinfo2: ten size_t, the eighth is bytes in use."""

    _fields_ = [(f"field{n}", ctypes.c_size_t) for n in range(10)]


def malloc_meter() -> Callable[[], int]:
    """Return a function that tells how many bytes malloc has given out."""
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except AttributeError:  # not glibc 2.33 or later: pages, which are coarse
        return lambda: int(Path("/proc/self/statm").read_text().split()[1])
    mallinfo2.restype = Mallinfo2
    return lambda: int(mallinfo2().field7)


def watched() -> dict[str, object]:
    """Return the objects whose reference counts are compared."""
    import asyncio  # before _fastasync, always

    import _fastasync

    objects: dict[str, object] = {"None": None, "True": True, "()": ()}
    for name, value in vars(_fastasync).items():
        if isinstance(value, type):
            objects[f"the type {name}"] = value
    objects["asyncio.CancelledError"] = asyncio.CancelledError
    return objects


def counters(objects: dict[str, object]) -> dict[str, Callable[[], int]]:
    """Return what is counted, by name."""
    counts: dict[str, Callable[[], int]] = {
        "open files": lambda: len(os.listdir("/proc/self/fd")),
        "blocks of memory": sys.getallocatedblocks,
        "bytes of malloc": malloc_meter(),
    }
    for name, value in objects.items():
        counts[f"references to {name}"] = partial(sys.getrefcount, value)
    if hasattr(sys, "gettotalrefcount"):
        counts["references in all"] = sys.gettotalrefcount
    return counts


def measure(
    scenario: Callable[[], object],
    calls: int,
    counts: dict[str, Callable[[], int]],
) -> dict[str, "array[int]"]:
    """Call the scenario in rounds; return each count after each round.

    All room for the results is there beforehand: they must not be counted.
    """
    results = {name: array("q", bytes(8 * ROUNDS)) for name in counts}
    for _ in range(WARM_UP):
        scenario()
    for number in range(ROUNDS):
        for _ in range(calls):
            scenario()
        for _ in range(3):
            gc.collect()
        for name, count in counts.items():
            results[name][number] = count()
    return results


def grown(results: dict[str, Sequence[int]]) -> list[str]:
    """Name what grew from every round to the next."""
    return [
        f"{name} grow in every round: {list(values)}"
        for name, values in results.items()
        if all(a < b for a, b in zip(values, values[1:], strict=False))
    ]


def examine(script: str) -> int:
    """Run one script in this process; return the exit code."""
    namespace = runpy.run_path(script, run_name="isolated")
    scenario = namespace.get("scenario")
    if scenario is None:
        runpy.run_path(script, run_name="__main__")
        return 0
    counts = counters(watched())
    problems = grown(measure(scenario, namespace.get("CALLS", CALLS), counts))
    import _fastasync

    alive = _fastasync._live_tasks()
    if alive:
        problems.append(f"tasks that never ended: {alive}")
    for problem in problems:
        print(f"  {problem}")
    return 1 if problems else 0


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--one"]:
        warnings.simplefilter("ignore", ResourceWarning)
        return examine(arguments[1])
    scripts = arguments or [str(path) for path in sorted(SCRIPTS.glob("*.py"))]
    if not scripts:
        print(f"leaks: no scripts in {SCRIPTS}", file=sys.stderr)
        return 1
    failed = 0
    for script in scripts:
        command = [sys.executable, "-X", "faulthandler", __file__, "--one", script]
        try:
            code = subprocess.run(command, timeout=TIME_LIMIT).returncode
        except subprocess.TimeoutExpired:
            code = -1
        print(f"{Path(script).name}: {'FAILED' if code else 'clean'}", flush=True)
        failed += code != 0
    print(f"leaks: {len(scripts) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
