"""The leak check after every test, and fixtures for comparing two loops.

A test must leave the process as it found it: the same open files, no running
loop, no pending task of ours. A test that cannot says so, with its reason:

    @pytest.mark.keeps("fds", reason="...")

("tasks" likewise; "objects" is for tools/leaks.py, which repeats tests.)
"""

import asyncio
import gc
import os
import signal

import pytest

LOOPS = {"asyncio": asyncio.SelectorEventLoop}

# A shell starts what it puts into the background with Ctrl-C ignored; tests press
# it, here and in programs they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# FASTASYNC_TEST_LOOPS=asyncio checks the tests themselves against asyncio, and
# needs no fastasync (see support.py).
if os.environ.get("FASTASYNC_TEST_LOOPS") == "asyncio":

    def live_tasks():
        return []

else:
    import fastasync
    from _fastasync import _live_tasks as live_tasks

    LOOPS["fastasync"] = fastasync.new_event_loop


def open_files():
    """Return what each open descriptor of this process points to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            pass  # the listing's own
    return found


def kept_on_purpose(node):
    what = set()
    for mark in node.iter_markers("keeps"):
        if not mark.kwargs.get("reason"):
            pytest.fail("the mark 'keeps' needs a reason", pytrace=False)
        what.update(mark.args)
    return what


def leftovers(before, kept):
    """Describe what is there now and was not before."""
    files, tasks = before
    found = []
    if "fds" not in kept:
        for fd, target in open_files().items():
            if files.get(fd) != target:
                found.append(f"file descriptor {fd} is left open: {target}")
    if "tasks" not in kept:
        for task in live_tasks():
            if id(task) not in tasks:
                found.append(f"a task is left pending: {task!r}")
    return found


@pytest.fixture(autouse=True)
def nothing_leaks(request):
    """Fail a test that leaves files, tasks or a running loop behind."""
    kept = kept_on_purpose(request.node)
    before = open_files(), {id(task) for task in live_tasks()}
    yield
    running = asyncio._get_running_loop()
    if running is not None:
        asyncio._set_running_loop(None)
        pytest.fail(f"a loop is left running: {running!r}", pytrace=False)
    if leftovers(before, kept):
        gc.collect()  # what only a cycle keeps alive is no leak
        found = leftovers(before, kept)
        if found:
            pytest.fail("\n".join(found), pytrace=False)


@pytest.fixture(params=sorted(LOOPS))
def make_loop(request):
    """A loop factory, asyncio's and ours in turn, for tests that compare."""
    return LOOPS[request.param]


@pytest.fixture
def loop(make_loop):
    """A loop, asyncio's and ours in turn, closed after the test."""
    made = make_loop()
    yield made
    made.close()
