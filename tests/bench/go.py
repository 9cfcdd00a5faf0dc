#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What watching its heap costs a Go HTTP server (tests/workloads/go/http.go).

CPU time per request of pairs of runs, one watched and one between two that are
not; a handler makes about a hundred allocations. The kernel's ledger alone
(--mode growth) is measured by turns with it: what it seems to cost is mostly
the machine's noise. Of the differences' median there is a 95 % interval, by ranks.
What the hits alone cost, by their number and price, is what heapsonde says itself.
"""

import glob
import json
import os
import signal
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("O") or "build")
TOOL = os.path.join(BUILD, "heapsonde")
PAIRS, REQUESTS = 20, 10000
LEVELS = {"sampled": (), "growth": ("--mode", "growth"),
          "budget_3": ("--max-overhead", "3")}


def cpu_ns(pid):
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with open(path) as f:
            total += int(f.read().split()[0])
    return total


def load(path, server, address, requests=REQUESTS):
    before = cpu_ns(server.pid)
    subprocess.run([path, "load", address, str(requests)], check=True)
    return (cpu_ns(server.pid) - before) / requests / 1000


def watched(path, server, address, options):
    """Microseconds a request, and the report's word on the cost."""
    watch = subprocess.Popen([TOOL, "report", "-p", str(server.pid), "--json", *options],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while "Ctrl-C" not in watch.stderr.readline():
        assert watch.poll() is None, watch.stderr.read()
    load(path, server, address, REQUESTS // 10)
    us = load(path, server, address)
    watch.send_signal(signal.SIGINT)
    return us, json.loads(watch.communicate()[0])["cost"]


def median_interval(values):
    """By ranks: 95 % of the time the median lies between those two values."""
    values, n = sorted(values), len(values)
    rank = max(0, int(n / 2 - 0.98 * n ** 0.5))
    return values[rank], values[n - 1 - rank]


def show(name, level, added, costs):
    low, high = median_interval(added)
    target = " <=5" if level == "sampled" else ""
    print(f"bench {name}_{level}_added_cpu {statistics.median(added):.1f} %{target}")
    print(f"bench {name}_{level}_added_cpu_low {low:.1f} %")
    print(f"bench {name}_{level}_added_cpu_high {high:.1f} %")
    costs = [cost for cost in costs if cost["probe_ns_per_hit"]]
    if costs:
        share = statistics.median(cost["target_cpu_share"] for cost in costs)
        hits = statistics.median(cost["probe_hits"] for cost in costs) / (1.1 * REQUESTS)
        ns = statistics.median(cost["probe_ns_per_hit"] for cost in costs)
        print(f"bench {name}_{level}_hits_per_request {hits:.2f} hits")
        print(f"bench {name}_{level}_per_hit {ns:.0f} ns")
        print(f"bench {name}_{level}_hits_cpu {100 * share:.1f} %")


def measure(path):
    server = subprocess.Popen([path, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True)
    address = server.stdout.readline().strip()
    off = load(path, server, address)
    plain = []
    added, costs = {level: [] for level in LEVELS}, {level: [] for level in LEVELS}
    for _ in range(PAIRS):
        for level, options in LEVELS.items():
            before, (on, cost) = off, watched(path, server, address, options)
            off = load(path, server, address)
            plain.append((before + off) / 2)
            added[level].append(100 * (on / plain[-1] - 1))
            costs[level].append(cost)
    server.stdin.close()
    server.wait()
    name = "go_" + path.split(os.sep)[-2]
    print(f"bench {name}_us_per_request {statistics.median(plain):.1f} us")
    for level in LEVELS:
        show(name, level, added[level], costs[level])
    sys.stdout.flush()


programs = sorted(glob.glob(os.path.join(BUILD, "go", "*", "http-default")))
if not programs:
    sys.exit("no Go program: make fetch-targets go-programs")
for program in programs[::len(programs) - 1] if len(programs) > 1 else programs:
    measure(program)
