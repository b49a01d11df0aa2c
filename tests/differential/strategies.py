"""Strategies that write programs, by theme.

A theme has operations of its own, which are mixed with the common ones:
sleeping, cancelling, timeouts, children. A program of one theme has few
things and many who want them, so that they meet.
"""

import sys

from hypothesis import strategies as st

from programs import Program

SHUTDOWN = sys.version_info >= (3, 13)  # and as_completed by `async for`
EAGER = sys.version_info >= (3, 12)

just, one_of, tuples, lists = st.just, st.one_of, st.tuples, st.lists
pick = st.sampled_from
numbers = pick((0, 0, 0, 1))  # there are two of each, one is popular
small = st.integers(0, 4)
# None: never. 0 and -1: at once. The rest are turns of the loop.
turns = pick((None, 0, -1, 1, 1, 2, 2, 3, 4, 7, 500))
ways = one_of(
    just(("plain", 0)), just(("plain", 0)), just(("plain", 0)),
    pick((("late", 0), ("by_hand", 0), ("inside", 0), ("task", 0),
          ("shield", 0), ("gather", 0), ("never", 0))),
    tuples(pick(("wait_for", "timeout")), turns))
pauses = tuples(just("sleep"), pick((0, 0, 0, 1, 2, 3)), just(("plain", 0)))
whom = pick((0, 0, 1, 1, 2, 3, 4))  # the first tasks are what others wait for
cancels = tuples(just("cancel"), whom) | tuples(
    just("cancel"), whom, pick(("text", None)))


def op(name, *parts):
    return tuples(just(name), *(
        part if isinstance(part, st.SearchStrategy) else just(part)
        for part in parts))


def users_of(kind):
    """Acquire and release, with and without `async with`."""
    return [op("acquire", kind, numbers, ways),
            op("acquire", kind, numbers, ways),
            op("release", kind, numbers)]


def of_queue(kind):
    operations = [
        op("put", kind, numbers, small, ways), op("get", kind, numbers, ways),
        op("put", kind, numbers, small, ways), op("get", kind, numbers, ways),
        op("put_nowait", kind, numbers, small),
        op("get_nowait", kind, numbers), op("task_done", kind, numbers),
        op("join_queue", kind, numbers, ways)]
    if SHUTDOWN:
        operations.append(op("shutdown", kind, numbers, st.booleans()))
    return operations


OF_EVENT = [op("wait_event", numbers, ways), op("wait_event", numbers, ways),
            op("set", numbers), op("clear", numbers)]
OF_CONDITION = [
    *users_of("condition"), op("wait_condition", numbers, ways),
    op("wait_predicate", numbers, st.integers(1, 3), ways),
    op("notify", numbers, pick((None, 1, 1, 2))), op("release", "lock", 0)]
OF_BARRIER = [op("wait_barrier", numbers, ways),
              op("wait_barrier", numbers, ways),
              op("end_barrier", numbers, st.booleans())]
OF_FUTURE = [op("wait_future", numbers, ways),
             op("set_future", numbers, pick((1, 2, "cancel", "fail"))),
             op("join_task", small, ways)]
COMMON = [pauses, cancels, op("cancel_self"), op("sleep", turns, ways)]

THEMES = {
    "locks": users_of("lock"),
    "events": OF_EVENT,
    "conditions": OF_CONDITION,
    "semaphores": users_of("semaphore") + users_of("bounded"),
    "barriers": OF_BARRIER,
    "queues": of_queue("queue"),
    "other_queues": of_queue("lifo") + of_queue("priority"),
    "futures": OF_FUTURE,
}
HOLDERS = {
    "locks": ("lock",), "conditions": ("condition", "condition", "lock"),
    "semaphores": ("semaphore", "bounded"),
}


def nested(theme, leaf):
    """Operations with scripts inside, made of *leaf* operations."""
    script = lists(leaf, max_size=3).map(tuple)
    scripts = lists(script, min_size=1, max_size=3).map(tuple)
    blocks = [
        op("try", st.booleans(), script),
        op("timeout", turns, pick(("no", "no", None, 0, 2, 5)), script),
        op("wait_for", turns, script),
    ]
    if theme in HOLDERS:
        holding = op("holding", pick(HOLDERS[theme]), numbers, script)
        blocks += [holding, holding, holding]
    if theme == "conditions":
        wait = one_of(op("wait_condition", numbers, ways), leaf)
        blocks += [op("holding", "condition", numbers,
                      lists(wait, min_size=1, max_size=3).map(tuple))] * 2
    if theme == "barriers":
        blocks.append(op("in_barrier", numbers, script))
    if theme in ("futures", "mixed"):
        when = pick(("FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"))
        completed = ["as_completed"]
        if SHUTDOWN:
            completed.append("async_as_completed")
        blocks += [
            op("finally", script, script),
            op("spawn", script),
            op("gather", st.booleans(), st.booleans(), scripts),
            op("shield", st.booleans(), script),
            op("wait", when, turns, scripts),
            tuples(pick(completed), turns, scripts),
        ]
    return one_of(blocks)


def operations(theme):
    own = THEMES.get(theme) or [each for them in THEMES.values()
                                for each in them]
    leaf = one_of(*own, *own, *COMMON)
    if theme in ("futures", "mixed"):
        leaf = one_of(leaf, op("raise", small))
    return one_of(leaf, leaf, nested(theme, one_of(leaf, nested(theme, leaf))))


