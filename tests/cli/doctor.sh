# cfbench doctor names every fault that is planted here, and none on a healthy machine. --dry-run: what a run would take.
# Planted: threads, slurm-cpus (twice), memory, omp-threads, omp-bind, omp-wait, stack, open-files, cgroup-pids, processes, blas-threads, blas-serial,
# out, file-size, network-disk, locks, disk-space (where tmpfs can be mounted), data, budget (three), key-file, server, key, model,
# context, rate.
. "$(dirname "$0")/../lib.sh"
cores=$("$CFBENCH" doctor --suite sample --out "$T/x" --json | python3 -c 'import json,sys; print([f["value"] for f in json.load(sys.stdin)["facts"] if f["name"]=="cores_of_this_process"][0])')
openmp=$("$CFBENCH" --version | grep -c OpenMP)
export XDG_STATE_HOME="$T/state"
doctor() { "$CFBENCH" doctor --suite sample --out "$T/out" --json "$@" >"$T/found" 2>"$T/err"; }
# healthy NAME ARGS...: exit 0, no fault, a document of the schema
healthy() {
    local name=$1
    shift
    doctor "$@"
    local status=$?
    check "doctor: healthy: $name" python3 - "$T/found" $status <<'E3'
import json, sys
d = json.load(open(sys.argv[1]))
assert d["schema"] == "cfbench.doctor/1" and d["healthy"] is True, d
assert not [f for f in d["findings"] if f["level"] != "hint"], d["findings"]
assert sys.argv[2] == "0", sys.argv[2]
assert all(set(f) == {"group", "name", "value"} for f in d["facts"]) and len(d["facts"]) > 20
E3
}
# names ID STATUS COMMAND...: exactly this fault, with its remedy
names() {
    local id=$1 want=$2
    shift 2
    "$@" >"$T/log" 2>&1
    local status=$?
    check "doctor: names $id ($status)" python3 - "$T/found" "$id" $status "$want" <<'E3'
import json, sys
path, want, status, want_status = sys.argv[1:]
d = json.load(open(path))
ids = {f["id"] for f in d["findings"] if f["level"] == "fault"}
assert ids == set(want.split(",")), (ids, [f["what"] for f in d["findings"]])
assert d["healthy"] is False and status == want_status, (status, want_status)
assert all(f[k] for f in d["findings"] for k in ("what", "why", "mend")), d["findings"]
E3
}
with() { ( # VARIABLE=VALUE... doctor's options
    while [[ ${1-} == [A-Z]*=* ]]; do export "${1?}"; shift; done
    doctor "$@"
) }
limited() { (ulimit "$1" "$2" && shift 2 && doctor "$@"); }

healthy "as it is"
healthy "a mock run" --mock --in-flight 64
"$CFBENCH" doctor --suite sample --out "$T/out" --quiet >"$T/text" 2>&1
check "doctor: text: counts at the end" grep -Eq '^0 faults, [0-9]+ hints?$' "$T/text"
check "doctor: leaves nothing behind" bash -c "[ ! -e '$T/out' ] && [ -z \"\$(find '$T' -name '.cfbench-doctor*')\" ]"

# the machine
if [ "$openmp" = 1 ]; then
    names threads 3 doctor --threads $((cores + 6))
    names omp-threads 3 with OMP_THREAD_LIMIT=2 --mock --in-flight 64 --calls-per-thread 8
    names omp-wait 3 with OMP_WAIT_POLICY=active
    names stack 3 with OMP_STACKSIZE=64k
    if [ "$cores" -gt 1 ]; then
        names omp-bind 3 with OMP_PROC_BIND=master
        names slurm-cpus 3 with SLURM_JOB_ID=7 SLURM_CPUS_PER_TASK=1 --threads $cores
    else
        skip "doctor: names omp-bind, slurm-cpus" "one core"
    fi
    names slurm-cpus 3 with SLURM_JOB_ID=7 SLURM_CPUS_PER_TASK=$((cores + 2))
else
    skip "doctor: names threads, omp-threads, omp-wait, stack, omp-bind, slurm-cpus" "built without OpenMP"
