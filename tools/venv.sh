#!/usr/bin/env bash
# venv.sh PYTHON FOLDER [EXTRA...]: make FOLDER a virtual environment of PYTHON
# with this checkout installed in it, and the extras named (test, examples, ...).
# A FOLDER of another Python is made anew. Variables of setup.py (FASTASYNC_BUILD, ...)
# reach the build.
set -euo pipefail
python=$1 folder=$2
shift 2
tools=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

which='import sys; print(sys.version, sys.base_prefix)'
wanted=$("$python" -c "$which")
if [[ $("$folder/bin/python" -c "$which" 2>/dev/null) != "$wanted" ]]; then
    rm -rf "$folder"
    "$python" -m venv "$folder"
fi
install() {
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

"$tools/wheel.sh" "$folder/bin/python" "$scratch"
install --force-reinstall --no-deps "$scratch"/fastasync-*.whl
for extra in "$@"; do
    install "fastasync[$extra]"
done
