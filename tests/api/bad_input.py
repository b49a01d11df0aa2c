"""The rows of test_bad_input.py: one wrong call each.

A row is a function of the environment `e` (see Env): what it calls must
raise, or must report something to the log, on asyncio.  Rows may return an
awaitable, which is then run on the loop.

    ROWS        type and text of the exception must be asyncio's
    SIGNATURES  too few, too many or unknown arguments: the type must be the
                same; the words are the interpreter's and differ between a
                function written in Python and one written in C
    QUIET       rows that asyncio may also accept, on some versions or all;
                both sides must then accept it and return the same kind
    TIDIER      asyncio leaves a socket to the garbage collector, which warns;
                fastasync closes it
"""

import asyncio
import concurrent.futures
import contextvars
import functools
import math
import os
import signal
import socket
import ssl
import sys
import threading
import types
import weakref

ROWS = {}
SIGNATURES = {}
QUIET = set()
TIDIER = {"create_server: backlog text"}


class Thing:
    """A callback, or an argument, that can be watched for leaks."""

    def __call__(self, *args):
        pass

    def __repr__(self):
        return "<Thing>"


class Env:
    """What a row works with: a fresh loop and things that are tidied up."""

    def __init__(self, side, loop):
        self.side = side
        self.loop = loop
        self.undo = []
        self.watched = []

    def watch(self, thing):
        """*thing* must be gone when the row is over."""
        self.watched.append(weakref.ref(thing))
        return thing

    @property
    def thing(self):
        return self.watch(Thing())

    def coro(self, function=None):
        """A coroutine; closed at the end if nobody ran it."""
        made = self.watch((function or nothing)())
        self.undo.append(made.close)
        return made

    def other_loop(self):
        loop = self.side.new_loop()
        self.undo.append(loop.close)
        return loop

    def future(self):
        return self.watch(self.loop.create_future())

    def task(self):
        """A task that is pending until the row is over."""
        task = self.loop.create_task(self.coro(forever))
        self.undo.append(functools.partial(self.finish, task))
        return task

    def finish(self, task):
        if not task.done() and not self.loop.is_closed():
            task.cancel()
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def pair(self, blocking=False):
        pair = socket.socketpair()
        for sock in pair:
            sock.setblocking(blocking)
            self.undo.append(sock.close)
        return pair

    def sock(self, kind=socket.SOCK_STREAM, blocking=False):
        sock = socket.socket(socket.AF_INET, kind)
        sock.setblocking(blocking)
        self.undo.append(sock.close)
        return sock

    def closed_sock(self):
        sock = self.sock()
        sock.close()
        return sock

    def tls_sock(self):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        sock = context.wrap_socket(socket.socket(),
                                   do_handshake_on_connect=False)
        sock.setblocking(False)
        self.undo.append(sock.close)
        return sock

    def closed_fd(self):
        read, write = os.pipe()
        os.close(read)
        os.close(write)
        return read

    def spin(self):
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def in_thread(self, call):
        """Run *call* in another thread; its exception is raised here."""
        caught = []

        def target():
            try:
                caught.append((call(), None))
            except BaseException as error:
                caught.append((None, error))

        thread = threading.Thread(target=target, name="of the row")
        thread.start()
        thread.join()
        result, error = caught.pop()
        if error is not None:
            raise error
        return result

    def tidy(self):
        for undo in reversed(self.undo):
            undo()
        self.undo.clear()


async def nothing():
    pass


async def nap():
    await asyncio.sleep(0.001)


async def forever():
    await asyncio.get_running_loop().create_future()


def row(name, call, quiet=False, table=ROWS):
    assert name not in table, name
    table[name] = call
    if quiet:
        QUIET.add(name)


def signature(name, call):
    row(name, call, table=SIGNATURES)


def on_loop(name, *args, **kwargs):
    """A row that calls a method of the loop; functions are given e."""
    def call(e):
        values = [a(e) if isinstance(a, types.LambdaType) else a
                  for a in args]
        keywords = {key: a(e) if isinstance(a, types.LambdaType) else a
                    for key, a in kwargs.items()}
        return getattr(e.loop, name)(*values, **keywords)
    return call


# --- the clock and the ring ------------------------------------------------

for value in (None, "1", [], object, b"1", {}):
    row(f"call_later delay={value!r}",
        on_loop("call_later", value, lambda e: e.thing))
row("call_later delay=10**400",
    on_loop("call_later", 10 ** 400, lambda e: e.thing))
row("call_at when=None", on_loop("call_at", None, lambda e: e.thing))
for name in ("call_soon", "call_soon_threadsafe", "call_later", "call_at"):
    when = (1,) if name in ("call_later", "call_at") else ()
    signature(f"{name}()", on_loop(name))
    signature(f"{name}(nonsense=1)",
              on_loop(name, *when, lambda e: e.thing, nonsense=1))
    for value in (None, 1, "text", (), object()):
        def debug_callback(e, name=name, when=when, value=value):
            e.loop.set_debug(True)
            return getattr(e.loop, name)(*when, value)
        row(f"debug: {name}({type(value).__name__})", debug_callback)

    def debug_coroutine(e, name=name, when=when):
        e.loop.set_debug(True)
        return getattr(e.loop, name)(*when, e.coro())
    row(f"debug: {name}(coroutine)", debug_coroutine)

    def debug_coroutine_function(e, name=name, when=when):
        e.loop.set_debug(True)
        return getattr(e.loop, name)(*when, nothing)
    row(f"debug: {name}(coroutine function)", debug_coroutine_function)

    def closed(e, name=name, when=when):
        e.loop.close()
        return getattr(e.loop, name)(*when, e.thing)
    row(f"closed: {name}", closed)

for name in ("call_later", "call_at"):
    signature(f"{name}(1)", on_loop(name, 1))

