"""The ways to switch, again and again: run, Runner, install, the policy."""

import sys

import asyncio

from measure import check, finish, namespace, watch

side = namespace()
watch(side.Task)
watch(side.Future)


async def main():
    await asyncio.sleep(0)
    return asyncio.get_running_loop()


def ran():
    side.run(main())
    side.run(main(), debug=True)


def refused():
    for wrong in (None, 3, main):
        try:
            side.run(wrong)
        except (TypeError, ValueError):
            pass


def runner_used():
    with side.Runner() as runner:
        runner.run(main())
        runner.run(main())


def listed():
    async def count():
        task = asyncio.create_task(main())
        assert len(asyncio.all_tasks()) == 2
        await task

    side.run(count())


def installed():
    side.install()
    side.install()
    asyncio.run(main())
    asyncio.new_event_loop().close()
    side.uninstall()


def uninstalled():
    side.install()
    side.uninstall()
    asyncio.run(main())


actions = [ran, refused, runner_used, listed]
if sys.argv[1:] != ["asyncio"]:
    actions += [installed, uninstalled]
for action in actions:
    check(action, 60)
finish()
