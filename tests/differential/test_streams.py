"""Generated conversations over streams are the same on asyncio and on us."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import streams
from strategies import lists, numbers, op, pick, small, turns, tuples
from strategies import ways as all_ways
from support import both
from world import difference

pytestmark = pytest.mark.keeps(
    "objects", reason="hypothesis remembers its examples")

# Few letters, so that separators and parts of them are met often.
data = lists(pick((b"a", b"b", b"\n", b"\r\n", b"ab", b"aaaa")),
             max_size=6).map(b"".join)
separators = pick((b"\n", b"\r\n", b"ab", b"aab", b"b\n", b""))
if sys.version_info >= (3, 13):
    separators |= lists(pick((b"\n", b"\r\n", b"ab", b"aab", b"")),
                        max_size=3).map(tuple)
sizes = pick((-1, -1, 0, 1, 2, 3, 5, 8, 9, 20))

ways = st.just(("plain", 0)) | all_ways
reading = st.one_of(
    op("read", "read", ways, sizes), op("read", "read", ways),
    op("read", "readline", ways), op("read", "readline", ways),
    op("read", "readuntil", ways, separators),
    op("read", "readuntil", ways, separators),
    op("read", "readexactly", ways, sizes),
    op("read", "readexactly", ways, pick((3, 5, 9, 20))),
    op("lines", st.integers(1, 4)), op("sleep", turns))
fed = st.one_of(op("feed", data), op("feed", data), op("feed", data),
                op("feed", data), op("feed_reader", data))
ends = st.one_of(op("feed_eof"), op("feed_eof"), op("eof_received"),
                 op("lose", st.booleans()),
                 op("set_exception", pick(("one", "two"))))
writing = st.one_of(
    op("write", data | pick((b"bad",))), op("writelines", data, data),
    op("drain", ways), op("drain", ways), op("drain", ways),
    op("wait_closed", ways), op("write_eof"), op("close"), op("ask"),
    op("sleep", pick((0, 1, 2, 3))))
flow = st.one_of(op("pause"), op("resume"), op("pause"), op("resume"),
                 op("cancel", small))


def scripts(operation, least, most):
    return lists(lists(operation, min_size=1, max_size=6).map(tuple),
                 min_size=least, max_size=most).map(tuple)


def timed(operation, most, first=1, last=14):
    return lists(tuples(st.integers(first, last), st.booleans(), operation),
                 max_size=most).map(tuple)


# Data comes first and then the end: after an end, nothing more happens.
readers = st.builds(
    lambda scripts, data, cancels, ends, *rest: streams.StreamProgram(
        scripts, data + cancels + ends, *rest),
    scripts(reading, 1, 1) | scripts(reading, 1, 2), timed(fed, 8), timed(op("cancel", numbers), 2),
    timed(ends, 2, 3), pick((1, 2, 3, 8)),
    pick(("pausable", "pausable", "unpausable", "none")))
writers = st.builds(
    lambda scripts, flow, others, *rest: streams.StreamProgram(
        scripts, flow + others, *rest),
    scripts(writing, 1, 3), timed(flow, 6, 1, 6),
    timed(st.one_of(fed, ends, op("lose", st.booleans()),
                    op("lose", pick((True,)))), 2),
    pick((3, 8)), pick(("pausable", "unpausable")))


def check(program):
    judge, subject = both()[0], both()[-1]
    parted = difference(streams.run(judge, program),
                        streams.run(subject, program))
    assert parted is None, parted


@given(readers)
def test_readers(program):
    check(program)


@given(writers)
def test_writers(program):
    check(program)