for name in ("call_soon", "call_later", "call_at"):
    def wrong_thread(e, name=name):
        e.loop.set_debug(True)
        e.loop.slow_callback_duration = 1000
        when = () if name == "call_soon" else (1,)
        seen = []

        def callback():
            try:
                e.in_thread(lambda: getattr(e.loop, name)(*when, e.thing))
            except RuntimeError as error:
                seen.append(error)

        e.loop.call_soon(callback)
        e.spin()
        raise seen.pop()
    row(f"debug: {name} in another thread", wrong_thread)

for value in (None, 1, "text"):
    def not_callable(e, value=value):
        e.loop.call_soon(value)
        e.spin()
    row(f"run of call_soon({value!r})", not_callable)


def too_many_arguments(e):
    e.loop.call_soon(nothing, 1, 2)
    e.spin()


row("run of call_soon(function, wrong arguments)", too_many_arguments)


def context_entered_twice(e):
    context = contextvars.copy_context()

    def run():
        e.loop.call_soon(e.thing, context=context)
        e.spin()

    context.run(run)


row("run of call_soon(context already entered)", context_entered_twice)

# --- the life of the loop ---------------------------------------------------

for value in (None, 1, "text", object(), nothing, Thing):
    row(f"run_until_complete({getattr(value, '__name__', type(value))})",
        on_loop("run_until_complete", value))
row("run_until_complete(other loop's future)",
    lambda e: e.loop.run_until_complete(e.other_loop().create_future()))
row("run_until_complete(generator)",
    lambda e: e.loop.run_until_complete(x for x in []), quiet=True)


def run_finished_coroutine(e):
    coro = e.coro()
    e.loop.run_until_complete(coro)
    e.loop.run_until_complete(coro)


row("run_until_complete(finished coroutine)", run_finished_coroutine)


def run_closed_coroutine(e):
    coro = e.coro()
    coro.close()
    e.loop.run_until_complete(coro)


row("run_until_complete(closed coroutine)", run_closed_coroutine)


def run_stopped(e):
    e.loop.call_soon(e.loop.stop)
    e.loop.run_until_complete(e.future())


row("run_until_complete stopped", run_stopped)
signature("run_until_complete()", on_loop("run_until_complete"))
signature("run_until_complete(1, 2)", on_loop("run_until_complete", 1, 2))
signature("run_forever(1)", on_loop("run_forever", 1))
signature("stop(1)", on_loop("stop", 1))
signature("close(1)", on_loop("close", 1))
signature("time(1)", on_loop("time", 1))
signature("is_running(1)", on_loop("is_running", 1))
signature("is_closed(1)", on_loop("is_closed", 1))
signature("get_debug(1)", on_loop("get_debug", 1))
signature("set_debug()", on_loop("set_debug"))
signature("create_future(1)", on_loop("create_future", 1))
signature("create_task()", on_loop("create_task"))


def run_cancelled(e):
    task = e.task()
    e.loop.call_soon(task.cancel, "because")
    e.loop.run_until_complete(task)


row("run_until_complete cancelled with a message", run_cancelled)


def nested(e, name, same):
    inner = e.loop if same else e.other_loop()
    coro = e.coro()

    async def main():
        if name == "run_until_complete":
            inner.run_until_complete(coro)
        else:
            getattr(inner, name)()

    e.loop.run_until_complete(main())


if sys.version_info[:3] != (3, 13, 0):  # asyncio 3.13.0 hangs here
    for name in ("run_forever", "run_until_complete"):
        for same in (True, False):
            row(f"nested {name}, {'same' if same else 'another'} loop",
                functools.partial(nested, name=name, same=same))
row("close while running", functools.partial(nested, name="close", same=True))

for name, args in {
        "run_forever": (), "run_in_executor": (None, print),
        "add_reader": (0, print), "add_writer": (0, print),
        "remove_reader": (0,), "remove_writer": (0,),
        "add_signal_handler": (signal.SIGUSR1, print)}.items():
    def closed_method(e, name=name, args=args):
        e.loop.close()
        return getattr(e.loop, name)(*args)
    row(f"closed: {name}", closed_method, quiet=name.startswith("remove"))

for name in ("run_until_complete", "create_task"):
    def closed_coroutine(e, name=name):
        e.loop.close()
        return getattr(e.loop, name)(e.coro())
    row(f"closed: {name}", closed_coroutine)

# --- tasks ------------------------------------------------------------------

for value in (None, 1, "text", nothing, Thing, object(), b""):
    label = getattr(value, "__name__", type(value).__name__)
    row(f"create_task({label})", on_loop("create_task", value))
    row(f"Task({label})",
        lambda e, value=value: e.side.Task(value, loop=e.loop))
row("create_task(future)",
    lambda e: e.loop.create_task(e.future()))
row("Task(future)",
    lambda e: e.side.Task(e.future(), loop=e.loop))
row("create_task(generator)",
    lambda e: e.loop.create_task(x for x in []), quiet=True)
row("create_task(asynchronous generator)",
    lambda e: e.loop.create_task(numbers()))


async def numbers():
    yield 1


def task_of_finished_coroutine(e):
    coro = e.coro()
    e.loop.run_until_complete(coro)
    e.loop.run_until_complete(e.loop.create_task(coro))


row("create_task(finished coroutine)", task_of_finished_coroutine)


def task_of_running_coroutine(e):
    seen = []

    async def main():
        await e.loop.create_task(seen[0])

    coro = e.coro(main)
    seen.append(coro)
    e.loop.run_until_complete(coro)


row("create_task(running coroutine)", task_of_running_coroutine)


def task_of_awaited_coroutine(e):
    """Both wait for the same sleep; the second finds it used up."""
    coro = e.coro(nap)

    async def main():
        first = e.loop.create_task(coro)
        await asyncio.sleep(0)
        second = e.loop.create_task(coro)
        await asyncio.wait([first, second])
        assert first.exception() is None
        await second

    e.loop.run_until_complete(main())


