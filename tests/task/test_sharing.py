"""What a task does without until it needs it: a context, the garbage collector.

Nobody must be able to tell, except by the memory and the time.
"""

import asyncio
import contextvars
import gc
import warnings
import weakref

import fastasync

var = contextvars.ContextVar("var", default="unset")


def run(main):
    return fastasync.run(main())


# -- the context --------------------------------------------------------------


def test_what_a_task_sets_is_its_own_from_step_to_step():
    async def child(number):
        seen = [var.get()]
        await asyncio.sleep(0)
        var.set(number)
        for _ in range(3):
            await asyncio.sleep(0)
            seen.append(var.get())
        return seen

    async def main():
        var.set("parent")
        found = await asyncio.gather(*map(child, range(20)))
        assert var.get() == "parent"
        return found

    assert run(main) == [["parent", n, n, n] for n in range(20)]


def test_a_token_is_good_in_a_later_step():
    async def child():
        token = var.set(1)
        await asyncio.sleep(0)
        var.reset(token)
        await asyncio.sleep(0)
        return var.get()

    async def main():
        return await asyncio.gather(*(child() for _ in range(5)))

    assert run(main) == ["unset"] * 5


def test_a_token_of_another_task_is_refused():
    tokens = []

    async def giver():
        tokens.append(var.set(1))
        await asyncio.sleep(0)

    async def taker():
        await asyncio.sleep(0)
        try:
            var.reset(tokens[0])
        except ValueError as error:
            return "different Context" in str(error)

    async def main():
        _, refused = await asyncio.gather(giver(), taker())
        return refused

    assert run(main)


def test_set_and_reset_in_one_step_leaves_the_task_as_it_was():
    async def child():
        var.reset(var.set(1))
        await asyncio.sleep(0)
        return var.get()

    async def main():
        return await asyncio.gather(*(child() for _ in range(3)))

    assert run(main) == ["unset"] * 3


def test_get_context_before_between_and_after_the_steps_is_one_context():
    if not hasattr(asyncio.Task, "get_context"):
        return

    async def child():
        await asyncio.sleep(0)
        var.set("child")

    async def main():
        task = asyncio.create_task(child())
        other = asyncio.create_task(child())
        first = task.get_context()
        await asyncio.sleep(0)
        assert task.get_context() is first
        await asyncio.gather(task, other)
        assert task.get_context() is first
        assert other.get_context() is not first
        assert first[var] == other.get_context()[var] == "child"
        assert var.get() == "unset"

    run(main)


def test_callbacks_made_in_a_step_see_what_the_step_set():
    seen = []

    async def child(number):
        var.set(number)
        asyncio.get_running_loop().call_soon(lambda: seen.append(var.get()))

    async def main():
        await asyncio.gather(*map(child, range(4)))
        await asyncio.sleep(0)

    run(main)
    assert seen == [0, 1, 2, 3]


def test_a_context_given_is_the_one_used():
    async def child():
        var.set("given")

    async def main():
        context = contextvars.copy_context()
        await asyncio.get_running_loop().create_task(child(), context=context)
        return context[var]

    assert run(main) == "given"


# -- the garbage collector ------------------------------------------------------


def test_a_task_that_waits_is_known_to_the_collector():
    async def main():
        loop = asyncio.get_running_loop()
        waits = asyncio.create_task(asyncio.sleep(10))
        await asyncio.sleep(0)
        assert gc.is_tracked(waits)
        waits.cancel()
        yields = loop.create_task(asyncio.sleep(0))
        yields.anything = 1
        assert gc.is_tracked(yields)
        await asyncio.wait([waits, yields])

    run(main)


def test_a_lost_cycle_of_a_finished_task_is_collected():
    class Thing:
        pass

    async def make(thing):
        thing.task = asyncio.current_task()
        return thing

    async def main():
        thing = Thing()
        asyncio.create_task(make(thing))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return weakref.ref(thing)

    ref = run(main)
    gc.collect()
    assert ref() is None


def test_a_lost_cycle_through_the_context_is_collected():
    class Thing:
        pass

    async def make(thing):
        thing.task = asyncio.current_task()
        var.set(thing)

    async def main():
        thing = Thing()
        asyncio.create_task(make(thing))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return weakref.ref(thing)

    ref = run(main)
    gc.collect()
    assert ref() is None


def test_a_lost_cycle_of_a_task_that_never_ran_is_collected():
    class Thing:
        pass

    async def never(thing):
        raise AssertionError("not run")

    loop = fastasync.new_event_loop()
    refs = []

    async def main():
        thing = Thing()
        thing.task = asyncio.create_task(never(thing))
        thing.task._log_destroy_pending = False
        refs.append(weakref.ref(thing))
        asyncio.get_running_loop().stop()

    task = loop.create_task(main())
    loop.run_forever()
    del task
    loop.close()
    with warnings.catch_warnings():  # a recorded warning would keep the coroutine
        warnings.simplefilter("ignore")
        gc.collect()
    assert refs[0]() is None
