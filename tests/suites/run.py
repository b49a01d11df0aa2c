"""Run real projects' own tests on asyncio and on fastasync, and compare.

    python tests/suites/run.py                    every suite, both modes
    python tests/suites/run.py anyio uvicorn --mode policy
    python tests/suites/run.py --python python3.11 python3.14
    python tests/suites/run.py tornado -v         with the text of each failure
    python tests/suites/run.py --page             the last results, as Markdown

Exit status: 0 nothing that passes on asyncio fails on fastasync, 1 something
does (or the proof fails that it ran there), 2 a suite could not be set up. See
README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from suites import page, results  # noqa: E402
from suites.expected import EXPECTED  # noqa: E402
from suites.results import GOOD, WHOLE, Difference, Proof, Run  # noqa: E402
from suites.table import SUITES, Suite  # noqa: E402
from suites.workshop import CACHE, HERE, Workshop, WorkshopError  # noqa: E402

MODES = ("policy", "install")
RERUNS = 3  # of a test that differs, alone, on either side
RERUN_LIMIT = 12  # so many tests; if more differ, chance is not to blame


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    names = [suite.name for suite in SUITES]
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Real projects' own tests, on asyncio and on fastasync.",
        epilog="suites: " + ", ".join(names),
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="suite", help="only these")
    add("--mode", choices=[*MODES, "all"], default="all")
    add("--python", nargs="+", default=[sys.executable], metavar="PYTHON")
    add("--page", action="store_true", help="run nothing, print last results")
    add("-v", "--verbose", action="store_true", help="show whole failures")
    arguments = parser.parse_args(argv)
    for name in arguments.names:
        if name not in names:
            parser.error(f"no suite {name!r}; there are {', '.join(names)}")
    return arguments


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


@dataclass
class Report:
    """What one suite has shown on one Python."""

    suite: Suite
    version: str
    runs: dict[str, Run] = field(default_factory=dict)
    found: list[Difference] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def green(self) -> bool:
        """Whether the promise is kept."""
        return not self.problems and not any(d.counts for d in self.found)


def pytest_options(suite: Suite) -> list[str]:
    """The options that leave out what is to be left out."""
    marks, words = [], []
    for entry in suite.left_out:
        if entry.when():
            kind, _, mark = entry.what.partition(" ")
            (marks if mark else words).append(mark or kind)
    options = []
    if marks:
        options += ["-m", f"not ({' or '.join(marks)})"]
    if words:
        options += ["-k", f"not ({' or '.join(words)})"]
    return options


class Runner:
    """Runs one suite on one Python."""

    def __init__(self, suite: Suite, workshop: Workshop) -> None:
        self._suite = suite
        self._workshop = workshop
        self._python = workshop.environment(suite)

    def run(self, mode: str, tests: Sequence[str] = (), name: str = "") -> Run:
        """Run all tests, or those given, in one mode."""
        suite = self._suite
        folder = self._workshop.copy(suite, name or mode)
        report, log = folder / "report.jsonl", folder / "log"
        command = [str(self._python), *suite.python, str(HERE / "drive.py")]
        command += [mode, str(report), suite.framework]
        if suite.framework == "pytest":
            # drive.py chooses the loop; asyncio's side imports nothing of ours
            command += ["--rootdir=.", "-p", "no:fastasync.pytest"]
            command += [*suite.options, *pytest_options(suite)]
            command += tests or suite.tests
        else:
            command += [*suite.tests, *suite.options, *tests]
        place = folder if suite.installed else folder / suite.folder
        started = time.monotonic()
        with log.open("w") as output:
            self._wait(command, place, output)
        lines = []
        if report.exists():
            lines = report.read_text(encoding="utf-8").splitlines()
        run = results.read(lines, mode)
        run.seconds = time.monotonic() - started
        run.log = log
        return run

    def _wait(self, command: list[str], place: Path, output: object) -> None:
        """Run the child in a group of its own, and leave none of it behind."""
        clean = ("PYTHON", "PYTEST_", "FASTASYNC_")
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(clean)
        }
        child = subprocess.Popen(
            command,
            cwd=place,
            env={**environment, **self._suite.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,  # type: ignore[arg-type]
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            child.wait(self._suite.seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            try:
                os.killpg(child.pid, 9)
            except ProcessLookupError:
                pass
            child.wait()

    def rerun(self, difference: Difference) -> None:
        """Find out whether it was chance; notes what it found."""
        test, mode = difference.test, difference.mode
        if test == WHOLE:
            again = self.run(mode, name="rerun").outcomes[WHOLE]
            say(f"    rerun [{mode}] of all tests: {again.text}")
            if again.status in GOOD:
                difference.unsteady = again.text
            return
        passed = {"asyncio": 0, mode: 0}
        for _ in range(RERUNS):
            for side in passed:
                again = self.run(side, [test], "rerun").outcomes.get(test)
                if again is None and side == "asyncio":
                    say(f"    rerun [{mode}] {test}: cannot be run alone")
                    return
                passed[side] += again is not None and again.status in GOOD
        whole = "not run"
        if passed[mode] == RERUNS:
            again = self.run(mode, [self._file(test)], "rerun")
            outcome = again.outcomes.get(test)
            whole = "absent" if outcome is None else outcome.status
        shown = (
            f"alone it passes {passed['asyncio']} of {RERUNS} times on "
            f"asyncio, {passed[mode]} here; with its file: {whole}"
        )
        say(f"    rerun [{mode}] {test}: {shown}")
        by_chance = passed[mode] == RERUNS and whole in GOOD
        if by_chance or passed["asyncio"] < RERUNS:
            difference.unsteady = shown

    def _file(self, test: str) -> str:
        if self._suite.framework == "pytest":
            return test.split("::")[0]
        return test.rsplit(".", 2)[0]


def describe(run: Run) -> str:
    """One line on a run."""
    ours, ran, other = run.loops()
    good, bad = run.count(*GOOD), run.count(*results.BAD)
    return (
        f"  {run.mode:<8} {good} passed, {bad} failed, "
        f"{run.count('skipped')} skipped, {run.seconds:.0f} s; loops of "
        f"fastasync: {ours} ({ran} ran), of asyncio: {other}"
    )


def examine(runner: Runner, report: Report, modes: Sequence[str]) -> None:
    """Run a suite in all modes and compare."""
    suite, proof = report.suite, Proof()
    base = report.runs["asyncio"] = runner.run("asyncio")
    say(describe(base))
    minor = report.version.rpartition(".")[0]
    if base.count(*GOOD) < suite.fewer.get(minor, suite.at_least):
        report.problems.append(
            f"only {base.count(*GOOD)} tests pass on asyncio; see {base.log}"
        )
    for mode in modes:
        run = report.runs[mode] = runner.run(mode)
        say(describe(run))
        proof.check(suite, base, run)
        found = results.differences(base, run)
        results.excuse(found, suite, EXPECTED)
        unexcused = [entry for entry in found if entry.counts]
        for entry in unexcused[:RERUN_LIMIT]:
            runner.rerun(entry)
        report.found += found
    report.problems += proof.problems
    report.problems += results.stale(report.found, suite, EXPECTED, modes)


def show(report: Report, verbose: bool) -> None:
    """Print what a suite has shown."""
    for entry in report.suite.left_out:
        if entry.when():
            say(f"  left out: {entry.what}: {entry.reason}")
    base = report.runs["asyncio"]
    for test, outcome in base.outcomes.items():
        if outcome.status in results.BAD:
            say(f"  fails on asyncio: {test}")
    for mode, run in report.runs.items():
        for test in results.gains(base, run):
            say(f"  fails on asyncio, passes here: [{mode}] {test}")
    for entry in report.found:
        kind = "DIFFERENCE"
        if entry.expected is not None:
            kind = f"expected ({entry.expected.reason})"
        elif entry.unsteady:
            kind = "unsteady"
        say(f"  {kind}: [{entry.mode}] {entry.test}")
        if entry.counts:
            say(f"    {entry.before} on asyncio, {entry.after} here")
            text = entry.text if verbose else entry.text[-1500:]
            say("    " + text.replace("\n", "\n    "))
    for problem in report.problems:
        say(f"  PROBLEM: {problem}")


def summary(reports: Sequence[Report]) -> None:
    """Print the table: a line for each run."""
    row = "{:<14} {:<8} {:<9} {:<8}" + " {:>7}" * 3 + " {:>10}" * 3 + "  {}"
    titles = ["suite", "release", "Python", "mode"]
    titles += ["passed", "failed", "skipped"]
    titles += ["our loops", "that ran", "asyncio's"]
    say("\n" + row.format(*titles, "passes on asyncio, not here"))
    for report in reports:
        suite = report.suite
        told = page.result(report.version, report.runs, report.found)
        for mode, counts in told["modes"].items():
            verdict = ""
            if mode != "asyncio":
                verdict = f"{counts['differences']}"
                for why in ("expected", "unsteady"):
                    if counts[why]:
                        verdict += f", and {counts[why]} {why}"
            keys = ("passed", "failed", "skipped", "ours", "ran", "other")
            cells = [suite.name, suite.version, report.version, mode]
            say(row.format(*cells, *(counts[key] for key in keys), verdict))


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns the exit status."""
    arguments = parse_arguments(argv)
    if arguments.page:
        say(page.table(CACHE, [(s.name, s.version) for s in SUITES]))
        return 0
    modes = MODES if arguments.mode == "all" else (arguments.mode,)
    chosen = [s for s in SUITES if s.name in (arguments.names or [s.name])]
    reports, status = [], 0
    for python in arguments.python:
        try:
            workshop = Workshop(python)
            workshop.wheel()
        except WorkshopError as error:
            say(f"run.py: {error}")
            return 2
        for suite in chosen:
            say(f"{suite.name} {suite.version}, {workshop.full_version}")
            report = Report(suite, workshop.full_version)
            try:
                runner = Runner(suite, workshop)
            except WorkshopError as error:
                say(f"  cannot be set up: {error}")
                status = 2
                continue
            examine(runner, report, modes)
            show(report, arguments.verbose)
            told = page.result(report.version, report.runs, report.found)
            page.save(workshop.folder / suite.name, told)
            reports.append(report)
    summary(reports)
    green = all(report.green for report in reports)
    say("nothing is lost" if green and not status else "NOT GREEN")
    return status or (0 if green else 1)


if __name__ == "__main__":
    sys.exit(main())
