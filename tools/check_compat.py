"""Check two rules that keep one code base good for every Python.

Differences between versions and builds are known in base/compat.h only; and
nothing mutable is static, so that interpreters and threads share nothing.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from house import C_ROOT, c_files, report, without_comments

_VERSION = re.compile(r"\b(?:PY_VERSION_HEX|Py_GIL_DISABLED|PY_M\w+_VERSION)\b")
_STATIC = re.compile(r"^[ \t]*static\b[^;={]*[;={]", re.M)

# CPython's own API takes these without const, and changes none of them.
TABLES = (
    "PyMethodDef",
    "PyMemberDef",
    "PyGetSetDef",
    "PyType_Slot",
    "PyType_Spec",
    "PyModuleDef",
    "PyModuleDef_Slot",
)


def mutable(declaration: str) -> bool:
    """Tell whether 'static ... ;' declares a variable that can change."""
    _, parenthesis, inside = declaration.partition("(")
    if parenthesis and not inside.lstrip().startswith("*"):
        return False  # a function, not a pointer to one
    words = re.findall(r"\w+", declaration)
    if any(word in TABLES for word in words):
        return False
    before_name = declaration.rpartition("*")[2] if "*" in declaration else (
        declaration
    )
    return "const" not in re.findall(r"\w+", before_name)


def check_file(path: Path, root: Path) -> Iterator[str]:
    text, name = without_comments(path.read_text()), path.relative_to(root)

    def line(position: int) -> int:
        return text.count("\n", 0, position) + 1

    if str(name) != "base/compat.h":
        for match in _VERSION.finditer(text):
            yield (
                f"{name}:{line(match.start())}: {match.group()} belongs in "
                f"base/compat.h only"
            )
    for match in _STATIC.finditer(text):
        if mutable(match.group()):
            where = line(match.end())
            yield f"{name}:{where}: a static that can change: put it into the \
module state or the loop"


def check(root: Path = C_ROOT) -> list[str]:
    return [p for path in c_files(root) for p in check_file(path, root)]


if __name__ == "__main__":
    sys.exit(report("compat", check(), f"{len(c_files())} files"))
