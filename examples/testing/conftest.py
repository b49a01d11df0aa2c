"""pytest-asyncio (1.4 and newer) asks this hook which loops to use.

Nothing else is needed. `pytest --loop=fastasync` does it without a conftest, for
anyio and unittest too.
"""

import fastasync


def pytest_asyncio_loop_factories(config, item):
    return {"fastasync": fastasync.new_event_loop}
