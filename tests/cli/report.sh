# The report of a run: its account of the asking against SQL on the store, the same bytes for any number of threads, and the page in a
# real browser with replies that mean harm.
. "$(dirname "$0")/../lib.sh"
make_suite 40
hash_of() { "$CFBENCH" prompt --suite "$T/suite" --tasks "$1" --rows "$2" --hash | cut -f3; }
python3 - "$T/replies" "$(hash_of sector 0)" "$(hash_of sector 1)" "$(hash_of sector 2)" "$(hash_of sector 3)" "$(hash_of event 5)" <<'E2'
import json, sys
evil = ["<script>document.title='owned'</script><img src=x onerror=alert(1)>", "\u202e\u2066abc\u200f\ufeff",
        "x" * (1 << 20), "\x07\x1b[31m\x7f\x85 end", "]]></style><!-- \u2028 &amp;"]
with open(sys.argv[1], "w") as f:
    for sha, text in zip(sys.argv[2:], evil): f.write(json.dumps({"prompt_sha256": sha, "content": text}) + "\n")
E2
echo '{"mock-1": {"input_per_million": 3, "output_per_million": 12.5, "cached_input_per_million": 1, "currency": "EUR"}}' >"$T/prices"
"$CFBENCH" run --suite "$T/suite" --mock --model mock-1 --stream --replies "$T/replies" --mock-latency 0.02 --mock-latency-sigma 0.6 \
    --mock-faults 500:0.06,cut:0.03 --mock-max-inflight 24 --mock-prefix-cache --mock-reasoning hidden --max-tokens 1000000 --max-workers 8 \
    --api-rate-limit 0.001 --retry-base 0.02 --max-retries 12 --price-file "$T/prices" --usage-file "$T/usage.db" --progress off --out "$T/run" \
    >"$T/table" 2>"$T/err"
status=$?
if [ $status -ne 0 ]; then not_ok "report: a run with faults and streaming" "exit $status: $(tail -2 "$T/err")"; exit 1; fi
ok "report: a run with faults and streaming"

