"""The names of the package: what stands in the shop window."""

import asyncio
import importlib.metadata
import subprocess
import sys
import types

import pytest

import fastasync

import _fastasync


def test_every_public_name_of_asyncio_is_there():
    missing = [name for name in asyncio.__all__ if not hasattr(fastasync, name)]
    assert missing == []


def test_all_holds_asyncios_names_and_ours_and_nothing_that_fails():
    own = {"Loop", "new_event_loop", "run", "Runner", "install", "uninstall"}
    assert set(asyncio.__all__) | own <= set(fastasync.__all__)
    assert [n for n in fastasync.__all__ if not hasattr(fastasync, n)] == []


@pytest.mark.parametrize("name", ["Task", "Future", "Handle", "TimerHandle"])
def test_our_types_win(name):
    assert getattr(fastasync, name) is getattr(_fastasync, name)


def test_the_cores_methods_win():
    """What is borrowed from asyncio must not hide a method written in C."""
    from fastasync._loop import _BORROWED

    borrowed = {name for names in _BORROWED.values() for name in names}
    ours = {name for name in vars(_fastasync.LoopCore) if name != "__repr__"}
    assert borrowed & ours == set()
    assert fastasync.Loop.subprocess_exec is _fastasync.LoopCore.subprocess_exec


def test_our_functions_win():
    assert fastasync.run is not asyncio.run
    assert fastasync.Runner is not asyncio.Runner
    assert issubclass(fastasync.Runner, asyncio.Runner)
    assert type(fastasync.new_event_loop().close()) is type(None)


def test_the_rest_is_asyncios():
    for name in ("QueueEmpty", "AbstractEventLoop", "CancelledError"):
        assert getattr(fastasync, name) is getattr(asyncio, name)


def test_submodules_of_asyncio_are_attributes():
    for name, value in vars(asyncio).items():
        if isinstance(value, types.ModuleType) and value.__name__ == (
            f"asyncio.{name}"
        ):
            assert getattr(fastasync, name) is value


def test_names_outside_all_come_from_asyncio():
    assert "SelectorEventLoop" in asyncio.__all__
    assert "sslproto" not in asyncio.__all__
    assert fastasync.sslproto is asyncio.sslproto
    assert fastasync.constants is asyncio.constants


def test_an_unknown_name_is_an_attribute_error_with_pythons_text():
    with pytest.raises(AttributeError) as caught:
        fastasync.nonsense
    assert str(caught.value) == "module 'fastasync' has no attribute 'nonsense'"


def test_dir_shows_the_window_and_not_the_plumbing():
    names = dir(fastasync)
    assert set(fastasync.__all__) <= set(names)
    assert {"Any", "_types", "_collect", "_install"}.isdisjoint(names)
    assert names == sorted(names)


@pytest.mark.skipif(
    not hasattr(asyncio, "EventLoop"), reason="asyncio.EventLoop is of 3.13"
)
def test_the_best_loop_is_ours():
    assert fastasync.EventLoop is fastasync.Loop


@pytest.mark.skipif(
    not hasattr(asyncio, "eager_task_factory"), reason="eager tasks are of 3.12"
)
def test_eager_task_factory_is_recognisable_and_makes_our_tasks():
    ours, theirs = fastasync.eager_task_factory, asyncio.eager_task_factory
    assert ours.__code__ is theirs.__code__
    assert ours.__closure__[0].cell_contents is fastasync.Task


def test_importing_warns_of_nothing_and_changes_no_name_of_asyncio():
    # the two functions of the call graph (3.14) are widened, as the registry is
    program = """
import asyncio
widened = {"future_add_to_awaited_by", "future_discard_from_awaited_by"}
names = set(asyncio.__all__) - widened
before = {n: getattr(asyncio, n) for n in names}
policy = asyncio.events._event_loop_policy
import fastasync
assert before == {n: getattr(asyncio, n) for n in names}
assert asyncio.events._event_loop_policy is policy
from fastasync import *
assert run is fastasync.run
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_the_version_is_the_distributions():
    assert fastasync.__version__ == importlib.metadata.version("fastasync")


def test_a_program_with_fastasync_as_asyncio_runs():
    program = """
import fastasync as asyncio

async def main():
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        task = group.create_task(asyncio.sleep(0, "done"))
        queue = asyncio.Queue()
        await queue.put(await task)
    assert isinstance(task, asyncio.Task), task
    assert type(asyncio.get_running_loop()) is asyncio.Loop
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)
    except asyncio.TimeoutError:
        return await queue.get()

print(asyncio.run(main()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True
    )
    assert done.stdout == b"done\n"
