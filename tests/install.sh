#!/usr/bin/env bash
# make install into a scratch prefix, then a small program built against the installed library, and the installed program run from
# another folder with a suite by name.
. "$(dirname "$0")/lib.sh"
if ! make --no-print-directory BUILD=build/installed install prefix="$T/usr" >"$T/log" 2>&1; then
    not_ok "make install" "$(tail -3 "$T/log" | tr '\n' ' ')"
    exit 1
fi
ok "make install"
cat >"$T/example.c" <<'E2'
#include "cfbench/metrics.h"
#include "cfbench/text.h"
#include <stdio.h>
int main(void) {
    cfb_tf_scratch_t *s;
    cfb_err err = CFB_ERR_INIT;
    double v;
    if (cfb_tf_scratch_new(&s, &err) != CFB_OK || cfb_tf_cosine(s, CFB_STR_LIT("营收增长"), CFB_STR_LIT("营收下降"), &v, &err) != CFB_OK) return 1;
    printf("%.3f\n", v);
    cfb_tf_scratch_free(s);
    return 0;
}
E2
export PKG_CONFIG_PATH="$T/usr/lib/pkgconfig"
check "a C program builds against the installed library" sh -c "cc -std=c11 '$T/example.c' -o '$T/example' \$(pkg-config --cflags --libs cfbench)"
check "and runs" sh -c "[ \"\$(LD_LIBRARY_PATH='$T/usr/lib' '$T/example')\" = 0.500 ]"
# The programs of docs/c-api.md.
python3 - "$T" <<'E3'
import re, sys
for i, code in enumerate(re.findall(r"^```c\n(.*?)^```$", open("docs/c-api.md", encoding="utf-8").read(), re.S | re.M)):
    open(f"{sys.argv[1]}/guide{i}.c", "w", encoding="utf-8").write(code)
