"""Is the choice of `cfbench tune` as fast as any fixed point of its grid, within the noise that it states? Three times.

Each time: tune, then every point of the grid is measured again, interleaved, by this script, with the options that the table names;
those within a fifth of the best, and the choice, for longer. Speeds are compared within each round: a point's is the mean, but for a tenth
at either end, of its rates against the mean of the round, so that a machine that slows down for a while slows all. A choice that is slower than the best by more than
the stated noise ends it with status 1. It goes on until its own error between choice and best other point is half the noise or less, at
most four times --seconds. --what: score (a CSV file), embed (a model of made-up weights), client (a mock of 20 ms)."""
import argparse, json, math, os, shutil, statistics, subprocess, sys, tempfile, time

p = argparse.ArgumentParser()
p.add_argument("--what", default="score", choices=["score", "embed", "client"])
p.add_argument("--mb", type=int, default=64, help="score: size of the file")
p.add_argument("--times", type=int, default=3)
p.add_argument("--reps", type=int, default=7)
p.add_argument("--seconds", type=float, default=40, help="how long the points near the best are measured again")
p.add_argument("--seed0", type=int, default=0, help="seed of the first time")
p.add_argument("--budget", type=float, default=30)
p.add_argument("--model", help="embed: the model's folder")
a = p.parse_args()
cfbench = os.environ["CFBENCH"]
build = os.environ.get("BUILD", "build/gcc")


def child(words, env=None):
    env = dict(os.environ, **(env or {}))
    while "=" in words[0]:
        k, v = words.pop(0).split("=")
        env[k] = v
    return json.loads(subprocess.run([cfbench, *words], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env).stdout)


def put(options, command, more):
    """The variables of a point, the command, its options, and the rest."""
    words = options.split()
    n = sum("=" in w for w in words)
    return words[:n] + [command] + words[n:] + more


