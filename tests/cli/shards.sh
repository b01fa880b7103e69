# Shards of a run, and their merge: every row once, the same scores as one process, clear words where something is missing.
. "$(dirname "$0")/../lib.sh"
make_suite 20 || exit 1
run() { "$CFBENCH" "$@" --quiet >"$T/out" 2>"$T/err"; }
ask() { run run --progress off --suite "$T/suite" --mock --seed 5 --model m "$@"; }
says() { grep -q "$1" "$T/err" || { tail -3 "$T/err"; false; }; }
# what does not depend on time: upstream's files, and every score
same_scores() {
    diff -r "$1/cfbenchmark-response" "$2/cfbenchmark-response" && diff -r "$1/cfbenchmark-scores" "$2/cfbenchmark-scores" &&
        python3 - "$1/scores.json" "$2/scores.json" <<'E2'
import json, sys
a, b = (json.load(open(p, encoding="utf-8")) for p in sys.argv[1:])
for d in (a, b):
    d.pop("asking", None); d.pop("runs", None)
    for t in d["tasks"]: t.pop("source", None)
def differ(x, y, at=""):
    if isinstance(x, dict) and isinstance(y, dict):
        return [d for k in sorted(x.keys() | y.keys()) for d in differ(x.get(k), y.get(k), f"{at}/{k}")]
    if isinstance(x, list) and isinstance(y, list) and len(x) == len(y):
        return [d for i, (p, q) in enumerate(zip(x, y)) for d in differ(p, q, f"{at}/{i}")]
    return [] if x == y else [f"{at}: {str(x)[:60]} / {str(y)[:60]}"]
assert not differ(a, b), differ(a, b)[:4]
E2
}
calls() { cat "$T/$1"-*.log 2>/dev/null | wc -l; }

ask --out "$T/one" --mock-log "$T/log-one"
rows=$(wc -l <"$T/log-one")
for i in 0 1 2 3 4 5 6 7; do ask --out "$T/eight" --shard $i/8 --mock-log "$T/eight-$i.log" || bad=1; done
check "8 shards ask for every row once" test "$(calls eight)" -eq "$rows"
check "shards are balanced: none has more than twice its part" test "$(for d in "$T"/eight/shard-*; do python3 -c 'import sqlite3,sys; print(sqlite3.connect(sys.argv[1]).execute("select count(*) from row").fetchone()[0])' "$d/run.db"; done | sort -n | tail -1)" -le $((rows / 4))
check "merge" run merge --seed 5 "$T/merged" "$T/eight"
check "the merged run has the scores of one process, byte for byte" same_scores "$T/one" "$T/merged"
check "merge replaces nothing by itself" test "$(run merge --seed 5 "$T/merged" "$T/eight"; echo $?)" -eq 1
check "merge --force does" run merge --seed 5 --force "$T/merged" "$T/eight"
check "merge in another order gives the same scores" run merge --seed 5 "$T/merged2" "$T/eight/shard-0007-of-0008" "$T"/eight/shard-000[0-6]-of-0008/run.db
check "the same, compared" same_scores "$T/merged" "$T/merged2"

for i in 0 1 2 3 4 5 6 7; do "$CFBENCH" run --suite "$T/suite" --mock --dry-run --json --shard $i/8 --out "$T/planned" >"$T/plan-$i"; wc -l <"$T/eight-$i.log"; done >"$T/asked"
for i in 0 3; do
    "$CFBENCH" doctor --suite "$T/suite" --mock --shard $i/8 >"$T/doctor-$i" 2>/dev/null
    check "doctor plans the calls of shard $i alone" grep -q "^ *$(wc -l <"$T/eight-$i.log") calls in " "$T/doctor-$i"
done
check "--dry-run plans each shard's own rows" python3 -c "
import json, sys
plans = [json.load(open(p, encoding='utf-8'))['plan'] for p in sys.argv[2:]]
asked = [int(x) for x in open(sys.argv[1])]
assert [p['calls'] for p in plans] == asked == [sum(t['rows'] for t in p['tasks']) for p in plans], (plans, asked)" "$T/asked" "$T"/plan-[0-7]

