"""The programs of this folder in small; by hand they do the real thing."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent


def run(script, *options):
    paths = [path for path in sys.path if path]
    done = subprocess.run(
        [sys.executable, str(HERE / script), *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "loop: fastasync.Loop\n" in done.stdout
    assert "done in" in done.stdout
    # nothing was reported, nothing ignored, nothing left unclosed
    assert done.stderr == "", done.stderr


def test_connections():
    run("connections.py", "--idle", "300", "--busy", "10", "--rounds", "8")


def test_children():
    run("children.py", "--children", "40", "--together", "10")


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")
def test_tls_openssl():
    run("tls_openssl.py")


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
def test_tls_curl():
    run("tls_curl.py", "--megabytes", "3", "--parallel", "6")
