"""The comparison must notice whatever can go wrong, and so must the child.

The suites themselves are not run here: `make suites` does that.
"""

import importlib.util
import json
import signal
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from suites import page, results, run
from suites.expected import EXPECTED, Expected
from suites.results import WHOLE, Outcome, Proof, Run
from suites.table import SUITES, LeftOut, OwnLoops, Suite
from suites.workshop import Workshop

HERE = Path(__file__).resolve().parent
DRIVE = HERE / "drive.py"

SUITE = Suite("demo", "1.0", "", ["tests"], 1)


def run_of(mode="policy", end=0, **statuses):
    """Make a Run; a test's loops are of its mode."""
    lines = []
    for test, status in statuses.items():
        loops = {"ours": 1, "ran": 1, "other": 0}
        if mode == "asyncio":
            loops = {"ours": 0, "ran": 0, "other": 1}
        lines.append({"start": test})
        lines.append(
            {"test": test, "status": status, "text": "why", "loops": loops}
        )
    if end is not None:
        lines.append({"end": end})
    return results.read([json.dumps(line) for line in lines], mode)


def names(found):
    return [entry.test for entry in found]


# -- reading ----------------------------------------------------------------


def test_read_counts():
    found = run_of(a="passed", b="failed", c="skipped", d="xfailed", end=1)
    assert found.count("passed", "xfailed") == 2
    assert found.count("failed") == 1
    assert found.loops() == (4, 4, 0)
    assert found.outcomes[WHOLE].status == "failed"


def test_a_test_that_takes_the_process_down_is_lost():
    lines = ['{"start": "a"}', '{"test": "a", "sta']
    found = results.read(lines, "policy")
    assert found.outcomes["a"].status == "lost"
    assert found.outcomes[WHOLE].status == "failed"


def test_brackets_in_ids_are_no_globs():
    assert results.matches("t.py::test_x[a-b]", "t.py::test_x[a-b]")
    assert results.matches("t.py::test_x[a-b]", "t.py::test_*")
    assert not results.matches("t.py::test_xa", "t.py::test_x[a-b]")


# -- comparing --------------------------------------------------------------


@pytest.mark.parametrize(
    "before, after, differs",
    [
        ("passed", "passed", False),
        ("passed", "failed", True),
        ("passed", "error", True),
        ("passed", "skipped", True),
        ("passed", "xfailed", False),
        ("xfailed", "xpassed", True),
        ("failed", "failed", False),
        ("failed", "passed", False),
        ("skipped", "skipped", False),
        ("skipped", "passed", False),
        ("skipped", "failed", True),
    ],
)
def test_differences(before, after, differs):
    found = results.differences(run_of("asyncio", a=before), run_of(a=after))
    assert names(found) == (["a"] if differs else [])


def test_missing_and_new_tests():
    base = run_of("asyncio", gone="passed", failing="failed", end=1)
    here = run_of(fresh="failed", fine="passed", end=1)
    assert names(results.differences(base, here)) == ["gone", "fresh"]


def test_the_exit_status_counts_when_no_test_explains_it():
    base = run_of("asyncio", a="passed")
    assert names(results.differences(base, run_of(a="passed", end=1))) == [
        WHOLE
    ]
    assert names(results.differences(base, run_of(a="failed", end=1))) == ["a"]


def test_gains():
    base = run_of("asyncio", a="failed", b="failed", c="passed")
    here = run_of(a="passed", b="failed", c="passed")
    assert results.gains(base, here) == ["a"]


def test_listed_differences_do_not_count():
    base = run_of("asyncio", aa="passed", ab="passed")
    found = results.differences(base, run_of(aa="failed", ab="failed"))
    entries = [
        Expected("demo", "aa", "a reason"),
        Expected("demo", "ab", "for the other mode", ["install"]),
        Expected("other", "ab", "of another suite"),
    ]
    results.excuse(found, SUITE, entries)
    assert [entry.counts for entry in found] == [False, True]


