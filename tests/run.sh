#!/usr/bin/env bash
# Runs tests and counts them. Usage: tests/run.sh [unit|cli|oracle|slow|cluster|threads|NAME...] (nothing = unit, cli and oracle).
# A C test is a cmocka program in $BUILD/unit; a script test is tests/{cli,oracle,slow,cluster}/*.sh, which prints a line per check:
# "ok NAME", "not ok NAME: why" or "skip NAME: why". The last line of all is "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/gcc}
export BUILD CFBENCH="$PWD/$BUILD/cfbench" LC_ALL=C.UTF-8
unset OPENAI_API_KEY OPENAI_BASE_URL "${!CFBENCH_@}"
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1} UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-ignore_noninstrumented_modules=1}
jobs=${TEST_JOBS:-$(nproc 2>/dev/null || echo 2)}
passed=0 failed=0 skipped=0
failures=()
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Tells of a finished test from its log and leaves its counts; a test that ends badly without naming a failure counts as one failure.
count() { # name, exit status, log, ok-pattern, fail-pattern, skip-pattern
    local ok bad skip
    # cmocka names failed and skipped tests twice, at once and in a list at the end
    ok=$(grep -ac "$4" "$3") bad=$(grep -a "$5" "$3" | sort -u | wc -l) skip=$(grep -a "$6" "$3" | sort -u | wc -l)
    if [ "$2" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; echo "not ok $1: exit status $2" >>"$3"; fi
    if [ "$2" -eq 0 ] && [ $((ok + bad + skip)) -eq 0 ]; then bad=1; echo "not ok $1: ran no check" >>"$3"; fi
    printf '%-34s %4d passed %3d failed %3d skipped  %4ds\n' "$1" "$ok" "$bad" "$skip" "$((SECONDS - started))"
    if [ "$bad" -ne 0 ]; then sed 's/^/    /' "$3" | tail -60; fi
    grep -aE '^skip |SKIPPED: |skipped: ' "$3" | sed 's/^/    /' | head -20
    echo "$ok $bad $skip $1" >"${3%.log}.count"
}
unit() { # program, log
    started=$SECONDS
    "$1" >"$2" 2>&1
    count "unit/${1##*/}" $? "$2" '^\[       OK \]' '^\[  FAILED  \] [a-z_A-Z0-9]*$' '^\[  SKIPPED \] [a-z_A-Z0-9]*$'
}
script() { # path, log
    started=$SECONDS
    bash "$1" >"$2" 2>&1
    count "${1#tests/}" $? "$2" '^ok ' '^not ok ' '^skip '
}

# Tests run side by side, $TEST_JOBS at a time (one for each core unless told), and are told of in their order. A script that
# measures time says so in a line "# alone" and has the machine to itself.
started_jobs=0 told=0
tell() { # prints the finished tests, in their order
    local name counts
    while [ -e "$work/$((told + 1)).count" ]; do
        told=$((told + 1))
        cat "$work/$told.out"
        read -r -a counts <"$work/$told.count"
        name=${counts[*]:3}
        passed=$((passed + counts[0])) failed=$((failed + counts[1])) skipped=$((skipped + counts[2]))
        if [ "${counts[1]}" -ne 0 ]; then failures+=("$name"); fi
        rm -f "$work/$told".*
    done
}
launch() { # unit|script, path
    local most=$jobs
    if [ "$1" = script ] && grep -qs '^# alone' "$2"; then most=1; fi
    while [ "$(jobs -rp | wc -l)" -ge "$most" ]; do wait -n; tell; done
    started_jobs=$((started_jobs + 1))
    "$1" "$2" "$work/$started_jobs.log" >"$work/$started_jobs.out" 2>&1 &
    if [ "$most" -eq 1 ]; then wait; tell; fi
}
group() {
    case $1 in
        unit) for t in "$BUILD"/unit/test_*; do [ -x "$t" ] && case $t in *.d) ;; *) launch unit "$t" ;; esac; done ;;
        cli | oracle | slow | cluster) for t in tests/"$1"/*.sh; do [ -e "$t" ] && launch script "$t"; done ;;
        threads) for t in sched store limiter score mock mock_jobs mock_limits; do [ -x "$BUILD/unit/test_$t" ] && launch unit "$BUILD/unit/test_$t"; done
            ASKING="c d f i j" launch script tests/cli/asking.sh ;; # the engine with servers that die
        */*.sh) launch script "tests/${1#tests/}" ;;
        *) launch unit "$BUILD/unit/${1#unit/}" ;;
    esac
}
for g in "${@:-unit}" $([ $# -eq 0 ] && echo cli oracle); do group "$g"; done
wait
tell
if [ "$told" -ne "$started_jobs" ]; then failed=$((failed + started_jobs - told)); failures+=("a test was ended from outside"); fi
if [ "$failed" -ne 0 ]; then printf 'failed: %s\n' "${failures[*]}"; fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