E3
for source in "$T"/guide*.c; do
    name=${source##*/}
    check "docs/c-api.md: $name builds" sh -c "cc -std=c11 -Wall -Wextra -Werror '$source' -o '${source%.c}' \$(pkg-config --cflags --libs cfbench)"
    check "docs/c-api.md: $name runs" sh -c "cd '$T' && LD_LIBRARY_PATH='$T/usr/lib' '${source%.c}' >'${source%.c}.out' && [ -s '${source%.c}.out' ]"
done
check "docs/c-api.md: the scores are right" grep -q '0.5556 over all rows, 0.8333 over answered ones; first row 1.0000' "$T/guide0.out"
check "docs/c-api.md: the trace keeps to its format" python3 tests/cli/trace.py schema "$T/trace.json"
cd "$T" || exit 1
check "the installed program finds the installed suites" "$T/usr/bin/cfbench" run --suite sample --mock --api-rate-limit 0 --limit 1 --quiet --out "$T/out"
check "man pages are installed" test -s "$T/usr/share/man/man1/cfbench-run.1"
# Libraries that few commands need: not loaded at the start, and named where they are missing.
if readelf -d "$T/usr/bin/cfbench" >"$T/needed" 2>&1 && ! grep -qE 'lib(curl|openblas)' "$T/needed" && grep -qa 'libcurl\.so\.[0-9]' "$T/usr/bin/cfbench"; then
    ok "libcurl and OpenBLAS are not loaded at the start"
    sed 's/libcurl\.so\./libcurX.so./g' "$T/usr/bin/cfbench" >"$T/without"
    chmod +x "$T/without"
    check "a program without libcurl still starts" "$T/without" --version
    "$T/without" run --suite sample --mock --api-rate-limit 0 --limit 1 --quiet --out "$T/out2" >"$T/log" 2>&1
    if [ $? -eq 1 ] && grep -q 'libcurl cannot be loaded: libcurX.so' "$T/log"; then ok "and says what it misses"; else not_ok "and says what it misses" "$(tail -3 "$T/log" | tr '\n' ' ')"; fi
else
    not_ok "libcurl and OpenBLAS are not loaded at the start" "$(grep -E 'NEEDED.*(curl|blas)' "$T/needed" | tr '\n' ' ')"
fi
cd - >/dev/null || exit 1
make --no-print-directory uninstall prefix="$T/usr" >"$T/log" 2>&1
check "make uninstall leaves no file" sh -c "[ -z \"\$(find '$T/usr' -type f -o -type l)\" ]"

# The Debian package: built, installed into a root of its own beside a copy of this system's list of packages, and run from there.
if command -v dpkg-deb >/dev/null && [ -d /var/lib/dpkg/info ]; then
    if make --no-print-directory deb >"$T/log" 2>&1; then ok "make deb"; else not_ok "make deb" "$(tail -3 "$T/log" | tr '\n' ' ')"; exit 1; fi
    deb=$(tail -1 "$T/log")
    check "deb: control file" sh -c "dpkg-deb -f '$deb' Package Version Architecture Depends Description | grep -q '^Depends: .*libcurl4.*libopenblas0'"
    first=$(sha256sum <"$deb")
    mkdir -p "$T/root" "$T/admin"
    cp -R /var/lib/dpkg/. "$T/admin/"
    rm -f "$T/admin/lock" "$T/admin/lock-frontend"
    make --no-print-directory deb >/dev/null 2>&1
    check "deb: the same tree gives the same bytes" [ "$first" = "$(sha256sum <"$deb")" ]
    if [ "$(id -u)" = 0 ]; then
        check "deb: installs, with all that it depends on" dpkg --instdir="$T/root" --admindir="$T/admin" --force-not-root --log=/dev/null --no-triggers -i "$deb"
        check "deb: runs" sh -c "cd '$T' && CFBENCH_SUITE_PATH='$T/root/usr/share/cfbench/suites' '$T/root/usr/bin/cfbench' run --suite sample --mock --limit 1 --quiet --out '$T/debout'"
        check "deb: man pages, completions, library, headers, pkg-config" sh -c "test -s '$T/root/usr/share/man/man1/cfbench-run.1.gz' -a -s '$T/root/usr/share/bash-completion/completions/cfbench' -a -s '$T/root/usr/share/zsh/vendor-completions/_cfbench' -a -s '$T/root/usr/include/cfbench/base.h' && ls '$T'/root/usr/lib/*/pkgconfig/cfbench.pc '$T'/root/usr/lib/*/libcfbench.so.0"
        check "deb: is removed without a trace" sh -c "dpkg --instdir='$T/root' --admindir='$T/admin' --force-not-root --log=/dev/null --no-triggers -P cfbench && [ -z \"\$(find '$T/root' -type f -o -type l)\" ]"
    else
        skip "deb: installs" "not root"
    fi
    if command -v lintian >/dev/null; then
        check "deb: lintian finds no error" lintian --allow-root --fail-on error --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "$deb"
    else
        skip "deb: lintian finds no error" "lintian is not installed"
    fi
else
    skip "deb" "no dpkg here"
fi
# The Spack recipe: every library that the Makefile asks pkg-config for, and each of its switches.
check "the Spack recipe goes with the Makefile" python3 - <<'E3'
import ast, re
make = open("Makefile").read()
calls = [n for n in ast.walk(ast.parse(open("packaging/spack/packages/cfbench/package.py").read())) if isinstance(n, ast.Call)]
of = lambda name: [c.args[0].value for c in calls if getattr(c.func, "id", "") == name]
depends = {re.split(r"[@ ~+]", d)[0] for d in of("depends_on")}
spack = {"libcurl": "curl", "libssl": "openssl", "libcrypto": "openssl", "libcjson": "cjson", "sqlite3": "sqlite", "libutf8proc": "utf8proc", "zlib": "zlib-api",
         "libzstd": "zstd", "liblz4": "lz4"}
wanted = {spack[m] for m in re.search(r"^PKGS := (.*)", make, re.M).group(1).split()} | {"openblas", "mpi", "onednn", "c", "gmake", "pkgconfig"}
assert depends == wanted, depends ^ wanted
assert set(of("variant")) == {"openmp", "mpi", "onednn"}, of("variant")
text = open("packaging/spack/packages/cfbench/package.py").read()
for switch in "SERIAL=1", "MPI=1", "DNNL=1":
    assert switch in text and switch in make.split("\n")[1], switch
assert of("version") == [re.search(r"^VERSION := (.*)", make, re.M).group(1)]
for goal in re.findall(r'make\("(\w+)"(?:, "(\w+)")?', text):
    for g in filter(None, goal):
        assert re.search(rf"^{g}:", make, re.M), g
E3
check "the Apptainer definition has its parts" sh -c 'for p in Bootstrap From %files %post %runscript %test; do grep -q "^$p" packaging/cfbench.def || exit 1; done'
exit $bad
