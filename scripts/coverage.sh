#!/usr/bin/env bash
# Line coverage of a COVERAGE=1 build's tests, by room. Called by `make cover` with the build folder.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/gcc-coverage}
find "$build/obj/src" -name '*.gcda' | while read -r f; do
    gcov --no-output --relative-only "${f%.gcda}.o" 2>/dev/null | awk '/^File/ { f = $2 } /^Lines executed/ { gsub(/[^0-9. ]/, " "); print f, $1, $2 }'
done | tr -d "'" | awk '
    $1 ~ /^src\// { split($1, p, "/"); lines[p[2]] += $3; hit[p[2]] += $3 * $2 / 100 }
    END { for (r in lines) { printf "%-10s %6d lines %6.1f %%\n", r, lines[r], 100 * hit[r] / lines[r]; all += lines[r]; h += hit[r] }
          if (all) printf "%-10s %6d lines %6.1f %%\n", "all", all, 100 * h / all }' | sort
