"""Happy eyeballs: staggered.c, interleave.c."""

import asyncio
import concurrent.futures
import contextlib
import gc
import itertools
import os
import random
import socket
import sys
from unittest import mock

import pytest

import support
import tlssupport
from netsupport import Recorder, settle, until
from test_connect import (LOCAL, count_fds, few_fds, listening, needs_ipv6,
                          outcome, refused_port, resolving, silent, stream_info)

fastasync = pytest.importorskip("fastasync")


class Places:
    """Addresses that answer, refuse, hang, or fail before they are asked."""

    def __init__(self, stack):
        self.listeners = {}
        for name in "lm":
            sock = stack.enter_context(listening())
            self.listeners[sock.getsockname()] = name
        answers, others = self.listeners
        self.infos = {
            "l": stream_info(answers),
            "m": stream_info(others),
            "r": stream_info((LOCAL, refused_port())),
            "s": stream_info(("127.0.0.2", refused_port())),
            "h": stream_info(stack.enter_context(silent())),
            "e": stream_info(("255.255.255.255", 1)),
            "v": stream_info(("::1", 1, 0, 0), socket.AF_INET6),
            "odd": (99, socket.SOCK_STREAM, 6, "", (LOCAL, 1)),
            "bad": stream_info((LOCAL, "port")),
        }

    def __getitem__(self, names):
        return [self.infos[name] for name in names]

    def winner(self, transport):
        return self.listeners[transport.get_extra_info("peername")]


@pytest.fixture
def places():
    with contextlib.ExitStack() as stack:
        yield Places(stack)


@contextlib.contextmanager
def resolves(infos):
    """socket.getaddrinfo answers that."""
    with mock.patch("socket.getaddrinfo", lambda *args, **kwargs: list(infos)):
        yield


def race(loop, delay, **kwargs):
    return loop.create_connection(Recorder, "name", 1,
                                  happy_eyeballs_delay=delay, **kwargs)


def races_in_c():
    return [one for one in gc.get_objects() if type(one).__name__ == "Race"]


# -- who wins -----------------------------------------------------------------------


def run_race(loop, places, names, delay, **kwargs):
    with resolves(places[names]):
        said = outcome(loop.run_until_complete, race(loop, delay, **kwargs))
    if said[0] == "returned":
        transport = said[1][0]
        said = places.winner(transport), said[1][1].events
        transport.abort()
    settle(loop)
    return said


@pytest.mark.parametrize("delay", [0, 0.002, -1, 0.0, 1, 30])
@pytest.mark.parametrize("names", [
    "l", "lm", "ml", "rl", "rrl", "er", "el", "eel", "rem", "lr", "le", "lh",
    "r", "e", "rs", "re", "ers", "rr", "v", "rv", "vl",
])
def test_outcomes(places, names, delay):
    def scenario(side, loop):
        return run_race(loop, places, names, delay)

    support.compare(scenario)


@pytest.mark.parametrize("delay", [0, 0.002])
@pytest.mark.parametrize("names", ["hl", "hhl", "hrl", "rhl", "ehm", "hem",
                                   "hlm", "hrhsm"])
def test_overtaking(places, names, delay):
    def scenario(side, loop):
        return run_race(loop, places, names, delay)

    assert support.compare(scenario)[0] in "lm"


def test_random_races(places):
    generator = random.Random(7)
    for _ in range(25):
        names = generator.choices("rseh", k=generator.randrange(6))
        names.append(generator.choice("lm"))
        names += generator.choices("lmrseh", k=generator.randrange(3))

        def scenario(side, loop, names=names):
            return run_race(loop, places, names, 0.001)

        assert support.compare(scenario)[0] in "lm"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
@pytest.mark.parametrize("names", ["r", "rs", "ers", "rr"])
def test_all_errors(places, names):
    def scenario(side, loop):
        return run_race(loop, places, names, 0.001, all_errors=True)

    said = support.compare(scenario)
    assert said[0] == "ExceptionGroup"
    assert len(said[3]) == len(names)


