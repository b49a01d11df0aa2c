"""asyncio after install(): what is ours, what is older, what tools do to it."""

import asyncio
import functools
import inspect
import sys
import types

import pytest

import _fastasync
import fastasync
from fastasync import _install, _rewritable

NAMES = [(home, n) for home, names in _install._NAMES.items() for n in names]
CLASSES = [
    name for _, name in NAMES if isinstance(getattr(asyncio, name), type)
]
# asyncio's own, before any test here puts ours in their place
STOCK = {
    name: getattr(sys.modules[f"asyncio.{home}"], name) for home, name in NAMES
}


@pytest.fixture
def installed():
    fastasync.install()
    yield
    fastasync.uninstall()


def ours(name):
    return getattr(_rewritable, name, getattr(_fastasync, name))


# -- the names -----------------------------------------------------------------


@pytest.mark.parametrize(("home", "name"), NAMES)
def test_a_name_is_ours_wherever_asyncio_holds_it(home, name):
    assert STOCK[name] is not ours(name)
    holders = [
        module
        for module_name, module in sys.modules.items()
        if module_name.partition(".")[0] == "asyncio"
        and vars(module).get(name) is STOCK[name]
    ]
    assert {asyncio, sys.modules[f"asyncio.{home}"]} <= set(holders)
    fastasync.install()
    try:
        for module in holders:
            assert getattr(module, name) is ours(name)
    finally:
        fastasync.uninstall()
    for module in holders:
        assert getattr(module, name) is STOCK[name]


def test_every_twin_in_the_extension_is_in_the_table():
    """What the extension and asyncio both have is rebound, or has a reason."""
    kept = {
        "Handle": "tools patch asyncio.Handle._run",
        "TimerHandle": "likewise",
        "create_task": "a Python function that asks the loop",
        "isfuture": "a Python function that knows ours",
        "current_task": "C in asyncio too since 3.12",
        "get_running_loop": "C in asyncio too",
        "_get_running_loop": "C in asyncio too",
        "future_add_to_awaited_by": "widened at import",
        "future_discard_from_awaited_by": "widened at import",
    }
    both = {
        name
        for name in vars(_fastasync)
        if not name.startswith("__") and hasattr(asyncio, name)
    }
    assert both - {name for _, name in NAMES} <= set(kept)


@pytest.mark.parametrize("name", CLASSES)
def test_classes_pass_for_each_other_both_ways(installed, name):
    mine, theirs = getattr(asyncio, name), STOCK[name]
    assert mine is getattr(_fastasync, name)
    assert issubclass(mine, mine)
    if name in ("Task", "Future"):  # isinstance only: the layout is private
        assert not issubclass(mine, theirs)
    else:
        assert issubclass(mine, theirs)
    assert not issubclass(theirs, mine)


class Closed(asyncio.Transport):
    def is_closing(self):
        return True


def test_instances_are_of_both_classes(installed):
    async def main():
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(asyncio.sleep(0))
        reader = asyncio.StreamReader()
        found = {
            "Task": task,
            "Future": loop.create_future(),
            "Barrier": asyncio.Barrier(1),
            "Timeout": asyncio.timeout(1),
            "StreamReader": reader,
            "StreamReaderProtocol": asyncio.StreamReaderProtocol(reader),
            "StreamWriter": asyncio.StreamWriter(Closed(), None, None, loop),
        }
        for name in CLASSES:
            thing = found[name] if name in found else getattr(asyncio, name)()
            assert isinstance(thing, getattr(asyncio, name))
            assert isinstance(thing, STOCK[name])
            assert isinstance(thing, getattr(fastasync, name))
        await task

    asyncio.run(main())


# -- what is older than install() ----------------------------------------------

SLEEP, GATHER, WAIT_FOR = asyncio.sleep, asyncio.gather, asyncio.wait_for
SHIELD, WAIT, COMPLETED = asyncio.shield, asyncio.wait, asyncio.as_completed
ENSURE, TIMEOUT = asyncio.ensure_future, asyncio.timeout


def test_functions_that_were_imported_earlier_work_with_ours(installed):
    assert GATHER is STOCK["gather"] is not asyncio.gather

    async def main():
        event = asyncio.Event()
        inner = asyncio.create_task(event.wait())
        outer = GATHER(SHIELD(inner), SLEEP(0, "slept"), asyncio.sleep(0, 1))
        assert asyncio.isfuture(outer)  # a stock one: not an asyncio.Future
        event.set()
        assert await outer == [True, "slept", 1]
        assert await WAIT_FOR(asyncio.sleep(0, 2), 5) == 2
        assert await asyncio.wait_for(SLEEP(0, 3), 5) == 3
        done, _ = await WAIT([ENSURE(asyncio.sleep(0, 4)), inner])
        assert sorted(task.result() for task in done) == [True, 4]
        for first in COMPLETED([asyncio.sleep(0, 5), SLEEP(0, 5)]):
            assert await first == 5
        with pytest.raises(TimeoutError):
            async with TIMEOUT(0.001), asyncio.timeout(60):
                await asyncio.Queue().get()
        nested = asyncio.gather(GATHER(SLEEP(0, 6)), asyncio.gather())
        assert await nested == [[6], []]

    asyncio.run(main())


