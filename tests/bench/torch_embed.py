"""PyTorch beside our encoder: the same random weights of BGE's shapes, the same token ids, rounds in turn, one run.

  torch_embed.py [--shapes small,base,large] [--texts 512,128,32] [--rounds 3] [--threads 2] [--build build/gcc] [--no-memory]

bench_embed writes a model and texts with the length mix of real replies, and embeds when it is told to; the same ids go through
torch.nn.TransformerEncoder, whose inference path packs away padding. In each round: the peak of OpenBLAS on our shapes, ours, PyTorch in
batches by length (of 2 to 64 texts, the best was found before), ours in bfloat16, PyTorch under bfloat16 autocast (2 to 32), and
PyTorch with one pair at a time on a part of the texts: in plain operations, as CFBenchmark's program does it by way of
transformers' BertModel (the pair padded to the longer, with a mask), and on the inference path. Checked before anything is reported:
vectors differ by 2e-5 at most from PyTorch's and from a plain encoder in binary64. A difference ends the benchmark with status 1. Needs
python3-torch (BENCH_PYTHON, by default /usr/bin/python3); bfloat16 needs a build with DNNL=1. bge-large takes about four minutes with
`--shapes large --texts 24 --rounds 2 --no-memory`."""
import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
import warnings

from common import PYTHON, ROOT, Child, Different, Median, python_has, ratio, say, table

BATCHES, HALF_BATCHES = (2, 4, 8, 16, 32, 64), (2, 8, 32)


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
    words, positions, types = (w[e + f"{k}_embeddings.weight"] for k in ("word", "position", "token_type"))
    norm = [w[e + f"LayerNorm.{k}"] for k in ("weight", "bias")]

    def embed(ids):
        return torch.nn.functional.layer_norm(words[ids] + positions[:ids.shape[1]] + types[0], (h,), *norm, config["layer_norm_eps"])

    return embed, net


def make_plain(w, config):
    """The same function in plain operations, as transformers' BertModel runs them."""
    h, heads, layers, eps = (config[k] for k in ("hidden_size", "num_attention_heads", "num_hidden_layers", "layer_norm_eps"))
    f = torch.nn.functional

    def linear(x, name):
        return f.linear(x, w[name + ".weight"], w[name + ".bias"])

    def norm(x, name):
        return f.layer_norm(x, (h,), w[name + ".weight"], w[name + ".bias"], eps)

    def split(x):
        return x.view(*x.shape[:2], heads, h // heads).permute(0, 2, 1, 3)

    def states(x, src_key_padding_mask):
        mask = src_key_padding_mask[:, None, None, :].float() * torch.finfo(torch.float32).min
        for i in range(layers):
            p = f"encoder.layer.{i}."
            q, k, v = (split(linear(x, p + "attention.self." + name)) for name in ("query", "key", "value"))
            weights = torch.softmax(torch.matmul(q, k.transpose(-1, -2)) / (h // heads)**0.5 + mask, -1)
            context = torch.matmul(weights, v).permute(0, 2, 1, 3).contiguous().view(x.shape)
            x = norm(linear(context, p + "attention.output.dense") + x, p + "attention.output.LayerNorm")
            x = norm(linear(f.gelu(linear(x, p + "intermediate.dense")), p + "output.dense") + x, p + "output.LayerNorm")
        return x

    return states


def run(model, texts, batch, by_length=True, half=False):
    """Vectors of all texts in batches, and the seconds they took."""
    embed, net = model
    if isinstance(net, torch.nn.Module):
        net.train(half)  # autocast has no inference path in this version; without dropout, training computes the same
    begin = time.perf_counter()
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i])) if by_length else list(range(len(texts)))
    out = [None] * len(texts)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        for at in range(0, len(order), batch):
            some = order[at:at + batch]
            longest = max(len(texts[i]) for i in some)
            ids = torch.zeros(len(some), longest, dtype=torch.long)
            pad = torch.ones(len(some), longest, dtype=torch.bool)
            for r, i in enumerate(some):
                ids[r, :len(texts[i])] = torch.from_numpy(texts[i])
                pad[r, :len(texts[i])] = False
            v = torch.nn.functional.normalize(net(embed(ids), src_key_padding_mask=pad)[:, 0].float(), dim=1)
            for r, i in enumerate(some):
                out[i] = v[r].numpy()
    return np.stack(out), time.perf_counter() - begin


