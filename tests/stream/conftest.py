"""Fixtures of the tests of the streams."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from sides import loop, new_loop, side  # noqa: E402, F401
