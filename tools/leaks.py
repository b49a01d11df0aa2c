"""Run tests several times over in one process and look for what is left.

    python tools/leaks.py [pytest arguments, by default: tests]

As CPython's own -R does: each test runs a few times to warm up and then a few
times more, and after each of those is counted what is alive. A count that
grows every time is a leak: references to our types (each object of a type has
one), open files, objects that the garbage collector knows, and in a debug build
of CPython all references. Left out are tests that start processes (what they
run is gone when they end) and those that look for leaks themselves.
"""

import contextvars
import gc
import os
import sys
from array import array
from functools import partial
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

import fastasync

import _fastasync

TESTS = Path(__file__).resolve().parent.parent / "tests"
LEFT_OUT = (
    "conformance",
    "isolated",
    "tools",
    "api/test_bad_input.py",
    "face/test_main.py",
    "face/test_names.py",
    "face/test_repl.py",
    "nested/test_jupyter.py",
    "nested/test_nest_asyncio.py",
)
WARM_UP = 2
ROUNDS = 4

TYPES = {
    f"references to the type {name}": value
    for name, value in vars(_fastasync).items()
    if isinstance(value, type)
}
COUNTS = [*TYPES, "open files", "objects", "references in all"]


def fill_free_lists():
    """Make and drop many handles: each one kept for reuse refers to its type."""
    loop = fastasync.new_event_loop()
    for kind, when in ((fastasync.Handle, ()), (fastasync.TimerHandle, (0,))):
        [kind(*when, print, (), loop) for _ in range(10_000)].clear()
    loop.close()


def count(results, number):
    """Write each count into its place; nothing may be allocated for good."""
    gc.collect()
    gc.collect()
    for name, value in TYPES.items():
        results[name][number] = sys.getrefcount(value)
    results["open files"][number] = len(os.listdir("/proc/self/fd"))
    results["objects"][number] = len(gc.get_objects())
    if hasattr(sys, "gettotalrefcount"):
        results["references in all"][number] = sys.gettotalrefcount()


def grown(results):
    """Name the counts that grew from each round to the next."""
    return [
        f"{name} grow: {list(values)}"
        for name, values in results.items()
        if all(a < b for a, b in zip(values, values[1:], strict=False))
    ]


class LeakHunter:
    """The pytest plugin: repeats each test, and fails it if it leaks."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item, nextitem):
        if item.get_closest_marker("keeps"):
            return None  # it says that it leaks, and why: run it once
        results = {name: array("q", bytes(8 * ROUNDS)) for name in COUNTS}
        for number in range(-WARM_UP, ROUNDS):
            reports = run_once(item, nextitem)
            if any(report.outcome != "passed" for report in reports):
                break
            if number >= 0:
                count(results, number)
        else:
            problems = grown(results)
            if problems:
                reports[1].outcome = "failed"
                reports[1].longrepr = "\n".join(["it leaks:", *problems])
        hook, where = item.ihook, {"nodeid": item.nodeid}
        hook.pytest_runtest_logstart(**where, location=item.location)
        for report in reports:
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(**where, location=item.location)
        return True


def run_once(item, nextitem):
    """Run a test; what it hangs on objects that outlive it is taken off.

    Those are the context of the thread, which holds variables for good, and
    exceptions among the test's parameters, which collect tracebacks.
    """
    run = partial(runtestprotocol, item, nextitem=nextitem, log=False)
    reports = contextvars.copy_context().run(run)
    callspec = getattr(item, "callspec", None)
    for value in callspec.params.values() if callspec else ():
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, BaseException):
                part.__traceback__ = part.__context__ = None
    return reports


def main(arguments):
    if not arguments:
        arguments = [str(TESTS)]
        arguments += [f"--ignore={TESTS / name}" for name in LEFT_OUT]
    fill_free_lists()
    return pytest.main(
        ["-q", "-p", "no:cacheprovider", *arguments], plugins=[LeakHunter()]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
