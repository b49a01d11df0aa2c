"""Overridden methods and attributes set on loops keep nothing alive."""

import asyncio

from measure import check, finish, new_loop, watch

payload = watch(type("Payload", (), {})())
probe = new_loop()
probe.close()
Loop = type(probe)
del probe


class Sub(Loop):
    def __init__(self):
        super().__init__()
        self.payload = payload
        self.calls = []

    def call_soon(self, callback, *args, context=None):
        self.calls.append(callback)
        return super().call_soon(callback, *args, context=context)

    def call_at(self, *args, **kwargs):
        self.calls.append(args)
        return super().call_at(*args, **kwargs)

    def time(self):
        return super().time() + 1

    def create_task(self, coro, **kwargs):
        self.calls.append(coro)
        return super().create_task(coro, **kwargs)


async def work():
    await asyncio.sleep(0)
    await asyncio.sleep(1e-6)
    await asyncio.create_task(asyncio.sleep(0))
    return payload


def subclassed():
    loop = Sub()
    assert loop.run_until_complete(work()) is payload
    loop.close()


def not_closed():
    Sub().run_until_complete(work())


def on_the_instance():
    loop = new_loop()
    original = loop.call_soon

    def call_soon(*args, **kwargs):
        loop.payload = payload
        return original(*args, **kwargs)

    loop.call_soon = call_soon
    loop.run_until_complete(work())
    del loop.call_soon
    loop.run_until_complete(work())
    loop.close()


def refusing():
    class Refused(Exception):
        pass

    loop = new_loop()

    def call_soon(*args, **kwargs):
        raise Refused(payload)

    future = loop.create_future()
    future.add_done_callback(print)
    loop.call_soon = call_soon
    coro = work()
    for call in (lambda: future.set_result(payload),
                 lambda: loop.create_task(coro)):
        try:
            call()
        except Refused:
            pass
    coro.close()
    del loop.call_soon
    loop.close()


for action, repeats in ((subclassed, 40), (not_closed, 40),
                        (on_the_instance, 40), (refusing, 60)):
    check(action, repeats)
finish()
