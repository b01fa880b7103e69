#!/bin/sh
# Tests scripts/labels-from-pickle.py and scripts/get-cfbenchmark.sh.
# Prints "ok NAME", "not ok NAME: why" or "skip NAME: why"; fails if anything did.
# The real data, where they lie beside the project, serve as a mirror. No network.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
real=$root/../shared/cfbenchmark
labels=$root/scripts/labels-from-pickle.py
get=$root/scripts/get-cfbenchmark.sh
failed=0
server=

work=$(mktemp -d)
# shellcheck disable=SC2317 # called by the trap
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$work"

ok() { echo "ok $1"; }
skip() { echo "skip $1: $2"; }
not_ok() {
    echo "not ok $1: $2"
    [ ! -s "$work/err" ] || sed 's/^/# /' "$work/err"
    failed=1
}
run() { # COMMAND... : output in out and err, exit status in $status
    status=0
    "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
}
is_refused() { # NAME PICKLE WORDS
    rm -f "$work/made.json"
    run python3 "$labels" "$2" "$work/made.json"
    if [ "$status" != 2 ]; then
        not_ok "$1" "exit $status, expected 2"
    elif [ -e "$work/made.json" ]; then
        not_ok "$1" "it left an output file"
    elif ! grep -q "$3" "$work/err"; then
        not_ok "$1" "the message does not say '$3'"
    else
        ok "$1"
    fi
}
fetch() { # URL DEST
    run env "CFB_CFBENCHMARK_URL=$1" "$get" "$2"
}
nothing_left() { # DEST
    [ ! -e "$1" ] && [ -z "$(find "$(dirname "$1")" -maxdepth 1 -name "$(basename "$1").*")" ]
}

# Pickles of every protocol with binary opcodes, and some that must be refused.
python3 - "$work" <<'EOF'
import pickle, pickletools, sys
work = sys.argv[1]
def put(name, data):
    with open(f"{work}/{name}.pkl", "wb") as f:
        f.write(data)
good = {"b": ["\u4e8c", "\u4e00", "z"], "a": ["only"], "none": []}
for protocol in (1, 2, 3, 4, 5):
    put(f"good{protocol}", pickle.dumps(good, protocol))
put("lean", pickletools.optimize(pickle.dumps(good, 4)))
class Evil:
    def __reduce__(self):
        import os
        return os.system, (f"touch '{work}/executed'",)
