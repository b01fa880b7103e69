# Pace and stopping, judged by the mock's clock. The machine may be busy: what a late thread alone can spoil is tried up to three
# times, and passes if it held once; a rate or a limit that is wrong is wrong each time.
import bisect, random, signal
from ask import *

SUITE = os.environ["SUITE"]
ROWS = 4000
number = 0


def out_dir():
    global number
    number += 1
    return f"{T}/run{number}"


def tries(what, n=3):
    for left in reversed(range(n)):
        try:
            return what()
        except AssertionError:
            if left == 0: raise


def arrivals(m): return sorted(e["arrival_ns"] / 1e9 for e in m.log())


def fullest(times, window_s):
    return max(bisect.bisect_left(times, t + window_s) - i for i, t in enumerate(times))


# ---- rates ----

def section_rps():
    rates = []

    def never_more():
        with Mock(SUITE, "--mock-latency", "0.1") as m:
            out = out_dir()
            r = ask(SUITE, m.url, out, "--in-flight", "256", "--no-adaptive", "--rps", "1000", "--quiet")
            assert r.code == 0, (r.code, r.err)
            t = arrivals(m)
            assert len(t) == ROWS
            rates.append((len(t) - 1) / (t[-1] - t[0]))
            assert rates[-1] <= 1005, rates
            # by the run's own clock, as a mock that woke late sees calls together that were not. 5 ms may be made up, the
            # times are whole milliseconds, and a thread may be held between taking its start and noting the time
            starts = sorted(r["started_ms"] / 1e3 for r in Store(out).replies.values())
            assert fullest(starts, 0.1) <= 105 + 5 + 2, fullest(starts, 0.1)
    with check("--rps 1000 over 256 calls in flight: never more, and no window of 100 ms overfull"): tries(never_more)

    for _ in range(3):
        if rates and max(rates) < 995: never_more()
    if os.getloadavg()[0] > os.cpu_count() and rates and max(rates) < 995:
        print(f"skip --rps 1000 is reached within 0.5 %: skipped: the machine has other work (load {os.getloadavg()[0]:.1f}, {max(rates):.1f}/s)")
    else:
        with check("--rps 1000 is reached within 0.5 %"): assert max(rates) >= 995, rates


def section_rpm():
    def rpm():
        with Mock(SUITE, "--mock-rpm", "6000", "--mock-latency", "0.05") as m:
            r = ask(SUITE, m.url, out_dir(), "--in-flight", "64", "--rpm", "6000", "--limit", "75", "--quiet")
            assert r.code == 0, (r.code, r.err)
            s, t = m.stats(), arrivals(m)
            assert s["refused"] == 0, s
            rate = (len(t) - 1) / (t[-1] - t[0]) * 60
            assert 5700 <= rate <= 6060, rate
    with check("--rpm: a server with the same limit refuses nothing, and is used up"): tries(rpm)

    def tpm():
        with Mock(SUITE, "--mock-tpm", "3000000", "--mock-latency", "0.05") as m:
            r = ask(SUITE, m.url, out_dir(), "--in-flight", "64", "--tpm", "2900000", "--limit", "100", "--quiet", "--retry-max", "5")
            assert r.code == 0, (r.code, r.err)
            s, t = m.stats(), arrivals(m)
            assert s["refused"] <= 2, s  # the first calls' tokens are guessed
            rate = (s["tokens_in"] + s["tokens_out"]) / (t[-1] - t[0]) * 60
            assert 2400000 <= rate <= 3100000, rate
    with check("--tpm: holds by the server's own count"): tries(tpm)


# ---- a hidden limit ----

def held(m, out, from_ms, to_ms):
    """The adaptive limit in the run's time series, between two times."""
    return [s["in_flight_limit"] for s in Store(out).samples() if from_ms <= s["wall_ms"] <= to_ms]


