"""%load_ext fastasync: a real ipykernel driven by jupyter_client, and IPython.

The kernels run in processes of their own; one of each kind serves all tests.
"""

import json
import os
import subprocess
import sys
import threading

import pytest

# The imports are in a function, since importing changes the event loop policy
# on some versions, and only these tests are to have it.
NEEDED = ("ipykernel", "jupyter_client")

# What stands in a kernel.json, before the interpreter and the connection file.
LAUNCH = {
    "ours": ["-m", "fastasync", "-m", "ipykernel_launcher", "--ext", "fastasync"],
    "ext": ["-m", "ipykernel_launcher", "--ext", "fastasync"],
    "stock": ["-m", "ipykernel_launcher"],
}

SETUP = """
import asyncio, fastasync
async def main(value=42):
    me = asyncio.current_task()
    await asyncio.sleep(0.001)
    assert asyncio.current_task() is me
    return value
async def kind():
    return type(asyncio.get_running_loop()).__module__
async def deep(n):
    return n if n == 0 else asyncio.run(deep(n - 1)) + 1
async def slow():
    try:
        print("ready", flush=True)
        await asyncio.sleep(20)
    finally:
        print("unwound", flush=True)
"""


class Kernel:
    def __init__(self, launch, folder):
        from jupyter_client import KernelManager
        from jupyter_client.kernelspec import KernelSpecManager

        spec = folder / "kernels" / "tested" / "kernel.json"
        spec.parent.mkdir(parents=True)
        spec.write_text(json.dumps({
            "argv": [sys.executable, *launch, "-f", "{connection_file}"],
            "display_name": "tested", "language": "python",
        }))
        specs = KernelSpecManager(kernel_dirs=[str(spec.parents[1])])
        self.manager = KernelManager(kernel_name="tested",
                                     kernel_spec_manager=specs)
        self.manager.start_kernel(stderr=subprocess.DEVNULL)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, code, interrupt=False):
        """Execute a cell; return what it printed, showed, or raised."""
        output = []

        def hook(message):
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                output.append(content["text"])
                if interrupt and "ready" in content["text"]:
                    timer = threading.Timer(0.2, self.manager.interrupt_kernel)
                    timer.start()
            elif kind == "execute_result":
                output.append(content["data"]["text/plain"])
            elif kind == "error":
                output.append(f"{content['ename']}: {content['evalue']}")

        self.client.execute_interactive(
            code, output_hook=hook, timeout=60, allow_stdin=False)
        return "".join(output)


def make_kernel(kind, tmp_path_factory):
    for name in NEEDED:
        pytest.importorskip(name, reason=f"{name} is not installed")
    kernel = Kernel(LAUNCH[kind], tmp_path_factory.mktemp(kind))
    if kind == "stock":
        assert kernel.run("%load_ext fastasync") == ""
    kernel.run(SETUP)
    return kernel


@pytest.fixture(scope="module", params=LAUNCH)
def kernel(request, tmp_path_factory):
    made = make_kernel(request.param, tmp_path_factory)
    made.kind = request.param
    yield made
    made.close()


pytestmark = pytest.mark.keeps(
    "fds", reason="the client of a kernel lives as long as the module's tests")


def test_the_loop(kernel):
    expected = "asyncio" if kernel.kind == "stock" else "fastasync"
    assert expected in kernel.run("await kind()")
    assert kernel.run("asyncio.run(kind())") == "'fastasync'"
    assert kernel.run("fastasync.run(kind())") == "'fastasync'"


def test_asyncio_run_in_a_cell(kernel):
    assert kernel.run("asyncio.run(main())") == "42"
    assert kernel.run("asyncio.run(main(1), debug=True)") == "1"
    assert kernel.run("with asyncio.Runner() as r: print(r.run(main(2)))") == "2\n"
    assert kernel.run("asyncio.run(deep(5))") == "5"


def test_await_in_a_cell(kernel):
    assert kernel.run("await main()") == "42"
    assert kernel.run("await deep(5)") == "5"
    assert kernel.run("await asyncio.create_task(deep(2))") == "2"
    assert kernel.run("asyncio.run(main()), await main(), asyncio.run(main())"
                      ) == "(42, 42, 42)"


def test_exceptions(kernel):
    code = "async def bad(): 1/0\nasyncio.run(bad())"
    assert kernel.run(code) == "ZeroDivisionError: division by zero"
    assert kernel.run("await bad()") == "ZeroDivisionError: division by zero"
    assert kernel.run("asyncio.run(main())") == "42"


def test_interrupt(kernel):
    output = kernel.run("asyncio.run(slow())", interrupt=True)
    assert output.startswith("ready\nunwound\n") and "KeyboardInterrupt" in output
    if kernel.kind != "stock":  # where it takes until the loop wakes up
        output = kernel.run("await slow()", interrupt=True)
        assert output.startswith("ready\nunwound\n")
    output = kernel.run("asyncio.run(asyncio.wait_for(slow(), 20))", interrupt=True)
    assert output.startswith("ready\nunwound\n") and "KeyboardInterrupt" in output
    assert kernel.run("asyncio.run(main())") == "42"


