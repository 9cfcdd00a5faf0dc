#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache of unwind tables: the same stacks with it and without, and when it is broken."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403


def deep_chains(*options):
    """Every frame of the chains of a run of the workload deep; its books are checked."""
    w = Workload("deep", "30")
    watch = Watch(w.pid, *options)
    books = w.work()
    report = watch.finish()
    check_books(report, books, caller_is_leaf=False)
    chains = [c for c, _ in report.chains() if c[0] in ("site_deep", "site_callback")]
    check(chains, "no chain of the workload's sites")
    check(all(c[-1] == "_start" for c in chains), f"chains end early: {chains}")
    return sorted(chains)


def use_cache(name):
    os.environ["HEAPSONDE_CACHE_DIR"] = scratch(name)
    return os.environ["HEAPSONDE_CACHE_DIR"]


@case()
def tables_come_back_as_they_were():
    directory = use_cache("cache")
    first = deep_chains("--stack", "dwarf")
    entries = {e: os.stat(os.path.join(directory, e)).st_mtime_ns for e in os.listdir(directory)}
    check(len(entries) >= 2, f"kept: {list(entries)}")
    check_equal("mode of the directory", oct(os.stat(directory).st_mode & 0o777), "0o700")
    check_equal("chains", deep_chains("--stack", "dwarf"), first)
    check_equal("entries", {e: os.stat(os.path.join(directory, e)).st_mtime_ns
                            for e in os.listdir(directory)}, entries)


@case()
def it_can_be_switched_off():
    directory = use_cache("unused")
    deep_chains("--no-cache")
    check(not os.path.exists(directory), "the directory is there")
    os.environ["HEAPSONDE_CACHE_DIR"] = ""
    deep_chains()


@case()
def broken_entries_do_no_harm():
    directory = use_cache("broken")
    first = deep_chains()
    for i, entry in enumerate(sorted(os.listdir(directory))):
        path = os.path.join(directory, entry)
        with open(path, "r+b") as f:
            if i % 2:
                f.truncate(os.path.getsize(path) // 2)
            else:
                f.seek(200)
                f.write(os.urandom(4000))
    check_equal("chains", deep_chains(), first)


@case()
def a_place_that_cannot_be_had_does_no_harm():
    os.environ["HEAPSONDE_CACHE_DIR"] = "/proc/self/nowhere"
    deep_chains()


if __name__ == "__main__":
    main()
