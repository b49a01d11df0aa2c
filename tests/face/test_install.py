"""install() and uninstall()."""

import asyncio
import subprocess
import sys
import warnings

import pytest

import fastasync
from fastasync import _install


@pytest.fixture
def installed():
    fastasync.install()
    yield
    fastasync.uninstall()


# Before any install(): which module holds asyncio's own under which name.
HELD = [
    (module, name)
    for name, _, modules in _install._bindings()
    for module in modules
]


def names_now():
    return {
        (module.__name__, name): getattr(module, name) for module, name in HELD
    }


async def who_runs():
    task = asyncio.current_task()
    return asyncio.get_running_loop(), task


def test_asyncio_runs_on_us(installed):
    loop, task = asyncio.run(who_runs())
    assert type(loop) is fastasync.Loop
    assert type(task) is fastasync.Task


def test_every_way_to_make_a_loop_makes_ours(installed):
    loops = [asyncio.new_event_loop(), asyncio.events.new_event_loop()]
    with asyncio.Runner() as runner:
        loops.append(runner.get_loop())
    for loop in loops:
        assert type(loop) is fastasync.Loop
        loop.close()


def test_the_types_of_asyncio_are_ours(installed):
    assert asyncio.Task is asyncio.tasks.Task is fastasync.Task
    assert asyncio.Future is asyncio.futures.Future is fastasync.Future


@pytest.mark.skipif(
    not hasattr(asyncio, "eager_task_factory"), reason="eager tasks are of 3.12"
)
def test_eager_tasks_are_ours(installed):
    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        task = asyncio.create_task(asyncio.sleep(0))
        await task
        return type(task)

    assert asyncio.run(main()) is fastasync.Task
    assert asyncio.eager_task_factory is asyncio.tasks.eager_task_factory


def test_an_unpatched_asyncio_loop_still_works(installed):
    async def main():
        return await asyncio.gather(*(asyncio.sleep(0, n) for n in range(5)))

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert runner.run(main()) == list(range(5))


def test_twice_is_once_and_uninstall_restores_everything():
    before = names_now(), asyncio.events._event_loop_policy
    fastasync.install()
    policy = asyncio.events._event_loop_policy
    fastasync.install()
    assert asyncio.events._event_loop_policy is policy
    assert names_now() != before[0]
    fastasync.uninstall()
    assert (names_now(), asyncio.events._event_loop_policy) == before
    fastasync.uninstall()
    assert (names_now(), asyncio.events._event_loop_policy) == before
    loop = asyncio.new_event_loop()
    loop.close()
    assert type(loop) is asyncio.SelectorEventLoop


def test_it_can_be_installed_again():
    for _ in range(3):
        fastasync.install()
        assert asyncio.Task is fastasync.Task
        fastasync.uninstall()
        assert asyncio.Task is not fastasync.Task


def test_uninstall_leaves_what_others_changed_since():
    before = asyncio.Task

    class Theirs(asyncio.Task):
        pass

    fastasync.install()
    asyncio.Task = Theirs
    try:
        fastasync.uninstall()
        assert asyncio.Task is Theirs
        assert asyncio.tasks.Task is before
    finally:
        asyncio.Task = before


@pytest.mark.skipif(
    not _install.policies_exist(), reason="this asyncio has no policies"
)
def test_uninstall_leaves_a_policy_that_was_set_since():
    before = asyncio.events._event_loop_policy
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        fastasync.install()
        theirs = fastasync.EventLoopPolicy()
        asyncio.set_event_loop_policy(theirs)
        fastasync.uninstall()
        assert asyncio.get_event_loop_policy() is theirs
        asyncio.set_event_loop_policy(before)


def test_it_warns_of_nothing():
    program = """
import asyncio, fastasync
fastasync.install()
async def main(): return type(asyncio.get_running_loop())
assert asyncio.run(main()) is fastasync.Loop
fastasync.uninstall()
assert asyncio.run(main()) is not fastasync.Loop
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_without_policies_new_event_loop_is_rebound(monkeypatch):
    monkeypatch.setattr(_install, "_policy_base", lambda: None)
    before = asyncio.new_event_loop, asyncio.events.new_event_loop
    fastasync.install()
    try:
        with asyncio.Runner() as runner:
            assert type(runner.get_loop()) is fastasync.Loop
        loop = asyncio.new_event_loop()
        loop.close()
        assert type(loop) is fastasync.Loop
    finally:
        fastasync.uninstall()
    assert before == (asyncio.new_event_loop, asyncio.events.new_event_loop)
