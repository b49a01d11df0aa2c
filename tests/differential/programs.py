"""A small language of programs for tasks, and who runs them.

A program is plain data, so that it can be generated, printed and made
smaller: scripts (lists of operations, one script per task), a schedule
(what happens between two turns of the loop, or last in one, and is done by
no task), and the sizes of things. An operation is a tuple, its name first:

    ("acquire", "lock", 0, how)         how: in which way it is awaited
    ("holding", "semaphore", 1, [...])  async with, around a script
    ("gather", True, [[...], [...]])    scripts as children

OPERATIONS and AT_ONCE name them all. Each operation is noted with how it
ended. Ordinary exceptions end the operation only; cancellation and Boom
go through to whoever stops them.
"""

from typing import NamedTuple

from world import journal, look_future, tell


class Program(NamedTuple):
    scripts: tuple = ()
    schedule: tuple = ()  # of (turn, last in it?, operation of AT_ONCE)
    sizes: tuple = ()  # of ((kind, number), size)
    eager: bool = False


class Boom(Exception):
    """The exception that programs raise on purpose."""


# -- what can be done without waiting, by tasks and between turns -------------

def cancel(world, number, *message):
    return world.nth_task(number).cancel(*message)


def uncancel(world, number):
    return world.nth_task(number).uncancel()


def release(world, kind, number):
    return world.thing(kind, number).release()


def set_event(world, number):
    return world.thing("event", number).set()


def clear(world, number):
    return world.thing("event", number).clear()


def notify(world, number, n):
    condition = world.thing("condition", number)
    return condition.notify_all() if n is None else condition.notify(n)


def put_nowait(world, kind, number, value):
    item = value * 1000 + world.number()
    world.thing(kind, number).put_nowait(item)
    return item


def get_nowait(world, kind, number):
    return world.thing(kind, number).get_nowait()


def task_done(world, kind, number):
    return world.thing(kind, number).task_done()


def shutdown(world, kind, number, immediate):
    return world.thing(kind, number).shutdown(immediate)  # 3.13+


def set_future(world, number, what):
    future = world.thing("future", number)
    if what == "cancel":
        return future.cancel()
    if what == "fail":
        future.set_exception(Boom("future", number))
        return None
    return future.set_result(what)


AT_ONCE = {
    "cancel": cancel, "uncancel": uncancel, "release": release,
    "set": set_event, "clear": clear, "notify": notify,
    "put_nowait": put_nowait, "get_nowait": get_nowait,
    "task_done": task_done, "shutdown": shutdown, "set_future": set_future,
}


# -- ways to await something --------------------------------------------------

class ByHand:
    """Awaits by send() and throw(), as other frameworks drive coroutines."""

    def __init__(self, coroutine):
        self.coroutine = coroutine

    def __await__(self):
        step, value = self.coroutine.send, None
        while True:
            try:
                yielded = step(value)
            except StopIteration as stop:
                return stop.value
            try:
                value = yield yielded
                step = self.coroutine.send
            except BaseException as error:
                step, value = self.coroutine.throw, error


class Inside:
    """Awaits by `yield from` of the iterator."""

    def __init__(self, coroutine):
        self.coroutine = coroutine

    def __await__(self):
        return (yield from self.coroutine.__await__())


async def wait_in_way(world, me, make, how):
    """Await what *make()* returns, in the way *how* says."""
    ns = world.ns
    way, turns = how
    if way == "plain":
        return await make()
    if way == "late":
        coroutine = make()
        await ns.sleep(0)
        return await coroutine
    if way == "never":
        make().close()
        return None
    if way == "by_hand":
        return await ByHand(make())
    if way == "inside":
        return await Inside(make())
    if way == "task":
        return await world.spawn(f"{me}/{world.number()}", make())
    if way == "wait_for":
        return await ns.wait_for(make(), world.delay(turns))
    if way == "timeout":
        async with ns.timeout(world.delay(turns)):
            return await make()
    if way == "shield":
        return await ns.shield(make())
    assert way == "gather"
    return await ns.gather(make(), make(), return_exceptions=True)


# -- operations that may wait -------------------------------------------------

