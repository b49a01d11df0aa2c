#!/usr/bin/env bash
# Print every CPython 3.11+ that can be found: "<minor> <path>", oldest first,
# one of each minor version (3.13 and free-threaded 3.13t are two).
#
# $PYTHONS says where to look, either of
#     PYTHONS="3.11=/usr/bin/python3.11 3.14=/opt/py/bin/python3"
#     PYTHONS=/opt/pythons          a folder with <any>/bin/python3 in it
# Without it, or with a folder: also pyenv's versions and python3.N on PATH.
set -euo pipefail

candidates() {
    local given=${PYTHONS:-}
    if [[ $given == *=* ]]; then
        tr ' ' '\n' <<<"$given" | sed -n 's/^[^=]*=//p'
        return
    fi
    if [[ -n $given ]]; then
        ls -d "$given"/*/bin/python3 2>/dev/null || true
    fi
    ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3 2>/dev/null || true
    compgen -c python3. | grep -E '^python3\.[0-9]+t?$' | sort -u |
        while read -r name; do type -P "$name"; done
}

describe='
import sys, sysconfig
free = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
if sys.version_info >= (3, 11) and sys.implementation.name == "cpython":
    micro = sys.version_info[2] * 100 + {"final": 99}.get(sys.version_info[3], 0)
    print(sys.version_info[1], micro, f"3.{sys.version_info[1]}{free}", sys.executable)
'

candidates | while read -r path; do
    "$path" -I -c "$describe" 2>/dev/null || true
done | sort -k1,1n -k3,3 -k2,2nr | awk '!seen[$3]++ { print $3, $4 }'
