#!/usr/bin/env bash
# The benchmarks, both sides in one run each, as a Markdown report (make bench). Usage: scripts/bench.sh [--write] [--growth] [--quick]
#   --write  also writes the report to docs/benchmarks.md, if every benchmark went through
#   --quick  small files, short runs: shows that the benchmarks work; the figures mean little
#   --growth also files of 1, 2, 4 and 8 GB (GROWTH_ARGS: see tests/bench/growth.py --help); the plot goes to build/growth.svg, and with
#            --write to docs/growth.svg
# SCORE_ARGS and CLIENT_ARGS are passed on to tests/bench/score.py and client.py (see --help there), such as CLIENT_ARGS='--rounds 50'.
# EMBED_BUILD: folder of a build with DNNL=1 (build/gcc-dnnl, made by `make DNNL=1 all test-build`), for bfloat16; EMBED_ARGS: see tests/bench/torch_embed.py.
# A side whose libraries are missing (python3-pandas, python3-numpy, python3-httpx, python3-torch) is left out and said so. Sides that compute
# different results end this script with status 1.
set -eu -o pipefail
cd "$(dirname "$0")/.."
export BUILD=${BUILD:-build/gcc}
case $BUILD in /*) CFBENCH=$BUILD/cfbench ;; *) CFBENCH=$PWD/$BUILD/cfbench ;; esac
export CFBENCH BENCH_PYTHON="${PYTHON:-/usr/bin/python3}" PYTHONDONTWRITEBYTECODE=1
write= growth= kernels=() metrics=() score=() client=(--wide) stats=() pace=() tls=() stop=() embed=() tune=(--reps 5 --budget 10)
for arg; do
    case $arg in
        --write) write=1 ;;
        --growth) growth=1 ;;
        --quick)
            kernels=(2 40000)
            metrics=(400)
            stats=(--resamples 1000 --numpy-resamples 40 --rounds 1)
            score=(--mb 20 --reps 1)
            client=(--reps 1 --rows 8000 --python-rows 800 --rounds 5)
            pace=(--seconds 2 --rates 1000)
            tls=(--reps 1 --rows 2400)
            stop=(--reps 1)
            tune=(--times 1 --reps 1 --budget 0)
            embed=(--shapes small --texts 32 --rounds 1)
            ;;
        *) echo "usage: scripts/bench.sh [--write] [--growth] [--quick]" >&2; exit 1 ;;
    esac
done
read -ra more_score <<<"${SCORE_ARGS:-}"
read -ra more_embed <<<"${EMBED_ARGS:-}"
read -ra more_client <<<"${CLIENT_ARGS:-}"

module_version() { "$BENCH_PYTHON" -c "import $1; print('$1', $1.__version__)" 2>/dev/null || echo "no $1"; }
commit() { echo "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)$(test -z "$(git status --porcelain -uno 2>/dev/null)" || echo ' with changes')"; }

report=$(mktemp)
trap 'rm -f "$report"' EXIT
{
    echo "# Benchmarks"
    echo
    echo "Written by \`scripts/bench.sh --write\`; \`make bench\` prints the same. Ratios were measured side by side, in one run on one machine,"
    echo "interleaved, with the results compared; absolute figures are of this machine only. In brackets: lowest and highest run."
    echo
    echo "- date: $(date -u +%Y-%m-%d); load before the run: $(cut -d' ' -f1-3 /proc/loadavg); commit $(commit)"
    echo "- machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) cores, $(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), Linux $(uname -r)"
    echo "- built with: $("${CC:-gcc}" --version | head -1); $("$CFBENCH" --version | head -1); libcurl $(pkg-config --modversion libcurl), SQLite $(pkg-config --modversion sqlite3)"
    echo "- Python: $("$BENCH_PYTHON" -c 'import platform; print(platform.python_version())' 2>/dev/null || echo none), $(module_version numpy), $(module_version pandas), $(module_version httpx)"
    echo
    echo "## Kernels, in memory"
    echo
    echo "The scorer against a plain scalar C program, on synthetic rows; every score compared."
    echo
    echo '```'
    "$BUILD/tools/bench/bench_score" ${kernels[@]+"${kernels[@]}"}
    echo '```'
    echo
    echo "The text metrics, row by row on one thread, against plain tables and sorted n-grams; every score compared."
    echo
    echo '```'
    "$BUILD/tools/bench/bench_metrics" ${metrics[@]+"${metrics[@]}"}
    echo '```'
    echo
    "$BENCH_PYTHON" tests/bench/score.py ${score[@]+"${score[@]}"} ${more_score[@]+"${more_score[@]}"}
    echo "## Statistics"
    echo
    "$BENCH_PYTHON" tests/bench/bench_stats.py ${stats[@]+"${stats[@]}"}
    echo
    echo "## Embeddings"
    echo
    "$BENCH_PYTHON" tests/bench/torch_embed.py ${embed[@]+"${embed[@]}"} ${more_embed[@]+"${more_embed[@]}"}
    if [ "$growth" ]; then "$BENCH_PYTHON" tests/bench/growth.py --svg build/growth.svg ${GROWTH_ARGS:-}; fi
    "$BENCH_PYTHON" tests/bench/client.py ${client[@]+"${client[@]}"} ${more_client[@]+"${more_client[@]}"}
    "$BENCH_PYTHON" tests/bench/pace.py ${pace[@]+"${pace[@]}"}
    "$BENCH_PYTHON" tests/bench/tls.py ${tls[@]+"${tls[@]}"}
    "$BENCH_PYTHON" tests/bench/stop.py ${stop[@]+"${stop[@]}"}
    echo
    echo "## Tuning"
    echo
    echo "Is the choice of \`cfbench tune\` as fast as any fixed point of its grid? Each line: a tune with another seed, then every point measured again,"
    echo "interleaved. Within the noise: not slower than the best of them by more than the noise that tune states; a NO ends the benchmarks with status 1."
    for what in score embed client; do
        echo
        echo "\`tune $what\`:"
        echo
        "$BENCH_PYTHON" tests/bench/tune.py --what $what "${tune[@]}"
    done
} | tee "$report"
if [ "$write" ]; then cp "$report" docs/benchmarks.md; fi
if [ "$write" ] && [ "$growth" ]; then cp build/growth.svg docs/growth.svg; fi
