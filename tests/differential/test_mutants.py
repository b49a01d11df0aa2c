"""The differential tests can fail: they find every mutant of mutants.py."""

from random import Random

import pytest
from hypothesis import Phase, find, settings
from hypothesis.errors import NoSuchExample

import mutants
import programs
import strategies
import streams
import test_streams
from support import side_of
from test_programs import by_task

pytestmark = pytest.mark.keeps(
    "objects", reason="hypothesis remembers its examples")

ASYNCIO = side_of("asyncio")


def seen(side, theme, program):
    if theme in ("readers", "writers"):
        return streams.run(side, program)
    log = programs.run(side, program)
    return by_task(log) if theme == "groups" else log


def strategy_of(theme):
    if theme in ("readers", "writers"):
        return getattr(test_streams, theme)
    return (strategies.groups() if theme == "groups"
            else strategies.programs(theme))


def found(theme, name, made, *phases):
    """A program that tells the mutant from asyncio; fails if none does.

    Nearly all are found at once. What 200 examples contain is a matter of
    hypothesis's version too, so there are two more tries.
    """
    side = mutants.Altered(name, **{name: made})

    def differs(program):
        return seen(ASYNCIO, theme, program) != seen(side, theme, program)

    for seed in range(3):
        try:
            return find(
                strategy_of(theme), differs, random=Random(seed),
                settings=settings(max_examples=200, database=None,
                                  phases=[Phase.generate, *phases]))
        except NoSuchExample:
            continue
    pytest.fail(f"{made} was not found")


@pytest.mark.parametrize(
    ("theme", "name", "made"), [each[:3] for each in mutants.MUTANTS],
    ids=[each[3] for each in mutants.MUTANTS])
def test_mutant_is_found(theme, name, made):
    found(theme, name, made)


def test_the_unaltered_is_not_found():
    """An Altered without alterations is asyncio: no false alarm."""
    side = mutants.Altered("Same")
    programs_seen = []

    def differs(program):
        programs_seen.append(program)
        return (seen(ASYNCIO, "mixed", program)
                != seen(side, "mixed", program))

    with pytest.raises(NoSuchExample):
        find(strategies.programs("mixed"), differs, random=Random(0),
             settings=settings(max_examples=50, database=None,
                               phases=[Phase.generate]))
    assert len(programs_seen) >= 25


def size(script):
    """How many operations there are, those inside others too."""
    if isinstance(script, tuple):
        return sum(map(size, script)) + (
            bool(script) and isinstance(script[0], str))
    return 0


def test_what_is_found_is_made_small():
    smallest = found("locks", "Lock", mutants.TakesTwoTurns, Phase.shrink)
    assert sum(map(size, smallest.scripts)) <= 4, smallest
