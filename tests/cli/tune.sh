# cfbench tune: documents, files, the profile and who may override it. Speed is not judged here: tests/bench/tune.py does that.
. "$(dirname "$0")/../lib.sh"
tune() { "$CFBENCH" tune "$@" --suite sample --budget 0 --reps 1 --quiet; }
"$CFBENCH" run --suite sample --mock --quiet --progress off --out "$T/run" >/dev/null 2>&1
if tune score "$T/run/cfbenchmark-response" --out "$T/a" --json >"$T/a.json" 2>"$T/a.err"; then ok "tune score: one's own files"
else not_ok "tune score: one's own files" "$(tail -2 "$T/a.err")"; exit 1; fi
if tune client --in-flight 16 --mock-latency 0.005 --no-roofline --out "$T/b" --json >"$T/b.json" 2>"$T/b.err"; then ok "tune client: the mock"
else not_ok "tune client: the mock" "$(tail -2 "$T/b.err")"; exit 1; fi
if tune rate --mock-rpm 3000 --mock-latency 0.005 --out "$T/r" --json >"$T/r.json" 2>"$T/r.err"; then ok "tune rate: a limit is found"
else not_ok "tune rate: a limit is found" "$(tail -2 "$T/r.err")"; fi
# 50 calls/s; what is proved is never more, however busy the machine is
check "tune rate: what the server takes, and the profile" python3 -c '
import json, sys
d, p = (json.load(open(f)) for f in sys.argv[1:3])
(s,) = d["sweeps"]
assert s["what"] == "rate" and s["limited"] is True and d["roofline"] == [], s
assert 0 < p["rps"] <= 50 and "--rps %g " % p["rps"] in s["choice"], (p, s["choice"])
assert any(q["fate"] == "failed" for q in s["points"]) and s["noise"] > 0, s' "$T/r.json" "$T/r/profile.json"
if tune rate --mock-latency 0.005 --rps 50 --out "$T/u" --json >"$T/u.json" 2>"$T/u.err"; then ok "tune rate: no limit below --rps"
else not_ok "tune rate: no limit below --rps" "$(tail -2 "$T/u.err")"; fi
check "tune rate: no limit, no rate in the profile" python3 -c '
import json, sys
d, p = (json.load(open(f)) for f in sys.argv[1:3])
(s,) = d["sweeps"]
assert s["limited"] is False and s["choice"].startswith("--rps 50 ") and "rps" not in p, (s, p)' "$T/u.json" "$T/u/profile.json"
serial=$("$CFBENCH" --version | grep -c serial)
model=${BUILD:-build/gcc}/tools/oracle/bert_folder
[ -x "$model" ] && mkdir "$T/bert" && "$model" "$T/bert" || model=
if [ -z "$model" ]; then skip "tune embed" "the model's writer was not built"
elif tune embed --embed-model "$T/bert" --no-roofline --out "$T/e" --json >"$T/e.json" 2>"$T/e.err"; then ok "tune embed: texts of the suite"
else not_ok "tune embed: texts of the suite" "$(tail -2 "$T/e.err")"; fi
cat >"$T/check.py" <<'E3'
import csv, json, sys, xml.dom.minidom
path, folder, what, unit, serial = sys.argv[1:]
d = json.load(open(path))
assert d["schema"] == "cfbench.tune/1" and d == json.load(open(folder + "/tune.json"))
(s,) = d["sweeps"]
assert s["what"] == what and s["unit"] == unit and s["noise"] >= 0 and s["rate"] > 0
chosen = [p for p in s["points"] if p["fate"] == "chosen"]
assert len(chosen) == 1 and chosen[0]["options"] == s["choice"]
assert len(s["points"]) >= (1 if what == "embed" and serial == "1" else 2)  # one thread is all there is to embedding then
assert all(p["low"] <= p["median"] <= p["high"] and len(p["rates"]) == p["runs"] for p in s["points"] if p["runs"])
if what != "client":
    assert all(r["read_gbs"] > 0 and r["triad_gbs"] > 0 and (r["gemm_gflops"] is None or r["gemm_gflops"] > 0) for r in d["roofline"]) and (d["roofline"] or what != "score")
    assert s["speedup"][0]["threads"] == 1 and s["speedup"][0]["speedup"] == 1
    for p in s["speedup"][1:]:
        n, sp = p["threads"], p["speedup"]
        assert abs(p["karp_flatt"] - (1 / sp - 1 / n) / (1 - 1 / n)) < 1e-9 and abs(p["efficiency"] - sp / n) < 1e-12
rows = list(csv.DictReader(open(folder + "/tune.csv")))
assert len(rows) == sum(p["runs"] for p in s["points"]) and {r["options"] for r in rows} <= {p["options"] for p in s["points"]}
svg = xml.dom.minidom.parse(folder + "/tune.svg")
assert len(svg.getElementsByTagName("rect")) == 1 + sum(p["runs"] > 0 for p in s["points"])
profile = json.load(open(folder + "/profile.json"))
assert profile["x-profile"] == "cfbench.profile/1" and profile["x-machine"] == d["machine"]
for name, value in profile.items():
    if not name.startswith("x-"):
        assert f"--{name} {value}" in s["choice"], (name, value, s["choice"])
