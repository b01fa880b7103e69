# The progress display: what the lines say, names of any length aligned (Chinese ones: test_report.c), nothing where it is off.
. "$(dirname "$0")/../lib.sh"
make_suite 30
python3 - "$T/suite" <<'E2'
import json, os, sys
d = sys.argv[1]
s = json.load(open(f"{d}/suite.json", encoding="utf-8"))
for t, name in zip(s["tasks"], ("a", "product-names", "sector", "a_name.that-is-much.longer-than-the.column")):
    t.setdefault("data", t["name"])
    t["name"] = name
json.dump(s, open(f"{d}/suite.json", "w", encoding="utf-8"), ensure_ascii=False)
E2
echo '{"mock": {"input_per_million": 3, "output_per_million": 12.5, "currency": "EUR"}}' >"$T/prices"
run() { # name, options
    local name=$1
    shift
    "$CFBENCH" generate --suite "$T/suite" --mock --mock-latency 0.1 --mock-max-inflight 10 --max-workers 8 --api-rate-limit 0 --retry-base 0.05 \
        --max-retries 30 --price-file "$T/prices" --usage-file "$T/usage.db" --out "$T/$name" "$@" >"$T/$name.out" 2>"$T/$name.err"
}
if ! run bar --progress bar; then not_ok "progress: a run" "$(tail -3 "$T/bar.err")"; exit 1; fi
check "progress: bars of all tasks begin in one column" python3 - "$T/bar.err" <<'E2'
import re, sys, unicodedata
text = open(sys.argv[1], encoding="utf-8").read()
width = lambda s: sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in s)
frames = text.split("\x1b[1A\x1b[2K")
last = [l for l in re.sub(r"\x1b\[[0-9]*[AK]", "", text).split("\n") if "[" in l and "] " in l][-9:]
assert len(last) == 9 and last[-1].startswith("all "), last
columns = {width(l[:l.index(" [")]) for l in last}
assert len(columns) == 1, (columns, last)
assert any("…" in l for l in last) and any(l.startswith("a  ") for l in last), last
assert all(re.search(r"\] 30/30 done, 0 failed, \d+ (retry|retries), [\d.]+/s$", l) for l in last[:-1]), last
assert re.search(r"\] 240/240 done, 0 failed, \d+ (retry|retries), [\d.]+/s, 0s left$", last[-1]), last[-1]
E2
pace='in flight 0 of [0-9]+ \((grow|search|trim|hold|probe)\), [1-9][0-9]* refused, [1-9][0-9]* tokens/s, cost 0\.[0-9]{6} EUR'
check "progress: calls in flight, limit, phase, refusals, tokens/s, cost" grep -Eq "^$pace\$" "$T/bar.err"
check "progress: redrawn, and every line taken away again" python3 - "$T/bar.err" <<'E2'
import sys
text = open(sys.argv[1], encoding="utf-8").read()
n = text.count("\x1b[1A\x1b[2K")
assert n > 0 and n % 10 == 0, n  # 8 tasks, all, pace
E2
run log --progress log
check "progress: one line in a log" bash -c "grep -Eq '^progress: 240/240 done, 0 failed, [0-9]+ retr(y|ies), [0-9.]+/s, 0s left; $pace\$' $T/log.err"
run plain --progress log --price-file "$T/prices" --no-adaptive --mock-max-inflight 0
check "progress: without the adaptive limit" grep -Eq 'in flight 0 of 64, 0 refused, ' "$T/plain.err"
run off --progress off
check "progress: off" bash -c "! grep -Eq 'progress:|in flight 0' $T/off.err"
run quiet --quiet
check "progress: quiet" test ! -s "$T/quiet.err"
# a narrow terminal: no line is longer than it, so that none is broken
check "progress: fits a terminal of 50 columns" python3 - "$CFBENCH" "$T" <<'E2'
import fcntl, os, pty, re, struct, subprocess, sys, termios, unicodedata
cfbench, t = sys.argv[1:]
m, s = pty.openpty()
fcntl.ioctl(s, termios.TIOCSWINSZ, struct.pack("HHHH", 8, 50, 0, 0))
p = subprocess.Popen([cfbench, "generate", "--suite", f"{t}/suite", "--mock", "--mock-latency", "0.1", "--api-rate-limit", "0", "--out", f"{t}/narrow"],
                     stderr=s, stdout=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm"})
os.close(s)
data = b""
while True:
    try: piece = os.read(m, 65536)
    except OSError: break
    if not piece: break
    data += piece
assert p.wait() == 0
width = lambda l: sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in l)
lines = [l for l in re.sub(r"\x1b\[[0-9]*[AK]", "", data.decode()).replace("\r", "").split("\n") if "[" in l and "] " in l or l.startswith("in flight")]
assert lines and max(map(width, lines)) <= 49, [l for l in lines if width(l) > 49]
assert any("…" in l for l in lines)
assert data.decode().split("\x1b[1A")[0].count("] ") <= 5  # 8 lines: 4 tasks and all
E2
exit $bad
