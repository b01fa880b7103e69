# The mock as a server of its own: a key that it demands, and the environment and the key file that give it.
. "$(dirname "$0")/../lib.sh"
"$CFBENCH" mock --suite datasets/sample --mock-key made-up-key --mock-error-rate 0 --port-file "$T/port" --quiet &
pids+=($!)
for _ in $(seq 200); do [ -s "$T/port" ] && break; sleep 0.05; done
url="http://127.0.0.1:$(cat "$T/port")/v1"
ask() { "$CFBENCH" run --suite datasets/sample --base-url "$url" --model m --limit 1 --api-rate-limit 0 --quiet --progress off "$@" >"$T/out" 2>"$T/err"; }
ask --out "$T/none"
check "no key: exit 4, one line that says what to do" sh -c "[ $? -eq 4 ] && grep -q OPENAI_API_KEY '$T/err' && [ \$(wc -l <'$T/err') -eq 1 ]"
OPENAI_API_KEY=made-up-key ask --out "$T/env"
check "the key of the environment" test $? -eq 0
(umask 077 && echo made-up-key >"$T/key")
ask --api-key-file "$T/key" --out "$T/file"
check "the key of a file" test $? -eq 0
check "the key is in no file of the run" sh -c "! grep -r made-up-key '$T/env' '$T/file'"
exit $bad
