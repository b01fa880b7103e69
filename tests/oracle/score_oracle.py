#!/usr/bin/env python3
"""Compares the library's scores with reference.py, to the last bit.   score_oracle.py PROGRAM [ROWS] [SEED]

PROGRAM is tests/oracle/score_rows.c. Rows are random and nasty: commas of both widths, white space of all kinds, empty
and repeated items, Chinese and Latin mixed, sigmas, dotted capital I, emoji, rows with hundreds of labels. Each metric
and label set is run with 1, 2 and 8 threads and with different numbers of rows per call."""
import json
import math
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import reference as ref  # noqa: E402

LABELS = ["银行", "证券", "保险", "房地产", "电力", "A股", "AI", "半导体Σ", "汽车", "a", "b", "c", "白酒", "新能源汽车产业链",
          "x1", "银行业", "x" * 16, "x" * 17, "x" * 15 + "y", "y" + "x" * 16, "x" * 8 + "z" + "x" * 8]
SPACE = [" ", "  ", "\t", "\n", "\u3000", "\u00a0", "\u2003", "\x1c", "\x85", "\u2028", "\r\n"]
COMMA = [",", "，", "，", "，,", ",,", " , ", "，\u3000", "\u3000，"]
WORDS = ["银行", "ΑΣ", "ΣΑΣ", "İstanbul", "İ", "I", "Ǆ", "ẞ", "Ⅷ", "Ⓐ", "ＡＢＣ", "😀", "👨‍👩‍👧", "𝔘", "don't", "(a)", "[B]", "“好”", "好。",
         "3.14", "a:b", "ΟΔΟΣ.", "a\u0301Σ\u0301", "Σ", "中A国", "扩\U00020000展", "\U00020000", "㐀", "\u9fff", "\ua000", "\u4dff",
         "é", "\u0301", "\u00ad", "！？；：（）、", "、", "中", "国", "A", "a", "b", "公司", "增长", "营收", "K", "\ufeff", "\x1f"]


def label_text(rng):
    kind = rng.random()
    if kind < 0.03:
        return rng.choice(["", " ", ",", "，", " ，", ", ,", "，，", "\u3000", "a， ,b", " ,a, ", "，a", "a，", "a ,b"])
    n = rng.choice([1, 1, 1, 2, 2, 3, 4, 6]) if kind < 0.97 else rng.randrange(60, 300)
    sep = rng.choice(COMMA) if rng.random() < 0.8 else None
    parts = []
    for i in range(n):
        if i:
            parts.append(sep or rng.choice(COMMA))
        label = rng.choice(LABELS) if n < 20 or rng.random() < 0.3 else f"公司{rng.randrange(n * 2)}"
        if rng.random() < 0.08:
            label = rng.choice(SPACE) + label
        if rng.random() < 0.08:
            label += rng.choice(SPACE)
        parts.append("" if rng.random() < 0.02 else rng.choice(SPACE) if rng.random() < 0.02 else label)
    return "".join(parts)


def free_text(rng):
    if rng.random() < 0.04:
        return rng.choice(["", " ", "。", "，。！", "\u3000\n", "…"])
    n = rng.randrange(1, 40) if rng.random() < 0.97 else rng.randrange(200, 1500)
    out = []
    for _ in range(n):
        w = rng.choice(WORDS) if rng.random() < 0.7 else chr(rng.randrange(0x4E00, 0x4F00))
        if rng.random() < 0.01:
            w = f"w{rng.randrange(5000)}"
        out.append(w + (rng.choice(SPACE + list("，。,.")) if rng.random() < 0.3 else ""))
    return "".join(out)


def make_rows(n, rng, text):
    rows = []
    for _ in range(n):
        response = text(rng)
        kind = rng.random()
        output = response if kind < 0.2 else text(rng)
        if 0.2 <= kind < 0.4:  # related texts
            output = response[: rng.randrange(len(response) + 1)] + output[: rng.randrange(len(output) + 1)]
        state = rng.choices(["ok", "empty", "truncated", "filtered", "failed"], [90, 2, 3, 2, 3])[0]
        rows.append({"response": response, "output": "" if state == "empty" else output, "state": state})
    return rows


