"""The measured part of the documentation: made from the recordings, and in step."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def page(monkeypatch):
    """page.py; what it imports by name is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module("page")
    for name in set(sys.modules) - before:
        found = getattr(sys.modules[name], "__file__", None)
        if found and Path(found).parent == BENCHMARKS:
            del sys.modules[name]


def column(*values, error=""):
    return {"cells": [{"value": value} for value in values], "error": error}


def recording():
    """Three rounds; rows of each kind, and a loop that failed."""
    rows = {
        "sleep0_1": {
            "group": "micro", "unit": "ns", "doc": "`await sleep(0)` | one task",
            "loops": {
                "asyncio": column(1000.0, 1200.0, 1100.0),
                "uvloop": column(500.0, error="it fell over"),
                "fastasync": column(100.0, 100.0, 100.0),
            },
        },
        "tree_none": {
            "group": "micro", "unit": "ns", "doc": "a tree",
            "loops": {"asyncio": column(8.0, 8.0, 18.0),
                      "fastasync": column(2.0, 4.0, 2.0)},
        },
        "tree_io": {
            "group": "micro", "unit": "ns", "doc": "another",
            "loops": {"asyncio": column(1.0, 2.0, 1.0),
                      "fastasync": column(1.0, 1.0, 1.0)},
        },
        "tcp": {
            "group": "echo", "unit": "ns", "doc": "echo",
            "loops": {"asyncio": column(9000.0, 9000.0, 9000.0),
                      "fastasync": column(6000.0, 3000.0, 4500.0),
                      "limit": column(3000.0, 3000.0, 3000.0)},
        },
    }
    settings = {"rounds": "3", "quick": "True", "rows": "None", "no_pin": "False",
                "group": "micro,echo", "json": "there.json", "load": "0.01",
                "started": "2025-01-02"}
    return {"environment": {"python": "3.14.1 (main)", "cpu": "2 x Some"},
            "settings": settings, "rows": rows}


@pytest.fixture
def root(tmp_path, page):
    """A tree with one recording and an empty page."""
    (tmp_path / "benchmarks/recorded").mkdir(parents=True)
    (tmp_path / "docs/performance").mkdir(parents=True)
    (tmp_path / "benchmarks/recorded/3.14.json").write_text(json.dumps(recording()))
    (tmp_path / "docs/performance.md").write_text(
        f"# By hand\n\n{page.BEGIN}\nold\n{page.END}\n\nby hand, too\n")
    return tmp_path


def test_the_page_of_this_checkout_is_in_step(page):
    assert page.complaints(ROOT) == []


def test_what_is_made(root, page):
    page.write(root, with_plots=False)
    text = (root / "docs/performance.md").read_text()
    assert text.startswith("# By hand\n") and text.endswith("\nby hand, too\n")
    assert "old" not in text
    lines = text.splitlines()
    assert "### Python 3.14.1" in lines
    assert "* load average before: 0.01" in lines
    assert "* recorded on: 2025-01-02" in lines
    assert ("python benchmarks/run.py --rounds 3 --quick --group micro,echo"
            in lines)
    assert "| row | asyncio | uvloop | fastasync |" not in lines  # it never finished
    assert ("| `sleep0_1`<br>`await sleep(0)` \\| one task | 1,100 ns | "
            "**11.00** (10.00 to 12.00) |") in lines
    # a ratio is of one round: 1.5, 3 and 2, not the ratio of the medians
    assert "| `tcp`<br>echo | 9,000 ns | **2.00** (1.50 to 3.00) |" in lines
    assert ("| `tcp`<br>echo | 3,000 ns | **3.00** (3.00 to 3.00) | "
            "**1.50** (1.00 to 2.00) |") in lines
    # rounds: sqrt(4 * 1), sqrt(2 * 2), sqrt(9 * 1)
    assert ("* async_tree shapes, geometric mean over 2 rows: fastasync "
            "**2.00** (2.00 to 3.00)") in lines


def test_a_loop_that_failed_somewhere_is_said_to_have(root, page):
    """Its column is there because another row finished."""
    path = root / "benchmarks/recorded/3.14.json"
    found = json.loads(path.read_text())
    found["rows"]["tree_io"]["loops"]["uvloop"] = column(1.0, 1.0, 1.0)
    path.write_text(json.dumps(found))
    text = page.made(path.parent)
    assert "| 1,100 ns | failed | **11.00** (10.00 to 12.00) |" in text


def test_out_of_step(root, page):
    assert page.complaints(root) == [
        "docs/performance.md is not what benchmarks/page.py makes",
        "docs/performance/3.14-echo-limit.svg is missing",
        "docs/performance/3.14-echo.svg is missing",
        "docs/performance/3.14-micro.svg is missing",
    ]
    (root / "docs/performance/3.11-micro.svg").write_text("")
    page.write(root, with_plots=False)
    assert page.complaints(root)[-1] == (
        "docs/performance/3.11-micro.svg is left over")
    assert "performance.md is not" not in str(page.complaints(root))


def test_a_page_without_the_markers_is_refused(root, page):
    (root / "docs/performance.md").write_text("# By hand\n")
    with pytest.raises(SystemExit, match="has not both markers"):
        page.write(root, with_plots=False)


def test_no_recording(root, page):
    (root / "benchmarks/recorded/3.14.json").unlink()
    page.write(root, with_plots=False)
    assert page.complaints(root) == []
    assert page.NOTHING in (root / "docs/performance.md").read_text()


@pytest.mark.keeps("fds", reason="matplotlib holds its fonts open")
def test_the_plots(root, page):
    pytest.importorskip("matplotlib")
    page.write(root, with_plots=True)
    assert page.complaints(root) == []
    first = {p.name: p.read_bytes() for p in (root / "docs/performance").iterdir()}
    page.write(root, with_plots=True)
    again = {p.name: p.read_bytes() for p in (root / "docs/performance").iterdir()}
    assert first == again and len(first) == 3
    assert all(b"</svg>" in drawn for drawn in first.values())


def test_results_of_the_command_can_be_drawn(root):
    pytest.importorskip("matplotlib")
    source = root / "benchmarks/recorded/3.14.json"
    subprocess.run(
        [sys.executable, BENCHMARKS / "plot.py", source, root / "out"], check=True)
    assert {path.name for path in (root / "out").iterdir()} == {
        "micro.svg", "echo.svg", "echo-limit.svg", "performance-table.md"}
    text = (root / "out/performance-table.md").read_text()
    assert "## echo, against limit" in text
