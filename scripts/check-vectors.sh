#!/usr/bin/env bash
# Every `#pragma omp simd` loop of the metric kernels and of reading is vectorised, by the compiler's own report.
set -u
cd "$(dirname "$0")/.." || exit 1
report=$(mktemp)
trap 'rm -f "$report"' EXIT
bad=0
for f in $(grep -l 'omp.* simd' -r src/metrics src/score src/dataset src/text --include='*.c'); do
    ${CC:-gcc} -std=c11 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -O2 -ffp-contract=off -fopenmp -Iinclude -Isrc \
        $(pkg-config --cflags openblas libutf8proc libzstd zlib 2>/dev/null) -fopt-info-vec-optimized -c "$f" -o /dev/null 2>"$report"
    while IFS=: read -r line _; do
        # the loop stands within three lines behind its pragma
        if awk -F: -v f="$f" -v l="$line" '$1 == f && $2 > l && $2 <= l + 4 && /vectorized/ { found = 1 } END { exit !found }' "$report"; then
            echo "ok vectorised $f:$line"
        else
            echo "not ok vectorised $f:$line: the compiler's report names no vectorised loop there"
            bad=1
        fi
    done < <(grep -nE '#pragma omp (parallel for )?simd' "$f")
done
exit $bad
