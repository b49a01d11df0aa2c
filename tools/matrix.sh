#!/usr/bin/env bash
# matrix.sh [pytest arguments]: install and test on every Python that pythons.sh
# finds, each in its own .matrix/<version>. Goes on after a failure, and says at
# the end how each did.
set -euo pipefail
cd "$(dirname "$0")/.."

found=$(tools/pythons.sh)
if [[ -z $found ]]; then
    echo "matrix: no Python 3.11 or later found; see tools/pythons.sh" >&2
    exit 1
fi
summary=""
failed=0
while read -r version path; do
    echo "== $version ($path)"
    if tools/venv.sh "$path" ".matrix/$version" test &&
        ".matrix/$version/bin/python" -m pytest -q "$@"; then
        summary+="$version passed"$'\n'
    else
        summary+="$version FAILED"$'\n'
        failed=1
    fi
done <<<"$found"
printf '%s' "$summary"
exit $failed
