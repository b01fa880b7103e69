# cfbench embed and --metric bge on a small model of made-up weights.
. "$(dirname "$0")/../lib.sh"
export XDG_CACHE_HOME=$T/cache
mkdir "$T/model"
"${BUILD:-build/gcc}/tools/oracle/bert_folder" "$T/model" || not_ok "a model folder" "not written"
embed() { "$CFBENCH" embed --embed-model "$T/model" "$@" 2>"$T/err"; }
read_npy='import ast, struct, sys
def load(path):
    b = open(path, "rb").read()
    assert b[:8] == b"\x93NUMPY\x01\x00", b[:8]
    n = struct.unpack("<H", b[8:10])[0]
    h = ast.literal_eval(b[10:10 + n].decode())
    assert (10 + n) % 64 == 0 and h["descr"] == "<f4" and not h["fortran_order"], h
    rows, dim = h["shape"]
    v = struct.unpack(f"<{rows * dim}f", b[10 + n:])
    return [v[i * dim:(i + 1) * dim] for i in range(rows)]
'

printf '营收增长\r\n\nabc, Def!\n营收增长' >"$T/lines.txt"
if embed "$T/lines.txt" "$T/a.npy"; then ok "lines to .npy"; else not_ok "lines to .npy" "$(cat "$T/err")"; fi
check "shape, length 1, equal lines equal" python3 -c "$read_npy
m = load(sys.argv[1])
assert len(m) == 4 and len(m[0]) == 32, (len(m), len(m[0]))
assert all(abs(sum(x * x for x in r) - 1) < 1e-5 for r in m)
assert m[0] == m[3] != m[2]" "$T/a.npy"
embed - "$T/b.npy" --embed-cache off --threads 1 <"$T/lines.txt"
if cmp -s "$T/a.npy" "$T/b.npy"; then ok "standard input, no cache, one thread: the same bytes"; else not_ok "standard input, no cache, one thread: the same bytes" "$(cat "$T/err")"; fi
printf 'id,response\n1,营收增长\n2,\n3,"abc, Def!"\n4,营收增长\n' >"$T/rows.csv"
embed --column response "$T/rows.csv" "$T/c.npy"
if cmp -s "$T/a.npy" "$T/c.npy"; then ok "a column of a data set"; else not_ok "a column of a data set" "$(cat "$T/err")"; fi
embed "$T/lines.txt" "$T/a.npy"
if [ $? -eq 1 ] && grep -q -- "--force replaces it" "$T/err"; then ok "files are not replaced"; else not_ok "files are not replaced" "$(cat "$T/err")"; fi
check "NumPy reads it" /usr/bin/python3 -c "import numpy, sys; a = numpy.load(sys.argv[1]); assert a.shape == (4, 32) and a.dtype == 'float32'" "$T/a.npy"

mkdir -p "$T/mine"
cat >"$T/mine/suite.json" <<'E2'
{"schema": "cfbench.suite/1", "name": "mine", "tasks": [{"name": "brief", "kind": "generation", "metric": "tf", "prompt": {"zero": "{input}"}}]}
E2
printf 'input,response,output\nq,营收增长,营收下降\nq,营收增长,营收增长\nq,abc,\nq,净利润,营收增长\n' >"$T/mine/brief-output.csv"
score() { "$CFBENCH" score "$T/mine/brief-output.csv" --suite "$T/mine" --task brief --metric bge --json "$@" 2>"$T/err"; }
score --embed-model "$T/model" >"$T/s.json"
check "--metric bge: named in full" grep -Eq '"bge cosine \(model, sha256 [0-9a-f]{12}, cls, 512 tokens, fp32\)"' "$T/s.json"
check "--metric bge: mean of the cosines of embed's vectors" python3 -c "$read_npy
import json, subprocess
texts = ['营收增长', '营收下降', '营收增长', '营收增长', '净利润', '营收增长']
open(sys.argv[3], 'w').write('\n'.join(texts) + '\n')
subprocess.run([sys.argv[4], 'embed', '--embed-model', sys.argv[2], sys.argv[3], sys.argv[3] + '.npy'], check=True)
m = load(sys.argv[3] + '.npy')
want = sum(sum(x * y for x, y in zip(m[i], m[i + 1])) for i in (0, 2, 4)) / 4
got = [t for t in json.load(open(sys.argv[1]))['tasks'] if t['task'] == 'brief'][0]['score_all']
assert abs(got - want) < 1e-6, (got, want)" "$T/s.json" "$T/model" "$T/t.txt" "$CFBENCH"
score --embed-model "$T/model" --embed-cache off --threads 1 >"$T/s2.json"
if cmp -s "$T/s.json" "$T/s2.json"; then ok "--metric bge: the same without cache, with one thread"; else not_ok "--metric bge: the same without cache, with one thread" "$(cat "$T/err")"; fi

