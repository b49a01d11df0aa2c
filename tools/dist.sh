#!/usr/bin/env bash
# dist.sh PYTHON: make dist/ with an sdist and, from that sdist alone, a wheel; then
# install the wheel in a fresh virtual environment, away from this checkout, and
# run programs on it.
set -euo pipefail
python=$1
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1

"$python" -m venv "$work/build"
"$work/build/bin/python" -m pip install --quiet build
mkdir "$work/checkout"
# a clean copy: what lies about in a checkout is not part of a release
git ls-files -z | xargs -0 cp --parents -t "$work/checkout"
rm -rf dist
"$work/build/bin/python" -m build --sdist --outdir dist "$work/checkout" >"$work/log" ||
    { cat "$work/log" >&2; exit 1; }
"$work/build/bin/python" -m pip wheel --quiet --no-deps --wheel-dir dist dist/*.tar.gz

"$python" -m venv "$work/user"
"$work/user/bin/python" -m pip install --quiet --no-index dist/*.whl
cd "$work"
user=$work/user/bin/python
"$user" -m fastasync --version
"$user" -m fastasync - <<'PROGRAM'
import asyncio


async def serve(reader, writer):
    writer.write((await reader.readline()).upper())
    await writer.drain()
    writer.close()


async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"hello\n")
        assert await reader.read() == b"HELLO\n"
        writer.close()
    print("a line over TCP, on", asyncio.get_running_loop())


asyncio.run(main())
PROGRAM
[[ $(FASTASYNC_INSTALL=1 "$user" -c \
    'import asyncio; print(type(asyncio.new_event_loop()).__module__)') == fastasync ]]
(cd "$root/examples/testing" && "$user" -m unittest -q test_unittest.py)
cd "$root"
ls -l dist
