"""Run one script with asyncio's StreamReader and with ours, and compare.

A script is a function of one Bench: a reader, a transport, a loop, and a log.
Its log (plain data and texts, freed of addresses) must be the same wherever it
runs; asyncio's reader on asyncio's loop is the oracle.
"""

import asyncio
import contextlib
import itertools
import types

import _fastasync
import fastasync

from support import plain

SETTINGS = {
    "asyncio on asyncio": (asyncio.streams.StreamReader,
                           asyncio.SelectorEventLoop),
    "ours on asyncio": (_fastasync.StreamReader, asyncio.SelectorEventLoop),
    "ours on ours": (_fastasync.StreamReader, fastasync.new_event_loop),
    "asyncio on ours": (asyncio.streams.StreamReader,
                        fastasync.new_event_loop),
}


class FakeTransport:
    """Notes what the reader tells it."""

    def __init__(self, bench, can_pause=True):
        self.bench = bench
        self.can_pause = can_pause

    def pause_reading(self):
        self.bench.note("pause_reading")
        if not self.can_pause:
            raise NotImplementedError

    def resume_reading(self):
        self.bench.note("resume_reading")

    def __repr__(self):
        return "<FakeTransport>"


def plain_class(stock):
    return stock


def subclass(stock):
    """A subclass that changes nothing."""
    return type("Sub", (stock,), {})


def noisy(stock):
    """A subclass that tells what is called on it."""
    class Noisy(stock):
        log = None

        async def _wait_for_data(self, func_name):
            self.log("_wait_for_data", func_name)
            return await super()._wait_for_data(func_name)

        def _wakeup_waiter(self):
            self.log("_wakeup_waiter")
            return super()._wakeup_waiter()

        def _maybe_resume_transport(self):
            self.log("_maybe_resume_transport")
            return super()._maybe_resume_transport()

        async def read(self, n=-1):
            self.log("read", n)
            return await super().read(n)

        async def readuntil(self, separator=b"\n"):
            self.log("readuntil", repr(separator))
            return await super().readuntil(separator)

        async def readline(self):
            self.log("readline")
            return await super().readline()

    return Noisy


class Bench:
    """A reader to play with, and what was seen there."""

    def __init__(self, name, make_class=plain_class, limit=8, debug=False):
        stock, new_loop = SETTINGS[name]
        self.loop = new_loop()
        self.loop.set_debug(debug)
        self.loop.set_exception_handler(self._told)
        self.log = []
        self.tasks = []
        self.Reader = make_class(stock)
        self.reader = self.Reader(limit=limit, loop=self.loop)
        if hasattr(self.reader, "log"):
            self.reader.log = self.note

    def _told(self, loop, context):
        self.note("told", context["message"], context.get("exception"))

    def note(self, *what):
        self.log.append(tuple(show(item) for item in what))

    def attempt(self, function, *args, **kwargs):
        """Log what the call returns or raises."""
        try:
            result = function(*args, **kwargs)
        except (Exception, asyncio.CancelledError) as error:
            self.note("raised", error)
        else:
            self.note("returned", result)

    def start(self, name, *args):
        """Begin a read in a task; what it gives is logged when it ends."""
        number = len(self.tasks)

        async def run():
            try:
                result = await getattr(self.reader, name)(*args)
            except (Exception, asyncio.CancelledError) as error:
                self.note(number, name, "raised", error)
            else:
                self.note(number, name, "gave", type(result).__name__, result)

        self.tasks.append(self.loop.create_task(run()))

    def cancel(self):
        for task in self.tasks:
            if not task.done():
                task.cancel()
                break

    def spin(self, turns=1):
        for _ in range(turns):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def look(self):
        """What can be seen without asking for the buffer."""
        reader = self.reader
        self.note(repr(reader), reader.at_eof(), reader._paused,
                  reader._waiter is None, reader._transport is None)

    def close(self):
        for task in self.tasks:
            task.cancel()
        self.spin(2)
        self.loop.close()


def show(item):
    if isinstance(item, BaseException):
        return (type(item).__name__, plain(str(item)),
                getattr(item, "partial", None),
                getattr(item, "expected", None),
                getattr(item, "consumed", None),
                item.__context__ and type(item.__context__).__name__,
                item.__cause__ and type(item.__cause__).__name__)
    if isinstance(item, str):
        return plain(item)
    if isinstance(item, (bytes, bytearray, bool, int, types.NoneType)):
        return type(item).__name__, bytes(item) if hasattr(
            item, "hex") and not isinstance(item, float) else item
    return plain(repr(item))


@contextlib.contextmanager
def bench(name, **options):
    made = Bench(name, **options)
    try:
        yield made
    finally:
        made.close()


def same(script, **options):
    """Run *script* everywhere; returns the log that all agree on."""
    logs = {}
    for name in SETTINGS:
        with bench(name, **options) as made:
            script(made)
        made.note("left", bytes(made.reader._buffer), repr(made.reader))
        logs[name] = made.log
    oracle = logs["asyncio on asyncio"]
    for name, log in logs.items():
        for at, (entry, wanted) in enumerate(
                itertools.zip_longest(log, oracle)):
            assert entry == wanted, (
                f"{name}, entry {at}: {entry!r}, "
                f"but asyncio on asyncio: {wanted!r}")
    return oracle
