#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How far the estimates of --mode windows are from the truth, and what they cost.

	windows.py [--seconds N] [--budgets 1,2,5,10] [PROGRAM]...

Services of our own (tests/workloads/services.c) keep books; for real programs
a preloaded library does (libsites.c), by the calls that allocate.

Per program and budget: share of the CPU time that the target used more than in
a run without (paired, and so as noisy as the machine), the share that windows
themselves claim, error of the total, mean and median error of stacks above 1 % of
the live bytes, how many 95 % intervals hold, and the rank of the worst leak: of the
call that kept most of what it had allocated until half-way. Last lines sum up.
"""

import argparse
import os
import socket
import statistics
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
import harness                  # noqa: E402
from harness import *           # noqa: E402,F403

LEAKS = {"churn": "site_10", "threads": "site_06", "bursts": "site_04", "adversary": "site_06"}

PYTHON = """
import random, sys, time
end, kept, cache = time.monotonic() + float(sys.argv[1]), [], {}
def leak(n): kept.append([n, "left behind %d" % n])
def remember(n): cache[n % 5000] = "x" * random.randrange(20, 400)
def work(n): return sorted(str(i * n) for i in range(200))
n = 0
while time.monotonic() < end:
    n += 1
    work(n); remember(n)
    if n % 10 == 0: leak(n)
    time.sleep(0.0005)
time.sleep(1e9)
"""

PERL = """
use Time::HiRes qw(time sleep);
my ($end, $n, %cache, @kept) = (time + $ARGV[0], 0);
sub leak { my $a = { n => $_[0], text => "left behind $_[0]" }; $a->{self} = $a; }
sub remember { $cache{$_[0] % 5000} = "x" x (20 + rand 400) }
sub work { return join ",", sort map { "k" . $_ * $_[0] } 1 .. 200 }
while (time < $end) { $n++; work($n); remember($n); leak($n) if $n % 10 == 0; sleep 0.0005 }
sleep 1e9;
"""


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Service:
    """Of tests/workloads/services.c."""

    def __init__(self, name, seconds):
        self.name = name
        self.work = Workload("services", name, str(seconds), "60000")
        self.pid = self.work.pid

    def run(self):
        self.books = self.work.work()

    def begin(self):
        pass

    def half_way(self):
        pass

    def truth(self):
        return {s["site"]: s["live_bytes"] for s in self.books["sites"] if s["alloc_count"]}

    def leak(self):
        """Its worst one, and how many blocks it kept."""
        count = {s["site"]: s["live_count"] for s in self.books["sites"]}
        return LEAKS.get(self.name), count.get(LEAKS.get(self.name), 0)

    def key(self, chain, stack):
        return next((f for f in chain if f and f.startswith("site_")), None)


class Program:
    """A real one; @work lets it work for some seconds."""

    def __init__(self, argv, work=None, env=None, seconds=0, stdin=None):
        self.seconds, self.work = seconds, work
        self.out = harness.scratch("sites")
        env = {**os.environ, **(env or {}), "SITES_OUT": self.out}
        env["LD_PRELOAD"] = workload_path("libsites.so") + " " + env.get("LD_PRELOAD", "")
        self.proc = spawn(argv, env=env, stdin=stdin, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
        self.pid = self.proc.pid
        time.sleep(1)

    def run(self):
        if self.work:
            self.work(self)
        else:
            time.sleep(self.seconds)

    def begin(self):
        self.proc.send_signal(signal.SIGUSR1)

    def half_way(self):
        self.proc.send_signal(signal.SIGURG)

    def truth(self):
        """Live bytes by the return addresses that the library found."""
        self.proc.send_signal(signal.SIGUSR2)
        wait_until("the books are written", lambda: os.path.exists(self.out) and
                   open(self.out).read().endswith("end\n"))
        rows = [line.split() for line in open(self.out).read().splitlines()[:-1]]
        kept = max(rows, key=lambda row: int(row[3]))
        self.kept = int(kept[0], 16), int(kept[4])
        return {int(row[0], 16): int(row[1]) for row in rows}

    def leak(self):
        return self.kept

    def key(self, chain, stack):
        """The frame above the library's, which stands between."""
        pcs = [int(f["pc"], 16) for f in stack["frames"] if not f["inlined"]]
        return pcs[1] if stack["kind"] == "heap" and len(pcs) > 1 else None


