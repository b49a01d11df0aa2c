"""Write the measured part of docs/performance.md from benchmarks/recorded/*.json.

    python benchmarks/page.py            the page and its plots (needs matplotlib)
    python benchmarks/page.py --text     the page alone
    python benchmarks/page.py --check    exit with 1 if page or plots are not in step

A recording is what `run.py --json benchmarks/recorded/NAME.json` wrote; NAME names
its plots, docs/performance/NAME-group.svg, and stands in the page. Everything between
the two markers of the page is made here, the rest is written by hand.
"""

import statistics
import sys
from pathlib import Path

from goals import AVERAGES
from recorded import BASE, LIMIT, Recording, load, plots, spread, table

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "<!-- made by benchmarks/page.py: begin -->"
END = "<!-- made by benchmarks/page.py: end -->"
NOTHING = "Nothing has been recorded for this version yet; measure it on your machine."
GROUPS = {
    "micro": "Operations",
    "memory": "Memory",
    "echo": "Servers that echo",
    "http": "HTTP servers",
}


def recordings(folder: Path) -> dict[str, Recording]:
    return {path.stem: load(path) for path in sorted(folder.glob("*.json"))}


def averages(recording: Recording) -> list[str]:
    """Means over several rows; a round's mean is over that round's ratios."""
    lines = []
    for what in AVERAGES:
        rows = [row for row in recording.rows if row.name in what.rows]
        for loop in recording.loops:
            each = [found for row in rows if (found := row.ratios(loop, BASE))]
            if loop != BASE and each:
                means = [statistics.geometric_mean(one) for one in zip(*each)]  # noqa: B905
                lines.append(f"* {what.name}, geometric mean over {len(each)} rows: "
                             f"{loop} {spread(means)}")
    return lines


def section(name: str, recording: Recording) -> list[str]:
    version = recording.environment["python"].split()[0]
    title = f"Python {version}" + ("" if version.startswith(name) else f", {name}")
    lines = [f"### {title}", ""]
    lines += [f"* {key}: {text}" for key, text in recording.environment.items()]
    for key, label in (("started", "recorded on"), ("load", "load average before")):
        if key in recording.settings:
            lines.append(f"* {label}: {recording.settings[key]}")
    lines += ["", "```", recording.command, "```"]
    files = plots(recording, name)
    for group in recording.groups:
        lines += ["", f"#### {GROUPS.get(group, group)}, {title}"]
        better = "less memory" if group == "memory" else "faster"
        for to, legend in (
            (BASE, f"Times {better} than {BASE}: more is better."),
            (LIMIT, "Times the cost of a bare C program: less is better."),
        ):
            if (group, to) in files:
                lines += ["", legend, "",
                          f"![{group} against {to}](performance/{files[group, to]})",
                          "", *table(recording, group, to)]
        if group == "micro" and (found := averages(recording)):
            lines += ["", *found]
    return [*lines, ""]


def made(folder: Path) -> str:
    lines = []
    for name, recording in recordings(folder).items():
        lines += section(name, recording)
    return "\n".join(lines or [NOTHING, ""])


def page_with(text: str, page: str) -> str:
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"the page has not both markers: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def wanted_plots(folder: Path) -> set[str]:
    return {
        file
        for name, recording in recordings(folder).items()
        for file in plots(recording, name).values()
    }


def complaints(root: Path) -> list[str]:
    """What is out of step: the page, plots that are missing or left over."""
    folder, page = root / "benchmarks/recorded", root / "docs/performance.md"
    found = []
    if page_with(made(folder), page.read_text()) != page.read_text():
        found.append("docs/performance.md is not what benchmarks/page.py makes")
    there = {path.name for path in (root / "docs/performance").glob("*.svg")}
    wanted = wanted_plots(folder)
    found += [f"docs/performance/{n} is missing" for n in sorted(wanted - there)]
    found += [f"docs/performance/{n} is left over" for n in sorted(there - wanted)]
    return found


def write(root: Path, with_plots: bool) -> None:
    folder, page = root / "benchmarks/recorded", root / "docs/performance.md"
    if with_plots:
        from plot import draw_all

        drawn = root / "docs/performance"
        for path in drawn.glob("*.svg"):
            path.unlink()
        for name, recording in recordings(folder).items():
            draw_all(recording, drawn, name)
    page.write_text(page_with(made(folder), page.read_text()))


def main(arguments: list[str]) -> int:
    if set(arguments) - {"--text", "--check"}:
        sys.exit(__doc__)
    if "--check" in arguments:
        found = complaints(ROOT)
        print(*found, sep="\n", end="\n" if found else "")
        return 1 if found else 0
    write(ROOT, with_plots="--text" not in arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