row("create_task(coroutine of another task)", task_of_awaited_coroutine)
signature("create_task(coro, nonsense=1)",
          lambda e: e.loop.create_task(e.coro(), nonsense=1))
signature("create_task(coro, 1)",
          lambda e: e.loop.create_task(e.coro(), 1))
signature("Task()", lambda e: e.side.Task())
signature("Task(1, 2, 3)", lambda e: e.side.Task(1, 2, 3))
signature("Task(coro, nonsense=1)",
          lambda e: e.side.Task(e.coro(), loop=e.loop, nonsense=1))
row("Task without a loop",
    lambda e: e.in_thread(lambda: e.side.Task(e.coro())))
row("Task(loop=1)", lambda e: e.side.Task(e.coro(), loop=1))
row("Task(loop=object)", lambda e: e.side.Task(e.coro(), loop=object()))


def eager_without_running(e):
    return e.side.Task(e.coro(), loop=e.loop, eager_start=True)


row("Task(eager_start=True), loop not running", eager_without_running,
    quiet=True)


def create_eagerly(e):
    async def main():
        return e.loop.create_task(e.coro(), eager_start=True)

    return e.loop.run_until_complete(main())


if sys.version_info[:2] == (3, 13) and sys.version_info < (3, 13, 3):
    # 3.13.0 to 3.13.2 do not pass keywords on; the target is the later text
    pass
else:
    row("create_task(eager_start=True)", create_eagerly, quiet=True)


def bad_name(e):
    class Name:
        def __str__(self):
            raise KeyError("no name")

    return e.loop.create_task(e.coro(), name=Name())


row("create_task(name that cannot be a string)", bad_name)


def bad_set_name(e):
    class Name:
        def __str__(self):
            return 1

    e.task().set_name(Name())


row("set_name(whose str is no string)", bad_set_name)


class BadAwaitable:
    """Awaited, it yields what no task can wait for."""

    def __init__(self, value):
        self.value = value

    def __await__(self):
        yield self.value


for label, value in {
        "1": 1, "text": "text", "object": object(), "list": [],
        "generator": (x for x in [])}.items():
    def bad_yield(e, value=value):
        async def main():
            await BadAwaitable(value)
        e.loop.run_until_complete(main())
    row(f"task yields {label}", bad_yield)


def yield_unblocked_future(e):
    async def main():
        await BadAwaitable(e.future())
    e.loop.run_until_complete(main())


row("task yields a future without await", yield_unblocked_future)


def await_other_loops_future(e):
    other = e.other_loop()

    async def main():
        await other.create_future()
    e.loop.run_until_complete(main())


row("task awaits another loop's future", await_other_loops_future)


def await_itself(e):
    async def main():
        await asyncio.current_task()
    e.loop.run_until_complete(main())


row("task awaits itself", await_itself)

for value in (None, 1, "text", object()):
    def await_value(e, value=value):
        async def main():
            await value
        e.loop.run_until_complete(main())
    row(f"await {type(value).__name__}", await_value)


def finished_task(e):
    task = e.loop.create_task(e.coro())
    e.loop.run_until_complete(task)
    return task


row("task.set_result", lambda e: e.task().set_result(1))
row("task.set_exception", lambda e: e.task().set_exception(KeyError()))
row("task.result() before the end", lambda e: e.task().result())
row("task.exception() before the end", lambda e: e.task().exception())
row("set_result of a finished task", lambda e: finished_task(e).set_result(1))
signature("task.cancel(1, 2)", lambda e: e.task().cancel(1, 2))
signature("task.cancel(nonsense=1)", lambda e: e.task().cancel(nonsense=1))
signature("task.uncancel(1)", lambda e: e.task().uncancel(1))
signature("task.cancelling(1)", lambda e: e.task().cancelling(1))
signature("task.set_name()", lambda e: e.task().set_name())
signature("task.get_name(1)", lambda e: e.task().get_name(1))
signature("task.get_coro(1)", lambda e: e.task().get_coro(1))
signature("task.get_context(1)", lambda e: e.task().get_context(1))
signature("task.get_stack(1)", lambda e: e.task().get_stack(1))
signature("task.print_stack(1)", lambda e: e.task().print_stack(1))
row("task.get_stack(limit='x')", lambda e: started(e).get_stack(limit="x"))


def started(e):
    task = e.task()
    e.spin()
    return task


def set_must_cancel(e):
    e.task()._must_cancel = True


def set_fut_waiter(e):
    e.task()._fut_waiter = None


def set_coro(e):
    e.task()._coro = None


signature("task._must_cancel = True", set_must_cancel)
signature("task._fut_waiter = None", set_fut_waiter)
row("del task._log_destroy_pending",
    lambda e: delattr(e.task(), "_log_destroy_pending"))


def raises_stop_iteration(e):
    async def main():
        raise StopIteration(1)
    e.loop.run_until_complete(main())


row("coroutine raises StopIteration", raises_stop_iteration)

# --- futures ----------------------------------------------------------------

signature("Future(1)", lambda e: e.side.Future(1))
signature("Future(nonsense=1)", lambda e: e.side.Future(nonsense=1))
row("Future without a loop", lambda e: e.in_thread(e.side.Future))
row("Future(loop=1)", lambda e: e.side.Future(loop=1))
row("Future(loop=object)", lambda e: e.side.Future(loop=object()))
row("Future(loop=text)", lambda e: e.side.Future(loop="text"))


def done(e, value=1):
    future = e.future()
    future.set_result(value)
    return future


def failed(e):
    future = e.future()
    future.set_exception(KeyError("failed"))
    return future


def cancelled(e):
    future = e.future()
    future.cancel("message")
    return future


for label, make in {"pending": Env.future, "done": done, "failed": failed,
                    "cancelled": cancelled}.items():
    for method, args in {"result": (), "exception": (), "set_result": (1,),
                         "set_exception": (ValueError("x"),)}.items():
        def misuse(e, make=make, method=method, args=args):
            future = make(e)
            try:
                return getattr(future, method)(*args)
            finally:
                if future.done() and not future.cancelled():
                    future.exception()
        row(f"{method}{args!r} of a {label} future", misuse, quiet=True)

