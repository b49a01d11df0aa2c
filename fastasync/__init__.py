"""fastasync: asyncio's event loop, Task, Future and transports, in C.

An unmodified asyncio program runs on it in any of these ways::

    fastasync.run(main())
    asyncio.run(main(), loop_factory=fastasync.new_event_loop)
    fastasync.install()                    # then asyncio.run(main()), as ever
    import fastasync as asyncio
    $ python -m fastasync program.py

This module is a shop window and nothing else: it picks names from its private
neighbours and from the C extension, and completes them with asyncio's own, so
that ``import fastasync as asyncio`` finds every name it expects. The names are
bound when this module is imported, because a lookup that falls through to a
module's ``__getattr__`` costs more than many an asyncio call; the rarer names
(deprecated ones, private ones) are looked up in asyncio when asked for.

PYTEST_DONT_REWRITE: pytest would rewrite the package of its plugin, and warns
that it cannot where fastasync was imported before it.
"""

from . import _fitness

_objection = _fitness.objection()
if _objection:  # named so, `python -m fastasync` prints the sentence and no more
    raise ImportError(_objection, name="fastasync")

import asyncio as _asyncio  # first: _asyncio must never be imported before it
import types as _types
from typing import Any

try:
    import _fastasync
    from _fastasync import LoopCore as _LoopCore  # a folder of that name has none
except ImportError as _error:
    raise ImportError(_fitness.missing_extension(_error), name="fastasync") from None

from . import _install, _registry, _run
from ._install import install, uninstall
from ._ipython import load_ipython_extension, unload_ipython_extension
from ._loop import Loop, new_event_loop
from ._nested import allow_nested
from ._run import Runner, run
from ._version import __version__

_registry.connect()


def _collect() -> dict[str, Any]:
    """Gather asyncio's public names: ours first, else asyncio's."""
    names: dict[str, Any] = {}
    public = {name for name in vars(_asyncio) if not name.startswith("_")}
    for name in public.union(_asyncio.__all__):
        value = getattr(_asyncio, name)
        if isinstance(value, _types.ModuleType):
            if value.__name__ == f"asyncio.{name}":  # not sys and the like
                names[name] = value
        else:
            names[name] = getattr(_fastasync, name, value)
    names.update(new_event_loop=new_event_loop, run=run, Runner=Runner)
    if "EventLoop" in names:  # asyncio's alias of the best loop, 3.13+
        names["EventLoop"] = Loop
    if "eager_task_factory" in names:
        names["eager_task_factory"] = _install.eager_task_factory
    if _run.get_event_loop is not None:
        names["get_event_loop"] = _run.get_event_loop
    return names


globals().update(_collect())

__all__ = sorted(
    {
        "Loop",
        "Runner",
        "allow_nested",
        "install",
        "new_event_loop",
        "run",
        "uninstall",
        *_asyncio.__all__,
        *(("EventLoopPolicy",) if _install.policies_exist() else ()),
    }
)


def __getattr__(name: str) -> Any:
    """Make EventLoopPolicy on demand; ask asyncio for any other name."""
    if name == "EventLoopPolicy":
        globals()[name] = policy = _install.policy_class()
        return policy
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(_asyncio, name)
    except AttributeError:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}"
        ) from None


def __dir__() -> list[str]:
    own = {name for name in globals() if not name.startswith("_")}
    return sorted(own.difference(["Any"]).union(__all__, ["__version__"]))
