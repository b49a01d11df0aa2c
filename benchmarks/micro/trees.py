"""The async_tree shapes of pyperformance: 6 levels of 6 branches, 55,987 coroutines.

Four leaves (nothing; a sleep of 50 ms; nine in ten from a cache and the rest
sleeping; half computing a factorial and half sleeping), each by gather, by gather
under the eager task factory, and by TaskGroup.  Per coroutine, CPU time: a sleep
costs its timer and its wake-ups, not its length.
"""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable

from micro.base import Batched, Micro, register

BRANCHES = 6
NODES = {sum(BRANCHES**level for level in range(depth + 1)): depth for depth in (4, 6)}
QUICK, FULL = sorted(NODES)
IO_SECONDS = 0.05

Leaf = Callable[[], Awaitable[None]]
Grow = Callable[[int, Leaf], Awaitable[None]]


def leaf_none() -> Leaf:
    async def leaf() -> None:
        pass

    return leaf


def leaf_io() -> Leaf:
    async def leaf() -> None:
        await asyncio.sleep(IO_SECONDS)

    return leaf


def leaf_memo() -> Leaf:
    rng = random.Random(0)
    cache: dict[int, bool] = {}

    async def leaf() -> None:
        key = rng.randint(1, 100)
        if key <= 90:
            if cache.get(key):
                return
            cache[key] = True
        await asyncio.sleep(IO_SECONDS)

    return leaf


def leaf_mixed() -> Leaf:
    rng = random.Random(0)

    async def leaf() -> None:
        if rng.random() < 0.5:
            math.factorial(500)
        else:
            await asyncio.sleep(IO_SECONDS)

    return leaf


async def grow_gather(level: int, leaf: Leaf) -> None:
    if level == 0:
        await leaf()
        return
    await asyncio.gather(*[grow_gather(level - 1, leaf) for _ in range(BRANCHES)])


async def grow_group(level: int, leaf: Leaf) -> None:
    if level == 0:
        await leaf()
        return
    async with asyncio.TaskGroup() as group:
        for _ in range(BRANCHES):
            group.create_task(grow_group(level - 1, leaf))


def plain(grow: Grow, make_leaf: Callable[[], Leaf]) -> Batched:
    async def run(n: int, chunk: int) -> None:
        for _ in range(n):
            await grow(NODES[chunk], make_leaf())

    return run


def eager(grow: Grow, make_leaf: Callable[[], Leaf]) -> Batched:
    run_plain = plain(grow, make_leaf)

    async def run(n: int, chunk: int) -> None:
        loop = asyncio.get_running_loop()
        # asyncio has it since 3.12, as `since` says
        loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009
        try:
            await run_plain(n, chunk)
        finally:
            loop.set_task_factory(None)

    return run


def add(name: str, doc: str, run: Batched, since: tuple[int, int]) -> None:
    register(Micro(name, doc, run, FULL, QUICK, "cpu", since, False))


LEAVES: tuple[tuple[str, Callable[[], Leaf]], ...] = (
    ("none", leaf_none),
    ("io", leaf_io),
    ("memo", leaf_memo),
    ("mixed", leaf_mixed),
)

for suffix, leaf in LEAVES:
    text = f"async_tree, leaf {suffix}"
    # tree_none .. tree_mixed, eager_tree .. eager_tree_mixed, tg_tree ..
    tail = "" if suffix == "none" else f"_{suffix}"
    add(f"tree_{suffix}", f"{text}, by gather", plain(grow_gather, leaf), (3, 11))
    add(f"eager_tree{tail}", f"{text}, eager", eager(grow_gather, leaf), (3, 12))
    add(f"tg_tree{tail}", f"{text}, by TaskGroup", plain(grow_group, leaf), (3, 11))
