"""Asks a chat server for rows of a JSON Lines suite with ThreadPoolExecutor and httpx: one side of tests/bench/client.py.

  python_client.py URL SUITE_DIR --limit ROWS_PER_TASK --workers N --replies OUT

One shared httpx client with as many connections as there are workers. The time runs from the first submit to the last
reply; start, imports and reading of the data are not in it. Replies stay in memory while it runs."""
import argparse
import json
import os
import resource
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx


connect = socket.create_connection


def connect_without_delay(*args, **more):
    """httpx leaves Nagle's algorithm on, which costs 40 ms a call at few connections: a user who measures turns it off."""
    s = connect(*args, **more)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


socket.create_connection = connect_without_delay


def cpu_s():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


def main():
    p = argparse.ArgumentParser()
    p.add_argument("url")
    p.add_argument("suite")
    p.add_argument("--limit", type=int, required=True)
    p.add_argument("--workers", type=int, required=True)
    p.add_argument("--replies", required=True)
    a = p.parse_args()
    with open(os.path.join(a.suite, "suite.json"), encoding="utf-8") as f:
        tasks = json.load(f)["tasks"]
    rows = []
    for t in tasks:
        with open(os.path.join(a.suite, t["name"] + ".jsonl"), encoding="utf-8") as f:
            for _, line in zip(range(a.limit), f):
                rows.append((json.loads(line)["input"], t["max_tokens"]))
    url = a.url + "/chat/completions"
    limits = httpx.Limits(max_connections=a.workers, max_keepalive_connections=a.workers)
    client = httpx.Client(limits=limits, timeout=120, trust_env=False, headers={"Authorization": "Bearer none"})

    def ask(row):
        prompt, max_tokens = row
        body = {"model": "mock", "messages": [{"role": "user", "content": prompt}], "temperature": 0, "max_tokens": max_tokens}
        r = client.post(url, json=body)
        r.raise_for_status()
        return r.json()["choices"][0]["message"]["content"].strip()

    cpu, begin = cpu_s(), time.perf_counter()
    with ThreadPoolExecutor(max_workers=a.workers) as pool:
        replies = list(pool.map(ask, rows))
    seconds, cpu = time.perf_counter() - begin, cpu_s() - cpu
    client.close()
    with open(a.replies, "w", encoding="utf-8") as f:
        for text in replies:
            f.write(json.dumps(text) + "\n")
    print(json.dumps({"calls": len(replies), "seconds": seconds, "cpu_s": cpu}))


main()
