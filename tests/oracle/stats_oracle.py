"""The statistics room against an independent implementation: definitions in plain Python (exact rational arithmetic where it
pays), and SciPy where it is installed.

  stats_oracle.py STATS_VALUES

Prints one line a check: "ok NAME: N values", "not ok NAME: why" or "skip NAME: why". Status 1 if a check failed."""
import itertools
import math
import random
import statistics
import subprocess
import sys
from decimal import Decimal, getcontext
from fractions import Fraction
from statistics import NormalDist

try:
    import scipy
    import scipy.stats
except ImportError:
    scipy = None

TOOL = sys.argv[1]
rng = random.Random(20231108)
normal = NormalDist()
failed = []


def ask(questions):
    text = "".join(" ".join([q[0]] + [repr(float(v)) for v in q[1:]]) + "\n" for q in questions)
    p = subprocess.run([TOOL], input=text, capture_output=True, text=True)
    if p.returncode:
        raise SystemExit(f"not ok stats oracle: {p.stderr.strip()}")
    lines = p.stdout.split("\n")
    assert len(lines) == len(questions) + 1
    return [[float(v) for v in line.split()] for line in lines[:-1]]


def near(a, b, relative, absolute=0.0):
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= max(relative * max(abs(a), abs(b)), absolute)


def print_same(name, got, wanted, relative=1e-12, absolute=0.0, labels=None):
    """wanted: for each answer the list of its first values."""
    n = 0
    for k, (answer, want) in enumerate(zip(got, wanted)):
        for i, w in enumerate(want):
            n += 1
            if not near(float(answer[i]), float(w), relative, absolute):
                failed.append(name)
                print(f"not ok {name}: {str(labels[k])[:120] if labels else k}: value {i} is {float(answer[i])!r}, not {float(w)!r}")
                return
    print(f"ok {name}: {n} values")


def compare(name, questions, wanted, relative=1e-12, absolute=0.0):
    print_same(name, ask(questions), wanted, relative, absolute, questions)


def with_scipy(name, check):
    if scipy is None:
        print(f"skip {name}: SciPy is not installed (apt install python3-scipy)")
    else:
        check()


def scores(n, kind):
    """Bounded scores as benchmarks give them."""
    if kind == "binary":
        return [float(rng.random() < 0.7) for _ in range(n)]
    if kind == "coarse":
        return [rng.choice((0.0, 1.0, 0.5, 1 / 3, 2 / 3, 0.8)) for _ in range(n)]
    return [rng.choice((0.0, 1.0, rng.random(), rng.random())) for _ in range(n)]


KINDS = ("binary", "coarse", "mixed")


# ---- distributions ----


def two_sided_even(t, df):
    """P(|T| >= t) for even df, to 50 digits: Abramowitz & Stegun 26.7.4."""
    getcontext().prec = 60
    t, df2 = Decimal(t), df // 2
    cos2 = Decimal(df) / (Decimal(df) + t * t)
    term = total = Decimal(1)
    for k in range(1, df2):
        term *= cos2 * (2 * k - 1) / (2 * k)
        total += term
    return 1 - t / (Decimal(df) + t * t).sqrt() * total


def check_t():
    q = [("t_two_sided", t, df) for df in (2, 4, 10, 50, 200, 1000, 1998, 2000, 2002, 2500, 10000, 60000)
         for t in (0.01, 0.5, 1.0, 1.7, 1.96, 2.5, 4.0, 7.0)]
    compare("t tails, to 50 digits", q, [[two_sided_even(t, df)] for _, t, df in q], 1e-11)
    q = [("t_quantile", p, df) for df in (2, 10, 100, 1000, 2002, 60000) for p in (1e-9, 1e-4, 0.025, 0.2)]
    tails = [[two_sided_even(-t[0], df)] for (_, p, df), t in zip(q, ask(q))]
    print_same("t quantiles: their tails, to 50 digits", tails, [[2 * p] for _, p, df in q], 1e-11)
    q = [("t_quantile", p, 1) for p in (1e-9, 0.025, 0.3, 0.6, 0.9995)]
    compare("t quantiles, df = 1", q, [[-1 / math.tan(math.pi * p) if p < 0.5 else math.tan(math.pi * (p - 0.5))] for _, p, df in q], 1e-11)
    q = [("t_quantile", p, df) for df in (1, 2, 3, 7, 33.5, 99, 402, 1999, 2001, 5e4, 1e7) for p in (1e-9, 1e-4, 0.025, 0.2, 0.6, 0.975, 0.9995)]
    with_scipy("t quantiles (SciPy)", lambda: compare(  # SciPy 1.10 has about nine digits here
        "t quantiles (SciPy)", q, [[scipy.stats.t.ppf(p, df)] for _, p, df in q], 1e-8))
    q = [("normal_quantile", p) for p in (1e-12, 1e-5, 0.01, 0.025, 0.3, 0.5, 0.7, 0.975, 0.995, 1 - 1e-9)]
    compare("normal quantiles", q, [[normal.inv_cdf(p)] for _, p in q], 1e-13)
    q = [("normal_cdf", z) for z in (-8.0, -3.0, -1.96, 0.0, 0.5, 1.96, 5.0)]
    compare("normal probabilities", q, [[0.5 * math.erfc(-z / math.sqrt(2))] for _, z in q], 1e-14)