def test_run_until_complete(kernel):
    code = "asyncio.get_event_loop().run_until_complete(main())"
    if kernel.kind == "stock":  # that loop is asyncio's
        assert "already running" in kernel.run(code)
        code = ("own = fastasync.new_event_loop()\n"
                "try: print(own.run_until_complete(main()))\n"
                "finally: own.close()")
        assert kernel.run(code) == "42\n"
        return
    assert kernel.run(code) == "42"
    assert "KeyboardInterrupt" in kernel.run(
        "task = asyncio.ensure_future(slow())\n"
        "asyncio.get_event_loop().run_until_complete(task)", interrupt=True)
    assert kernel.run("task.cancel()\nawait asyncio.wait([task])\n"
                      "task.cancelled()") == "True"


def test_background_tasks(kernel):
    kernel.run("async def count():\n"
               "    global n\n"
               "    n = 0\n"
               "    while True:\n"
               "        n += 1\n"
               "        await asyncio.sleep(0)\n"
               "counter = asyncio.ensure_future(count())\n"
               "await asyncio.sleep(0)")
    moved = kernel.run(
        "before = n\nasyncio.run(asyncio.sleep(0.05))\nn > before")
    # a stock loop cannot go on while another one runs in its thread
    assert moved == str(kernel.kind != "stock")
    assert kernel.run("before = n\nawait asyncio.sleep(0.01)\nn > before") == "True"
    assert kernel.run("counter.cancel()") == "True"


def test_context_variables(kernel):
    kernel.run("import contextvars\n"
               "var = contextvars.ContextVar('var', default=0)\n"
               "async def get(): return var.get()")
    assert kernel.run("token = var.set(1)\nasyncio.run(get()), var.get()") == "(1, 1)"


def test_widgets_and_comms_get_their_messages(kernel):
    """Other requests are answered after a cell that ran a loop."""
    kernel.run("asyncio.run(asyncio.sleep(0.01))")
    reply = kernel.client.complete("asyncio.Ta", reply=True, timeout=60)
    assert "Task" in "".join(reply["content"]["matches"])


@pytest.mark.parametrize("package", ["nest_asyncio", "nest_asyncio2"])
def test_nest_asyncio(tmp_path_factory, package):
    """A kernel that is ours, without the extension."""
    pytest.importorskip(package, reason=f"{package} is not installed")
    for name in NEEDED:
        pytest.importorskip(name, reason=f"{name} is not installed")
    kernel = Kernel(LAUNCH["ours"][:4], tmp_path_factory.mktemp(package))
    try:
        kernel.run(SETUP)
        assert "cannot be called" in kernel.run("asyncio.run(main())")
        assert kernel.run(f"import {package}\n{package}.apply()") == ""
        assert kernel.run("asyncio.run(main())") == "42"
        assert kernel.run(
            "asyncio.get_event_loop().run_until_complete(main())") == "42"
        assert kernel.run("await deep(3)") == "3"
        assert kernel.run("type(asyncio.current_task()).__module__"
                          ) == "'_fastasync'"
    finally:
        kernel.close()


def test_unload(tmp_path_factory):
    kernel = make_kernel("stock", tmp_path_factory)
    try:
        assert kernel.run("asyncio.run(main())") == "42"
        assert kernel.run("%unload_ext fastasync") == ""
        assert "cannot be called" in kernel.run("asyncio.run(main())")
        assert kernel.run("%load_ext fastasync\nasyncio.run(main())") == "42"
    finally:
        kernel.close()


# --- IPython in a terminal ------------------------------------------------------------

TERMINAL = """
%load_ext fastasync
import asyncio
async def kind(): return type(asyncio.get_running_loop()).__module__

print("run:", asyncio.run(kind()))
print("await:", await kind())
async def outer(): return asyncio.run(kind())

print("inside:", await outer(), asyncio.run(outer()))
%unload_ext fastasync
print("unloaded:", asyncio.run(kind()))
try: print(await outer())
except RuntimeError as error: print("refused:", error)

"""


def test_terminal(tmp_path):
    pytest.importorskip("IPython", reason="IPython is not installed")
    run = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner",
         "--colors=NoColor", "--no-confirm-exit"],
        input=TERMINAL, capture_output=True, text=True, timeout=120,
        env={**os.environ, "IPYTHONDIR": str(tmp_path)})
    for line in ("run: fastasync", "await: fastasync",
                 "inside: fastasync fastasync", "unloaded: asyncio.unix_events",
                 "refused: asyncio.run() cannot be called"):
        assert line in run.stdout, run.stdout + run.stderr


def test_the_extension_alone():
    """Load, load again, unload: what is left is as before."""
    import asyncio

    import fastasync

    before = asyncio.run, asyncio.Task
    for _ in range(2):
        fastasync.load_ipython_extension(None)
        fastasync.load_ipython_extension(None)
        assert asyncio.Task is fastasync.Task
        fastasync.unload_ipython_extension(None)
        assert (asyncio.run, asyncio.Task) == before
    fastasync.install()
    try:
        fastasync.load_ipython_extension(None)
        fastasync.unload_ipython_extension(None)
        assert asyncio.Task is fastasync.Task  # not the extension's to undo
    finally:
        fastasync.uninstall()