def older():
    """Objects of asyncio's own classes; they find their loop when used."""
    return types.SimpleNamespace(
        lock=STOCK["Lock"](),
        event=STOCK["Event"](),
        queue=STOCK["Queue"](1),
        gate=STOCK["Semaphore"](1),
        barrier=STOCK["Barrier"](2),
    )


def test_objects_made_earlier_work_on_our_loop_with_ours(installed):
    old = older()
    said = []

    async def producer():
        for number in range(3):
            await old.queue.put(number)
        await old.event.wait()
        await old.barrier.wait()

    async def worker(name):
        async with old.lock, old.gate, asyncio.Lock():
            said.append(name)
            await asyncio.sleep(0)
            said.append(name)

    async def main():
        assert type(asyncio.get_running_loop()) is fastasync.Loop
        condition = asyncio.Condition(old.lock)
        async with asyncio.TaskGroup() as group:
            group.create_task(producer())
            group.create_task(worker("a"))
            group.create_task(worker("b"))
            assert [await old.queue.get() for _ in range(3)] == [0, 1, 2]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(old.queue.get(), 0.001)
            old.event.set()
            await old.barrier.wait()
        async with condition:
            assert old.lock.locked()
            assert await condition.wait_for(lambda: "yes") == "yes"
        assert not old.lock.locked()

    asyncio.run(main())
    assert said == ["a", "a", "b", "b"]


def test_a_queue_is_handed_over_from_one_loop_to_the_other():
    """Filled on asyncio, emptied on ours after install(), filled again."""
    queue = STOCK["Queue"]()

    async def fill():
        for number in range(3):
            await queue.put(number)

    async def empty():
        return [await queue.get() for _ in range(3)]

    asyncio.run(fill())
    fastasync.install()
    try:
        assert asyncio.run(empty()) == [0, 1, 2]
        asyncio.run(fill())
    finally:
        fastasync.uninstall()
    assert asyncio.run(empty()) == [0, 1, 2]


def test_ours_work_on_an_asyncio_loop(installed):
    async def main():
        assert type(asyncio.get_running_loop()) is not fastasync.Loop
        queue, lock = asyncio.Queue(1), asyncio.Lock()

        async def feed():
            async with lock:
                for number in range(3):
                    await queue.put(number)

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(feed())
            return [await queue.get() for _ in range(3)]

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert runner.run(main()) == [0, 1, 2]


def test_subclasses_made_earlier_work(installed):
    class Noted(STOCK["Queue"]):
        def _put(self, item):
            self.noted = item
            super()._put(item)

    async def main():
        queue = Noted(1)
        getter = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        await asyncio.wait_for(queue.put("x"), 5)
        return await getter, queue.noted, isinstance(queue, asyncio.Queue)

    assert asyncio.run(main()) == ("x", "x", False)


# -- tools that wrap names -----------------------------------------------------


class Proxy:
    """As wrapt makes them: answers as what it wraps, isinstance too."""

    def __init__(self, wrapped, calls):
        self.__wrapped__ = wrapped
        self.calls = calls

    @property
    def __class__(self):
        return type(self.__wrapped__)

    def __getattr__(self, name):
        return getattr(self.__wrapped__, name)

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        bound = self.__wrapped__.__get__(instance, owner)
        return type(self)(bound, self.calls)

    def __call__(self, *args, **kwargs):
        self.calls.append(self.__wrapped__.__name__)
        return self.__wrapped__(*args, **kwargs)


def plain_wrapper(wrapped, calls):
    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        calls.append(wrapped.__name__)
        return wrapped(*args, **kwargs)

    return wrapper


FUNCTIONS = ["gather", "wait", "wait_for", "sleep", "shield", "to_thread"]


async def use_every_function():
    await asyncio.gather(asyncio.sleep(0))
    await asyncio.wait([asyncio.ensure_future(asyncio.sleep(0))])
    await asyncio.wait_for(asyncio.shield(asyncio.sleep(0)), 5)
    await asyncio.to_thread(int)