# ---- one sample ----


def check_describe():
    data = [scores(n, k) for n in (2, 3, 20, 100, 402, 3000) for k in KINDS]
    q = [("describe", 0.95, *x) for x in data]
    want = []
    for x in data:
        exact = [Fraction(v) for v in x]
        mean = sum(exact) / len(x)
        sd = math.sqrt(sum((v - mean) ** 2 for v in exact) / (len(x) - 1))
        want.append([mean, sd, sd / math.sqrt(len(x))])
    compare("mean, sd, se, in fractions", q, want, 1e-13, 1e-16)

    def scipy_interval():
        w = []
        for x, v in zip(data, want):
            lo, hi = scipy.stats.t.interval(0.95, len(x) - 1, float(v[0]), v[2]) if v[2] else (float(v[0]),) * 2
            w.append(v + [lo, hi])
        compare("t interval (SciPy)", q, w, 1e-9, 1e-12)
    with_scipy("t interval (SciPy)", scipy_interval)

    def scipy_wilson():
        ask_for = [("wilson", k, n, c) for n in (1, 7, 100, 402, 100000) for k in {0, 1, n // 3, n} for c in (0.9, 0.95, 0.999)]
        w = []
        for _, k, n, c in ask_for:
            ci = scipy.stats.binomtest(k, n).proportion_ci(c, method="wilson")
            w.append([ci.low, ci.high])
        compare("Wilson (SciPy)", ask_for, w, 1e-11, 1e-15)
    with_scipy("Wilson (SciPy)", scipy_wilson)


# ---- bootstrap: intervals from the same bootstrap means ----


def linear_quantile(ordered, p):
    at = p * (len(ordered) - 1)
    i = min(int(at), len(ordered) - 2)
    return ordered[i] + (at - i) * (ordered[i + 1] - ordered[i])


def plain_bca(means, estimate, left_out, confidence):
    ordered = sorted(means)
    z = normal.inv_cdf((1 - confidence) / 2)
    equal = sum(abs(m - estimate) < 1e-12 for m in means)
    less = sum(m < estimate for m in means if abs(m - estimate) >= 1e-12)
    z0 = normal.inv_cdf((less + equal / 2) / len(means))
    centre = math.fsum(left_out) / len(left_out)
    off = [centre - v for v in left_out]
    acceleration = math.fsum(o ** 3 for o in off) / (6 * math.fsum(o * o for o in off) ** 1.5)
    level = [normal.cdf(z0 + (z0 + s) / (1 - acceleration * (z0 + s))) for s in (z, -z)]
    return [estimate, statistics.stdev(means), z0, acceleration, linear_quantile(ordered, (1 - confidence) / 2),
            linear_quantile(ordered, (1 + confidence) / 2), linear_quantile(ordered, level[0]), linear_quantile(ordered, level[1])]


def check_bootstrap():
    q, want, spread = [], [], []
    for n in (15, 300, 1024, 2500):
        for kind in KINDS:
            for clustered in (0, 1):
                x = [v ** 3 for v in scores(n, kind)]  # skewed
                groups = [rng.randrange(n // 5) if clustered else i for i in range(n)]
                members = {}
                for v, g in zip(x, groups):
                    members.setdefault(g, []).append(v)
                left = [(math.fsum(x) - math.fsum(m)) / (n - len(m)) for m in members.values()]
                q.append(("bootstrap", 2000, n, 0.9, clustered, *x, *(groups if clustered else ())))
                means = ask(q[-1:])[0][8:]
                want.append(plain_bca(means, math.fsum(x) / n, left, 0.9))
                ratio_se = want[-1][1]
                estimate = math.fsum(x) / n
                theory = math.sqrt(math.fsum((math.fsum(m) - len(m) * estimate) ** 2 for m in members.values())) / n
                spread.append((ratio_se / theory, clustered, n, abs(statistics.fmean(means) - estimate) / theory * math.sqrt(2000)))
    compare("percentile and BCa, in plain Python", q, want, 1e-7, 1e-10)
    for s, clustered, n, off in spread:  # sd of an sd of 2,000 is 1.6 %; a ratio's linear theory is rough for few clusters
        if abs(s - 1) > (0.5 if clustered and n < 100 else 0.1) or off > (40 if clustered else 5):
            failed.append("spread")
            print(f"not ok spread of bootstrap means: {s} of the theory's, mean off by {off} se (n = {n}, clustered {clustered})")
            return
    print(f"ok spread of bootstrap means is the theory's: {len(spread)} values")


def check_bootstrap_scipy():
    import numpy
    x = [v ** 3 for v in scores(200, "mixed")]
    got = ask([("bootstrap", 100000, 5, 0.95, 0, *x)])[0]
    for method, at in (("percentile", 4), ("BCa", 6)):
        r = scipy.stats.bootstrap((x,), numpy.mean, n_resamples=100000, method=method, random_state=1, batch=5000)
        for a, b in zip(got[at:at + 2], r.confidence_interval):
            if abs(a - b) > 0.02 * r.standard_error * 2:
                failed.append(method)
                print(f"not ok {method} interval within Monte Carlo error of SciPy's: {a} and {b}, se {r.standard_error}")
                return
    print("ok percentile and BCa intervals within Monte Carlo error of SciPy's own resamples: 4 values")


# ---- paired tests ----


def differences(n, kind):
    return [a - b for a, b in zip(scores(n, kind), scores(n, kind))]


def check_flip():
    q, want = [], []
    for n in (1, 2, 3, 5, 8, 11, 14):
        for kind in KINDS:
            d = differences(n, kind)
            exact = [Fraction(v).limit_denominator(10 ** 7) if kind != "mixed" else Fraction(v) for v in d]
            nonzero = [v for v in exact if v]
            observed = abs(sum(nonzero))
            hits = sum(abs(sum(s * v for s, v in zip(signs, nonzero))) >= observed
                       for signs in itertools.product((1, -1), repeat=len(nonzero)))
            q.append(("flip", 100, *d))
            want.append([hits / 2 ** len(nonzero), 1, len(nonzero)])
    compare("permutation test, all signs, in fractions", q, want, 0)

    def scipy_flip():
        import numpy
        w, ask_for = [], []
        for n in (6, 9, 12):
            d = differences(n, "mixed")
            r = scipy.stats.permutation_test((d,), lambda v, axis: numpy.mean(v, axis=axis), permutation_type="samples",
                                             vectorized=True, n_resamples=numpy.inf)
            ask_for.append(("flip", 100, *d))
            w.append([r.pvalue])
        compare("permutation test (SciPy)", ask_for, w, 1e-12)
    with_scipy("permutation test (SciPy)", scipy_flip)
    d = [v + 0.02 for v in differences(150, "mixed")]
    q = [("flip", 200000, *d)]
    own, observed = random.Random(5), abs(sum(d))
    hits = sum(abs(sum(v if own.getrandbits(1) else -v for v in d)) >= observed for _ in range(20000))
    p = hits / 20000
    compare("permutation test at random, within Monte Carlo error", q, [[p, 0]], 0, 5 * math.sqrt(max(p * (1 - p), 1e-3) / 20000))


def check_mcnemar():
    pairs = [(b, c) for b in (0, 1, 2, 7, 30) for c in (0, 1, 3, 8, 30, 41)] + [(480, 520), (4900, 5200)]
    want = []
    for b, c in pairs:
        n, k = b + c, min(b, c)
        tail = Fraction(sum(math.comb(n, i) for i in range(k + 1)), 2 ** n)
        point = Fraction(math.comb(n, k), 2 ** n)
        chi2 = Fraction((abs(b - c) - 1) ** 2, n) if b != c else Fraction(0)
        want.append([min(1, 2 * tail), 2 * tail - point if n else 1, chi2, math.erfc(math.sqrt(chi2 / 2))])
    compare("McNemar, in fractions", [("mcnemar", b, c) for b, c in pairs], want, 1e-11)

    def scipy_binomial():
        w = [[scipy.stats.binomtest(b, b + c, 0.5).pvalue] for b, c in pairs if b + c]
        compare("McNemar exact (SciPy)", [("mcnemar", b, c) for b, c in pairs if b + c], w, 1e-10)
    with_scipy("McNemar exact (SciPy)", scipy_binomial)


def check_wilcoxon():
    q, want = [], []
    for n in (1, 3, 6, 10, 13):
        for kind in KINDS:
            d = differences(n, kind)
            r = [Fraction(v).limit_denominator(10 ** 7) if kind != "mixed" else Fraction(v) for v in d if v]
            sizes = sorted(abs(v) for v in r)
            rank = [Fraction(2 * sizes.index(abs(v)) + sizes.count(abs(v)) + 1, 2) for v in r]
            plus = sum((k for k, v in zip(rank, r) if v > 0), Fraction(0))
            sums = [sum(itertools.compress(rank, bits)) for bits in itertools.product((0, 1), repeat=len(r))]
            below, above = sum(s <= plus for s in sums), sum(s >= plus for s in sums)
            q.append(("wilcoxon", *d))
            want.append([min(1, 2 * min(below, above) / len(sums)), plus, 1])
    compare("Wilcoxon with ties, all signs, in fractions", q, want, 1e-14)

    def scipy_wilcoxon():
        ask_for, w = [], []
        for n in (5, 20, 50):  # without ties and zeros SciPy has the exact distribution
            d = [rng.gauss(0.3, 1) for _ in range(n)]
            ask_for.append(("wilcoxon", *d))
            w.append([scipy.stats.wilcoxon(d, mode="exact").pvalue])
        for n in (80, 300, 2000):
            for kind in KINDS:
                d = differences(n, kind)
                d = [0.0 if abs(v) < 1e-9 else round(v, 9) for v in d]
                ask_for.append(("wilcoxon", *d))
                w.append([scipy.stats.wilcoxon(d, mode="approx", correction=True).pvalue])
        ask_for, w = zip(*[(a, v) for a, v in zip(ask_for, w) if sum(x != 0 for x in a[1:]) > 50 or len(a) <= 51])
        compare("Wilcoxon (SciPy)", ask_for, w, 1e-10)
    with_scipy("Wilcoxon (SciPy)", scipy_wilcoxon)


def check_cliff():
    q, want = [], []
    for n_a, n_b in ((1, 1), (5, 9), (60, 40)):
        for kind in KINDS:
            a, b = scores(n_a, kind), scores(n_b, kind)
            q.append(("cliff", n_a, *a, *b))
            want.append([sum((x > y) - (x < y) for x in a for y in b) / (n_a * n_b)])
    compare("Cliff's delta, all pairs", q, want, 1e-15)


# ---- many comparisons ----


def plain_holm(p):
    order = sorted(range(len(p)), key=lambda i: p[i])
    out, top = [0.0] * len(p), 0.0
    for j, i in enumerate(order):
        top = max(top, min(1.0, (len(p) - j) * p[i]))
        out[i] = top
    return out


def plain_bh(p):
    """By definition: the smallest level at which the procedure finds test i."""
    m, ordered = len(p), sorted(p)
    return [min(min(1.0, m * v / (j + 1)) for j, v in enumerate(ordered) if v >= own) for own in p]


def check_adjust():
    lists = [[rng.random() ** 3 for _ in range(m)] for m in (1, 2, 5, 28, 200)]
    lists += [[round(rng.random() ** 2, 1) for _ in range(30)], [0.0, 1.0, 1.0, 0.0]]
    compare("Holm, by definition", [("holm", *p) for p in lists], [plain_holm(p) for p in lists], 1e-15)
    compare("Benjamini-Hochberg, by definition", [("bh", *p) for p in lists], [plain_bh(p) for p in lists], 1e-15)


def check_bands():
    q, want = [], []
    for k in (1, 2, 5, 12):
        for _ in range(20):
            mean = [round(rng.random(), 1) for _ in range(k)]
            p = [[1.0] * k for _ in range(k)]
            for i in range(k):
                for j in range(i):
                    p[i][j] = p[j][i] = rng.random() * 0.15
            ordered = sorted(mean, reverse=True)
            places = [(ordered.index(m) + 1, k - ordered[::-1].index(m)) for m in mean]
            alike = [[j for j in range(k) if j == i or p[i][j] >= 0.05 or mean[i] == mean[j]] for i in range(k)]
            q.append(("bands", 0.05, k, *mean, *itertools.chain(*p)))
            want.append([v for a in alike for v in (min(places[j][0] for j in a), max(places[j][1] for j in a))])
    compare("rank bands, by definition", q, want, 0)


def check_power():
    q, want = [], []
    for _ in range(50):
        sd, n, diff = rng.random(), rng.randrange(1, 5000), rng.random() * 0.2 + 0.001
        alpha, power = rng.choice((0.01, 0.05, 0.1)), rng.choice((0.5, 0.8, 0.95))
        z = normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)
        q.append(("power", sd, n, diff, alpha, power))
        want.append([z * sd / math.sqrt(n), max(1, math.ceil((z * sd / diff) ** 2))])
    compare("power, by definition", q, want, 1e-12)


check_t()
check_describe()
check_bootstrap()
with_scipy("percentile and BCa intervals (SciPy)", check_bootstrap_scipy)
check_flip()
check_mcnemar()
check_wilcoxon()
check_cliff()
check_adjust()
check_bands()
check_power()
sys.exit(bool(failed))
