#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's ledger as events: who mapped, who touched, who gave back.

A workload makes memory resident in one way and says how much it holds and gave back;
the call paths through the function that did it must say the same within 2 %, in the
growth level and beneath the others, and allocations must not be counted twice.
"""

import functools
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

SLACK = 160 << 10       # what starting a thread, stdio and the like touch besides


def near(what, got, want):
    check(abs(got - want) <= 0.02 * want + SLACK, f"{what} is {got}, not {want}")


def through(report, site):
    """The rows of the ledger whose call path has that function."""
    rows = report.data["growth"] + [s for s in report.stacks if s["kind"] == "growth"]
    return [s for s in rows if site in [plain_name(f["function"]) for f in s["frames"]]]


@functools.cache
def kernel_features(without):
    return json.loads(heapsonde("doctor", "--json").stdout)["features"]


def sees_faults():
    return kernel_features(os.environ.get("HEAPSONDE_WITHOUT"))["fault_tracepoints"]


def check_rows(report, books, faults=True):
    rows = through(report, books["site"])
    if faults:
        near("resident", sum(s["resident_bytes"] for s in rows), books["resident"])
    if books["mapped"] or not books["resident"]:
        near("mapped", sum(s["mapped_bytes"] for s in rows), books["mapped"])
    for s in rows:
        check(s["status"] == "complete", f"a call path is {s['status']}: {s['frames']}")
        check_equal("live bytes of a row of the ledger", s["live_bytes"], 0)


def check_reclaim(report, books):
    back = [e for e in report.data["reclaim"]
            if e["kind"] == books["kind"] and books["site"] in e["detail"]]
    near(f"given back by {books['kind']}", sum(e["bytes"] for e in back), books["back"])


def watched(kind, mode, *options):
    w = Workload("growth", kind, cwd=scratch())
    watch = Watch(w.pid, *options, mode=mode)
    books = w.work()
    report = watch.finish()
    check_equal("the workload's status", w.quit(), 0)
    check_complete(report)
    check_equal("lines that say so", watch.errors().count("no tracepoints of page faults"),
                0 if sees_faults() else 1)
    return report, books


def is_seen(kind, mode, *options):
    report, books = watched(kind, mode, *options)
    faults = sees_faults()
    check_rows(report, books, faults)
    if books["kind"] and faults:
        check_reclaim(report, books)
    check(mode == "growth" or all(s["kind"] != "growth" for s in report.stacks),
          "the ledger's rows stand among the allocations")
    if mode == "growth":
        check_equal("mode", report.data["mode"], "growth")
        check_equal("allocations", report.totals["alloc_count"], 0)


for kind in ("mmap", "reserve", "brk", "brk-shrink", "munmap", "dontneed", "free", "refault",
             "mremap", "mremap-shrink", "raw", "file", "file-read", "shared", "zeros", "read",
             "populate", "huge", "huge-within", "stacks", "trim", "arena"):
    add_case(kind.replace("-", "_"), is_seen, kind, "growth")
add_case("cow", is_seen, "cow", "growth", "--children")
for kind in ("mmap", "trim", "arena", "raw"):
    add_case(f"{kind}_beneath_exact", is_seen, kind, "exact")
add_case("mmap_beneath_sampled", is_seen, "mmap", "sampled")


@case()
def mappings_without_page_faults():
    """What of them is resident is not known then, and that is said."""
    os.environ["HEAPSONDE_WITHOUT"] = "fault_tracepoints"
    try:
        report, books = watched("mmap", "growth")
        check_rows(report, books, faults=False)
    finally:
        del os.environ["HEAPSONDE_WITHOUT"]
    check(books["mapped"] > 0, f"nothing was mapped: {books}")
    check_equal("resident", sum(s["resident_bytes"] for s in through(report, books["site"])), 0)


READER = """
import mmap, os, sys
size = int(sys.argv[2])
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
for _ in range(size >> 20):
    os.write(fd, bytes(1 << 20))
os.fsync(fd)
print("ready", flush=True)
sys.stdin.readline()
with mmap.mmap(fd, size, prot=mmap.PROT_READ) as m:
    for _ in range(3):
        sum(m[i] for i in range(0, size, 4096))
print("done", flush=True)
sys.stdin.readline()
"""


@case(timeout=90)
def taken_back_within_its_cgroup():
    """A file larger than the limit is read over and over: what is read again was taken back
    before, the kernel's books say how much."""
    limit, size = 64 << 20, 192 << 20
    if run(["stat", "-fc", "%T", scratch()]).stdout.strip() in ("tmpfs", "ramfs"):
        raise Skip("files are kept in memory here, and cannot be taken back")
    with MemoryCgroup() as group:
        def refaulted():
            with open(f"{group.path}/memory.stat") as f:
                stat = dict(line.split() for line in f)
            if "workingset_refault_file" not in stat:
                raise Skip("this kernel's cgroups do not count refaults")
            return int(stat["workingset_refault_file"]) * 4096

        group.set_limit(limit)
        reader = spawn([sys.executable, "-c", READER, scratch("large"), size],
                       stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                       preexec_fn=lambda: group.add(os.getpid()))
        check_equal("the reader", reader.stdout.readline(), b"ready\n")
        watch = Watch(reader.pid, mode="growth")
        before = refaulted()
        reader.stdin.write(b"\n")
        reader.stdin.flush()
        check_equal("the reader", reader.stdout.readline(), b"done\n")
        again = refaulted() - before
        report = watch.finish()
        reader.communicate(b"\n")
    check(report.loss["complete"], f"lost: {report.loss}")
    taken = [e for e in report.data["reclaim"] if e["kind"] == "cgroup_reclaim"]
    check(taken and all(e["pid"] == reader.pid for e in taken), f"{report.data['reclaim']}")
    check("by the process itself" in taken[0]["detail"], taken[0]["detail"])
    told = sum(e["bytes"] for e in taken)
    check(again > size, f"only {again} bytes were read again")
    check(abs(told - again) <= 1.5 * limit, f"{told} bytes are told, {again} were read again")


TOUCHER = """
import mmap
while True:
    with mmap.mmap(-1, 1 << 20) as m:
        for at in range(0, 1 << 20, 4096):
            m[at] = 1
"""


@case(timeout=90)
def ends_where_the_ledger_is_too_dear():
    """There is no level below: said in its own words, not in those of sampling."""
    toucher = spawn([sys.executable, "-c", TOUCHER])
    out = heapsonde("report", "-p", toucher.pid, "-d", "60", "--mode", "growth", "--json",
                    "--max-overhead", "0.001")
    check_equal(f"status ({out.stderr})", out.returncode, 0)
    check(json.loads(out.stdout)["duration_s"] < 50, "it watched on")
    check("even the kernel's ledger takes" in out.stderr, out.stderr)


if __name__ == "__main__":
    main()
