#!/usr/bin/env bash
# The byte loops of reading and the scan of files for AArch64 (NEON): built with Debian's cross compiler, run by qemu-user. Skipped where
# these are not there (apt: gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user). No library of that machine is
# needed: the headers of this one's are read, and tests/arm/absent.c stands for what a scan of text in memory never calls.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
cc=${ARM_CC:-aarch64-linux-gnu-gcc}
run=$(command -v qemu-aarch64 || command -v qemu-aarch64-static)
if ! command -v "$cc" >/dev/null || [ -z "$run" ]; then
    skip "arm" "needs gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user"
    exit 0
fi
flags=(-std=c11 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -O2 -ffp-contract=off -fopenmp -Wall -Wextra -Wno-unknown-pragmas -Werror
    -Iinclude -Isrc -Itests/arm -Itests/unit -idirafter /usr/include "-idirafter/usr/include/$(gcc -print-multiarch)" '-DCFB_VERSION="arm"')
sources=(src/base/{error,buf,arena,file,clock,rand,num,bytes,utf8,utf8_valid,simd,par,cgroup,memory,log,json,json_check,json_write,trace}.c tests/arm/absent.c
    src/dataset/{scan,scan_csv,scan_input,scan_jsonl,scan_part,simd,csv,csv_write,window,reader,stream,jsonl,jsonrow,json,arrow,arrow_array,arrow_codec,arrow_schema,flatbuf}.c
    tests/unit/test_simd.c tests/unit/test_scan.c)
objects=()
for f in "${sources[@]}"; do
    o=$T/${f//\//-}.o
    if ! "$cc" "${flags[@]}" -c "$f" -o "$o" >"$T/log" 2>&1; then not_ok "arm: $f" "$(grep -m1 error "$T/log")"; fi
    case $f in tests/unit/*) ;; *) objects+=("$o") ;; esac
done
for t in test_simd test_scan; do
    if "$cc" "${flags[@]}" -static "$T/tests-unit-$t.c.o" "${objects[@]}" -o "$T/$t" -lm >"$T/log" 2>&1; then
        ok "arm: $t is built"
    else
        not_ok "arm: $t is built" "$(grep -m1 undefined "$T/log")"
    fi
done
run() { # NAME
    [ -x "$T/$1" ] || return
    if ! SKIP=${2:-} "$run" "$T/$1" 2>"$T/err"; then not_ok "arm: $1" "$(tail -1 "$T/err")"; fi
}
run test_simd
# Random rows take a minute in an emulator; they are no different there but for the loops that test_simd looks at.
run test_scan "json_list ${ARM_SKIP-random_rows}"
exit $bad
