#!/bin/sh
# Finds what is missing to build and test cfbench, and installs it.
# Looks with pkg-config and the compiler, never at package names, so libraries
# from conda, Spack or environment modules count as well.
# Tried on Debian 12. The dnf names and the hints for other systems come from
# public build recipes and were not tried.
set -eu

usage() {
    cat <<'EOF'
usage: scripts/install-deps.sh [--check] [--ci] [--cluster]
  --check  only say what is missing; exit 1 if anything is
  --ci     also what the CI gates need: clang with OpenMP and sanitizers, llvm, oneDNN, AArch64's gcc and qemu, zsh, fish
  --cluster  also what make test-cluster needs: Slurm, munge, Open MPI, MPICH
CC, CPPFLAGS, CFLAGS, LDFLAGS and PKG_CONFIG are respected.
EOF
}

check=0 ci=0 cluster=0
for arg; do
    case $arg in
        --check) check=1 ;;
        --ci) ci=1 ;;
        --cluster) cluster=1 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 1 ;;
    esac
done

# name | apt packages | dnf packages | header | library (the last two: libraries)
# A library's name is its pkg-config module.
TABLE='cc|gcc libc6-dev|gcc||
make|make|make||
pkg-config|pkg-config|pkgconf-pkg-config||
python3|python3|python3||
git|git|git||
ca-certificates|ca-certificates|ca-certificates||
libcurl|libcurl4-openssl-dev|libcurl-devel|curl/curl.h|curl
libcrypto|libssl-dev|openssl-devel|openssl/evp.h|crypto
libcjson|libcjson-dev|cjson-devel|cjson/cJSON.h|cjson
openblas|libopenblas-openmp-dev|openblas-devel|cblas.h|openblas
sqlite3|libsqlite3-dev|sqlite-devel|sqlite3.h|sqlite3
libutf8proc|libutf8proc-dev|utf8proc-devel|utf8proc.h|utf8proc
zlib|zlib1g-dev|zlib-devel|zlib.h|z
libzstd|libzstd-dev|libzstd-devel|zstd.h|zstd
liblz4|liblz4-dev|lz4-devel|lz4frame.h|lz4
cmocka|libcmocka-dev|libcmocka-devel|cmocka.h|cmocka
clang|clang|clang||
clang-openmp|@libomp|libomp-devel||
clang-sanitizers|@libclang-rt|compiler-rt||
gcc-sanitizers|gcc libc6-dev|libasan libubsan||
llvm-symbolizer|llvm|llvm||
arm|gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user|||
dnnl|libdnnl-dev|onednn-devel||
zsh|zsh|zsh||
fish|fish|fish||
slurm|slurm-wlm|slurm-slurmctld slurm-slurmd||
munge|munge|munge||
openmpi|libopenmpi-dev openmpi-bin|openmpi-devel||
mpich|libmpich-dev mpich|mpich-devel||'
MODULES='libcurl libcrypto libcjson openblas sqlite3 libutf8proc zlib libzstd liblz4 cmocka'

