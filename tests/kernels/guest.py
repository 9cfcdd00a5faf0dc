#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside the booted kernel (vm.py): what this kernel offers, and whether it works.

Prints the cases of the test programs it runs, "ok PART/NAME" and so on, and
facts for the table, "fact NAME VALUE".
"""

import json
import os
import re
import subprocess

HERE = "/heapsonde"
TOOL = "build/heapsonde"
KERNEL = "build/tests/kernel/"
SWAP = "/dev/nvme0n1"           # vm.py's
# Not with heapsonde in the same cgroup: emulated, a kill takes so long to give back memory that
# the next who asks for some is killed as well.
OOM = ("outside_1", "without_the_tracepoint")
METHODS = ("session", "multi", "single")
# Growth as the kernel's ledger sees it: by system calls of libc and without, by faults.
GROWTH = ("mmap", "raw", "dontneed")
# Beyond what every way to attach is tested with; only when all is wanted.
EXACT = ("threads_churn", "threads_realloc", "mappings", "jump_longjmp", "contexts",
         "exec_in_the_target")


def say(*words):
    print(*words, flush=True)


def part(name, *argv):
    """A test program; its cases, under the part's name."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    lines = done.stdout.decode(errors="replace").splitlines()
    for line in lines:
        say(re.sub(r"^(ok|not ok|skip|unsteady) ", rf"\1 {name}/", line))
    if done.returncode and not any(line.startswith("not ok ") for line in lines):
        say(f"not ok {name} - ended with status {done.returncode}")
    return lines


def heapsonde(*args):
    return subprocess.run([TOOL, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)


def doctor():
    """What it finds, or None when it finds nothing to work with."""
    done = heapsonde("doctor", "--json")
    found = json.loads(done.stdout)
    say("fact doctor", json.dumps(found))
    if done.returncode == (0 if found["well"] else 1):
        say("ok doctor")
    else:
        say(f"not ok doctor - status {done.returncode}, well {found['well']}")
    return found


def refuses(words):
    """A kernel that will not do: one line that says so, status 1, nothing on stdout."""
    done = heapsonde("report", "-p", str(os.getpid()), "-d", "0.1")
    one_line = done.stderr.count("\n") == 1 and words in done.stderr
    if done.returncode == 1 and one_line and not done.stdout:
        say("ok refuses_in_one_line")
    else:
        say(f"not ok refuses_in_one_line - status {done.returncode}: {done.stderr!r}")


def verifier():
    instructions = [int(n) for line in part("verifier", KERNEL + "verifier_budget")
                    for n in re.findall(r": (\d+) instructions verified", line)]
    say("fact instructions", max(instructions, default=0))


def short_of_memory():
    """Under cgroup v2, and with swap."""
    if os.path.exists(SWAP):
        subprocess.run(["mkswap", SWAP], stdout=subprocess.DEVNULL, check=True)
        subprocess.run(["swapon", SWAP], check=True)
        part("memory", "python3", "-S", "tests/kernels/swap.py")
        # A cgroup's limit of memory is no limit to what it has in swap.
        subprocess.run(["swapoff", SWAP], check=True)
    else:
        say("skip memory/swap - this kernel has no driver for the disk")
    part("memory", "python3", "-S", "tests/kernel/test_oom.py", *OOM)


def main():
    os.chdir(HERE)
    with open("/dev/kmsg", "w") as log:
        log.write("heapsonde: the tests begin\n")
    with open("/proc/cmdline") as f:
        form = re.search(r"heapsonde=(\w+)", f.read())[1]
    found = doctor()
    if form == "refused":
        refuses("finds no memory for a thread's state")
        say("end")
        return
    if found["error"]:
        refuses("too old")
        say("end")
        return
    verifier()
    part("walker", KERNEL + "unwind_self", KERNEL + "unwind_self.bpf.o")
    part("walker_global", KERNEL + "unwind_self", KERNEL + "unwind_self.global.bpf.o")
    there = METHODS[METHODS.index(found["attach"]):]
    part("attach", "python3", "-S", "tests/kernel/test_attach.py",
         *(f"{method}_family" for method in there))
    part("growth", "python3", "-S", "tests/kernel/test_growth.py", *GROWTH)
    if form in ("all", "memory"):
        short_of_memory()
    if form == "all":
        part("exact", "python3", "-S", "tests/kernel/test_exact.py", *EXACT)
    say("end")


if __name__ == "__main__":
    main()
