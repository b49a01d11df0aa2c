"""What a suite needs before it can run: its sdist, an environment, fastasync.

Everything lies below .suites/ in this checkout, and is made anew when what it
was made from has changed: `make clean` removes it.

    .suites/sdist/                     the projects' releases
    .suites/3.13/wheel/                fastasync, built for that Python
    .suites/3.13/<suite>/venv/         the environment
    .suites/3.13/<suite>/<mode>/       a fresh copy of the sdist, and the run's log
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from suites.table import Suite

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = ROOT / ".suites"

_ASK = """
import sys, sysconfig
free = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
print("%d.%d%s" % (*sys.version_info[:2], free), sys.version.split()[0])
"""


class WorkshopError(Exception):
    """Something could not be made."""


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        words = " ".join(str(part) for part in command)
        raise WorkshopError(f"{words}\n{done.stdout[-3000:]}")


def _digest(*parts: Path | str) -> str:
    """Return what names the contents of files, folders and strings."""
    digest = hashlib.sha256()
    for part in parts:
        files = [part]
        if isinstance(part, Path) and part.is_dir():
            files = sorted(
                file
                for file in part.rglob("*")
                if file.suffix in (".c", ".h", ".py", ".pyi")
            )
        for file in files:
            digest.update(str(file).encode())
            if isinstance(file, Path):
                digest.update(file.read_bytes())
    return digest.hexdigest()


def _fresh(stamp: Path, digest: str) -> bool:
    return stamp.exists() and stamp.read_text() == digest


class Workshop:
    """Makes things for one Python."""

    def __init__(self, python: str) -> None:
        self.python = shutil.which(python) or python
        try:
            answer = subprocess.check_output(
                [self.python, "-I", "-c", _ASK], text=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise WorkshopError(f"cannot run {python}: {error}") from None
        self.version, self.full_version = answer.split()
        self.folder = CACHE / self.version

    def sdist(self, suite: Suite) -> Path:
        """Download a release, unless it is there, and check that it is it."""
        folder = CACHE / "sdist"
        path = folder / f"{suite.folder}.tar.gz"
        if not path.exists():
            pip = (self.python, "-m", "pip", "download", "--quiet")
            _run(
                *(*pip, "--no-deps", "--no-binary", suite.name),
                *("--dest", folder, f"{suite.name}=={suite.version}"),
            )
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != suite.sha256:
            raise WorkshopError(f"{path.name} is another file: sha256 {found}")
        return path

    def wheel(self) -> Path:
        """Build fastasync, unless it has not changed."""
        folder = self.folder / "wheel"
        stamp = folder / "built-from"
        digest = _digest(
            *(ROOT / "_fastasync", ROOT / "fastasync", ROOT / "setup.py"),
            *(ROOT / "pyproject.toml", self.full_version),
            *(f"{k}={v}" for k, v in sorted(os.environ.items()) if _ours(k)),
        )
        if not _fresh(stamp, digest):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            _run(ROOT / "tools" / "wheel.sh", self.python, folder)
            stamp.write_text(digest)
        return next(folder.glob("fastasync-*.whl"))

    def environment(self, suite: Suite) -> Path:
        """Return the interpreter of the suite's environment."""
        folder = self.folder / suite.name / "venv"
        python = folder / "bin" / "python"
        sdist, wheel = self.sdist(suite), self.wheel()
        pins = HERE / "requirements" / f"{suite.name}.txt"
        install = (python, "-m", "pip", "install", "--quiet")
        stamp = folder / "made-from"
        digest = _digest(sdist, pins, self.full_version)
        if not _fresh(stamp, digest):
            shutil.rmtree(folder, ignore_errors=True)
            _run(self.python, "-m", "venv", folder)
            _run(*install, "--requirement", pins, sdist)
            stamp.write_text(digest)
        stamp = folder / "fastasync-from"
        digest = _digest(wheel)
        if not _fresh(stamp, digest):
            _run(*install, "--no-deps", "--force-reinstall", wheel)
            stamp.write_text(digest)
        return python

    def copy(self, suite: Suite, name: str) -> Path:
        """Make a folder for a run, with the sdist in it unless not needed."""
        folder = self.folder / suite.name / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if not suite.installed:
            with tarfile.open(self.sdist(suite)) as archive:
                if sys.version_info >= (3, 12):
                    archive.extractall(folder, filter="data")
                else:
                    archive.extractall(folder)
        for name in suite.removed:
            shutil.rmtree(folder / suite.folder / name)
        if suite.config:
            # pytest would look for one in the folders above, and find ours
            (folder / suite.folder / "pytest.ini").write_text(suite.config)
        return folder


def _ours(name: str) -> bool:
    return name.startswith("FASTASYNC_") or name in ("CC", "CFLAGS", "LDFLAGS")
