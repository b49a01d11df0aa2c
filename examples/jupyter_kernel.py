"""A Jupyter kernel on fastasync: cells that await, and asyncio.run() in a cell.

    python jupyter_kernel.py

The kernel is that of kernels/fastasync/kernel.json. To have it in notebooks:

    jupyter kernelspec install --user --name fastasync kernels/fastasync

This program does what a notebook does: it starts the kernel, sends it cells, and
prints what they show.
"""

import pathlib
from typing import Any

import jupyter_client
from jupyter_client.kernelspec import KernelSpecManager

jupyter: Any = jupyter_client  # whose types are not complete
KERNELS = pathlib.Path(__file__).resolve().parent / "kernels"

CELLS = [
    "import asyncio\n"
    "async def answer():\n"
    "    await asyncio.sleep(0.01)\n"
    "    return 42",
    "print(type(asyncio.get_running_loop()))",
    "await answer()",
    "await asyncio.gather(answer(), answer())",
    "background = asyncio.create_task(answer())",
    "asyncio.run(answer())  # nested in the kernel's own loop",
    "background.done()",
]


def show(message: dict[str, Any]) -> None:
    """Print what a cell has printed, returned or raised."""
    content = message["content"]
    if message["msg_type"] == "stream":
        print(content["text"], end="")
    elif message["msg_type"] == "execute_result":
        print(content["data"]["text/plain"])
    elif message["msg_type"] == "error":
        print(f"{content['ename']}: {content['evalue']}")


def main() -> None:
    manager = jupyter.KernelManager(
        kernel_name="fastasync",
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(KERNELS)]),
    )
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        for cell in CELLS:
            client.execute_interactive(
                cell, output_hook=show, timeout=60, allow_stdin=False)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


if __name__ == "__main__":
    main()
