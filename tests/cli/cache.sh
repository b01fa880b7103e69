#!/usr/bin/env bash
# The response cache: a second run asks nothing; runs and processes share it; failures never get in; stats and prune.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
export OPENAI_API_KEY=made-up-key
start_mock() { # name, mock options... -> $url
    local name=$1
    shift
    "$CFBENCH" mock --suite datasets/sample --mock-log "$T/$name.log" --port-file "$T/$name.port" --quiet "$@" &
    pids+=($!)
    for _ in $(seq 200); do [ -s "$T/$name.port" ] && break; sleep 0.05; done
    url="http://127.0.0.1:$(cat "$T/$name.port")/v1"
}
calls() { grep -c '"chat"' "$T/$1.log"; }
run() { # OUT [ARG...]
    local out=$1
    shift
    "$CFBENCH" run --suite datasets/sample --model m --base-url "$url" --out "$T/$out" --api-rate-limit 0 --max-workers 8 --quiet --progress off "$@" \
        >"$T/$out.table" 2>"$T/$out.err"
}
replies() { python3 -c "
import sqlite3, sys
for r in sqlite3.connect(sys.argv[1] + '/run.db').execute('select t.name, p.row, p.state, p.content, p.output, p.prompt_tokens, p.completion_tokens from reply p join task t using (task_id) order by 1, 2'): print(r)" "$T/$1"; }
entries() { "$CFBENCH" cache stats --json "$1" | python3 -c "import json,sys; print(json.load(sys.stdin)['all']['entries'])"; }

start_mock first
run a --cache "$T/replies.db"
check "cache: the first run asks for every row" sh -c "[ $? -eq 0 ] && [ $(calls first) -eq 122 ]"
run b --cache "$T/replies.db"
check "cache: the second run asks nothing" sh -c "[ $? -eq 0 ] && [ $(calls first) -eq 122 ]"
check "cache: the same table" cmp "$T/a.table" "$T/b.table"
replies a >"$T/a.replies" && replies b >"$T/b.replies"
check "cache: the same replies, tokens included" cmp "$T/a.replies" "$T/b.replies"
check "cache stats: one entry a row" test "$(entries "$T/replies.db")" -eq 122
run c --cache "$T/replies.db" --temperature 0.5 --tasks company
check "cache: another temperature is another question" test "$(calls first)" -eq 138
run d --cache "$T/replies.db" --model other --tasks company
check "cache: another model is another question" test "$(calls first)" -eq 154
check "cache stats: by model" sh -c "'$CFBENCH' cache stats '$T/replies.db' | grep -Eq '^other +16 '"
check "the key is not in the cache" sh -c "! grep -rq made-up-key '$T/replies.db'"

# Two processes at once on a new cache, then a third that asks nothing.
start_mock both --mock-latency 0.01
run e --cache "$T/both.db" &
one=$!
run f --cache "$T/both.db"
first=$?
wait $one
check "cache: two processes at once are well" test "$first-$?" = 0-0
asked=$(calls both)
check "cache: together they ask for no row more than twice" test "$asked" -ge 122 -a "$asked" -le 244
run g --cache "$T/both.db"
check "cache: a third run asks nothing" sh -c "[ $? -eq 0 ] && [ $(calls both) -eq $asked ]"

# Failures and cut replies are asked for again.
start_mock faulty --mock-faults 500:0.3,length:0.2,filter:0.1,empty:0.1
run h --cache "$T/faulty.db" --max-retries 0
check "cache: only whole replies get in" test "$(entries "$T/faulty.db")" -eq "$(python3 -c "
import sqlite3
print(sqlite3.connect('$T/h/run.db').execute(\"select count(*) from reply where state = 'ok'\").fetchone()[0])")"

"$CFBENCH" cache prune "$T/replies.db" 2>"$T/err"
check "cache prune without a condition: exit 1" test $? -eq 1
"$CFBENCH" cache prune --model other "$T/replies.db" >"$T/out"
check "cache prune --model" sh -c "[ $? -eq 0 ] && grep -q 'removed 16 replies' '$T/out'"
"$CFBENCH" cache prune --older-than 1d "$T/replies.db" >"$T/out"
check "cache prune --older-than keeps what is young" grep -q 'removed 0 replies' "$T/out"
"$CFBENCH" cache prune --max-bytes 40k "$T/replies.db" >/dev/null
check "cache prune --max-bytes: the file is that small" sh -c "[ $? -eq 0 ] && [ \$(wc -c <'$T/replies.db') -le 40000 ]"
echo 'this is no cache, and long enough for anyone to see that it is not' >"$T/text"
"$CFBENCH" cache stats "$T/text" 2>"$T/err"
check "cache: another file is refused: exit 2, says what to do" sh -c "[ $? -eq 2 ] && grep -q 'delete it' '$T/err'"
run i --cache "$T/text"
check "a run with a broken cache: exit 2, before any call" sh -c "[ $? -eq 2 ] && grep -q 'delete it' '$T/i.err'"
"$CFBENCH" cache stats "$T/none.db" 2>"$T/err"
check "cache stats of a file that is not there: exit 2" test $? -eq 2
exit "${bad:?}"
