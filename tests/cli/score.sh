# cfbench score: where rows come from, results of one name, bad rows, rows out, --where, --sample, --worst, progress, measurements.
. "$(dirname "$0")/../lib.sh"

score() { "$CFBENCH" score --suite datasets/sample "$@" >"$T/out" 2>"$T/err"; }
# expect NAME STATUS COMMAND...: the command ends with this status
expect() {
    local name=$1 want=$2 got=0
    shift 2
    "$@" || got=$?
    if [ "$got" -eq "$want" ]; then ok "$name"; else not_ok "$name" "exit $got, not $want: $(head -c 400 "$T/err")"; fi
}
said() { if grep -qF -- "$2" "$T/err"; then ok "$1"; else not_ok "$1" "not said: $2; but: $(head -c 400 "$T/err")"; fi; }
unsaid() { if grep -qF -- "$2" "$T/err"; then not_ok "$1" "said: $2"; else ok "$1"; fi; }
# py NAME [ARGS]: a Python program on standard input; doc(file) reads JSON, rows(file) reads CSV or JSON Lines, both in $T
py() {
    local name=$1 out
    shift
    {
        cat <<'E2'
import csv, json, sys
t = sys.argv[1]
def doc(p): return json.load(open(f"{t}/{p}", encoding="utf-8"))
def rows(p):
    with open(f"{t}/{p}", encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f)) if p.endswith(".csv") else [json.loads(l) for l in f]
E2
        cat
    } >"$T/prog.py"
    if out=$(python3 "$T/prog.py" "$T" "$@" 2>&1); then ok "$name"; else not_ok "$name" "$(echo "$out" | tail -3 | tr '\n' ' ')"; fi
}
ask() { "$CFBENCH" run --suite datasets/sample --mock --api-rate-limit 0 --quiet --progress off "$@" >/dev/null 2>&1 || not_ok "mock run" "failed: $*"; }

# ---- sources ----
ask --out "$T/runs/a"
ask --out "$T/runs/b" --temperature 0.5 --mock-error-rate 0.6 --seed 7
cp -r "$T/runs/a/cfbenchmark-response" "$T/response"
mkdir "$T/packed"
cp -r "$T/response/few-shot" "$T/packed/"
find "$T/packed" -name '*.csv' -exec gzip {} +
score "$T/response" --json && cp "$T/out" "$T/plain.json"
score "$T/packed" --json && cp "$T/out" "$T/gz.json"
py "a folder of .csv and of .csv.gz" <<'E2'
a, b = ({(x["model"], x["setting"], x["task"]): x["score_all"] for x in doc(f)["tasks"]} for f in ("plain.json", "gz.json"))
assert a == b and len(a) == 8 and ("mock", "few-shot", "sector") in a, (a, b)
E2
sector=$T/response/few-shot/mock/sector-output.csv
score --task sector --model-name mock --setting few-shot --json - <"$sector" && cp "$T/out" "$T/stdin1.json"
gzip -c "$sector" | score --task sector --model-name mock --setting few-shot --json - && cp "$T/out" "$T/stdin2.json"
py "standard input, plain and compressed, model and setting by options" <<'E2'
want = [x for x in doc("plain.json")["tasks"] if x["task"] == "sector"][0]
for f in ("stdin1.json", "stdin2.json"):
    x, = doc(f)["tasks"]
    assert (x["model"], x["setting"], x["score_all"], x["source"]) == ("mock", "few-shot", want["score_all"], "-"), x
E2
expect "standard input without a task" 1 score - </dev/null
said "standard input without a task: what to do" "--task or --task-column"
expect "an unknown task" 1 score "$sector" --task nobody
said "an unknown task: the option" "say which one it is with --task"

# ---- one file with rows of many tasks, models and settings ----
python3 - "$T" <<'E2'
import csv, glob, json, os, random, sys
t = sys.argv[1]
every = []
for model, run in (("org/m1", "a"), ("m2", "b")):
    for p in sorted(glob.glob(f"{t}/runs/{run}/cfbenchmark-response/few-shot/mock/*-output.csv")):
        task = os.path.basename(p).split("-")[0]
        with open(p, encoding="utf-8", newline="") as f:
            every += [dict(r, task=task, model=model, shot="few-shot", key=f"{task}/{i}", 备注=str(i)) for i, r in enumerate(csv.DictReader(f))]