PLAIN = ("plain", 0)
# What a crowd waits for, and what lets some of it go on.
CROWDS = [
    ("locks", ("acquire", "lock", 0, PLAIN), [("release", "lock", 0)]),
    ("semaphores", ("acquire", "semaphore", 0, PLAIN),
     [("release", "semaphore", 0)]),
    ("semaphores", ("acquire", "bounded", 0, PLAIN),
     [("release", "bounded", 0)]),
    ("events", ("wait_event", 0, PLAIN), [("set", 0), ("clear", 0)]),
    ("conditions",
     ("holding", "condition", 0, (("wait_condition", 0, PLAIN),)),
     [("holding", "condition", 0, (("notify", 0, n),)) for n in (1, 2, None)]),
    ("barriers", ("wait_barrier", 0, PLAIN), [("end_barrier", 0, True)]),
    ("queues", ("get", "queue", 0, PLAIN), [("put_nowait", "queue", 0, 1)]),
    ("queues", ("put", "queue", 0, 1, PLAIN), [("get_nowait", "queue", 0)]),
    ("other_queues", ("get", "lifo", 0, PLAIN),
     [("put_nowait", "lifo", 0, 1), ("put_nowait", "lifo", 0, 2)]),
    ("other_queues", ("get", "priority", 0, PLAIN),
     [("put_nowait", "priority", 0, 1), ("put_nowait", "priority", 0, 0)]),
    ("futures", ("wait_future", 0, PLAIN),
     [("set_future", 0, 1), ("set_future", 0, "cancel")]),
]


def crowds(theme):
    """Programs in which several wait for one thing, and one lets them go,
    and cancels some, without a turn in between: where wake-ups get lost."""
    def crowd(chosen, copies, tail, hand):
        _, wait, _ = chosen
        # One who holds it comes first.
        first = (wait,) if wait[0] == "acquire" else ()
        hand = (*first, ("sleep", 0, PLAIN), *hand)
        waiter = (wait, *tail)
        return (hand, *(waiter,) * copies) if first else (
            *(waiter,) * copies, hand)

    def hand_of(chosen):
        lets = pick(chosen[2])
        steps = lists(one_of(lets, lets, cancels, pauses), min_size=1,
                      max_size=4)
        return st.builds(
            lambda one, steps, last: (*steps, one, *last), lets, steps,
            lists(one_of(lets, cancels, just(chosen[1])), max_size=3))

    tail = lists(one_of(pauses, *THEMES.get(theme, [pauses])), max_size=2)
    found = [each for each in CROWDS if theme in (each[0], "mixed")]
    return pick(found).flatmap(lambda chosen: st.builds(
        crowd, just(chosen), st.integers(2, 4), tail, hand_of(chosen)))


def scripts(theme):
    """Several scripts; some who do the same queue up behind each other."""
    script = lists(operations(theme), min_size=1, max_size=6).map(tuple)
    return st.builds(
        lambda scripts, copies: (scripts[0],) * copies + tuple(scripts[1:]),
        lists(script, min_size=1, max_size=4), pick((1, 1, 2)))


def schedules(theme):
    at_once = [cancels, cancels]
    if theme in ("futures", "mixed"):
        at_once.append(OF_FUTURE[1])
    if theme in ("events", "mixed"):
        at_once += OF_EVENT[2:]
    for kind in ("lock", "semaphore", "bounded"):
        if theme == "mixed" or theme in HOLDERS and kind in HOLDERS[theme]:
            at_once.append(op("release", kind, numbers))
    kinds = {"queues": ("queue",), "other_queues": ("lifo", "priority"),
             "mixed": ("queue",)}
    for kind in kinds.get(theme, ()):
        at_once += [op("put_nowait", kind, numbers, small),
                    op("get_nowait", kind, numbers)]
    return lists(tuples(st.integers(1, 12), st.booleans(), one_of(at_once)),
                 max_size=4).map(tuple)


# What has a size, and which sizes: permits, parties, places in the queue.
SIZES = {"semaphore": (0, 1, 2), "bounded": (1, 2), "barrier": (1, 2, 2, 3),
         "queue": (0, 1, 1, 2), "lifo": (0, 1, 2), "priority": (0, 1, 2)}


def sizes():
    return tuples(*(tuples(just((kind, number)), pick(SIZES[kind]))
                    for kind in SIZES for number in (0, 1)))


def programs(theme):
    """Programs of a theme; "mixed" has everything."""
    return st.builds(
        Program, one_of(scripts(theme), crowds(theme)), schedules(theme),
        sizes(), st.booleans() if EAGER else just(False))


def groups():
    """Programs about TaskGroup. Its children share nothing: the order in
    which a group cancels them is that of a set, so no order at all."""
    alone = one_of(pauses, pauses, op("sleep", turns, ways),
                   op("raise", small), op("cancel_self"))
    script = lists(one_of(alone, alone, op(
        "try", st.booleans(), lists(alone, max_size=2).map(tuple))),
        max_size=3).map(tuple)
    group = op("group", lists(script, max_size=3).map(tuple), script)
    nest = op("group", lists(lists(one_of(group, alone), max_size=2)
                             .map(tuple), max_size=2).map(tuple), script)
    block = one_of(
        group, group, nest,
        op("timeout", turns, "no", tuples(group)),
        op("try", st.booleans(), tuples(group)))
    return st.builds(
        Program, lists(lists(one_of(block, alone), min_size=1, max_size=4)
                       .map(tuple), min_size=1, max_size=2).map(tuple),
        lists(tuples(st.integers(1, 8), st.booleans(), cancels), max_size=3)
        .map(tuple), just(()), st.booleans() if EAGER else just(False))
