# Statistics against definitions in plain Python and, where it is installed, SciPy.
. "$(dirname "$0")/../lib.sh"
# The system's Python may have SciPy where another one, first in PATH, has not.
python=python3
if ! python3 -c 'import scipy' 2>/dev/null && /usr/bin/python3 -c 'import scipy' 2>/dev/null; then python=/usr/bin/python3; fi
out=$($python tests/oracle/stats_oracle.py "${BUILD:-build/gcc}/tools/oracle/stats_values" 2>&1)
status=$?
echo "$out" | grep -E '^(ok|not ok|skip) '
if [ $status -ne 0 ] && ! echo "$out" | grep -q '^not ok '; then
    not_ok "statistics equal the oracle's" "$(echo "$out" | tail -3 | tr '\n' ' ')"
fi
[ $status -eq 0 ] || bad=1
exit $bad
