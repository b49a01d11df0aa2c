"""The one list of target tests that fastasync does not pass, and why.

An entry excuses the tests its glob matches, in the versions and modes it
names. The runner fails when a test that is excused passes (the entry is
stale), and when an entry matches no target id of a version it covers, so the
list can only shrink to the truth. A test that is not excused must pass.

An excused test is still run, except when ``hangs`` is set: it would take the
process of its whole file with it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

MODES = ("namespace", "policy", "loop_factory")

REASONS = {
    # Permanent: the test judges asyncio's inside, not its behaviour.
    "R1": "tests a class internal to the standard library",
    "R2": "mocks a module inside the standard library's own implementation",
    "R3": "calls or replaces a private method of the standard library's loop",
    "R4": "needs a platform or build feature this interpreter does not have",
}


@dataclass(frozen=True)
class Skip:
    """One entry: *tests* is a glob on the id without "test.test_asyncio."."""

    tests: str
    reason: str
    text: str
    first: tuple[int, int] = (3, 11)
    last: tuple[int, int] = (3, 15)
    modes: tuple[str, ...] = MODES
    hangs: bool = False

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise ValueError(f"{self.tests}: unknown reason {self.reason!r}")
        if not self.text.strip():
            raise ValueError(f"{self.tests}: an entry must say why")
        if not set(self.modes) <= set(MODES) or not self.modes:
            raise ValueError(f"{self.tests}: unknown mode in {self.modes}")
        if self.first > self.last:
            raise ValueError(f"{self.tests}: empty version range")

    def covers(self, version: tuple[int, int]) -> bool:
        """Whether the entry speaks about Python *version*."""
        return self.first <= version <= self.last

    def applies(
        self, short_id: str, version: tuple[int, int], mode: str
    ) -> bool:
        """Whether the entry excuses the test *short_id* there."""
        return (
            mode in self.modes
            and self.covers(version)
            and fnmatch.fnmatchcase(short_id, self.tests)
        )


SKIPS: Sequence[Skip] = (
    Skip(
        "test_graph.TestCallStackC.test_stack_future",
        "R1",
        "the test makes a stock asyncio.Future: that C type keeps the list of "
        "its awaiters in a private struct and admits its own C tasks only. "
        "With our Future in the namespace the test passes.",
        first=(3, 14),
        modes=("policy", "loop_factory"),
    ),
)