random.Random(1).shuffle(every)
def write(name, data):
    with open(f"{t}/{name}", "w", encoding="utf-8", newline="") as f:
        w = csv.DictWriter(f, ["备注", "key", "shot", "model", "task", "output", "input", "response"])
        w.writeheader()
        w.writerows(data)
write("mixed.csv", every)
write("strange.csv", every[:3] + [dict(every[3], task="strange")] + every[4:])
with open(f"{t}/mixed.jsonl", "w", encoding="utf-8") as f:
    for r in every: f.write(json.dumps(r, ensure_ascii=False) + "\n")
E2
columns=(--task-column task --model-column model --setting-column shot --id-column key)
score "$T/runs/b" --json && cp "$T/out" "$T/b.json"
score "$T/mixed.csv" "${columns[@]}" --json --out "$T/mixed-out" && cp "$T/out" "$T/mixed.json"
py "rows of many tasks and models give the scores that a file for each gives" <<'E2'
got = {(x["model"], x["task"]): x for x in doc("mixed.json")["tasks"]}
assert len(got) == 16, len(got)
for model, f in (("org/m1", "plain.json"), ("m2", "b.json")):
    for x in doc(f)["tasks"]:
        y = got[model, x["task"]]
        assert abs(x["score_all"] - y["score_all"]) < 1e-12 and x["rows"] == y["rows"] and x["labels"] == y["labels"], (x["task"], x["score_all"], y["score_all"])
names = [x["task"] for x in doc("mixed.json")["tasks"]]
assert names[:8] == names[8:] == [x["task"] for x in doc("b.json")["tasks"]], names  # the suite's order
E2
for model in org/m1 m2; do check "exports of $model" test -s "$T/mixed-out/cfbenchmark-scores/few-shot/$model/sector-scores.csv"; done
for threads in 1 2 8; do score "$T/mixed.csv" "${columns[@]}" --threads $threads --json && cp "$T/out" "$T/mixed-$threads.json"; done
check "columns: same bytes for 1 and 2 threads" cmp "$T/mixed-1.json" "$T/mixed-2.json"
check "columns: same bytes for 1 and 8 threads" cmp "$T/mixed-1.json" "$T/mixed-8.json"
gzip -k "$T/mixed.csv"
score "$T/mixed.csv.gz" "${columns[@]}" --json && sed 's/mixed\.csv\.gz/mixed.csv/' "$T/out" >"$T/mixed-gz.json"
check "columns: same bytes from .gz" cmp "$T/mixed-1.json" "$T/mixed-gz.json"
expect "--tasks picks rows of a file" 0 score "$T/mixed.jsonl" "${columns[@]}" --tasks sector --json
py "--tasks picks rows of a file: only those" <<'E2'
assert {x["task"] for x in doc("out")["tasks"]} == {"sector"}
E2
expect "--task beside --task-column" 1 score "$T/mixed.csv" --task sector --task-column task
said "--task beside --task-column: message" "exclude each other"
expect "a column that is not there" 2 score "$T/mixed.csv" --task-column nope
said "a column that is not there: those there are" "备注"
expect "a task that the suite does not have" 2 score "$T/strange.csv" "${columns[@]}"
said "a task that the suite does not have: which" "suite 'sample' has no task 'strange'"
expect "a task that the suite does not have: skipped" 3 score "$T/strange.csv" "${columns[@]}" --on-bad-row skip --json
py "a task that the suite does not have: row 3" <<'E2'
assert [x["row"] for x in doc("out")["skipped_rows"]] == [3] and sum(x["rows"] for x in doc("out")["tasks"]) == 243
E2

