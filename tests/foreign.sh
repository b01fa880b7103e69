#!/usr/bin/env bash
# Against a server that is not ours: npm's @copilotkit/aimock, which speaks OpenAI's chat, streaming, files and batches and can be told to
# fail. Fetched into a scratch folder; skipped where there is no node, no npm or no network.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
PACKAGE=@copilotkit/aimock@1.43.0
unset OPENAI_BASE_URL http_proxy https_proxy all_proxy
export OPENAI_API_KEY=made-up

command -v node >/dev/null && command -v npm >/dev/null || { skip "a server of others" "needs node and npm"; exit 0; }
if ! timeout 120 npm install --prefix "$T/npm" --no-audit --no-fund --silent "$PACKAGE" >"$T/npm.log" 2>&1; then
    skip "a server of others" "npm could not fetch $PACKAGE"
    exit 0
fi
cat >"$T/npm/serve.mjs" <<'E2'
import { LLMock } from "@copilotkit/aimock";
const server = new LLMock({ port: 0, latency: 1 });
server.onMessage(/./s, { content: "这是 another server's 回答" });
await server.start();
console.log(server.url);
E2
node "$T/npm/serve.mjs" >"$T/url" 2>"$T/serve.log" &
pids+=($!)
for _ in $(seq 100); do [ -s "$T/url" ] && break; sleep 0.1; done
[ -s "$T/url" ] || { not_ok "a server of others" "it does not start: $(head -3 "$T/serve.log" | tr '\n' ' ')"; exit 1; }
url=$(cat "$T/url")
rows=122 # of the sample suite
chaos() { curl -sf -X POST "$url/__aimock/chaos" -H 'content-type: application/json' -d "$1" >/dev/null; }
whole() { # FOLDER [TEXT]: every row has the server's answer
    local n
    n=$(sqlite3_count "$1/run.db" "SELECT count(*) FROM reply WHERE state = 'ok' AND output LIKE '%${2:-another server}%' AND prompt_tokens > 0")
    [ "$n" = "$(sqlite3_count "$1/run.db" "SELECT count(*) FROM row")" ] && [ "$n" = "$rows" ] || { echo "$n of $rows rows"; return 1; }
}
sqlite3_count() { python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])' "$1" "$2"; }
common=(--suite sample --model gpt-4o --base-url "$url/v1" --quiet)
fast=(--in-flight 32 --api-rate-limit 0 --progress off)

plain() { "$CFBENCH" generate "${common[@]}" "${fast[@]}" --out "$T/plain" && whole "$T/plain"; }
streamed() {
    "$CFBENCH" generate "${common[@]}" "${fast[@]}" --stream --out "$T/stream" && whole "$T/stream" &&
        [ "$(sqlite3_count "$T/stream/run.db" "SELECT count(*) FROM reply WHERE ttft_us > 0")" = "$rows" ]
}
failing() {
    chaos '{"dropRate":0.05,"malformedRate":0.05,"disconnectRate":0.05,"rateLimitRate":0.05}' || return 1
    "$CFBENCH" generate "${common[@]}" "${fast[@]}" --max-retries 20 --retry-base 0.01 --retry-max 0.2 --out "$T/chaos"
    local status=$?
    curl -sf -X DELETE "$url/__aimock/chaos" >/dev/null
    [ $status -eq 0 ] && whole "$T/chaos" && [ "$(sqlite3_count "$T/chaos/run.db" "SELECT count(*) FROM failure")" -gt 0 ]
}
batch() {
    local step
    for step in export submit; do "$CFBENCH" batch $step "${common[@]}" --out "$T/batch" || return 1; done
    for _ in $(seq 50); do
        "$CFBENCH" batch status "${common[@]}" --out "$T/batch" | grep -q completed && break
        sleep 0.2
    done
    for step in fetch import; do "$CFBENCH" batch $step "${common[@]}" --out "$T/batch" || return 1; done
    whole "$T/batch" 'Mock batch completion'
}
check "another's server: every row is answered" plain
check "another's server: streamed, with time to first token" streamed
check "another's server: refusals, cuts, broken JSON and errors are tried again" failing
check "another's server: files and batches" batch
exit $bad
