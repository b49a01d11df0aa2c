"""Fixtures of the loop's tests: a side, and loops that get closed."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from sides import loop, new_loop, side  # noqa: E402, F401
