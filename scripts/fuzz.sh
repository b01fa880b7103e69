#!/usr/bin/env bash
# Every fuzz target for FUZZ_SECONDS (10) each, with clang's libFuzzer and the address and undefined-behaviour sanitizers.
# Usage: scripts/fuzz.sh [TARGET...]. New inputs stay in build/fuzz/corpus; a finding is left in build/fuzz/.
set -u
cd "$(dirname "$0")/.." || exit 1
seconds=${FUZZ_SECONDS:-10}
CC=${FUZZ_CC:-clang}
dir=build/fuzz
mkdir -p "$dir"
make --no-print-directory CC="$CC" SANITIZE=fuzzer-no-link,address,undefined CFLAGS="-O1 -g" BUILD="$dir/build" "$dir/build/libcfbench.a" >"$dir/build.log" 2>&1 ||
    { tail -20 "$dir/build.log"; echo "not ok fuzz: the library does not build with $CC's fuzzer (libclang-rt missing? scripts/install-deps.sh --ci)"; exit 1; }
libs="$(pkg-config --libs libcurl libssl libcrypto libcjson sqlite3 libutf8proc zlib libzstd liblz4 openblas) -lm"
targets=("$@")
[ ${#targets[@]} -gt 0 ] || for f in tests/fuzz/fuzz_*.c; do t=${f##*/fuzz_}; targets+=("${t%.c}"); done

# One target: built, run, told of in one line.
fuzz() {
    local t=$1
    mkdir -p "$dir/corpus/$t"
    if ! $CC -std=c11 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -O1 -g -fopenmp -fsanitize=fuzzer,address,undefined -Iinclude -Isrc \
        "tests/fuzz/fuzz_$t.c" "$dir/build/libcfbench.a" -o "$dir/fuzz_$t" $libs 2>"$dir/$t.log"; then
        echo "not ok fuzz $t: does not build: $(grep -m1 error "$dir/$t.log")"
        return 1
    fi
    if UBSAN_OPTIONS=halt_on_error=1 ASAN_OPTIONS=detect_leaks=1 "$dir/fuzz_$t" -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=2048 -timeout=20 \
        -print_final_stats=1 -artifact_prefix="$dir/$t-" "$dir/corpus/$t" "tests/fuzz/corpus/$t" >"$dir/$t.log" 2>&1; then
        echo "ok fuzz $t ($(sed -n 's/stat::number_of_executed_units: *//p' "$dir/$t.log") runs)"
    else
        echo "not ok fuzz $t: $(grep -m1 -E 'ERROR|runtime error|deadly' "$dir/$t.log") (see $dir/$t.log)"
        return 1
    fi
}
export -f fuzz
export dir seconds CC libs
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc 2>/dev/null || echo 2)" -I{} bash -c 'fuzz {}'
