#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What heapsonde takes for itself: within its limit, and what finds no room is counted."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

MIB = 1 << 20


def kernel_fields(path, *names):
    """The sum of these fields of a file of /proc, in bytes."""
    total = 0
    with open(path) as file:
        for line in file:
            name, _, value = line.partition(":")
            if name in names:
                total += int(value.split()[0]) * (1024 if value.strip().endswith("kB") else 1)
    return total


def family_of(pid):
    """It, and what it forked to help it."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            below = [int(child) for child in children.read().split()]
    except OSError:
        below = []
    return [pid, *(other for child in below for other in family_of(child))]


def private_memory(pid):
    """Anonymous memory, of which each of those that share a page has its part."""
    try:
        return kernel_fields(f"/proc/{pid}/smaps_rollup", "Pss_Anon", "SwapPss")
    except OSError:         # it has just ended
        return 0


def own_memory(pid):
    """What heapsonde alone holds: anonymous memory, its helpers' too, and its BPF maps."""
    maps = {}
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{fd}") as info:
                fields = dict(line.split(":", 1) for line in info if ":" in line)
        except OSError:
            continue
        if "map_id" in fields and "memlock" in fields:
            maps[fields["map_id"].strip()] = int(fields["memlock"])
    return sum(maps.values()) + sum(private_memory(member) for member in family_of(pid))


def highest(watch, seconds):
    """The most that it holds while it works."""
    most, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        most = max(most, own_memory(watch.proc.pid))
        time.sleep(0.05)
    return most


@case()
def a_leak_meets_the_limit():
    """Every block that is not held is counted, and none is invented."""
    limit = 32 * MIB
    w = Workload("churn", "-t", "1", "-S", "4", "-l", "1", "-s", "16", "-w")
    watch = Watch(w.pid, "--memory-limit", "32M")
    w.say("go")
    most = highest(watch, 4)
    pairs = json.loads(w.line())["pairs"]
    report = watch.finish()
    check(most <= limit, f"{most} bytes of {limit}")
    check_equal("complete", report.loss["complete"], False)
    check(report.loss["untracked_allocs"] > 0, f"none of {pairs} blocks was left out")
    check_equal("blocks seen, left out and dropped", report.totals["alloc_count"] +
                report.loss["untracked_allocs"] + report.loss["dropped_events"], pairs)
    check(report.data["cost"]["own_memory_bytes"] <= limit, f"{report.data['cost']}")
    check_equal("limit", report.data["cost"]["memory_limit_bytes"], limit)
    check("at its limit" in watch.errors(), f"it says nothing of it: {watch.errors()!r}")
    remark(f"{most / MIB:.1f} MiB, {report.loss['untracked_allocs']} of {pairs} not tracked")


def holds_and_is_exact(limit, *options):
    w = Workload("family")
    watch = Watch(w.pid, *options)
    books = w.work()
    most = highest(watch, 1.5)
    check_books(watch.finish(), books)
    check(most <= limit, f"{most} bytes of {limit}")
    remark(f"{most / MIB:.1f} MiB")


add_case("of_64_MiB", holds_and_is_exact, 64 * MIB, "--memory-limit", "64M")
add_case("small", holds_and_is_exact, 16 * MIB, "--small")


@case()
def doctor_tells_the_default():
    out = heapsonde("doctor").stdout
    check("--memory-limit" in out, out)


@case()
def a_cgroup_s_default():
    """Heapsonde in a container of 2 GiB takes a sixteenth of that, however large the machine."""
    with MemoryCgroup() as group:
        group.set_limit(2 << 30)
        out = run([TOOL, "doctor"], preexec_fn=lambda: group.add(os.getpid())).stdout
    check("up to 128 MiB of its own" in out.replace("128.0", "128"), out)


if __name__ == "__main__":
    main()
