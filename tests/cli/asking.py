# The promises of a run that asks, one section each. What the mock served (its log) and what the store holds must agree.
import csv, glob, io, random, signal
from ask import *

SAMPLE, SUITE = "datasets/sample", os.environ["SUITE"]
SHARED = os.path.abspath("../shared/cfbenchmark")
number = 0


def out_dir():
    global number
    number += 1
    return f"{T}/run{number}"


# ---- a: every fault ----

RETRIED = {**dict.fromkeys(["429", "429-bare", "429-date", "429-ms", "429-float"], "rate_limit"),
           **dict.fromkeys(["500", "502", "504", "408", "409", "error200", "sse-error"], "server"),
           **dict.fromkeys(["503", "529"], "overloaded"),
           **dict.fromkeys(["cut", "reset", "badchunk", "sse-nodone"], "cut"),
           **dict.fromkeys(["badjson", "html"], "bad_reply"),
           **dict.fromkeys(["stall", "hang"], "timeout")}
FINAL = {"400": "bad_request", "413": "too_large", "context": "context_length", "huge": "reply_too_large"}
STOPS = {"401": "auth", "402": "payment", "403": "auth", "404": "not_found", "429-quota": "payment"}
STATES = {"empty": "empty", "null": "empty", "length": "truncated", "thinking": "truncated", "filter": "filtered"}
WHOLE = ["slow", "type", "gzip", "parts", "control", "sse-ping", "sse-crlf", "sse-split"]
STREAMED = ["sse-ping", "sse-crlf", "sse-split", "sse-error", "sse-nodone"]


def verify(store, log, sha, clean, tries, streamed=False):
    """Row by row: the failures in the store are those that the mock served, in order, and its reply is the last of them."""
    by_sha = collections.defaultdict(list)
    for r in sorted(log, key=lambda r: r["try"]): by_sha[r["sha256"]].append(r["fault"])
    assert sorted(store.rows) == sorted(sha), (len(store.rows), len(sha))
    unknown = set(by_sha) - set(sha.values())
    assert not unknown, f"{len(unknown)} prompts that no row has"
    done = failed_rows = 0
    for row, digest in sha.items():
        faults = [None if f in STREAMED and not streamed else f for f in by_sha[digest]]
        retried = {**RETRIED, "badjson": "cut"} if streamed else RETRIED
        classes = [retried.get(f) or FINAL.get(f) or STOPS.get(f) for f in faults]
        reply, failures = store.replies.get(row), store.failures.get(row, [])
        assert failures == [c for c in classes if c], (row, faults, failures)
        assert faults, (row, "was never asked")
        assert None not in classes[:-1], (row, faults, "was asked again after its reply")
        if classes[-1] is None:
            done += 1
            last = faults[-1]
            want = STATES.get(last, "filtered" if last == "filter400" else "ok")
            assert reply, (row, faults, "its reply is lost")
            assert reply["state"] == want, (row, faults, reply["state"])
            if want == "ok":
                text = clean[row]["content"]
                assert reply["content"] == text or (last == "control" and text in reply["content"]), (row, faults, reply["content"])
            if last == "length": assert clean[row]["content"].startswith(reply["content"]), (row, reply["content"])
        else:
            failed_rows += 1
            assert reply is None, (row, faults, reply["state"])
            assert faults[-1] in FINAL or len(faults) == tries, (row, faults, "was given up too early")
    return done, failed_rows


def clean_run(suite):
    with Mock(suite) as m:
        out = out_dir()
        r = ask(suite, m.url, out, "--in-flight", "64", "--quiet")
        assert r.code == 0, (r.code, r.err)
        return hashes(suite), Store(out).replies


LIMITS = ["--in-flight", "48", "--max-retries", "12", "--timeout", "60", "--quiet"]


