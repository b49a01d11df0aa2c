#!/usr/bin/env bash
# pgo.sh PYTHON FOLDER [benchmark arguments]: build a wheel with profile-guided
# optimisation into FOLDER, and measure it against a plain one.
#
# The training is the benchmarks themselves: the micro rows and the echo servers.
# Needs gcc.
set -euo pipefail
python=$1 folder=$2
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/profile"

say() { printf 'pgo: %s\n' "$*" >&2; }
environment() { # NAME: a venv with the wheel made by the current settings
    "$root/tools/venv.sh" "$python" "$work/$1"
}

say "building the one that takes notes"
FASTASYNC_PGO=generate:$work/profile environment notes
say "training"
"$work/notes/bin/python" "$root/benchmarks/run.py" --quick --rounds 1 \
    --group micro,echo --loops fastasync,fastasync-install >/dev/null
say "building with the notes"
FASTASYNC_PGO=use:$work/profile "$root/tools/wheel.sh" "$python" "$folder"
environment plain
"$python" -m venv "$work/guided"
"$work/guided/bin/python" -m pip install --quiet --disable-pip-version-check \
    --no-deps "$folder"/fastasync-*.whl
say "measuring: the plain build, then the guided one, three times in turn"
count=0
for _ in 1 2 3; do
    for name in plain guided; do
        "$work/$name/bin/python" "$root/benchmarks/run.py" --quick --rounds 1 \
            --group micro --loops fastasync "$@" \
            --json "$work/$name.$((++count)).json" >/dev/null
    done
done
"$python" "$root/benchmarks/compare.py" "$work"/plain.*.json -- "$work"/guided.*.json
