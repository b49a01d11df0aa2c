"""Starting programs where the kernel is not as we like it."""

import pathlib
import platform
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).with_name("refused_calls.py")
SAID = r"""b'started\n' 3
b'/\n' -9
FileNotFoundError /nowhere
FileNotFoundError /nowhere
b'0 1 2 3 40\n' 0
True
no children
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of calls")
@pytest.mark.parametrize("what", ["clone", "pidfd"])
def test_refused_calls(what):
    """A forked child does it, and a thread that waits for it."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), what], capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=60)
    if done.stdout == "no seccomp\n":
        pytest.skip("no seccomp here")
    assert (done.stdout, done.stderr) == (SAID, "")
