"""An ordinary asyncio program: it works through a text in seven ways.

It knows nothing about fastasync.  `python tour_program.py TEXT` runs it on
asyncio, `python -m fastasync tour_program.py TEXT` on fastasync; tour.py
does both and compares what they print.

The stages, each of them on the whole text:

    http      an aiohttp server counts the words of blocks of text that a
              pool of tasks with an aiohttp client posts to it
    streams   lines go over TCP to a start_server() line server, which
              answers each of them; four connections at a time
    pipeline  lines pass through tasks connected by bounded queues
    tasks     one task per block; locks, semaphores, events, gather
    timers    call_at, sleep, timeout, wait_for, shield, cancellation
    messages  blocks go over a Unix socket as messages, each with a header
              line and a length: readuntil, readexactly, writelines
    meeting   words meet in a lock, a condition, a barrier, queues of every
              kind; task groups, wait, as_completed, timeouts, threads

The last line of output is JSON: "digest" is what must be equal on every
loop, "stages" tells the time each stage took, "loop" what it ran on.
"""

from __future__ import annotations

import asyncio
import collections
import hashlib
import json
import random
import re
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

try:
    import aiohttp
    from aiohttp import web
except ImportError as error:
    sys.exit(f"the tour needs aiohttp, which cannot be imported here "
             f"({error}); `python -m pip install aiohttp` brings it")

WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
BLOCK = 4 * 1024
POSTERS = 8
CONNECTIONS = 4
WINDOW = 32
Block = tuple[int, str]
T = TypeVar("T")


def sha(data: str | bytes) -> str:
    if isinstance(data, str):
        data = data.encode()
    return hashlib.sha256(data).hexdigest()


def sha_of_counts(counts: collections.Counter[str]) -> str:
    return sha("\n".join(f"{word} {n}" for word, n in sorted(counts.items())))


# --- http -----------------------------------------------------------------

async def handle_count(request: web.Request) -> web.Response:
    """Count the words of the posted block."""
    text = await request.text()
    number = int(request.headers["X-Block"])
    counts = collections.Counter(WORD.findall(text))
    return web.json_response({"block": number, "counts": counts})


async def start_http_server() -> tuple[web.AppRunner, int]:
    app = web.Application(client_max_size=2 * BLOCK)
    app.router.add_post("/count", handle_count)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, runner.addresses[0][1]


async def read_blocks(path: str, queue: asyncio.Queue[Block | None],
                      readers: int) -> int:
    """Put (number, text) of whole lines into *queue*, then one end each."""
    loop = asyncio.get_running_loop()
    number = 0
    rest = b""
    with open(path, "rb") as file:
        while True:
            data = await loop.run_in_executor(None, file.read, 16 * BLOCK)
            whole = rest + data
            while len(whole) >= BLOCK or (whole and not data):
                end = whole.rfind(b"\n", 0, BLOCK) + 1 or len(whole)
                await queue.put((number, whole[:end].decode()))
                number += 1
                whole = whole[end:]
            rest = whole
            if not data:
                break
    for _ in range(readers):
        await queue.put(None)
    return number


async def post_blocks(session: aiohttp.ClientSession, url: str,
                      queue: asyncio.Queue[Block | None],
                      answers: dict[int, Any]) -> None:
    while (item := await queue.get()) is not None:
        number, text = item
        headers = {"X-Block": str(number)}
        async with session.post(url, data=text, headers=headers) as response:
            assert response.status == 200, response.status
            answers[number] = await response.json()


async def http_stage(path: str) -> dict[str, Any]:
    runner, port = await start_http_server()
    queue: asyncio.Queue[Block | None] = asyncio.Queue(maxsize=2 * POSTERS)
    answers: dict[int, Any] = {}
    url = f"http://127.0.0.1:{port}/count"
    try:
        async with aiohttp.ClientSession() as session:
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(read_blocks(path, queue, POSTERS))
                for _ in range(POSTERS):
                    group.create_task(post_blocks(session, url, queue,
                                                  answers))
    finally:
        await runner.cleanup()
    total: collections.Counter[str] = collections.Counter()
    for number in range(reader.result()):
        assert answers[number]["block"] == number
        total.update(answers[number]["counts"])
    return {
        "requests": reader.result(),
        "words": sum(total.values()),
        "distinct": len(total),
        "most common": sorted(total.items(), key=lambda p: (-p[1], p[0]))[:5],
        "sha256 of counts": sha_of_counts(total),
    }


# --- streams --------------------------------------------------------------

