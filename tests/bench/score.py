"""Scoring side by side: `cfbench score` on a large CSV, Python on its first rows, `wc -l` on the whole. Rows/s, ratios.

  score.py [--mb 50] [--slice 2000] [--reps 3] [--data DIR] [--seed 1] [--tmp DIR]

Rows come from CFBenchmark's published files in DIR (../shared/cfbenchmark) where they are there, else from datasets/sample;
they are repeated and changed with a seed until a file has --mb MB. Before anything is timed every row score of the slice
is compared to the last bit. A difference ends the benchmark with status 1."""
import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

from common import PYTHON, ROOT, Child, Different, Median, program, python_has, ratio, say, table

HERE = os.path.dirname(os.path.abspath(__file__))
TASKS = (("sector", "suite"), ("company", "row"), ("suggestion", "tf"))
FIELD = 1 << 27


# ---- test files ----


def read_rows(path):
    with open(path, encoding="utf-8", newline="") as f:
        return [dict(r) for r in csv.DictReader(f)]


def seed_rows(cfbench, task, data, tmp):
    """Rows with input and response, and output where somebody published one."""
    published = os.path.join(data, "published", "few-shot", "gpt-4.1-mini", f"{task}-output.csv")
    if os.path.exists(published):
        return read_rows(published)
    source = os.path.join(data, "data", task)
    if not os.path.exists(source):
        source = next(p for p in (os.path.join(ROOT, "datasets", "sample", f"{task}.{e}") for e in ("jsonl", "csv", "json"))
                      if os.path.exists(p))
    out = os.path.join(tmp, f"{task}-seed.csv")
    subprocess.run([cfbench, "convert", "--quiet", "--format", "csv", source, out], check=True)
    return [{"input": r["input"], "response": r["response"]} for r in read_rows(out)]


def other_labels(rng, text, labels):
    """A plausible answer: two in five are right; the others miss, add or confuse a label."""
    items = [i for i in text.replace("，", ",").split(",") if i.strip()]
    if not items or rng.random() < 0.4:
        return text
    k = rng.randrange(len(items))
    kind = rng.randrange(3)
    if kind == 0 and len(items) > 1:
        del items[k]
    elif kind == 1:
        items.insert(k, rng.choice(labels))
    else:
        items[k] = rng.choice(labels)
    return ("，" if rng.random() < 0.5 else ",").join(items)


def other_text(rng, text, texts):
    """Two pieces of the text replaced by pieces of another one."""
    for _ in range(2):
        donor = rng.choice(texts)
        at, of = rng.randrange(len(text) + 1), rng.randrange(len(donor) + 1)
        n = rng.randrange(4, 24)
        text = text[:at] + donor[of:of + n] + text[at + n:]
    return text


def make_file(path, slice_path, rows, task, labels, a):
    """Repeats the rows with changes until the file is large enough. Returns (rows, bytes)."""
    rng = random.Random(f"{a.seed}/{task}")
    if labels is None:
        labels = sorted({i.strip() for r in rows for i in r["response"].replace("，", ",").split(",") if i.strip()})
    texts = [r["response"] for r in rows if len(r["response"]) > 20] or ["。"]
    n = size = 0
    with open(path, "w", encoding="utf-8", newline="") as f, open(slice_path, "w", encoding="utf-8", newline="") as s:
        big, small = (csv.writer(o, lineterminator="\n") for o in (f, s))
        big.writerow(("input", "response", "output"))
        small.writerow(("input", "response", "output"))
        while size < a.mb * 1e6 or n < a.slice:
            r = rows[n % len(rows)]
            response = r["response"] or ""
            output = r.get("output")
            if task == "suggestion":
                if output is None:
                    output = other_text(rng, response, texts)
                elif output and n >= len(rows):
                    output = other_text(rng, output, texts)
            elif output is None or n >= len(rows):
                output = other_labels(rng, response if output is None else output, labels)
            # a lone CR in an unquoted field means different things to different readers; it is not the matter here
            row = [t.replace("\r", " ") for t in (f"[{n}] {r['input']}", response, output)]
            big.writerow(row)
            if n < a.slice:
                small.writerow(row)
            n += 1
            if n % 256 == 0:
                size = f.tell()
    return n, os.path.getsize(path)


