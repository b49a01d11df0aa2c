"""Timeout, timeout(), timeout_at(): the same on asyncio's names and on ours."""

import asyncio
import copy
import gc
import inspect
import sys
import weakref

import pytest

import _fastasync
from places import QUICK, same


async def hang():
    await asyncio.get_running_loop().create_future()


def test_states_and_texts():
    async def script(p):
        t = p.timeout(None)
        p.note(t, t.when(), t.expired(), t._state.name, t._task,
               t._timeout_handler)
        async with t as entered:
            p.note(entered is t, t, t.when(), t._state.name, t._cancelling,
                   t._task is asyncio.current_task())
        p.note(t, t.expired(), t._task is None)
        t = p.timeout_at(7)
        p.note(t, t.when())
        async with p.timeout(1000) as t:
            p.note(t._timeout_handler.when() == t.when(),
                   isinstance(t._timeout_handler, asyncio.TimerHandle))
        p.note(t._timeout_handler)
    same(script)


@pytest.mark.parametrize("delay", [0, -1, 0.001, 1e-9, -float("inf")])
def test_expires(delay):
    async def script(p):
        t = p.timeout(delay)
        try:
            async with t:
                p.note(t.expired())
                try:
                    await hang()
                except asyncio.CancelledError as error:
                    p.note(t, t.expired(), t._timeout_handler, error)
                    raise
        except TimeoutError as error:
            p.note(error)
        p.note(t, t.expired(), asyncio.current_task().cancelling())
    same(script)


def test_turns_of_an_expiry():
    async def script(p):
        before = p.tick()
        try:
            async with p.timeout(-1):
                await hang()
        except TimeoutError:
            p.note(p.tick() - before)
        before = p.tick()
        async with p.timeout(10):
            pass
        p.note(p.tick() - before)
    same(script, count=True)


def test_reschedule():
    async def script(p):
        t = p.timeout(10)
        try:
            t.reschedule(1)
        except RuntimeError as error:
            p.note(error)
        try:
            async with t:
                handler = t._timeout_handler
                t.reschedule(None)
                p.note(handler.cancelled(), t._timeout_handler, t.when(), t)
                t.reschedule(p.loop.time() + 100)
                handler = t._timeout_handler
                t.reschedule(0)
                p.note(handler.cancelled(), t.when())
                try:
                    await hang()
                except asyncio.CancelledError:
                    try:
                        t.reschedule(5)
                    except RuntimeError as error:
                        p.note(error)
                    raise
        except TimeoutError as error:
            p.note(error)
        for when in (1, None):
            try:
                t.reschedule(when)
            except RuntimeError as error:
                p.note(error)
        async with p.timeout(None) as t:
            pass
        try:
            t.reschedule(1)
        except RuntimeError as error:
            p.note(error)
    same(script)


def test_misuse():
    async def script(p):
        t = p.timeout(10)
        for call in (lambda: t.__aexit__(None, None, None),):
            try:
                await call()
            except AssertionError as error:
                p.note("assertion", error)
        async with t:
            try:
                async with t:
                    p.note("not reached")
            except RuntimeError as error:
                p.note(error)
        try:
            await t.__aenter__()
        except RuntimeError as error:
            p.note(error)
        for call in (p.timeout, p.timeout_at, p.Timeout,
                     lambda: p.timeout(1, 2), lambda: p.timeout(later=1),
                     lambda: p.timeout_at(when=1, x=2),
                     lambda: p.Timeout(1, 2), lambda: p.timeout("x")):
            try:
                call()
            except TypeError as error:
                p.note(str(error))
        try:
            async with p.timeout_at("x"):
                p.note("not reached")
        except TypeError as error:
            p.note(str(error))
    same(script)


def test_outside_of_tasks():
    async def script(p):
        said = []

        def callback():
            coro = p.timeout(10).__aenter__()
            try:
                coro.send(None)
            except RuntimeError as error:
                said.append(error)

        p.loop.call_soon(callback)
        await asyncio.sleep(0)
        p.note(said[0])
    same(script)
    for module in (asyncio, _fastasync):
        with pytest.raises(RuntimeError, match="no running event loop"):
            module.timeout(1)
        assert module.timeout_at(1).when() == 1


