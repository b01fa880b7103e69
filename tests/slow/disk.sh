#!/usr/bin/env bash
# The disk fills up. What is promised: exit 5 and a message that says so; every reply that came with a complete body is in the
# store; with more room the same command asks only for the rest; no half-written file under a final name.
# The full disks are small tmpfs in a mount namespace of our own. Prints "ok NAME", "not ok NAME: why" or "skip NAME: why".
set -u
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
CFBENCH=${CFBENCH:-$root/build/gcc/cfbench}
case $CFBENCH in /*) ;; *) CFBENCH=$PWD/$CFBENCH ;; esac
export CFBENCH CFBENCH_SUITE_PATH=$root/datasets LC_ALL=C.UTF-8
if [ -z "${CFB_TEST_DISK:-}" ]; then
    if ! unshare -m bash -c 'd=$(mktemp -d) && mount -t tmpfs -o size=5m tmpfs "$d" && umount "$d" && rmdir "$d"' 2>/dev/null; then
        echo "skip full disk: cannot mount a tmpfs (needs root)"
        exit 0
    fi
    CFB_TEST_DISK=1 exec unshare -m bash "$0"
fi
mount --make-rprivate / 2>/dev/null
work=$(mktemp -d) || exit 1
# shellcheck disable=SC2317 # called by the trap
cleanup() {
    cd /
    umount "$work/disk" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$work" && mkdir disk || exit 1
out=$work/out err=$work/err
failed=0

begin() { name=$1 why=''; }
fail() { [ -n "$why" ] || why=$1; }
finish() {
    if [ -z "$why" ]; then
        echo "ok $name"
    else
        echo "not ok $name: $why"
        head -n 5 "$err" | cat -v | cut -c 1-300 | sed 's/^/# /'
        failed=1
    fi
}
cfb() {
    status=0
    timeout -k 1 50 "$CFBENCH" "$@" >"$out" 2>"$err" </dev/null || status=$?
    [ "$status" -ne 124 ] || fail "it did not end"
    [ "$status" -lt 126 ] || fail "it crashed (exit $status)"
    if grep -qE 'Sanitizer|runtime error:|Assertion' "$err" "$out"; then fail "sanitizer report"; fi
}
is() { [ "$status" -eq "$1" ] || fail "exit $status, expected $1"; }
says() { for w in "$@"; do grep -qiF -- "$w" "$err" || fail "the message does not say '$w'"; done; }
equal() { [ "$2" = "$3" ] || fail "$1: $2, expected $3"; }
lines() { if [ -e "$1" ]; then wc -l <"$1"; else echo 0; fi; }
q() { python3 -c 'import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(row[0])' "$@"; }
no_temp() { [ -z "$(find "$1" -name '*.tmp*' -print -quit)" ] || fail "it left a temporary file in $1"; }
disk() { # SIZE: an empty disk
    umount disk 2>/dev/null
    mount -t tmpfs -o "size=$1" tmpfs disk || { echo "not ok disk: no tmpfs"; exit 1; }
}
# A suite of 600 rows, and a mock whose replies have 16 KiB, known by the prompt's hash.
python3 - "$CFBENCH" <<'PY' || exit 1
import hashlib, json, os, sys
os.mkdir("suite")
task = {"name": "t", "title": "t", "kind": "generation", "metric": "tf", "max_tokens": 100000, "data": ["t"],
        "prompt": {"zero": "{instruction}{input}"}, "postprocess": {"zero": ["strip"]}}
suite = {"schema": "cfbench.suite/1", "name": "big", "title": "big", "language": "en", "license": "CC0-1.0", "description": "big replies",
         "columns": {"input": "input", "instruction": "instruction", "response": "response"}, "tasks": [task]}
json.dump(suite, open("suite/suite.json", "w"))
with open("suite/t.jsonl", "w") as f, open("replies.jsonl", "w") as r:
    for i in range(600):
        f.write(json.dumps({"input": f"question {i}", "instruction": "", "response": f"word{i % 50} x"}) + "\n")
        sha = hashlib.sha256(f"question {i}".encode()).hexdigest()
        r.write(json.dumps({"prompt_sha256": sha, "content": f"{i:08d} " + f"word{i % 50} " * 2000}) + "\n")
PY
rows=600
run=(run --mock --suite suite --shot zero --api-rate-limit 0 --replies replies.jsonl --progress off)

# Every call that the mock's log calls 200 must be in the store, with the reply that was sent.
all_kept() { # STORE LOG...
    python3 - "$@" <<'PY'
import hashlib, json, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
if db.execute("PRAGMA integrity_check").fetchone()[0] != "ok": sys.exit("the store is damaged")
have = {hashlib.sha256(i.encode()).hexdigest(): c for i, c in db.execute("SELECT input, content FROM reply JOIN row USING(task_id, row)")}
sent = {json.loads(l)["prompt_sha256"]: json.loads(l)["content"] for l in open("replies.jsonl")}
served = [json.loads(l)["sha256"] for p in sys.argv[2:] for l in open(p) if json.loads(l)["status"] == 200]
lost = [s for s in served if have.get(s) != sent[s]]
if lost: sys.exit(f"{len(lost)} of {len(served)} complete replies are not in the store")
twice = len(served) - len(set(served))
if twice: sys.exit(f"{twice} rows were asked again although they had a reply")
PY
}

begin "undisturbed"
cfb "${run[@]}" --out plain
is 0
equal "replies" "$(q plain/run.db 'SELECT count(*) FROM reply')" "$rows"
finish

for size in 7m 12m; do
    for workers in 1 32; do
        begin "a run fills a disk of $size, $workers workers"
        disk "$size"
        rm -rf first.log moved
        cfb "${run[@]}" --max-workers "$workers" --mock-log first.log --out disk/run
        is 5
        says "disk/run/run.db" "no space left" "run again"
        n=$(lines first.log)
        [ "$n" -gt 10 ] && [ "$n" -lt "$rows" ] || fail "it asked $n times"
        [ "$(grep -c warning "$err")" -le 5 ] || fail "$(grep -c warning "$err") warnings"
        [ ! -e disk/run/scores.json ] || fail "it wrote scores"
        cp -r disk/run moved
        why_lost=$(all_kept moved/run.db first.log 2>&1) || fail "$why_lost"
        finish

        begin "again on the full disk of $size: nothing is paid for twice"
        rm -f again.log
        before=$(q moved/run.db 'SELECT count(*) FROM reply')
        cfb "${run[@]}" --max-workers "$workers" --mock-log again.log --out disk/run
        is 5
        says "disk/run/run.db" "no "
        rm -rf moved
        cp -r disk/run moved
        touch again.log
        why_lost=$(all_kept moved/run.db first.log again.log 2>&1) || fail "$why_lost"
        [ "$(q moved/run.db 'SELECT count(*) FROM reply')" -ge "$before" ] || fail "replies are gone"
        finish

        begin "scored as it stands, from the copy"
        rm -rf copy
        cp -r disk/run copy
        cfb score --json --suite suite copy
        is 3
        python3 -m json.tool "$out" >/dev/null || fail "not JSON"
        finish

        begin "moved to a bigger place"
        rm -rf moved more.log
        cp -r disk/run moved
        kept=$(($(lines first.log) + $(lines again.log)))
        cfb "${run[@]}" --mock-log more.log --out moved
        is 0
        equal "calls" "$(lines more.log)" $((rows - kept))
        why_lost=$(all_kept moved/run.db first.log again.log more.log 2>&1) || fail "$why_lost"
        cmp -s moved/cfbenchmark-response/zero-shot/mock/t-output.csv plain/cfbenchmark-response/zero-shot/mock/t-output.csv || fail "another result"
        no_temp moved
        [ ! -e moved/run.db.reserve ] || fail "the reserve is left"
        finish
    done
done

begin "the same disk with space freed"
disk 40m
head -c 32m /dev/zero >disk/ballast
rm -f first.log more.log
cfb "${run[@]}" --max-workers 8 --mock-log first.log --out disk/run
is 5
rm disk/ballast
mount -o remount,size=100m disk
cfb "${run[@]}" --mock-log more.log --out disk/run
is 0
equal "calls of both" $(($(lines first.log) + $(lines more.log))) "$rows"
cmp -s disk/run/cfbenchmark-response/zero-shot/mock/t-output.csv plain/cfbenchmark-response/zero-shot/mock/t-output.csv || fail "another result"
finish

begin "no room to begin with"
disk 5m
head -c 3m /dev/zero >disk/ballast
rm -f first.log
cfb "${run[@]}" --mock-log first.log --out disk/run
is 5
says "disk/run/run.db" "no room"
equal "calls" "$(lines first.log)" 0
[ ! -e disk/run/run.db.reserve ] || fail "the reserve is left"
finish
begin "not a byte free"
head -c 10m /dev/zero >disk/ballast 2>/dev/null
cfb "${run[@]}" --mock-log first.log --out disk/other
is 5
equal "calls" "$(lines first.log)" 0
finish

begin "export to a full disk"
disk 2m
cfb export plain disk/export
is 5
says "disk/export" "no space left"
[ -z "$(find disk -type f -name 't-output.csv')" ] || fail "a file under its final name"
no_temp disk
finish
begin "export keeps the older file"
disk 2m
mkdir -p disk/cfbenchmark-response/zero-shot/mock
echo old >disk/cfbenchmark-response/zero-shot/mock/t-output.csv
cfb export --force plain disk
is 5
equal "the file" "$(cat disk/cfbenchmark-response/zero-shot/mock/t-output.csv)" old
no_temp disk
finish
begin "JSON Lines export to a full disk"
disk 2m
cfb export --format jsonl plain disk/export
is 5
says "disk/export" "no space left"
[ -z "$(find disk -type f)" ] || fail "it left a file"
finish
begin "convert to a full disk"
disk 2m
cfb convert plain/cfbenchmark-response/zero-shot/mock/t-output.csv disk/t.jsonl
is 5
says "disk/t.jsonl" "no space left"
[ -z "$(find disk -type f)" ] || fail "it left a file"
finish
begin "score --out on a full disk"
disk 1m
head -c 2m /dev/zero >disk/ballast 2>/dev/null
cfb score --json --suite suite --out disk/scored plain
is 5
says "disk/scored" "no space left"
rm -f disk/ballast
[ -z "$(find disk -type f -size 0)" ] || fail "an empty file"
no_temp disk
finish
begin "score of a store on a full disk"
disk 40m
cp -r plain disk/run
rm -rf disk/run/cfb*
cfb score --json --suite suite disk/run
cp "$out" fresh.json
head -c 60m /dev/zero >disk/ballast 2>/dev/null
cfb score --json --suite suite disk/run
is 0
cmp -s "$out" fresh.json || fail "other scores"
equal "integrity" "$(q plain/run.db 'PRAGMA integrity_check')" ok
rm -f disk/ballast
equal "integrity" "$(q disk/run/run.db 'PRAGMA integrity_check')" ok
finish
begin "the results of a run do not fit"
disk 100m
rm -f first.log
cfb generate --mock --suite suite --shot zero --api-rate-limit 0 --replies replies.jsonl --progress off --out disk/run
is 0
free=$(df --output=avail -B1k disk | tail -n 1)
head -c $((free - 5000))k /dev/zero >disk/ballast
cfb "${run[@]}" --mock-log first.log --out disk/run
is 5
says "no space left"
equal "calls" "$(lines first.log)" 0
[ ! -e disk/run/cfbenchmark-response/zero-shot/mock/t-output.csv ] || fail "a half-written file"
no_temp disk/run
rm disk/ballast
cfb "${run[@]}" --mock-log first.log --out disk/run
is 0
equal "calls after that" "$(lines first.log)" 0
cmp -s disk/run/cfbenchmark-response/zero-shot/mock/t-output.csv plain/cfbenchmark-response/zero-shot/mock/t-output.csv || fail "another result"
finish
begin "the mock's log on a full disk"
if [ -w /dev/full ]; then
    cfb "${run[@]}" --limit 5 --mock-log /dev/full --out logged
    [ "$status" -eq 0 ] || is 5
fi
finish
exit $failed
