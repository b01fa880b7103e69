# Simulated benchmarks with a known truth: 95 % intervals must cover it in 93.5 to 96.5 % of 4,000 simulations, and tests at 0.05
# must see a difference that is not there in 4 to 6 %. Asked of the methods that are shown by default, where docs/statistics.md
# says that they hold; the rest of the table is printed for reading. Seeds are fixed: the same table every time. About a minute on two cores.
. "$(dirname "$0")/../lib.sh"
SIMULATIONS=${SIMULATIONS:-4000}
if ! "${BUILD:-build/gcc}/tools/oracle/stats_coverage" "$SIMULATIONS" "${MAX_ROWS:-402}" >"$T/table"; then
    not_ok "coverage" "stats_coverage failed"
    exit 1
fi
# within NAME LOW HIGH KIND SCENARIOS METHOD LEAST_ROWS: every such line of the table lies in LOW..HIGH
within() {
    local name=$1 low=$2 high=$3 out
    out=$(awk -v low="$low" -v high="$high" -v kind="$4" -v scenarios="^($5)\$" -v method="$6" -v rows="$7" '
        $1 == kind && $2 ~ scenarios && $4 == method && $3 >= rows { n++; if ($5 < low || $5 > high) { print; bad = 1 } }
        END { if (bad || !n) exit 1; print n " combinations" }' "$T/table")
    if [ $? -eq 0 ]; then ok "$name: $out"; else not_ok "$name" "outside $low..$high %: $(echo "$out" | tr '\n' ';')"; fi
}
within "BCa interval of a mean score" 93.5 96.5 interval "mixed|hard|easy|f1" bca 100
within "Wilson interval of a rate, 200 rows or more" 93.5 96.5 interval "binary-.*" wilson 200
within "Wilson interval of a rate, 100 rows" 93 97 interval "binary-.*" wilson 100
within "Wilson interval of a mean score, 5 to 25 rows: at least 95 %" 95 100 interval "(mixed|hard|easy|f1)-few" wilson 5
within "Wilson interval of a rate, 5 to 25 rows" 90 99 interval "binary-.*-few" wilson 5
within "BCa interval of a mean score, about 80 clusters" 93 96.5 interval "(mixed|hard|easy|f1|binary-70)-clusters" bca 400
within "interval of a mean over tasks of different kinds" 93.5 96.5 mean tasks zou-donner 100
within "interval of a mean over tasks of 10 or 25 rows: at least 95 %" 95 100 mean tasks-few zou-donner 10
within "t interval of a difference" 93.5 96.5 difference "mixed|hard|easy|f1|binary-.*" t 100
within "t interval of a difference between models of other shape, 400 rows" 93.5 96.5 difference ".*-other-shape" t 400
within "permutation test of scores" 4 6 test "mixed|hard|easy|f1" permutation 100
within "permutation test of right/wrong rows: at most 6 %" 0 6 test "binary-.*" permutation 100
within "McNemar's mid-p, 40 rows or more that differ" 4 6 test "binary-70" mcnemar-mid 200
within "McNemar's mid-p: at most 6 %" 0 6 test "binary-.*" mcnemar-mid 100
within "McNemar's exact p: at most 5 %" 0 5 test "binary-.*" mcnemar-exact 100
sed 's/^/    /' "$T/table"
exit $bad
