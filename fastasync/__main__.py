"""python -m fastasync: run a program, unchanged, with asyncio on fastasync.

The program sees what it would see under ``python`` itself: sys.argv,
sys.path[0], a ``__main__`` module of its own, exit codes, tracebacks. The last
takes some care, since our frames and runpy's stand below the program's: an
exception is left to Python, which knows about exit codes, interrupts and
``-i``; only the hook that prints it is wrapped, at that moment, by one that
drops the frames below the program's first.
"""

import io
import linecache
import os
import pkgutil
import platform
import runpy
import sys
import textwrap
from importlib.machinery import (
    BuiltinImporter,
    SourceFileLoader,
    SourcelessFileLoader,
)
from types import CodeType, ModuleType, TracebackType
from typing import Any, NoReturn

import fastasync

USAGE = """\
usage: python -m fastasync program.py [arguments]
       python -m fastasync -m module [arguments]
       python -m fastasync -c code [arguments]
       python -m fastasync - [arguments]
       python -m fastasync

Run a Python program with asyncio on fastasync's event loop. The program needs
no change: fastasync.install() is called before it starts. Without arguments,
an interactive console in which 'await' may be used directly.

  -m module   run a library module (or package) as the program
  -c code     run the code given as a string
  -           run the program read from standard input
  -h, --help  show this text
  --version   show the versions of fastasync and Python
"""

SEE_HELP = "(python -m fastasync --help shows the command line)"


def refuse(sentence: str) -> NoReturn:
    """Leave with exit code 2, as Python does for a wrong command line."""
    print(sentence, file=sys.stderr)
    raise SystemExit(2)


def new_main_module(loader: Any = None) -> dict[str, Any]:
    """Put an empty ``__main__`` into sys.modules and return its namespace."""
    module = ModuleType("__main__")
    namespace = vars(module)
    namespace["__loader__"] = loader
    namespace["__builtins__"] = sys.modules["builtins"]
    if sys.version_info < (3, 14):
        namespace["__annotations__"] = {}
    sys.modules["__main__"] = module
    return namespace


def set_first_path(entry: str) -> None:
    """Replace what 'python -m' put in front of sys.path (not under -P)."""
    if not sys.flags.safe_path:
        sys.path[0] = entry


def read_program(location: str) -> CodeType | bytes:
    """Read a program: the code of a .pyc file, the source of any other."""
    try:
        with io.open_code(location) as file:
            code: CodeType | None = pkgutil.read_code(file)
            if code is not None:
                return code
            file.seek(0)
            return file.read()
    except OSError as error:
        refuse(
            f"{sys.executable}: can't open file {location!r}: "
            f"[Errno {error.errno}] {error.strerror}"
        )


def run_file(path: str) -> None:
    """Run a source file, a .pyc file, or a folder or zip with __main__."""
    location = os.path.abspath(path)
    if pkgutil.get_importer(path) is not None:
        if sys.flags.safe_path:
            sys.path.insert(0, location)
        set_first_path(location)
        run_module("__main__", alter_argv=False)
        return
    program = read_program(location)
    set_first_path(os.path.dirname(os.path.realpath(location)))
    compiled = isinstance(program, CodeType)
    loader = SourcelessFileLoader if compiled else SourceFileLoader
    namespace = new_main_module(loader("__main__", location))
    namespace["__file__"] = location
    if sys.version_info < (3, 15):
        namespace["__cached__"] = None
    if not isinstance(program, CodeType):
        program = compile(program, location, "exec", dont_inherit=True)
    exec(program, namespace)


def run_module(name: str, alter_argv: bool = True) -> None:
    """Run a module as 'python -m' does, by the very function it uses."""
    new_main_module()
    runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined]


def run_string(source: str, filename: str) -> None:
    """Run the source text of -c or of standard input."""
    set_first_path("")
    namespace = new_main_module(BuiltinImporter)
    if sys.version_info >= (3, 13) and filename == "<string>":
        # So that a traceback shows the lines of -c, as Python's does.
        lines = source.splitlines(keepends=True)
        linecache.cache[filename] = (len(source), None, lines, filename)
    exec(compile(source, filename, "exec", dont_inherit=True), namespace)


def run_command(arguments: list[str]) -> None:
    """Act on the command line (without the program's name)."""
    first, *rest = arguments
    if len(first) > 2 and first[:2] in ("-m", "-c"):  # in one word, as in Python
        first, rest = first[:2], [first[2:], *rest]
    if first in ("-h", "--help"):
        print(USAGE, end="")
    elif first in ("-V", "--version"):
        name, version = platform.python_implementation(), sys.version.split()[0]
        print(f"fastasync {fastasync.__version__} ({name} {version})")
    elif first in ("-m", "-c"):
        if not rest:
            refuse(f"the option {first} needs an argument {SEE_HELP}")
        sys.argv[:] = [first, *rest[1:]]
        if first == "-m":
            run_module(rest[0])
        elif sys.version_info >= (3, 14):
            run_string(textwrap.dedent(rest[0]), "<string>")
        else:
            run_string(rest[0], "<string>")
    elif first == "-":
        sys.argv[:] = arguments
        run_string(sys.stdin.read(), "<stdin>")
    elif first.startswith("-"):
        refuse(f"unknown option {first} {SEE_HELP}")
    else:
        sys.argv[:] = arguments
        run_file(first)


def without_own_frames(trace: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback that lies above this module."""
    kept = trace
    while trace is not None:
        if trace.tb_frame.f_globals is globals():
            kept = trace.tb_next
        trace = trace.tb_next
    return kept


def hide_own_frames() -> None:
    """Wrap the hook that prints an uncaught exception, now that one is."""
    hook = sys.excepthook

    def excepthook(kind: Any, error: Any, trace: Any) -> None:
        kept = without_own_frames(trace)
        hook(kind, error.with_traceback(kept), kept)

    sys.excepthook = excepthook


def main() -> None:
    fastasync.install()
    if len(sys.argv) == 1:
        from ._repl import run_console

        raise SystemExit(run_console(new_main_module(BuiltinImporter)))
    try:
        run_command(sys.argv[1:])
    except SystemExit:
        raise
    except BaseException:
        hide_own_frames()
        raise


if __name__ == "__main__":
    main()
