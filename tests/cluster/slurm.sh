# A real Slurm of four pretend nodes: an array of shards and its merge, preemption, the end of a job's time, a server in the job.
# alone
. "$(dirname "$0")/../lib.sh"
. tests/cluster/slurm_up.bash
down() { slurm_down; finish; }
trap down EXIT
if ! slurm_up; then
    skip "slurm" "skipped: $slurm_why"
    exit 0
fi
export CFBENCH CFBENCH_SLURM=$PWD/scripts/slurm CFBENCH_SBATCH="--time=5 --mem=100 --cpus-per-task=1"
unset SLURM_JOB_ID
make_suite 40 || exit 1
ROWS=320
"$CFBENCH" mock --suite "$T/suite" --mock-latency 0.1 --seed 3 --mock-control --port-file "$T/port" --mock-log "$T/log" --quiet 2>/dev/null &
pids+=($!)
for _ in $(seq 100); do [ -s "$T/port" ] && break; sleep 0.05; done
url=http://127.0.0.1:$(cat "$T/port")/v1
what=(--suite "$T/suite" --model m --base-url "$url" --api-rate-limit 0 --no-adaptive)
sql() { python3 -c 'import sqlite3,sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])' "$1/run.db" "$2"; }
asked() { wc -l <"$T/log"; }
same() { diff -r "$1/cfbenchmark-response" "$2/cfbenchmark-response" >/dev/null && diff -r "$1/cfbenchmark-scores" "$2/cfbenchmark-scores" >/dev/null; }
tell() { tail -3 "$@" 2>/dev/null | tr '\n' ' ' | cut -c1-500; }

"$CFBENCH" run "${what[@]}" --max-workers 32 --quiet --progress off --out "$T/one" >/dev/null 2>"$T/err" || not_ok "one process" "$(tell "$T/err")"

# ---- a job that Slurm kills at its time limit: no warning, its end not known to the program, calls that outlast the two seconds
# between SIGTERM and SIGKILL (KillWait). The shortest limit is a minute, so it runs beside all that follows.
"$CFBENCH" mock --suite "$T/suite" --mock-latency 3 --seed 3 --port-file "$T/port-slow" --mock-log "$T/log-slow" --quiet 2>/dev/null &
pids+=($!)
for _ in $(seq 100); do [ -s "$T/port-slow" ] && break; sleep 0.05; done
slow=(--suite "$T/suite" --model m --base-url "http://127.0.0.1:$(cat "$T/port-slow")/v1" --api-rate-limit 0 --no-adaptive --task-workers 1 --quiet --progress off --out "$T/killed")
killed=$(sbatch --parsable $CFBENCH_SBATCH --time=1 --nodelist=n4 --output="$T/killed.log" --wrap "unset SLURM_JOB_END_TIME; exec $CFBENCH run ${slow[*]} --max-workers 8 --grace 60")

# ---- an array of 8 shards and its merge
before=$(asked)
read -r array merge < <(scripts/slurm/submit-array.sh 8 4 "$T/array" "${what[@]}" --max-workers 4)
wait_job "$merge" 90 && ok "an array of 8 shards, 4 at a time, and its merge end" || not_ok "array" "$(squeue | tail -4 | tr '\n' ' ') $(tell "$T"/array/*.log)"
check "array: every row asked once" test $(($(asked) - before)) -eq $ROWS
if same "$T/one" "$T/array/whole"; then ok "array: the merged scores and exports are one process's, byte for byte"; else not_ok "array: merged" "$(tell "$T/array/merge.log")"; fi

# ---- preemption: requeued, and goes on
before=$(asked)
id=$(sbatch --parsable $CFBENCH_SBATCH --partition=low --nodelist=n1 --exclusive --output="$T/pre.log" scripts/slurm/preemptible.sbatch "$T/pre" "${what[@]}" --max-workers 1)
for _ in $(seq 100); do [ "$(asked)" -gt $((before + 20)) ] && break; sleep 0.1; done
printf '#!/bin/bash\nsleep 2\n' >"$T/high.sh"
sbatch --parsable --partition=high --nodelist=n1 --exclusive --time=1 -o /dev/null "$T/high.sh" >/dev/null
for _ in $(seq 100); do [ "$(job_is "$id")" != RUNNING ] && break; sleep 0.1; done
check "preemption: the run was stopped before its end" test "$(sql "$T/pre" 'select count(*) from answer')" -lt $ROWS
stopped=$(sql "$T/pre" 'select count(*) from answer')
# a requeued job waits for two minutes before it begins again: this one may at once
for _ in $(seq 100); do [ "$(job_is "$id")" = PENDING ] && break; sleep 0.1; done
scontrol update jobid="$id" StartTime=now >/dev/null 2>&1
wait_job "$id" 100 && ok "preemption: the requeued job ends" || not_ok "preemption" "$(squeue | tail -3 | tr '\n' ' ') $(tell "$T/pre.log")"
check "preemption: all rows have answers" test "$(sql "$T/pre" 'select count(*) from answer')" -eq $ROWS
check "preemption: $stopped were done before; no row was asked twice" test $(($(asked) - before)) -eq $ROWS
check "preemption: the log says that it went on" grep -q requeued "$T/pre.log"
if same "$T/one" "$T/pre"; then ok "preemption: the same bytes"; else not_ok "preemption: the same bytes" "$(tell "$T/pre.log")"; fi

