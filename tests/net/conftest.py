"""Fixtures of the tests of the transports: a side, loops, and socket pairs."""

import pathlib
import socket
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from sides import loop, new_loop, side  # noqa: E402, F401


@pytest.fixture
def pair():
    """Two ends of a TCP connection; the second blocks for at most 10 s."""
    import netsupport

    ends = netsupport.tcp_pair()
    yield ends
    for end in ends:
        if isinstance(end, socket.socket):
            end.close()


@pytest.fixture(params=["asyncio", "direct", "memory"])
def run(request):
    """TLS on asyncio's loop, and on ours by both back ends (tlssupport.py)."""
    import tlssupport

    return tlssupport.Side(request.param)


@pytest.fixture(params=["direct", "memory"])
def ours(request):
    """The same on our loop only."""
    import tlssupport

    return tlssupport.Side(request.param)
