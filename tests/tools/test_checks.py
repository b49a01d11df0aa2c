"""The checks of tools/ find what they are for, and pass what is right."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def load(name):
    """Import a script of tools/, where they import each other by name."""
    sys.path.insert(0, str(TOOLS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(TOOLS))


@pytest.fixture
def write(tmp_path):
    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


GOOD_LAYERS = {
    "base/common.h": "",
    "base/list.h": '#include "base/common.h"\n',
    "base/compat.h": "#include <Python.h>\n",
    "os/os.h": '#include "base/common.h"\n',
    "os/sock.c": '#include "os/os.h"\n#include "base/list.h"\n',
    "loop/loop.h": '#include "base/compat.h"\n#include "os/os.h"\n',
    "loop/private.h": "",
    "loop/run.c": '#include "loop/private.h"\n#include "loop/loop.h"\n',
    "task/task.h": '#include "loop/loop.h"\n',
    "net/net.h": '#include "task/task.h"\n',
    "sync/sync.h": '#include "task/task.h"\n/* #include "net/net.h" */\n',
    "module.c": '#include "net/net.h"\n',
    "onefile.c": '#include "base/compat.h"\n#include "os/sock.c"\n'
    '#include "loop/run.c"\n#include "module.c"\n',
}


def test_layers_passes_what_goes_one_way(write):
    assert load("check_layers").check(write(GOOD_LAYERS)) == []


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("loop/run.c", '#include "task/task.h"', "task/ is above loop/"),
        ("sync/lock.h", '#include "net/net.h"', "net/ is a sibling of sync/"),
        ("base/ring.h", '#include "os/os.h"', "os/ is above base/"),
        ("task/step.c", '#include "loop/private.h"', "not the door of loop/"),
        ("os/sock.c", '#include "base/compat.h"', "os/ knows no Python"),
        ("os/sock.c", "#include <Python.h>", "os/ knows no Python"),
        ("task/step.c", '#include "task.h"', "name the room"),
        ("task/step.c", '#  include  "attic/a.h"', "there is no room attic/"),
        ("attic/a.c", "", "there is no room attic/"),
        ("module.c", '#include "loop/private.h"', "not the door of loop/"),
    ],
)
def test_layers_finds(name, text, words, write):
    files = {k: v for k, v in GOOD_LAYERS.items() if k != "onefile.c"}
    found = load("check_layers").check(write(files | {name: text + "\n"}))
    assert len(found) == 1 and words in found[0]
    assert found[0].startswith(name)


@pytest.mark.parametrize(
    "text, words",
    [
        ('#include "os/sock.c"\n#include "module.c"\n', "not include loop/run"),
        (
            '#include "loop/run.c"\n#include "os/sock.c"\n#include "module.c"',
            "not in layer order",
        ),
        (
            '#include "os/sock.c"\n#include "os/sock.c"\n'
            '#include "loop/run.c"\n#include "module.c"',
            "more than once",
        ),
        (
            '#include "os/sock.c"\n#include "loop/run.c"\n'
            '#include "loop/gone.c"\n#include "module.c"',
            "does not exist",
        ),
    ],
)
def test_layers_checks_onefile(text, words, write):
    found = load("check_layers").check(write(GOOD_LAYERS | {"onefile.c": text}))
    assert len(found) == 1 and words in found[0]


def test_layers_opens_side_doors_while_they_are_used(write, monkeypatch):
    layers = load("check_layers")
    monkeypatch.setattr(layers, "SIDE_DOORS", {"loop/private.h": "a reason"})
    root = write(GOOD_LAYERS | {"task/a.c": '#include "loop/private.h"\n'})
    assert [p for p in layers.check(root) if "onefile" not in p] == []
    assert list(layers.check_side_doors(root)) == []
    (root / "task/a.c").write_text("")
    assert len(list(layers.check_side_doors(root))) == 1


C_FILE = """\
/* An essay with a {
} in it. */
#include "base/common.h"

static int
short_one(int a)
{
    return a;
}

struct thing {
    int field;
};

