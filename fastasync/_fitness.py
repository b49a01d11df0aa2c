"""Can this Python run fastasync? If not: why not, in one sentence.

`fastasync/__init__.py` asks before it imports anything else. A Python that is too
old for fastasync has to understand this file, so it holds to the syntax of 3.6.
"""

import importlib.machinery
import os
import sys


def objection() -> "str | None":
    """Say what is wrong with the Python that runs, or None."""
    if sys.version_info < (3, 11):
        return "fastasync needs Python 3.11 or later; this is Python {}.{}.".format(
            *sys.version_info[:2]
        )
    if not sys.platform.startswith("linux"):
        return f"fastasync needs Linux; this is {sys.platform}."
    if sys.implementation.name != "cpython":
        return f"fastasync needs CPython; this is {sys.implementation.name}."
    return None


def missing_extension(error: ImportError) -> str:
    """Say why the C extension cannot be imported."""
    mine = importlib.machinery.EXTENSION_SUFFIXES[0]
    for folder in sys.path:
        for suffix in _suffixes(folder or "."):
            if suffix not in importlib.machinery.EXTENSION_SUFFIXES:
                return (
                    f"fastasync's C extension was built for another Python (found "
                    f"_fastasync{suffix}, this Python loads _fastasync{mine}); "
                    f"install fastasync with this Python's own pip."
                )
    found = sys.modules.get("_fastasync")  # without a file: the folder of its sources
    if isinstance(error, ModuleNotFoundError) or not getattr(found, "__file__", "?"):
        return "fastasync's C extension is not built; build it with 'pip install .'."
    return (
        f"fastasync's C extension cannot be imported ({error}); "
        "build it anew with 'pip install .'."
    )


def _suffixes(folder: str) -> "list[str]":
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return sorted(
        name[len("_fastasync") :]
        for name in names
        if name.startswith("_fastasync.") and name.endswith((".so", ".pyd"))
    )