def test_nested():
    async def script(p):
        try:
            async with p.timeout(10) as outer:
                try:
                    async with p.timeout(0.001) as inner:
                        await hang()
                except TimeoutError as error:
                    p.note("inner", error)
                p.note(outer, inner, asyncio.current_task().cancelling())
        finally:
            p.note(outer.expired(), inner.expired())
        try:
            async with p.timeout(0.001) as outer:
                async with p.timeout(10) as inner:
                    await hang()
        except TimeoutError as error:
            p.note(error, outer.expired(), inner.expired())
        try:
            async with p.timeout(-1) as outer:
                async with p.timeout(-1) as inner:
                    await hang()
        except TimeoutError as error:
            p.note(error, outer.expired(), inner.expired(),
                   asyncio.current_task().cancelling())
    same(script)


def test_foreign_cancellation_wins():
    async def script(p):
        async def victim():
            try:
                async with p.timeout(0.001) as t:
                    try:
                        await hang()
                    finally:
                        asyncio.current_task().cancel("again")
            except asyncio.CancelledError as error:
                p.note(error, t.expired())
                raise

        task = p.task(victim())
        await asyncio.wait([task])
        p.note(task.cancelled(), task.cancelling())

        async def cancelled():
            async with p.timeout(10) as t:
                try:
                    await hang()
                finally:
                    p.note(t)

        task = p.task(cancelled())
        await asyncio.sleep(0)
        task.cancel("from outside")
        try:
            await task
        except asyncio.CancelledError as error:
            p.note(error)
    same(script)


def test_cancelled_before_it_was_entered():
    async def script(p):
        async def victim():
            asyncio.current_task().cancel()
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                pass
            try:
                async with p.timeout(-1) as t:
                    p.note(t._cancelling)
                    await hang()
            except TimeoutError as error:
                p.note(error, asyncio.current_task().cancelling())
        await p.task(victim())
    same(script)


class Special(asyncio.CancelledError):
    pass


@pytest.mark.parametrize("make", [
    lambda: ValueError("x"), lambda: Special("sub"),
    lambda: KeyError("y"), lambda: ExceptionGroup("g", [ValueError(1)]),
    lambda: GeneratorExit(),
], ids=["error", "subclass", "key", "group", "exit"])
def test_other_exceptions(make):
    async def script(p):
        async def victim(cause):
            try:
                async with p.timeout(-1):
                    try:
                        await hang()
                    except asyncio.CancelledError as error:
                        if cause is not None:
                            raise make() from cause
                        raise make() from error
            except BaseException as error:
                p.note(error)
        await p.task(victim(None))
        await p.task(victim(OSError("other")))

        async def grouped():
            try:
                async with p.timeout(-1):
                    try:
                        await hang()
                    except asyncio.CancelledError:
                        errors = []
                        for kind in (ValueError, TypeError):
                            try:
                                raise kind("inside")
                            except kind as error:
                                errors.append(error)
                        raise ExceptionGroup("all", errors)
            except BaseException as error:
                p.note(error)
        await p.task(grouped())
    same(script)


def test_without_a_cancellation_to_see():
    """The block swallows it: nobody is told."""
    async def script(p):
        async with p.timeout(-1) as t:
            try:
                await hang()
            except asyncio.CancelledError:
                pass
        p.note(t, asyncio.current_task().cancelling())
        await asyncio.sleep(0)
        p.note("alive")
    same(script)


def test_uncancel_inside():
    async def script(p):
        try:
            async with p.timeout(-1) as t:
                try:
                    await hang()
                finally:
                    p.note(asyncio.current_task().uncancel())
        except BaseException as error:
            p.note(error, t, asyncio.current_task().cancelling())
    same(script)


def test_on_timeout_by_hand():
    async def script(p):
        t = p.timeout(10)
        try:
            t._on_timeout()
        except AssertionError as error:
            p.note(error)
        try:
            async with t:
                handler = t._timeout_handler
                t._on_timeout()
                p.note(t, t._timeout_handler)
                await asyncio.sleep(0)
        except TimeoutError as error:
            p.note(error)
        handler.cancel()
    same(script)


