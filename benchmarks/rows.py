"""All rows of the table: what each is called, and how one cell of it is measured."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from build import binary, compiler
from echo import ECHO_ROWS, SIZES, TLS_ROWS, run_echo, run_tls
from http_load import CONNECTIONS, FRAMEWORKS, missing, run_http
from loops import LIMIT
from memory import idle_conn_bytes
from micro import REGISTRY, Micro
from procs import HERE

GROUPS = ("micro", "memory", "echo", "http")
CELL_TIMEOUT = 300.0

# (loop, seconds, quick) -> {"value": ..., and what else is worth keeping}
Measure = Callable[[str, float, bool], dict[str, float]]


@dataclass(frozen=True)
class Row:
    name: str
    group: str
    unit: str
    doc: str
    measure: Measure
    missing: str = ""  # why this interpreter or machine cannot run the row
    limit: bool = False  # a bare C program does the same work


def in_fresh_process(
    row: str, loop: str, seconds: float, quick: bool
) -> dict[str, float]:
    command = [sys.executable, str(HERE / "cell.py"), row, loop, str(seconds)]
    done = subprocess.run(
        [*command, *(["--quick"] if quick else [])],
        capture_output=True,
        text=True,
        timeout=CELL_TIMEOUT,
    )
    if not done.stdout:  # it did not even get to report an error
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr.strip()}")
    result: dict[str, float] = json.loads(done.stdout)
    if "error" in result:
        raise RuntimeError(result["error"])
    return result


def spawn_limit(seconds: float) -> dict[str, float]:
    command = [binary("spawn_wait"), str(seconds)]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return {
        "value": told["wall_ns"] / told["operations"],
        "operations": told["operations"],
    }


def measure_spawn(loop: str, seconds: float, quick: bool) -> dict[str, float]:
    if loop == LIMIT:
        return spawn_limit(seconds)
    return in_fresh_process("spawn_true", loop, seconds, quick)


def micro_row(micro: Micro) -> Row:
    is_spawn = micro.name == "spawn_true"
    version = ".".join(map(str, micro.since))
    return Row(
        name=micro.name,
        group="micro",
        unit="ns",
        doc=micro.doc,
        measure=measure_spawn if is_spawn else partial(in_fresh_process, micro.name),
        missing="" if micro.available else f"needs Python {version}",
        limit=is_spawn,
    )


def memory_rows() -> list[Row]:
    return [
        Row(
            "idle_task_bytes",
            "memory",
            "bytes",
            "Resident bytes per task that waits on one asyncio.Event.",
            partial(in_fresh_process, "idle_task_bytes"),
        ),
        Row(
            "idle_conn_bytes",
            "memory",
            "bytes",
            "Resident bytes of a Protocol server per idle TCP connection.",
            idle_conn_bytes,
        ),
    ]


def needs(packages: str) -> str:
    """Why a row with C helpers and these packages cannot run, or ""."""
    lacking = packages if compiler() else "a C compiler"
    return f"needs {lacking}" if lacking else ""


def echo_rows() -> list[Row]:
    return [
        Row(
            row.name,
            "echo",
            "ns",
            f"Server CPU per {SIZES[row.size]}-byte message, mode {row.mode}.",
            partial(run_echo, row),
            missing=needs(""),
            limit=True,
        )
        for row in ECHO_ROWS
    ] + [
        Row(
            row.name,
            "echo",
            "ns",
            f"Server CPU per {SIZES[row.size]}-byte message, mode {row.mode}.",
            partial(run_tls, row),
            missing="" if shutil.which("openssl") else "needs the openssl command",
        )
        for row in TLS_ROWS
    ]


def http_rows() -> list[Row]:
    return [
        Row(
            f"{framework}_plaintext",
            "http",
            "us",
            f"Server CPU per request, {CONNECTIONS} connections.",
            partial(run_http, framework),
            missing=needs(missing(framework)),
        )
        for framework in FRAMEWORKS
    ]


def all_rows() -> dict[str, Row]:
    rows = [micro_row(micro) for micro in REGISTRY.values()]
    rows += memory_rows() + echo_rows() + http_rows()
    return {row.name: row for row in rows}
