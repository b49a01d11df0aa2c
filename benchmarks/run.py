"""Run the benchmark suite.

    python benchmarks/run.py [--loops a,b] [--rows x,y | --group g] [--rounds N]
                             [--quick] [--json FILE] [--plot FOLDER]
                             [--rivals]

For every row, every round runs each loop once, in an order that rotates, each in a
fresh process.  See README.md for what the rows mean and how to read the ratios.
"""

import argparse
import fnmatch
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from loops import LIMIT, LOOPS
from procs import Pin
from report import (
    Column,
    Columns,
    as_json,
    averages,
    environment,
    line,
    ratios_table,
    values_table,
    verdict,
)
from rows import GROUPS, Row, all_rows

EXPECTED_FAILURES = (RuntimeError, OSError, subprocess.SubprocessError, ValueError)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loops", help="comma-separated; default: all installed")
    parser.add_argument("--rows", help="comma-separated names or patterns (tree_*)")
    parser.add_argument("--group", help=f"comma-separated, of {', '.join(GROUPS)}")
    parser.add_argument("--rounds", type=int, help="default 5, quick 1")
    parser.add_argument("--seconds", type=float, help="per cell; default 0.5, I/O 2")
    parser.add_argument("--quick", action="store_true", help="short cells, small sizes")
    parser.add_argument("--no-pin", action="store_true", help="no fixed CPU per side")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write results")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="draw the results")
    parser.add_argument("--rivals", action="store_true",
                        help="first install the other loops that this Python can have")
    parser.add_argument("--list", action="store_true", help="name the rows and stop")
    return parser.parse_args()


def install_rivals() -> None:
    """Into the interpreter at hand; what has no wheel for it is named, and left."""
    for name in ("uvloop", "rloop", "zuvloop", "rsloop"):
        if not LOOPS[name].installed():
            print(f"installing {name}", flush=True)
            pip = [sys.executable, "-m", "pip", "install", "--quiet"]
            done = subprocess.run(
                [*pip, "--only-binary", ":all:", name], capture_output=True, text=True)
            if done.returncode:
                why = (done.stderr.strip().splitlines() or ["pip did not say why"])[-1]
                print(f"{name} cannot be installed for this Python: {why}")


def chosen_loops(wanted: str | None) -> list[str]:
    """The columns, in the order of LOOPS; names what is left out."""
    known = [*LOOPS, LIMIT]
    names = wanted.split(",") if wanted else known
    if unknown := set(names) - set(known):
        sys.exit(f"unknown loops: {', '.join(sorted(unknown))}; know {known}")
    present = []
    for name in (name for name in known if name in names):
        if name == LIMIT or LOOPS[name].installed():
            present.append(name)
        else:
            print(f"{name}: not installed, left out")
    return present


def chosen_rows(names: str | None, groups: str | None) -> list[Row]:
    rows = all_rows()
    if groups:
        wanted = groups.split(",")
        if unknown := set(wanted) - set(GROUPS):
            sys.exit(f"unknown groups: {', '.join(sorted(unknown))}")
        rows = {name: row for name, row in rows.items() if row.group in wanted}
    if not names:
        return list(rows.values())
    found: dict[str, Row] = {}
    for pattern in names.split(","):
        matches = fnmatch.filter(rows, pattern)
        if not matches:
            sys.exit(f"no row is named {pattern}; --list names them")
        found.update({name: rows[name] for name in matches})
    return list(found.values())


def seconds_for(row: Row, options: argparse.Namespace) -> float:
    if options.seconds is not None:
        return float(options.seconds)
    if row.group in ("echo", "http"):
        return 0.4 if options.quick else 2.0
    return 0.1 if options.quick else 0.5


def run_row(row: Row, loops: list[str], options: argparse.Namespace) -> Columns:
    """All rounds of one row.  A loop that failed once is not tried again."""
    columns = {loop: Column() for loop in loops if loop != LIMIT or row.limit}
    order = list(columns)
    for turn in range(options.rounds):
        shift = turn % len(order)
        for loop in order[shift:] + order[:shift]:
            column = columns[loop]
            if column.error:
                continue
            try:
                result = row.measure(loop, seconds_for(row, options), options.quick)
                column.cells.append(result)
            except EXPECTED_FAILURES as error:
                notes = " ".join(getattr(error, "__notes__", ()))
                column.error = f"{error} {notes}".strip()
    return columns


def run_all(
    rows: list[Row], loops: list[str], options: argparse.Namespace
) -> dict[Row, Columns]:
    results: dict[Row, Columns] = {}
    try:
        for row in rows:
            if row.missing:
                print(f"{row.name}: {row.missing}, left out", flush=True)
                continue
            results[row] = columns = run_row(row, loops, options)
            print(f"{row.name}: {row.doc}")
            for loop in columns:
                print(line(row, columns, loop), flush=True)
    except KeyboardInterrupt:
        print("interrupted; the rows that are complete:")
    return results


def print_tables(results: dict[Row, Columns], loops: list[str]) -> None:
    print("\nMedian (lowest..highest round):\n")
    print(values_table(results, loops))
    print("\nTimes faster than asyncio and uvloop; times the cost of the limit:\n")
    print(ratios_table(results, loops))
    if means := averages(results, loops):
        print("\n" + "\n".join(means))
    for loop in loops:
        verdicts = [verdict(row, columns, loop) for row, columns in results.items()]
        if any(verdicts):
            met = sum(text.endswith(": met") for text in verdicts)
            print(f"\n{loop}: {met} of {sum(map(bool, verdicts))} goals met")


def main() -> int:
    options = parse()
    if options.rounds is None:
        options.rounds = 1 if options.quick else 5
    if options.rounds < 1:
        sys.exit("--rounds must be at least 1")
    Pin.enabled = not options.no_pin
    rows = chosen_rows(options.rows, options.group)
    if options.list:
        for row in rows:
            print(f"{row.group:7} {row.name:28} {row.unit:6} {row.doc}")
        return 0
    if options.plot and not importlib.util.find_spec("matplotlib"):
        sys.exit("the plots need matplotlib: pip install matplotlib")
    if options.rivals:
        install_rivals()
    loops = chosen_loops(options.loops)
    if not loops:
        sys.exit("none of these loops is installed")
    for name, text in environment(loops).items():
        print(f"{name}: {text}")
    load, started = os.getloadavg()[0], time.strftime("%Y-%m-%d", time.gmtime())
    print(f"load average: {load:.2f}\n", flush=True)
    results = run_all(rows, loops, options)
    if not results:
        sys.exit("nothing was measured")
    print_tables(results, loops)
    settings: dict[str, object] = {
        key: str(value) for key, value in vars(options).items()}
    settings.update(load=f"{load:.2f}", started=started)
    recorded = json.dumps(as_json(results, loops, settings))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(recorded)
    if options.plot:
        options.plot.mkdir(parents=True, exist_ok=True)
        results_file = options.plot / "results.json"
        results_file.write_text(recorded)
        plot = Path(__file__).with_name("plot.py")
        drawn = subprocess.run([sys.executable, plot, results_file, options.plot])
        if drawn.returncode:
            return 1
        print(f"plots: {options.plot}")
    columns = [column for row in results.values() for column in row.values()]
    return 1 if any(col.error and not col.lacking for col in columns) else 0


if __name__ == "__main__":
    sys.exit(main())
