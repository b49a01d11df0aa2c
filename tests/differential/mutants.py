"""Implementations that are wrong in one small way each.

They prove that the tests of this folder can fail: every mutant has to be
found within the examples of a normal run. A mutant is asyncio's namespace
with one name replaced.
"""

import asyncio
import collections
from typing import Any


class Altered:
    """A side, as in support.py, with some names of its own."""

    ours = False

    def __init__(self, name, **names):
        self.name = name
        self.module: Any = type(name, (), {**vars(asyncio), **{
            # A class must not make methods of the functions.
            key: staticmethod(value) if callable(value)
            and not isinstance(value, type) else value
            for key, value in {**vars(asyncio), **names}.items()}})
        self.new_loop = asyncio.SelectorEventLoop


MUTANTS = []  # of (theme, name of what is replaced, replacement, its name)


def mutant(theme, name):
    def register(made):
        MUTANTS.append((theme, name, made, made.__name__))
        if isinstance(made, type):
            # It is to be found by what it does, not by its repr.
            original = getattr(asyncio, name)
            made.__name__ = made.__qualname__ = name
            made.__module__ = original.__module__
        return made
    return register


def wake(future):
    if not future.done():
        future.set_result(True)


async def wait_in(waiters, loop):
    future = loop.create_future()
    waiters.append(future)
    try:
        await future
    finally:
        waiters.remove(future)


# -- locks -----------------------------------------------------------------------

@mutant("locks", "Lock")
class WakesLast(asyncio.Lock):
    def _wake_up_first(self):
        if self._waiters:
            wake(self._waiters[-1])


@mutant("locks", "Lock")
class Greedy(asyncio.Lock):
    async def acquire(self):
        if not self._locked:
            self._locked = True
            return True
        return await super().acquire()


@mutant("locks", "Lock")
class PassesNothingOn(asyncio.Lock):
    """Who is woken and cancelled at once does not wake the next."""
    async def acquire(self):
        waiters = self._waiters or ()
        if self._locked or any(not each.cancelled() for each in waiters):
            if self._waiters is None:
                self._waiters = collections.deque()
            await wait_in(self._waiters, self._get_loop())
        self._locked = True
        return True


@mutant("locks", "Lock")
class TakesTwoTurns(asyncio.Lock):
    async def acquire(self):
        await asyncio.sleep(0)
        return await super().acquire()


@mutant("events", "Event")
class WakesOne(asyncio.Event):
    def set(self):
        self._value = True
        for future in list(self._waiters)[:1]:
            wake(future)


@mutant("events", "Event")
class WakesBackwards(asyncio.Event):
    def set(self):
        self._value = True
        for future in reversed(self._waiters):
            wake(future)


@mutant("conditions", "Condition")
class DoesNotReacquire(asyncio.Condition):
    async def wait(self):
        if not self.locked():
            raise RuntimeError("cannot wait on un-acquired lock")
        self.release()
        await wait_in(self._waiters, self._get_loop())
        await self.acquire()
        return True


@mutant("conditions", "Condition")
class NotifiesOneLess(asyncio.Condition):
    def notify(self, n=1):
        super().notify(max(1, n - 1))


@mutant("semaphores", "Semaphore")
class TwoForOne(asyncio.Semaphore):
    def release(self):
        self._value += not self._waiters
        super().release()


@mutant("semaphores", "Semaphore")
class LosesPermit(asyncio.Semaphore):
    """Who is woken and cancelled at once keeps the permit."""
    async def acquire(self):
        waiters = self._waiters or ()
        if self._value and all(each.cancelled() for each in waiters):
            self._value -= 1
            return True
        if self._waiters is None:
            self._waiters = collections.deque()
        await wait_in(self._waiters, self._get_loop())
        return True


@mutant("semaphores", "BoundedSemaphore")
class Unbounded(asyncio.Semaphore):
    pass


@mutant("barriers", "Barrier")
class CountsBackwards(asyncio.Barrier):
    async def wait(self):
        return self.parties - 1 - await super().wait()


@mutant("barriers", "Barrier")
class StaysWhole(asyncio.Barrier):
    async def abort(self):
        await super().reset()


# -- queues ------------------------------------------------------------------------

@mutant("queues", "Queue")
class LosesWakeup(asyncio.Queue):
    """Who is woken and cancelled at once does not wake the next getter."""
    async def get(self):
        while self.empty():
            if getattr(self, "_is_shutdown", False):
                raise asyncio.QueueShutDown
            getter = self._get_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except BaseException:
                getter.cancel()
                if getter in self._getters:
                    self._getters.remove(getter)
                raise
        return self.get_nowait()


