"""The real text the tour works on: Python's own standard library.

Every Python brings its library as source files, so a text of some
megabytes is at hand without a download, and it is the same text each
time: the files are taken in the order of their names and cut at a line
end once there is enough.
"""

import pathlib
import sysconfig

LEFT_OUT = {"site-packages", "__pycache__", "test", "tests", "idlelib",
            "lib2to3", "turtledemo"}


def source_files() -> list[pathlib.Path]:
    """The library's .py files, sorted by their path inside the library."""
    root = pathlib.Path(sysconfig.get_paths()["stdlib"])
    found = []
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).parts
        if not LEFT_OUT.intersection(parts):
            found.append(("/".join(parts), path))
    return [path for _, path in sorted(found)]


def build(target: str | pathlib.Path, size: int) -> int:
    """Write about *size* bytes of library source into the file *target*.

    Returns how many bytes were written.  The text is valid UTF-8 with
    plain newlines and ends with one.
    """
    pieces = []
    total = 0
    for path in source_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        data = text.encode("utf-8")
        if not data.endswith(b"\n"):
            data += b"\n"
        pieces.append(data)
        total += len(data)
        if total >= size:
            break
    whole = b"".join(pieces)
    end = whole.rfind(b"\n", 0, size) + 1 or len(whole)
    pathlib.Path(target).write_bytes(whole[:end])
    return end
