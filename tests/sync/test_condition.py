"""Condition: notifications, cancellation at every await, foreign locks."""

import asyncio
import random

import pytest



@pytest.mark.parametrize("seed", range(12))
def test_random_play(seed, same):
    def script(world):
        rng = random.Random(seed)
        cond = world.Condition()
        tasks = []

        async def waiter(name):
            async with cond:
                world.note(name, "locked")
                await world.tried(name, cond.wait())
                world.note(name, cond.locked())

        async def notifier(name, count):
            async with cond:
                cond.notify(count)
                await asyncio.sleep(0)
                world.note(name, "notified")

        async def slow(name):
            async with cond:
                for _ in range(3):
                    await asyncio.sleep(0)

        for step in range(80):
            move = rng.random()
            if move < 0.35:
                tasks.append(world.task(world.tried(step, waiter(step))))
            elif move < 0.5:
                tasks.append(world.task(world.tried(
                    step, notifier(step, rng.randint(0, 3)))))
            elif move < 0.55:
                tasks.append(world.task(world.tried(step, slow(step))))
            elif move < 0.7 and tasks:
                world.note(rng.choice(tasks).cancel(rng.choice("xyz")))
            else:
                world.spin()
            world.note(cond)
        for task in tasks:
            task.cancel()
        world.spin(12)
        world.note(cond, [task.done() for task in tasks])
    same(script)


@pytest.mark.parametrize("cancels", range(1, 4))
def test_cancelled_while_it_waits_for_the_lock(cancels, same):
    def script(world):
        cond = world.Condition()

        async def waiter(name):
            async with cond:
                await world.tried(name, cond.wait())

        tasks = [world.task(waiter(name)) for name in "ab"]
        world.spin(3)
        world.run(cond.acquire())
        cond.notify()
        for n in range(cancels):
            world.spin()
            tasks[0].cancel(f"cancel {n}")
        world.spin()
        world.note(cond)
        cond.release()
        world.spin(4)
        world.note(cond, [task.done() for task in tasks])
    same(script)


def test_not_acquired(same):
    def script(world):
        cond = world.Condition()
        world.attempt(cond.notify)
        world.attempt(cond.notify_all)
        world.run(world.tried("wait", cond.wait()))
        world.run(world.tried("wait_for", cond.wait_for(lambda: True)))
        world.run(world.tried("wait_for", cond.wait_for(lambda: False)))
    log = same(script)
    assert "cannot notify on un-acquired lock" in log[0][2]
    assert "cannot wait on un-acquired lock" in log[2][3][0]


def test_notify_counts(same):
    def script(world):
        cond = world.Condition()

        async def waiter(name):
            async with cond:
                world.note(name, await cond.wait())

        async def main(*args, **kwargs):
            async with cond:
                world.attempt(cond.notify, *args, **kwargs)
        for args, kwargs in [((2,), {}), ((), {}), ((0,), {}), ((-1,), {}),
                             ((True,), {}), ((1.5,), {}), ((2**70,), {}),
                             (("x",), {}), ((), {"n": 2}), ((), {"m": 2}),
                             ((1, 2), {})]:
            for name in range(4):
                world.task(waiter(name))
            world.spin(3)
            world.run(main(*args, **kwargs))
            world.spin(6)
            world.note(cond)
    same(script)


def test_wait_for(same):
    def script(world):
        cond = world.Condition()
        answers = iter([0, None, "", "yes"])

        class Hostile:
            def __bool__(self):
                raise KeyError("bool")

        async def main(predicate):
            async with cond:
                return await cond.wait_for(predicate)

        async def poke():
            async with cond:
                cond.notify_all()
        task = world.task(world.tried("a", main(lambda: next(answers))))
        for _ in range(4):
            world.spin(3)
            world.run(poke())
        world.spin(4)
        world.note(task.done())
        world.run(world.tried("bad", main(Hostile)))
        world.run(world.tried("bad", main(lambda: 1 / 0)))
        world.run(world.tried("bad", main(3)))
        world.note(cond)
    same(script)


