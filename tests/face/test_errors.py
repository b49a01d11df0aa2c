"""What people read when fastasync cannot run: one sentence, and no noise around it."""

import asyncio
import importlib.machinery
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import _fastasync
import fastasync
from fastasync import _fitness

ROOT = pathlib.Path(__file__).parents[2]
SUFFIXES = importlib.machinery.EXTENSION_SUFFIXES


def run(*arguments, path=()):
    """The exit code and what was said, by a Python with only `path` added."""
    variables = {k: v for k, v in os.environ.items() if k != "FASTASYNC_INSTALL"}
    variables["PYTHONPATH"] = os.pathsep.join(map(str, path))
    # -S: what is installed must not stand in
    done = subprocess.run(
        [sys.executable, "-S", *arguments],
        capture_output=True, text=True, timeout=60, env=variables,
        cwd=path[0] if path else None,  # the checkout has a folder _fastasync
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def sources(tmp_path):
    """fastasync without its extension, in a folder of its own."""
    shutil.copytree(
        pathlib.Path(fastasync.__file__).parent,
        tmp_path / "fastasync",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return tmp_path


IMPORT = """
import sys
{pretend}
try:
    import fastasync
except ImportError as error:
    assert error.__suppress_context__ or error.__context__ is None
    assert "asyncio" not in sys.modules or not {early}
    print(type(error).__name__, error.name, error, sep=": ")
"""

OLD = "sys.version_info = (3, 10, 4, 'final', 0)"
PRETEND = {
    OLD: "fastasync needs Python 3.11 or later; this is Python 3.10.",
    "sys.platform = 'darwin'": "fastasync needs Linux; this is darwin.",
    "sys.platform = 'win32'": "fastasync needs Linux; this is win32.",
    "sys.implementation.name = 'pypy'": "fastasync needs CPython; this is pypy.",
}


@pytest.mark.parametrize("pretend", PRETEND)
def test_a_python_that_cannot_run_it(sources, pretend):
    """Said before anything is imported that might not be there."""
    code, said = run(
        "-c", IMPORT.format(pretend=pretend, early=True), path=[sources])
    assert said == f"ImportError: fastasync: {PRETEND[pretend]}\n"
    assert code == 0


def test_this_python_can():
    assert _fitness.objection() is None


@pytest.mark.parametrize("pretend", list(PRETEND)[:3])
def test_the_build_says_the_same(pretend):
    program = (f"import sys, runpy; {pretend}; "
               f"runpy.run_path({str(ROOT / 'setup.py')!r})")
    assert run("-c", program) == (1, PRETEND[pretend] + "\n")


def test_what_an_old_python_must_read_has_no_new_syntax():
    """Up to the sentence, that is: in the package's first file all of it."""
    import ast

    for name in ("_fitness.py", "__init__.py"):
        source = pathlib.Path(fastasync.__file__).with_name(name).read_text()
        ast.parse(source, feature_version=(3, 6))


@pytest.mark.parametrize("folder", [False, True], ids=["nothing", "checkout"])
def test_no_extension(sources, folder):
    if folder:  # as in a checkout: a folder of the same name
        (sources / "_fastasync").mkdir()
    code, said = run("-c", IMPORT.format(pretend="", early=False), path=[sources])
    assert (code, said) == (0, (
        "ImportError: fastasync: fastasync's C extension is not built; "
        "build it with 'pip install .'.\n"
    ))


@pytest.mark.parametrize(
    "suffix",
    [
        ".cpython-310-x86_64-linux-gnu.so",
        ".cpython-399-x86_64-linux-gnu.so",
        ".cpython-313t-riscv64-linux-musl.so",
        ".cp313-win_amd64.pyd",
    ],
)
def test_an_extension_for_another_python(sources, suffix):
    (sources / f"_fastasync{suffix}").write_bytes(b"")
    code, said = run("-c", IMPORT.format(pretend="", early=False), path=[sources])
    assert (code, said) == (0, (
        "ImportError: fastasync: fastasync's C extension was built for another "
        f"Python (found _fastasync{suffix}, this Python loads "
        f"_fastasync{SUFFIXES[0]}); install fastasync with this Python's own pip.\n"
    ))


def test_an_extension_that_is_damaged(sources):
    (sources / f"_fastasync{SUFFIXES[0]}").write_bytes(b"not a library")
    code, said = run("-c", IMPORT.format(pretend="", early=False), path=[sources])
    assert code == 0 and said.count("\n") == 1
    assert "fastasync's C extension cannot be imported (" in said


def test_the_command_prints_the_sentence_and_no_traceback(sources):
    code, said = run("-m", "fastasync", "--version", path=[sources])
    assert code == 1
    assert said.count("\n") == 1 and "Traceback" not in said
    assert "fastasync's C extension is not built" in said


# -- a closed loop: asyncio's own text, of whatever is asked of it -------------------


def ignore(*args):
    pass


ASKED = {
    "call_soon": lambda loop: loop.call_soon(ignore),
    "call_soon_threadsafe": lambda loop: loop.call_soon_threadsafe(ignore),
    "call_later": lambda loop: loop.call_later(1, ignore),
    "call_at": lambda loop: loop.call_at(1, ignore),
    "run_forever": lambda loop: loop.run_forever(),
    "run_until_complete": lambda loop: loop.run_until_complete(loop.create_future()),
    "run_in_executor": lambda loop: loop.run_in_executor(None, ignore),
    "add_reader": lambda loop: loop.add_reader(0, ignore),
    "add_writer": lambda loop: loop.add_writer(0, ignore),
    "add_signal_handler": lambda loop: loop.add_signal_handler(10, ignore),
}


def closed_loop_says(loop, ask):
    loop.close()
    try:
        ask(loop)
    except Exception as error:
        return type(error), str(error)
    return None


@pytest.mark.parametrize("name", ASKED)
def test_a_closed_loop(name):
    mine = closed_loop_says(fastasync.new_event_loop(), ASKED[name])
    assert mine == closed_loop_says(asyncio.SelectorEventLoop(), ASKED[name])
    assert mine == (RuntimeError, "Event loop is closed")


def test_a_task_on_a_closed_loop():
    loop = fastasync.new_event_loop()
    loop.close()
    work = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
        loop.create_task(work)
    work.close()
    with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
        loop.run_until_complete(None)
    assert isinstance(loop, _fastasync.LoopCore)
