"""Compare two builds from the results that run.py wrote.

    python benchmarks/compare.py BEFORE.json... -- AFTER.json...

Of each row and column the medians over the files of each side, and how many times
less the second side needs. Files that belong together were measured in turn.
"""

import json
import statistics
import sys
from pathlib import Path

Values = dict[tuple[str, str], list[float]]


def load(names: list[str]) -> Values:
    values: Values = {}
    for name in names:
        for row, entry in json.loads(Path(name).read_text())["rows"].items():
            for loop, column in entry["loops"].items():
                cells = [cell["value"] for cell in column["cells"]]
                values.setdefault((row, loop), []).extend(cells)
    return values


def main(arguments: list[str]) -> None:
    if "--" not in arguments:
        sys.exit(__doc__)
    where = arguments.index("--")
    before, after = load(arguments[:where]), load(arguments[where + 1 :])
    ratios = []
    for key in before:
        if key in after:
            first, second = map(statistics.median, (before[key], after[key]))
            ratios.append(first / second)
            print(f"{key[0]:28} {key[1]:18} {first:12.1f} {second:12.1f} "
                  f"{ratios[-1]:7.2f}x")
    if ratios:
        print(f"{'geometric mean':73}{statistics.geometric_mean(ratios):7.2f}x")


if __name__ == "__main__":
    main(sys.argv[1:])