def section_a():
    sha, clean = clean_run(SAMPLE)
    with Mock(SAMPLE) as m:
        for fault in [*RETRIED, *FINAL, *STATES, *WHOLE, "filter400"]:
            streamed = fault in STREAMED
            with check(f"fault {fault}: store and mock agree, row by row"):
                m.stop()
                m.logs.clear()
                share = 0.05 if fault in ("hang", "huge") else 0.3
                m.options = ("--mock-faults", f"{fault}:{share}")
                m.port = 0
                m.start()
                out, options = out_dir(), LIMITS
                if fault == "stall": options = [*LIMITS, "--idle-timeout", "1"]
                if fault == "hang": options = ["--timeout", "4", *LIMITS[:-3], "--quiet"]
                r = ask(SAMPLE, m.url, out, *options, *(["--stream"] if streamed else []))
                m.stop()
                done, lost = verify(Store(out), m.log(), sha, clean, 13, streamed)
                assert any(e["fault"] == fault for e in m.log()), "the fault never came"
                assert done + lost == len(sha)
                assert r.code == (3 if lost else 0), (r.code, lost, r.err)
                assert lost == 0 or fault in FINAL, r.err
    sha, clean = clean_run(SUITE)
    for streamed in (False, True):
        with check(f"20 % faults of all kinds over {len(sha)} rows{', streamed' if streamed else ''}: none lost, none twice"):
            kinds = [f for f in [*RETRIED, *FINAL, *STATES, *WHOLE, "filter400"] if f != "huge" and (streamed or f not in STREAMED)]
            spec = ",".join(f"{f}:{0.2 / len(kinds):.6f}" for f in kinds)
            with Mock(SUITE, "--mock-faults", spec, "--mock-latency", "0.005") as m:
                out = out_dir()
                r = ask(SUITE, m.url, out, "--in-flight", "128", "--max-retries", "12", "--timeout", "6", "--idle-timeout", "3",
                        "--quiet", *(["--stream"] if streamed else []))
                m.stop()
                done, lost = verify(Store(out), m.log(), sha, clean, 13, streamed)
                assert done + lost == len(sha) and lost > 0 and r.code == 3, (done, lost, r.code, r.err)
                assert {f for e in m.log() if (f := e["fault"])} == set(kinds)
                classes = {c for l in Store(out).failures.values() for c in l[-1:]}
    if os.path.isdir(SHARED):
        with check("the real suite of 3,920 rows with 20 % faults: all answered"):
            with Mock("cfbenchmark", "--data", SHARED, "--mock-faults", "429-ms:0.05,503:0.05,cut:0.05,badjson:0.05") as m:
                out = out_dir()
                r = ask("cfbenchmark", m.url, out, "--data", SHARED, "--in-flight", "128", "--max-retries", "20", "--quiet")
                assert r.code == 0, (r.code, r.err)
                store = Store(out)
                assert len(store.rows) == len(store.replies) == 3920, (len(store.rows), len(store.replies))
                assert set(store.states()) <= {"ok", "empty", "truncated"}, store.states()
    else:
        print("skip the real suite of 3,920 rows: skipped: ../shared/cfbenchmark is absent")


# ---- b: what no other row will escape ----

def one_message(err, *words):
    lines = [l for l in err.splitlines() if l and not l.startswith("asked ")]
    assert len(lines) == 1, lines
    for w in words: assert w in lines[0], (w, lines[0])


def section_b():
    cases = [("wrong key", ["--mock-key", "right"], {"OPENAI_API_KEY": "wrong-key-123"}, ["401", "OPENAI_API_KEY"], "auth"),
             ("no key", ["--mock-key", "right"], {}, ["401", "OPENAI_API_KEY"], "auth"),
             ("wrong model", ["--mock-faults", "404:1"], {}, ["404", "--model"], "not_found"),
             ("402", ["--mock-faults", "402:1"], {}, ["402", "credit"], "payment"),
             ("insufficient_quota", ["--mock-faults", "429-quota:1"], {}, ["429", "quota"], "payment")]
    for name, options, env, words, fail in cases:
        with check(f"{name}: seconds, one message, exit 4"):
            with Mock(SUITE, *options) as m:
                out = out_dir()
                r = ask(SUITE, m.url, out, "--in-flight", "64", "--max-retries", "10", "--quiet", env=env, what="run")
                assert r.code == 4, (r.code, r.err)
                one_message(r.err, *words)
                assert "wrong-key-123" not in r.err
                assert m.stats()["requests"] <= 2 * 64, m.stats()
                assert r.seconds < 30, r.seconds  # a minute and more if it asked for every row
                assert set(Store(out).classes()) == {fail}, Store(out).classes()
    with check("quota used up in the middle: exit 4, every answer kept, the same command continues"):
        with Mock(SUITE, "--mock-quota", "300", "--mock-latency", "0.01") as m:
            out = out_dir()
            r = ask(SUITE, m.url, out, "--in-flight", "32", "--quiet")
            assert r.code == 4, (r.code, r.err)
            one_message(r.err, "quota")
            assert len(Store(out).replies) == 300, len(Store(out).replies)
            m.control(quota=0)
            r = ask(SUITE, m.url, out, "--in-flight", "64", "--quiet")
            assert r.code == 0, (r.code, r.err)
            assert m.stats()["answered_again"] == 0, m.stats()
            assert len(Store(out).replies) == 3920


