"""EventLoopPolicy, on the Pythons whose asyncio has policies."""

import asyncio
import os
import sys
import threading
import warnings

import pytest

import fastasync
from fastasync import _install

pytestmark = pytest.mark.skipif(
    not _install.policies_exist(), reason="this asyncio has no policies"
)


def get_policy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return asyncio.get_event_loop_policy()


def set_policy(policy):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.set_event_loop_policy(policy)


@pytest.fixture
def policy():
    before = asyncio.events._event_loop_policy
    ours = fastasync.EventLoopPolicy()
    set_policy(ours)
    yield ours
    set_policy(before)


def test_asking_for_it_warns_of_nothing_and_it_is_made_once(recwarn):
    assert fastasync.EventLoopPolicy is fastasync.EventLoopPolicy
    assert fastasync.EventLoopPolicy is _install.policy_class()
    assert recwarn.list == []


def test_its_name_is_the_public_one():
    assert repr(fastasync.EventLoopPolicy) == (
        "<class 'fastasync.EventLoopPolicy'>"
    )


def test_it_makes_our_loops(policy):
    assert get_policy() is policy
    loop = asyncio.new_event_loop()
    loop.close()
    assert type(loop) is fastasync.Loop


def test_asyncio_run_runs_on_it(policy):
    async def main():
        return asyncio.get_running_loop()

    assert type(asyncio.run(main())) is fastasync.Loop


def test_set_and_get_event_loop(policy):
    loop = policy.new_event_loop()
    policy.set_event_loop(loop)
    assert policy.get_event_loop() is loop
    policy.set_event_loop(None)
    with pytest.raises(RuntimeError, match="no current event loop in thread"):
        policy.get_event_loop()
    with pytest.raises(TypeError, match="loop must be an instance of Abstract"):
        policy.set_event_loop(1)
    loop.close()


def test_each_thread_has_its_own_loop(policy):
    loop = policy.new_event_loop()
    policy.set_event_loop(loop)
    seen = []

    def look():
        try:
            seen.append(policy.get_event_loop())
        except RuntimeError:
            seen.append(None)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    loop.close()
    assert seen == [None]


def test_it_takes_attributes_and_has_what_patchers_read(policy):
    policy.mark = 1
    assert policy.mark == 1
    assert policy._local._loop is None
    policy.__class__.mark_of_the_class = 2  # nest_asyncio sets a method
    del policy.__class__.mark_of_the_class


def test_a_forked_child_starts_without_a_loop(policy):
    loop = policy.new_event_loop()
    policy.set_event_loop(loop)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            clean = policy._local._loop is None
            os._exit(0 if clean and asyncio._get_running_loop() is None else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    loop.close()
    expected = 0 if sys.version_info >= (3, 12) else 1  # as asyncio's own
    assert os.waitstatus_to_exitcode(status) == expected


@pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="child watchers are gone in 3.14"
)
def test_child_watchers_are_asyncios(policy):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        watcher = policy.get_child_watcher()
        assert policy.get_child_watcher() is watcher
        other = asyncio.ThreadedChildWatcher()
        policy.set_child_watcher(other)
        assert policy.get_child_watcher() is other
        policy.set_child_watcher(None)


def test_a_python_without_policies_says_what_to_use_instead(monkeypatch):
    monkeypatch.setattr(_install, "_policy_base", lambda: None)
    monkeypatch.delitem(vars(fastasync), "EventLoopPolicy", raising=False)
    with pytest.raises(AttributeError, match="loop_factory=fastasync.new_event"):
        fastasync.EventLoopPolicy
    assert not hasattr(fastasync, "EventLoopPolicy")