def test_loop_methods_are_honoured():
    """A loop that replaces call_at, call_soon or time is asked."""
    async def script(p):
        said = []
        loop = p.loop
        real_at, real_soon, real_time = loop.call_at, loop.call_soon, loop.time

        def call_at(when, callback, *args, **kwargs):
            said.append(("at", when, getattr(callback, "__name__", "")))
            return real_at(when, callback, *args, **kwargs)

        def call_soon(callback, *args, **kwargs):
            if getattr(callback, "__name__", "") == "_on_timeout":
                said.append(("soon", callback.__name__))
            return real_soon(callback, *args, **kwargs)

        loop.call_at, loop.call_soon = call_at, call_soon
        loop.time = lambda: 1000.0
        async with p.timeout(10) as t:
            p.note(t.when(), list(said))
        async with p.timeout(0):
            p.note(list(said))
            asyncio.current_task()
            t = None
        del loop.call_at, loop.call_soon, loop.time
        p.note(real_time() != 1000.0)
    same(script, places=QUICK)


def test_subclass():
    async def script(p):
        class Mine(p.Timeout):
            calls = ()

            def reschedule(self, when):
                self.calls += (("reschedule", when is None),)
                super().reschedule(when)

            def _on_timeout(self):
                self.calls += ("fired",)
                super()._on_timeout()

        t = Mine(0)
        try:
            async with t:
                await hang()
        except TimeoutError as error:
            p.note(error, t.calls, t)
        t = Mine(None)
        t.note = 1
        async with t:
            p.note(t.calls, t.note, isinstance(t, asyncio.Timeout))
    same(script)


def test_attributes_can_be_set_and_unset():
    async def script(p):
        t = p.timeout(10)
        t._when = None
        async with t:
            p.note(t._timeout_handler, t.when())
        t._state = type(t._state).CREATED
        t._when = 5
        p.note(t, t.when())
        del t._when
        try:
            t.when()
        except AttributeError as error:
            p.note(str(error))
        bare = p.Timeout.__new__(p.Timeout)
        for name in ("_state", "_task", "_when", "_timeout_handler",
                     "_cancelling"):
            try:
                p.note(getattr(bare, name))
            except AttributeError as error:
                p.note(str(error))
        for call in (bare.expired, bare.when, lambda: repr(bare),
                     lambda: bare.reschedule(1)):
            try:
                call()
            except AttributeError:
                p.note("refused")
        t.__init__(8)
        p.note(t, t.when())
    same(script)


def test_copy():
    async def script(p):
        t = p.timeout_at(12.5)
        t.extra = [1]
        for other in (copy.copy(t), copy.deepcopy(t)):
            p.note(other, other.when(), other.extra, other.extra is t.extra)
            async with other:
                p.note(other)
    same(script)


def test_signatures_and_kinds():
    for name in ("timeout", "timeout_at"):
        ours = inspect.signature(getattr(_fastasync, name))
        theirs = inspect.signature(getattr(asyncio, name))
        assert [(a.name, a.default) for a in ours.parameters.values()] == [
            (a.name, a.default) for a in theirs.parameters.values()]
    for name in ("when", "reschedule", "expired", "__aenter__", "__aexit__"):
        ours = inspect.signature(getattr(_fastasync.Timeout, name))
        theirs = inspect.signature(getattr(asyncio.timeouts.Timeout, name))
        assert [a.name for a in ours.parameters.values()] == [
            a.name for a in theirs.parameters.values()]
    assert issubclass(_fastasync.Timeout, asyncio.Timeout)


def test_no_references_are_left():
    """Neither the task nor the exception is kept by anything of ours."""
    class Canary(Exception):
        pass

    async def main(p):
        seen = None
        try:
            async with p.timeout(10):
                raise Canary
        except Canary as error:
            seen = weakref.ref(error)
        return seen

    loop = __import__("fastasync").new_event_loop()
    try:
        gc.disable()
        ref = loop.run_until_complete(main(_fastasync))
        assert ref() is None
        before = sys.getrefcount(_fastasync.Timeout)
        for _ in range(100):
            loop.run_until_complete(main(_fastasync))
        assert sys.getrefcount(_fastasync.Timeout) - before <= 1
    finally:
        gc.enable()
        loop.close()


def test_a_finalizer_put_into_the_class_runs():
    died = []
    _fastasync.Timeout.__del__ = lambda self: died.append(self.when())
    try:
        t = _fastasync.timeout_at(42)
        del t
        assert died == [42]
    finally:
        del _fastasync.Timeout.__del__
    assert _fastasync.timeout_at(1).when() == 1
