"""Micro rows: one operation of asyncio's API each, in ns per operation.

Importing this package fills `base.REGISTRY`; cell.py runs one entry of it.
"""

from micro import files, sched, sync, system, tasks, trees  # noqa: F401  (register rows)
from micro.base import REGISTRY, Micro

__all__ = ["REGISTRY", "Micro"]