# ---- results of one name ----
expect "two runs of one model" 0 score "$T/runs/a" "$T/runs/b" --json --out "$T/both"
cp "$T/out" "$T/both.json"
py "two runs of one model: two results, two exports, settings by run" <<'E2'
d = doc("both.json")
assert [x["model"] for x in d["tasks"]] == ["mock@a"] * 8 + ["mock@b"] * 8, [x["model"] for x in d["tasks"]]
for run, model in (("plain", "mock@a"), ("b", "mock@b")):
    assert {x["task"]: x["score_all"] for x in doc(f"{run}.json")["tasks"]} == {x["task"]: x["score_all"] for x in d["tasks"] if x["model"] == model}
    assert len(rows(f"both/cfbenchmark-scores/few-shot/{model}/sector-scores.csv")) == 16
assert d["settings"] == [], d["settings"]
assert [(a["model"], float({s["name"]: s["value"] for s in a["settings"]}["temperature"])) for a in d["asking"]] == [("mock@a", 0), ("mock@b", 0.5)], [a["settings"] for a in d["asking"]]
E2
expect "two runs of one model: fail" 1 score "$T/runs/a" "$T/runs/b" --duplicates fail
said "two runs of one model: fail names both and the option" "runs/b/run.db both hold task 'company' of one model and setting: --duplicates"
expect "two sources of one name: join" 0 score "$T/runs/a" "$T/response" --duplicates join --json
py "two sources of one name: join adds rows up" <<'E2'
x, = [x for x in doc("out")["tasks"] if x["task"] == "sector"]
y, = [x for x in doc("plain.json")["tasks"] if x["task"] == "sector"]
assert (x["model"], x["rows"]) == ("mock", 32) and abs(x["score_all"] - y["score_all"]) < 1e-12, x
E2
mkdir "$T/one"
for i in 1 2; do cp "$sector" "$T/one/sector-part$i.csv"; done
expect "two files of one task" 0 score "$T/one/sector-part1.csv" "$T/one/sector-part2.csv" --json
py "two files of one task: told apart by their names" <<'E2'
got = [x["model"] for x in doc("out")["tasks"]]
assert got == [f"unknown-model@one-sector-part{i}.csv" for i in (1, 2)], got
E2
expect "a source given twice" 0 score "$T/one/sector-part1.csv" "$T/one/../one/sector-part1.csv" --json
said "a source given twice: said" "is given twice and counted once"

# ---- rows that cannot be read ----
printf 'input,response,output\nq,"银行","银行"\nq,"银行"\nq,"银行","银\xff"\nq,证券,证券\n' >"$T/sector-bad.csv"
expect "a bad row ends it" 2 score "$T/sector-bad.csv"
said "a bad row: file and line" "sector-bad.csv:3"
expect "bad rows are skipped" 3 score "$T/sector-bad.csv" --on-bad-row skip --json --rows-out "$T/bad.csv"
said "bad rows are skipped: each is named" "row skipped: $T/sector-bad.csv:3"
said "bad rows are skipped: counted" "2 bad rows were skipped and count nowhere"
py "bad rows: in the JSON and in the rows, good ones scored and numbered as in the file" <<'E2'
d = doc("out")
assert d["skipped"] == 2 and [(r["row"], r["line"]) for r in d["skipped_rows"]] == [(1, 3), (2, 4)], d["skipped_rows"]
assert d["tasks"][0]["rows"] == 2 and d["tasks"][0]["score_all"] == 1, d["tasks"][0]
r = rows("bad.csv")
assert [(x["row"], x["line"], x["state"], x["score"]) for x in r] == [("0", "2", "ok", "1.0"), ("1", "3", "bad", ""), ("2", "4", "bad", ""), ("3", "5", "ok", "1.0")], r
assert "UTF-8" in r[2]["error"], r
E2
score "$T/sector-bad.csv" --on-bad-row skip
check "bad rows: in the table" grep -q "2 bad rows skipped, in no count above" "$T/out"
python3 - "$T" <<'E2'
import sys
with open(f"{sys.argv[1]}/sector-many.csv", "w") as f:
    f.write("input,response,output\n")
    for i in range(5000): f.write("q,银行\n" if i % 2 else "q,银行,银行\n")
with open(f"{sys.argv[1]}/sector-even.csv", "w") as f:
    f.write("input,response,output\n" + "q,银行,银行\n" * 20000)
