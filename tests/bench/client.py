"""Asking side by side: `cfbench generate`, every reply committed to its run store, and Python's ThreadPoolExecutor + httpx,
against the same `cfbench mock`. Calls/s without latency, share of the ideal rate with 200 ms, CPU per call.

  client.py [--reps 3] [--flights 8,64,256] [--wide] [--rows 48000] [--python-rows 4800] [--rounds 25] [--tmp DIR]

--rows, --python-rows: calls of a run without latency. --rounds: with latency a run has this many calls for each one in
flight, so the ideal time is rounds x latency for both sides. --wide adds 1,024 in flight, and, with latency, 4,096 (cfbench
alone). After each run every row must have exactly one reply, with the text that the mock must give, and the mock must
have seen exactly that many calls; else the benchmark ends with status 1."""
import argparse
import json
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time
import subprocess
import urllib.request

from common import PYTHON, ROOT, Child, Different, Median, file_system, program, python_has, ratio, say, table

HERE = os.path.dirname(os.path.abspath(__file__))
N_TASKS = 8
PROMPT_BYTES = 4096
LATENCY = 0.2
TICK = os.sysconf("SC_CLK_TCK")


# ---- suite ----


def make_suite(folder, per_task, prompt_bytes=PROMPT_BYTES):
    """8 tasks of prompts of 4 KB and replies of about 200 characters, ideographs both. Returns the replies, task by task."""
    rng = random.Random(1)
    pool = "".join(chr(0x4E00 + rng.randrange(0x1500)) + ("，" if i % 11 == 10 else "") for i in range(60000))
    os.makedirs(folder)
    tasks = [{"name": f"t{k}", "kind": "generation", "metric": "tf", "max_tokens": 512, "prompt": {"zero": "{input}"}}
             for k in range(N_TASKS)]
    with open(os.path.join(folder, "suite.json"), "w", encoding="utf-8") as f:
        json.dump({"schema": "cfbench.suite/1", "name": "bench", "tasks": tasks}, f)
    want = []
    for k in range(N_TASKS):
        replies = []
        with open(os.path.join(folder, f"t{k}.jsonl"), "w", encoding="utf-8") as f:
            for i in range(per_task):
                head = f"[{k}/{i}] "
                n = (prompt_bytes - len(head)) // 3
                at, to = rng.randrange(len(pool) - n), rng.randrange(len(pool) - 260)
                prompt = head + pool[at:at + n]
                prompt += "." * (prompt_bytes - len(prompt.encode()))
                replies.append(pool[to:to + 180 + i % 40] + f"{k}/{i}")
                f.write(json.dumps({"input": prompt, "instruction": "", "response": replies[-1]}, ensure_ascii=False) + "\n")
        want.append(replies)
    return want


# ---- the mock ----


class Mock:
    def __init__(self, cfbench, suite, latency, tmp):
        port_file = os.path.join(tmp, "port")
        self.p = subprocess.Popen([cfbench, "mock", "--suite", suite, "--shot", "zero", "--mock-error-rate", "0", "--mock-latency",
                                   str(latency), "--port-file", port_file, "--quiet"])
        for _ in range(1200):
            if os.path.exists(port_file) and os.path.getsize(port_file):
                break
            if self.p.poll() is not None:
                raise Different("cfbench mock ended by itself")
            time.sleep(0.05)
        else:
            self.stop()
            raise Different("cfbench mock does not serve after 60 s")
        with open(port_file) as f:
            self.root = f"http://127.0.0.1:{int(f.read())}"
        self.url = self.root + "/v1"
        os.remove(port_file)
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def n_ok(self):
        with self.opener.open(self.root + "/stats") as r:
            s = json.load(r)
        if set(s["by_status"]) - {"200"}:
            raise Different(f"the mock gave other replies than 200: {s['by_status']}")
        return s["by_status"].get("200", 0)

    def cpu_s(self):
        with open(f"/proc/{self.p.pid}/stat") as f:
            v = f.read().rpartition(")")[2].split()
        return (int(v[11]) + int(v[12])) / TICK

    def stop(self):
        self.p.terminate()
        self.p.wait()


# ---- sides ----


