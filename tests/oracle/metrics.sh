# Text metrics of random and real rows against tests/oracle/metric_reference.py, and against reference tools where installed.
. "$(dirname "$0")/../lib.sh"
out=$(python3 tests/oracle/metric_oracle.py "${BUILD:-build/gcc}/tools/oracle/metric_rows" "${ORACLE_METRIC_ROWS:-1000}" 1 2>&1)
status=$?
echo "$out" | cut -c1-400
if [ $status -ne 0 ] && ! echo "$out" | grep -q '^not ok'; then not_ok "metrics against the reference" "$(echo "$out" | tail -3 | tr '\n' ' ')"; fi
[ $status -eq 0 ] || bad=1
exit $bad
