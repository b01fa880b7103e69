#!/usr/bin/env bash
# The documentation is true: its commands run, its links lead somewhere, and every page can be found.
#
# Run: every block ```sh of README.md and docs/*.md whose first line begins with cfbench, ./cfbench or sqlite3. The blocks of a page run
# in order in one scratch folder, line by line. A comment behind a command states its exit code, if that is not 0: # exit 3
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
    i, reason = 0, None
    while i < len(lines):
        mark = re.fullmatch(r"<!-- not run: (.*) -->", lines[i])
        if mark:
            reason = mark.group(1)
        elif lines[i].startswith("```"):
            tag, start = lines[i][3:], i + 1
            i = start
            while i < len(lines) and lines[i] != "```":
                i += 1
            if i == len(lines):
                sys.exit(f"{page}:{start}: the block never ends")
            block = lines[start:i]
            runs = tag == "sh" and block and re.match(r"(\./)?cfbench |sqlite3 |printf ", block[0])
            if runs and not shutil.which("sqlite3") and any(l.startswith("sqlite3 ") for l in block):
                reason = "sqlite3 is not installed"
            if runs and reason:
                with open(f"{out}/{name}.{start + 1:04}.skip", "w", encoding="utf-8") as f:
                    f.write(reason)
            elif runs:
                command, first = "", start
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
                    with open(base + ".cmd", "w", encoding="utf-8") as f:
                        f.write(command)
                    with open(base + ".exit", "w") as f:
                        f.write(code.group(1) if code else "0")
                    command = ""
            reason = None
        elif lines[i].strip():
            reason = None
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

PATH=$(dirname "$CFBENCH"):$PATH
export PATH NO_COLOR=1
ran=0
for file in "$T"/commands/*; do
    base=${file##*/} page=${file##*/}
    page=${page%%.[0-9]*}
    line=$(echo "${base#"$page".}" | sed 's/\..*//; s/^0*//')
    case $file in
        *.exit) continue ;;
        *.skip) skip "docs: $page line $line" "$(cat "$file")"; continue ;;
    esac
    dir=$T/pages/$page
    [ -d "$dir" ] || (cd "$root" && reader_folder "$dir")
    command=$(cat "$file") want=$(cat "${file%.cmd}.exit")
    (cd "$dir" && timeout 60 bash -c "$command" >"$T/out" 2>"$T/err" </dev/null)
    got=$?
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

check "docs: run-store.md lists the failure classes as client.h has them" python3 -c '
import re
want = [(n, "yes" if r == "1" else "no", "yes" if s == "1" else "no")
        for n, r, s in re.findall(r"X\(\w+, \"(\w+)\", (\d), (\d), ", open("include/cfbench/client.h").read()) if n != "none"]
got = re.findall(r"^\| `(\w+)` \| .* \| (yes|no) \| (yes|no) \|$", open("docs/run-store.md").read(), re.M)
assert want and got == want, (want, got)'

exit "${bad:?}"
