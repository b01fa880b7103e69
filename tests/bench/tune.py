"""Is the choice of `cfbench tune` as fast as any fixed point of its grid, within the noise that it states? Three times.

Each time: tune, then every point of the grid is measured again, interleaved, by this script, with the options that the table names. A
choice that is slower than the best of them by more than the stated noise and the noise of this measurement ends it with status 1."""
import argparse, json, os, statistics, subprocess, sys, tempfile, time

p = argparse.ArgumentParser()
p.add_argument("--what", default="score", choices=["score"])
p.add_argument("--mb", type=int, default=64)
p.add_argument("--times", type=int, default=3)
p.add_argument("--reps", type=int, default=7)
p.add_argument("--budget", type=float, default=30)
a = p.parse_args()
cfbench = os.environ["CFBENCH"]
bad = 0
with tempfile.TemporaryDirectory() as t:
    run = [cfbench, "run", "--suite", "sample", "--mock", "--quiet", "--progress", "off", "--out", f"{t}/run"]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    source = f"{t}/run/cfbenchmark-response/few-shot/mock/sector-output.csv"
    data = open(source, encoding="utf-8").read()
    head, rows = data.split("\n", 1)
    path = f"{t}/sector-output.csv"
    with open(path, "w", encoding="utf-8") as f:
        f.write(head + "\n")
        for _ in range(a.mb * 1000000 // len(rows.encode()) + 1):
            f.write(rows)

    def rate(options):
        env = dict(os.environ)
        words = options.split()
        while "=" in words[0]:
            k, v = words.pop(0).split("=")
            env[k] = v
        out = subprocess.run([cfbench, "score", *words, "--suite", "sample", "--verbose", "--json", "--progress", "off", path],
                             check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env).stdout
        perf = json.loads(out)["performance"]
        return perf["text_bytes"] / perf["elapsed_s"] * 1e-6

    print("| time | choice | MB/s by tune | noise | MB/s again | best fixed point | MB/s | within the noise |")
    print("|---|---|---|---|---|---|---|---|")
    for k in range(a.times):
        out = subprocess.run([cfbench, "tune", "score", path, "--suite", "sample", "--json", "--quiet", "--no-roofline", "--budget", str(a.budget),
                              "--seed", str(k), "--out", f"{t}/tune"], check=True, stdout=subprocess.PIPE).stdout
        (s,) = json.loads(out)["sweeps"]
        options = [q["options"] for q in s["points"] if q["fate"] != "failed"]
        rates = {o: [] for o in options}
        for r in range(a.reps + 1):
            for o in options[r % len(options):] + options[:r % len(options)]:
                v = rate(o)
                if r:
                    rates[o].append(v)
        medians = {o: statistics.median(v) for o, v in rates.items()}
        best = max(medians, key=medians.get)
        mine = medians[s["choice"]]
        ok = mine >= medians[best] * (1 - s["noise"])
        bad += not ok
        print(f"| {k + 1} | `{s['choice']}` | {s['rate']:.0f} | {100 * s['noise']:.1f} % | {mine:.0f} | `{best}` | {medians[best]:.0f} | {'yes' if ok else 'NO'} |")
sys.exit(bad > 0)