@pytest.mark.parametrize("wrap", [Proxy, plain_wrapper])
@pytest.mark.parametrize("where", ["asyncio", "both"])
def test_what_was_wrapped_before_stays_and_works(monkeypatch, wrap, where):
    calls = []
    wrapped = {}
    for name in FUNCTIONS:
        wrapped[name] = wrap(STOCK[name], calls)
        monkeypatch.setattr(asyncio, name, wrapped[name])
        home = asyncio.threads if name == "to_thread" else asyncio.tasks
        if where == "both":
            monkeypatch.setattr(home, name, wrapped[name])
    fastasync.install()
    try:
        for name in FUNCTIONS:
            home = asyncio.threads if name == "to_thread" else asyncio.tasks
            assert getattr(asyncio, name) is wrapped[name]
            if where == "asyncio":
                assert getattr(home, name) is ours(name)
            else:
                assert getattr(home, name) is wrapped[name]
        assert asyncio.Lock is fastasync.Lock
        asyncio.run(use_every_function())
    finally:
        fastasync.uninstall()
    assert set(calls) == set(FUNCTIONS)
    assert asyncio.gather is wrapped["gather"]


@pytest.mark.parametrize("wrap", [Proxy, plain_wrapper])
def test_ours_can_be_wrapped(installed, monkeypatch, wrap):
    calls = []
    for name in FUNCTIONS:
        monkeypatch.setattr(asyncio, name, wrap(ours(name), calls))
        assert inspect.signature(getattr(asyncio, name)) == (
            inspect.signature(ours(name))
        )
    asyncio.run(use_every_function())
    assert set(calls) == set(FUNCTIONS)


@pytest.mark.parametrize("wrap", [Proxy, plain_wrapper])
def test_methods_of_ours_can_be_wrapped(installed, monkeypatch, wrap):
    calls = []
    for cls, name in [
        (asyncio.Lock, "acquire"),
        (asyncio.Queue, "get"),
        (asyncio.Queue, "put_nowait"),
        (asyncio.TaskGroup, "create_task"),
        (asyncio.StreamReader, "feed_data"),
    ]:
        monkeypatch.setattr(cls, name, wrap(getattr(cls, name), calls))

    async def main():
        queue, lock = asyncio.Queue(), asyncio.Lock()
        await lock.acquire()
        await queue.put(await queue.get() if queue.qsize() else 1)
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        reader = asyncio.StreamReader()
        reader.feed_data(b"x")
        return await queue.get()

    assert asyncio.run(main()) == 1
    assert set(calls) == {
        "acquire",
        "get",
        "put_nowait",
        "create_task",
        "feed_data",
    }


# -- tools that rewrite code ---------------------------------------------------


def template(*args, **kwargs):
    wrapper = "the wrapper"
    return wrapper(*args, **kwargs)


async def async_template(*args, **kwargs):
    wrapper = "the wrapper"
    return await wrapper(*args, **kwargs)


def rewrite(function, calls):
    """Put a wrapper into a function's code, as ddtrace does."""
    original = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    original.__kwdefaults__ = function.__kwdefaults__

    def wrapper(*args, **kwargs):
        calls.append(function.__qualname__)
        return original(*args, **kwargs)

    is_async = inspect.iscoroutinefunction(function)
    code = (async_template if is_async else template).__code__
    function.__code__ = code.replace(
        co_consts=tuple(
            wrapper if const == "the wrapper" else const
            for const in code.co_consts
        ),
        co_freevars=function.__code__.co_freevars,
    )


def test_the_functions_that_profilers_rewrite_can_be_rewritten(
    installed, monkeypatch
):
    calls = []
    functions = [
        asyncio.shield,
        asyncio.as_completed,
        asyncio.create_task,
        asyncio.TaskGroup.create_task,
        asyncio.tasks._wait,
        asyncio.tasks._GatheringFuture.__init__,
    ]
    for function in functions:
        assert type(function) is types.FunctionType
        monkeypatch.setattr(function, "__code__", function.__code__)
        rewrite(function, calls)

    async def main():
        assert await asyncio.shield(asyncio.sleep(0, 1)) == 1
        for first in asyncio.as_completed([asyncio.sleep(0, 2)], timeout=9):
            assert await first == 2
        task = asyncio.create_task(asyncio.sleep(0, 3), name="three")
        assert (await task, task.get_name()) == (3, "three")
        async with asyncio.TaskGroup() as group:
            task = group.create_task(asyncio.sleep(0, 4), name="four")
        assert (task.result(), task.get_name()) == (4, "four")
        done, _ = await asyncio.wait([task])
        assert done == {task}
        assert await asyncio.gather(asyncio.sleep(0, 5)) == [5]

    asyncio.run(main())
    assert set(calls) == {
        "shield",
        "as_completed",
        "create_task",
        "TaskGroup.create_task",
    }
    assert issubclass(asyncio.TaskGroup, STOCK["TaskGroup"])


def test_the_functions_that_profilers_rewrite_have_asyncios_parameters():
    for ours_, theirs in [
        (_rewritable.shield, STOCK["shield"]),
        (_rewritable.as_completed, STOCK["as_completed"]),
        (_rewritable.create_task, STOCK["TaskGroup"].create_task),
    ]:
        assert [
            (p.name, p.kind, p.default)
            for p in inspect.signature(ours_).parameters.values()
        ] == [
            (p.name, p.kind, p.default)
            for p in inspect.signature(theirs).parameters.values()
        ]
