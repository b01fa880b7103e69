"""The rate limiter and the adaptive limit against `cfbench mock`.

  pace.py [--seconds 10] [--rates 1000,10000] [--flight 256] [--tmp DIR]

Rate: starts of calls as the run store has them (whole ms). Achieved rate over the whole run, and the most starts in any 100 ms, over a
sliding window. Every call must have been answered, once."""
import argparse
import json
import os
import shutil
import sqlite3
import sys
import tempfile

from client import N_TASKS, Mock, make_suite
from common import Child, Different, program, say, table


def run(cfbench, suite, url, rate, flight, limit, tmp):
    out = os.path.join(tmp, "run")
    child = Child([cfbench, "generate", "--suite", suite, "--shot", "zero", "--model", "m", "--base-url", url, "--limit", str(limit),
                   "--in-flight", str(flight), "--task-workers", str(N_TASKS), "--no-adaptive", "--rps", str(rate), "--max-retries", "0",
                   "--quiet", "--json", "--out", out])
    said = json.loads(child.out)
    db = sqlite3.connect(os.path.join(out, "run.db"))
    starts = [r[0] for r in db.execute("SELECT started_ms FROM reply WHERE state = 'ok' ORDER BY 1")]
    db.close()
    shutil.rmtree(out)
    if len(starts) != limit * N_TASKS or said["calls"] != len(starts):
        raise Different(f"{len(starts)} replies, {said['calls']} calls, {limit * N_TASKS} expected")
    most, low = 0, 0
    for high in range(len(starts)):
        while starts[high] - starts[low] >= 100:
            low += 1
        most = max(most, high - low + 1)
    return (len(starts) - 1) / (starts[-1] - starts[0]) * 1000, most


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seconds", type=float, default=10)
    p.add_argument("--rates", default="100,1000,10000")
    p.add_argument("--flight", type=int, default=256)
    p.add_argument("--tmp")
    a = p.parse_args()
    rates = [int(r) for r in a.rates.split(",")]
    cfbench, rows = program(), []
    with tempfile.TemporaryDirectory(dir=a.tmp, prefix="cfbench-bench-") as tmp:
        suite = os.path.join(tmp, "suite")
        limits = {r: max(1, int(r * a.seconds) // N_TASKS) for r in rates}
        make_suite(suite, max(limits.values()), prompt_bytes=256)
        mock = Mock(cfbench, suite, 0.01, tmp)
        try:
            for r in rates:
                say(f"pace: {r} calls/s for {a.seconds:g} s")
                got, most = run(cfbench, suite, mock.url, r, a.flight, limits[r], tmp)
                rows.append((f"{r:,}", f"{got:,.2f}", f"{(got / r - 1) * 100:+.3f} %", f"{most} ({most / (r / 10) * 100 - 100:+.1f} %)"))
        except Different as e:
            sys.exit(f"pace.py: FAILED: {e}")
        finally:
            mock.stop()
    print("## Rates\n")
    print(f"`--rps` with {a.flight} calls in flight, {a.seconds:g} s each, latency of the mock 10 ms. Windows slide over starts in whole ms, so "
          "one start more than the rate allows is rounding.\n")
    table(("asked, calls/s", "reached", "off by", "most starts in any 100 ms"), rows)


if __name__ == "__main__":
    main()