def redis(seconds):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    tool = os.path.join(BUILD, "targets", "bin", "redis-server")
    check(os.path.exists(tool), "make fetch-targets")

    def work(program):
        deadline = time.monotonic() + seconds
        with socket.create_connection(("127.0.0.1", port)) as s, s.makefile("rb") as answers:
            n = 0
            while time.monotonic() < deadline:
                batch = []
                for i in range(50):
                    n += 1
                    key = f"session:{n % 20000}"
                    batch.append(f"SET {key} {'v' * (20 + n % 300)} EX 30")
                    batch.append(f"LPUSH list:{n % 100} item{n}")
                    batch.append(f"LTRIM list:{n % 100} 0 50")
                    if i % 10 == 0:
                        batch.append(f"HSET kept:{n} field {n}")
                s.sendall(("\r\n".join(batch) + "\r\n").encode())
                for _ in batch:
                    answers.readline()
                time.sleep(0.002)

    return Program([tool, "--port", str(port), "--save", "", "--dir", harness.scratch()], work,
                   {"LD_PRELOAD": "libc.so.6"})


def sqlite(seconds):
    def work(program):
        deadline, n = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            n += 1
            program.proc.stdin.write((
                f"INSERT INTO t VALUES({n}, hex(randomblob({20 + n % 200})));"
                f"SELECT count(*), max(b) FROM t WHERE a > {n - 40};"
                f"DELETE FROM t WHERE a < {n - 20000};\n").encode())
            program.proc.stdin.flush()
            time.sleep(0.001)

    program = Program(["sqlite3", ":memory:"], work, stdin=subprocess.PIPE)
    program.proc.stdin.write(b"CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);\n")
    program.proc.stdin.flush()
    return program


def script(language, text, env=None):
    def start(seconds):
        return Program([language, "-c" if language == sys.executable else "-e", text,
                        str(seconds + 1)], env=env, seconds=seconds)
    return start


RESULTS = {}                    # by budget

PROGRAMS = {
    **{name: (lambda seconds, name=name: Service(name, seconds))
       for name in ("churn", "threads", "bursts", "steady", "adversary")},
    "python": script(sys.executable, PYTHON, {"PYTHONMALLOC": "malloc"}),
    "perl": script("perl", PERL),
    "redis": redis,
    "sqlite": sqlite,
}


def alone(start, seconds):
    """CPU time of a run that nobody watches."""
    program = start(seconds)
    before = cpu_s(program.pid)
    program.run()
    return cpu_s(program.pid) - before


def watched(start, seconds, budget):
    """CPU time of a watched run, the report, and the truth."""
    program = start(seconds)
    watch = Watch(program.pid, "--max-overhead", f"{budget:.3f}", "--allocator", "glibc",
                  mode="windows")
    program.begin()
    before = cpu_s(program.pid)
    half_way = threading.Timer(seconds / 2, program.half_way)
    half_way.start()
    program.run()
    half_way.join()
    used = cpu_s(program.pid) - before
    report = watch.finish()
    return program, used, report, program.truth()


