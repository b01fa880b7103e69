# cfbench compare against plain Python (and SciPy's t quantiles where they are).
. "$(dirname "$0")/../lib.sh"
python=python3
if ! python3 -c 'import scipy' 2>/dev/null && /usr/bin/python3 -c 'import scipy' 2>/dev/null; then python=/usr/bin/python3; fi
out=$($python tests/oracle/compare_oracle.py "$CFBENCH" "$T" 2>&1)
status=$?
echo "$out" | grep -E '^(ok|not ok|skip) '
if [ $status -ne 0 ] && ! echo "$out" | grep -q '^not ok '; then not_ok "compare equals the oracle" "$(echo "$out" | tail -3 | tr '\n' ' ')"; fi
[ $status -eq 0 ] || bad=1
exit $bad