@mutant("queues", "Queue")
class LosesItem(asyncio.Queue):
    """Takes the item, and only then lets others run."""
    async def get(self):
        waited = self.empty()
        item = await super().get()
        if waited:
            await asyncio.sleep(0)
        return item


@mutant("queues", "Queue")
class JoinsEarly(asyncio.Queue):
    def task_done(self):
        super().task_done()
        self._finished.set()


@mutant("queues", "Queue")
class OneTooMany(asyncio.Queue):
    def full(self):
        return 0 < self.maxsize < self.qsize()


@mutant("other_queues", "LifoQueue")
class First(asyncio.Queue):
    pass


@mutant("other_queues", "PriorityQueue")
class HalfSorted(asyncio.PriorityQueue):
    def _put(self, item):
        self._queue.append(item)


# -- functions -----------------------------------------------------------------------

@mutant("futures", "gather")
async def gather_backwards(*these, return_exceptions=False):
    return (await asyncio.gather(
        *these, return_exceptions=return_exceptions))[::-1]


@mutant("futures", "shield")
def no_shield(awaitable):
    return asyncio.ensure_future(awaitable)


@mutant("futures", "wait")
async def wait_for_all(tasks, *, timeout, return_when):
    return await asyncio.wait(tasks, timeout=timeout)


@mutant("futures", "wait_for")
async def slow_wait_for(awaitable, timeout):
    result = await asyncio.wait_for(awaitable, timeout)
    await asyncio.sleep(0)
    return result


@mutant("futures", "sleep")
async def sleep_twice(delay, result=None):
    await asyncio.sleep(delay)
    if delay == 0:
        await asyncio.sleep(0)
    return result


@mutant("futures", "sleep")
async def forgets_result(delay, result=None):
    await asyncio.sleep(delay)


@mutant("futures", "timeout")
class KeepsCancelling(asyncio.Timeout):
    """Does not take its own cancellation back."""
    def __init__(self, delay):
        now = asyncio.get_running_loop().time()
        super().__init__(None if delay is None else now + delay)

    async def __aexit__(self, *error):
        expiring = self.expired()
        try:
            return await super().__aexit__(*error)
        finally:
            if expiring:
                asyncio.current_task().cancel()
                asyncio.current_task()._must_cancel = False


@mutant("groups", "TaskGroup")
class LetsOthersRun(asyncio.TaskGroup):
    def _abort(self):
        pass


# -- streams -------------------------------------------------------------------------

@mutant("readers", "StreamReader")
class PausesEarly(asyncio.StreamReader):
    def feed_data(self, data):
        limit = self._limit
        self._limit = (limit + 1) // 2
        try:
            super().feed_data(data)
        finally:
            self._limit = limit


@mutant("readers", "StreamReader")
class ForgetsToResume(asyncio.StreamReader):
    def _maybe_resume_transport(self):
        pass


@mutant("readers", "StreamReader")
class WiderLimit(asyncio.StreamReader):
    async def readuntil(self, separator=b"\n"):
        self._limit += 1
        try:
            return await super().readuntil(separator)
        finally:
            self._limit -= 1


@mutant("readers", "StreamReader")
class KeepsPartial(asyncio.StreamReader):
    async def readexactly(self, n):
        try:
            return await super().readexactly(n)
        except asyncio.IncompleteReadError as error:
            self._buffer.extend(error.partial)
            raise


@mutant("readers", "StreamReader")
class LosesOnCancel(asyncio.StreamReader):
    """Takes what there is before it waits for the rest."""
    async def readexactly(self, n):
        start = bytes(self._buffer[:n]) if 0 < len(self._buffer) < n else b""
        del self._buffer[:len(start)]
        return start + await super().readexactly(n - len(start))


@mutant("writers", "StreamWriter")
class DrainsAlways(asyncio.StreamWriter):
    async def drain(self):
        try:
            await super().drain()
        except ConnectionError:
            pass


@mutant("writers", "StreamReaderProtocol")
class ResumesNobody(asyncio.StreamReaderProtocol):
    def resume_writing(self):
        self._paused = False


@mutant("writers", "StreamReaderProtocol")
class ClosesCleanly(asyncio.StreamReaderProtocol):
    def connection_lost(self, error):
        closed = self._closed
        if error is not None and not closed.done():
            closed.set_result(None)
        super().connection_lost(error)
