"""Where a program runs: a loop with a clock of its own, and a journal.

Nothing here asks which side it is on: the side brings a namespace
(`asyncio` or `fastasync`) and a loop, and everything else is the same.

Time is a number that grows by one with each iteration of the loop, so what
a program does depends on nothing but the program. Two timers never fall
due at the same moment (see delay()): their order would be the heap's.
"""

import gc
import warnings

from support import plain

TURNS = 40  # iterations before those who still wait are called stuck
QUIET = 8  # iterations in which nothing happened, and so nothing will
ROUNDS = 12  # cancellations before a stuck task is called immortal


def tell(error, depth=3):
    """An exception with its causes and contexts, as plain data."""
    if error is None or depth == 0:
        return error if error is None else "..."
    kind = type(error)
    text = plain(str(error))
    if isinstance(error, BaseExceptionGroup):
        # The order is that of a set of tasks: no order.
        text = (error.message, sorted(
            repr(tell(each, depth)) for each in error.exceptions))
    told = (f"{kind.__module__}.{kind.__name__}", text)
    if error.__cause__ is not None:
        told += ("from", tell(error.__cause__, depth - 1))
    elif error.__context__ is not None:
        told += ("after", tell(error.__context__, depth - 1))
    return told


def count(waiters):
    """Length of a list of waiters, which some classes make when needed."""
    return len(waiters) if waiters else 0


def look_lock(lock):
    return repr(lock), lock.locked(), count(lock._waiters)


def look_event(event):
    return repr(event), event.is_set(), count(event._waiters)


def look_condition(condition):
    return repr(condition), condition.locked(), count(condition._waiters)


def look_semaphore(semaphore):
    return (repr(semaphore), semaphore._value, semaphore.locked(),
            count(semaphore._waiters))


def look_barrier(barrier):
    return repr(barrier), barrier.n_waiting, barrier.broken, barrier.parties


def look_queue(queue):
    return (repr(queue), str(queue), queue.qsize(), queue.empty(),
            queue.full(), queue.maxsize, list(queue._queue),
            count(queue._getters), count(queue._putters),
            queue._unfinished_tasks, queue._finished.is_set())


def look_future(future):
    if not future.done():
        return "pending"
    if future.cancelled():
        return "cancelled"
    error = future.exception()
    if error is not None:
        return tell(error)
    result = future.result()
    return [tell(each) if isinstance(each, BaseException) else each
            for each in result] if isinstance(result, list) else result


LOOKS = {
    "lock": look_lock, "event": look_event, "condition": look_condition,
    "semaphore": look_semaphore, "bounded": look_semaphore,
    "barrier": look_barrier, "queue": look_queue, "lifo": look_queue,
    "priority": look_queue, "future": lambda it: (look_future(it),),
}


