"""The last result of each suite on each Python, and a page of them all.

run.py saves what a suite has shown in .suites/<version>/<suite>/result.json;
`run.py --page` prints the table of docs/suites.md out of what is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from suites.results import BAD, GOOD, Difference, Run

RESULT = "result.json"
ORDER = ("asyncio", "policy", "install")
COLUMNS = (
    *("suite", "release", "Python", "mode", "passed", "failed", "skipped"),
    *("loops of fastasync", "of asyncio", "expected", "unsteady"),
    "**differences**",
)


def result(
    version: str, runs: Mapping[str, Run], found: Sequence[Difference]
) -> dict[str, Any]:
    """Return what is to be remembered of a suite's runs on one Python."""
    modes = {}
    for mode, run in runs.items():
        ours, ran, other = run.loops()
        here = [entry for entry in found if entry.mode == mode]
        modes[mode] = {
            "passed": run.count(*GOOD),
            "failed": run.count(*BAD),
            "skipped": run.count("skipped"),
            "ours": ours,
            "ran": ran,
            "other": other,
            "expected": sum(entry.expected is not None for entry in here),
            "unsteady": sum(bool(entry.unsteady) for entry in here),
            "differences": sum(entry.counts for entry in here),
        }
    return {"python": version, "modes": modes}


def save(folder: Path, what: Mapping[str, Any]) -> None:
    """Write a result; modes that were not run now keep their last one."""
    path = folder / RESULT
    merged = dict(what)
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        if before["python"] == what["python"]:
            merged["modes"] = {**before["modes"], **what["modes"]}
    path.write_text(json.dumps(merged, indent=1), encoding="utf-8")


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _cells(mode: str, told: Mapping[str, Any]) -> list[object]:
    cells: list[object] = [mode, told["passed"], told["failed"]]
    cells += [told["skipped"], told["ours"], told["other"]]
    if mode == "asyncio":
        return [*cells, "", "", ""]
    return [
        *cells,
        *(told[n] for n in ("expected", "unsteady", "differences")),
    ]


def _age(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.rstrip("t").split("."))


def table(cache: Path, suites: Sequence[tuple[str, str]]) -> str:
    """Return Markdown: a row for each mode of what was run, by suite."""
    rows = [_row(COLUMNS), _row("---" for _ in COLUMNS)]
    for name, release in suites:
        paths = cache.glob(f"*/{name}/{RESULT}")
        for path in sorted(paths, key=lambda p: _age(p.parts[-3])):
            told = json.loads(path.read_text(encoding="utf-8"))
            for mode in sorted(told["modes"], key=ORDER.index):
                counts = told["modes"][mode]
                head = [name, release, told["python"]]
                if mode != "asyncio":
                    head = ["", "", ""]
                rows.append(_row([*head, *_cells(mode, counts)]))
    return "\n".join(rows)
