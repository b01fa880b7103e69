# Scores of random rows against tests/oracle/reference.py, bit for bit, for 1, 2 and 8 threads.
. "$(dirname "$0")/../lib.sh"
if out=$(python3 tests/oracle/score_oracle.py "${BUILD:-build/gcc}/tools/oracle/score_rows" "${ORACLE_ROWS:-6000}" 1 2>&1); then
    echo "$out" | grep -E '^ok|equal' | head -20
    ok "scores equal the reference's to the last bit"
else
    not_ok "scores equal the reference's to the last bit" "$(echo "$out" | tail -5 | tr '\n' ' ')"
fi
exit $bad
