"""What passes between the runner and its children.

The job lies in a file whose path goes to the child in an environment variable,
where processes that a test spawns (they import the child's main module again)
find it as well. What happened comes back as JSON lines in a file, each written
at once and whole: whatever kills the child, the lines before it stand.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

VARIABLE = "FASTASYNC_CONFORMANCE_JOB"


@dataclass
class Job:
    """The orders for one child."""

    implementation: str
    mode: str
    file: str
    kinds: dict[str, str]  # test id -> kind, in the order of the list
    results: str  # path of the file to append to
    hang_limit: float
    leak_rounds: int = 0  # 0: an ordinary run

    def save(self, path: Path) -> None:
        """Write the job down for a child."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def from_environment(cls) -> Job:
        """The job this process was started for."""
        text = Path(os.environ[VARIABLE]).read_text(encoding="utf-8")
        return cls(**json.loads(text))


@dataclass
class Outcome:
    """How one test ended.

    The status is ok, fail, error, skip, unexpected (passed where CPython
    expects a failure), unproven (passed, but not on our objects), altered
    (passed, but left something behind), crash, hang, lost (never reported) or
    missing (not in this interpreter's suite).
    """

    id: str
    status: str
    detail: str = ""
    seconds: float = 0.0
    made: dict[str, int] = field(default_factory=dict)


class Journal:
    """The child's end: appends lines."""

    def __init__(self, path: str) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        self._pid = os.getpid()

    def write(self, event: str, **values: Any) -> None:
        """Append one line; nothing from a process that a test forked."""
        if os.getpid() == self._pid:
            line = json.dumps({"event": event, **values}) + "\n"
            os.write(self._fd, line.encode())


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The parent's end: the whole lines written so far."""
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n")[:-1]:
        yield json.loads(line)
