"""What TLS costs: `cfbench generate` over http and https against the same nginx on loopback, which answers every POST with one fixed
reply. The certificate is made for the run, and stands at the end of the system's bundle, so that the whole bundle is read.

  tls.py [--reps 3] [--flight 256] [--rows 24000] [--tmp DIR]

Start-up: a run with one call for each one in flight, CPU over that of plain HTTP. Calls: CPU per call, over plain HTTP. After each run
every row must have exactly one reply with the text that nginx sends."""
import argparse
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

from client import N_TASKS, make_suite
from common import Child, Different, Median, program, say, table

BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
CONTENT = "回答" * 150


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_nginx(tmp, ports):
    body = json.dumps({"choices": [{"message": {"role": "assistant", "content": CONTENT}, "finish_reason": "stop"}],
                       "usage": {"prompt_tokens": 1000, "completion_tokens": 300}}, ensure_ascii=False)
    folders = " ".join(f"{k}_temp_path {tmp}/{k};" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(f"{tmp}/nginx.conf", "w", encoding="utf-8") as f:
        f.write(f"""daemon off; worker_processes 1; pid {tmp}/nginx.pid; error_log {tmp}/nginx.log;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 10000000; client_body_buffer_size 64k; {folders}
server {{ listen 127.0.0.1:{ports[0]} backlog=8192; listen 127.0.0.1:{ports[1]} ssl backlog=8192;
ssl_certificate {tmp}/cert.pem; ssl_certificate_key {tmp}/key.pem;
location / {{ default_type application/json; return 200 '{body}'; }} }} }}
""")
    return subprocess.Popen(["nginx", "-c", f"{tmp}/nginx.conf"], stderr=subprocess.DEVNULL)


def run(cfbench, suite, url, more, flight, limit, tmp):
    out = os.path.join(tmp, "run")
    child = Child([cfbench, "generate", "--suite", suite, "--shot", "zero", "--model", "m", "--base-url", url, "--limit", str(limit),
                   "--in-flight", str(flight), "--task-workers", str(N_TASKS), "--no-adaptive", "--api-rate-limit", "0", "--max-retries",
                   "0", "--quiet", "--json", "--out", out] + more)
    said = json.loads(child.out)
    db = sqlite3.connect(os.path.join(out, "run.db"))
    got, = db.execute("SELECT count(*) FROM reply WHERE state = 'ok' AND content = ?", (CONTENT,)).fetchone()
    db.close()
    shutil.rmtree(out)
    if got != limit * N_TASKS or said["calls"] != got:
        raise Different(f"{got} good replies, {said['calls']} calls, {limit * N_TASKS} expected")
    return said["asking_cpu_s"], said["asking_cpu_s"] / got * 1e6, got / said["asking_s"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--reps", type=int, default=3)
    p.add_argument("--flight", type=int, default=256)
    p.add_argument("--rows", type=int, default=24000)
    p.add_argument("--tmp")
    a = p.parse_args()
    cfbench = program()
    bundle = next((b for b in BUNDLES if os.path.exists(b)), None)
    print("## TLS\n")
    if not (shutil.which("nginx") or os.path.exists("/usr/sbin/nginx")) or not shutil.which("openssl") or not bundle:
        print("SKIPPED: needs nginx, openssl and the system's certificates (Debian: `apt install nginx-light openssl ca-certificates`).\n")
        return
    os.environ["PATH"] += ":/usr/sbin"
    with tempfile.TemporaryDirectory(dir=a.tmp, prefix="cfbench-bench-") as tmp:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                        f"{tmp}/key.pem", "-out", f"{tmp}/cert.pem", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, stderr=subprocess.DEVNULL)
        with open(f"{tmp}/bundle.pem", "wb") as f:
            for part in (bundle, f"{tmp}/cert.pem"):
                with open(part, "rb") as g:
                    f.write(g.read())
        suite = os.path.join(tmp, "suite")
        make_suite(suite, a.rows // N_TASKS)
        ports = free_port(), free_port()
        nginx = start_nginx(tmp, ports)
        sides = {"http": (f"http://127.0.0.1:{ports[0]}/v1", []),
                 "https": (f"https://127.0.0.1:{ports[1]}/v1", ["--ca-file", f"{tmp}/bundle.pem"])}
        m = {s: [Median(), Median(), Median()] for s in sides}
        try:
            time.sleep(0.5)
            for rep in range(a.reps):
                for s, (url, more) in sides.items():
                    say(f"tls: {s}, round {rep + 1} of {a.reps}")
                    m[s][0].add(run(cfbench, suite, url, more, a.flight, a.flight // N_TASKS, tmp)[0])
                    _, cpu, rate = run(cfbench, suite, url, more, a.flight, a.rows // N_TASKS, tmp)
                    m[s][1].add(cpu)
                    m[s][2].add(rate)
        except Different as e:
            sys.exit(f"tls.py: FAILED: {e}")
        finally:
            nginx.terminate()
            nginx.wait()
    print(f"{a.flight} calls in flight against nginx (one worker) that answers every POST the same; the certificate's bundle is the system's "
          f"({os.path.getsize(bundle) // 1024} KB). Medians of {a.reps} interleaved runs (min–max). CPU is the client's.\n")
    table(("", f"{a.flight} calls, CPU s", f"{a.rows:,} calls, CPU µs/call", "calls/s"),
          [(s, m[s][0].show(3), m[s][1].show(1), m[s][2].show()) for s in sides])
    print(f"Over plain HTTP: start-up {float(m['https'][0]) - float(m['http'][0]):.3f} s of CPU, "
          f"{(float(m['https'][1]) - float(m['http'][1])) - (float(m['https'][0]) - float(m['http'][0])) / a.rows * 1e6:.1f} µs a call "
          "without the start-up.\n")


main()
