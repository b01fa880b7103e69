# Metrics on the command line and in suites: chosen, named in every output, refused where they do not suit.
. "$(dirname "$0")/../lib.sh"

"$CFBENCH" run --suite datasets/sample --mock --api-rate-limit 0 --quiet --progress off --out "$T/run" >/dev/null 2>&1 || not_ok "mock run" "failed"
score() { "$CFBENCH" score "$@" --json 2>"$T/err"; }
field() { python3 -c 'import json, sys
doc = json.load(sys.stdin)
for t in doc["tasks"]:
    if t["task"] == sys.argv[1]: print(t[sys.argv[2]])' "$@"; }

for m in tf exact_match accuracy f1 f1_micro f1_macro f1_weighted rouge1 rouge2 rougeL bleu bleu_sentence chrf chrf_sentence edit; do
    score "$T/run" --metric $m >"$T/$m.json"
    value=$(field summary score_all <"$T/$m.json")
    if python3 -c "import sys; sys.exit(not 0 <= float('$value') <= 1)" 2>/dev/null; then ok "--metric $m"; else not_ok "--metric $m" "score '$value' $(cat "$T/err")"; fi
    rm -f "$T/one.json"
    for threads in 1 8; do score "$T/run/cfbenchmark-response" --suite datasets/sample --metric $m --threads $threads | grep -v '"source"' >>"$T/one.json"; done
    half=$(($(wc -l <"$T/one.json") / 2))
    if [ "$half" -gt 20 ] && [ "$(head -$half "$T/one.json")" = "$(tail -$half "$T/one.json")" ]; then ok "--metric $m: same for 1 and 8 threads"; else not_ok "--metric $m: same for 1 and 8 threads" "differs"; fi
done
if [ "$(field company metric <"$T/rougeL.json")" = "f1 (labels: row)" ]; then ok "a metric alone leaves label tasks as they are"; else not_ok "a metric alone leaves label tasks as they are" "$(field company metric <"$T/rougeL.json")"; fi
if field risk metric <"$T/bleu.json" | grep -q 'tok zh.*smooth exp'; then ok "the name has the parameters"; else not_ok "the name has the parameters" "$(field risk metric <"$T/bleu.json")"; fi

score "$T/run" --metric 'chrf,risk=edit,company=exact_match' >"$T/pairs.json"
got="$(field risk metric <"$T/pairs.json" | cut -c1-4) $(field summary metric <"$T/pairs.json" | cut -c1-5) $(field company metric <"$T/pairs.json" | cut -c1-5)"
if [ "$got" = "edit chrF2 exact" ]; then ok "TASK=METRIC goes before a metric alone"; else not_ok "TASK=METRIC goes before a metric alone" "$got"; fi

refused() { # NAME MESSAGE ARGS...
    local name=$1 message=$2
    shift 2
    "$CFBENCH" "$@" >/dev/null 2>"$T/err"
    local status=$?
    if [ $status -eq 1 ] && grep -qF -- "$message" "$T/err"; then ok "$name"; else not_ok "$name" "exit $status: $(cat "$T/err")"; fi
}
refused "an unsuitable pair" "metric rougeL is for other kinds of task than recognition; for that there are: f1, exact_match" score "$T/run" --metric company=rougeL
refused "an unknown metric" "none of the metrics f1 tf" score "$T/run" --metric rouge
refused "an unknown task" "no task 'nobody' is scored here" score "$T/run" --metric nobody=bleu
refused "no generation task" "none is scored here; write TASK=bleu" score "$T/run" --tasks company --metric bleu
refused "two for all" "names two metrics" score "$T/run" --metric bleu,chrf
refused "a part without a task" "empty task name" score "$T/run" --metric =bleu
refused "before anything is asked" "metric tf is for other kinds" run --suite datasets/sample --mock --metric sector=tf --out "$T/none"
if [ -e "$T/none" ]; then not_ok "a refused run leaves nothing" "$T/none is there"; else ok "a refused run leaves nothing"; fi

# a suite of one's own; its columns and files carry the metric's name
mkdir "$T/mine"
cat >"$T/mine/suite.json" <<'E2'
{"schema": "cfbench.suite/1", "name": "mine", "tasks": [
  {"name": "choice", "kind": "classification", "metric": "accuracy", "prompt": {"zero": "{input}"}},
  {"name": "brief", "kind": "generation", "metric": "rougeL", "prompt": {"zero": "{input}"}}]}
E2
printf 'input,response,output\nq1,B,答案是 B\nq2,ABD,"A、B、D"\nq3,C,D\nq4,见解析,C\n' >"$T/mine/choice-output.csv"
printf 'input,response,output\nq,营收增长,营收下降\n' >"$T/mine/brief-output.csv"
score "$T/mine" --suite "$T/mine" --out "$T/mine/out" >"$T/mine.json"
got="$(field choice score_all <"$T/mine.json") $(field brief score_all <"$T/mine.json")"
if [ "$got" = "0.5 0.5" ]; then ok "metrics of a suite"; else not_ok "metrics of a suite" "$got $(cat "$T/err")"; fi
heads=$(find "$T/mine/out" -name '*-scores.csv' -exec head -1 {} \; | sort | tr '\n' ' ')
if [ "$heads" = ",input,response,output,accuracy ,input,response,output,rougeL " ]; then ok "columns are named after the metric"; else not_ok "columns are named after the metric" "$heads"; fi
sed -i 's/"metric": "accuracy"/"metric": "rouge9"/' "$T/mine/suite.json"
"$CFBENCH" score "$T/mine" --suite "$T/mine" >/dev/null 2>"$T/err"
if [ $? -eq 2 ] && grep -q "'metric' must be one of f1, tf, exact_match" "$T/err"; then ok "a suite's unknown metric"; else not_ok "a suite's unknown metric" "$(cat "$T/err")"; fi
exit $bad
