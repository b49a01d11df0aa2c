"""Fixtures of the tests of the transports: a side, loops, and socket pairs."""

import pathlib
import socket
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

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


@pytest.fixture
def pair():
    """Two ends of a TCP connection; the second blocks for at most 10 s."""
    import netsupport

    ends = netsupport.tcp_pair()
    yield ends
    for end in ends:
        if isinstance(end, socket.socket):
            end.close()
