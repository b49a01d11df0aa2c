"""Scenes for cancellation: a victim that waits, and others who go on.

A scene is set up by a class: `use()` is what the victim awaits, `undo()`
gives back what it got, `problems()` looks, when everybody is done, for what
was lost: an item, a wake-up, a permit, a byte. Whatever happens to the
victim, the others of a scene come to their end if nothing is lost.
"""

import asyncio
import sys

from streams import FakeTransport
from world import World, count

SCENES = {}  # name -> class


class Scene:
    """What all scenes have in common."""

    since = (3, 11)

    def __init_subclass__(cls, complete=True):
        super().__init_subclass__()
        if complete and sys.version_info >= cls.since:
            SCENES[cls.__name__] = cls

    def __init__(self, world: World):
        self.world = world
        self.ns = world.ns
        self.got = []  # what somebody received
        self.given = []  # what somebody put in
        self.others()

    def others(self):
        """Spawn everybody but the victim."""

    def undo(self, token):
        """Give back what use() got."""

    def problems(self):
        return []

    def spawn(self, label, coroutine):
        return self.world.spawn(label, coroutine)

    async def pause(self, turns):
        for _ in range(turns):
            await self.ns.sleep(0)

    def finishes(self, label, coroutine):
        """Whether a task that starts now comes to its end."""
        task = self.spawn(label, coroutine)
        self.world.turns(8)
        if task.done():
            return not task.cancelled() and task.exception() is None
        task.cancel()
        self.world.turns(4)
        return False


class Exclusive(Scene, complete=False):
    """Somebody holds a thing, the victim waits, others wait behind."""

    rivals = 2
    hold = 2

    def make(self):
        raise NotImplementedError

    def others(self):
        self.thing = self.make()
        self.free = getattr(self.thing, "_value", 1)
        self.spawn("holder", self.holder())
        # The victim comes second.
        self.spawn("opener", self.open())

    async def holder(self):
        await self.thing.acquire()
        await self.pause(self.hold)
        self.thing.release()

    async def open(self):
        await self.pause(1)
        for number in range(self.rivals):
            self.spawn(f"rival{number}", self.rival())

    async def rival(self):
        async with self.thing:
            self.world.note("inside")
            await self.pause(1)

    def use(self):
        return self.thing.acquire()

    def undo(self, token):
        self.thing.release()

    def problems(self):
        found = []
        if self.thing.locked():
            found.append("it is still locked")
        if count(self.thing._waiters):
            found.append("somebody still waits")
        if getattr(self.thing, "_value", 1) != self.free:
            found.append(f"{self.thing._value} permits of {self.free}")
        if not found and not self.finishes("next", self.rival()):
            found.append("the next does not get it")
        return found


class LockContended(Exclusive):
    def make(self):
        return self.ns.Lock()


class LockTakenBack(LockContended):
    """The holder gives it up and wants it again at once."""

    async def holder(self):
        for _ in range(2):
            await self.thing.acquire()
            await self.pause(2)
            self.thing.release()


class SemaphoreOfOne(Exclusive):
    def make(self):
        return self.ns.Semaphore(1)


class SemaphoreOfTwo(Exclusive):
    """Two permits come back in the same turn."""

    rivals = 3

    def make(self):
        return self.ns.Semaphore(2)

    async def holder(self):
        await self.thing.acquire()
        await self.thing.acquire()
        await self.pause(2)
        self.thing.release()
        self.thing.release()


class Bounded(SemaphoreOfTwo):
    def make(self):
        return self.ns.BoundedSemaphore(2)


class EventSet(Scene):
    """Set and cleared at once: those who waited go on all the same."""

    def others(self):
        self.event = self.ns.Event()
        self.spawn("setter", self.setter())
        self.spawn("rival", self.event.wait())

    async def setter(self):
        await self.pause(3)
        self.event.set()
        self.event.clear()

    def use(self):
        return self.event.wait()

    def problems(self):
        return ["somebody still waits"] * bool(count(self.event._waiters))


