#!/bin/sh
# Gets the real CFBenchmark data from its public repository.
# Usage and exit codes: see usage() below.
#
# What is verified: every file's SHA-256, against copies of the real files.
# What is not: the live site. This script was tested against local mirrors only.
# A public index of the repository shows data, few-shot and label files of the
# pinned commit under CFBenchmark-basic/, but not every single path. Should a file
# not be there, the newest state is tried; the checksums hold for both, so a
# changed file is never taken.
set -eu

REPOSITORY=https://raw.githubusercontent.com/TongjiFinLab/CFBenchmark
COMMIT=6afbd405e41619cfd29cc2cf4cf77bd59067b94e

usage() {
    cat <<'EOF'
usage: scripts/get-cfbenchmark.sh [DEST]
Gets the CFBenchmark data (11 MB) into DEST, by default cfbenchmark-data under
the project root. DEST ignores itself in git. Run it again to resume, or to
check and mend an existing DEST.
CFB_CFBENCHMARK_URL  other address of the folder that holds data/, fewshot/ and
                     labels_info.pkl: https://, file://, or http:// on this machine
Exit codes: 0 done, 1 wrong use, 2 wrong checksum, 4 download failed.
EOF
}

# Checksums and paths below the base address.
manifest() {
    cat <<'EOF'
f6badb884c8d79f5c805234dcdbb417e4d835b65cdd1f7823cab62ca154ea32f  data/company/data-00000-of-00001.arrow
87df19fda6f95ad03c45fa66302a12711f338f7b03b5879e298699984dc2600e  data/company/dataset_info.json
84adda76a1eb319a293caa3c51814627d1510159d98b58f70af7ac5ac72dc01d  data/company/state.json
71af217134009c158c0469a44f56606e3c0e76c613775a7d84390378dbd4d53e  data/dataset_dict.json
eedf44ad6f20f28f50cc4d86b7b86e7af47afa62c9faba8875ffe7ffc7e01f1d  data/event/data-00000-of-00001.arrow
87df19fda6f95ad03c45fa66302a12711f338f7b03b5879e298699984dc2600e  data/event/dataset_info.json
fe072bf8ae81ae9bafa0f114fcd8e37d0ad3b92348d5991a7d6e4ca25a978523  data/event/state.json
b52b209c1b952443330d6b73c0a60714d9e4b26b8290c16d517a76a4ceec4c88  data/product/data-00000-of-00001.arrow
87df19fda6f95ad03c45fa66302a12711f338f7b03b5879e298699984dc2600e  data/product/dataset_info.json
2b4963340e9db122950dfb6fa547fe54b649dffc2e8d4c0d62374d0eae40c938  data/product/state.json
3a0749959fa76c658c8df93ff801b273f76cb6239fe3361bd193b7e54694a5ea  data/risk/data-00000-of-00001.arrow
87df19fda6f95ad03c45fa66302a12711f338f7b03b5879e298699984dc2600e  data/risk/dataset_info.json
a5620b4f6460968cb9257a1297d5bd2e1e286d31d2b24907ad8c9c469d0a712c  data/risk/state.json
ac3e7c74441666f8c9d818de65e849cbeb6351fe0bef0092c81b95ec77b140ba  data/sector/data-00000-of-00001.arrow
87df19fda6f95ad03c45fa66302a12711f338f7b03b5879e298699984dc2600e  data/sector/dataset_info.json
11db770c7127bae1c91e3d2598cd94f95b872cadf4387ef1ec204def3bb66328  data/sector/state.json
e001258501d5228ba71c83ba3525515d6946f22a6a8db7b4c3c9618eda70163f  data/sentiment/data-00000-of-00001.arrow
87df19fda6f95ad03c45fa66302a12711f338f7b03b5879e298699984dc2600e  data/sentiment/dataset_info.json
a974099ba80f3e3f6aa4ba3a368298e3558935f69f5c3d21f172b615f81436c7  data/sentiment/state.json
b6d3c6a2a19e13a7ac8d86320d96dd627043088c1bccc218ce414170828b9b64  data/suggestion/data-00000-of-00001.arrow
87df19fda6f95ad03c45fa66302a12711f338f7b03b5879e298699984dc2600e  data/suggestion/dataset_info.json
8ae8a6ed9f5aace32330a120bfa1ff7458eed5f73aa91858316d3b606155b2da  data/suggestion/state.json
22ed5e28dc7338465014c4c8786e801f3ead9e4d43b707f0c098ec321dbc2b48  data/summary/data-00000-of-00001.arrow
87df19fda6f95ad03c45fa66302a12711f338f7b03b5879e298699984dc2600e  data/summary/dataset_info.json
cdeacc1f530b2ca1ce702d7bba7e380911508c7969ad9f3a1c7c40be1840e717  data/summary/state.json
acc3c6357990805cba6941ac9847972a6b6c62269910a925a471d580ff6bde86  fewshot/fewshot-company.txt
b75530e03c62a247b88c5c59231b103a7f04ab24834d20d4a2f9dd2c8f2b50e2  fewshot/fewshot-event.txt
c59c9a7411a2b13cf012724762b2f7838076ec33e48a60f5e70282983cbba91f  fewshot/fewshot-product.txt
9ff6c41f8c082416b2b57dfd2bf6a839768251ede91d4606292a1540ff05b0e8  fewshot/fewshot-risk.txt
1d7b6a38dbd65302cb49463db1faf6e9022978d7bbc2264c5ee5948af587d0e4  fewshot/fewshot-sector.txt
63d18bc71fbc0288c34639c21d8d9e050d2151c6ed75a88c565b348efb3a9569  fewshot/fewshot-sentiment.txt
247ef99458fd5a9697cfd9a127fae3f63c1913db323e6447faa0b73b14e3ecd4  fewshot/fewshot-suggestion.txt
25bea038c16ae7bed96efd96c565c43d2a7fe2c240112b362d37aac002012895  fewshot/fewshot-summary.txt
937238b1ed9fd5db3b874aa10ff89d47a63e592fb09f9866bfe3ea5445812acb  labels_info.pkl
EOF
}
# Made here, from labels_info.pkl.
LABELS_SUM=076850e016906f1be47901e74b1b4b53d07df63f83ddaab5ac098df8dd8f66e8

