"""Checks of a trace. Usage: schema FILE; run FILE SUMMARY.json run.db; score FILE SCORES.json

The schema follows the public description of the Trace Event Format, JSON object form; nothing here knows how cfbench writes it."""
import json, sqlite3, sys

NUMBER = (int, float)


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def check_event(e):
    assert isinstance(e, dict), e
    ph = e.get("ph")
    assert ph in ("X", "B", "E", "C", "M"), f"unknown phase: {e}"
    assert isinstance(e.get("name"), str) and e["name"], f"no name: {e}"
    assert isinstance(e.get("pid"), int) and isinstance(e.get("tid"), int), f"pid and tid are integers: {e}"
    assert isinstance(e.get("args", {}), dict), e
    if ph != "M":
        assert isinstance(e.get("ts"), NUMBER) and not isinstance(e["ts"], bool) and e["ts"] >= 0, f"no time: {e}"
    if ph == "X":
        assert isinstance(e.get("dur"), NUMBER) and e["dur"] >= 0, f"no duration: {e}"
        assert isinstance(e.get("cat"), str) and e["cat"], e
    if ph == "C":
        assert e["args"] and all(isinstance(v, NUMBER) for v in e["args"].values()), f"a counter's values are numbers: {e}"
    if ph == "M":
        assert e["name"] in ("process_name", "thread_name", "process_sort_index", "thread_sort_index", "process_labels"), e
        if e["name"].endswith("_name"):
            assert isinstance(e["args"].get("name"), str) and e["args"]["name"], e


def check_tracks(events):
    """Complete events of one track lie beside or within each other, and every track has a name."""
    tracks, names = {}, {}
    for e in events:
        if e["ph"] == "X":
            tracks.setdefault((e["pid"], e["tid"]), []).append((e["ts"], -e["dur"], e["name"]))
        if e["ph"] == "M" and e["name"] == "thread_name":
            assert (e["pid"], e["tid"]) not in names, f"two names of one track: {e}"
            names[(e["pid"], e["tid"])] = e["args"]["name"]
    for track, spans in tracks.items():
        assert track in names, f"track {track} has no name"
        open_until = []
        for ts, minus, name in sorted(spans):
            end = ts - minus
            while open_until and open_until[-1][0] <= ts + 1.5:  # times are cut to whole us here and there
                open_until.pop()
            assert not open_until or end <= open_until[-1][0] + 1.5, f"track {names[track]}: {name} at {ts} outlasts {open_until[-1]}"
            open_until.append((end, name))
    return names


def schema(path):
    d = load(path)
    assert isinstance(d, dict) and isinstance(d.get("traceEvents"), list) and d["traceEvents"], "no traceEvents"
    assert d.get("displayTimeUnit") in ("ms", "ns"), "displayTimeUnit"
    assert isinstance(d.get("otherData", {}), dict)
    for e in d["traceEvents"]:
        check_event(e)
    check_tracks(d["traceEvents"])
    other = d["otherData"]
    sums = {}
    for e in d["traceEvents"]:
        if e["ph"] == "X":
            s = sums.setdefault(f"{e['cat']}: {e['name']}", [0, 0.0])
            s[0] += 1
            s[1] += e["dur"] * 1e-6
    assert other["schema"] == "cfbench.trace/1" and other["missing_events"] == 0, other
    assert sums.keys() == other["sums"].keys(), (sums.keys() ^ other["sums"].keys())
    for k, (n, s) in sums.items():
        assert n == other["sums"][k]["events"], (k, n, other["sums"][k])
        near(k, s, other["sums"][k]["seconds"], n * 2e-9)
    return d, sums


def near(what, got, want, slack=1e-5):
    assert abs(got - want) <= 0.01 * abs(want) + slack, f"{what}: {got} in the trace, {want} in the summary"


def run(path, summary, db):
    d, sums = schema(path)
    s = load(summary)
    q = lambda sql: sqlite3.connect(db).execute(sql).fetchone()[0] or 0
    n = lambda k: sums.get(k, [0, 0])[0]
    t = lambda k: sums.get(k, [0, 0.0])[1]
    assert n("call: call") + n("call: failed call") == s["calls"], (sums, s["calls"])
    assert n("call: failed call") == sum(s["failed_calls_by_class"].values())
    assert n("row: row") == s["answered"] and n("row: row without a reply") == s["failed"], (sums, s)
    near("asking", t("generate: ask"), s["asking_s"])
    near("waiting for the limiter", t("wait: wait for a start"), s["waited_for_limiter_s"], 2e-6 * s["calls"])
    near("calls", t("call: call"), q("SELECT sum(latency_us) FROM answer WHERE from_cache = 0") * 1e-6)
    near("failed calls", t("call: failed call"), q("SELECT sum(latency_us) FROM failure") * 1e-6)
    tokens = sum(e["args"]["completion_tokens"] for e in d["traceEvents"] if e["name"] == "call")
    assert tokens == s["completion_tokens"], (tokens, s["completion_tokens"])
    items = sum(e["args"]["items"] for e in d["traceEvents"] if e["name"] == "commit")
    assert items >= s["calls"], items
    tasks = {e["args"]["task"] for e in d["traceEvents"] if e["name"] == "task"}
    assert len(tasks) == q("SELECT count(*) FROM task"), tasks
    # a row is its calls and its waits: its time is theirs, but for moments between them
    rows = t("row: row") + t("row: row without a reply")
    parts = t("call: call") + t("call: failed call") + sum(v[1] for k, v in sums.items() if k.startswith("wait: "))
    assert parts <= 1.01 * rows, (parts, rows)
    assert any(e["ph"] == "C" and e["name"] == "calls" for e in d["traceEvents"])


def score(path, scores):
    _, sums = schema(path)
    p = load(scores)["performance"]
    for name, key in (("read", "read_s"), ("cut", "cut_s"), ("check", "check_s"), ("work", "score_s"), ("commit", "commit_s"), ("wait", "wait_s")):
        near(name, sums.get(f"scan: {name}", [0, 0.0])[1], p[key])
    assert sums["command: command"][1] >= p["elapsed_s"], (sums, p)


{"schema": schema, "run": run, "score": score}[sys.argv[1]](*sys.argv[2:])
