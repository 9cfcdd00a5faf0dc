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

LEAK_BYTES, GROWS_EACH, LAST, SECOND_BYTES = 256, 4, 503, 512    # as in the workload


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


def wait_for(errors, words):
    """Growth is of what was born in the first half of the time: the later it began, the longer."""
    wait_until(f"it says '{words}'", lambda: re.search(words, errors()), 100)


def first_and_second(option, *ways):
    """Watches slowleak: when its first leak is in focus, its second one begins."""
    w = Workload("slowleak", *ways)
    watching = Watch(w.pid, option, "--max-overhead", "10", mode="windows")
    w.say("go")
    wait_for(watching.errors, "focus: each allocation by .* in leak_by_malloc")
    os.kill(w.pid, signal.SIGUSR2)
    return w, watching


@case(timeout=240)
def the_call_is_let_go_when_it_is_dear():
    """
    Of a call that is made some hundred times as often as before; it is not tried again. Of all
    of a processor, which the target takes then, half the budget pays for 40,000 a second.
    """
    w, watching = first_and_second("--focus", "malloc", "300", "malloc", "100000")
    wait_for(watching.errors, "is made too often for half of --max-overhead")
    os.kill(w.pid, signal.SIGUSR1)
    books = json.loads(w.line())
    report = watching.finish()
    focus = focus_of(report, row_of(report, "leak_by_malloc"))
    total = next(s["alloc_count"] for s in books["sites"] if s["site"] == "leak_by_malloc")
    check_equal("why it is over", focus["why"], "it took more than half of the budget")
    check(focus["since_s"] < focus["until_s"] < report.data["duration_s"], f"when: {focus}")
    check(0 < focus["alloc_count"] <= total - LAST, f"{focus['alloc_count']} births of {total}")
    check_equal("times it was traced", len(re.findall("in leak_by_malloc", watching.errors())), 1)
    wait_unprobed(w.pid)
    check_equal("the workload's status", w.quit(), 0)
    remark(f"{focus['alloc_count']} of {total} births in focus")


@case(timeout=240)
def no_place_is_made_for_what_cannot_be_traced():
    """What grows faster is made too often: the first one stays in focus."""
    w, watching = first_and_second("--focus=1", "malloc", "200", "new", "25000")
    wait_for(watching.errors, "in leak_by_new.* cannot be traced by itself: it is made too often")
    report = watching.finish()
    focus = focus_of(report, row_of(report, "leak_by_malloc"))
    check(focus["until_s"] is None, f"it is over: {focus}")
    check_equal("times it was traced", len(re.findall("in leak_by_malloc", watching.errors())), 1)
    wait_unprobed(w.pid)


@case(timeout=240)
def another_that_grows_faster_takes_its_place():
    """There is room for one; as a recording has it."""
    w, path = Workload("slowleak", "malloc", "200", "new", "1500"), scratch("focus.heapsonde")
    err = open(scratch("focus.err"), "w")
    record = spawn([TOOL, "record", "-p", w.pid, "-o", path, "--focus=1", "--max-overhead", "10",
                    "--mode", "windows"], stdin=subprocess.DEVNULL, stderr=err)

    def errors():
        with open(err.name) as f:
            return f.read()

    wait_for(errors, "Ctrl-C")
    w.say("go")
    wait_for(errors, "focus: each allocation by .* in leak_by_malloc")
    os.kill(w.pid, signal.SIGUSR2)
    wait_for(errors, "focus: each allocation by .* in leak_by_new")
    os.kill(w.pid, signal.SIGUSR1)
    books = {s["site"]: s for s in json.loads(w.line())["sites"]}
    record.send_signal(signal.SIGINT)
    check_equal("status", record.wait(timeout=30), 0)
    report = Report(json.loads(heapsonde("report", path, "--json", "--limit", "0").stdout))
    old, new = (focus_of(report, row_of(report, f"leak_by_{way}")) for way in ("malloc", "new"))
    check_equal("why the first is over", old["why"], "another call path grows faster")
    check(old["since_s"] < old["until_s"] <= new["since_s"], f"{old}, then {new}")
    check(new["until_s"] is None and new["why"] is None, f"the second is over: {new}")
    for name, focus in (("leak_by_malloc", old), ("leak_by_new", new)):
        check(0 < focus["alloc_count"] < books[name]["alloc_count"], f"{name}: {focus}")
    check_equal("bytes of the second's", new["alloc_bytes"], new["alloc_count"] * SECOND_BYTES)
    wait_unprobed(w.pid)
    check_equal("the workload's status", w.quit(), 0)


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
