#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What --mode auto costs a target that allocates as fast as it goes, against its budget.

	auto.py [--pairs N] [--budget PCT]

As growth.py does it, with the server of tests/workloads/requests.c watched and left
alone in turn: but of the CPU time of all its requests, since windows are seldom. The
value is the median of the pairs; beside it stand half of the interval that holds the
true one in 95 of 100 cases, and what the report says of itself.
"""

import argparse
import statistics

from growth import *            # noqa: F403

PHASE_S = 4.0


class Requests(Server):
    def phase(self):
        """CPU time of a request of the next seconds, on average."""
        begun = len(self.lines)
        time.sleep(PHASE_S)
        return statistics.mean(self.lines[begun:])


def measure(pairs, budget):
    server, added, said = Requests(), [], []
    before = server.phase()
    for _ in range(pairs):
        watch = Watch(server.pid, "--max-overhead", str(budget), mode="auto")
        watched = server.phase()
        said.append(watch.finish().data["cost"]["target_cpu_share"] or 0)
        behind = server.phase()
        added.append(100 * (2 * watched / (before + behind) - 1))
        before = behind
    server.end()
    low, high = interval(added)
    print("pairs:", ", ".join(f"{s:+.2f} %" for s in added))
    print(f"bench auto_cost {statistics.median(added):.2f} % <={budget:g}")
    print(f"bench auto_noise {(high - low) / 2:.2f} %")
    print(f"bench auto_said {100 * statistics.median(said):.2f} % <={budget:g}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--budget", type=float, default=5)
    args = parser.parse_args()
    harness._scratch = tempfile.mkdtemp(prefix="heapsonde-bench-")
    try:
        measure(args.pairs, args.budget)
    finally:
        harness._end_all()
        shutil.rmtree(harness._scratch, ignore_errors=True)


main()