def test_it_is_done_in_c(places):
    loop = fastasync.new_event_loop()
    with resolves(places["hh"]):
        task = loop.create_task(race(loop, 30))
        until(loop, races_in_c)
        assert asyncio.all_tasks(loop) == {task}
        task.cancel()
        settle(loop)
    assert task.cancelled()
    del task
    gc.collect()
    assert not races_in_c()
    loop.close()


# -- in which order -------------------------------------------------------------------


def failing_infos(families):
    return [
        stream_info((f"127.0.0.{number}", 1)) if family == 4
        else stream_info(("::1", number, 0, 0), socket.AF_INET6)
        for number, family in enumerate(families, 1)]


@pytest.mark.parametrize("kwargs", [
    {"delay": 0.001}, {"delay": 30},
    *({"delay": delay, "interleave": count}
      for delay in (None, 30)
      for count in (0, 1, 2, 3, 9, -1, True, False, None, 10**30)),
])
def test_order_of_attempts(kwargs):
    """They all fail, and the text tells in which order."""
    def scenario(side, loop):
        said = []
        for families in itertools.chain(
                itertools.product((4, 6), repeat=3),
                ([6, 6, 6, 4, 4], [4, 6, 6, 6, 6], [6, 4, 4, 6, 6, 4])):
            with resolves(failing_infos(families)):
                said.append(outcome(loop.run_until_complete,
                                    race(loop, **kwargs)))
        return said

    support.compare(scenario)


@pytest.mark.parametrize("count", ["x", 1.5, [1]])
@pytest.mark.parametrize("delay", [None, 0.1])
def test_wrong_interleave(count, delay):
    def scenario(side, loop):
        with resolves(failing_infos([4, 6, 4])):
            return outcome(loop.run_until_complete,
                           race(loop, delay, interleave=count))

    support.compare(scenario)


@pytest.mark.parametrize("infos", [
    [()], [5], [None], [[socket.AF_INET]], ["text"], [("a", 1, 6, "", ())],
    [(number, 1, 6, "", (LOCAL, 1)) for number in range(100, 110)],
])
@pytest.mark.parametrize("delay", [None, 0.001])
def test_strange_answers(infos, delay):
    def scenario(side, loop):
        with resolves(infos), support.journal():
            return outcome(loop.run_until_complete,
                           race(loop, delay, interleave=1))[0]

    support.compare(scenario)


# -- when --------------------------------------------------------------------------------


def clocked(side, infos):
    """A loop with a clock of its own."""
    plain = resolving(side, infos)
    plain.close()

    class Loop(type(plain)):
        now = 1000.0

        def time(self):
            return self.now

        def advance(self, seconds):
            self.now += seconds
            settle(self, 20)

    return Loop()


def sockets():
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                found.add(int(name))
    return found


def hang_up(fd):
    """Whoever waits for that connection hears of an error."""
    with socket.socket(fileno=os.dup(fd)) as sock, contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def watch_attempts(side, infos, steps):
    """The number of attempts under way after each of the steps."""
    loop = clocked(side, infos)
    before = sockets()
    task = loop.create_task(race(loop, 1.0))
    settle(loop, 20)
    born, seen = sorted(sockets() - before), []
    seen.append(len(born))
    for step in steps:
        if isinstance(step, str):
            hang_up(born[int(step)])
            settle(loop, 20)
        else:
            loop.advance(step)
        now = sockets() - before
        born += sorted(now - set(born))
        seen.append(len(now))
    task.cancel()
    settle(loop, 20)
    assert sockets() == before
    assert task.cancelled()
    loop.close()
    return seen


@pytest.mark.parametrize("names, steps, expected", [
    ("hhh", [0.9, 0.2, 0.7, 0.3, 5], [1, 1, 2, 2, 3, 3]),
    ("hrh", [0.9, 0.2], [1, 1, 2]),
    ("reh", [5], [1, 1]),
    ("hhhh", [1.1, "1", 0.5, 0.6], [1, 2, 2, 2, 3]),  # the last one fails
    ("hhhh", [1.1, "0", 0.5, 0.6], [1, 2, 1, 1, 2]),  # one before it fails
    ("hhhh", [0.5, "0", 0.6, 0.5], [1, 1, 1, 1, 2]),  # the delay begins anew
])
def test_stagger(places, side, names, steps, expected):
    assert watch_attempts(side, places[names], steps) == expected


