#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The tool and its tests on kernels other than the running one, in QEMU.

usage: tests/kernels/test_matrix.py [--all] [KERNEL]...

A KERNEL is a name of scripts/fetch-kernel --list. Without one: those that speak
for all, in a short form, of them the newest with what happens when memory is short, and
the README's table must not say otherwise. --all: every kernel (or those named) with all
cases, whose results are kept for the table.
"""

import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import table                    # noqa: E402
import vm                       # noqa: E402

SECONDS = {"short": 300, "memory": 400, "all": 900, "refused": 200}


def chosen():
    """The names of the kernels that speak for all."""
    usual = vm.available("bullseye", "bookworm", "bookworm-backports")
    return usual + [name for name in vm.available("trixie-backports")[-1:] if name not in usual]


def every_kernel():
    arm64 = vm.available("bookworm:arm64", "bookworm-backports:arm64", "trixie-backports:arm64")
    return vm.available() + sorted({*arm64[:2], *arm64[-1:]}, key=arm64.index)


def digest(name, lines):
    """The guest's lines as a result: cases {name: passed} and facts. Prints the cases."""
    cases, facts = {}, {}
    for line in lines:
        words = line.split(" - ")[0].split()
        if line.startswith(("ok ", "not ok ", "skip ")):
            at = 2 if words[0] == "not" else 1
            if words[0] != "skip":
                cases[words[at]] = cases.get(words[at], True) and words[0] == "ok"
            print(line.replace(words[at], f"{name}/{words[at]}", 1), flush=True)
        elif line.startswith("unsteady "):
            print(line.replace("unsteady ", f"unsteady {name}/", 1), flush=True)
        elif line.startswith("fact "):
            fact, value = line.split(" ", 2)[1:]
            facts[fact] = json.loads(value)
        elif line != "end":
            print(f"# {name}: {line}", flush=True)
    return {"cases": cases, "facts": facts}


def boot(name, form):
    """The kernel's result."""
    cases = on_an_old_processor(name) if form != "short" and vm.picky(name) else {}
    lines, complaints = vm.boot(name, form, SECONDS[form])
    lines += ["ok kernel_log" if not complaints else f"not ok kernel_log - {complaints[:3]}"]
    if "end" not in lines:
        lines += [f"not ok boot - the guest did not come to its end, see {vm.KERNELS}/{name}"]
    result = digest(name, lines)
    result["cases"].update(cases)
    return result


def on_an_old_processor(name):
    """There the kernel has no storage for BPF programs, and heapsonde must say so."""
    lines, _ = vm.boot(name, "refused", SECONDS["refused"], old_cpu=True)
    if "end" not in lines:
        lines += ["not ok boot - the guest did not come to its end"]
    lines = [re.sub("^((not )?ok) ", r"\1 old_processor/", line) for line in lines]
    return digest(name, lines)["cases"]


def compare(name, result):
    wrong = table.contradiction(name, result)
    print(f"not ok {name}/readme - {wrong}" if wrong else f"ok {name}/readme", flush=True)
    return not wrong


def main(words):
    everything = "--all" in words
    named = [word for word in words if word != "--all"]
    names = named or (every_kernel() if everything else chosen())
    if not names:
        print("skip kernels - apt's mirror has none, or cannot be reached")
        return 0
    packed, results, good = set(), {}, True
    for name in names:
        machine = vm.machine(name)
        lacking = vm.missing(name) or vm.fetch(name)
        if lacking:
            print(f"skip {name} - {lacking}", flush=True)
            continue
        if machine not in packed:
            vm.pack(machine)
        packed.add(machine)
        results[name] = boot(name, "all" if everything else "memory" if name == names[-1] else
                             "short")
        good &= all(results[name]["cases"].values())
        if not everything:
            good &= compare(name, results[name])
    if everything:
        table.keep(results, afresh=not named)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
