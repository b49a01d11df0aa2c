"""What the loop tells: exception handlers, log texts, debug mode."""

import asyncio
import gc
import sys
import threading
import time

import pytest

from support import compare, journal, plain, recorded_warnings, spin, why


def bad(text="bad callback"):
    raise ValueError(text)


def told(loop, action):
    """The contexts a handler is given while *action* and two turns run."""
    contexts = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    action()
    spin(loop, 2)
    loop.set_exception_handler(None)
    return contexts


# --- the exception handler ------------------------------------------------

def test_handler_gets_loop_and_context(loop):
    seen = []
    loop.set_exception_handler(lambda *args: seen.append(args))
    handle = loop.call_soon(bad)
    spin(loop)
    (got_loop, context), = seen
    assert got_loop is loop
    assert sorted(context) == ["exception", "handle", "message"]
    assert isinstance(context["exception"], ValueError)
    assert context["handle"] is handle
    assert context["message"].startswith("Exception in callback bad() at ")


def test_get_exception_handler(loop):
    assert loop.get_exception_handler() is None

    def handler(loop, context):
        pass

    loop.set_exception_handler(handler)
    assert loop.get_exception_handler() is handler
    loop.set_exception_handler(None)
    assert loop.get_exception_handler() is None


def test_messages_of_callbacks():
    class Thing:
        def method(self):
            raise ValueError("m")

        def __repr__(self):
            return "<Thing>"

    def scenario(side, loop):
        import functools

        def action():
            loop.call_soon(bad, "one")
            loop.call_soon(Thing().method)
            loop.call_soon(functools.partial(bad, "two"))
            loop.call_soon(int, "not a number")
            loop.call_at(5.5, bad, "three")
            loop.call_soon_threadsafe(bad)

        contexts = told(loop, action)
        return [(plain(context["message"]), why(context["exception"]),
                 sorted(context), plain(repr(context["handle"])))
                for context in contexts]
    seen = compare(scenario)
    assert len(seen) == 6


@pytest.mark.parametrize("debug", [False, True])
def test_log_of_the_default_handler(debug):
    def scenario(side, loop):
        loop.set_debug(debug)
        loop.slow_callback_duration = 1000
        with journal() as log:
            loop.call_soon(bad)
            spin(loop)
        # Where the handle was created belongs to the caller's own stack
        # and, inside the loop, to the implementation: keep the head.
        heads = [(level, text.splitlines()[0], "Object created" in text
                  or "Handle created" in text) for level, text in log.messages]
        return heads, [why(error) for error in log.errors]
    (head,), (error,) = compare(scenario)
    assert head[0] == "ERROR"
    assert head[1].startswith("Exception in callback bad() at ")
    assert error == "ValueError: bad callback"


def test_call_exception_handler_texts():
    contexts = [
        {"message": "hello"},
        {},
        {"message": ""},
        {"message": "with error", "exception": KeyError("key")},
        {"message": "with more", "b": [1, 2], "a": "text", "c": None},
        {"message": "source", "source_traceback":
            [("made-up.py", 1, "f", "call()")], "z": 1},
        {"message": "handle", "handle_traceback":
            [("made-up.py", 2, "g", None)]},
    ]

    def scenario(side, loop):
        with journal() as log:
            for context in contexts:
                try:
                    loop.call_exception_handler(dict(context))
                    loop.default_exception_handler(dict(context))
                except TypeError as error:
                    log.records.append(None)
                    raise AssertionError(context) from error
        return log.messages, [why(error) for error in log.errors]
    messages, _ = compare(scenario)
    assert messages[0] == ("ERROR", "hello")
    assert messages[2] == ("ERROR", "Unhandled exception in event loop")


def test_call_exception_handler_with_bad_contexts():
    def scenario(side, loop):
        seen = []
        for context in (None, 1, [], "text"):
            with journal() as log:
                try:
                    seen.append(loop.call_exception_handler(context))
                except Exception as error:
                    seen.append(why(error))
            seen.append([text.splitlines()[0] for _, text in log.messages])
        return seen
    compare(scenario)


