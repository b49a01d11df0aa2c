#!/usr/bin/env bash
# venv.sh PYTHON FOLDER [EXTRA...]: make FOLDER a virtual environment of PYTHON
# with this checkout installed in it, and the extras named (test, examples, ...).
# Variables of setup.py (FASTASYNC_BUILD, ...) reach the build, which runs in a
# copy: what setuptools leaves beside its sources stays out of the checkout.
set -euo pipefail
python=$1 folder=$2
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if ! "$folder/bin/python" -c "" 2>/dev/null; then
    rm -rf "$folder"
    "$python" -m venv "$folder"
fi
pip() {
    "$folder/bin/python" -m pip "$1" --quiet --disable-pip-version-check "${@:2}"
}

mkdir "$scratch/source"
(cd "$root" && cp -r _fastasync _fastasync-stubs fastasync setup.py pyproject.toml MANIFEST.in \
    README.md LICENSE "$scratch/source")
pip wheel --no-deps --wheel-dir "$scratch" "$scratch/source"
pip install --force-reinstall --no-deps "$scratch"/fastasync-*.whl
for extra in "$@"; do
    pip install "fastasync[$extra]"
done
