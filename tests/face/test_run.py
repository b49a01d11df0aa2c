"""run(), Runner and get_event_loop(), held against asyncio's own."""

import asyncio
import contextvars
import gc
import signal
import sys
import threading
import warnings

import pytest

import fastasync

SIDES = {"asyncio": asyncio, "fastasync": fastasync}
both = pytest.mark.parametrize("side", SIDES.values(), ids=SIDES)


def outcome(call):
    """Return the error of a call, as something to compare."""
    with pytest.raises(Exception) as caught:
        call()
    return type(caught.value), str(caught.value)


async def give(value):
    return value


async def loop_and_debug():
    loop = asyncio.get_running_loop()
    return loop, loop.get_debug()


@pytest.fixture(autouse=True)
def no_current_loop():
    """Each test begins as a new process does, and leaves no loop behind."""
    policy = asyncio.events._event_loop_policy
    if policy is not None:
        policy._local = type(policy._local)()
    yield
    policy = asyncio.events._event_loop_policy
    if policy is not None:
        loop = policy._local._loop
        if loop is not None:
            loop.close()
        policy._local = type(policy._local)()


def test_run_returns_the_result_from_our_loop_and_closes_it():
    loop, debug = fastasync.run(loop_and_debug())
    assert type(loop) is fastasync.Loop
    assert loop.is_closed()
    assert debug is False


def test_run_passes_debug_on():
    assert fastasync.run(loop_and_debug(), debug=True)[1] is True


def test_run_takes_a_loop_factory_on_every_python():
    made = []

    def factory():
        made.append(asyncio.SelectorEventLoop())
        return made[0]

    loop, _ = fastasync.run(loop_and_debug(), loop_factory=factory)
    assert [loop] == made


@both
def test_run_lets_exceptions_out(side):
    async def fail():
        raise ZeroDivisionError("here")

    with pytest.raises(ZeroDivisionError, match="^here$"):
        side.run(fail())


@both
def test_run_cancels_what_is_left(side):
    ended = []

    async def linger():
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append("cancelled")

    async def main():
        main.task = asyncio.create_task(linger())
        await asyncio.sleep(0)

    side.run(main())
    assert ended == ["cancelled"]


@pytest.mark.parametrize("wrong", [None, 1, give, "text"], ids=repr)
def test_run_refuses_what_is_no_coroutine_as_asyncio_does(wrong):
    assert outcome(lambda: fastasync.run(wrong)) == outcome(
        lambda: asyncio.run(wrong)
    )


def test_run_inside_a_running_loop_is_refused_as_asyncio_does():
    async def nested(side):
        coroutine = give(1)
        try:
            return outcome(lambda: side.run(coroutine))
        finally:
            coroutine.close()

    expected = asyncio.run(nested(asyncio))
    assert expected[0] is RuntimeError
    assert fastasync.run(nested(fastasync)) == expected


def test_run_takes_its_options_by_keyword_only():
    coroutine = give(1)
    with pytest.raises(TypeError):
        fastasync.run(coroutine, True)
    coroutine.close()


@both
def test_a_runner_keeps_its_loop_and_context(side):
    variable = contextvars.ContextVar("variable", default=0)

    async def count():
        variable.set(variable.get() + 1)
        return variable.get()

    with side.Runner() as runner:
        assert [runner.run(count()) for _ in range(3)] == [1, 2, 3]
        assert runner.run(count(), context=contextvars.Context()) == 1
        assert runner.run(loop_and_debug())[0] is runner.get_loop()
    assert variable.get() == 0


@both
def test_the_loop_of_a_runner_is_the_current_one_until_it_closes(side):
    with side.Runner() as runner:
        assert asyncio.get_event_loop() is runner.get_loop()
    assert outcome(asyncio.get_event_loop)[0] is RuntimeError


@both
def test_a_loop_of_a_factory_is_not_made_the_current_one(side):
    asyncio.set_event_loop(None)
    with side.Runner(loop_factory=fastasync.new_event_loop) as runner:
        runner.get_loop()
        assert outcome(asyncio.get_event_loop)[0] is RuntimeError


def test_runner_errors_are_asyncios():
    def closed(side):
        runner = side.Runner()
        runner.close()
        runner.run(give(1)) if False else None
        with runner:
            pass
        runner.close()
        runner.close()
        return outcome(runner.get_loop)

    assert closed(fastasync) == closed(asyncio)

    def not_a_coroutine(side):
        with side.Runner() as runner:
            return outcome(lambda: runner.run(3))

    assert not_a_coroutine(fastasync) == not_a_coroutine(asyncio)


def test_runner_passes_debug_on():
    with fastasync.Runner(debug=True) as runner:
        assert runner.get_loop().get_debug() is True


@both
def test_an_interrupt_cancels_the_main_task(side):
    seen = []

    async def main():
        signal.raise_signal(signal.SIGINT)
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with pytest.raises(KeyboardInterrupt):
        side.run(main())
    assert seen == ["cancelled"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@both
def test_run_in_another_thread(side):
    results = []
    thread = threading.Thread(target=lambda: results.append(side.run(give(5))))
    thread.start()
    thread.join()
    assert results == [5]


def test_nothing_of_a_runner_is_kept():
    class Value:
        pass

    gc.collect()
    fastasync.run(give(Value()))
    gc.collect()
    assert [x for x in gc.get_objects() if type(x) is Value] == []


@pytest.mark.skipif(
    sys.version_info >= (3, 14),
    reason="from 3.14 on get_event_loop() makes no loop",
)
class TestGetEventLoop:
    @pytest.fixture(autouse=True)
    def quiet(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield

    def test_makes_our_loop_where_asyncio_would_make_its_own(self):
        loop = fastasync.get_event_loop()
        assert type(loop) is fastasync.Loop
        assert fastasync.get_event_loop() is loop
        assert asyncio.get_event_loop() is loop

    def test_leaves_asyncios_policy_as_it_was(self):
        fastasync.get_event_loop()
        loop = asyncio.new_event_loop()
        loop.close()
        assert type(loop) is asyncio.SelectorEventLoop

    def test_returns_the_loop_that_is_set(self):
        loop = asyncio.SelectorEventLoop()
        asyncio.set_event_loop(loop)
        assert fastasync.get_event_loop() is loop

    def test_returns_the_running_loop(self):
        async def main():
            return fastasync.get_event_loop() is asyncio.get_running_loop()

        assert asyncio.run(main())

    def test_fails_as_asyncios_in_another_thread(self):
        def in_thread(call):
            results = []
            thread = threading.Thread(
                target=lambda: results.append(outcome(call)), name="other"
            )
            thread.start()
            thread.join()
            return results

        expected = in_thread(asyncio.get_event_loop)
        assert expected[0][0] is RuntimeError
        assert in_thread(fastasync.get_event_loop) == expected

    def test_asks_a_policy_of_somebody_else(self):
        class Policy(asyncio.DefaultEventLoopPolicy):
            def get_event_loop(self):
                return "theirs"

        before = asyncio.get_event_loop_policy()
        asyncio.set_event_loop_policy(Policy())
        try:
            assert fastasync.get_event_loop() == "theirs"
        finally:
            asyncio.set_event_loop_policy(before)