def median(v): return sorted(v)[len(v) // 2]


def section_adaptive():
    def settles():
        with Mock(SUITE, "--mock-max-inflight", "40", "--mock-latency", "0.1") as m:
            out = out_dir()
            r = ask(SUITE, m.url, out, "--in-flight", "256", "--max-retries", "20", "--quiet")
            assert r.code == 0, (r.code, r.err)
            limits = [s["in_flight_limit"] for s in Store(out).samples()]
            assert 36 <= median(limits[2:]) <= 44, limits
            s = m.stats()
            assert s["refused"] < 0.06 * ROWS, s
            peak = m.series()["max_in_flight"]
            assert m.stats()["max_in_flight"] <= 256 and median([p for p in peak if p][20:]) <= 44, peak
    with check("--adaptive finds a hidden limit of 40, within 10 %"): tries(settles)

    def follows():
        with Mock(SUITE, "--mock-max-inflight", "40", "--mock-latency", "0.1") as m:
            out = out_dir()
            a = Asking(SUITE, m.url, out, "--in-flight", "256", "--max-retries", "20", "--quiet")
            wait_until(lambda: m.n_lines() >= 1000)
            m.control(max_inflight=20)
            down = time.time() * 1000
            wait_until(lambda: m.n_lines() >= 2000)
            m.control(max_inflight=80)
            up = time.time() * 1000
            r = a.end()
            end = time.time() * 1000
            assert r.code == 0, (r.code, r.err)
            low, high = held(m, out, down + 2000, up), held(m, out, up, end)
            assert 16 <= median(low) <= 22, low
            assert max(high) >= 60, high  # from time to time a few more are tried, then it grows
    with check("--adaptive follows a limit that moves to 20 and to 80"): tries(follows)

    def no_queue():
        with Mock(SUITE, "--mock-slots", "16", "--mock-latency", "0.05") as m:
            out = out_dir()
            r = ask(SUITE, m.url, out, "--in-flight", "256", "--quiet")
            assert r.code == 0, (r.code, r.err)
            flight = [s["in_flight"] for s in Store(out).samples()]
            t = arrivals(m)
            took, ideal = t[-1] - t[0] + 0.05, ROWS * 0.05 / 16
            # 256 if nobody looked at the latency; the search stops where 95 % of the best rate is sure, a round or two of 16 up
            assert median(flight[2:]) <= 48, flight
            assert took < 1.15 * ideal, (took, ideal)
    with check("--adaptive: a server with 16 places gets no long queue, and keeps its throughput"): tries(no_queue)


# ---- one pool ----

def section_pool():
    import shutil
    suite = f"{T}/uneven"
    shutil.copytree(SUITE, suite)
    long = True
    total = 0
    for f in sorted(os.listdir(suite)):
        if not f.endswith(".jsonl"): continue
        lines = open(f"{suite}/{f}", encoding="utf-8").readlines()[:500 if long else 20]
        open(f"{suite}/{f}", "w", encoding="utf-8").writelines(lines)
        total += len(lines)
        long = False

    def one():
        with Mock(suite, "--mock-latency", "0.05") as m:
            r = ask(suite, m.url, out_dir(), "--task-workers", "8", "--max-workers", "4", "--no-adaptive", "--quiet")
            assert r.code == 0, (r.code, r.err)
            log = m.log()
            took = max(e["reply_ns"] for e in log) / 1e9 - min(e["arrival_ns"] for e in log) / 1e9
            ideal = -(-total // 32) * 0.05
            assert len(log) == total and took <= 1.05 * ideal + 0.02, (took, ideal)
    with check("one long and seven short tasks finish within 5 % of the ideal time"): tries(one, 5)


# ---- stopping ----

def run_until(m, calls, *options):
    out = out_dir()
    a = Asking(SUITE, m.url, out, "--no-adaptive", *options)
    wait_until(lambda: m.n_lines() >= calls)
    return out, a


def check_saved(m, out, before_ns):
    """What the mock had answered by then is in the store; nothing is there that it did not answer."""
    sha = {digest: row for row, digest in hashes(SUITE).items()}
    store = Store(out)
    answered = {sha[e["sha256"]] for e in m.log() if e["status"] == 200 and e["reply_ns"] < before_ns}
    lost = answered - set(store.replies)
    assert not lost, f"{len(lost)} of {len(answered)} answers are lost"
    assert set(store.replies) <= {sha[e["sha256"]] for e in m.log()}
    return store


def resumes(m, out, store):
    asked = m.stats()["requests"]
    r = ask(SUITE, m.url, out, "--in-flight", "256", "--quiet")
    assert r.code == 0 and len(Store(out).replies) == ROWS, (r.code, r.err)
    assert m.stats()["requests"] - asked == ROWS - len(store.replies), (m.stats(), asked, len(store.replies))


def section_stop():
    def at_once(n):
        def one():
            with Mock(SUITE, "--mock-latency", "0.4", "--mock-latency-sigma", "0.5") as m:
                out, a = run_until(m, 1200, "--in-flight", "1024", "--grace", "0")
                assert m.stats()["in_flight"] > 500, m.stats()
                now_ns = time.monotonic_ns()
                a.signal(n)
                r = a.end()
                assert r.code == 5 and "the same command continues" in r.err, (r.code, r.err)
                assert r.seconds < 2, r.seconds  # 0.2 s on a machine of its own
                # the mock notes a reply just before it leaves: on a busy machine it may arrive a little later
                resumes(m, out, check_saved(m, out, now_ns - 150_000_000))
        return one
    for name in ("SIGTERM", "SIGINT", "SIGUSR1"):
        with check(f"{name} with 1,024 calls in flight and --grace 0: out at once, with all that was answered"):
            tries(at_once(getattr(signal, name)))
    with check("SIGINT once: calls under way finish, and are kept"):
        with Mock(SUITE, "--mock-latency", "1") as m:
            out, a = run_until(m, 256, "--in-flight", "256")
            a.signal(signal.SIGINT)
            r = a.end()
            assert r.code == 5 and "again to give them up" in r.err, (r.code, r.err)
            s, store = m.stats(), Store(out)
            assert len(store.replies) == s["requests"] and s["by_status"] == {"200": s["requests"]}, (len(store.replies), s)
            assert not store.failures
            resumes(m, out, store)
    with check("SIGINT twice: out at once, no row is blamed"):
        with Mock(SUITE, "--mock-latency", "30") as m:
            out = out_dir()
            a = Asking(SUITE, m.url, out, "--in-flight", "256", "--no-adaptive")
            wait_until(lambda: m.stats()["in_flight"] == 256)
            a.signal(signal.SIGINT)
            wait_until(lambda: "again" in open(a.err).read())
            time.sleep(0.3)
            assert a.process.poll() is None
            a.signal(signal.SIGINT)
            r = a.end()
            store = Store(out)
            assert r.code == 5 and r.seconds < 5, (r.code, r.seconds, r.err)
            assert not store.replies and not store.failures
    with check("--grace: calls that take longer are given up"):
        with Mock(SUITE, "--mock-latency", "30") as m:
            out = out_dir()
            a = Asking(SUITE, m.url, out, "--in-flight", "64", "--grace", "1")
            wait_until(lambda: m.stats()["in_flight"] == 64)
            a.signal(signal.SIGTERM)
            r = a.end()
            assert r.code == 5 and 0.9 <= r.seconds < 10, (r.code, r.seconds, r.err)
            assert not Store(out).failures


for name, section in [(n[8:], f) for n, f in list(globals().items()) if n.startswith("section_")]:
    if wants(name): section()
finish()
