# cfbench compare and verify on runs of the mock: forms, gates, what is refused, the same bytes for any number of threads.
. "$(dirname "$0")/../lib.sh"

run() { "$CFBENCH" run --suite datasets/sample --mock --api-rate-limit 0 --quiet --progress off "$@" >/dev/null 2>"$T/err"; }
same() { if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "got '$2', not '$3'"; fi; }
has() { if grep -qF -- "$2" "$3"; then ok "$1"; else not_ok "$1" "'$2' is not in: $(head -c 1500 "$3")"; fi; }
# ends NAME STATUS MESSAGE ARGS...
ends() {
    local name=$1 want=$2 message=$3
    shift 3
    "$CFBENCH" "$@" >"$T/out" 2>"$T/err"
    local got=$?
    if [ $got -eq "$want" ] && grep -qF -- "$message" "$T/err" "$T/out"; then ok "$name"; else not_ok "$name" "exit $got: $(tail -3 "$T/err")"; fi
}
for e in 0 0.1 0.5; do run --mock-error-rate $e --model "m$e" --out "$T/r$e" || not_ok "a run" "$(cat "$T/err")"; done

"$CFBENCH" compare "$T/r0" "$T/r0.5" >"$T/table" 2>"$T/err"
same "two runs: exit status" $? 0
has "two runs: the difference" "B − A" "$T/table"
has "two runs: the verdict over all tasks" "A" <(grep '^all ' "$T/table")
same "two runs: changed rows" "$(grep -c '→0' "$T/table" | awk '{ print ($1 >= 5) }')" 1
wide=$(python3 -c 'import sys; print(max(len(l.rstrip("\n")) for l in open(sys.argv[1], encoding="utf-8") if "…" in l and "→" not in l))' "$T/table")
if [ "$wide" -le 100 ]; then ok "two runs: the table fits in 100 columns"; else not_ok "two runs: the table fits in 100 columns" "$wide"; fi
"$CFBENCH" compare "$T/r0" "$T/r0.5" "$T/r0.1" >"$T/table"
has "three runs: places" "place  run  model" "$T/table"
same "three runs: the best comes first" "$(awk '/^place/{getline; getline; print $2}' "$T/table")" A
same "three runs: a pair of tables" "$(grep -c '^task' "$T/table")" 4
for form in json markdown latex; do "$CFBENCH" compare "$T/r0" "$T/r0.5" --format $form >"$T/$form" || not_ok "--format $form" "failed"; done
has "Markdown" "| **mean of all** | 122 |" "$T/markdown"
has "LaTeX" '\begin{tabular}{lrr}' "$T/latex"
same "LaTeX: rows end" "$(grep -c '\\\\$' "$T/latex")" 13
check "JSON" python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
assert d["schema"] == "cfbench.compare/1" and len(d["tasks"]) == 8 and d["means"][-1]["name"] == "all"
p = d["means"][-1]["pairs"][0]
assert all(s["low"] <= s["score"] <= s["high"] and s["low"] < s["high"] for l in d["tasks"] + d["means"] for s in l["scores"])
assert p["low"] < p["difference"] < p["high"] < 0 and p["better"] == "A" and p["p_holm"] >= p["p"]
assert abs(d["means"][-1]["scores"][1]["score"] - d["means"][-1]["scores"][0]["score"] - p["difference"]) < 1e-12' "$T/json"
"$CFBENCH" compare "$T/r0" "$T/r0.5" --out "$T/files" >/dev/null
check "--out writes a page: figures for each pair, and no more than text" python3 -c '
import html.parser, sys
text = open(sys.argv[1], encoding="utf-8").read()
assert text.count("<svg class=\"plot forest\"") == 1 and "<script" not in text and "http" not in text.replace("http-equiv", "")
stack = []
class P(html.parser.HTMLParser):
    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "br"): stack.append(tag)
    def handle_startendtag(self, tag, attrs): pass
    def handle_endtag(self, tag): assert stack.pop() == tag, tag
