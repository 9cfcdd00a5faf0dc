#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What --mode growth costs: the target, and a process that is none.

	growth.py [--pairs N]

An allocation-heavy server (tests/workloads/requests.c) tells the CPU time of each
hundred of its requests, some milliseconds. It is watched and left alone in turn,
a second each: the median line of a watched second is compared with those of
the seconds before and behind. The value is the median of all these, with the interval that
holds the true one in 95 of 100 cases; what disturbs single lines or seconds does not matter.
Beside it stands what the report says of itself. The other process does nothing but
system calls, which it would notice if each took longer.
"""

import argparse
import math
import os
import statistics
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import harness                  # noqa: E402
from harness import *           # noqa: E402,F403

PHASE_S = 1.0

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


class Server:
    """The server on a core of its own, and the lines that it has printed."""

    def __init__(self):
        self.proc = spawn([workload_path("requests")], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE)
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(self.proc.pid, cores[-1:])
        os.sched_setaffinity(0, cores[:-1] or cores)
        self.pid, self.lines = self.proc.pid, []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.proc.stdout:
            self.lines.append(int(line))

    def phase(self):
        """The median line of the next second."""
        begun = len(self.lines)
        time.sleep(PHASE_S)
        return statistics.median(self.lines[begun:])

    def end(self):
        self.proc.stdin.close()
        self.proc.wait()
        self.reader.join()


def call_ns():
    return float(run([sys.executable, "-c", CALLS]).stdout)


def interval(values):
    """Of the median: by ranks, so that nothing is assumed of how they are spread."""
    values, n = sorted(values), len(values)
    away = 0.98 * math.sqrt(n)
    return values[max(0, math.floor(n / 2 - away))], values[min(n - 1, math.ceil(n / 2 + away))]


def measure(pairs):
    server, added, said, calls = Server(), [], [], []
    server.phase()
    before = server.phase()
    for i in range(pairs):
        watch = Watch(server.pid, mode="growth")
        watched = server.phase()
        others = call_ns() if i < 3 else None
        said.append(watch.finish().data["cost"]["target_cpu_share"] or 0)
        behind = server.phase()
        added.append(100 * (2 * watched / (before + behind) - 1))
        if others:
            calls.append(others - call_ns())
        before = behind
    server.end()
    low, high = interval(added)
    print("pairs:", ", ".join(f"{s:+.2f} %" for s in added))
    print(f"one line of the server: {before / 1e6:.2f} ms; interval: {low:+.2f} to {high:+.2f} %")
    print(f"bench growth_level_cost {statistics.median(added):.2f} % <=1")
    print(f"bench growth_level_noise {(high - low) / 2:.2f} %")
    print(f"bench growth_level_said {100 * statistics.median(said):.2f} %")
    print(f"bench growth_level_other_syscall {statistics.median(calls):.0f} ns")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=15)
    args = parser.parse_args()
    harness._scratch = tempfile.mkdtemp(prefix="heapsonde-bench-")
    try:
        measure(args.pairs)
    finally:
        harness._end_all()
        shutil.rmtree(harness._scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
