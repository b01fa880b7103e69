#!/usr/bin/env bash
# --log: every failed call and every change of the limit in a file, with times; standard error stays as it is; no key in it.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
export CFBENCH CFBENCH_API_KEY=sk-not-for-logs
logged() {
    "$CFBENCH" generate --suite sample --mock --mock-faults 500:0.2 --retry-base 0.01 --max-retries 9 --quiet --log "$T/run.log" --out "$T/run" 2>"$T/err" ||
        { cat "$T/err"; return 1; }
    local failures
    failures=$(python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("SELECT count(*) FROM failure").fetchone()[0])' "$T/run/run.db")
    [ "$failures" -gt 0 ] && [ "$(grep -c 'try [0-9]*: server (HTTP 500)' "$T/run.log")" = "$failures" ] || { echo "$failures failures, log: $(head -3 "$T/run.log")"; return 1; }
    [ "$(grep -vcE '^20[0-9-]{8}T[0-9:]{8}\.[0-9]{3}Z ' "$T/run.log")" = 0 ] || { echo "lines without a time"; return 1; }
    [ ! -s "$T/err" ] || { echo "standard error: $(head -2 "$T/err")"; return 1; }
    ! grep -q sk-not "$T/run.log" || { echo "the key is in the log"; return 1; }
}
appended() { # a second run goes behind the first one, and an error that ends a run is in it
    local before
    before=$(wc -l <"$T/run.log")
    "$CFBENCH" generate --suite sample --model m --base-url http://127.0.0.1:1/v1 --max-retries 0 --api-rate-limit 0 --quiet --log "$T/run.log" --out "$T/none" 2>/dev/null
    [ $? -eq 4 ] && [ "$(wc -l <"$T/run.log")" -gt "$before" ] && tail -1 "$T/run.log" | grep -q 'error: no row got an answer'
}
check "--log has every failed call, and nothing else changes" logged
check "--log appends, and ends with the error" appended
exit $bad
