"""The text metrics in plain Python, written from their papers and from what the reference tools do: counters and full tables,
regular expressions instead of scanners. Slow and obvious on purpose: it is what the library is compared with."""
import math
import re
import unicodedata
from collections import Counter

# ---- tokens ----

IDEOGRAPHS = ((0x3005, 0x3007), (0x3041, 0x30FA), (0x30FC, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
              (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x20000, 0x323AF))


def char_class(c):
    if any(a <= ord(c) <= b for a, b in IDEOGRAPHS):
        return "I"
    return "W" if unicodedata.category(c)[0] in "LMN" else "B"


def rouge_tokens(text):
    text = text.lower()
    shape = "".join(char_class(c) for c in text)
    return [text[m.start():m.end()] for m in re.finditer("I|W+", shape)]


# sacreBLEU's list of blocks, compared as Python compares strings: two of the bounds have two characters each.
ZH_BLOCKS = [("\u3400", "\u4db5"), ("\u4e00", "\u9fa5"), ("\u9fa6", "\u9fbb"), ("\uf900", "\ufa2d"), ("\ufa30", "\ufa6a"),
             ("\ufa70", "\ufad9"), ("\u2000" + "0", "\u2a6d" + "6"), ("\u2f80" + "0", "\u2fa1" + "d"), ("\uff00", "\uffef"),
             ("\u2e80", "\u2eff"), ("\u3000", "\u303f"), ("\u31c0", "\u31ef"), ("\u2f00", "\u2fdf"), ("\u2ff0", "\u2fff"),
             ("\u3100", "\u312f"), ("\u31a0", "\u31bf"), ("\ufe10", "\ufe1f"), ("\ufe30", "\ufe4f"), ("\u2600", "\u26ff"),
             ("\u2700", "\u27bf"), ("\u3200", "\u32ff"), ("\u3300", "\u33ff")]


def zh_tokens(text):
    out = []
    for c in text.strip():
        out.append(f" {c} " if any(a <= c <= b for a, b in ZH_BLOCKS) else c)
    text = "".join(out)
    text = re.sub(r"[ !-&(-+/:-@\[-`{-~]", lambda m: f" {m[0]} ", text)
    text = re.sub(r"([^0-9])([,.])", r"\1 \2 ", text)
    text = re.sub(r"([,.])([^0-9])", r" \1 \2", text)
    text = re.sub(r"([0-9])-", r"\1 - ", text)
    return text.split()


# ---- n-grams ----

def grams(tokens, n):
    return Counter(tuple(tokens[i:i + n]) for i in range(len(tokens) - n + 1))


def overlap(a, b):
    return sum((a & b).values())


def prf(match, n_reference, n_output):
    p = match / n_output if n_output else 0.0
    r = match / n_reference if n_reference else 0.0
    return p, r, 2 * p * r / (p + r) if p + r else 0.0


def rouge_n(response, output, n):
    a, b = grams(rouge_tokens(response), n), grams(rouge_tokens(output), n)
    return prf(overlap(a, b), sum(a.values()), sum(b.values()))


def rouge_l(response, output):
    a, b = rouge_tokens(response), rouge_tokens(output)
    return prf(lcs(a, b), len(a), len(b))


def bleu_counts(response, output):
    a, b = zh_tokens(response), zh_tokens(output)
    match = [overlap(grams(a, n), grams(b, n)) for n in range(1, 5)]
    return [len(b), len(a), *match, *(max(len(b) - n + 1, 0) for n in range(1, 5))]


def bleu_score(counts, effective):
    output, reference, match, total = counts[0], counts[1], counts[2:6], counts[6:10]
    if not any(match):
        return 0.0
    logs, half = [], 1.0
    for m, t in zip(match, total):
        if t == 0:
            break
        if m == 0:
            half /= 2
        logs.append(math.log(100 * m / t if m else 100 * half / t))
    if len(logs) < 4 and not effective:
        return 0.0
    penalty = math.exp(1 - reference / output) if output < reference else 1.0
    return penalty * math.exp(sum(logs) / len(logs)) / 100


def chrf_counts(response, output):
    a, b = "".join(response.split()), "".join(output.split())
    orders = range(1, 7)
    return [*(max(len(b) - n + 1, 0) for n in orders), *(max(len(a) - n + 1, 0) for n in orders),
            *(overlap(grams(a, n), grams(b, n)) for n in orders)]


def chrf_score(counts):
    rows = [(m / o, m / r) for o, r, m in zip(counts[:6], counts[6:12], counts[12:]) if o and r]
    if not rows:
        return 0.0
    p, r = sum(x for x, _ in rows) / len(rows), sum(x for _, x in rows) / len(rows)
    return (1 + 2 ** 2) * p * r / (2 ** 2 * p + r) if p + r else 0.0


# ---- full tables ----

def lcs(a, b):
    row = [0] * (len(b) + 1)
    for x in a:
        above = row
        row = [0]
        for j, y in enumerate(b):
            row.append(above[j] + 1 if x == y else max(above[j + 1], row[j]))
    return row[-1]


def distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        above = row
        row = [i + 1]
        for j, y in enumerate(b):
            row.append(min(above[j] + (x != y), above[j + 1] + 1, row[j] + 1))
    return row[-1]


# ---- averages over labels ----

def label_averages(rows, labels):
    """(micro, macro, weighted); rows are pairs of sets."""
    f1s, actuals, tp, both = [], [], 0, 0
    for label in labels:
        actual, predicted = sum(label in a for a, _ in rows), sum(label in b for _, b in rows)
        correct = sum(label in a and label in b for a, b in rows)
        f1s.append(2 * correct / (actual + predicted) if actual + predicted else 0.0)
        actuals.append(actual)
        tp, both = tp + correct, both + actual + predicted
    return (2 * tp / both if both else 0.0, sum(f1s) / len(f1s) if f1s else 0.0,
            sum(f * n for f, n in zip(f1s, actuals)) / sum(actuals) if sum(actuals) else 0.0)


# ---- choices ----

WORDY = "A-Za-z0-9Ａ-Ｚａ-ｚ０-９＿" + "".join(chr(c) for c in range(0xC0, 0x2000) if unicodedata.category(chr(c))[0] in "LMN")
BEFORE = f"(?<![{WORDY}&+])(?<![{WORDY}][_-])"
BEHIND = f"(?![{WORDY}])(?![_&'-][{WORDY}])(?!股|轮|类|级|档|\\+)"
SMALL, ARTICLE = 1, 2


def run_pattern(first, small):
    letters = [f"[{c}{chr(ord(c) + 0xFEE0)}" + (f"{c.lower()}{chr(ord(c.lower()) + 0xFEE0)}" if small else "") + "]" for c in "ABCDE"]
    some = "|".join(letters[first:])
    return re.compile(BEFORE + f"(?={some})" + "".join(letter + "?" for letter in letters[first:]) + BEHIND) if some else None


RUNS = {(first, small): run_pattern(first, small) for first in range(6) for small in (0, 1)}
SEPARATOR = re.compile(r"\s*(?:(?P<list>、|以及|和|与|及)|[,，;；/]|(?<=\s)[aA][nN][dD](?![A-Za-z]))\s*|(?!\s*\n)[^\S\n]+(?![\s])")
SPACES = re.compile(r"\s*")


def choice_set(run):
    return {chr(ord(c.upper()) - (0xFEE0 if ord(c) > 0xFF00 else 0)) for c in run}


def read_group(text, at, flags):
    """(set of letters, end) or None"""
    m = RUNS[0, flags & SMALL].match(text, at)
    if not m:
        return None
    found, end = choice_set(m[0]), m.end()
    if found == {"A"} and not flags & ARTICLE and re.compile(" [a-z]").match(text, end):
        return None
    while True:
        s = SEPARATOR.match(text, end)
        m = s and RUNS[ord(max(found)) - ord("A") + 1, flags & SMALL]
        m = m and m.match(text, s.end())
        if not m or (not s["list"] and text[m.end():m.end() + 1] and char_class(text[m.end()]) != "B"):
            return found, end
        found, end = found | choice_set(m[0]), m.end()


OPEN = re.compile(r"(?:\s|[（(【\[{“\"‘'「『*_`$#><《-])*")
OPEN_IN_LINE = re.compile(r"(?:[^\S\n]|[（(【\[{“\"‘'「『*_`$#><《-])*")
CLOSE = re.compile(r"(?:\s|[）)】\]}”\"’'」』*_`$>》.。:：,，;；、!！])*\Z")
MARKER = re.compile(r"答案|正确的?选项|正确的是|正确项|(?<![不勿别未没非])选(?!项)|"
                    rf"(?<![{WORDY}_])(?i:answer|correct option|correct choice|choose)(?![A-Za-z])")
NEGATED = re.compile(r"[不勿别未没非][应该能可以会宜要需]*\Z")
FILLER = re.compile(r"(?:\s|[：:是为应该当就即最终的]|选项|选择|选|项|[（(【\[{“\"‘'「*_`$<《=#]|\\boxed|\\text|\\mathrm|"
                    r"(?i:is|be|should|option|choice|the|correct)(?![A-Za-z])){0,16}", re.S)
VERDICT = re.compile(r"(?:\s|选项|选择|[项选是为的最]|说法|描述|表述|答案|[）)】\]”\"’'」*_`$}.》>]|(?i:is|are)(?![A-Za-z]))*"
                     r"(?:正确|符合题意|当选|恰当|合适|准确|(?i:correct|right)(?![A-Za-z]))")


def all_groups(text, flags):
    at = 0
    while at < len(text):
        g = read_group(text, at, flags)
        if g:
            yield g
        at = g[1] if g else at + 1


def only(sets):
    sets = list(sets)
    return sets[0] if sets and all(s == sets[0] for s in sets) else set()


def choices(text):
    g = read_group(text, OPEN.match(text).end(), SMALL | ARTICLE)
    if g and CLOSE.match(text, g[1]):
        return g[0]
    found = set()
    for at in range(len(text)):
        m = MARKER.match(text, at)
        if m and not (m[0] == "选" and NEGATED.search(text[max(0, at - 40):at])):
            g = read_group(text, FILLER.match(text, m.end()).end(), ARTICLE)
            found = g[0] if g else found
    if found:
        return found
    for letters, end in all_groups(text, ARTICLE):
        if VERDICT.match(text, end):
            found |= letters
    if found:
        return found
    lines = []
    at = 0
    while at < len(text):
        begin = OPEN_IN_LINE.match(text, at).end()
        g = read_group(text, begin, 0)
        if g and (g[1] == len(text) or char_class(text[g[1]]) == "B"):
            lines.append(g[0])
        end = text.find("\n", begin)
        at = end + 1 if end >= 0 else len(text)
    return only(lines) or (set() if lines and only(lines) else only(s for s, _ in all_groups(text, 0)))


def choice_bits(text):
    return sum(1 << (ord(c) - ord("A")) for c in choices(text))