def expect(rows, metric, label_set, labels):
    """The lines that score_rows prints, made by reference.py."""
    seen = [dict(r, output="" if r["state"] == "failed" else r["output"]) for r in rows]
    if label_set == "observed":
        labels = ref.observed_labels(seen)
    index = {label: i for i, label in enumerate(labels)}
    lines, scores, answered, sets, unmatchable = [], [], [], [], 0
    for r in seen:
        response, output, failed = r["response"], r["output"], r["state"] == "failed"
        bad = False
        if metric == "tf":
            score, tp, n_pred, n_true, s = 0.0 if failed else ref.tf_cosine(response, output), 0, 0, 0, (0.0, 0.0, 0.0)
        else:
            own = response.split(ref.FULL_WIDTH_COMMA) if label_set == "row" else labels
            if label_set == "observed" and len(lines) >= 200:  # the list in sparse form, else a big file takes for ever
                own = [v for v in ref.label_set(response) | ref.label_set(output) if v in index]
            score, tp, n_pred, n_true = ref.classes_f1(own, response, output)
            s = ref.set_scores(response, output)
            if label_set == "row":
                bad = any(v not in ref.label_set(response) for v in own)
            elif label_set == "suite":
                # the list of this test may hold the empty label, which a suite's cannot: hence the counts
                labels_of_row = ref.label_set(response)
                bad = sum(v in index for v in labels_of_row) < sum(v != "" for v in labels_of_row)
        unmatchable += bad
        scores.append(score)
        answered.append(score if r["state"] in ("ok", "truncated") else 0.0)
        sets.append(s)
        lines.append([score, *s, tp, n_pred, n_true, len(response), len(output), int(bad)])
    n_answered = sum(r["state"] in ("ok", "truncated") for r in seen)
    n = len(rows)
    lines.append(["summary", n, n_answered, unmatchable, ref.block_mean(scores), ref.block_mean(answered, n_answered),
                  *(ref.block_mean([s[i] for s in sets]) for i in range(3)),
                  sum(len(r["response"]) for r in seen) / n, sum(len(r["output"]) for r in seen) / n])
    if metric == "f1":
        for label, (actual, predicted, correct) in sorted(ref.label_table(seen).items()):
            p, r = correct / predicted if predicted else 0.0, correct / actual if actual else 0.0
            lines.append(["label", label.encode().hex(), actual, predicted, correct, p, r,
                          2 * p * r / (p + r) if p + r else 0.0])
    if metric == "f1" and label_set == "suite":
        counts = {}
        for r in seen:
            for t in ref.label_set(r["response"]) & index.keys():
                for p in ref.label_set(r["output"]) & index.keys():
                    counts[index[t], index[p]] = counts.get((index[t], index[p]), 0) + 1
        lines += [["confusion", *key, v] for key, v in sorted(counts.items())]
    return lines


def same(want, got):
    if len(want) != len(got):
        return False
    for w, g in zip(want, got):
        if isinstance(w, float):
            v = float.fromhex(g)
            if not (v == w or (math.isnan(v) and math.isnan(w))):
                return False
        elif str(w) != g:
            return False
    return True


def compare(program, rows, path, metric, label_set, labels_path, labels):
    want, bad = expect(rows, metric, label_set, labels), 0
    for threads, batch in ((1, 1 << 40), (2, 1 << 40), (8, 700), (2, 1024), (1, 3), (8, 1 << 40)):
        if batch == 3 and len(rows) > 5000 and metric == "tf":
            batch = 37
        command = [program, path, "--metric", metric, "--label-set", label_set, "--threads", str(threads), "--batch", str(batch)]
        if label_set == "suite" and metric == "f1":
            command += ["--labels", labels_path, "--confusion"]
        got = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode().split("\n")[:-1]
        wrong = [i for i, (w, g) in enumerate(zip(want, got)) if not same(w, g.split(" "))]
        if len(want) != len(got):
            wrong.append(min(len(want), len(got)))
        for i in wrong[:3]:
            print(f"{metric}/{label_set}, {threads} threads, line {i + 1}: want {want[i:i + 1]}, got {got[i:i + 1]}; "
                  f"row {rows[i:i + 1]}", file=sys.stderr)
        bad += len(wrong)
    print(f"{metric}, labels {label_set}: {len(rows)} rows x 6 runs, {len(want)} lines, {bad} differences")
    return bad


def main():
    program = sys.argv[1]
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        labels = sorted(LABELS[:12] + ["", "Σ"] + [f"公司{i}" for i in range(150)])
        labels_path = os.path.join(folder, "labels.json")
        with open(labels_path, "w", encoding="utf-8") as f:
            json.dump(labels, f)
        for metric, sets, text in (("f1", ("row", "suite", "observed"), label_text), ("tf", ("suite",), free_text)):
            rows = make_rows(n, rng, text)
            path = os.path.join(folder, metric + ".jsonl")
            with open(path, "w", encoding="utf-8") as f:
                f.writelines(json.dumps(r) + "\n" for r in rows)
            for label_set in sets:
                bad += compare(program, rows, path, metric, label_set, labels_path, labels)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
