"""What the checks share: where the C sources are, and how to read them."""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
C_ROOT = ROOT / "_fastasync"

# In layer order. sync and net have the same rank: they are siblings.
RANKS = {
    "base": 0,
    "os": 1,
    "loop": 2,
    "task": 3,
    "sync": 4,
    "net": 4,
    "stream": 5,
    "api": 6,
}

# Headers that rooms above may include besides the door, and why.
SIDE_DOORS = {
    "loop/context.h": "inline, once per step of a task: who runs in which context",
    "loop/current.h": "inline, once per step of a task: task/ and api/ need it",
    "task/freelist.h": "inline, for objects that are made once per await",
    "task/closure.h": "done-callbacks in C, for what waits for several futures",
    "task/coro.h": "coroutines in C: every room that waits builds on it",
    "loop/handle.h": "the handle's layout, for the loop's methods in api/",
}

_COMMENT_OR_STRING = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL
)


def c_files(root: Path = C_ROOT) -> list[Path]:
    return sorted([*root.rglob("*.c"), *root.rglob("*.h")])


def without_comments(text: str) -> str:
    """Blank out the comments of C source; lines keep their numbers."""

    def blank(match: re.Match[str]) -> str:
        found = match.group()
        if found.startswith("/"):
            return re.sub(r"[^\n]", " ", found)
        return found

    return _COMMENT_OR_STRING.sub(blank, text)


def report(name: str, problems: Iterable[str], passed: str) -> int:
    """Print what a check found; return the exit code."""
    problems = list(problems)
    for problem in problems:
        print(problem)
    if problems:
        print(f"{name}: {len(problems)} problem(s)", file=sys.stderr)
        return 1
    print(f"{name}: {passed}")
    return 0