def test_entries_that_nothing_needs_are_stale():
    base = run_of("asyncio", aa="passed", ab="passed")
    found = results.differences(base, run_of(aa="failed", ab="passed"))
    entries = [
        Expected("demo", "aa", "needed"),
        Expected("demo", "ab", "stale"),
        Expected("demo", "ab", "comes and goes", sometimes=True),
        Expected("demo", "ab", "not run", ["install"]),
        Expected("other", "ab", "of another suite"),
    ]
    results.excuse(found, SUITE, entries)
    problems = results.stale(found, SUITE, entries, ["policy"])
    assert problems == ["expected.py: ab does not differ in mode policy"]


# -- proof ------------------------------------------------------------------


def proof_of(suite, base, here):
    proof = Proof()
    proof.check(suite, base, here)
    return proof.problems


def test_proof():
    base = run_of("asyncio", a="passed", b="passed")
    assert proof_of(SUITE, base, run_of(a="passed", b="passed")) == []


def test_a_test_without_a_loop_of_ours_proves_nothing():
    base = run_of("asyncio", a="passed", b="passed")
    here = run_of(a="passed", b="passed")
    here.outcomes["b"] = Outcome("passed")
    assert proof_of(SUITE, base, here) == [
        "[policy] b made no loop of fastasync"
    ]


def test_a_test_on_asyncios_loop_has_to_be_listed():
    base = run_of("asyncio", a="passed", b="passed")
    here = run_of(a="passed", b="passed")
    here.outcomes["b"] = Outcome("passed", other=1)
    assert proof_of(SUITE, base, here) == [
        "[policy] b made a loop of asyncio's"
    ]
    suite = replace(SUITE, own_loops=[OwnLoops("b", "by name")])
    assert proof_of(suite, base, here) == []
    suite = replace(SUITE, own_loops=[OwnLoops("b", "by name", ["install"])])
    assert proof_of(suite, base, here) != []


def test_a_run_on_asyncio_proves_nothing():
    base = run_of("asyncio", a="passed")
    here = Run("policy", dict(base.outcomes))
    assert "[policy] no loop of fastasync ever ran" in proof_of(
        SUITE, base, here
    )
    assert proof_of(SUITE, here, here) != []


# -- what is told ------------------------------------------------------------


def compared(version="3.14.1"):
    """Return what a suite's runs in both modes come to."""
    runs = {"asyncio": run_of("asyncio", a="passed", b="passed")}
    runs["policy"] = run_of(a="passed", b="failed", end=1)
    found = results.differences(runs["asyncio"], runs["policy"])
    return page.result(version, runs, found)


def test_a_result():
    modes = compared()["modes"]
    assert modes["asyncio"]["passed"] == 2
    assert modes["asyncio"]["other"] == 2
    assert modes["policy"]["passed"] == modes["policy"]["failed"] == 1
    assert modes["policy"]["ours"] == modes["policy"]["ran"] == 2
    assert modes["policy"]["differences"] == 1


def test_the_page(tmp_path):
    for version in ("3.9", "3.14"):
        (tmp_path / version / "demo").mkdir(parents=True)
        told = compared(f"{version}.1")
        page.save(tmp_path / version / "demo", told)
    del told["modes"]["policy"]
    page.save(tmp_path / version / "demo", told)  # the other mode is kept
    rows = page.table(tmp_path, [("demo", "1.0"), ("absent", "1")])
    rows = [
        [cell.strip() for cell in row[1:-1].split("|")]
        for row in rows.splitlines()
    ]
    assert len({len(row) for row in rows}) == 1
    assert [row[2] for row in rows[2:]] == ["3.9.1", "", "3.14.1", ""]
    assert [row[3] for row in rows[2:4]] == ["asyncio", "policy"]
    assert rows[3][-1] == "1"


def test_the_page_has_its_own_order_of_modes(tmp_path):
    (tmp_path / "3.14" / "demo").mkdir(parents=True)
    told = compared()
    told["modes"]["install"] = told["modes"].pop("policy")
    page.save(tmp_path / "3.14" / "demo", told)
    page.save(tmp_path / "3.14" / "demo", compared())  # policy, as the last
    rows = page.table(tmp_path, [("demo", "1.0")]).splitlines()[2:]
    modes = [row.split("|")[4].strip() for row in rows]
    assert modes == ["asyncio", "policy", "install"]


