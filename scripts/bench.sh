#!/usr/bin/env bash
# The benchmarks, both sides in one run each. Usage: scripts/bench.sh [--write] (make bench). With --write the report also goes to
# docs/benchmarks.md. A side whose libraries are missing (python3-pandas, python3-numpy, python3-httpx) is left out and said so.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/gcc}
export BUILD CFBENCH="$PWD/$BUILD/cfbench"
report=$(mktemp)
trap 'rm -f "$report"' EXIT
{
    echo "# Benchmarks"
    echo
    echo "Written by \`make bench\` (scripts/bench.sh). Ratios were measured side by side, in one run on one machine, with the results compared"
    echo "before the times; absolute figures are of this machine only."
    echo
    echo "- date: $(date -u +%Y-%m-%d)"
    echo "- machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) cores, $(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)"
    echo "- built with: $(${CC:-gcc} --version | head -1); $("$CFBENCH" --version)"
    for bench in "kernels, in memory:$BUILD/tools/bench/bench_score" "scoring:tests/bench/score.py" "asking:tests/bench/client.py"; do
        echo
        echo "## ${bench%%:*}"
        echo
        echo '```'
        case ${bench#*:} in
            *.py) /usr/bin/env "${PYTHON:-/usr/bin/python3}" "${bench#*:}" ;;
            *) "${bench#*:}" ;;
        esac
        echo '```'
    done
} | tee "$report"
if [ "${1:-}" = --write ]; then cp "$report" docs/benchmarks.md; fi
