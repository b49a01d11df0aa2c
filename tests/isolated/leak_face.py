"""run, Runner, install and the policy leave nothing."""

import asyncio

import fastasync


async def main():
    return asyncio.get_running_loop()


def scenario():
    fastasync.run(main())
    with fastasync.Runner() as runner:
        runner.run(main())
        runner.run(main())
    fastasync.install()
    fastasync.install()
    asyncio.run(main())
    asyncio.new_event_loop().close()
    fastasync.uninstall()
    asyncio.run(main())
    asyncio.run(main(), **(
        {"loop_factory": fastasync.new_event_loop}
        if hasattr(asyncio, "eager_task_factory")  # 3.12: asyncio.run takes it
        else {}
    ))
