#!/usr/bin/env bash
# both_builds.sh [PYTHON]: compile the extension as separate files and as the one
# file of a release, with the warnings of the house as errors, and import each.
# Nothing is left in the checkout.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

for how in separate onefile; do
    FASTASYNC_BUILD=$how FASTASYNC_WERROR=1 "$python" setup.py -q build_ext \
        --build-temp "$scratch/$how-temp" --build-lib "$scratch/$how"
    PYTHONPATH=$scratch/$how "$python" -c '
import asyncio, _fastasync, sys
missing = {"LoopCore", "Task", "Future"} - set(dir(_fastasync))
sys.exit(f"not exported: {missing}" if missing else 0)'
    echo "build $how: compiles without a warning, imports"
done
