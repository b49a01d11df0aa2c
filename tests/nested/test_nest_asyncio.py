"""nest_asyncio.apply() and nest_asyncio2.apply() on our loop.

Each scenario has a process of its own, since apply() is for good.
"""

import importlib.util
import subprocess
import sys
import textwrap

import pytest

PACKAGES = ("nest_asyncio", "nest_asyncio2")

HELPERS = """
import asyncio, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import fastasync
import {package} as nest

C_TASK, C_FUTURE = asyncio.Task, asyncio.Future

async def inner(value=42):
    me = asyncio.current_task()
    assert type(me) is fastasync.Task, type(me)
    assert type(asyncio.get_running_loop().create_future()) is fastasync.Future
    await asyncio.sleep(0.001)
    assert asyncio.current_task() is me
    return value

def undone():
    assert asyncio.Task is asyncio.tasks.Task is C_TASK
    assert asyncio.Future is asyncio.futures.Future is C_FUTURE
    assert asyncio.tasks._CTask is not asyncio.tasks._PyTask
    assert asyncio.run is asyncio.runners.run

def check(main, **options):
    print(fastasync.run(main, **options))
"""

SCENARIOS = {
    "in a task": """
        async def main():
            loop, me = asyncio.get_running_loop(), asyncio.current_task()
            assert not hasattr(loop, "_nest_patched")
            assert not loop.allow_nested
            nest.apply()
            assert loop.allow_nested and loop._nest_patched
            undone()
            assert asyncio.run(inner()) == 42
            assert loop.run_until_complete(inner(43)) == 43
            assert asyncio.get_event_loop().run_until_complete(inner(1)) == 1
            assert asyncio.current_task() is me
            nest.apply()
            nest.apply(loop)
            assert isinstance(me, asyncio.Task)
            return "ok"
        check(main())
    """,
    "with a loop that is not running": """
        loop = fastasync.new_event_loop()
        nest.apply(loop)
        undone()
        async def main():
            return loop.run_until_complete(inner("ok"))
        print(loop.run_until_complete(main()))
        loop.close()
    """,
    "after install": """
        fastasync.install()
        async def main():
            nest.apply()
            assert asyncio.Task is fastasync.Task
            assert asyncio.Future is fastasync.Future
            assert asyncio.run(inner()) == 42
            return "ok"
        print(asyncio.run(main()))
    """,
    "before any loop of ours": """
        # at the top of some module, as libraries do
        if sys.version_info < (3, 14):
            asyncio.set_event_loop(asyncio.SelectorEventLoop())
        try:
            nest.apply()
        except RuntimeError:
            assert sys.version_info >= (3, 14)  # there is no current loop
        async def main():
            loop = asyncio.get_running_loop()
            # it is noticed here; asyncio.run() would make a Python task first
            loop.run_until_complete(asyncio.sleep(0))
            assert asyncio.run(inner()) == 42
            assert loop.run_until_complete(inner()) == 42
            return "ok"
        check(main())
    """,
    "after allow_nested": """
        fastasync.allow_nested()
        async def main():
            run = asyncio.run
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", DeprecationWarning)
                nest.apply()
            undone()
            assert asyncio.run is run
            assert asyncio.run(inner()) == 42
            return "ok"
        check(main())
        fastasync.allow_nested(False)
        assert not hasattr(asyncio, "_nest_patched")
    """,
    "switched off again": """
        async def main():
            loop = asyncio.get_running_loop()
            nest.apply()
            assert asyncio.run(inner()) == 42
            fastasync.allow_nested(False)
            assert not hasattr(loop, "_nest_patched")
            for call in (asyncio.run, fastasync.run, loop.run_until_complete):
                coro = inner()
                try:
                    call(coro)
                except RuntimeError:
                    coro.close()
                else:
                    raise AssertionError(call)
            return "ok"
        check(main())
    """,
    "a stock loop that it has patched": """
        async def stock():
            task = asyncio.current_task()
            assert task is not None
            await asyncio.sleep(0)
            return asyncio.get_running_loop()
        async def ours():
            nest.apply()
            return asyncio.run(inner())
        assert fastasync.run(ours()) == 42
        loop = asyncio.SelectorEventLoop()
        nest.apply(loop)
        async def main():
            assert loop.run_until_complete(stock()) is loop
            return "ok"
        print(loop.run_until_complete(main()))
        loop.close()
    """,
    "nobody else switches it on": """
        async def main():
            loop = asyncio.get_running_loop()
            assert not hasattr(loop, "_nest_patched")
            assert getattr(loop, "_nest_patched", None) is None
            dir(loop), vars(loop)
            assert not loop.allow_nested
            loop._nest_patched = True   # what uvloop's users do
            assert loop._nest_patched is True
            assert not loop.allow_nested
            return "ok"
        check(main())
    """,
    "tornado": """
        try:
            import tornado.ioloop, tornado.gen, tornado.concurrent
        except ImportError:
            print("ok")
            raise SystemExit
        fastasync.install()
        async def main():
            nest.apply()
            assert tornado.concurrent.Future is asyncio.Future
            assert tornado.concurrent.is_future(asyncio.current_task())
            loop = tornado.ioloop.IOLoop.current()
            async def coro():
                await tornado.gen.sleep(0.001)
                return "ok"
            assert asyncio.run(coro()) == "ok"
            return asyncio.get_running_loop().run_until_complete(coro())
        print(asyncio.run(main()))
    """,
}


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_apply(package, scenario):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    if (scenario is SCENARIOS["a stock loop that it has patched"]
            and package == "nest_asyncio" and sys.version_info >= (3, 14)):
        pytest.skip("nest_asyncio 1.6 nests no tasks in C on 3.14 and later")
    program = HELPERS.format(package=package) + textwrap.dedent(scenario)
    run = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program],
        capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1:] == ["ok"], run.stdout + run.stderr
    assert "never retrieved" not in run.stderr, run.stderr
