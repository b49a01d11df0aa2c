"""Check the sizes of files and functions.

A file has at most 800 lines, a function at most 60, and nine functions in ten
at most 40. What must be longer stands in size_exceptions.txt with a reason and
a limit of its own; an exception that is no longer needed is an error too.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from house import C_ROOT, ROOT, c_files, report, without_comments

FILE_LIMIT = 800
FUNCTION_LIMIT = 60
USUAL_LIMIT = 40
USUAL_SHARE = 0.9
EXCEPTIONS = ROOT / "tools" / "size_exceptions.txt"
_NAME = re.compile(r"(\w+)\s*\(")


@dataclass(frozen=True)
class Piece:
    """A file (name '') or one of its functions."""

    path: str
    name: str
    lines: int

    @property
    def limit(self) -> int:
        return FUNCTION_LIMIT if self.name else FILE_LIMIT

    def __str__(self) -> str:
        return f"{self.path} {self.name}".rstrip()


def c_functions(text: str) -> Iterator[tuple[str, int]]:
    """Yield name and length of each function: from '{' to '}' at column 0."""
    lines = without_comments(text).split("\n")
    start = None
    for number, line in enumerate(lines):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start is not None:
            yield name_above(lines, start), number - start + 1
            start = None


def name_above(lines: list[str], brace: int) -> str:
    """Find the function's name in the lines above its opening brace."""
    for number in range(brace - 1, max(brace - 12, -1), -1):
        match = _NAME.match(lines[number])
        if match:
            return match.group(1)
    return f"line {brace + 1}"


def python_functions(text: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def pieces_of(path: Path) -> Iterator[Piece]:
    text, name = path.read_text(), str(path.relative_to(ROOT))
    yield Piece(name, "", text.count("\n"))
    functions = python_functions if path.suffix == ".py" else c_functions
    for function, lines in functions(text):
        yield Piece(name, function, lines)


def read_exceptions(text: str) -> dict[str, int]:
    """Read 'path [function]: at most N lines: reason'."""
    allowed = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"(\S+(?: \w+)?): at most (\d+) lines: .+", line)
        if match is None:
            raise SystemExit(f"{EXCEPTIONS.name}: not understood: {line}")
        allowed[match.group(1)] = int(match.group(2))
    return allowed


def judge(pieces: list[Piece], allowed: dict[str, int]) -> Iterator[str]:
    for piece in pieces:
        limit = allowed.get(str(piece), piece.limit)
        if piece.lines > limit:
            yield f"{piece}: {piece.lines} lines, at most {limit}"
    needed = {str(p) for p in pieces if p.lines > p.limit}
    for name in sorted(allowed.keys() - needed):
        yield f"{EXCEPTIONS.name}: {name} needs no exception any more"


def judge_share(functions: list[int]) -> Iterator[str]:
    short = sum(lines <= USUAL_LIMIT for lines in functions)
    if functions and short < USUAL_SHARE * len(functions):
        yield (
            f"only {short} of {len(functions)} C functions have at most "
            f"{USUAL_LIMIT} lines; nine in ten should"
        )


def main() -> int:
    paths = c_files()
    paths += sorted((ROOT / "fastasync").glob("*.py"))
    paths += sorted((ROOT / "tools").glob("*.py"))
    pieces = [piece for path in paths for piece in pieces_of(path)]
    in_c = [
        p.lines
        for p in pieces
        if p.name and p.path.startswith(C_ROOT.name + "/")
    ]
    problems = [
        *judge(pieces, read_exceptions(EXCEPTIONS.read_text())),
        *judge_share(in_c),
    ]
    return report(
        "sizes",
        problems,
        f"{len(paths)} files, {len(in_c)} C functions, "
        f"{sum(n <= USUAL_LIMIT for n in in_c)} of them within {USUAL_LIMIT} "
        f"lines",
    )


if __name__ == "__main__":
    sys.exit(main())
