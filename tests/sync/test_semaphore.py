"""Semaphore and BoundedSemaphore: fairness, odd numbers, subclasses."""

import asyncio
import decimal
import random

import pytest

from worlds import random_play


@pytest.mark.parametrize("seed", range(15))
def test_bounded_random_play(seed, same):
    same(lambda world: random_play(world, "BoundedSemaphore",
                                   random.Random(seed)))


@pytest.mark.parametrize("value", [0, 1, 2.5, float("inf"), True, 2**70,
                                   decimal.Decimal(1), -1, "x", None, 2**62])
@pytest.mark.parametrize("kind", ["Semaphore", "BoundedSemaphore"])
def test_values_of_all_kinds(kind, value, same):
    def script(world):
        world.attempt(getattr(world, kind), value)
        try:
            sem = getattr(world, kind)(value)
        except (TypeError, ValueError):
            return

        async def worker(name):
            async with sem:
                world.note(name, repr(sem._value), sem)
                await asyncio.sleep(0)
        tasks = [world.task(worker(name)) for name in "abc"]
        world.spin(6)
        world.note(repr(sem._value), sem.locked())
        world.attempt(sem.release)
        world.spin(6)
        world.note(repr(sem._value), sem.locked())
        for task in tasks:
            task.cancel()
    same(script)


def test_value_changed_while_somebody_waits(same):
    def script(world):
        sem = world.Semaphore(0)
        task = world.task(world.tried("a", sem.acquire()))
        world.task(world.tried("b", sem.acquire()))
        world.spin()
        sem._value = 1.5
        sem.release()
        world.note(sem._value)
        task.cancel()
        world.spin(3)
        world.note(sem._value, sem)
        sem._value = "x"
        world.attempt(sem.release)
        world.run(world.tried("c", sem.acquire()))
    same(script)


def test_released_too_often(same):
    def script(world):
        sem = world.BoundedSemaphore(2)
        world.attempt(sem.release)
        world.run(sem.acquire())
        world.attempt(sem.release)
        world.run(world.tried("exit", sem.__aexit__(None, None, None)))
        sem._bound_value = 3
        world.attempt(sem.release)
        world.note(sem, sem._bound_value)
    log = same(script)
    assert "BoundedSemaphore released too many times" in log[0][2]


def test_nobody_barges_in(same):
    def script(world):
        sem = world.Semaphore(1)

        async def worker(name, times):
            for _ in range(times):
                async with sem:
                    world.note(name, sem)
                    await asyncio.sleep(0)
        for name in "abcd":
            world.task(worker(name, 3))
        world.spin(30)
        world.note(sem)
    same(script)


def test_cancelled_waiters(same):
    def script(world):
        sem = world.Semaphore(2)
        tasks = [world.task(world.tried(i, sem.acquire())) for i in range(8)]
        world.spin()
        tasks[3].cancel()
        sem.release()
        sem.release()
        tasks[2].cancel()
        world.note(sem, sem.locked())
        for _ in range(4):
            world.spin()
            world.note(sem, sem.locked(), len(sem._waiters))
        sem.release()
        tasks[4].cancel()
        tasks[5].cancel()
        world.spin(4)
        world.note(sem, [task.done() for task in tasks])
    same(script)


@pytest.mark.parametrize("kind", ["Semaphore", "BoundedSemaphore"])
def test_overridden_methods(kind, same):
    def script(world):
        class Mine(getattr(world, kind)):
            def _wake_up_next(self):
                world.note("wake")
                return super()._wake_up_next()

            def release(self):
                world.note("release", self._value)
                super().release()

            def locked(self):
                world.note("locked")
                return super().locked()

        sem = Mine(1)

        async def worker(name):
            async with sem:
                await asyncio.sleep(0)
        for name in range(3):
            world.task(worker(name))
        world.spin(8)
        world.note(sem)
        world.attempt(sem.release)
    same(script)