say() { printf 'install-deps: %s\n' "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Values here are lists of words, to be split.
# shellcheck disable=SC2086
links() { # links COMPILER FLAGS... : does $work/t.c compile and link?
    "$@" ${CPPFLAGS:-} ${CFLAGS:-} "$work/t.c" -o "$work/t" ${LDFLAGS:-} ${libs:-} >/dev/null 2>&1
}

find_cc() {
    printf '#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n' >"$work/t.c"
    libs=
    if [ -n "${CC:-}" ]; then
        cc=$CC
        # CC may hold words, as in "ccache gcc".
        # shellcheck disable=SC2086
        links $cc -fopenmp
        return
    fi
    for cc in cc gcc clang; do
        if have "$cc" && links "$cc" -fopenmp; then return 0; fi
    done
    cc=
    return 1
}

# A library without a pkg-config file. Fedora's OpenBLAS is one: it keeps its
# headers in a folder of its own and names its OpenMP build libopenblaso.
find_library() { # NAME HEADER LIBRARY
    [ -n "$cc" ] || return 1
    printf '#include <stdarg.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <setjmp.h>\n#include <%s>\nint main(void) { return 0; }\n' "$2" >"$work/t.c"
    libs=-l$3
    # shellcheck disable=SC2086
    links $cc && return
    [ "$1" = openblas ] || return 1
    libs=-lopenblaso
    # shellcheck disable=SC2086
    links $cc -I/usr/include/openblas
}

find_ca() {
    for f in "${SSL_CERT_FILE:-}" "${CONDA_PREFIX:+$CONDA_PREFIX/ssl/cacert.pem}" \
        /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt \
        /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem; do
        if [ -n "$f" ] && [ -s "$f" ]; then return 0; fi
    done
    return 1
}

find_missing() { # sets $missing
    missing=
    find_cc || missing="$missing cc"
    pc=${PKG_CONFIG:-pkg-config}
    have make || missing="$missing make"
    have "$pc" || missing="$missing pkg-config"
    have python3 || missing="$missing python3"
    have git || missing="$missing git"
    find_ca || missing="$missing ca-certificates"
    # One call answers for all in the usual case.
    # shellcheck disable=SC2086
    if ! { have "$pc" && "$pc" --exists $MODULES 2>/dev/null; }; then
        while IFS='|' read -r name _ _ header library; do
            [ -n "$library" ] || continue
            if have "$pc" && "$pc" --exists "$name" 2>/dev/null; then continue; fi
            find_library "$name" "$header" "$library" || missing="$missing $name"
        done <<EOF
$TABLE
EOF
    fi
    [ "$ci" = 0 ] || find_missing_ci
    [ "$cluster" = 0 ] || find_missing_cluster
}

find_missing_cluster() {
    for c in slurmctld:slurm slurmd:slurm sbatch:slurm munged:munge mpicc.openmpi:openmpi mpirun.openmpi:openmpi \
        mpicc.mpich:mpich mpirun.mpich:mpich; do
        # Debian keeps daemons in a folder that is not on every user's PATH.
        have "${c%:*}" || [ -x "/usr/sbin/${c%:*}" ] || missing="$missing ${c#*:}"
    done
}

find_missing_ci() {
    libs=
    printf '#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n' >"$work/t.c"
    if ! have clang; then
        missing="$missing clang clang-openmp clang-sanitizers"
    elif ! links clang -fopenmp -fsanitize=thread; then
        links clang -fopenmp || missing="$missing clang-openmp"
        printf 'int main(void) { return 0; }\n' >"$work/t.c"
        links clang -fsanitize=thread || missing="$missing clang-sanitizers"
    fi
    printf 'int main(void) { return 0; }\n' >"$work/t.c"
    links gcc -fsanitize=address,undefined || missing="$missing gcc-sanitizers"
    have llvm-symbolizer || missing="$missing llvm-symbolizer"
    printf '#include <oneapi/dnnl/dnnl.h>\nint main(void) { return dnnl_version() == 0; }\n' >"$work/t.c"
    libs=-ldnnl
    links gcc || missing="$missing dnnl"
    for c in zsh fish; do have $c || missing="$missing $c"; done # they read their completions
    # tests/arm.sh; elsewhere it is skipped.
    if have apt-get && [ "$(uname -m)" = x86_64 ]; then
        { have aarch64-linux-gnu-gcc && have qemu-aarch64; } || missing="$missing arm"
    fi
}

# clang's run-time packages carry its major version on Debian and Ubuntu.
clang_package() { # STEM
    if have clang; then
        major=$(clang --version | sed -n 's/.*version \([0-9]*\)\..*/\1/p' | head -n 1)
    else
        major=$(apt-cache depends clang 2>/dev/null | sed -n 's/^ *Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
    fi
    for p in "$1-${major:-14}-dev" "$1-dev"; do
        if apt-cache show "$p" >/dev/null 2>&1; then
            printf '%s' "$p"
            return
        fi
    done
    # Lists are empty (name it all the same), or an older release, whose clang brings it.
    if [ -z "$major" ]; then printf '%s' "$1-14-dev"; fi
}

packages() { # apt|dnf : the packages for $missing
    list=
    while IFS='|' read -r name apt dnf _ _; do
        case " $missing " in *" $name "*) ;; *) continue ;; esac
        if [ "$1" = dnf ]; then list="$list $dnf"; continue; fi
        case $apt in
            @*) list="$list $(clang_package "${apt#@}")" ;;
            *) list="$list $apt" ;;
        esac
    done <<EOF
$TABLE
EOF
    # For scripts/get-cfbenchmark.sh. cfbench itself does not need the command.
    have curl || list="$list curl"
    # shellcheck disable=SC2086
    printf '%s\n' $list | sort -u | tr '\n' ' ' | sed 's/ $//'
}

explain_apt() {
    if grep -Eqi 'could not get lock|unable to (acquire|lock)|is another process using it' "$1"; then
        say "apt is locked: another package manager is running. Let it finish, then run this again."
    elif grep -Eqi 'could not resolve|temporary failure|could not connect|unable to connect|failed to fetch|network is unreachable|timed out' "$1"; then
        say "apt could not reach its servers: check the network and apt's proxy settings."
    elif grep -qi 'unable to locate package' "$1"; then
        say "apt does not know all packages (on Ubuntu, enable 'universe')."
    else
        say "apt failed."
    fi
    grep -E '^(E|W|Err):' "$1" | tail -n 4 | sed 's/^/  /' || true
}