# ---- sides ----


def run_python(path, metric, style, labels, task, scores):
    argv = [PYTHON, os.path.join(HERE, "python_score.py"), path, "--metric", metric, "--style", style, "--scores", scores]
    if labels:
        argv += ["--labels", labels, "--key", task]
    child = Child(argv)
    return child, json.loads(child.out)


def score_argv(cfbench, suite, task, path, threads):
    return [cfbench, "score", *suite, "--task", task, "--threads", str(threads), "--progress", "off", "--json", path]


def same_slice(cfbench, suite, task, path, tmp, n, want):
    out = os.path.join(tmp, "scored")
    Child(score_argv(cfbench, suite, task, path, 2)[:-2] + ["--out", out, "--json", path])
    files = [os.path.join(d, f) for d, _, names in os.walk(out) for f in names if f.endswith("-scores.csv")]
    if len(files) != 1:
        raise Different(f"{task}: {len(files)} score files in --out, one expected")
    with open(files[0], encoding="utf-8", newline="") as f:
        got = [float(r[-1]) for r in list(csv.reader(f))[1:]]
    shutil.rmtree(out)
    if len(got) != n:
        raise Different(f"{task}: {len(got)} rows scored, {n} expected")
    for style, scores in want.items():
        with open(scores, encoding="utf-8") as f:
            python = [float(line) for line in f]
        if len(python) != n:
            raise Different(f"{task}: Python ({style}) scored {len(python)} rows, {n} expected")
        for i, (x, y) in enumerate(zip(got, python)):
            if x != y:
                raise Different(f"{task} row {i}: cfbench {x!r}, Python ({style}) {y!r}")


def check_document(text, task, n):
    t = json.loads(text)["tasks"]
    if len(t) != 1 or t[0]["rows"] != n:
        raise Different(f"{task}: the scores document does not have {n} rows")


# ---- one task ----


def bench_task(cfbench, task, metric, suite, labels_file, labels, a, tmp, python):
    say(f"score: {task}: making a file of {a.mb} MB")
    big, small = os.path.join(tmp, f"{task}-output.csv"), os.path.join(tmp, f"{task}-slice.csv")
    n, size = make_file(big, small, seed_rows(cfbench, task, a.data, tmp), task, labels, a)
    styles = ("pandas", "lean") if python else ()
    scores = {s: os.path.join(tmp, f"{task}-{s}.txt") for s in styles}
    key = labels_file if metric == "suite" else None
    for s in styles:
        run_python(small, metric, s, key, task, scores[s])
    same_slice(cfbench, suite, task, small, tmp, a.slice, scores)

    side = {k: Median() for k in ("pandas", "lean", "one", "two", "wc", "py_whole", "cf_whole", "mb", "py_mb", "cf_rss")}
    first = None
    for rep in range(a.reps):
        say(f"score: {task}: round {rep + 1} of {a.reps}")
        for s in styles:
            child, r = run_python(small, metric, s, key, task, scores[s])
            side[s].add(r["rows"] / r["seconds"])
            if s == "pandas":
                side["py_whole"].add(child.seconds)
                side["py_mb"].add(child.peak_mb)
        side["cf_whole"].add(Child(score_argv(cfbench, suite, task, small, 2)).seconds)
        for name, threads in (("one", 1), ("two", 2)):
            child = Child(score_argv(cfbench, suite, task, big, threads))
            side[name].add(n / child.seconds)
            if threads == 2:
                side["cf_rss"].add(child.peak_mb)
                side["mb"].add(size / child.seconds / 1e6)
            first = first or child.out
            if child.out != first:
                raise Different(f"{task}: the scores document of another run or number of threads has other bytes")
        side["wc"].add(size / Child(["wc", "-l", big]).seconds / 1e6)
    check_document(first, task, n)
    os.remove(big)
    return {"task": task, "metric": metric, "rows": n, "bytes": size, **side}


