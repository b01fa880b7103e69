#!/usr/bin/env bash
# The documentation is true: its commands run, its links lead somewhere, and every page can be found.
#
# Run: every block ```sh of README.md and docs/*.md whose first line begins with cfbench, ./cfbench or sqlite3. The blocks of a page run
# in order in one scratch folder, line by line. A comment behind a command states its exit code, if that is not 0: # exit 3
# Against the built-in mock: a block behind <!-- mock: OPTIONS -->, where a mock with these options stands for the server of the block, and a
# block that starts with `cfbench mock`, which then runs beside the rest of it. Such a block runs as a whole, on one row of each task; see mocked().
# Not run: a block behind <!-- not run: reason -->.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

root=$PWD
if [ ! -x "$CFBENCH" ]; then
    not_ok "docs" "there is no program $CFBENCH"
    exit 1
fi
CFBENCH=$(cd "$(dirname "$CFBENCH")" && pwd)/$(basename "$CFBENCH")

# One file for each command: PAGE.LINE.cmd, with its expected exit code in .exit; .skip holds a reason instead.
cat >"$T/extract.py" <<'E2'
import os, re, shutil, sys
out, pages = sys.argv[1], sys.argv[2:]
for page in pages:
    name = page.replace("/", "-")
    with open(page, encoding="utf-8") as f:
        lines = f.read().split("\n")
    i, reason, mock = 0, None, None
    while i < len(lines):
        mark = re.fullmatch(r"<!-- not run: (.*) -->", lines[i])
        beside = re.fullmatch(r"<!-- mock: (.*) -->", lines[i])
        if mark:
            reason = mark.group(1)
        elif beside:
            mock = beside.group(1)
        elif lines[i].startswith("```"):
            tag, start = lines[i][3:], i + 1
            i = start
            while i < len(lines) and lines[i] != "```":
                i += 1
            if i == len(lines):
                sys.exit(f"{page}:{start}: the block never ends")
            block = lines[start:i]
            runs = tag == "sh" and block and (mock is not None or re.match(r"(\./)?cfbench |sqlite3 |printf ", block[0]))
            if runs and mock is None and not reason and block[0].startswith("cfbench mock "):
                mock = re.sub(r" --port \d+", "", block.pop(0))[len("cfbench mock "):]
            if runs and mock is not None and not shutil.which("curl") and any(l.startswith("curl ") for l in block):
                reason = "curl is not installed"
            without = "sqlite3 is not installed" if not shutil.which("sqlite3") else None
            if runs and without and mock is not None and any(l.startswith("sqlite3 ") for l in block):
                reason = without
            if runs and reason:
                with open(f"{out}/{name}.{start + 1:04}.skip", "w", encoding="utf-8") as f:
                    f.write(reason)
            elif runs and mock is not None:
                base = f"{out}/{name}.{start + 1:04}"
                for end, text in (".cmd", "\n".join(block) + "\n"), (".mock", mock), (".exit", "0"):
                    with open(base + end, "w", encoding="utf-8") as f:
                        f.write(text)
            elif runs:
                command, first, left_out = "", start, None
                for k, line in enumerate(block):
                    if not command:
                        first = start + k
                        if not line.strip() or line.startswith("#"):
                            continue
                    command += line + "\n"
                    # a command ends where its quotes are closed and no backslash follows
                    if line.endswith("\\") or command.count('"') % 2:
                        continue
                    code = re.search(r"# exit (\d+)\s*$", command)
                    base = f"{out}/{name}.{first + 1:04}"
                    left_out = left_out or without and "sqlite3 " in command
                    if left_out: # what stands before it in the block runs: later blocks may need what that makes
                        with open(base + ".skip", "w", encoding="utf-8") as f:
                            f.write(without)
                        command = ""
                        continue
                    with open(base + ".cmd", "w", encoding="utf-8") as f:
                        f.write(command)
                    with open(base + ".exit", "w") as f:
                        f.write(code.group(1) if code else "0")
                    command = ""
            reason = mock = None
        elif lines[i].strip():
            reason = mock = None
        i += 1
