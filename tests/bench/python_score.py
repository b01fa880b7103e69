"""Scores a response file in Python and prints the time it took: one side of tests/bench/score.py.

  python_score.py FILE --metric suite|row|tf --style pandas|lean [--labels FILE --key TASK] [--scores OUT]

Two styles, with the same results to the last bit:
  pandas  the usual research script, as CFBenchmark's is: read_csv, iterrows, numpy vectors over the labels or the words
  lean    the same formulas as fast as straightforward Python gets: columns as lists, sets, counters, no numpy, no
          row objects

The time is that of reading and scoring. Starting Python and importing pandas are not in it."""
import argparse
import json
import math
import re
import time
from collections import Counter

import numpy as np
import pandas as pd

MARKS = re.compile("[，。！？、；：（）,.!?;:'\"()\\[\\]]")
CJK = re.compile("[\u4e00-\u9fff]")


def label_set(text):
    return {item.strip() for item in text.replace("，", ",").strip().split(",") if item}


def words(text):
    out = []
    for word in MARKS.sub(" ", text.lower()).split():
        if CJK.search(word):
            out.extend(word)
        else:
            out.append(word)
    return out


def f1_of_counts(tp, n_true, n_pred):
    a = tp / max(n_true, 1e-10)
    b = tp / max(n_pred, 1e-10)
    return 0.0 if a == 0 or b == 0 else 2 * a * b / (a + b)


# ---- pandas ----


def f1_numpy(labels, response, output):
    truth, predicted = label_set(response), label_set(output)
    y_true = np.array([1 if label in truth else 0 for label in labels] + [0])
    y_pred = np.array([1 if label in predicted else 0 for label in labels] + [0])
    n = np.sum(y_pred)
    if n == 0 or len(predicted) > n:
        y_pred[-1] = 1
    return float(f1_of_counts(np.sum(y_true * y_pred), np.sum(y_true), np.sum(y_pred)))


def tf_numpy(response, output):
    a, b = Counter(words(response)), Counter(words(output))
    if not a or not b:
        return 1.0 if not a and not b else 0.0
    vocabulary = list(a.keys() | b.keys())
    va = np.array([a[w] for w in vocabulary])
    vb = np.array([b[w] for w in vocabulary])
    cosine = np.dot(va, vb) / (np.sqrt(np.dot(va, va)) * np.sqrt(np.dot(vb, vb)))
    return float(min(1.0, max(0.0, cosine)))


def score_pandas(table, metric, labels):
    scores = []
    for _, row in table.iterrows():
        response, output = row["response"], row["output"]
        if metric == "tf":
            scores.append(tf_numpy(response, output))
        else:
            scores.append(f1_numpy(labels if metric == "suite" else response.split("，"), response, output))
    return scores


# ---- lean ----


def f1_lists(labels, response, output):
    truth, predicted = label_set(response), label_set(output)
    y_true = [1 if label in truth else 0 for label in labels]
    y_pred = [1 if label in predicted else 0 for label in labels]
    n = sum(y_pred)
    tp = sum([t * p for t, p in zip(y_true, y_pred)])
    return f1_of_counts(tp, sum(y_true), n + 1 if n == 0 or len(predicted) > n else n)


def tf_counters(response, output):
    a, b = Counter(words(response)), Counter(words(output))
    if not a or not b:
        return 1.0 if not a and not b else 0.0
    dot = sum([n * b[w] for w, n in a.items() if w in b])
    aa, bb = sum([n * n for n in a.values()]), sum([n * n for n in b.values()])
    return min(1.0, dot / (math.sqrt(aa) * math.sqrt(bb)))


def score_lean(table, metric, labels):
    rows = zip(table["response"].tolist(), table["output"].tolist())
    if metric == "tf":
        return [tf_counters(r, o) for r, o in rows]
    if metric == "suite":
        return [f1_lists(labels, r, o) for r, o in rows]
    return [f1_lists(r.split("，"), r, o) for r, o in rows]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("file")
    p.add_argument("--metric", choices=("suite", "row", "tf"), required=True)
    p.add_argument("--style", choices=("pandas", "lean"), default="pandas")
    p.add_argument("--labels")
    p.add_argument("--key")
    p.add_argument("--scores", help="file for the row scores, one in a line")
    a = p.parse_args()
    labels = None
    if a.metric == "suite":
        with open(a.labels, encoding="utf-8") as f:
            labels = json.load(f)[a.key]
    begin = time.perf_counter()
    columns = None if a.style == "pandas" else ["response", "output"]
    table = pd.read_csv(a.file, dtype=str, keep_default_na=False, usecols=columns)
    read = time.perf_counter()
    scores = (score_pandas if a.style == "pandas" else score_lean)(table, a.metric, labels)
    end = time.perf_counter()
    if a.scores:
        with open(a.scores, "w", encoding="utf-8") as f:
            f.writelines(f"{s!r}\n" for s in scores)
    print(json.dumps({"rows": len(scores), "read_s": read - begin, "score_s": end - read, "seconds": end - begin}))


main()
