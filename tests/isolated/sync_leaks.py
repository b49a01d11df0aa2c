"""Locks, queues, functions and stream ends: used, cancelled, dropped.

Each action ends with everybody gone; what is watched must be where it was.
"""

import asyncio
import sys

from measure import check, finish, namespace, on_a_loop, watch

ns = namespace()
NEW = sys.version_info >= (3, 13)  # queues shut down, `async for` as_completed
item = watch(type("Item", (), {"__lt__": lambda a, b: False})())
error = watch(ValueError("watched"))
POINTS = 4  # turns after which a task is cancelled: 0 to this


async def turns(n):
    for _ in range(n):
        await ns.sleep(0)


async def ended(task):
    try:
        await task
    except (asyncio.CancelledError, Exception):
        pass


async def cancel_at_each_point(make):
    """Start what *make()* returns and cancel it, earlier and later."""
    for point in range(POINTS):
        task = ns.create_task(make())
        await turns(point)
        task.cancel(item)
        await ended(task)


async def with_all(*coroutines):
    tasks = [ns.create_task(each) for each in coroutines]
    for task in tasks:
        await ended(task)


def by_hand(coroutine):
    """Started, and left in the middle."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()


# -- locks ------------------------------------------------------------------------

async def using(thing):
    async with thing:
        await ns.sleep(0)


def holders(make):
    async def holders_():
        thing = make()
        await using(thing)
        await with_all(*[using(thing) for _ in range(5)])
        async with thing:
            await cancel_at_each_point(lambda: using(thing))
            by_hand(thing.acquire())
        task = ns.create_task(using(thing))
        await thing.acquire()
        await turns(2)
        thing.release()
        task.cancel()  # woken and cancelled in one turn
        await ended(task)
        thing.acquire().close()
    return holders_


async def events():
    event = ns.Event()
    await cancel_at_each_point(event.wait)
    by_hand(event.wait())
    tasks = [ns.create_task(event.wait()) for _ in range(5)]
    await turns(1)
    event.set()
    for task in tasks:
        await task
    await event.wait()
    event.clear()


async def conditions():
    condition = ns.Condition()
    ready = []

    async def waiter():
        async with condition:
            await condition.wait()

    async def predicate():
        async with condition:
            await condition.wait_for(lambda: ready)

    await cancel_at_each_point(waiter)
    await cancel_at_each_point(predicate)
    tasks = [ns.create_task(each()) for each in (waiter, predicate, waiter)]
    await turns(2)
    async with condition:
        ready.append(item)
        condition.notify()
        condition.notify_all()
        tasks[0].cancel()
    for task in tasks:
        await ended(task)
    try:
        condition.notify()
    except RuntimeError:
        pass


async def barriers():
    barrier = ns.Barrier(3)
    await with_all(*[barrier.wait() for _ in range(3)])
    await cancel_at_each_point(barrier.wait)
    for end in (barrier.reset, barrier.abort, barrier.reset):
        tasks = [ns.create_task(barrier.wait()) for _ in range(2)]
        await turns(2)
        await end()
        for task in tasks:
            await ended(task)


# -- queues -----------------------------------------------------------------------

def queues(kind):
    async def queues_():
        queue = kind(2)
        for _ in range(3):
            await queue.put(item)
            assert await queue.get() is item
            queue.task_done()
        await queue.join()
        await cancel_at_each_point(queue.get)
        by_hand(queue.get())
        getters = [ns.create_task(queue.get()) for _ in range(3)]
        await turns(1)
        queue.put_nowait(item)
        getters[0].cancel()  # woken and cancelled in one turn
        queue.put_nowait(item)
        for task in getters[:3]:
            await ended(task)
        queue.put_nowait(item)
        queue.put_nowait(item)
        await cancel_at_each_point(lambda: queue.put(item))
        await cancel_at_each_point(queue.join)
        by_hand(queue.put(item))
        putter = ns.create_task(queue.put(item))
        await turns(1)
        try:
            queue.put_nowait(item)
        except ns.QueueFull:
            pass
        while not queue.empty():
            assert queue.get_nowait() is item
            await turns(1)
        await putter
        try:
            queue.get_nowait()
        except ns.QueueEmpty:
            pass
        queue.put_nowait(item)  # goes with the queue
        if NEW:
            tasks = [ns.create_task(queue.join())]
            queue.put_nowait(item)
            tasks.append(ns.create_task(queue.put(item)))
            await turns(1)
            queue.shutdown(immediate=True)
            await turns(2)
            tasks[0].cancel()  # work that was begun is still not done
            for task in tasks:
                await ended(task)
    return queues_


# -- functions --------------------------------------------------------------------

async def give(n=1):
    await turns(n)
    return item


async def fail(n=1):
    await turns(n)
    raise error


async def hang():
    await asyncio.get_running_loop().create_future()


async def sleeps():
    await ns.sleep(0)
    assert await ns.sleep(0, item) is item
    assert await ns.sleep(-1, item) is item
    assert await ns.sleep(1e-6, item) is item
    await cancel_at_each_point(lambda: ns.sleep(1000, item))
    by_hand(ns.sleep(0))
    by_hand(ns.sleep(1000))
    ns.sleep(0, item).close()


async def gathers():
    assert await ns.gather(give(), give(2)) == [item, item]
    assert await ns.gather() == []
    assert (await ns.gather(fail(), give(), return_exceptions=True)
            )[0] is error
    await ended(ns.gather(fail(), give(3), hang_a_little()))
    await cancel_at_each_point(lambda: gather_of(give(2), hang(), give(0)))
    outer = ns.gather(hang(), give())
    await turns(1)
    outer.cancel()
    await ended(outer)
    error.__traceback__ = None


async def gather_of(*coroutines):
    return await ns.gather(*coroutines)


async def hang_a_little():
    await turns(3)


async def waits():
    for when in (ns.FIRST_COMPLETED, ns.FIRST_EXCEPTION, ns.ALL_COMPLETED):
        tasks = [ns.create_task(each) for each in (give(), fail(2), give(3))]
        await ns.wait(tasks, return_when=when)
        await cancel_at_each_point(lambda: ns.wait(tasks, timeout=1000))
        for task in tasks:
            await ended(task)
    task = ns.create_task(hang())
    done, pending = await ns.wait([task], timeout=1e-6)
    assert pending == {task}
    task.cancel()
    await ended(task)
    error.__traceback__ = None


async def waits_for():
    for timeout in (None, 1000):
        assert await ns.wait_for(give(), timeout) is item
        await ended(ns.wait_for(fail(), timeout))
        await cancel_at_each_point(lambda: ns.wait_for(hang(), timeout))
        await cancel_at_each_point(lambda: ns.wait_for(give(2), timeout))
    for timeout in (0, -1, 1e-6):
        await ended(ns.wait_for(hang(), timeout))
    error.__traceback__ = None


async def timeouts():
    async with ns.timeout(1000) as limit:
        await ns.sleep(0)
        limit.reschedule(None)
    for delay in (0, 1e-6):
        try:
            async with ns.timeout(delay):
                await hang()
        except TimeoutError:
            pass

    async def nested():
        async with ns.timeout(1000), ns.timeout(None):
            await hang()
    await cancel_at_each_point(nested)
    ns.timeout(1000)  # never entered


async def as_completed():
    tasks = [ns.create_task(each) for each in (give(), fail(2), give(3))]
    for each in ns.as_completed(tasks):
        await ended(each)
    if NEW:
        async for each in ns.as_completed([give(), give(2)]):
            assert await each is item

    async def first():
        for each in ns.as_completed(tasks, timeout=1000):
            return await each
    tasks = [ns.create_task(each) for each in (give(), give(5))]
    await cancel_at_each_point(first)
    for task in tasks:
        await ended(task)
    error.__traceback__ = None


async def shields():
    assert await ns.shield(give()) is item
    await ended(ns.shield(fail()))
    inner = ns.create_task(give(8))

    async def outer():
        await ns.shield(inner)
    await cancel_at_each_point(outer)
    assert await inner is item
    inner = ns.create_task(fail(8))  # nobody listens any more when it fails
    await cancel_at_each_point(outer)
    await ended(inner)
    error.__traceback__ = None


async def groups():
    async with ns.TaskGroup() as group:
        for _ in range(3):
            group.create_task(give())

    async def failing():
        async with ns.TaskGroup() as group:
            group.create_task(hang())
            group.create_task(fail())
            await hang()

    async def endless():
        async with ns.TaskGroup() as group:
            group.create_task(hang())
    await ended(failing())
    await cancel_at_each_point(failing)
    await cancel_at_each_point(endless)
    error.__traceback__ = None


# -- streams -----------------------------------------------------------------------

class Transport(asyncio.Transport):
    closing = False

    def pause_reading(self):
        pass

    resume_reading = pause_reading

    def is_closing(self):
        return self.closing

    def write(self, data):
        pass

    writelines = write

    def close(self):
        self.closing = True


async def readers():
    loop = asyncio.get_running_loop()
    reader = ns.StreamReader(limit=8, loop=loop)
    reader.set_transport(Transport())
    for make in (lambda: reader.read(5), lambda: reader.readexactly(9),
                 reader.readline, lambda: reader.readuntil(b"--")):
        await cancel_at_each_point(make)
        by_hand(make())
        task = ns.create_task(make())
        await turns(1)
        for piece in (b"abc", b"def\n", b"ghi--"):
            reader.feed_data(piece)
            await turns(1)
        await ended(task)
        reader.feed_data(b"123456789")
        await ended(reader.readuntil(b"x"))  # too long
        await reader.read(100)
    task = ns.create_task(reader.read())
    reader.feed_data(b"the rest\nof it")
    await turns(1)
    reader.feed_eof()
    await task
    await ended(reader.readexactly(3))
    async for line in reader:
        raise AssertionError(line)
    reader.set_exception(error)
    await ended(reader.read())
    error.__traceback__ = None


async def writers():
    loop = asyncio.get_running_loop()
    reader = ns.StreamReader(loop=loop)
    protocol = ns.StreamReaderProtocol(reader, loop=loop)
    transport = Transport()
    protocol.connection_made(transport)
    writer = ns.StreamWriter(transport, protocol, reader, loop)
    writer.write(b"data")
    writer.writelines([b"more", b"data"])
    await writer.drain()
    protocol.pause_writing()
    await cancel_at_each_point(writer.drain)
    by_hand(writer.drain())
    tasks = [ns.create_task(writer.drain()) for _ in range(3)]
    await turns(1)
    protocol.resume_writing()
    for task in tasks:
        await ended(task)
    protocol.pause_writing()
    tasks = [ns.create_task(writer.drain()) for _ in range(3)]
    await turns(1)
    writer.close()
    protocol.connection_lost(ConnectionResetError("broken"))
    for task in tasks:
        await ended(task)
    await ended(writer.wait_closed())
    await ended(writer.drain())


# -- cycles and subclasses --------------------------------------------------------

KINDS = [lambda: ns.Lock(), lambda: ns.Event(), lambda: ns.Condition(),
         lambda: ns.Semaphore(), lambda: ns.BoundedSemaphore(),
         lambda: ns.Barrier(2), lambda: ns.Queue(), lambda: ns.LifoQueue(),
         lambda: ns.PriorityQueue()]


async def cycles():
    for make in KINDS:
        thing = make()
        thing.itself = thing
        thing.item = item
    queue = ns.Queue()
    queue.put_nowait(queue)
    reader = ns.StreamReader(loop=asyncio.get_running_loop())
    reader.set_exception(ValueError(reader))


async def waiting_for_each_other():
    """A task that waits for what only it knows, dropped with the loop's
    last reference to it."""
    for make in (lambda: ns.Event().wait(), lambda: ns.Queue().get()):
        task = ns.create_task(make())
        await turns(1)
        task.cancel()
        del task
    await turns(2)


class Lock(ns.Lock):
    async def acquire(self):
        self.item = item
        return await super().acquire()


class Queue(ns.Queue):
    def _init(self, maxsize):
        self.items = []
        super()._init(maxsize)

    def _put(self, it):
        self.items.append(it)
        super()._put(it)

    def _get(self):
        self.items.pop()
        return super()._get()


ACTIONS = {
    "lock": holders(lambda: ns.Lock()),
    "semaphore": holders(lambda: ns.Semaphore(1)),
    "bounded": holders(lambda: ns.BoundedSemaphore(1)),
    "condition's lock": holders(lambda: ns.Condition()),
    "lock, derived": holders(Lock),
    "queue": queues(ns.Queue), "lifo": queues(ns.LifoQueue),
    "priority": queues(ns.PriorityQueue), "queue, derived": queues(Queue),
    **{each.__name__: each for each in (
        events, conditions, barriers, sleeps, gathers, waits, waits_for,
        timeouts, as_completed, shields, groups, readers, writers, cycles,
        waiting_for_each_other)},
}

for name, action in ACTIONS.items():
    action.__name__ = name
    check(on_a_loop(action), 70)
finish()
