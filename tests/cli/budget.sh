#!/usr/bin/env bash
# Budgets of a key and a day: they hold across runs, stop cleanly with exit 5, and the same command continues with a higher one.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
run() { # OUT [ARG...]
    local out=$1
    shift
    "$CFBENCH" run --suite datasets/sample --model m --mock --out "$T/$out" --quiet --progress off "$@" >"$T/out" 2>"$T/err"
}
used() { python3 -c "
import sqlite3, sys
print(*sqlite3.connect(sys.argv[1]).execute('select sum(requests), sum(prompt_tokens) > 0, sum(cost_micros) from usage').fetchone())" "$1"; }
replies() { python3 -c "
import sqlite3, sys
print(sqlite3.connect(sys.argv[1] + '/run.db').execute('select count(*) from reply').fetchone()[0])" "$T/$1"; }

run a --usage-file "$T/u.db" --max-requests 100 --max-workers 1
check "--max-requests: exit 5, the option is named" sh -c "[ $? -eq 5 ] && grep -q -- --max-requests '$T/err'"
check "--max-requests: so many calls, every reply kept" test "$(used "$T/u.db") $(replies a)" = "100 1 0 100"
run other --usage-file "$T/u.db" --max-requests 100
check "--max-requests: another run of the same key has nothing left" sh -c "[ $? -eq 5 ] && [ $(replies other) -eq 0 ]"
run a --usage-file "$T/u.db" --max-requests 1000
check "--max-requests: the same command with more goes on" sh -c "[ $? -eq 0 ] && [ $(replies a) -eq 122 ]"
check "--max-requests: nothing was asked twice" test "$(used "$T/u.db")" = "122 1 0"
run tokens --usage-file "$T/t.db" --max-total-tokens 20000
check "--max-total-tokens: exit 5" test $? -eq 5

echo '{"m": {"input_per_million": 1000, "output_per_million": 2000, "currency": "EUR"}}' >"$T/prices.json"
run cost --usage-file "$T/c.db" --price-file "$T/prices.json" --max-cost 20
check "--max-cost: exit 5" test $? -eq 5
check "--max-cost: the ledger's cost is that of its tokens, and within the limit" python3 -c "
import sqlite3
p, c, cost, cur = sqlite3.connect('$T/c.db').execute('select prompt_tokens, completion_tokens, cost_micros, currency from usage').fetchone()
assert cost == 1000 * p + 2000 * c and 0 < cost <= 20000000 and cur == 'EUR', (p, c, cost, cur)"
run none --max-cost 1 --usage-file "$T/n.db"
check "--max-cost without prices: exit 1, says what is missing" sh -c "[ $? -eq 1 ] && grep -q -- --price-file '$T/err'"
echo '{"gpt": {"input_per_million": 1, "output_per_million": 2}}' >"$T/prices.json"
run none --max-cost 1 --usage-file "$T/n.db" --price-file "$T/prices.json"
check "--max-cost with a model that has no price: exit 1, names it" sh -c "[ $? -eq 1 ] && grep -q \"'m'\" '$T/err'"
echo '{"m": {"input": 1}}' >"$T/prices.json"
run none --usage-file "$T/n.db" --price-file "$T/prices.json"
check "a price file with an unknown member: exit 2, named" sh -c "[ $? -eq 2 ] && grep -q '\"input\"' '$T/err'"

mkdir "$T/state"
XDG_STATE_HOME=$T/state run plain
check "a run without any limit leaves the user's ledger alone" test -z "$(ls "$T/state")"
XDG_STATE_HOME=$T/state run home --max-requests 1000
check "the ledger's own place, for the user alone" sh -c "[ $? -eq 0 ] && [ \$(stat -c %a '$T/state/cfbench/usage.db') = 600 ]"
exit "${bad:?}"