class World:
    """One loop, the things a program uses, and what was seen of them."""

    def __init__(self, side, sizes=()):
        self.ns = side.module
        self.loop = side.new_loop()
        self.now = 0
        self.loop.time = lambda: float(self.now)
        self.loop.set_exception_handler(self.report)
        self.sizes = dict(sizes)
        self.things = {}  # (kind, number) -> lock, event, queue ...
        self.tasks = {}  # label -> task
        self.log = []
        self.reports = []
        self.numbers = 0

    # -- what programs use --------------------------------------------------

    def number(self):
        """A number that nothing else in this world has."""
        self.numbers += 1
        return self.numbers

    def delay(self, turns, timer=False):
        """*turns* of the loop, and a bit that no other delay has.

        Zero and less are no timer but for those who say so.
        """
        if turns is None or turns <= 0 and not timer:
            return turns
        return turns + self.number() / 4096

    def thing(self, kind, number):
        found = self.things.get((kind, number))
        if found is None:
            found = self.things[kind, number] = self.make(kind, number)
        return found

    def make(self, kind, number):
        size = self.sizes.get((kind, number), 1)
        ns = self.ns
        if kind == "lock":
            return ns.Lock()
        if kind == "event":
            return ns.Event()
        if kind == "condition":
            # The second condition shares a lock with other users of it.
            return ns.Condition(self.thing("lock", 0) if number else None)
        if kind == "semaphore":
            return ns.Semaphore(size)
        if kind == "bounded":
            return ns.BoundedSemaphore(size)
        if kind == "barrier":
            return ns.Barrier(size)
        if kind == "future":
            return self.loop.create_future()
        names = {"queue": "Queue", "lifo": "LifoQueue",
                 "priority": "PriorityQueue"}
        return getattr(ns, names[kind])(size)

    def spawn(self, label, coroutine):
        task = self.loop.create_task(coroutine, name=label)
        self.tasks[label] = task
        return task

    def enter(self, label):
        """The running task is *label*'s, also where a function made it."""
        self.tasks.setdefault(label, self.ns.current_task(self.loop))

    def nth_task(self, number):
        """Some task, for those who cancel or join by number."""
        tasks = list(self.tasks.values())
        return tasks[number % len(tasks)]

    # -- what is seen -------------------------------------------------------

    def note(self, *what):
        self.log.append((self.now, *what))

    def report(self, loop, context):
        """The loop's exception handler. When it hears of forgotten
        exceptions depends on when they are collected: kept apart."""
        self.reports.append((plain(context["message"]),
                             tell(context.get("exception"))))

    def look(self):
        """Everything that can be seen from outside, as plain data."""
        seen = [(name, LOOKS[name[0]](thing))
                for name, thing in self.things.items()]
        return [(name, *map(tidy, what)) for name, what in seen] + [
            (label, task.done(), task.cancelling())
            for label, task in self.tasks.items()]

    # -- the loop -----------------------------------------------------------

    def turn(self, before=()):
        """One iteration; *before* it, and last in it, what is asked for."""
        self.now += 1
        for last, action in before:
            if last:
                self.loop.call_soon(action)
            else:
                action()
        self.loop.stop()
        self.loop.run_forever()
        self.note("seen", self.look())

    def pending(self):
        return [label for label, task in self.tasks.items()
                if not task.done()]

    def turns(self, most=TURNS, schedule=lambda now: ()):
        """Turn until every task is done, *most* times if they never are."""
        seen, since = None, self.now
        for _ in range(most):
            if not self.pending():
                break
            before = len(self.log)
            self.turn(schedule(self.now + 1))
            if len(self.log) > before + 1 or self.log[-1][2] != seen:
                seen, since = self.log[-1][2], self.now
            elif self.now - since > QUIET and self.now > QUIET * 2:
                break  # no timer and no schedule is as long as that

    def end(self):
        """Cancel those who are stuck, until nobody is left."""
        for _ in range(ROUNDS):
            stuck = self.pending()
            if not stuck:
                break
            self.note("stuck", stuck)
            for label in stuck:
                self.tasks[label].cancel()
            self.turns(4)
            for (kind, _), thing in list(self.things.items()):
                # Who cancels a waiter of a condition waits for its lock.
                if kind in ("lock", "condition") and thing.locked():
                    thing.release()
        self.note("immortal", self.pending())
        for label, task in self.tasks.items():
            self.note("end", label, look_future(task) if task.done() else None)

    def close(self):
        self.things.clear()
        self.tasks.clear()
        gc.collect()
        self.loop.close()
        self.note("reports", sorted(map(repr, self.reports)))


def tidy(value):
    return plain(value) if type(value) is str else value


def journal(side, sizes, play):
    """What happens when *play(world)* is run in a new world on *side*."""
    gc.collect()  # what an earlier run has left, if it failed
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        world = World(side, sizes)
        try:
            play(world)
        finally:
            world.close()
    world.note("warnings", sorted(
        f"{each.category.__name__}: {plain(str(each.message))}"
        for each in caught))
    return world.log


def difference(expected, seen):
    """Where two journals part, for people; None if they are equal."""
    if expected == seen:
        return None
    at = next((i for i, (a, b) in enumerate(zip(expected, seen)) if a != b),
              min(len(expected), len(seen)))
    lines = [f"  {entry}" for entry in expected[max(0, at - 8):at]
             if entry[1] != "seen"]
    for name, log in (("asyncio", expected), ("subject", seen)):
        lines += [f"{name}: {entry}" for entry in log[at:at + 1]]
    return "\n".join(["the journals part here:", *lines])
