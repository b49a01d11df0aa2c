"""asyncio's eager factory, which the loop recognises and does not call."""

import asyncio
import contextvars
import sys

import pytest

import fastasync

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="eager tasks are of 3.12"
)

var = contextvars.ContextVar("var", default=None)


async def story(factory):
    """What a program sees of eager tasks, as plain data."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(factory)
    seen = []

    async def child(label, waits):
        task = asyncio.current_task()
        seen.append((label, "begins", task.get_name() == "given", var.get()))
        var.set(label)
        if waits:
            await asyncio.sleep(0)
        seen.append((label, "ends", task.get_name() == "given", var.get()))
        return label

    async def fails():
        raise KeyError("child")

    context = contextvars.copy_context()
    tasks = [
        loop.create_task(child("plain", False)),
        loop.create_task(child("named", True), name="given"),
        asyncio.create_task(child("named too", False), name="given"),
        loop.create_task(child("in context", True), context=context),
        asyncio.ensure_future(child("ensured", True)),
    ]
    seen.append([task.done() for task in tasks])
    failed = loop.create_task(fails())
    seen.append((failed.done(), repr(failed.exception())))
    seen.append(await asyncio.gather(*tasks, child("gathered", True)))
    seen.append((context.get(var), var.get()))
    with pytest.raises(TypeError) as caught:
        loop.create_task(None)
    seen.append(str(caught.value))
    loop.set_task_factory(None)
    lazy = loop.create_task(child("lazy", False))
    seen.append(lazy.done())
    await lazy
    return seen


def test_it_tells_the_same_story_as_asyncio():
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        theirs = runner.run(story(asyncio.eager_task_factory))
    ours = fastasync.run(story(fastasync.eager_task_factory))
    assert ours == theirs


def test_it_makes_our_tasks_and_is_given_back():
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(fastasync.eager_task_factory)
        assert loop.get_task_factory() is fastasync.eager_task_factory
        return type(loop.create_task(asyncio.sleep(0)))

    assert fastasync.run(main()) is fastasync.Task


def test_a_factory_put_in_its_place_is_called():
    calls = []

    def factory(loop, coro, **kwargs):
        calls.append(kwargs)
        return fastasync.Task(coro, loop=loop, **kwargs)

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(fastasync.eager_task_factory)
        loop.set_task_factory(factory)
        await loop.create_task(asyncio.sleep(0))
        return len(calls)  # shutting down makes tasks of its own

    assert fastasync.run(main()) == 1


def test_on_a_closed_loop_it_is_refused():
    loop = fastasync.new_event_loop()
    loop.set_task_factory(fastasync.eager_task_factory)
    loop.close()
    coro = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.create_task(coro)
    coro.close()