async def op_sleep(world, me, turns, how):
    value = world.number()
    return await wait_in_way(
        world, me, lambda: world.ns.sleep(world.delay(turns), value), how)


async def op_acquire(world, me, kind, number, how):
    return await wait_in_way(
        world, me, world.thing(kind, number).acquire, how)


async def op_wait_event(world, me, number, how):
    return await wait_in_way(world, me, world.thing("event", number).wait,
                             how)


async def op_wait_condition(world, me, number, how):
    return await wait_in_way(world, me,
                             world.thing("condition", number).wait, how)


async def op_wait_predicate(world, me, number, times, how):
    """wait_for() of a condition, true at the call number *times*."""
    calls = []

    def predicate():
        calls.append(None)
        if len(calls) > 6:
            raise Boom("predicate")
        return len(calls) >= times and ("true", len(calls))

    condition = world.thing("condition", number)
    return await wait_in_way(
        world, me, lambda: condition.wait_for(predicate), how)


async def op_wait_barrier(world, me, number, how):
    return await wait_in_way(world, me, world.thing("barrier", number).wait,
                             how)


async def op_end_barrier(world, me, number, abort):
    barrier = world.thing("barrier", number)
    return await (barrier.abort() if abort else barrier.reset())


async def op_put(world, me, kind, number, value, how):
    queue = world.thing(kind, number)

    def put():
        return queue.put(value * 1000 + world.number())
    return await wait_in_way(world, me, put, how)


async def op_get(world, me, kind, number, how):
    return await wait_in_way(world, me, world.thing(kind, number).get, how)


async def op_join_queue(world, me, kind, number, how):
    return await wait_in_way(world, me, world.thing(kind, number).join, how)


async def op_wait_future(world, me, number, how):
    future = world.thing("future", number)
    if how[0] in ("wait_for", "timeout", "shield"):
        return await wait_in_way(world, me, lambda: future, how)
    return await future


async def op_join_task(world, me, number, how):
    """Await one of the first tasks, of a lower number than our own root:
    tasks that wait for each other in a circle cannot be cancelled."""
    root = int(me[1:].partition("/")[0])
    if root == 0:
        return "nobody"
    task = world.tasks[f"t{number % root}"]
    if how[0] in ("wait_for", "timeout", "shield"):
        return await wait_in_way(world, me, lambda: task, how)
    return await task


def show(result):
    """A result as plain data: exceptions compare by identity."""
    if isinstance(result, BaseException):
        return tell(result)
    if isinstance(result, list):
        return [show(each) for each in result]
    return result


async def op_raise(world, me, number):
    raise Boom(number)


async def op_cancel_self(world, me):
    return world.ns.current_task().cancel(me)


# -- operations with scripts inside -------------------------------------------

async def op_holding(world, me, kind, number, script):
    async with world.thing(kind, number) as got:
        world.note(me, "entered", got)
        await run_script(world, me, script)


async def op_in_barrier(world, me, number, script):
    async with world.thing("barrier", number) as index:
        world.note(me, "entered", index)
        await run_script(world, me, script)


async def op_try(world, me, forgives, script):
    """Stops everything, cancellation too; forgives it or not."""
    try:
        await run_script(world, me, script)
    except BaseException as error:
        if isinstance(error, GeneratorExit):
            raise
        if forgives:
            world.note(me, "uncancel", world.ns.current_task().uncancel())
        return tell(error)


async def op_finally(world, me, script, last):
    try:
        await run_script(world, me, script)
    finally:
        await run_script(world, me, last)


async def op_timeout(world, me, turns, again, script):
    """timeout(); with *again*, rescheduled inside."""
    manager = world.ns.timeout(world.delay(turns))
    world.note(me, "made", repr(manager), manager.when())
    try:
        async with manager:
            world.note(me, "entered", repr(manager), manager.expired())
            if again != "no":
                when = world.delay(again)
                manager.reschedule(when and when + world.now)
                world.note(me, "again", repr(manager), manager.when())
            await run_script(world, me, script)
    finally:
        world.note(me, "left", repr(manager), manager.expired())


async def op_wait_for(world, me, turns, script):
    label = f"{me}/{world.number()}"
    return await world.ns.wait_for(start(world, label, script),
                                   world.delay(turns))


