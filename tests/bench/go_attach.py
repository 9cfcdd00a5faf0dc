#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long attaching to a stripped Go program takes, by its size.

From the start of heapsonde until it says that it watches; hugo (50 MB) as the
distribution has it, and a small program, whose share is the loading of the probes.
The unwind tables of neither are kept from an earlier run.
"""

import glob
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("O") or "build")
TOOL = os.path.join(BUILD, "heapsonde")
RUNS = 7


def attach(pid):
    """(seconds, CPU seconds) until the probes stand."""
    begun = time.monotonic()
    watch = subprocess.Popen([TOOL, "report", "-p", str(pid), "--no-cache", "--json"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while "Ctrl-C" not in watch.stderr.readline():
        assert watch.poll() is None, "heapsonde ended"
    wall = time.monotonic() - begun
    with open(f"/proc/{watch.pid}/stat") as f:
        ticks = sum(int(n) for n in f.read().rsplit(")", 1)[1].split()[11:13])
    watch.send_signal(signal.SIGINT)
    watch.communicate()
    return wall, ticks / os.sysconf("SC_CLK_TCK")


def measure(name, program, target):
    runs = [attach(program.pid) for _ in range(RUNS)]
    program.terminate()
    program.wait()
    print(f"bench {name}_attach_s {statistics.median(r[0] for r in runs):.2f} s {target}".rstrip())
    print(f"bench {name}_attach_cpu_s {statistics.median(r[1] for r in runs):.2f} s", flush=True)


def hugo(root):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    open(os.path.join(root, "config.toml"), "w").close()
    program = subprocess.Popen([os.path.join(BUILD, "targets/bin/hugo"), "server", "--source",
                                root, "--port", str(port), "--watch=false"], cwd=root,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return program
        assert program.poll() is None, "hugo ended"
        time.sleep(0.1)


small = sorted(glob.glob(os.path.join(BUILD, "go", "*", "server-small")))
if not small or not os.path.exists(os.path.join(BUILD, "targets/bin/hugo")):
    sys.exit("no Go program: make fetch-targets go-programs")
measure("go_small", subprocess.Popen([small[-1]], stdin=subprocess.PIPE), "")
with tempfile.TemporaryDirectory() as directory:
    measure("go_50mb", hugo(directory), "<=1")
