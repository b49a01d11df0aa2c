"""The two sides of a comparison, and how to look at what happened.

asyncio is the oracle: a test takes the fixture `side` (or `loop`, which
comes from it) and runs once on asyncio and once on fastasync, so that an
expectation written here is checked against the original each time it is
checked against us.

The variable FASTASYNC_TEST_LOOPS chooses sides, by default
"asyncio,fastasync".  "asyncio" alone validates the tests themselves and
needs no fastasync.
"""

import asyncio
import contextlib
import logging
import os
import re
import sys
import warnings

CHOSEN = os.environ.get("FASTASYNC_TEST_LOOPS", "asyncio,fastasync").split(",")


class Side:
    """One implementation: its namespace and how to make its loop."""

    def __init__(self, name):
        self.name = name
        if name == "fastasync":
            import fastasync
            self.module = fastasync
            self.new_loop = fastasync.new_event_loop
        else:
            self.module = asyncio
            self.new_loop = asyncio.SelectorEventLoop
        self.Task = self.module.Task
        self.Future = self.module.Future
        self.Handle = self.module.Handle
        self.TimerHandle = self.module.TimerHandle

    @property
    def ours(self):
        return self.name == "fastasync"

    def __repr__(self):
        return f"<Side {self.name}>"


_sides = {}


def side_of(name):
    if name not in _sides:
        _sides[name] = Side(name)
    return _sides[name]


def both():
    """The chosen sides; the last of them is the one under test."""
    return [side_of(name) for name in CHOSEN]


def plain(text):
    """*text* without what differs from run to run or from loop to loop.

    Memory addresses, descriptors, ports, numbers of tasks, the name of the
    loop's class, and the modules in front of the names of classes.
    """
    text = re.sub(r"0x[0-9a-fA-F]+", "0x..", text)
    text = text.replace("_ThreadSafeHandle", "Handle")
    text = re.sub(r"\bfd=\d+", "fd=N", text)
    text = re.sub(r"(addr=\('[\d.]+', )[1-9]\d*", r"\1PORT", text)
    text = re.sub(r"<(?:_UnixSelectorEventLoop|(?:fastasync\.)?\w*Loop) "
                  r"(?=running=)", "<LOOP ", text)
    text = re.sub(r"\b(?:_asyncio|asyncio\.\w+|fastasync\.\w+|_fastasync|"
                  r"fastasync|asyncio)\.(?=[A-Z])", "", text)
    return re.sub(r"Task-\d+", "Task-N", text)


def why(error):
    """An exception as something to compare."""
    return f"{type(error).__name__}: {plain(str(error))}"


class Journal(logging.Handler):
    """Collects what the logger "asyncio" is told."""

    def __init__(self):
        super().__init__(logging.INFO)
        self.records = []

    def emit(self, record):
        self.records.append(record)

    @property
    def messages(self):
        return [(r.levelname, plain(r.getMessage())) for r in self.records]

    @property
    def errors(self):
        return [r.exc_info[1] for r in self.records if r.exc_info]


@contextlib.contextmanager
def journal():
    """While it lasts, the asyncio logger writes here and nowhere else."""
    logger = logging.getLogger("asyncio")
    handler = Journal()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


@contextlib.contextmanager
def hooks():
    """Collect what reaches sys.unraisablehook, as (where, exception)."""
    caught = []
    before = sys.unraisablehook
    sys.unraisablehook = lambda args: caught.append(
        (args.err_msg, args.exc_value))
    try:
        yield caught
    finally:
        sys.unraisablehook = before


@contextlib.contextmanager
def recorded_warnings():
    """All warnings, as a list of "Category: text", in order."""
    texts = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
    texts += [f"{w.category.__name__}: {plain(str(w.message))}"
              for w in caught]


def spin(loop, turns=1):
    """Let the loop make exactly *turns* iterations."""
    for _ in range(turns):
        loop.stop()
        loop.run_forever()


def run_for(loop, seconds):
    """Run the loop until a timer stops it."""
    loop.call_later(seconds, loop.stop)
    loop.run_forever()


def compare(scenario):
    """Run *scenario(side, loop)* on each side; the results must be equal.

    Returns the common result.  The scenario returns what it saw, in plain
    data.
    """
    results = []
    for side in both():
        loop = side.new_loop()
        try:
            results.append(scenario(side, loop))
        finally:
            if not loop.is_closed():
                loop.close()
    assert all(result == results[0] for result in results), results
    return results[0]
