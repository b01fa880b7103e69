# cfbench embed and --metric bge on a small model of made-up weights.
. "$(dirname "$0")/../lib.sh"
numpy() { # NAME -c PROGRAM ...: needs NumPy
    local name=$1
    shift
    if /usr/bin/python3 -c 'import numpy' 2>/dev/null; then check "$name" /usr/bin/python3 "$@"; else skip "$name" "python3-numpy is not installed"; fi
}
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
numpy "NumPy reads it" -c "import numpy, sys; a = numpy.load(sys.argv[1]); assert a.shape == (4, 32) and a.dtype == 'float32'" "$T/a.npy"

# shards
for i in $(seq 1 50); do printf '第%s行 营收\n' "$i"; done >"$T/fifty.txt"
printf 'response\n' | cat - "$T/fifty.txt" >"$T/fifty.csv"
embed "$T/fifty.txt" "$T/fifty.npy"
for i in 0 1 2 3; do embed --shard $i/4 "$T/fifty.txt" "$T/parts.npy" && embed --shard $i/4 --column response "$T/fifty.csv" "$T/column.npy" || not_ok "embed --shard $i/4" "$(cat "$T/err")"; done
merge() { "$CFBENCH" merge "$@" 2>"$T/err"; }
refused() { merge "$@" && return 1; tail -1 "$T/err"; }
merge "$T/joined.npy" "$T"/parts.npy.shard-* && cmp -s "$T/fifty.npy" "$T/joined.npy" && ok "4 shards, joined: the bytes of one process" || not_ok "4 shards, joined" "$(cat "$T/err")"
merge "$T/joined2.npy" "$T"/column.npy.shard-*[2301]-of-0004 && cmp -s "$T/fifty.npy" "$T/joined2.npy" && ok "shards of a column, joined" || not_ok "shards of a column, joined" "$(cat "$T/err")"
numpy "NumPy reads a shard" -c "import numpy, sys; assert sum(len(numpy.load(p)) for p in sys.argv[1:]) == 50" "$T"/parts.npy.shard-*
check "joined: not replaced by itself" grep -q 'force replaces' <(refused "$T/joined.npy" "$T"/parts.npy.shard-*)
check "a missing shard is named" grep -q 'not given: shard 2/4' <(refused "$T/x.npy" "$T"/parts.npy.shard-*[013]-of-0004)
cp "$T/parts.npy.shard-0001-of-0004" "$T/again.npy"
check "a shard given twice is named" grep -q 'shard 1/4 is given twice' <(refused "$T/x.npy" "$T"/parts.npy.shard-* "$T/again.npy")
head -c 1000 "$T/again.npy" >"$T/short.npy"
check "a short file is refused" grep -q 'not a shard' <(refused "$T/x.npy" "$T"/parts.npy.shard-*[023]-of-0004 "$T/short.npy")
check "a whole array is no shard" grep -q 'not a shard' <(refused "$T/x.npy" "$T/fifty.npy")
sed -i 1s/1/7/ "$T/fifty.txt"
embed --force --shard 1/4 "$T/fifty.txt" "$T/parts.npy"
check "shards of other texts are refused" grep -q 'other texts' <(refused "$T/x.npy" "$T"/parts.npy.shard-*)
check "nothing is written then" test ! -e "$T/x.npy"

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

# calibration: true pairs stand out; shuffled outputs are at chance
python3 - "$T" <<'E2'
import random, sys
random.seed(5)
words = "营 收 增 长 净 利 润 下 降 银 行 证 券 保 险 基 金 债 市 场 风 控".split()
refs = list(dict.fromkeys("".join(random.choices(words, k=random.randint(6, 30))) for _ in range(300)))
outs = ["".join(c if random.random() > 0.2 else random.choice(words) for c in r) for r in refs]
for name, rows in (("true", outs), ("shuffled", random.sample(outs, len(outs)))):
    with open(f"{sys.argv[1]}/mine/{name}-output.csv", "w") as f:
        f.write("response,output\n" + "".join(f"{a},{b}\n" for a, b in zip(refs, rows)) + "abc,\n,\n")
