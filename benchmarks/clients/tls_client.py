"""Load for the TLS echo rows: blocking ssl sockets, all in one thread.

    python tls_client.py HOST:PORT CONNECTIONS SIZE SECONDS SERVER_PID CERTIFICATE

Each turn sends one message on every connection and reads it back, comparing the
bytes.  What counts is the server's CPU time, which the kernel tells for any
process; that this client is slower than the C one moves it little.
"""

import json
import socket
import ssl
import sys
import time


def cpu_clock(pid: int) -> int:
    """Return the id of the CPU-time clock of a process."""
    return (~pid << 3) | 2


def connect(host: str, port: int, certificate: str) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=certificate)
    plain = socket.create_connection((host, port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname="localhost")


def turn(sockets: list[ssl.SSLSocket], message: bytes, buffer: memoryview) -> None:
    for sock in sockets:
        sock.sendall(message)
    for sock in sockets:
        filled = 0
        while filled < len(message):
            got = sock.recv_into(buffer[filled:], len(message) - filled)
            if got == 0:
                raise RuntimeError("the server has closed the connection")
            filled += got
        if buffer != message:
            raise RuntimeError("other bytes came back")


def main() -> None:
    address, connections, size, seconds, pid, certificate = sys.argv[1:]
    host, port = address.rsplit(":", 1)
    sockets = [
        connect(host, int(port), certificate) for _ in range(int(connections))
    ]
    message = bytes(i % 251 for i in range(int(size)))
    buffer = memoryview(bytearray(len(message)))
    for _ in range(20):
        turn(sockets, message, buffer)
    clock, messages = cpu_clock(int(pid)), 0
    cpu, own = time.clock_gettime_ns(clock), time.process_time_ns()
    start = time.monotonic_ns()
    end = start + int(float(seconds) * 1e9)
    while (now := time.monotonic_ns()) < end:
        turn(sockets, message, buffer)
        messages += len(sockets)
    told = {
        "messages": messages,
        "server_cpu_ns": time.clock_gettime_ns(clock) - cpu,
        "client_cpu_ns": time.process_time_ns() - own,
        "wall_ns": now - start,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