def test_everybody_fails_late(places):
    def scenario(side, loop):
        loop = clocked(side, places["hh"])
        before = sockets()
        task = loop.create_task(race(loop, 1.0))
        settle(loop, 20)
        loop.advance(1.1)
        first, second = sorted(sockets() - before)
        hang_up(second)
        settle(loop, 20)
        assert not task.done()
        hang_up(first)
        said = outcome(loop.run_until_complete, task)
        assert sockets() == before
        loop.close()
        return said

    assert support.compare(scenario)[0] != "returned"


# -- what is left to asyncio ------------------------------------------------------------


@pytest.mark.parametrize("names", [["odd"], ["odd", "r"], ["r", "odd", "l"],
                                   ["bad"], ["bad", "r"], ["bad", "l"]])
def test_odd_addresses(places, names):
    def scenario(side, loop):
        with support.journal(), resolves(places[names]):
            said = outcome(loop.run_until_complete, race(loop, 0.001))
        if said[0] == "returned":
            name = places.winner(said[1][0])
            said[1][0].abort()
            settle(loop)
            return name
        return said

    support.compare(scenario)


@pytest.mark.parametrize("names", ["l", "rl", "hl", "r", "rs", "vl", "v"])
@pytest.mark.parametrize("local", [LOCAL, "192.0.2.1"])
def test_local_address(places, names, local):
    def scenario(side, loop):
        calls = iter([places[names], [stream_info((local, 0))]])
        with mock.patch("socket.getaddrinfo", lambda *a, **k: next(calls)):
            said = outcome(loop.run_until_complete,
                           race(loop, 0.002, local_addr=("local", 0)))
        if said[0] != "returned":
            return said
        transport = said[1][0]
        assert transport.get_extra_info("sockname")[0] == local
        name = places.winner(transport)
        transport.abort()
        settle(loop)
        return name

    support.compare(scenario)


@pytest.mark.parametrize("result", [(None, None, []), (None, None, [OSError()])])
def test_replaced_race(places, result):
    def scenario(side, loop):
        async def other(racers, delay, *, loop=None):
            seen.append((len(list(racers)), delay))
            return result

        seen = []
        with resolves(places["ll"]), mock.patch(
            "asyncio.staggered.staggered_race", other
        ):
            return outcome(loop.run_until_complete, race(loop, 0.5)), seen

    assert support.compare(scenario)[1] == [(2, 0.5)]


def test_replaced_interleaving(places):
    def scenario(side, loop):
        with resolves(places["lm"]), mock.patch(
            "asyncio.base_events._interleave_addrinfos",
            lambda infos, count: infos[::-1],
        ):
            transport, _ = loop.run_until_complete(race(loop, 5))
        name = places.winner(transport)
        transport.abort()
        settle(loop)
        return name

    assert support.compare(scenario) == "m"


@pytest.mark.parametrize("delay", [float("inf"), 10**400, True])
def test_odd_delays(places, delay):
    def scenario(side, loop):
        with support.journal(), support.recorded_warnings():
            said = run_race(loop, places, "rl", delay)
            gc.collect()  # asyncio forgets a coroutine of its own
            return said

    support.compare(scenario)


def test_debug_mode(places):
    def scenario(side, loop):
        loop.set_debug(True)
        with support.journal():
            return run_race(loop, places, "rhl", 0.002)

    assert support.compare(scenario)[0] == "l"


@pytest.mark.parametrize("name", ["call_at", "create_future", "time",
                                  "_connect_sock"])
def test_methods_of_a_subclass(places, side, name):
    plain = side.new_loop()
    plain.close()
    calls = []

    def method(self, *args, **kwargs):
        calls.append(args)
        return getattr(type(plain), name)(self, *args, **kwargs)

    loop = type("Loop", (type(plain),), {name: method})()
    assert run_race(loop, places, "rhl", 0.002)[0] == "l"
    assert calls
    loop.close()


def test_failing_timer(places):
    """What the loop's method raises comes out, and nothing is left."""
    plain = fastasync.new_event_loop()
    plain.close()

    class Loop(type(plain)):
        def call_at(self, *args, **kwargs):
            raise KeyError("no timers")

    loop = Loop()
    before = count_fds()
    with resolves(places["hl"]):
        loop.run_until_complete(loop.run_in_executor(None, int))
        before = count_fds()
        with pytest.raises(KeyError, match="no timers"):
            loop.run_until_complete(race(loop, 0.01))
    assert count_fds() == before
    loop.close()


