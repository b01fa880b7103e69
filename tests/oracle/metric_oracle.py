#!/usr/bin/env python3
"""Compares the library's text metrics with metric_reference.py, and with NLTK, python-Levenshtein and scikit-learn where they
are installed.   metric_oracle.py PROGRAM [ROWS] [SEED]

PROGRAM is tests/oracle/metric_rows.c. Counts must be equal, scores within 1e-12. Rows are random: Chinese and Latin, numbers,
points and hyphens, white space of all kinds, emoji, long runs, related pairs; and answers to choice questions put together from
phrases. Real texts are read from ../shared/cfbenchmark where that is at hand; nothing of them is printed."""
import csv
import json
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import metric_reference as ref  # noqa: E402

WORDS = ["净利润", "同比", "增长", "12.5%", "3,000", "1-2", "a-b", "GDP", "gdp", "Ａ股", "A股", "ΑΣ", "İ", "ǅ", "don't", "(a)", "[B]", "“好”",
         "……", "——", "。", "，", ".", ",", ". ", "...", "-", "--", "5.", ".5", "5.a", "é", "e\u0301", "\u0301", "😀", "👨‍👩‍👧", "\U00020000",
         "かな", "・", "カー", "한국", "Ⅷ", "½", "①", "२०", "★", "㈱", "￥", "％", "/", "_", "~", "\\", "\x01", "\u200b", "\ufeff", "x1y2"]
SPACE = [" ", "  ", "\t", "\n", "\u3000", "\u00a0", "\u2003", "\x1c", "\x85", "\u2028", "\r\n"]
PHRASES = ["答案", "答案是", "答案：", "正确答案为", "选", "选项", "选择", "故选", "不选", "不应该选", "应选", "正确", "不正确", "错误", "正确的是", "符合题意", "当选",
           "The answer is ", "answer: ", "Answers ", "correct option", "is correct", "choose ", "因为", "上涨", "，", "。", "、", "\n", " ", "：", "(", ")",
           "（", "）", "**", "__", "股", "轮", "级", "项", "和", "与", "以及", " and ", ",", "/", "-", "&", "+", "'", "x", "1", "\\boxed{", "}", "是", "的", "$",
           "company", "é", "不", "别", "不能", "；", ";", "\t", ".", "_", "说法", "最恰当"]
LETTERS = list("ABCDEABCDEABCDF") + ["Ａ", "Ｂ", "Ｄ", "a", "b", "c", "ｂ", "AB", "BD", "BA", "ABD", "ＡＢ", "ＡB", "ACE", "DEAD", "A、C", "A,B", "A B"]


def free_text(rng):
    if rng.random() < 0.04:
        return rng.choice(["", " ", "。", "，。！", "\u3000\n", "…", ".", "-"])
    n = rng.randrange(1, 40) if rng.random() < 0.95 else rng.randrange(150, 600)
    size = rng.choice([2, 30, 300])
    out = []
    for _ in range(n):
        out.append(rng.choice(WORDS) if rng.random() < 0.5 else chr(rng.randrange(0x4E00, 0x4E00 + size)) * rng.choice([1, 1, 1, 3]))
        if rng.random() < 0.2:
            out.append(rng.choice(SPACE))
        if rng.random() < 0.01:
            out.append(chr(rng.choice([rng.randrange(0x20, 0x3400), rng.randrange(0xF900, 0x10000)])))
    text = "".join(out)
    return "".join(c for c in text if ref.unicodedata.category(c) != "Cn")  # unassigned ones depend on the Unicode version


def choice_text(rng):
    n = rng.choice([1, 1, 2, 2, 3, 4, 6, 9, 14])
    return "".join(rng.choice(LETTERS) if rng.random() < 0.4 else rng.choice(PHRASES) for _ in range(n))


def random_rows(n, rng):
    rows = []
    for i in range(n):
        text = choice_text if i % 3 == 0 else free_text
        response, kind = text(rng), rng.random()
        output = response if kind < 0.05 else text(rng)
        if kind > 0.5 and text is free_text:  # related: pieces cut out, put in, moved
            output = response
            for _ in range(rng.randrange(1, 6)):
                i, j = sorted(rng.randrange(len(output) + 1) for _ in range(2))
                output = output[:i] + rng.choice(["", free_text(rng)[:8], output[i:j] * 2]) + output[j:]
        rows.append((response, output[:4000]))
    return rows


