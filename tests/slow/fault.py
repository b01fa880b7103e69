# Every refusal of the system at many moments: a clear message and an ordinary exit, every reply that was answered is in the store (but
# for the one whose own memory was refused), and the same command finishes the run.
import random, resource
from ask import *

SUITE, FAIL = os.environ["SUITE"], os.environ["FAIL"]
SAMPLE = "datasets/sample"
WORDS = ("memory", "thread", "files", "wait for connections", "space", "cannot", "too many")
number = 0


def out_dir():
    global number
    number += 1
    return f"{T}/run{number}"


def attempt(m, suite, call, at, more, *options, kept=1, what="generate"):
    """One run with a fault, one without. Returns how often the call came and how the first one ended."""
    out, count = out_dir(), f"{T}/count"
    env = {"LD_PRELOAD": FAIL, "FAIL_CALL": call, "FAIL_AT": str(at), "FAIL_MORE": str(more), "FAIL_COUNT": count}
    before = m.stats()["by_status"].get("200", 0)
    name = f"{call} {at}+{more}"
    try:
        r = ask(suite, m.url, out, "--quiet", *options, env=env, most_s=90, what=what)
    except (AssertionError, subprocess.TimeoutExpired) as e:
        raise AssertionError(f"{name}: {e}")
    assert r.code in (0, 1, 2, 3, 4, 5), (name, r.code, r.err)
    assert r.code == 0 or any(w in r.err for w in WORDS), (name, r.code, r.err)
    wait_until(lambda: m.stats()["in_flight"] == 0)
    served = m.stats()["by_status"].get("200", 0) - before
    held = 0
    if os.path.exists(f"{out}/run.db"):
        with contextlib.suppress(sqlite3.OperationalError): held = len(Store(out).replies)
    assert served - held <= kept, (name, f"{served} answers, {held} kept", r.code, r.err)
    if r.code != 0:
        again = ask(suite, m.url, out, "--quiet", *options, what=what)
        assert again.code == 0, (name, "is not resumable", again.code, again.err, r.code, r.err)
    store = Store(out)
    assert len(store.replies) == len(store.rows) > 0, name
    assert store.db.execute("pragma integrity_check").fetchone()[0] == "ok", name
    return int(open(count).read()) if os.path.exists(count) else 0, r


small = ["--limit", "3", "--in-flight", "8"]
for options in ([], ["--stream"], ["--cache", f"{T}/cache.db", "--usage-file", f"{T}/usage.db"]):
    with check(f"memory refused at any moment{' ' if options else ''}{' '.join(options[:1])}: said, nothing lost"):
        with Mock(SAMPLE) as m:
            n, _ = attempt(m, SAMPLE, "malloc", 0, 0, *small, *options)
            assert n > 100, n
            pick = random.Random(n)
            ends = collections.Counter()
            for at in sorted({*range(1, 20), *(pick.randrange(1, n + 1) for _ in range(60)), *range(n - 5, n + 1)}):
                ends[attempt(m, SAMPLE, "malloc", at, pick.choice([0, 0, 3, 10**9]), *small, *options, kept=8)[1].code] += 1
            assert len(ends) > 1, ends  # some were fatal
with check("threads refused: said, nothing lost"):
    with Mock(SAMPLE) as m:
        n, _ = attempt(m, SAMPLE, "pthread_create", 0, 0, *small)
        assert n > 0
        for at in range(1, n + 1):
            for more in (0, 10**9): attempt(m, SAMPLE, "pthread_create", at, more, *small, kept=0)
for call in ("epoll_create1", "eventfd"):
    with check(f"{call} refused: said, nothing lost"):
        with Mock(SAMPLE) as m:
            n, _ = attempt(m, SAMPLE, call, 0, 0, *small)
            assert n > 0
            for at in range(1, n + 1): attempt(m, SAMPLE, call, at, 0, *small, kept=0)
with check("sockets refused for a while: tried again, the run finishes"):
    with Mock(SAMPLE) as m:
        for at in (1, 2, 5):
            _, r = attempt(m, SAMPLE, "socket", at, 4, *small, "--max-retries", "8", kept=0)
            assert r.code == 0, (r.code, r.err)


def limited(m, limits, *options, uid=None):
    """A run under real limits of the system. Returns its code and words."""
    out = out_dir()
    os.makedirs(out)
    def before():
        for what, value in limits: resource.setrlimit(what, (value, value))
        if uid is not None: os.setuid(uid)
    if uid is not None: os.chown(out, uid, uid)
    p = subprocess.run(command(SUITE, m.url, out, "--quiet", *options), capture_output=True, timeout=120, preexec_fn=before, env=
                       {**os.environ, "HOME": out, "TMPDIR": out})
    err = p.stderr.decode()
    # libcurl 7.88 divides by zero when a table of its own got no memory: not ours to mend, and what was committed must be there
    crashed = p.returncode == -8 and limits[0][0] == resource.RLIMIT_AS
    assert crashed or 0 <= p.returncode < 126, (limits, p.returncode, err)
    wait_until(lambda: m.stats()["in_flight"] == 0)
    return p.returncode, err, out


def starts(mib):
    """OpenBLAS takes 128 MB before main, and tries for ever when it does not get them: less tells nothing about us."""
    try:
        return subprocess.run([CFBENCH, "--version"], capture_output=True, timeout=5, preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_AS, (mib << 20, mib << 20))).returncode == 0
    except subprocess.TimeoutExpired:
        return False


with check("too few descriptors: said before the first call"):
    with Mock(SUITE) as m:
        code, err, _ = limited(m, [(resource.RLIMIT_NOFILE, 64)], "--in-flight", "256")
        assert code == 1 and "ulimit -Hn" in err and "--in-flight" in err, (code, err)
        assert m.stats()["requests"] == 0
if os.getuid() == 0 and not SERIAL:
    with check("too few threads: said before the first call"):
        for folder in (os.environ.get("T", T), T): os.chmod(folder, 0o755)
        with Mock(SUITE) as m:
            for n in (2, 3, 5):
                code, err, _ = limited(m, [(resource.RLIMIT_NPROC, n)], "--in-flight", "32", "--calls-per-thread", "1", uid=64321)
                assert code == 1 and "ulimit -u" in err, (n, code, err)
            assert m.stats()["requests"] == 0, m.stats()
else:
    print("skip too few threads: skipped: only root can become a user without processes, and a build without OpenMP has one thread")
with check("too little address space: no crash, no lost reply, resumable"):
    with Mock(SUITE) as m:
        codes = collections.Counter()
        base = next(mib for mib in range(300, 3000, 20) if starts(mib))
        for mib in (base, base + 10, base + 20, base + 40, base + 70, base + 110, base + 170, base + 300, base + 600):
            m.stop(); m.start()
            code, err, out = limited(m, [(resource.RLIMIT_AS, mib << 20)], "--in-flight", "256", "--no-adaptive")
            codes[code] += 1
            assert code in (0, -8) or err.strip(), (mib, code)
            held = len(Store(out).replies) if os.path.exists(f"{out}/run.db") and Store(out) else 0
            served = m.stats()["by_status"].get("200", 0)
            # at most those that a thread was reading when it got no memory, and those whose text got none on its way to the store
            # (and libgomp ends the process by itself when it gets none for a team)
            assert code == -8 or "libgomp" in err or served - held <= 64, (mib, served, held, code, err)
            r = ask(SUITE, m.url, out, "--quiet", "--in-flight", "64")
            assert r.code == 0, (mib, r.code, r.err, err)
finish()