E2
mkdir "$T/commands"
if ! python3 "$T/extract.py" "$T/commands" README.md docs/*.md >"$T/log" 2>&1; then
    not_ok "docs: blocks" "$(tail -1 "$T/log")"
    exit 1
fi

# A folder as a reader has it after `make demo`, one for each page.
reader_folder() {
    mkdir -p "$1/tests/data"
    cp -R "$root/datasets" "$1/datasets"
    rm -rf "$1"/datasets/*/data "$1"/datasets/*/cfbenchmark-data
    cp -R "$root/tests/data/suite-en" "$1/tests/data/suite-en"
    ln -s "$CFBENCH" "$1/cfbench"
    "$CFBENCH" run --suite sample --mock --mock-latency 0.001 --api-rate-limit 0 --quiet --out "$1/cfbench-out/demo" >/dev/null 2>&1
}

# The same for blocks that need a server: with data in the place of CFBenchmark's, and models of made-up weights in the place of real ones.
mocked_folder() {
    reader_folder "$1"
    for place in datasets/cfbenchmark home/cfbenchmark cfbenchmark-data; do
        mkdir -p "$1/$place"
        cp -R "$root"/datasets/sample/*.csv "$root"/datasets/sample/*.json "$root"/datasets/sample/*.jsonl "$root"/datasets/sample/fewshot "$1/$place"
        rm "$1/$place/suite.json"
    done
    cp "$root/datasets/cfbenchmark/suite.json" "$1/datasets/cfbenchmark"
    mkdir -p "$1/bin" "$1/models/bge-small-zh-v1.5" "$1/runs"
    case $1 in *embeddings*) cp -R "$1/cfbench-out/demo" "$1/runs/mini" ;; esac
    cp "$1"/cfbench-out/demo/cfbenchmark-response/*/mock/summary-output.csv "$1"
    echo '{"suite": "sample", "model": "m", "out": "runs/lab"}' >"$1/lab.json"
    mkdir -p "$1/scripts" && printf '#!/bin/sh\n' >"$1/scripts/get-cfbenchmark.sh" && chmod +x "$1/scripts/get-cfbenchmark.sh" # the data is there
    printf 'one line\nanother line\n' >"$1/lines.txt"
    writer=$root/${BUILD:-build/gcc}/tools/oracle/bert_folder
    if [ -x "$writer" ] && "$writer" "$1/models/bge-small-zh-v1.5"; then
        for name in bge-large-zh-v1.5 bert-base-chinese; do ln -s bge-small-zh-v1.5 "$1/models/$name"; done
    fi
    # vllm run-batch -i REQUESTS -o RESULTS, as far as its files go: every request is put to the mock
    cat >"$1/bin/vllm" <<'E2'
#!/usr/bin/env python3
import json, os, sys, urllib.request
args = dict(zip(sys.argv[2::2], sys.argv[3::2]))
url = os.environ["OPENAI_BASE_URL"].removesuffix("/v1")
with open(args["-i"], encoding="utf-8") as f, open(args["-o"], "w", encoding="utf-8") as o:
    for line in f:
        r = json.loads(line)
        q = urllib.request.Request(url + r["url"], json.dumps(r["body"]).encode(), {"Content-Type": "application/json"})
        body = json.load(urllib.request.urlopen(q))
        o.write(json.dumps({"id": "vllm-" + r["custom_id"], "custom_id": r["custom_id"], "error": None,
                            "response": {"status_code": 200, "request_id": "r", "body": body}}) + "\n")
E2
    # a Unix socket in front of a port: relay.py SOCKET PORT
    cat >"$1/bin/relay.py" <<'E2'
import socket, sys, threading
def pump(a, b):
    while data := a.recv(65536):
        b.sendall(data)
    b.shutdown(socket.SHUT_WR)
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
while True:
    here = server.accept()[0]
    there = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
    for pair in ((here, there), (there, here)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
E2
    chmod +x "$1/bin/vllm"
}

