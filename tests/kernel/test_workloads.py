#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Are the tests' own books right? Every workload against libcount.so.

Nothing here runs the profiler: two independent counts of the same work, the
workload's and the preloaded library's, must agree before either is held
against a third.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

# Those with a preloaded library of their own, or whose threads come and go
# during the work (the C library allocates for them), are not here.
HEAP = [("family",), ("cxxnew",), ("threads", "churn"), ("threads", "handover"),
        ("threads", "realloc"), ("failures", "refused"), ("failures", "limit"),
        ("failures", "unknown"), ("contexts",), ("deep", "100"), ("forks", "vfork"),
        ("forks", "spawn")]


def counted(name, *args):
    env = dict(os.environ, COUNT_OUT=scratch("counts"))
    os.mkdir(env["COUNT_OUT"])
    return Workload(name, *args, preload="libcount.so", env=env), env["COUNT_OUT"]


def books_agree(name, *args):
    w, directory = counted(name, *args)
    path = os.path.join(directory, f"{w.pid}.0")
    before = read_counts(path)
    books = w.work()
    after = read_counts(path)
    got = {m: after[m] - before[m] for m in COUNTED}
    # What was there before "ready" is known to the library, not to the books.
    if books["unknown_free_count"]:
        got["free_count"] -= books["unknown_free_count"]
        got["unknown_free_count"] += books["unknown_free_count"]
        got["free_bytes"] = book_totals(books)["free_bytes"]
    wrong = differences("counted", got, book_totals(books), COUNTED)
    check(not wrong, "; ".join(wrong))
    check(got["alloc_count"] > 0, "nothing was allocated")
    check_equal("status", w.quit(), 0)


for args in HEAP:
    add_case("books_" + "_".join(args), books_agree, *args)


@case()
def fork_child_counts_apart():
    w, directory = counted("forks", "fork")
    books = w.work()
    check_equal("status", w.quit(), 0)
    children = [r for r in all_counts(directory) if r["pid"] != w.pid]
    check_equal("children", len(children), 1)
    sites = {"sites": books["child"]["sites"],
             "unknown_free_count": books["child"]["unknown_free_count"]}
    wrong = differences("child", children[0], book_totals(sites), COUNTED[:5])
    check(not wrong, "; ".join(wrong))


@case()
def exec_opens_new_books():
    w, directory = counted("execs")
    first = w.work()
    second = json.loads(w.line())
    check_equal("status", w.quit(), 0)
    images = all_counts(directory)
    check_equal("images", len(images), 2)
    for record, books in zip(images, (first, second)):
        wrong = differences("image", record, book_totals(books), COUNTED)
        check(not wrong, "; ".join(wrong))


@case()
def jumps_leave_allocators():
    for mode in ("siglongjmp", "longjmp", "_longjmp", "realloc", "exit"):
        w = Workload("jump", mode, preload="libwrap.so")
        check(book_totals(w.work())["alloc_count"] > 0, f"{mode}: nothing was allocated")
        check_equal(f"status of {mode}", w.quit(), 0)


@case()
def crew_of_generations_ends():
    for mode in ("exit", "cancel"):
        w = Workload("threads", mode)
        check(book_totals(w.work())["live_count"] > 31, f"{mode}: too little stays live")
        check_equal(f"status of {mode}", w.quit(), 0)


if __name__ == "__main__":
    main(tool=False)
