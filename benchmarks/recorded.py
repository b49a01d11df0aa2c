"""What run.py wrote with --json: ratios round by round, and tables of them.

Used by plot.py, which draws it, and page.py, which puts it into the documentation.
"""

import json
import shlex
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loops import LIMIT, LOOPS

BASE = "asyncio"
NO_FLAG = ("json", "plot", "rivals", "list", "load", "started")


@dataclass(frozen=True)
class Row:
    """One row: of each loop that finished the values, round by round."""

    name: str
    group: str
    unit: str
    doc: str
    values: dict[str, list[float]]
    failed: tuple[str, ...]

    def ratios(self, loop: str, to: str) -> list[float]:
        """In each round: the cost of `to` in ours, or our cost in the limit's."""
        ours, theirs = self.values.get(loop, []), self.values.get(to, [])
        pairs = zip(ours, theirs, strict=False)
        return [b / a if to != LIMIT else a / b for a, b in pairs]


@dataclass(frozen=True)
class Recording:
    environment: dict[str, str]
    settings: dict[str, str]
    rows: list[Row]

    @property
    def loops(self) -> list[str]:
        return [n for n in LOOPS if any(n in row.values for row in self.rows)]

    @property
    def groups(self) -> list[str]:
        return list(dict.fromkeys(row.group for row in self.rows))

    @property
    def command(self) -> str:
        words = ["python benchmarks/run.py"]
        for name, value in self.settings.items():
            if name in NO_FLAG or value in ("None", "False"):
                continue
            words.append("--" + name.replace("_", "-"))
            words += [] if value == "True" else [shlex.quote(value)]
        return " ".join(words)

    def of(self, group: str) -> list[Row]:
        return [row for row in self.rows if row.group == group]


def _row(name: str, entry: dict[str, Any]) -> Row:
    loops = entry["loops"]
    return Row(
        name,
        entry["group"],
        entry["unit"],
        entry.get("doc", ""),
        {
            loop: [cell["value"] for cell in column["cells"]]
            for loop, column in loops.items()
            if column["cells"] and not column["error"]
        },
        tuple(loop for loop, column in loops.items() if column["error"]),
    )


def load(path: Path) -> Recording:
    found = json.loads(path.read_text())
    rows = [_row(name, entry) for name, entry in found["rows"].items()]
    return Recording(found["environment"], found["settings"], rows)


def spread(ratios: list[float]) -> str:
    """The median, and the lowest and the highest round."""
    low, high = f"{min(ratios):.2f}", f"{max(ratios):.2f}"
    return f"**{statistics.median(ratios):.2f}** ({low} to {high})"


def _cost(row: Row, loop: str) -> str:
    if loop not in row.values:
        return ""
    value = statistics.median(row.values[loop])
    return f"{value:.1f} {row.unit}" if value < 100 else f"{value:,.0f} {row.unit}"


def _cells(row: Row, loops: Iterable[str], to: str) -> list[str]:
    cells = []
    for loop in loops:
        found = row.ratios(loop, to)
        cells.append(spread(found) if found else
                     "failed" if loop in row.failed else "")
    return cells


def table(recording: Recording, group: str, to: str = BASE) -> list[str]:
    """A markdown table of one group; empty if no row of it has `to`."""
    columns = [name for name in recording.loops if name != to]
    rows = [row for row in recording.of(group) if to in row.values]
    if not rows or not columns:
        return []
    lines = [
        f"| row | {to} | " + " | ".join(columns) + " |",
        "| --- | --- |" + " --- |" * len(columns),
    ]
    for row in rows:
        doc = row.doc.replace("|", "\\|")
        cells = [f"`{row.name}`<br>{doc}", _cost(row, to), *_cells(row, columns, to)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def plots(recording: Recording, name: str = "") -> dict[tuple[str, str], str]:
    """The file of each plot, by group and by what it compares with."""
    start = f"{name}-" if name else ""
    return {
        (group, to): f"{start}{group}{end}.svg"
        for group in recording.groups
        for to, end in ((BASE, ""), (LIMIT, "-limit"))
        if table(recording, group, to)
    }
