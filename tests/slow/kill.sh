# kill -9 in the middle of a run, ten times at random moments, then a last run: nothing that was committed is lost or asked again,
# what the mock served twice is at most what was in flight at the kills, and the end equals that of an undisturbed run.
. "$(dirname "$0")/../lib.sh"
make_suite 50
common="--suite $T/suite --seed 3 --api-rate-limit 0 --max-workers 4 --task-workers 8 --model m --progress off"
serve() { # a mock of its own, which outlives the killed runs
    "$CFBENCH" mock --suite "$T/suite" --seed 3 --mock-latency 0.03 --mock-error-rate 0.2 --mock-log "$1" --port-file "$T/port" --quiet &
    pids+=($!)
    for _ in $(seq 200); do [ -s "$T/port" ] && break; sleep 0.05; done
}
serve "$T/log"
url="http://127.0.0.1:$(cat "$T/port")/v1"

kills=0 committed=0 lost=0
while [ $kills -lt 10 ]; do
    "$CFBENCH" generate $common --base-url "$url" --out "$T/killed" >/dev/null 2>&1 &
    run=$!
    # a random moment: after 1 to 30 more replies than before (400 rows in all)
    want=$((committed + 1 + (RANDOM % 30)))
    for _ in $(seq 2000); do
        [ -f "$T/log" ] && [ "$(wc -l <"$T/log")" -ge "$want" ] && break
        kill -0 $run 2>/dev/null || break
        sleep 0.002
    done
    kill -9 $run 2>/dev/null
    wait $run 2>/dev/null
    kills=$((kills + 1))
    sleep 0.1
    now=$(python3 -c "
import sqlite3, os
db = sqlite3.connect('$T/killed/run.db') if os.path.exists('$T/killed/run.db') else None
try: print(db.execute('select count(*) from reply').fetchone()[0] if db else 0)
except sqlite3.OperationalError: print(0)")
    [ "$now" -lt "$committed" ] && lost=1
    committed=$now
    python3 - "$T/killed/run.db" "$T/snapshot.$kills" <<'E2'
import json, sqlite3, sys
try: rows = sqlite3.connect(sys.argv[1]).execute("select task_id, row, content from reply order by 1, 2").fetchall()
except sqlite3.OperationalError: rows = []
json.dump(rows, open(sys.argv[2], "w"))
E2
done
check "replies never get fewer over ten kills" test $lost -eq 0
check "the kills hit a run under way" test "$committed" -gt 0 -a "$committed" -lt 400
"$CFBENCH" run $common --base-url "$url" --out "$T/killed" >"$T/table.killed" 2>"$T/err"
check "the last run finishes" test $? -eq 0
"$CFBENCH" run $common --base-url "$url" --out "$T/calm" >"$T/table.calm" 2>"$T/err"
check "no committed reply changed, none was asked again" python3 - "$T" <<'E2'
import collections, json, sqlite3, sys
t = sys.argv[1]
db = sqlite3.connect(f"{t}/killed/run.db")
end = {(a, b): c for a, b, c in db.execute("select task_id, row, content from reply")}
assert len(end) == 400, len(end)
for k in range(1, 11):
    for a, b, c in json.load(open(f"{t}/snapshot.{k}")): assert end[a, b] == c, (a, b)
served = collections.Counter(json.loads(l)["sha256"] for l in open(f"{t}/log"))
twice = sum(n - 2 for n in served.values())  # two runs asked for everything once: this one, and the calm one
assert len(served) == 400 and twice <= 10 * 32, twice
# a row is asked again only while it has no reply: at most one attempt with success each
assert db.execute("select max(n) from (select count(*) n from attempt where fail = 'none' group by task_id, row)").fetchone()[0] == 1
print("served again:", twice)
E2
check "the end equals that of an undisturbed run: table" cmp "$T/table.killed" "$T/table.calm"
# How it was asked (times, calls) differs, of course: that part is left out, and with it what the report repeats behind it.
for d in killed calm; do
    python3 - "$T/$d" <<'E2'
import json, sys
d = sys.argv[1]
with open(f"{d}/scores.json", encoding="utf-8") as f: scores = json.load(f)
assert scores.pop("asking"), "no account of the asking"
with open(f"{d}/scores.json", "w", encoding="utf-8") as f: json.dump(scores, f, indent=2)
with open(f"{d}/report.md", encoding="utf-8") as f: head, mark, tail = f.read().partition("\n## Asking\n")
assert mark and "## Configuration" in tail, "report.md has no account of the asking"
with open(f"{d}/report.md", "w", encoding="utf-8") as f: f.write(head)
E2
done
for f in scores.json report.md; do
    sed "s#$T/killed#RUN#g" "$T/killed/$f" >"$T/a"; sed "s#$T/calm#RUN#g" "$T/calm/$f" >"$T/b"
    check "the end equals that of an undisturbed run: $f" cmp "$T/a" "$T/b"
done
check "the end equals that of an undisturbed run: exports" diff -r "$T/killed/cfbenchmark-scores" "$T/calm/cfbenchmark-scores"
check "the end equals that of an undisturbed run: responses" diff -r "$T/killed/cfbenchmark-response" "$T/calm/cfbenchmark-response"

rm -rf "$T/suite"
make_suite 500
export CFBENCH T
SUITE=$T/suite PYTHONPATH=tests python3 tests/slow/kill.py || bad=1
exit $bad
