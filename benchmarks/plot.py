"""Draw what run.py has measured: SVG files, and a table for the documentation.

    python benchmarks/plot.py RESULTS.json FOLDER [NAME]

One plot per group, FOLDER/NAME-group.svg: for each row and loop how many times faster
than asyncio it was, the median over the rounds as a bar and the slowest and fastest
round as a line. Rows that have a limit are also drawn against it, where smaller is
better. The numbers, the machine and the versions go to FOLDER/performance-table.md,
unless there is a NAME: that is how page.py draws, which has a page for them.
Needs matplotlib.
"""

import statistics
import sys
from pathlib import Path

from recorded import BASE, LIMIT, Recording, Row, load, plots, table

try:
    import matplotlib
except ImportError:
    sys.exit("the plots need matplotlib: pip install matplotlib")

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

# The same input makes the same files.
matplotlib.rcParams["svg.hashsalt"] = "fastasync"

COLOURS = {
    "asyncio": "#9aa0a6",
    "uvloop": "#e8a33d",
    "zuvloop": "#b36ae2",
    "rloop": "#5fa8d3",
    "rsloop": "#7c9a5c",
    "fastasync": "#2f7ed8",
    "fastasync-install": "#12447f",
}


def bars(
    axes: plt.Axes, rows: list[Row], loops: list[str], to: str, start: int
) -> None:
    height = 0.8 / len(loops)
    for place, loop in enumerate(loops):
        where, middle, low, high = [], [], [], []
        for number, row in enumerate(rows):
            found = row.ratios(loop, to)
            if found:
                median = statistics.median(found)
                where.append(number + (place - len(loops) / 2 + 0.5) * height)
                middle.append(median - start)
                low.append(median - min(found))
                high.append(max(found) - median)
        axes.barh(where, middle, height * 0.92, start, xerr=(low, high), label=loop,
                  color=COLOURS[loop], error_kw={"elinewidth": 0.8, "capsize": 1.5})


def draw(recording: Recording, group: str, to: str, path: Path) -> None:
    loops = [name for name in recording.loops if name != to]
    rows = [row for row in recording.of(group) if to in row.values]
    figure, axes = plt.subplots(
        figsize=(8, 1.2 + 0.12 * len(rows) * max(len(loops) + 1, 3)))
    most = max(max(row.ratios(loop, to), default=0) for row in rows for loop in loops)
    wide = to != LIMIT and most > 12  # then logarithmic, and a bar starts at parity
    bars(axes, rows, loops, to, start=1 if wide else 0)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    better = "less" if group == "memory" else "faster"
    axes.set_xlabel("times the limit (less is better)" if to == LIMIT
                    else f"times {better} than {to} (more is better)")
    if wide:
        axes.set_xscale("log")
        ticks = [n for n in (0.5, 1, 2, 5, 10, 20, 50, 100) if n < axes.get_xlim()[1]]
        axes.set_xticks(ticks, [f"{n:g}" for n in ticks])
        axes.minorticks_off()
    axes.set_title(f"{group}, Python {recording.environment['python'].split()[0]}",
                   fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def draw_all(recording: Recording, folder: Path, name: str = "") -> None:
    """Every plot of a recording."""
    folder.mkdir(parents=True, exist_ok=True)
    for (group, to), file in plots(recording, name).items():
        draw(recording, group, to, folder / file)


def main(arguments: list[str]) -> None:
    if len(arguments) not in (2, 3):
        sys.exit(__doc__)
    recording, folder = load(Path(arguments[0])), Path(arguments[1])
    draw_all(recording, folder, *arguments[2:])
    if len(arguments) == 3:
        return
    text = [f"* {key}: {value}" for key, value in recording.environment.items()]
    for group in recording.groups:
        for to in (BASE, LIMIT):
            if lines := table(recording, group, to):
                text += ["", f"## {group}, against {to}", "", *lines]
    (folder / "performance-table.md").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
