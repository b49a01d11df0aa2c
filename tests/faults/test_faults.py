"""System calls fail, one after the other: see sweep.py.

By default each scene is run with a sample of the faults: each place in the code
that makes a system call fails in each way at least once.

    FASTASYNC_FAULTS=full pytest tests/faults     every call, also thrice in a row
"""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from . import layer, scenes

HERE = pathlib.Path(__file__).parent
FULL = os.environ.get("FASTASYNC_FAULTS") == "full"
MOST = 100  # faults per scene, about

# Its interceptors stand between us and libc, so that nobody seems to call.
SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "")

pytestmark = [
    pytest.mark.skipif(layer.compiler() is None, reason="no C compiler"),
    pytest.mark.skipif(SANITIZED, reason="AddressSanitizer hides the caller"),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return layer.build(str(tmp_path_factory.mktemp("faults")))


def sweep(library, scene, *options):
    """Run sweep.py. Return its output, and what it said last."""
    paths = [path for path in sys.path if path]
    env = {
        **os.environ,
        "LD_PRELOAD": library,
        "FAULTS_LIBRARY": library,
        "PYTHONPATH": os.pathsep.join(paths),
    }
    done = subprocess.run(
        [sys.executable, str(HERE / "sweep.py"), scene, *options],
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    last = done.stderr[-3000:]
    assert "summary:" in done.stdout, (
        f"it died ({done.returncode}) at: {last}\n{done.stdout}"
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("scene", [*scenes.SCENES, scenes.WHOLE_LIFE])
@pytest.mark.parametrize("repeat", [1, 3] if FULL else [1])
def test_every_call_may_fail(library, scene, repeat):
    most = 0 if FULL else MOST
    code, output = sweep(
        library, scene, "--most", str(most), "--repeat", str(repeat)
    )
    assert code == 0, output
    faults = int(re.search(r"(\d+) faults", output)[1])
    # the scenes that fastasync makes system calls of its own for
    assert faults > (0 if scene in scenes.BORROWED else 4), output


def test_nothing_grows(library):
    """The same fault again and again takes no memory."""
    code, output = sweep(
        library, "tcp_protocol", "--most", "0" if FULL else "30", "--leaks"
    )
    assert code == 0, output


def test_the_layer_itself(library):
    """A call that must fail, fails: the sweep would notice a deaf layer."""
    code, output = sweep(
        library, "tcp_protocol", "--only", "epoll_ctl #0 ", "--verbose"
    )
    assert code == 0, output
    assert re.search("ENOSPC: (OSError|torn)", output), output