# mocked DIR FILE: starts the mock; addresses of the block become its, waits become short
mocked() {
    local dir=$1 file=$2 port=$T/port.${2##*/}
    (cd "$dir" && eval "exec \"$CFBENCH\" mock $(cat "${file%.cmd}.mock") --quiet --port-file \"$port\"") >"$T/mock.log" 2>&1 &
    mock_pid=$! relay_pid=
    pids+=("$mock_pid")
    for _ in $(seq 200); do [ -s "$port" ] && break; sleep 0.05; done
    port=$(cat "$port" 2>/dev/null) || { echo "the mock does not start: $(tail -1 "$T/mock.log")" >"$T/err"; return 99; }
    command=$(MOCK=http://127.0.0.1:$port SOCKET=$dir/llm.sock python3 -c '
import os, re, sys
s, mock = sys.stdin.read(), os.environ["MOCK"]
if "--unix-socket" in s:
    s = re.sub(r"--unix-socket \S+", "--unix-socket " + os.environ["SOCKET"], s)
else:
    s = re.sub(r"https?://[^\s\x27\x22]+/v1", mock + "/v1", s)
s = s.replace("http://127.0.0.1:8080", mock)
print(re.sub(r"sleep \d+", "sleep 0.2", s))' <"$file")
    case $command in *--unix-socket*)
        python3 "$dir/bin/relay.py" "$dir/llm.sock" "$port" &
        relay_pid=$!
        pids+=("$relay_pid")
        for _ in $(seq 100); do [ -S "$dir/llm.sock" ] && break; sleep 0.05; done ;;
    esac
    (cd "$dir" && HOME=$dir/home PATH=$dir/bin:$PATH OPENAI_API_KEY=made-up OPENAI_BASE_URL=http://127.0.0.1:$port/v1 CFBENCH_LIMIT=1 CFBENCH_API_RATE_LIMIT=0 \
        timeout 60 bash -e -c "$command" >"$T/out" 2>"$T/err" </dev/null)
    local status=$?
    [ -z "${DOCS_TIMES-}" ] || echo "# $SECONDS s: ${file##*/}"
    kill "$mock_pid" $relay_pid 2>/dev/null
    wait "$mock_pid" $relay_pid 2>/dev/null
    return $status
}

PATH=$(dirname "$CFBENCH"):$PATH
export PATH NO_COLOR=1
ran=0
for file in "$T"/commands/*; do
    base=${file##*/} page=${file##*/}
    page=${page%%.[0-9]*}
    line=$(echo "${base#"$page".}" | sed 's/\..*//; s/^0*//')
    case $file in
        *.exit | *.mock) continue ;;
        *.skip) skip "docs: $page line $line" "$(cat "$file")"; continue ;;
    esac
    command=$(cat "$file") want=$(cat "${file%.cmd}.exit")
    if [ -e "${file%.cmd}.mock" ]; then
        dir=$T/mocked/$page
        [ -d "$dir" ] || (cd "$root" && mocked_folder "$dir")
        case $command in *models/*)
            if [ ! -e "$dir/models/bge-large-zh-v1.5" ]; then
                skip "docs: $page line $line" "the model's writer was not built"
                continue
            fi ;;
        esac
        mocked "$dir" "$file"
        got=$?
    else
        dir=$T/pages/$page
        [ -d "$dir" ] || (cd "$root" && reader_folder "$dir")
        (cd "$dir" && timeout 60 bash -c "$command" >"$T/out" 2>"$T/err" </dev/null)
        got=$?
    fi
    if [ "$got" = "$want" ]; then
        ok "docs: $page line $line"
        ran=$((ran + 1))
    else
        not_ok "docs: $page line $line" "exit $got, expected $want: $(echo "$command" | head -1 | cut -c1-100): $(tail -1 "$T/err")"
    fi
done
if [ "$ran" -gt 0 ]; then ok "docs: commands were found"; else not_ok "docs: commands were found" "none"; fi

# The table in README.md is the demo's.
awk '/^In the terminal:/{on=1} on&&/^```$/{n++; next} on&&n==1' README.md >"$T/readme.table"
"$CFBENCH" run --suite datasets/sample --mock --api-rate-limit 0 --quiet --out "$T/table" >"$T/demo.all" 2>/dev/null
grep -Fxf "$T/readme.table" "$T/demo.all" >"$T/demo.table"
if [ -s "$T/readme.table" ] && cmp -s "$T/readme.table" "$T/demo.table"; then
    ok "docs: README's table is the demo's"
else
    not_ok "docs: README's table is the demo's" "run scripts/readme-picture.sh"
fi

# Links between files, and to headings.
cat >"$T/links.py" <<'E2'
import glob, os, re, sys
pages = ["README.md", "CONTRIBUTING.md"] + sorted(glob.glob("docs/*.md")) + sorted(glob.glob("datasets/*/README.md"))
bad, linked = [], set()
def text_of(path):
    with open(path, encoding="utf-8") as f:
        return re.sub(r"^```.*?^```", "", f.read(), flags=re.S | re.M)
