# kill -9 at 20 random moments with 256 calls in flight: what was committed is never lost, never changed, never asked again.
import random
from ask import *

SUITE, ROWS, KILLS = os.environ["SUITE"], 4000, 20
out, pick = f"{T}/killed", random.Random()
options = ["--in-flight", "256", "--no-adaptive", "--quiet"]
sha = hashes(SUITE)


def committed():
    """As the next run finds it: SQLite reads the log that the killed one left."""
    return {k: r["content"] for k, r in Store(out).replies.items()} if os.path.exists(f"{out}/run.db") else {}


with Mock(SUITE, "--mock-latency", "0.3", "--mock-latency-sigma", "0.7") as m:
    snapshots = [(time.monotonic_ns(), {})]
    with check(f"replies never get fewer nor change over {KILLS} kills with 256 calls in flight"):
        moments = []
        for _ in range(KILLS):
            before = m.n_lines()
            a = Asking(SUITE, m.url, out, *options)
            want = pick.choice([0, 0, 1, pick.randrange(200), pick.randrange(200)])  # also before, and at, the first calls
            end = time.monotonic() + 60
            while m.n_lines() < before + want and a.process.poll() is None and time.monotonic() < end: pass
            time.sleep(pick.random() * (0.2 if want == 0 else 0.01))
            a.process.kill()
            a.process.wait()
            at = time.monotonic_ns()
            wait_until(lambda: m.stats()["in_flight"] == 0)
            try:
                now = committed()
            except sqlite3.OperationalError:  # the schema was not there yet
                now = {}
            for k, text in snapshots[-1][1].items(): assert now.get(k) == text, k
            snapshots.append((at, now))
            moments.append(len(now))
        assert len(set(moments)) > 5 and moments[-1] < ROWS, moments
    with check("the last run finishes, and asks only for what is missing"):
        asked, had = m.stats()["requests"], len(snapshots[-1][1])
        r = ask(SUITE, m.url, out, *options)
        assert r.code == 0, (r.code, r.err)
        assert m.stats()["requests"] - asked == ROWS - had, (m.stats()["requests"], asked, had)
        m.stop()
    with check("no committed reply was asked again"):
        log = m.log()
        for at, rows in snapshots:
            kept = {sha[k] for k in rows}
            again = [e for e in log if e["arrival_ns"] > at and e["sha256"] in kept]
            assert not again, f"{len(again)} of {len(kept)}"
    with check("at the end every row has the one reply that the mock gave, and no call is recorded twice"):
        store = Store(out)
        assert len(store.replies) == ROWS and not store.failures and set(store.states()) == {"ok"}
        want = collections.defaultdict(dict)
        for f in os.listdir(SUITE):
            if f.endswith(".jsonl"):
                for i, line in enumerate(open(f"{SUITE}/{f}", encoding="utf-8")): want[f[:-6]][i] = json.loads(line)["response"]
        wrong = [k for k, r in store.replies.items() if not want[k[0]][k[1]].startswith(r["content"])]
        assert not wrong, (len(wrong), wrong[:3])
        assert store.db.execute("pragma integrity_check").fetchone()[0] == "ok"
finish()