E2
expect "many bad rows" 3 score "$T/sector-many.csv" --on-bad-row skip --json --rows-out "$T/many.jsonl"
py "many bad rows: the first 20 said, 1,000 in the JSON, all in the rows" <<'E2'
assert open(f"{t}/err").read().count("row skipped:") == 20
assert doc("out")["skipped"] == 2500 and len(doc("out")["skipped_rows"]) == 1000
r = rows("many.jsonl")
assert [x["row"] for x in r] == list(range(5000)) and [x["state"] for x in r[:4]] == ["ok", "bad"] * 2
E2
cp "$T/many.jsonl" "$T/many2.jsonl"
score "$T/sector-many.csv" --on-bad-row skip --json --rows-out "$T/many.jsonl" --threads 1
check "many bad rows: same bytes for 1 thread" cmp "$T/many.jsonl" "$T/many2.jsonl"
printf 'input,response,output\n' >"$T/sector-none.csv"
expect "a header and no rows" 0 score "$T/sector-none.csv"
said "a header and no rows: said" "holds no rows"
printf '{"response": "银行", "output": "银行"}\n{"response": "银行"}\n{"response": "银行", "output": null}\n' >"$T/sector-miss.jsonl"
expect "rows without an output" 0 score "$T/sector-miss.jsonl" --json
said "rows without an output: said" "2 rows have no 'output' (missing, or null) and count as empty; the first one is at line 2"
printf '{"response": "银行", "output": "银行"}\n{"output": "银行"}\n' >"$T/sector-noref.jsonl"
expect "a row without a reference" 2 score "$T/sector-noref.jsonl"
said "a row without a reference: where" "sector-noref.jsonl:2: no 'response'"
expect "a row without a reference: skipped" 3 score "$T/sector-noref.jsonl" --on-bad-row skip

# ---- rows out ----
for form in csv jsonl; do score "$T/mixed.csv" "${columns[@]}" --rows-out "$T/rows.$form" --rows-texts; done
py "--rows-out: a line for each row, with its parts and texts" <<'E2'
src, c, j = rows("mixed.csv"), rows("rows.csv"), rows("rows.jsonl")
assert len(src) == len(c) == len(j) == 244
means = {}
for i, (s, a, b) in enumerate(zip(src, c, j)):
    assert a["row"] == str(i) and b["row"] == i and a["id"] == b["id"] == s["key"]
    for k in ("task", "model", "input", "response", "output"): assert a[k] == b[k] == s[k], (k, a, b, s)
    assert float(a["score"]) == b["score"] and a["picked"] == b["picked"] == "row"
    assert b["output_chars"] == len(s["output"]) and b["response_chars"] == len(s["response"])
    assert (b["correct"] is None) == (s["task"] in ("summary", "risk", "suggestion"))
    means.setdefault((b["model"], b["task"]), []).append(b["score"])
for x in doc("mixed.json")["tasks"]:
    m = means[x["model"], x["task"]]
    assert abs(sum(m) / len(m) - x["score_all"]) < 1e-12
E2
for threads in 1 8; do score "$T/mixed.csv" "${columns[@]}" --rows-out "$T/rows-$threads.csv" --threads $threads --rows-texts; done
check "--rows-out: same bytes for 1 and 8 threads" cmp "$T/rows-1.csv" "$T/rows-8.csv"
expect "--rows-out of a run store" 0 score "$T/runs/a" --rows-out "$T/store.jsonl"
py "--rows-out of a run store: all rows" <<'E2'
r = rows("store.jsonl")
assert len(r) == 122 and r[0]["source"].endswith("run.db") and r[0]["line"] is None, r[0]
E2
expect "--rows-out without a known suffix" 1 score "$T/mixed.csv" "${columns[@]}" --rows-out "$T/rows.txt"
said "--rows-out without a known suffix: what to do" "--format csv or jsonl"
expect "--rows-out with --format" 0 score "$T/mixed.csv" "${columns[@]}" --rows-out "$T/rows.txt" --format jsonl --rows-texts
check "--rows-out with --format: the same" cmp "$T/rows.txt" "$T/rows.jsonl"
expect "--rows-out onto a device" 1 score "$T/mixed.csv" "${columns[@]}" --rows-out /dev/null --format csv
expect "--rows-texts alone" 1 score "$T/mixed.csv" "${columns[@]}" --rows-texts
mkdir "$T/keep"
echo old >"$T/keep/rows.csv"
expect "an error leaves the old rows" 2 score "$T/sector-bad.csv" --rows-out "$T/keep/rows.csv"
check "an error leaves the old rows: as they were, nothing beside them" test "$(cat "$T/keep/rows.csv") $(ls -A "$T/keep")" = "old rows.csv"