E3
check "tune score: JSON, CSV, SVG, profile" python3 "$T/check.py" "$T/a.json" "$T/a" score MB/s "$serial"
check "tune client: JSON, CSV, SVG, profile" python3 "$T/check.py" "$T/b.json" "$T/b" client calls/s "$serial"
if [ -n "$model" ]; then
    check "tune embed: JSON, CSV, SVG, profile" python3 "$T/check.py" "$T/e.json" "$T/e" embed tokens/s "$serial"
    printf 'id,words\n1,one text\n2,another text\n3,a third\n' >"$T/texts.csv"
    check "tune embed: a column of one's own" tune embed "$T/texts.csv" --column words --embed-model "$T/bert" --no-roofline --out "$T/e2"
    if tune all "$T/run/cfbenchmark-response" --embed-model "$T/bert" --in-flight 16 --mock-latency 0.005 --no-roofline --out "$T/all" --json >"$T/all.json" 2>"$T/all.err"; then ok "tune all"
    else not_ok "tune all" "$(tail -2 "$T/all.err")"; fi
    check "tune all: three sweeps, one profile that every command reads" python3 -c '
import json, subprocess, sys
d, p = (json.load(open(f)) for f in sys.argv[1:3])
assert [s["what"] for s in d["sweeps"]] == ["score", "embed", "client"], d["sweeps"]
assert p["in-flight"] == 16 and "--threads %d" % p["threads"] in d["sweeps"][0]["choice"], p
for name, value in p["x-embed"].items():
    assert name.startswith("x-") or f"--{name} {value}" in d["sweeps"][1]["choice"], p
# embedding has its own
p["threads"], p["x-embed"] = 3, {"threads": 5, "x-environment": {"OMP_PROC_BIND": "close"}}
json.dump(p, open(sys.argv[2], "w"))
for command, want in ((["embed", "a", "b"], 5), (["score", "a"], 3)):
    out = subprocess.run([sys.argv[3], *command, "--profile", sys.argv[2], "--print-config"], check=True, stdout=subprocess.PIPE).stdout
    assert json.loads(out)["threads"] == want, (command, json.loads(out)["threads"])' "$T/all.json" "$T/all/profile.json" "$CFBENCH"
fi
if tune embed --no-roofline --out "$T/d" 2>"$T/d.err"; then not_ok "tune embed: without a model" "exit 0"; else check "tune embed: without a model" grep -q -- '--embed-model' "$T/d.err"; fi
check "tune: nothing is left in TMPDIR" bash -c "mkdir '$T/tmp' && TMPDIR='$T/tmp' '$CFBENCH' tune score '$T/run/cfbenchmark-response' --suite sample --budget 0 --reps 1 --quiet --no-roofline --out '$T/c' && [ -z \"\$(ls '$T/tmp')\" ]"
if tune everything --out "$T/d" 2>"$T/d.err"; then not_ok "tune: an unknown subject" "exit 0"; else check "tune: an unknown subject" grep -q 'none of: score, embed, client, rate, all' "$T/d.err"; fi
if tune score "$T/none" --no-roofline --out "$T/d" 2>"$T/d.err"; then not_ok "tune: data that is not there" "exit 0"; else check "tune: data that is not there" grep -q "$T/none" "$T/d.err"; fi

if tune score "$T/run/cfbenchmark-response" --tasks nonesuch --no-roofline --out "$T/d" 2>"$T/d.err"; then not_ok "tune: --tasks holds for the runs" "exit 0"; else check "tune: --tasks holds for the runs" grep -q "nonesuch: none of these" "$T/d.err"; fi

# the profile: below the config file, variables and options; keyed to the machine
set_of() { "$CFBENCH" generate --mock --suite sample --print-config "$@" 2>"$T/e.err" | python3 -c 'import json,sys; print(json.load(sys.stdin)["in-flight"])'; }
here=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["x-machine"])' "$T/a/profile.json")
echo "{\"x-profile\": \"cfbench.profile/1\", \"x-machine\": \"$here\", \"in-flight\": 33}" >"$T/p.json"
echo '{"in-flight": 44}' >"$T/config.json"
is() { if [ "$2" = "$3" ]; then ok "profile: $1"; else not_ok "profile: $1" "$2, not $3: $(tail -1 "$T/e.err")"; fi; }
is "is loaded" "$(set_of --profile "$T/p.json")" 33
if [ -s "$T/e.err" ]; then not_ok "profile: silent on its own machine" "$(cat "$T/e.err")"; else ok "profile: silent on its own machine"; fi
is "by variable" "$(CFBENCH_PROFILE=$T/p.json set_of)" 33
is "the config file goes before it" "$(set_of --profile "$T/p.json" --config "$T/config.json")" 44
is "so does a variable" "$(CFBENCH_IN_FLIGHT=55 set_of --profile "$T/p.json")" 55
is "and an option" "$(set_of --profile "$T/p.json" --in-flight 66)" 66
sed -i 's/"x-machine": "/"x-machine": "Another /' "$T/p.json"
is "of another machine: still loaded" "$(set_of --profile "$T/p.json")" 33
check "profile: of another machine: a warning" grep -q 'was tuned on another machine' "$T/e.err"
is "that is none" "$(set_of --profile "$T/config.json" 2>/dev/null)" ""
check "profile: that is none is said" grep -q 'not a profile' "$T/e.err"
echo "{\"x-machine\": \"$here\", \"x-environment\": {\"OMP_PROC_BIND\": \"spread\"}}" >"$T/env.json"
bound() { "$CFBENCH" doctor --suite sample --out "$T/x" --profile "$T/env.json" --json 2>/dev/null | python3 -c 'import json,sys; print([f["value"] for f in json.load(sys.stdin)["facts"] if f["name"]=="OMP_PROC_BIND"])'; }
is "variables of OpenMP are set before it starts" "$(bound)" "['spread']"
is "what the user set holds" "$(OMP_PROC_BIND=close bound)" "['close']"
echo "{\"x-machine\": \"$here\", \"x-environment\": {\"LD_PRELOAD\": \"x.so\"}}" >"$T/env.json"
"$CFBENCH" doctor --suite sample --profile "$T/env.json" >/dev/null 2>"$T/e.err"
check "profile: no other variable may be set" grep -q 'x-environment' "$T/e.err"
exit $bad
