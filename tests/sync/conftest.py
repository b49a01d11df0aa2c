"""Makes tests/support.py and worlds.py importable; the fixture `same`."""

import gc
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import worlds  # noqa: E402


@pytest.fixture(scope="package", autouse=True)
def small_heap():
    """Every world ends with a collection: spare it what pytest has loaded."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(params=[False, True], ids=["plain", "debug"])
def same(request):
    """Run a script in every world, in debug mode too, and compare."""
    def run(script):
        return worlds.same(script, debug=request.param)
    return run


@pytest.fixture(params=sorted(worlds.WORLDS))
def world(request):
    """One world after the other, for tests that say what they expect."""
    with worlds.open_world(request.param) as made:
        yield made
