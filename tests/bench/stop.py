"""How fast a run is out of the way: SIGTERM with many calls in flight and `--grace 0`, as a cluster sends it before it takes the node.

  stop.py [--reps 5] [--flight 1024] [--tmp DIR]

The signal comes when two rounds of calls are answered and the next is under way. After each run the store must have those replies, and
the exit status must be 5 (interrupted, resumable)."""
import argparse
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

from client import N_TASKS, Mock, make_suite
from common import Different, Median, program, say, table

LATENCY = 0.3
ROUNDS = 2  # answered before the signal


def stats(mock):
    """Calls answered, calls under way."""
    with mock.opener.open(mock.root + "/stats") as r:
        s = json.load(r)
    return s["by_status"].get("200", 0), s["in_flight"]


def run(cfbench, suite, mock, flight, tmp):
    out = os.path.join(tmp, "run")
    before, busy = stats(mock)[0], 0
    answered = before
    p = subprocess.Popen([cfbench, "generate", "--suite", suite, "--shot", "zero", "--model", "m", "--base-url", mock.url, "--in-flight",
                          str(flight), "--task-workers", str(N_TASKS), "--no-adaptive", "--api-rate-limit", "0", "--max-retries", "0", "--grace",
                          "0", "--quiet", "--out", out], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    give_up = time.monotonic() + 120
    while answered - before < ROUNDS * flight or busy < flight * 0.9:
        if p.poll() is not None or time.monotonic() > give_up:
            p.kill()
            raise Different("the run did not get its calls into flight")
        time.sleep(0.01)
        answered, busy = stats(mock)
    begin = time.perf_counter()
    p.send_signal(signal.SIGTERM)
    status = p.wait()
    ms = (time.perf_counter() - begin) * 1000
    if status != 5:
        raise Different(f"exit status {status}, not 5")
    db = sqlite3.connect(os.path.join(out, "run.db"))
    kept, = db.execute("SELECT count(*) FROM reply WHERE state = 'ok'").fetchone()
    db.close()
    shutil.rmtree(out)
    if kept < ROUNDS * flight:
        raise Different(f"{kept} replies in the store, at least {ROUNDS * flight} were given")
    return ms, busy


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--reps", type=int, default=5)
    p.add_argument("--flight", type=int, default=1024)
    p.add_argument("--tmp")
    a = p.parse_args()
    cfbench, took, busy = program(), Median(), Median()
    with tempfile.TemporaryDirectory(dir=a.tmp, prefix="cfbench-bench-") as tmp:
        suite = os.path.join(tmp, "suite")
        make_suite(suite, a.flight * 20 // N_TASKS, prompt_bytes=1024)
        mock = Mock(cfbench, suite, LATENCY, tmp)
        try:
            for rep in range(a.reps):
                say(f"stop: round {rep + 1} of {a.reps}")
                ms, n = run(cfbench, suite, mock, a.flight, tmp)
                took.add(ms)
                busy.add(n)
        except Different as e:
            sys.exit(f"stop.py: FAILED: {e}")
        finally:
            mock.stop()
    print("## Stopping\n")
    print(f"SIGTERM with `--grace 0`; from the signal to the end of the process, everything committed. {a.reps} runs, median (min–max).\n")
    table(("calls in flight", "ms"), [(busy.show(), took.show(0))])


if __name__ == "__main__":
    main()