def best_batch(model, texts, batches, half):
    """Ascending; what comes after one that is 10 % slower than the best is not tried."""
    best, least = 0, float("inf")
    for b in batches:
        s = run(model, texts, b, half=half)[1]
        if s > 1.1 * least:
            break
        if s < least:
            best, least = b, s
    return best


class Ours:
    """bench_embed, which works when it is told to."""

    def __init__(self, tool, shape, n, threads, folder):
        self.folder = folder
        self.p = subprocess.Popen([tool, shape, str(n), str(threads), folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer()

    def answer(self):
        line = self.p.stdout.readline()
        if not line:
            raise Different(f"bench_embed ended with status {self.p.wait()}")
        return json.loads(line)

    def ask(self, task):
        self.p.stdin.write(task + "\n")
        self.p.stdin.flush()
        return self.answer()

    def vectors(self, name, n):
        return np.fromfile(f"{self.folder}/{name}", "<f4").reshape(n, -1)

    def close(self):
        self.p.stdin.close()
        self.p.wait()


def check(name, difference):
    if not difference <= 2e-5:
        raise Different(f"{name}: vectors differ by {difference:.2g}")
    return difference


def change(a, b):
    """The largest change of the cosine of any two texts."""
    return float(abs(a @ a.T - b @ b.T).max())


def measure(tool, shape, n, o, folder):
    ours = Ours(tool, shape, n, o.threads, folder)
    flat = np.fromfile(f"{folder}/ids.u32", "<u4").astype("i8")
    texts = []
    while len(flat):
        texts.append(flat[1:1 + flat[0]])
        flat = flat[1 + flat[0]:]
    weights, config = load(f"{folder}/model.safetensors"), json.load(open(f"{folder}/config.json"))
    model = make_model(weights, config)
    plain = model[0], make_plain(weights, config)
    few, sample = texts[:max(8, n // 8) // 2 * 2], texts[:max(16, n // 4)]
    half = "error" not in (first := ours.ask("bf16"))
    if not half:
        say(first["error"])
    run(model, few, 2)
    batch, half_batch = best_batch(model, sample, BATCHES, False), best_batch(model, sample, HALF_BATCHES, True)
    m = {k: Median() for k in ("peak", "ours", "share", "batched", "pairs", "plain pairs", "half", "torch half")}
    for r in range(o.rounds):
        m["peak"].add(ours.ask("peak")["gflops"])
        a = ours.ask("f32")
        m["ours"].add(n / a["s"])
        m["share"].add(100 * a["gflops"] / m["peak"].values[-1])
        v, s = run(model, texts, batch)
        m["batched"].add(n / s)
        if half:
            m["half"].add(n / ours.ask("bf16")["s"])
        h, s = run(model, texts, half_batch, half=True)
        m["torch half"].add(n / s)
        p, s = run(model, few, 2, by_length=False)
        m["pairs"].add(len(few) / s)
        q, s = run(plain, few, 2, by_length=False)
        m["plain pairs"].add(len(few) / s)
        say(f"bge-{shape}, round {r + 1}: " + ", ".join(f"{k} {v.values[-1]:.2f}" for k, v in m.items() if v.values))
    f = ours.vectors("f32", n)
    m["difference"] = check("PyTorch in batches", abs(v - f).max())
    check("PyTorch, one pair at a time", abs(p - f[:len(few)]).max())
    check("PyTorch in plain operations", abs(q - f[:len(few)]).max())
    m["plain"] = check("the plain encoder", ours.ask("plain")["difference"])
    m["change"] = f"{change(ours.vectors('bf16', n), f):.2g}" if half else "–"
    m["torch change"] = f"{change(h, v):.2g}"
    ours.close()
    m.update(n=n, batch=batch, half_batch=half_batch, tokens=sum(map(len, texts)) / n)
    return m


def memory(tool, program, n, o, folder):
    """Peak MB of `cfbench embed` with F32 and with F16 weights of bge-large's shape."""
    lines, peak = f"{folder}/lines.txt", {}
    for kind in ("F32", "F16"):
        if kind == "F16":
            subprocess.run([tool, "large", str(n), str(o.threads), folder, "F16"], check=True)
        peak[kind] = Child([program, "embed", "--embed-model", folder, "--embed-cache", "off", "--threads", str(o.threads), lines,
                            f"{folder}/{kind}.npy"]).peak_mb
    a, b = (np.load(f"{folder}/{kind}.npy") for kind in peak)
    if len(a) != n or not (a * b).sum(1).min() > 0.99:
        raise Different("F16 weights give other vectors than F32")
    return peak


def most(m):
    """How many times the pairs' speed our texts would have if nothing but products took time, at the speed of sgemm."""
    at_peak = Median()
    for ours, share in zip(m["ours"].values, m["share"].values):
        at_peak.add(ours * 100 / share)
    return ratio(at_peak, m["plain pairs"])


def report(results, peak, o):
    names = list(results)
    rows = lambda *keys: [[f"bge-{s}"] + [k(results[s]) for k in keys] for s in names]
    first = results[names[0]]
    print("Our encoder against PyTorch's on random weights of BGE's shapes: the same token ids (" +
          ", ".join(f"{results[s]['n']} texts for {s}" for s in names) + f"; {first['tokens']:.0f} tokens on average, the length mix of real")
    print(f"replies), {o.threads} threads, PyTorch {torch.__version__}, rounds in turn. Texts per second; all vectors compared.")
    print()
    table(["binary32", "ours", "PyTorch, one pair at a time", "the same, inference path", "PyTorch, best batch", "largest difference"],
          rows(lambda m: m["ours"].show(2), lambda m: m["plain pairs"].show(2), lambda m: m["pairs"].show(2),
               lambda m: f"{m['batched'].show(2)}, {m['batch']} texts", lambda m: f"{m['difference']:.2g}; plain binary64: {m['plain']:.2g}"))
    table(["binary32, ours", "against pairs", "a whole sgemm peak against pairs", "against pairs, inference path", "against batches", "sgemm, GFLOP/s",
           "ours, % of sgemm"],
          rows(lambda m: ratio(m["ours"], m["plain pairs"]), lambda m: most(m), lambda m: ratio(m["ours"], m["pairs"]),
               lambda m: ratio(m["ours"], m["batched"]), lambda m: m["peak"].show(0), lambda m: m["share"].show(0)))
    if first["half"].values:
        table(["bfloat16", "ours (oneDNN)", "PyTorch autocast, best batch", "against PyTorch", "against our binary32", "largest change of a cosine",
               "PyTorch's"],
              rows(lambda m: m["half"].show(2), lambda m: f"{m['torch half'].show(2)}, {m['half_batch']} texts", lambda m: ratio(m["half"], m["torch half"]),
                   lambda m: ratio(m["half"], m["ours"]), lambda m: m["change"], lambda m: m["torch change"]))
    else:
        print("bfloat16 is left out: this build has no oneDNN (`make DNNL=1`), or the processor has no such instructions.\n")
    if peak:
        print(f"Peak memory of `cfbench embed` with bge-large's shape: {peak['F32']:,.0f} MB with F32 weights, {peak['F16']:,.0f} MB with F16.\n")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--shapes", default="small,base,large")
    p.add_argument("--texts", default="512,128,32")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--build", default=os.environ.get("EMBED_BUILD") or os.environ.get("BUILD") or "build/gcc")
    p.add_argument("--no-memory", action="store_true")
    o = p.parse_args()
    warnings.filterwarnings("ignore", message=".*nested tensors is in prototype.*")
    torch.set_num_threads(o.threads)
    torch.set_grad_enabled(False)
    build = os.path.join(ROOT, o.build)
    tool, results, peak = f"{build}/tools/bench/bench_embed", {}, None
    for shape, n in zip(o.shapes.split(","), map(int, o.texts.split(","))):
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            results[shape] = measure(tool, shape, n, o, folder)
            if shape == "large" and not o.no_memory:
                say("memory")
                peak = memory(tool, f"{build}/cfbench", n, o, folder)
    report(results, peak, o)


if not python_has("torch", "numpy"):
    print("Left out: no python3-torch.\n")
    sys.exit(0)
if os.path.realpath(sys.executable) != os.path.realpath(PYTHON):
    os.execv(PYTHON, [PYTHON, *sys.argv])
import numpy as np
import torch

try:
    main()
except Different as e:
    sys.exit(f"torch_embed.py: {e}")
