"""Find long runs of lines that stand in two places.

Lines are compared with white space folded. Blank lines, comments, lone
brackets, includes and imports do not count. A run of twelve lines or more is
reported: one piece of code should serve both places.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from house import ROOT, report, without_comments

RUN = 12
FOLDERS = ("_fastasync", "fastasync", "tools", "benchmarks", "examples")
SUFFIXES = (".c", ".h", ".py", ".sh")
_THIN = re.compile(r"[\s{}()\[\];,:]*|(?:#\s*include|import|from)\b.*|else\b.*")

Line = tuple[int, str]  # number in the file, folded text
Place = tuple[str, int]  # file, index into its lines


def lines_of(path: Path) -> list[Line]:
    text = path.read_text()
    if path.suffix in (".c", ".h"):
        text = without_comments(text)
    kept = []
    for number, line in enumerate(text.split("\n"), 1):
        folded = " ".join(line.split())
        if path.suffix in (".py", ".sh") and folded.startswith("#"):
            continue
        if not _THIN.fullmatch(folded):
            kept.append((number, folded))
    return kept


def find(files: dict[str, list[Line]]) -> Iterator[tuple[Place, Place, int]]:
    """Yield the places and the length of each run that stands twice."""
    seen: dict[tuple[str, ...], list[Place]] = defaultdict(list)
    texts = {name: [text for _, text in lines] for name, lines in files.items()}
    told: set[tuple[str, int, str, int]] = set()
    for name, text in texts.items():
        for index in range(len(text) - RUN + 1):
            key = tuple(text[index : index + RUN])
            for other, start in seen[key]:
                if other == name and start + RUN > index:
                    continue  # overlaps itself
                if (other, start - 1, name, index - 1) not in told:
                    length = shared(texts[other], start, text, index)
                    yield (other, start), (name, index), length
                told.add((other, start, name, index))
            seen[key].append((name, index))


def shared(one: list[str], i: int, two: list[str], j: int) -> int:
    length = 0
    while i + length < len(one) and j + length < len(two):
        if one[i + length] != two[j + length]:
            break
        length += 1
    return length


def main() -> int:
    files = {
        str(path.relative_to(ROOT)): lines_of(path)
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in SUFFIXES
    }
    problems = [
        f"{a}:{files[a][i][0]} and {b}:{files[b][j][0]}: {length} equal lines"
        for (a, i), (b, j), length in find(files)
    ]
    return report("duplicates", problems, f"{len(files)} files")


if __name__ == "__main__":
    sys.exit(main())
