"""unittest's IsolatedAsyncioTestCase on fastasync: one line, from 3.13 on.

    python -m unittest test_unittest.py

Before 3.13 there is no `loop_factory`: call fastasync.install() in setUpModule,
and uninstall() in tearDownModule.
"""

import asyncio
import sys
import unittest

import fastasync


def setUpModule() -> None:
    if sys.version_info < (3, 13):
        fastasync.install()


def tearDownModule() -> None:
    if sys.version_info < (3, 13):
        fastasync.uninstall()


class EventTest(unittest.IsolatedAsyncioTestCase):
    loop_factory = fastasync.Loop

    async def test_an_event(self) -> None:
        self.assertEqual(type(asyncio.get_running_loop()).__module__, "fastasync")
        event = asyncio.Event()
        task = asyncio.create_task(event.wait())
        event.set()
        self.assertTrue(await task)


if __name__ == "__main__":
    unittest.main()
