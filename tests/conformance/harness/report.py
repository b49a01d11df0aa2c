"""Prints the verdicts for people, and puts them into JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from harness.judge import FileReport, judged

_COLUMNS = ("ok", "failed", "skipped", "listed", "stale", "absent")
# Tracebacks are cut to their last lines, and after so many only ids are given;
# the JSON file has them all.
_DETAIL_LINES = 25
_DETAILED = 40


def _row(counts: Counter[str], skipped: int) -> str:
    numbers = dict(counts) | {"skipped": skipped}
    cells = [f"{numbers.get(name, 0) or '.':>8}" for name in _COLUMNS]
    return "".join(cells) + f"{sum(counts.values()):>8}"


def print_table(mode: str, reports: Sequence[FileReport], to: TextIO) -> None:
    """One line per file of *mode*, and their sum."""
    names = "".join(f"{name:>8}" for name in (*_COLUMNS, "total", "time"))
    print(f"\n{mode + ':':<24}{names}", file=to)
    total: Counter[str] = Counter()
    for report in reports:
        total += report.counts
        mark = " " if report.green else "!"
        row = _row(report.counts, report.skipped)
        print(f"{mark}{report.file:<23}{row}{report.seconds:>7.1f}s", file=to)
    seconds = sum(report.seconds for report in reports)
    row = _row(total, sum(report.skipped for report in reports))
    print(f" {'total':<23}{row}{seconds:>7.1f}s", file=to)
    made: Counter[str] = Counter()
    for report in reports:
        made += report.made
    use = ", ".join(f"{number} {kind}" for kind, number in made.items())
    print(f" made of ours: {use or 'nothing'}", file=to)


def print_failures(reports: Iterable[FileReport], to: TextIO) -> None:
    """Everything that is wrong; the first few with their tracebacks."""
    shown = 0
    for report in reports:
        for verdict in report.verdicts:
            if verdict.ruling not in ("failed", "stale"):
                continue
            status = verdict.outcome.status.upper()
            if verdict.ruling == "stale":
                status = "STALE, it passes: remove its entry from skips.py"
            print(f"[{report.mode}] {verdict.target.short}: {status}", file=to)
            shown += 1
            if shown <= _DETAILED:
                _print_detail(verdict.outcome.detail, to)
        for problem in report.problems:
            print(f"[{report.mode}] {report.file}: PROBLEM", file=to)
            _print_detail(problem, to)


def _print_detail(detail: str, to: TextIO) -> None:
    lines = detail.splitlines()
    if len(lines) > _DETAIL_LINES:
        print("    ...", file=to)
    for line in lines[-_DETAIL_LINES:]:
        print(f"    {line}", file=to)
    print(file=to)


def print_leaks(reports: Iterable[FileReport], to: TextIO) -> None:
    """What grew from round to round, the harmless part in brackets."""
    for report in reports:
        for key, course in report.leaks.items():
            bad = "LEAK" if key in judged(report.leaks) else "    "
            steps = " ".join(map(str, course))
            print(
                f"{bad} [{report.mode}] {report.file}: {key} {steps}", file=to
            )


def as_json(
    header: dict[str, Any],
    reports: Iterable[FileReport],
    problems: Sequence[str],
    green: bool,
) -> dict[str, Any]:
    """The whole result as plain data."""
    return {
        **header,
        "green": green,
        "problems": list(problems),
        "files": [
            {
                "mode": report.mode,
                "file": report.file,
                "seconds": round(report.seconds, 2),
                "counts": dict(report.counts) | {"skipped": report.skipped},
                "made": dict(report.made),
                "problems": report.problems,
                "leaks": report.leaks,
                "tests": {
                    verdict.target.short: {
                        "kind": verdict.target.kind,
                        "ruling": verdict.ruling,
                        "status": verdict.outcome.status,
                        "detail": verdict.outcome.detail,
                        "seconds": verdict.outcome.seconds,
                        "made": verdict.outcome.made,
                    }
                    for verdict in report.verdicts
                },
            }
            for report in reports
        ],
    }


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write *data* to *path*."""
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
