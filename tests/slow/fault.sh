#!/usr/bin/env bash
# What the system may refuse, refused: memory, threads, descriptors. The run says so, does not crash, and loses no reply.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
if ldd "$CFBENCH" | grep -qE 'lib(asan|tsan)' || nm "$CFBENCH" 2>/dev/null | grep -qE '__[at]san_init'; then
    skip "failing allocations" "skipped: a sanitizer has its own malloc"
    exit "$bad"
fi
if ! "${CC:-cc}" -O1 -g -shared -fPIC -fno-optimize-sibling-calls tests/slow/fail.c -o "$T/fail.so" -ldl -pthread; then
    not_ok "failing allocations" "fail.c does not compile"
    exit 1
fi
make_suite 60
export CFBENCH T
SUITE=$T/suite FAIL=$T/fail.so PYTHONPATH=tests python3 tests/slow/fault.py "$@" || bad=1
exit "$bad"
