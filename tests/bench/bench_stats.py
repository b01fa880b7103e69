"""Bootstrap of a mean side by side: `cfb_stats_bootstrap_means` and NumPy on the same numbers, and the permutation test.

  bench_stats.py [--rows 100000] [--resamples 10000] [--numpy-resamples 400] [--rounds 3] [--threads 1,2]

NumPy draws a part of the resamples in each round, beside ours in the same round, and its time is scaled up: every resample is
the same work. Checked before anything is reported: mean and spread of the bootstrap means agree with the theory within Monte Carlo
error on both sides. A difference ends the benchmark with status 1. Needs NumPy (BENCH_PYTHON, by default /usr/bin/python3)."""
import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
from array import array

from common import PYTHON, ROOT, Different, Median, python_has, ratio, say, table

NUMPY = """
import json, sys, time
import numpy as np
path, resamples, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
x = np.fromfile(path)
rng = np.random.default_rng(1)
n = len(x)
if how == "integers":
    draw = lambda: x[rng.integers(0, n, n)].mean()
elif how == "choice":
    draw = lambda: rng.choice(x, n).mean()
else:
    draw = lambda: (x * rng.choice((-1.0, 1.0), n)).sum()
draw()
begin = time.perf_counter()
means = np.array([draw() for _ in range(resamples)])
took = time.perf_counter() - begin
print(json.dumps({"s": took, "mean": means.mean(), "sd": means.std(ddof=1)}))
"""


def run(argv):
    p = subprocess.run(argv, capture_output=True, text=True)
    if p.returncode:
        raise Different(f"{argv[0]}: {p.stderr.strip()[-500:]}")
    return json.loads(p.stdout)


def check(side, got, mean, se, resamples):
    """The mean of B bootstrap means is within 5 se/sqrt(B) of the mean; their sd within 5/sqrt(2B) of se."""
    if abs(got["mean"] - mean) > 5 * se / math.sqrt(resamples):
        raise Different(f"{side}: the bootstrap means' mean is {got['mean']}, the data's is {mean}")
    if abs(got["sd"] / se - 1) > 5 / math.sqrt(2 * resamples):
        raise Different(f"{side}: the bootstrap means' standard deviation is {got['sd']}, not {se}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100000)
    parser.add_argument("--resamples", type=int, default=10000)
    parser.add_argument("--numpy-resamples", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", default="1,2")
    args = parser.parse_args()
    if not python_has("numpy"):
        print(f"bootstrap: skipped, {PYTHON} has no NumPy (apt install python3-numpy, or set BENCH_PYTHON)")
        return
    tool = os.path.join(ROOT, os.environ.get("BUILD", "build/gcc"), "tools", "bench", "bench_stats")
    if not os.access(tool, os.X_OK):
        sys.exit(f"bench_stats.py: there is no program {tool}: run `make test-build`, or set BUILD")
    rng = random.Random(1)
    x = array("d", (rng.choice((0.0, 1.0, rng.random(), rng.random())) for _ in range(args.rows)))
    mean = math.fsum(x) / len(x)
    se = math.sqrt(math.fsum((v - mean) ** 2 for v in x)) / len(x)
    threads = [int(t) for t in args.threads.split(",")]
    scale = args.resamples / args.numpy_resamples
    ours = {t: (Median(), Median()) for t in threads}
    theirs = {how: Median() for how in ("integers", "choice", "flip")}
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "x.bin")
        with open(path, "wb") as f:
            x.tofile(f)
        results = set()
        for r in range(args.rounds):
            say(f"round {r + 1} of {args.rounds}")
            for how in theirs:
                got = run([PYTHON, "-c", NUMPY, path, str(args.numpy_resamples), how])
                if how != "flip":
                    check(f"NumPy ({how})", got, mean, se, args.numpy_resamples)
                theirs[how].add(got["s"] * scale)
            for t in threads:
                got = run([tool, path, str(args.resamples), str(t), "1"])
                check(f"cfbench, {t} threads", got, mean, se, args.resamples)
                results.add((got["mean"], got["sd"], got["flip_p"]))
                ours[t][0].add(got["bootstrap_s"])
                ours[t][1].add(got["flip_s"])
    if len(results) != 1:
        raise Different(f"the results depend on the number of threads: {results}")
    print(f"Bootstrap of the mean, {args.resamples:,} resamples of {args.rows:,} rows; median (least–most) of {args.rounds} rounds.\n")
    rows = [[f"NumPy `{label}`", theirs[how].show(2), "1"] for how, label in
            (("integers", "x[rng.integers(0, n, n)].mean()"), ("choice", "rng.choice(x, n).mean()"))]
    rows += [[f"cfbench, {t} thread{'s' * (t > 1)}", ours[t][0].show(3), ratio(theirs["integers"], ours[t][0])] for t in threads]
    table(["side", "seconds", "NumPy integers / this"], rows)
    print("Permutation test, as many random sign patterns.\n")
    rows = [["NumPy `(x * rng.choice((-1.0, 1.0), n)).sum()`", theirs["flip"].show(2), "1"]]
    rows += [[f"cfbench, {t} thread{'s' * (t > 1)}", ours[t][1].show(3), ratio(theirs["flip"], ours[t][1])] for t in threads]
    table(["side", "seconds", "NumPy / this"], rows)


try:
    main()
except Different as e:
    sys.exit(f"bench_stats.py: {e}")
