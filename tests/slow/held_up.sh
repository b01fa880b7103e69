# alone
# What slows scoring down for real, and what `score` says about it: a slow pipe, a CPU quota, other processes on the core, a slow disk.
# The last three need root and control groups, and say so where these are not there. Whether a warning is right for given
# measurements is tests/unit/test_speed.c's matter; here the measurements must show what was done.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
groups=()
leave() {
    for g in ${groups[@]+"${groups[@]}"}; do rmdir "$g" 2>/dev/null; done
    finish
}
trap leave EXIT
tool=${CFBENCH%/*}/tools/bench/make_rows
[ -x "$tool" ] || { skip "held up" "there is no $tool: make test-build"; exit 0; }
"$CFBENCH" convert --quiet --format csv datasets/sample/suggestion.* "$T/seed.csv" 2>"$T/log" || { not_ok "held up" "$(cat "$T/log")"; exit 1; }
"$tool" "$T/seed.csv" "$T/suggestion-output.csv" text --seed 1 --mb 400 >/dev/null || exit 1
"$tool" "$T/seed.csv" "$T/suggestion-small.csv" text --seed 1 --mb 100 >/dev/null || exit 1
score=("$CFBENCH" score --suite sample --task suggestion --progress off --json)

warns() { # NAME PATTERN COMMAND...: standard error of one of three runs holds the pattern
    local name=$1 pattern=$2
    shift 2
    for _ in 1 2 3; do
        "$@" >/dev/null 2>"$T/err"
        if grep -q "$pattern" "$T/err"; then ok "$name"; return; fi
    done
    not_ok "$name" "$(tail -2 "$T/err" | tr '\n' ' ')"
}
# A control group with a file set, for the next command: in_group CONTROLLER FILE VALUE COMMAND...
in_group() {
    local dir=/sys/fs/cgroup/$1/cfbench-test-$$ file=$2 value=$3
    shift 3
    [ -d "$dir" ] || mkdir "$dir" 2>/dev/null || return 1
    groups+=("$dir")
    echo "$value" 2>/dev/null >"$dir/$file" || return 1
    [ $# -eq 0 ] || sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$dir" "$@"
}

slow_pipe() { { head -c 30000000 "$T/suggestion-small.csv"; sleep 2.2; tail -c +30000001 "$T/suggestion-small.csv"; } | "${score[@]}" -; }
warns "a slow pipe" "the input came at" slow_pipe

if in_group cpu cpu.cfs_quota_us 4000; then
    warns "a CPU quota" "CPU quota stopped this process" in_group cpu cpu.cfs_quota_us 4000 "${score[@]}" --threads 2 "$T/suggestion-output.csv"
else
    skip "a CPU quota" "needs a writable control group of version 1"
fi

if command -v taskset >/dev/null; then
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
        taskset -c 0 sh -c 'while :; do :; done' &
        pids+=($!)
    done
    warns "other processes on the core" "other processes took the cores" taskset -c 0 "${score[@]}" "$T/suggestion-output.csv"
    for p in "${pids[@]}"; do kill "$p"; wait "$p" 2>/dev/null; done
    pids=()
else
    skip "other processes on the core" "needs taskset"
fi

device=$(lsblk -ndo MAJ:MIN "$(df --output=source "$T" | tail -1)" 2>/dev/null | tr -d ' ')
cold() {
    sync "$T/suggestion-small.csv"
    dd if="$T/suggestion-small.csv" iflag=nocache count=0 status=none # out of the page cache
    in_group blkio blkio.throttle.read_bps_device "$device 40000000" "${score[@]}" --threads 2 "$T/suggestion-small.csv"
}
if [ -n "$device" ] && in_group blkio blkio.throttle.read_bps_device "$device 40000000"; then
    warns "a slow disk" "the disk gave" cold
else
    skip "a slow disk" "needs a writable control group of version 1 for the disk"
fi
exit $bad
