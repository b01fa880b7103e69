#!/usr/bin/env bash
# Every server style of docs/servers.md: its command line is one that cfbench accepts, and a small run against the mock that imitates it
# ends with all rows answered, tokens counted, and no reasoning in the outputs; streamed too.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
export CFBENCH
unset OPENAI_API_KEY OPENAI_BASE_URL http_proxy https_proxy all_proxy

# The commands of the page, as they stand there, with --print-config behind.
python3 - docs/servers.md >"$T/commands" <<'E2'
import re, sys
text = open(sys.argv[1], encoding="utf-8").read()
for block in re.findall(r"```sh\n(.*?)```", text, re.S):
    print(block.replace("\\\n", " ").strip())
E2
n=0
while IFS= read -r line; do
    n=$((n + 1))
    check "servers.md, command $n" sh -c "${line/#cfbench/\"\$CFBENCH\"} --print-config"
done <"$T/commands"
check "servers.md has commands" test "$n" -ge 9

help=$("$CFBENCH" mock --help)
case $help in *--mock-profile*) ;; *)
    skip "server styles" "the mock has no --mock-profile"
    exit $bad
    ;;
esac
llama=llama.cpp
case $help in *llamacpp*) llama=llamacpp ;; esac

# All rows of a run have an answer with tokens and without thoughts.
cat >"$T/whole.py" <<'E2'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
rows = db.execute("select count(*) from row").fetchone()[0]
bad = [r for r in db.execute("select task_id, row, state, output, prompt_tokens, completion_tokens from reply")
       if r[2] != "ok" or not r[3] or "think>" in r[3] or not r[4] or not r[5]]
answered = db.execute("select count(*) from reply").fetchone()[0]
if rows == 0 or answered != rows or bad:
    sys.exit(f"{answered} of {rows} rows answered; {bad[:2]}")
E2
ask() { # NAME FOLDER OPTIONS...
    local name=$1 folder=$2
    shift 2
    # shellcheck disable=SC2317 # called by check
    run_whole() {
        "$CFBENCH" run --suite sample --model m --limit 2 --api-rate-limit 0 --retry-base 0.01 --retry-max 0.05 --quiet --progress off \
            --out "$folder" "$@" >/dev/null && python3 "$T/whole.py" "$folder/run.db"
    }
    check "$name" run_whole "$@"
}
for profile in openai openrouter vllm sglang "$llama" ollama deepseek dashscope azure; do
    "$CFBENCH" mock --suite sample --mock-profile "$profile" --mock-key made-up --mock-error-rate 0 --port-file "$T/port.$profile" --quiet 2>"$T/mock.$profile" &
    pids+=($!)
    for _ in $(seq 200); do [ -s "$T/port.$profile" ] && break; sleep 0.05; done
    if [ ! -s "$T/port.$profile" ]; then
        not_ok "server style $profile" "the mock does not start: $(head -1 "$T/mock.$profile")"
        continue
    fi
    url="http://127.0.0.1:$(cat "$T/port.$profile")/v1"
    more=()
    [ "$profile" != azure ] || more=(--api-key-header api-key)
    export OPENAI_API_KEY=made-up
    ask "server style $profile" "$T/$profile" --base-url "$url" ${more[@]+"${more[@]}"}
    ask "server style $profile, streamed" "$T/$profile-stream" --base-url "$url" --stream ${more[@]+"${more[@]}"}
    unset OPENAI_API_KEY
done
exit $bad