async def serve_lines(reader: asyncio.StreamReader,
                      writer: asyncio.StreamWriter) -> None:
    """Answer each line with its number, length and checksum."""
    number = 0
    while line := await reader.readline():
        number += 1
        writer.write(b"%d %d %08x\n" % (number, len(line), zlib.crc32(line)))
        await writer.drain()
    writer.write(b"total %d\n" % number)
    writer.close()
    await writer.wait_closed()


async def ask_about_lines(port: int, lines: list[bytes]) -> str:
    """Send *lines*, at most WINDOW of them unanswered; hash the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = hashlib.sha256()
    try:
        for start in range(0, len(lines), WINDOW):
            window = lines[start:start + WINDOW]
            for line in window:
                writer.write(line)
            await writer.drain()
            for _ in window:
                answers.update(await reader.readline())
        writer.write_eof()
        answers.update(await reader.read())
    finally:
        writer.close()
        await writer.wait_closed()
    return answers.hexdigest()


async def streams_stage(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:
        lines = file.readlines()
    server = await asyncio.start_server(serve_lines, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        hashes = await asyncio.gather(
            *(ask_about_lines(port, lines[i::CONNECTIONS])
              for i in range(CONNECTIONS)))
    return {"lines": len(lines), "sha256 of answers": hashes}


# --- pipeline -------------------------------------------------------------

async def split_lines(path: str, out: asyncio.Queue[str | None]) -> None:
    with open(path, encoding="utf-8", newline="\n") as file:
        for line in file:
            await out.put(line)
    await out.put(None)


async def find_words(source: asyncio.Queue[str | None],
                     out: asyncio.Queue[list[str] | None]) -> None:
    while (line := await source.get()) is not None:
        words = WORD.findall(line)
        if words:
            await out.put(words)
        source.task_done()
    source.task_done()
    await out.put(None)


async def count_words(source: asyncio.Queue[list[str] | None],
                      counts: collections.Counter[str], order: Any) -> None:
    while (words := await source.get()) is not None:
        counts.update(words)
        order.update(words[0].encode())
        source.task_done()
    source.task_done()


async def pipeline_stage(path: str) -> dict[str, Any]:
    lines: asyncio.Queue[str | None] = asyncio.Queue(maxsize=16)
    words: asyncio.Queue[list[str] | None] = asyncio.Queue(maxsize=16)
    counts: collections.Counter[str] = collections.Counter()
    order = hashlib.sha256()
    async with asyncio.TaskGroup() as group:
        group.create_task(split_lines(path, lines))
        group.create_task(find_words(lines, words))
        group.create_task(count_words(words, counts, order))
    await lines.join()
    await words.join()
    return {
        "words": sum(counts.values()),
        "sha256 of counts": sha_of_counts(counts),
        "sha256 of order": order.hexdigest(),
    }


# --- tasks ----------------------------------------------------------------

async def checksum_block(number: int, block: bytes, start: asyncio.Event,
                         gate: asyncio.Semaphore, lock: asyncio.Lock,
                         journal: list[tuple[int, int]]) -> int:
    await start.wait()
    async with gate:
        await asyncio.sleep(0)
        value = zlib.crc32(block)
        async with lock:
            journal.append((number, value))
            await asyncio.sleep(0)
    return value


async def tasks_stage(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:
        data = file.read()
    blocks = [data[i:i + 256] for i in range(0, len(data), 256)]
    start = asyncio.Event()
    gate = asyncio.Semaphore(100)
    lock = asyncio.Lock()
    journal: list[tuple[int, int]] = []
    tasks = [asyncio.create_task(
                checksum_block(i, block, start, gate, lock, journal))
             for i, block in enumerate(blocks)]
    asyncio.get_running_loop().call_soon(start.set)
    values = await asyncio.gather(*tasks)
    return {
        "tasks": len(tasks),
        "sha256 of results": sha(repr(values)),
        "sha256 of order": sha(repr(journal)),
    }


# --- timers ---------------------------------------------------------------

async def call_at_in_order() -> dict[str, Any]:
    """Two thousand timers, set in a shuffled order, every third cancelled."""
    loop = asyncio.get_running_loop()
    numbers = list(range(2000))
    random.Random(2024).shuffle(numbers)
    base = loop.time() + 0.05
    fired: list[int] = []
    early: list[int] = []

    def fire(number: int) -> None:
        fired.append(number)
        if loop.time() < base + number * 1e-4:
            early.append(number)

    handles = {n: loop.call_at(base + n * 1e-4, fire, n) for n in numbers}
    for number in range(0, 2000, 3):
        handles[number].cancel()
    await asyncio.sleep(base + 0.25 - loop.time())
    return {"fired": len(fired), "in order": fired == sorted(fired),
            "early": len(early), "sha256": sha(repr(fired))}


async def give_up(seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().create_future()
    except TimeoutError:
        return "timeout"
    return "no timeout"


async def cancel_and_shield() -> list[str]:
    """What wait_for, shield and cancel leave behind, as a list of words."""
    said: list[str] = []

    async def stubborn() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError as error:
            said.append(f"cancelled {error.args}")
            raise

    async def quick() -> str:
        await asyncio.sleep(0.02)
        return "shielded"

    try:
        await asyncio.wait_for(stubborn(), 0.01)
    except TimeoutError:
        said.append("wait_for gave up")
    inner = asyncio.ensure_future(quick())
    outer = asyncio.shield(inner)
    outer.cancel()
    try:
        await outer
    except asyncio.CancelledError:
        said.append("shield cancelled")
    said.append(await inner)
    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    task.cancel("enough")
    results = await asyncio.gather(task, return_exceptions=True)
    said.append(type(results[0]).__name__)
    return said


async def timers_stage(path: str) -> dict[str, Any]:
    timers, said, *gave_up = await asyncio.gather(
        call_at_in_order(), cancel_and_shield(),
        *(give_up(0.001 * i) for i in range(1, 101)))
    return {"call_at": timers, "cancellation": said,
            "timeouts": collections.Counter(gave_up)}


# --- messages -------------------------------------------------------------

async def answer_messages(reader: asyncio.StreamReader,
                          writer: asyncio.StreamWriter) -> None:
    """Send each message back, compressed; end at an empty header."""
    async with asyncio.timeout(60):
        while (header := await reader.readuntil(b"\n")) != b"\n":
            number, size = map(int, header.split())
            packed = zlib.compress(await reader.readexactly(size), 1)
            writer.writelines([b"%d %d\n" % (number, len(packed)), packed])
            await writer.drain()
    writer.close()
    await writer.wait_closed()


async def read_answers(reader: asyncio.StreamReader, count: int,
                       digest: Any) -> str | None:
    for expected in range(count):
        number, size = map(int, (await reader.readuntil()).split())
        assert number == expected
        digest.update(zlib.decompress(await reader.readexactly(size)))
    try:
        await reader.readexactly(1)
    except asyncio.IncompleteReadError as error:
        return f"the end: {error}"
    return None


async def messages_stage(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:
        data = file.read()
    blocks = [data[i:i + 3000] for i in range(0, len(data), 3000)]
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/socket"
        server = await asyncio.start_unix_server(answer_messages, address)
        async with server:
            reader, writer = await asyncio.open_unix_connection(address)
            answers = asyncio.create_task(
                read_answers(reader, len(blocks), digest))
            for number, block in enumerate(blocks):
                writer.write(b"%d %d\n" % (number, len(block)))
                writer.write(block)
                await writer.drain()
            writer.write(b"\n")
            said = await answers
            writer.close()
            await writer.wait_closed()
    return {"messages": len(blocks), "end": said,
            "equal": digest.hexdigest() == sha(data)}


# --- meeting --------------------------------------------------------------

async def sort_in_a_queue(words: list[str],
                          queue: asyncio.Queue[str]) -> list[Any]:
    """Four tasks fill a queue, round by round; then it is emptied."""
    barrier = asyncio.Barrier(4)
    places = hashlib.sha256()

    async def fill(part: list[str]) -> int:
        for start in range(0, len(part), 500):
            for word in part[start:start + 500]:
                await queue.put(word)
            places.update(b"%d" % await barrier.wait())
        return len(part)

    size = len(words) // 4
    counts = await asyncio.gather(
        *(fill(words[i * size:(i + 1) * size]) for i in range(4)))
    order = hashlib.sha256()
    while not queue.empty():
        order.update((await queue.get()).encode())
        queue.task_done()
    await queue.join()
    return [sum(counts), order.hexdigest(), places.hexdigest()]


async def take_turns(words: list[str]) -> bool:
    """Eight tasks say one word each in turn, under one condition."""
    condition = asyncio.Condition()
    said = hashlib.sha256()
    turn = 0

    async def speak(who: int) -> None:
        nonlocal turn
        for word in words[who::8]:
            async with condition:
                await condition.wait_for(lambda: turn % 8 == who)
                said.update(word.encode())
                turn += 1
                condition.notify_all()

    async with asyncio.TaskGroup() as group:
        for who in range(8):
            group.create_task(speak(who))
    return said.hexdigest() == sha("".join(words[:turn]))


async def share_a_lock(words: list[str]) -> list[str] | None:
    """Sixteen tasks, at most three at a time, with one lock in the end."""
    lock = asyncio.Lock()
    gate = asyncio.BoundedSemaphore(3)
    order = hashlib.sha256()

    async def work(who: int) -> None:
        for word in words[who::16]:
            async with gate, lock:
                order.update(b"%d %s" % (who, word.encode()))
                await asyncio.sleep(0)

    await asyncio.wait([asyncio.create_task(work(who)) for who in range(16)])
    try:
        gate.release()
    except ValueError as error:
        return [order.hexdigest(), str(error)]
    return None


async def after_turns(turns: int, value: T) -> T:
    for _ in range(turns):
        await asyncio.sleep(0)
    if value == "bad":
        raise ValueError(f"after {turns} turns")
    return value


async def who_is_first() -> tuple[list[int], list[list[str]], str]:
    """wait and as_completed: who is done, in which order, and who fails."""
    order = [await task for task in asyncio.as_completed(
        [after_turns(turns, turns) for turns in (5, 2, 9, 1, 7)])]
    tasks = [asyncio.create_task(after_turns(n, v), name=f"{v} {n}")
             for n, v in ((9, "late"), (3, "bad"), (2, "early"))]
    counts = []
    for until in (asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION,
                  asyncio.ALL_COMPLETED):
        done, pending = await asyncio.wait(tasks, return_when=until)
        counts.append(sorted(task.get_name() for task in done))
    return order, counts, repr(tasks[1].exception())


async def fall_apart() -> tuple[list[str], bool]:
    """A task group whose tasks fail, in a timeout that does not pass."""
    said: list[str] = []

    async def careful() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            said.append("cleaned up")

    limit = asyncio.timeout(60)
    try:
        async with limit, asyncio.TaskGroup() as group:
            for turns in (2, 3, 3):
                group.create_task(after_turns(turns, "bad"))
            group.create_task(careful())
    except* ValueError as errors:
        said += [str(error) for error in errors.exceptions]
    return said, limit.expired()


async def run_out_of_time() -> list[Any] | None:
    """Timeouts inside of timeouts: which one has expired?"""
    outer, inner = asyncio.timeout(None), asyncio.timeout(60)
    expired = False
    try:
        async with outer:
            try:
                async with inner:
                    outer.reschedule(asyncio.get_running_loop().time())
                    await asyncio.Queue(1).get()
            finally:
                expired = inner.expired()
    except TimeoutError as error:
        return [expired, outer.expired(), repr(error),
                type(error.__cause__).__name__]
    return None


async def go_through_threads(words: list[str]) -> tuple[int, int]:
    """Threads that count, and that ask the loop for each word's length."""
    loop = asyncio.get_running_loop()

    async def length(word: str) -> int:
        return len(word)

    def ask() -> list[int]:
        return [asyncio.run_coroutine_threadsafe(length(word), loop).result()
                for word in words[:200]]

    counted, asked = await asyncio.gather(
        asyncio.to_thread(collections.Counter[str], words), asyncio.to_thread(ask))
    return len(counted), sum(asked)


