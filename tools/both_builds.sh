#!/usr/bin/env bash
# both_builds.sh [PYTHON]: compile the extension as separate files and as the one
# file of a release, with the warnings of the house as errors, and import each.
set -euo pipefail
python=${1:-python3}
tools=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

for how in separate onefile; do
    FASTASYNC_BUILD=$how FASTASYNC_WERROR=1 \
        "$tools/wheel.sh" "$python" "$scratch/$how"
    "$python" -m zipfile -e "$scratch/$how"/*.whl "$scratch/$how"
    PYTHONPATH=$scratch/$how "$python" -P -c '
import fastasync, _fastasync, sys
for module in fastasync, _fastasync:
    if not module.__file__.startswith(sys.argv[1]):
        sys.exit(f"imported from elsewhere: {module.__file__}")
' "$scratch/$how"
    echo "build $how: compiles without a warning, imports"
done
