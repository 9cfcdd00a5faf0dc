#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Exact means exact: each workload's books against the profiler's, to the byte."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403


def watched(name, *args, preload=None, options=(), **rules):
    """The whole dance: attach, work, compare, and leave the target sound."""
    w = Workload(name, *args, preload=preload)
    watch = Watch(w.pid, *options)
    books = w.work()
    report = watch.finish()
    wait_unprobed(w.pid)
    check_equal("the workload's status", w.quit(), 0)
    check_books(report, books, **rules)
    return report, books


def exact(name, *args, **kwargs):
    watched(name, *args, **kwargs)


add_case("family", exact, "family")
for mode in ("refused", "limit", "unknown"):
    add_case("failures_" + mode, exact, "failures", mode)
for mode in ("churn", "handover", "realloc"):
    add_case("threads_" + mode, exact, "threads", mode)
# The C library allocates for threads that come and go, so no totals here.
for mode in ("exit", "cancel"):
    add_case("threads_" + mode, lambda mode: exact("threads", mode, totals=False), mode)
for mode in ("siglongjmp", "longjmp", "_longjmp"):
    add_case("jump_" + mode, lambda mode: exact("jump", mode, preload="libwrap.so"), mode)
add_case("mappings", exact, "maps")
add_case("contexts", exact, "contexts")
add_case("spawn", exact, "forks", "spawn")
add_case("vfork", exact, "forks", "vfork")


@case()
def jump_out_of_realloc():
    """Nobody can tell whether the old block still lives; what follows must be exact.

    So either the guess is right, or the report says that it is not complete.
    """
    w = Workload("jump", "realloc", preload="libwrap.so")
    watch = Watch(w.pid)
    books = w.work()
    report = watch.finish()
    check_equal("the workload's status", w.quit(), 0)
    if report.loss["complete"]:
        check_books(report, books)
    later = {s["site"]: s for s in books["sites"]
             if s["site"] in ("site_deeper", "site_realloc_later")}
    got = report.sites(later)
    for site, want in later.items():
        wrong = differences(site, got[site, "heap"], want)
        check(not wrong, "; ".join(wrong))
    allocated = report.sites({"site_before"})["site_before", "heap"]["alloc_count"]
    check_equal("allocations before", allocated, 7)


@case()
def jump_out_of_thread():
    exact("jump", "exit", preload="libwrap.so", totals=False)


@case()
def fork_keeps_the_childs_books_apart():
    report, books = watched("forks", "fork")
    strangers = [chain for chain, _ in report.chains()
                 if any(f.startswith("site_child") for f in chain)]
    check(not strangers, f"the child's stacks are in the parent's report: {strangers[:2]}")


@case()
def cxx_new_and_delete():
    # operator new stands between malloc and its caller.
    exact("cxxnew", caller_is_leaf=False)


@case()
def cxx_exceptions_leave_nothing():
    # What the C++ library allocates for the exceptions is nobody's site.
    exact("cxxnew", "throw", totals=False, caller_is_leaf=False)


@case()
def temporary_blocks():
    w = Workload("churn", "-n", "1009", "-w")
    watch = Watch(w.pid)
    w.work()
    report = watch.finish()
    check_complete(report)
    check_equal("alloc_count", report.totals["alloc_count"], 1009)
    check_equal("temporary_count", report.totals["temporary_count"], 1009)
    check_equal("peak_live_bytes", report.totals["peak_live_bytes"], 64)
    check_equal("live_count", report.totals["live_count"], 0)


def execute(*args):
    """Both images of execs under watch: the report and all books."""
    w = Workload("execs", *args)
    watch = Watch(w.pid)
    first = w.work()
    if "wait" in args:
        wait_until("the new image is probed", lambda: new_image_probed(w.pid))
        time.sleep(0.3)
        w.say("go")
    second = json.loads(w.line())
    report = watch.finish()
    check_equal("the workload's status", w.quit(), 0)
    check_equal("PIDs of the images", [t["pid"] for t in report.data["targets"]], [w.pid, w.pid])
    return report, {"sites": [a if a["alloc_count"] else b
                              for a, b in zip(first["sites"], second["sites"])]}


def new_image_probed(pid):
    with open(f"/proc/{pid}/cmdline") as f:
        return "second" in f.read() and len(changed_code(pid)) > 5


@case()
def exec_in_the_target():
    report, books = execute()
    check_books(report, books)


@case()
def exec_by_another_thread():
    """The kernel's probes do not survive that; they must come back by themselves."""
    report, books = execute("thread", "wait")
    # What passed before they were back is not known, so never "complete".
    check_equal("complete", report.loss["complete"], False)
    report.loss["complete"] = True
    check_books(report, books, totals=False)


@case()
def exec_by_another_thread_unseen():
    """Allocations before the probes are back: missed, but not in silence."""
    report, books = execute("thread")
    if report.loss["complete"]:
        check_books(report, books, totals=False)


@case()
def sizes_outside_the_bounds_are_ignored():
    w = Workload("family")
    watch = Watch(w.pid, "--min-size", "100", "--max-size", "4096")
    books = w.work()
    report = watch.finish()
    check_consistent(report)
    sizes = [37 + 2 * i for i in range(101)]
    row = report.sites({"site_malloc"})["site_malloc", "heap"]
    check_equal("site_malloc's count", row["alloc_count"], sum(100 <= n <= 4096 for n in sizes))
    check_equal("site_malloc's bytes", row["alloc_bytes"],
                sum(n for n in sizes if 100 <= n <= 4096))
    totals, want = report.totals, book_totals(books)
    check_equal("seen and ignored",
                totals["alloc_count"] + totals["failed_alloc_count"] + totals["ignored_count"],
                want["alloc_count"] + want["failed_alloc_count"])
    # Whether a free was of a block that is ignored, or of one from before, nobody knows.
    check_equal("frees of older blocks", totals["unknown_free_count"], None)
    # A block that grew beyond the bounds is no block of some unknown site.
    check_equal("sites", [c for c, _ in report.chains() if not c], [])


@case()
def two_targets_at_once():
    a, b = Workload("family"), Workload("failures", "refused")
    watch = Watch(f"{a.pid},{b.pid}")
    wait_until("the second target is probed", lambda: changed_code(b.pid))
    books_a, books_b = a.work(), b.work()
    report = watch.finish()
    check_books(report, {"sites": books_a["sites"] + books_b["sites"],
                         "failed_alloc_count": books_a["failed_alloc_count"] +
                         books_b["failed_alloc_count"]})
    check_equal("targets", [t["pid"] for t in report.data["targets"]], [a.pid, b.pid])


@case()
def watched_twice_at_once():
    w = Workload("family")
    one = Watch(w.pid)
    two = Watch(w.pid, settle=1)
    books = w.work()
    first, second = one.finish(), two.finish()
    check_books(first, books)
    check_books(second, books)
    wait_unprobed(w.pid)


if __name__ == "__main__":
    main()