# ---- the end of the job's time: rows that do not fit are not started; the job requeues itself. The script wants a warning two minutes
# before the end, which in a job of one minute may come at once; here it comes too late to matter.
before=$(asked)
id=$(sbatch --parsable $CFBENCH_SBATCH --time=1 --signal=B:TERM@1 --nodelist=n2 --output="$T/wall.log" scripts/slurm/preemptible.sbatch "$T/wall" "${what[@]}" --max-workers 1 --task-workers 1 --time-margin 50)
for _ in $(seq 300); do grep -qs "requeueing" "$T/wall.log" && break; sleep 0.1; done
check "time limit: a clean stop before it" grep -q "time is up" "$T/wall.log"
check "time limit: every call that was made is stored" test $(($(asked) - before)) -eq "$(sql "$T/wall" 'select count(*) from answer')"
for _ in $(seq 100); do [ "$(job_is "$id")" = PENDING ] && break; sleep 0.1; done
check "time limit: the job is back in the queue" test "$(job_is "$id")" = PENDING
scancel "$id"
"$CFBENCH" run "${what[@]}" --max-workers 32 --quiet --progress off --out "$T/wall" >/dev/null 2>"$T/err"
check "time limit: it ends later, with nothing asked twice" test $(($(asked) - before)) -eq $ROWS
if same "$T/one" "$T/wall"; then ok "time limit: the same bytes"; else not_ok "time limit: the same bytes" "$(tell "$T/err")"; fi

# ---- a server in the job
SERVER="$CFBENCH mock --suite $T/suite --seed 3 --port \$PORT --quiet" \
    id=$(SERVER="$CFBENCH mock --suite $T/suite --seed 3 --port \$PORT --quiet" sbatch --parsable $CFBENCH_SBATCH --output="$T/vllm.log" scripts/slurm/vllm.sbatch "$T/vllm" m --suite "$T/suite" --max-workers 8)
wait_job "$id" 60
if same "$T/one" "$T/vllm"; then ok "server and run in one job: the same bytes"; else not_ok "server and run in one job" "$(tell "$T/vllm.log" "$T/vllm/server.log")"; fi
check "the server has ended with the job" test -z "$(pgrep -f "port $((20000 + id % 20000)) --quiet")"

# ---- offline scoring of a folder
id=$(sbatch --parsable $CFBENCH_SBATCH --output="$T/score.log" scripts/slurm/score-folder.sbatch "$T/scored" "$T/one/cfbenchmark-response" --suite "$T/suite")
wait_job "$id" 40
check "offline scoring of a folder" test -s "$T/scored/summary.csv"

# ---- the job that was to be killed
for _ in $(seq 400); do [ "$(job_is "$killed")" = RUNNING ] || break; sleep 0.2; done
wait_job "$killed" 30
check "killed at the limit: Slurm says so" bash -c "scontrol show job $killed | grep -q JobState=TIMEOUT"
done=$(sql "$T/killed" 'select count(*) from answer')
before=$(wc -l <"$T/log-slow")
check "killed at the limit: in the middle" test "$done" -gt 20 -a "$done" -lt $ROWS
"$CFBENCH" run "${slow[@]}" --max-workers 256 --task-workers 8 >/dev/null 2>"$T/err"
after=$(wc -l <"$T/log-slow")
check "killed at the limit: what was committed ($done rows) is not asked again" test $((after - before)) -eq $((ROWS - done))
check "killed at the limit: only calls under way were lost" test $((before - done)) -ge 0 -a $((before - done)) -le 8
if same "$T/one" "$T/killed"; then ok "killed at the limit: it ends later, the same bytes"; else not_ok "killed at the limit: the same bytes" "$(tell "$T/err" "$T/killed.log")"; fi
