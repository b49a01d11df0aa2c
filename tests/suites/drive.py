"""The child: put fastasync in charge, run a suite's tests, write what happened.

    python drive.py MODE RESULTS pytest   ARGUMENTS...
    python drive.py MODE RESULTS unittest MODULE ARGUMENTS...

It is run by the interpreter of the suite's environment, in the suite's folder.
MODE is one of MODES, and is in force before anything of the suite or of pytest
is imported. RESULTS gets a line of JSON as soon as there is something to say,
so that it holds what is known when the process dies: {"start": test}, then
{"test", "status", "text", "loops"} and, if all goes well, {"end": status} last.

Tests prove what they ran on: "loops" counts the loops made since the last line
("ours" of fastasync, "other" of asyncio) and those of ours that came to run
a callback ("ran"). They are counted in __init__; nothing else is touched.
"""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import json
import os
import runpy
import signal
import sys
import unittest
import warnings
from asyncio import base_events
from collections.abc import Callable
from typing import Any, TextIO

MODES = ("asyncio", "policy", "install")
SEVERITY = ("passed", "skipped", "xfailed", "xpassed", "failed", "error")
TEXT_LIMIT = 20_000


def switch(mode: str) -> None:
    """Put asyncio's loop, or ours, in charge of this process."""
    if importlib.util.find_spec("uvloop") is not None:
        sys.exit("drive.py: uvloop is installed here, and might be chosen")
    if mode == "asyncio":
        return
    import fastasync

    if mode == "install":
        # fastasync.pth reads it: Pythons that tests start are ours as well
        os.environ["FASTASYNC_INSTALL"] = "1"
        fastasync.install()
        return
    with warnings.catch_warnings():  # policies are deprecated since 3.14
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.set_event_loop_policy(fastasync.EventLoopPolicy())


class Witness:
    """Counts the loops that are made, and of ours those that run."""

    def __init__(self, mode: str) -> None:
        self.ours = self.ran = self.other = 0
        self._hook(base_events.BaseEventLoop, self._made_other)
        if mode != "asyncio":
            import fastasync

            self._hook(fastasync.Loop, self._made_ours)

    def _hook(self, loop_class: Any, made: Callable[[Any], None]) -> None:
        real_init = loop_class.__init__

        @functools.wraps(real_init)
        def init(loop: Any, *args: Any, **kwargs: Any) -> None:
            real_init(loop, *args, **kwargs)
            made(loop)

        loop_class.__init__ = init

    def _made_other(self, loop: Any) -> None:
        self.other += 1

    def _made_ours(self, loop: Any) -> None:
        self.ours += 1
        loop.call_soon(self._running)

    def _running(self) -> None:
        self.ran += 1

    def take(self) -> dict[str, int]:
        """Return the counts since the last call."""
        counts = {"ours": self.ours, "ran": self.ran, "other": self.other}
        self.ours = self.ran = self.other = 0
        return counts


class Results:
    """Writes the lines; a test's worst news is its status."""

    def __init__(self, file: TextIO, witness: Witness) -> None:
        self._file = file
        self._witness = witness
        self._test: str | None = None
        self._news: list[tuple[str, str]] = []

    def start(self, test: str) -> None:
        """A test starts."""
        self._test = test
        self._news = []
        self._witness.take()
        self._write({"start": test})

    def news(self, test: str, status: str, text: str = "") -> None:
        """Something happened to a test, perhaps outside of any."""
        if test == self._test:
            self._news.append((status, text))
        else:
            self._result(test, [(status, text)])

    def stop(self, test: str) -> None:
        """The test is over."""
        self._result(test, self._news or [("passed", "")])
        self._test = None

    def end(self, status: Any) -> None:
        """All tests are over."""
        self._write({"end": status})

    def _result(self, test: str, news: list[tuple[str, str]]) -> None:
        worst = max(news, key=lambda entry: SEVERITY.index(entry[0]))[0]
        text = "\n".join(text for status, text in news if status == worst)
        self._write(
            {
                "test": test,
                "status": worst,
                "text": text[-TEXT_LIMIT:],
                "loops": self._witness.take(),
            }
        )

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


# -- pytest -----------------------------------------------------------------


class PytestReporter:
    """A plugin of the outer pytest; those that tests start do not see it."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            name = f"collection of {report.nodeid}"
            self._results.news(name, "error", report.longreprtext)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._results.start(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        status = report.outcome
        if hasattr(report, "wasxfail"):
            status = "xfailed" if report.skipped else "xpassed"
        elif report.failed and report.when != "call":
            status = "error"
        if status != "passed":
            self._results.news(report.nodeid, status, report.longreprtext)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._results.stop(nodeid)


def run_pytest(arguments: list[str], results: Results) -> Any:
    """Run pytest in this process; returns its exit status."""
    import pytest

    sys.argv[:] = ["pytest", *arguments]
    return int(pytest.main(arguments, plugins=[PytestReporter(results)]))


# -- unittest ---------------------------------------------------------------


def report_unittest(results: Results) -> None:
    """Let unittest's text results, whoever derives from them, tell us."""
    cls: Any = unittest.TextTestResult

    def after(name: str, tell: Callable[..., None]) -> None:
        real = getattr(cls, name)

        @functools.wraps(real)
        def method(self: Any, test: Any, *args: Any) -> None:
            real(self, test, *args)
            tell(self, test, *args)

        setattr(cls, name, method)

    def bad(status: str) -> Callable[..., None]:
        def tell(self: Any, test: Any, error: Any = None) -> None:
            text = self._exc_info_to_string(error, test) if error else ""
            results.news(test.id(), status, text)

        return tell

    def sub_test(self: Any, test: Any, subtest: Any, error: Any) -> None:
        if error is not None:
            text = self._exc_info_to_string(error, test)
            results.news(test.id(), "failed", f"{subtest}\n{text}")

    after("startTest", lambda self, test: results.start(test.id()))
    after("stopTest", lambda self, test: results.stop(test.id()))
    after("addError", bad("error"))
    after("addFailure", bad("failed"))
    after("addUnexpectedSuccess", bad("xpassed"))
    after("addExpectedFailure", bad("xfailed"))
    after("addSubTest", sub_test)
    after(
        "addSkip",
        lambda self, test, why: results.news(test.id(), "skipped", why),
    )


def run_unittest(arguments: list[str], results: Results) -> Any:
    """Run a module that calls unittest.main(); returns its exit status."""
    report_unittest(results)
    sys.argv[:] = arguments
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as leaving:
        code = leaving.code
        return int(code) if isinstance(code, (int, bool)) else int(bool(code))
    return 0


def hear_interrupts() -> None:
    """Take SIGINT again, which whoever starts us in the background ignores.

    A shell does so with `&`, and nohup; tests of Ctrl-C could not pass.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> int:
    hear_interrupts()
    mode, path, framework, *arguments = sys.argv[1:]
    sys.path[0] = ""  # as python -m has it, not this file's folder
    switch(mode)
    run = {"pytest": run_pytest, "unittest": run_unittest}[framework]
    with open(path, "w", encoding="utf-8") as file:
        results = Results(file, Witness(mode))
        status = run(arguments, results)
        results.end(status)
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
