# The whole job on the real data (and on the sample suite): nothing lost, exports equal to the store, resuming asks nothing twice.
. "$(dirname "$0")/../lib.sh"

# Compares the exported CSV and JSON of a run with its store, by independent readers.
cat >"$T/compare.py" <<'E2'
import csv, json, sqlite3, sys
csv.field_size_limit(1 << 30)
out, setting, model, want = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
db = sqlite3.connect(f"{out}/run.db")
total = 0
for task_id, task, kind in db.execute("select task_id, name, kind from task"):
    rows = db.execute("select r.input, r.response, p.output, s.value from row r left join reply p using(task_id, row)"
                      " join score s using(task_id, row) where r.task_id = ? order by r.row", (task_id,)).fetchall()
    total += len(rows)
    last = "cosine_s" if kind == "generation" else "f1score"
    with open(f"{out}/cfbenchmark-response/{setting}/{model}/{task}-output.csv", newline="", encoding="utf-8") as f:
        got = list(csv.reader(f))
    assert got[0] == ["input", "response", "output"], got[0]
    assert [tuple(r) for r in got[1:]] == [(i or "", r or "", o or "") for i, r, o, _ in rows], task
    with open(f"{out}/cfbenchmark-scores/{setting}/{model}/{task}-scores.csv", newline="", encoding="utf-8") as f:
        got = list(csv.reader(f))
    assert got[0] == ["", "input", "response", "output", last], got[0]
    for k, (r, (i, resp, o, v)) in enumerate(zip(got[1:], rows, strict=True)):
        assert r == [str(k), i or "", resp or "", o or "", repr(v)], (task, k, r, v)
    with open(f"{out}/cfbenchmark-scores/{setting}/{model}/{task}-scores_detailed_results.json", encoding="utf-8") as f:
        d = json.load(f)
    assert d["total_samples"] == len(rows) == len(d["detailed_results"]) and d["classification_type"] == task
scores = json.load(open(f"{out}/scores.json", encoding="utf-8"))
assert total == want, total
E2

whole_job() { # name, suite arguments, rows
    local name=$1 rows=$2 shot
    shift 2
    for shot in zero few; do
        local out="$T/$name-$shot" calls
        if ! "$CFBENCH" run "$@" --shot $shot --mock --mock-log "$T/log" --api-rate-limit 0 --max-workers 8 --model org/mock-1 --progress off --out "$out" \
            >"$T/table" 2>"$T/err"; then
            not_ok "$name $shot-shot: $rows rows" "$(tail -3 "$T/err")"
            continue
        fi
        check "$name $shot-shot: $rows rows, none lost, exports equal the store" python3 "$T/compare.py" "$out" $shot-shot org/mock-1 "$rows"
        calls=$(wc -l <"$T/log")
        check "$name $shot-shot: one call a row" test "$calls" -eq "$rows"
        rm -f "$T/log"
        "$CFBENCH" run "$@" --shot $shot --mock --mock-log "$T/log" --api-rate-limit 0 --max-workers 8 --model org/mock-1 --progress off --out "$out" \
            >"$T/table2" 2>"$T/err"
        check "$name $shot-shot: a second run asks nothing" test ! -s "$T/log"
        check "$name $shot-shot: a second run says the same" cmp "$T/table" "$T/table2"
        rm -f "$T/log"
        "$CFBENCH" score "$out/cfbenchmark-response" "$@" --threads 1 --json >"$T/one.json" 2>/dev/null
        "$CFBENCH" score "$out/cfbenchmark-response" "$@" --threads 8 --json >"$T/eight.json" 2>/dev/null
        check "$name $shot-shot: same bytes for 1 and 8 threads" cmp "$T/one.json" "$T/eight.json"
        check "$name $shot-shot: scoring the export gives the store's scores" python3 - "$out/scores.json" "$T/one.json" <<'E2'
import json, sys
a, b = ({t["task"]: t["score_all"] for t in json.load(open(p))["tasks"]} for p in sys.argv[1:])
assert a and a == b, (a, b)
E2
    done
}

whole_job sample 122 --suite datasets/sample
if [ -d "$SHARED" ]; then
    whole_job cfbenchmark 3920 --suite datasets/cfbenchmark --data "$SHARED"
    for shot in zero few; do "$CFBENCH" prompt --suite datasets/cfbenchmark --data "$SHARED" --shot $shot --hash >"$T/$shot.tsv"; done
    check "every prompt of prompts-sample.jsonl, byte for byte" python3 - "$T" "$SHARED" <<'E2'
import json, sys
t, shared = sys.argv[1:]
got = {(s + "-shot", *l.split("\t")[:2]): l.split("\t")[2].strip() for s in ("zero", "few") for l in open(f"{t}/{s}.tsv")}
n = 0
for line in open(f"{shared}/prompts-sample.jsonl"):
    d = json.loads(line)
    for s in ("zero-shot", "few-shot"):
        assert got[s, d["task"], str(d["row"])] == d[s], (d["task"], d["row"], s)
        n += 1
assert n == 794, n
E2
    for f in gpt-4.1-mini/company gpt-4o-mini/sentiment; do
        "$CFBENCH" score "$SHARED/published/few-shot/$f-output.csv" --suite datasets/cfbenchmark --label-set observed --out "$T/pub" >/dev/null
        check "published $f: -scores.csv byte for byte" cmp "$SHARED/published/few-shot/$f-scores.csv" "$T/pub/cfbenchmark-scores/few-shot/$f-scores.csv"
    done
    f=gpt-4.1-mini/suggestion
    "$CFBENCH" score "$SHARED/published/few-shot/$f-output.csv" --suite datasets/cfbenchmark --out "$T/pub" >/dev/null
    check "published $f: detailed results, rows equal, means within 1e-12" python3 - "$SHARED/published/few-shot/$f-scores_detailed_results.json" \
        "$T/pub/cfbenchmark-scores/few-shot/$f-scores_detailed_results.json" <<'E2'
import json, sys
a, b = (json.load(open(p, encoding="utf-8")) for p in sys.argv[1:])
ma, mb = a.pop("metrics"), b.pop("metrics")
assert a == b and list(a) == [k for k in b if k in a]
assert ma.keys() == mb.keys() and all(abs(ma[k] - mb[k]) < 1e-12 * max(1, abs(ma[k])) for k in ma), (ma, mb)
E2
else
    skip "cfbenchmark" "../shared/cfbenchmark is absent"
fi

# A suite of one's own, in English, with other column names: no C written.
"$CFBENCH" run --suite tests/data/suite-en --mock --mock-error-rate 0 --api-rate-limit 0 --progress off --out "$T/en" >"$T/table" 2>"$T/err"
check "a suite of one's own scores 1 where every answer is right" python3 - "$T/en/scores.json" <<'E2'
import json, sys
tasks = json.load(open(sys.argv[1]))["tasks"]
assert [t["task"] for t in tasks] == ["topic", "entities", "headline"], tasks
for t in tasks:
    assert abs(t["score_all"] - 1) < 1e-12, (t["task"], t["score_all"])
E2
exit $bad
