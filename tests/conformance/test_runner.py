"""The runner itself: it must notice everything that can go wrong.

The rulings are tested on plain data. The children are tested with a saboteur
in place of fastasync: the stand-in loop, made to crash, hang, leak or hide in
one test of a small file.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from harness import judge, targets  # noqa: E402
from harness.pool import FileRun, Pool  # noqa: E402
from harness.targets import PREFIX, Target, TargetList  # noqa: E402
from harness.wire import Job, Outcome  # noqa: E402
from skips import MODES, SKIPS, Skip  # noqa: E402

VERSION = (3, 13)
FILE = "test_pep492"
CULPRIT = "CoroutineTests.test_double_await"
HANG_LIMIT = 6.0  # seconds; the tests of FILE take milliseconds

needs_test_package = pytest.mark.skipif(
    importlib.util.find_spec("test") is None
    or importlib.util.find_spec("test.test_asyncio") is None,
    reason="this interpreter comes without the test package",
)


# The rulings.


def _target(name: str = "A.test_x", kind: str = "loop") -> Target:
    return Target(kind, f"{PREFIX}test_some.{name}")


def _report(
    status: str | None, *skips: Skip, exact: bool = True
) -> judge.FileReport:
    run = FileRun("policy", "test_some")
    target = _target()
    if status is not None:
        run.outcomes[target.id] = Outcome(target.id, status)
    return judge.judge_file(run, [target], skips, VERSION, exact)


ENTRY = Skip("test_some.A.*", "R3", "a private method")


@pytest.mark.parametrize(
    "status",
    "fail error skip unexpected unproven altered crash hang lost missing".split(),
)
def test_whatever_is_not_ok_fails_unless_listed(status: str) -> None:
    report = _report(status)
    assert report.counts == {"failed": 1}
    assert not report.green
    listed = _report(status, ENTRY)
    assert listed.counts == {"listed": 1}
    assert listed.green


def test_a_passing_test_is_ok_and_stale_when_listed() -> None:
    assert _report("ok").green
    stale = _report("ok", ENTRY)
    assert stale.counts == {"stale": 1}
    assert not stale.green


def test_a_test_nobody_reported_fails() -> None:
    assert _report(None).counts == {"failed": 1}


def test_a_listed_hang_need_not_run() -> None:
    entry = Skip("test_some.*", "R3", "waits for ever", hangs=True)
    assert _report(None, entry).counts == {"listed": 1}


@pytest.mark.parametrize(
    "entry",
    [
        Skip("test_some.*", "R3", "other mode", modes=("namespace",)),
        Skip("test_some.*", "R3", "other version", first=(3, 14)),
        Skip("test_some.*", "R3", "other version", last=(3, 12)),
        Skip("test_other.*", "R3", "other file"),
    ],
)
def test_an_entry_excuses_only_what_it_names(entry: Skip) -> None:
    assert _report("fail", entry).counts == {"failed": 1}
    assert _report("ok", entry).counts == {"ok": 1}


def test_another_patch_release_may_lack_an_id() -> None:
    report = _report("missing", exact=False)
    assert report.counts == {"absent": 1}
    problems = judge.judge_counts([report], "policy")
    assert problems == [
        "policy: 1 of 1 target ids are not in this interpreter's test suite"
    ]


def test_a_problem_of_the_file_fails_it() -> None:
    report = _report("ok")
    report.problems.append("after the last test: killed by SIGSEGV")
    assert not report.green


def test_a_short_count_is_a_problem() -> None:
    problems = judge.judge_counts([_report(None)], "policy")
    assert problems == ["policy: only 0 of 1 promised tests ran"]
    assert judge.judge_counts([_report("fail")], "policy") == []


def test_an_entry_without_a_target_is_a_problem() -> None:
    listed = TargetList("3.13.0", (_target(),))
    assert judge.judge_list([ENTRY], listed, VERSION) == []
    lost = Skip("test_gone.*", "R1", "renamed")
    assert judge.judge_list([lost], listed, VERSION) == [
        "skips.py: 'test_gone.*' matches no target id"
    ]
    old = Skip("test_gone.*", "R1", "renamed", last=(3, 12))
    assert judge.judge_list([old], listed, VERSION) == []


def test_growth_is_what_grows_every_round() -> None:
    rounds = [
        {"fds": 4, "loops": 1, "tasks": 3, "(blocks)": 10},
        {"fds": 5, "loops": 1, "tasks": 4, "(blocks)": 11},
        {"fds": 6, "loops": 1, "tasks": 3, "(blocks)": 12},
    ]
    grown = judge.growth(rounds)
    assert grown == {"fds": [4, 5, 6], "(blocks)": [10, 11, 12]}
    assert judge.judged(grown) == {"fds": [4, 5, 6]}
    assert judge.growth(rounds[:1]) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": "R9"},
        {"text": " "},
        {"modes": ("policies",)},
        {"modes": ()},
        {"first": (3, 14), "last": (3, 12)},
    ],
)
def test_a_sloppy_entry_is_refused(wrong: dict[str, object]) -> None:
    good: dict[str, object] = {"tests": "x", "reason": "R1", "text": "why"}
    with pytest.raises(ValueError, match="x: "):
        Skip(**{**good, **wrong})  # type: ignore[arg-type]


# The lists.


@pytest.mark.parametrize("minor", range(11, 16))
def test_each_version_has_a_list(minor: int) -> None:
    listed = targets.load((3, minor))
    ids = [target.id for target in listed.targets]
    assert len(ids) == len(set(ids)) > 1600
    assert judge.judge_list(SKIPS, listed, (3, minor)) == []


def test_selection() -> None:
    listed = targets.load((3, 13))
    chosen = listed.select(["test_tasks.py"], "*.test_gather*")
    assert list(chosen) == ["test_tasks"]
    assert all("test_gather" in t.id for t in chosen["test_tasks"])
    with pytest.raises(targets.TargetError, match="no targets in test_nosuch"):
        listed.select(["test_nosuch"])
    with pytest.raises(targets.TargetError, match="no target id matches"):
        listed.select(pattern="nothing like this")


@pytest.mark.parametrize("line", ["loop", "loops x", "loop test_tasks.A.b"])
def test_a_malformed_list_is_refused(line: str) -> None:
    with pytest.raises(targets.TargetError, match="malformed"):
        targets.parse([line], "3.13.0")


# The command line.


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / "run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_test_package
def test_wrong_use_exits_with_2() -> None:
    process = _command("--file", "test_nosuch")
    assert process.returncode == 2
    assert "no targets in test_nosuch" in process.stderr


def test_a_python_without_the_test_package_exits_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadow = tmp_path / "test"
    shadow.mkdir()
    (shadow / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    process = _command("--implementation", "asyncio")
    assert process.returncode == 3
    assert "comes without test.test_asyncio" in process.stderr


@needs_test_package
def test_json_and_exit_status_agree_with_the_table(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    process = _command(
        *("--implementation", "asyncio", "--mode", "policy"),
        *("--file", FILE, "--json", str(path), "--jobs", "1"),
    )
    assert process.returncode == 0, process.stdout + process.stderr
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data["green"] is True
    (file,) = data["files"]
    wanted = len(targets.load().select([FILE])[FILE])
    assert file["counts"] == {"ok": wanted, "skipped": 0}
    assert file["made"]["loops"] >= wanted
    assert "all promises kept" in process.stdout


# The children.

SABOTEUR = """
import os, sys, time
from harness import standin

