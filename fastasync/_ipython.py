"""%load_ext fastasync: IPython and Jupyter, with asyncio.run() in cells.

Where no loop runs yet (IPython in a terminal; a kernel that loads the extension
when it starts) asyncio itself is put on fastasync, so that the loop the shell
makes is ours. Where one runs (a cell of a stock kernel), that loop cannot be
changed any more; then only runs are: asyncio.run() in a cell gets a loop of ours.
"""

import asyncio
from typing import Any

from . import _install
from ._nested import allow_nested

_installed_here = False


def load_ipython_extension(ipython: Any) -> None:
    """Do what IPython asks for in %load_ext fastasync."""
    global _installed_here
    if asyncio._get_running_loop() is None and not _install.is_installed():
        _install.install()
        _installed_here = True
    allow_nested()


def unload_ipython_extension(ipython: Any) -> None:
    """Undo load_ipython_extension()."""
    global _installed_here
    allow_nested(False)
    if _installed_here:
        _install.uninstall()
        _installed_here = False
