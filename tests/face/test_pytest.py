"""The plugin for pytest does no harm where fastasync is merely installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastasync

DISTRIBUTION = {
    "METADATA": "Metadata-Version: 2.1\nName: demo-of-fastasync\nVersion: 1\n",
    "RECORD": "fastasync/__init__.py,,\nfastasync/pytest.py,,\n",
    "entry_points.txt": "[pytest11]\nfastasync.pytest = fastasync.pytest\n",
}


@pytest.fixture
def site(tmp_path):
    """A folder in which fastasync looks installed, with its entry point."""
    folder = tmp_path / "site"
    info = folder / "demo_of_fastasync-1.dist-info"
    info.mkdir(parents=True)
    for name, text in DISTRIBUTION.items():
        (info / name).write_text(text)
    # the files of a record have to be there
    (folder / "fastasync").symlink_to(Path(fastasync.__file__).parent)
    return folder


@pytest.mark.parametrize("first", ["", "import fastasync; fastasync.install()"])
def test_warnings_that_are_errors_find_none_of_ours(tmp_path, site, first):
    """pytest rewrites a plugin's whole package, and warns if it is there.

    pytest-asyncio has warnings of its own.
    """
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\naddopts = --strict-markers\n"
    )
    (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n")
    paths = [
        str(site),
        str(Path(fastasync.__file__).parents[1]),
        *(path for path in sys.path if path),
    ]
    options = ["-q", "-p", "no:asyncio"]
    program = f"{first}\nimport sys, pytest\nsys.exit(pytest.main({options}))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
