#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Focus beside windows: each birth of the suspects' call paths is told.

The workload leaks slowly while much comes and goes. Once heapsonde says that the
leak is in focus, so many more blocks are leaked as the workload always leaks at its
end: all of them are told, and no other call's.
"""

import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

LEAK_BYTES, GROWS_EACH, LAST = 256, 4, 503      # as in the workload


def last_leaks(count, of):
    """Bytes of the last @count of so many."""
    return sum(LEAK_BYTES + i // GROWS_EACH for i in range(of - count, of))


def watch_leak(way, *options, mode="windows", attach=None):
    w = Workload("slowleak", way, "200")
    watching = Watch(w.pid, "--focus", "--max-overhead", "10", *options, mode=mode,
                     attach=attach)
    w.say("go")
    traced = re.compile(rf"focus: each allocation by .* in leak_by_{way}\b.* is traced")
    wait_until("the leak is in focus", lambda: traced.search(watching.errors()), 60)
    os.kill(w.pid, signal.SIGUSR1)
    books = json.loads(w.line())
    report = watching.finish()
    wait_unprobed(w.pid)
    check_equal("the workload's status", w.quit(), 0)
    check(report.loss["complete"], f"lost: {report.loss}")
    return report, {s["site"]: s for s in books["sites"] if s["alloc_count"]}


def row_of(report, site):
    rows = [stack for chain, stack in report.chains() if site in chain]
    check_equal(f"call paths through {site}", len(rows), 1)
    return rows[0]


def focus_of(report, row):
    entries = [f for f in report.data["focus"] if f["stack"] == row["id"]]
    check_equal("entries of the leak in 'focus'", len(entries), 1)
    return entries[0]


def births_are_exact(way, attach=None, mode="windows"):
    report, books = watch_leak(way, mode=mode, attach=attach)
    site = f"leak_by_{way}"
    row, total = row_of(report, site), books[site]["alloc_count"]
    focus = focus_of(report, row)
    count = focus["alloc_count"]
    check(LAST <= count < total, f"{count} births in focus, of {total}")
    check_equal("bytes of the last births", focus["alloc_bytes"], last_leaks(count, total))
    check(focus["until_s"] is None and focus["why"] is None, f"it ended: {focus}")
    check(0 < focus["since_s"] < report.data["duration_s"], f"since {focus['since_s']} s")
    check(row["alloc_count"] >= count, f"{row['alloc_count']} births in all")
    check(row["live_count"] + row["live_count_error"] >= count, "leaked blocks are not live")
    remark(f"{count} of {total} births in focus")


add_case("births_are_exact", births_are_exact, "malloc")
# Behind operator new, which is a call of malloc's: its caller is what is focused on.
add_case("calls_of_new", births_are_exact, "new")
add_case("two_arguments", births_are_exact, "calloc")
add_case("without_sessions", births_are_exact, "malloc", "multi")
add_case("auto", births_are_exact, "malloc", None, "auto")


main()
