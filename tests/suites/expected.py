"""Differences between asyncio and fastasync that are none of ours to repair.

An entry that matches no difference in a run of its suite is stale, and fails
the run; not so one marked `sometimes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Expected:
    """Tests (a glob on ids) that pass on asyncio and not on fastasync."""

    suite: str
    tests: str
    reason: str
    modes: Sequence[str] = ("policy", "install")
    sometimes: bool = False


EXPECTED: Sequence[Expected] = (
    Expected(
        "uvicorn",
        "tests/test_compat.py::test_asyncio_run__default_loop_factory",
        "type name: asserts that the loop of asyncio.Runner is an "
        "asyncio.SelectorEventLoop",
    ),
    Expected(
        "tornado",
        "tornado.test.api_test.APISnapshotTest.test_api_snapshot",
        "type name: compares the names of tornado's API with a file; "
        "tornado.concurrent.Future, an alias of asyncio.Future, is called "
        "_fastasync.Future after install()",
        ["install"],
    ),
    Expected(
        "anyio",
        "tests/test_from_thread.py::*::test_run_sync_from_thread_pooling",
        "counts all threads of the process, and those of the test before it "
        "may still be about to end",
        sometimes=True,
    ),
    Expected(
        "anyio",
        "tests/test_to_thread.py::*::test_single_thread*",
        "counts all threads of the process, and those of the test before it "
        "may still be about to end",
        sometimes=True,
    ),
    Expected(
        "asyncssh",
        "tests/test_connection.py::*::test_connect_timeout_exceeded*",
        "replaces asyncio.BaseEventLoop.create_connection by one that is slow; "
        "fastasync's loop has a create_connection of its own",
    ),
)
