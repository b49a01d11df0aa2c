"""asyncio.all_tasks() sees our tasks and everybody else's."""

import asyncio
import gc
import importlib
import sys
import threading
import weakref

import pytest

import fastasync
from fastasync import _registry

PLAIN_TASK = sys.modules["_asyncio"].Task


def run(main, loop):
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


@pytest.mark.parametrize(
    "factory", [fastasync.new_event_loop, asyncio.SelectorEventLoop]
)
def test_all_kinds_of_tasks_are_seen_on_every_loop(factory):
    async def main():
        loop = asyncio.get_running_loop()
        ours = [
            fastasync.Task(asyncio.sleep(0.01), loop=loop) for _ in range(3)
        ]
        theirs = [PLAIN_TASK(asyncio.sleep(0.01), loop=loop) for _ in range(3)]
        pure = []
        if sys.version_info < (3, 14):  # there they have their own registry
            make = asyncio.tasks._PyTask
            pure = [make(asyncio.sleep(0.01), loop=loop) for _ in range(3)]
        expected = {*ours, *theirs, *pure, asyncio.current_task()}
        assert asyncio.all_tasks() == expected
        assert asyncio.all_tasks(loop) == expected
        assert fastasync.all_tasks() == expected
        await asyncio.wait([*ours, *theirs, *pure])
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main(), factory())


def test_tasks_of_another_loop_are_not_shown():
    first, second = fastasync.new_event_loop(), fastasync.new_event_loop()

    async def main():
        mine = first.create_task(asyncio.sleep(0))
        other = second.create_task(asyncio.sleep(0))
        assert asyncio.all_tasks() == {asyncio.current_task(), mine}
        assert asyncio.all_tasks(second) == {other}
        return other

    other = first.run_until_complete(main())
    second.run_until_complete(other)
    assert asyncio.all_tasks(second) == set()
    first.close()
    second.close()


def test_tasks_of_another_thread_are_seen():
    started, finish = threading.Event(), threading.Event()
    loops = []

    async def main():
        loops.append(asyncio.get_running_loop())
        started.set()
        while not finish.is_set():
            await asyncio.sleep(0.001)

    thread = threading.Thread(target=lambda: fastasync.run(main()))
    thread.start()
    started.wait()
    try:
        (task,) = asyncio.all_tasks(loops[0])
        assert type(task) is fastasync.Task
        assert task.get_coro().__name__ == "main"
    finally:
        finish.set()
        thread.join()


def test_without_a_running_loop_it_fails_as_asyncios():
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.all_tasks()


def test_the_registry_keeps_no_task_alive():
    async def main():
        task = asyncio.create_task(asyncio.sleep(0))
        await task
        return weakref.ref(task)

    reference = fastasync.run(main())
    gc.collect()
    assert reference() is None


def test_connecting_again_or_reloading_changes_nothing():
    async def count():
        return len(asyncio.all_tasks())

    before = vars(asyncio.tasks).copy()
    _registry.connect()
    importlib.reload(_registry).connect()
    assert vars(asyncio.tasks) == before
    assert fastasync.run(count()) == 1


class FakeTask:
    """Enough of a task to stand in a registry."""


@pytest.fixture
def fakes(monkeypatch):
    tasks = [FakeTask(), FakeTask()]
    monkeypatch.setattr(_registry, "live_tasks", lambda: list(tasks))
    return tasks


class TestTasksView:
    """What asyncio reads by name on 3.11 to 3.13."""

    def test_reading_shows_ours_first_and_then_the_sets(self, fakes):
        theirs = FakeTask()
        view = _registry.TasksView.over(weakref.WeakSet([theirs]))
        assert list(view) == [*fakes, theirs]
        assert len(view) == 3
        assert fakes[0] in view and theirs in view
        assert FakeTask() not in view and 3 not in view
        assert set(view.copy()) == {*fakes, theirs}
        assert set(view | {fakes[0]}) == {*fakes, theirs}
        assert list(view - set(fakes)) == [theirs]

    def test_it_and_the_original_are_one_set(self, fakes):
        original = weakref.WeakSet()
        view = _registry.TasksView.over(original)
        one, two = FakeTask(), FakeTask()
        original.add(one)
        view.add(two)
        assert one in view and two in original
        view.discard(one)
        assert list(original) == [two]
        assert view.data is original.data

    def test_what_dies_leaves_it(self, fakes):
        view = _registry.TasksView.over(weakref.WeakSet())
        task = FakeTask()
        view.add(task)
        del task
        gc.collect()
        assert list(view) == fakes

    def test_an_iteration_survives_deaths(self, fakes):
        theirs = [FakeTask() for _ in range(5)]
        view = _registry.TasksView.over(weakref.WeakSet(theirs))
        seen = 0
        for task in view:
            seen += 1
            theirs.clear()
        assert 2 <= seen <= 7


class TestReferencesView:
    """What asyncio's C code reads on 3.14 and later."""

    def test_a_weak_set_over_it_shows_ours_first(self, fakes):
        theirs = FakeTask()
        data = _registry.ReferencesView([weakref.ref(theirs)])
        assert [reference() for reference in data.copy()] == [*fakes, theirs]
        assert [reference() for reference in data] == [*fakes, theirs]
        assert len(data) == 1

    def test_it_stays_a_set(self, fakes):
        task = FakeTask()
        data = _registry.ReferencesView()
        reference = weakref.ref(task)
        data.add(reference)
        assert reference in data
        data.discard(reference)
        data.discard(reference)
        assert reference not in data and len(data) == 0


def test_the_last_resort_wraps_all_tasks(monkeypatch):
    for module in (asyncio, asyncio.tasks):
        monkeypatch.setattr(module, "all_tasks", lambda loop=None: {"theirs"})

    class Ours:
        def get_loop(self):
            return "loop"

    ours = Ours()
    monkeypatch.setattr(_registry, "live_tasks", lambda: [ours])
    assert _registry._wrap_all_tasks()
    wrapped = asyncio.all_tasks
    assert asyncio.tasks.all_tasks is wrapped
    assert wrapped("loop") == {ours, "theirs"}
    assert wrapped("another") == {"theirs"}
    assert _registry._wrap_all_tasks()
    assert asyncio.all_tasks is wrapped