for label, error in {
        "StopIteration": StopIteration, "StopIteration()": StopIteration(),
        "1": 1, "None": None, "text": "text", "object": object,
        "Thing": Thing}.items():
    def set_bad_exception(e, error=error):
        future = e.future()
        try:
            future.set_exception(error)
        finally:
            if future.done():
                future.exception()
    row(f"set_exception({label})", set_bad_exception,
        quiet=label.startswith("Stop"))


class Fussy(Exception):
    def __init__(self):
        raise KeyError("cannot be made")


class Demanding(Exception):
    def __init__(self, one, two):
        super().__init__(one, two)


class Liar(Exception):
    def __new__(cls):
        return 42


row("set_exception(class that raises)", lambda e: e.future().set_exception(
    Fussy))
row("set_exception(class that wants arguments)",
    lambda e: e.future().set_exception(Demanding))
row("set_exception(class that makes no exception)",
    lambda e: e.future().set_exception(Liar))


def stop_iteration_subclass(e):
    class Sub(StopIteration):
        pass
    future = e.future()
    try:
        future.set_exception(Sub())
    finally:
        if future.done():
            future.exception()


row("set_exception(subclass of StopIteration)", stop_iteration_subclass,
    quiet=True)
signature("set_result()", lambda e: e.future().set_result())
signature("set_result(1, 2)", lambda e: e.future().set_result(1, 2))
signature("set_exception()", lambda e: e.future().set_exception())
signature("add_done_callback()", lambda e: e.future().add_done_callback())
signature("add_done_callback(1, 2)",
          lambda e: e.future().add_done_callback(1, 2))
signature("add_done_callback(f, nonsense=1)",
          lambda e: e.future().add_done_callback(e.thing, nonsense=1))
signature("remove_done_callback()",
          lambda e: e.future().remove_done_callback())
signature("future.cancel(1, 2)", lambda e: e.future().cancel(1, 2))
signature("future.cancel(nonsense=1)",
          lambda e: e.future().cancel(nonsense=1))
signature("future.done(1)", lambda e: e.future().done(1))
signature("future.get_loop(1)", lambda e: e.future().get_loop(1))


def callback_not_callable(e):
    future = e.future()
    future.add_done_callback(1)
    future.set_result(None)
    e.spin()


row("run of add_done_callback(1)", callback_not_callable)


def evil_comparison(e):
    class Evil:
        def __eq__(self, other):
            raise KeyError("compared")

    future = e.future()
    future.add_done_callback(e.thing)
    future.add_done_callback(e.thing)
    future.remove_done_callback(Evil())


row("remove_done_callback(that cannot be compared)", evil_comparison)


def set_log_traceback(e):
    e.future()._log_traceback = True


row("future._log_traceback = True", set_log_traceback)
row("del future._log_traceback",
    lambda e: delattr(e.future(), "_log_traceback"))
row("del future._asyncio_future_blocking",
    lambda e: delattr(e.future(), "_asyncio_future_blocking"))

for name in ("_state", "_loop", "_result", "_exception", "_callbacks",
             "_source_traceback"):
    signature(f"future.{name} = 1",
              lambda e, name=name: setattr(e.future(), name, 1))

for method, args in {
        "result": (), "exception": (), "set_result": (1,),
        "set_exception": (KeyError(),), "cancel": (), "done": (),
        "cancelled": (), "get_loop": (), "add_done_callback": (print,),
        "remove_done_callback": (print,), "__await__": (), "__iter__": (),
        "_make_cancelled_error": (), "__repr__": ()}.items():
    for kind in ("Future", "Task"):
        def uninitialised(e, kind=kind, method=method, args=args):
            cls = getattr(e.side, kind)
            return getattr(cls.__new__(cls), method)(*args)
        row(f"uninitialised {kind}.{method}", uninitialised, quiet=True)

# asyncio crashes in get_coro() and get_context() of some versions: these
# two are in tests/isolated/uninitialised.py instead.
for method, args in {
        "get_name": (), "set_name": ("x",), "cancelling": (),
        "uncancel": (), "get_stack": ()}.items():
    def uninitialised_task(e, method=method, args=args):
        cls = e.side.Task
        return getattr(cls.__new__(cls), method)(*args)
    row(f"uninitialised Task.{method}", uninitialised_task, quiet=True)


def iterate_done_twice(e):
    iterator = iter(done(e))
    for _ in range(2):
        try:
            next(iterator)
        except StopIteration:
            pass
    return next(iterator)


row("next() of a finished future iterator", iterate_done_twice)
row("next(future iterator) twice while pending",
    lambda e: [next(i) for i in [iter(e.future())] for _ in range(2)])
row("throw(1) into a future iterator", lambda e: iter(e.future()).throw(1))
row("throw(KeyError) into a future iterator",
    lambda e: iter(e.future()).throw(KeyError))
row("throw(KeyError()) into a future iterator",
    lambda e: iter(e.future()).throw(KeyError("thrown")))
signature("throw() into a future iterator",
          lambda e: iter(e.future()).throw())
row("await of a pending future outside a task",
    lambda e: asyncio.wrap_future(1, loop=e.loop))

# --- functions of asyncio on these objects ----------------------------------


def gather_two_loops(e):
    other = e.other_loop().create_future()

    async def main():
        await asyncio.gather(e.loop.create_future(), other)

    e.loop.run_until_complete(main())


row("gather of two loops", gather_two_loops)
row("ensure_future(other loop's future)",
    lambda e: asyncio.ensure_future(e.other_loop().create_future(),
                                    loop=e.loop))
row("ensure_future(1)", lambda e: asyncio.ensure_future(1, loop=e.loop))
row("run_coroutine_threadsafe(1)",
    lambda e: asyncio.run_coroutine_threadsafe(1, e.loop))
