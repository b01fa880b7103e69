# Sourced by the script tests: a scratch folder that goes away, and the three lines that tests/run.sh counts.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
: "${CFBENCH:=$PWD/cfbench}"
SHARED=$PWD/../shared/cfbenchmark
T=$(mktemp -d)
bad=0
pids=()
finish() {
    for p in ${pids[@]+"${pids[@]}"}; do kill "$p" 2>/dev/null; done
    rm -rf "$T"
}
trap finish EXIT
ok() { echo "ok $1"; }
not_ok() { echo "not ok $1: $2"; bad=1; }
skip() { echo "skip $1: $2"; }
# check NAME COMMAND...: ok if the command succeeds; its output explains a failure
check() {
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then ok "$name"; else not_ok "$name" "$(echo "$out" | tail -5 | tr '\n' ' ')"; fi
}
# A suite of 8 tasks with N rows each in $T/suite: the sample suite's prompts, rows repeated with a number.
make_suite() {
    python3 - "$1" "$T/suite" <<'E2'
import csv, json, os, shutil, sys
n, out = int(sys.argv[1]), sys.argv[2]
shutil.copytree("datasets/sample", out)
def rows(task):
    for ext in ("jsonl", "csv", "json"):
        p = f"{out}/{task}.{ext}"
        if not os.path.exists(p): continue
        with open(p, encoding="utf-8", newline="") as f:
            if ext == "jsonl": data = [json.loads(line) for line in f]
            elif ext == "csv": data = list(csv.DictReader(f))
            else:
                data = json.load(f)
                if isinstance(data, dict): data = data["data"]
        os.remove(p)
        return data
for task in [t["name"] for t in json.load(open(f"{out}/suite.json", encoding="utf-8"))["tasks"]]:
    data = rows(task)
    with open(f"{out}/{task}.jsonl", "w", encoding="utf-8") as f:
        for i in range(n):
            r = dict(data[i % len(data)])
            r["input"] = f"[{i}] " + r["input"]
            f.write(json.dumps(r, ensure_ascii=False) + "\n")
E2
}
