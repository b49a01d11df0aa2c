#!/usr/bin/env bash
# wheel.sh PYTHON FOLDER: build a wheel of this checkout with PYTHON's pip, and
# put it into FOLDER. Variables of setup.py (FASTASYNC_BUILD, ...) reach the
# build, which runs in a copy: what setuptools leaves beside its sources stays
# out of the checkout.
set -euo pipefail
python=$1 folder=$2
root=$(cd "$(dirname "$0")/.." && pwd)
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT

(cd "$root" && cp -r _fastasync _fastasync-stubs fastasync setup.py \
    pyproject.toml MANIFEST.in README.md LICENSE fastasync.pth "$source")
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps \
    --wheel-dir "$folder" "$source"
