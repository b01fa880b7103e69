# Levels 1 and 2 really run side by side, and starts keep their distance: measured at the mock, from its request log.
# alone: it measures time
. "$(dirname "$0")/../lib.sh"
if ! "$CFBENCH" run --suite datasets/sample --mock --limit 1 --api-rate-limit 0 --quiet --out "$T/probe" >/dev/null; then
    not_ok "parallel" "cfbench run fails"; exit 1
fi
make_suite 60
run() { "$CFBENCH" generate --suite "$T/suite" --mock --mock-log "$T/log" --progress off "$@" >"$T/out" 2>&1; }

if "$CFBENCH" --version | grep -q serial; then
    skip "32 calls in flight" "no OpenMP in this build"
else
    run --mock-latency 0.2 --max-workers 4 --task-workers 8 --api-rate-limit 0 --out "$T/wide"
    check "8 tasks x 4 workers: 32 calls in flight, within 10 % of the ideal time" python3 - "$T/log" 0.2 32 <<'E2'
import json, sys
log = [json.loads(l) for l in open(sys.argv[1])]
latency, wide = float(sys.argv[2]), int(sys.argv[3])
assert len(log) == 480, len(log)
most = max(r["in_flight"] for r in log)
took = (max(r["reply_ns"] for r in log) - min(r["arrival_ns"] for r in log)) / 1e9
ideal = len(log) / wide * latency
assert most == wide, f"{most} in flight"
assert took <= 1.1 * ideal, f"{took:.3f} s, ideal {ideal:.3f} s"
print(most, took, ideal)
E2
    rm -f "$T/log"
    run --mock-latency 0.2 --max-workers 4 --limit 4 --api-rate-limit 0 --out "$T/default"
    check "min(tasks, max_workers) tasks at a time: 4 x 4 by default" python3 -c "
import json; log = [json.loads(l) for l in open('$T/log')]
assert len(log) == 32 and max(r['in_flight'] for r in log) == 16, max(r['in_flight'] for r in log)"
fi

rm -f "$T/log"
run --limit 4 --max-workers 8 --api-rate-limit 0.1 --mock-latency 0.3 --out "$T/limited"
check "no two starts closer than --api-rate-limit, over all threads" python3 - "$T/log" 0.1 <<'E2'
import json, sys
log = [json.loads(l) for l in open(sys.argv[1])]
limit = float(sys.argv[2])
t = sorted(r["arrival_ns"] for r in log)
gaps = [(b - a) / 1e9 for a, b in zip(t, t[1:])]
assert len(t) == 32, len(t)
# test_limiter shows that starts keep their distance exactly. What reaches the mock has passed two thread wake-ups and a socket, whose
# jitter on a busy machine this allows for.
close = [g for g in gaps if g < limit - 0.01]
total = (t[-1] - t[0]) / 1e9
assert not close, f"{len(close)} of {len(gaps)} gaps too short: {sorted(close)[:5]}"
assert total >= (len(t) - 1) * limit - 0.01, total
print(min(gaps), total)
E2

# A poisoned row: one prompt always gets a 500.
hash=$("$CFBENCH" prompt --suite "$T/suite" --tasks sector --rows 7 --hash | cut -f3)
echo "{\"prompt_sha256\": \"$hash\", \"status\": 500, \"content\": \"\"}" >"$T/poison.jsonl"
"$CFBENCH" run --suite "$T/suite" --mock --replies "$T/poison.jsonl" --mock-error-rate 0 --limit 12 --api-rate-limit 0 --retry-base 0.01 --retry-max 0.02 \
    --progress off --out "$T/poison" >"$T/out" 2>"$T/err"
status=$?
check "a poisoned row harms no other" python3 - "$T" $status <<'E2'
import json, sqlite3, sys
t, status = sys.argv[1], int(sys.argv[2])
db = sqlite3.connect(f"{t}/poison/run.db")
missing = db.execute("select t.name, r.row from row r join task t using(task_id) left join reply p using(task_id, row) where p.row is null").fetchall()
assert missing == [("sector", 7)], missing
assert status == 3, status
assert db.execute("select count(*) from reply where state = 'ok'").fetchone()[0] == 95
assert db.execute("select count(*) from attempt where fail = 'server' and http_status = 500").fetchone()[0] == 4
assert "sector row 7" in open(f"{t}/err").read()
E2
exit $bad