def score(t):
    run = [cfbench, "run", "--suite", "sample", "--mock", "--quiet", "--progress", "off", "--out", f"{t}/run"]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    data = open(f"{t}/run/cfbenchmark-response/few-shot/mock/sector-output.csv", encoding="utf-8").read()
    head, rows = data.split("\n", 1)
    path = f"{t}/sector-output.csv"
    with open(path, "w", encoding="utf-8") as f:
        f.write(head + "\n")
        for _ in range(a.mb * 1000000 // len(rows.encode()) + 1):
            f.write(rows)

    def rate(options):
        m = child(put(options, "score", ["--suite", "sample", "--verbose", "--json", "--progress", "off", path]))["performance"]
        return m["text_bytes"] / m["elapsed_s"] * 1e-6

    return ["score", path], rate, "MB/s"


def embed(t):
    model = a.model or f"{t}/model"
    if not a.model:
        os.mkdir(model)
        subprocess.run([f"{build}/tools/oracle/bert_folder", model], check=True)
    path = f"{t}/texts"
    with open(path, "w") as f:
        for i in range(12000):
            f.write(f"{i} " + "the profit of the company has grown " * (2 + i % 9) + "\n")

    def rate(options):
        m = child(put(options, "embed", ["--embed-model", model, "--embed-cache", "off", "--json", "--force", path, f"{t}/v.npy"]))
        return m["computed_tokens"] / m["embed_s"]

    return ["embed", path, "--embed-model", model], rate, "tokens/s"


def client(t):
    mock = subprocess.Popen([cfbench, "mock", "--suite", "sample", "--mock-latency", "0.02", "--port-file", f"{t}/port", "--quiet"])
    while not (os.path.exists(f"{t}/port") and open(f"{t}/port").read().strip()):
        time.sleep(0.02)
    url = f"http://127.0.0.1:{open(f'{t}/port').read().strip()}/v1"
    suite = f"{t}/suite"
    shutil.copytree("datasets/sample", suite)
    tasks = [x["name"] for x in json.load(open(f"{suite}/suite.json", encoding="utf-8"))["tasks"]]
    for name in tasks:
        old = next(f"{suite}/{name}.{e}" for e in ("jsonl", "csv", "json") if os.path.exists(f"{suite}/{name}.{e}"))
        lines = subprocess.run([cfbench, "convert", old], check=True, stdout=subprocess.PIPE).stdout.decode().splitlines()
        os.remove(old)
        with open(f"{suite}/{name}.jsonl", "w", encoding="utf-8") as f:
            for i in range(1024):
                r = json.loads(lines[i % len(lines)])
                r.update(id=str(i), input=f"[{i}] " + r["input"])
                f.write(json.dumps(r, ensure_ascii=False) + "\n")
    asking = ["--suite", suite, "--model", "m", "--base-url", url]

    def rate(options):
        out = f"{t}/out"
        shutil.rmtree(out, ignore_errors=True)
        rows = max(200, 8 * int(options.split()[1]))
        m = child(put(options, "generate", [*asking, "--api-rate-limit", "0", "--no-adaptive", "--progress", "off", "--quiet", "--json", "--out", out,
                                            "--shot", "zero", "--limit", str((rows + 7) // 8)]))
        return m["answered"] / m["asking_s"]

    return ["client", *asking, "--shot", "zero", "--in-flight", "1024"], rate, "calls/s", mock


def one_round(rates, options, r):
    for o in options[r % len(options):] + options[:r % len(options)]:
        rates[o].append(rate(o))


def against_the_round(rates):
    """Log of each point's speed against the mean of its round: the mean over rounds but for a tenth at either end."""
    logs = {o: [math.log(x) for x in v] for o, v in rates.items()}
    means = [statistics.fmean(v) for v in zip(*logs.values())]

    def middle(v):
        v, cut = sorted(v), len(v) // 10
        return statistics.fmean(v[cut:len(v) - cut])

    return {o: middle([x - m for x, m in zip(v, means)]) for o, v in logs.items()}


def own_error(rates, choice, speed):
    """Two standard errors of the choice against the best other point."""
    others = [o for o in speed if o != choice]
    if not others:
        return 0
    ratios = sorted(math.log(x / y) for x, y in zip(rates[choice], rates[max(others, key=speed.get)]))
    cut = len(ratios) // 10
    inner = [min(max(r, ratios[cut]), ratios[-1 - cut]) for r in ratios]
    return 2 * statistics.stdev(inner) * math.sqrt(len(ratios)) / (len(ratios) - 2 * cut) if len(ratios) > 2 else 1


def measure_again(options, choice, noise):
    """The medians of all points, and how far the choice and the best are from each other."""
    rates = {o: [] for o in options}
    for o in options:
        rate(o)  # warms up
    for r in range(a.reps):
        one_round(rates, options, r)
    speed = against_the_round(rates)
    near = [o for o in options if speed[o] >= max(speed.values()) + math.log(0.8) or o == choice]
    near_rates = {o: rates[o] for o in near}
    begin, r = time.monotonic(), a.reps
    speed = against_the_round(near_rates)
    while (spent := time.monotonic() - begin) < 4 * a.seconds:
        if spent >= a.seconds and own_error(near_rates, choice, speed) <= noise / 2:
            break
        one_round(near_rates, near, r)
        r += 1
        speed = against_the_round(near_rates)
    best = max(speed, key=speed.get)
    return {o: statistics.median(v) for o, v in rates.items()}, best, math.exp(speed[choice] - speed[best]), r


bad = 0
with tempfile.TemporaryDirectory() as t:
    tune, rate, unit, *server = {"score": score, "embed": embed, "client": client}[a.what](t)
    try:
        print(f"| seed | choice | {unit} by tune | noise | {unit} again | best fixed point | {unit} | choice / best | rounds | within the noise |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        for k in range(a.seed0, a.seed0 + a.times):
            more = [] if a.what == "client" else ["--suite", "sample"]
            (s,) = child(["tune", *tune, *more, "--json", "--quiet", "--no-roofline", "--budget", str(a.budget), "--seed", str(k), "--out", f"{t}/tune"])["sweeps"]
            options = [q["options"] for q in s["points"] if q["fate"] != "failed"]
            medians, best, ratio, rounds = measure_again(options, s["choice"], s["noise"])
            ok = ratio >= 1 - s["noise"]
            bad += not ok
            print(f"| {k} | `{s['choice']}` | {s['rate']:.0f} | {100 * s['noise']:.1f} % | {medians[s['choice']]:.0f} | `{best}` | {medians[best]:.0f} | "
                  f"{100 * ratio:.1f} % | {rounds} | {'yes' if ok else 'NO'} |", flush=True)
    finally:
        for p in server:
            p.terminate()
            p.wait()
sys.exit(bad > 0)
