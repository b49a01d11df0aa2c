"""CPython's own asyncio tests on fastasync, for the Python at hand.

FASTASYNC_CONFORMANCE chooses how much: ``full`` (default) runs every file in
all three modes, ``quick`` the files about tasks, futures and the loop itself
in namespace mode, ``off`` nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
MODES = ("namespace", "policy", "loop_factory")
NO_TEST_PACKAGE = 3
QUICK_FILES = (
    "test_base_events",
    "test_context",
    "test_events",
    "test_futures",
    "test_futures2",
    "test_pep492",
    "test_runners",
    "test_server",
    "test_sock_lowlevel",
    "test_tasks",
)


def _amount() -> str:
    amount = os.environ.get("FASTASYNC_CONFORMANCE", "full")
    if amount not in ("full", "quick", "off"):
        pytest.fail(f"FASTASYNC_CONFORMANCE={amount!r}: full, quick or off")
    return amount


def _run(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """Run the runner; returns its JSON after printing its summary."""
    result = tmp_path / "result.json"
    process = subprocess.run(
        [sys.executable, HERE / "run.py", "--json", result, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if process.returncode == NO_TEST_PACKAGE:
        pytest.skip("this interpreter comes without the test package")
    print(process.stdout)
    assert result.exists(), process.stdout
    data: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    assert data["green"] == (process.returncode == 0)
    return data


def _wrong(data: dict[str, Any]) -> list[str]:
    wrong = list(data["problems"])
    for file in data["files"]:
        wrong += file["problems"]
        wrong += [
            f"{test_id}: {test['status']} ({test['ruling']})"
            for test_id, test in file["tests"].items()
            if test["ruling"] in ("failed", "stale")
        ]
    return wrong


@pytest.mark.parametrize("mode", MODES)
def test_cpython_suite(mode: str, tmp_path: Path) -> None:
    """Every target test passes, or the skip list says why not."""
    amount = _amount()
    if amount == "off":
        pytest.skip("switched off by FASTASYNC_CONFORMANCE")
    arguments = ["--mode", mode]
    if amount == "quick":
        if mode != "namespace":
            pytest.skip("FASTASYNC_CONFORMANCE=quick runs namespace mode only")
        arguments += ["--file", *QUICK_FILES]
    data = _run(tmp_path, *arguments)
    wrong = _wrong(data)
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong[:100])
    assert data["green"]
    assert {file["mode"] for file in data["files"]} == {mode}
