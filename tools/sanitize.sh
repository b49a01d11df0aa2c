#!/usr/bin/env bash
# sanitize.sh [pytest arguments]: build with AddressSanitizer,
# UndefinedBehaviorSanitizer and our assertions into .sanitize/, then run the
# tests on that, of CPython's own a selection. The interpreter itself is not
# instrumented: libasan is preloaded, and the leaks it would report at exit are
# CPython's own (tools/leaks.py looks for ours).
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
compiler=${CC:-gcc}

runtime=$("$compiler" -print-file-name=libasan.so)
if [[ $runtime != /* ]]; then
    echo "sanitize: $compiler has no libasan.so" >&2
    exit 1
fi
FASTASYNC_DEBUG=1 FASTASYNC_SANITIZE=address,undefined \
    tools/venv.sh "$python" .sanitize test

export FASTASYNC_CONFORMANCE=${FASTASYNC_CONFORMANCE:-quick}
export LD_PRELOAD=$runtime
export PYTHONMALLOC=malloc
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

# Two tests ask whether growth of memory is noticed: the counters they read are
# those of the allocators that the sanitizer has replaced.
noticed=tests/isolated/test_isolated.py::test_growth_is_noticed
exec .sanitize/bin/python -X faulthandler -m pytest -q \
    --deselect "${noticed}[blocks]" --deselect "${noticed}[heap]" "$@"