# ---- c: limits of patience with rows ----

def section_c():
    with check("--max-failures N: ends soon after N + 1 rows failed, exit 4, says so, resumable"):
        with Mock(SUITE, "--mock-faults", "400:0.1", "--mock-latency", "0.02") as m:
            out = out_dir()
            r = ask(SUITE, m.url, out, "--in-flight", "8", "--max-failures", "10", "--quiet")
            assert r.code == 4, (r.code, r.err)
            one_message(r.err, "--max-failures", "bad_request")
            n = len(Store(out).failures)
            assert 11 <= n <= 11 + 8, n
            m.control(faults="")
            r = ask(SUITE, m.url, out, "--in-flight", "64", "--quiet")
            assert r.code == 0 and m.stats()["answered_again"] == 0, (r.code, m.stats())
    with check("--max-failures SHARE: a run within it goes on, one beyond it ends early"):
        with Mock(SAMPLE, "--mock-faults", "400:0.1") as m:
            r = ask(SAMPLE, m.url, out_dir(), "--max-failures", "30%", "--quiet")
            assert r.code == 3, (r.code, r.err)
            m.control(faults="400:0.7")
            r = ask(SUITE, m.url, out_dir(), "--in-flight", "8", "--max-failures", "30%", "--quiet")
            assert r.code == 4 and "--max-failures" in r.err, (r.code, r.err)
            assert m.stats()["requests"] < 800, m.stats()
    with check("--max-attempts holds within a run and over all runs"):
        with Mock(SAMPLE, "--mock-faults", "500:0.6") as m:
            out = out_dir()
            for _ in range(4):
                r = ask(SAMPLE, m.url, out, "--max-attempts", "5", "--max-retries", "1", "--patience", "600", "--quiet")
                assert r.code == 3, (r.code, r.err)
            tries = collections.Counter(e["sha256"] for e in m.log())
            store, sha = Store(out), hashes(SAMPLE)
            assert max(tries.values()) == 5, max(tries.values())
            for row in store.rows:
                n = len(store.failures.get(row, []))
                assert n == 5 if row not in store.replies else n < 5, (row, n)
                assert tries[sha[row]] == n + (row in store.replies), (row, n)
            before = m.n_lines()
            r = ask(SAMPLE, m.url, out, "--max-attempts", "5")
            assert m.n_lines() == before and r.code == 3 and "--max-attempts" in r.err, (r.code, r.err)
            out = out_dir()  # more retries than attempts: the attempts count
            r = ask(SAMPLE, m.url, out, "--max-attempts", "2", "--max-retries", "9", "--quiet")
            assert r.code == 3, (r.code, r.err)
            assert max(map(len, Store(out).failures.values())) == 2, Store(out).classes()
    with check("--max-attempts does not count calls that reached no server"):
        with Mock(SAMPLE) as m:
            out = out_dir()
            assert ask(SAMPLE, m.url, out, "--limit", "2", "--quiet").code == 0
            r = ask(SAMPLE, "http://127.0.0.1:9/v1", out, "--moved", "--max-attempts", "1", "--max-retries", "0", "--quiet")
            assert r.code == 4 and Store(out).classes().get("connect", 0) > 0, (r.code, r.err, Store(out).classes())
            r = ask(SAMPLE, m.url, out, "--moved", "--max-attempts", "1", "--quiet")
            assert r.code == 0, (r.code, r.err)
    with check("--row-deadline: no call of a row starts or goes on after it"):
        with Mock(SAMPLE, "--mock-faults", "500:0.5,hang:0.1", "--mock-latency", "0.05") as m:
            out = out_dir()
            r = ask(SAMPLE, m.url, out, "--row-deadline", "1.5", "--max-retries", "100", "--retry-base", "0.3", "--retry-max", "0.3",
                    "--in-flight", "32", "--quiet")
            assert r.code in (0, 3), (r.code, r.err)
            first, last = {}, {}
            for e in m.log():
                first.setdefault(e["sha256"], e["arrival_ns"])
                last[e["sha256"]] = e["arrival_ns"]
            longest = max(last[s] - first[s] for s in first) / 1e9
            assert longest < 1.7, longest
            # a call that has no time left at all is not made
            short = [x for x in Store(out).db.execute("select latency_us from failure where fail = 'timeout'") if x[0] < 20000]
            assert len(short) <= 3, len(short)  # one may start just before its end
            assert r.seconds < 60, r.seconds
    with check("--idle-timeout: a stalled reply is given up, a slow one is not"):
        with Mock(SAMPLE, "--mock-faults", "stall:0.1,slow:0.2") as m:
            out = out_dir()
            r = ask(SAMPLE, m.url, out, "--idle-timeout", "0.6", "--timeout", "100", "--in-flight", "32", "--max-retries", "9")
            assert r.code == 0, (r.code, r.err)
            stalls = sum(e["fault"] == "stall" for e in m.log())
            assert Store(out).classes() == {"timeout": stalls} and stalls > 0, (Store(out).classes(), stalls)
            assert "silent" in r.err and r.seconds < 60, r.err


