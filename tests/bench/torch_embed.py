"""PyTorch beside our encoder, on the same random weights of BGE's shapes and the same texts, in one run.

torch_embed.py BUILD SHAPE [TEXTS [THREADS]], run by an interpreter that has torch (Debian: python3-torch). bench_embed writes the
model, the token ids and its vectors, and prints its own figures; here the same ids go through torch.nn.TransformerEncoder, whose
inference path packs away padding. A difference of vectors above 2e-5 ends the run with status 1."""
import json, os, struct, subprocess, sys, tempfile, time
import numpy as np
import torch

build, shape = sys.argv[1:3]
n_texts, threads = (sys.argv[3:] + ["512"])[0], (sys.argv[4:] + [str(os.cpu_count())])[0]
torch.set_num_threads(int(threads))
torch.set_grad_enabled(False)


def load(path):
    raw = np.memmap(path, "u1")
    n = struct.unpack("<Q", raw[:8].tobytes())[0]
    head = json.loads(raw[8:8 + n].tobytes())
    return {k: torch.from_numpy(raw[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]].view("<f4").reshape(t["shape"]).copy())
            for k, t in head.items() if k != "__metadata__"}


def make_model(w, config):
    """Embeddings as a function, and the layers."""
    h, heads, wide, layers = (config[k] for k in ("hidden_size", "num_attention_heads", "intermediate_size", "num_hidden_layers"))
    layer = torch.nn.TransformerEncoderLayer(h, heads, wide, 0.0, "gelu", config["layer_norm_eps"], batch_first=True)
    net = torch.nn.TransformerEncoder(layer, layers).eval()
    for i, l in enumerate(net.layers):
        p = f"encoder.layer.{i}."
        for kind in ("weight", "bias"):
            getattr(l.self_attn, "in_proj_" + kind).copy_(torch.cat([w[p + f"attention.self.{s}.{kind}"] for s in ("query", "key", "value")]))
            for to, name in ((l.self_attn.out_proj, "attention.output.dense"), (l.norm1, "attention.output.LayerNorm"), (l.linear1, "intermediate.dense"),
                             (l.linear2, "output.dense"), (l.norm2, "output.LayerNorm")):
                getattr(to, kind).copy_(w[p + name + "." + kind])
    e = "embeddings."

    def embed(ids):
        x = w[e + "word_embeddings.weight"][ids] + w[e + "position_embeddings.weight"][:ids.shape[1]] + w[e + "token_type_embeddings.weight"][0]
        return torch.nn.functional.layer_norm(x, (h,), w[e + "LayerNorm.weight"], w[e + "LayerNorm.bias"], config["layer_norm_eps"])

    return embed, net


def run(model, texts, batch, sort):
    """Vectors of all texts, in batches, maybe by length."""
    embed, net = model
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i])) if sort else list(range(len(texts)))
    out = [None] * len(texts)
    for at in range(0, len(order), batch):
        some = order[at:at + batch]
        longest = max(len(texts[i]) for i in some)
        ids = torch.zeros(len(some), longest, dtype=torch.long)
        pad = torch.ones(len(some), longest, dtype=torch.bool)
        for r, i in enumerate(some):
            ids[r, :len(texts[i])] = torch.from_numpy(texts[i])
            pad[r, :len(texts[i])] = False
        x = net(embed(ids), src_key_padding_mask=pad)
        v = torch.nn.functional.normalize(x[:, 0].float(), dim=1)
        for r, i in enumerate(some):
            out[i] = v[r].numpy()
    return np.stack(out)


def timed(name, model, texts, batch, sort, ours, bf16=False):
    model[1].train(bf16)  # autocast has no inference path here; without dropout training computes the same
    t = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        v = run(model, texts, batch, sort)
    rate = len(texts) / (time.perf_counter() - t)
    print(f"torch {torch.__version__}, {name}: {rate:.2f} texts/s, largest difference {abs(v - ours[:len(texts)]).max():.2g}", flush=True)
    return rate, v


with tempfile.TemporaryDirectory(dir="/tmp") as d:
    subprocess.run([f"{build}/tools/bench/bench_embed", shape, n_texts, threads, d], check=True)
    config = json.load(open(f"{d}/config.json"))
    flat = np.fromfile(f"{d}/ids.u32", "<u4").astype("i8")
    texts = []
    while len(flat):
        texts.append(flat[1:1 + flat[0]])
        flat = flat[1 + flat[0]:]
    ours = np.fromfile(f"{d}/vectors.f32", "<f4").reshape(len(texts), -1)
    rate = json.load(open(f"{d}/rate.json"))
    model = make_model(load(f"{d}/model.safetensors"), config)
run(model, texts[:4], 2, False)  # warm
few = texts[:max(8, len(texts) // 4) // 2 * 2]
one, v = timed("float32, one pair at a time", model, few, 2, False, ours)
bad = abs(v - ours[:len(few)]).max() > 2e-5
best = 0
for batch in (8, 16, 32, 64):
    r, v = timed(f"float32, batches of {batch} by length", model, texts, batch, True, ours)
    bad |= abs(v - ours).max() > 2e-5
    best = max(best, r)
half = max(timed(f"bfloat16 autocast, batches of {batch} by length", model, texts, batch, True, ours, True)[0] for batch in (16, 64))
print(f"ours {rate['fp32']:.2f} texts/s: {rate['fp32'] / one:.2f} times one pair at a time, {rate['fp32'] / best:.2f} times the best batch")
if rate.get("bf16"):
    print(f"ours in bfloat16 {rate['bf16']:.2f} texts/s: {rate['bf16'] / half:.2f} times bfloat16 autocast")
sys.exit(bad)
