"""Makes tests/support.py and readers.py importable; a small heap."""

import gc
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]


@pytest.fixture(scope="package", autouse=True)
def small_heap():
    """Scripts end with a collection: spare it what pytest has loaded."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
