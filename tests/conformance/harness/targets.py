"""The target lists: which CPython tests apply to a replacement loop.

One list per minor version stands in ../targets, named after the exact release
it was drawn up on. A line is "kind test-id"; the kind says what of ours the
test must exercise:

loop           runs on an event loop it obtained through the public namespace
types          builds Task or Future objects on a foreign (test) loop
runner         gets its loop by calling asyncio.BaseEventLoop()
handle         constructs Handle or TimerHandle itself
introspection  calls the task registry hooks (_register_task and friends)
"""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

TARGETS = Path(__file__).resolve().parent.parent / "targets"
PREFIX = "test.test_asyncio."
KINDS = frozenset({"loop", "types", "runner", "handle", "introspection"})


class TargetError(Exception):
    """The target list is missing, malformed, or selects nothing."""


@dataclass(frozen=True)
class Target:
    """One test id of a list."""

    kind: str
    id: str

    @property
    def file(self) -> str:
        """The test file, without directory and suffix ("test_tasks")."""
        return self.id[len(PREFIX) :].partition(".")[0]

    @property
    def short(self) -> str:
        """The id without the package prefix."""
        return self.id.removeprefix(PREFIX)


@dataclass(frozen=True)
class TargetList:
    """All targets of one minor version."""

    version: str
    targets: tuple[Target, ...]

    @property
    def exact(self) -> bool:
        """Whether the list was drawn up on just this release."""
        return self.version == running_version()

    def select(
        self, files: Sequence[str] = (), pattern: str | None = None
    ) -> dict[str, list[Target]]:
        """Group the targets by file, narrowed to *files* and *pattern*.

        The pattern is a substring of the id, or a glob if it has one of the
        characters ``*?[``.
        """
        wanted = {name.removesuffix(".py") for name in files}
        known = {target.file for target in self.targets}
        if unknown := wanted - known:
            raise TargetError(f"no targets in {', '.join(sorted(unknown))}")
        chosen: dict[str, list[Target]] = {}
        for target in self.targets:
            if wanted and target.file not in wanted:
                continue
            if pattern is None or _matches(target.id, pattern):
                chosen.setdefault(target.file, []).append(target)
        if not chosen:
            raise TargetError(f"no target id matches {pattern!r}")
        return chosen


def _matches(test_id: str, pattern: str) -> bool:
    if any(char in pattern for char in "*?["):
        return fnmatch.fnmatchcase(test_id, pattern)
    return pattern in test_id


def running_version() -> str:
    """The release of the running interpreter, as "3.13.0" or "3.15.0rc2"."""
    return sys.version.split()[0].rstrip("+")


def parse(lines: Iterable[str], version: str) -> TargetList:
    """Read the lines of a target list."""
    targets = []
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        kind, _, test_id = line.partition(" ")
        if kind not in KINDS or not test_id.startswith(PREFIX):
            raise TargetError(
                f"{version}: line {number} is malformed: {line!r}"
            )
        targets.append(Target(kind, test_id))
    if not targets:
        raise TargetError(f"{version}: the target list is empty")
    return TargetList(version, tuple(targets))


def load(minor: tuple[int, int] | None = None) -> TargetList:
    """Load the list for *minor*, by default that of the running Python."""
    major, second = minor or sys.version_info[:2]
    paths = sorted(TARGETS.glob(f"{major}.{second}.*.txt"))
    if len(paths) != 1:
        raise TargetError(
            f"expected one target list for Python {major}.{second}, "
            f"found {len(paths)}"
        )
    text = paths[0].read_text(encoding="utf-8")
    return parse(text.splitlines(), paths[0].stem)