refused() { # NAME STATUS MESSAGE COMMAND...
    local name=$1 want=$2 message=$3
    shift 3
    "$@" >/dev/null 2>"$T/err"
    local status=$?
    if [ $status -eq "$want" ] && grep -qF -- "$message" "$T/err"; then ok "$name"; else not_ok "$name" "exit $status: $(cat "$T/err")"; fi
}
refused "no model named" 1 "scripts/get-bge.sh fetches one), or choose --metric tf" score
refused "no model there" 2 "no embedding model is there (no config.json); scripts/get-bge.sh" score --embed-model "$T/none"
refused "no model: nothing is asked" 1 "--metric tf" "$CFBENCH" run --suite datasets/sample --mock --metric bge --out "$T/run"
if [ -e "$T/run" ]; then not_ok "a refused run leaves nothing" "$T/run is there"; else ok "a refused run leaves nothing"; fi
printf 'ok\n\xff\n' >"$T/bad.txt"
refused "a line that is not UTF-8" 2 "text 2: text is not valid UTF-8" "$CFBENCH" embed --embed-model "$T/model" "$T/bad.txt" "$T/bad.npy"
if [ -e "$T/bad.npy" ]; then not_ok "no half file" "bad.npy is there"; else ok "no half file"; fi
# scripts/get-bge.sh against a mirror in a folder
from=$T/site/BAAI/bge-small-zh-v1.5
mkdir -p "$from/resolve/main/1_Pooling" "$from/raw/main"
cp "$T/model/config.json" "$T/model/vocab.txt" "$T/model/model.safetensors" "$from/resolve/main/"
echo '{"pooling_mode_cls_token": true}' >"$from/resolve/main/1_Pooling/config.json"
echo '{"do_lower_case": true}' >"$from/resolve/main/tokenizer_config.json"
echo '{}' >"$from/resolve/main/tokenizer.json"
sum=$(sha256sum "$T/model/model.safetensors" | cut -c 1-64)
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n' "$sum" "$(stat -c %s "$T/model/model.safetensors")" >"$from/raw/main/model.safetensors"
get() { CFB_BGE_URL=file://$T/site scripts/get-bge.sh "$@" 2>"$T/err"; }
if get --sha256 "$sum" small "$T/got" && cmp -s "$T/model/model.safetensors" "$T/got/model.safetensors" && get small "$T/got" && grep -q 'is complete' "$T/err"; then ok "get-bge.sh"; else not_ok "get-bge.sh" "$(cat "$T/err")"; fi
sed -i 's/oid sha256:../oid sha256:00/' "$from/raw/main/model.safetensors"
get small "$T/wrong"
if [ $? -eq 2 ] && grep -q 'wrong checksum' "$T/err" && [ ! -e "$T/wrong" ]; then ok "get-bge.sh refuses a wrong checksum"; else not_ok "get-bge.sh refuses a wrong checksum" "$(cat "$T/err")"; fi
get --sha256 "$sum" small "$T/other"
if [ $? -eq 2 ] && grep -q 'not that of --sha256' "$T/err"; then ok "get-bge.sh refuses another hash"; else not_ok "get-bge.sh refuses another hash" "$(cat "$T/err")"; fi
echo x >>"$T/got/config.json"
get small "$T/got"
if [ $? -eq 2 ]; then ok "get-bge.sh sees a changed folder"; else not_ok "get-bge.sh sees a changed folder" "$(cat "$T/err")"; fi

head -c 100000 "$T/model/model.safetensors" >"$T/cut" && cp "$T/cut" "$T/model/model.safetensors"
refused "a model that was cut" 2 "model.safetensors: tensor 'embeddings" "$CFBENCH" embed --embed-model "$T/model" "$T/lines.txt" "$T/d.npy"
exit $bad
