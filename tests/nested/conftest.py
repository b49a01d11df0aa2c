"""A loop that allows nesting; each test leaves asyncio as it found it."""

import asyncio

import pytest

import support

if "fastasync" not in support.CHOSEN:
    collect_ignore_glob = ["test_*.py"]  # nothing of asyncio's to compare with
else:
    import fastasync


@pytest.fixture
def loop():
    made = fastasync.new_event_loop()
    made.allow_nested = True
    yield made
    made.close()


@pytest.fixture
def run(loop):
    """Runs a coroutine on that loop, and sees that nothing is left over."""

    def until_complete(coro):
        try:
            return loop.run_until_complete(coro)
        finally:
            assert not loop.is_running()
            assert asyncio._get_running_loop() is None
            assert asyncio.current_task(loop) is None

    return until_complete


@pytest.fixture
def allowed():
    """fastasync.allow_nested() for the length of a test."""
    fastasync.allow_nested()
    yield
    fastasync.allow_nested(False)