async def meeting_stage(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        words = WORD.findall(file.read())[:20000]
    return {
        "words": len(words),
        "queues": [await sort_in_a_queue(words, kind())
                   for kind in (asyncio.Queue, asyncio.LifoQueue,
                                asyncio.PriorityQueue)],
        "turns": await take_turns(words[:4000]),
        "lock": await share_a_lock(words),
        "first": await who_is_first(),
        "group": await fall_apart(),
        "timeouts": await run_out_of_time(),
        "threads": await go_through_threads(words),
    }


# --- the whole ------------------------------------------------------------

STAGES: dict[str, Callable[[str], Coroutine[Any, Any, dict[str, Any]]]] = {
    "http": http_stage,
    "streams": streams_stage,
    "pipeline": pipeline_stage,
    "tasks": tasks_stage,
    "timers": timers_stage,
    "messages": messages_stage,
    "meeting": meeting_stage,
}


async def main(path: str) -> dict[str, Any]:
    digest: dict[str, Any] = {}
    stages: dict[str, dict[str, float]] = {}
    for name, stage in STAGES.items():
        wall, cpu = time.perf_counter(), time.process_time()
        digest[name] = await stage(path)
        stages[name] = {"wall": time.perf_counter() - wall,
                        "cpu": time.process_time() - cpu}
    loop = type(asyncio.get_running_loop())
    return {
        "loop": f"{loop.__module__}.{loop.__qualname__}",
        "digest": digest,
        "stages": stages,
    }


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} TEXT")
    print(json.dumps(asyncio.run(main(sys.argv[1]))))
