"""Tests of pytest-asyncio on fastasync: see conftest.py."""

import asyncio

import pytest


@pytest.mark.asyncio
async def test_the_loop_is_fastasyncs() -> None:
    assert type(asyncio.get_running_loop()).__module__ == "fastasync"


@pytest.mark.asyncio
async def test_a_queue() -> None:
    queue: asyncio.Queue[str] = asyncio.Queue()
    async with asyncio.timeout(5):
        task = asyncio.create_task(queue.get())
        await queue.put("hello")
        assert await task == "hello"
