#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that tell of their allocations by probes of their own (otel_memory)."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

SEMAPHORES = ("alloc_semaphore", "free_semaphore")


def semaphores(w, pid=None):
    """What the target's counters of listeners say, read from its memory."""
    pid = pid or w.pid
    symbols = run(["nm", workload_path("reports")]).stdout
    with open(f"/proc/{pid}/maps") as f:
        base = int(f.readline().split("-")[0], 16)
    values = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for name in SEMAPHORES:
            mem.seek(base + int(re.search(rf"^(\w+) . {name}$", symbols, re.M)[1], 16))
            values.append(struct.unpack("=H", mem.read(2))[0])
    return values


def told(*options, args=("alone",), attach=None, argv=None, mode="exact"):
    w = Workload("reports", *args, argv=argv and [*argv, *args])
    watch = Watch(w.pid, *options, attach=attach, mode=mode)
    if not argv:
        check(all(semaphores(w)), f"the semaphores are {semaphores(w)} while watched")
    books = w.work()
    report = watch.finish()
    wait_unprobed(w.pid)
    if not argv:
        check_equal("semaphores afterwards", semaphores(w), [0, 0])
    check_equal("the workload's status", w.quit(), 0)
    return report, books


for method in ATTACH_METHODS:
    def exact(method):
        report, books = told("--allocator", "otel_memory", attach=method)
        check_books(report, books, totals=False)
        check_equal("mode", report.data["mode"], "sampled")
        check(report.data["unwind"]["complete"] > 5, f"{report.data['unwind']}")
        check_equal("walks that failed or were guessed",
                    [report.data["unwind"][k] for k in ("failed", "guessed")], [0, 0])
    add_case("told_" + method, exact, method)


@case()
def told_and_seen_counts_once():
    """malloc is probed as well: its blocks are its, the arena's are told of."""
    report, books = told(args=())
    check_books(report, books)
    check_equal("mode", report.data["mode"], "exact")


@case()
def weights_have_errors():
    report, books = told("--allocator", "otel_memory")
    rows = [s for s in report.stacks if s["frames"][0]["function"] == "site_weighted"]
    check_equal("stacks of site_weighted", len(rows), 1)
    check(rows[0]["alloc_bytes_error"] > 0, "a sampled site without an error")
    exact = [s for s in report.stacks if s["frames"][0]["function"] == "site_registers"]
    check("alloc_bytes_error" not in exact[0], "an exact site with an error")


@case()
def no_samples_of_samples():
    """--mode sampled sees the functions; the program's own samples would count twice."""
    w = Workload("reports")
    watch = Watch(w.pid, mode="sampled")
    check_equal("semaphores", semaphores(w), [0, 0])
    check("otel_memory" in watch.errors(), watch.errors())
    w.work()
    watch.finish()


@case()
def stripped_static_program():
    """Its functions have no names; what it tells needs none."""
    program = scratch("static")
    out = run(["gcc", "-std=gnu11", "-O1", "-g", "-D_GNU_SOURCE", "-w", "-fno-omit-frame-pointer",
               "-fno-builtin", "-static", "-o", program,
               os.path.join(ROOT, "tests", "workloads", "reports.c")])
    if out.returncode:
        raise Skip("no static C library")
    run(["strip", program])
    report, books = told(argv=[program])
    # A variable has no name any more either, and that is said.
    books["sites"] = [s for s in books["sites"] if s["site"] != "site_global"]
    w = Workload("reports", argv=[program])
    check("variable that the stripped file does not name" in
          heapsonde("doctor", "-p", w.pid).stdout, "no word of the probe that cannot be read")
    want = book_totals(books)
    for metric in SUMS:
        check_equal(metric, report.totals[metric], want[metric])


@case()
def the_probes_are_removed_however_it_ends():
    w = Workload("reports")
    watch = Watch(w.pid)
    check(all(semaphores(w)), "nobody is counted")
    watch.proc.kill()
    watch.proc.wait()
    wait_until("nobody is counted", lambda: semaphores(w) == [0, 0])
    wait_unprobed(w.pid)
    w.work()
    check_equal("the workload's status", w.quit(), 0)


@case()
def forked_child_is_left_alone():
    """It inherits the counters; when nobody listens, nobody is counted in it either."""
    w = Workload("reports", "fork")
    watch = Watch(w.pid, "--allocator", "otel_memory")
    books = w.work()
    with open(f"/proc/{w.pid}/task/{w.pid}/children") as f:
        child = int(f.read())
    check_books(watch.finish(), books, totals=False)
    wait_until("nobody is counted in the child", lambda: semaphores(w, child) == [0, 0])
    wait_unprobed(child)


@case(timeout=60)
def two_listeners():
    """Each is counted, and the one that stays still hears."""
    w = Workload("reports", "alone")
    first = Watch(w.pid, "--allocator", "otel_memory")
    alone = semaphores(w)
    second = Watch(w.pid, "--allocator", "otel_memory")
    first.finish()
    wait_until("one is counted", lambda: semaphores(w) == alone)
    books = w.work()
    check_books(second.finish(), books, totals=False)
    wait_until("nobody is counted", lambda: semaphores(w) == [0, 0])


@case()
def doctor_tells():
    w = Workload("reports")
    data = json.loads(heapsonde("doctor", "-p", w.pid, "--json").stdout)
    probes = [p["function"] for o in data["targets"][0]["objects"] for p in o["probes"]]
    check(probes.count("otel_memory:alloc") >= 9, f"{probes}")
    check(probes.count("otel_memory:free") >= 3, f"{probes}")
    check_equal("semaphores", semaphores(w), [0, 0])


if __name__ == "__main__":
    main()