say() { printf 'get-cfbenchmark: %s\n' "$*" >&2; }
die() { # STATUS MESSAGE...
    status=$1
    shift
    say "$@"
    exit "$status"
}

case ${1:-} in -h | --help) usage; exit 0 ;; -*) usage >&2; exit 1 ;; esac
[ $# -le 1 ] || { usage >&2; exit 1; }

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
dest=${1:-${here%/*}/cfbenchmark-data}
if [ -d "$dest" ]; then
    dest=$(CDPATH='' cd -- "$dest" && pwd -P)
elif [ -e "$dest" ]; then
    die 1 "$dest is not a folder."
else
    parent=$(dirname -- "$dest")
    mkdir -p -- "$parent"
    dest=$(CDPATH='' cd -- "$parent" && pwd -P)/$(basename -- "$dest")
fi
part=$dest.cfbenchmark-part # where an interrupted download goes on

command -v python3 >/dev/null 2>&1 || die 1 "python3 is missing (it makes labels.json)."
if command -v sha256sum >/dev/null 2>&1; then
    sha256() { sha256sum "$@"; }
elif command -v shasum >/dev/null 2>&1; then
    sha256() { shasum -a 256 "$@"; }
else
    die 1 "neither sha256sum nor shasum is here."
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
manifest >"$work/files"
{ cat "$work/files"; echo "$LABELS_SUM  labels.json"; } >"$work/all"
{ cut -c 67- "$work/all"; echo .gitignore; echo .incoming; } >"$work/names"

is_complete() { (cd "$1" && sha256 -c "$work/all") >/dev/null 2>&1; }
matches() { # SUM FILE
    [ -f "$2" ] && [ "$(sha256 <"$2" | cut -c 1-64)" = "$1" ]
}

if [ -d "$dest" ] && is_complete "$dest"; then
    say "$dest is complete and correct."
    exit 0
fi
# Both folders get replaced or deleted below: nobody's own files may be in them.
for folder in "$dest" "$part"; do
    [ -d "$folder" ] || continue
    (cd "$folder" && find . ! -type d) | sed 's|^\./||' | grep -vxF -f "$work/names" >"$work/foreign" || true
    [ ! -s "$work/foreign" ] ||
        die 1 "$folder holds files that are not CFBenchmark's ($(head -n 1 "$work/foreign")): name another folder."
done

# --proto keeps curl, redirects included, to the one scheme that was asked for.
if [ -n "${CFB_CFBENCHMARK_URL:-}" ]; then
    bases=${CFB_CFBENCHMARK_URL%/}
    case $bases in
        https://*) proto='=https' ;;
        file:///*) proto='=file' ;;
        http://*)
            proto='=http'
            export no_proxy='*' # loopback, see below
            host=${bases#http://}
            printf '%s\n' "${host%%/*}" | grep -Eqx '(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?' ||
                die 1 "CFB_CFBENCHMARK_URL: plain http:// is for this machine only; use https://."
            ;;
        *) die 1 "CFB_CFBENCHMARK_URL: use https://, file:///, or http://127.0.0.1." ;;
    esac
else
    bases="$REPOSITORY/$COMMIT/CFBenchmark-basic $REPOSITORY/HEAD/CFBenchmark-basic"
    proto='=https'
fi

fetch() { # PATH FILE
    command -v curl >/dev/null 2>&1 || die 1 "curl is missing (Debian: apt-get install curl)."
    for base in $bases; do
        if curl --fail --location --silent --show-error --proto "$proto" --max-redirs 5 \
            --retry 4 --connect-timeout 20 --speed-limit 1000 --speed-time 30 \
            --max-filesize 8000000 --output "$2" "$base/$1" 2>"$work/curl" </dev/null; then
            return 0
        fi
    done
    say "could not get $1: $(tail -n 1 "$work/curl")"
    die 4 "what has arrived is kept in $part; run this again to go on."
}

mkdir -p -- "$part"
echo '*' >"$part/.gitignore"
count=$(wc -l <"$work/files" | tr -d ' ')
say "getting $count files into $dest"
n=0
while read -r sum path; do
    n=$((n + 1))
    [ ! -t 2 ] || printf '\r[%d/%d] %-45s' "$n" "$count" "$path" >&2
    ! matches "$sum" "$part/$path" || continue
    mkdir -p -- "$part/$(dirname "$path")"
    if matches "$sum" "$dest/$path"; then
        cp -- "$dest/$path" "$part/.incoming"
    else
        fetch "$path" "$part/.incoming"
    fi
    if ! matches "$sum" "$part/.incoming"; then
        got=$(sha256 <"$part/.incoming" | cut -c 1-64)
        rm -rf -- "$part"
        say "wrong checksum: $path"
        say "  expected $sum"
        say "  got      $got"
        die 2 "the source was changed or damaged; nothing was kept."
    fi
    mv -f -- "$part/.incoming" "$part/$path"
done <"$work/files"
[ ! -t 2 ] || printf '\r%-60s\r' '' >&2
rm -f -- "$part/.incoming"

python3 "$here/labels-from-pickle.py" "$part/labels_info.pkl" "$part/labels.json" || {
    rm -rf -- "$part"
    die 2 "labels.json could not be made; nothing was kept."
}
if ! is_complete "$part"; then
    rm -rf -- "$part"
    die 2 "wrong checksum: labels.json; nothing was kept."
fi

old=
if [ -d "$dest" ]; then # damaged: its good files are in $part already
    old=$(mktemp -d "$dest.XXXXXX")
    mv -- "$dest" "$old/"
fi
# rename(2), unlike mv, can never move a folder into another.
python3 -c 'import os, sys; os.rename(sys.argv[1], sys.argv[2])' "$part" "$dest"
[ -z "$old" ] || rm -rf -- "$old"
say "done: $dest (data/, fewshot/, labels.json)"
say "CFBenchmark is a research preview for non-commercial use only; see"
say "https://github.com/TongjiFinLab/CFBenchmark#license"
