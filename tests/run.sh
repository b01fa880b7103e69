#!/usr/bin/env bash
# Runs tests and counts them. Usage: tests/run.sh [unit|cli|oracle|slow|threads|NAME...] (nothing = unit, cli and oracle).
# A C test is a cmocka program in $BUILD/unit; a script test is tests/{cli,oracle,slow}/*.sh, which prints a line per check:
# "ok NAME", "not ok NAME: why" or "skip NAME: why". The last line of all is "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/gcc}
export BUILD CFBENCH="$PWD/$BUILD/cfbench" LC_ALL=C.UTF-8
unset OPENAI_API_KEY OPENAI_BASE_URL "${!CFBENCH_@}"
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1} UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-ignore_noninstrumented_modules=1}
passed=0 failed=0 skipped=0
failures=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Adds the counts of a finished test's log; a test that ends badly without naming a failure counts as one failure.
count() { # name, exit status, ok-pattern, fail-pattern, skip-pattern
    local ok bad skip
    # cmocka names failed and skipped tests twice, at once and in a list at the end
    ok=$(grep -ac "$3" "$log") bad=$(grep -a "$4" "$log" | sort -u | wc -l) skip=$(grep -a "$5" "$log" | sort -u | wc -l)
    if [ "$2" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; echo "not ok $1: exit status $2" >>"$log"; fi
    if [ "$2" -eq 0 ] && [ $((ok + bad + skip)) -eq 0 ]; then bad=1; echo "not ok $1: ran no check" >>"$log"; fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
    printf '%-34s %4d passed %3d failed %3d skipped  %4ds\n' "$1" "$ok" "$bad" "$skip" "$((SECONDS - started))"
    if [ "$bad" -ne 0 ]; then failures+=("$1"); sed 's/^/    /' "$log" | tail -60; fi
    grep -aE '^skip |SKIPPED: |skipped: ' "$log" | sed 's/^/    /' | head -20
}

unit() {
    started=$SECONDS
    "$1" >"$log" 2>&1
    count "unit/${1##*/}" $? '^\[       OK \]' '^\[  FAILED  \] [a-z_A-Z0-9]*$' '^\[  SKIPPED \] [a-z_A-Z0-9]*$'
}
script() {
    started=$SECONDS
    bash "$1" >"$log" 2>&1
    count "${1#tests/}" $? '^ok ' '^not ok ' '^skip '
}
group() {
    case $1 in
        unit) for t in "$BUILD"/unit/test_*; do [ -x "$t" ] && case $t in *.d) ;; *) unit "$t" ;; esac; done ;;
        cli | oracle | slow) for t in tests/"$1"/*.sh; do [ -e "$t" ] && script "$t"; done ;;
        threads) for t in sched store limiter score mock mock_jobs mock_limits; do [ -x "$BUILD/unit/test_$t" ] && unit "$BUILD/unit/test_$t"; done
            ASKING="c d f i j" script tests/cli/asking.sh ;; # the engine with servers that die
        */*.sh) script "tests/${1#tests/}" ;;
        *) unit "$BUILD/unit/${1#unit/}" ;;
    esac
}
for g in "${@:-unit}" $([ $# -eq 0 ] && echo cli oracle); do group "$g"; done
if [ "$failed" -ne 0 ]; then printf 'failed: %s\n' "${failures[*]}"; fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