def children(world, me, scripts, spawned=True):
    number = world.number()
    for index, script in enumerate(scripts):
        label = f"{me}/{number}.{index}"
        coroutine = start(world, label, script)
        yield world.spawn(label, coroutine) if spawned else coroutine


async def op_spawn(world, me, script):
    list(children(world, me, [script]))


async def op_gather(world, me, exceptions, spawned, scripts):
    return await world.ns.gather(*children(world, me, scripts, spawned),
                                 return_exceptions=exceptions)


async def op_shield(world, me, spawned, script):
    child, = children(world, me, [script], spawned)
    return await world.ns.shield(child)


async def op_wait(world, me, when, turns, scripts):
    tasks = list(children(world, me, scripts))
    done, pending = await world.ns.wait(
        tasks, timeout=world.delay(turns, timer=True),
        return_when=getattr(world.ns, when))
    return [("done", look_future(task)) if task in done else
            ("pending", task in pending) for task in tasks]


def unfinished(world, me, scripts):
    """Children that are not done yet, be they eager: as_completed() looks
    at its tasks in the order of a set, which shows if some are done."""
    pause = ("sleep", 0, ("plain", 0))
    return list(children(world, me, [(pause, *each) for each in scripts]))


async def op_as_completed(world, me, turns, scripts):
    tasks = unfinished(world, me, scripts)
    for number, each in enumerate(
            world.ns.as_completed(tasks, timeout=world.delay(turns, True))):
        try:
            result = await each
        except (Boom, TimeoutError) as error:
            result = tell(error)
        world.note(me, "completed", number, result)


async def op_async_as_completed(world, me, turns, scripts):
    """`async for`, which yields the tasks themselves; 3.13+."""
    tasks = unfinished(world, me, scripts)
    async for each in world.ns.as_completed(
            tasks, timeout=world.delay(turns, timer=True)):
        world.note(me, "completed", tasks.index(each), look_future(each))


async def op_group(world, me, scripts, script):
    async with world.ns.TaskGroup() as group:
        number = world.number()
        for index, each in enumerate(scripts):
            label = f"{me}/{number}.{index}"
            world.tasks[label] = group.create_task(
                start(world, label, each), name=label)
        await run_script(world, me, script)
    return "closed"


OPERATIONS = {name[3:]: function for name, function in globals().items()
              if name.startswith("op_")}


# -- running ------------------------------------------------------------------

async def run_script(world, me, script):
    for operation in script:
        name, *args = operation
        if world.ns.current_task() is not world.tasks[me]:
            world.note(me, "lost", "current_task")
        try:
            if name in AT_ONCE:
                result = AT_ONCE[name](world, *args)
            else:
                result = await OPERATIONS[name](world, me, *args)
        except Exception as error:
            world.note(me, name, tell(error))
            if isinstance(error, Boom):
                raise
        except BaseException as error:
            world.note(me, name, tell(error))
            raise
        else:
            world.note(me, name, show(result))


async def start(world, label, script):
    world.enter(label)
    world.note(label, "starts")
    await run_script(world, label, script)
    world.note(label, "ends")
    return label


def now(world, operation):
    """An operation of the schedule, which runs in no task."""
    name, *args = operation
    try:
        result = AT_ONCE[name](world, *args)
    except Exception as error:
        result = tell(error)
    world.note("schedule", name, result)


def play(world, program):
    if program.eager:
        world.loop.set_task_factory(world.ns.eager_task_factory)
        # A task that starts at once wants a running loop.
        world.loop.call_soon(begin, world, program.scripts)
        world.turn()
    else:
        begin(world, program.scripts)

    def schedule(turn):
        return [(last, lambda operation=operation: now(world, operation))
                for at, last, operation in program.schedule if at == turn]

    world.turns(schedule=schedule)
    world.end()


def begin(world, scripts):
    for index, script in enumerate(scripts):
        label = f"t{index}"
        world.spawn(label, start(world, label, script))


def run(side, program):
    """The journal of *program* on *side*."""
    return journal(side, program.sizes, lambda world: play(world, program))
