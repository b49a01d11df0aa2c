"""The console of python -m fastasync, by what it prints to a pipe and a pty."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

COMMAND = [sys.executable, "-q", "-m", "fastasync"]


def converse(lines, **options):
    """Type lines; return the exit code and what was answered."""
    done = subprocess.run(
        options.pop("command", COMMAND),
        input="".join(line + "\n" for line in lines),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHON_COLORS": "0"} | options,
    )
    answer = re.sub(r"(>>> |\.\.\. )+", "", done.stdout)
    return done.returncode, answer.replace("import asyncio\n", "", 1)


def test_statements_and_expressions():
    code, answer = converse(["x = 20", "x + 1", "for i in 'ab':", "  i", ""])
    assert code == 0
    assert answer.startswith("21\n'a'\n'b'\n")


def test_await_at_the_top_level_runs_on_our_loop():
    _, answer = converse(
        [
            "await asyncio.sleep(0, 'slept')",
            "type(asyncio.get_running_loop())",
            "asyncio.current_task() is None",
            "async def f(): return type(asyncio.current_task())",
            "",
            "await f()",
        ]
    )
    assert answer.splitlines()[:4] == [
        "'slept'",
        "<class 'fastasync.Loop'>",
        "True",
        "<class '_fastasync.Task'>",
    ]


def test_tasks_go_on_between_statements():
    _, answer = converse(
        [
            "async def tick():",
            "  global n",
            "  for n in range(3): await asyncio.sleep(0.01)",
            "",
            "task = asyncio.create_task(tick())",
            "import time; time.sleep(0.02)",
            "await task",
            "n",
        ]
    )
    assert answer.splitlines()[0] == "2"


def test_context_variables_last():
    _, answer = converse(
        [
            "import contextvars; v = contextvars.ContextVar('v')",
            "token = v.set(1)",
            "v.get()",
            "await asyncio.sleep(0, v.get())",
        ]
    )
    assert answer.splitlines()[:2] == ["1", "1"]


def test_an_error_shows_the_users_frames_and_nothing_else():
    code, answer = converse(
        ["async def f(): 1/0", "", "await f()", "raise KeyError(1)", "x = = 1"]
    )
    assert code == 0
    assert "ZeroDivisionError: division by zero" in answer
    assert "KeyError: 1" in answer
    assert "SyntaxError" in answer
    files = set(re.findall(r'File "([^"]*)"', answer))
    assert all(re.fullmatch(r"<(stdin|python-input)[^>]*>", f) for f in files)


@pytest.mark.parametrize(
    "leave, expected",
    [("exit()", 0), ("exit(7)", 7), ("raise SystemExit(4)", 4)],
)
def test_exit_codes(leave, expected):
    code, answer = converse(["1 + 1", leave, "'never'"])
    assert code == expected
    assert answer.startswith("2\n")
    assert "never" not in answer


def test_exit_inside_a_coroutine():
    code, answer = converse(
        ["async def f(): exit(5)", "", "await f()", "'never'"]
    )
    assert code == 5
    assert "never" not in answer


def test_what_is_left_is_cancelled_at_the_end():
    _, answer = converse(
        [
            "async def f():",
            "  try: await asyncio.sleep(100)",
            "  finally: print('cleaned')",
            "",
            "task = asyncio.create_task(f())",
            "await asyncio.sleep(0)",
        ]
    )
    assert "cleaned" in answer


def test_the_banner_and_the_startup_file(tmp_path):
    startup = tmp_path / "startup.py"
    startup.write_text("started = 'by the file'\n")
    command = [sys.executable, "-m", "fastasync"]
    code, answer = converse(
        ["started"], command=command, PYTHONSTARTUP=str(startup)
    )
    assert code == 0
    assert answer.startswith("fastasync ")
    assert 'Use "await" directly' in answer
    assert "'by the file'" in answer


class Terminal:
    """Reads from a pty; what it has found once it does not find again."""

    def __init__(self, fd):
        self.fd = fd
        self.unread = b""

    def expect(self, text):
        while text not in self.unread:
            readable, _, _ = select.select([self.fd], [], [], 60)
            assert readable, f"{text!r} does not come, only {self.unread!r}"
            self.unread += os.read(self.fd, 1000)
        self.unread = self.unread.partition(text)[2]

    def type(self, line):
        os.write(self.fd, line + b"\n")


def test_ctrl_c_cancels_the_statement_and_not_the_console():
    child, fd = pty.fork()
    if child == 0:
        os.environ |= {"TERM": "dumb", "PYTHON_COLORS": "0"}
        os.execv(COMMAND[0], COMMAND)
    terminal = Terminal(fd)
    try:
        terminal.expect(b">>> import asyncio")
        terminal.expect(b">>> ")
        terminal.type(b"print('be' + 'gun'); await asyncio.sleep(100)")
        terminal.expect(b"begun")
        time.sleep(0.2)  # into the sleep
        os.kill(child, signal.SIGINT)
        terminal.expect(b"KeyboardInterrupt")
        terminal.type(b"'go' + 'es on'")
        terminal.expect(b"'goes on'")
        terminal.type(b"exit(3)")
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 3
    finally:
        os.close(fd)
