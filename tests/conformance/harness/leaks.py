"""Runs the target tests of one file again and again and measures what stays.

The first round warms caches up. After it, and after each further round, the
garbage collector runs and open file descriptors and live objects are counted:
every Task, Future and loop, and every object of a type of ours. What grows in
each of the rounds leaks. The number of memory blocks is reported but not
judged: caches of the interpreter and of unittest move it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import unittest
from collections import Counter
from typing import Any

from harness.recorder import load_tests
from harness.wire import Job, Journal

_OURS = frozenset({"fastasync", "_fastasync", "harness"})
_FAMILIES: tuple[tuple[str, type], ...] = (
    ("any Task", asyncio.Task),
    ("any Future", asyncio.Future),
    ("any loop", asyncio.AbstractEventLoop),
)


def _count_objects(families: tuple[tuple[str, type], ...]) -> Counter[str]:
    """Count live objects by family and by type of ours.

    Looks at types only: asking an object for its class may run code.
    """
    counts: Counter[str] = Counter()
    per_type = Counter(type(item) for item in gc.get_objects())
    for cls, number in per_type.items():
        for label, family in families:
            if family in cls.__mro__:
                counts[label] += number
        if str(cls.__module__).partition(".")[0] in _OURS:
            counts[f"{cls.__module__}.{cls.__qualname__}"] += number
    return counts


def _measure() -> dict[str, int]:
    for _ in range(3):
        gc.collect()
    now: Counter[str] = _count_objects(_FAMILIES)
    now["open file descriptors"] = len(os.listdir("/proc/self/fd"))
    now["(memory blocks)"] = sys.getallocatedblocks()
    total: Any = getattr(sys, "gettotalrefcount", None)
    if total is not None:
        now["(references)"] = total()
    return dict(now)


def run(job: Job, journal: Journal) -> None:
    """Run the job's tests leak_rounds + 1 times, one line per round."""
    for number in range(job.leak_rounds + 1):
        tests = load_tests(job.file, job.kinds)
        unittest.TestSuite(tests).run(unittest.TestResult())
        del tests
        journal.write("round", number=number, counts=_measure())
    journal.write("done")
