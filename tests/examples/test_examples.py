"""The programs under examples/, each run as its docstring says.

Those that need a package which is not installed are skipped with its name;
`pip install 'fastasync[examples]'` brings them all.
"""

import importlib.util
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
PLENTY = 60  # seconds; nothing here takes long, machines do


def needs(*packages):
    missing = [p for p in packages if importlib.util.find_spec(p) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"needs {', '.join(missing)}"
    )


def environment(**variables):
    return {**os.environ, "PYTHONUNBUFFERED": "1", **variables}


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


def get(port, path):
    """The page, as soon as there is a server."""
    end = time.monotonic() + PLENTY
    while True:
        try:
            url = f"http://127.0.0.1:{port}{path}"
            with urllib.request.urlopen(url, timeout=PLENTY) as response:
                return response.read().decode()
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def stop(process):
    """End the server and everything that it has started."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


UVICORN = "uvicorn_app:app"
AIOHTTP = "aiohttp_app:make_app()"
SWITCH = {"FASTASYNC_INSTALL": "1"}
installed = importlib.util.find_spec("_fastasync")
# the switch is a file in site-packages: a build that was only put on the path
# has none
switchable = pytest.mark.skipif(
    installed is None
    or not (pathlib.Path(installed.origin).parent / "fastasync.pth").exists(),
    reason="fastasync is not installed, only importable",
)

SERVERS = {
    "uvicorn_app.py": (["uvicorn_app.py", "{port}"], {}, [needs("uvicorn")]),
    "uvicorn": (
        ["-m", "uvicorn", UVICORN, "--loop", "fastasync:new_event_loop",
         "--port", "{port}"], {}, [needs("uvicorn")]),
    "uvicorn, 2 workers": (
        ["-m", "uvicorn", UVICORN, "--loop", "fastasync:new_event_loop",
         "--port", "{port}", "--workers", "2"], {}, [needs("uvicorn")]),
    "gunicorn, uvicorn": (
        ["-m", "gunicorn", "-k", "fastasync.gunicorn.UvicornWorker", "-w", "2",
         "-b", "127.0.0.1:{port}", UVICORN], {},
        [needs("gunicorn", "uvicorn", "uvicorn_worker")]),
    "gunicorn, its own": (
        ["-m", "gunicorn", "-k", "fastasync.gunicorn.AsgiWorker", "-w", "2",
         "-b", "127.0.0.1:{port}", UVICORN], {}, [needs("gunicorn")]),
    "gunicorn, aiohttp": (
        ["-m", "gunicorn", "-k", "fastasync.gunicorn.AiohttpWorker", "-w", "2",
         "-b", "127.0.0.1:{port}", AIOHTTP], {}, [needs("gunicorn", "aiohttp")]),
    "hypercorn_app.py": (
        ["hypercorn_app.py", "{port}"], {}, [needs("hypercorn")]),
    "hypercorn": (
        ["-m", "hypercorn", "-k", "asyncio", "-b", "127.0.0.1:{port}", UVICORN],
        SWITCH, [needs("hypercorn"), switchable]),
    "granian": (
        ["-m", "granian", "--interface", "asgi", "--loop", "asyncio",
         "--port", "{port}", UVICORN], SWITCH, [needs("granian"), switchable]),
    "aiohttp_app.py": (["aiohttp_app.py", "{port}"], {}, [needs("aiohttp")]),
    "tornado_app.py": (["tornado_app.py", "{port}"], {}, [needs("tornado")]),
}


@pytest.mark.parametrize(
    ("command", "variables"),
    [
        pytest.param(command, variables, marks=marks, id=name)
        for name, (command, variables, marks) in SERVERS.items()
    ],
)
def test_a_server(command, variables, port, tmp_path):
    arguments = [word.format(port=port) for word in command]
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=EXAMPLES, stdout=log,
            stderr=subprocess.STDOUT, env=environment(**variables),
            start_new_session=True,
        )
        try:
            assert get(port, "/loop") == "fastasync.Loop\n"
            assert get(port, "/").startswith("Hello from ")
            assert process.poll() is None
        finally:
            stop(process)
    text = (tmp_path / "log").read_text()
    assert "Traceback" not in text, text


def run(*arguments, **variables):
    done = subprocess.run(
        [sys.executable, *arguments], cwd=EXAMPLES, capture_output=True,
        text=True, timeout=4 * PLENTY, env=environment(**variables),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs("anyio")
def test_anyio_program():
    assert run("anyio_program.py") == "10 on fastasync.Loop, in time\n"


@needs("distributed")
@switchable
def test_dask_cluster():
    *loops, result = run("dask_cluster.py").splitlines()
    assert len(loops) == 5
    assert {line.rpartition(": ")[2] for line in loops} == {"fastasync.Loop"}
    assert result == "asyncio's loops: 332833500, fastasync's: 332833500"


@needs("pytest_asyncio", "anyio")
def test_pytest_asyncio_and_anyio():
    run("-m", "pytest", "-q", "-p", "no:cacheprovider", "testing")


def test_unittest():
    run("-m", "unittest", "testing/test_unittest.py")


# -- notebooks ------------------------------------------------------------------


@needs("ipykernel", "jupyter_client")
def test_jupyter_kernel(tmp_path):
    shown = run("jupyter_kernel.py", IPYTHONDIR=str(tmp_path))
    assert shown.splitlines() == [
        "<class 'fastasync.Loop'>", "42", "[42, 42]", "42", "True"]


@needs("IPython")
def test_ipython_session(tmp_path):
    shown = run("-m", "IPython", "--ext", "fastasync", "ipython_session.ipy",
                IPYTHONDIR=str(tmp_path))
    assert shown.splitlines() == [
        "<class 'fastasync.Loop'>", "[42, 42]", "42", "42"]


@needs("ipykernel")
def test_the_kernel_is_that_of_the_documentation():
    spec = (EXAMPLES / "kernels" / "fastasync" / "kernel.json").read_text()
    page = EXAMPLES.parent / "docs" / "nested.md"
    if page.exists():
        assert f"```json\n{spec}```" in page.read_text()


# -- the pytest plugin ------------------------------------------------------------

SUITE = '''
import asyncio, unittest

class Test(unittest.IsolatedAsyncioTestCase):
    async def test_loop(self):
        loop = type(asyncio.get_running_loop())
        assert loop.__module__.partition(".")[0] == "{module}"
'''


@pytest.mark.parametrize("loop", ["asyncio", "fastasync"])
def test_the_option_of_the_plugin(tmp_path, loop):
    (tmp_path / "test_it.py").write_text(SUITE.format(module=loop))
    plugin = ["-p", "fastasync.pytest"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider",
         f"--loop={loop}", str(tmp_path)],
        capture_output=True, text=True, timeout=PLENTY, cwd=tmp_path,
        env=environment(PYTEST_ADDOPTS=""),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("event loop: fastasync.Loop" in done.stdout) == (loop == "fastasync")


@switchable
@pytest.mark.parametrize(
    ("value", "module"),
    [("1", "fastasync"), ("0", "asyncio"), ("", "asyncio")],
)
def test_the_switch_for_processes(value, module):
    program = ("import asyncio; loop = asyncio.new_event_loop(); loop.close();"
               "print(type(loop).__module__.partition('.')[0])")
    assert run("-c", program, FASTASYNC_INSTALL=value) == module + "\n"


def test_without_the_switch_nothing_is_imported():
    program = "import sys; print('fastasync' in sys.modules)"
    variables = environment()
    variables.pop("FASTASYNC_INSTALL", None)
    done = subprocess.run([sys.executable, "-c", program], text=True,
                          capture_output=True, env=variables, check=True)
    assert done.stdout == "False\n"


# -- gunicorn's workers -------------------------------------------------------------


def test_workers_are_made_when_asked_for():
    from fastasync import gunicorn

    with pytest.raises(AttributeError, match="has no attribute 'Sanic'"):
        gunicorn.Sanic  # noqa: B018
    if importlib.util.find_spec("gunicorn"):
        assert gunicorn.AsgiWorker is gunicorn.AsgiWorker
        assert gunicorn.AsgiWorker.__module__ == "fastasync.gunicorn"
