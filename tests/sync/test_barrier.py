"""Barrier: rounds, abort, reset, cancellation, subclasses."""

import asyncio
import random

import pytest


@pytest.mark.parametrize("seed", range(12))
def test_random_play(seed, same):
    def script(world):
        rng = random.Random(seed)
        barrier = world.Barrier(rng.randint(1, 4))
        tasks = []

        async def party(name):
            async with barrier as index:
                world.note(name, index)
                await asyncio.sleep(0)
        for step in range(60):
            move = rng.random()
            if move < 0.45:
                coro = party(step) if rng.random() < 0.5 else barrier.wait()
                tasks.append(world.task(world.tried(step, coro)))
            elif move < 0.55 and tasks:
                world.note(rng.choice(tasks).cancel())
            elif move < 0.6:
                tasks.append(world.task(world.tried("r", barrier.reset())))
            elif move < 0.63:
                tasks.append(world.task(world.tried("a", barrier.abort())))
            else:
                world.spin()
            world.note(barrier, barrier.n_waiting, barrier.broken,
                       barrier._count, barrier._state.name)
        for task in tasks:
            task.cancel()
        world.spin(12)
        world.note(barrier, [task.done() for task in tasks])
    same(script)


def test_parties(same):
    def script(world):
        for parties in (0, -1, "x", None, 1.0, True, 2.5, 2**70):
            world.attempt(world.Barrier, parties)
        barrier = world.Barrier(1.0)
        world.note(world.run(barrier.wait()), barrier.parties, barrier)
        with pytest.raises(AttributeError):
            barrier.parties = 2
    log = same(script)
    assert "parties must be" in log[0][2]


def test_overridden_methods(same):
    def script(world):
        class Mine(world.Barrier):
            async def wait(self):
                world.note("wait")
                return await super().wait()

            async def _block(self):
                world.note("block")
                await super()._block()

            @property
            def parties(self):
                return 7

        barrier = Mine(2)

        async def party():
            async with barrier as index:
                world.note(index, barrier)
        for _ in range(2):
            world.task(party())
        world.spin(10)
        world.note(barrier, barrier._parties)
    same(script)


def test_foreign_condition(same):
    def script(world):
        barrier = world.Barrier(2)
        barrier._cond = asyncio.Condition()
        for name in "ab":
            world.task(world.tried(name, barrier.wait()))
        world.spin(10)
        world.note(barrier)
    same(script)


def test_state_is_asyncios(world):
    barrier = world.Barrier(2)
    states = asyncio.locks._BarrierState
    assert barrier._state is states.FILLING
    barrier._state = states.BROKEN
    assert barrier.broken
    with pytest.raises(asyncio.BrokenBarrierError, match="Barrier aborted"):
        world.run(barrier.wait())
    if world.ours:
        with pytest.raises(TypeError, match="is no state of a barrier"):
            barrier._state = 3
