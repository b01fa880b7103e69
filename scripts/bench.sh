#!/usr/bin/env bash
# The benchmarks, both sides in one run each, as a Markdown report (make bench).
# Usage: scripts/bench.sh [--only PART[,PART...]] [--write] [--quick] [--growth] [--list]
#   --only   these parts alone (--list names them); otherwise all but growth
#   --write  also writes each part that went through into its place in docs/benchmarks.md, and leaves the rest of the page as it is.
#            A section says when, where and of which commit it was measured, so that a page may be refreshed part by part
#   --quick  small files, short runs: shows that the benchmarks work; the figures mean little, so that --write is refused
#   --growth also files of 1, 2, 4 and 8 GB, which must fit into the page cache together; the plot goes to build/growth.svg, and
#            with --write to docs/growth.svg
# SCORE_ARGS, CLIENT_ARGS, EMBED_ARGS, GROWTH_ARGS are passed on to tests/bench/score.py, client.py, torch_embed.py, growth.py (see
# --help there), such as CLIENT_ARGS='--rounds 50'. EMBED_BUILD: folder of a build with DNNL=1, for bfloat16; made
# in build/gcc-dnnl where oneDNN is installed.
# BENCH_SECONDS: when a part is ended; otherwise each has its own bound (--list).
# A side whose libraries are missing (python3-pandas, python3-numpy, python3-httpx, python3-torch) is left out and said so. A part that
# fails, or whose sides compute different results, does not stop the others; this script then ends with status 1.
set -eu -o pipefail
cd "$(dirname "$0")/.."
export BUILD=${BUILD:-build/gcc}
case $BUILD in /*) CFBENCH=$BUILD/cfbench ;; *) CFBENCH=$PWD/$BUILD/cfbench ;; esac
export CFBENCH BENCH_PYTHON="${PYTHON:-/usr/bin/python3}" PYTHONDONTWRITEBYTECODE=1
page=${BENCH_PAGE:-docs/benchmarks.md}
# part:seconds that it may take
PARTS=(kernels:300 score:900 growth:1800 statistics:600 embeddings:1800 asking:1200 rates:180 tls:300 stopping:180 tuning:1200)
write='' growth='' only='' quick='' print=''
kernels=() metrics=() score=() client=(--wide) stats=() pace=() tls=() stop=() embed=() tune=(--reps 5 --budget 20)
usage() { echo "usage: scripts/bench.sh [--only PART[,PART...]] [--write] [--quick] [--growth] [--list]" >&2; exit 1; }
args=("$@")
while [ $# -gt 0 ]; do
    case $1 in
        --write) write=1 ;;
        --growth) growth=1 ;;
        --only) shift; [ $# -gt 0 ] || usage; only=$1 ;;
        --only=*) only=${1#*=} ;;
        --print) shift; print=$1 ;; # what this script calls itself with
        --list) printf '%s\n' "${PARTS[@]}" | sed 's/:\(.*\)/: at most \1 s/'; exit 0 ;;
        --quick)
            quick=1
            kernels=(2 40000)
            metrics=(400)
            stats=(--resamples 1000 --numpy-resamples 40 --rounds 1)
            score=(--mb 20 --reps 1)
            client=(--reps 1 --rows 8000 --python-rows 800 --rounds 5)
            pace=(--seconds 2 --rates 1000)
            tls=(--reps 1 --rows 2400)
            stop=(--reps 1)
            tune=(--times 1 --reps 1 --budget 0 --seconds 0)
            embed=(--shapes small --texts 32 --rounds 1)
            ;;
        *) usage ;;
    esac
    shift
done
read -ra more_score <<<"${SCORE_ARGS:-}"
read -ra more_embed <<<"${EMBED_ARGS:-}"
read -ra more_client <<<"${CLIENT_ARGS:-}"
read -ra more_growth <<<"${GROWTH_ARGS:-}"

fenced() { echo '```'; "$@"; echo '```'; echo; }
py() { "$BENCH_PYTHON" "$@"; }
# One part's section, heading and all.
section() {
    case $1 in
        kernels)
            printf '## Kernels, in memory\n\nThe scorer against a plain scalar C program, on synthetic rows; every score compared.\n\n'
            fenced "$BUILD/tools/bench/bench_score" ${kernels[@]+"${kernels[@]}"}
            printf 'The text metrics, row by row on one thread, against plain tables and sorted n-grams; every score compared.\n\n'
            fenced "$BUILD/tools/bench/bench_metrics" ${metrics[@]+"${metrics[@]}"} ;;
        score) py tests/bench/score.py ${score[@]+"${score[@]}"} ${more_score[@]+"${more_score[@]}"} ;;
        growth) mkdir -p build && py tests/bench/growth.py --svg build/growth.svg ${more_growth[@]+"${more_growth[@]}"} ;;
        statistics) printf '## Statistics\n\n' && py tests/bench/bench_stats.py ${stats[@]+"${stats[@]}"} ;;
        embeddings) printf '## Embeddings\n\n' && py tests/bench/torch_embed.py ${embed[@]+"${embed[@]}"} ${more_embed[@]+"${more_embed[@]}"} ;;
        asking) py tests/bench/client.py ${client[@]+"${client[@]}"} ${more_client[@]+"${more_client[@]}"} ;;
        rates) py tests/bench/pace.py ${pace[@]+"${pace[@]}"} ;;
        tls) py tests/bench/tls.py ${tls[@]+"${tls[@]}"} ;;
        stopping) py tests/bench/stop.py ${stop[@]+"${stop[@]}"} ;;
        tuning)
            printf '## Tuning\n\n'
            echo "Is the choice of \`cfbench tune\` as fast as any fixed point of its grid? Each line: a tune with another seed, then every point measured again,"
            echo "interleaved, those near the best for longer; speeds are compared within each round. Within the noise: not slower than the best of them by more"
            echo "than the noise that tune states; a NO fails the benchmark."
            for what in score embed client; do
                printf '\n`tune %s`:\n\n' "$what"
                py tests/bench/tune.py --what "$what" "${tune[@]}"
            done ;;
        *) echo "bench: there is no part $1 (--list)" >&2; return 1 ;;
    esac
}
if [ "$print" ]; then section "$print"; exit; fi

module_version() { "$BENCH_PYTHON" -c "import $1; print('$1', $1.__version__)" 2>/dev/null || echo "no $1"; }
commit() { echo "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)$(test -z "$(git status --porcelain -uno -- src tests/bench Makefile 2>/dev/null)" || echo ' with changes')"; }
machine="$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) cores, $(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), Linux $(uname -r)"
versions="$("${CC:-gcc}" --version | head -1); libcurl $(pkg-config --modversion libcurl 2>/dev/null || echo unknown), SQLite $(pkg-config --modversion sqlite3 2>/dev/null || echo unknown), OpenBLAS $(pkg-config --modversion openblas 2>/dev/null || echo unknown); Python $("$BENCH_PYTHON" -c 'import platform; print(platform.python_version())' 2>/dev/null || echo none), $(module_version numpy), $(module_version pandas), $(module_version httpx)"

# Puts a section into its place in the page: that of its marks, else behind that of the part before it.
put() {
    python3 - "$page" "$1" "$2" "${PARTS[@]%%:*}" <<'P'
import os, re, sys
page, name, path, *order = sys.argv[1:]
text = open(page, encoding="utf-8").read() if os.path.exists(page) else "# Benchmarks\n"
block = f"<!-- part: {name} -->\n{open(path, encoding='utf-8').read().strip()}\n<!-- end: {name} -->\n"
find = lambda n: re.search(rf"<!-- part: {n} -->\n.*?<!-- end: {n} -->\n", text, re.S)
here = find(name)
if here:
    text = text[:here.start()] + block + text[here.end():]
else:
    before = [find(n) for n in order[:order.index(name)]]
    after = [find(n) for n in order[order.index(name) + 1:]]
    at = max((m.end() for m in before if m), default=min((m.start() for m in after if m), default=None))
    head, tail = (text.rstrip("\n") + "\n", "") if at is None else (text[:at], text[at:])
    text = head + ("\n" if not head.endswith("\n\n") else "") + block + ("\n" + tail.lstrip("\n") if tail.strip() else "")
with open(page + ".tmp", "w", encoding="utf-8") as f:
    f.write(text)
os.replace(page + ".tmp", page)
P
}

wanted=()
if [ "$only" ]; then
    IFS=, read -ra wanted <<<"$only"
    for name in "${wanted[@]}"; do
        case " ${PARTS[*]%%:*} " in *" $name "*) ;; *) echo "bench: there is no part '$name'; there are: ${PARTS[*]%%:*}" >&2; exit 1 ;; esac
    done
else
    for part in "${PARTS[@]}"; do [ "${part%%:*}" = growth ] && [ -z "$growth" ] || wanted+=("${part%%:*}"); done
fi
if [ "$write" ] && [ "$quick" ]; then echo "bench: --quick measures nothing that belongs on a page: --write is refused" >&2; exit 1; fi
# bfloat16 needs a build of its own.
case " ${wanted[*]} " in
    *" embeddings "*)
        if [ -z "${EMBED_BUILD:-}" ] && [ -z "$quick" ] && printf '#include <oneapi/dnnl/dnnl.h>\n' | "${CC:-gcc}" -E - >/dev/null 2>&1 &&
            make --no-print-directory DNNL=1 CC=gcc build/gcc-dnnl/cfbench build/gcc-dnnl/tools/bench/bench_embed >&2; then
            export EMBED_BUILD=build/gcc-dnnl
        fi ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=()
printf '# Benchmarks\n\nRatios were measured side by side, in one run on one machine, interleaved, with the results compared; absolute figures are of this\nmachine only. In brackets: lowest and highest run.\n\n'
for name in "${wanted[@]}"; do
    seconds=
    for part in "${PARTS[@]}"; do [ "${part%%:*}" != "$name" ] || seconds=${BENCH_SECONDS:-${part#*:}}; done
    load=$(cut -d' ' -f1-3 /proc/loadavg) began=$SECONDS status=0
    timeout -k 10 "$seconds" "$0" ${args[@]+"${args[@]}"} --print "$name" >"$work/body" || status=$?
    if [ $status -ne 0 ]; then
        failed+=("$name")
        [ $status -ne 124 ] || echo "bench: $name was ended after $seconds s" >&2
        cat "$work/body"
        printf '\n**%s: failed (status %s) after %s s.**\n\n' "$name" "$status" $((SECONDS - began))
        continue
    fi
    {
        cat "$work/body"
        printf '\n*%s, commit %s, %s s; load before %s. %s. %s.*\n\n' "$(date -u +%Y-%m-%d)" "$(commit)" $((SECONDS - began)) "$load" "$machine" "$versions"
    } | cat -s | tee "$work/section"
    if [ "$write" ]; then put "$name" "$work/section"; fi
    if [ "$write" ] && [ "$name" = growth ]; then cp build/growth.svg "$(dirname "$page")/growth.svg"; fi
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "bench: failed: ${failed[*]}$([ -z "$write" ] || echo "; what the page says of them is from before")" >&2
    exit 1
fi
