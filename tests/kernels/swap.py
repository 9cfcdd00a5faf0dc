#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel takes from a target and gives back to it: swap, kswapd.

Runs inside a booted kernel (guest.py), whose memory nobody else needs. What the
report tells of a target is compared with the kernel's books of that process.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

SIZE = 32 << 20

# Says after each line what it has in swap, in KiB.
TARGET = """
import mmap, sys
PAGEOUT = 21
block = mmap.mmap(-1, int(sys.argv[1]), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

def touch():
    for at in range(0, len(block), 4096):
        block[at] = at >> 12 & 0xff | 1

if "later" not in sys.argv:
    touch()
while True:
    with open("/proc/self/status") as f:
        print(next(line.split()[1] for line in f if line.startswith("VmSwap")), flush=True)
    word = sys.stdin.readline().strip()
    if word == "out":
        block.madvise(PAGEOUT)
    elif word == "touch":
        touch()
    else:
        break
"""


class Target:
    def __init__(self, size, *words, **kwargs):
        self.proc = spawn([sys.executable, "-S", "-c", TARGET, size, *words],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, **kwargs)
        self.pid = self.proc.pid
        self.swapped = self.read()

    def read(self):
        return int(self.proc.stdout.readline()) << 10

    def settled(self):
        """What it has in swap when the kernel is done: some of it comes back by itself."""
        before = -1
        while before != self.swapped:
            before = self.swapped
            time.sleep(0.5 * PATIENCE)
            with open(f"/proc/{self.pid}/status") as f:
                self.swapped = next(int(line.split()[1]) << 10 for line in f
                                    if line.startswith("VmSwap"))
        return self.swapped

    def say(self, word):
        """What it has in swap then."""
        self.proc.stdin.write(word.encode() + b"\n")
        self.proc.stdin.flush()
        self.swapped = self.read()
        return self.swapped

    def end(self):
        self.proc.communicate(b"end\n")
        check_equal("the target's status", self.proc.returncode, 0)


def told(report, kind):
    return sum(e["bytes"] for e in report.data["reclaim"] if e["kind"] == kind)


def check_swap(report, target, before):
    """The difference of what went and what came is what it has there now."""
    net, moved = told(report, "swap_out") - told(report, "swap_in"), target.swapped - before
    # What the kernel has done since is nobody's fault.
    since = abs(target.settled() - before - moved)
    slack = 0.02 * SIZE + since
    check(abs(net - moved) <= slack,
          f"{net} bytes went to swap by the report, {moved} by the kernel")
    swap, rss = report.data["memory"]["swap_bytes"], report.data["memory"]["rss_bytes"]
    check(abs(swap - target.swapped) <= slack, f"{swap} in the account")
    check_equal("the account's sum", sum(a["bytes"] for a in report.data["memory"]["account"]),
                rss)


def seen(watch, target):
    """Until the watcher has read what the target said last: it looks once a second."""
    target.settled()
    time.sleep(1.5 * PATIENCE)
    return watch.finish()


@case(timeout=120)
def paged_out_and_back():
    target = Target(SIZE)
    watch = Watch(target.pid, mode="growth")
    begun = target.swapped
    target.say("out")
    out = target.settled()
    check(out - begun >= SIZE // 4, f"only {out - begun} bytes went to swap")
    time.sleep(1.5 * PATIENCE)
    target.say("touch")
    report = seen(watch, target)
    check_swap(report, target, begun)
    for kind, bytes in ("swap_out", out - begun), ("swap_in", out - target.swapped):
        check(told(report, kind) >= 0.98 * bytes,
              f"{told(report, kind)} bytes are told of {bytes} by {kind}")
    target.end()


@case(timeout=120)
def beyond_its_cgroups_limit():
    """It needs more than its cgroup may have: what does not fit goes to swap."""
    with MemoryCgroup() as group:
        target = Target(SIZE, "later", preexec_fn=lambda: group.add(os.getpid()))
        group.set_limit(SIZE // 2)
        watch = Watch(target.pid, mode="growth")
        begun = target.swapped
        out = target.say("touch")
        check(out - begun >= SIZE // 4, f"only {out - begun} bytes went to swap")
        report = seen(watch, target)
        # Nothing moves any more.
        check_swap(report, target, begun)
        taken = [e for e in report.data["reclaim"] if e["kind"] == "cgroup_reclaim"]
        check(taken and all("by the process itself" in e["detail"] for e in taken),
              f"{taken[:3]}")
        # What is still being written counts as taken only later, perhaps for somebody else.
        check(told(report, "cgroup_reclaim") >= told(report, "swap_out") / 2,
              f"{told(report, 'cgroup_reclaim')} bytes were taken")
        mine, = report.data["memory"]["cgroups"]
        check_equal("the limit", mine["limit_bytes"], SIZE // 2)
        target.end()


def vmstat(name):
    with open("/proc/vmstat") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(name + " "))


def available():
    with open("/proc/meminfo") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("MemAvailable"))


@case(timeout=300)
def by_kswapd():
    """The machine's memory runs short, by somebody else's doing."""
    target = Target(SIZE)
    watch = Watch(target.pid, mode="growth")
    before = vmstat("pgsteal_kswapd")
    # More is free soon than is said to be available while a watch begins, and kswapd, which
    # is only woken, may come to it when who asked is done: until it was needed.
    hogs = [Target(available() + 2 * SIZE)]
    for _ in range(5):
        time.sleep(0.2 * PATIENCE)
        if vmstat("pgsteal_kswapd") > before:
            break
        hogs.append(Target(SIZE))
    stolen = (vmstat("pgsteal_kswapd") - before) * 4096
    check(stolen > 0, f"kswapd took nothing from {len(hogs)} who asked for much")
    remark(f"{stolen >> 20} MiB by {len(hogs)}")
    report = seen(watch, target)
    for hog in hogs:
        hog.end()
    # The first reading is some moments older than ours.
    check(told(report, "kswapd") >= stolen,
          f"{told(report, 'kswapd')} bytes are told, kswapd took {stolen}")
    target.end()


if __name__ == "__main__":
    main()
