"""The event loops under test: a name, how to get ready, and a factory.

Every loop is made by the entry its own documentation gives.  Nothing is imported
before a cell asks for it, so a loop that is not installed costs nothing and a
loop's import cannot disturb the others: each cell runs in its own process.
"""

import asyncio
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@dataclass(frozen=True)
class LoopSpec:
    """One column of the table.  `entry` is "module:callable", as uvicorn spells it."""

    name: str
    entry: str
    setup: str | None = None  # "module:callable", called once before the first loop

    @property
    def module(self) -> str:
        return self.entry.partition(":")[0]

    def installed(self) -> bool:
        return importlib.util.find_spec(self.module) is not None

    def version(self) -> str:
        """The distribution's version, or the interpreter's for asyncio itself."""
        if self.module == "asyncio":
            return "stdlib"
        try:
            return importlib.metadata.version(self.module)
        except importlib.metadata.PackageNotFoundError:
            return "?"

    def prepare(self) -> LoopFactory:
        """Import the loop, run its set-up and hand out the factory."""
        settle_allocator()
        if self.setup is not None:
            resolve(self.setup)()
        return resolve(self.entry)


def settle_allocator() -> None:
    """Bring malloc to the state it has in a program that has run for a while.

    glibc serves blocks over 128 KiB by mmap until one such block has been freed.
    asyncio's transports allocate 256 KiB per read and shrink it, which never counts
    as such a free: a young process pays mmap, mremap, munmap and page faults per
    message, a process that once freed a large block does not.  That is luck of the
    imports (aiohttp's suffice, uvicorn's do not) and no property of a loop, so every
    cell begins in the settled state, which is the one that flatters us least.
    """
    bytes(1 << 20)  # made and freed at once


def resolve(entry: str) -> Callable[[], asyncio.AbstractEventLoop]:
    module, _, attribute = entry.partition(":")
    found: Callable[[], asyncio.AbstractEventLoop] = getattr(
        importlib.import_module(module), attribute
    )
    return found


# "fastasync" is the loop under an unmodified program: asyncio's own sleep, locks and
# streams on our loop.  "fastasync-install" is the same program after
# fastasync.install(), which puts our objects behind asyncio's names as well.
LOOPS: dict[str, LoopSpec] = {
    spec.name: spec
    for spec in (
        LoopSpec("asyncio", "asyncio:SelectorEventLoop"),
        LoopSpec("uvloop", "uvloop:new_event_loop"),
        LoopSpec("zuvloop", "zuvloop:new_event_loop"),
        LoopSpec("rloop", "rloop:new_event_loop"),
        LoopSpec("rsloop", "rsloop:new_event_loop"),
        LoopSpec("fastasync", "fastasync:new_event_loop"),
        LoopSpec("fastasync-install", "fastasync:new_event_loop", "fastasync:install"),
    )
}

LIMIT = "limit"  # not a loop: the bare C program that does the same work
