# score --shard and merge: the bytes of one process, whatever the source, the options and the threads; clear words where shards do
# not fit together.
. "$(dirname "$0")/../lib.sh"
says() { grep -q "$1" "$T/err" || { tail -3 "$T/err"; false; }; }
status() { # status N COMMAND...: the command ends with N
    local want=$1 got=0
    shift
    "$@" || got=$?
    [ $got -eq "$want" ] || { echo "exit $got"; tail -3 "$T/err"; false; }
}
score() { "$CFBENCH" score --progress off "$@" >"$T/out" 2>"$T/err"; }
merge() { "$CFBENCH" merge "$@" >"$T/out" 2>"$T/err"; }
# shards N OPTIONS...: all shards of $T/shards
shards() {
    local n=$1 i
    shift
    rm -rf "$T/shards"
    for i in $(seq 0 $((n - 1))); do score --out "$T/shards" --shard "$i/$n" "$@" || { cat "$T/err"; return 1; }; done
}
# same NAME N STATUS OPTIONS...: one process, N shards and their merge
same() {
    local name=$1 n=$2 want=$3
    shift 3
    rm -rf "$T/one" "$T/joined"
    check "$name: one process" status "$want" score --out "$T/one" "$@"
    cp "$T/out" "$T/out-one"
    check "$name: $n shards" shards "$n" "$@"
    check "$name: merge" status "$want" merge "$T/joined" "$T/shards"
    check "$name: the same files, byte for byte" diff -r "$T/one" "$T/joined"
    check "$name: the same table" diff "$T/out-one" "$T/out"
}

# replies of some thousand rows, more than one block of sums: with and without ids, right and wrong, empty, and broken
make_suite 40 || exit 1
python3 - "$T" <<'E2' || exit 1
import csv, json, sys
t = sys.argv[1]
labels = [json.loads(l)["response"] for l in open(f"{t}/suite/sector.jsonl", encoding="utf-8")]
texts = [json.loads(l)["response"] for l in open(f"{t}/suite/summary.jsonl", encoding="utf-8")]
def reply(all, i): return "" if i % 31 == 0 else all[(i + (i * 7919 % 3 == 0)) % len(all)] + (",x" if i % 5 == 0 else "")
with open(f"{t}/sector.csv", "w", newline="", encoding="utf-8") as f:
    w = csv.writer(f); w.writerow(["input", "response", "output"])
    for i in range(5000): w.writerow([f'in "{i % 900}"\n', labels[i % len(labels)], reply(labels, i)])
with open(f"{t}/summary.jsonl", "w", encoding="utf-8") as f:
    for i in range(3000): f.write(json.dumps({"id": f"é{i}", "input": f"in {i}", "response": texts[i % len(texts)], "output": reply(texts, i)}, ensure_ascii=i % 2 == 0) + "\n")
with open(f"{t}/many.csv", "w", newline="", encoding="utf-8") as f:
    w = csv.writer(f); w.writerow(["id", "task", "model", "input", "response", "output"])
    for i in range(4000):
        task = ("sector", "summary")[i % 3 == 0]
        all = texts if task == "summary" else labels
        w.writerow([f"row-{i}", task, f"m{i % 2}", f"in {i}", all[i % len(all)], reply(all, i)])
    f.write("broken,row\n")
    w.writerow(["last", "nobody", "m1", "x", "y", "z"])
