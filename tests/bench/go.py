#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What sampling its heap costs a Go HTTP server (tests/workloads/go/http.go).

CPU time per request of pairs of runs, one watched and one not, by turns; a
handler makes about a hundred allocations. The spread is between the middle
halves of the pairs.
"""

import glob
import os
import signal
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("O") or "build")
TOOL = os.path.join(BUILD, "heapsonde")
PAIRS, REQUESTS = 12, 4000


def cpu_ns(pid):
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with open(path) as f:
            total += int(f.read().split()[0])
    return total


def load(path, server, address):
    before = cpu_ns(server.pid)
    subprocess.run([path, "load", address, str(REQUESTS)], check=True)
    return (cpu_ns(server.pid) - before) / REQUESTS / 1000


def watched(path, server, address):
    watch = subprocess.Popen([TOOL, "report", "-p", str(server.pid), "--json"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while "Ctrl-C" not in watch.stderr.readline():
        assert watch.poll() is None, watch.stderr.read()
    us = load(path, server, address)
    watch.send_signal(signal.SIGINT)
    watch.communicate()
    return us


def measure(path):
    server = subprocess.Popen([path, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True)
    address = server.stdout.readline().strip()
    load(path, server, address)
    added, plain = [], []
    for _ in range(PAIRS):
        off = load(path, server, address)
        on = watched(path, server, address)
        off = (off + load(path, server, address)) / 2
        plain.append(off)
        added.append(100 * (on - off) / off)
        time.sleep(0.05)
    server.stdin.close()
    server.wait()
    quarters = statistics.quantiles(added, n=4)
    name = "go_" + path.split(os.sep)[-2]
    print(f"bench {name}_us_per_request {statistics.median(plain):.1f} us")
    print(f"bench {name}_added_cpu {statistics.median(added):.1f} % <=5")
    print(f"bench {name}_added_cpu_spread {quarters[2] - quarters[0]:.1f} %", flush=True)


programs = sorted(glob.glob(os.path.join(BUILD, "go", "*", "http-default")))
if not programs:
    sys.exit("no Go program: make fetch-targets go-programs")
for program in programs[::len(programs) - 1] if len(programs) > 1 else programs:
    measure(program)
