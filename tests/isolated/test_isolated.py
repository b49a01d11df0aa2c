"""Runs each script of this folder in a process of its own.

A script prints "ok" as its last word and ends with status 0, or it says
what grew, or it crashed.
"""

import os
import pathlib
import subprocess
import sys

import pytest

from support import CHOSEN

HERE = pathlib.Path(__file__).resolve().parent
HELPERS = {"measure.py", "test_isolated.py", "conftest.py"}
SCRIPTS = sorted(path.name for path in HERE.glob("*.py")
                 if path.name not in HELPERS)


def test_there_are_scripts():
    assert len(SCRIPTS) >= 15


@pytest.mark.parametrize("script", SCRIPTS)
def test_script(script):
    # The last side is the one under test; see support.py.
    side = [] if CHOSEN[-1] == "fastasync" else [CHOSEN[-1]]
    run = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(HERE / script), *side],
        cwd=HERE, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONASYNCIODEBUG": ""})
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1:] == ["ok"], run.stdout + run.stderr


LEAKS = {
    "objects": "kept = []\ndef leak(): kept.append([])",
    "blocks": "kept = []\ndef leak(): kept.append(1e300 * len(kept))",
    "fds": "import os\ndef leak(): os.dup(0)",
    "heap": "import ctypes\nmalloc = ctypes.CDLL(None).malloc\n"
            "def leak(): malloc(64)",
    "references": "import ctypes\nthing = watch(type('T', (), {})())\n"
                  "def leak(): ctypes.pythonapi.Py_IncRef("
                  "ctypes.py_object(thing))",
}


@pytest.mark.parametrize("kind", LEAKS)
def test_growth_is_noticed(kind):
    """The measurement itself: one unit a repetition fails a script."""
    code = (f"from measure import check, finish, watch\n{LEAKS[kind]}\n"
            f"check(leak, 20)\nfinish()")
    run = subprocess.run([sys.executable, "-c", code, CHOSEN[-1]], cwd=HERE,
                         capture_output=True, text=True, timeout=100)
    assert run.returncode == 1, run.stdout + run.stderr
    assert kind in run.stderr
