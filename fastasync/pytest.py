"""A plugin for pytest: run a test suite on fastasync.

    pytest --loop=fastasync

is `fastasync.install()` before the first test module is imported, whatever makes
the loops: pytest-asyncio, anyio, pytest-aiohttp, unittest or the tests
themselves. pip's entry point makes the option known; where plugins are not loaded
by themselves, `-p fastasync.pytest` does. A suite that always wants it says so in
its configuration: `addopts = "--loop=fastasync"`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("asyncio").addoption(
        "--loop",
        choices=("asyncio", "fastasync"),
        default="asyncio",
        help="the event loop that asyncio programs get (default: asyncio)",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--loop") == "fastasync":
        import fastasync

        fastasync.install()


def pytest_unconfigure(config: pytest.Config) -> None:
    if config.getoption("--loop") == "fastasync":
        import fastasync

        fastasync.uninstall()


def pytest_report_header(config: pytest.Config) -> str | None:
    if config.getoption("--loop") != "fastasync":
        return None
    import fastasync

    loop = asyncio.new_event_loop()
    name = f"{type(loop).__module__}.{type(loop).__qualname__}"
    loop.close()
    return f"event loop: {name} {fastasync.__version__}"
