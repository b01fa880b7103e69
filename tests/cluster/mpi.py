# Ranks of one run, judged by the mock and by the store. What a busy machine alone can spoil is tried up to three times.
import bisect, filecmp, signal
__import__("sys").path.insert(0, "tests")
from ask import *

SUITE, KIND, MPIRUN = os.environ["SUITE"], os.environ["KIND"], os.environ["MPIRUN"].split()
ROWS = 8 * 1500 // 5
number = 0


def out_dir():
    global number
    number += 1
    return f"{T}/{KIND}{number}"


def ranks(n, m, out, *options, what="run"):
    err = open(f"{T}/{KIND}.err", "wb")
    p = subprocess.Popen([*MPIRUN, "-n", str(n), *command(SUITE, m.url, out, *options, what=what)], stdout=subprocess.DEVNULL, stderr=err)
    processes.append(p)
    return p


def said(): return open(f"{T}/{KIND}.err", encoding="utf-8", errors="replace").read()[-1500:]


def same(a, b):
    for folder in ("cfbenchmark-response", "cfbenchmark-scores"):
        for where, _, files in os.walk(f"{a}/{folder}"):
            for f in files:
                x = f"{where}/{f}"
                assert filecmp.cmp(x, x.replace(a, b, 1), shallow=False), x


def pids_of(out):
    """The ranks of a run: processes of the program that have its --out among their arguments."""
    found = {}
    for d in os.listdir("/proc"):
        if not d.isdigit(): continue
        with contextlib.suppress(OSError):
            argv = open(f"/proc/{d}/cmdline", "rb").read().split(b"\0")
            if argv[0] != CFBENCH.encode() or out.encode() not in argv: continue
            env = dict(e.split(b"=", 1) for e in open(f"/proc/{d}/environ", "rb").read().split(b"\0") if b"=" in e)
            found[int(env.get(b"OMPI_COMM_WORLD_RANK", env.get(b"PMI_RANK", b"-1")))] = int(d)
    return found


def section_bytes():
    outs = []
    with Mock(SUITE, "--mock-latency", "0.02", "--mock-error-rate", "0.2", "--seed", "3") as m:
        for n in (1, 2, 4):
            with check(f"{KIND}: {n} rank{'s' * (n > 1)}: every row asked once, all answered"):
                before = m.n_lines()
                outs.append(out_dir())
                assert ranks(n, m, outs[-1], "--in-flight", "64", "--no-adaptive", "--limit", "300").wait(120) == 0, said()
                assert m.n_lines() - before == ROWS == len(Store(outs[-1]).replies), (m.n_lines() - before, said())
    for n, out in ((2, outs[1]), (4, outs[2])):
        with check(f"{KIND}: {n} ranks: scores and exports are one process's, byte for byte"): same(outs[0], out)


def score(n, out, *options, program=CFBENCH):
    launch = [*MPIRUN, "-n", str(n)] if n > 1 else []
    return subprocess.run([*launch, program, "score", "--suite", SUITE, "--progress", "off", "--color", "never", "--out", out, *options], capture_output=True, timeout=100)


def section_score():
    rows = [f'r{i},sector,m{i % 2},in {i % 90},"科技,{"甲乙丙"[i % 3]}","{"" if i % 31 == 0 else "科技," + "甲乙丙"[i * 7 % 3]}"\n' for i in range(5000)]
    rows += [f"s{i},summary,m1,in {i},公司营收增长{i % 50}，净利润下降,公司营收增长{i % 7}，利润\n" for i in range(3000)]
    with open(f"{T}/{KIND}-rows.csv", "w", encoding="utf-8") as f: f.write("id,task,model,input,response,output\n" + "".join(rows))
    with open(f"{T}/{KIND}-bad.csv", "w", encoding="utf-8") as f: f.write("response,output\n" + "甲,乙\n" * 900 + "broken\n")
    columns = ("--task-column", "task", "--model-column", "model", "--label-set", "observed")
    for what, options in (("rows of two tasks and models", (*columns, "--sample", "9", f"{T}/{KIND}-rows.csv")),
                          ("a metric of sums", (*columns, "--metric", "bleu", "-j", "2", f"{T}/{KIND}-rows.csv"))):
        with check(f"{KIND}: score over 1, 2 and 4 ranks, {what}: one process's bytes"):
            one = out_dir()
            p = score(1, one, *options)
            assert p.returncode == 0, p.stderr[-600:]
            for n in (2, 4):
                out = out_dir()
                q = score(n, out, *options)
                assert q.returncode == 0, q.stderr[-600:]
                assert q.stdout == p.stdout, (n, "another table")
                d = subprocess.run(["diff", "-r", one, out], capture_output=True, text=True)
                assert d.returncode == 0, (n, d.stdout[-400:])
    with check(f"{KIND}: score over ranks, a row that is broken: an end with its status"):
        p = score(2, out_dir(), "--task", "sector", "--label-set", "observed", f"{T}/{KIND}-bad.csv")
        assert p.returncode == 2, (p.returncode, p.stderr[-600:])