def test_the_summary(capsys):
    base = run_of("asyncio", a="passed", b="passed")
    report = run.Report(SUITE, "3.14.1", {"asyncio": base, "policy": base})
    run.summary([report])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].split()[:6] == "demo 1.0 3.14.1 policy 2 0".split()


# -- the tables -------------------------------------------------------------


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_the_table(suite):
    assert len(suite.sha256) == 64
    assert all(entry.reason for entry in [*suite.left_out, *suite.own_loops])
    pins = (HERE / "requirements" / f"{suite.name}.txt").read_text()
    for line in pins.splitlines():
        assert "==" in line, line
        assert not line.startswith("uvloop")


def test_expected_names_suites():
    assert {entry.suite for entry in EXPECTED} <= {s.name for s in SUITES}
    assert all(entry.reason for entry in EXPECTED)


def test_what_is_left_out():
    suite = replace(
        SUITE,
        left_out=[
            LeftOut("-m network", "far away"),
            LeftOut("trio", "another backend"),
            LeftOut("ipv6", "not here", lambda: True),
            LeftOut("never", "never", lambda: False),
        ],
    )
    options = ["-m", "not (network)", "-k", "not (trio or ipv6)"]
    assert run.pytest_options(suite) == options
    assert run.pytest_options(SUITE) == []


def test_what_is_removed_of_an_sdist(tmp_path, monkeypatch):
    """Tests are to import what is installed, not what lies beside them."""
    sdist = tmp_path / "demo-1.0.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        for name in ("demo/__init__.py", "tests/test_demo.py", "pytest.ini"):
            archive.addfile(tarfile.TarInfo(f"demo-1.0/{name}"))
    workshop = Workshop(sys.executable)
    workshop.folder = tmp_path / "cache"
    monkeypatch.setattr(workshop, "sdist", lambda suite: sdist)
    for removed, left in ((), "demo"), (("demo",), None):
        folder = workshop.copy(replace(SUITE, removed=removed), "asyncio")
        names = sorted(path.name for path in (folder / "demo-1.0").iterdir())
        assert names == [left, "pytest.ini", "tests"][left is None:]


# -- the child --------------------------------------------------------------

PYTEST_FILE = """
import asyncio
import unittest

import pytest

async def nothing():
    await asyncio.sleep(0)

def test_loop():
    asyncio.run(nothing())

def test_stock():
    loop = asyncio.SelectorEventLoop()
    loop.close()

def test_fails():
    assert 1 == 2

def test_skips():
    pytest.skip("not today")

@pytest.mark.xfail
def test_xfails():
    assert 1 == 2

@pytest.fixture
def broken():
    raise ValueError("no")

def test_error(broken):
    pass
"""

UNITTEST_FILE = """
import asyncio
import unittest

class Case(unittest.TestCase):
    def test_loop(self):
        asyncio.run(asyncio.sleep(0))

    def test_stock(self):
        asyncio.SelectorEventLoop().close()

    def test_fails(self):
        self.assertEqual(1, 2)

    def test_skips(self):
        self.skipTest("not today")

    @unittest.expectedFailure
    def test_xfails(self):
        self.assertEqual(1, 2)

    def test_error(self):
        raise ValueError("no")

    def test_sub(self):
        for number in range(3):
            with self.subTest(number=number):
                self.assertNotEqual(number, 1)

unittest.main()
"""

STATUSES = {
    "test_loop": "passed",
    "test_stock": "passed",
    "test_fails": "failed",
    "test_skips": "skipped",
    "test_xfails": "xfailed",
    "test_error": "error",
}

drives = pytest.mark.skipif(
    importlib.util.find_spec("uvloop") is not None,
    reason="drive.py refuses to work where uvloop might be chosen",
)


