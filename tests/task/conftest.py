"""Makes tests/support.py and pairs.py importable; the fixture `same`."""

import gc
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import pairs  # noqa: E402
import waiting  # noqa: E402


@pytest.fixture(scope="package", autouse=True)
def small_heap():
    """Every pair ends with a collection: spare it what pytest has loaded."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(params=[False, True], ids=["plain", "debug"])
def same(request):
    """Run a script on every pair, in debug mode too, and compare."""
    def run(script):
        return pairs.same(script, debug=request.param)
    return run


@pytest.fixture(params=[False, True], ids=["plain", "debug"])
def alike(request):
    """Run a script in every place (waiting.py), in debug mode too."""
    def run(script):
        return waiting.compare(script, debug=request.param)
    return run