def big_file(name, n, row, head=None):
    path = f"{T}/{KIND}-{name}"
    with open(path, "w", encoding="utf-8") as f: f.write((head + "\n" if head else "") + "".join(map(row, range(n))))
    assert os.path.getsize(path) > 3 << 20, path
    return path


def section_share():
    """Large plain files: each rank reads parts of its own. Quoted line ends, long rows and short ones."""
    label, text = "甲乙丙丁", "公司营收增长，净利润下降\n第二行,\"引号\""
    def pair(i): return f"科技,{label[i % 4]}", "" if i % 31 == 0 else f"科技,{label[i * 7 % 5 % 4]}"
    def longer(i): return text * (1 + i * i % 40), text * (1 + i * i % 37) + label[i % 4]
    def csv(i, f): return f"in {i % 9000}," + ",".join('"' + x.replace('"', '""') + '"' for x in f(i)) + "\n"
    def jsonl(i): return json.dumps(dict(zip(("response", "output"), pair(i))) | {"input": f"in {i}"} if i % 50 != 7 else {"response": pair(i)[0]}, ensure_ascii=False) + "\n"
    head = "input,response,output"
    files = {"labels": (big_file("sector-a.csv", 130000, lambda i: csv(i, pair), head), ("--label-set", "observed")),
             "texts, two files, bleu": (f"{T}/{KIND}-texts", ("--metric", "bleu", "--worst", "7")),
             "JSON Lines, some outputs missing": (big_file("event.jsonl", 70000, jsonl), ("--label-set", "observed", "--metric", "sector=f1_macro"))}
    for k in "ab":
        os.makedirs(f"{T}/{KIND}-texts/{k}")
        os.rename(big_file(f"{k}.csv", 4000, lambda i: csv(i + ord(k), longer), head), f"{T}/{KIND}-texts/{k}/summary-output.csv")
    files["a bad row that is skipped"] = (big_file("bad.csv", 130000, lambda i: csv(i, pair) if i != 60000 else "one field too few\n", head), ("--label-set", "observed", "--on-bad-row", "skip"))
    def run(n, path, *options, threads="1"):
        launch = [*MPIRUN, "-n", str(n)] if n > 1 else []
        task = () if "texts" in path else ("--task", "sector")
        return subprocess.run([*launch, CFBENCH, "score", "--suite", SUITE, "--json", "-j", threads, *task, *options, path], capture_output=True, timeout=100)
    for what, (path, options) in files.items():
        with check(f"{KIND}: a large file over 1, 2 and 4 ranks, {what}: one process's bytes"):
            one = run(1, path, *options)
            assert one.returncode in (0, 3), one.stderr[-600:]
            for n, threads in ((2, "1"), (2, "2"), (4, "1")):
                p = run(n, path, *options, threads=threads)
                assert p.returncode == one.returncode, (n, p.returncode, p.stderr[-600:])
                assert p.stdout == one.stdout, (n, threads, "other scores")
                warned = [x for x in one.stderr.splitlines() if b"have no" in x]
                assert all(x in p.stderr for x in warned) and bool(warned) == ("missing" in what), (warned, p.stderr[-600:])
    with check(f"{KIND}: a large file over 1, 2 and 4 ranks with --where, --sample and --rows-out of the picked rows: one process's bytes"):
        def pick(n, *options):
            rows = f"{T}/{KIND}-picked.jsonl"
            p = run(n, files["labels"][0], "--label-set", "observed", "--sample", "300", "--worst", "40", "--rows-out", rows, "--rows-texts", "--verbose", *options)
            assert p.returncode == 0, p.stderr[-600:]
            assert n == 1 or b"parts scored by several ranks" in p.stderr, p.stderr[-600:]
            doc = json.loads(p.stdout)
            del doc["performance"]
            return doc, open(rows, "rb").read()
        for options in ((), ("--seed", "7", "--where", "score < 0.6 && line > 700 && input != 'in 77'")):
            one = pick(1, *options)
            assert one[1].count(b"\n") > 300, one[1][:600]
            for n in (2, 4): assert pick(n, *options) == one, (n, options, "other rows")
    with check(f"{KIND}: a large file is really shared; a bad row that is an error has one process's message"):
        p = run(2, files["labels"][0], "--label-set", "observed", "--verbose")
        assert b"parts scored by several ranks" in p.stderr, p.stderr[-600:]
        one, two = (run(n, files["a bad row that is skipped"][0], "--label-set", "observed") for n in (1, 2))
        message = one.stderr.decode().strip().splitlines()[-1]
        assert one.returncode == two.returncode == 2 and message in two.stderr.decode(), (message, two.stderr[-600:])