def run_cfbench(cfbench, suite, url, limit, flight, want, tmp):
    out = os.path.join(tmp, "run")
    tasks = min(N_TASKS, flight)
    child = Child([cfbench, "generate", "--suite", suite, "--shot", "zero", "--model", "mock", "--base-url", url, "--limit", str(limit),
                   "--in-flight", str(flight), "--task-workers", str(tasks), "--no-adaptive", "--api-rate-limit", "0", "--max-retries", "0",
                   "--quiet", "--json", "--out", out], env={**os.environ, "OPENAI_API_KEY": "none"})
    n = limit * N_TASKS
    said = json.loads(child.out)
    if said["calls"] != n or said["answered"] != n or said["failed"]:
        raise Different(f"cfbench generate says {said}")
    db = sqlite3.connect(os.path.join(out, "run.db"))
    tries, = db.execute("SELECT count(*) FROM attempt").fetchone()
    if tries != n:
        raise Different(f"{tries} attempts in the run store, {n} expected")
    got = 0
    for name, row, state, content in db.execute("SELECT t.name, p.row, p.state, p.content FROM reply p JOIN task t USING (task_id)"):
        if state != "ok" or content != want[int(name[1:])][row]:
            raise Different(f"cfbench: {name} row {row}: {state}, {content[:60]!r}")
        got += 1
    db.close()
    if got != n:
        raise Different(f"{got} replies in the run store, {n} expected")
    shutil.rmtree(out)
    return {"rate": n / said["asking_s"], "whole": n / child.seconds, "cpu": said["asking_cpu_s"] / n * 1e6,
            "cpu_whole": child.cpu_s / n * 1e6, "mb": child.peak_mb}


def run_python(suite, url, limit, flight, want, tmp):
    path = os.path.join(tmp, "replies.jsonl")
    child = Child([PYTHON, os.path.join(HERE, "python_client.py"), url, suite, "--limit", str(limit), "--workers", str(flight),
                   "--replies", path])
    said = json.loads(child.out)
    with open(path, encoding="utf-8") as f:
        got = [json.loads(line) for line in f]
    if got != [text for replies in want for text in replies[:limit]]:
        raise Different("Python: a reply is missing or not what the mock must say")
    n = len(got)
    return {"rate": n / said["seconds"], "whole": n / child.seconds, "cpu": said["cpu_s"] / n * 1e6, "mb": child.peak_mb}


# ---- runs ----


def bench(mock, flight, limits, sides, reps, label):
    m = {s: {k: Median() for k in ("rate", "whole", "cpu", "cpu_whole", "mb", "mock")} for s in sides}
    for rep in range(reps):
        for s in sides:
            say(f"client: {label}, {flight} in flight, {s}, round {rep + 1} of {reps}")
            before, cpu = mock.n_ok(), mock.cpu_s()
            for k, v in sides[s](limits[s], flight).items():
                m[s][k].add(v)
            n = mock.n_ok() - before
            if n != limits[s] * N_TASKS:
                raise Different(f"the mock served {n} calls, {limits[s] * N_TASKS} expected")
            m[s]["mock"].add((mock.cpu_s() - cpu) / n * 1e6)
    return m


def show(m, side, key, digits=0):
    return m[side][key].show(digits) if side in m else "–"


def versus(m, key, up=True):
    if "python" not in m:
        return "–"
    c, p = m["cfbench"][key], m["python"][key]
    return ratio(c, p) if up else ratio(p, c)


def report_fast(results, limits):
    print("### No latency\n")
    print(f"{limits['cfbench'] * N_TASKS:,} calls of cfbench, {limits.get('python', 0) * N_TASKS:,} of Python in each run; the mock shares the "
          "cores. *Asking*: from the first call to the last commit (Python: to the last reply). Python's whole time has start, imports and "
          "reading in it; cfbench's has reading, prompts, the run store's rows, and closing it.\n")
    print("Calls per second:\n")
    table(("in flight", "cfbench, asking", "httpx, asking", "ratio", "cfbench, whole", "httpx, whole"),
          [(f, show(m, "cfbench", "rate"), show(m, "python", "rate"), versus(m, "rate"), show(m, "cfbench", "whole"),
            show(m, "python", "whole")) for f, m in results])
    print("CPU (user + system) of the client and of the mock that served it, µs per call, and peak memory of the client, MB:\n")
    table(("in flight", "cfbench, asking", "httpx, asking", "httpx / cfbench", "cfbench, whole", "mock, for cfbench", "mock, for httpx",
           "cfbench MB", "httpx MB"),
          [(f, show(m, "cfbench", "cpu"), show(m, "python", "cpu"), versus(m, "cpu", up=False), show(m, "cfbench", "cpu_whole"),
            show(m, "cfbench", "mock"), show(m, "python", "mock"), show(m, "cfbench", "mb"), show(m, "python", "mb")) for f, m in results])


