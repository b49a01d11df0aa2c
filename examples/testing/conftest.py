"""pytest-asyncio (1.4 and newer) asks this hook which loops to use.

Nothing else is needed. `pytest --loop=fastasync` does it without a conftest, for
anyio and unittest too.
"""

from collections.abc import Callable, Mapping

import pytest

import fastasync


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], fastasync.Loop]]:
    return {"fastasync": fastasync.new_event_loop}