# -- giving up ---------------------------------------------------------------------------


def clean_up(loop):
    """asyncio's attempts may survive the race (3.11: its wait_for swallows a
    cancellation), and it forgets a winner that nobody wants."""
    while asyncio.all_tasks(loop):
        for task in asyncio.all_tasks(loop):
            task.cancel()
        settle(loop)
    settle(loop)
    gc.collect()


@pytest.mark.parametrize("names", ["h", "hh", "hhl", "rhr", "l", "rl", "ehlm"])
@pytest.mark.parametrize("delay", [0, 0.0005, 30])
def test_cancelled_at_every_step(loop, side, places, names, delay):
    loop.run_until_complete(loop.run_in_executor(None, int))
    before = count_fds()
    ends = set()
    for turns in range(25):
        with resolves(places[names]):
            task = loop.create_task(race(loop, delay))
            support.spin(loop, turns)
            task.cancel()
            try:
                transport, _ = loop.run_until_complete(task)
            except asyncio.CancelledError:
                ends.add("cancelled")
            except OSError:
                ends.add("failed")
            else:
                ends.add("connected")
                transport.abort()
        settle(loop)
        if not side.ours:
            clean_up(loop)
        assert count_fds() == before, turns
    assert "cancelled" in ends
    assert not asyncio.all_tasks(loop)


def test_cancelled_after_some_time(loop, side, places):
    async def main():
        for step in range(20):
            with contextlib.suppress(asyncio.TimeoutError):
                transport, _ = await asyncio.wait_for(
                    race(loop, 0.001), step / 4000)
                transport.abort()
        await asyncio.sleep(0.01)

    loop.run_until_complete(loop.run_in_executor(None, int))
    before = count_fds()
    with resolves(places["hrhelm"]):
        loop.run_until_complete(main())
    settle(loop)
    if not side.ours:
        clean_up(loop)
    assert count_fds() == before


def test_message_of_the_cancellation(places):
    def scenario(side, loop):
        loop = resolving(side, places["hh"])
        task = loop.create_task(race(loop, 30))
        settle(loop)
        task.cancel("enough")
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError as error:
            return error.args, task.cancelling()
        finally:
            settle(loop)
            loop.close()

    assert support.compare(scenario) == (("enough",), 1)


@pytest.mark.parametrize("thrown", [OSError(5, "thrown in"), KeyError("x")])
def test_thrown_in(places, thrown):
    def scenario(side, loop):
        loop = resolving(side, places["hh"])
        told = []

        async def main():
            coro = race(loop, 30)
            coro.send(None)
            await asyncio.sleep(0)
            told.append(outcome(coro.throw, thrown))
            if side.ours:
                assert count_fds() == before

        before = count_fds()
        loop.run_until_complete(main())
        clean_up(loop)
        settle(loop)
        loop.close()
        return told

    said = support.compare(scenario)
    assert "thrown in" in str(said) or "KeyError" in str(said)


def test_coroutine_closed_and_dropped(places):
    loop = resolving(support.side_of("fastasync"), places["hh"])
    before = count_fds()
    for way in "close", "drop", "again":
        coro = race(loop, 0)
        future = coro.send(None)
        assert count_fds() == before + 1
        settle(loop)
        assert count_fds() == before + 2
        if way == "again":  # somebody else says that it is over
            future.set_result(None)
            assert coro.send(None) is not future
            assert count_fds() == before + 2
            coro.close()
        elif way == "close":
            coro.close()
        else:
            with support.recorded_warnings():
                del coro
        del future
        gc.collect()
        assert count_fds() == before
    loop.close()


def test_loop_closed_meanwhile(places):
    loop = resolving(support.side_of("fastasync"), places["hhh"])
    before = count_fds()
    coro = race(loop, 0)
    coro.send(None)
    settle(loop)
    loop.close()
    coro.close()
    del coro
    gc.collect()
    assert count_fds() < before