def drive(folder, mode, *arguments):
    report = folder / "report"
    command = [sys.executable, str(DRIVE), mode, str(report), *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    assert report.exists(), done.stdout + done.stderr
    lines = report.read_text().splitlines()
    return results.read(lines, mode), done.returncode


def by_name(found):
    return {
        test.replace("::", ".").rsplit(".", 1)[-1]: outcome
        for test, outcome in found.outcomes.items()
        if test != WHOLE
    }


@drives
@pytest.mark.parametrize("mode", ["asyncio", "policy", "install"])
@pytest.mark.parametrize("framework", ["pytest", "unittest"])
def test_drive(tmp_path, mode, framework):
    if framework == "pytest":
        (tmp_path / "test_demo.py").write_text(PYTEST_FILE)
        arguments = ["-p", "no:cacheprovider", "test_demo.py"]
        expected = STATUSES
    else:
        (tmp_path / "demo.py").write_text(UNITTEST_FILE)
        arguments = ["demo"]
        expected = {**STATUSES, "test_sub": "failed"}
    found, status = drive(tmp_path, mode, framework, *arguments)
    outcomes = by_name(found)
    assert {name: o.status for name, o in outcomes.items()} == expected
    assert status == 1 and found.outcomes[WHOLE].status == "failed"
    loop, stock = outcomes["test_loop"], outcomes["test_stock"]
    ours = mode != "asyncio"
    assert (loop.ours, loop.ran, loop.other) == (ours, ours, not ours)
    assert (stock.ours, stock.ran, stock.other) == (0, 0, 1)
    assert "1 == 2" in outcomes["test_fails"].text or framework == "unittest"


@drives
def test_drive_survives_the_death_of_its_process(tmp_path):
    (tmp_path / "test_demo.py").write_text(
        "import os\ndef test_first():\n    pass\ndef test_dies():\n    os._exit(3)\n"
    )
    found, status = drive(tmp_path, "policy", "pytest", "test_demo.py")
    assert status == 3
    statuses = {name: o.status for name, o in by_name(found).items()}
    assert statuses == {"test_first": "passed", "test_dies": "lost"}
    assert found.outcomes[WHOLE].status == "failed"


@drives
def test_drive_collection_error(tmp_path):
    (tmp_path / "test_demo.py").write_text("import there_is_no_such_thing\n")
    found, _ = drive(tmp_path, "install", "pytest", "test_demo.py")
    (test,) = names_without_whole(found)
    assert test.startswith("collection of")
    assert found.outcomes[test].status == "error"


def names_without_whole(found):
    return [test for test in found.outcomes if test != WHOLE]


@drives
def test_ctrl_c_works_though_a_shell_started_it_in_the_background(tmp_path):
    (tmp_path / "test_demo.py").write_text(
        "import os, signal, subprocess, sys, pytest\n"
        "SUICIDE = 'import os, signal; os.kill(os.getpid(), signal.SIGINT)'\n"
        "def test_here():\n"
        "    with pytest.raises(KeyboardInterrupt):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "def test_in_a_child():\n"
        "    done = subprocess.run([sys.executable, '-c', SUICIDE])\n"
        "    assert done.returncode\n"
    )
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        arguments = ["-p", "no:cacheprovider", "test_demo.py"]
        found, status = drive(tmp_path, "asyncio", "pytest", *arguments)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (status, found.count("passed")) == (0, 2)


@drives
@pytest.mark.parametrize("mode", ["asyncio", "policy", "install"])
def test_pythons_that_a_test_starts_are_ours_in_mode_install(tmp_path, mode):
    (tmp_path / "test_demo.py").write_text(
        "import os\n"
        "def test_environment():\n"
        f"    told = {'1' if mode == 'install' else None!r}\n"
        "    assert os.environ.get('FASTASYNC_INSTALL') == told\n"
    )
    arguments = ["-p", "no:cacheprovider", "test_demo.py"]
    found, status = drive(tmp_path, mode, "pytest", *arguments)
    assert (status, found.count("passed")) == (0, 1)