row("run_coroutine_threadsafe(future)",
    lambda e: asyncio.run_coroutine_threadsafe(e.future(), e.loop))
row("wrap_future(text)", lambda e: asyncio.wrap_future("text", loop=e.loop))


def wait_for_coroutine(e):
    async def main():
        await asyncio.wait([e.coro()])
    e.loop.run_until_complete(main())


row("wait([coroutine])", wait_for_coroutine)


def wait_for_nothing(e):
    async def main():
        await asyncio.wait([])
    e.loop.run_until_complete(main())


row("wait([])", wait_for_nothing)

# --- descriptors ------------------------------------------------------------


class NoNumber:
    def fileno(self):
        return "three"

    def __repr__(self):
        return "<NoNumber>"


class Raising:
    def fileno(self):
        raise KeyError("no fileno")

    def __repr__(self):
        return "<Raising>"


class Negative:
    def fileno(self):
        return -7

    def __repr__(self):
        return "<Negative>"


BAD_FDS = {
    "-1": -1, "-100": -100, "10**30": 10 ** 30, "-10**30": -10 ** 30,
    "2**31": 2 ** 31, "None": None, "text": "text", "2.5": 2.5, "b''": b"",
    "list": [], "NoNumber": NoNumber(), "Raising": Raising(),
    "Negative": Negative(), "object": Thing(),
}
for name in ("add_reader", "add_writer", "remove_reader", "remove_writer"):
    arguments = (Thing(),) if name.startswith("add") else ()
    for label, value in BAD_FDS.items():
        # A number no socket has is simply not registered for asyncio.
        row(f"{name}({label})", on_loop(name, value, *arguments),
            quiet=name.startswith("remove"))
    row(f"{name}(closed socket)",
        lambda e, name=name, arguments=arguments:
        getattr(e.loop, name)(e.closed_sock(), *arguments), quiet=True)
    row(f"{name}(closed descriptor)",
        lambda e, name=name, arguments=arguments:
        getattr(e.loop, name)(e.closed_fd(), *arguments), quiet=True)
    signature(f"{name}()", on_loop(name))


for name in ("add_reader", "add_writer"):
    signature(f"{name}(0)", on_loop(name, 0))

    def add_regular_file(e, name=name):
        with open(__file__, "rb") as file:
            return getattr(e.loop, name)(file.fileno(), e.thing)
    row(f"{name}(regular file)", add_regular_file)

    def add_coroutine(e, name=name):
        e.loop.set_debug(True)
        left, _ = e.pair()
        try:
            return getattr(e.loop, name)(left, e.coro())
        finally:
            getattr(e.loop, name.replace("add", "remove"))(left)
    row(f"debug: {name}(coroutine)", add_coroutine, quiet=True)

# --- signals ----------------------------------------------------------------

for label, value in {"0": 0, "-1": -1, "10000": 10000, "text": "SIGINT",
                     "None": None, "2.5": 2.5, "SIGKILL": signal.SIGKILL,
                     "SIGSTOP": signal.SIGSTOP, "10**30": 10 ** 30}.items():
    row(f"add_signal_handler({label})",
        on_loop("add_signal_handler", value, lambda e: e.thing))
for label, value in {"0": 0, "-1": -1, "10000": 10000, "text": "SIGINT",
                     "None": None, "2.5": 2.5}.items():
    row(f"remove_signal_handler({label})",
        on_loop("remove_signal_handler", value))
row("add_signal_handler(coroutine function)",
    on_loop("add_signal_handler", signal.SIGUSR1, lambda e: nothing))
row("add_signal_handler(coroutine)",
    on_loop("add_signal_handler", signal.SIGUSR1, lambda e: e.coro()))
row("add_signal_handler in another thread",
    lambda e: e.in_thread(lambda: e.loop.add_signal_handler(
        signal.SIGUSR1, print)))
signature("add_signal_handler()", on_loop("add_signal_handler"))
signature("remove_signal_handler()", on_loop("remove_signal_handler"))

# --- executors --------------------------------------------------------------

for value in (1, "text", object()):
    row(f"run_in_executor({type(value).__name__}, f)",
        on_loop("run_in_executor", value, print))
    row(f"set_default_executor({type(value).__name__})",
        on_loop("set_default_executor", value))
row("set_default_executor(None)", on_loop("set_default_executor", None))


class OtherExecutor(concurrent.futures.Executor):
    pass


row("set_default_executor(another kind)",
    lambda e: e.loop.set_default_executor(OtherExecutor()))
row("run_in_executor(executor that cannot submit)",
    lambda e: e.loop.run_in_executor(OtherExecutor(), print))


def debug_executor(e, thing):
    e.loop.set_debug(True)
    return e.loop.run_in_executor(None, thing(e))


row("debug: run_in_executor(coroutine function)",
    functools.partial(debug_executor, thing=lambda e: nothing))
row("debug: run_in_executor(coroutine)",
    functools.partial(debug_executor, thing=lambda e: e.coro()))
row("debug: run_in_executor(1)",
    functools.partial(debug_executor, thing=lambda e: 1))


def executor_calls_nothing(e):
    try:
        return e.loop.run_until_complete(e.loop.run_in_executor(None, 1))
    finally:
        e.loop.run_until_complete(e.loop.shutdown_default_executor())


row("run_in_executor(None, 1)", executor_calls_nothing)


def executor_after_shutdown(e):
    e.loop.run_until_complete(e.loop.shutdown_default_executor())
    return e.loop.run_in_executor(None, print)


row("run_in_executor after its shutdown", executor_after_shutdown)
signature("run_in_executor()", on_loop("run_in_executor"))
signature("set_default_executor()", on_loop("set_default_executor"))

# --- factories and handlers -------------------------------------------------