def test_handler_that_fails():
    def scenario(side, loop):
        def handler(loop, context):
            raise KeyError("in the handler")

        loop.set_exception_handler(handler)
        with journal() as log:
            loop.call_soon(bad)
            spin(loop)
            loop.call_exception_handler({"message": "direct"})
        return ([text.splitlines()[:3] for _, text in log.messages],
                [why(error) for error in log.errors])
    messages, errors = compare(scenario)
    assert messages[0][0] == "Unhandled error in exception handler"
    assert errors == ["KeyError: 'in the handler'"] * 2


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_handler_that_leaves(loop, kind):
    def handler(loop, context):
        raise kind("from the handler")

    loop.set_exception_handler(handler)
    loop.call_soon(bad)
    with pytest.raises(kind, match="from the handler"):
        loop.run_forever()
    loop.set_exception_handler(None)
    spin(loop)


def test_default_handler_that_fails_in_a_subclass():
    def scenario(side, _):
        class Loop(type(side.new_loop_closed())):
            def default_exception_handler(self, context):
                raise KeyError("in the default handler")

        loop = Loop()
        with journal() as log:
            loop.call_exception_handler({"message": "direct"})
            loop.set_exception_handler(
                lambda loop, context: loop.default_exception_handler(context))
            loop.call_exception_handler({"message": "direct"})
        loop.close()
        return log.messages, [why(error) for error in log.errors]

    def with_class(side, loop):
        side.new_loop_closed = lambda: loop
        return scenario(side, loop)

    messages, _ = compare(with_class)
    assert messages == [
        ("ERROR", "Exception in default exception handler"),
        ("ERROR", "Exception in default exception handler while handling an "
         "unexpected error in custom exception handler"),
    ]


def test_handler_runs_in_the_context_of_the_thing(loop):
    """3.12 and newer call it in the context of the failed handle or task."""
    import contextvars
    var = contextvars.ContextVar("var", default="outer")
    seen = []
    loop.set_exception_handler(lambda *_: seen.append(var.get()))
    context = contextvars.copy_context()
    context.run(var.set, "inner")
    loop.call_soon(bad, context=context)
    spin(loop)
    expected = "inner" if sys.version_info >= (3, 12) else "outer"
    assert seen == [expected]


# --- reports of futures and tasks -----------------------------------------

def test_exception_never_retrieved():
    def scenario(side, loop):
        async def fail():
            raise ValueError("lost")

        contexts = []
        loop.set_exception_handler(lambda _, c: contexts.append(c))
        future = loop.create_future()
        future.set_exception(ValueError("lost too"))
        task = loop.create_task(fail())
        spin(loop, 2)
        del future, task
        gc.collect()
        return [(context["message"], why(context["exception"]),
                 sorted(context)) for context in contexts]
    seen = compare(scenario)
    assert sorted(text for text, *_ in seen) == [
        "Future exception was never retrieved",
        "Task exception was never retrieved"]


def test_task_destroyed_while_pending():
    def scenario(side, loop):
        async def wait(future):
            await future

        contexts = []
        loop.set_exception_handler(lambda _, c: contexts.append(c))
        task = loop.create_task(wait(loop.create_future()))
        spin(loop, 2)
        del task
        gc.collect()
        return [(context["message"], sorted(context)) for context in contexts]
    assert compare(scenario) == [
        ("Task was destroyed but it is pending!", ["message", "task"])]


# --- debug mode -----------------------------------------------------------

def slow():
    time.sleep(0.02)


def without_times(text):
    import re
    return re.sub(r"\d+\.\d+ seconds", "N seconds", plain(text))


def test_slow_callback():
    def scenario(side, loop):
        loop.set_debug(True)
        loop.slow_callback_duration = 0.01
        with journal() as log:
            loop.call_soon(slow)
            spin(loop)
        return [(level, without_times(text).split(" created at ")[0])
                for level, text in log.messages]
    (level, text), = compare(scenario)
    assert level == "WARNING"
    assert text.startswith("Executing <Handle slow() at ")


def test_slow_task_step():
    def scenario(side, loop):
        async def main():
            slow()

        loop.set_debug(True)
        loop.slow_callback_duration = 0.01
        with journal() as log:
            loop.run_until_complete(main())
        return [(level, without_times(text).split(" created at ")[0])
                for level, text in log.messages]
    (level, text), = compare(scenario)
    assert level == "WARNING"
    assert text.startswith("Executing <Task finished name='Task-N' coro=<")


def test_slow_callback_duration(loop):
    assert loop.slow_callback_duration == 0.1
    with journal() as log:
        loop.set_debug(True)
        loop.call_soon(time.sleep, 0.001)
        spin(loop)
        assert log.messages == []
        loop.slow_callback_duration = 0.0005
        loop.call_soon(time.sleep, 0.001)
        spin(loop)
        assert len(log.messages) == 1
        loop.set_debug(False)
        loop.call_soon(time.sleep, 0.001)
        spin(loop)
        assert len(log.messages) == 1