def slug(heading):
    s = re.sub(r"[`*]", "", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", s).replace(" ", "-")
def anchors(path):
    return {slug(h) for h in re.findall(r"^#+ (.*)$", text_of(path), flags=re.M)}
for page in pages:
    if not os.path.exists(page):
        bad.append(f"{page} is missing")
        continue
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        full = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        if not os.path.exists(full):
            bad.append(f"{page}: {target} does not exist")
        elif anchor and full.endswith(".md") and anchor not in anchors(full):
            bad.append(f"{page}: {target}: no such heading")
        if page in ("README.md", "docs/ARCHITECTURE.md"):
            linked.add(full)
for page in sorted(glob.glob("docs/*.md")):
    if page not in linked:
        bad.append(f"{page} is linked neither from README.md nor from docs/ARCHITECTURE.md")
print("; ".join(bad))
sys.exit(bool(bad))
E2
check "docs: links" python3 "$T/links.py"

# Files of the code that the pages name by path are there.
cat >"$T/paths.py" <<'E2'
import glob, os, re, sys
bad = []
for page in ["README.md", "CONTRIBUTING.md"] + sorted(glob.glob("docs/*.md")):
    with open(page, encoding="utf-8") as f:
        text = f.read()
    for path in re.findall(r"(?<![\w/.-])(?:src|scripts|tests|include|datasets)/[\w./-]*\w", text):
        if "NAME" not in path and "ROOM" not in path and not os.path.exists(path):
            bad.append(f"{page}: {path}")
room = None
with open("docs/ARCHITECTURE.md", encoding="utf-8") as f:
    text = f.read()
for section in re.split(r"^### ", text.split("## The rooms")[1].split("\n## ")[0], flags=re.M)[1:]:
    rooms = [r.strip() for r in section.split("\n", 1)[0].split(",")]
    named = set()
    for name in re.findall(r"`((?:[a-z]+/)?[a-z_0-9]+\.[ch])`", section.split("\n", 1)[1]):
        found = [p for r in rooms for p in (f"src/{r}/{name}", f"src/{name}") if os.path.exists(p)]
        named.update(found)
        if not found:
            bad.append(f"docs/ARCHITECTURE.md: {rooms}: {name}")
    for r in rooms:
        for path in sorted(glob.glob(f"src/{r}/*.c")):
            if path not in named:
                bad.append(f"docs/ARCHITECTURE.md does not name {path}")
print("; ".join(bad))
sys.exit(bool(bad))
E2
check "docs: files that are named exist, and ARCHITECTURE names every source file" python3 "$T/paths.py"

check "docs: every schema that the program names is described" python3 -c '
import glob, re
names = {n for p in glob.glob("src/*/*.c") for n in re.findall(r"\"(cfbench\.[a-z-]+/\d+)\"", open(p).read())}
text = "".join(open(p, encoding="utf-8").read() for p in glob.glob("docs/*.md"))
missing = sorted(n for n in names if n not in text)
assert len(names) > 8 and not missing, missing'

check "docs: run-store.md lists the failure classes as client.h has them" python3 -c '
import re
want = [(n, "yes" if r == "1" else "no", "yes" if s == "1" else "no")
        for n, r, s in re.findall(r"X\(\w+, \"(\w+)\", (\d), (\d), ", open("include/cfbench/client.h").read()) if n != "none"]
got = re.findall(r"^\| `(\w+)` \| .* \| (yes|no) \| (yes|no) \|$", open("docs/run-store.md").read(), re.M)
assert want and got == want, (want, got)'

exit "${bad:?}"
