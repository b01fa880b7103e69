"""CFBenchmark's metrics in plain Python, written from the description of upstream and sharing nothing with the library.
Slow and obvious on purpose: it is what the library is compared with."""
import math

BLOCK = 1024  # rows per partial sum, as CFB_SCORE_BLOCK
FULL_WIDTH_COMMA = "\uff0c"
PUNCTUATION = "，。！？、；：（）" + ",.!?;:'\"()[]"


def label_set(text):
    """set(t): both commas split; an item is dropped if it is empty before it is stripped."""
    return {item.strip() for item in text.replace(FULL_WIDTH_COMMA, ",").strip().split(",") if item}


def classes_f1(labels, response, output):
    """(F1, tp, sum(y_pred), sum(y_true)) over the list `labels` and the extra class."""
    truth, predicted = label_set(response), label_set(output)
    y_true = [int(label in truth) for label in labels] + [0]
    y_pred = [int(label in predicted) for label in labels]
    y_pred.append(1 if sum(y_pred) == 0 or len(predicted) > sum(y_pred) else 0)
    tp = sum(t and p for t, p in zip(y_true, y_pred))
    a = tp / max(sum(y_true), 1e-10)
    b = tp / max(sum(y_pred), 1e-10)
    f1 = 0.0 if a == 0 or b == 0 else 2 * a * b / (a + b)
    return f1, tp, sum(y_pred), sum(y_true)


def set_scores(response, output):
    """Usual precision, recall and F1 over the sets of non-empty labels."""
    truth, predicted = label_set(response) - {""}, label_set(output) - {""}
    both = len(truth & predicted)
    p = both / len(predicted) if predicted else 0.0
    r = both / len(truth) if truth else 0.0
    return p, r, 2 * p * r / (p + r) if p + r else 0.0


def tokens(text):
    text = text.lower()
    for c in PUNCTUATION:
        text = text.replace(c, " ")
    out = []
    for word in text.split():
        if any("\u4e00" <= c <= "\u9fff" for c in word):
            out.extend(word)
        else:
            out.append(word)
    return out


def tf_cosine(response, output):
    def counts(items):
        c = {}
        for item in items:
            c[item] = c.get(item, 0) + 1
        return c

    a, b = counts(tokens(response)), counts(tokens(output))
    if not a or not b:
        return 1.0 if not a and not b else 0.0
    dot = sum(n * b.get(t, 0) for t, n in a.items())
    aa, bb = sum(n * n for n in a.values()), sum(n * n for n in b.values())
    return max(0.0, min(1.0, dot / (math.sqrt(aa) * math.sqrt(bb))))


def observed_labels(rows):
    """Every non-empty label of the whole file: the two passes that upstream makes."""
    seen = set()
    for row in rows:
        seen |= label_set(row["response"]) | label_set(row["output"])
    return sorted(seen - {""})


def block_mean(values, n=None):
    """Partial sums of BLOCK values, added in their order."""
    total = 0.0
    for begin in range(0, len(values), BLOCK):
        part = 0.0
        for v in values[begin:begin + BLOCK]:
            part += v
        total += part
    n = len(values) if n is None else n
    return total / n if n else math.nan


def label_table(rows):
    """label -> [actual, predicted, correct]"""
    table = {}
    for row in rows:
        truth, predicted = label_set(row["response"]) - {""}, label_set(row["output"]) - {""}
        for label in truth | predicted:
            entry = table.setdefault(label, [0, 0, 0])
            entry[0] += label in truth
            entry[1] += label in predicted
            entry[2] += label in truth and label in predicted
    return table