for value in (1, "text", (), object()):
    row(f"set_task_factory({type(value).__name__})",
        on_loop("set_task_factory", value))
    row(f"set_exception_handler({type(value).__name__})",
        on_loop("set_exception_handler", value))
signature("set_task_factory()", on_loop("set_task_factory"))
signature("set_exception_handler()", on_loop("set_exception_handler"))
signature("call_exception_handler()", on_loop("call_exception_handler"))
signature("default_exception_handler()",
          on_loop("default_exception_handler"))
for value in (None, 1, "text", []):
    row(f"call_exception_handler({value!r})",
        on_loop("call_exception_handler", value), quiet=True)
    row(f"default_exception_handler({value!r})",
        on_loop("default_exception_handler", value), quiet=True)
row("call_exception_handler(exception=text)",
    on_loop("call_exception_handler", {"exception": "text"}), quiet=True)


def failing_factory(e):
    def factory(loop, coro, **kwargs):
        raise KeyError("factory")
    e.loop.set_task_factory(factory)
    return e.loop.create_task(e.coro())


row("task factory that raises", failing_factory)


def factory_of_two(e):
    e.loop.set_task_factory(lambda loop: None)
    return e.loop.create_task(e.coro())


row("task factory with another signature", factory_of_two)

# --- sock_* -----------------------------------------------------------------

SOCK_CALLS = {
    "sock_recv": (10,), "sock_recv_into": (bytearray(10),),
    "sock_recvfrom": (10,), "sock_recvfrom_into": (bytearray(10),),
    "sock_sendall": (b"x",), "sock_sendto": (b"x", ("127.0.0.1", 9)),
    "sock_connect": (("127.0.0.1", 9),), "sock_accept": (),
}
for name, args in SOCK_CALLS.items():
    def blocking_sock(e, name=name, args=args):
        e.loop.set_debug(True)
        return getattr(e.loop, name)(e.sock(blocking=True), *args)
    row(f"debug: {name}(blocking socket)", blocking_sock)

    def timeout_sock(e, name=name, args=args):
        e.loop.set_debug(True)
        sock = e.sock()
        sock.settimeout(1)
        return getattr(e.loop, name)(sock, *args)
    row(f"debug: {name}(socket with timeout)", timeout_sock)

    row(f"{name}(TLS socket)", lambda e, name=name, args=args:
        getattr(e.loop, name)(e.tls_sock(), *args))
    row(f"{name}(closed socket)", lambda e, name=name, args=args:
        getattr(e.loop, name)(e.closed_sock(), *args))
    for value in (None, 1, "text"):
        row(f"{name}(sock={value!r})", lambda e, name=name, args=args, value=value:
            getattr(e.loop, name)(value, *args))
    signature(f"{name}()", on_loop(name))

for label, args in {"-1": (-1,), "text": ("text",), "None": (None,),
                    "2.5": (2.5,)}.items():
    row(f"sock_recv(n={label})",
        lambda e, args=args: e.loop.sock_recv(e.pair()[0], *args))
    row(f"sock_recvfrom(n={label})",
        lambda e, args=args: e.loop.sock_recvfrom(e.pair()[0], *args))
for value in (None, "text", b"bytes", 5):
    row(f"sock_recv_into({value!r})",
        lambda e, value=value: e.loop.sock_recv_into(e.pair()[0], value))
for value in (None, "text", 5):
    row(f"sock_sendall({value!r})",
        lambda e, value=value: e.loop.sock_sendall(e.pair()[0], value))
    row(f"sock_sendto({value!r})",
        lambda e, value=value: e.loop.sock_sendto(
            e.sock(socket.SOCK_DGRAM), value, ("127.0.0.1", 9)))
for label, address in {"None": None, "text": "text", "(1,)": (1,),
                       "port text": ("127.0.0.1", "x"),
                       "port -1": ("127.0.0.1", -1),
                       "port 70000": ("127.0.0.1", 70000)}.items():
    row(f"sock_connect(address {label})",
        lambda e, address=address: e.loop.sock_connect(e.sock(), address))
row("sock_accept(not listening)", lambda e: e.loop.sock_accept(e.sock()))
row("sock_recv(not connected)", lambda e: e.loop.sock_recv(e.sock(), 1))


def refused_address(e):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()


def without_port(call):
    """Replace the port in the text of the error, which is never the same."""
    def run(e):
        try:
            return e.loop.run_until_complete(call(e))
        except OSError as error:
            raise type(error)(error.errno, "connecting") from None
    return run


row("sock_connect(refused)", without_port(
    lambda e: e.loop.sock_connect(e.sock(), refused_address(e))))

# --- connections and servers ------------------------------------------------

P = asyncio.Protocol


def connection(*args, **kwargs):
    return on_loop("create_connection", *args, **kwargs)


def server(*args, **kwargs):
    return on_loop("create_server", *args, **kwargs)


for label, keywords in {
        "nothing": {},
        "host and sock": dict(host="h", sock=Env.sock),
        "port and sock": dict(port=1, sock=Env.sock),
        "server_hostname without ssl": dict(host="h", port=1,
                                            server_hostname="x"),
        "ssl with sock without hostname": dict(ssl=True, sock=Env.sock),
        "ssl_handshake_timeout without ssl": dict(
            host="h", port=1, ssl_handshake_timeout=1),
        "ssl_shutdown_timeout without ssl": dict(
            host="h", port=1, ssl_shutdown_timeout=1),
        "datagram socket": dict(sock=lambda e: e.sock(socket.SOCK_DGRAM)),
        "TLS socket": dict(sock=Env.tls_sock),
        "closed socket": dict(sock=Env.closed_sock),
        "unconnected socket": dict(sock=Env.sock),
        "family and sock": dict(family=socket.AF_INET, sock=Env.closed_sock),
        "sock=1": dict(sock=1),
        "bad port": dict(host="127.0.0.1", port="no such service at all"),
        "bad host": dict(host="256.256.256.256.invalid", port=80,
                         flags=socket.AI_NUMERICHOST),
        "host=1": dict(host=1, port=80),
        "bad local_addr": dict(host="127.0.0.1", port=80,
                               local_addr=("203.0.113.77", 0)),
        "ssl=text": dict(host="127.0.0.1", port=1, ssl="text"),
        "bad family": dict(host="127.0.0.1", port=80,
                           family=socket.AF_INET6),
        "happy_eyeballs_delay text": dict(host="127.0.0.1", port=80,
                                          happy_eyeballs_delay="x"),
}.items():
    def connect_wrongly(e, keywords=keywords):
        values = {key: value(e) if isinstance(value, types.FunctionType)
                  else value for key, value in keywords.items()}
        return e.loop.create_connection(P, **values)
    # A socket that is not connected gives a transport that is soon lost.
    row(f"create_connection: {label}", connect_wrongly,
        quiet=label == "unconnected socket")

