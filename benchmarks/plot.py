"""Draw what run.py has measured: SVG files, and a table for the documentation.

    python benchmarks/plot.py RESULTS.json FOLDER

One plot per group: for each row and loop how many times faster than asyncio it was,
the median over the rounds as a bar and the slowest and fastest round as a line.
Echo rows are also drawn against the limit, where smaller is better. The numbers, the
machine and the versions go to FOLDER/performance-table.md. Needs matplotlib.
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

COLOURS = {
    "asyncio": "#9aa0a6",
    "uvloop": "#e8a33d",
    "zuvloop": "#b36ae2",
    "rloop": "#5fa8d3",
    "rsloop": "#7c9a5c",
    "fastasync": "#2f7ed8",
    "fastasync-install": "#12447f",
}
BASE, LIMIT = "asyncio", "limit"
Cells = dict[str, list[float]]


def cells(row: dict[str, Any]) -> Cells:
    """The values of each loop that finished, round by round."""
    return {
        name: [cell["value"] for cell in column["cells"]]
        for name, column in row["loops"].items()
        if column["cells"] and not column["error"]
    }


def ratios(values: Cells, loop: str, to: str) -> list[float]:
    """In each round: asyncio's cost in ours, or our cost in the limit's."""
    if loop not in values or to not in values:
        return []
    pairs = zip(values[loop], values[to], strict=False)
    return [b / a if to != LIMIT else a / b for a, b in pairs]


def draw(
    rows: dict[str, Cells], loops: list[str], to: str, title: str, path: Path
) -> None:
    loops = [name for name in loops if name not in (to, LIMIT)]
    names = [name for name, values in rows.items() if to in values]
    if not names or not loops:
        return
    height = 0.8 / len(loops)
    figure, axes = plt.subplots(
        figsize=(8, 1.2 + 0.24 * len(names) * max(len(loops), 2)))
    for place, loop in enumerate(loops):
        where, middle, low, high = [], [], [], []
        for number, name in enumerate(names):
            found = ratios(rows[name], loop, to)
            if found:
                median = statistics.median(found)
                where.append(number + (place - len(loops) / 2 + 0.5) * height)
                middle.append(median)
                low.append(median - min(found))
                high.append(max(found) - median)
        axes.barh(where, middle, height * 0.92, xerr=(low, high), label=loop,
                  color=COLOURS.get(loop, "#777777"),
                  error_kw={"elinewidth": 0.8, "capsize": 1.5})
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("times the limit (less is better)" if to == LIMIT
                    else f"times faster than {to} (more is better)")
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, loc="best")
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def table(rows: dict[str, Cells], loops: list[str]) -> list[str]:
    columns = [name for name in loops if name != BASE]
    lines = ["| row | " + " | ".join(columns) + " |",
             "| --- |" + " --- |" * len(columns)]
    for name, values in rows.items():
        words = []
        for loop in columns:
            found = ratios(values, loop, BASE)
            words.append("" if not found else
                         f"{statistics.median(found):.2f} "
                         f"({min(found):.2f} to {max(found):.2f})")
        lines.append(f"| `{name}` | " + " | ".join(words) + " |")
    return lines


def main(arguments: list[str]) -> None:
    if len(arguments) != 2:
        sys.exit(__doc__)
    source, folder = Path(arguments[0]), Path(arguments[1])
    results = json.loads(source.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    groups: dict[str, dict[str, Cells]] = {}
    loops: list[str] = []
    for name, row in results["rows"].items():
        values = cells(row)
        groups.setdefault(row["group"], {})[name] = values
        loops += [loop for loop in values if loop not in loops]
    loops = [name for name in COLOURS if name in loops]
    text = [f"* {key}: {value}" for key, value in results["environment"].items()]
    for group, rows in groups.items():
        draw(rows, loops, BASE, group, folder / f"{group}.svg")
        if group == "echo":
            draw(rows, [BASE, *loops[1:]], LIMIT, "echo, against bare C",
                 folder / "echo-limit.svg")
        text += ["", f"## {group}", "", *table(rows, loops)]
    (folder / "performance-table.md").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
