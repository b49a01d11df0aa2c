"""Check that includes go one way (docs/architecture.md, "The rooms").

A file of a room may include its own room, base/, and of a room below the door
header ``room/room.h`` or one of the few side doors that house.py names. os/ knows no Python, and of base/ only what
knows none either. module.c may open every door. onefile.c includes every .c
file once, in layer order.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from house import (
    C_ROOT,
    RANKS,
    SIDE_DOORS,
    c_files,
    report,
    without_comments,
)

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[>"]', re.M)
PYTHON_FREE = {"base/common.h", "base/list.h"}


def includes(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line, '<' or '"', and target of each include of a file."""
    text = without_comments(path.read_text())
    for match in _INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, *match.groups()


def objection(room: str, target: str) -> str | None:
    """Say why a file of `room` may not include "target", or None."""
    other, _, name = target.partition("/")
    if not name:
        return "name the room: \"room/file.h\", relative to _fastasync/"
    if other not in RANKS:
        return f"there is no room {other}/"
    if room == "os" and other == "base" and target not in PYTHON_FREE:
        return "os/ knows no Python: of base/ only " + ", ".join(
            sorted(PYTHON_FREE)
        )
    if other in (room, "base"):
        return None
    if room and RANKS[other] >= RANKS[room]:
        kind = "a sibling of" if RANKS[other] == RANKS[room] else "above"
        return f"{other}/ is {kind} {room}/"
    if name != f"{other}.h" and target not in SIDE_DOORS:
        return f"not the door of {other}/, which is {other}/{other}.h"
    return None


def check_file(path: Path, root: Path) -> Iterator[str]:
    relative = path.relative_to(root)
    room = relative.parts[0] if len(relative.parts) > 1 else ""
    if room and room not in RANKS:
        yield f"{relative}: there is no room {room}/ in tools/house.py"
        return
    for line, kind, target in includes(path):
        if kind == "<":
            if room == "os" and target in ("Python.h", "structmember.h"):
                yield f"{relative}:{line}: os/ knows no Python: <{target}>"
            continue
        why = objection(room, target)
        if why is not None:
            yield f'{relative}:{line}: "{target}": {why}'


def check_onefile(root: Path) -> Iterator[str]:
    """onefile.c names each .c once, rooms in order, module.c last."""
    onefile = root / "onefile.c"
    if not onefile.exists():
        return
    named = [t for _, kind, t in includes(onefile) if t.endswith(".c")]
    there = {
        str(path.relative_to(root)) for path in root.rglob("*.c")
    } - {"onefile.c"}
    for target in sorted(there - set(named)):
        yield f"onefile.c: does not include {target}"
    for target in sorted(set(named) - there):
        yield f"onefile.c: includes {target}, which does not exist"
    for target in sorted({t for t in named if named.count(t) > 1}):
        yield f"onefile.c: includes {target} more than once"
    ranks = [RANKS.get(t.partition("/")[0], len(RANKS)) for t in named]
    if ranks != sorted(ranks):
        yield "onefile.c: the rooms are not in layer order"


def check_side_doors(root: Path) -> Iterator[str]:
    """A side door that nobody above goes through is no door."""
    for door in SIDE_DOORS:
        room = door.partition("/")[0]
        users = [
            path
            for path in c_files(root)
            if path.parent.name != room
            and any(target == door for _, _, target in includes(path))
        ]
        if not users:
            yield f"tools/house.py: nobody uses the side door {door}"


def check(root: Path = C_ROOT) -> list[str]:
    problems = list(check_onefile(root))
    for path in c_files(root):
        if path.name != "onefile.c" or path.parent != root:
            problems += check_file(path, root)
    return problems


if __name__ == "__main__":
    found = [*check(), *check_side_doors(C_ROOT)]
    sys.exit(report("layers", found, f"{len(c_files())} files, all one way"))