put("evil-global", f"cos\nsystem\n(S'touch \"{work}/executed\"'\ntR.".encode())
put("evil-reduce", pickle.dumps(Evil(), 4))
put("evil-nested", pickle.dumps({"a": ["x", Evil()]}, 2))
put("evil-instance", f"(ios\nsystem\nS'touch \"{work}/executed\"'\n.".encode())
put("evil-after-stop", pickle.dumps(good, 4) + pickle.dumps(Evil(), 4))
put("number", pickle.dumps({"a": [1]}, 4))
put("nested", pickle.dumps({"a": [["x"]]}, 4))
put("list", pickle.dumps(["a"], 4))
put("string-value", pickle.dumps({"a": "x"}, 4))
put("twice", pickle.dumps({"a": ["x", str(b"x", "ascii")]}, 4).replace(b"h\x02", b"\x8c\x01x"))
put("surrogate", pickle.dumps({"a": ["\ud800"]}, 4))
put("memo", b"\x80\x04}\x8c\x01a\x94]h\x00as.")
put("underflow", b"\x80\x04u.")
put("no-mark", b"\x80\x04]\x8c\x01xe.")
put("truncated", pickle.dumps(good, 4)[:-3])
put("huge-length", b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f" + b".")
put("empty", b"")
put("large", pickle.dumps({"a": ["x" * (1 << 20)]}, 4))
EOF
printf '{\n "a": [\n  "only"\n ],\n "b": [\n  "z",\n  "一",\n  "二"\n ],\n "none": []\n}' >"$work/expected.json"

for name in good1 good2 good3 good4 good5 lean; do
    run python3 "$labels" "$work/$name.pkl"
    if [ "$status" != 0 ]; then
        not_ok "labels $name" "exit $status"
    elif ! cmp -s "$work/out" "$work/expected.json"; then
        not_ok "labels $name" "wrong output"
    else
        ok "labels $name"
    fi
done
for name in evil-global evil-reduce evil-nested evil-instance; do
    is_refused "labels refuses $name" "$work/$name.pkl" 'opcode .* at byte'
done
is_refused "labels refuses evil-after-stop" "$work/evil-after-stop.pkl" 'bytes after the end'
for name in number nested list string-value surrogate memo underflow no-mark truncated huge-length empty; do
    is_refused "labels refuses $name" "$work/$name.pkl" 'refused, nothing was run'
done
is_refused "labels refuses a label twice" "$work/twice.pkl" 'label twice'
is_refused "labels refuses a large file" "$work/large.pkl" 'larger than'
if [ -e "$work/executed" ]; then
    not_ok "labels runs no pickle" "the payload ran"
else
    ok "labels runs no pickle"
fi
run python3 "$labels"
if [ "$status" = 1 ]; then ok "labels usage"; else not_ok "labels usage" "exit $status, expected 1"; fi
run python3 "$labels" "$work/absent.pkl"
if [ "$status" = 1 ]; then ok "labels absent file"; else not_ok "labels absent file" "exit $status, expected 1"; fi

# Addresses that must not be asked.
for url in http://example.invalid http://127.0.0.1.example.invalid http://127.0.0.1:80@example.invalid \
    ftp://127.0.0.1 file://host/x; do
    fetch "$url" "$work/url/data"
    if [ "$status" = 1 ] && nothing_left "$work/url/data"; then
        ok "get refuses $url"
    else
        not_ok "get refuses $url" "exit $status, or something was left"
    fi
done

run "$get" --bogus
if [ "$status" = 1 ]; then ok "get usage"; else not_ok "get usage" "exit $status, expected 1"; fi
if ! command -v curl >/dev/null 2>&1; then
    skip "get" "curl is not installed"
    exit $failed
fi

mkdir -p "$work/fake/data/company"
echo 'not the real file' >"$work/fake/data/company/data-00000-of-00001.arrow"
fetch "file://$work/fake" "$work/mismatch/data"
if [ "$status" != 2 ]; then
    not_ok "get wrong checksum" "exit $status, expected 2"
elif ! nothing_left "$work/mismatch/data"; then
    not_ok "get wrong checksum" "something was left behind"
elif ! grep -q 'wrong checksum: data/company/data-00000-of-00001.arrow' "$work/err"; then
    not_ok "get wrong checksum" "the message does not name the file"
else
    ok "get wrong checksum"
fi

fetch "file://$work/absent" "$work/absent-mirror/data"
if [ "$status" = 4 ] && [ ! -e "$work/absent-mirror/data" ]; then
    ok "get absent source"
else
    not_ok "get absent source" "exit $status, expected 4"
fi

mkdir "$work/mine"
echo precious >"$work/mine/notes.txt"
fetch "file://$work/fake" "$work/mine"
if [ "$status" = 1 ] && [ "$(cat "$work/mine/notes.txt")" = precious ]; then
    ok "get spares a foreign folder"
else
    not_ok "get spares a foreign folder" "exit $status, expected 1"
fi

if [ ! -f "$real/labels_info.pkl" ]; then
    for name in "labels real file" "get from file://" "get resumes" "get mends" "get from http://127.0.0.1"; do
        skip "$name" "the real data are not beside the project"
    done
    exit $failed
fi

run python3 "$labels" "$real/labels_info.pkl" "$work/labels.json"
if [ "$status" = 0 ] && cmp -s "$work/labels.json" "$real/labels.json"; then
    ok "labels real file"
else
    not_ok "labels real file" "exit $status, or not the same bytes"
fi

same_as_real() { # DEST
    diff -r "$real/data" "$1/data" >/dev/null && diff -r "$real/fewshot" "$1/fewshot" >/dev/null &&
        cmp -s "$real/labels_info.pkl" "$1/labels_info.pkl" && cmp -s "$real/labels.json" "$1/labels.json"
}
mkdir "$work/mirror"
cp -R "$real/data" "$real/fewshot" "$real/labels_info.pkl" "$work/mirror/"
chmod -R u+w "$work/mirror"

dest="$work/has space/data" # its parent does not exist yet
fetch "file://$work/mirror" "$dest/"
if [ "$status" = 0 ] && same_as_real "$dest" && [ "$(cat "$dest/.gitignore")" = '*' ]; then
    ok "get from file://"
else
    not_ok "get from file://" "exit $status, or wrong files"
fi
fetch "file://$work/absent" "$dest"
if [ "$status" = 0 ] && grep -q 'complete and correct' "$work/err"; then
    ok "get verifies without asking the source"
else
    not_ok "get verifies without asking the source" "exit $status"
fi

# The second run may only ask for what the first did not get.
mkdir "$work/resume"
mv "$work/mirror/fewshot/fewshot-event.txt" "$work/kept.txt"
fetch "file://$work/mirror" "$work/resume/data"
first=$status
mv "$work/mirror/data" "$work/data-gone"
mv "$work/kept.txt" "$work/mirror/fewshot/fewshot-event.txt"
if [ -e "$work/resume/data" ]; then early=1; else early=0; fi
fetch "file://$work/mirror" "$work/resume/data"
mv "$work/data-gone" "$work/mirror/data"
if [ "$first" != 4 ] || [ "$early" = 1 ]; then
    not_ok "get resumes" "first run: exit $first, expected 4 and no folder yet"
elif [ "$status" = 0 ] && same_as_real "$work/resume/data" && [ "$(ls -A "$work/resume")" = data ]; then
    ok "get resumes"
else
    not_ok "get resumes" "exit $status, or wrong files"
fi

echo damage >>"$work/resume/data/data/risk/state.json"
rm "$work/resume/data/labels.json"
fetch "file://$work/mirror" "$work/resume/data"
if [ "$status" = 0 ] && same_as_real "$work/resume/data" && [ "$(ls -A "$work/resume")" = data ]; then
    ok "get mends"
else
    not_ok "get mends" "exit $status, or wrong files"
fi

# A damaged file after good ones: they go as well.
echo damage >>"$work/mirror/labels_info.pkl"
fetch "file://$work/mirror" "$work/late/data"
if [ "$status" = 2 ] && nothing_left "$work/late/data"; then
    ok "get wrong checksum at the end"
else
    not_ok "get wrong checksum at the end" "exit $status, or something was left"
fi
cp "$real/labels_info.pkl" "$work/mirror/labels_info.pkl"

python3 -u -m http.server 0 --bind 127.0.0.1 --directory "$work/mirror" >"$work/server" 2>&1 &
server=$!
port=
tries=0
while [ -z "$port" ] && [ "$tries" -lt 50 ]; do
    sleep 0.1
    port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$work/server" | head -n 1)
    tries=$((tries + 1))
done
if [ -z "$port" ]; then
    skip "get from http://127.0.0.1" "no local server"
else
    fetch "http://127.0.0.1:$port" "$work/http/data"
    if [ "$status" = 0 ] && same_as_real "$work/http/data"; then
        ok "get from http://127.0.0.1"
    else
        not_ok "get from http://127.0.0.1" "exit $status, or wrong files"
    fi
    fetch "http://127.0.0.1:$port/nowhere" "$work/http/other"
    if [ "$status" = 4 ]; then ok "get HTTP 404"; else not_ok "get HTTP 404" "exit $status, expected 4"; fi
fi
exit $failed