E2
calibrate() { "$CFBENCH" score "$T/mine/$1-output.csv" --suite "$T/mine" --task brief --metric bge --embed-model "$T/model" --pooling mean "${@:2}" 2>"$T/err"; }
calibrate true --json >"$T/c1.json" && calibrate shuffled --json >"$T/c2.json" || not_ok "calibrated" "$(cat "$T/err")"
check "true pairs stand out, shuffled ones do not" python3 -c "
import json, sys
a, b = (json.load(open(p))['tasks'][0]['calibration'] for p in sys.argv[1:])
n = a['rows']
assert n == b['rows'] >= 290 and len(a['row_percentiles']) == n, a['rows']
assert a['lift'] > 0 and a['percentile'] > 0.95 and a['top1'] > 0.5, {k: a[k] for k in ('lift', 'percentile', 'top1')}
assert abs(b['lift']) < 0.1 * a['lift'] and abs(b['percentile'] - 0.5) < 0.05 and b['top1'] < 5 / n, {k: b[k] for k in ('lift', 'percentile', 'top1')}
assert abs(sum(p for _, p in a['row_percentiles']) / n - a['percentile']) < 1e-9" "$T/c1.json" "$T/c2.json"
numpy "against NumPy" -c "
import csv, json, numpy as np, subprocess, sys
model, cfbench, path, got, t = sys.argv[1:]
rows = [r for r in csv.DictReader(open(path)) if r['response'].strip() and r['output'].strip()]
v = []
for k in ('output', 'response'):
    open(t, 'w').write(''.join(r[k] + '\n' for r in rows))
    subprocess.run([cfbench, 'embed', '--embed-model', model, '--pooling', 'mean', '--force', t, t + '.npy'], check=True)
    v.append(np.load(t + '.npy').astype('f8'))
s = v[0] @ v[1].T
own, n = np.diag(s), len(s)
below, equal = (s < own[:, None] - 2**-20).sum(1), (abs(s - own[:, None]) <= 2**-20).sum(1) - 1
want = {'rows': n, 'matched': own.mean(), 'mismatched': (s.sum() - own.sum()) / n / (n - 1), 'percentile': ((below + equal / 2) / (n - 1)).mean(),
        'top1': np.where(below + equal == n - 1, 1 / (equal + 1), 0).mean()}
have = json.load(open(got))['tasks'][0]['calibration']
del have['row_percentiles']
bound = {'percentile': 1e-4, 'top1': 4e-3} # a tie may fall on either side of the bound
assert all(abs(have[k] - w) < bound.get(k, 1e-6) for k, w in want.items()), (have, want)" "$T/model" "$CFBENCH" "$T/mine/true-output.csv" "$T/c1.json" "$T/t.txt"
calibrate true --json --embed-cache off --threads 8 >"$T/c3.json"
if cmp -s "$T/c1.json" "$T/c3.json"; then ok "calibration: the same without cache, with 8 threads"; else not_ok "calibration: the same without cache, with 8 threads" "$(diff "$T/c1.json" "$T/c3.json" | head -5)"; fi
calibrate true >"$T/c.txt"
check "the table says it" grep -q 'above mismatched pairs (0.[0-9]*); own reference' "$T/c.txt"
refused() { # NAME STATUS MESSAGE COMMAND...
    local name=$1 want=$2 message=$3
    shift 3
    "$@" >/dev/null 2>"$T/err"
    local status=$?
    if [ $status -eq "$want" ] && grep -qF -- "$message" "$T/err"; then ok "$name"; else not_ok "$name" "exit $status: $(cat "$T/err")"; fi
}
refused "no model named" 1 "scripts/get-bge.sh fetches one), or choose --metric tf" score
# bfloat16 where it can be had, else an error that says what to do; never another precision instead
if embed "$T/lines.txt" "$T/h.npy" --precision bf16; then
    score --embed-model "$T/model" --precision bf16 >"$T/h.json"
    check "--precision bf16: named" grep -Eq '"bge cosine \(model, sha256 [0-9a-f]{12}, cls, 512 tokens, bf16\)"' "$T/h.json"
    embed "$T/lines.txt" "$T/h1.npy" --precision bf16 --embed-cache off --threads 1
    if cmp -s "$T/h.npy" "$T/h1.npy" && ! cmp -s "$T/h.npy" "$T/a.npy"; then ok "--precision bf16: a cache of its own, the same bytes"; else not_ok "--precision bf16: a cache of its own, the same bytes" "$(cat "$T/err")"; fi
    bf16_off() { ONEDNN_MAX_CPU_ISA=AVX2 embed "$@"; }
    refused "--precision bf16: the processor refuses" 1 "use --precision f32" bf16_off "$T/lines.txt" "$T/h2.npy" --precision bf16
