"""Cancellation at every point loses no item, no wake-up and no permit.

Each scene of scenes.py is played once undisturbed, to count the turns of
the loop that its victim lives. Then it is played again for each turn, and
the victim is cancelled there: before the other callbacks of that turn,
after them, and twice in a row. Then everybody else must come to an end,
nothing may be lost, and all must go as it goes on asyncio.

Where asyncio itself loses something (LOST_BY_ASYNCIO), we may do exactly
the same, or better. The list was found by running, and is checked by it:
an entry that is no longer true fails, as does a loss that is not listed.
"""

import sys

import mutants
import pytest
from support import both, side_of

from scenes import SCENES, Scene
from world import difference, journal, look_future

WAYS = {
    "plain": None, "wait_for none": None, "wait_for 3": 3, "wait_for 40": 40,
    "timeout 3": 3, "timeout 40": 40, "task": None,
}
# Scenes that make tasks, or have a timeout of their own: plain is enough.
PLAIN_ONLY = {"Gather", "GatherExceptions", "Group", "Shield", "Wait",
              "WaitFirst", "AsCompleted", "WaitForFuture", "WaitForTimeout",
              "TimeoutInTimeout", "Sleep"}
CASES = [(scene, way) for scene in SCENES for way in WAYS
         if way == "plain" or scene not in PLAIN_ONLY]

# What asyncio loses: scene -> what, and the first version that does not.
EVER = (9, 9)
LOST_BY_ASYNCIO = {
    # Who is notified and cancelled in the same turn takes the
    # notification along.
    "ConditionNotified": (3, 13), "ConditionHeld": (3, 13),
    "ConditionBare": (3, 13),
    # read(-1) has taken what it had read so far.
    "ReadAll": EVER,
    # All who wait for the end await one future, and cancel it.
    "WaitClosed": EVER,
}
# Where the list was checked. Others may have corrections that these have
# not: there an entry that is no longer true does not fail.
CHECKED = {(3, 11, 7), (3, 12, 1), (3, 13, 0), (3, 14, 7), (3, 15, 0)}


def lost_by_asyncio(scene):
    return sys.version_info[:2] < LOST_BY_ASYNCIO.get(scene, (0,))


async def in_way(world, scene, way):
    """Await the use of the scene's thing, and undo it."""
    ns, make, turns = world.ns, scene.use, world.delay(WAYS[way])
    if way.startswith("wait_for"):
        token = await ns.wait_for(make(), turns)
    elif way.startswith("timeout"):
        async with ns.timeout(turns):
            token = await make()
            scene.undo(token)
            return token
    elif way == "task":
        async def child():
            token = await make()
            scene.undo(token)
            return token
        return await world.spawn("child", child())
    else:
        token = await make()
    scene.undo(token)
    return token


async def victim(world, scene, way):
    try:
        token = await in_way(world, scene, way)
    except BaseException as error:
        world.note("victim", type(error).__name__,
                   world.ns.current_task().cancelling())
        raise
    world.note("victim", token)


class Seen:
    """How a scene went."""

    def __init__(self, side, name, way, points=()):
        self.problems = []
        self.lived = 0
        self.log = journal(
            side, (), lambda world: self.play(world, name, way, points))

    def play(self, world, name, way, points):
        scene: Scene = SCENES[name](world)
        task = world.spawn("victim", victim(world, scene, way))

        def cancelling(turn):
            return [(last, lambda: world.note("cancel", task.cancel()))
                    for at, last in points if at == turn]
        for _ in range(40):
            if not world.pending():
                break
            world.turn(cancelling(world.now + 1))
            self.lived += not task.done()
        if stuck := world.pending():
            self.problems.append(f"stuck: {stuck}")
        world.end()
        self.problems += scene.problems()
        world.note("victim ends", look_future(task))
        world.note("problems", self.problems)


def points_of(turns):
    """Where to cancel: lists of (turn, after the others?)."""
    for turn in range(1, turns + 2):
        yield (turn, False),
        yield (turn, True),
        yield (turn, False), (turn + 1, False)
        yield (turn, True), (turn + 1, True)


def compare(judge, subject, name, way):
    """Points where something differs or is lost: (differ, theirs, ours)."""
    differ, theirs, ours = [], [], []
    turns = max(Seen(judge, name, way).lived, Seen(subject, name, way).lived)
    for points in [(), *points_of(turns)]:
        expected, seen = (Seen(judge, name, way, points),
                          Seen(subject, name, way, points))
        if expected.problems:
            theirs.append((points, expected.problems))
        if seen.problems:
            ours.append((points, seen.problems))
        parted = difference(expected.log, seen.log)
        # Better than asyncio is allowed where asyncio loses something.
        if parted and not (expected.problems and not seen.problems):
            differ.append(f"cancelled at {points}: {parted}")
    return differ, theirs, ours


@pytest.mark.parametrize(("name", "way"), CASES)
def test_every_point(name, way):
    differ, theirs, ours = compare(both()[0], both()[-1], name, way)
    known = lost_by_asyncio(name)
    assert not differ, "\n".join([f"{len(differ)} points", *differ[:2]])
    if not known:
        assert not ours, ours
        assert not theirs, theirs
    elif sys.version_info[:3] in CHECKED:
        assert theirs, "LOST_BY_ASYNCIO is out of date"


LOSERS = {
    "PassesNothingOn": "LockContended", "LosesPermit": "SemaphoreOfOne",
    "LosesWakeup": "QueueRelay", "LosesItem": "QueueGet",
    "DoesNotReacquire": "ConditionBare", "LosesOnCancel": "ReadExactly",
    "ResumesNobody": "Drain",
}


@pytest.mark.parametrize("mutant", LOSERS)
def test_losses_are_found(mutant):
    """The invariants by themselves find those mutants that lose things."""
    (_, name, made, _), = [each for each in mutants.MUTANTS
                           if each[3] == mutant]
    _, theirs, ours = compare(
        side_of("asyncio"), mutants.Altered(name, **{name: made}),
        LOSERS[mutant], "plain")
    assert ours
    if not lost_by_asyncio(LOSERS[mutant]):
        assert not theirs
