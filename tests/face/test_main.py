"""python -m fastasync, held against python itself."""

import os
import py_compile
import re
import signal
import subprocess
import sys
import zipfile

import pytest

ON_US = [sys.executable, "-m", "fastasync"]
ITSELF = [sys.executable]

IDENTITY = """\
import sys
print(__name__, getattr(__spec__, "name", None), __package__, __doc__,
      getattr(__loader__, "__name__", type(__loader__)),
      globals().get("__file__"), sorted(globals()))
print(sys.argv, sys.path[0], sys.path[1:] == list(sys.path)[1:], len(sys.path))
print(sys.modules["__main__"].__dict__ is globals())
"""
PROGRAMS = {
    "identity": IDENTITY,
    "module-name": "import mod, sys; print(mod.x, sys.path[0] != '')",
    "exit-none": "raise SystemExit",
    "exit-code": "import sys; sys.exit(3)",
    "exit-text": "import sys; sys.exit('a sentence')",
    "error": "def f():\n    1 / 0\n\n\nf()\n",
    "chained": "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n"
    "    raise KeyError(1) from e\n",
    "group": "raise ExceptionGroup('g', [ValueError(1), KeyError(2)])",
    "syntax": "x = = 1\n",
    "indent": "  x = 1\n",
    "interrupt": "raise KeyboardInterrupt",
    "hook": "import sys\nsys.excepthook = lambda *a: print(a[0], a[1],"
    " a[2].tb_frame.f_lineno)\n1 / 0\n",
    "pickle": "import pickle\nclass A: pass\n"
    "print(type(pickle.loads(pickle.dumps(A()))) is A)\n",
    "dataclass": "from __future__ import annotations\nimport dataclasses\n"
    "@dataclasses.dataclass\nclass A:\n    x: int = 1\nprint(A())\n",
    "atexit": "import atexit, sys\n"
    "atexit.register(lambda: print(sys.modules['__main__'].__dict__ is G))\n"
    "G = globals()\n1 / 0\n",
    "thread": "import threading, time\ndef late():\n    time.sleep(0.05)\n"
    "    print('late', VALUE)\nVALUE = 7\n"
    "threading.Thread(target=late).start()\n",
    "nested-error": "import asyncio\nasync def main():\n    raise ValueError(1)"
    "\nasyncio.run(main())\n",
    "unicode": "print('gr\u00fc\u00dfe', '\u2713')\n",
    "newline-free": "print(1)",
    "empty": "",
    "annotations": "x: int = 3\nprint(x)\n",
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mod.py").write_text("x = 'imported from beside it'\n")
    return tmp_path


def run(command, folder, **options):
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    environment |= {"PYTHON_COLORS": "0"}
    environment |= options.pop("env", {})
    options.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )
    return done.returncode, done.stdout, plain(done.stderr)


def plain(text):
    """Leave asyncio's own frames out: of those, the C loop has fewer."""
    return re.sub(
        r'  File "[^"]*asyncio[^"]*", line \d+, in \w+\n'
        r"(?:    .*\n)+",
        "",
        text,
    )


def assert_same(arguments, folder, **options):
    expected = run([*ITSELF, *arguments], folder, **options)
    got = run([*ON_US, *arguments], folder, **options)
    assert got == expected
    return got


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_script_runs_as_under_python(name, folder):
    (folder / "program.py").write_text(PROGRAMS[name], encoding="utf-8")
    assert_same(["program.py", "a", "-b", "--version"], folder)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_module_runs_as_under_python(name, folder):
    (folder / "program.py").write_text(PROGRAMS[name], encoding="utf-8")
    assert_same(["-m", "program", "a", "-b"], folder)


@pytest.mark.parametrize(
    "name", sorted(PROGRAMS.keys() - {"pickle"})
)
def test_a_string_runs_as_under_python(name, folder):
    assert_same(["-c", PROGRAMS[name], "a", "-b"], folder)


def test_an_option_and_its_value_may_be_one_word(folder):
    (folder / "program.py").write_text(PROGRAMS["identity"], encoding="utf-8")
    assert_same(["-mprogram", "a", "-b"], folder)
    assert_same(["-cimport sys; print(sys.argv)", "a", "-b"], folder)


@pytest.mark.parametrize("name", ["identity", "error", "exit-code", "empty"])
def test_standard_input_runs_as_under_python(name, folder):
    expected = run(
        [*ITSELF, "-", "a"], folder, input=PROGRAMS[name], stdin=None
    )
    got = run([*ON_US, "-", "a"], folder, input=PROGRAMS[name], stdin=None)
    # Python leaves __file__ = "<stdin>" in the program's namespace; that is
    # no file, and the program does not get it from us.
    assert (got[0], got[2]) == (expected[0], expected[2])


def test_a_script_in_an_unknown_encoding_is_a_syntax_error(folder):
    (folder / "program.py").write_text("# -*- coding: nonsense -*-\n")
    code, out, err = run([*ON_US, "program.py"], folder)
    assert (code, out) == (1, "")
    assert "SyntaxError: " in err and "nonsense" in err


def test_paths_of_scripts_are_pythons(folder):
    inner = folder / "inner"
    inner.mkdir()
    (inner / "program.py").write_text(IDENTITY)
    (inner / "mod.py").write_text("x = 1\n")
    (folder / "link.py").symlink_to("inner/program.py")
    for path in ("inner/program.py", str(inner / "program.py"), "link.py"):
        assert_same([path], folder)


