#!/usr/bin/env bash
# Rates, limits that move, queues, signals in the middle: what takes seconds to see. What is checked is in pace.py.
# alone: it measures time
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
make_suite 500
export CFBENCH T
SUITE=$T/suite PYTHONPATH=tests python3 tests/slow/pace.py "$@" || bad=1
exit "$bad"