def test_calls_from_another_thread():
    def scenario(side, loop):
        seen = []

        def attempt(call):
            try:
                handle = call()
            except RuntimeError as error:
                seen.append(why(error))
            else:
                seen.append("fine")
                if handle is not None:
                    handle.cancel()

        def others():
            attempt(lambda: loop.call_soon(print))
            attempt(lambda: loop.call_later(1, print))
            attempt(lambda: loop.call_at(1, print))
            attempt(lambda: loop.call_soon_threadsafe(print))

        def in_thread():
            thread = threading.Thread(target=others)
            thread.start()
            thread.join()

        for debug in (False, True):
            loop.set_debug(debug)
            loop.slow_callback_duration = 1000
            in_thread()
            loop.call_soon(in_thread)
            spin(loop)
        return seen
    seen = compare(scenario)
    text = ("RuntimeError: Non-thread-safe operation invoked on an event "
            "loop other than the current one")
    assert seen == (["fine"] * 8 + ["fine"] * 4
                    + [text, text, text, "fine"])


def test_callbacks_that_are_coroutines_in_debug():
    def scenario(side, loop):
        async def coroutine():
            pass

        loop.set_debug(True)
        seen = []
        made = coroutine()
        for thing in (coroutine, made, 1, None, "text"):
            for name in ("call_soon", "call_soon_threadsafe"):
                try:
                    getattr(loop, name)(thing)
                except TypeError as error:
                    seen.append(why(error))
            for name in ("call_later", "call_at"):
                try:
                    getattr(loop, name)(1, thing)
                except TypeError as error:
                    seen.append(why(error))
        made.close()
        return seen
    seen = compare(scenario)
    assert len(seen) == 20
    assert seen[0] == "TypeError: coroutines cannot be used with call_soon()"


def test_set_debug_while_running(loop):
    """Switching debug on tracks where coroutines come from, at once."""
    seen = []

    async def nothing():
        pass

    def look():
        coro = nothing()
        seen.append(coro.cr_origin is not None)
        coro.close()

    def switch(value):
        loop.set_debug(value)

    for callback in (look, lambda: switch(True)):
        loop.call_soon(callback)
    spin(loop)
    loop.call_soon(look)
    spin(loop)
    loop.call_soon(switch, False)
    spin(loop)
    loop.call_soon(look)
    spin(loop)
    assert seen == [False, True, False]
    assert sys.get_coroutine_origin_tracking_depth() == 0


def test_origin_tracking_is_restored_after_an_exit(loop):
    def leave():
        raise KeyboardInterrupt

    loop.set_debug(True)
    loop.slow_callback_duration = 1000
    loop.call_soon(leave)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert sys.get_coroutine_origin_tracking_depth() == 0


def test_never_awaited_in_debug_tells_where():
    def scenario(side, loop):
        async def nothing():
            pass

        def forget():
            nothing()

        loop.set_debug(True)
        loop.slow_callback_duration = 1000
        with recorded_warnings() as texts:
            loop.call_soon(forget)
            spin(loop)
            gc.collect()
        return [(text.splitlines()[0], "Coroutine created at" in text,
                 "in forget" in text) for text in texts]
    (text, created, where), = compare(scenario)
    assert text.endswith("nothing' was never awaited")
    assert created and where


def test_source_traceback_of_tasks_and_futures(loop):
    async def nothing():
        pass

    loop.set_debug(True)
    loop.slow_callback_duration = 1000
    task = loop.create_task(nothing())
    future = loop.create_future()
    for thing in (task, future):
        assert __file__ in [f.filename for f in thing._source_traceback[-2:]]
    loop.run_until_complete(task)
    loop.set_debug(False)
    assert loop.create_future()._source_traceback is None


def test_unclosed_transport_warning():
    def scenario(side, loop):
        async def main():
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1",
                                              0)
            transport, _ = await loop.create_connection(
                asyncio.Protocol, *server.sockets[0].getsockname())
            await asyncio.sleep(0.01)
            server.close()
            return transport

        transport = loop.run_until_complete(main())
        with recorded_warnings() as texts:
            loop.close()
            del transport
            gc.collect()
        return sorted({text.split(" transport")[0] for text in texts
                       if text.startswith("ResourceWarning")
                       and "transport" in text})
    assert compare(scenario) == ["ResourceWarning: unclosed"]
