#!/usr/bin/env bash
# Offline batches: the whole way on the mock; a server that breaks off in the worst moments; result files in every form.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

# A Files and Batches server of its own kind. Each request that changes something takes the next word of its plan: "drop" does it and
# closes the connection, "500" does it and answers 500, "429" refuses, "hang" does it and never answers, anything else is well.
cat >"$T/server.py" <<'E2'
import http.server, json, re, socketserver, sys, threading, time, urllib.parse
port_file, plan_file = sys.argv[1:3]
files, batches, lock = {}, {}, threading.Lock()
plan = json.load(open(plan_file))
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def say(self, status, data, kind="application/json"):
        if not isinstance(data, bytes): data = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def fault(self, what, act):
        with lock:
            word = plan[what].pop(0) if plan.get(what) else ""
        if word == "429": return self.say(429, {"error": {"message": "slow down"}})
        done = act()
        if word == "drop":
            self.close_connection = True
            return self.connection.close()
        if word == "500": return self.say(500, {"error": {"message": "something broke"}})
        if word == "hang": time.sleep(60)
        self.say(200, done)
    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        q, p = urllib.parse.parse_qs(url.query), url.path
        if p == "/stats": return self.say(200, {"files": len(files), "batches": len(batches)})
        if self.headers.get("Authorization") != "Bearer made-up-key": return self.say(401, {"error": {"message": "wrong key: " + self.headers.get("Authorization", "none")}})
        def page(all, size):
            ids = [i for i in sorted(all, reverse=True)]
            at = ids.index(q["after"][0]) + 1 if "after" in q else 0
            return self.say(200, {"object": "list", "data": [all[i] for i in ids[at:at + size]], "has_more": at + size < len(ids)})
        if p == "/v1/files": return page({i: f["head"] for i, f in files.items()}, 2)
        if p == "/v1/batches": return page(batches, 2)
        m = re.fullmatch(r"/v1/batches/(.*)", p)
        if m and m[1] in batches: return self.say(200, batches[m[1]])
        m = re.fullmatch(r"/v1/files/(.*)/content", p)
        if m and m[1] in files: return self.say(200, files[m[1]]["data"], "application/octet-stream")
        self.say(404, {"error": {"message": "no such thing"}})
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != "Bearer made-up-key": return self.say(401, {"error": {"message": "wrong key: " + self.headers.get("Authorization", "none")}})
        def put(data, name):
            with lock:
                i = "file-%04d" % (len(files) + 1)
                files[i] = {"data": data, "head": {"id": i, "object": "file", "bytes": len(data), "filename": name, "purpose": "batch"}}
            return files[i]["head"]
        def upload():
            boundary = re.search("boundary=(.*)", self.headers["Content-Type"])[1].encode()
            part = [x for x in body.split(b"--" + boundary) if b'name="file"' in x][0]
            assert b'name="purpose"\r\n\r\nbatch' in body
            return put(part.split(b"\r\n\r\n", 1)[1][:-2], re.search(b'filename="(.*?)"', part)[1].decode())
        def create():
            d = json.loads(body)
            assert d["endpoint"] == "/v1/chat/completions" and d["completion_window"] == "24h" and d["metadata"]
            lines = [json.loads(l) for l in files[d["input_file_id"]]["data"].decode().split("\n") if l]
            good = [{"id": "x", "custom_id": r["custom_id"], "response": {"status_code": 200, "request_id": "y", "body":
                     {"choices": [{"message": {"content": "an answer"}, "finish_reason": "stop"}]}}, "error": None} for r in lines[1:]]
            bad = [{"id": "x", "custom_id": r["custom_id"], "response": {"status_code": 400, "request_id": "y", "body":
                    {"error": {"message": "not this one"}}}, "error": None} for r in lines[:1]]
            text = lambda rows: "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in reversed(rows)).encode()
            i = "batch_%04d" % (len(batches) + 1)
            batches[i] = {"id": i, "object": "batch", "status": "completed", "input_file_id": d["input_file_id"], "errors": None,
                          "output_file_id": put(text(good), "out")["id"], "error_file_id": put(text(bad), "err")["id"],
                          "request_counts": {"total": len(lines), "completed": len(good), "failed": len(bad)}}
            return batches[i]
        if self.path == "/v1/files": return self.fault("files", upload)
        if self.path == "/v1/batches": return self.fault("batches", create)
        self.say(404, {"error": {"message": "no such thing"}})
