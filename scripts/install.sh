#!/usr/bin/env bash
# Called by `make install` and `make uninstall`, which set prefix, DESTDIR, BUILD, PROGRAM, VERSION and PKGS.
set -eu
cd "$(dirname "$0")/.."
root="${DESTDIR:-}${prefix:?}"
if [ "${1:-}" = --remove ]; then
    rm -rf "$root/include/cfbench" "$root/share/cfbench" "$root"/lib/libcfbench.* "$root/lib/pkgconfig/cfbench.pc" "$root/bin/cfbench" \
        "$root"/share/man/man1/cfbench*.1 "$root/share/bash-completion/completions/cfbench" "$root/share/zsh/site-functions/_cfbench" \
        "$root/share/fish/vendor_completions.d/cfbench.fish"
    exit 0
fi
install -d "$root/bin" "$root/lib/pkgconfig" "$root/include/cfbench" "$root/share/cfbench/suites" "$root/share/man/man1" \
    "$root/share/bash-completion/completions" "$root/share/zsh/site-functions" "$root/share/fish/vendor_completions.d"
install -m 755 "$PROGRAM" "$root/bin/cfbench"
install -m 644 "$BUILD/libcfbench.a" "$root/lib/"
install -m 755 "$BUILD/libcfbench.so.$VERSION" "$root/lib/"
ln -sf "libcfbench.so.$VERSION" "$root/lib/libcfbench.so.0"
ln -sf libcfbench.so.0 "$root/lib/libcfbench.so"
install -m 644 include/cfbench/*.h "$root/include/cfbench/"
install -m 644 build/man/*.1 "$root/share/man/man1/"
cp -R datasets/sample datasets/cfbenchmark "$root/share/cfbench/suites/"
"$PROGRAM" --completion bash >"$root/share/bash-completion/completions/cfbench"
"$PROGRAM" --completion zsh >"$root/share/zsh/site-functions/_cfbench"
"$PROGRAM" --completion fish >"$root/share/fish/vendor_completions.d/cfbench.fish"
cat >"$root/lib/pkgconfig/cfbench.pc" <<PC
prefix=$prefix
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: cfbench
Description: evaluation of language models: datasets, prompts, client, run store, metrics
Version: $VERSION
Requires.private: $PKGS
Cflags: -I\${includedir}
Libs: -L\${libdir} -lcfbench
Libs.private: -ldl -lm
PC