else
    refused "--precision bf16: not there" 1 "use --precision f32" "$CFBENCH" embed --embed-model "$T/model" "$T/lines.txt" "$T/h2.npy" --precision bf16
fi
refused "--precision bf16: not for servers" 1 "is for --embed-model" score --embed-url http://127.0.0.1:1/v1 --embed-name x --precision bf16
bertscore() { "$CFBENCH" score "$T/mine/brief-output.csv" --suite "$T/mine" --task brief --metric bertscore --json "$@"; }
refused "bertscore: no model named" 1 "name its folder with --bert-model" bertscore
refused "bertscore: no such layer" 1 "has 2 layers" bertscore --bert-model "$T/model" --bert-layer 3
printf 'LAYER,P,R,F\n0,0.1,0.1,0.1\n' >"$T/base.tsv"
refused "bertscore: no baseline for the layer" 2 "has no line for layer 1" bertscore --bert-model "$T/model" --bert-layer 1 --bert-baseline "$T/base.tsv"
bertscore --bert-model "$T/model" >"$T/b1.json" 2>"$T/err" && bertscore --bert-model "$T/model" --threads 1 >"$T/b2.json" 2>/dev/null
if grep -Eq '"bertscore f1 \(model, sha256 [0-9a-f]{12}, layer 1, 512 tokens, fp32\)"' "$T/b1.json" && cmp -s "$T/b1.json" "$T/b2.json"; then ok "bertscore: named in full, the same with one thread"; else not_ok "bertscore: named in full, the same with one thread" "$(cat "$T/err")"; fi
refused "no model there" 2 "no embedding model is there (no config.json); scripts/get-bge.sh" score --embed-model "$T/none"
refused "no model: nothing is asked" 1 "--metric tf" "$CFBENCH" run --suite datasets/sample --mock --metric bge --out "$T/run"
if [ -e "$T/run" ]; then not_ok "a refused run leaves nothing" "$T/run is there"; else ok "a refused run leaves nothing"; fi
# the same weights as torch.save writes them: by hand in two protocols, by PyTorch, and a program that is no state dict
mkdir -p "$T/saved" && cp -R "$T/model"/[!mp]* "$T/saved/"
for how in "2" "4" "--torch"; do
    rm -f "$T/s.npy"
    if [ "$how" = --torch ]; then
        "${BENCH_PYTHON:-/usr/bin/python3}" tests/torch_save.py --torch "$T/model/model.safetensors" "$T/saved/pytorch_model.bin" 2>/dev/null || { skip "pytorch_model.bin of PyTorch itself" "no PyTorch"; continue; }
    else
        python3 tests/torch_save.py "$T/model/model.safetensors" "$T/saved/pytorch_model.bin" "$how"
    fi
    "$CFBENCH" embed --embed-model "$T/saved" --embed-cache off "$T/lines.txt" "$T/s.npy" 2>"$T/err"
    if cmp -s "$T/a.npy" "$T/s.npy"; then ok "pytorch_model.bin ($how): the same vectors"; else not_ok "pytorch_model.bin ($how): the same vectors" "$(cat "$T/err")"; fi
