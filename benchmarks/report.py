"""Medians, spreads and ratios of a run, as text and as JSON.

The ratio of two columns is the median over the rounds of the ratio within one
round: both cells of a round ran one after the other, so that a machine that slows
down for a minute slows both.
"""

import platform
import statistics
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from goals import AVERAGES, GOALS, Average
from loops import LIMIT, LOOPS
from rows import Row

BASE = "asyncio"
RIVAL = "uvloop"
REFERENCES = (BASE, RIVAL, LIMIT)
MOST_ROWS = 0.6  # of an average's rows, for a verdict: Python 3.11 has no eager ones


@dataclass
class Column:
    """One row on one loop: the result of each round, or why there is none."""

    cells: list[dict[str, float]] = field(default_factory=list)
    error: str = ""

    @property
    def values(self) -> list[float]:
        return [cell["value"] for cell in self.cells]

    @property
    def reason(self) -> str:
        """The last line of the error, where a traceback has its point."""
        return (self.error.splitlines() or [""])[-1].strip()

    @property
    def lacking(self) -> bool:
        """Has the loop not got what the row measures?"""
        return self.error.startswith("NotImplementedError")

    @property
    def usable(self) -> bool:
        return bool(self.cells) and not self.error

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def text(self) -> str:
        if self.error:
            return "failed"
        if not self.cells:
            return "-"
        low, high = number(min(self.values)), number(max(self.values))
        return f"{number(self.median)} ({low}..{high})"


Columns = dict[str, Column]  # by loop


def number(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def ratio(columns: Columns, top: str, bottom: str) -> float | None:
    """top / bottom, round by round; None if either has no result."""
    one, other = columns.get(top), columns.get(bottom)
    if one is None or other is None or not (one.usable and other.usable):
        return None
    pairs = zip(one.values, other.values, strict=False)
    return statistics.median(a / b for a, b in pairs)


def against(columns: Columns, loop: str, reference: str) -> float | None:
    """How `loop` compares: times faster than a loop, times the cost of the limit."""
    if reference == LIMIT:
        return ratio(columns, loop, LIMIT)
    return ratio(columns, reference, loop)


def verdict(row: Row, columns: Columns, loop: str) -> str:
    """The goal of this row and whether it is met, or "" if there is none."""
    goal = GOALS.get(loop, {}).get(row.name)
    if goal is None:
        return ""
    found = against(columns, loop, goal.against)
    sign = "<=" if goal.against == LIMIT else ">="
    wanted = f"{sign} {goal.times:g} {goal.against}"
    if found is None:
        return f"{wanted}: not measured"
    return f"{wanted}: {'met' if goal.met(found) else 'MISSED'}"


def average(
    results: dict[Row, Columns], loop: str, what: Average
) -> tuple[float, float, int] | None:
    """Geometric and arithmetic mean over the rows that were measured, and how many."""
    ratios = [
        found
        for row, columns in results.items()
        if row.name in what.rows
        and (found := against(columns, loop, BASE)) is not None
    ]
    if not ratios:
        return None
    return statistics.geometric_mean(ratios), statistics.fmean(ratios), len(ratios)


def averages(results: dict[Row, Columns], loops: list[str]) -> list[str]:
    """One line per average and loop, with its goal if all of its rows were measured.

    A row that this Python does not have is no row of its average.
    """
    lines = []
    for what in AVERAGES:
        there = sum(row.name in what.rows and not row.missing for row in results)
        for loop in loops:
            found = average(results, loop, what) if loop != BASE else None
            if found is None:
                continue
            mean, arithmetic, rows = found
            text = f"{what.name} ({rows} rows): {loop} {mean:.2f}x {BASE} "
            text += f"(geometric mean; arithmetic {arithmetic:.2f})"
            goal = what.goals.get(loop)
            if goal is not None and rows == there >= MOST_ROWS * len(what.rows):
                verdict = "met" if mean >= goal else "MISSED"
                text += f" [>= {goal:g} {BASE}: {verdict}]"
            lines.append(text)
    return lines


def line(row: Row, columns: Columns, loop: str) -> str:
    """What run.py prints when a column of a row is complete."""
    column = columns[loop]
    if column.error:
        return f"  {loop:18} failed: {column.reason}"
    parts = [f"  {loop:18} {column.text():>30} {row.unit:5}"]
    for reference in REFERENCES:
        found = against(columns, loop, reference)
        if loop != reference and found is not None:
            parts.append(f"{found:7.2f}x {reference}")
    if text := verdict(row, columns, loop):
        parts.append(f"[{text}]")
    return " ".join(parts)


def markdown(header: list[str], lines: Iterable[list[str]]) -> str:
    rows = [header, *lines]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]

    def format_row(cells: list[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([format_row(header), rule, *map(format_row, rows[1:])])


def values_table(results: dict[Row, Columns], loops: list[str]) -> str:
    lines = (
        [row.name, row.unit, *(columns.get(loop, Column()).text() for loop in loops)]
        for row, columns in results.items()
    )
    return markdown(["row", "unit", *loops], lines)


def ratios_table(results: dict[Row, Columns], loops: list[str]) -> str:
    pairs = [
        (loop, reference)
        for reference in REFERENCES
        for loop in loops
        if loop not in (reference, LIMIT) and reference in loops
        if not (loop == BASE and reference == RIVAL)
    ]

    def cell(columns: Columns, loop: str, reference: str) -> str:
        found = against(columns, loop, reference)
        return "" if found is None else f"{found:.2f}"

    lines = (
        [row.name, *(cell(columns, *pair) for pair in pairs)]
        for row, columns in results.items()
    )
    header = ["row", *(f"{loop} / {reference}" for loop, reference in pairs)]
    return markdown(header, lines)


def cpu_model() -> str:
    for text in Path("/proc/cpuinfo").read_text().splitlines():
        if text.startswith("model name"):
            return text.partition(":")[2].strip()
    return platform.machine()


def environment(loops: list[str]) -> dict[str, str]:
    """What a number is worthless without."""
    cpus = Path("/proc/cpuinfo").read_text().count("processor\t")
    known = {name: LOOPS[name].version() for name in loops if name in LOOPS}
    return {
        "python": sys.version.replace("\n", " "),
        "kernel": platform.release().partition("-")[0],
        "cpu": f"{cpus} x {cpu_model()}",
        **known,
    }


def as_json(
    results: dict[Row, Columns], loops: list[str], settings: dict[str, object]
) -> dict[str, object]:
    return {
        "environment": environment(loops),
        "settings": settings,
        "rows": {
            row.name: {
                "group": row.group,
                "unit": row.unit,
                "doc": row.doc,
                "loops": {loop: asdict(column) for loop, column in columns.items()},
                "ratios": {
                    f"{loop}/{reference}": against(columns, loop, reference)
                    for loop in columns
                    for reference in REFERENCES
                    if loop != reference
                },
            }
            for row, columns in results.items()
        },
    }
