#!/usr/bin/env bash
# Bad input, bad servers, bad moments: every case checks the exit code, the words of the message, that nothing crashed,
# that no half-written file is left, and that the key is in no output. Prints "ok NAME", "not ok NAME: why" or
# "skip NAME: why". Needs bash, coreutils and python3. Servers are the built-in mock model on loopback.
set -u
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
CFBENCH=${CFBENCH:-$root/build/gcc/cfbench}
case $CFBENCH in /*) ;; *) CFBENCH=$PWD/$CFBENCH ;; esac
key=sk-do-not-show-4f1d7c
export CFBENCH CFBENCH_SUITE_PATH=$root/datasets OPENAI_API_KEY=$key LC_ALL=C.UTF-8
unset OPENAI_BASE_URL NO_COLOR http_proxy https_proxy all_proxy
work=$(mktemp -d) || exit 1
pids=()
# shellcheck disable=SC2317 # called by the trap
cleanup() {
    for p in "${pids[@]}"; do kill -KILL "$p" 2>/dev/null; done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$work/t" && cd "$work/t" || exit 1
out=$work/out err=$work/err
failed=0

# ---- a case: begin NAME; then run and checks; finish. The first failing check is reported. ----
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
# What holds after every command: no crash, no sanitizer report, no key, no control character on the terminal.
sane() {
    [ "$status" -ne 124 ] || fail "it did not end"
    [ "$status" -lt 126 ] || [ "$status" -eq 137 ] || fail "it crashed (exit $status)"
    if grep -qE 'Sanitizer|runtime error:|Assertion' "$err" "$out" 2>/dev/null; then fail "sanitizer report"; fi
    if grep -qF -- "$key" "$err" "$out" 2>/dev/null; then fail "the key is in the output"; fi
    if LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1f\x7f]' "$err"; then fail "control characters on standard error"; fi
}
run() { # COMMAND...: output in $out and $err, exit status in $status
    status=0
    timeout -k 1 40 "$@" >"$out" 2>"$err" </dev/null || status=$?
    sane
}
cfb() { run "$CFBENCH" "$@"; }
# N calls at a time, or one in a build without OpenMP
parallel() { if "$CFBENCH" --version | grep -q serial; then echo 1; else echo "$1"; fi; }
is() { [ "$status" -eq "$1" ] || fail "exit $status, expected $1"; }
says() { # the words are on standard error
    for w in "$@"; do grep -qF -- "$w" "$err" || fail "the message does not say '$w'"; done
}
# One line, beside the count of calls that every run ends with.
one_line() {
    local n
    n=$(grep -v '^asked [0-9]* calls' "$err" | grep -c .)
    [ "$n" -eq 1 ] || fail "$n lines on standard error, expected 1"
}
silent() { [ ! -s "$err" ] || fail "it says something on standard error"; }
absent() { for f in "$@"; do [ ! -e "$f" ] || fail "it left $f"; done; }
no_temp() { [ -z "$(find "$1" -name '*.tmp*' -print -quit)" ] || fail "it left a temporary file in $1"; }
is_json() { python3 -m json.tool "${1:-$out}" >/dev/null 2>&1 || fail "${1:-standard output} is not JSON"; }
q() { # DB SQL: the first column of the rows
    python3 -c 'import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(row[0])' "$@"
}
equal() { [ "$2" = "$3" ] || fail "$1: $2, expected $3"; }
same() { cmp -s "$1" "$2" || fail "$1 and $2 differ"; }
# Replies and scores of two runs are the same (the source's name apart).
same_result() {
    local sql="SELECT task.name || '|' || row || '|' || state || '|' || content || '|' || output FROM reply JOIN task USING(task_id) ORDER BY 1"
    [ "$(q "$1/run.db" "$sql")" = "$(q "$2/run.db" "$sql")" ] || fail "the replies in $1 and $2 differ"
    python3 - "$1/scores.json" "$2/scores.json" <<'PY' || fail "the scores of $1 and $2 differ"
import json, sys
a, b = (json.load(open(p, encoding="utf-8")) for p in sys.argv[1:])
for d in (a, b):
    for t in d["tasks"]: t.pop("source")
    d.pop("asking")  # times, and how often was asked
sys.exit(a != b)
PY
}
lines() { if [ -e "$1" ]; then wc -l <"$1"; else echo 0; fi; }
wait_for() { # [-TRIES] COMMAND...: until it succeeds; 1000 tries are 20 s and more
    local tries=0 most=1000
    case $1 in -*) most=${1#-}; shift ;; esac
    until "$@"; do
        tries=$((tries + 1))
        [ "$tries" -lt "$most" ] || return 1
        sleep 0.02
    done
}
at_least() { [ "$(lines "$1")" -ge "$2" ]; }
says_file() { grep -qF -- "$2" "$1" 2>/dev/null; }
in_flight() { python3 - "$1" "$2" <<'PY'
import json, sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
s = json.load(opener.open(f"http://127.0.0.1:{sys.argv[1]}/stats"))
sys.exit(not s["in_flight"] >= int(sys.argv[2]))
PY
}
start() { # LOG COMMAND...: in the background, its pid in $pid
    local log=$1
    shift
    "$@" >"$log.out" 2>"$log" </dev/null &
    pid=$!
    pids+=("$pid")
}
reap() { # the exit status of $pid in $status, its standard error in $err; killed when it does not end within 20 s
    local tries=0
    while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 400 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    [ "$tries" -lt 400 ] || { fail "it did not end"; kill -KILL "$pid"; }
    status=0
    wait "$pid" 2>/dev/null || status=$?
    cp "$1" "$err"
    sane
}
serve() { # NAME [env or options]: a mock on its own port; $url and $port are its address
    local file=$work/$1.port log=$work/$1.log
    shift
    start "$work/mock.err" "$@" --port-file "$file" --mock-log "$log" --quiet
    mock_pid=$pid mock_log=$log
    wait_for test -s "$file" || { echo "not ok mock: no port"; exit 1; }
    port=$(cat "$file")
    url=http://127.0.0.1:$port/v1
}
open_mock=(env -u OPENAI_API_KEY "$CFBENCH" mock --suite sample) # env: no function, so that the pid is the mock's own
unserve() { kill "$mock_pid" 2>/dev/null; wait "$mock_pid" 2>/dev/null; }
fast=(--api-rate-limit 0 --retry-base 0.01 --retry-max 0.02 --suite sample --progress off)
mocked=(run --mock "${fast[@]}" --quiet)
asking=(generate --model m "${fast[@]}")

# ---- wrong use ----
usage() { # NAME WORDS... -- ARGUMENTS
    local words=()
    begin "$1"
    shift
    while [ "$1" != -- ]; do words+=("$1"); shift; done
    shift
    cfb "$@"
    is 1
    says "${words[@]}"
    one_line
    absent u
    finish
    rm -rf u
}
usage "unknown command" "rnu" "did you mean run?" "--help" -- rnu
usage "unknown option" "--max-worker " "did you mean --max-workers?" -- run --max-worker 3 --out u
usage "--max-workers 0" "--max-workers: 0" "1..4096" -- "${mocked[@]}" --max-workers 0 --out u
usage "--max-workers 8x" "--max-workers: 8x" "whole number" -- "${mocked[@]}" --max-workers 8x --out u
usage "--max-workers nan" "--max-workers: nan" "whole number" -- "${mocked[@]}" --max-workers nan --out u
usage "--api-rate-limit nan" "--api-rate-limit: nan" "not a number" -- "${mocked[@]}" --api-rate-limit nan --out u
usage "--timeout 1e999" "--timeout" "1e999" -- "${mocked[@]}" --timeout 1e999 --out u
usage "--limit -1" "--limit" "-1" -- "${mocked[@]}" --limit -1 --out u
usage "option without value" "--max-workers" "value" -- "${mocked[@]}" --out u --max-workers
usage "no model" "--model" "--mock" -- run --suite sample --out u
usage "unknown task leaves nothing" "no task 'nope'" "company, product" -- "${mocked[@]}" --tasks nope --out u
usage "URL without scheme" "--base-url" "http://" -- "${asking[@]}" --base-url 127.0.0.1:8000 --out u
usage "one of several URLs without scheme" "--base-url" "http://" -- "${asking[@]}" --base-url http://127.0.0.1:1/v1,127.0.0.1:2 --out u
usage "an extra body that is no JSON" "--extra-body" "line 1, column 6" -- "${asking[@]}" --extra-body '{"a":}' --out u
usage "an extra body that is no object" "--extra-body" "JSON object" -- "${asking[@]}" --extra-body '[1]' --out u
usage "an extra body with a member of ours" "--extra-body" "use --stream" -- "${asking[@]}" --extra-body '{"stream": true}' --out u
usage "a header without a value" "--header" "Name: value" -- "${asking[@]}" --header X-Title --out u
usage "a key in a header" "--header" "process list" "CFBENCH_HEADERS" -- "${asking[@]}" --header "Authorization: Bearer $key" --out u
usage "a header that is ours" "--header" "sets itself" -- "${asking[@]}" --header "Content-Length: 5" --out u
usage "a stop list that is no JSON" "--stop" "JSON list" "column" -- "${asking[@]}" --stop '["a",]' --out u
usage "a password in a proxy" "--proxy" "https_proxy" -- "${asking[@]}" --proxy "http://user:$key@127.0.0.1:1" --out u
usage "--temperature and --no-temperature" "exclude each other" -- "${asking[@]}" --temperature 0 --no-temperature --out u
usage "--client-key without --client-cert" "--client-key" "--client-cert" -- "${asking[@]}" --client-key k.pem --out u
begin "headers and keys are not printed"
run env CFBENCH_HEADERS="Authorization: Basic $key" "$CFBENCH" "${asking[@]}" --stop x --print-config
is 0
grep -qF '"stop": [' "$out" || fail "the configuration is not printed"
if grep -q -e "$key" -e header "$out" "$err"; then fail "a header is in the output"; fi
finish
usage "score without a path" "score PATH" -- score
usage "unknown preset" "--preset" "moderate" -- "${mocked[@]}" --preset fast --out u
usage "faults of an unknown class" "--mock-faults" "5000" -- "${mocked[@]}" --mock-faults 5000:0.1 --out u
begin "environment with a bad value"
run env CFBENCH_MAX_WORKERS=many "$CFBENCH" "${mocked[@]}" --out u
is 1
says "CFBENCH_MAX_WORKERS" "many"
absent u
finish
begin "config file with an unknown member"
echo '{"max-wrokers": 3}' >c.json
cfb "${mocked[@]}" --config c.json --out u
is 1
says "c.json" "max-wrokers" "max-workers"
absent u
finish
begin "config file cut short"
printf '{"max-workers": 3,' >c.json
cfb "${mocked[@]}" --config c.json --out u
is 1
says "c.json"
absent u
finish
begin "key file absent"
cfb "${asking[@]}" --base-url http://127.0.0.1:1/v1 --api-key-file no-such-key --out u
is 1
says "no-such-key" "--api-key-file"
absent u
finish
begin "key with a line end in it"
printf 'sk-a\nsk-b\n' >two-keys
chmod 600 two-keys
cfb "${asking[@]}" --base-url http://127.0.0.1:1/v1 --api-key-file two-keys --out u
is 1
says "two-keys" "nothing else"
if grep -q 'sk-[ab]' "$err"; then fail "the key is in the message"; fi
finish
begin "score --tasks is heeded"
cfb "${mocked[@]}" --limit 1 --out few
is 0
cfb score --tasks company --json few
is 0
equal "tasks" "$(python3 -c 'import json, sys; print(*(t["task"] for t in json.load(open(sys.argv[1]))["tasks"]))' "$out")" company
finish

# ---- suites ----
suite_case() { # NAME STATUS WORDS...; the suite is in the folder s
    begin "$1"
    cfb run --mock --api-rate-limit 0 --limit 1 --suite s --out u --quiet
    is "$2"
    shift 2
    says "$@"
    one_line
    [ -z "$(find u -name '*-output.csv' 2>/dev/null)" ] || fail "it wrote results"
    rm -rf s u
    finish
}
suite() {
    cp -r "$root/datasets/sample" s
    chmod -R u+w s
}
begin "a folder that is no suite does not hide the suite of its name"
mkdir sample
cfb run --mock --api-rate-limit 0 --suite sample --limit 1 --out u
is 0
rm -r sample u
finish
begin "unknown suite"
cfb run --mock --api-rate-limit 0 --suite nope --out u
is 2
says "no suite 'nope'" "CFBENCH_SUITE_PATH"
absent u
finish
mkdir s
suite_case "folder without suite.json" 2 "suite.json"
suite
rm s/company.jsonl
suite_case "missing data file" 2 "no data for 'company' in s" "company.json"
suite
rm s/labels.json
suite_case "missing label file" 2 "s/labels.json" "sector"
suite
rm s/fewshot/fewshot-risk.txt
suite_case "missing few-shot head" 2 "s/fewshot/fewshot-risk.txt" "risk"
suite
sed -i '0,/"title": "公司识别"/s//"titel": "x"/' s/suite.json
suite_case "unknown member in suite.json" 2 "s/suite.json" "company" "unknown member 'titel'"
suite
sed -i '5s/,$//' s/suite.json
suite_case "bad JSON in suite.json" 2 "s/suite.json" "line 6" "','"
suite
head -c 500 "$root/datasets/sample/suite.json" >s/suite.json
suite_case "suite.json cut short" 2 "s/suite.json" "line"
suite
sed -i 's/"f1"/"f2"/' s/suite.json
suite_case "unknown metric" 2 "s/suite.json" "company" "f1, tf"
suite
sed -i '0,/{input}/s//{inptu}/' s/suite.json
suite_case "unknown placeholder" 2 "s/suite.json" "inptu"
suite
printf 'input,instruction,respons\na,b,c\n' >s/product.csv
suite_case "data without a column" 2 "product.csv" "'response' missing" "respons"
begin "no data for the default suite: what to do"
cfb run --mock --api-rate-limit 0 --out u
[ "$status" -eq 2 ] || [ "$status" -eq 0 ] || fail "exit $status, expected 2"
if [ "$status" -eq 2 ]; then says "--data"; fi
absent u
finish

# ---- response files ----
file_case() { # NAME STATUS FILE WORDS...
    begin "$1"
    cfb score --suite sample --out scored -- "$3"
    is "$2"
    shift 3
    says "$@"
    one_line
    [ ! -s "$out" ] || fail "it printed a table all the same"
    [ -z "$(find scored -type f 2>/dev/null)" ] || fail "it left files"
    rm -rf scored
    finish
}
printf 'input,respons,output\na,b,c\n' >sector-column.csv
file_case "CSV: missing column" 2 sector-column.csv "sector-column.csv" "'response' missing" "have: input, respons, output"
printf 'response,output\nx,y\n"a"b,c\n' >sector-quote.csv
file_case "CSV: broken quoting" 2 sector-quote.csv "sector-quote.csv:3" "quote"
printf 'response,output\nx,y\n"a,c\nx,y\n' >sector-open.csv
file_case "CSV: unterminated quote" 2 sector-open.csv "sector-open.csv:3" "never ends"
printf 'response,output\nx,y\na\xff,c\n' >sector-bytes.csv
file_case "CSV: invalid UTF-8" 2 sector-bytes.csv "sector-bytes.csv:3" "response" "UTF-8"
printf 'response,output\na,b,c\n' >sector-wide.csv
file_case "CSV: too many fields" 2 sector-wide.csv "sector-wide.csv:2" "expected 2" "found 3"
printf 'response,output\na\n' >sector-narrow.csv
file_case "CSV: too few fields" 2 sector-narrow.csv "sector-narrow.csv:2" "expected 2" "found 1"
: >sector-empty.csv
file_case "CSV: empty file" 2 sector-empty.csv "sector-empty.csv" "empty"
printf 'response,response,output\na,b,c\n' >sector-twice.csv
file_case "CSV: a column twice" 2 sector-twice.csv "sector-twice.csv" "response"
printf '\xff\xfer\x00,\x00' >sector-utf16.csv
file_case "CSV: UTF-16" 2 sector-utf16.csv "sector-utf16.csv" "UTF-16"
printf '{"response":"a\xff","output":"x"}\n' >sector-bytes.jsonl
file_case "JSONL: invalid UTF-8" 2 sector-bytes.jsonl "sector-bytes.jsonl:1" "UTF-8"
printf '{"response":"a","output":"x"}\n{"response":"a",\n' >sector-cut.jsonl
file_case "JSONL: cut line" 2 sector-cut.jsonl "sector-cut.jsonl:2" "too early"
printf '{"answer":"a","output":"x"}\n' >sector-column.jsonl
file_case "JSONL: missing column" 2 sector-column.jsonl "sector-column.jsonl" "'response' missing"
printf '[{"response":"a","output":"x"},' >sector-cut.json
file_case "JSON: cut" 2 sector-cut.json "sector-cut.json"
printf 'response,output\na,b\n' | gzip -c | head -c 30 >sector-cut.csv.gz
file_case "gzip: cut" 2 sector-cut.csv.gz "sector-cut.csv.gz"
head -c 300 /dev/zero >sector-zero.csv
file_case "CSV of zero bytes" 2 sector-zero.csv "sector-zero.csv"
printf 'PK\003\004xxxxxxxx' >sector-zip.csv
file_case "a zip file" 2 sector-zip.csv "sector-zip.csv" "zip"
printf 'response,output\na,b\n' >strange.csv
file_case "a file whose task cannot be told" 1 strange.csv "strange.csv" "--task" "sample"
file_case "an absent file" 2 absent.csv "absent.csv"
mkdir -p nothing/deep
echo hello >nothing/deep/readme.txt
file_case "a folder with nothing to score" 2 nothing "nothing" "run.db"
begin "the good file before a bad one is not half published"
printf 'response,output\n银行,银行\n' >sector-good.csv
cfb score --suite sample --out scored sector-good.csv sector-open.csv
is 2
says "sector-open.csv:3"
absent scored/scores.json scored/report.html
no_temp .
rm -rf scored
finish
begin "CSV: only a header"
printf 'response,output\n' >sector-header.csv
cfb score --suite sample --json sector-header.csv
if [ "$status" -eq 0 ]; then
    is_json
    equal "rows" "$(python3 -c 'import json, sys; t = json.load(open(sys.argv[1]))["tasks"][0]; print(t["rows"], t["score_all"])' "$out")" "0 None"
else
    is 2
    says "sector-header.csv"
fi
finish
begin "a cut Arrow file"
arrow=$(find "$root/../shared/cfbenchmark/data/company" -name '*.arrow' 2>/dev/null | head -n 1)
[ -n "$arrow" ] || arrow=$root/tests/data/arrow/utf8.arrow
size=$(stat -c %s "$arrow")
for part in 4 100 $((size / 3)) $((size / 2)) $((size - 100)); do
    [ "$part" -gt 0 ] || continue
    head -c "$part" "$arrow" >company-cut.arrow
    cfb convert company-cut.arrow cut.jsonl
    is 2
    says "company-cut.arrow"
    one_line
    absent cut.jsonl
done
no_temp .
finish
begin "convert does not replace a file unasked"
echo mine >kept.jsonl
cfb convert sector-good.csv kept.jsonl
is 1
says "kept.jsonl" "--force"
equal "the file" "$(cat kept.jsonl)" mine
finish
begin "export does not replace a file unasked"
mkdir -p exported/cfbenchmark-response/few-shot/mock
echo mine >exported/cfbenchmark-response/few-shot/mock/company-output.csv
cfb export few exported
is 1
says "company-output.csv" "--force"
equal "the file" "$(cat exported/cfbenchmark-response/few-shot/mock/company-output.csv)" mine
cfb export --force --quiet few exported
is 0
silent
no_temp exported
finish
begin "report and export of an absent run"
cfb report no-run
is 2
says "no-run"
cfb export no-run no-export
is 2
says "no-run"
absent no-run no-export
finish
begin "terminal escapes in texts, names and columns"
esc=$'\e]0;owned\a\e[31m'
python3 - <<'PY'
open("sector-esc.csv", "w", encoding="utf-8").write('input,response,output\n"\x1b]0;in\x07","\x1b[31mA\x1b[0m","B\x1b[2J"\n')
open("sector-esc2.csv", "w", encoding="utf-8").write('\x1b[31mred,output\na,b\n')
PY
cfb score --suite sample --label-set observed sector-esc.csv
is 0
if LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1f\x7f]' "$out"; then fail "control characters in the table"; fi
cfb score --suite sample --label-set observed --json sector-esc.csv
is_json
if LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1f\x7f]' "$out"; then fail "control characters in the JSON"; fi
cfb score --suite sample sector-esc2.csv
is 2
cfb score --suite sample "sector-$esc.csv"
is 2
cfb "--$esc"
is 1
printf 'response,output\nA,A\n' >"sector-$esc.csv"
cfb score --suite sample --label-set observed "sector-$esc.csv"
is 0
if LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1f\x7f]' "$out"; then fail "control characters in the table"; fi
finish

# ---- long values, odd names ----
begin "a field of 10 MB"
python3 -c 'open("sector-10m.csv", "w").write("response,output\nA,\"" + "x" * 10_000_000 + "\"\nA,A\n")'
cfb score --suite sample --label-set observed --json sector-10m.csv
is 0
is_json
silent
finish
begin "a field of 70 MB"
python3 -c '
with open("sector-70m.csv", "w") as f:
    f.write("response,output\nA,\"")
    for i in range(70): f.write("x" * 1_000_000)
    f.write("\"\nA,A\n")'
cfb score --suite sample --label-set observed --json sector-70m.csv
is 2
says "sector-70m.csv:2"
one_line
[ ! -s "$out" ] || fail "it printed scores"
rm -f sector-70m.csv sector-10m.csv
finish
odd=("two words.csv" "quote'\"s.csv" $'line\nend.csv' "-dash.csv" "--help.csv" "*.csv" "名前.csv" "$(printf 'n%.0s' {1..251}).csv")
begin "odd file names"
mkdir odd
for f in "${odd[@]}"; do
    cp sector-good.csv "odd/$f"
    (cd odd && run "$CFBENCH" score --suite sample --task sector --json -- "$f"; echo "$status|$why" >"$work/sub")
    equal "exit and checks for $(printf %q "${f:0:40}")" "$(cat "$work/sub")" "0|"
    is_json
done
finish
begin "odd output names"
for f in "${odd[@]}"; do
    (cd odd && rm -f -- "$f" && run "$CFBENCH" convert --format csv -- ../sector-good.csv "$f"; echo "$status|$why" >"$work/sub")
    equal "exit and checks for $(printf %q "${f:0:40}")" "$(cat "$work/sub")" "0|"
    cmp -s -- "odd/$f" sector-good.csv || fail "wrong content of $(printf %q "${f:0:40}")"
done
no_temp odd
finish
begin "odd run folder"
cfb "${mocked[@]}" --limit 1 --out $'a b/-c "d"\ne'
is 0
silent
[ -e $'a b/-c "d"\ne/scores.json' ] || fail "no result"
finish
begin "a model name that is a path"
cfb "${mocked[@]}" --limit 1 --model /models/qwen --out path1
is 0
finish
for model in ../../evil "$(printf 'm%.0s' {1..300})"; do
    begin "a model name that makes no folder: ${model:0:10}"
    rm -f model.log
    cfb "${mocked[@]}" --limit 1 --model "$model" --mock-log model.log --out path2
    [ "$status" -eq 0 ] || { is 1; says "model"; }
    # Refused: then before anything was paid for.
    [ "$status" -eq 0 ] || equal "calls before it was refused" "$(lines model.log)" 0
    [ -z "$(find . .. -maxdepth 2 -name 'evil*')" ] || fail "it wrote outside the run's folder"
    rm -rf path2
    finish
done

# ---- a good run, which others are compared with ----
begin "a run"
cfb "${mocked[@]}" --json --mock-log good.log --out good
is 0
is_json
silent
no_temp good
rows=$(q good/run.db 'SELECT count(*) FROM row')
equal "replies" "$(q good/run.db 'SELECT count(*) FROM reply')" "$rows"
equal "calls" "$(lines good.log)" "$rows"
finish
begin "a finished run makes no calls"
cp good/scores.json before.json
cfb "${mocked[@]}" --mock-log again.log --out good
is 0
equal "calls" "$(lines again.log)" 0
same before.json good/scores.json
finish
begin "JSON of every command"
for command in score report; do
    cfb "$command" --json good
    is 0
    is_json
    silent
done
cfb score --json --suite "$root/tests/data/suite-en" --task entities --response-column answer --output-column answer "$root/tests/data/suite-en/entities.jsonl"
is 0
is_json
cfb prompt --json --suite sample --limit 1 --tasks risk
is 0
is_json
cfb mock --print-config
is_json
finish
begin "generate --json prints JSON"
cfb generate --mock "${fast[@]}" --quiet --limit 1 --json --out gen
is 0
is_json
finish
begin "prompt --json prints one document"
cfb prompt --json --suite sample --limit 2 --tasks risk,event
is 0
is_json
finish
settings() { # NAME env-arguments...: the same bytes in any surroundings
    begin "$1"
    shift
    cfb score --json good
    cp "$out" plain.json
    cfb score --color never good
    cp "$out" plain.txt
    run env "$@" "$CFBENCH" score --json good
    is 0
    silent
    same "$out" plain.json
    run env "$@" "$CFBENCH" score --color never good
    same "$out" plain.txt
    run env "$@" "$CFBENCH" "${mocked[@]}" --out surroundings
    is 0
    same_result surroundings good
    rm -rf surroundings
    finish
}
settings "LC_ALL=C" LC_ALL=C
settings "German locale" LC_ALL=de_DE.UTF-8 LANG=de_DE.UTF-8 LC_NUMERIC=de_DE.UTF-8
settings "time zone" TZ=Asia/Kathmandu
settings "no HOME" -u HOME -u PATH -u TERM -u LC_ALL -u USER
begin "another model in the same folder"
before=$(sha256sum <good/run.db)
cfb "${mocked[@]}" --model other --mock-log other.log --out good
is 1
says "--model" "'mock'" "'other'" "--out"
equal "calls" "$(lines other.log)" 0
equal "run.db" "$(sha256sum <good/run.db)" "$before"
finish
begin "another suite content in the same folder"
suite
sed -i 's/回答：/答：/' s/suite.json
cfb run --mock --api-rate-limit 0 --quiet --suite s --out good
is 1
says "another configuration" "--out"
equal "run.db" "$(sha256sum <good/run.db)" "$before"
rm -rf s
finish
begin "run.db is a text file"
mkdir text
echo "shopping list" >text/run.db
cfb "${mocked[@]}" --out text
is 2
says "text/run.db" "database"
equal "the file" "$(cat text/run.db)" "shopping list"
cfb score text
[ "$status" -eq 1 ] || is 2
says "text/run.db"
absent text/run.db.reserve text/scores.json
finish
begin "run.db is somebody else's database"
mkdir foreign
q foreign/run.db 'CREATE TABLE precious(a)'
before=$(sha256sum <foreign/run.db)
cfb "${mocked[@]}" --out foreign
is 2
says "foreign/run.db" "not a cfbench run store"
equal "run.db changed" "$(sha256sum <foreign/run.db)" "$before"
finish
begin "run.db is a folder"
mkdir -p folder/run.db
cfb "${mocked[@]}" --out folder
[ "$status" -ne 0 ] || fail "exit 0"
says "folder/run.db"
one_line
finish
begin "run.db cut in the middle"
mkdir half
head -c $(($(stat -c %s good/run.db) / 2)) good/run.db >half/run.db
cfb score half
is 2
says "half/run.db"
cfb "${mocked[@]}" --out half
is 2
says "half/run.db"
finish
begin "--out is a file"
cfb "${mocked[@]}" --out strange.csv
[ "$status" -eq 1 ] || is 2
says "strange.csv"
cfb "${mocked[@]}" --out strange.csv/below
[ "$status" -eq 1 ] || is 2
says "strange.csv"
equal "the file" "$(sha256sum <strange.csv)" "$(printf 'response,output\na,b\n' | sha256sum)"
finish

# ---- where output goes ----
if [ -w /dev/full ]; then
    full_case() { # NAME ARGUMENTS...
        begin "$1 > /dev/full"
        shift
        status=0
        timeout -k 1 40 "$CFBENCH" "$@" >/dev/full 2>"$err" </dev/null || status=$?
        : >"$out"
        sane
        is 5
        says "standard output" "No space left"
        finish
    }
    full_case "score --json" score --json good
    full_case "score" score good
    full_case "convert" convert sector-good.csv -
    full_case "prompt" prompt --suite sample
    full_case "help" --help
    full_case "run" "${mocked[@]}" --limit 1 --out fullout
else
    skip_name="output to /dev/full"
    echo "skip $skip_name: there is no /dev/full"
fi
begin "closed standard output"
status=0
timeout -k 1 40 "$CFBENCH" score --json good >&- 2>"$err" </dev/null || status=$?
: >"$out"
sane
is 5
says "standard output"
status=0
timeout -k 1 40 "$CFBENCH" "${mocked[@]}" --out closed1 >&- 2>"$err" </dev/null || status=$?
sane
[ "$status" -eq 0 ] || is 5
same_result closed1 good
[[ $(cat closed1/run.db.lock) =~ ^[0-9]+$ ]] || fail "output went into run.db.lock"
finish
begin "closed standard error and input"
status=0
timeout -k 1 40 "$CFBENCH" run --mock "${fast[@]}" --progress log --verbose --out closed2 >"$out" 2>&- <&- || status=$?
: >"$err"
sane
is 0
same_result closed2 good
equal "integrity" "$(q closed2/run.db 'PRAGMA integrity_check')" ok
[[ $(cat closed2/run.db.lock) =~ ^[0-9]+$ ]] || fail "messages went into run.db.lock"
finish
begin "all three closed"
status=0
timeout -k 1 40 "$CFBENCH" run --mock "${fast[@]}" --progress log --verbose --mock-log closed3.log --out closed3 >&- 2>&- <&- || status=$?
: >"$err"
sane
[ "$status" -eq 0 ] || is 5
same_result closed3 good
equal "integrity" "$(q closed3/run.db 'PRAGMA integrity_check')" ok
if grep -qv '^{"arrival_ns"' closed3.log; then fail "output went into the mock's log"; fi
finish
readonly_mount() {
    unshare -m true 2>/dev/null || return 1
    run unshare -m bash -c 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" || exit 99; shift; exec "$@"' - "$@"
    [ "$status" -ne 99 ]
}
mkdir ro
cp -r good ro/good
if readonly_mount ro true; then
    begin "read-only output folder"
    readonly_mount ro "$CFBENCH" "${mocked[@]}" --out ro/new
    [ "$status" -eq 1 ] || is 5
    says "ro/new" "ead-only"
    one_line
    absent ro/new
    readonly_mount ro "$CFBENCH" convert sector-good.csv ro/x.jsonl
    [ "$status" -eq 1 ] || is 5
    says "ro/x.jsonl" "ead-only"
    finish
    begin "a run on a read-only disk is scored"
    cfb score --json ro/good
    cp "$out" writable.json
    readonly_mount ro "$CFBENCH" score --json ro/good
    is 0
    is_json
    same "$out" writable.json
    finish
else
    echo "skip read-only output folder: no mount namespace"
    echo "skip a run on a read-only disk is scored: no mount namespace"
fi

# ---- servers ----
unused=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
begin "nothing listens"
cfb "${asking[@]}" --base-url "http://127.0.0.1:$unused/v1" --out nobody
is 4
says "127.0.0.1:$unused" "onnect" "--base-url"
finish
begin "nothing listens: few words"
[ "$(grep -c warning "$err")" -le 5 ] || fail "$(grep -c warning "$err") warnings before the message"
finish
begin "nothing listens: said at once, before the retries"
start "$work/slow" "$CFBENCH" run --model m --suite sample --api-rate-limit 0 --retry-base 3600 --retry-max 3600 --base-url "http://127.0.0.1:$unused/v1" --out nobody2
wait_for -200 says_file "$work/slow" "onnect" || fail "no word of it within 4 s, while it waits to try again"
kill -INT "$pid"
reap "$work/slow"
is 5
finish
begin "a wrong URL can be mended in the same folder"
serve mend "${open_mock[@]}"
cfb "${asking[@]}" --limit 1 --base-url "http://127.0.0.1:$unused/v1" --out nobody
cfb "${asking[@]}" --limit 1 --base-url "$url" --out nobody
is 0
unserve
finish
# A server that demands the key, answers 401 as OpenAI does, and shows the key it was given in its message.
cat >"$work/keyed.py" <<'PY'
import http.server, json, sys, threading
key, port_file, log = sys.argv[1:]
lock = threading.Lock()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        given = self.headers.get("Authorization", "nothing")
        ok = given == "Bearer " + key and not self.path.startswith("/broken")
        status = 200 if ok else 500 if self.path.startswith("/broken") else 401
        if ok: body = {"choices": [{"message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]}
        else: body = {"error": {"message": "Incorrect API key provided: " + given, "type": "invalid_request_error"}}
        data = json.dumps(body).encode()
        with lock, open(log, "a") as f: f.write(f"{status}\n")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
with open(port_file + ".new", "w") as f: f.write(f"{server.server_address[1]}\n")
import os
os.rename(port_file + ".new", port_file)
server.serve_forever()
PY
mkdir "$work/server"
start "$work/server/err" python3 "$work/keyed.py" "$key" "$work/server/port" "$work/server/log"
keyed_pid=$pid
wait_for test -s "$work/server/port" || { echo "not ok the keyed server: no port"; exit 1; }
port=$(cat "$work/server/port")
url=http://127.0.0.1:$port/v1
key_case() { # NAME COMMAND...
    local before n
    begin "$1"
    shift
    before=$(lines "$work/server/log")
    run "$@" "$CFBENCH" "${asking[@]}" --base-url "$url" --out refused
    n=$(($(lines "$work/server/log") - before))
    is 4
    says "$url" "HTTP 401" "OPENAI_API_KEY"
    [ "$n" -lt 40 ] || fail "it asked $n times"
    equal "replies" "$(q refused/run.db 'SELECT count(*) FROM reply')" 0
    if grep -rqF sk-wrong-9e2b "$err" "$out" refused; then fail "the key that the server showed is in the output or the store"; fi
    finish
    begin "$name: one message"
    one_line
    finish
    rm -rf refused
}
key_case "no key" env -u OPENAI_API_KEY
key_case "a wrong key" env OPENAI_API_KEY=sk-wrong-9e2b
begin "the right key"
cfb "${asking[@]}" --quiet --base-url "$url" --out keyed
is 0
silent
equal "replies" "$(q keyed/run.db 'SELECT count(*) FROM reply')" "$rows"
finish
begin "a server that shows the key in its errors"
cfb "${asking[@]}" --verbose --tasks risk --limit 1 --base-url "http://127.0.0.1:$port/broken" --out shown
[ "$status" -eq 3 ] || is 4
says "Incorrect API key provided"
if grep -rqF -- "$key" shown; then fail "the key is in the run store"; fi
rm -rf shown
finish
kill "$keyed_pid"
wait "$keyed_pid" 2>/dev/null
serve path "${open_mock[@]}"
begin "wrong path in the URL"
cfb "${asking[@]}" --base-url "http://127.0.0.1:$port/v2" --out path
is 4
says "HTTP 404" "--base-url" "/v1"
one_line
finish
unserve
fault_case() { # NAME FAULT WORDS...: a server of no use
    local fault=$2
    begin "$1"
    rm -rf fault fault.log
    shift 2
    cfb run --mock "${fast[@]}" --timeout 0.5 --mock-faults "$fault" --mock-log fault.log --out fault
    is 4
    says "$@"
    [ "$(lines fault.log)" -lt $((4 * rows)) ] || fail "it asked for every row"
    equal "replies" "$(q fault/run.db 'SELECT count(*) FROM reply')" 0
    absent fault/scores.json fault/report.html fault/cfbenchmark-response
    finish
    begin "$name: few words"
    [ "$(grep -c warning "$err")" -le 5 ] || fail "$(grep -c warning "$err") warnings before the message"
    finish
}
fault_case "a server that answers HTML" html:1 "--base-url" "/v1"
fault_case "a server that answers half JSON" badjson:1 "--base-url"
fault_case "a server that cuts every reply" cut:1 "cut"
fault_case "a server that hangs" hang:1 "timeout" "--timeout"
fault_case "a server that always fails" 500:1 "server"
fault_case "a server that always says 429" 429-bare:1 "rate_limit" "--api-rate-limit"
fault_case "a model that is not there" 404:1 "HTTP 404" "--model"
fault_case "a server that refuses every request" 400:1 "bad_request"
state_case() { # NAME FAULT STATE: answers that are no answers are results
    begin "$1"
    cfb "${mocked[@]}" --json --mock-faults "$2" --mock-log "$3.log" --out "$3"
    is 0
    is_json
    equal "rows in state $3" "$(q "$3/run.db" "SELECT count(*) FROM reply WHERE state = '$3'")" "$rows"
    equal "calls" "$(lines "$3.log")" "$rows"
    equal "states in the JSON" "$(python3 -c 'import json, sys; print(sum(t["states"][sys.argv[2]] for t in json.load(open(sys.argv[1]))["tasks"]))' "$out" "$3")" "$rows"
    finish
}
state_case "empty replies" empty:1 empty
state_case "replies at the token limit" length:1 truncated
state_case "filtered replies" filter:1 filtered
begin "a fifth of all calls fails"
cfb "${mocked[@]}" --mock-error-rate 0 --out faultless
cfb "${mocked[@]}" --mock-error-rate 0 --max-retries 20 --max-workers 16 --mock-faults 429:0.05,429-bare:0.05,500:0.05,cut:0.05 --mock-log mixed.log --out mixed
is 0
[ "$(lines "$err")" -le 3 ] || fail "more than one warning of each kind"
[ "$(lines mixed.log)" -gt "$rows" ] || fail "no call failed"
# A wrong answer of the mock depends on the number of the try, so both runs have none.
same_result mixed faultless
finish
begin "Retry-After is kept"
cfb "${mocked[@]}" --limit 1 --tasks risk --retry-max 60 --max-retries 20 --mock-faults 429:0.6 --seed 3 --mock-log after.log --out after
is 0
python3 - <<'PY' || fail "tried again before the second was over"
import json
t = [json.loads(l) for l in open("after.log")]
for a, b in zip(t, t[1:]):
    if a["status"] == 429 and b["arrival_ns"] - a["reply_ns"] < 950_000_000: raise SystemExit(1)
PY
finish
poison_case() { # STATUS
    local sha
    begin "one poisoned row (HTTP $1)"
    sha=$("$CFBENCH" prompt --suite sample --tasks company --rows 3 --hash | cut -f 3)
    printf '{"prompt_sha256":"%s","status":%s,"content":"no \\u001b[31mred"}\n' "$sha" "$1" >poison.jsonl
    rm -rf poison poison.log mended.log
    cfb run --mock "${fast[@]}" --max-retries 2 --replies poison.jsonl --mock-log poison.log --out poison
    is 3
    says "company row 3" "1 row" "again"
    equal "replies" "$(q poison/run.db 'SELECT count(*) FROM reply')" $((rows - 1))
    is_json poison/scores.json
    equal "failed rows in the JSON" "$(python3 -c '
import json
print(*((t["task"], r["row"]) for t in json.load(open("poison/scores.json"))["tasks"] for r in t["failed_rows"]))')" "('company', 3)"
    grep -q failed "$out" || fail "the table does not say it"
    cfb "${mocked[@]}" --mock-log mended.log --out poison
    is 0
    silent
    equal "calls of the second run" "$(lines mended.log)" 1
    same_result poison good
    finish
}
poison_case 500
poison_case 400
begin "--quiet keeps warnings"
rm -rf poison
cfb "${mocked[@]}" --replies poison.jsonl --out poison
is 3
says "company row 3"
finish

# ---- interruptions: the run is caught in its middle through the mock's log ----
slow=("${mocked[@]}" --mock-latency 0.1 --max-workers 2 --task-workers 2)
signal_case() { # SIGNAL
    begin "SIG$1 in the middle"
    rm -rf stopped stopped.log more.log
    start "$work/stop" "$CFBENCH" "${slow[@]}" --mock-log stopped.log --out stopped
    wait_for at_least stopped.log 5 || fail "it never started"
    kill -"$1" "$pid"
    reap "$work/stop"
    is 5
    says "the same command continues" "stopped/run.db"
    equal "replies in the store" "$(q stopped/run.db 'SELECT count(*) FROM reply')" "$(grep -c '"status": 200' stopped.log)"
    [ "$(lines stopped.log)" -lt "$rows" ] || fail "it ran to its end"
    absent stopped/run.db.reserve stopped/scores.json
    no_temp stopped
    cfb score --json stopped
    is 3
    is_json
    cfb "${mocked[@]}" --mock-log more.log --out stopped
    is 0
    equal "calls of both runs" $(($(lines stopped.log) + $(lines more.log))) "$rows"
    same_result stopped good
    finish
}
signal_case INT
signal_case TERM
begin "twice SIGINT against a server that hangs"
serve hang "${open_mock[@]}" --mock-faults hang:1
start "$work/stop" "$CFBENCH" "${asking[@]}" --timeout 600 --base-url "$url" --out hanging
wait_for in_flight "$port" "$(parallel 4)" || fail "it never asked"
kill -INT "$pid"
wait_for says_file "$work/stop" "again" || fail "the first signal says nothing"
kill -INT "$pid"
reap "$work/stop"
is 5
equal "attempts counted against rows" "$(q hanging/run.db 'SELECT count(*) FROM attempt')" 0
unserve
finish
begin "SIGINT while waiting to try again"
serve retry "${open_mock[@]}" --mock-faults 500:1
start "$work/stop" "$CFBENCH" run --model m --suite sample --api-rate-limit 0 --quiet --retry-base 3600 --retry-max 3600 --base-url "$url" --out retrying
wait_for at_least "$mock_log" "$(parallel 16)" || fail "it never asked"
kill -INT "$pid"
reap "$work/stop"
is 5
unserve
finish
begin "SIGINT while waiting for the rate limit"
rm -f rate.log
start "$work/stop" "$CFBENCH" run --mock --suite sample --api-rate-limit 3600 --quiet --mock-log rate.log --out rate
wait_for at_least rate.log 1 || fail "it never asked"
kill -INT "$pid"
reap "$work/stop"
is 5
equal "replies" "$(q rate/run.db 'SELECT count(*) FROM reply')" 1
finish
begin "two writers"
rm -f first.log second.log
start "$work/first" "$CFBENCH" "${slow[@]}" --mock-log first.log --out both
first=$pid
wait_for at_least first.log 2 || fail "it never started"
cfb "${mocked[@]}" --mock-log second.log --out both
is 1
says "both/run.db" "another cfbench" "$first" "--out"
one_line
equal "calls of the second" "$(lines second.log)" 0
# What is committed already can be scored meanwhile; the open rows count as failed.
cfb score --json both
is 3
is_json
kill -INT "$first"
pid=$first
reap "$work/first"
is 5
equal "replies" "$(q both/run.db 'SELECT count(*) FROM reply')" "$(grep -c '"status": 200' first.log)"
cfb "${mocked[@]}" --out both
is 0
same_result both good
finish
begin "kill -9 loses nothing that was committed"
rm -rf killed killed.log
start "$work/killed" "$CFBENCH" "${slow[@]}" --mock-log killed.log --out killed
wait_for at_least killed.log 12 || fail "it never started"
{ kill -KILL "$pid"; wait "$pid"; } 2>/dev/null
cp -r killed killed2
n=$(q killed/run.db 'SELECT count(*) FROM reply')
# 2 x 2 workers: of the replies that were sent, at most one of each was on its way.
[ "$n" -ge $(($(lines killed.log) - 4)) ] || fail "$n replies of $(lines killed.log) are left"
mkdir -p ro2
cp -r killed2 ro2/killed
cfb score --json killed2
is 3
is_json
cfb "${mocked[@]}" --mock-log after9.log --out killed
is 0
equal "calls of the second run" "$(lines after9.log)" $((rows - n))
same_result killed good
absent killed/run.db.reserve
finish
if [ -d ro2/killed ] && readonly_mount ro2 true; then
    begin "a killed run on a read-only disk: all its replies or an error"
    readonly_mount ro2 "$CFBENCH" score --json ro2/killed
    if [ "$status" -eq 3 ]; then
        is_json
        equal "replies that are scored" "$(python3 -c 'import json, sys; print(sum(t["states"]["ok"] for t in json.load(open(sys.argv[1]))["tasks"]))' "$out")" "$n"
    else
        [ "$status" -eq 1 ] || is 2
        says "ro2/killed/run.db" "copy"
    fi
    finish
else
    echo "skip a killed run on a read-only disk: no mount namespace"
fi

# ---- the mock as a server ----
begin "mock ends in order"
serve bare "${open_mock[@]}"
kill -INT "$mock_pid"
pid=$mock_pid
reap "$work/mock.err"
is 0
finish
begin "mock without data"
start "$work/bare2" env -u OPENAI_API_KEY "$CFBENCH" mock --port-file "$work/bare2.port" --mock-faults 429:0.1
if wait_for eval 'test -s "$work/bare2.port" || ! kill -0 "$pid" 2>/dev/null'; then :; fi
[ -s "$work/bare2.port" ] || fail "docs/mock.md serves without --suite; this ended"
kill -INT "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
cp "$work/bare2" "$err"
finish
begin "mock on a port in use"
serve used "${open_mock[@]}"
run timeout 10 "$CFBENCH" mock --suite sample --port "$port"
[ "$status" -ne 0 ] && [ "$status" -ne 124 ] && [ "$status" -ne 70 ] || fail "exit $status"
says "$port"
one_line
unserve
finish

begin "the key is in no file"
if grep -rlF -- "$key" "$work" >"$err" 2>/dev/null; then fail "it is"; fi
finish
exit $failed