E2
suite=(--suite "$T/suite")
same "CSV without ids" 3 0 "${suite[@]}" "$T/sector.csv"
same "JSON Lines with ids" 5 0 "${suite[@]}" "$T/summary.jsonl" -j 3
same "two files" 2 0 "${suite[@]}" "$T/summary.jsonl" "$T/sector.csv"
same "a metric of sums" 4 0 "${suite[@]}" --metric bleu "$T/summary.jsonl"
same "an average over labels" 4 0 "${suite[@]}" --metric sector=f1_macro "$T/sector.csv"
same "labels as observed" 4 0 "${suite[@]}" --label-set observed "$T/sector.csv"
same "columns, bad rows, sampled and worst rows" 4 3 "${suite[@]}" --task-column task --model-column model --on-bad-row skip --sample 20 --worst 9 --rows-out "$T/rows.jsonl" --rows-texts "$T/many.csv"
cp "$T/rows.jsonl" "$T/rows-merged.jsonl"
score "${suite[@]}" --task-column task --model-column model --on-bad-row skip --sample 20 --worst 9 --rows-out "$T/rows.jsonl" --rows-texts "$T/many.csv"
check "picked rows: the same file" cmp "$T/rows.jsonl" "$T/rows-merged.jsonl"
same "every row written, chosen by --where" 3 0 "${suite[@]}" --task summary --rows-out "$T/rows.csv" --where "score < 0.5 && id != 'é7'" "$T/summary.jsonl"
cp "$T/rows.csv" "$T/rows-merged.csv"
score "${suite[@]}" --task summary --rows-out "$T/rows.csv" --where "score < 0.5 && id != 'é7'" "$T/summary.jsonl"
check "chosen rows: the same file" cmp "$T/rows.csv" "$T/rows-merged.csv"
"$CFBENCH" run "${suite[@]}" --mock --mock-error-rate 0.4 --mock-faults 400:0.05 --max-retries 0 --seed 7 --api-rate-limit 0 --quiet --progress off --out "$T/run" >/dev/null 2>&1
same "a run store" 3 3 "${suite[@]}" "$T/run"
same "a store and a file, joined" 2 3 "${suite[@]}" --duplicates join --model-name mock --setting few-shot "$T/run" "$T/sector.csv"

# balance, and one shard
shards 4 "${suite[@]}" "$T/sector.csv"
check "rows without ids: shards of one size" test "$(stat -c %s "$T"/shards/*/scores.shard | sort -n | awk 'NR == 1 { least = $1 } END { print $1 - least }')" -lt 4096
shards 1 "${suite[@]}" "$T/sector.csv"
check "one shard" merge "$T/alone" "$T/shards"
check "nothing but its scores is in a shard" test "$(find "$T/shards" -type f | wc -l)" -eq 1

# refusals
shards 3 "${suite[@]}" "$T/sector.csv"
check "what is there is not replaced" status 1 merge "$T/alone" "$T/shards"
check "--force replaces it" merge --force "$T/alone" "$T/shards"
check "a missing shard" status 1 merge "$T/bad" "$T"/shards/*[02]-of-0003
check "a missing shard is named" says 'not given: shard 1/3'
cp "$T/shards/shard-0001-of-0003/scores.shard" "$T/copy.shard"
check "a shard given twice" status 1 merge "$T/bad" "$T/shards" "$T/copy.shard"
check "a shard given twice is named" says 'shard 1/3 is given twice'
score --out "$T/other" --shard 1/3 "${suite[@]}" --label-set observed "$T/sector.csv"
check "shards of other options" status 1 merge "$T/bad" "$T"/shards/*[02]-of-0003 "$T/other"
check "shards of other options are named" says 'not one scoring'
check "nothing was written" test ! -e "$T/bad/scores.json"
check "a run store beside scores" status 1 merge "$T/bad" "$T/shards" "$T/run"
check "a run store beside scores: said" says 'do not go together'
head -c 3000 "$T/copy.shard" >"$T/short.shard"
check "a short file" status 2 merge "$T/bad" "$T"/shards/*[02]-of-0003 "$T/short.shard"
python3 -c "
import sys; p = sys.argv[1]; b = bytearray(open(p, 'rb').read()); b[200] ^= 1; open(p, 'wb').write(b)" "$T/copy.shard"
check "a damaged file" status 2 merge "$T/bad" "$T"/shards/*[02]-of-0003 "$T/copy.shard"
check "a damaged file is named" says 'copy.shard: damaged'
python3 -c "
import sys; p = sys.argv[1]; b = open(p, encoding='utf-8', newline='').read(); i = b.rindex(',x'); open(p, 'w', encoding='utf-8', newline='').write(b[:i] + ',y' + b[i + 2:])" "$T/sector.csv"
check "a file that has changed" status 2 merge "$T/bad" "$T/shards"
check "a file that has changed: said" says 'other texts now'
check "--shard without --out" status 1 score --shard 0/2 "${suite[@]}" "$T/sector.csv"
check "--shard of standard input" status 1 score --shard 0/2 --out "$T/x" --task sector "${suite[@]}" - </dev/null
check "--shard auto" env SLURM_JOB_ID=1 SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=4 "$CFBENCH" score --quiet "${suite[@]}" --shard auto --out "$T/auto" "$T/summary.jsonl"
check "--shard auto: the folder" test -s "$T/auto/shard-0001-of-0004/scores.shard"
exit $bad
