"""A process in which one scene runs again and again, each time with a fault.

FAULTS_LIBRARY=faults.so LD_PRELOAD=faults.so python sweep.py tcp_protocol

First the scene runs undisturbed, and its system calls are written down. Then,
for each of them and for each way in which it can fail, it runs again on a new
loop, and that call fails. The scene may end in an OSError or at the end of a
connection; afterwards

    the same loop runs a clean program (echo, timer, thread),
    no file, task or thread is left, nothing was reported that is not an OSError,
    no "Exception ignored", no warning, and the loop does not spin.

What went wrong is printed, one line each; the last line is a summary.
Each fault is announced on stderr before it strikes, for the case of a crash.
"""

import argparse
import asyncio
import asyncio.constants
import contextlib
import faulthandler
import gc
import inspect
import logging
import os
import socket
import sys
import threading
import time
import traceback
import warnings

import layer as layers
import scenes

import fastasync
from _fastasync import _live_tasks as live_tasks

PATIENCE = 1.5  # seconds until a scene counts as hanging
asyncio.constants.ACCEPT_RETRY_DELAY = 0.002

BATCH = 5  # runs between two looks at the memory

#: What a scene may end in when a call fails.
EXPECTED = (OSError, EOFError, asyncio.IncompleteReadError)


# asyncio's callback of a server's task, and so ours, asked also one that was cancelled
# for its exception (3.11.7 and 3.12.1 do).
ASKS_CANCELLED = "cancelled()" not in inspect.getsource(
    asyncio.StreamReaderProtocol.connection_made
)


class Report:
    """What was said while a scene ran."""

    def __init__(self):
        self.lines = []

    def handler(self, loop, context):
        exc = context.get("exception")
        known = ASKS_CANCELLED and isinstance(exc, asyncio.CancelledError) and (
            "StreamReaderProtocol.connection_made." in context["message"]
        )
        if not isinstance(exc, EXPECTED) and not known:
            text = "".join(traceback.format_exception(exc)) if exc else ""
            self.lines.append(f"reported: {context['message']} {text}")

    def unraisable(self, info):
        text = "".join(traceback.format_exception(info.exc_value))
        self.lines.append(
            f"Exception ignored: {info.err_msg} {info.object!r} {text}"
        )

    def warning(self, message, category, *rest, **options):
        self.lines.append(f"{category.__name__}: {message}")


def open_files():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


async def healthy(loop, layer):
    """A clean program on the loop: all that matters must work."""
    await scenes.SCENES["tcp_protocol"]()
    arrived = loop.create_future()
    worker = threading.Thread(
        target=loop.call_soon_threadsafe, args=(arrived.set_result, 1)
    )
    worker.start()
    await arrived
    worker.join()
    layer.count(layers.OURS | layers.OTHERS)
    await asyncio.sleep(0.002)
    layer.end()
    waits = layer.counted("epoll_wait") + layer.counted("epoll_pwait2")
    if waits > 20:
        raise scenes.Wrong(f"the idle loop spins: {waits} waits in 2 ms")


def causes(exc):
    """The exceptions that an exception consists of."""
    if isinstance(exc, BaseExceptionGroup):
        return [cause for part in exc.exceptions for cause in causes(part)]
    return [exc]


class Sweep:
    """One scene, and everything that can go wrong in it."""

    def __init__(self, scene, scope, new_loop):
        self.scene = scenes.SCENES.get(scene)
        self.scope = scope
        self.new_loop = new_loop
        self.layer = layers.Layer()

    async def run_scene(self, start):
        start()
        try:
            await asyncio.wait_for(self.scene(), PATIENCE)
        finally:
            for transport in scenes.Echo.made:
                transport.abort()
            scenes.Echo.made.clear()
            for _ in range(4):
                await asyncio.sleep(0)
            self.layer.end()

    def live(self, start):
        """The scene that makes its loop itself."""
        start()
        try:
            scenes.whole_life(self.new_loop)
        finally:
            self.layer.end()

    def drive(self, loop, start):
        """Run the scene. Return (what it ended in, complaints)."""
        try:
            if self.scene is None:
                self.live(start)
            else:
                loop.run_until_complete(self.run_scene(start))
        except scenes.Wrong as exc:
            return "wrong", [f"wrong: {exc}"]
        except TimeoutError as exc:
            if exc.errno is None:
                return "hang", ["it hangs"]
            return "ETIMEDOUT", []
        except BaseException as exc:
            if all(isinstance(part, EXPECTED) for part in causes(exc)):
                torn = self.scene is not None and asyncio.all_tasks(loop)
                return "torn" if torn else type(exc).__name__, []
            text = "".join(traceback.format_exception(exc))
            return type(exc).__name__, [f"unexpected: {text}"]
        finally:
            self.layer.end()
            self.log = self.layer.log()
        return "success", []

    def finish(self, loop, complaints):
        """What must still work, and what must not be left."""
        try:
            self.cancel_rest(loop, complaints)
            loop.run_until_complete(
                asyncio.wait_for(healthy(loop, self.layer), PATIENCE)
            )
        except BaseException as exc:
            text = "".join(traceback.format_exception(exc))
            complaints.append(f"the loop is ill: {text}")
        loop.close()

    def cancel_rest(self, loop, complaints):
        """A loop that was stopped by an error may have left its task."""
        rest = asyncio.all_tasks(loop)
        for task in rest:
            task.cancel()
        if rest:
            loop.run_until_complete(
                asyncio.wait(rest, timeout=PATIENCE)
            )
        for task in rest:
            if not task.done():
                complaints.append(f"it cannot be cancelled: {task!r}")
        for transport in scenes.Echo.made:
            transport.abort()
        scenes.Echo.made.clear()

    def once(self, start):
        """One run on a new loop. Return (outcome, complaints)."""
        report = Report()
        before = open_files()
        threads = threading.active_count()
        tasks = len(live_tasks())
        sys.unraisablehook = report.unraisable
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = report.warning
            loop = self.new_loop()
            loop.set_exception_handler(report.handler)
            asyncio.set_event_loop(loop)
            outcome, complaints = self.drive(loop, start)
            self.finish(loop, complaints)
            asyncio.set_event_loop(None)
            del loop
            gc.collect()
        complaints += report.lines
        if outcome == "torn":
            # an error of the poller comes out of run(), in the middle of
            # anything; that the rest is untidy is as it should be
            complaints = [line for line in complaints if "is ill" in line]
        complaints += self.left(before, threads, tasks)
        return outcome, complaints

    def left(self, before, threads, tasks):
        found = []
        for fd, target in open_files().items():
            if before.get(fd) != target:
                found.append(f"file {fd} is left open: {target}")
                with contextlib.suppress(OSError):
                    os.close(fd)
        deadline = time.monotonic() + PATIENCE
        while threading.active_count() > threads:
            if time.monotonic() < deadline:  # an executor's may need a moment
                time.sleep(0.001)
                continue
            found.append("a thread is left")
            break
        if len(live_tasks()) > tasks:
            found.append("a task is left")
        return found

    def faults(self):
        """Count once; return (call, nth, way), one for each fault."""
        for _ in range(2):  # the first is different: caches
            outcome, complaints = self.once(
                lambda: self.layer.count(self.scope)
            )
        if outcome != "success" or complaints:
            raise SystemExit(f"undisturbed: {outcome} {complaints}")
        seen, found = {}, []
        for call, site in self.log:
            nth = seen.setdefault(call, 0)
            seen[call] += 1
            for way in layers.WAYS.get(call, ()):
                found.append((call, nth, site, way))
        return found


