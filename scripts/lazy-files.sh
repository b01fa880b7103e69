#!/usr/bin/env bash
# Which files stand behind -lcurl, -lssl, -lopenblas and -ldnnl, as flags for the objects that open them: src/base/lazy.h. Nothing where that
# cannot be found out; the usual names are in the code. Usage: scripts/lazy-files.sh CC FLAGS...
t=$(mktemp -d) || exit 0
trap 'rm -rf "$t"' EXIT
echo 'int main(void) { return 0; }' >"$t/main.c"
"$1" "$t/main.c" -o "$t/main" -Wl,--no-as-needed "${@:2}" 2>"$t/log" || exit 0
needed=$(LC_ALL=C readelf -d "$t/main" 2>"$t/log" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
for pair in CURL:libcurl SSL:libssl BLAS:libopenblas DNNL:libdnnl; do
    file=$(grep -m1 "^${pair#*:}[a-z0-9_-]*\.so" <<<"$needed") || continue
    echo "-DCFB_${pair%%:*}_FILE='\"$file\"'"
done
