"""The tour: one unmodified asyncio program, on asyncio and on fastasync.

    python examples/tour.py [--megabytes N] [--rounds N]

tour_program.py is run in fresh processes, in turns: `python
tour_program.py` and `python -m fastasync tour_program.py`.  Nothing in the
program changes between the two.  The tour fails (exit status 1) if the
results differ in a single letter, or if fastasync was not what ran.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = HERE / "tour_program.py"
COMMANDS = {
    "asyncio": [sys.executable, str(PROGRAM)],
    "fastasync": [sys.executable, "-m", "fastasync", str(PROGRAM)],
}


def run_once(name: str, text: pathlib.Path) -> Any:
    """Run the program once; its answer with "wall" and "cpu" added."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen([*COMMANDS[name], str(text)], stdout=out,
                                 cwd=HERE)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - began
        out.seek(0)
        printed = out.read().decode()
    if child.returncode:
        raise SystemExit(f"the program failed on {name} "
                         f"(exit status {child.returncode})")
    answer = json.loads(printed.splitlines()[-1])
    answer["wall"] = wall
    answer["cpu"] = usage.ru_utime + usage.ru_stime
    return answer


def differences(left: Any, right: Any, path: str = "") -> list[str]:
    """Where two digests differ, one line each."""
    if isinstance(left, dict) and isinstance(right, dict):
        lines: list[str] = []
        for key in sorted(left.keys() | right.keys()):
            lines += differences(left.get(key), right.get(key),
                                 f"{path}/{key}")
        return lines
    if left != right:
        return [f"{path}: {left!r} on asyncio, {right!r} here"]
    return []


def check(answers: dict[str, list[Any]]) -> list[str]:
    """The list of complaints about all the answers; empty is good."""
    expected = answers["asyncio"][0]["digest"]
    complaints = []
    for name, runs in answers.items():
        for number, answer in enumerate(runs, 1):
            for line in differences(expected, answer["digest"]):
                complaints.append(f"{name}, run {number}: {line}")
            if answer["loop"].split(".")[0] != name:
                complaints.append(f"{name}, run {number}: ran on "
                                  f"{answer['loop']}")
    return complaints


def median(runs: list[Any], *keys: str) -> float:
    values: list[float] = []
    for value in runs:
        for key in keys:
            value = value[key]
        values.append(value)
    return statistics.median(values)


def print_work(digest: Any) -> None:
    http, streams = digest["http"], digest["streams"]
    timers = digest["timers"]
    print("What ran, in each process:")
    print(f"  http      {http['requests']} POST requests to an aiohttp "
          f"server, {http['words']} words, {http['distinct']} distinct")
    print(f"  streams   {streams['lines']} lines over TCP, each one answered")
    print(f"  pipeline  {streams['lines']} lines through tasks and queues, "
          f"{digest['pipeline']['words']} words")
    print(f"  tasks     {digest['tasks']['tasks']} tasks under an event, a "
          f"semaphore and a lock")
    print(f"  timers    {timers['call_at']['fired']} timers in order, "
          f"{timers['call_at']['early']} early, "
          f"{timers['timeouts']['timeout']} timeouts, cancellation and shield")
    print(f"  messages  {digest['messages']['messages']} messages over a "
          f"Unix socket, each sent back compressed")
    print(f"  meeting   {digest['meeting']['words']} words in a lock, a "
          f"condition, a barrier, three kinds of queues, a group, threads")


def print_times(answers: dict[str, list[Any]]) -> None:
    our_runs = answers["fastasync"]
    rounds = len(our_runs)
    print(f"\nTime in seconds, median of {rounds} "
          f"(wall / CPU; ratio = asyncio / fastasync):")
    print(f"  {'':10}{'asyncio':>16}{'fastasync':>16}{'ratio':>16}")
    rows: list[tuple[str, tuple[str, ...]]] = [
        (name, ("stages", name)) for name in our_runs[0]["stages"]]
    rows.append(("process", ()))
    for label, keys in rows:
        wall = [median(runs, *keys, "wall") for runs in answers.values()]
        cpu = [median(runs, *keys, "cpu") for runs in answers.values()]
        cells = [f"{w:7.3f} /{c:7.3f}" for w, c in zip(wall, cpu)]
        ratio = f"{wall[0] / wall[1]:6.2f} /{cpu[0] / cpu[1]:6.2f}"
        print(f"  {label:10}{cells[0]:>16}{cells[1]:>16}{ratio:>16}")


def need(module: str, sentence: str) -> None:
    """Leave with a sentence if the child processes cannot import *module*."""
    probe = subprocess.run([sys.executable, "-c", f"import {module}"],
                           cwd=HERE, stderr=subprocess.PIPE, text=True)
    if probe.returncode:
        last = (probe.stderr.strip().splitlines() or ["no message"])[-1]
        raise SystemExit(f"{sentence}\n({last})")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--megabytes", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    need("fastasync", "The tour needs fastasync, which cannot be imported "
         "here; `python -m pip install .` in the checkout installs it.")
    need("aiohttp", "The tour needs aiohttp, which cannot be imported here; "
         "`python -m pip install aiohttp` brings it.")
    import corpus
    with tempfile.TemporaryDirectory() as folder:
        text = pathlib.Path(folder) / "corpus.txt"
        size = corpus.build(text, int(options.megabytes * 1e6))
        print(f"Python {sys.version.split()[0]}, {PROGRAM.name}, "
              f"{size / 1e6:.1f} MB of text (the standard library's source)")
        answers: dict[str, list[Any]] = {name: [] for name in COMMANDS}
        for _ in range(options.rounds):
            for name, runs in answers.items():
                runs.append(run_once(name, text))
    print_work(answers["asyncio"][0]["digest"])
    complaints = check(answers)
    if complaints:
        print("\nThe results DIFFER:")
        print("\n".join(complaints))
        raise SystemExit(1)
    print(f"\nThe results are equal: all {2 * options.rounds} runs gave the "
          f"same counts, hashes and orders.")
    print_times(answers)


if __name__ == "__main__":
    main()
