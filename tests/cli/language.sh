# Pages, Markdown and tables in Chinese: every word of src/report/words.h, and nothing else, differs from the English ones; names, numbers and what
# models wrote are the same; the same bytes for any number of threads; verify; the browser.
. "$(dirname "$0")/../lib.sh"

same() { if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "got '$2', not '$3'"; fi; }
"$CFBENCH" run --suite datasets/sample --mock --model m-faulty --stream --mock-faults 500:0.06,cut:0.03,400:0.15 --mock-reasoning hidden \
    --mock-max-inflight 24 --api-rate-limit 0.001 --retry-base 0.02 --max-retries 2 --progress off --language zh --out "$T/faulty" >"$T/table" 2>"$T/err"
same "run --language zh, with faults" $? 3
for e in 0 0.5; do "$CFBENCH" run --suite datasets/sample --mock --mock-error-rate $e --model "m$e" --api-rate-limit 0 --quiet --out "$T/r$e" >/dev/null 2>"$T/err"; done
# Files of outputs, one of them with a bad row: no account of the asking, skipped rows.
mkdir "$T/bad"
python3 - "$T/r0.5"/cfbenchmark-response/*/*/sector-output.csv "$T/bad/sector-output.jsonl" <<'E2'
import csv, json, sys
rows = list(csv.DictReader(open(sys.argv[1], encoding="utf-8", newline="")))
with open(sys.argv[2], "w", encoding="utf-8") as f:
    for i, r in enumerate(rows): f.write(("broken\n" if i == 2 else "") + json.dumps({k: r[k] for k in ("input", "response", "output")}, ensure_ascii=False) + "\n")
E2
pages() { # language, folder, further options
    local l=$1 d=$2
    shift 2
    "$CFBENCH" report "$T/faulty" --language "$l" --out "$d/faulty" "$@"
    "$CFBENCH" score "$T/faulty" "$T/r0.5" --language "$l" --out "$d/two" "$@"
    "$CFBENCH" score "$T/bad" --suite datasets/sample --on-bad-row skip --sample 3 --language "$l" --out "$d/files" "$@"
    "$CFBENCH" compare "$T/r0" "$T/r0.5" "$T/faulty" --fail-if 'f1 drops > 2' --fail-if 'f1 drops > 0.01 at 95%' --language "$l" --out "$d/compare" "$@"
}
pages en "$T/en" >/dev/null 2>&1
pages zh "$T/zh" --threads 1 >/dev/null 2>&1
pages zh "$T/zh.8" --threads 8 >/dev/null 2>&1
same "pages in Chinese" "$(ls "$T"/zh/*/*.html | wc -l)" 4
check "the same bytes for 1 and 8 threads" diff -r "$T/zh" "$T/zh.8"
same "pages and Markdown are Chinese, and nothing else" "$(diff -rq "$T/en" "$T/zh" | grep -cE '(html|md) differ$') $(diff -rq "$T/en" "$T/zh" | wc -l)" "8 8"
check "no English sentence in Markdown" bash -c "! grep -nE '(^|[^a-z])(rows|score|failed|mean of|interval|place|task|calls|latency)([^a-z_:-]|\$)' $T/zh/*/*.md | grep -vE '^[^:]*:[0-9]*:    |failed_|latency-|[0-9]：|失败|编号'"
"$CFBENCH" report "$T/faulty" --language zh --out "$T/again" >"$T/zh.table" 2>/dev/null
"$CFBENCH" compare "$T/r0" "$T/r0.5" "$T/faulty" --language zh >"$T/zh.compare" 2>/dev/null
check "tables of the terminal: Chinese heads, columns in line" python3 - "$T/zh.table" "$T/zh.compare" <<'E2'
import sys, unicodedata
wide = lambda s: sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in s)
for path in sys.argv[1:]:
    lines = open(path, encoding="utf-8").read().split("\n")
    heads = [i for i, l in enumerate(lines) if l.startswith(("任务", "名次"))]
    assert heads, path
    for i in heads:
        assert set(lines[i + 1]) == {"─"} and wide(lines[i]) == len(lines[i + 1]), lines[i]
        body = lines[i + 2:lines.index("", i)]
        assert max(wide(l) for l in body if "：" not in l) == len(lines[i + 1]), body
E2
"$CFBENCH" report "$T/faulty" --out "$T/default" >/dev/null 2>&1
check "English is the default" cmp "$T/default/report.html" "$T/en/faulty/report.html"
CFBENCH_LANGUAGE=zh "$CFBENCH" report "$T/faulty" --out "$T/env" >/dev/null 2>&1
check "the environment says so too" cmp "$T/env/report.html" "$T/zh/faulty/report.html"
"$CFBENCH" report "$T/faulty" --language fr --out "$T/fr" >/dev/null 2>"$T/err"
same "another language is refused" "$? $(grep -c 'language' "$T/err")" "1 1"