# ---- d: a server that goes away ----

GONE = ["--in-flight", "32", "--max-retries", "1", "--no-adaptive"]


def section_d():
    for name, more in [("", []), (", adaptive and with more calls allowed than are under way", ["--adaptive", "--in-flight", "1024"])]:
        with check(f"a server that dies and comes back: no row fails{name}"):
            with Mock(SUITE, "--mock-latency", "0.05") as m:
                out = out_dir()
                a = Asking(SUITE, m.url, out, *GONE, *more, "--patience", "300")
                wait_until(lambda: m.n_lines() >= 300)
                m.kill()
                time.sleep(2)
                m.start()
                back = time.monotonic()
                r = a.end()
                assert r.code == 0, (r.code, r.err)
                store = Store(out)
                assert len(store.replies) == 3920 and set(store.states()) == {"ok"}, store.states()
                assert "does not answer any more" in r.err and "answers again" in r.err, r.err
                again = [l for l in r.err.splitlines() if "answers again" in l]
                assert float(again[0].split("after ")[1].split()[0]) < 9, again  # it was away for 2 s
    with check("a server that says 503 for a while, then comes back: no row fails"):
        with Mock(SUITE, "--mock-latency", "0.02") as m:
            out = out_dir()
            a = Asking(SUITE, m.url, out, *GONE, "--patience", "300")
            wait_until(lambda: m.n_lines() >= 300)
            m.control(faults="503:1")
            time.sleep(2)
            m.control(faults="")
            r = a.end()
            assert r.code == 0 and len(Store(out).replies) == 3920, (r.code, r.err)
    with check("a server that freezes, then goes on: no row fails"):
        with Mock(SUITE, "--mock-latency", "0.02") as m:
            out = out_dir()
            a = Asking(SUITE, m.url, out, *GONE, "--patience", "300", "--timeout", "2")
            wait_until(lambda: m.n_lines() >= 300)
            m.process.send_signal(signal.SIGSTOP)
            time.sleep(5)
            m.process.send_signal(signal.SIGCONT)
            r = a.end()
            assert r.code == 0 and len(Store(out).replies) == 3920, (r.code, r.err)
    with check("one call at a time: a row that always fails is no dead server, however often it is tried"):
        sha = hashes(SAMPLE)
        poison = f"{T}/poison.jsonl"
        with open(poison, "w") as f: print(json.dumps({"prompt_sha256": sha["sector", 7], "status": 500, "content": "x"}), file=f)
        with Mock(SAMPLE, "--replies", poison) as m:
            out = out_dir()
            r = ask(SAMPLE, m.url, out, "--max-workers", "1", "--max-retries", "14", "--patience", "5", "--quiet")
            assert r.code == 3, (r.code, r.err)
            store = Store(out)
            assert store.failures == {("sector", 7): ["server"] * 15} and len(store.replies) == len(sha) - 1, store.classes()
    with check("one call at a time: a server that dies and comes back: no row fails"):
        with Mock(SAMPLE, "--mock-latency", "0.02") as m:
            a = Asking(SAMPLE, m.url, out_dir(), "--max-workers", "1", "--max-retries", "1", "--patience", "300")
            wait_until(lambda: m.n_lines() >= 30)
            m.kill()
            time.sleep(2)
            m.start()
            r = a.end()
            assert r.code == 0, (r.code, r.err)
    with check("a server that never comes back: ends after --patience with exit 4, resumable"):
        with Mock(SUITE, "--mock-latency", "0.05") as m:
            out = out_dir()
            a = Asking(SUITE, m.url, out, *GONE, "--patience", "3")
            wait_until(lambda: m.n_lines() >= 300)
            m.kill()
            r = a.end()
            assert r.code == 4, (r.code, r.err)
            assert "the same command continues" in r.err and 3 <= r.seconds < 25, (r.seconds, r.err)
            before = Store(out)
            got = {e["sha256"] for e in m.log() if e["status"] == 200}
            assert len(before.replies) >= len(got) - 32, (len(before.replies), len(got))
            m.start()
            r = ask(SUITE, m.url, out, *GONE, "--quiet")
            assert r.code == 0, (r.code, r.err)
            sha = hashes(SUITE)
            twice = {e["sha256"] for e in Mock.log(m)[len(got):]} & {sha[row] for row in before.replies}
            assert m.stats()["requests"] == 3920 - len(before.replies), (m.stats(), len(before.replies))