def cpu_s(pid):
    """Processor time of a process so far."""
    with contextlib.suppress(OSError, IndexError):
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0


def section_score_killed():
    """Long texts, so that scoring takes seconds. Without --out the ranks share the file; with it rank 0 writes every row."""
    text = "".join(chr(0x4E00 + i * i * 7 % 2999) for i in range(30000))
    path = big_file("long.csv", 120, lambda i: f"{text[i:]},{text[::-1][i:]}\n", "response,output")
    options = ("--task", "summary", "--metric", "edit", "-j", "1")
    one = score(1, f"{T}/{KIND}-one", *options, path)
    assert one.returncode == 0, one.stderr[-600:]
    for victim, where in ((1, None), (0, f"{T}/{KIND}-killed")):
        with check(f"{KIND}: score, rank {victim} killed in the middle{' with --out' if where else ''}: a clear end, and the whole when it is run again"):
            rest = [*options, *(("--out", where) if where else ()), path]
            command = [*MPIRUN, "-n", "2", CFBENCH, "score", "--suite", SUITE, "--progress", "off", "--color", "never", *rest]
            with open(f"{T}/{KIND}.out", "wb") as out, open(f"{T}/{KIND}.err", "wb") as err:
                p = subprocess.Popen(command, stdout=out, stderr=err)
                processes.append(p)
                wait_until(lambda: cpu_s(pids_of(path).get(victim, 0)) > 0.4 or p.poll() is not None)
                os.kill(pids_of(path)[victim], signal.SIGKILL)
                code = p.wait(60)
            wait_until(lambda: not pids_of(path), 20)
            said_out = open(f"{T}/{KIND}.out", "rb").read()  # where MPICH's mpirun says it
            assert code != 0 and (said() or said_out), (code, said())
            assert one.stdout.splitlines()[0] not in said_out, "a table of some rows"
            assert not where or not os.path.exists(f"{where}/scores.json"), os.listdir(where)
            again = subprocess.run(command, capture_output=True, timeout=100)
            assert again.returncode == 0 and again.stdout == one.stdout, (again.returncode, again.stderr[-600:])
            if where:
                d = subprocess.run(["diff", "-r", "-x", "*.tmp.*", f"{T}/{KIND}-one", where], capture_output=True, text=True)
                assert d.returncode == 0, d.stdout[-400:]


def tries(what, n=3):
    for left in reversed(range(n)):
        try: return what()
        except AssertionError:
            if left == 0: raise


