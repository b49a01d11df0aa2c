"""HTTP rows: CPU time of the server process per plaintext request, 64 connections.

The load is wrk where it is installed (Debian package `wrk`), else our own client.
wrk does not look at bodies, so our client first drives the server and compares
every response; during wrk's run its exact totals must agree: no error of any kind,
and as many bytes as requests times the length of the response that was checked.
"""

import importlib.util
import json
import shutil
import subprocess

from build import HERE
from echo import run_client
from http_server import BODY
from procs import CLIENT_CPU, Server, cpu_ns, loop_server

CONNECTIONS = 64
FRAMEWORKS = {"uvicorn": ("uvicorn", "httptools"), "aiohttp": ("aiohttp",)}
CHECK_SECONDS = 0.4


def missing(framework: str) -> str:
    """The first package this row needs and does not find, or ""."""
    for package in FRAMEWORKS[framework]:
        if importlib.util.find_spec(package) is None:
            return package
    return ""


def own_load(server: Server, seconds: float) -> dict[str, float]:
    return run_client(
        "http_client",
        server.address,
        str(CONNECTIONS),
        BODY.decode(),
        str(seconds),
        str(server.pid),
    )


def wrk(server: Server, seconds: int) -> dict[str, float]:
    command = [
        *CLIENT_CPU.prefix(),
        "wrk",
        "-t2",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "-s",
        str(HERE / "clients" / "wrk_report.lua"),
        f"http://{server.address}/",
    ]
    before = cpu_ns(server.pid)
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    spent = cpu_ns(server.pid) - before
    for line in done.stdout.splitlines():
        if line.startswith("REPORT "):
            report: dict[str, float] = json.loads(line.removeprefix("REPORT "))
            report["server_cpu_ns"] = spent
            return report
    raise RuntimeError(f"wrk: {done.stdout}{done.stderr}")


def check(report: dict[str, float], checked: dict[str, float]) -> None:
    """wrk's totals against the response our client found right."""
    if report["errors"]:
        raise RuntimeError(f"wrk counted {report['errors']:.0f} errors")
    length = checked["bytes"] / checked["messages"]
    surplus = report["bytes"] - report["messages"] * length
    # A response may be half read at the end on each connection, never more.
    if not 0 <= surplus <= CONNECTIONS * length:
        raise RuntimeError(
            f"{report['bytes']:.0f} bytes in {report['messages']:.0f} responses "
            f"of {length:g} bytes"
        )


def run_http(
    framework: str, loop: str, seconds: float, _quick: bool
) -> dict[str, float]:
    with loop_server("http_server.py", loop, framework) as server:
        if shutil.which("wrk"):
            checked = own_load(server, CHECK_SECONDS)
            report = wrk(server, max(1, round(seconds)))
            check(report, checked)
        else:
            report = own_load(server, seconds)
    requests = report["messages"]
    return {
        "value": report["server_cpu_ns"] / requests / 1000,
        "operations": requests,
        "per_second": requests * 1e9 / report["wall_ns"],
    }
