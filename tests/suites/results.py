"""What the runs of a suite have shown, and how they differ."""

from __future__ import annotations

import fnmatch
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suites.expected import Expected
from suites.table import OwnLoops, Suite

GOOD = ("passed", "xfailed")
BAD = ("failed", "error", "xpassed", "lost")

#: The name under which a run's own exit status stands among its tests.
WHOLE = "(exit status of the run)"


def matches(test: str, pattern: str) -> bool:
    """fnmatch, in which the brackets of parametrised tests mean themselves."""
    return fnmatch.fnmatchcase(test, pattern.replace("[", "[[]"))


@dataclass
class Outcome:
    """How one test ended, and what loops it made."""

    status: str
    text: str = ""
    ours: int = 0
    ran: int = 0
    other: int = 0


@dataclass
class Run:
    """One run of a suite in one mode."""

    mode: str
    outcomes: dict[str, Outcome]
    seconds: float = 0.0
    log: Path | None = None

    def count(self, *statuses: str) -> int:
        """Count the tests that ended so."""
        tally = Counter(
            outcome.status
            for test, outcome in self.outcomes.items()
            if test != WHOLE
        )
        return sum(tally[status] for status in statuses)

    def loops(self) -> tuple[int, int, int]:
        """Count loops: made of ours, of them those that ran, made by asyncio."""
        every = list(self.outcomes.values())
        return (
            sum(outcome.ours for outcome in every),
            sum(outcome.ran for outcome in every),
            sum(outcome.other for outcome in every),
        )


def read(lines: Iterable[str], mode: str) -> Run:
    """Read what drive.py wrote; a test it did not finish is lost."""
    outcomes: dict[str, Outcome] = {}
    started = None
    end: Any = "none: the process died, or was ended after its time was up"
    for line in lines:
        try:
            entry: Mapping[str, Any] = json.loads(line)
        except ValueError:
            break  # cut off in the middle
        if "start" in entry:
            started = entry["start"]
        elif "end" in entry:
            end, started = entry["end"], None
        else:
            outcomes[entry["test"]] = Outcome(
                entry["status"], entry["text"], **entry["loops"]
            )
            started = None if entry["test"] == started else started
    if started is not None:
        outcomes[started] = Outcome("lost", "the process died, or hung")
    text = f"exit status: {end}"
    outcomes[WHOLE] = Outcome("passed" if end == 0 else "failed", text)
    return Run(mode, outcomes)


@dataclass
class Difference:
    """A test that is good on asyncio and not on fastasync."""

    test: str
    mode: str
    before: str
    after: str
    text: str
    expected: Expected | None = None
    unsteady: str = ""  # what reruns have shown, if it is not ours

    @property
    def counts(self) -> bool:
        """Whether it fails the suite."""
        return self.expected is None and not self.unsteady


def differences(base: Run, run: Run) -> list[Difference]:
    """List what passes on asyncio and not here, or fails here alone."""
    found = []
    for test in base.outcomes | run.outcomes:
        before = base.outcomes.get(test, Outcome("absent"))
        after = run.outcomes.get(test, Outcome("lost", "never ran"))
        if before.status in GOOD and after.status in GOOD:
            continue
        worse = before.status in GOOD or (
            before.status in ("absent", "skipped") and after.status in BAD
        )
        if worse:
            found.append(
                Difference(
                    test, run.mode, before.status, after.status, after.text
                )
            )
    whole = [entry for entry in found if entry.test == WHOLE]
    if whole and len(found) > 1:
        # A failed test has set it: no difference of its own.
        found.remove(whole[0])
    return found


def gains(base: Run, run: Run) -> list[str]:
    """List what fails on asyncio and passes here."""
    return [
        test
        for test, outcome in run.outcomes.items()
        if outcome.status in GOOD
        and test in base.outcomes
        and base.outcomes[test].status in BAD
    ]


def excuse(
    found: Sequence[Difference], suite: Suite, entries: Sequence[Expected]
) -> None:
    """Note which of the differences are listed."""
    for difference in found:
        for entry in entries:
            if (
                entry.suite == suite.name
                and difference.mode in entry.modes
                and matches(difference.test, entry.tests)
            ):
                difference.expected = entry


def stale(
    found: Sequence[Difference],
    suite: Suite,
    entries: Sequence[Expected],
    modes: Sequence[str],
) -> list[str]:
    """Describe the entries for this suite that no difference needs."""
    problems = []
    for entry in entries:
        if entry.suite != suite.name or entry.sometimes:
            continue
        for mode in set(entry.modes).intersection(modes):
            if not any(
                difference.expected is entry and difference.mode == mode
                for difference in found
            ):
                problems.append(
                    f"expected.py: {entry.tests} does not differ in mode {mode}"
                )
    return problems


@dataclass
class Proof:
    """Whether a suite ran on fastasync where it could."""

    problems: list[str] = field(default_factory=list)

    def check(self, suite: Suite, base: Run, run: Run) -> None:
        """Compare the loops made with those made by asyncio in the base run."""
        ours, ran, _ = run.loops()
        if not ours or not ran:
            self._add(run, "no loop of fastasync ever ran")
        if base.loops()[0]:
            self._add(base, "a loop of fastasync on asyncio's side")
        for test, outcome in run.outcomes.items():
            before = base.outcomes.get(test, Outcome("absent"))
            listed = _listed(suite.own_loops, test, run.mode)
            if outcome.other and not listed:
                self._add(run, f"{test} made a loop of asyncio's")
            elif before.other and outcome.status in GOOD:
                if not outcome.ours and not listed:
                    self._add(run, f"{test} made no loop of fastasync")

    def _add(self, run: Run, what: str) -> None:
        self.problems.append(f"[{run.mode}] {what}")


def _listed(entries: Sequence[OwnLoops], test: str, mode: str) -> bool:
    return any(
        mode in entry.modes and matches(test, entry.tests) for entry in entries
    )
