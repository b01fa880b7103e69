# cfbench limiter: one pace for eight processes, also when three of them are killed.
# alone
. "$(dirname "$0")/../lib.sh"
make_suite 1500 || exit 1
SUITE="$T/suite" CFBENCH="$CFBENCH" T="$T" python3 tests/cluster/limiter.py ${LIMITER:-}
