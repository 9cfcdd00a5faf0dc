#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Go programs: which call path holds the live heap, against the program's own books.

sites.go (tests/workloads/go), by every toolchain that is there, knows how many
objects each of its call sites allocated and keeps. With profile.go it also
says what runtime.MemProfile tells it.
"""

import glob
import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

COUNTS = ("live_count", "live_bytes", "alloc_count", "alloc_bytes")


def programs(kind):
    return sorted(glob.glob(os.path.join(BUILD, "go", "*", f"sites-{kind}")))


class Sites:
    """The program, told what to do by lines."""

    def __init__(self, path, godebug=""):
        self.proc = spawn([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=dict(os.environ, GODEBUG=godebug))
        self.pid = self.proc.pid

    def tell(self, command):
        self.proc.stdin.write(command.encode() + b"\n")
        self.proc.stdin.flush()
        line = self.proc.stdout.readline().decode()
        check(line, f"the program ended at '{command}', status {self.proc.poll()}")
        return line

    def ask(self, command):
        return json.loads(self.tell(command))


def report(pid, *options):
    out = heapsonde("report", "-p", pid, "-d", "0.05", "--json", "--limit", "0", *options)
    check_equal(f"status ({out.stderr.strip()[:300]})", out.returncode, 0)
    return json.loads(out.stdout)


def by_leaf(stacks, kind):
    sums = {}
    for stack in stacks:
        if stack["kind"] != kind:
            continue
        leaf = stack["frames"][0]["function"] if stack["frames"] else None
        row = sums.setdefault(leaf, dict.fromkeys(COUNTS, 0))
        for name in COUNTS:
            row[name] += stack[name]
    return sums


def scaled_as_pprof(records):
    """{site: counts}: one sample of SIZE stands for 1 / (1 - exp(-SIZE / rate))."""
    sums = {}
    for record in records:
        scale = 1
        if record["rate"] > 1 and record["alloc_count"]:
            size = record["alloc_bytes"] / record["alloc_count"]
            scale = 1 / (1 - math.exp(-size / record["rate"]))
        row = sums.setdefault(record["site"], dict.fromkeys(COUNTS, 0))
        for name in COUNTS:
            row[name] += record[name] * scale
    return sums


def own_profile(path, godebug):
    program = Sites(path, godebug)
    # Twice: a profile is of the collection before the last.
    for command in ("work 100000", "gc", "drop", "work 20000", "gc"):
        program.tell(command)
    shown = report(program.pid)
    records = program.ask("profile")
    own, rate = scaled_as_pprof(records), records[0]["rate"]
    check_equal("mode", shown["mode"], "sampled")
    check_equal("sample_bytes", shown["sample_bytes"], rate)
    stacks = by_leaf(shown["stacks"], "profile")
    sites = [site for site in own if site.startswith("main.site")]
    check(len(sites) > 5, f"the program's profile has only {sorted(own)}")
    for site in sites:
        check(site in stacks, f"{site} is not among {sorted(map(str, stacks))}")
        for name in COUNTS:
            check(abs(stacks[site][name] - own[site][name]) <= 8,
                  f"{site}: {name} is {stacks[site][name]}, the profile has {own[site][name]}")
    for stack in shown["stacks"]:
        check(("live_bytes_error" in stack) == (rate > 1),
              f"an estimate has an error, an exact figure has none: {stack}")
    remark(f"{shown['runtime']['version']}, {len(sites)} sites")


@case()
def programs_are_there():
    if not programs("default") or not programs("profile"):
        raise Skip("no Go program: make fetch-targets go-programs")


for path in programs("profile"):
    toolchain = path.split(os.sep)[-2]
    add_case(f"own_profile_{toolchain}", own_profile, path, "")
    add_case(f"own_profile_of_every_object_{toolchain}", own_profile, path,
             "memprofilerate=1")


main()
