"""How a micro row is declared.

A row is an async function that performs `n` operations inside a running loop.
A batched row performs `n` batches of `chunk` operations; the count of operations
is n * chunk.  The caller (cell.py) chooses n, holds the clocks and divides.

The clock of a row is "cpu" (CPU time of the whole process, all its threads, which
a busy neighbour on the machine cannot stretch) wherever the row is pure work of
this process, and "wall" where the answer comes from another thread or process.
Both are recorded; the clock only decides which one the table shows.
"""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

Clock = Literal["cpu", "wall"]
Single = Callable[[int], Awaitable[None]]
Batched = Callable[[int, int], Awaitable[None]]


@dataclass(frozen=True)
class Micro:
    name: str
    doc: str
    run: Batched
    chunk: int
    quick_chunk: int
    clock: Clock
    since: tuple[int, int]  # first Python version that has the API
    entry: bool  # the operation is run_until_complete(run(1, 1)) itself

    @property
    def available(self) -> bool:
        return sys.version_info[:2] >= self.since


REGISTRY: dict[str, Micro] = {}


def register(micro: Micro) -> None:
    if micro.name in REGISTRY:
        raise ValueError(f"two rows named {micro.name}")
    REGISTRY[micro.name] = micro


def single(
    *, clock: Clock = "cpu", since: tuple[int, int] = (3, 11), entry: bool = False
) -> Callable[[Single], Single]:
    """Register a row of n single operations."""

    def decorate(fn: Single) -> Single:
        def run(n: int, _chunk: int) -> Awaitable[None]:
            return fn(n)

        name, doc = fn.__name__, fn.__doc__ or ""
        register(Micro(name, doc, run, 1, 1, clock, since, entry))
        return fn

    return decorate


def batched(
    chunk: int,
    *,
    quick: int | None = None,
    clock: Clock = "cpu",
    since: tuple[int, int] = (3, 11),
) -> Callable[[Batched], Batched]:
    """Register a row of n batches of `chunk` operations (`quick` under --quick)."""

    def decorate(fn: Batched) -> Batched:
        name, doc = fn.__name__, fn.__doc__ or ""
        small = chunk if quick is None else quick
        register(Micro(name, doc, fn, chunk, small, clock, since, False))
        return fn

    return decorate


async def nop() -> None:
    """The empty coroutine."""


def empty() -> None:
    """The empty callback."""
