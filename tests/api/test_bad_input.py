"""Wrong calls fail as asyncio's do: type, text, warnings, log, no leaks.

The rows are in bad_input.py.  Each of them runs on asyncio, which is the
oracle for the Python at hand, and on fastasync.
"""

import asyncio
import gc
import inspect
import os
import signal
import weakref

import pytest

import bad_input
from support import both, hooks, journal, plain, recorded_warnings, why


class Stuck(KeyboardInterrupt):
    """A row did not end; leaves any loop."""


def ring(number, frame):
    raise Stuck("the row does not end")


@pytest.fixture(scope="module", autouse=True)
def small_collections():
    """Collections look only at what the rows make: they are many."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def alarm():
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 20)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def open_fds():
    return sorted(os.listdir("/proc/self/fd"))


def describe(value):
    """What a call returned, as something to compare between two loops."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return [base.__name__ for base in type(value).__mro__
            if base.__module__.startswith("asyncio")] or type(value).__name__


def perform(call, env):
    """Make the call and, if it gives an awaitable, await it."""
    result = call(env)
    if inspect.isawaitable(result) and not env.loop.is_closed():
        if isinstance(result, asyncio.Future) and not result.done():
            # A pending future or task that the row returned: accepted.
            return describe(result)
        result = env.loop.run_until_complete(result)
    if inspect.iscoroutine(result):
        result.close()
    if isinstance(result, asyncio.AbstractServer):
        result.close()
    if isinstance(result, tuple):
        result[0].abort()
    return describe(result)


def attempt(call, side):
    """Everything that can be seen of one wrong call on one side."""
    loop = side.new_loop()
    env = bad_input.Env(side, loop)
    seen = {}
    with journal() as log, hooks() as unraisable:
        with recorded_warnings() as texts:
            try:
                seen["returned"] = perform(call, env)
            except Stuck:
                raise
            except BaseException as error:
                seen["raised"] = type(error).__name__
                seen["text"] = plain(str(error))
                del error
            env.tidy()
            if not loop.is_closed():
                loop.set_task_factory(None)
                loop.run_until_complete(asyncio.sleep(0))
                loop.run_until_complete(loop.shutdown_default_executor())
                loop.close()
            watched = env.watched + [weakref.ref(loop)]
            del env, loop
            gc.collect()
        seen["log"] = log_lines(log)
        while log.records:
            # Tracebacks in the log keep the frames of the row; what is
            # destroyed with them may have something to say, too.
            log.records.clear()
            gc.collect()
            seen["log"] += log_lines(log)
    seen["warnings"] = texts
    seen["unraisable"] = [type(error).__name__ for _, error in unraisable]
    seen["alive"] = sum(ref() is not None for ref in watched)
    return seen


def log_lines(log):
    """Level, first line, and exception of each record."""
    lines = []
    for record, (level, text) in zip(log.records, log.messages):
        error = record.exc_info and why(record.exc_info[1])
        lines.append((level, text.splitlines()[0], error))
    return lines


def check_for_leaks(call, side):
    """Attempt it; files and signal handlers must be as before."""
    before = open_fds(), signal.getsignal(signal.SIGUSR1)
    seen = attempt(call, side)
    gc.collect()
    after = open_fds(), signal.getsignal(signal.SIGUSR1)
    assert after == before, f"{side.name} leaks descriptors or handlers"
    assert signal.set_wakeup_fd(-1) == -1
    assert asyncio._get_running_loop() is None
    alive = seen.pop("alive")
    assert alive == 0, f"{side.name} keeps {alive} things alive"
    return seen


def complains(seen):
    return "raised" in seen or seen["log"] or seen["warnings"]


@pytest.mark.parametrize("name", bad_input.ROWS)
def test_row(name):
    call = bad_input.ROWS[name]
    oracle, *others = [check_for_leaks(call, side) for side in both()]
    if name not in bad_input.QUIET:
        assert complains(oracle), f"asyncio accepts this: {oracle}"
    for seen in others:
        if name in bad_input.TIDIER:
            seen["warnings"] = oracle["warnings"]
        assert seen == oracle


@pytest.mark.parametrize("name", bad_input.SIGNATURES)
def test_signature(name):
    call = bad_input.SIGNATURES[name]
    oracle, *others = [check_for_leaks(call, side) for side in both()]
    assert "raised" in oracle, f"asyncio accepts this: {oracle}"
    for seen in others:
        assert seen.get("raised") == oracle["raised"], seen


def test_number_of_rows():
    """The table does not shrink unnoticed."""
    assert len(bad_input.ROWS) >= 400
    assert len(bad_input.SIGNATURES) >= 80
