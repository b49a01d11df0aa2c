"""Fixtures of the tests of the loop's face: a side, and loops."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import support  # noqa: E402


@pytest.fixture(params=support.CHOSEN)
def side(request):
    return support.side_of(request.param)


@pytest.fixture
def new_loop(side):
    """Makes loops; they are closed when the test ends."""
    made = []

    def make():
        loop = side.new_loop()
        made.append(loop)
        return loop

    yield make
    for loop in made:
        if not loop.is_closed():
            loop.close()


@pytest.fixture
def loop(new_loop):
    return new_loop()
