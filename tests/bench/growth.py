#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What --mode growth costs: the target, and a process that is none.

	growth.py [--seconds N] [--pairs N]

An allocation-heavy service (tests/workloads/services.c) does the same work with and
without, in turn; what counts is its CPU time. The value is the median of the pairs,
and the noise half of the middle half of them: a value below that is none. The other
process does nothing but system calls, which it would notice if each cost more.
"""

import argparse
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import harness                  # noqa: E402
from harness import *           # noqa: E402,F403

OPERATIONS_PER_S = "1000000"

CALLS = """
import os, time
call, times = os.getppid, []
for _ in range(9):
    begun = time.thread_time_ns()
    for _ in range(100000):
        call()
    times.append((time.thread_time_ns() - begun) / 100000)
print(min(times))
"""


def served(seconds, watched):
    """CPU time of the service, its ended threads' included, in seconds."""
    w = Workload("services", "churn", str(seconds), OPERATIONS_PER_S)
    watch = Watch(w.pid, mode="growth") if watched else None
    w.work()
    if watch:
        watch.finish()
    w.proc.stdin.close()
    _, w.proc.returncode, usage = os.wait4(w.pid, 0)
    return usage.ru_utime + usage.ru_stime


def call_ns(watched):
    w = Workload("services", "churn", "1", "1")
    watch = Watch(w.pid, mode="growth") if watched else None
    ns = float(run([sys.executable, "-c", CALLS]).stdout)
    if watch:
        watch.finish()
    w.proc.kill()
    return ns


def measure(seconds, pairs):
    shares = []
    for i in range(pairs):
        first = served(seconds, i % 2 == 1)
        second = served(seconds, i % 2 == 0)
        watched, without = (first, second) if i % 2 else (second, first)
        shares.append(100 * (watched / without - 1))
    low, middle, high = statistics.quantiles(shares, n=4)
    print("pairs:", ", ".join(f"{s:+.2f} %" for s in shares))
    print(f"bench growth_level_cost {max(0, middle):.2f} % <=1")
    print(f"bench growth_level_noise {(high - low) / 2:.2f} %")
    calls = [call_ns(True) - call_ns(False) for _ in range(3)]
    print(f"bench growth_level_other_syscall {statistics.median(calls):.0f} ns")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--pairs", type=int, default=7)
    args = parser.parse_args()
    harness._scratch = tempfile.mkdtemp(prefix="heapsonde-bench-")
    try:
        measure(args.seconds, args.pairs)
    finally:
        harness._end_all()
        shutil.rmtree(harness._scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
