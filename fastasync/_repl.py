"""The interactive console of 'python -m fastasync'.

Two threads, as in asyncio's own console: the loop runs in the main thread, so
that tasks go on while the prompt waits; the console reads lines in a second
thread and sends each statement to the loop. A statement with 'await' at its
top level is a coroutine and becomes a task; Ctrl-C cancels that task.
"""

import ast
import asyncio
import code
import concurrent.futures
import contextvars
import inspect
import os
import sys
import threading
import tokenize
import warnings
from types import CodeType, FunctionType
from typing import Any

import fastasync

from ._run import Runner


class Console(code.InteractiveConsole):
    """A console whose statements run on a loop in another thread."""

    def __init__(
        self, namespace: dict[str, Any], loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(namespace, filename="<stdin>")
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self.loop = loop
        self.context = contextvars.copy_context()
        self.task: asyncio.Task[Any] | None = None
        self.interrupted = False
        self.exit_code: Any = 0

    def runcode(self, code: CodeType) -> None:
        """Run a statement on the loop; wait for it in the console thread."""
        outcome: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self.interrupted = False
        self.loop.call_soon_threadsafe(
            self.start, code, outcome, context=self.context
        )
        error = outcome.exception()
        if isinstance(error, SystemExit):
            raise error
        if self.interrupted:
            self.write("\nKeyboardInterrupt\n")
        elif error is not None:
            self.show_error(error)

    def show_error(self, error: BaseException) -> None:
        """Print a traceback that begins with the statement itself."""
        trace = error.__traceback__
        while trace and trace.tb_frame.f_globals is not self.locals:
            trace = trace.tb_next
        try:
            raise error.with_traceback(trace)
        except BaseException:
            self.showtraceback()  # which leaves out this frame

    def start(
        self, code: CodeType, outcome: "concurrent.futures.Future[Any]"
    ) -> None:
        """In the loop's thread: begin a statement, finish it if it can."""
        try:
            result = FunctionType(code, self.locals)()
            if not inspect.iscoroutine(result):
                outcome.set_result(result)
                return
            self.task = self.loop.create_task(result, context=self.context)
        except BaseException as error:
            self.interrupted = isinstance(error, KeyboardInterrupt)
            outcome.set_exception(error)
            return
        self.task.add_done_callback(lambda task: self.finish(task, outcome))

    def finish(
        self,
        task: "asyncio.Task[Any]",
        outcome: "concurrent.futures.Future[Any]",
    ) -> None:
        self.task = None
        try:
            outcome.set_result(task.result())
        except BaseException as error:
            outcome.set_exception(error)

    def interrupt(self) -> None:
        """Ctrl-C reached the loop: cancel the statement that is running."""
        if self.task is not None:
            self.interrupted = True
            self.task.cancel()

    def converse(self, banner: str) -> None:
        """Read and run statements until end of input: the second thread."""
        try:
            self.write(banner)
            self.run_startup_file()
            prompt = getattr(sys, "ps1", ">>> ")
            self.write(f"{prompt}import asyncio\n")
            self.interact(banner="", exitmsg="exiting fastasync REPL...")
        except SystemExit as leave:
            self.exit_code = leave.code
        finally:
            warnings.filterwarnings(
                "ignore",
                message=r"^coroutine .* was never awaited$",
                category=RuntimeWarning,
            )
            self.loop.call_soon_threadsafe(self.loop.stop)

    def run_startup_file(self) -> None:
        path = os.environ.get("PYTHONSTARTUP")
        if not path or sys.flags.ignore_environment:
            return
        try:
            with tokenize.open(path) as file:
                source = file.read()
            exec(compile(source, path, "exec"), self.locals)
        except Exception:
            self.showtraceback()


def enable_completion(namespace: dict[str, Any]) -> None:
    """Let the tab key complete names of the console's namespace."""
    try:
        import readline
        import rlcompleter
    except ImportError:
        return
    hook = getattr(sys, "__interactivehook__", None)
    if hook is not None:
        hook()
    readline.set_completer(rlcompleter.Completer(namespace).complete)


def run_console(namespace: dict[str, Any]) -> Any:
    """Run the console until it ends; return the exit code."""
    namespace.update(asyncio=asyncio, fastasync=fastasync)
    banner = "" if sys.flags.quiet else (
        f"fastasync {fastasync.__version__} REPL, "
        f"Python {sys.version} on {sys.platform}\n"
        'Use "await" directly instead of "asyncio.run()".\n'
        'Type "help", "copyright", "credits" or "license" '
        "for more information.\n"
    )
    enable_completion(namespace)
    with Runner() as runner:
        loop = runner.get_loop()
        console = Console(namespace, loop)
        threading.Thread(
            target=console.converse,
            args=(banner,),
            name="Interactive thread",
            daemon=True,
        ).start()
        while True:
            try:
                loop.run_forever()
            except KeyboardInterrupt:
                console.interrupt()
            else:
                return console.exit_code
