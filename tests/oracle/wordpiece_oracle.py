"""Compares the WordPiece tokeniser with this independent one, which follows the description of BERT's basic tokeniser and uses
Python's own Unicode tables. Usage: wordpiece_oracle.py PROGRAM VOCAB. Texts: every assigned code point, random mixes, long words.
Code points that Python's version of Unicode does not know are left out."""
import random
import subprocess
import sys
import unicodedata as u

program, vocab_path = sys.argv[1:]
tokens = open(vocab_path, encoding="utf-8", newline="\n").read().split("\n")
vocab = {t: i for i, t in enumerate(tokens) if t or i < len(tokens) - 1}
longest = max(map(len, vocab))
special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CJK = [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF),
       (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)]


def punctuation(c):
    o = ord(c)
    return 33 <= o <= 47 or 58 <= o <= 64 or 91 <= o <= 96 or 123 <= o <= 126 or u.category(c)[0] == "P"


def pieces(word):
    if len(word) > 100:
        return ["[UNK]"]
    out, at = [], 0
    while at < len(word):
        for end in range(min(len(word), at + longest), at, -1):
            piece = ("##" if at else "") + word[at:end]
            if piece in vocab:
                break
        else:
            return ["[UNK]"]
        out.append(piece)
        at = end
    return out


def basic(text, lower, strip, cjk):
    clean = []
    for c in text:
        if c in "\0�" or (u.category(c)[0] == "C" and c not in "\t\n\r"):
            continue
        c = " " if c.isspace() else c
        clean.append(f" {c} " if cjk and any(a <= ord(c) <= b for a, b in CJK) else c)
    for word in "".join(clean).split():
        if lower:
            word = word.lower()
        if strip:
            word = "".join(c for c in u.normalize("NFD", word) if u.category(c) != "Mn")
        yield from "".join(f" {c} " if punctuation(c) else c for c in word).split()


def encode(text, mode):
    out, rest = ["[CLS]"], text
    while rest:
        at, s = min(((rest.find(s), s) for s in special if s in rest), default=(len(rest), ""))
        for word in basic(rest[:at], mode & 1, mode & 2, mode & 4):
            out += pieces(word)
        if s:
            out.append(s)
        rest = rest[at + len(s):]
    out.append("[SEP]")
    if len(out) > 512:
        out = out[:512] if mode & 8 else out[:511] + ["[SEP]"]
    return [vocab[t] for t in out]


random.seed(7)
known = [chr(i) for i in range(1, 0x110000) if not 0xD800 <= i < 0xE000 and u.category(chr(i)) != "Cn"]
texts = ["".join(known[i:i + 50]) for i in range(0, len(known), 50) if u.category(known[i]) != "Co" or i % 5000 == 0]
texts += [f"a{c}b {c}" for c in known[:0x3200]]
marks = [c for c in known if u.combining(c)]
odd = [c for c in known if u.decomposition(c) or c.lower() != c or u.category(c)[0] in "PZCM"]
pool = [list("abc,中文ΑΣσς.'İK가각"), marks, odd, known[:0x3000], ["[SEP]", "[MASK]", "[CLS", "##", " ", "\u3000"]]
for _ in range(6000):
    texts.append("".join(random.choice(random.choice(pool)) for _ in range(random.randint(1, 30))))
texts += ["a" * n for n in (99, 100, 101, 1000)] + ["e\u0301" * 60, "中" * 700, "ab " * 600, "Σ" * 300, "한" * 50]
bad = 0
for mode in (7, 15, 4, 5, 6, 3):
    data = b"".join(t.encode() + b"\0" for t in texts)
    got = subprocess.run([program, vocab_path, str(mode)], input=data, stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
    assert len(got) == len(texts), (len(got), len(texts))
    for text, line in zip(texts, got):
        want = encode(text, mode)
        if [int(x) for x in line.split()] != want:
            bad += 1
            if bad <= 5:
                print(f"mode {mode}, {ascii(text)}: got {[tokens[int(x)] for x in line.split()]}, want {[tokens[i] for i in want]}")
print(f"{len(texts)} texts in 6 modes, {bad} differ")
sys.exit(bad != 0)
