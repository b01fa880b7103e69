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
exit $bad