class ConditionNotified(Scene):
    """One notification; who gets it passes it on when it is done."""

    held = 0  # turns for which the notifier keeps the lock

    def others(self):
        self.condition = self.ns.Condition()
        self.spawn("opener", self.open())

    async def open(self):
        await self.pause(1)
        self.spawn("rival", self.rival())
        await self.pause(2)
        async with self.condition:
            self.condition.notify()
            await self.pause(self.held)

    async def rival(self):
        async with self.condition:
            await self.condition.wait()
            self.condition.notify()

    async def use(self):
        async with self.condition:
            await self.condition.wait()
            self.condition.notify()

    def problems(self):
        found = []
        if self.condition.locked():
            found.append("it is still locked")
        if count(self.condition._waiters):
            found.append("somebody still waits")
        return found


class ConditionHeld(ConditionNotified):
    """The same, and the lock is free only later."""

    held = 2


class ConditionPredicate(ConditionNotified):
    async def open(self):
        self.items = 0
        await self.pause(1)
        self.spawn("rival", self.rival())
        for _ in range(2):
            await self.pause(2)
            async with self.condition:
                self.items += 1
                self.condition.notify()

    async def rival(self):
        async with self.condition:
            await self.condition.wait_for(lambda: self.items)
            self.items -= 1

    use = rival

    def problems(self):
        found = super().problems()
        if self.items not in (0, 1):
            found.append(f"{self.items} items are left")
        return found


class ConditionBare(ConditionNotified):
    """wait() alone: cancelled or not, it comes back with the lock."""

    async def use(self):
        async with self.condition:
            try:
                await self.condition.wait()
            finally:
                if not self.condition.locked():
                    self.got.append("woke up without the lock")
            self.condition.notify()

    def problems(self):
        return super().problems() + self.got


class BarrierOfTwo(Scene):
    """Somebody takes the victim's place if a place is left."""

    def others(self):
        self.barrier = self.ns.Barrier(2)
        self.spawn("partner", self.partner())
        self.spawn("relief", self.relief())

    async def partner(self):
        await self.pause(2)
        self.got.append(await self.barrier.wait())

    async def relief(self):
        await self.pause(12)
        if self.barrier.n_waiting:
            self.got.append(await self.barrier.wait())

    def use(self):
        return self.barrier.wait()

    def problems(self):
        found = []
        if self.barrier.n_waiting:
            found.append(f"{self.barrier.n_waiting} still counted")
        if self.barrier.broken:
            found.append("it is broken")
        return found


# -- queues ------------------------------------------------------------------------

class QueueGet(Scene):
    """Three want an item, and there are three."""

    kind = "Queue"
    at_once = False  # all items in one turn

    def others(self):
        self.queue = getattr(self.ns, self.kind)()
        self.spawn("opener", self.open())

    async def open(self):
        await self.pause(1)
        for number in range(2):
            self.spawn(f"rival{number}", self.rival())
        for item in (11, 13, 12):
            await self.pause(0 if self.at_once and self.given else 2)
            self.queue.put_nowait(item)
            self.given.append(item)

    async def rival(self):
        self.got.append(await self.queue.get())

    def use(self):
        return self.queue.get()

    def undo(self, token):
        self.got.append(token)

    def problems(self):
        found = []
        left = list(self.queue._queue)
        if sorted(self.given) != sorted(self.got + left):
            found.append(f"{self.given} became {self.got} and {left}")
        if count(self.queue._getters):
            found.append("somebody still waits")
        return found


class QueueGetAtOnce(QueueGet):
    at_once = True


class QueueRelay(QueueGet):
    """Two items for two, while the victim puts back what it gets."""

    async def open(self):
        await self.pause(1)
        for number in range(2):
            self.spawn(f"rival{number}", self.rival())
        for item in (11, 12):
            await self.pause(2)
            self.given.append(item)
            self.queue.put_nowait(item)

    def undo(self, token):
        self.queue.put_nowait(token)


class LifoGet(QueueGet):
    kind = "LifoQueue"


class PriorityGet(QueueGetAtOnce):
    kind = "PriorityQueue"


class QueuePut(Scene):
    """A full queue, three who want to put, and one who takes things out."""

    def others(self):
        self.queue = self.ns.Queue(1)
        self.queue.put_nowait(0)
        self.given.append(0)
        self.spawn("opener", self.open())

    async def open(self):
        await self.pause(1)
        for number in (1, 2):
            self.spawn(f"rival{number}", self.rival(number))
        for _ in range(12):
            await self.pause(1)
            if not self.queue.empty():
                self.got.append(self.queue.get_nowait())

    async def rival(self, item):
        await self.queue.put(item)
        self.given.append(item)

    async def use(self):
        await self.queue.put(7)
        return 7

    def undo(self, token):
        self.given.append(token)

    def problems(self):
        found = []
        left = list(self.queue._queue)
        if sorted(self.given) != sorted(self.got + left):
            found.append(f"{self.given} became {self.got} and {left}")
        if count(self.queue._putters):
            found.append("somebody still waits")
        return found


