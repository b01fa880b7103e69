"""What the side-by-side benchmarks share: running a side, medians with their noise, Markdown tables."""
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PYTHON = os.environ.get("BENCH_PYTHON", "/usr/bin/python3")  # the system's: apt's python3-pandas and python3-httpx are there


class Different(Exception):
    """The two sides did not compute the same: the figures mean nothing."""


def program():
    path = os.environ.get("CFBENCH") or os.path.join(ROOT, os.environ.get("BUILD", "build/gcc"), "cfbench")
    if not os.access(path, os.X_OK):
        sys.exit(f"{os.path.basename(sys.argv[0])}: there is no program {path}: run `make`, or set BUILD or CFBENCH")
    return path


def python_has(*modules):
    code = "import " + ", ".join(modules)
    try:
        return subprocess.run([PYTHON, "-c", code], stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


class Child:
    """A finished process: wall time, CPU time, peak memory, output. begun: one that start() began."""

    @staticmethod
    def start(argv, **more):
        return time.perf_counter(), subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)

    def __init__(self, argv, want=(0,), begun=None, **more):
        begin, p = begun or self.start(argv, **more)
        self.out = p.stdout.read()  # these sides say at most a few lines on standard error, so that the pipe cannot fill up
        err = p.stderr.read()
        _, status, usage = os.wait4(p.pid, 0)
        self.seconds = time.perf_counter() - begin
        p.returncode = os.waitstatus_to_exitcode(status)
        p.stdout.close()
        p.stderr.close()
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.peak_mb = usage.ru_maxrss / 1024
        if p.returncode not in want:
            raise Different(f"{' '.join(argv[:3])} ... ended with status {p.returncode}: {err.decode(errors='replace')[-500:]}")


class Median:
    """The median of a side's runs; min and max are its noise."""

    def __init__(self):
        self.values = []

    def add(self, v):
        self.values.append(v)

    def __float__(self):
        return float(statistics.median(self.values))

    def show(self, digits=0):
        if not self.values:
            return "–"
        low, high = min(self.values), max(self.values)
        return f"{float(self):,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})"


def ratio(a, b):
    """a / b of the medians, and the same of the worst and best pairs of one round."""
    if not a.values or not b.values:
        return "–"
    pairs = sorted(x / y for x, y in zip(a.values, b.values))
    r = float(a) / float(b)
    digits = 0 if r >= 100 else 1 if r >= 10 else 2
    return f"{r:,.{digits}f} × ({pairs[0]:,.{digits}f}–{pairs[-1]:,.{digits}f})"


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(c) for c in row) + " |")
    print(flush=True)


def say(text):
    """Progress: on standard error, because standard output is the report."""
    print(text, file=sys.stderr, flush=True)


def file_system(path):
    try:
        return subprocess.run(["df", "--output=fstype", path], capture_output=True, text=True).stdout.split()[-1]
    except (OSError, IndexError):
        return "unknown"
