"""Compile the C helpers (clients and the limit servers) when they are needed.

Binaries go to a per-user folder under the temporary directory, named by the hash of
their sources and flags: an edited source is compiled anew, a second run is not.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Werror")

SOURCES: dict[str, tuple[str, ...]] = {
    "echo_epoll": ("limits/echo_epoll.c",),
    "spawn_wait": ("limits/spawn_wait.c",),
    "echo_client": ("clients/echo_client.c", "clients/client.c"),
    "http_client": ("clients/http_client.c", "clients/client.c"),
}


def compiler() -> str:
    """The path of a C compiler, or "" if there is none."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        if name and (found := shutil.which(name)):
            return found
    return ""


def _digest(paths: list[Path]) -> str:
    hashed = hashlib.sha256(" ".join(FLAGS).encode())
    for path in paths:
        hashed.update(path.read_bytes())
    return hashed.hexdigest()[:16]


@cache
def binary(name: str) -> str:
    """The path of the compiled helper `name`."""
    sources = [HERE / source for source in SOURCES[name]]
    headers = sorted(HERE.glob("clients/*.h"))
    folder = Path(tempfile.gettempdir()) / f"fastasync-benchmarks-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise RuntimeError(f"{folder} belongs to another user")
    target = folder / f"{name}-{_digest(sources + headers)}"
    if not target.exists():
        if not compiler():
            raise RuntimeError("needs a C compiler")
        fresh = target.with_suffix(f".{os.getpid()}")
        command = [compiler(), *FLAGS, "-o", str(fresh), *map(str, sources)]
        subprocess.run(command, check=True)
        fresh.rename(target)
    return str(target)