def section_rate():
    if KIND == "mpich" and os.cpu_count() < 8:
        print("skip mpich: one rate over 4 ranks: skipped: MPICH waits by spinning, and 4 ranks with less than 8 cores starve each other")
        return
    for rps, rows in ((200, 125), (2000, 1250)):  # 5 s each
        seen = []
        def one():
            with Mock(SUITE, "--mock-latency", "0.05") as m:
                out = out_dir()
                p = ranks(4, m, out, "--rps", str(rps), "--in-flight", "256", "--task-workers", "8", "--max-workers", "32", "--calls-per-thread", "8",
                          "--no-adaptive", "--limit", str(rows), what="generate")
                assert p.wait(120) == 0, said()
                t = sorted(e["arrival_ns"] / 1e9 for e in m.log())
                assert len(t) == 8 * rows
                rate = (len(t) - 1) / (t[-1] - t[0])
                # by the ranks' own clocks: a mock that woke late sees calls together that were not
                starts = sorted(r["started_ms"] / 1e3 for r in Store(out).replies.values())
                full = max(bisect.bisect_left(starts, x + 0.1) - i for i, x in enumerate(starts))
                seen.append((round(rate, 1), full))
                assert abs(rate - rps) <= 0.01 * rps and full <= 1.1 * rps * 0.1 + 1, seen
        with check(f"{KIND}: {rps}/s over 4 ranks x 8 threads: within 1 %, no 100 ms more than 10 % over"): tries(one)
        print(f"# {KIND} {rps}/s: {seen}")


def section_killed():
    for victim in (2, 0):
        with check(f"{KIND}: rank {victim} killed in the middle: an end, and a resume that completes"):
            with Mock(SUITE, "--mock-latency", "0.1") as m:
                out = out_dir()
                p = ranks(4, m, out, "--in-flight", "64", "--no-adaptive", "--limit", "300")
                wait_until(lambda: m.n_lines() > ROWS // 4)
                os.kill(pids_of(out)[victim], signal.SIGKILL)
                code = p.wait(60)
                wait_until(lambda: not pids_of(out), 20)
                done, asked = len(Store(out).replies), m.n_lines()
                assert code != 0 and 0 < done, (code, done, said())
                assert ranks(4, m, out, "--in-flight", "64", "--no-adaptive", "--limit", "300").wait(120) == 0, said()
                s = Store(out)
                assert len(s.replies) == ROWS, (len(s.replies), said())
                again = m.n_lines() - ROWS  # calls whose replies the death took along: those under way, and what had not been sent
                assert again <= asked - done <= 200, (again, asked, done)


def section_stop():
    with check(f"{KIND}: SIGUSR1 to mpirun: all ranks stop in order, nothing is lost or asked twice"):
        with Mock(SUITE, "--mock-latency", "0.1") as m:
            out = out_dir()
            p = ranks(4, m, out, "--in-flight", "64", "--no-adaptive", "--limit", "300")
            wait_until(lambda: m.n_lines() > ROWS // 4)
            if KIND == "openmpi":
                p.send_signal(signal.SIGUSR1)  # Open MPI's mpirun hands it on
            else:
                for pid in pids_of(out).values(): os.kill(pid, signal.SIGUSR1)
            assert p.wait(60) == 5, (p.returncode, said())
            assert len(Store(out).replies) == m.n_lines() < ROWS, (len(Store(out).replies), m.n_lines())
            assert ranks(4, m, out, "--in-flight", "64", "--no-adaptive", "--limit", "300").wait(120) == 0, said()
            assert len(Store(out).replies) == m.n_lines() == ROWS
    with check(f"{KIND}: a fault that all ranks have ends the job with its status, not with a wait"):
        out = out_dir()
        with Mock(SUITE) as m: url = m.url
        p = subprocess.run([*MPIRUN, "-n", "2", *command(SUITE, url, out, "--max-retries", "0")], capture_output=True, timeout=60)
        assert p.returncode == 4, (p.returncode, p.stderr[-600:])


# What measures a rate wants cores of its own for every rank: MPI_RATES=1 asks for it.
if not os.environ.get("MPI_RATES"):
    del section_rate
    print(f"skip {KIND}: one rate over 4 ranks x 8 threads: skipped: it measures time; MPI_RATES=1 runs it")
for name, section in [(n[8:], f) for n, f in list(globals().items()) if n.startswith("section_")]:
    if wants(name): section()
finish()
