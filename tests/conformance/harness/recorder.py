"""Runs the target tests of one file and writes down how each ended."""

from __future__ import annotations

import faulthandler
import importlib
import sys
import time
import traceback
import unittest
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from test import support  # type: ignore[import-not-found]

from harness.proof import Witness
from harness.wire import Job, Journal

_OptExcInfo = (
    tuple[type[BaseException], BaseException, TracebackType]
    | tuple[None, None, None]
)


def load_tests(file: str, wanted: Iterable[str]) -> list[unittest.TestCase]:
    """Import a test file and pick the *wanted* tests, in its own order."""
    module = importlib.import_module(f"test.test_asyncio.{file}")
    ids = frozenset(wanted)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    return [test for test in _flatten(suite) if test.id() in ids]


def _flatten(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from _flatten(item)
        else:
            yield item


class Recorder(unittest.TestResult):
    """A test result that judges each test at its end and journals it."""

    def __init__(self, job: Job, journal: Journal, witness: Witness) -> None:
        super().__init__()
        self._job = job
        self._journal = journal
        self._witness = witness
        self._status = ""
        self._detail: list[str] = []
        self._stray: list[str] = []
        self._started = 0.0

    # What unittest calls, in order.

    def startTest(self, test: unittest.TestCase) -> None:
        """Announce the test, so that a crash can be laid at its door."""
        self._journal.write("start", id=test.id())
        print(f"--- {test.id()}", file=sys.stderr, flush=True)
        faulthandler.dump_traceback_later(self._job.hang_limit, exit=True)
        self._status = ""
        self._detail = []
        self._stray = []
        support.environment_altered = False
        self._started = time.monotonic()
        self._witness.begin()

    def addSuccess(self, test: unittest.TestCase) -> None:
        """Nothing to note yet: stopTest() looks for doubts."""

    def addFailure(self, test: unittest.TestCase, err: _OptExcInfo) -> None:
        """An assertion of the test did not hold."""
        self._note("fail", err)

    def addError(self, test: Any, err: _OptExcInfo) -> None:
        """The test, or a fixture of its class or module, raised."""
        if isinstance(test, unittest.TestCase):
            self._note("error", err)
        else:
            self._journal.write("fixture", id=test.id(), detail=_format(err))

    def addSubTest(
        self,
        test: unittest.TestCase,
        subtest: unittest.TestCase,
        err: _OptExcInfo | None,
    ) -> None:
        """A part of a test ended; it counts for the whole."""
        if err is not None:
            kind = err[0]
            failed = kind and issubclass(kind, test.failureException)
            self._note("fail" if failed else "error", err, subtest.id())

    def addSkip(self, test: Any, reason: str) -> None:
        """The test, or a fixture of its class or module, asked to skip."""
        if isinstance(test, unittest.TestCase):
            self._status = self._status or "skip"
            self._detail.append(reason)
        else:
            self._journal.write("fixture", id=test.id(), detail=reason)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        """CPython marks the test as failing, and it passed."""
        self._status = "unexpected"

    def stopTest(self, test: unittest.TestCase) -> None:
        """Judge the test and write the verdict."""
        faulthandler.cancel_dump_traceback_later()
        if not self._status:
            self._look_for_doubts(test)
        self._journal.write(
            "end",
            id=test.id(),
            status=self._status,
            detail="\n".join(self._detail),
            seconds=round(time.monotonic() - self._started, 4),
            made=self._witness.made(),
        )

    # The verdict.

    def _note(self, status: str, err: _OptExcInfo, prefix: str = "") -> None:
        self._status = status
        self._detail.append((prefix + "\n" if prefix else "") + _format(err))

    def _look_for_doubts(self, test: unittest.TestCase) -> None:
        kind = self._job.kinds[test.id()]
        doubt = self._witness.doubt(kind, self._job.mode, test)
        if doubt is not None:
            self._status = "unproven"
            self._detail.append(doubt)
        elif support.environment_altered:
            self._status = "altered"
            self._detail.append("test.support saw threads or children left")
        elif self._stray:
            self._status = "altered"
            self._detail.extend(self._stray)
        else:
            self._status = "ok"

    def unraisable(self, unraisable: Any) -> None:
        """sys.unraisablehook: an exception nobody could receive."""
        text = unraisable.err_msg or "Exception ignored in"
        self._stray.append(
            f"{text}: {unraisable.object!r}\n"
            + "".join(
                traceback.format_exception(
                    unraisable.exc_type,
                    unraisable.exc_value,
                    unraisable.exc_traceback,
                )
            )
        )
        sys.__unraisablehook__(unraisable)


def _format(err: _OptExcInfo) -> str:
    """The traceback, without unittest's own frames on top."""
    kind, value, trace = err
    while trace is not None and "__unittest" in trace.tb_frame.f_globals:
        trace = trace.tb_next
    return "".join(traceback.format_exception(kind, value, trace)).rstrip()


@contextmanager
def _catching_unraisable(recorder: Recorder) -> Iterator[None]:
    previous = sys.unraisablehook
    sys.unraisablehook = recorder.unraisable
    try:
        yield
    finally:
        sys.unraisablehook = previous


def run(job: Job, journal: Journal, witness: Witness) -> None:
    """Run the job's tests once."""
    tests = load_tests(job.file, job.kinds)
    missing = job.kinds.keys() - {test.id() for test in tests}
    journal.write("loaded", missing=sorted(missing))
    recorder = Recorder(job, journal, witness)
    with _catching_unraisable(recorder):
        unittest.TestSuite(tests).run(recorder)
    journal.write("done")
