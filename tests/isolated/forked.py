"""fork() with loops around: the child's copy harms nobody."""

import asyncio
import os
import signal
import warnings

from measure import finish, new_loop

warnings.simplefilter("ignore")


async def work():
    await asyncio.sleep(0.001)
    return 42


def in_child(function):
    """Run *function* in a forked child; its exit status must be 0."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    return pid


def wait(pid):
    _, status = os.waitpid(pid, 0)
    assert status == 0, status


def new_loop_in_the_child():
    loop = new_loop()
    loop.run_until_complete(work())

    def child():
        other = new_loop()
        assert other.run_until_complete(work()) == 42
        other.close()

    wait(in_child(child))
    assert loop.run_until_complete(work()) == 42
    loop.close()


def fork_inside_a_task():
    """In the child there is no running loop; a new one can be run."""
    def child():
        assert asyncio._get_running_loop() is None
        other = new_loop()
        assert other.run_until_complete(work()) == 42
        other.close()

    async def main():
        pid = in_child(child)
        await asyncio.sleep(0.01)
        wait(pid)
        return await work()

    loop = new_loop()
    assert loop.run_until_complete(main()) == 42
    loop.close()


def wakeups_stay_in_the_parent():
    """A child that closes its copy does not wake or deafen the parent."""
    loop = new_loop()
    loop.run_until_complete(work())
    read, write = os.pipe()
    seen = []
    loop.add_reader(read, lambda: (seen.append(os.read(read, 10)),
                                   loop.stop()))

    def child():
        os.write(write, b"from the child")

    pid = in_child(child)
    loop.run_forever()
    wait(pid)
    assert b"".join(seen).startswith(b"from the c")
    loop.remove_reader(read)
    os.close(read)
    os.close(write)
    loop.close()


def signals_in_the_parent_only():
    loop = new_loop()
    seen = []
    loop.add_signal_handler(signal.SIGUSR1,
                            lambda: (seen.append(1), loop.stop()))

    def child():
        os.kill(os.getppid(), signal.SIGUSR1)

    pid = in_child(child)
    loop.run_forever()
    wait(pid)
    loop.remove_signal_handler(signal.SIGUSR1)
    loop.close()
    assert seen == [1]


for function in (new_loop_in_the_child, fork_inside_a_task,
                 wakeups_stay_in_the_parent, signals_in_the_parent_only):
    for _ in range(3):
        function()
finish()
