# --profile-out: the trace keeps to the Trace Event Format, and its sums are those of the summary within 1 %.
. "$(dirname "$0")/../lib.sh"
t="python3 tests/cli/trace.py"
gen() { "$CFBENCH" generate --suite sample --mock --mock-latency 0.03 --quiet --progress off --usage-file "$T/usage.db" "$@"; }
if gen --rps 150 --mock-faults 500:0.1 --retry-base 0.02 --max-workers 8 --out "$T/a" --profile-out "$T/a.json" --json >"$T/a.sum" 2>"$T/a.err"; then ok "trace: a run with retries and a rate"
else not_ok "trace: a run with retries and a rate" "$(tail -2 "$T/a.err")"; exit 1; fi
check "trace: schema, and sums of a run" $t run "$T/a.json" "$T/a.sum" "$T/a/run.db"
gen --mock-faults 400:0.2 --max-retries 0 --in-flight 32 --limit 5 --out "$T/b" --profile-out "$T/b.json" --json >"$T/b.sum" 2>"$T/b.err"
if [ $? -eq 3 ]; then ok "trace: a run with failed rows"; else not_ok "trace: a run with failed rows" "$(tail -2 "$T/b.err")"; fi
check "trace: sums of a run with failed rows, and permits" $t run "$T/b.json" "$T/b.sum" "$T/b/run.db"
"$CFBENCH" mock --suite sample --port-file "$T/port" 2>/dev/null &
pids+=($!)
for _ in $(seq 100); do [ -s "$T/port" ] && break; sleep 0.05; done
ask() { "$CFBENCH" generate --suite sample --model m --base-url "http://127.0.0.1:$(cat "$T/port")/v1" --api-rate-limit 0 --quiet --cache "$T/c.db" --usage-file "$T/usage.db" "$@"; }
ask --out "$T/c" >/dev/null 2>&1
ask --out "$T/d" --profile-out "$T/d.json" >/dev/null 2>&1
check "trace: rows from the cache" python3 -c 'import json,sys; s=json.load(open(sys.argv[1]))["otherData"]["sums"]; assert s["row: row"]["events"]==122 and "call: call" not in s, s' "$T/d.json"
check "trace: schema, rows from the cache" $t schema "$T/d.json"
make_suite 400
"$CFBENCH" run --suite "$T/suite" --mock --quiet --progress off --out "$T/e" --profile-out "$T/e.json" >/dev/null 2>&1
check "trace: run asks and scores" $t schema "$T/e.json"
check "trace: a run has blocks" python3 -c 'import json,sys; s=json.load(open(sys.argv[1]))["otherData"]["sums"]; assert s["compute: block"]["events"]>=8, s' "$T/e.json"
python3 - "$T/e" "$T/big.csv" <<'E3'
import csv, glob, sys
rows = list(csv.reader(open(glob.glob(sys.argv[1] + "/cfbenchmark-response/*/mock/sector-output.csv")[0], encoding="utf-8", newline="")))
w = csv.writer(open(sys.argv[2], "w", encoding="utf-8", newline=""), lineterminator="\n")
w.writerow(rows[0])
for _ in range(200): w.writerows(rows[1:])
E3
"$CFBENCH" score --suite "$T/suite" --task sector --threads 2 --verbose --json --profile-out "$T/f.json" "$T/big.csv" >"$T/f.sum" 2>"$T/f.err"
check "trace: sums of scoring" $t score "$T/f.json" "$T/f.sum"
"$CFBENCH" score --suite "$T/suite" --task sector "$T/big.csv" --threads 2 --json >"$T/g.sum"
"$CFBENCH" score --suite "$T/suite" --task sector "$T/big.csv" --threads 2 --json --profile-out "$T/g.json" >"$T/h.sum"
check "trace: results are the same with and without it" cmp "$T/g.sum" "$T/h.sum"
"$CFBENCH" score --suite "$T/suite" --task sector "$T/nothing.csv" --profile-out "$T/i.json" >/dev/null 2>&1
check "trace: a command that fails leaves one too" $t schema "$T/i.json"
"$CFBENCH" score --suite "$T/suite" --task sector "$T/big.csv" --profile-out "$T/none/j.json" >/dev/null 2>"$T/j.err"
if [ $? -ne 0 ] && grep -q "none/j.json" "$T/j.err"; then ok "trace: a file that cannot be written is said at once"
else not_ok "trace: a file that cannot be written is said at once" "$(cat "$T/j.err")"; fi

# the other commands that work for a while: a trace of each, with its stages
traced() { # NAME STAGE,... ARGS...
    local name=$1 stages=$2
    shift 2
    "$CFBENCH" "$@" --profile-out "$T/$name.trace" >"$T/$name.out" 2>"$T/$name.err"
    local status=$?
    if [ $status -ne 0 ]; then not_ok "trace: $name" "exit $status: $(tail -1 "$T/$name.err")"; return; fi
    check "trace: schema of $name" $t schema "$T/$name.trace"
    check "trace: stages of $name" python3 -c 'import json,sys; s=json.load(open(sys.argv[1]))["otherData"]["sums"]; want={"stage: "+n for n in sys.argv[2].split(",")}|{"command: command"}; assert want <= set(s), (want, set(s))' "$T/$name.trace" "$stages"
}
"$CFBENCH" generate --suite sample --mock --quiet --progress off --out "$T/sh" --shard 0/2 >/dev/null 2>&1
"$CFBENCH" generate --suite sample --mock --quiet --progress off --out "$T/sh" --shard 1/2 >/dev/null 2>&1
traced report "score,write reports" report "$T/e"
traced verify "score,write reports,compare files" verify "$T/e"
traced compare "score,statistics,write reports" compare "$T/e" "$T/a"
traced export "copy rows" export --format jsonl "$T/e" "$T/exported"
traced convert "copy rows" convert "$T/big.csv" "$T/big.jsonl"
traced merge "join shards,score,write reports" merge "$T/merged" "$T/sh"
traced batch export batch export --suite sample --model m --base-url http://127.0.0.1:1/v1 --out "$T/batch"
traced tune "run" tune score "$T/big.csv" --suite "$T/suite" --task sector --budget 0 --reps 1 --no-roofline --quiet --out "$T/tuned"
model=${BUILD:-build/gcc}/tools/oracle/bert_folder
if [ -x "$model" ] && mkdir "$T/bert" && "$model" "$T/bert"; then
    seq 400 | sed 's/$/ words of a text/' >"$T/texts.txt"
    traced embed "open the model,embed" embed --embed-model "$T/bert" --embed-cache off --json "$T/texts.txt" "$T/texts.npy"
    check "trace: sums of embedding" python3 -c 'import json,sys
s, d = json.load(open(sys.argv[1]))["otherData"]["sums"], json.load(open(sys.argv[2]))
assert d["schema"] == "cfbench.embed/1" and d["texts"] == d["computed_texts"] == 400 and d["computed_tokens"] >= 2000, d
for key, stage in (("embed_s", "stage: embed"), ("open_s", "stage: open the model")):
    assert abs(s[stage]["seconds"] - d[key]) <= 0.01 * d[key] + 1e-4, (key, d[key], s[stage])
assert s["compute: block"]["events"] > 10' "$T/embed.trace" "$T/embed.out"
else
    skip "trace: embed" "the model's writer was not built"
fi
exit $bad