# ---- --where, --sample, --worst ----
where() { # NAME EXPR PYTHON: the rows that Python finds
    score "$T/mixed.csv" "${columns[@]}" --rows-out "$T/where.jsonl" --rows-texts --where "$2" --json
    py "--where $1" "$3" <<'E2'
src, mixed = rows("rows.jsonl"), rows("mixed.csv")
got = [r["row"] for r in rows("where.jsonl")]
want = [i for i, r in enumerate(src) if eval(sys.argv[2], dict(r, r=r, m=mixed[i]))]
assert got == want, (got[:9], want[:9])
d = doc("out")
assert sum(x["selected"] for x in d["tasks"]) == len(got) and 0 < len(got) < 244, len(got)
assert [x["score_all"] for x in d["tasks"]] == [x["score_all"] for x in doc("mixed.json")["tasks"]]
E2
}
where "of score and task" 'task == "sector" && score < 0.5' 'task == "sector" and score < 0.5'
where "of texts" "contains(output, '银行') || chars(input) > 60" '"银行" in r["output"] or len(r["input"]) > 60'
where "of a column of the file" 'number(`备注`) >= 3 && !starts(id, "company")' 'int(m["备注"]) >= 3 and not r["id"].startswith("company")'
where "of model, lengths and counts" 'model == "m2" && (output_chars < response_chars || correct == 2)' 'model == "m2" and (output_chars < response_chars or correct == 2)'
expect "--where that is wrong" 1 score "$T/mixed.csv" "${columns[@]}" --where 'score <'
said "--where that is wrong: where" "--where: at character 8: a value is missing at the end"
expect "--where with an unknown column" 2 score "$T/mixed.csv" "${columns[@]}" --where 'nope == "x"'
said "--where with an unknown column: those there are" "missing (have:"
expect "--where with a column, of a run store" 1 score "$T/runs/a" --where 'nope == "x"'
score "$T/mixed.csv" "${columns[@]}" --where 'score < 0.5'
check "--where: the table counts" grep -q '^where score < 0.5: [0-9]* of 244 rows' "$T/out"
for threads in 1 8; do score "$T/mixed.csv" "${columns[@]}" --sample 4 --seed 3 --json --rows-out "$T/sample-$threads.jsonl" --threads $threads && cp "$T/out" "$T/sample-$threads.json"; done
check "--sample: the same rows for 1 and 8 threads" cmp "$T/sample-1.jsonl" "$T/sample-8.jsonl"
check "--sample: the same JSON for 1 and 8 threads" cmp "$T/sample-1.json" "$T/sample-8.json"
score "$T/mixed.csv.gz" "${columns[@]}" --sample 4 --seed 3 --rows-out "$T/sample-gz.jsonl"
sed -i 's/mixed\.csv\.gz/mixed.csv/' "$T/sample-gz.jsonl"
check "--sample: the same rows from .gz" cmp "$T/sample-1.jsonl" "$T/sample-gz.jsonl"
score "$T/mixed.csv" "${columns[@]}" --sample 4 --seed 4 --rows-out "$T/sample-other.jsonl"
py "--sample: 4 of each task, other ones by another seed" <<'E2'
a, b = rows("sample-1.jsonl"), rows("sample-other.jsonl")
assert len(a) == len(b) == 64 and {x["picked"] for x in a} == {"sample"}
assert [x["row"] for x in a] == sorted(x["row"] for x in a) and [x["row"] for x in a] != [x["row"] for x in b]
d = doc("sample-1.json")["tasks"]
assert all(len(x["sample_rows"]) == 4 for x in d)
assert sorted(r["row"] for x in d for r in x["sample_rows"]) == [x["row"] for x in a]
E2
score "$T/sector-even.csv" --sample 4000 --rows-out "$T/even.jsonl"
py "--sample is even over the file" <<'E2'
n = [0] * 10
for r in rows("even.jsonl"): n[r["row"] // 2000] += 1
assert sum(n) == 4000 and all(300 < k < 500 for k in n), n  # 400 expected, standard deviation 17
E2
score "$T/mixed.csv" "${columns[@]}" --worst 3 --json --rows-out "$T/worst.jsonl"
py "--worst: the 3 lowest of each task" <<'E2'
every, got = rows("rows.jsonl"), rows("worst.jsonl")
for x in doc("out")["tasks"]:
    mine = lambda r: (r["model"], r["task"]) == (x["model"], x["task"])
    want = [r["row"] for r in sorted((r for r in every if mine(r) and r["state"] == "ok"), key=lambda r: (r["score"], r["row"]))[:3]]
    assert [r["row"] for r in x["worst_rows"]] == want, (x["task"], want)
    assert sorted(r["row"] for r in got if mine(r)) == sorted(want)
E2
score "$T/mixed.csv" "${columns[@]}" --worst 3 --sample 10 --where 'task == "sector"' --rows-out "$T/picks.jsonl"
py "--worst and --sample of --where" <<'E2'
r = rows("picks.jsonl")
assert {x["task"] for x in r} == {"sector"} and {x["picked"] for x in r} <= {"sample", "worst", "sample+worst"}, r
assert sum("worst" in x["picked"] for x in r) == 6 and sum("sample" in x["picked"] for x in r) == 20, [x["picked"] for x in r]
assert len({x["row"] for x in r}) == len(r)
E2

# ---- the summary as CSV, progress, measurements ----
expect "--csv" 0 score "$T/mixed.csv" "${columns[@]}" --csv "$T/summary.csv" --json
py "--csv: a line for each result, numbers as in the JSON" <<'E2'
d, r = doc("out")["tasks"], rows("summary.csv")
assert len(d) == len(r)
for x, y in zip(d, r):
    for k in ("model", "setting", "task", "kind", "source", "metric"): assert x[k] == y[k]
    assert str(x["rows"]) == y["rows"] and str(x["states"]["ok"]) == y["ok"]
    for k in ("score_all", "score_answered", "set_f1", "mean_output_chars"): assert x[k] == (float(y[k]) if y[k] else None), (k, x[k], y[k])
E2
expect "--verbose says what was measured" 0 score "$T/mixed.csv" "${columns[@]}" --verbose --json
said "--verbose: speed and memory" "peak memory"
said "--verbose: where the time went" "time of all threads: reading"
py "--verbose --json: the measurements" <<'E2'
p = doc("out")["performance"]
assert p["rows"] == 244 and p["peak_memory_bytes"] > 0 and p["elapsed_s"] > 0 and p["threads_busy"] > 0, p
E2
score "$T/mixed.csv" "${columns[@]}" --json
py "no measurements unasked: a document depends on its data alone" <<'E2'
assert "performance" not in doc("out")
E2
score "$T/mixed.csv" "${columns[@]}" --threads 999
said "more threads than cores: a warning with the remedy" "threads take turns; leave it out"
score "$T/mixed.csv" "${columns[@]}"
check "a short run says nothing on standard error" test ! -s "$T/err"
{ printf 'input,response,output\n'; sleep 0.7; yes q,银行,银行 | head -200; } | score --task sector --progress bar -
said "progress of a pipe: bytes and rows" " rows, "
unsaid "progress of a pipe: no time left" " left"

# ---- interrupted ----
mkfifo "$T/pipe"
mkdir "$T/cut"
"$CFBENCH" score --suite datasets/sample --task sector --rows-out "$T/cut/rows.csv" --out "$T/cut" - <"$T/pipe" >"$T/out" 2>"$T/err" &
scorer=$!
exec 9>"$T/pipe"
{ printf 'input,response,output\n'; yes q,银行,银行 | head -100000; } >&9
kill -INT $scorer
yes q,银行,银行 2>/dev/null | head -400000 >&9 2>/dev/null
exec 9>&-
got=0
wait $scorer || got=$?
check "SIGINT: exit status 5" test $got -eq 5
check "SIGINT: nothing half-written" test -z "$(find "$T/cut" -type f)"
exit $bad
