"""TaskGroup: the same on asyncio's name and on ours."""

import asyncio
import contextvars
import copy
import gc
import inspect
import sys
import weakref

import pytest

import _fastasync
from places import QUICK, same

var = contextvars.ContextVar("var", default=0)
FIELDS = ("_entered", "_exiting", "_aborting", "_parent_cancel_requested",
          "_errors", "_base_error", "_on_completed_fut", "_tasks")


async def give(value, turns=1):
    for _ in range(turns):
        await asyncio.sleep(0)
    return value


async def fail(error, turns=1):
    for _ in range(turns):
        await asyncio.sleep(0)
    raise error


async def hang():
    await asyncio.get_running_loop().create_future()


def state(p, group):
    p.note(repr(group), *(getattr(group, name) for name in FIELDS),
           group._parent_task is None, group._loop is p.loop)


async def attempt(p, coro):
    before = p.tick()
    try:
        p.note("returned", await coro, p.tick() - before)
    except BaseException as error:
        p.note("raised", error, p.tick() - before)
    p.note(asyncio.current_task().cancelling())


def test_all_goes_well():
    async def script(p):
        async def body(turns):
            async with p.TaskGroup() as group:
                tasks = [group.create_task(give(i, i % turns))
                         for i in range(10)]
                p.note(repr(group), len(group._tasks))
            p.note([task.result() for task in tasks])
            return "left"

        for turns in (1, 2, 5):
            await attempt(p, body(turns))
        async with p.TaskGroup():
            pass
        group = p.TaskGroup()
        state(p, group)
        async with group as entered:
            p.note(entered is group)
            state(p, group)
        state(p, group)
    same(script, count=True)


@pytest.mark.parametrize("make", [
    lambda: ValueError("v"), lambda: KeyboardInterrupt("k"),
    lambda: SystemExit(3), lambda: asyncio.CancelledError("c"),
    lambda: GeneratorExit("g"), lambda: ExceptionGroup("e", [OSError(1)]),
    lambda: type("Sub", (asyncio.CancelledError,), {})("sub"),
], ids=["error", "interrupt", "exit", "cancelled", "genexit", "group", "sub"])
def test_the_body_fails(make):
    async def script(p):
        async def body(others):
            group = p.TaskGroup()
            try:
                async with group:
                    for coro in others:
                        group.create_task(coro)
                    await asyncio.sleep(0)
                    raise make()
            finally:
                state(p, group)

        await attempt(p, body([]))
        await attempt(p, body([hang(), give(1, 5)]))
        await attempt(p, body([hang(), fail(KeyError("task"), 0)]))
    same(script, count=True)


