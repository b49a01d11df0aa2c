"""Tests of anyio's pytest plugin on fastasync: one fixture names the loop."""

import asyncio
from typing import Any

import anyio
import pytest

import fastasync


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": fastasync.new_event_loop}


@pytest.mark.anyio
async def test_the_loop_is_fastasyncs() -> None:
    assert type(asyncio.get_running_loop()).__module__ == "fastasync"


@pytest.mark.anyio
async def test_a_stream() -> None:
    send, receive = anyio.create_memory_object_stream[str](1)
    async with send, receive:
        await send.send("hello")
        with anyio.fail_after(5):
            assert await receive.receive() == "hello"
