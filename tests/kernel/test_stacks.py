#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stacks: every frame of a known chain of calls, by name and in order."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403


def watch_deep(depth, *options):
    w = Workload("deep", str(depth))
    watch = Watch(w.pid, *options)
    books = w.work()
    return watch.finish(), books


def chain_of(report, site):
    chains = [(c, s) for c, s in report.chains() if c and c[0] == site]
    check_equal(f"stacks whose leaf is {site}", len(chains), 1)
    return chains[0]


def whole_chain(depth, *options):
    report, books = watch_deep(depth, "--max-depth", "512", *options)
    check_books(report, books, caller_is_leaf=False)
    for want, count in zip(books["chains"], (5, 3)):
        chain, stack = chain_of(report, want[0])
        at = next((i for i, (a, b) in enumerate(zip(chain, want)) if a != b), None)
        check(at is None, f"frame {at} of {len(want)} is {at is not None and chain[at]}")
        check(len(chain) >= len(want), f"{len(chain)} frames instead of {len(want)}")
        check_equal("allocations of the stack", stack["alloc_count"], count)
        check(stack["status"] in ("complete", "guessed"), f"status is {stack['status']}")


for stack in ("auto", "fp"):
    for depth in (30, 100, 500):
        add_case(f"depth_{depth}_{stack}", whole_chain, depth, "--stack", stack)


@case()
def callers_of_a_callback_of_the_c_library():
    """qsort() stands between: the C library keeps no frame pointers."""
    report, books = watch_deep(1)
    chains = [c for c, _ in report.chains() if c[0] == "site_callback"]
    check(chains, "no stack begins in the callback")
    for chain in chains:
        rest = [f for f in chain[1:] if f in ("sort_something", "run", "main")]
        check_equal("callers beyond qsort", rest, ["sort_something", "run", "main"])
        check_equal("the bottom", chain[-1], "_start")


@case()
def max_depth_truncates():
    report, books = watch_deep(100, "--max-depth", "17")
    check_complete(report)
    want = books["chains"][0][:17]
    chain, stack = chain_of(report, want[0])
    check_equal("frames", chain, want)
    check_equal("status", stack["status"], "truncated")
    check(report.data["unwind"]["truncated"] >= 2, f"unwind is {report.data['unwind']}")


@case()
def frames_name_their_module_and_place():
    report, _ = watch_deep(31)
    _, stack = chain_of(report, "site_deep")
    frame = stack["frames"][0]
    check_equal("module", frame["module"], "deep")
    check(frame["pc"], f"no pc in {frame}")
    symbols = run(["nm", workload_path("deep")]).stdout.split("\n")
    start = next(int(s.split()[0], 16) for s in symbols if s.endswith(" site_deep"))
    offset = frame["offset"] if isinstance(frame["offset"], int) else int(frame["offset"], 0)
    check(0 < offset - start < 200, f"offset {offset:#x} is not within site_deep at {start:#x}")
    notes = run(["readelf", "-n", workload_path("deep")]).stdout
    check(frame["build_id"] and frame["build_id"] in notes,
          f"build id {frame['build_id']!r} is not that of the file")


@case()
def cxx_names_are_demangled():
    w = Workload("cxxnew")
    watch = Watch(w.pid)
    w.work()
    report = watch.finish()
    names = {f["function"] for s in report.stacks for f in s["frames"] if f["function"]}
    check(not any(n.startswith("_Z") for n in names),
          f"mangled: {[n for n in names if n.startswith('_Z')][:3]}")


@case()
def a_deleted_program_has_names():
    path = scratch("deep-copy")
    shutil.copy(workload_path("deep"), path)
    w = Workload("deep", argv=[path, "5"])
    os.unlink(path)
    watch = Watch(w.pid)
    books = w.work()
    check_books(watch.finish(), books, caller_is_leaf=False)


@case()
def a_stripped_program_keeps_its_numbers():
    path = scratch("deep-stripped")
    run(["strip", "-o", path, workload_path("deep")])
    w = Workload("deep", argv=[path, "5"])
    watch = Watch(w.pid)
    books = w.work()
    report = watch.finish()
    check_complete(report)
    check_equal("alloc_bytes", report.totals["alloc_bytes"], book_totals(books)["alloc_bytes"])
    leaf = max(report.stacks, key=lambda s: s["alloc_count"])["frames"][0]
    check_equal("module of the nameless leaf", leaf["module"], "deep-stripped")


if __name__ == "__main__":
    main()