p = P(); p.feed(text); p.close(); assert not stack' "$T/files/compare.html"
same "--out writes the three forms" "$(cd "$T/files" && cmp compare.json ../json && cmp compare.md ../markdown && cmp compare.tex ../latex && echo yes)" yes
for threads in 1 2 64; do "$CFBENCH" compare "$T/r0" "$T/r0.5" "$T/r0.1" --json --threads $threads | cksum; done >"$T/sums"
same "the same bytes for 1, 2 and 64 threads" "$(sort -u "$T/sums" | wc -l)" 1
check "colour on a terminal, not in a file, and not with NO_COLOR" python3 - "$CFBENCH" "$T" <<'E2'
import os, pty, subprocess, sys
program, folder = sys.argv[1:]
def shown(args, **env):
    m, s = pty.openpty()
    run = subprocess.Popen([program, *args], stdin=subprocess.DEVNULL, stdout=s, stderr=subprocess.DEVNULL,
                           env={k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm"} | env)
    os.close(s)
    out = b""
    while True:
        try: got = os.read(m, 65536)
        except OSError: got = b""
        if not got: break
        out += got
    assert run.wait() == 0, (args, out)
    return out.replace(b"\r\n", b"\n")
for args in (["compare", f"{folder}/r0", f"{folder}/r0.5"], ["score", f"{folder}/r0", f"{folder}/r0.5"]):
    plain = subprocess.run([program, *args], capture_output=True, check=True).stdout
    assert b"\x1b[" not in plain and b"\x1b[" not in shown(args, NO_COLOR="1") and b"\x1b[1m" in shown(args), args
E2
before=$(cksum <"$T/r0/run.db")
"$CFBENCH" compare "$T/r0/cfbenchmark-response" "$T/r0.5" --suite datasets/sample --json >"$T/mixed"
check "a run's files beside a run store: the same numbers" python3 -c '
import json, sys
a, b = (json.load(open(p)) for p in sys.argv[1:])
one = {t["name"]: (t["pairs"][0]["difference"], t["pairs"][0]["p"]) for t in a["tasks"]}
two = {t["name"]: (t["pairs"][0]["difference"], t["pairs"][0]["p"]) for t in b["tasks"]}
assert one == two, (one, two)' "$T/json" "$T/mixed"
same "comparing leaves the run store as it is" "$(cksum <"$T/r0/run.db")" "$before"
"$CFBENCH" compare "$T/r0" "$T/r0" --json >"$T/self"
check "a run beside itself" python3 -c '
import json, sys
for t in (d := json.load(open(sys.argv[1])))["tasks"] + d["means"]:
    p = t["pairs"][0]
    assert p["difference"] == 0 and p["p"] == 1 and p["better"] is None and t["scores"][0]["rank_worst"] == 2, t
    assert p["low"] < 0 < p["high"] and p["detectable"] is None, p' "$T/self"
"$CFBENCH" compare "$T/r0" "$T/r0.5" --resamples 0 --json >"$T/without" 2>"$T/err"
check "--resamples 0: the same differences" python3 -c '
import json, sys
a, b = ([p["difference"] for l in d["tasks"] + d["means"] for p in l["pairs"]] for d in (json.load(open(p)) for p in sys.argv[1:]))
assert a == b' "$T/json" "$T/without"
# three rows a task: the spread of a mean over tasks has to take each task's own three rows for what they are
for k in a b; do
    mkdir -p "$T/three/$k"
    printf 'input,response,output\n1,x,x\n2,x,x\n3,x,%s\n' "$([ $k = a ] && echo x || echo y)" | tee "$T/three/$k/one-output.csv" >"$T/three/$k/two-output.csv"
done
printf '{"schema":"cfbench.suite/1","name":"three","tasks":[{"name":"one","kind":"recognition","metric":"exact_match","prompt":{"zero":"{input}"}},{"name":"two","kind":"recognition","metric":"exact_match","prompt":{"zero":"{input}"}}]}' >"$T/three/suite.json"
sed -i 's/^\([123]\),/t\1,/' "$T/three/"*/two-output.csv
"$CFBENCH" compare "$T/three/a" "$T/three/b" --suite "$T/three" --json >"$T/threes" 2>"$T/err"
check "the standard error of a mean over tasks of few rows" python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
task, all = d["tasks"][0]["pairs"][0], d["means"][-1]["pairs"][0]
assert abs(task["standard_error"] - 1 / 3) < 1e-12 and abs(all["standard_error"] - 1 / 3 / 2 ** 0.5) < 1e-12, (task, all)' "$T/threes"
# all rows right, half of the inputs there twice: resamples of equal scores have no spread, but other rows may differ
mkdir -p "$T/equal"
sed '/"name":"two"/s/,{"name":"two".*}}]}/]}/' "$T/three/suite.json" >"$T/equal/suite.json"
{ echo input,response,output; for i in $(seq 120); do echo "$((i / 2)),x,x"; done; } >"$T/equal/one-output.csv"
"$CFBENCH" score "$T/equal" --suite "$T/equal" --json >"$T/equals" 2>"$T/err"
check "equal scores of rows that share inputs have an interval" python3 -c '
import json, sys
t = json.load(open(sys.argv[1]))["tasks"][0]
assert t["score_all"] == 1 and 0.9 < t["interval"]["low"] < 0.96 and t["interval"]["high"] == 1, t["interval"]' "$T/equals"

# ---- gates ----
ends "a drop beyond doubt" 6 "holds: B lies below A" compare "$T/r0" "$T/r0.5" --fail-if 'f1 drops > 0.01 at 95%'
ends "a drop, measured" 6 "FAIL all drops > 0.1 (B:" compare "$T/r0" "$T/r0.5" --fail-if 'all drops > 0.1'
ends "a smaller drop than allowed" 0 "pass all drops > 0.9" compare "$T/r0" "$T/r0.5" --fail-if 'all drops > 0.9'
ends "a rise is no drop" 0 "pass all drops > 0 " compare "$T/r0.5" "$T/r0" --fail-if 'all drops > 0 at 95 %'
ends "a drop that may be chance" 0 "pass sector drops > 0 at 99.9%" compare "$T/r0" "$T/r0.1" --fail-if 'sector drops > 0 at 99.9%'
ends "one of two conditions" 6 "generation drops" compare "$T/r0" "$T/r0.5" --fail-if 'all drops > 0.9' --fail-if 'generation drops > 0.01'
mkdir -p "$T/gate/whole" "$T/gate/part" "$T/gate/short"
seq 20 | sed 's/.*/t&,x,x/; 1i input,response,output' | tee "$T/gate/whole/one-output.csv" "$T/gate/whole/two-output.csv" >"$T/gate/part/one-output.csv"
cp "$T/gate/whole/one-output.csv" "$T/gate/short/"
head -18 "$T/gate/whole/two-output.csv" >"$T/gate/short/two-output.csv"
gate=("$T/gate/whole" --suite "$T/three" --fail-if)
ends "a task that one run lacks is no pass" 3 "task 'two' of A is not in every run" compare "${gate[@]:0:3}" "$T/gate/part" --fail-if 'all drops > 0.1'
ends "nor are rows that it lacks" 3 "task 'two': 3 of 20 rows are not in every run" compare "$T/gate/short" "${gate[@]}" 'all drops > 0.1'
ends "a task that is there can be judged alone" 0 "pass one drops" compare "${gate[@]:0:3}" "$T/gate/part" --fail-if 'one drops > 0.1'
for wrong in 'f1' 'f1 drops' 'f1 drops > x' 'f1 drops > 0.1 at' 'f1 drops > 0.1 at 95' 'f1 drops > 0.1 at 20%' 'f1 drops > nan' 'f1 drops > 0.1 at 95% ok'; do
    ends "refused: --fail-if '$wrong'" 1 "it has the form" compare "$T/r0" "$T/r0.5" --fail-if "$wrong"
done
ends "refused: --fail-if of nothing" 1 "'f2' is no task" compare "$T/r0" "$T/r0.5" --fail-if 'f2 drops > 0.1'

# ---- refused, left out ----
ends "one run" 1 "nothing to compare" compare "$T/r0"
ends "nothing there" 2 "there is no file or folder" compare "$T/r0" "$T/none"
cp -R "$T/r0.5/cfbenchmark-response" "$T/other"
python3 - "$T/other" <<'E2'
import csv, glob, sys
path = glob.glob(sys.argv[1] + "/*/*/sector-output.csv")[0]
rows = list(csv.reader(open(path, encoding="utf-8", newline="")))
rows[3][1] = "another reference"
csv.writer(open(path, "w", encoding="utf-8", newline=""), lineterminator="\n").writerows(rows)
E2
ends "other references" 2 "these are not the same rows" compare "$T/r0" "$T/other" --suite datasets/sample
run --tasks company --limit 5 --model few --out "$T/few"
"$CFBENCH" compare "$T/r0" "$T/few" >"$T/table"
has "rows that one run lacks" "company: 11 rows left out that not every run has" "$T/table"
has "tasks that one run lacks" "not compared, because not every run has it: product, sector" "$T/table"
run --tasks event --model another --out "$T/event"
ends "no task in common" 2 "no task in common" compare "$T/few" "$T/event"
run --tasks company,sector --mock-faults 400:0.3 --model faulty --out "$T/faulty"
"$CFBENCH" compare "$T/r0" "$T/faulty" >"$T/table" 2>"$T/err"
same "failed rows do not decide a comparison" "$?" 0
ends "failed rows: --fail-if does not pass" 3 "rows failed in a run: too many for --fail-if to pass" compare "$T/r0" "$T/faulty" --fail-if 'all drops > 0.9'
has "failed rows are named" "rows left out that failed in a run" "$T/table"
"$CFBENCH" run --suite tests/data/suite-en --mock --api-rate-limit 0 --quiet --out "$T/en" >/dev/null 2>&1
ends "runs of two suites" 2 "they share no rows" compare "$T/r0" "$T/en"

# ---- verify ----
ends "verify: a run" 0 "same      scores.json" verify "$T/r0"
mv "$T/r0" "$T/moved"
ends "verify: from another place" 0 "same      report.html" verify "$T/moved"
before=$(find "$T/moved" -type f -exec cksum {} + | sort)
sed -i '5s/$/ /' "$T/moved/report.md"
ends "verify: a file that was changed" 2 "different report.md: from line 5" verify "$T/moved"
sed -i '5s/ $//' "$T/moved/report.md"
same "verify: writes nothing" "$(find "$T/moved" -type f -exec cksum {} + | sort)" "$before"
rm "$T/moved/report.md"
ends "verify: a file that is not there" 0 "missing   report.md" verify "$T/moved"
ends "verify: other options" 2 "made with other options" verify "$T/moved" --confidence 0.9
ends "verify: no run" 2 "no run store" verify "$T/none"
mkdir "$T/bare" && cp "$T/moved/run.db" "$T/bare/"
ends "verify: nothing to verify" 2 "no results to verify" verify "$T/bare"
same "verify: cleans up" "$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'cfbench-verify-*' -user "$(id -u)" | wc -l)" 0
exit $bad