fi
names memory 3 with SLURM_MEM_PER_NODE=100
names open-files 3 limited -n 80 --mock --in-flight 1000
names blas-threads 3 with OPENBLAS_NUM_THREADS=$((cores + 30))
serial=$(ls -d /usr/lib/*/openblas-serial 2>/dev/null | head -1)
if [ -n "$serial" ] && [ "$openmp" = 1 ]; then names blas-serial 3 with LD_LIBRARY_PATH="$serial" --threads 2
else skip "doctor: names blas-serial" "libopenblas0-serial is not installed"; fi
root() { # a folder that stands for /
    rm -rf "$T/root"
    mkdir -p "$T/root/sys/fs/cgroup" "$T/root/proc/self"
    cp /proc/cpuinfo "$T/root/proc/cpuinfo"
    echo "0::/job/step" >"$T/root/proc/self/cgroup"
    mkdir -p "$T/root/sys/fs/cgroup/job/step"
    cat /proc/self/mountinfo >"$T/root/proc/self/mountinfo"
}
rooted() { CFBENCH_DOCTOR_ROOT=$T/root doctor "$@"; }
root
echo 12 >"$T/root/sys/fs/cgroup/pids.max"; echo 9 >"$T/root/sys/fs/cgroup/pids.current"
names cgroup-pids 3 rooted --mock
root
echo 12 >"$T/root/sys/fs/cgroup/job/pids.max"; echo 9 >"$T/root/sys/fs/cgroup/job/pids.current"
names cgroup-pids 3 rooted --mock
root
if [ "$cores" -gt 1 ] && [ "$openmp" = 1 ]; then
    echo "100000 100000" >"$T/root/sys/fs/cgroup/cpu.max"
    names threads 3 rooted --threads 2
    root
    echo "100000 100000" >"$T/root/sys/fs/cgroup/job/cpu.max"
    names threads 3 rooted --threads 2
    echo "150000 100000" >"$T/root/sys/fs/cgroup/job/cpu.max"
    CFBENCH_DOCTOR_ROOT=$T/root healthy "as many threads as a quota's cores, rounded up" --threads 2
    root
fi
echo "999 1 0:99 / $T rw,relatime - nfs4 server:/home rw,vers=4.2" >>"$T/root/proc/self/mountinfo"
names network-disk 3 rooted
echo "1000 1 0:99 / $T rw,relatime - nfs server:/home rw,vers=3,nolock" >>"$T/root/proc/self/mountinfo"
names network-disk,locks 3 rooted
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null && setpriv --reuid 65534 --clear-groups "$CFBENCH" --version >/dev/null 2>&1; then
    chmod 755 "$T"; mkdir -p "$T/nobody"; chown 65534 "$T/nobody"
    nobody() { (cd "$T/nobody" && ulimit -u 5 && setpriv --reuid 65534 --clear-groups "$CFBENCH" doctor --suite "$OLDPWD/datasets/sample" --out "$T/nobody/out" --json --mock >"$T/found" 2>"$T/err"); }
    nobody
    check "doctor: names processes" python3 -c 'import json,sys; ids={f["id"] for f in json.load(open(sys.argv[1]))["findings"]}; assert "processes" in ids, ids' "$T/found"
else
    skip "doctor: names processes" "needs another user"
fi

# the disk
names out 3 doctor --out /proc/x
names file-size 3 limited -f 200
mkdir -p "$T/small"
if mount -t tmpfs -o size=8m none "$T/small" 2>/dev/null; then
    names disk-space 3 doctor --out "$T/small/run"
    umount "$T/small"
else
    skip "doctor: names disk-space" "tmpfs cannot be mounted"
fi

# the configuration
mkdir -p "$T/empty"
names data 3 doctor --suite cfbenchmark --data "$T/empty"
names budget 3 doctor --mock --max-requests 5
names budget 3 doctor --mock --max-total-tokens 1000
echo '{"mock": {"input_per_million": 1000, "output_per_million": 1000}}' >"$T/prices"
names budget 3 doctor --mock --price-file "$T/prices" --max-cost 1

# the server
"$CFBENCH" mock --suite sample --port-file "$T/port" --mock-profile vllm --mock-context 4096 2>/dev/null &
pids+=($!)
"$CFBENCH" mock --suite sample --port-file "$T/port2" --mock-key right-key --mock-rpm 60 --mock-profile openai 2>/dev/null &
pids+=($!)
for _ in $(seq 100); do [ -s "$T/port" ] && [ -s "$T/port2" ] && break; sleep 0.05; done
url=http://127.0.0.1:$(cat "$T/port")/v1 url2=http://127.0.0.1:$(cat "$T/port2")/v1
healthy "a server" --model mock --base-url "$url"
healthy "a server that is asked" --model mock --base-url "$url" --probe
names model 4 doctor --model gpt-none --base-url "$url"
names context 4 doctor --model mock --base-url "$url" --max-tokens 4000
names server 4 doctor --model mock --base-url http://127.0.0.1:1/v1
names key 4 with OPENAI_API_KEY=wrong-key --model mock --base-url "$url2"
if grep -q wrong-key "$T/found" "$T/err"; then not_ok "doctor: no key in the output" "it is"; else ok "doctor: no key in the output"; fi
echo right-key >"$T/key"
chmod 600 "$T/key"
healthy "a key file" --model mock --base-url "$url2" --api-key-file "$T/key" --rpm 50
names rate 4 doctor --model mock --base-url "$url2" --api-key-file "$T/key" --rpm 6000 --probe
chmod 644 "$T/key"
names key-file 3 doctor --model mock --base-url "$url2" --api-key-file "$T/key" --rpm 50

# --dry-run: the figures, and neither network nor store
"$CFBENCH" generate --suite sample --model m --base-url http://127.0.0.1:1/v1 --rpm 60 --dry-run --json --price-file "$T/prices2" --out "$T/dry" >"$T/plan" 2>"$T/err"
if [ $? -eq 2 ] || [ $? -eq 1 ]; then ok "dry run: a price file that is missing is said"; else not_ok "dry run: a price file that is missing is said" "$(cat "$T/err")"; fi
echo '{"m": {"input_per_million": 1, "output_per_million": 2, "currency": "EUR"}}' >"$T/prices2"
"$CFBENCH" generate --suite sample --model m --base-url http://127.0.0.1:1/v1 --rpm 60 --dry-run --json --price-file "$T/prices2" --out "$T/dry" >"$T/plan" 2>"$T/err"
check "dry run: calls, time and cost" python3 - "$T/plan" <<'E3'
import json, sys
d = json.load(open(sys.argv[1]))
p = d["plan"]
assert d["schema"] == "cfbench.plan/1" and p["calls"] == 122 == sum(t["rows"] for t in p["tasks"]) and len(p["tasks"]) == 8
assert abs(p["time_by_rate_s"] - 121) < 1e-9 and p["expected_s"] >= 121 and p["currency"] == "EUR"
assert abs(p["cost"] - (p["prompt_tokens"] + 2 * p["reply_tokens"]) * 1e-6) < 1e-5, p
assert p["reply_tokens_at_most"] == sum(t["rows"] * t["max_tokens"] for t in p["tasks"])
E3
check "dry run: nothing is written" test ! -e "$T/dry"
"$CFBENCH" run --suite sample --mock --dry-run --limit 2 --out "$T/dry" >"$T/plan" 2>&1
check "dry run: text" grep -q '^16 calls in 8 tasks' "$T/plan"
check "dry run: run writes nothing either" test ! -e "$T/dry"
"$CFBENCH" run --suite sample --mock --dry-run --max-requests 50 --max-total-tokens 60000 --out "$T/dry" >"$T/plan" 2>&1
check "dry run: a budget that is too small" grep -q '^--max-requests 50: the run stops there' "$T/plan"
if grep -q '^--max-total-tokens' "$T/plan"; then not_ok "dry run: a budget that is enough" "$(cat "$T/plan")"; else ok "dry run: a budget that is enough"; fi
# a run that was begun: what is left of it
resumed() { "$CFBENCH" generate --suite sample --mock --limit "$1" --seed 3 --api-rate-limit 0 --out "$T/begun" "${@:2}"; }
resumed 2 --quiet >/dev/null 2>&1
before=$(cd "$T/begun" && ls && cksum run.db)
resumed 5 --dry-run --json >"$T/plan" 2>"$T/err"
check "dry run: answered rows are not asked again" python3 -c '
import json, sys
p = json.load(open(sys.argv[1]))["plan"]
assert p["calls"] == 24 and p["done"] == 16 and all(t["rows"] == 3 and t["done"] == 2 for t in p["tasks"]), p' "$T/plan"
resumed 2 --dry-run >"$T/plan" 2>"$T/err"
check "dry run: nothing is left" grep -q '^0 calls in 8 tasks' "$T/plan"
check "dry run: the run store stays as it is" test "$before" = "$(cd "$T/begun" && ls && cksum run.db)"
if resumed 5 --dry-run --max-tokens 9 >"$T/plan" 2>"$T/err"; then not_ok "dry run: a run of another configuration is said" "exit 0"
else check "dry run: a run of another configuration is said" grep -q 'belongs to another configuration: --max-tokens' "$T/err"; fi
exit $bad