done
python3 -c "
import os, pickle, sys, zipfile
class Call:
    def __reduce__(self): return os.system, ('touch ' + sys.argv[2],)
with zipfile.ZipFile(sys.argv[1], 'w') as z: z.writestr('m/data.pkl', pickle.dumps({'a': Call()}, 2))" "$T/saved/pytorch_model.bin" "$T/called"
refused "pytorch_model.bin: what it asks for is not called" 2 "asks for 'posix.system'" "$CFBENCH" embed --embed-model "$T/saved" "$T/lines.txt" "$T/none.npy"
[ ! -e "$T/called" ] || not_ok "pytorch_model.bin: what it asks for is not called" "it was called"
python3 tests/torch_save.py "$T/model/model.safetensors" "$T/model/pytorch_model.bin"
printf 'ok\n\xff\n' >"$T/bad.txt"
refused "a line that is not UTF-8" 2 "text 2: text is not valid UTF-8" "$CFBENCH" embed --embed-model "$T/model" "$T/bad.txt" "$T/bad.npy"
if [ -e "$T/bad.npy" ]; then not_ok "no half file" "bad.npy is there"; else ok "no half file"; fi
# vectors from a server; ten models against the same references embed each reference once
"$CFBENCH" mock --suite datasets/sample --mock-key made-up --mock-embed-dim 24 --mock-error-rate 0 --mock-faults 429:0.2 --port-file "$T/port" --quiet &
pids+=($!)
for _ in $(seq 200); do [ -s "$T/port" ] && break; sleep 0.05; done
url=http://127.0.0.1:$(cat "$T/port")/v1
served() { "$CFBENCH" embed --embed-url "$url" --embed-name any --embed-batch 50 "$@" 2>"$T/err"; }
refused "embed-url: no key" 4 "--embed-url" served "$T/lines.txt" "$T/e.npy"
export CFBENCH_EMBED_API_KEY=made-up
refused "embed-url: no name" 1 "needs --embed-name" "$CFBENCH" embed --embed-url "$url" "$T/lines.txt" "$T/e.npy"
seq 1 120 >"$T/numbers.txt"
served "$T/numbers.txt" "$T/e.npy" && served "$T/numbers.txt" "$T/f.npy" --embed-cache off --embed-batch 7
check "embed-url: unit vectors, the same in any batch, 429 tried again" python3 -c "$read_npy
import sys
m = load(sys.argv[1])
assert len(m) == 120 and len(m[0]) == 24 and all(abs(sum(x * x for x in r) - 1) < 1e-5 for r in m) and m == load(sys.argv[2])" "$T/e.npy" "$T/f.npy"
for m in $(seq 10); do mkdir -p "$T/ten/m$m"; done
for m in $(seq 10); do python3 -c "
import sys
for i in range(30): print(f'{{\"response\": \"reference {i}\", \"output\": \"output {i} of model {sys.argv[1]}\"}}')" "$m" >"$T/ten/m$m/brief-output.jsonl"; done
for how in "--embed-model $T/model" "--embed-url $url --embed-name any"; do
    "$CFBENCH" score "$T/ten" --suite "$T/mine" --task brief --metric bge $how --embed-cache "$T/counted" --json --quiet >"$T/out" 2>"$T/err" || not_ok "ten models" "$(cat "$T/err")"
done
check "ten models, the same references: each embedded once, by both sources" python3 -c "
import glob, os, sys
sizes = {(os.path.getsize(p) - 64) / (40 + 4 * dim) for p in glob.glob(sys.argv[1] + '/*.emb') for dim in [int.from_bytes(open(p, 'rb').read(16)[8:], 'little')]}
assert sizes == {330}, sizes" "$T/counted"
check "embed-url: the metric's name" grep -q 'embedding cosine (any at http://127.0.0.1:[0-9]*/v1, 24 dimensions)' "$T/out"

