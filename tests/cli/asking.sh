#!/usr/bin/env bash
# A run against the mock, from the outside: every fault, wrong keys, dead servers, pauses, budgets. What is checked is in asking.py;
# ASKING="c d" chooses some of its sections.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
make_suite 490
export CFBENCH T
SUITE=$T/suite PYTHONPATH=tests python3 tests/cli/asking.py ${ASKING:-} || bad=1
exit "$bad"
