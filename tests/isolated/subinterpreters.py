"""The extension in several interpreters of one process.

Each interpreter imports it anew, runs a loop and goes away; the main one
works before, between and after.
"""

import asyncio
import sys
import textwrap

from measure import MEASURE_ASYNCIO, finish, new_loop

CODE = textwrap.dedent(f"""
    import sys
    sys.path[:] = {sys.path!r}
    import asyncio
    {"" if MEASURE_ASYNCIO else "import fastasync"}

    async def work():
        await asyncio.sleep(0)
        task = asyncio.create_task(asyncio.sleep(0.0001, 42))
        return await task

    loop = {"asyncio.SelectorEventLoop()" if MEASURE_ASYNCIO
            else "fastasync.new_event_loop()"}
    assert loop.run_until_complete(work()) == 42
    loop.close()
    del loop
""")


def run_modern():
    """3.14 and newer."""
    from concurrent import interpreters
    interpreter = interpreters.create()
    try:
        interpreter.exec(CODE)
    finally:
        interpreter.close()


def run_313():
    import _interpreters
    number = _interpreters.create("isolated")
    try:
        error = _interpreters.exec(number, CODE)
        assert error is None, error
    finally:
        _interpreters.destroy(number)


def run_old():
    """3.11 and 3.12; 3.11 shares one GIL between all interpreters."""
    import _xxsubinterpreters
    number = _xxsubinterpreters.create()
    try:
        _xxsubinterpreters.run_string(number, CODE)
    finally:
        _xxsubinterpreters.destroy(number)


if sys.version_info >= (3, 14):
    run = run_modern
elif sys.version_info >= (3, 13):
    run = run_313
else:
    run = run_old


async def work():
    await asyncio.sleep(0)
    return await asyncio.create_task(asyncio.sleep(0.0001, 42))


loop = new_loop()
for _ in range(3):
    assert loop.run_until_complete(work()) == 42
    run()
assert loop.run_until_complete(work()) == 42
loop.close()
finish()
