"""Run CPython's own test_asyncio, of the running interpreter, on fastasync.

    python tests/conformance/run.py                      everything
    python tests/conformance/run.py --mode policy --file test_tasks -k gather
    python tests/conformance/run.py --implementation asyncio   check the runner

Exit status: 0 all promises kept, 1 not, 2 wrong use, 3 this interpreter comes
without the ``test`` package. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import judge, report, targets
from harness.pool import FileRun, Pool
from harness.targets import Target, TargetError, TargetList
from harness.wire import Job
from skips import MODES, SKIPS, Skip

NO_TEST_PACKAGE = 3
HANG_LIMIT = 120.0


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="run.py", description="CPython's test_asyncio, run on fastasync."
    )
    add = parser.add_argument
    add("--mode", choices=[*MODES, "all"], default="all")
    add("--file", nargs="+", default=[], metavar="test_x", help="these files")
    add("-k", dest="pattern", help="ids with this substring, or glob")
    add("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    add("--json", type=Path, help="write all results there")
    add(
        "--implementation",
        choices=["fastasync", "asyncio"],
        default="fastasync",
        help="asyncio: a stand-in that must pass everything",
    )
    add(
        "--leaks",
        type=int,
        nargs="?",
        const=3,
        default=0,
        metavar="ROUNDS",
        help="afterwards repeat what passed and look for growth (3 rounds)",
    )
    add(
        "--hang-limit",
        type=float,
        default=HANG_LIMIT,
        help="seconds one test may take (120)",
    )
    add("--dev", action="store_true", help="run the tests with -X dev")
    arguments = parser.parse_args(argv)
    if arguments.jobs < 1 or arguments.leaks < 0 or arguments.hang_limit <= 0:
        parser.error("--jobs, --leaks and --hang-limit must be positive")
    return arguments


@dataclass
class Session:
    """One call of the runner."""

    arguments: argparse.Namespace
    targets: TargetList
    chosen: dict[str, list[Target]]

    @property
    def modes(self) -> Sequence[str]:
        """The modes to run."""
        mode = self.arguments.mode
        return MODES if mode == "all" else (mode,)

    @property
    def version(self) -> tuple[int, int]:
        """The minor version the skip list is read for."""
        return sys.version_info[:2]

    @property
    def skips(self) -> Sequence[Skip]:
        """The skip list excuses fastasync, not the stand-in."""
        return SKIPS if self.arguments.implementation == "fastasync" else ()

    def jobs(self) -> list[Job]:
        """One job per mode and file, the large ones first."""
        files = sorted(self.chosen, key=lambda f: -len(self.chosen[f]))
        return [self._job(mode, f) for f in files for mode in self.modes]

    def _job(self, mode: str, file: str) -> Job:
        kinds = {}
        for target in self.chosen[file]:
            entry = judge.excused(target, self.version, mode, self.skips)
            if entry is None or not entry.hangs:
                kinds[target.id] = target.kind
        implementation = self.arguments.implementation
        limit = self.arguments.hang_limit
        return Job(implementation, mode, file, kinds, "", limit)

    def run(self, pool: Pool) -> list[judge.FileReport]:
        """Run everything and rule on it."""
        reports = []
        for done in pool.run(self.jobs(), _progress):
            reports.append(
                judge.judge_file(
                    done,
                    self.chosen[done.file],
                    self.skips,
                    self.version,
                    self.targets.exact,
                )
            )
        reports.sort(key=lambda r: (MODES.index(r.mode), r.file))
        return reports

    def hunt_leaks(
        self, pool: Pool, reports: Sequence[judge.FileReport]
    ) -> None:
        """Repeat the tests that passed; note in *reports* what grew."""
        by_key = {(report.mode, report.file): report for report in reports}
        jobs = []
        for job in self.jobs():
            passed = {
                verdict.target.id: verdict.target.kind
                for verdict in by_key[job.mode, job.file].verdicts
                if verdict.outcome.status == "ok"
            }
            if passed:
                job.kinds = passed
                job.leak_rounds = self.arguments.leaks
                jobs.append(job)
        for done in pool.run(jobs, _progress):
            found = by_key[done.mode, done.file]
            found.leaks = judge.growth(done.rounds)
            found.problems += done.problems


def _progress(run: FileRun) -> None:
    bad = sum(o.status != "ok" for o in run.outcomes.values())
    what = f"{len(run.outcomes)} tests, {bad} not ok"
    if run.rounds:
        what = f"{len(run.rounds)} leak rounds"
    line = f"{run.mode:>12} {run.file:<24} {what}, {run.seconds:.1f} s"
    print(line, file=sys.stderr, flush=True)


def _has_test_package() -> bool:
    try:
        return importlib.util.find_spec("test.test_asyncio") is not None
    except ImportError:
        return False


def _importable(implementation: str) -> bool:
    """Whether a fresh interpreter can import the implementation."""
    if implementation == "asyncio":
        return True
    command = [sys.executable, "-c", f"import asyncio, {implementation}"]
    return subprocess.run(command, check=False).returncode == 0


def _finish(
    session: Session, reports: Sequence[judge.FileReport], seconds: float
) -> int:
    """Print the summary; returns the exit status."""
    problems = judge.judge_list(
        session.skips, session.targets, session.version
    )
    for mode in session.modes:
        problems += judge.judge_counts(reports, mode)
    green = not problems and all(report.green for report in reports)
    report.print_failures(reports, sys.stdout)
    for mode in session.modes:
        of_mode = [r for r in reports if r.mode == mode]
        report.print_table(mode, of_mode, sys.stdout)
    report.print_leaks(reports, sys.stdout)
    for problem in problems:
        print(f"PROBLEM: {problem}")
    header = {
        "python": sys.version,
        "targets": session.targets.version,
        "implementation": session.arguments.implementation,
        "modes": list(session.modes),
        "wall_seconds": round(seconds, 1),
    }
    print(
        f"\n{header['implementation']} on Python {targets.running_version()} "
        f"(targets of {header['targets']}): "
        f"{'all promises kept' if green else 'NOT GREEN'}, {seconds:.0f} s"
    )
    if session.arguments.json is not None:
        data = report.as_json(header, reports, problems, green)
        report.write_json(session.arguments.json, data)
    return 0 if green else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns the exit status."""
    arguments = parse_arguments(argv)
    if not _has_test_package():
        print(
            f"{sys.executable} comes without test.test_asyncio (some "
            f"distributions cut it out): nothing can be run.",
            file=sys.stderr,
        )
        return NO_TEST_PACKAGE
    try:
        listed = targets.load()
        chosen = listed.select(arguments.file, arguments.pattern)
    except TargetError as exc:
        print(f"run.py: {exc}", file=sys.stderr)
        return 2
    if not _importable(arguments.implementation):
        print(
            f"run.py: cannot import {arguments.implementation}",
            file=sys.stderr,
        )
        return 1
    session = Session(arguments, listed, chosen)
    started = time.monotonic()
    python = ("-X", "dev") if arguments.dev else ()
    pool = Pool(arguments.jobs, python)
    reports = session.run(pool)
    if arguments.leaks:
        session.hunt_leaks(pool, reports)
    return _finish(session, reports, time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main())
