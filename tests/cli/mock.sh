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
# A key that is an ordinary word must not be struck out of answers.
hash=$("$CFBENCH" prompt --suite datasets/sample --tasks company --rows 0 --hash | cut -f3)
echo "{\"prompt_sha256\": \"$hash\", \"content\": \"this is a test answer\"}" >"$T/script"
"$CFBENCH" mock --suite datasets/sample --replies "$T/script" --port-file "$T/port2" --quiet &
pids+=($!)
for _ in $(seq 200); do [ -s "$T/port2" ] && break; sleep 0.05; done
url="http://127.0.0.1:$(cat "$T/port2")/v1"
OPENAI_API_KEY=test ask --tasks company --out "$T/word"
check "an answer that holds the key's letters is stored as it is" python3 -c "
import sqlite3
assert sqlite3.connect('$T/word/run.db').execute('select content from reply').fetchall() == [('this is a test answer',)]"
check "the key is in no file of the run" sh -c "! grep -r made-up-key '$T/env' '$T/file'"
exit $bad