class QueueTakenTwice(QueuePut):
    """Two places become free in one turn."""

    async def open(self):
        await self.pause(1)
        for number in (1, 2):
            self.spawn(f"rival{number}", self.rival(number))
        for _ in range(4):
            await self.pause(3)
            while not self.queue.empty():
                self.got.append(self.queue.get_nowait())


class QueueJoin(Scene):
    def others(self):
        self.queue = self.ns.Queue()
        for item in range(2):
            self.queue.put_nowait(item)
        self.spawn("rival", self.queue.join())
        self.spawn("worker", self.worker())

    async def worker(self):
        for _ in range(2):
            await self.pause(2)
            await self.queue.get()
            self.queue.task_done()

    def use(self):
        return self.queue.join()

    def problems(self):
        found = []
        if count(self.queue._finished._waiters):
            found.append("somebody still waits")
        if self.queue._unfinished_tasks:
            found.append("there is work left")
        return found


class QueueShutDown(Scene):
    """Those who wait are sent away, and what is there can be taken."""

    since = (3, 13)

    def others(self):
        self.queue = self.ns.Queue(1)
        self.spawn("rival", self.rival())
        self.spawn("closer", self.closer())

    async def rival(self):
        try:
            self.got.append(await self.queue.get())
        except asyncio.QueueShutDown:
            self.world.note("rival", "shut down")

    async def closer(self):
        await self.pause(3)
        self.queue.put_nowait(1)
        self.given.append(1)
        self.queue.shutdown()

    def use(self):
        return self.queue.get()

    def undo(self, token):
        self.got.append(token)

    problems = QueueGet.problems


# -- those who wait for tasks and futures -------------------------------------------

class Children(Scene, complete=False):
    """The victim has children, which use a lock."""

    goes_on = False  # the children live on when the victim does not

    def others(self):
        self.lock = self.ns.Lock()
        self.inside = 0
        self.started = []

    async def child(self):
        try:
            async with self.lock:
                await self.pause(1)
                self.inside += 1
        except asyncio.CancelledError:
            await self.pause(1)
            raise

    def start(self):
        for number in range(3):
            label = f"child{number}"
            self.started.append(self.spawn(label, self.child()))
        return self.started

    def problems(self):
        found = []
        if self.lock.locked() or count(self.lock._waiters):
            found.append("the lock is in use")
        if self.goes_on and self.inside != len(self.started):
            found.append(f"only {self.inside} children came to their end")
        for task in self.started:
            if task._callbacks:
                found.append(f"{task.get_name()} has callbacks left")
        return found


class Gather(Children):
    async def use(self):
        return await self.ns.gather(*self.start())


class GatherExceptions(Children):
    async def use(self):
        return len(await self.ns.gather(*self.start(),
                                        return_exceptions=True))


class Group(Children):
    async def use(self):
        async with self.ns.TaskGroup() as group:
            for number in range(3):
                label = f"child{number}"
                task = group.create_task(self.child(), name=label)
                self.world.tasks[label] = task
                self.started.append(task)
                # They end one after the other: the order in which a group
                # cancels is that of a set.
                await self.pause(3)


class Shield(Children):
    goes_on = True

    async def use(self):
        for task in self.start():
            await self.ns.shield(task)


class Wait(Children):
    goes_on = True

    async def use(self):
        done, pending = await self.ns.wait(self.start())
        return len(done), len(pending)


class WaitFirst(Children):
    goes_on = True

    async def use(self):
        done, pending = await self.ns.wait(
            self.start(), return_when=self.ns.FIRST_COMPLETED)
        done, pending = await self.ns.wait(self.started, timeout=self.world
                                           .delay(1))
        return len(done), len(pending)


class AsCompleted(Children):
    goes_on = True

    async def use(self):
        for each in self.ns.as_completed(self.start()):
            await each

    def problems(self):
        # Nobody takes back its callbacks when it is dropped.
        return [each for each in super().problems() if "callback" not in each]


