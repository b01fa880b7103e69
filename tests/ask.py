# For tests of asking: a mock to talk to, a stub with a handler of the test's own, runs of cfbench, and what a store holds.
import collections, contextlib, http.server, json, os, signal, socket, sqlite3, subprocess, sys, tempfile, threading, time
import traceback, urllib.request

CFBENCH = os.path.abspath(os.environ["CFBENCH"])
T = tempfile.mkdtemp(prefix="ask-", dir=os.environ.get("T"))
SERIAL = "serial" in subprocess.run([CFBENCH, "--version"], capture_output=True, text=True).stdout
for name in list(os.environ):
    if name.startswith(("OPENAI_", "CFBENCH_")) or name.lower().endswith("_proxy"): del os.environ[name]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
failed = []
processes = []


@contextlib.contextmanager
def check(name):
    """One line for tests/run.sh: a block that raises is a failed check."""
    try:
        yield
        print(f"ok {name}", flush=True)
    except BaseException as e:
        if isinstance(e, KeyboardInterrupt): raise
        where = traceback.extract_tb(e.__traceback__)[-1]
        why = " ".join(f"{type(e).__name__}: {e}".split())[:1500]
        print(f"not ok {name}: line {where.lineno}: {why}", flush=True)
        failed.append(name)


def wants(name):
    """Names on the command line choose sections; none: all."""
    return len(sys.argv) < 2 or name in sys.argv[1:]


def finish():
    for p in processes:
        if p.poll() is None: p.kill()
    sys.exit(1 if failed else 0)


def wait_until(what, most_s=60, every_s=0.01):
    end = time.monotonic() + most_s
    while not what():
        if time.monotonic() > end: raise AssertionError(f"it did not happen within {most_s} s")
        time.sleep(every_s)


def fetch(url, data=None):
    with opener.open(url, data, timeout=30) as r: return json.load(r)


class Mock:
    n = 0

    def __init__(self, suite, *options, port=0):
        Mock.n += 1
        self.suite, self.options, self.name = suite, options, f"{T}/mock{Mock.n}"
        self.logs, self.port = [], port
        self.start()

    def start(self):
        """Again on the same port after stop or kill."""
        log = f"{self.name}.{len(self.logs)}.log"
        port_file = f"{self.name}.port"
        if os.path.exists(port_file): os.remove(port_file)
        self.logs.append(log)
        argv = [CFBENCH, "mock", "--suite", self.suite, "--port", str(self.port), "--port-file", port_file, "--mock-log", log,
                "--mock-control", "--mock-error-rate", "0", "--quiet", *self.options]
        self.process = subprocess.Popen(argv, stderr=open(f"{self.name}.err", "ab"))
        processes.append(self.process)
        wait_until(lambda: (os.path.exists(port_file) and os.path.getsize(port_file) > 0) or self.process.poll() is not None)
        if self.process.poll() is not None: raise AssertionError(open(f"{self.name}.err").read())
        self.port = int(open(port_file).read())
        self.root = f"http://127.0.0.1:{self.port}"
        self.url = self.root + "/v1"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None: self.process.terminate()
        self.process.wait()

    def control(self, **settings):
        return fetch(self.root + "/mock/control", json.dumps(settings).encode())

    def stats(self): return fetch(self.root + "/mock/stats")
    def series(self): return fetch(self.root + "/mock/series")

    def n_lines(self):
        n = 0
        for log in self.logs:
            if os.path.exists(log):
                with open(log, "rb") as f: n += f.read().count(b"\n")
        return n

    def log(self):
        """Chat calls, in the order of the file; a line that a kill cut off is left out."""
        out = []
        for log in self.logs:
            if not os.path.exists(log): continue
            for line in open(log, encoding="utf-8"):
                with contextlib.suppress(ValueError):
                    r = json.loads(line)
                    if r["route"] == "chat": out.append(r)
        return out

    def __enter__(self): return self
    def __exit__(self, *_): self.stop()


