# BERTScore against an independent implementation in NumPy, on the weights and ids of a small model.
. "$(dirname "$0")/../lib.sh"
shared=$PWD/../shared/bert
if [ ! -e "$shared/tiny" ]; then
    skip "BERTScore equals the oracle" "no ../shared/bert"
elif ! /usr/bin/python3 -c 'import numpy' 2>/dev/null; then
    skip "BERTScore equals the oracle" "no NumPy"
elif out=$(/usr/bin/python3 tests/oracle/bertscore_oracle.py "$shared" "$CFBENCH" "$T" 2>"$T/err"); then
    ok "BERTScore equals the oracle ($out)"
else
    not_ok "BERTScore equals the oracle" "$(tail -6 "$T/err" | tr "\n" " ")"
fi
exit $bad
