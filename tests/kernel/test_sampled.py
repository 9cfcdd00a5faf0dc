#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Sampled estimates against the books: no bias, and intervals that hold.

What is drawn is drawn anew each time. So bounds are several standard deviations
wide, or taken over so many call paths that chance does not reach them.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

FIELDS = ("live_bytes", "live_count", "alloc_bytes", "alloc_count")
DEVIATIONS = 5                  # once in two million


def sampled(name, *args, mean="4K", attach=None, options=(), preload=None):
    w = Workload(name, *args, preload=preload)
    watch = Watch(w.pid, "--sample-bytes", mean, *options, mode="sampled", attach=attach)
    books = w.work()
    report = watch.finish()
    wait_unprobed(w.pid)
    check_equal("the workload's status", w.quit(), 0)
    check_equal("mode", report.data["mode"], "sampled")
    check(report.loss["complete"], f"lost: {report.loss}")
    return report, books


def path_of(chain):
    """The number and leaf that a stack of the workload "samples" spells."""
    steps = [f for f in chain if f in ("step_left", "step_right")]
    leaf = next((f for f in chain if f.startswith("leaf_")), None)
    if not leaf or len(steps) != 8:
        return None
    return sum((f == "step_left") << i for i, f in enumerate(reversed(steps))), leaf


def by_path(report):
    rows = {}
    for chain, stack in report.chains():
        key = path_of(chain)
        if key:
            check(key not in rows, f"two stacks of {key}")
            rows[key] = stack
    return rows


def pairs(report, books):
    """(path, stack or {}, truth) of every path."""
    rows = by_path(report)
    for path, leaf, *truth in books["paths"]:
        yield path, rows.get((path, leaf), {}), dict(zip(FIELDS, truth))


def check_close(what, got, want, error):
    """Within so many standard deviations; an error is 1.96 of them."""
    check(abs(got - want) <= DEVIATIONS / 1.96 * error + 1e-9,
          f"{what} is {got} ±{error:.0f}, in truth {want}")


def check_unbiased(report, books, what, keep):
    for m in FIELDS:
        got = want = square = 0
        for path, stack, truth in pairs(report, books):
            if keep(path):
                got += stack.get(m, 0)
                want += truth[m]
                square += stack.get(m + "_error", 0) ** 2
        check_close(f"{m} of {what}", got, want, square ** 0.5)
        check(square ** 0.5 < 0.25 * want, f"{m} of {what}: ±{square ** 0.5} of {want}")


def unbiased(attach):
    """All paths of a kind together, with so many samples that a bias would show."""
    report, books = sampled("samples", mean="512", attach=attach)
    for i, leaf in enumerate(("malloc", "calloc", "realloc", "aligned")):
        check_unbiased(report, books, leaf, lambda path: path % 4 == i)
    for i, size in enumerate(("tiny", "middling", "like the mean", "mixed")):
        check_unbiased(report, books, f"blocks {size}", lambda path: path // 4 % 4 == i)
    check_unbiased(report, books, "all", lambda path: True)
    for m in FIELDS:
        want = sum(truth[m] for _, _, truth in pairs(report, books))
        check_close(f"total {m}", report.totals[m], want, report.totals[m + "_error"])


for method in ATTACH_METHODS:
    add_case("unbiased_" + method, unbiased, method)


@case(timeout=120)
def intervals_hold():
    """Per call path: 95 % intervals that hold in 90 to 99 of 100 cases."""
    inside, cases = dict.fromkeys(FIELDS, 0), 0
    for attach in ATTACH_METHODS + ATTACH_METHODS[:1]:
        report, books = sampled("samples", attach=attach)
        for _, stack, truth in pairs(report, books):
            cases += 1
            for m in FIELDS:
                inside[m] += abs(stack.get(m, 0) - truth[m]) <= stack.get(m + "_error", 0)
    shares = {m: n / cases for m, n in inside.items()}
    remark(" ".join(f"{m} {share:.3f}" for m, share in shares.items()))
    # Of so many cases the share itself is off by chance: three standard deviations of it.
    low, high = (bound - side * 3 * (bound * (1 - bound) / cases) ** 0.5
                 for bound, side in ((0.90, 1), (0.99, -1)))
    for m, share in shares.items():
        check(low <= share <= high, f"intervals of {m} hold in {share:.3f} of {cases} cases")


def books_close(name, *args, mean="1K", **kwargs):
    report, books = sampled(name, *args, mean=mean, **kwargs)
    got = report.kind_totals("heap")
    want = {m: sum(s[m] for s in books["sites"] if s["kind"] == "heap") for m in SUMS}
    for m in SUMS:
        error = sum(s.get(m + "_error", 0) ** 2 for s in report.stacks) ** 0.5
        check_close(m, got[m], want[m], error)
    check(report.totals["unknown_free_count"] is None, "unknown frees cannot be told")


for mode in ("churn", "handover", "realloc"):
    add_case("threads_" + mode, books_close, "threads", mode)
add_case("family", lambda: books_close("family", mean="256"))
add_case("nested_calls", lambda: books_close("threads", "churn", preload="libwrap.so"))


@case()
def no_sample_is_no_exact_zero():
    """Less was allocated than one sample stands for: nobody knows, and the report says so."""
    w = Workload("deep", "3")
    watch = Watch(w.pid, "--sample-bytes", "64M", mode="sampled")
    books = w.work()
    totals = watch.finish().totals
    live = sum(s["live_bytes"] for s in books["sites"])
    check(0 < live < 1 << 20, f"the workload keeps {live} bytes")
    for metric, unseen in (("live_bytes", live), ("live_count", 1), ("alloc_bytes", live)):
        error = totals.get(f"{metric}_error", 0)
        check(totals[metric] + error >= unseen, f"{metric}: {totals[metric]} ± {error}")


@case()
def large_blocks_are_exact():
    report, _ = sampled("samples", mean="1")
    rows = by_path(report)
    exact = [s for (path, _), s in rows.items() if path // 4 % 4 == 2]
    check(exact and not any("live_bytes_error" in s for s in exact), "an error of nothing")


@case()
def temporary_blocks():
    w = Workload("churn", "-n", "20011", "-w")
    watch = Watch(w.pid, "--sample-bytes", "256", mode="sampled")
    w.work()
    report = watch.finish()
    check_close("temporary_count", report.totals["temporary_count"], 20011,
                report.totals["temporary_count_error"])
    check_equal("live_count", report.totals["live_count"], 0)


@case()
def options_that_make_no_sense():
    for options, words in ((("--sample-bytes", "4K"), "--mode sampled"),
                           (("--mode", "sampled", "--sample-bytes", "0"), "--sample-bytes"),
                           (("--mode", "windows", "--min-size", "9"), "windows")):
        ran = heapsonde("report", "-p", os.getpid(), "-d", "1", *options)
        check_equal(f"status with {options}", ran.returncode, 2)
        check(words in ran.stderr and ran.stderr.count("\n") == 1, ran.stderr)


main()