def real_rows():
    base = os.path.join("..", "shared", "cfbenchmark", "published", "few-shot")
    rows = []
    for name in ("gpt-4.1-mini/suggestion", "gpt-4.1-mini/company", "gpt-4o-mini/sentiment"):
        try:
            with open(os.path.join(base, name + "-output.csv"), encoding="utf-8", newline="") as f:
                rows += [(r["response"], r["output"]) for r in csv.DictReader(f)]
        except OSError:
            return []
    return rows


def expect(response, output):
    want, got = ref.choice_bits(response), ref.choice_bits(output)
    row = [float(response.strip() == output.strip()), want, got, float(want != 0 and want == got)]
    row += [*ref.rouge_n(response, output, 1), *ref.rouge_n(response, output, 2), *ref.rouge_l(response, output)]
    bleu, chrf = ref.bleu_counts(response, output), ref.chrf_counts(response, output)
    row += [*bleu, ref.bleu_score(bleu, True), *chrf, ref.chrf_score(chrf)]
    d, longer = ref.distance(response, output), max(len(response), len(output))
    row += [d, 1 - d / longer if longer else 1.0]
    row += [len(response), len(output), len(ref.rouge_tokens(response)), len(ref.rouge_tokens(output))]
    return row, bleu, chrf


def same(want, got):
    if isinstance(want, float):
        return abs(float.fromhex(got) - want) <= 1e-12
    return str(want) == got


def compare(program, rows, what):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rows.jsonl")
        with open(path, "w", encoding="utf-8") as f:
            f.writelines(json.dumps({"response": r, "output": o}) + "\n" for r, o in rows)
        lines = subprocess.run([program, path], stdout=subprocess.PIPE, check=True).stdout.decode().split("\n")[:-1]
    bad, bleu_sum, chrf_sum = 0, [0] * 10, [0] * 18
    private = what == "real"
    for i, ((response, output), line) in enumerate(zip(rows, lines)):
        want, bleu, chrf = expect(response, output)
        got = line.split(" ")
        wrong = [k for k, (w, g) in enumerate(zip(want, got)) if not same(w, g)]
        if wrong or len(want) != len(got):
            bad += 1
            if bad <= 5:
                texts = "" if private else f": {response!r} / {output!r}"
                print(f"row {i}: fields {wrong}: want {[want[k] for k in wrong]}, got {[got[k] for k in wrong]}{texts}")
        bleu_sum = [x + y for x, y in zip(bleu_sum, bleu)]
        chrf_sum = [x + y for x, y in zip(chrf_sum, chrf)]
    corpus = ["corpus", ref.bleu_score(bleu_sum, False), ref.chrf_score(chrf_sum)]
    if len(lines) != len(rows) + 1 or not all(same(w, g) for w, g in zip(corpus, lines[-1].split(" "))):
        bad += 1
        print(f"corpus: want {corpus}, got {lines[-1:]}")
    print(f"{'not ok' if bad else 'ok'} metrics on {what} texts: {len(rows)} rows, {bad} differences")
    return bad, lines


def against_nltk(rows, lines):
    """BLEU and chrF's matches by NLTK, on the tokens of the plain implementation. Its sentence BLEU differs where an output has fewer
    than four tokens (it then counts n-grams that are not there), so those rows are left out."""
    try:
        from nltk.translate import bleu_score, chrf_score
    except ImportError:
        print("skip metrics against NLTK: python3-nltk is not installed")
        return 0
    smooth, bad, n, refs, hyps = bleu_score.SmoothingFunction().method3, 0, 0, [], []
    for (response, output), line in zip(rows, lines):
        got = line.split(" ")
        a, b = ref.zh_tokens(response), ref.zh_tokens(output)
        refs.append([a])
        hyps.append(b)
        if len(b) >= 4 and a:
            n += 1
            want = bleu_score.sentence_bleu([a], b, smoothing_function=smooth)
            # as sacreBLEU, this has no smoothing where not even a word matches
            bad += not same(float(want) if got[15] != "0" else 0.0, got[23])
        x, y = "".join(response.split()), "".join(output.split())
        for order in range(1, 7):
            tp = chrf_score.chrf_precision_recall_fscore_support(x, y, order, beta=2.0)[3]
            bad += int(got[24 + 12 + order - 1]) != tp
    want = bleu_score.corpus_bleu(refs, hyps, smoothing_function=smooth)
    short = sum(max(0, k - len(h)) for h in hyps for k in (1, 2, 3, 4) if len(h) < k)
    if short == 0:
        n += 1
        bad += not same(float(want), lines[-1].split(" ")[1])
    print(f"{'not ok' if bad else 'ok'} metrics against NLTK: {n} BLEU, {6 * len(rows)} chrF counts, {bad} differences")
    return bad