row("create_connection refused", without_port(
    lambda e: e.loop.create_connection(P, *refused_address(e))))
signature("create_connection()", lambda e: e.loop.create_connection())
signature("create_connection(nonsense=1)",
          lambda e: e.loop.create_connection(P, "h", 1, nonsense=1))


def failing_protocol_factory(e):
    def factory():
        raise KeyError("factory")
    left, _ = e.pair()
    return e.loop.create_connection(factory, sock=left)


row("create_connection: factory raises", failing_protocol_factory)


def closed_protocol_factory(e):
    left, _ = e.pair()
    return e.loop.create_connection(None, sock=left)


row("create_connection: factory is None", closed_protocol_factory)

for label, keywords in {
        "nothing": {},
        "host and sock": dict(host="h", sock=Env.sock),
        "port and sock": dict(port=1, sock=Env.sock),
        "ssl bool": dict(host="127.0.0.1", port=0, ssl=True),
        "ssl text": dict(host="127.0.0.1", port=0, ssl="text"),
        "ssl_handshake_timeout without ssl": dict(
            host="127.0.0.1", port=0, ssl_handshake_timeout=1),
        "ssl_shutdown_timeout without ssl": dict(
            host="127.0.0.1", port=0, ssl_shutdown_timeout=1),
        "datagram socket": dict(sock=lambda e: e.sock(socket.SOCK_DGRAM)),
        "closed socket": dict(sock=Env.closed_sock),
        "TLS socket": dict(sock=Env.tls_sock),
        "sock=1": dict(sock=1),
        "host=1": dict(host=1, port=0),
        "foreign address": dict(host="203.0.113.77", port=0),
        "port text": dict(host="127.0.0.1", port="no such service at all"),
        "port 70000": dict(host="127.0.0.1", port=70000),
        "backlog text": dict(host="127.0.0.1", port=0, backlog="x"),
}.items():
    def serve_wrongly(e, keywords=keywords):
        values = {key: value(e) if isinstance(value, types.FunctionType)
                  else value for key, value in keywords.items()}
        return e.loop.create_server(P, **values)
    # asyncio looks at this only when a client comes.
    row(f"create_server: {label}", serve_wrongly, quiet=label == "ssl text")
signature("create_server()", lambda e: e.loop.create_server())
signature("create_server(nonsense=1)",
          lambda e: e.loop.create_server(P, "h", 1, nonsense=1))


def port_in_use(e):
    taken = e.sock()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    try:
        return e.loop.run_until_complete(e.loop.create_server(
            P, *taken.getsockname()))
    except OSError as error:
        text = str(error).replace(str(taken.getsockname()[1]), "PORT")
        raise type(error)(error.errno, text) from None


row("create_server: port in use", port_in_use)

for label, args, keywords in [
        ("nothing", (), {}),
        ("path and sock", ("/tmp/x",), dict(sock=Env.sock)),
        ("internet socket", (), dict(sock=Env.sock)),
        ("server_hostname without ssl", ("/tmp/x",),
         dict(server_hostname="x")),
        ("ssl without server_hostname", ("/tmp/x",), dict(ssl=True)),
        ("ssl_handshake_timeout without ssl", ("/tmp/x",),
         dict(ssl_handshake_timeout=1)),
        ("ssl_shutdown_timeout without ssl", ("/tmp/x",),
         dict(ssl_shutdown_timeout=1)),
        ("missing file", ("/nonexistent/socket",), {}),
        ("path=1", (1,), {}),
        ("path too long", ("/tmp/" + "x" * 200,), {})]:
    def unix_connect_wrongly(e, args=args, keywords=keywords):
        values = {key: value(e) if isinstance(value, types.FunctionType)
                  else value for key, value in keywords.items()}
        return e.loop.create_unix_connection(P, *args, **values)
    row(f"create_unix_connection: {label}", unix_connect_wrongly)

for label, args, keywords in [
        ("nothing", (), {}),
        ("path and sock", ("/tmp/x",), dict(sock=Env.sock)),
        ("internet socket", (), dict(sock=Env.sock)),
        ("ssl bool", ("/tmp/x",), dict(ssl=True)),
        ("ssl_handshake_timeout without ssl", ("/tmp/x",),
         dict(ssl_handshake_timeout=1)),
        ("ssl_shutdown_timeout without ssl", ("/tmp/x",),
         dict(ssl_shutdown_timeout=1)),
        ("missing folder", ("/nonexistent/folder/socket",), {}),
        ("path=1", (1,), {}),
        ("path too long", ("/tmp/" + "x" * 200,), {})]:
    def unix_serve_wrongly(e, args=args, keywords=keywords):
        values = {key: value(e) if isinstance(value, types.FunctionType)
                  else value for key, value in keywords.items()}
        return e.loop.create_unix_server(P, *args, **values)
    row(f"create_unix_server: {label}", unix_serve_wrongly)