def sample(faults, most):
    """At most about `most` faults: every place in the code in every way first,
    then further calls, spread evenly."""
    if not most or len(faults) <= most:
        return faults
    first, rest, seen = [], [], set()
    for fault in faults:
        call, _, site, way = fault
        key = (call, site, way)
        (rest if key in seen else first).append(fault)
        seen.add(key)
    room = most - len(first)
    if room <= 0:
        return first
    step = max(1, -(-len(rest) // room))
    return first + rest[::step]


def without_impossible(scene, faults):
    """Leave out what cannot be, and what asyncio's own code cannot do."""
    if scene == scenes.WHOLE_LIFE:  # a loop that cannot even wait cannot tidy up
        faults = [fault for fault in faults if fault[3][2] != "EINVAL"]
    if scene in scenes.EDGES:
        faults = [fault for fault in faults if fault[3][2] != "EAGAIN"]
    method, calls = scenes.BORROWED.get(scene, (None, ()))
    function = getattr(fastasync.Loop, method or "", None)
    if not getattr(function, "__module__", "").startswith("asyncio"):
        return faults
    return [fault for fault in faults if fault[0] not in calls]


def strike(sweep, fault, repeat):
    """Run the scene with a fault, under a watchdog."""
    call, nth, _, (kind, value, _) = fault
    faulthandler.dump_traceback_later(6 * PATIENCE, exit=True)
    try:
        return sweep.once(
            lambda: sweep.layer.arm(
                sweep.scope, call, nth, repeat, kind, value
            )
        )
    finally:
        faulthandler.cancel_dump_traceback_later()


def leaks(sweep, fault, repeat):
    """Does memory grow with each time that the fault strikes?

    Caches of the interpreter fill slowly and end at some time; a leak takes at
    least a block each time, and for ever.
    """
    grown = []
    for _ in range(60):
        before = sys.getallocatedblocks()
        for _ in range(BATCH):
            strike(sweep, fault, repeat)
        grown.append(sys.getallocatedblocks() - before)
        if grown[-1] < BATCH:
            return []
    return [f"memory grows: {grown[-9:]} blocks in {BATCH} runs each"]


def describe(fault, repeat):
    call, nth, site, (_, _, text) = fault
    times = "" if repeat == 1 else f", {repeat} times"
    return f"{call} #{nth} (at {site:#x}): {text}{times}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("scene", choices=[*scenes.SCENES, scenes.WHOLE_LIFE])
    parser.add_argument("--most", type=int, default=0, help="faults at most")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--scope", choices=("ours", "others"), default="ours")
    parser.add_argument("--only", help="a part of the fault's description")
    parser.add_argument(
        "--leaks", action="store_true", help="repeat each fault, count blocks"
    )
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    scope = layers.OURS if options.scope == "ours" else layers.OTHERS

    fastasync.install()
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    faulthandler.enable()
    start = time.monotonic()
    sweep = Sweep(options.scene, scope, fastasync.new_event_loop)
    faults = sample(without_impossible(options.scene, sweep.faults()), options.most)
    gc.collect()
    gc.freeze()
    for _ in range(500 if options.leaks else 0):
        sweep.once(lambda: None)
    done, bad, outcomes = 0, 0, {}
    for fault in faults:
        name = describe(fault, options.repeat)
        if options.only and options.only not in name:
            continue
        os.write(2, f"{name}\n".encode())
        outcome, complaints = strike(sweep, fault, options.repeat)
        if options.leaks:
            complaints += leaks(sweep, fault, options.repeat)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        done += 1
        if options.verbose:
            print(f"{name}: {outcome}")
        for line in complaints:
            bad += 1
            print(f"{options.scene}: {name}: [{outcome}] {line}", flush=True)
    seconds = time.monotonic() - start
    print(
        f"summary: {options.scene}: {done} faults, {bad} complaints, "
        f"{seconds:.1f} s, {outcomes}"
    )
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
