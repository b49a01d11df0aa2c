"""Event: waking all in order, cancellation, subclasses."""

import asyncio
import random

import pytest


def test_wakes_all_in_order(same):
    def script(world):
        event = world.Event()
        for name in "abcd":
            world.task(world.tried(name, event.wait()))
        world.spin()
        world.note(event, event.is_set(), len(event._waiters))
        event.set()
        event.clear()
        world.note(event)
        world.spin(2)
        event.set()
        event.set()
        world.note(event, world.run(event.wait()))
    same(script)


@pytest.mark.parametrize("seed", range(10))
def test_random_play(seed, same):
    def script(world):
        rng = random.Random(seed)
        event = world.Event()
        tasks = []
        for step in range(80):
            move = rng.random()
            if move < 0.4:
                tasks.append(world.task(world.tried(step, event.wait())))
            elif move < 0.55 and tasks:
                world.note(rng.choice(tasks).cancel())
            elif move < 0.65:
                event.set()
            elif move < 0.8:
                event.clear()
            else:
                world.spin()
            world.note(event)
        event.set()
        world.spin(2)
        world.note(event)
    same(script)


def test_set_and_cancelled_in_one_turn(same):
    def script(world):
        event = world.Event()
        task = world.task(world.tried("a", event.wait()))
        other = world.task(world.tried("b", event.wait()))
        world.spin()
        event.set()
        task.cancel()
        other.cancel("text")
        world.spin(2)
        world.note(event)
    same(script)


def test_subclass_and_attributes(same):
    def script(world):
        class Mine(world.Event):
            def is_set(self):
                world.note("asked")
                return super().is_set()

            def set(self):
                world.note("set")
                super().set()

        event = Mine()
        event.name = "n"
        task = world.task(world.tried("a", event.wait()))
        world.spin()
        world.note(event, event.is_set())
        event.set()
        world.spin()
        world.note(task.done(), event)
    same(script)


def test_waiters_replaced(same):
    def script(world):
        event = world.Event()
        task = world.task(world.tried("a", event.wait()))
        world.spin()
        waiters = event._waiters
        event._waiters = list(waiters)
        world.note(event)
        event.set()
        world.spin()
        world.note(event, task.done())
        event._value = 0
        event._waiters = None
        world.attempt(event.set)
        world.run(world.tried("wait", event.wait()))
        event._value = False
        world.run(world.tried("wait", event.wait()))
    same(script)


def test_closed_loop(same):
    def script(world):
        event = world.Event()
        other = (asyncio.SelectorEventLoop() if "on asyncio" in world.name
                 else type(world.loop)())
        task = other.create_task(event.wait())
        other.call_soon(other.stop)
        other.run_forever()
        other.close()
        world.attempt(event.set)
        world.note(event.is_set())
        task._log_destroy_pending = False
        coro = task.get_coro()
        del task
        coro.close()
    same(script)
