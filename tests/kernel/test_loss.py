#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is lost is counted, said, and never turned into a leak."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

THREADS = 4
RING = "64K"             # the smallest there is


SIZE = 2000              # no birth of such a block is held back: every one is a record


def storm(seconds="1", threads=THREADS, size=SIZE):
    return Workload("churn", "-t", str(threads), "-S", seconds, "-s", str(size), "-w")


def check_lost(report, pairs):
    """Every pair was either seen or is among the dropped; none is invented."""
    loss, totals = report.loss, report.totals
    check(loss["dropped_events"] > 0, f"nothing was lost of {pairs} pairs: {loss}")
    check_equal("complete", loss["complete"], False)
    check(totals["alloc_count"] <= pairs, f"{totals['alloc_count']} of {pairs} allocations seen")
    check(totals["alloc_count"] + loss["dropped_events"] + loss["untracked_allocs"] >= pairs,
          f"{totals['alloc_count']} seen and {loss} lost do not make {pairs}")
    check_consistent(report)


@case()
def tiny_ring_loses_and_says_so():
    w = storm()
    watch = Watch(w.pid, "--ring-size", RING)
    pairs = w.work()["pairs"]
    check_lost(watch.finish(), pairs)


@case()
def lost_frees_are_no_leaks():
    """A loop has a handful of addresses: whatever was lost, no more can be live."""
    w = storm()
    watch = Watch(w.pid, "--ring-size", RING)
    pairs = w.work()["pairs"]
    report = watch.finish()
    check_lost(report, pairs)
    live = report.totals["live_count"]
    check(live <= 2 * THREADS, f"{live} blocks live after {pairs} pairs")
    check(report.totals["live_bytes"] <= 2 * THREADS * SIZE,
          f"{report.totals['live_bytes']} bytes live")


@case()
def reader_that_stood_still():
    """Nobody empties the ring for a while; then everything goes on, exact again."""
    w = storm("1.5")
    watch = Watch(w.pid, "--ring-size", "1M")
    watch.proc.send_signal(signal.SIGSTOP)
    w.say("go")
    time.sleep(0.2)
    wait_until("the storm is over", lambda: w.proc.stdout.peek(1), timeout=20)
    pairs = json.loads(w.line())["pairs"]
    watch.proc.send_signal(signal.SIGCONT)
    report = watch.finish()
    check_lost(report, pairs)
    check(report.totals["live_count"] <= 2 * THREADS, "lost frees show as leaks")


@case()
def text_says_so_in_one_line():
    w = storm()
    begun = spawn([TOOL, "report", "-p", w.pid, "-d", "2", "--ring-size", RING,
                   "--mode", "exact"], stdin=subprocess.DEVNULL,
                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until("probes stand", lambda: len(changed_code(w.pid)) > 5)
    pairs = w.work()["pairs"]
    out, err = (text(data) for data in begun.communicate())
    check_equal("status", begun.returncode, 0)
    said = [line for line in out.split("\n") if re.search("dropped", line)]
    check_equal(f"lines about the loss of {pairs} pairs' events", len(said), 1)
    check("nothing was lost" not in out, "it says that nothing was lost")
    check(re.search(r"\d", said[0]), f"no number in {said[0]!r}")


@case()
def text_is_silent_without_loss():
    w = Workload("family")
    out = heapsonde("report", "-p", w.pid, "-d", "0.3", "--mode", "exact")
    check_equal("status", out.returncode, 0)
    said = [line for line in out.stdout.split("\n") if re.search("dropped|incomplete", line, re.I)]
    check_equal("lines about loss", said, [])


@case()
def small_pairs_need_no_ring():
    """They are settled where they happen, also while nobody reads."""
    w = storm(size=64)
    watch = Watch(w.pid, "--ring-size", RING)
    watch.proc.send_signal(signal.SIGSTOP)
    w.say("go")
    wait_until("the storm is over", lambda: w.proc.stdout.peek(1), timeout=20)
    pairs = json.loads(w.line())["pairs"]
    watch.proc.send_signal(signal.SIGCONT)
    report = watch.finish()
    check(report.loss["complete"], f"something was lost: {report.loss}")
    for name in ("alloc_count", "free_count", "temporary_count"):
        check(report.totals[name] >= pairs, f"{name} is {report.totals[name]} of {pairs} pairs")
    check(pairs * 2 * 32 > 4 * 65536, f"{pairs} pairs would have found room")
    check_consistent(report)


@case()
def default_ring_holds_a_storm():
    w = storm("2", threads=2)
    watch = Watch(w.pid)
    pairs = w.work()["pairs"]
    report = watch.finish()
    check_complete(report)
    check_equal("alloc_count", report.totals["alloc_count"], pairs)
    check_equal("free_count", report.totals["free_count"], pairs)
    check_equal("live_count", report.totals["live_count"], 0)


@case()
def losses_survive_recording():
    w = storm()
    path = scratch("lossy.heapsonde")
    record = spawn([TOOL, "record", "-q", "-p", w.pid, "-o", path, "--ring-size", RING,
                    "--mode", "exact"], stdin=subprocess.DEVNULL)
    wait_until("probes stand", lambda: len(changed_code(w.pid)) > 5)
    pairs = w.work()["pairs"]
    record.send_signal(signal.SIGINT)
    check_equal("status", record.wait(), 0)
    out = heapsonde("report", path, "--json", "--limit", "0")
    check_lost(Report(json.loads(out.stdout)), pairs)


if __name__ == "__main__":
    main()
