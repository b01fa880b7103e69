#!/usr/bin/env bash
# Calls over https: whom cfbench trusts, whom it does not, and what it says then. Both ways: over sockets of its own, and by libcurl.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY OPENAI_API_KEY OPENAI_BASE_URL
if ! command -v openssl >/dev/null 2>&1; then
    skip "https" "openssl is not installed"
    exit 0
fi
# make_cert NAME SUBJECT-ALT-NAMES...: NAME.pem and NAME.key, signed by nobody but itself
make_cert() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/$1.key" -out "$T/$1.pem" -days 2 -subj "/CN=$1" \
        -addext "subjectAltName=$2" 2>/dev/null
}
make_cert here "IP:127.0.0.1,DNS:localhost" && make_cert elsewhere "DNS:elsewhere.example" && make_cert client "DNS:client" || exit 1
export CFBENCH T CERTS=$T
PYTHONPATH=tests python3 tests/cli/tls.py || bad=1
exit "$bad"