redhat_hint() {
    say "RHEL, Rocky, Alma and CentOS Stream need two more repositories:"
    echo "  EPEL (cjson-devel) and CRB, once PowerTools (several -devel packages):"
    echo "  sudo dnf -y install epel-release && sudo /usr/bin/crb enable"
    echo "  (RHEL itself: take epel-release from https://docs.fedoraproject.org/en-US/epel/)"
}

is_redhat() { grep -Eqs '^ID="?(rhel|rocky|almalinux|centos|ol)"?$' /etc/os-release; }

other_hint() {
    say "neither apt nor dnf is here. Names on other systems (not tried):"
    cat <<'EOF'
  Arch:     pacman -S --needed gcc make pkgconf curl openssl cjson openblas sqlite libutf8proc zlib zstd lz4 cmocka python git
  openSUSE: zypper install gcc make python3 git pkg-config 'pkgconfig(libcurl)' 'pkgconfig(libcrypto)' 'pkgconfig(libcjson)' 'pkgconfig(openblas)' 'pkgconfig(sqlite3)' 'pkgconfig(libutf8proc)' 'pkgconfig(zlib)' 'pkgconfig(libzstd)' 'pkgconfig(liblz4)' 'pkgconfig(cmocka)'
  Alpine:   apk add build-base pkgconf curl-dev openssl-dev cjson-dev openblas-dev sqlite-dev utf8proc-dev zlib-dev zstd-dev lz4-dev cmocka-dev python3 git
  Homebrew: brew install gcc make pkgconf curl openssl cjson openblas sqlite utf8proc zlib zstd lz4 cmocka python git
EOF
}

conda_hint() {
    echo "  conda env create -f scripts/environment.yml && conda activate cfbench"
    [ "$ci" = 0 ] || echo "  (that is for building and testing; it has no clang for the CI gates)"
}

find_missing
if [ -z "$missing" ]; then
    say "everything is there."
    exit 0
fi
say "missing:$missing"
[ "$check" = 0 ] || exit 1

# conda's pkg-config and compiler do not look at the system's libraries.
if [ -n "${CONDA_PREFIX:-}" ]; then
    case $(command -v "${PKG_CONFIG:-pkg-config}" || true) in
        "$CONDA_PREFIX"/*)
            say "the conda environment $CONDA_PREFIX is active and does not see system packages. Complete it:"
            echo "  conda env update -f scripts/environment.yml"
            echo "or leave it (conda deactivate) and run this again."
            exit 1
            ;;
    esac
fi

if have apt-get; then
    manager=apt
elif have dnf; then
    manager=dnf
else
    other_hint
    say "or with conda, no rights needed:"
    conda_hint
    exit 1
fi

if [ "$(id -u)" = 0 ]; then
    sudo=
elif have sudo && sudo -n true 2>/dev/null; then
    sudo='sudo -n'
else
    say "no right to install packages here. Run this, or ask someone who may:"
    if [ "$manager" = apt ]; then
        echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends $(packages apt)"
    else
        echo "  sudo dnf -y install --setopt=install_weak_deps=False $(packages dnf)"
        if is_redhat; then redhat_hint; fi
    fi
    say "or with conda, no rights needed:"
    conda_hint
    exit 1
fi

log=$work/log
# $sudo and $list are lists of words.
# shellcheck disable=SC2086
if [ "$manager" = apt ]; then
    # A broken extra repository must not stop us: only the installation decides.
    $sudo apt-get -q update >"$log" 2>&1 || true
    list=$(packages apt)
    say "installing with apt: $list"
    if ! $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=60 \
        install --no-install-recommends $list >>"$log" 2>&1; then
        explain_apt "$log"
        exit 1
    fi
else
    list=$(packages dnf)
    say "installing with dnf: $list"
    if ! $sudo dnf -y install --setopt=install_weak_deps=False $list >"$log" 2>&1; then
        say "dnf failed:"
        tail -n 8 "$log" | sed 's/^/  /'
        if is_redhat; then redhat_hint; fi
        exit 1
    fi
fi

find_missing
if [ -n "$missing" ]; then
    say "installed, but still not found:$missing"
    say "see whether CC, CFLAGS, LDFLAGS or PKG_CONFIG_PATH hide the system's libraries."
    exit 1
fi
say "done: everything is there."