class Stub:
    """A server of the test's own: answer(body, number) gives (status, headers, bytes); calls are kept with their times."""

    def __init__(self, answer):
        self.calls, self.lock = [], threading.Lock()
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def log_message(self, *_): pass
            def do_POST(self):
                now = time.monotonic()
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with stub.lock:
                    stub.calls.append((now, body))
                    number = len(stub.calls) - 1
                status, headers, data = answer(body, number)
                self.send_response(status)
                for k, v in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
                    self.send_header(k, v)
                self.end_headers()
                self.wfile.write(data)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 256
            def handle_error(self, *_): pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self): return self
    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def chat(content, **more):
    """A whole reply as a server sends it; content may be raw JSON in bytes."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    usage = more.pop("usage", {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
    finish = more.pop("finish", "stop")
    return (b'{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",'
            b'"content":' + text + b'},"finish_reason":' + json.dumps(finish).encode() + b'}],"usage":' +
            json.dumps(usage).encode() + b"}")


Result = collections.namedtuple("Result", "code out err seconds")
FAST = ["--api-rate-limit", "0", "--retry-base", "0.01", "--retry-max", "0.05", "--progress", "off", "--model", "m"]


def command(suite, url, out, *options, what="generate"):
    return [CFBENCH, what, "--suite", suite, "--base-url", url, "--out", out, *FAST, *options]


def ask(suite, url, out, *options, what="generate", most_s=300, env=None):
    begin = time.monotonic()
    argv = command(suite, url, out, *options, what=what)
    p = subprocess.run(argv, capture_output=True, timeout=most_s, env={**os.environ, **(env or {})})
    err = p.stderr.decode("utf-8", "replace")
    if p.returncode < 0 or p.returncode >= 126 or "Sanitizer" in err or "runtime error" in err:
        raise AssertionError(f"it crashed: {p.returncode}: {err[-3000:]}")
    return Result(p.returncode, p.stdout, err, time.monotonic() - begin)


class Asking:
    """A run in the background."""

    def __init__(self, suite, url, out, *options, what="generate", prefix=()):
        self.err = f"{T}/asking.err"
        argv = [*prefix, *command(suite, url, out, *options, what=what)]
        self.process = subprocess.Popen(argv, stdout=open(f"{T}/asking.out", "wb"), stderr=open(self.err, "wb"))
        processes.append(self.process)

    def signal(self, n): self.process.send_signal(n)

    def end(self, most_s=120):
        begin = time.monotonic()
        self.process.wait(most_s)
        return Result(self.process.returncode, open(f"{T}/asking.out", "rb").read(), open(self.err, encoding="utf-8").read(),
                      time.monotonic() - begin)


class Store:
    def __init__(self, out):
        self.db = sqlite3.connect(f"{out}/run.db")
        self.db.row_factory = sqlite3.Row
        name = dict(self.db.execute("select task_id, name from task").fetchall())
        self.rows = [(name[r[0]], r[1]) for r in self.db.execute("select task_id, row from row order by 1, 2")]
        self.replies = {(name[r["task_id"]], r["row"]): dict(r) for r in self.db.execute("select * from reply")}
        self.failures = collections.defaultdict(list)  # in the order of their commits
        for r in self.db.execute("select * from failure order by failure_id"):
            self.failures[name[r["task_id"]], r["row"]].append(r["fail"])

    def samples(self): return self.db.execute("select * from sample order by sample_id").fetchall()
    def states(self): return collections.Counter(r["state"] for r in self.replies.values())
    def classes(self): return collections.Counter(f for l in self.failures.values() for f in l)


def hashes(suite, *options):
    """(task, row) -> SHA-256 of its prompt."""
    p = subprocess.run([CFBENCH, "prompt", "--suite", suite, "--hash", *options], capture_output=True, check=True)
    out = {}
    for line in p.stdout.decode().splitlines():
        task, row, sha = line.split("\t")[:3]
        out[task, int(row)] = sha
    return out
