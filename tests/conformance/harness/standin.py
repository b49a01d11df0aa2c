"""A stand-in for fastasync: asyncio's own loop under another name.

With ``--implementation asyncio`` this module takes fastasync's place. Every
target must then pass in every mode, which proves the runner: that its patches
put the replacement where the tests look for a loop, and that its counting
finds it there. A failure with the stand-in is a fault of the runner (or of the
machine), never of fastasync.
"""

from __future__ import annotations

import asyncio
from asyncio import unix_events
from selectors import BaseSelector
from unittest import mock


class Loop(asyncio.SelectorEventLoop):
    """asyncio's loop, a class of its own so that its use can be counted.

    test_runners and test_pep492 put a mock in the place of its selector, which
    a bare BaseEventLoop does not mind. This loop must have its own selector
    back to close.
    """

    _selector: BaseSelector | None

    def __init__(self, selector: BaseSelector | None = None) -> None:
        super().__init__(selector)
        self._own_selector = self._selector

    def close(self) -> None:
        """Close the loop with the selector it opened."""
        if isinstance(self._selector, mock.Mock):
            self._selector = self._own_selector
        super().close()


class EventLoopPolicy(unix_events._UnixDefaultEventLoopPolicy):
    """The default policy making stand-in loops."""

    _loop_factory = Loop


def new_event_loop() -> Loop:
    """Make a stand-in loop."""
    return Loop()