cat >"$T/compare.py" <<'E2'
# Every number of the account, by SQL.
import json, math, sqlite3, sys
run = sys.argv[1]
db = sqlite3.connect(f"{run}/run.db")
doc = json.load(open(f"{run}/scores.json", encoding="utf-8"))
assert doc["schema"] == "cfbench.scores/2", doc["schema"]
(a,) = doc["asking"]
def one(sql, *args): return db.execute(sql, args).fetchone()[0]
def close(x, y): assert x is not None and math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12), (x, y)
def rank(values, k): return values[(len(values) * k + 999) // 1000 - 1] / 1e6
def check(got, where):
    calls = "(SELECT * FROM attempt WHERE (fail <> 'none' OR (task_id, row) NOT IN (SELECT task_id, row FROM answer WHERE from_cache)) " + where + ")"
    answers = f"(SELECT * FROM answer WHERE NOT from_cache {where})"
    assert got["rows"] == one(f"SELECT count(*) FROM row WHERE 1 {where}")
    for state, n in got["states"].items():
        if state != "failed": assert n == one(f"SELECT count(*) FROM answer WHERE state = ? {where}", state), state
    assert sum(got["states"].values()) == got["rows"]
    assert got["calls"] == one(f"SELECT count(*) FROM {calls}")
    assert got["retries"] == one(f"SELECT count(*) - count(DISTINCT task_id << 32 | row) FROM {calls}")
    assert got["failed_calls"] == one(f"SELECT count(*) FROM {calls} WHERE fail <> 'none'")
    assert got["failed_calls_by_class"] == dict(db.execute(f"SELECT fail, count(*) FROM {calls} WHERE fail <> 'none' GROUP BY fail"))
    assert got["from_cache"] == one(f"SELECT count(*) FROM answer WHERE from_cache {where}")
    close(got["waited_for_limiter_s"], one(f"SELECT coalesce(sum(wait_us), 0) / 1e6 FROM {calls}"))
    for name in ("prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens"):
        assert got[name] == one(f"SELECT coalesce(sum({name}), 0) FROM {answers}"), name
    cost = one(f"SELECT sum(cost) / 1e6 FROM {answers}")
    if cost is None: assert got["cost"] is None
    else: close(got["cost"], cost)
    for member, column in (("latency", "latency_us"), ("time_to_first_text", "ttft_us")):
        values = sorted(v for (v,) in db.execute(f"SELECT {column} FROM {answers} WHERE {column} > 0"))
        assert got[member]["n"] == len(values)
        for q, k in (("p50", 500), ("p90", 900), ("p99", 990), ("p999", 999), ("max", 1000)):
            if values: close(got[member][q + "_s"], rank(values, k))
    spans = sorted((s * 1000 - w, s * 1000 + l) for s, w, l in db.execute(f"SELECT started_ms, wait_us, latency_us FROM {calls}"))
    busy, end = 0, None
    for b, e in spans:
        if end is None or b > end + 60_000_000: busy += e - b
        elif e > end: busy += e - end
        end = e if end is None or b > end + 60_000_000 else max(end, e)
    close(got["asking_s"], busy / 1e6)
    close(got["calls_per_s"], got["calls"] / (busy / 1e6))
    close(got["completion_tokens_per_s"], got["completion_tokens"] / (busy / 1e6))
check(a["all"], "")
names = dict(db.execute("SELECT name, task_id FROM task ORDER BY task_id"))
assert [t["task"] for t in a["tasks"]] == list(names)
for t in a["tasks"]: check(t, f"AND task_id = {names[t['task']]}")
series = a["series"]
assert 0 < len(series) <= 120 and all(math.isclose(p["at_s"], i * a["interval_s"]) for i, p in enumerate(series))
assert sum(p["replies"] for p in series) == a["all"]["calls"] - a["all"]["failed_calls"]
assert sum(p["failures"] for p in series) == a["all"]["failed_calls"]
assert sum(p["refusals"] for p in series) == one("SELECT count(*) FROM failure WHERE fail IN ('rate_limit', 'overloaded')")
in_calls = one("SELECT sum(latency_us) / 1e6 FROM attempt") - one("SELECT coalesce(sum(latency_us), 0) / 1e6 FROM answer WHERE from_cache")
last = a["all"]["asking_s"] - series[-1]["at_s"]
got = sum(p["in_flight"] for p in series[:-1]) * a["interval_s"] + series[-1]["in_flight"] * last
assert math.isclose(got, in_calls, rel_tol=1e-6), (got, in_calls)
limits = {n for (n,) in db.execute("SELECT in_flight_limit FROM sample")}
assert {p["limit"] for p in series} - {None} <= limits and any(p["limit"] for p in series)
assert {p["phase"] for p in series} - {None} <= {n for (n,) in db.execute("SELECT phase FROM sample")}
bins = a["latency_histogram"]
for b in bins:
    low, high = (math.ceil(round(b[k] * 1e6, 6)) for k in ("from_s", "to_s"))
    assert b["replies"] == one("SELECT count(*) FROM answer WHERE NOT from_cache AND latency_us >= ? AND latency_us < ?", low, high), b
assert sum(b["replies"] for b in bins) == a["all"]["latency"]["n"]
settings = {s["name"]: s["value"] for s in a["settings"]}
for name, value in db.execute("SELECT name, value FROM setting"): assert settings.pop(name) == value, name
assert sorted(settings) == ["store.cfbench", "store.created", "store.schema"], settings
print(a["all"]["calls"], a["all"]["failed_calls_by_class"], len(series))
E2
check "report: the account of the asking is what SQL says" python3 "$T/compare.py" "$T/run"
check "report: the run had failures, retries, cached and reasoning tokens, and a cost" python3 - "$T/run/scores.json" <<'E2'
import json, sys
a = json.load(open(sys.argv[1]))["asking"][0]
t = a["all"]
assert a["currency"] == "EUR" and t["cost"] > 0 and t["cached_tokens"] > 0 and t["reasoning_tokens"] > 0
assert t["retries"] == t["failed_calls"] > 0 and t["time_to_first_text"]["n"] == 320 and t["waited_for_limiter_s"] > 0
E2

for n in 1 2 8; do "$CFBENCH" score "$T/run" --threads $n --out "$T/threads.$n" >/dev/null 2>&1; done
check "report: same bytes for 1, 2 and 8 threads" bash -c "diff -r $T/threads.1 $T/threads.2 && diff -r $T/threads.1 $T/threads.8"
"$CFBENCH" report "$T/run" --out "$T/again" >"$T/lines" 2>&1
check "report: made again, the same bytes" bash -c "for f in report.html report.md scores.json; do cmp $T/run/\$f $T/again/\$f || exit 1; done"
calls=$(python3 -c "import json; print(f\"{json.load(open('$T/run/scores.json'))['asking'][0]['all']['calls']:,}\")") # retries depend on the machine's load
check "report: two lines in the terminal" bash -c "grep -c '^asking: $calls calls in .* failed (.*), .* retries, waited ' $T/lines && grep '^        latency p50 .*; tokens in .* cost [0-9.]* EUR$' $T/lines"
check "report: run's own table does not repeat what standard error said" bash -c "! grep asking: $T/table"

# The command in the report makes the same replies.
command=$(python3 -c "import json; (c,) = json.load(open('$T/run/scores.json'))['asking'][0]['commands']; print(c)")
( set -- $command; shift; "$CFBENCH" "$@" --out "$T/repeat" --quiet >/dev/null 2>&1 )
replies() { python3 -c "
import sqlite3, sys
for r in sqlite3.connect(sys.argv[1]).execute('SELECT task_id, row, state, content FROM reply ORDER BY 1, 2'): print(r)" "$1"; }
replies "$T/run/run.db" >"$T/replies.a"; replies "$T/repeat/run.db" >"$T/replies.b"
check "report: its command makes the same replies" bash -c "[ -s $T/replies.a ] && cmp $T/replies.a $T/replies.b"

# No key of any kind gets into a store or a report.
OPENAI_API_KEY=sk-geheim CFBENCH_HEADERS='X-Key: geheim-2' "$CFBENCH" generate --suite "$T/suite" --tasks sector --limit 2 --mock --header 'X-Other: geheim-3' \
    --quiet --out "$T/secret" >/dev/null 2>&1
"$CFBENCH" report "$T/secret" >"$T/out" 2>&1
check "report: no keys" bash -c "[ -e $T/secret/report.html ] && ! grep -r geheim $T/secret $T/out"
check "report: what stands for header values" grep -q -- '--header \.\.\.' "$T/secret/report.md"

# A pause between a run and its continuation is no time of asking: the store of the run, half of it an hour later.
mkdir "$T/paused"
python3 - "$T/run/run.db" "$T/paused/run.db" <<'E2'
import sqlite3, sys
src, dst = sqlite3.connect(sys.argv[1]), sqlite3.connect(sys.argv[2])
src.backup(dst)
mid = dst.execute("SELECT (min(started_ms) + max(started_ms)) / 2 FROM attempt").fetchone()[0]
for table in ("answer", "failure"): dst.execute(f"UPDATE {table} SET started_ms = started_ms + 3600000 WHERE started_ms > ?", (mid,))
dst.execute("UPDATE sample SET wall_ms = wall_ms + 3600000 WHERE wall_ms > ?", (mid,))
dst.commit()
E2
"$CFBENCH" report "$T/paused" >/dev/null 2>&1
check "report: a pause is left out" python3 "$T/compare.py" "$T/paused"
check "report: a pause is marked" python3 - "$T/paused" <<'E2'
import json, sys
a = json.load(open(f"{sys.argv[1]}/scores.json"))["asking"][0]
assert sum(p["resumed"] for p in a["series"]) == 1 and a["all"]["asking_s"] < 600, a["all"]["asking_s"]
assert open(f"{sys.argv[1]}/report.html", encoding="utf-8").read().count('class="pause"') == 3
E2

# A store of an older version, without notes, still tells its command.
mkdir "$T/old"
python3 - "$T/run/run.db" "$T/old/run.db" <<'E2'
import sqlite3, sys
src, dst = sqlite3.connect(sys.argv[1]), sqlite3.connect(sys.argv[2])
src.backup(dst)
dst.execute("DELETE FROM meta WHERE key <> 'created_at'"); dst.execute("DELETE FROM sample"); dst.commit()
E2
"$CFBENCH" report "$T/old" >/dev/null 2>&1
check "report: a store without notes and samples" python3 - "$T/old/scores.json" <<'E2'
import json, sys
a = json.load(open(sys.argv[1]))["asking"][0]
assert a["commands"] == ["cfbench run --suite sample --shot few --model mock-1 --mock --temperature 0.0 --max-tokens 1000000"], a["commands"]
assert a["currency"] is None and all(p["limit"] is None for p in a["series"])
E2

# A large run: 60,000 replies. The page stays small.
mkdir "$T/large"
python3 - "$T/run/run.db" "$T/large/run.db" <<'E2'
import random, sqlite3, sys
src, dst = sqlite3.connect(sys.argv[1]), sqlite3.connect(sys.argv[2])
src.backup(dst)
random.seed(1)
dst.execute("DELETE FROM row WHERE task_id = 1"); dst.execute("DELETE FROM answer WHERE task_id = 1")
for i in range(60000):
    dst.execute("INSERT INTO row VALUES(?, 1, ?, ?, 'k', 'in', NULL, 'ref')", (1 << 32 | i, i, str(i)))
    dst.execute("INSERT INTO answer VALUES(?, 1, ?, ?, 0, ?, NULL, 200, 0, 0, 'ok', 'stop', 10, 5, NULL, NULL, NULL, 'x', NULL, NULL)",
                (1 << 32 | i, i, 1767225600000 + i * 20, int(random.lognormvariate(13, 1))))
for i in range(1200): dst.execute("INSERT INTO sample(wall_ms, in_flight, in_flight_limit, done, failed_attempts, refused, waited_us, phase) VALUES(?, 50, ?, 0, 0, 0, 0, ?)",
                                  (1767225600000 + i * 1000, 40 + i % 20, ("grow", "hold", "probe")[i % 3]))
dst.commit()
E2
"$CFBENCH" report "$T/large" >/dev/null 2>&1
check "report: 60,000 replies, a page of less than 300 kB" bash -c "[ \$(wc -c <$T/large/report.html) -lt 300000 ] && grep -q 'replies (a sample)' $T/large/report.html"

# The page, read by a parser: nothing that runs or loads, nothing that reorders, hostile text as text.
check "report: the page holds hostile replies as text only" python3 - "$T/run/report.html" <<'E2'
import html.parser, sys
text = open(sys.argv[1], encoding="utf-8", newline="").read()
bad = {c for c in text if (ord(c) < 32 and c not in "\n\t") or 0x7f <= ord(c) <= 0x9f or c in "\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"}
assert not bad, sorted(map(hex, map(ord, bad)))
class P(html.parser.HTMLParser):
    stack, shown, ids, refs = [], [], [], []
    def handle_starttag(self, tag, attrs):
        assert tag not in ("script", "img", "iframe", "object", "link", "base", "form", "audio", "video"), tag
        for k, v in attrs:
            assert not k.startswith("on") and k not in ("src", "srcset", "action"), (tag, k)
            if k == "href": assert v.startswith("#"), v
            if k == "id": self.ids.append(v)
            if k == "aria-labelledby": self.refs += v.split()
        if tag != "meta": self.stack.append(tag)
    def handle_startendtag(self, tag, attrs): pass
    def handle_endtag(self, tag): assert self.stack.pop() == tag, tag
    def handle_data(self, data): self.shown.append(data)
p = P()
p.feed(text); p.close()
assert not p.stack and len(p.ids) == len(set(p.ids)) and set(p.refs) <= set(p.ids) and len(p.refs) == 8 + 2 * text.count('<svg class="hist len"')
shown = "".join(p.shown)
for part in ("<script>document.title='owned'</script>", "<img src=x onerror=alert(1)>", "U+202E", "x" * 1000, "\\x1B", "more characters"):
    assert part in shown, part[:80]
assert "http://" not in text.replace("127.0.0.1", "") and "https://" not in text and "@import" not in text and "url(" not in text
E2

mkdir "$T/files"
"$CFBENCH" report "$T/files" >"$T/out" 2>"$T/err"
check "report: of files with outputs: who makes it" grep -q "cfbench score $T/files --out DIR" "$T/err"

browser=${CHROMIUM:-/usr/bin/chromium}
if [ ! -x "$browser" ]; then skip "report: in a browser" "$browser is absent"; exit $bad; fi
open_page() { # page, mode, further options
    local page=$1
    shift
    timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update \
        --disable-sync --disable-dev-shm-usage --user-data-dir="$T/profile" --enable-logging=stderr --v=0 "$@" "file://$page"
}
echo '<!doctype html><meta http-equiv="Content-Security-Policy" content="default-src '"'none'"'"><script>1</script><title>control</title>' >"$T/control.html"
open_page "$T/control.html" --dump-dom >"$T/dom" 2>"$T/console"
check "report: a browser that tells of errors" grep -q 'CONSOLE' "$T/console"
open_page "$T/run/report.html" --dump-dom >"$T/dom" 2>"$T/console"
check "report: opens in a browser without an error" bash -c "[ -s $T/dom ] && ! grep CONSOLE $T/console"
check "report: every figure is in the browser's page, hostile replies are text" python3 - "$T/dom" <<'E2'
import re, sys
dom = open(sys.argv[1], encoding="utf-8").read()
for name in ("flight", "rates", "latency", "latencies"):
    figure = re.search(rf'<figure class="fig" id="{name}0">.*?</figure>', dom, re.S)
    assert figure, name
    svg = re.search(r"<svg.*</svg>", figure.group(0), re.S).group(0)
    assert re.search(r'<title id="\w+">[^<]+</title><desc id="\w+">[^<]+</desc>', svg), name
    assert len(re.findall(r"<(?:path|rect|line)\b", svg)) > 5, name
assert dom.count('<svg class="hist"') == 8, dom.count('<svg class="hist"')
assert dom.count('<svg class="hist len"') >= 2, dom.count('<svg class="hist len"')
assert dom.count("Highest scores") == dom.count("Lowest scores") >= 6
assert "<script" not in dom and "<img" not in dom and "onerror=alert(1)&gt;" in dom
assert "<title>Sample suite" in dom  # nobody changed it
E2
for scheme in 0 1; do
    open_page "$T/run/report.html" --hide-scrollbars --blink-settings=preferredColorScheme=$scheme --window-size=1100,3000 --screenshot="$T/page.$scheme.png" >/dev/null 2>&1
done
check "report: drawn, light and dark" bash -c "[ \$(wc -c <$T/page.0.png) -gt 50000 ] && [ \$(wc -c <$T/page.1.png) -gt 50000 ] && ! cmp -s $T/page.0.png $T/page.1.png"
open_page "$T/run/report.html" --print-to-pdf="$T/page.pdf" >/dev/null 2>&1
# Published results: the same figures from files of outputs, with what F1 tasks and texts need to be judged.
if [ -d "$SHARED/published/few-shot" ]; then
    "$CFBENCH" score "$SHARED/published" --suite datasets/cfbenchmark --label-set observed --out "$T/published" >"$T/out" 2>&1
    open_page "$T/published/report.html" --dump-dom >"$T/dom" 2>"$T/console"
    check "report: published results open in a browser without an error" bash -c "[ -s $T/dom ] && ! grep CONSOLE $T/console"
    check "report: published results: every figure" python3 - "$T/dom" "$T/published/scores.json" <<'E2'
import json, re, sys
dom = open(sys.argv[1], encoding="utf-8").read()
doc = json.load(open(sys.argv[2], encoding="utf-8"))
assert [(t["model"], t["task"]) for t in doc["tasks"]] == [("gpt-4.1-mini", "company"), ("gpt-4.1-mini", "suggestion"), ("gpt-4o-mini", "sentiment")]
assert dom.count('<svg class="hist"') == 3 and dom.count('<svg class="hist len"') == 2 and dom.count('<table class="cm">') == 1
assert dom.count("Lowest scores") == dom.count("Highest scores") == 3 and "<ins>" in dom and "<del>" in dom
for t in doc["tasks"]:
    low, high = t["interval"]["low"], t["interval"]["high"]
    assert low < t["score_all"] < high and f"{low:.3f}–{high:.3f}" in dom
    assert sum(b["rows"] for b in t["scores_by_length"]) == t["answered"]
    mean = sum(b["rows"] * b["mean_score"] for b in t["scores_by_length"]) / t["answered"]
    assert abs(mean - t["score_answered"]) < 1e-9, (mean, t["score_answered"])
s = doc["tasks"][2] # one label a row: what is not right is confused
assert sum(p["rows"] for p in s["confused"]) + sum(l["correct"] for l in s["labels"]) == s["rows"]
for l in s["labels"]: assert l["actual"] == l["correct"] + sum(p["rows"] for p in s["confused"] if p["reference"] == l["label"]), l
E2
else
    skip "report: published results" "$SHARED/published is absent"
fi
check "report: prints" bash -c "head -c 5 $T/page.pdf | grep -q %PDF-"
exit $bad