def against_levenshtein(rows, lines):
    try:
        from Levenshtein import distance
    except ImportError:
        print("skip metrics against Levenshtein: python3-levenshtein is not installed")
        return 0
    bad = sum(distance(r, o) != int(line.split(" ")[43]) for (r, o), line in zip(rows, lines))
    print(f"{'not ok' if bad else 'ok'} metrics against Levenshtein: {len(rows)} distances, {bad} differences")
    return bad


def label_rows(n, rng, universe):
    return [tuple({rng.choice(universe[: rng.choice([3, 9, 30])]) for _ in range(rng.randrange(4))} for _ in range(2)) for _ in range(n)]


def averages(program, rng):
    """f1_micro, f1_macro, f1_weighted through the scorer, over the suite's labels and over the observed ones."""
    try:
        from sklearn.metrics import f1_score
        from sklearn.preprocessing import MultiLabelBinarizer
    except ImportError:
        f1_score = None
        print("skip averages over labels against scikit-learn: python3-sklearn is not installed")
    universe, bad, n_sklearn = [f"标签{i}" for i in range(30)], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for run in range(12):
            rows = label_rows(rng.choice([1, 7, 300, 2500]), rng, universe)
            suite = sorted(rng.sample(universe, rng.randrange(1, 20)) + ["没有人用"])
            path, labels_path = os.path.join(folder, "rows.jsonl"), os.path.join(folder, "labels.json")
            with open(path, "w", encoding="utf-8") as f:
                f.writelines(json.dumps({"response": "，".join(a), "output": ",".join(b)}) + "\n" for a, b in rows)
            with open(labels_path, "w", encoding="utf-8") as f:
                json.dump(suite, f)
            for label_set, labels in (("suite", suite), ("observed", sorted(set().union(*(a | b for a, b in rows))))):
                want = ref.label_averages(rows, labels)
                for k, name in enumerate(("micro", "macro", "weighted")):
                    out = subprocess.run([program, path, "--metric", "f1_" + name, "--label-set", label_set, "--labels", labels_path,
                                          "--threads", "2"], stdout=subprocess.PIPE, check=True).stdout.decode()
                    got = next(line for line in out.split("\n") if line.startswith("summary")).split(" ")[4]
                    wants = [want[k]]
                    if f1_score and labels:
                        shape = MultiLabelBinarizer(classes=labels)
                        known = set(labels)
                        y = [shape.fit_transform([r[i] & known for r in rows]) for i in (0, 1)]
                        wants.append(float(f1_score(*y, average=name, zero_division=0)))
                        n_sklearn += 1
                    bad += not all(same(w, got) for w in wants)
    print(f"{'not ok' if bad else 'ok'} averages over labels: 72 averages, {n_sklearn} also by scikit-learn, {bad} differences")
    return bad


def main():
    program = sys.argv[1]
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 3000
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    rows = random_rows(n, rng)
    bad, lines = compare(program, rows, "random")
    bad += against_nltk(rows, lines) + against_levenshtein(rows, lines)
    rows = [r for r in rows if len(ref.zh_tokens(r[1])) >= 4][:150]  # NLTK's corpus BLEU is the same for these
    more, lines = compare(program, rows, "longer random")
    bad += more + against_nltk(rows, lines)
    rows = real_rows()
    if rows:
        rng.shuffle(rows)
        rows = rows[: max(60, n // 10)]
        more, lines = compare(program, rows, "real")
        bad += more + against_nltk(rows, lines) + against_levenshtein(rows, lines)
    else:
        print("skip metrics on real texts: ../shared/cfbenchmark is absent")
    bad += averages(os.path.join(os.path.dirname(program), "score_rows"), rng)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
