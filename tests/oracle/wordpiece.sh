# WordPiece tokens against an independent implementation, on every code point and random mixes, with a real vocabulary.
. "$(dirname "$0")/../lib.sh"
vocab=$PWD/../shared/bert/bert-base-chinese-vocab.txt
if [ ! -e "$vocab" ]; then
    skip "WordPiece equals the oracle" "no ../shared/bert"
elif out=$(python3 tests/oracle/wordpiece_oracle.py "${BUILD:-build/gcc}/tools/oracle/wordpiece_ids" "$vocab" 2>&1); then
    ok "WordPiece equals the oracle"
else
    not_ok "WordPiece equals the oracle" "$(echo "$out" | tail -6 | tr '\n' ' ')"
fi
exit $bad
