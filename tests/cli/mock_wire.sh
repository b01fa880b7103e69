# The mock's replies as bytes: streams, faults, limits, profiles.
. "$(dirname "$0")/../lib.sh"
python3 tests/cli/mock_wire.py "$CFBENCH" || bad=1
exit $bad
