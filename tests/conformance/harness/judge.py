"""Compares what happened with what was promised.

Every target test has to pass unless the skip list excuses it, and an excused
test must not pass. Pure functions over plain data; nothing runs here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.pool import FileRun
from harness.targets import Target, TargetList
from harness.wire import Outcome
from skips import Skip

# Target ids that another patch release of the same minor version may lack.
MAX_MISSING = 0.02
# Statuses of tests that did not come to an end of their own.
NOT_RUN = frozenset({"lost", "missing", "not run"})


@dataclass(frozen=True)
class Verdict:
    """The ruling on one target: ok, failed, listed, stale or absent."""

    target: Target
    outcome: Outcome
    ruling: str


@dataclass
class FileReport:
    """The rulings on one file in one mode."""

    mode: str
    file: str
    verdicts: list[Verdict]
    seconds: float
    problems: list[str] = field(default_factory=list)
    leaks: dict[str, list[int]] = field(default_factory=dict)

    @property
    def counts(self) -> Counter[str]:
        """Number of verdicts by ruling."""
        return Counter(verdict.ruling for verdict in self.verdicts)

    @property
    def skipped(self) -> int:
        """How many of the failed ones failed by skipping themselves."""
        return sum(
            verdict.ruling == "failed" and verdict.outcome.status == "skip"
            for verdict in self.verdicts
        )

    @property
    def made(self) -> Counter[str]:
        """Objects of ours that the tests made."""
        total: Counter[str] = Counter()
        for verdict in self.verdicts:
            total.update(verdict.outcome.made)
        return total

    @property
    def green(self) -> bool:
        """Whether nothing in the file is wrong."""
        bad = self.counts["failed"] + self.counts["stale"]
        return not (bad or self.problems or judged(self.leaks))


def excused(
    target: Target, version: tuple[int, int], mode: str, skips: Iterable[Skip]
) -> Skip | None:
    """The first entry that excuses *target*."""
    for skip in skips:
        if skip.applies(target.short, version, mode):
            return skip
    return None


def judge_file(
    run: FileRun,
    targets: Sequence[Target],
    skips: Sequence[Skip],
    version: tuple[int, int],
    exact: bool,
) -> FileReport:
    """Rule on every target of one file."""
    report = FileReport(run.mode, run.file, [], run.seconds, run.problems)
    for target in targets:
        entry = excused(target, version, run.mode, skips)
        outcome = run.outcomes.get(target.id)
        if outcome is None:
            left_out = entry is not None and entry.hangs
            status = "not run" if left_out else "lost"
            outcome = Outcome(target.id, status, "nothing was reported")
        ruling = _rule(outcome, entry, exact)
        report.verdicts.append(Verdict(target, outcome, ruling))
    return report


def _rule(outcome: Outcome, entry: Skip | None, exact: bool) -> str:
    if outcome.status == "missing" and not exact:
        return "absent"
    if outcome.status == "ok":
        return "stale" if entry is not None else "ok"
    return "listed" if entry is not None else "failed"


def judge_list(
    skips: Iterable[Skip], targets: TargetList, version: tuple[int, int]
) -> list[str]:
    """Complain about entries that match no target of this version."""
    known = [target.short for target in targets.targets]
    problems = []
    for skip in skips:
        if not skip.covers(version):
            continue
        mode = skip.modes[0]
        if not any(skip.applies(name, version, mode) for name in known):
            problems.append(f"skips.py: {skip.tests!r} matches no target id")
    return problems


def judge_counts(reports: Iterable[FileReport], mode: str) -> list[str]:
    """Complain when fewer tests of *mode* ran than were promised."""
    verdicts = [v for r in reports if r.mode == mode for v in r.verdicts]
    rulings = Counter(verdict.ruling for verdict in verdicts)
    listed, absent = rulings["listed"], rulings["absent"]
    ran = sum(
        verdict.outcome.status not in NOT_RUN and verdict.ruling != "listed"
        for verdict in verdicts
    )
    problems = []
    if absent > MAX_MISSING * len(verdicts):
        problems.append(
            f"{mode}: {absent} of {len(verdicts)} target ids are not in "
            f"this interpreter's test suite"
        )
    promised = len(verdicts) - absent - listed
    if ran < promised:
        problems.append(f"{mode}: only {ran} of {promised} promised tests ran")
    return problems


def growth(rounds: Sequence[dict[str, int]]) -> dict[str, list[int]]:
    """The counts that grew between every two rounds, with their course."""
    if len(rounds) < 2:
        return {}
    grown = {}
    for key in sorted({key for counts in rounds for key in counts}):
        course = [counts.get(key, 0) for counts in rounds]
        steps = zip(course, course[1:], strict=False)
        if all(before < after for before, after in steps):
            grown[key] = course
    return grown


def judged(grown: dict[str, list[int]]) -> dict[str, list[int]]:
    """The part of *grown* that is a failure; "(...)" is information."""
    return {k: v for k, v in grown.items() if not k.startswith("(")}
