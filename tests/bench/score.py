"""Scoring side by side: `cfbench score` on a large CSV, Python on its first rows, `wc -l` on the whole. Rows/s, ratios.

  score.py [--mb 50] [--slice 2000] [--reps 3] [--data DIR] [--seed 1] [--tmp DIR]

Rows come from CFBenchmark's published files in DIR (../shared/cfbenchmark) where they are there, else from datasets/sample;
they are repeated and changed with a seed until a file has --mb MB. Before anything is timed every row score of the slice
is compared to the last bit. A difference ends the benchmark with status 1."""
import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile

from common import PYTHON, ROOT, Child, Different, Median, program, python_has, ratio, say, table

HERE = os.path.dirname(os.path.abspath(__file__))
TASKS = (("sector", "suite"), ("company", "row"), ("suggestion", "tf"))
FIELD = 1 << 27


# ---- test files ----


def tool(name):
    path = os.path.join(os.path.dirname(program()), "tools", "bench", name)
    if not os.access(path, os.X_OK):
        sys.exit(f"score.py: there is no program {path}: run `make test-build`")
    return path


def seed_file(cfbench, task, data, tmp):
    """A CSV with input and response, and output where somebody published one."""
    published = os.path.join(data, "published", "few-shot", "gpt-4.1-mini", f"{task}-output.csv")
    if os.path.exists(published):
        return published
    source = os.path.join(data, "data", task)
    if not os.path.exists(source):
        source = next(p for p in (os.path.join(ROOT, "datasets", "sample", f"{task}.{e}") for e in ("jsonl", "csv", "json"))
                      if os.path.exists(p))
    out = os.path.join(tmp, f"{task}-seed.csv")
    subprocess.run([cfbench, "convert", "--quiet", "--format", "csv", source, out], check=True)
    return out


def make_file(path, seed_path, task, a, *size):
    """The rows repeated and changed with a seed: see make_rows.c. A shorter file is the beginning of a longer one. (rows, bytes)"""
    argv = [tool("make_rows"), seed_path, path, "text" if task == "suggestion" else "labels", "--seed", str(a.seed), *map(str, size)]
    return tuple(map(int, Child(argv).out.split()))


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


def two_processes(cfbench, suite, task, paths):
    """Two processes of one thread at once, each with a file of its own: what the machine gives to programs that share nothing."""
    begun = [(argv, Child.start(argv)) for argv in (score_argv(cfbench, suite, task, path, 1) for path in paths)]
    return [Child(argv, begun=b) for argv, b in begun]


# ---- one task ----


def bench_task(cfbench, task, metric, suite, labels_file, a, tmp, python):
    say(f"score: {task}: making a file of {a.mb} MB")
    big, small = os.path.join(tmp, f"{task}-output.csv"), os.path.join(tmp, f"{task}-slice.csv")
    seeds = seed_file(cfbench, task, a.data, tmp)
    make_file(small, seeds, task, a, "--rows", a.slice)
    n, size = make_file(big, seeds, task, a, "--mb", int(a.mb))
    os.makedirs(os.path.join(tmp, "copy"), exist_ok=True)
    copy = shutil.copy(big, os.path.join(tmp, "copy", os.path.basename(big)))
    os.sync()  # or the disk would be written to while it is timed
    styles = ("pandas", "lean") if python else ()
    scores = {s: os.path.join(tmp, f"{task}-{s}.txt") for s in styles}
    key = labels_file if metric == "suite" else None
    for s in styles:
        run_python(small, metric, s, key, task, scores[s])
    same_slice(cfbench, suite, task, small, tmp, a.slice, scores)

    side = {k: Median() for k in ("pandas", "lean", "one", "two", "apart", "wc", "py_whole", "cf_whole", "mb", "py_mb", "cf_rss")}
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
        apart = two_processes(cfbench, suite, task, (big, copy))
        side["apart"].add(2 * n / max(c.seconds for c in apart))
        side["wc"].add(size / Child(["wc", "-l", big]).seconds / 1e6)
    check_document(first, task, n)
    profile = Child([tool("bench_scan"), big, metric]).out.decode()
    os.remove(big)
    os.remove(copy)
    return {"task": task, "metric": metric, "rows": n, "bytes": size, "profile": profile, **side}


# ---- formats ----


def packed(path, tool, end):
    """The file, compressed by a program of its own; None where the program is not there."""
    if not shutil.which(tool):
        return None
    with open(path + end, "wb") as out:
        subprocess.run([tool, "-c", "-3", path], check=True, stdout=out, stderr=subprocess.DEVNULL)
    return path + end


