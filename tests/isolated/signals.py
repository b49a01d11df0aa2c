"""Signal handlers: added, replaced, run, left at close."""

import os
import signal

from measure import check, finish, new_loop, watch

argument = watch(type("Argument", (), {})())
loop = new_loop()


def callback(*args):
    pass


watch(callback)


def turn():
    loop.call_later(0.0005, loop.stop)
    loop.run_forever()


def added_and_removed():
    for _ in range(5):
        loop.add_signal_handler(signal.SIGUSR1, callback, argument)
        loop.add_signal_handler(signal.SIGUSR2, callback, argument)
        loop.remove_signal_handler(signal.SIGUSR1)
        loop.remove_signal_handler(signal.SIGUSR2)


def replaced():
    for _ in range(5):
        loop.add_signal_handler(signal.SIGUSR1, callback, argument)
    loop.remove_signal_handler(signal.SIGUSR1)


def raised():
    loop.add_signal_handler(signal.SIGUSR1, callback, argument)
    os.kill(os.getpid(), signal.SIGUSR1)
    turn()
    loop.remove_signal_handler(signal.SIGUSR1)


def refused():
    for number in (0, -1, 10000, "x", None, signal.SIGKILL):
        try:
            loop.add_signal_handler(number, callback, argument)
        except (TypeError, ValueError, RuntimeError):
            pass


def left_at_close():
    other = new_loop()
    other.add_signal_handler(signal.SIGUSR1, callback, argument)
    other.close()
    assert signal.set_wakeup_fd(-1) == -1


def interrupted():
    def leave(*args):
        raise KeyboardInterrupt

    loop.add_signal_handler(signal.SIGUSR1, leave)
    os.kill(os.getpid(), signal.SIGUSR1)
    try:
        turn()
        turn()
    except KeyboardInterrupt:
        pass
    loop.remove_signal_handler(signal.SIGUSR1)
    turn()


for action, repeats in ((added_and_removed, 50), (replaced, 50),
                        (raised, 30), (refused, 50), (left_at_close, 50),
                        (interrupted, 30)):
    check(action, repeats)
loop.close()
finish()
