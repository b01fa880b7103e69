"""Scoring over N ranks of one thread against one process of N threads, on this machine's cores: seconds from the start of scoring to
its end on rank 0 (all rows added up; starting and ending MPI is not in it, and printed beside), interleaved, results compared. Metrics
that take a tenth of a second are repeated until each way has scored for some seconds: single runs differ by 10 % and more.

  make MPI=1 MPICC=mpicc.openmpi && CFBENCH=build/mpicc.openmpi-mpi/cfbench python3 tests/bench/ranks.py [--mb 300] [--reps 5] [--seconds 3]
"""
import argparse
import json
import os
import random
import shlex
import shutil
import tempfile

from common import ROOT, Child, Different, Median, program

parser = argparse.ArgumentParser()
parser.add_argument("--mb", type=int, default=300)
parser.add_argument("--reps", type=int, default=5)
parser.add_argument("--seconds", type=float, default=3, help="of scoring over threads, at least")
parser.add_argument("--mpirun", default="mpirun.openmpi --oversubscribe --bind-to none")
parser.add_argument("--jsonl", action="store_true", help="JSON Lines instead of CSV")
parser.add_argument("--metrics", default="f1,tf,rougeL,edit")
args = parser.parse_args()
os.environ |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
cores = len(os.sched_getaffinity(0))


def make(path, kind, mb):
    """Rows of some 700 characters of Chinese text (or of labels), each pair half alike; 2,000 different pairs, their order at random."""
    rnd = random.Random(1)
    chars = [chr(0x4E00 + i) for i in range(3000)]
    labels = [l["response"] for l in map(json.loads, open(f"{ROOT}/datasets/sample/sector.jsonl", encoding="utf-8"))]
    rows = []
    for _ in range(2000):
        if kind == "sector":
            rows.append((rnd.choice(labels), rnd.choice(labels)))
            continue
        a = rnd.choices(chars, k=rnd.randrange(200, 500))
        rows.append(("".join(a), "".join(c if rnd.random() < 0.5 else rnd.choice(chars) for c in a)))
    with open(path, "w", encoding="utf-8") as f:
        line = '{{"input":"in {}","response":"{}","output":"{}"}}\n' if args.jsonl else '"in {}","{}","{}"\n'
        if not args.jsonl: f.write("input,response,output\n")
        while f.tell() < mb << 20:
            f.write("".join(line.format(rnd.random(), a, b) for a, b in rnd.choices(rows, k=2000)))


def score(ranks, threads, metric, path):
    launch = [*shlex.split(args.mpirun), "-n", str(ranks)] if ranks > 1 else []
    options = ["--metric", metric] if metric != "f1" else []
    child = Child([*launch, program(), "score", "--suite", f"{ROOT}/datasets/sample", "--json", "--verbose", "-j", str(threads), *options, path])
    doc = json.loads(child.out)
    performance = doc.pop("performance")
    return performance["elapsed_s"], child.seconds, json.dumps(doc), performance["rows"]


folder = tempfile.mkdtemp(prefix="cfbench-ranks-")
try:
    files = {kind: f"{folder}/{kind}.{'jsonl' if args.jsonl else 'csv'}" for kind in ("sector", "summary")}
    for kind, path in files.items():
        make(path, kind, args.mb)
    print(f"Scoring over ranks and over threads, {cores} cores, files of {args.mb} MB in the page cache, medians of {args.reps} runs and more:\n")
    print(f"| metric | rows/s, 1 thread | {cores} threads | {cores} ranks | speed-up over threads | over ranks | ranks / threads | MPI's own start and end | runs |")
    print("|---|---|---|---|---|---|---|---|---|")
    for metric in args.metrics.split(","):
        spent, reps = 0, 0
        path = files["sector" if metric == "f1" else "summary"]
        ways = {"one": (1, 1), "threads": (1, cores), "ranks": (cores, 1)}
        took = {w: Median() for w in ways}
        start, seen = Median(), set()
        while reps < args.reps or spent < args.seconds:
            reps += 1
            for way, (ranks, threads) in ways.items():
                seconds, wall, doc, rows = score(ranks, threads, metric, path)
                took[way].add(seconds)
                if way == "threads":
                    spent += seconds
                seen.add(doc)
                if way == "ranks":
                    start.add(wall - seconds)
        if len(seen) != 1:
            raise Different(f"{metric}: ranks and threads give other scores")
        one, threads, ranks = (float(took[w]) for w in ways)
        print(f"| {metric} | {rows / one:,.0f} | {rows / threads:,.0f} | {rows / ranks:,.0f} | {one / threads:.2f} | {one / ranks:.2f} | {threads / ranks:.2f} | {float(start):.2f} s | {reps} |", flush=True)
finally:
    shutil.rmtree(folder)