def test_tasks_fail():
    async def script(p):
        async def body(errors, rest):
            async with p.TaskGroup() as group:
                for turns, error in enumerate(errors):
                    group.create_task(fail(error, turns // 2))
                group.create_task(hang())
                await rest()

        async def stubborn():
            try:
                await hang()
            except asyncio.CancelledError:
                raise OSError("on the way out") from None

        async def swallow():
            try:
                await hang()
            except asyncio.CancelledError:
                return
        for rest in (hang, lambda: give(1, 0), stubborn, swallow):
            await attempt(p, body([ValueError(1)], rest))
            await attempt(p, body([ValueError(1), KeyError(2), OSError(3)],
                                  rest))
    same(script, count=True)


def test_cleanup_fails_too():
    async def script(p):
        async def child():
            try:
                await hang()
            finally:
                await asyncio.sleep(0)
                raise KeyError("cleanup")

        async def body():
            async with p.TaskGroup() as group:
                for _ in range(2):
                    group.create_task(child())
                group.create_task(fail(ValueError("first")))
        await attempt(p, body())
    same(script, count=True)


def test_cancelled_from_outside():
    async def script(p):
        async def slow():
            try:
                await hang()
            finally:
                for _ in range(3):
                    await asyncio.sleep(0)

        async def outer(in_body, failing):
            try:
                async with p.TaskGroup() as group:
                    group.create_task(slow())
                    if failing:
                        group.create_task(fail(ValueError("task"), 2))
                    if in_body:
                        await hang()
            except BaseException as error:
                p.note(error, repr(group))
                p.note(asyncio.current_task().cancelling())
                raise

        for in_body in (0, 1):
            for failing in (0, 1):
                for times in (1, 2, 3):
                    task = p.task(outer(in_body, failing))
                    for i in range(times):
                        await asyncio.sleep(0)
                        await asyncio.sleep(0)
                        task.cancel(f"stop {i}")
                    await asyncio.wait([task])
                    p.note(task.cancelled(), task.cancelling())
                    if not task.cancelled():
                        p.note(task.exception())
    same(script)


def test_nested():
    async def script(p):
        async def body(where):
            async with p.TaskGroup() as outer:
                outer.create_task(hang() if where == "inner" else
                                  fail(KeyError("outer"), 1))
                async with p.TaskGroup() as inner:
                    inner.create_task(fail(ValueError("inner"), 1)
                                      if where != "outer" else hang())
                    await hang()
        for where in ("inner", "outer", "both"):
            await attempt(p, body(where))
    same(script, count=True)


def test_with_timeouts():
    async def script(p):
        async def body():
            async with p.timeout(-1):
                async with p.TaskGroup() as group:
                    group.create_task(hang())
                    await hang()
        await attempt(p, body())

        async def failing():
            async with p.timeout(-1):
                async with p.TaskGroup() as group:
                    group.create_task(fail(ValueError("x"), 0))
                    await hang()
        await attempt(p, failing())
    same(script)


def test_create_task_refused():
    async def script(p):
        group = p.TaskGroup()

        def refused():
            coro = give(1)
            try:
                group.create_task(coro)
            except RuntimeError as error:
                p.note(error, inspect.getcoroutinestate(coro))
            coro.close()

        refused()
        try:
            async with group:
                for call in (group.create_task,
                             lambda: group.create_task(5),
                             lambda: group.create_task(give(1), "name")):
                    try:
                        call()
                    except TypeError as error:
                        p.note(str(error))
                group.create_task(fail(ValueError("x"), 0))
                try:
                    await hang()
                finally:
                    refused()
        except ExceptionGroup as error:
            p.note(error)
        refused()
        try:
            await group.__aenter__()
        except RuntimeError as error:
            p.note(error)
    with pytest.warns(RuntimeWarning, match="never awaited"):
        same(script, places=QUICK)


def test_names_and_contexts():
    async def script(p):
        async def look():
            return var.get(), asyncio.current_task().get_name()

        context = contextvars.copy_context()
        context.run(var.set, 7)
        async with p.TaskGroup() as group:
            tasks = [group.create_task(look(), name="first"),
                     group.create_task(coro=look(), name="second",
                                       context=context),
                     group.create_task(look(), context=None, name="third")]
            var.set(3)
            tasks.append(group.create_task(look(), name="fourth"))
        p.note([task.result() for task in tasks])
        var.set(0)
        async with p.TaskGroup() as group:
            group.create_task(give(1), name="named")
            before = group.create_task(give(1)).get_name()
            after = p.task(give(1)).get_name()
            p.note(int(after[5:]) - int(before[5:]))
    same(script, places=QUICK)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new")
def test_eager_tasks():
    async def script(p):
        p.loop.set_task_factory(asyncio.eager_task_factory)

        async def body(*coros):
            async with p.TaskGroup() as group:
                for coro in coros:
                    group.create_task(coro)
                p.note(len(group._tasks))
        await attempt(p, body(give(1, 0), give(1, 1)))
        await attempt(p, body(give(1, 0), fail(ValueError(1), 0), ))
        await attempt(p, body(fail(ValueError(1), 0), hang()))
    same(script, places=QUICK)


def test_subclass():
    async def script(p):
        class Mine(p.TaskGroup):
            def __init__(self):
                super().__init__()
                self.seen = []

            def _on_task_done(self, task):
                self.seen.append("done")
                super()._on_task_done(task)

            def _abort(self):
                self.seen.append("abort")
                super()._abort()

            def _is_base_error(self, exc):
                self.seen.append(type(exc).__name__)
                return super()._is_base_error(exc)

        group = Mine()
        try:
            async with group:
                group.create_task(give(1))
                group.create_task(fail(ValueError("x"), 1))
                group.create_task(hang())
        except ExceptionGroup as error:
            p.note(error)
        p.note(group.seen, isinstance(group, asyncio.TaskGroup))
    same(script)


def test_outside_of_tasks():
    async def script(p):
        said = []

        def callback():
            try:
                p.TaskGroup().__aenter__().send(None)
            except RuntimeError as error:
                said.append(error)
        p.loop.call_soon(callback)
        await asyncio.sleep(0)
        p.note(said[0])
    same(script)


def test_the_parent_is_done():
    """A group left open: its errors go to the exception handler."""
    async def script(p):
        async def leaves():
            group = p.TaskGroup()
            await group.__aenter__()
            group.create_task(fail(ValueError("orphan"), 3))
        await p.task(leaves(), name="parent")
        for _ in range(6):
            await asyncio.sleep(0)
        p.note([type(entry[-1]) for entry in p.log])
        p.log[:] = [[part.replace("Task-", "") if isinstance(part, str)
                     and "orphan" in part else part for part in entry]
                    for entry in p.log if "told" not in entry]
    same(script)


@pytest.mark.skipif(sys.version_info < (3, 15), reason="new in 3.15")
def test_cancel():
    async def script(p):
        async def body(when):
            group = p.TaskGroup()
            if when == "before":
                group.cancel()
            async with group:
                group.create_task(hang()) if when != "before" else None
                if when == "inside":
                    group.cancel()
                    group.cancel()
                if when == "later":
                    p.loop.call_soon(group.cancel)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                p.note("not reached")
            group.cancel()
            return when
        for when in ("before", "inside", "later"):
            await attempt(p, body(when))
    same(script, count=True)


def test_attributes_copy_and_bare_objects():
    async def script(p):
        group = p.TaskGroup()
        group.extra = 1
        other = copy.copy(group)
        p.note(other.extra, repr(other), other._tasks is group._tasks)
        bare = p.TaskGroup.__new__(p.TaskGroup)
        for name in ("_tasks", "_errors", "_loop"):
            try:
                p.note(getattr(bare, name))
            except AttributeError as error:
                p.note(str(error))
        for call in (lambda: repr(bare), lambda: bare.create_task(None)):
            try:
                call()
            except AttributeError:
                p.note("refused")
        for coro in (bare.__aenter__(), bare.__aexit__(None, None, None)):
            try:
                await coro
            except AttributeError:
                p.note("refused")
        group._tasks = {1}
        p.note(repr(group))
        group._errors.append(1)
        group._aborting = True
        p.note(repr(group))
        try:
            p.TaskGroup(1)
        except TypeError as error:
            p.note(str(error))
    same(script)


def test_signatures():
    for name in ("create_task", "__aenter__", "__aexit__"):
        ours = inspect.signature(getattr(_fastasync.TaskGroup, name))
        theirs = inspect.signature(
            getattr(asyncio.taskgroups.TaskGroup, name))
        assert [(a.name, a.default, a.kind)
                for a in list(ours.parameters.values())[1:]] == [
            (a.name, a.default, a.kind)
            for a in list(theirs.parameters.values())[1:]]


def test_no_cycles_are_left():
    class Canary(Exception):
        pass

    async def main():
        refs = []
        try:
            async with _fastasync.TaskGroup() as group:
                refs.append(weakref.ref(group))
                group.create_task(give(1))
        finally:
            del group
        try:
            async with _fastasync.TaskGroup():
                raise Canary
        except* Canary as error:
            refs.append(weakref.ref(error.exceptions[0]))
        return refs

    import fastasync
    loop = fastasync.new_event_loop()
    gc.collect()
    gc.disable()
    try:
        assert [ref() for ref in loop.run_until_complete(main())] == [
            None, None]
    finally:
        gc.enable()
        loop.close()


class NoSet(list):
    """What somebody has put into _tasks."""

    def add(self, item):
        self.append(item)

    discard = list.remove


def test_tasks_of_another_kind(world):
    """Whatever has the methods of a set is used as one."""
    async def main():
        async with world.TaskGroup() as group:
            group._tasks = tasks
            task = group.create_task(give(1))
            assert tasks == [task]
        return task.result()

    tasks = NoSet()
    assert world.run(main()) == 1
    assert tasks == []


@pytest.mark.parametrize("value", [5, None, []], ids=repr)
def test_tasks_that_are_no_set(world, value):
    async def main():
        group = world.TaskGroup()
        await group.__aenter__()
        group._tasks = value
        with pytest.raises(AttributeError, match="has no attribute 'add'"):
            group.create_task(give(1))
        (task,) = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait([task])
        group._tasks = set()
        await group.__aexit__(None, None, None)

    world.run(main())


@pytest.mark.parametrize("value", [5, ValueError, object()], ids=repr)
def test_a_base_error_that_is_no_instance(world, value):
    async def main():
        group = world.TaskGroup()
        await group.__aenter__()
        group._base_error = value
        await group.__aexit__(None, None, None)

    with pytest.raises(ValueError if value is ValueError else TypeError):
        world.run(main())
