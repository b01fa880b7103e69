"""Is the cost linear in the rows, and the memory bounded? One file after the other, each larger: time, rows/s, peak memory, and a plot.

  growth.py [--mb 1000,2000,4000,8000] [--task sector] [--reps 3] [--threads 2] [--data DIR] [--seed 1] [--tmp DIR] [--svg FILE]

Each file is the beginning of the next (make_rows.c). All are read once before any is timed, so that they lie in the page cache, where
they must fit together; then they take turns, so that a busy minute of the machine is not one file's alone. The line is the least-squares one through the medians; a point more than 10 % off it, or more than 300 MB of memory, ends the
benchmark with status 1."""
import argparse
import os
import subprocess
import sys
import tempfile

from common import ROOT, Child, Different, Median, program, say, table


def fit(xs, ys):
    n, sx, sy = len(xs), sum(xs), sum(ys)
    slope = (n * sum(x * y for x, y in zip(xs, ys)) - sx * sy) / (n * sum(x * x for x in xs) - sx * sx)
    return slope, (sy - slope * sx) / n


def svg(points, slope, start, title):
    """points: (GB, seconds, low, high, MB)."""
    w, h, left, top = 560, 300, 60, 40
    x1, y1 = max(p[0] for p in points) * 1.08, max(p[3] for p in points) * 1.15
    x = lambda v: left + v / x1 * w
    y = lambda v: top + h - v / y1 * h
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + w + 40}" height="{top + h + 60}" font-family="sans-serif" font-size="12">',
           f'<text x="{left}" y="20" font-size="14">{title}</text>',
           f'<path d="M{left} {top}V{top + h}H{left + w}" fill="none" stroke="#444"/>']
    for i in range(1, 5):
        v = y1 * i / 4
        out.append(f'<text x="{left - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{v:.2f}</text><path d="M{left} {y(v):.1f}h{w}" stroke="#ddd"/>')
    out.append(f'<path d="M{x(0):.1f} {y(start):.1f}L{x(x1):.1f} {y(start + slope * x1):.1f}" stroke="#06c"/>')
    for gb, s, low, high, mb in points:
        out.append(f'<path d="M{x(gb):.1f} {y(low):.1f}V{y(high):.1f}" stroke="#c30"/><circle cx="{x(gb):.1f}" cy="{y(s):.1f}" r="4" fill="#c30"/>')
        out.append(f'<text x="{x(gb):.1f}" y="{top + h + 18}" text-anchor="middle">{gb:.1f}</text>'
                   f'<text x="{x(gb):.1f}" y="{top + h + 34}" text-anchor="middle" fill="#666">{mb:.0f} MB</text>')
    out.append(f'<text x="{left + w / 2}" y="{top + h + 52}" text-anchor="middle">file, GB (below: peak memory)</text>'
               f'<text x="14" y="{top - 10}">seconds</text></svg>')
    return "\n".join(out) + "\n"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--mb", default="1000,2000,4000,8000")
    p.add_argument("--task", default="sector", choices=("sector", "company", "suggestion"))
    p.add_argument("--reps", type=int, default=3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--data", default=os.path.join(ROOT, "..", "shared", "cfbenchmark"))
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--tmp")
    p.add_argument("--svg", help="where the plot goes")
    a = p.parse_args()
    import score  # its main is not run on import
    cfbench = program()
    shared = os.path.exists(os.path.join(a.data, "labels.json"))
    suite = ["--suite", os.path.join(ROOT, "datasets", "cfbenchmark" if shared else "sample")] + (["--data", a.data] if shared else [])
    points, rows = [], []
    with tempfile.TemporaryDirectory(dir=a.tmp, prefix="cfbench-bench-") as tmp:
        seeds = score.seed_file(cfbench, a.task, a.data, tmp)
        files = []
        for mb in map(int, a.mb.split(",")):
            say(f"growth: a file of {mb} MB")
            path = os.path.join(tmp, str(mb), f"{a.task}-output.csv")
            os.mkdir(os.path.dirname(path))
            files.append((path, *score.make_file(path, seeds, a.task, a, "--mb", mb), Median(), Median()))
        os.sync()  # or the disk would be written to while it is timed
        for path, *_ in files:
            subprocess.run(["wc", "-l", path], stdout=subprocess.DEVNULL, check=True)
        for rep in range(a.reps):
            say(f"growth: round {rep + 1} of {a.reps}")
            for path, n, _, time, peak in files:
                child = Child(score.score_argv(cfbench, suite, a.task, path, a.threads))
                score.check_document(child.out, a.task, n)
                time.add(child.seconds)
                peak.add(child.peak_mb)
        for _, n, size, time, peak in files:
            most = max(peak.values)
            points.append((size / 1e9, float(time), min(time.values), max(time.values), most))
            rows.append((f"{size / 1e9:.2f}", f"{n:,}", time.show(3), f"{n / float(time) / 1e6:.2f}", f"{size / float(time) / 1e9:.2f}", f"{most:.0f}"))
    slope, start = fit([p[0] for p in points], [p[1] for p in points])
    off = max(abs(p[1] - start - slope * p[0]) / p[1] for p in points)
    print(f"## Growth: {a.task}, {a.threads} threads\n")
    print(f"Whole process, file in the page cache, medians of {a.reps} interleaved runs (min–max). Least squares: {start:.3f} s + {slope:.4f} s/GB; "
          f"the farthest point is {off:.1%} off.\n")
    table(("GB", "rows", "seconds", "million rows/s", "GB/s", "peak MB"), rows)
    if a.svg:
        with open(a.svg, "w", encoding="utf-8") as f:
            f.write(svg(points, slope, start, f"cfbench score, {a.task}, {a.threads} threads: {start:.3f} s + {slope:.4f} s/GB"))
    if off > 0.1 or any(p[4] > 300 for p in points):
        raise Different("the cost is not linear, or the memory not bounded")


if __name__ == "__main__":
    try:
        main()
    except Different as e:
        sys.exit(f"growth.py: FAILED: {e}")