def same_scores(text):
    """What a scores document says of its only task, but for where the rows stood."""
    t = json.loads(text)["tasks"][0]
    return {k: t[k] for k in ("rows", "answered", "states", "score_all", "set_f1", "mean_output_chars", "histogram", "labels", "confused")}


def bench_formats(cfbench, a, tmp):
    """The company task's rows in every format: seconds with two threads, in turns; of packed files also those of unpacking alone."""
    say("score: formats: making the files")
    plain = os.path.join(tmp, "company-output.csv")
    n, size = make_file(plain, seed_file(cfbench, "company", a.data, tmp), "company", a, "--mb", max(1, int(a.mb * 0.3)))
    lines = plain[:-3] + "jsonl"
    subprocess.run([cfbench, "convert", "--quiet", "--format", "jsonl", plain, lines], check=True)
    files = [("CSV", plain, None), ("JSON Lines", lines, None)]
    for name, path, tool, end in (("CSV, gzip", plain, "gzip", ".gz"), ("CSV, zstd", plain, "zstd", ".zst"), ("JSON Lines, zstd", lines, "zstd", ".zst")):
        got = packed(path, tool, end)
        if got:
            files.append((name, got, ["sh", "-c", '"$0" -dc "$1" >/dev/null', tool, got]))
    os.sync()
    suite = ["--suite", os.path.join(ROOT, "datasets", "sample")]
    rows, first = [], None
    side = {name: (Median(), Median(), Median()) for name, _, _ in files}
    for rep in range(a.reps):
        for name, path, unpack in files:
            say(f"score: formats: {name}, round {rep + 1} of {a.reps}")
            for k in (0, 1):
                child = Child(score_argv(cfbench, suite, "company", path, k + 1))
                side[name][k].add(size / child.seconds / 1e6)
                first = first or same_scores(child.out)
                if same_scores(child.out) != first:
                    raise Different(f"{name}: other scores than of the CSV")
            if unpack:
                side[name][2].add(size / Child(unpack).seconds / 1e6)
    for name, path, _ in files:
        one, two, alone = side[name]
        rows.append((name, f"{os.path.getsize(path) / 1e6:,.0f}", one.show(), two.show(), ratio(two, side["CSV"][1]), alone.show()))
        os.remove(path)
    return n, size, rows


def report(results, a, python, source, formats):
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
    table(("task", "2 threads / pandas", "1 thread / pandas", "2 threads / lean", "2 threads / 1 thread", "2 processes / 1 thread"),
          [(r["task"], ratio(r["two"], r["pandas"]), ratio(r["one"], r["pandas"]), ratio(r["two"], r["lean"]), ratio(r["two"], r["one"]),
            ratio(r["apart"], r["one"])) for r in results])
    print("*2 processes*: two programs of one thread at once, each with its own copy of the file. They share nothing but the machine: what "
          "they lack to 2 is memory bandwidth and clock, not the program's.\n")
    print(f"Bytes, memory, and the whole command on {a.slice:,} rows (start and imports included):\n")
    table(("task", "cfbench MB/s, 2 threads", "`wc -l` MB/s", "cfbench / `wc -l`", "cfbench peak MB", "Python peak MB (slice)",
           "cfbench, slice, s", "Python, slice, s"),
          [(r["task"], r["mb"].show(), r["wc"].show(), ratio(r["mb"], r["wc"]), r["cf_rss"].show(), r["py_mb"].show(),
            r["cf_whole"].show(3), r["py_whole"].show(2)) for r in results])
    n, size, rows = formats
    print(f"The same {n:,} rows of the company task ({size / 1e6:,.0f} MB as CSV) in other formats, in MB of that CSV per second; *unpacking alone*: "
          f"`gzip -dc` or `zstd -dc` of the file to nowhere. The scores are equal.\n")
    table(("format", "file, MB", "1 thread", "2 threads", "2 threads / CSV", "unpacking alone"), rows)
    for r in results:
        print(f"### Where the time goes: {r['task']} ({name[r['metric']]})\n")
        print(r["profile"])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--mb", type=float, default=50, help="size of each file; 1000 and more show what reading costs, not starting")
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
            results = [bench_task(cfbench, t, m, suite, labels_file, a, tmp, python)
                       for t, m in TASKS if t in a.tasks.split(",")]
            formats = bench_formats(cfbench, a, tmp)
        except Different as e:
            sys.exit(f"score.py: FAILED: {e}")
    report(results, a, python, source, formats)


if __name__ == "__main__":
    main()