def test_cycle_is_collected(places):
    loop = resolving(support.side_of("fastasync"), places["hh"])
    before = sockets()
    task = loop.create_task(race(loop, 0))
    settle(loop)
    assert len(sockets() - before) == 2
    task.itself = task
    loop.set_exception_handler(lambda *args: None)
    loop.close()
    del task, loop
    gc.collect()
    assert not sockets() - before
    assert not races_in_c()


@pytest.mark.parametrize("spare", [0, 1, 2])
def test_out_of_descriptors(places, spare):
    """No socket for an address: that attempt has failed, and the next begins."""
    def scenario(side, loop):
        loop.run_until_complete(loop.run_in_executor(None, int))
        with resolves(places["hhrl"]), few_fds(spare):
            try:
                transport, _ = loop.run_until_complete(
                    asyncio.wait_for(race(loop, 0.001), 0.2))
            except (OSError, asyncio.TimeoutError) as error:
                clean_up(loop)
                return type(error).__name__, getattr(error, "errno", None)
            transport.abort()
            settle(loop)
            return "connected"

    support.compare(scenario)


def test_tls(loop):
    """The winner becomes a Python socket for TLS."""
    async def main():
        server = await loop.create_server(
            Recorder, LOCAL, 0, ssl=tlssupport.server_context())
        infos = [stream_info((LOCAL, refused_port())),
                 stream_info(server.sockets[0].getsockname())]
        with resolves(infos):
            transport, protocol = await race(
                loop, 0.25, ssl=tlssupport.client_context(),
                server_hostname="localhost")
        assert protocol.events == ["made"]
        assert transport.get_extra_info("cipher")
        transport.abort()
        server.close()
        await asyncio.sleep(0.01)

    loop.run_until_complete(main())
    settle(loop)


# -- many --------------------------------------------------------------------------------


def test_many_at_once(places):
    """Connections that race at the same time do not get in each other's way."""
    generator = random.Random(3)
    fates = [generator.choices("hre", k=3) + [generator.choice("lmrs")]
             for _ in range(60)]
    loop = fastasync.new_event_loop()
    answers = {str(number): places[names] for number, names in enumerate(fates)}

    async def one(number, names):
        try:
            transport, _ = await asyncio.wait_for(loop.create_connection(
                Recorder, str(number), 1, happy_eyeballs_delay=0.002), 1)
        except (OSError, asyncio.TimeoutError):
            assert names[-1] in "rs"
            return
        assert places.winner(transport) == names[-1]
        transport.abort()

    async def main():
        await asyncio.gather(*[one(*fate) for fate in enumerate(fates)])
        await asyncio.sleep(0)

    with mock.patch("socket.getaddrinfo",
                    lambda host, *args, **kwargs: answers[host]):
        loop.run_until_complete(loop.run_in_executor(None, int))
        before = count_fds()
        loop.run_until_complete(main())
        settle(loop)
    assert count_fds() == before
    loop.close()


def test_nothing_is_left(places):
    """Objects and files, after many races of all kinds."""
    loop = fastasync.new_event_loop()
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))

    def once():
        for names in ("hl", "rs", "rl", "eh", "hh"):
            with resolves(places[names]):
                task = loop.create_task(race(loop, 0))
                settle(loop, 30)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    loop.run_until_complete(task)[0].abort()
        settle(loop)

    def amount():
        gc.collect()
        return len(gc.get_objects()), count_fds()

    for _ in range(20):
        once()
    before = amount()
    for _ in range(50):
        once()
    after = amount()
    loop.close()
    assert after[1] == before[1]
    assert after[0] - before[0] < 25


@needs_ipv6
def test_both_families(loop):
    with listening(socket.AF_INET6, "::1") as six, listening() as four:
        infos = [stream_info(six.getsockname(), socket.AF_INET6),
                 stream_info(four.getsockname())]
        for first, family in ((infos, socket.AF_INET6),
                              (infos[::-1], socket.AF_INET)):
            with resolves(first):
                transport, _ = loop.run_until_complete(race(loop, 0.25))
            sock = transport.get_extra_info("socket")
            assert sock.family == family
            assert transport.get_extra_info("peername") == first[0][4]
            transport.abort()
            settle(loop)
