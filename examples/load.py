"""Load for an HTTP server: keep-alive connections that check each answer.

    python load.py URL [--connections N] [--requests M] [--echo]

Opens N connections, sends M requests over each of them, one after the
other, and checks every response: the status is 200, the body is complete
and the same as that of the first response.  With --echo each request
posts a different body and the answer must be that very body.  It waits up
to ten seconds for the server to start.  The exit status is 1 if there was
any error.  It only needs Python, and runs on fastasync as well:
`python -m fastasync load.py URL`.
"""

import argparse
import asyncio
import collections
import sys
import time
import urllib.parse


class Wrong(Exception):
    """An answer that is not what was asked for."""


async def connect(
    host: str | None, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection; keeps trying while the server is still starting."""
    for attempt in range(100):
        try:
            return await asyncio.open_connection(host, port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.1)
    raise Wrong(f"nobody listens on {host}:{port}")


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """The status and the headers (names in lower case) of a response."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *rest = head.split("\r\n")
    headers = {}
    for line in filter(None, rest):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(first.split(" ")[1]), headers


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        size = int((await reader.readline()).split(b";")[0], 16)
        piece = await reader.readexactly(size + 2)
        if not piece.endswith(b"\r\n"):
            raise Wrong("a chunk is longer than it says")
        if not size:
            return bytes(body)
        body += piece[:-2]


async def read_response(reader: asyncio.StreamReader) -> bytes:
    status, headers = await read_head(reader)
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    elif headers.get("transfer-encoding") == "chunked":
        body = await read_chunks(reader)
    else:
        raise Wrong("a response of unknown length")
    if headers.get("connection", "").lower() == "close":
        raise Wrong("the server closes a keep-alive connection")
    if status != 200:
        raise Wrong(f"status {status}")
    return body


def make_request(url: urllib.parse.SplitResult, body: bytes | None) -> bytes:
    """The bytes of one request; a POST if there is a body."""
    path = url.path or "/"
    if url.query:
        path += "?" + url.query
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1",
             f"Host: {url.netloc}"]
    if body is not None:
        lines += ["Content-Type: application/octet-stream",
                  f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


class Load:
    """What all connections share: the task and the counts."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.url = urllib.parse.urlsplit(options.url)
        self.options = options
        self.expected: bytes | None = None
        self.answered = 0
        self.received = 0
        self.errors: collections.Counter[str] = collections.Counter()

    def body(self, connection: int, number: int) -> bytes | None:
        if not self.options.echo:
            return None
        line = f"connection {connection}, request {number}\n".encode()
        return line * (1 + (connection + number) % 50)

    def check(self, sent: bytes | None, body: bytes) -> None:
        if sent is not None:
            if body != sent:
                raise Wrong("the echo is not what was sent")
        elif self.expected is None:
            self.expected = body
        elif body != self.expected:
            raise Wrong("the body differs from the first one")
        self.answered += 1
        self.received += len(body)

    async def exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
        connection: int,
    ) -> None:
        for number in range(self.options.requests):
            sent = self.body(connection, number)
            writer.write(make_request(self.url, sent))
            await writer.drain()
            body = await asyncio.wait_for(read_response(reader),
                                          self.options.timeout)
            self.check(sent, body)

    async def one_connection(self, connection: int) -> None:
        writer = None
        try:
            reader, writer = await connect(self.url.hostname,
                                           self.url.port or 80)
            await self.exchange(reader, writer, connection)
        except (Wrong, OSError, EOFError, TimeoutError, ValueError,
                asyncio.LimitOverrunError) as error:
            self.errors[f"{type(error).__name__}: {error}"] += 1
        finally:
            if writer is not None:
                writer.close()

    async def run(self) -> float:
        """The seconds it took, counted from when the server answers."""
        _, probe = await connect(self.url.hostname, self.url.port or 80)
        probe.close()
        began = time.perf_counter()
        await asyncio.gather(*map(self.one_connection,
                                  range(self.options.connections)))
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--timeout", type=float, default=30.0)
    parser.add_argument("--echo", action="store_true")
    load = Load(parser.parse_args())
    try:
        seconds = asyncio.run(load.run())
    except Wrong as error:
        sys.exit(str(error))
    wanted = load.options.connections * load.options.requests
    print(f"{load.answered} of {wanted} requests answered correctly in "
          f"{seconds:.2f} s ({load.answered / seconds:.0f} per second, "
          f"{load.received} bytes)")
    for text, count in load.errors.most_common():
        print(f"  error on {count} connections: {text}")
    if load.answered != wanted:
        sys.exit(1)


if __name__ == "__main__":
    main()
