"""BERTScore of pairs of ../shared/bert/tiny's texts, from its weights and ids, in NumPy and binary64, against `cfbench score`."""
import json, math, os, struct, subprocess, sys
import numpy as np

shared, cfbench, tmp = sys.argv[1:]
config = json.load(open(f"{shared}/tiny/config.json"))
raw = open(f"{shared}/tiny/model.safetensors", "rb").read()
n = struct.unpack("<Q", raw[:8])[0]
head = json.loads(raw[8:8 + n])
erf = np.vectorize(math.erf)


def tensor(name):
    t = head[name]
    a, b = t["data_offsets"]
    assert t["dtype"] == "F32"
    return np.frombuffer(raw[8 + n + a:8 + n + b], "<f4").reshape(t["shape"]).astype("f8")


prefix = "bert." if any(k.startswith("bert.") for k in head) else ""
w = {k[len(prefix):]: tensor(k) for k in head if k != "__metadata__"}


def norm(x, name):
    m = x.mean(1, keepdims=True)
    return (x - m) / np.sqrt(((x - m) ** 2).mean(1, keepdims=True) + config["layer_norm_eps"]) * w[name + ".weight"] + w[name + ".bias"]


def linear(x, name):
    return x @ w[name + ".weight"].T + w[name + ".bias"]


def states(ids):
    """One array of (tokens, hidden) for the embeddings and for each layer."""
    e = "embeddings."
    x = norm(w[e + "word_embeddings.weight"][ids] + w[e + "position_embeddings.weight"][:len(ids)] + w[e + "token_type_embeddings.weight"][0], e + "LayerNorm")
    out, heads = [x], config["num_attention_heads"]
    for i in range(config["num_hidden_layers"]):
        p = f"encoder.layer.{i}."
        q, k, v = (linear(x, p + f"attention.self.{s}").reshape(len(ids), heads, -1).transpose(1, 0, 2) for s in ("query", "key", "value"))
        s = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[2])
        s = np.exp(s - s.max(2, keepdims=True))
        a = (s / s.sum(2, keepdims=True) @ v).transpose(1, 0, 2).reshape(len(ids), -1)
        x = norm(x + linear(a, p + "attention.output.dense"), p + "attention.output.LayerNorm")
        f = linear(x, p + "intermediate.dense")
        x = norm(x + linear(f * 0.5 * (1 + erf(f / math.sqrt(2))), p + "output.dense"), p + "output.LayerNorm")
        out.append(x)
    return out


def score(a, b):
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (a, b))
    s = a @ b.T
    if min(s.shape) <= 2:
        return None
    r, p = s.max(1)[1:-1].mean(), s.max(0)[1:-1].mean()
    return 2 * p * r / (p + r)


# JSON Lines has no U+0000; the reference left CJK extension B together, which a folder with a vocab.txt alone does not ask for
texts = [t for t in map(json.loads, open(f"{shared}/tiny/expected.jsonl")) if len(t["ids"]) <= 130 and not set(t["text"]) & {"\0", "\U00020000"}][:50]
pairs = list(zip(texts, texts[7:] + texts[:7]))
all_states = {t["text"]: states(t["ids"]) for t in texts}
json.dump({"schema": "cfbench.suite/1", "name": "s", "tasks": [{"name": "t", "kind": "generation", "metric": "tf", "prompt": {"zero": "{input}"}}]},
          open(f"{tmp}/suite.json", "w"))
with open(f"{tmp}/t-output.jsonl", "w") as f:
    for a, b in pairs:
        f.write(json.dumps({"response": a["text"], "output": b["text"]}) + "\n")
open(f"{tmp}/base.tsv", "w").write("LAYER,P,R,F\n0,0.1,0.1,0.1\n2,0.3,0.2,0.25\n3,0.5,0.5,0.5\n")
os.mkdir(f"{tmp}/bert")
for name, of in (("config.json", "tiny/config.json"), ("model.safetensors", "tiny/model.safetensors"), ("vocab.txt", "bert-base-chinese-vocab.txt")):
    os.symlink(f"{shared}/{of}", f"{tmp}/bert/{name}")
worst = 0
for layer, baseline, threads in ((0, None, 1), (2, None, 2), (2, 0.25, 8), (3, None, 2)):
    cmd = [cfbench, "score", f"{tmp}/t-output.jsonl", "--suite", tmp, "--task", "t", "--metric", "bertscore", "--bert-model", f"{tmp}/bert",
           "--threads", str(threads), "--rows-out", f"{tmp}/rows.jsonl", "--json"]
    if layer != 2:  # two thirds of the layers
        cmd += ["--bert-layer", str(layer)]
    if baseline:
        cmd += ["--bert-baseline", f"{tmp}/base.tsv"]
    report = json.loads(subprocess.run(cmd, check=True, stdout=subprocess.PIPE).stdout)
    assert f"layer {layer}, 512 tokens, fp32" in report["tasks"][0]["metric"] and ("rescaled" in report["tasks"][0]["metric"]) == bool(baseline), report["tasks"][0]["metric"]
    rows = [json.loads(l) for l in open(f"{tmp}/rows.jsonl")]
    assert len(rows) == len(pairs)
    for (a, b), row in zip(pairs, rows):
        want = score(all_states[a["text"]][layer], all_states[b["text"]][layer])
        want = 0 if want is None else want if not baseline else (want - baseline) / (1 - baseline)
        worst = max(worst, abs(row["score"] - want))
assert worst < 5e-6, worst
print(f"{len(pairs)} pairs, largest difference {worst:.2g}")