cat >"$T/words.py" <<'E2'
# Table and pages: words.py words.h ENGLISH CHINESE
import html.parser, re, sys
text = open(sys.argv[1], encoding="utf-8").read()
body = re.sub(r'"\s*\\\n\s*"', "", text[text.index("#define REPORT_WORD_MAP"):text.index("/* clang-format on */")])
body = body.replace('" PRIu64 "', "llu").replace('" PRIu64', 'llu"').replace("REPORT_LANG_ZH", '"zh-CN"').replace('\\"', "'").replace("%%", "%")
words = re.findall(r'X\((\w+), \s*"([^"]*)",\s*(?:\\\n\s*)?"([^"]*)"\)', body)
assert len(words) == body.count("  X(") > 200, (len(words), body.count("  X("))
KEPT = {"p50", "p99", "F1", "Holm", "p"} # terms of the field
tag = re.compile(r"<[^>]*>|%(?:\.\d)?(?:llu|zu|[cfgs])")
for name, en, zh in words:
    latin = set(re.findall(r"[A-Za-z]\w*", tag.sub(" ", zh)))
    assert latin <= KEPT or name == "LANG", (name, latin)
    assert en == zh or re.search(r"[\u3000-\u9fff\uff00-\uffef]", zh) or not zh or name == "LANG", name

class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.tags, self.shown, self.kept, self.path, self.tables, self.lang = [], [], [], [], [], None
        self.feed(open(path, encoding="utf-8", newline="").read()); self.close()
    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if tag == "html": self.lang = a.pop("lang")
        if "aria-label" in a: self.shown.append(a.pop("aria-label"))
        self.tags.append((tag, a))
        if tag == "table": self.tables.append(a.get("class"))
        if tag not in ("meta", "br"): self.path.append(tag)
    def handle_startendtag(self, tag, attrs): self.tags.append((tag, dict(attrs)))
    def handle_endtag(self, tag): assert self.path.pop() == tag
    def handle_data(self, data):
        option = self.path[-1:] == ["th"] and "cfg" in self.tables[-1:]
        if option or {"bdi", "code", "style"} & set(self.path): self.kept.append(data)
        elif data.strip(): self.shown.append(data.strip())

en, zh = Page(sys.argv[2]), Page(sys.argv[3])
assert (en.lang, zh.lang) == ("en", "zh-CN")
assert en.tags == zh.tags and en.kept == zh.kept and len(en.shown) == len(zh.shown), "the pages are built alike, names and texts are the same"
numbers = lambda page: [re.findall(r"\d[\d.,]*\d|\d", re.sub(r"9[09] of 100 within|第 9[09] 百分位数", "", s)) for s in page.shown]
for a, b in zip(numbers(en), numbers(zh)):
    if "8" in a and "10" in a: a, b = sorted(a), sorted(b) # "8 of 10": the order is another one
    assert a == b, (a, b)
# What is in no language: the suite's title, metrics, gates, times; names of tasks, models, settings, units, failure classes.
PHRASES = re.compile(r"Sample suite in CFBenchmark's form|f1 \(labels: (?:row|suite)\)|tf cosine|f1 drops > [\d.]+(?: at 95%)?|\d{4}-\d\d-\d\dT[\d:]+Z")
NAMES = set("""company product sector event sentiment summary risk suggestion m-faulty m0 m0.5 few-shot cfbench A B C d s ms min h M p90 p99.9
    bad_request server cut timeout connect rate_limit overloaded""".split())
for s in zh.shown:
    for word in re.findall(r"[A-Za-z][\w.-]*", PHRASES.sub("", s)):
        assert word in NAMES | KEPT, (word, s)
# Every word of the table that the English page shows as a whole is another one in Chinese.
table = {e.strip(): (n, z.strip()) for n, e, z in words if e.strip() and e != z}
pairs = [(a, b) for a, b in zip(en.shown, zh.shown) if a in table and not (a == b and a in NAMES | KEPT)]
other = {(e.strip(), z.strip()) for n, e, z in words}
for a, b in pairs: assert (a, b) in other, (a, b)
used = {a for a, _ in pairs}
print(len(used), "words")
E2
for p in faulty/report two/report files/report compare/compare; do
    check "$p.html: the words, and only they, are Chinese" python3 "$T/words.py" src/report/words.h "$T/en/$p.html" "$T/zh/$p.html"
done
check "terms of the field" bash -c "for w in 精确率 召回率 置信区间 标签混淆 首字延迟 百分位数 限流等待 并发上限; do grep -q \$w $T/zh/faulty/report.html || { echo \$w; exit 1; }; done"

"$CFBENCH" verify "$T/faulty" >"$T/out" 2>"$T/err"
same "verify: in the language of the page" "$? $(grep -c '^same      report.html$' "$T/out")" "0 1"
rm "$T/again/report.html" && cp "$T/faulty/run.db" "$T/again/" && "$CFBENCH" verify "$T/again" >"$T/out" 2>"$T/err"
same "verify: in the language of the Markdown, where there is no page" "$(grep -c '^same      report.md$' "$T/out")" 1
check "the page of the run is the same" cmp "$T/faulty/report.html" "$T/zh/faulty/report.html"

browser=${CHROMIUM:-/usr/bin/chromium}
if [ ! -x "$browser" ]; then skip "in a browser" "$browser is absent"; exit $bad; fi
for p in faulty/report compare/compare; do
    timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update \
        --disable-sync --disable-dev-shm-usage --user-data-dir="$T/profile" --enable-logging=stderr --v=0 --dump-dom "file://$T/zh/$p.html" >"$T/dom" 2>"$T/console"
    check "$p.html opens in a browser without an error" bash -c "grep -q '<html lang=\"zh-CN\">' $T/dom && grep -q '<svg' $T/dom && ! grep CONSOLE $T/console"
done
exit $bad
