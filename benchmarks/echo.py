"""Echo rows: CPU time of the whole server process per message.

The client (clients/echo_client.c) is a C program in its own process, so it is
cheaper than any server it drives; it compares every byte.  Where the machine has
two CPUs or more, server and client are pinned to one each: a placement that the
scheduler chooses anew in each cell moves the numbers more than the loops do.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from build import binary
from loops import LIMIT
from procs import CLIENT_CPU, HERE, Server, loop_server

CONNECTIONS = 10
SIZES = {"1k": 1024, "100k": 102_400}


@dataclass(frozen=True)
class Echo:
    """One row: a mode of echo_server.py and a message size."""

    mode: str
    size: str

    @property
    def name(self) -> str:
        return f"{self.mode}_{self.size}_x{CONNECTIONS}"

    @property
    def limit_kind(self) -> str:
        """Which socket the limit server opens for this mode."""
        return {"unix_proto": "unix", "udp": "udp"}.get(self.mode, "tcp")


STREAM_MODES = ("tcp_proto", "tcp_buf", "unix_proto", "stream", "stream_line", "sock")
ECHO_ROWS = (
    *(Echo(mode, size) for mode in STREAM_MODES for size in SIZES),
    Echo("udp", "1k"),  # a datagram cannot hold 100 KB
)
TLS_ROWS = (
    Echo("tls_proto", "1k"),
    Echo("tls_proto", "100k"),
    Echo("tls_stream", "1k"),
    Echo("tls_stream", "100k"),
)


def server_for(row: Echo, loop: str, folder: str) -> Server:
    path = f"{folder}/echo.sock"
    if loop != LIMIT:
        return loop_server("echo_server.py", loop, row.mode, path)
    kind = row.limit_kind
    return Server([binary("echo_epoll"), kind, *([path] if kind == "unix" else [])])


def run_client(name: str, *arguments: str) -> dict[str, float]:
    """Run a C load client to its end and return what it printed."""
    command = [*CLIENT_CPU.prefix(), binary(name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"{name}: {done.stderr.strip()}")
    result: dict[str, float] = json.loads(done.stdout)
    return result


def make_certificate(folder: str) -> str:
    """Make a key and a certificate for `localhost`; return the latter's path."""
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days"]
    command += ["30", "-subj", "/CN=localhost", "-addext", names]
    command += ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"]
    subprocess.run(command, check=True, capture_output=True)
    return f"{folder}/cert.pem"


def run_tls_client(row: Echo, server: Server, certificate: str, seconds: float) -> str:
    script = str(HERE / "clients" / "tls_client.py")
    command = [*CLIENT_CPU.prefix(), sys.executable, script, server.address]
    command += [str(CONNECTIONS), str(SIZES[row.size]), str(seconds)]
    command += [str(server.pid), certificate]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"tls_client.py: {done.stderr.strip()}")
    return done.stdout


def run_tls(row: Echo, loop: str, seconds: float, _quick: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(folder)
        with loop_server("echo_server.py", loop, row.mode, folder) as server:
            told = json.loads(run_tls_client(row, server, certificate, seconds))
    return per_message(told)


def per_message(told: dict[str, float]) -> dict[str, float]:
    messages = told["messages"]
    return {
        "value": told["server_cpu_ns"] / messages,
        "operations": messages,
        "per_second": messages * 1e9 / told["wall_ns"],
        "client_cpu_ns": told["client_cpu_ns"] / messages,
    }


def run_echo(row: Echo, loop: str, seconds: float, _quick: bool) -> dict[str, float]:
    with (
        tempfile.TemporaryDirectory() as folder,
        server_for(row, loop, folder) as server,
    ):
        told = run_client(
            "echo_client",
            server.address,
            str(CONNECTIONS),
            str(SIZES[row.size]),
            str(seconds),
            str(server.pid),
        )
    return per_message(told)