class WaitForFuture(Scene):
    """wait_for() of a future that is nobody else's."""

    used = False

    def others(self):
        self.future = self.world.loop.create_future()
        self.spawn("setter", self.setter())

    async def setter(self):
        await self.pause(3)
        if not self.future.done():
            self.future.set_result("result")

    async def use(self):
        self.used = True
        return await self.ns.wait_for(self.future, self.world.delay(6))

    def problems(self):
        found = []
        if self.future._callbacks:
            found.append("callbacks are left")
        if self.used and not self.future.done():
            found.append("it is not done")
        return found


class WaitForTimeout(WaitForFuture):
    async def setter(self):
        pass

    async def use(self):
        self.used = True
        return await self.ns.wait_for(self.future, self.world.delay(3))


class TimeoutInTimeout(WaitForFuture):
    async def use(self):
        ns, world = self.ns, self.world
        try:
            async with ns.timeout(world.delay(4)) as outer:
                try:
                    async with ns.timeout(world.delay(2)):
                        await ns.shield(self.future)
                except TimeoutError:
                    await self.pause(4)
        finally:
            world.note("outer", repr(outer), outer.expired())


class Sleep(Scene):
    async def use(self):
        await self.pause(2)
        return await self.ns.sleep(self.world.delay(2), "slept")


# -- streams -----------------------------------------------------------------------

class Reader(Scene, complete=False):
    """Whatever the victim does not get, the next reader does."""

    first = b""  # what is there from the beginning
    data = (b"ab", b"c\nd", b"ef\n", b"gh")

    def others(self):
        self.reader = self.ns.StreamReader(limit=4, loop=self.world.loop)
        self.reader.set_transport(FakeTransport(self.world, True))
        self.feed(self.first)
        self.spawn("feeder", self.feeder())

    def feed(self, data):
        self.reader.feed_data(data)
        self.given.append(data)

    async def feeder(self):
        for data in self.data:
            await self.pause(2)
            self.feed(data)
        await self.pause(1)
        self.reader.feed_eof()

    def undo(self, token):
        self.got.append(token)

    async def next(self):
        while data := await self.reader.read(100):
            self.got.append(data)

    def problems(self):
        found = []
        if self.reader._waiter is not None:
            found.append("the waiter is left")
        if not self.finishes("next", self.next()):
            found.append("the next cannot read")
        if b"".join(self.got) != b"".join(self.given):
            found.append(f"{self.given} became {self.got}")
        return found


class ReadSome(Reader):
    def use(self):
        return self.reader.read(2)


class ReadAll(Reader):
    def use(self):
        return self.reader.read(-1)


class ReadLine(Reader):
    def use(self):
        return self.reader.readline()


class ReadUntil(Reader):
    def use(self):
        return self.reader.readuntil(b"d")


class ReadExactly(Reader):
    first = b"01"

    def use(self):
        return self.reader.readexactly(7)


class Writing(Scene, complete=False):
    def others(self):
        loop = self.world.loop
        self.reader = self.ns.StreamReader(loop=loop)
        self.protocol = self.ns.StreamReaderProtocol(self.reader, loop=loop)
        self.transport = FakeTransport(self.world, True)
        self.protocol.connection_made(self.transport)
        self.writer = self.ns.StreamWriter(
            self.transport, self.protocol, self.reader, loop)
        self.protocol.pause_writing()
        self.spawn("rival", self.use())
        self.spawn("peer", self.peer())

    def problems(self):
        self.protocol.connection_lost(None)
        self.transport.closing = True
        return []


class Drain(Writing):
    async def peer(self):
        await self.pause(3)
        self.protocol.resume_writing()

    def use(self):
        return self.writer.drain()

    def problems(self):
        waiters = getattr(self.protocol, "_drain_waiters", ())
        found = ["somebody still waits"] * bool(waiters)
        if not self.finishes("next", self.writer.drain()):
            found.append("the next waits")
        return found + super().problems()


class WaitClosed(Writing):
    async def peer(self):
        await self.pause(3)
        self.writer.close()
        await self.pause(1)
        self.protocol.connection_lost(None)

    def use(self):
        return self.writer.wait_closed()

    def problems(self):
        rival = self.world.tasks["rival"]
        found = ["the rival is cancelled as well"] * rival.cancelled()
        self.transport.closing = True
        return found