EventLoopPolicy = standin.EventLoopPolicy
hoard = []


def in_culprit():
    frame = sys._getframe()
    while frame is not None:
        test = frame.f_locals.get("self")
        if getattr(test, "_testMethodName", "") == "test_double_await":
            return True
        frame = frame.f_back
    return False


class Loop(standin.Loop):
    def __new__(cls, *args, **kwargs):
        if in_culprit():
            {deed}
        return super().__new__(cls)


def new_event_loop():
    return Loop()
"""

DEEDS = {
    "crash": "os.abort()",
    "hang": "time.sleep(3600)",
    "error": "raise ZeroDivisionError('sabotage')",
    "unproven": "return standin.Loop()",
    "quiet": "os._exit(0)",
}


def _sabotaged(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    deed: str,
    mode: str = "namespace",
    leak_rounds: int = 0,
    source: str = SABOTEUR,
) -> FileRun:
    path = tmp_path / "saboteur.py"
    path.write_text(source.format(deed=deed), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    chosen = targets.load().select([FILE])[FILE]
    kinds = {target.id: target.kind for target in chosen}
    job = Job("saboteur", mode, FILE, kinds, "", HANG_LIMIT, leak_rounds)
    return Pool(1).run([job], lambda run: None)[0]


@needs_test_package
@pytest.mark.parametrize("mode", MODES)
def test_an_honest_loop_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    run = _sabotaged(tmp_path, monkeypatch, "pass", mode)
    assert run.problems == []
    assert {o.status for o in run.outcomes.values()} == {"ok"}
    assert all(o.made["loops"] >= 1 for o in run.outcomes.values())


@needs_test_package
@pytest.mark.parametrize("status", ["crash", "hang", "error", "unproven"])
def test_one_bad_test_is_named_and_the_rest_still_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    run = _sabotaged(tmp_path, monkeypatch, DEEDS[status])
    culprit = f"{PREFIX}{FILE}.{CULPRIT}"
    assert run.outcomes[culprit].status == status
    rest = {o.status for o in run.outcomes.values() if o.id != culprit}
    assert rest == {"ok"}
    if status == "crash":
        assert "SIGABRT" in run.outcomes[culprit].detail
    if status == "error":
        assert "sabotage" in run.outcomes[culprit].detail


@needs_test_package
def test_a_quiet_exit_is_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _sabotaged(tmp_path, monkeypatch, DEEDS["quiet"])
    assert run.outcomes[f"{PREFIX}{FILE}.{CULPRIT}"].status == "crash"


@needs_test_package
def test_a_dead_import_loses_every_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "raise ImportError('sabotage')"
    run = _sabotaged(tmp_path, monkeypatch, "", source=source)
    assert {o.status for o in run.outcomes.values()} == {"lost"}
    assert all("sabotage" in o.detail for o in run.outcomes.values())


@needs_test_package
def test_asyncios_own_task_under_our_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = SABOTEUR + "\nfrom asyncio import Task\n"
    run = _sabotaged(tmp_path, monkeypatch, "pass", source=source)
    assert {o.status for o in run.outcomes.values()} == {"lost"}
    assert all("is asyncio's own" in o.detail for o in run.outcomes.values())


@needs_test_package
@pytest.mark.parametrize(
    ("deed", "grown"),
    [
        ("hoard.append(super().__new__(cls))", "saboteur.Loop"),
        ("hoard.append(os.dup(0))", "open file descriptors"),
        ("pass", None),
    ],
)
def test_leaks_are_seen(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    deed: str,
    grown: str | None,
) -> None:
    run = _sabotaged(tmp_path, monkeypatch, deed, leak_rounds=2)
    assert run.problems == []
    found = judge.judged(judge.growth(run.rounds))
    if grown is None:
        assert found == {}
    elif grown == "saboteur.Loop":
        assert "any loop" in found
    else:
        assert grown in found
