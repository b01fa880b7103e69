# The end of a job's time: what does not fit is not started, nothing is lost or asked twice, and the exit status says what to do.
# alone
. "$(dirname "$0")/../lib.sh"
make_suite 40 || exit 1
sqlite() { python3 -c 'import sqlite3,sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])' "$1/run.db" "$2"; }
"$CFBENCH" mock --suite "$T/suite" --mock-latency 0.4 --mock-control --port-file "$T/port" --mock-log "$T/log" --quiet 2>/dev/null &
pids+=($!)
for _ in $(seq 100); do [ -s "$T/port" ] && break; sleep 0.05; done
url=http://127.0.0.1:$(cat "$T/port")/v1
asking=(generate --suite "$T/suite" --model m --base-url "$url" --api-rate-limit 0 --quiet --progress off --task-workers 1 --max-workers 4 --no-adaptive)
ask() { "$CFBENCH" "${asking[@]}" "$@" 2>"$T/err"; }
calls() { wc -l <"$T/log"; }

start=$SECONDS
ask --out "$T/run" --time-limit 4 --time-margin 1
code=$?
check "a run whose time is up ends with 5" test $code -eq 5
check "before its time" test $((SECONDS - start)) -le 4
check "and says so" grep -q "the job's time is up" "$T/err"
first=$(calls) replies=$(sqlite "$T/run" 'select count(*) from answer')
check "every call that it started was answered and stored: none was given up" test "$first" -eq "$replies" -a "$replies" -gt 0
check "no call is a failure" test "$(sqlite "$T/run" 'select count(*) from failure')" -eq 0
ask --out "$T/run" --time-limit 4 --time-margin 1 --requeue-exit 99
check "--requeue-exit: another status" test $? -eq 99
check "still nothing asked twice" test "$(calls)" -eq "$(sqlite "$T/run" 'select count(*) from answer')"
SLURM_JOB_ID=5 SLURM_JOB_END_TIME=$(($(date +%s) + 4)) ask --out "$T/slurm" --time-margin 1
check "the end of a Slurm job is known" test $? -eq 5
SLURM_JOB_ID=5 SLURM_JOB_END_TIME=$(($(date +%s) + 1)) ask --out "$T/late" --time-margin 20
check "a job without any time left asks nothing" test $? -eq 5 -a "$(sqlite "$T/late" 'select count(*) from answer')" -eq 0
SLURM_JOB_ID=5 SLURM_JOB_END_TIME=$(($(date +%s) - 5)) ask --out "$T/over" --time-margin 1
check "nor does one whose end has passed" test $? -eq 5 -a "$(sqlite "$T/over" 'select count(*) from answer')" -eq 0

# two signals at once are one wish: the job's script hands it on, and the process gets it too
"$CFBENCH" "${asking[@]}" --out "$T/sig" 2>"$T/err" & p=$!
for _ in $(seq 100); do [ -e "$T/sig/run.db-wal" ] && break; sleep 0.05; done
sleep 1
kill -TERM $p; kill -CONT $p; kill -USR1 $p; kill -TERM $p
wait $p
check "SIGTERM, SIGCONT and SIGUSR1 at once: calls under way finish" test $? -eq 5
ask --out "$T/run" --max-workers 64 --in-flight 64
check "the rest is asked" test $? -eq 0 -a "$(sqlite "$T/run" 'select count(*) from answer')" -eq 320
check "over all runs no row was asked twice" python3 - "$T/log" "$T" <<'E2'
import json, sqlite3, sys
calls = sum(1 for _ in open(sys.argv[1]))
stored = sum(sqlite3.connect(f"{sys.argv[2]}/{d}/run.db").execute("select (select count(*) from answer) + (select count(*) from failure)").fetchone()[0] for d in ("run", "slurm", "late", "sig"))
assert calls == stored, (calls, stored)
E2