# ---- e: pauses that the server asks for ----

def starts_in_pause(calls, at, pause_s, slack_s):
    return [round(t - at, 3) for t in calls if at + slack_s < t < at + pause_s - 0.02]


def section_e():
    def date_in(s): return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + s))
    kinds = {"Retry-After in seconds": (429, lambda: {"Retry-After": "2"}, 2),
             "Retry-After with a fraction": (429, lambda: {"Retry-After": "1.5"}, 1.5),
             "Retry-After as a date": (503, lambda: {"Retry-After": date_in(3)}, 2),
             "retry-after-ms": (429, lambda: {"retry-after-ms": "1500"}, 1.5),
             "x-ratelimit-reset-requests at 0 remaining": (
                 200, lambda: {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1.5s"}, 1.5),
             "x-ratelimit-reset-tokens at 0 remaining": (
                 200, lambda: {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1500ms"}, 1.5)}
    for name, (status, headers, pause_s) in kinds.items():
        with check(f"{name}: no thread starts a call in the pause"):
            for attempt in range(3):  # a machine that is busy may see the header late: obeying it by chance is unlikely
                said = []
                def answer(body, n):
                    time.sleep(0.02)
                    if n != 40: return 200, {}, chat("x")
                    h = headers()
                    said.append(time.monotonic())
                    return status, h, chat("x") if status == 200 else b'{"error":{"message":"slow down","type":"requests"}}'
                with Stub(answer) as s:
                    r = ask(SAMPLE, s.url, out_dir(), "--in-flight", "8", "--task-workers", "4", "--calls-per-thread", "1",
                            "--retry-max", "60", "--quiet")
                    assert r.code == 0, (r.code, r.err)
                    early = starts_in_pause([t for t, _ in s.calls], said[0], pause_s, 0.3)
                    after = [t - said[0] for t, _ in s.calls if t > said[0] + 0.3]
                if not early: break
            assert not early, early
            assert after and min(after) < pause_s + 3, min(after, default=None)
    with check("429s of the mock, in every form: few are refused, and nothing starts meanwhile"):
        with Mock(SUITE, "--mock-latency", "0.02", "--mock-faults", "429:0.003,429-date:0.001,429-float:0.001") as m:
            for attempt in range(3):
                m.logs.clear()
                m.stop(); m.start()
                r = ask(SUITE, m.url, out_dir(), "--in-flight", "16", "--limit", "120", "--retry-max", "5", "--quiet")
                assert r.code == 0, (r.code, r.err)
                log = m.log()
                starts = [e["arrival_ns"] / 1e9 for e in log]
                early = [x for e in log if e["fault"] == "429" for x in starts_in_pause(starts, e["reply_ns"] / 1e9, 1, 0.3)]
                if not early: break
            assert sum(e["fault"] == "429" for e in log) > 0 and not early, early


# ---- f: parameters that a server does not take ----

def section_f():
    for profile in ("openai", "azure"):
        with check(f"{profile}: a reasoning model refuses max_tokens and temperature; asked again at once, later calls never send them"):
            # calls that take a while: a thread that the machine holds up between writing and sending is no later than others
            with Mock(SAMPLE, "--mock-profile", profile, "--mock-latency", "0.03") as m:
                out = out_dir()
                r = ask(SAMPLE, m.url, out, "--in-flight", "8", "--max-retries", "0", "--quiet", "--temperature", "0.5", "--model", "gpt-5")
                assert r.code == 0, (r.code, r.err)
                log, store = m.log(), Store(out)
                refused = [i for i, e in enumerate(log) if e["status"] == 400]
                assert 1 <= len(refused) <= 3 * 8, len(refused)
                assert max(refused) < 40, refused
                assert len(store.replies) == len(store.rows) and not store.failures, store.classes()
    with check("each refused parameter is left out of all later calls, and the limit goes under its other name"):
        def answer(body, n):
            for p in ("temperature", "max_tokens", "stop", "seed"):
                if p in body:
                    e = {"error": {"message": f"Unsupported parameter: '{p}' is not supported with this model."
                                   + (" Use 'max_completion_tokens' instead." if p == "max_tokens" else ""),
                                   "type": "invalid_request_error", "param": p, "code": "unsupported_parameter"}}
                    return 400, {}, json.dumps(e).encode()
            return 200, {}, chat("x")
        with Stub(answer) as s:
            out = out_dir()
            r = ask(SAMPLE, s.url, out, "--max-workers", "1", "--max-retries", "0", "--stop", "END", "--n-seed", "7", "--quiet")
            assert r.code == 0, (r.code, r.err)
            bodies = [b for _, b in s.calls]
            assert len(bodies) == len(Store(out).rows) + 4, len(bodies)
            for b in bodies[4:]:
                assert not {"temperature", "max_tokens", "stop", "seed"} & set(b) and b["max_completion_tokens"] > 0, b


# ---- g: reasoning ----

def section_g():
    with check("a limit that went into reasoning is truncated, and the run names the remedy"):
        with Mock(SAMPLE, "--mock-faults", "thinking:0.3") as m:
            out = out_dir()
            r = ask(SAMPLE, m.url, out)
            store = Store(out)
            n = sum(e["fault"] == "thinking" for e in m.log())
            assert store.states() == {"truncated": n, "ok": len(store.rows) - n} and n > 0, store.states()
            assert r.code == 0, (r.code, r.err)
            line = [l for l in r.err.splitlines() if "warning" in l and "--max-tokens-scale" in l]
            assert "--max-tokens-scale" in r.err.splitlines()[0], r.err  # the first one is named at once
            assert len(line) == 1 and "--max-tokens" in line[0] and str(n) in line[0] and "reasoning" in line[0], r.err
            r = ask(SAMPLE, m.url, out_dir(), "--quiet")
            assert "--max-tokens-scale" in r.err, r.err  # a warning, so --quiet shows it too
    with check("replies that were cut without reasoning are named too, whole ones are not"):
        with Mock(SAMPLE, "--mock-faults", "length:0.2") as m:
            r = ask(SAMPLE, m.url, out_dir())
            assert "--max-tokens" in r.err, r.err
            m.control(faults="")
            r = ask(SAMPLE, m.url, out_dir())
            assert "--max-tokens" not in r.err, r.err
    for profile in ("vllm", "openrouter", "ollama", "deepseek"):
        with check(f"reasoning in {profile}'s own field is stored, and not scored"):
            with Mock(SAMPLE, "--mock-profile", profile, "--mock-reasoning", "field") as m:
                out = out_dir()
                r = ask(SAMPLE, m.url, out, "--max-tokens-scale", "20", "--quiet")
                store = Store(out)
                assert r.code == 0 and set(store.states()) == {"ok"}, (r.code, store.states())
                assert all(x["reasoning"] and x["reasoning"] not in x["output"] and x["reasoning_tokens"] > 0
                           for x in store.replies.values())
    with check("<think> is taken off the output, the content keeps it; --keep-reasoning scores it"):
        with Mock(SAMPLE, "--mock-reasoning", "think") as m:
            out, kept = out_dir(), out_dir()
            r = ask(SAMPLE, m.url, out, "--max-tokens-scale", "20", "--quiet")
            k = ask(SAMPLE, m.url, kept, "--max-tokens-scale", "20", "--keep-reasoning", "--quiet")
            assert r.code == k.code == 0, (r.err, k.err)
            for x in Store(out).replies.values(): assert "<think>" in x["content"] and "think>" not in x["output"], x
            for x in Store(kept).replies.values(): assert "<think>" in x["output"], x


# ---- h: streams ----

def section_h():
    with check("--stream: the same outputs and tokens as without, and the time to the first text"):
        with Mock(SAMPLE, "--mock-ttft", "0.03", "--mock-tokens-per-s", "2000", "--mock-faults", "503:0.1,sse-ping:0.2,sse-split:0.2") as m:
            whole, piecewise = out_dir(), out_dir()
            a = ask(SAMPLE, m.url, whole, "--in-flight", "32", "--max-retries", "9", "--quiet")
            b = ask(SAMPLE, m.url, piecewise, "--in-flight", "32", "--max-retries", "9", "--stream", "--quiet")
            assert a.code == b.code == 0, (a.err, b.err)
            a, b = Store(whole).replies, Store(piecewise).replies
            same = ["content", "output", "state", "finish_reason", "prompt_tokens", "completion_tokens"]
            assert a.keys() == b.keys()
            for k in a: assert [a[k][c] for c in same] == [b[k][c] for c in same], (k, dict(a[k]), dict(b[k]))
            assert all(x["ttft_us"] is None for x in a.values())
            assert all(30000 <= x["ttft_us"] <= x["latency_us"] for x in b.values())


# ---- i: several addresses ----

def section_i():
    with check("two --base-url: both are used alike, and calls of one that dies go to the other"):
        with Mock(SUITE, "--mock-latency", "0.02") as one, Mock(SUITE, "--mock-latency", "0.02") as two:
            out = out_dir()
            a = Asking(SUITE, f"{one.url},{two.url}", out, "--in-flight", "32", "--max-retries", "4")
            wait_until(lambda: one.n_lines() + two.n_lines() >= 600)
            first, second = one.n_lines(), two.n_lines()
            one.kill()
            r = a.end()
            assert 0.7 < first / second < 1.4, (first, second)
            store = Store(out)
            assert r.code == 0 and len(store.replies) == 3920, (r.code, r.err)
            by = collections.Counter(x["endpoint"] for x in store.replies.values())
            assert by[0] >= first - 32 and by[0] + by[1] == 3920, by
            assert "the other addresses take its calls" in r.err, r.err
            assert len(store.failures) < 200, store.classes()  # it is let alone, not tried with every call
    with check("an address that comes back gets calls again"):
        with Mock(SUITE, "--mock-latency", "0.05") as one, Mock(SUITE, "--mock-latency", "0.05") as two:
            out = out_dir()
            a = Asking(SUITE, f"{one.url},{two.url}", out, "--in-flight", "16", "--max-retries", "4")
            wait_until(lambda: one.n_lines() + two.n_lines() >= 200)
            one.kill()
            time.sleep(2)
            one.start()
            r = a.end()
            assert r.code == 0 and "answers again" in r.err, (r.code, r.err)
            assert one.stats()["requests"] > 100, one.stats()


# ---- j: budgets ----

def section_j():
    prices = f"{T}/prices.json"
    json.dump({"m": {"input_per_million": 1000, "output_per_million": 2000, "currency": "EUR"}}, open(prices, "w"))
    for option, value, more in [("--max-requests", "500", []), ("--max-total-tokens", "300000", []),
                                ("--max-cost", "300", ["--price-file", prices])]:
        with check(f"{option}: never beyond it with 64 calls in flight, exit 5, the same command continues"):
            with Mock(SUITE, "--mock-latency", "0.02") as m:
                out, usage = out_dir(), f"{T}/usage{option}.db"
                r = ask(SUITE, m.url, out, "--in-flight", "64", "--usage-file", usage, option, value, *more, "--quiet")
                assert r.code == 5 and option in r.err, (r.code, r.err)
                one_message(r.err, option)
                s, n = m.stats(), len(Store(out).replies)
                used = {"--max-requests": s["requests"], "--max-total-tokens": s["tokens_in"] + s["tokens_out"],
                        "--max-cost": (1000 * s["tokens_in"] + 2000 * s["tokens_out"]) / 1e6}[option]
                assert n == s["requests"], (n, s)
                # tokens are estimated before a call: what is under way when the limit comes near may be a little off
                assert 0.8 * float(value) <= used <= float(value) * (1.0 if option == "--max-requests" else 1.02), used
                if option == "--max-requests": assert used == 500, used
                again = ask(SUITE, m.url, out, "--usage-file", usage, option, value, *more, "--quiet")
                assert again.code == 5 and m.stats()["requests"] - s["requests"] <= 64, (again.code, m.stats())
                r = ask(SUITE, m.url, out, "--in-flight", "64", "--usage-file", usage, "--quiet")
                assert r.code == 0 and len(Store(out).replies) == 3920 and m.stats()["answered_again"] == 0, (r.code, m.stats())


# ---- k: odd characters ----

def section_k():
    odd = [b'"a\\u2028b\\u2029c"', b'"tab\\tnl\\ncr\\rnul\\u0000bel\\u0007del\x7f"', b'"lone \\ud800 half"', b'"pair \\ud83d\\ude00"',
           b'"raw \xff\xfe bytes \xe4\xb8"', b'"bom \xef\xbb\xbf in the middle, \\"quotes\\", commas"', b'"=cmd|\' /C calc\'!A0"',
           b'"\\u0085 next line \\u000b \\u000c"', "\"重组\u2028并购\"".encode()]
    with check("odd characters in replies: stored, exported, scored again, all the same"):
        with Stub(lambda body, n: (200, {}, chat(odd[hash(body["messages"][-1]["content"]) % len(odd)]))) as s:
            out = out_dir()
            r = ask(SAMPLE, s.url, out, "--in-flight", "16", "--quiet", what="run")
            assert r.code == 0, (r.code, r.err)
            store = Store(out)
            assert len(store.replies) == len(store.rows)
            texts = {x["content"] for x in store.replies.values()}
            assert len(texts) == len(odd), len(texts)
            for t in texts: t.encode()
            assert any("\u2028" in t for t in texts) and any("\x00" in t or "nul" in t for t in texts)
            rows = 0
            for f in glob.glob(f"{out}/cfbenchmark-response/**/*.csv", recursive=True):
                for row in csv.DictReader(io.StringIO(open(f, encoding="utf-8", newline="").read(), newline="")):
                    rows += 1
            assert rows == len(store.rows), rows
            p = subprocess.run([CFBENCH, "export", out, f"{T}/jsonl", "--format", "jsonl"], capture_output=True)
            assert p.returncode == 0, p.stderr
            seen = {}
            for f in glob.glob(f"{T}/jsonl/*.jsonl"):
                for line in open(f, "rb").read().split(b"\n")[:-1]:
                    x = json.loads(line)
                    seen[x["task"], x["row"]] = x["content"]
            assert seen == {k: v["content"] for k, v in store.replies.items()}, "exported contents differ"
            def scores(*argv):
                p = subprocess.run([CFBENCH, "score", "--json", *argv], capture_output=True)
                assert p.returncode == 0, p.stderr
                d = json.loads(p.stdout)
                for t in d["tasks"]: t.pop("source", None)
                return {t["task"]: t for t in d["tasks"]}
            whole = scores(out)
            files = glob.glob(f"{T}/jsonl/*.jsonl")
            again = scores("--suite", SAMPLE, *files)
            for t in whole:
                for key in ("mean", "score", "value"):
                    if key in whole[t]: assert whole[t][key] == again[t][key], (t, whole[t], again[t])


# ---- l: what a run says of itself ----

def section_l():
    with check("generate --json agrees with the store and with the mock"):
        with Mock(SUITE, "--mock-faults", "503:0.05,cut:0.05,400:0.02,length:0.02", "--mock-reasoning", "hidden", "--mock-prefix-cache",
                  "--mock-latency", "0.005") as m:
            out = out_dir()
            r = ask(SUITE, m.url, out, "--in-flight", "64", "--max-tokens-scale", "20", "--json", "--quiet")
            assert r.code == 3, (r.code, r.err)
            j, store = json.loads(r.out), Store(out)
            assert j["truncated"] == store.states()["truncated"] > 0, (j, store.states())
            assert j["rows"] == len(store.rows) == 3920 and j["answered_before"] == 0
            assert j["answered"] == len(store.replies) and j["failed"] == 3920 - len(store.replies), (j, len(store.replies))
            assert j["calls"] == m.stats()["requests"] == len(store.replies) + sum(store.classes().values()), (j, m.stats())
            assert j["failed_calls_by_class"] == dict(store.classes()), (j["failed_calls_by_class"], store.classes())
            lost = collections.Counter(store.failures[k][-1] for k in store.rows if k not in store.replies)
            assert j["failed_by_class"] == dict(lost), (j["failed_by_class"], lost)
            for c in ("prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens"):
                assert j[c] == sum(x[c] or 0 for x in store.replies.values()), (c, j[c])
            assert j["prompt_tokens"] > 0 and j["reasoning_tokens"] > 0 and j["cached_tokens"] > 0
            assert j["retries"] == j["calls"] - 3920, j
            first = len(store.replies)
            r = ask(SUITE, m.url, out, "--in-flight", "64", "--max-tokens-scale", "20", "--json", "--quiet")
            j = json.loads(r.out)
            assert j["answered_before"] == first and j["answered"] + j["failed"] == 3920 - first, j


for name, section in [(n[8:], f) for n, f in list(globals().items()) if n.startswith("section_")]:
    if wants(name): section()
finish()