def judge(program, report, truth):
    rows = {}
    for chain, stack in report.chains():
        key = program.key(chain, stack)
        if key is not None:
            row = rows.setdefault(key, {"live": 0, "error": 0, "growth": 0})
            row["live"] += stack["live_bytes"]
            row["error"] = (row["error"] ** 2 + stack.get("live_bytes_error", 0) ** 2) ** 0.5
            row["growth"] += stack["growth_bytes_per_s"]
    nothing = {"live": 0, "error": 0, "growth": 0}
    live = sum(truth.values())
    large = [k for k, n in truth.items() if n > live / 100]
    errors = [abs(rows.get(k, nothing)["live"] / truth[k] - 1) for k in large]
    held = [abs(rows[k]["live"] - truth[k]) <= rows[k]["error"] for k in large if k in rows]
    leak, kept = program.leak()
    ranked = sorted(rows, key=lambda k: -rows[k]["growth"])
    rank = ranked.index(leak) + 1 if rows.get(leak, nothing)["growth"] > 0 else 0
    got = sum(s["live_bytes"] for s in report.stacks if s["kind"] == "heap")
    return {
        "total": got / live - 1 if live else 0,
        "mare": sum(errors) / len(errors) if errors else 0,
        "median": statistics.median(errors) if errors else 0,
        "rank": rank,
        # A stack that kept as many as can be detected is seen with three blocks.
        "expected": 3 * kept / report.data["windows"]["detectable_count"] if leak else 0,
        "held": sum(held),
        "coverage": sum(held) / len(held) if held else 1,
        "stacks": len(large),
        "unseen": len(large) - len(held),
    }


def measure(name, seconds, budget):
    start = PROGRAMS[name]
    base = alone(start, seconds)
    program, used, report, truth = watched(start, seconds, budget)
    cost = used / base - 1 if base else 0
    claimed = report.data["cost"]["target_cpu_share"]
    own = report.data["cost"]["own_cpu_s"] / report.data["duration_s"]
    result = judge(program, report, truth)
    RESULTS.setdefault(budget, []).append(result)
    print(f"{name} budget {budget:g} %: paired cost {100 * cost:+.1f} %, claimed "
          f"{100 * (claimed or 0):.2f} %, own {100 * own:.1f} % of a core; total "
          f"{100 * result['total']:+.1f} %, call sites above 1 % ({result['stacks']}): off by "
          f"{100 * result['mare']:.0f} %, median {100 * result['median']:.0f} %, "
          f"{result['unseen']} of them not seen, of the others "
          f"{100 * result['coverage']:.0f} % of the intervals hold, leak rank "
          f"{result['rank'] or '-'} with {result['expected']:.1f} of its blocks expected, "
          f"{report.data['windows']['windows']} windows",
          flush=True)
    what = f"windows_{name}_{budget:g}"
    print(f"bench {what}_claimed {100 * (claimed or 0):.3f} % <={1.1 * budget:g}")
    print(f"bench {what}_total {abs(100 * result['total']):.2f} %")
    print(f"bench {what}_stacks {100 * result['mare']:.1f} %", flush=True)


def sum_up(budget, results):
    medians = sorted(r["median"] for r in results if r["stacks"])
    totals = [abs(r["total"]) for r in results]
    sure = [r["rank"] for r in results if r["expected"] >= 10]
    print(f"all {len(results)} at {budget:g} %: total off by "
          f"{100 * statistics.median(totals):.1f} % in the median, {100 * max(totals):.1f} % at "
          f"most; call sites: {100 * statistics.median(medians):.0f} % in the median of the "
          f"medians, {100 * medians[-((len(medians) + 2) // 3)]:.0f} % or more in the worst third; "
          f"{sum(r['held'] for r in results)} of "
          f"{sum(r['stacks'] - r['unseen'] for r in results)} intervals hold; of {len(sure)} leaks "
          f"with ten blocks expected {sure.count(1)} first, "
          f"{sum(0 < rank <= 3 for rank in sure)} among the first three", flush=True)


def bench():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--budgets", default="2")
    parser.add_argument("programs", nargs="*")
    args = parser.parse_args()
    failed = False
    for name in args.programs or PROGRAMS:
        for budget in args.budgets.split(","):
            line = harness._run_case(harness.Case(
                name, lambda: measure(name, args.seconds, float(budget)), 600))
            failed |= not line.startswith("ok")
            if not line.startswith("ok"):
                print(line, flush=True)
    for budget, results in RESULTS.items():
        sum_up(budget, results)
    sys.exit(failed)


bench()
