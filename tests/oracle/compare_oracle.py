"""`cfbench compare --json` of response files against plain Python: rows matched anew, t intervals, exact sign flips, McNemar's
mid-p, Holm, means over tasks.

  compare_oracle.py CFBENCH FOLDER

Makes two models' response files (exact match scores, so that row scores are plain to see) in FOLDER. Prints ok/not ok lines."""
import csv
import json
import math
import os
import random
import subprocess
import sys
from fractions import Fraction

try:
    from scipy.stats import t as student
except ImportError:
    student = None

program, folder = sys.argv[1:]
rng = random.Random(7)
bad = []


def check(name, good, why=""):
    print(f"ok {name}" if good else f"not ok {name}: {why}")
    if not good:
        bad.append(name)


def near(a, b, relative=1e-9):
    if a is None or b is None:
        return a is b
    return abs(a - b) <= relative * max(1e-12, abs(a), abs(b))


tasks = {"one": "recognition", "two": "recognition", "three": "generation"}
with open(os.path.join(folder, "suite.json"), "w") as f:
    json.dump({"schema": "cfbench.suite/1", "name": "pairs", "tasks": [
        {"name": n, "kind": k, "metric": "exact_match" if k == "recognition" else "edit", "prompt": {"zero": "{input}"}}
        for n, k in tasks.items()]}, f)


def edit(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        prev, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            prev, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, prev + (x != y))
    return 1 - row[-1] / max(len(a), len(b)) if a or b else 1.0


def score(kind, response, output):
    return float(response == output) if kind == "recognition" else edit(response, output)


data = {}
for n, kind in tasks.items():
    rows = []
    for i in range({"one": 40, "two": 14, "three": 16}[n]):
        text = "".join(rng.choice("abcdef") for _ in range(8))
        outs = []
        for wrong in (0.25, 0.5):
            outs.append(text if rng.random() > wrong else text[:rng.randrange(4)] + "xyz")
        rows.append((f"{n} {i - i % 7 % 2}" if n == "three" else f"{n} {i}", text, outs))
    data[n] = (kind, rows)
    for m in range(2):
        os.makedirs(f"{folder}/few-shot/m{m}", exist_ok=True)
        with open(f"{folder}/few-shot/m{m}/{n}-output.csv", "w", newline="") as f:
            w = csv.writer(f)
            w.writerow(["input", "response", "output"])
            w.writerows([r[0], r[1], r[2][m]] for r in rows)

doc = subprocess.run([program, "compare", f"{folder}/few-shot/m0", f"{folder}/few-shot/m1", "--suite", folder, "--json"],
                     capture_output=True, text=True)
if doc.returncode:
    check("compare runs", False, doc.stderr.strip())
    sys.exit(1)
doc = json.loads(doc.stdout)


def spread(units, sizes, n, mean):
    """Standard error of a mean of clustered rows."""
    m = len(units)
    return math.sqrt(m / (m - 1) * math.fsum((s - k * mean) ** 2 for s, k in zip(units, sizes))) / n


def clusters(rows, values):
    sums, sizes = {}, {}
    for r, v in zip(rows, values):
        sums[r[0]] = sums.get(r[0], 0) + v
        sizes[r[0]] = sizes.get(r[0], 0) + 1
    return list(sums.values()), list(sizes.values())


def flip_p(units):
    """Exact, by the distribution of the signed sum."""
    units = [Fraction(u).limit_denominator(10 ** 6) for u in units if abs(u) > 1e-12]
    sums = {Fraction(0): 1}
    for u in units:
        new = {}
        for s, k in sums.items():
            for t in (s + u, s - u):
                new[t] = new.get(t, 0) + k
        sums = new
    observed = abs(sum(units))
    return sum(k for s, k in sums.items() if abs(s) >= observed) / 2 ** len(units), len(units)


def mid_p(b, c):
    n, k = b + c, min(b, c)
    if b == c:
        return 1.0
    return 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2 ** n - math.comb(n, k) / 2 ** n


raw, diffs = [], {}
for line in doc["tasks"]:
    kind, rows = data[line["name"]]
    a, b = ([score(kind, r[1], r[2][m]) for r in rows] for m in range(2))
    d = [y - x for x, y in zip(a, b)]
    diffs[line["name"]] = (rows, d)
    units, sizes = clusters(rows, d)
    mean = math.fsum(d) / len(d)
    se = spread(units, sizes, len(d), mean)
    pair = line["pairs"][0]
    got = [s["score"] for s in line["scores"]] + [pair["difference"], pair["standard_error"]]
    want = [math.fsum(a) / len(a), math.fsum(b) / len(b), mean, se]
    check(f"compare: {line['name']}: scores, difference, standard error", all(map(near, got, want)), f"{got} {want}")
    check(f"compare: {line['name']}: counts", (pair["rows_better"], pair["rows_worse"], line["clusters"]) ==
          (sum(v > 1e-12 for v in d), sum(v < -1e-12 for v in d), len(units)), str(pair))
    if student:
        half = student.ppf(0.975, len(units) - 1) * se
        check(f"compare: {line['name']}: interval", near(pair["low"], mean - half, 1e-6) and near(pair["high"], mean + half, 1e-6),
              f"{pair['low']} {mean - half}")
    if kind == "recognition":
        p = mid_p(pair["rows_better"], pair["rows_worse"])
        check(f"compare: {line['name']}: McNemar's mid-p", near(pair["p"], p) and pair["test"] == "mcnemar mid-p", f"{pair['p']} {p}")
    else:
        p, n = flip_p(units)
        check(f"compare: {line['name']}: sign flips of clusters", near(pair["p"], p, 1e-9 if n <= 20 else 0.2), f"{pair['p']} {p} {n}")
    raw.append((pair["p"], pair["p_holm"]))
    changed = {r["row"] for r in pair["changed_rows"]}
    check(f"compare: {line['name']}: changed rows", changed <= {i for i, v in enumerate(d) if v} and len(changed) ==
          min(20, sum(v != 0 for v in d)), str(sorted(changed)))

top = 0
for j, (p, holm) in enumerate(sorted(raw)):
    top = max(top, min(1, (len(raw) - j) * p))
    check(f"compare: Holm, {j + 1} of {len(raw)}", near(holm, top), f"{holm} {top}")

names = [m["name"] for m in doc["means"]]
check("compare: means of kinds and of all", names == ["recognition", "generation", "all"], str(names))
for line in doc["means"]:
    chosen = [n for n in tasks if line["name"] in ("all", tasks[n])]
    total = sum(len(diffs[n][1]) for n in chosen)
    mean = math.fsum(math.fsum(diffs[n][1]) / len(diffs[n][1]) for n in chosen) / len(chosen)
    centred = {}  # a task's variance has the divisor m - 1 for its own m clusters
    for n in chosen:
        rows, d = diffs[n]
        own = math.fsum(d) / len(d)
        m = len({r[0] for r in rows})
        for r, v in zip(rows, d):
            centred[r[0]] = centred.get(r[0], 0) + (v - own) * math.sqrt(m / (m - 1)) / (len(chosen) * len(d))
    se = math.sqrt(math.fsum(v * v for v in centred.values()))
    pair = line["pairs"][0]
    check(f"compare: mean of {line['name']}", near(pair["difference"], mean) and near(pair["standard_error"], se, 1e-6) and
          line["rows"] == total, f"{pair['difference']} {mean} {pair['standard_error']} {se}")
sys.exit(bool(bad))
