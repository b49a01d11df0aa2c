"""An ordinary asyncio program: it counts a text in five ways at once.

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

The last line of output is JSON: "digest" is what must be equal on every
loop, "stages" tells the time each stage took, "loop" what it ran on.
"""

import asyncio
import collections
import hashlib
import json
import random
import re
import sys
import time
import zlib

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


def sha(data):
    if isinstance(data, str):
        data = data.encode()
    return hashlib.sha256(data).hexdigest()


def sha_of_counts(counts):
    return sha("\n".join(f"{word} {n}" for word, n in sorted(counts.items())))


# --- http -----------------------------------------------------------------

async def handle_count(request):
    """Count the words of the posted block."""
    text = await request.text()
    number = int(request.headers["X-Block"])
    counts = collections.Counter(WORD.findall(text))
    return web.json_response({"block": number, "counts": counts})


async def start_http_server():
    app = web.Application(client_max_size=2 * BLOCK)
    app.router.add_post("/count", handle_count)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, runner.addresses[0][1]


async def read_blocks(path, queue, readers):
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


async def post_blocks(session, url, queue, answers):
    while (item := await queue.get()) is not None:
        number, text = item
        headers = {"X-Block": str(number)}
        async with session.post(url, data=text, headers=headers) as response:
            assert response.status == 200, response.status
            answers[number] = await response.json()


async def http_stage(path):
    runner, port = await start_http_server()
    queue = asyncio.Queue(maxsize=2 * POSTERS)
    answers = {}
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
    total = collections.Counter()
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

async def serve_lines(reader, writer):
    """Answer each line with its number, length and checksum."""
    number = 0
    while line := await reader.readline():
        number += 1
        writer.write(b"%d %d %08x\n" % (number, len(line), zlib.crc32(line)))
        await writer.drain()
    writer.write(b"total %d\n" % number)
    writer.close()
    await writer.wait_closed()


async def ask_about_lines(port, lines):
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


async def streams_stage(path):
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

async def split_lines(path, out):
    with open(path, encoding="utf-8", newline="\n") as file:
        for line in file:
            await out.put(line)
    await out.put(None)


async def find_words(source, out):
    while (line := await source.get()) is not None:
        words = WORD.findall(line)
        if words:
            await out.put(words)
        source.task_done()
    source.task_done()
    await out.put(None)


async def count_words(source, counts, order):
    while (words := await source.get()) is not None:
        counts.update(words)
        order.update(words[0].encode())
        source.task_done()
    source.task_done()


async def pipeline_stage(path):
    lines = asyncio.Queue(maxsize=16)
    words = asyncio.Queue(maxsize=16)
    counts = collections.Counter()
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

async def checksum_block(number, block, start, gate, lock, journal):
    await start.wait()
    async with gate:
        await asyncio.sleep(0)
        value = zlib.crc32(block)
        async with lock:
            journal.append((number, value))
            await asyncio.sleep(0)
    return value


async def tasks_stage(path):
    with open(path, "rb") as file:
        data = file.read()
    blocks = [data[i:i + 256] for i in range(0, len(data), 256)]
    start = asyncio.Event()
    gate = asyncio.Semaphore(100)
    lock = asyncio.Lock()
    journal = []
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

async def call_at_in_order():
    """Two thousand timers, set in a shuffled order, every third cancelled."""
    loop = asyncio.get_running_loop()
    numbers = list(range(2000))
    random.Random(2024).shuffle(numbers)
    base = loop.time() + 0.05
    fired = []
    early = []

    def fire(number):
        fired.append(number)
        if loop.time() < base + number * 1e-4:
            early.append(number)

    handles = {n: loop.call_at(base + n * 1e-4, fire, n) for n in numbers}
    for number in range(0, 2000, 3):
        handles[number].cancel()
    await asyncio.sleep(base + 0.25 - loop.time())
    return {"fired": len(fired), "in order": fired == sorted(fired),
            "early": len(early), "sha256": sha(repr(fired))}


async def give_up(seconds):
    try:
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().create_future()
    except TimeoutError:
        return "timeout"
    return "no timeout"


async def cancel_and_shield():
    """What wait_for, shield and cancel leave behind, as a list of words."""
    said = []

    async def stubborn():
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError as error:
            said.append(f"cancelled {error.args}")
            raise

    async def quick():
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


async def timers_stage(path):
    timers, said, *gave_up = await asyncio.gather(
        call_at_in_order(), cancel_and_shield(),
        *(give_up(0.001 * i) for i in range(1, 101)))
    return {"call_at": timers, "cancellation": said,
            "timeouts": collections.Counter(gave_up)}


# --- the whole ------------------------------------------------------------

STAGES = {
    "http": http_stage,
    "streams": streams_stage,
    "pipeline": pipeline_stage,
    "tasks": tasks_stage,
    "timers": timers_stage,
}


async def main(path):
    digest = {}
    stages = {}
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
