#!/bin/sh
# Gets an embedding model of the BGE family (BAAI/bge-SIZE-zh-v1.5) for --metric bge.
# Usage and exit codes: see usage() below.
#
# The weights are model.safetensors, or where a revision has none, pytorch_model.bin:
# cfbench reads both. What is verified: their size and SHA-256, against the pointer file that
# the repository publishes beside them (Git LFS), or against --sha256. What arrived is
# written down in SHA256SUMS; a second run checks the folder against it.
# What is not: no checksum is built in, since the files were not at hand when this was
# written. Whoever needs one in writing gives --sha256. The live site was never asked;
# this script was tested against local mirrors only.
set -eu

usage() {
    cat <<'EOF'
usage: scripts/get-bge.sh [--sha256 HEX] [--revision REV] small|base|large [DEST]
Gets BAAI/bge-SIZE-zh-v1.5 (small 96 MB, base 410 MB, large 1.3 GB) into DEST, by
default models/bge-SIZE-zh-v1.5 under the project root. Run it again to resume, or to
check what is there.
--sha256 HEX    what the weights' SHA-256 must be
--revision REV  branch, tag or commit of the repository (main)
CFB_BGE_URL     other address in place of https://huggingface.co: https://, file://,
                or http:// on this machine
Exit codes: 0 done, 1 wrong use, 2 wrong checksum, 4 download failed.
EOF
}

say() { printf 'get-bge: %s\n' "$*" >&2; }
die() { # STATUS MESSAGE...
    status=$1
    shift
    say "$@"
    exit "$status"
}
is_hash() { printf '%s' "$1" | grep -Eq '^[0-9a-f]{64}$'; }
sha256() { sha256sum "$1" | cut -c 1-64; }

want= revision=main
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --sha256) want=${2:-}; is_hash "$want" || die 1 "--sha256 needs 64 hex digits"; shift 2 ;;
        --revision) revision=${2:-}; [ -n "$revision" ] || die 1 "--revision needs a name"; shift 2 ;;
        -*) usage >&2; exit 1 ;;
        *) break ;;
    esac
done
case ${1:-} in small | base | large) ;; *) usage >&2; exit 1 ;; esac
[ $# -le 2 ] || { usage >&2; exit 1; }
name=bge-$1-zh-v1.5
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
dest=${2:-$root/models/$name}
site=${CFB_BGE_URL:-https://huggingface.co}
case $site in
    https://*) proto='=https' ;;
    file://*) proto='=file' ;;
    http://*)
        proto='=http'
        export no_proxy='*' # loopback, see below
        host=${site#http://}
        printf '%s\n' "${host%%/*}" | grep -Eqx '(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?' ||
            die 1 "CFB_BGE_URL: plain http:// is for this machine only"
        ;;
    *) die 1 "CFB_BGE_URL must be https://, file://, or http:// on this machine" ;;
esac
command -v curl >/dev/null 2>&1 || die 1 "curl is missing (Debian: apt-get install curl)"

if [ -e "$dest/SHA256SUMS" ]; then
    (cd "$dest" && sha256sum --check --quiet SHA256SUMS) || die 2 "$dest does not match its SHA256SUMS; remove it and run this again"
    [ -z "$want" ] || grep -Eq "^$want  (model\.safetensors|pytorch_model\.bin)\$" "$dest/SHA256SUMS" || die 2 "the weights in $dest are not those of --sha256"
    say "$dest is complete"
    exit 0
fi

fetch() { # KIND PATH FILE [CURL OPTION...]: KIND resolve (the file) or raw (of large files the pointer)
    kind=$1 path=$2 file=$3
    shift 3
    curl --fail --location --silent --show-error --proto "$proto" --proto-redir "$proto" --max-redirs 5 --retry 4 --connect-timeout 20 \
        --speed-limit 1000 --speed-time 60 "$@" --output "$file" "$site/BAAI/$name/$kind/$revision/$path" </dev/null
}

part=$dest.part
mkdir -p -- "$part/1_Pooling"
for path in config.json tokenizer.json tokenizer_config.json vocab.txt 1_Pooling/config.json; do
    [ -s "$part/$path" ] || fetch resolve "$path" "$part/$path.new" --max-filesize 20000000 || die 4 "could not get $path; run this again to go on"
    [ ! -e "$part/$path.new" ] || mv -f -- "$part/$path.new" "$part/$path"
done
weights=model.safetensors
fetch raw "$weights" "$part/pointer" --max-filesize 2000 2>"$part/why" || {
    weights=pytorch_model.bin
    fetch raw "$weights" "$part/pointer" --max-filesize 2000 2>>"$part/why" ||
        die 4 "could not get the pointer of model.safetensors or of pytorch_model.bin: $(tail -n 1 "$part/why")"
}
published=$(sed -n 's/^oid sha256:\([0-9a-f]\{64\}\)$/\1/p' "$part/pointer")
size=$(sed -n 's/^size \([0-9]\{1,12\}\)$/\1/p' "$part/pointer")
rm -f -- "$part/pointer" "$part/why"
is_hash "$published" && [ -n "$size" ] || die 4 "$site gives no pointer with size and SHA-256 of $weights"
[ -z "$want" ] || [ "$want" = "$published" ] || die 2 "the repository publishes SHA-256 $published, not that of --sha256"
say "getting $weights, $size bytes, into $dest"
fetch resolve "$weights" "$part/$weights" --continue-at - --max-filesize "$size" ||
    die 4 "could not get $weights; what has arrived is kept in $part; run this again to go on"
got=$(sha256 "$part/$weights")
if [ "$got" != "$published" ]; then
    rm -f -- "$part/$weights"
    die 2 "wrong checksum: $weights has $got, the repository publishes $published; it was removed"
fi
(cd "$part" && sha256sum config.json tokenizer.json tokenizer_config.json vocab.txt 1_Pooling/config.json "$weights" >SHA256SUMS)
[ ! -e "$dest" ] || die 1 "$dest is there already, without a SHA256SUMS; remove it, or name another folder"
mv -- "$part" "$dest"
say "done: cfbench score --metric bge --embed-model $dest ..."
