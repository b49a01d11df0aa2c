"""A dask.distributed cluster, all of its loops fastasync's.

    python dask_cluster.py

The scheduler lives in this process; each of the two workers is a process that
dask spawns, and so is on fastasync because the environment says so. The result is
compared with what asyncio's loops compute.
"""

import asyncio
import os
import sys
from typing import Any

import distributed

dask: Any = distributed  # which has few types of its own


def square(number: int) -> int:
    return number * number


async def loop_name(dask_scheduler: Any = None) -> str:
    cls = type(asyncio.get_running_loop())
    return f"{cls.__module__}.{cls.__name__}"


def compute() -> tuple[int, dict[str, str]]:
    """Return the sum, and the names of all loops that took part."""
    with (
        dask.LocalCluster(n_workers=2, threads_per_worker=1,
                          dashboard_address=None) as cluster,
        dask.Client(cluster) as client,
    ):
        loops = {
            "scheduler": client.run_on_scheduler(loop_name),
            **client.run(loop_name),
            **{f"nanny of {worker}": name for worker, name in
               client.run(loop_name, nanny=True).items()},
        }
        partial = client.map(square, range(1000))
        total = client.submit(sum, partial).result(timeout=60)
    return total, loops


if __name__ == "__main__":
    expected, before = compute()
    os.environ["FASTASYNC_INSTALL"] = "1"  # for the workers
    import fastasync

    fastasync.install()  # for this process
    total, after = compute()
    for place, name in after.items():
        print(f"{place}: {name}")
    print(f"asyncio's loops: {expected}, fastasync's: {total}")
    if total != expected or {*after.values()} != {"fastasync.Loop"}:
        sys.exit("the results differ, or a loop was not fastasync's")
