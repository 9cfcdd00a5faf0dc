#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long attaching to a stripped Go program takes, by its size.

From the start of heapsonde until it says that it watches; hugo (50 MB) as the
distribution has it, one of 100 MB that is generated (72,000 functions, some minutes
the first time), and a small program, whose share is the loading of the probes.
The unwind tables of none are kept from an earlier run.
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


PACKAGES, FUNCTIONS, STATEMENTS = 48, 1500, 25


def write_package(root, number):
    os.makedirs(os.path.join(root, f"p{number}"))
    with open(os.path.join(root, f"p{number}", "p.go"), "w") as f:
        f.write(f"package p{number}\n\nvar All = []func(x, y int) int{{")
        f.write(", ".join(f"f{i}" for i in range(FUNCTIONS)) + "}\n")
        for i in range(FUNCTIONS):
            f.write(f"\nfunc f{i}(x, y int) int {{\n")
            for s in range(STATEMENTS):
                f.write(f"\tx = x*{i * 7 + s * 3 + 1} + y\n"
                        f"\tif x > {s * 1000 + i} {{\n\t\ty ^= x >> {s + 1}\n\t}}\n")
            f.write("\treturn x\n}\n")


def large(go):
    """A program of many functions, unoptimized for size; the runtime is as ever."""
    path = os.path.join(os.path.dirname(os.path.dirname(go)), "large")
    if os.path.exists(path):
        return path
    with tempfile.TemporaryDirectory() as root:
        for number in range(PACKAGES):
            write_package(root, number)
        with open(os.path.join(root, "go.mod"), "w") as f:
            f.write("module large\n\ngo 1.19\n")
        with open(os.path.join(root, "main.go"), "w") as f:
            f.write('package main\n\nimport (\n\t"io"\n\t"os"\n')
            f.writelines(f'\t"large/p{n}"\n' for n in range(PACKAGES))
            f.write(")\n\nfunc main() {\n\tn := 0\n")
            f.writelines(f"\tfor _, f := range p{n}.All {{\n\t\tn = f(n, 1)\n\t}}\n"
                         for n in range(PACKAGES))
            f.write("\tio.Copy(io.Discard, os.Stdin)\n\tprintln(n)\n}\n")
        with open(go) as f:
            modules = f.read().replace("GO111MODULE=off", "GO111MODULE=on")
        wrapper = os.path.join(root, "go")
        with open(wrapper, "w") as f:
            f.write(modules)
        os.chmod(wrapper, 0o755)
        subprocess.run([wrapper, "build", "-gcflags=large/...=-N -l", "-ldflags=-s -w", "-o",
                        path, "."], cwd=root, check=True)
    return path


small = sorted(glob.glob(os.path.join(BUILD, "go", "*", "server-small")))
if not small or not os.path.exists(os.path.join(BUILD, "targets/bin/hugo")):
    sys.exit("no Go program: make fetch-targets go-programs")
measure("go_small", subprocess.Popen([small[-1]], stdin=subprocess.PIPE), "")
with tempfile.TemporaryDirectory() as directory:
    measure("go_50mb", hugo(directory), "<=1")
go = os.path.join(os.path.dirname(small[max(0, len(small) - 2)]), "bin", "go")
measure("go_100mb", subprocess.Popen([large(go)], stdin=subprocess.PIPE), "<=1")