class Counting:
    """A lock of another make."""

    def __init__(self, lock, note):
        self.lock, self.note = lock, note

    def locked(self):
        return self.lock.locked()

    async def acquire(self):
        self.note("acquire")
        return await self.lock.acquire()

    def release(self):
        self.note("release")
        self.lock.release()


@pytest.mark.parametrize("make", ["own", "other", "foreign", "subclass",
                                  "marked", "instance"])
def test_locks_of_all_makes(make, same):
    def script(world):
        class Sub(world.Lock):
            def release(self):
                world.note("sub release")
                super().release()

        lock = {"own": world.Lock, "other": asyncio.Lock, "subclass": Sub,
                "foreign": lambda: Counting(world.Lock(), world.note),
                "marked": world.Lock, "instance": world.Lock}[make]()
        if make == "marked":
            lock.mark = 1
        cond = world.Condition(lock)
        if make == "instance":
            lock.release = None  # too late: the condition has its own
            release = cond.release

            def loud():
                world.note("loud")
                release()
            cond.release = loud
        world.note(cond._lock is lock, cond.locked())

        async def waiter(name):
            async with cond as given:
                world.note(name, given)
                await world.tried(name, cond.wait())
                world.note(name, cond.locked())

        async def notifier():
            async with cond:
                cond.notify_all()
        tasks = [world.task(waiter(name)) for name in "abc"]
        world.spin(4)
        tasks[1].cancel()
        world.task(notifier())
        world.spin(10)
        world.note(cond, [task.done() for task in tasks])
    same(script)


def test_attributes(same):
    def script(world):
        cond = world.Condition()
        lock = cond._lock
        world.note(cond.acquire == lock.acquire, cond.locked == lock.locked,
                   cond.release == lock.release)
        cond._lock = world.Lock()  # the methods stay those of the former
        world.run(cond.acquire())
        world.note(cond, lock, cond._lock)
        del cond.acquire
        world.attempt(getattr, cond, "acquire")
        world.run(world.tried("enter", cond.__aenter__()))
        cond.release()
        world.note(lock)
    same(script)


def test_subclass_with_methods_of_its_own(same):
    """Instance attributes come before methods of the class."""
    def script(world):
        class Mine(world.Condition):
            def acquire(self):
                world.note("never")

            async def wait(self):
                world.note("wait")
                return await super().wait()

            def notify(self, n=1):
                world.note("notify", n)
                super().notify(n)

        cond = Mine()

        async def waiter():
            async with cond:
                return await cond.wait_for(lambda: len(world.log) > 3)

        async def notifier():
            async with cond:
                cond.notify_all()
        task = world.task(waiter())
        for _ in range(3):
            world.spin(2)
            world.task(notifier())
        world.spin(6)
        world.note(cond, task.done())
        task.cancel()
        world.spin(2)
    same(script)


def test_mixed_primitives(world):
    """asyncio's Condition on our Lock, and ours on asyncio's."""
    import fastasync
    for cond in (asyncio.Condition(fastasync.Lock()),
                 fastasync.Condition(asyncio.Lock())):
        async def waiter():
            async with cond:
                return await cond.wait()

        async def main():
            tasks = [asyncio.ensure_future(waiter()) for _ in range(3)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            async with cond:
                cond.notify_all()
            return await asyncio.gather(*tasks)
        assert world.run(main()) == [True] * 3
        assert not cond.locked()
        cond = None


def test_closed_while_it_waits(same):
    def script(world):
        cond = world.Condition()

        async def main():
            await cond.acquire()
            coro = cond.wait()
            coro.send(None)
            world.note(cond)
            coro.close()
            world.note(cond)
            coro = cond.wait()
            coro.send(None)
            await cond.acquire()
            world.attempt(coro.close)  # cannot: it wants the lock back
            cond.release()
            world.note(cond)
        world.run(main())
        world.spin(3)
        world.note(cond)
    same(script)