def test_a_folder_or_zip_with_a_main_runs(folder):
    package = folder / "app"
    package.mkdir()
    (package / "__main__.py").write_text("import beside\n" + IDENTITY)
    (package / "beside.py").write_text("print('beside')\n")
    with zipfile.ZipFile(folder / "app.zip", "w") as archive:
        archive.write(package / "__main__.py", "__main__.py")
        archive.write(package / "beside.py", "beside.py")
    assert "beside" in assert_same(["app", "x"], folder)[1]
    assert "beside" in assert_same(["app.zip", "x"], folder)[1]
    (package / "__main__.py").unlink()
    assert assert_same(["app"], folder)[0] == 1


def test_a_package_runs_by_its_main(folder):
    package = folder / "app"
    package.mkdir()
    (package / "__init__.py").write_text("print(__name__)\n")
    (package / "__main__.py").write_text("from . import x\n" + IDENTITY)
    (package / "x.py").write_text("print(__name__)\n")
    assert "app.x" in assert_same(["-m", "app", "y"], folder)[1]


def test_a_compiled_file_runs(folder):
    (folder / "program.py").write_text(IDENTITY)
    py_compile.compile(str(folder / "program.py"), str(folder / "p.pyc"))
    assert_same(["p.pyc"], folder)


@pytest.mark.parametrize(
    "arguments", [["nothing.py"], ["-m", "nothing"], ["-m", "mod.nothing"]]
)
def test_what_cannot_be_found_is_told_as_python_does(arguments, folder):
    code, out, err = assert_same(arguments, folder)
    assert code and not out and len(err.splitlines()) == 1


def test_a_script_that_may_not_be_read(folder):
    (folder / "program.py").mkdir()
    code, _, err = run([*ON_US, "program.py"], folder)
    assert code == 1 and "can't find '__main__' module in" in err


@pytest.mark.parametrize(
    "options", [["-P"], ["-X", "dev"], ["-W", "error"], ["-O"]], ids=" ".join
)
def test_options_of_python_are_honoured(options, folder):
    (folder / "program.py").write_text(
        "import sys\nprint(sys.flags, sys.path[0], __debug__)\n"
        "import asyncio\nasync def main():\n"
        "    print(asyncio.get_running_loop().get_debug())\n"
        "asyncio.run(main())\n"
    )
    expected = run([sys.executable, *options, "program.py"], folder)
    got = run([sys.executable, *options, "-m", "fastasync", "program.py"], folder)
    if options == ["-P"]:  # sys.path[0] is the first entry of the library
        assert got[0] == expected[0] == 0
        assert got[1].split()[-2:] == expected[1].split()[-2:]
    else:
        assert got == expected


USES_US = """\
import asyncio, sys

async def main():
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(asyncio.sleep(0, "slept"))
    print(type(loop).__module__, type(task).__module__, await task, sys.argv)

asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["script", "module", "string", "stdin"])
def test_the_program_runs_on_us_unchanged(how, folder):
    (folder / "program.py").write_text(USES_US)
    arguments = {
        "script": ["program.py"],
        "module": ["-m", "program"],
        "string": ["-c", USES_US],
        "stdin": ["-"],
    }[how]
    command = [sys.executable, "-W", "error", "-m", "fastasync", *arguments]
    options = {"input": USES_US, "stdin": None} if how == "stdin" else {}
    code, out, err = run([*command, "x"], folder, **options)
    assert (code, err) == (0, "")
    assert out.startswith("fastasync _fastasync slept ")


def test_multiprocessing_can_spawn_from_a_script(folder):
    (folder / "program.py").write_text(
        "import multiprocessing\n"
        "def double(x):\n    return 2 * x\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('spawn')\n"
        "    with context.Pool(1) as pool:\n"
        "        print(pool.map(double, [1, 2]))\n"
    )
    assert assert_same(["program.py"], folder)[1] == "[2, 4]\n"


def test_an_interrupt_ends_it_as_it_ends_python(folder):
    (folder / "program.py").write_text(
        "import asyncio\nasync def main():\n    print('up', flush=True)\n"
        "    await asyncio.sleep(100)\nasyncio.run(main())\n"
    )
    codes = []
    for command in (ITSELF, ON_US):
        child = subprocess.Popen(
            [*command, "program.py"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdout.readline() == "up\n"
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=30)
        assert err.rstrip().endswith("KeyboardInterrupt")
        assert "fastasync/__main__" not in err
        codes.append(child.returncode)
    assert codes[0] == codes[1] == -signal.SIGINT


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(option, folder):
    code, out, err = run([*ON_US, option], folder)
    assert (code, err) == (0, "")
    assert out.startswith("usage: python -m fastasync program.py")


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(option, folder):
    code, out, err = run([*ON_US, option], folder)
    assert (code, err) == (0, "")
    assert re.fullmatch(r"fastasync \d+\.\d+\.\d+ \(CPython 3\.\S+\)\n", out)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["-x"], "unknown option -x "),
        (["--nonsense", "1"], "unknown option --nonsense "),
        (["-m"], "the option -m needs an argument "),
        (["-c"], "the option -c needs an argument "),
    ],
)
def test_a_wrong_command_line_is_one_sentence(arguments, words, folder):
    code, out, err = run([*ON_US, *arguments], folder)
    assert (code, out) == (2, "")
    assert err.startswith(words) and len(err.splitlines()) == 1