class S(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64
s = S(("127.0.0.1", 0), H)
open(port_file + ".tmp", "w").write(str(s.server_port))
import os
os.rename(port_file + ".tmp", port_file)
s.serve_forever()
E2
n_servers=0
serve() { # plan -> $url
    n_servers=$((n_servers + 1))
    echo "$1" >"$T/plan$n_servers"
    python3 "$T/server.py" "$T/server$n_servers" "$T/plan$n_servers" 2>"$T/server$n_servers.err" &
    pids+=($!)
    for _ in $(seq 200); do [ -s "$T/server$n_servers" ] && break; sleep 0.05; done
    url="http://127.0.0.1:$(cat "$T/server$n_servers")/v1"
}
stats() { python3 -c "import sys,urllib.request; print(urllib.request.urlopen(sys.argv[1][:-3] + '/stats').read().decode())" "$url"; }
batch() { # STEP OUT [ARG...]
    local step=$1 out=$2
    shift 2
    "$CFBENCH" batch "$step" --suite datasets/sample --model m --base-url "$url" --out "$out" --retry-base 0.01 "$@" >"$T/out" 2>"$T/err"
}
export OPENAI_API_KEY=made-up-key
replies() { python3 -c "
import sqlite3, sys
for r in sqlite3.connect(sys.argv[1] + '/run.db').execute('select t.name, p.row, p.state, p.content, p.output from reply p join task t using (task_id) order by 1, 2'): print(r)" "$1"; }

# ---- the whole way, on the mock ----
"$CFBENCH" mock --suite datasets/sample --mock-batch-delay 0.3 --port-file "$T/port" --mock-log "$T/mocklog" --quiet &
pids+=($!)
for _ in $(seq 200); do [ -s "$T/port" ] && break; sleep 0.05; done
url="http://127.0.0.1:$(cat "$T/port")/v1"
batch status "$T/way"
check "batch: without an export there is nothing to look at: exit 2, says what comes first" sh -c "[ $? -eq 2 ] && grep -q 'batch export' '$T/err'"
batch export "$T/way" --batch-max-requests 50
check "batch export: 122 rows in files of 50" sh -c "[ $? -eq 0 ] && [ \$(cat '$T'/way/batch/r01-*.jsonl | wc -l) -eq 122 ] && [ \$(ls '$T'/way/batch/r01-*.jsonl | wc -l) -eq 3 ]"
check "batch export: hashes as sha256sum's, ids unique and short" python3 - "$T/way/batch" <<'E2'
import hashlib, json, sys
m = json.load(open(sys.argv[1] + "/manifest.json"))
ids = []
for f in m["files"]:
    data = open(f"{sys.argv[1]}/{f['file']}", "rb").read()
    assert hashlib.sha256(data).hexdigest() == f["sha256"] and len(data) == f["bytes"]
    for line in data.decode().splitlines():
        r = json.loads(line)
        assert set(r) == {"custom_id", "method", "url", "body"} and r["method"] == "POST" and r["url"] == "/v1/chat/completions"
        assert r["body"]["model"] == "m" and r["body"]["messages"] and "stream" not in r["body"]
        ids.append(r["custom_id"])
assert len(set(ids)) == 122 and max(map(len, ids)) <= 64
E2
batch fetch "$T/way"
check "batch fetch before submit: exit 2" test $? -eq 2
batch submit "$T/way"
check "batch submit: three batches" sh -c "[ $? -eq 0 ] && [ \$(grep -c 'are batch' '$T/err') -eq 3 ]"
batch submit "$T/way"
check "batch submit again: nothing is sent twice" sh -c "[ $? -eq 0 ] && [ ! -s '$T/err' ]"
batch export "$T/way"
check "batch export while batches are out: exit 1, says why" sh -c "[ $? -eq 1 ] && grep -q 'not imported yet' '$T/err'"
for _ in $(seq 100); do batch fetch "$T/way" && break; sleep 0.1; done
check "batch fetch: all there in the end" sh -c "[ \$(ls '$T'/way/batch/*.output.jsonl | wc -l) -eq 3 ]"
batch status "$T/way"
check "batch status: a table" sh -c "[ \$(grep -c completed '$T/out') -eq 3 ]"
batch status "$T/way" --json
check "batch status --json: the manifest" python3 -c "
import json
d = json.load(open('$T/out'))
assert d['schema'] == 'cfbench.batch/1' and [f['completed'] for f in d['files']] == [50, 50, 22], d"
batch import "$T/way" --json
check "batch import: every row has its reply" sh -c "[ $? -eq 0 ] && grep -q '\"answered\": 122' '$T/out'"
batch import "$T/way"
check "batch import again: nothing new, exit 0" test $? -eq 0
batch export "$T/way"
check "batch export: nothing is left" grep -q 'every row has a reply' "$T/out"
: >"$T/mocklog"
"$CFBENCH" generate --suite datasets/sample --model m --base-url "$url" --out "$T/way" --api-rate-limit 0 --quiet >"$T/out" 2>"$T/err"
check "generate after import asks nothing" sh -c "[ $? -eq 0 ] && ! grep -q '\"chat\"' '$T/mocklog'"
"$CFBENCH" generate --suite datasets/sample --model m --base-url "$url" --out "$T/direct" --api-rate-limit 0 --quiet >"$T/out" 2>"$T/err"
replies "$T/way" >"$T/a" && replies "$T/direct" >"$T/b"
check "batch: replies, states and outputs as those of generate" cmp "$T/a" "$T/b"
for run in way direct; do "$CFBENCH" score --suite datasets/sample "$T/$run" 2>/dev/null >"$T/$run.table"; done
check "batch: scores as those of generate" cmp "$T/way.table" "$T/direct.table"

batch export "$T/cancel" --tasks company
batch submit "$T/cancel"
batch cancel "$T/cancel"
check "batch cancel" sh -c "[ $? -eq 0 ] && grep -q cancel '$T/out'"

# ---- limits by size; wrong use ----
batch export "$T/small" --batch-max-bytes 20k --tasks company,product
check "batch export: files of at most 20 kB" sh -c "[ \$(find '$T/small/batch' -name 'r*.jsonl' -size +20000c | wc -l) -eq 0 ] && [ \$(ls '$T'/small/batch/r*.jsonl | wc -l) -gt 1 ]"
batch export "$T/tiny" --batch-max-bytes 1k
check "batch export: a request beyond the limit is named: exit 2" sh -c "[ $? -eq 2 ] && grep -q 'alone has' '$T/err'"
batch guess "$T/tiny"
check "batch: an unknown step is exit 1" test $? -eq 1
"$CFBENCH" batch export --suite datasets/sample --model m --mock --out "$T/mock" 2>"$T/err"
check "batch --mock: exit 1" test $? -eq 1

# ---- a server that breaks off ----
serve '{"files": ["drop", "429", "500", "drop"], "batches": ["500", "drop", "429"]}'
batch export "$T/faults" --batch-max-requests 30
batch submit "$T/faults" --max-retries 5
check "batch submit over a bad line: exit 0" test $? -eq 0
check "batch submit over a bad line: five files, five batches, none twice" test "$(stats)" = '{"files": 15, "batches": 5}'
batch fetch "$T/faults"
batch import "$T/faults" --json
check "batch import: failed lines are exit 3, with their class" sh -c "[ $? -eq 3 ] && grep -q '\"answered\": 117' '$T/out' && grep -q '\"bad_request\": 5' '$T/out'"
check "batch import: failed rows are attempts, and open" python3 -c "
import sqlite3
db = sqlite3.connect('$T/faults/run.db')
assert db.execute('select count(*) from reply').fetchone() == (117,)"
batch export "$T/faults"
check "batch export: a second round with the five rows that failed" sh -c "[ \$(cat '$T'/faults/batch/r02-0001.jsonl | wc -l) -eq 5 ]"

# kill -9 when the server has got the file, or started the batch, and we do not know it
for what in files batches; do
    serve "{\"$what\": [\"hang\"]}"
    batch export "$T/kill-$what" --tasks company
    "$CFBENCH" batch submit --base-url "$url" --out "$T/kill-$what" --quiet 2>"$T/err" &
    victim=$!
    want=$([ $what = files ] && echo '"files": 1' || echo '"batches": 1')
    for _ in $(seq 100); do stats | grep -q "$want" && break; sleep 0.05; done
    kill -9 $victim 2>/dev/null
    wait $victim 2>/dev/null
    batch submit "$T/kill-$what"
    check "kill -9 in the middle ($what): submit again finds it and sends nothing twice" test "$(stats)" = '{"files": 3, "batches": 1}'
    batch fetch "$T/kill-$what"
    batch import "$T/kill-$what"
    check "kill -9 in the middle ($what): the results come" sh -c "[ \$(sqlite3 '$T/kill-$what/run.db' 'select count(*) from reply' 2>/dev/null || python3 -c \"
import sqlite3
print(sqlite3.connect('$T/kill-$what/run.db').execute('select count(*) from reply').fetchone()[0])\") -eq 15 ]"
done

serve '{}'
batch export "$T/auth" --tasks company
OPENAI_API_KEY=another-made-up-key batch submit "$T/auth"
check "batch submit with a wrong key: exit 4, one line" sh -c "[ $? -eq 4 ] && [ \$(wc -l <'$T/err') -eq 1 ]"
check "the key is in no file and in no message" sh -c "! grep -rq made-up-key '$T/auth' '$T/faults' '$T/err'" # the server repeats it
echo >>"$T/auth/batch/r01-0001.jsonl"
batch submit "$T/auth"
check "batch submit: a file that was changed is refused" sh -c "[ $? -eq 2 ] && grep -q 'changed since' '$T/err'"
(exec 9>"$T/auth/batch/lock" && flock 9 && sleep 5) &
holder=$!
pids+=("$holder")
sleep 0.3
batch status "$T/auth"
check "batch: a second process at the same time is refused" sh -c "[ $? -eq 1 ] && grep -q 'wait for it' '$T/err'"
kill $holder 2>/dev/null
sed -i 's/"round": 1/"round": "x"/' "$T/auth/batch/manifest.json"
flock "$T/auth/batch/lock" true
batch status "$T/auth"
check "batch: an edited manifest is refused by name" sh -c "[ $? -eq 2 ] && grep -q '\"round\"' '$T/err'"

# ---- result files in every form ----
url=http://127.0.0.1:9/v1
batch export "$T/forms" --tasks company,product
python3 - "$T/forms/batch/r01-0001.jsonl" "$T" <<'E2'
import json, sys
asked = [json.loads(l) for l in open(sys.argv[1], encoding="utf-8")]
out = sys.argv[2]
def reply(r, text, **more):
    return dict({"id": "vllm-1", "custom_id": r["custom_id"], "response": {"status_code": 200, "request_id": "vllm-batch-1", "body":
                 {"id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                  "usage": {"prompt_tokens": 5, "completion_tokens": 2}}}, "error": None}, **more)
lines = [json.dumps(reply(asked[i], f"answer\u2028{i}"), ensure_ascii=False) for i in range(10)]
lines.insert(3, lines[5])                                               # twice
lines.insert(4, lines[2][:40])                                          # cut
lines.append(json.dumps(dict(reply(asked[11], ""), response=None, error={"code": "batch_expired", "message": "too late"})))
lines.append(json.dumps(dict(reply(asked[12], ""), response=None, error={"code": "batch_cancelled", "message": "called off"})))
lines.append(json.dumps(dict(reply(asked[13], ""), response={"status_code": 400, "request_id": "v", "body": None},
                             error={"object": "error", "message": "bad", "type": "BadRequestError", "code": 400})))
lines.append(json.dumps(dict(reply(asked[14], ""), custom_id="company/0/999-0000000000000000")))
lines.append(json.dumps(dict(reply(asked[15], ""), response={"choices": [{"message": {"content": "bare"}, "finish_reason": "length"}]})))
open(f"{out}/one.jsonl", "w", encoding="utf-8").write("\n".join(lines))
E2
batch import "$T/forms" "$T/one.jsonl" --json
check "batch import of vLLM's form: exit 3" test $? -eq 3
check "batch import: everything is counted once and named" python3 - "$T/out" "$T/err" "$T/forms" <<'E2'
import json, sqlite3, sys
d, err = json.load(open(sys.argv[1])), open(sys.argv[2]).read()
want = {"results": 16, "answered": 11, "failed": 2, "cancelled": 1, "twice": 1, "unknown": 1, "bad_lines": 1, "open": 111}
assert {k: d[k] for k in want} == want, d
assert d["failed_by_class"] == {"timeout": 1, "bad_request": 1}, d
assert "one.jsonl:5: " in err and "999-0000000000000000" in err, err
got = sqlite3.connect(sys.argv[3] + "/run.db").execute("select state, content, prompt_tokens from reply where row = 3 and task_id = 1").fetchall()
assert got == [("ok", "answer\u20283", 5)], got
E2
batch import "$T/forms" "$T/one.jsonl" --json
check "batch import of the same file again: answered before, not unknown" grep -q '"answered_before": 12' "$T/out"
batch import "$T/forms" "$T/none.jsonl"
check "batch import of a file that is not there: exit 2" test $? -eq 2
exit "${bad:?}"
