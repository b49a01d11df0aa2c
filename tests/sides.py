"""Fixtures for tests that run on both sides: a side, and loops that get closed.

A conftest.py takes them over by importing them.
"""

import pytest

import support

__all__ = ("side", "new_loop", "loop")


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
