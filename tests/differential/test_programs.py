"""Generated programs do the same on asyncio and on us, step by step.

    FASTASYNC_EXAMPLES=20000 pytest tests/differential/test_programs.py

runs more of them, other ones each time. A failure prints the smallest
program that shows it, and where the two journals part.
"""

import pytest
from hypothesis import given

import programs
import strategies
from support import both
from world import difference

pytestmark = pytest.mark.keeps(
    "objects", reason="hypothesis remembers its examples")


def check(program):
    judge, subject = both()[0], both()[-1]
    parted = difference(programs.run(judge, program),
                        programs.run(subject, program))
    assert parted is None, parted


@pytest.mark.parametrize("theme", [*strategies.THEMES, "mixed"])
def test_same_journal(theme):
    @given(strategies.programs(theme))
    def same_journal(program):
        check(program)
    same_journal()


def by_task(log):
    """The journal of each task by itself: see strategies.groups()."""
    apart = {}
    for entry in log:
        who = entry[1]
        if who == "seen":
            apart.setdefault(who, []).append(sorted(map(repr, entry[2])))
        else:
            apart.setdefault(who, []).append(entry)
    return apart


@given(strategies.groups())
def test_task_groups(program):
    judge, subject = both()[0], both()[-1]
    expected = by_task(programs.run(judge, program))
    seen = by_task(programs.run(subject, program))
    assert expected.keys() == seen.keys()
    for who in expected:
        parted = difference(expected[who], seen[who])
        assert parted is None, parted
