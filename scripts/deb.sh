#!/usr/bin/env bash
# Called by `make deb`, which sets BUILD, VERSION, PROGRAM and PKGS: a Debian package of an installation below /usr, in build/. Needs dpkg-deb and
# nothing else of Debian's tools. SOURCE_DATE_EPOCH, or the last commit, dates the files, so that the same tree gives the same package.
set -eu
cd "$(dirname "$0")/.."
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
arch=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
DESTDIR=$root prefix=/usr scripts/install.sh
doc=$root/usr/share/doc/cfbench
install -d "$doc/docs" "$root/DEBIAN"
install -m 644 README.md "$doc/README.md"
install -m 644 docs/*.md "$doc/docs/"
find "$doc/docs" -name '*.md' -size +4k -exec gzip -9n {} +
gzip -9n "$root"/usr/share/man/man1/*.1
strip --strip-unneeded --remove-section=.comment --remove-section=.note "$root/usr/bin/cfbench" "$root"/usr/lib/libcfbench.so.*.*.*
strip --strip-debug "$root/usr/lib/libcfbench.a"
# Debian's zsh looks for the completions of packages in a folder of its own.
install -d "$root/usr/share/zsh/vendor-completions"
mv "$root"/usr/share/zsh/site-functions/_cfbench "$root/usr/share/zsh/vendor-completions/"
rmdir "$root/usr/share/zsh/site-functions"
# Debian keeps libraries in a folder for each machine type.
triplet=$(gcc -print-multiarch 2>/dev/null || true)
if [ -n "$triplet" ]; then
    install -d "$root/usr/lib/$triplet/pkgconfig"
    mv "$root"/usr/lib/libcfbench.* "$root/usr/lib/$triplet/"
    sed "s|^libdir=.*|libdir=\${prefix}/lib/$triplet|" "$root/usr/lib/pkgconfig/cfbench.pc" >"$root/usr/lib/$triplet/pkgconfig/cfbench.pc"
    rm -r "$root/usr/lib/pkgconfig"
fi
cat >"$doc/copyright" <<C
This package was built from the source tree of cfbench $VERSION with "make deb".
Whatever licence comes with that source tree is that of the program.

The sample suite in /usr/share/cfbench/suites/sample was written for cfbench and is in the
public domain (CC0-1.0). On Debian systems the text of CC0-1.0 is in
/usr/share/common-licenses/CC0-1.0.
C
{
    echo "cfbench ($VERSION) unstable; urgency=medium"
    echo
    echo "  * Built from the source tree."
    echo
    echo " -- cfbench <cfbench@localhost>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$doc/changelog.gz"

# Packages of the libraries that the program was linked with. BLAS is one of several, by an alternative.
depends=
for lib in $(ldd "$root/usr/bin/cfbench" | awk '/=>/ { print $3 }'); do
    needed=$(basename "$lib")
    readelf -d "$root/usr/bin/cfbench" | grep -q "NEEDED.*\[$needed\]" || continue
    case $needed in
        libopenblas*) package="libopenblas0-openmp | libopenblas0" ;;
        *) file=$(readlink -f "$lib") # /lib may be a link to /usr/lib, and packages name either
            package=$(dpkg -S "$file" "${file#/usr}" "/usr$file" 2>/dev/null | head -1 | cut -d: -f1)
            [ -n "$package" ] || { echo "deb: no package has $lib" >&2; exit 1; }
            package="$package (>= $(dpkg-query -W -f '${Version}' "$package" | sed 's/^[0-9]*:/&/; s/-[^-]*$//'))" ;;
    esac
    case ", $depends," in *", $package,"*) ;; *) depends="$depends${depends:+, }$package" ;; esac
done
cat >"$root/DEBIAN/control" <<C
Package: cfbench
Version: $VERSION
Architecture: $arch
Maintainer: cfbench <cfbench@localhost>
Section: science
Priority: optional
Installed-Size: $(du -sk "$root/usr" | cut -f1)
Depends: $depends
Recommends: ca-certificates
Suggests: sqlite3
Description: evaluate language models on CFBenchmark and suites of your own
 cfbench asks any OpenAI-compatible server with many calls side by side, keeps
 every reply in an SQLite file, and scores replies, also those of other
 programs, exactly as CFBenchmark does. It comes with a C library, libcfbench,
 and a built-in mock model for trials without a server.
C
printf 'libcfbench 0 cfbench (>= %s)\n' "$VERSION" >"$root/DEBIAN/shlibs"
printf 'activate-noawait ldconfig\n' >"$root/DEBIAN/triggers"
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
chmod -R u+rwX,go+rX,go-w "$root"
find "$root/usr/lib" -type f -exec chmod 644 {} +
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0r touch -h -d "@$SOURCE_DATE_EPOCH"
mkdir -p build
out=build/cfbench_${VERSION}_$arch.deb
dpkg-deb --build --root-owner-group -Zxz "$root" "$out" >/dev/null
echo "$out"
