#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The account of the resident memory: each kind in its line, and all of it the RSS.

A workload makes memory of one kind and says how much; the line of that kind must hold
it within 2 %, the lines must add up to what smaps says while the workload rests, and
at most 5 % of it may stay unexplained.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403


def smaps_rss(pid):
    with open(f"/proc/{pid}/smaps") as smaps:
        return sum(int(line.split()[1]) * 1024 for line in smaps if line.startswith("Rss:"))


def account_of(kind):
    """(the lines, the report, the books) of the workload of that kind, at rest."""
    w = Workload("ledger", kind, cwd=scratch())
    watch = Watch(w.pid)
    books = w.work()
    rss = smaps_rss(w.pid)
    report = watch.finish()
    check_equal("the workload's status", w.quit(), 0)
    memory = report.data["memory"]
    lines = {a["kind"]: a["bytes"] for a in memory["account"]}
    check_equal("the kinds, each once", len(lines), len(memory["account"]))
    check_equal("the lines' sum", sum(lines.values()), memory["rss_bytes"])
    check_equal("RSS by smaps", memory["rss_bytes"], rss)
    check(0 <= lines["unexplained"] <= 0.05 * rss, f"{lines['unexplained']} of {rss} unexplained")
    return lines, report, books


def stands_in(kind, line):
    lines, _, books = account_of(kind)
    got, want = lines.get(line, 0), books["bytes"]
    check(abs(got - want) <= 0.02 * want, f"{line}: {got}, not {want}: {lines}")


for kind, line in (("small", "live"), ("large", "live"), ("older", "older than the watch"),
                   ("top", "freed, kept (top)"), ("bins", "freed, kept (bins)"),
                   ("stacks", "thread stacks"), ("anonymous", "anonymous mappings"),
                   ("huge", "anonymous mappings"), ("shared", "shmem"), ("file", "file"),
                   ("bss", "program data")):
    add_case(f"{kind}_is_{line.split()[0].strip(',')}", stands_in, kind, line)


@case()
def live_to_the_byte():
    lines, report, _ = account_of("small")
    check_equal("live", lines["live"], report.totals["live_bytes"])


@case()
def untouched_memory_is_not_resident():
    lines, report, _ = account_of("untouched")
    check(report.totals["live_bytes"] >= 256 << 20, "the block is not live")
    check(lines.get("live", 0) < 64 << 10, f"live and resident: {lines}")


if __name__ == "__main__":
    main()