def report(results, a, python, source):
    print("## Scoring\n")
    print(f"`cfbench score` on CSV files in the page cache, whole process from start to end, against Python on the first {a.slice:,} "
          f"rows of the same file, without its start and imports. Rows: {source}, repeated and changed with seed {a.seed}. "
          f"*pandas* is the usual script (`read_csv`, `iterrows`, numpy vectors), *lean* the same formulas in tuned plain Python; "
          f"both in one process, on one core. Medians of {a.reps} interleaved runs (min–max). "
          + (f"All row scores of the slice are equal to the last bit on all sides.\n" if python else "\n"))
    if not python:
        print(f"SKIPPED: the Python side (`{PYTHON}` has no pandas or numpy; Debian: `apt install python3-pandas`).\n")
    print("Rows per second:\n")
    name = {"suite": "F1, suite labels", "row": "F1, row labels", "tf": "tf cosine"}
    table(("task", "file", "Python, pandas", "Python, lean", "cfbench, 1 thread", "cfbench, 2 threads"),
          [(f"{r['task']} ({name[r['metric']]})", f"{r['rows']:,} rows, {r['bytes'] / 1e6:,.0f} MB",
            r["pandas"].show(), r["lean"].show(), r["one"].show(), r["two"].show()) for r in results])
    print("Ratios:\n")
    table(("task", "2 threads / pandas", "1 thread / pandas", "2 threads / lean", "2 threads / 1 thread"),
          [(r["task"], ratio(r["two"], r["pandas"]), ratio(r["one"], r["pandas"]), ratio(r["two"], r["lean"]), ratio(r["two"], r["one"]))
           for r in results])
    print(f"Bytes, memory, and the whole command on {a.slice:,} rows (start and imports included):\n")
    table(("task", "cfbench MB/s, 2 threads", "`wc -l` MB/s", "cfbench / `wc -l`", "cfbench peak MB", "Python peak MB (slice)",
           "cfbench, slice, s", "Python, slice, s"),
          [(r["task"], r["mb"].show(), r["wc"].show(), ratio(r["mb"], r["wc"]), r["cf_rss"].show(), r["py_mb"].show(),
            r["cf_whole"].show(3), r["py_whole"].show(2)) for r in results])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--mb", type=float, default=50, help="size of each file")
    p.add_argument("--slice", type=int, default=2000, help="rows for Python")
    p.add_argument("--reps", type=int, default=3)
    p.add_argument("--data", default=os.path.join(ROOT, "..", "shared", "cfbenchmark"))
    p.add_argument("--tasks", default="sector,company,suggestion")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--tmp", help="folder for the files; default: a temporary one")
    a = p.parse_args()
    csv.field_size_limit(FIELD)
    if a.reps < 1 or a.slice < 1:
        sys.exit("score.py: --reps and --slice need at least 1")
    cfbench, python = program(), python_has("pandas", "numpy")
    shared = os.path.exists(os.path.join(a.data, "labels.json"))
    folder = os.path.join(ROOT, "datasets", "cfbenchmark" if shared else "sample")
    suite = ["--suite", folder] + (["--data", a.data] if shared else [])
    labels_file = os.path.join(a.data if shared else folder, "labels.json")
    with open(labels_file, encoding="utf-8") as f:
        all_labels = json.load(f)
    if not shared:
        say("score: CFBenchmark's published files are not there; rows of datasets/sample are used instead")
    source = (f"CFBenchmark's own ({len(all_labels['sector'])} sector labels)" if shared
              else f"of datasets/sample ({len(all_labels['sector'])} sector labels, short texts)")
    with tempfile.TemporaryDirectory(dir=a.tmp, prefix="cfbench-bench-") as tmp:
        try:
            results = [bench_task(cfbench, t, m, suite, labels_file, all_labels.get(t), a, tmp, python)
                       for t, m in TASKS if t in a.tasks.split(",")]
        except Different as e:
            sys.exit(f"score.py: FAILED: {e}")
    report(results, a, python, source)


main()