FA_INTERNAL PyObject *
long_one(PyObject *self,
         PyObject *other)
{
%s}
"""


def test_sizes_measures_c_functions():
    sizes = load("check_sizes")
    functions = dict(sizes.c_functions(C_FILE % ("    x();\n" * 70)))
    assert functions == {"short_one": 3, "long_one": 72}


def test_sizes_measures_python_functions():
    text = "def a():\n    pass\n\nclass B:\n    async def b(self):\n        1\n"
    assert dict(load("check_sizes").python_functions(text)) == {"a": 2, "b": 2}


def test_sizes_judges_limits_and_exceptions():
    sizes = load("check_sizes")
    pieces = [
        sizes.Piece("a.c", "", 800),
        sizes.Piece("b.c", "", 801),
        sizes.Piece("a.c", "f", 60),
        sizes.Piece("a.c", "g", 61),
        sizes.Piece("a.c", "h", 75),
    ]
    allowed = {"a.c h": 70, "a.c f": 90}
    assert list(sizes.judge(pieces, allowed)) == [
        "b.c: 801 lines, at most 800",
        "a.c g: 61 lines, at most 60",
        "a.c h: 75 lines, at most 70",
        "size_exceptions.txt: a.c f needs no exception any more",
    ]


def test_sizes_reads_exceptions_with_reasons_only():
    sizes = load("check_sizes")
    text = "# comment\n\na/b.c f: at most 70 lines: one screen, one story\n"
    assert sizes.read_exceptions(text) == {"a/b.c f": 70}
    with pytest.raises(SystemExit):
        sizes.read_exceptions("a/b.c f: at most 70 lines:\n")


def test_sizes_wants_nine_in_ten_short():
    sizes = load("check_sizes")
    assert list(sizes.judge_share([40] * 9 + [41])) == []
    assert len(list(sizes.judge_share([40] * 8 + [41] * 2))) == 1


GOOD_C = """\
/* PY_VERSION_HEX is told of here only. */
static const int limits[] = {1, 2};
static const char *const names[] = {"static int x;"};
static PyMethodDef methods[] = {{NULL}};
static PyObject *
with_callback(PyObject *const *args, int (*callback)(int))
{
    return NULL;
}
static int
function(void)
{
    static const char text[] = "x";
    return 0;
}
"""


def test_compat_passes_what_is_right(write):
    root = write(
        {"base/compat.h": "#if PY_VERSION_HEX > 1\n#endif\n", "a/b.c": GOOD_C}
    )
    assert load("check_compat").check(root) == []


@pytest.mark.parametrize(
    "text, words",
    [
        ("#if PY_VERSION_HEX >= 0x030c0000\n#endif\n", "PY_VERSION_HEX belongs"),
        ("#ifdef Py_GIL_DISABLED\n#endif\n", "Py_GIL_DISABLED belongs"),
        ("static int counter;\n", "a static that can change"),
        ("static PyObject *cache = NULL;\n", "a static that can change"),
        ("static int (*hook)(void);\n", "a static that can change"),
        ("static const char *names[] = {0};\n", "a static that can change"),
        ("int f(void)\n{\n    static int n = 0;\n}\n", "a static that can"),
    ],
)
def test_compat_finds(text, words, write):
    found = load("check_compat").check(write({"a/b.c": text}))
    assert len(found) == 1 and words in found[0]


def numbered(lines):
    return list(enumerate(lines, 1))


def test_duplicates_finds_a_long_run_once():
    find = load("check_duplicates").find
    run = [f"line {n}" for n in range(20)]
    files = {
        "a": numbered(["x", *run, "y"]),
        "b": numbered(["z", *run, "w"]),
    }
    assert list(find(files)) == [(("a", 1), ("b", 1), 20)]


def test_duplicates_finds_a_run_within_one_file():
    find = load("check_duplicates").find
    run = [f"line {n}" for n in range(12)]
    assert list(find({"a": numbered([*run, "x", *run])})) == [
        (("a", 0), ("a", 13), 12)
    ]


def test_duplicates_passes_short_runs_and_repetition():
    find = load("check_duplicates").find
    run = [f"line {n}" for n in range(11)]
    assert list(find({"a": numbered(run), "b": numbered(run)})) == []
    assert list(find({"a": numbered(["same"] * 20)})) == []


def test_duplicates_leaves_out_what_is_thin(tmp_path):
    path = tmp_path / "a.c"
    path.write_text('#include "x.h"\n\n/* a\n b */\n{\n  a =  1;\n}\n')
    assert load("check_duplicates").lines_of(path) == [(6, "a = 1;")]


LEAKS = """\
import os

import fastasync

kept = []

def test_clean():
    loop = fastasync.new_event_loop()
    loop.create_future()
    loop.close()

def test_references():
    loop = fastasync.new_event_loop()
    kept.append(loop.create_future())
    loop.close()

def test_objects():
    kept.append([])

def test_files():
    os.dup(2)

def test_failing():
    assert not kept
"""


def test_leaks_finds_what_tests_leave_behind(tmp_path):
    script = tmp_path / "test_script.py"
    script.write_text(LEAKS)
    done = subprocess.run(
        [sys.executable, TOOLS / "leaks.py", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "4 failed, 1 passed" in done.stdout
    assert "references to the type Future grow" in done.stdout
    assert "open files grow" in done.stdout
    assert "objects grow" in done.stdout
    assert "assert not kept" in done.stdout
