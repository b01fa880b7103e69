# White space, strip and lower against Python's str, for every assigned code point and random strings.
. "$(dirname "$0")/../lib.sh"
if out=$(python3 tests/oracle/text_oracle.py "${BUILD:-build/gcc}/tools/oracle/text_strings" 2>&1); then
    ok "text functions equal Python's"
else
    not_ok "text functions equal Python's" "$(echo "$out" | tail -5 | tr '\n' ' ')"
fi
exit $bad