run merge --seed 5 "$T/part" "$T"/eight/shard-000[0-5]-of-0008
check "a missing shard is named" says 'not given: shard 6/8, 7/8'
check "nothing is left of a merge that failed" test ! -e "$T/part/run.db" -a ! -e "$T/part/run.db.merging"
cp -R "$T/eight/shard-0000-of-0008" "$T/odd"
python3 -c 'import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute("update setting set value = ? where name = ?", ("-99999999/8", "shard")); c.commit()' "$T/odd/run.db"
run merge --seed 5 "$T/part" "$T/odd" "$T/eight/shard-0001-of-0008"
check "a shard of no such number is no reason to fall" test $? -eq 2
echo whole >"$T/merged/run.db.merging"
exec 8>>"$T/merged/run.db.lock"
flock 8
run merge --seed 5 --force "$T/merged" "$T/eight"
check "a merge that finds the run locked leaves the other merge's work alone" grep -q whole "$T/merged/run.db.merging"
exec 8>&-
rm "$T/merged/run.db.merging"
cp -R "$T/eight" "$T/other"; rm -rf "$T/other/shard-0003-of-0008"
ask --out "$T/other" --shard 3/8 --temperature 0.5
run merge --seed 5 "$T/part" "$T/other"
check "another configuration is refused by name" says 'temperature is'
rm -rf "$T/other/shard-0003-of-0008"; mkdir "$T/twice"
ask --out "$T/twice" --shard 3/8
run merge --seed 5 "$T/part" "$T/eight" "$T/twice"
check "a row that two calls answered is refused" says 'answered there and by another call'
run merge --seed 5 "$T/part" "$T/one"
check "a whole run is no shard" says 'no shard'
ask --out "$T/limited" --shard 3/8 --limit 7
run merge --seed 5 "$T/part" "$T"/eight/shard-000[0-2]* "$T/limited"
check "another --limit is seen" says 'another --limit'

# another number of shards goes on with what is done
for i in 0 1 2 3; do ask --out "$T/eight" --shard $i/4 --mock-log "$T/four-$i.log" || bad=1; done
check "4 shards after 8 ask nothing" test "$(calls four)" -eq 0
check "4 shards and 8, all given, merge: copies count once" run merge --seed 5 "$T/both" "$T/eight"
check "the same scores" same_scores "$T/one" "$T/both"
mkdir "$T/grow"
for i in 0 1; do ask --out "$T/grow" --shard $i/3 --mock-log "$T/grow-3-$i.log" || bad=1; done
for i in 0 1 2 3 4; do ask --out "$T/grow" --shard $i/5 --mock-log "$T/grow-5-$i.log" || bad=1; done
check "5 shards after 2 of 3 ask for the rest only" test "$(calls grow)" -eq "$rows"
check "they merge" run merge --seed 5 "$T/grown" "$T"/grow/shard-*-of-0005
check "the same scores again" same_scores "$T/one" "$T/grown"
ask --out "$T/one" --shard 0/2 --mock-log "$T/late.log"
check "a whole run goes on as shards, and asks nothing twice" test ! -s "$T/late.log"

# the shard's place in a job
for e in "SLURM_JOB_ID=1 SLURM_ARRAY_TASK_ID=14 SLURM_ARRAY_TASK_MIN=10 SLURM_ARRAY_TASK_STEP=2 SLURM_ARRAY_TASK_COUNT=8" \
    "SLURM_JOB_ID=1 SLURM_STEP_ID=0 SLURM_PROCID=2 SLURM_STEP_NUM_TASKS=8" \
    "SLURM_JOB_ID=1 SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=2 SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=4" \
    "LSB_JOBID=1 LSB_JOBINDEX=3 LSB_JOBINDEX_END=8" "SGE_ROOT=/x JOB_ID=1 SGE_TASK_ID=3 SGE_TASK_FIRST=1 SGE_TASK_LAST=8 SGE_TASK_STEPSIZE=1"; do
    rm -rf "$T/auto"
    env $e "$CFBENCH" generate --suite "$T/suite" --limit 1 --mock --quiet --progress off --shard auto --out "$T/auto" 2>"$T/err"
    check "--shard auto: ${e%% *} ${e##* }" test -d "$T/auto/shard-0002-of-0008"
done
run generate --suite "$T/suite" --mock --shard auto --out "$T/auto"
check "--shard auto outside of a job says so" says 'no job of'
PBS_JOBID=1 PBS_ARRAY_INDEX=3 "$CFBENCH" generate --suite "$T/suite" --mock --shard auto --out "$T/auto" 2>"$T/err"
check "--shard auto where the count is unknown says so" says 'how many there are'
for s in 8/8 -1/8 x 3 3/0 1/2/3; do
    run generate --suite "$T/suite" --mock "--shard=$s" --out "$T/auto"
    check "--shard $s is refused" test $? -eq 1
done

# without shared memory
"$CFBENCH" generate --suite "$T/suite" --mock --mock-latency 0.1 --max-workers 1 --task-workers 1 --quiet --progress off --store-locks exclusive --out "$T/alone" 2>"$T/err" &
p=$!
for _ in $(seq 600); do [ -s "$T/alone/run.db-wal" ] && break; sleep 0.05; done
check "--store-locks exclusive: a log, and no shared memory" test -s "$T/alone/run.db-wal" -a ! -e "$T/alone/run.db-shm"
kill -9 $p; wait $p 2>/dev/null
check "after a kill it goes on" run run --suite "$T/suite" --mock --store-locks exclusive --out "$T/alone" --model mock
check "and is whole" python3 -c "
import sqlite3,sys
d = sqlite3.connect(sys.argv[1])
assert d.execute('select count(*) from answer').fetchone() == d.execute('select count(*) from row').fetchone()" "$T/alone/run.db"