# scripts/get-bge.sh against a mirror in a folder
from=$T/site/BAAI/bge-small-zh-v1.5
mkdir -p "$from/resolve/main/1_Pooling" "$from/raw/main"
cp "$T/model/config.json" "$T/model/vocab.txt" "$T/model/model.safetensors" "$from/resolve/main/"
echo '{"pooling_mode_cls_token": true}' >"$from/resolve/main/1_Pooling/config.json"
echo '{"do_lower_case": true}' >"$from/resolve/main/tokenizer_config.json"
echo '{}' >"$from/resolve/main/tokenizer.json"
sum=$(sha256sum "$T/model/model.safetensors" | cut -c 1-64)
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n' "$sum" "$(stat -c %s "$T/model/model.safetensors")" >"$from/raw/main/model.safetensors"
for url in http://example.invalid http://127.0.0.1.example.invalid http://localhost.example.invalid http://127.0.0.1:80@example.invalid; do
    CFB_BGE_URL=$url scripts/get-bge.sh small "$T/elsewhere" 2>"$T/err"
    if [ $? -eq 1 ] && grep -q 'this machine only' "$T/err" && [ ! -e "$T/elsewhere.part" ]; then ok "get-bge.sh refuses $url"; else not_ok "get-bge.sh refuses $url" "$(cat "$T/err")"; fi
done
get() { CFB_BGE_URL=file://$T/site scripts/get-bge.sh "$@" 2>"$T/err"; }
if get --sha256 "$sum" small "$T/got" && cmp -s "$T/model/model.safetensors" "$T/got/model.safetensors" && get small "$T/got" && grep -q 'is complete' "$T/err"; then ok "get-bge.sh"; else not_ok "get-bge.sh" "$(cat "$T/err")"; fi
sed -i 's/oid sha256:../oid sha256:00/' "$from/raw/main/model.safetensors"
get small "$T/wrong"
if [ $? -eq 2 ] && grep -q 'wrong checksum' "$T/err" && [ ! -e "$T/wrong" ]; then ok "get-bge.sh refuses a wrong checksum"; else not_ok "get-bge.sh refuses a wrong checksum" "$(cat "$T/err")"; fi
get --sha256 "$sum" small "$T/other"
if [ $? -eq 2 ] && grep -q 'not that of --sha256' "$T/err"; then ok "get-bge.sh refuses another hash"; else not_ok "get-bge.sh refuses another hash" "$(cat "$T/err")"; fi
cp "$T/model/pytorch_model.bin" "$from/resolve/main/" && rm "$from/raw/main/model.safetensors" "$from/resolve/main/model.safetensors"
bin=$(sha256sum "$T/model/pytorch_model.bin" | cut -c 1-64)
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n' "$bin" "$(stat -c %s "$T/model/pytorch_model.bin")" >"$from/raw/main/pytorch_model.bin"
if get small "$T/only-bin" && cmp -s "$T/model/pytorch_model.bin" "$T/only-bin/pytorch_model.bin" && get --sha256 "$bin" small "$T/only-bin" && ! get --sha256 "$sum" small "$T/only-bin"; then ok "get-bge.sh: pytorch_model.bin where there is nothing else"; else not_ok "get-bge.sh: pytorch_model.bin where there is nothing else" "$(cat "$T/err")"; fi
rm "$from/raw/main/pytorch_model.bin"
get small "$T/none"
if [ $? -eq 4 ] && grep -q 'of model.safetensors or of pytorch_model.bin' "$T/err"; then ok "get-bge.sh: no weights at all"; else not_ok "get-bge.sh: no weights at all" "$(cat "$T/err")"; fi
echo x >>"$T/got/config.json"
get small "$T/got"
if [ $? -eq 2 ]; then ok "get-bge.sh sees a changed folder"; else not_ok "get-bge.sh sees a changed folder" "$(cat "$T/err")"; fi

head -c 100000 "$T/model/model.safetensors" >"$T/cut" && cp "$T/cut" "$T/model/model.safetensors"
refused "a model that was cut" 2 "model.safetensors: tensor 'embeddings" "$CFBENCH" embed --embed-model "$T/model" "$T/lines.txt" "$T/d.npy"
exit $bad