def percent(m, side, ideal):
    if side not in m:
        return "–"
    r = Median()
    for v in m[side]["rate"].values:
        r.add(100 * v / ideal)
    return r.show(1)


def report_slow(results, rounds):
    print(f"### {LATENCY * 1000:.0f} ms latency\n")
    print(f"{rounds} calls for each one in flight, on both sides. *Ideal* is calls in flight / latency.\n")
    table(("in flight", "ideal calls/s", "cfbench, calls/s", "cfbench, % of ideal", "httpx, calls/s", "httpx, % of ideal",
           "cfbench, CPU µs/call", "httpx, CPU µs/call", "cfbench MB"),
          [(f, f"{f / LATENCY:,.0f}", show(m, "cfbench", "rate"), percent(m, "cfbench", f / LATENCY), show(m, "python", "rate"),
            percent(m, "python", f / LATENCY), show(m, "cfbench", "cpu"), show(m, "python", "cpu"), show(m, "cfbench", "mb"))
           for f, m in results])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--reps", type=int, default=3)
    p.add_argument("--flights", default="8,64,256", help="calls in flight; multiples of 8")
    p.add_argument("--wide", action="store_true", help="also 1,024 in flight; with latency also 4,096")
    p.add_argument("--rows", type=int, default=48000, help="calls of cfbench without latency")
    p.add_argument("--python-rows", type=int, default=4800)
    p.add_argument("--rounds", type=int, default=25, help="calls for each one in flight, with latency")
    p.add_argument("--tmp", help="folder for the files; default: a temporary one. Its disk takes the commits")
    a = p.parse_args()
    flights = [int(f) for f in a.flights.split(",")]
    if a.reps < 1 or a.rounds < 1 or any(f < 8 or f % 8 for f in flights) or min(a.rows, a.python_rows) < N_TASKS:
        sys.exit("client.py: --reps and --rounds need at least 1, --flights multiples of 8, --rows and --python-rows at least 8")
    slow = flights + ([f for f in (1024, 4096) if f not in flights] if a.wide else [])
    fast_limit = {"cfbench": a.rows // N_TASKS, "python": a.python_rows // N_TASKS}
    per_task = max(*fast_limit.values(), max(slow) // N_TASKS * a.rounds)
    cfbench, python = program(), python_has("httpx")

    with tempfile.TemporaryDirectory(dir=a.tmp, prefix="cfbench-bench-") as tmp:
        say(f"client: making a suite of {per_task * N_TASKS:,} rows")
        suite = os.path.join(tmp, "suite")
        want = make_suite(suite, per_task)
        disk = file_system(tmp)
        results = []
        for latency, list_ in ((0, flights + ([1024] if a.wide and 1024 not in flights else [])), (LATENCY, slow)):
            mock = Mock(cfbench, suite, latency, tmp)
            url = mock.url
            sides = {"cfbench": lambda limit, flight: run_cfbench(cfbench, suite, url, limit, flight, want, tmp)}
            if python:
                sides["python"] = lambda limit, flight: run_python(suite, url, limit, flight, want, tmp)
            try:
                for flight in list_:
                    use = {k: v for k, v in sides.items() if k == "cfbench" or flight <= 1024}
                    limits = fast_limit if latency == 0 else {k: flight // N_TASKS * a.rounds for k in use}
                    results.append((latency, flight, bench(mock, flight, limits, use, a.reps, f"{latency * 1000:.0f} ms")))
            except Different as e:
                sys.exit(f"client.py: FAILED: {e}")
            finally:
                mock.stop()
    print("## Asking\n")
    print(f"`cfbench generate` against Python's `ThreadPoolExecutor` + `httpx` (one shared client, as many connections as workers, "
          f"`TCP_NODELAY` set: with httpx's default, calls over few connections wait 40 ms for nothing), on the same `cfbench mock`. Prompts of {PROMPT_BYTES:,} bytes, replies of about 1 KB. cfbench commits each reply to its run store "
          f"(SQLite, `synchronous=FULL`, file system {disk}) before the row counts as done; Python keeps replies in memory. "
          f"Medians of {a.reps} interleaved runs (min–max). After every run: one reply for each row, each with the text that the mock "
          f"must give, and as many calls at the mock.\n")
    if not python:
        print(f"SKIPPED: the Python side (`{PYTHON}` has no httpx; Debian: `apt install python3-httpx`).\n")
    report_fast([(f, m) for lat, f, m in results if lat == 0], {k: v for k, v in fast_limit.items() if k == "cfbench" or python})
    report_slow([(f, m) for lat, f, m in results if lat], a.rounds)


if __name__ == "__main__":
    main()