for label, keywords in {
        "datagram": dict(sock=lambda e: e.sock(socket.SOCK_DGRAM)),
        "closed": dict(sock=Env.closed_sock),
        "ssl_handshake_timeout without ssl": dict(
            sock=Env.sock, ssl_handshake_timeout=1),
        "ssl_shutdown_timeout without ssl": dict(
            sock=Env.sock, ssl_shutdown_timeout=1),
        "ssl=text": dict(sock=lambda e: e.pair()[0], ssl="text"),
        "TLS socket": dict(sock=Env.tls_sock)}.items():
    def accept_wrongly(e, keywords=keywords):
        values = {key: value(e) if isinstance(value, types.FunctionType)
                  else value for key, value in keywords.items()}
        return e.loop.connect_accepted_socket(P, **values)
    row(f"connect_accepted_socket: {label}", accept_wrongly)

# --- addresses --------------------------------------------------------------

row("getaddrinfo(service text)",
    lambda e: e.loop.getaddrinfo("127.0.0.1", "no such service at all"))
row("getaddrinfo(host=1)", lambda e: e.loop.getaddrinfo(1, 1))
row("getaddrinfo(port=object)",
    lambda e: e.loop.getaddrinfo("127.0.0.1", object))
row("getnameinfo(1)", lambda e: e.loop.getnameinfo(1))
row("getnameinfo(())", lambda e: e.loop.getnameinfo(()))
row("getnameinfo(port text)",
    lambda e: e.loop.getnameinfo(("127.0.0.1", "x")))
signature("getaddrinfo()", on_loop("getaddrinfo"))
signature("getnameinfo()", on_loop("getnameinfo"))

# --- transports and servers in use ------------------------------------------


def with_transport(action, collect=False):
    """A row that works on a connected transport, closed afterwards."""
    def call(e):
        async def main():
            left, right = socket.socketpair()
            transport, protocol = await e.loop.create_connection(
                P, sock=left)
            try:
                result = action(transport)
                if asyncio.iscoroutine(result):
                    result = await result
                return result
            finally:
                transport.abort()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                right.close()
        return e.loop.run_until_complete(main())
    return call


for value in (None, 1, "text", [], object()):
    label = type(value).__name__
    row(f"transport.write({label})",
        with_transport(lambda t, value=value: t.write(value)))
    row(f"transport.writelines({label})",
        with_transport(lambda t, value=value: t.writelines(value)),
        quiet=True)
row("transport.writelines([1])",
    with_transport(lambda t: t.writelines([1])))
row("transport.writelines(['text'])",
    with_transport(lambda t: t.writelines(["text"])))
row("transport.write after write_eof",
    with_transport(lambda t: (t.write_eof(), t.write(b"x"))))
row("transport.writelines after write_eof",
    with_transport(lambda t: (t.write_eof(), t.writelines([b"x"]))))
row("transport.set_write_buffer_limits(1, 2)",
    with_transport(lambda t: t.set_write_buffer_limits(1, 2)))
row("transport.set_write_buffer_limits(-1)",
    with_transport(lambda t: t.set_write_buffer_limits(-1)))
row("transport.set_write_buffer_limits(low=-1)",
    with_transport(lambda t: t.set_write_buffer_limits(low=-1)))
row("transport.set_write_buffer_limits('x')",
    with_transport(lambda t: t.set_write_buffer_limits("x")))
signature("transport.write()", with_transport(lambda t: t.write()))
signature("transport.close(1)", with_transport(lambda t: t.close(1)))
signature("transport.get_extra_info()",
          with_transport(lambda t: t.get_extra_info()))
signature("transport.set_protocol()",
          with_transport(lambda t: t.set_protocol()))


def many_writes_to_closed(e):
    """asyncio warns from the fifth write to a lost connection on."""
    async def main():
        left, right = socket.socketpair()
        transport, _ = await e.loop.create_connection(P, sock=left)
        right.close()
        await asyncio.sleep(0.01)
        for _ in range(8):
            transport.write(b"x")
            await asyncio.sleep(0)
        transport.abort()
        await asyncio.sleep(0)
        return "done"
    return e.loop.run_until_complete(main())


row("writes to a lost connection", many_writes_to_closed)


def start_tls_wrongly(e, context):
    return with_transport(lambda t: e.loop.start_tls(
        t, P(), context))(e)


for label, value in {"None": None, "text": "text", "True": True}.items():
    row(f"start_tls(context {label})",
        functools.partial(start_tls_wrongly, context=value))
row("start_tls(no transport)", lambda e: e.loop.start_tls(
    None, P(), ssl.create_default_context()))


def with_server(action):
    def call(e):
        async def main():
            server = await e.loop.create_server(P, "127.0.0.1", 0)
            try:
                return await action(server)
            finally:
                server.close()
                await asyncio.sleep(0)
        return e.loop.run_until_complete(main())
    return call


async def serve_closed(server):
    server.close()
    await server.start_serving()


async def serve_forever_twice(server):
    first = asyncio.ensure_future(server.serve_forever())
    await asyncio.sleep(0)
    try:
        await server.serve_forever()
    finally:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def serve_forever_closed(server):
    server.close()
    await server.serve_forever()


row("server.start_serving() after close", with_server(serve_closed),
    quiet=True)
row("server.serve_forever() twice", with_server(serve_forever_twice))
row("server.serve_forever() after close", with_server(serve_forever_closed))

# --- settings ---------------------------------------------------------------

for value in (math.nan, math.inf, -1):
    def odd_timer(e, value=value):
        handle = e.loop.call_later(value, e.thing)
        e.spin()
        handle.cancel()
        return "accepted"
    row(f"call_later({value!r}) and a turn", odd_timer, quiet=True)


def context_of_another_type(e):
    e.loop.call_soon(e.thing, context=1)
    e.spin()


row("run of call_soon(context=1)", context_of_another_type)


def task_context_of_another_type(e):
    task = e.loop.create_task(e.coro(), context=1)
    e.spin()
    e.spin()
    return task.done()


row("create_task(context=1) and a turn", task_context_of_another_type,
    quiet=True)
