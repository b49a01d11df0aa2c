"""make PYTHON=...: which Python .venv is made with, and when it is made anew."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
MAKEFILE = ROOT / "Makefile"

pytestmark = pytest.mark.skipif(
    not (shutil.which("make") and MAKEFILE.exists()), reason="needs make")


@pytest.fixture
def checkout(tmp_path):
    """A folder that make takes for a checkout whose .venv is up to date."""
    shutil.copy(MAKEFILE, tmp_path)
    for name in ("_fastasync/a.c", "fastasync/a.py", "setup.py", "pyproject.toml",
                 "tools/venv.sh", "tools/wheel.sh", ".venv/bin/x", ".venv/.built"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    program(tmp_path / ".venv/bin/python", "the first")
    os.utime(tmp_path / ".venv/.built", (2**32, 2**32))
    return tmp_path


def program(path, name):
    path.write_text(f"#!/bin/sh\necho {name}\n")
    path.chmod(0o755)
    return str(path)


def steps(folder, *arguments):
    variables = {**os.environ}
    for name in ("PYTHON", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        variables.pop(name, None)
    done = subprocess.run(
        ["make", "-n", "build", *arguments], cwd=folder, env=variables,
        capture_output=True, text=True, check=True)
    return done.stdout


def test_a_venv_stays_on_its_python(checkout):
    assert "venv.sh" not in steps(checkout)
    same = program(checkout / "same", "the first")
    assert "venv.sh" not in steps(checkout, f"PYTHON={same}")
    os.utime(checkout / ".venv/.built", (1, 1))  # something has changed
    assert "tools/venv.sh .venv/bin/python .venv" in steps(checkout)


def test_another_python_makes_it_anew(checkout):
    other = program(checkout / "other", "another")
    assert f"tools/venv.sh {other} .venv" in steps(checkout, f"PYTHON={other}")


def test_without_a_venv_it_is_made(checkout):
    shutil.rmtree(checkout / ".venv")
    assert "tools/venv.sh python3 .venv" in steps(checkout)
    assert f"tools/venv.sh {sys.executable} .venv" in steps(
        checkout, f"PYTHON={sys.executable}")


# What sys.version says has characters that are special in a shell's patterns.
STAND_IN = """#!/bin/sh
case "$1 $2" in
-c*) echo "3.99.0 (main) [GCC 99.0] /usr" ;;
"-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
esac
"""


def test_a_venv_of_the_same_python_is_kept(tmp_path):
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "venv.sh", tmp_path / "tools")
    wheel, python = tmp_path / "tools" / "wheel.sh", tmp_path / "python"
    wheel.write_text('#!/bin/sh\ntouch "$2/fastasync-0.whl"\n')
    python.write_text(STAND_IN)
    for path in (wheel, python):
        path.chmod(0o755)

    def make(which):
        subprocess.run(["tools/venv.sh", which, ".venv"], cwd=tmp_path, check=True)

    make("./python")
    kept = tmp_path / ".venv" / "kept"
    kept.touch()
    make("./python")
    make(".venv/bin/python")
    assert kept.exists()
    python.write_text(STAND_IN.replace("3.99", "3.98"))
    make("./python")
    assert not kept.exists()
