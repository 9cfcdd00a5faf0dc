#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What works where: the README's table, made of what the booted kernels said.

usage: tests/kernels/table.py    writes it into README.md, between its markers
"""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import vm                       # noqa: E402

README = os.path.join(vm.ROOT, "README.md")
RESULTS = os.path.join(vm.KERNELS, "results.json")
BEGIN = "<!-- kernels: written by make check-kernels -->\n"
END = "<!-- end of kernels -->\n"
HEAD = ("kernel", "of Debian", "attaches, exact to the byte", "stacks", "kernel's ledger",
        "preemption", "kernel log", "instructions verified")
MEASURED = 1                    # columns at the end that no other build need repeat


def _passed(cases, prefix):
    """Whether there are such cases and none failed."""
    mine = [passed for name, passed in cases.items() if name.startswith(prefix)]
    return bool(mine) and all(mine)


def _word(passed, word):
    return word if passed else "**fails**"


def row(name, result):
    """The cells of one kernel. result: cases {name: passed}, facts {name: value}."""
    cases, facts = result["cases"], result["facts"]
    series, _, suite = name.partition("-")
    suite = suite.replace(":", ", ")
    found = facts.get("doctor")
    if not found:
        return (series, suite, "**does not boot**", "", "", "", "", "")
    if found["error"]:
        return (series, suite, _word(_passed(cases, "refuses"), "refused, in one line: too old"),
                "", "", "", "", "")
    methods = ("session", "multi", "single")
    there = methods[methods.index(found["attach"]):]
    ways = ", ".join(m if _passed(cases, f"attach/{m}") else f"**{m} fails**" for m in there)
    if any(not passed for case, passed in cases.items() if case.startswith("exact/")):
        ways += " **not exact**"
    ledger = all(passed for case, passed in cases.items()
                 if case.startswith(("growth/", "memory/"))) and _passed(cases, "growth/")
    return (series, suite, ways, _word(_passed(cases, "walker"), "whole"),
            _word(ledger, ("growth" if found["features"]["fault_tracepoints"] else "mappings") +
                  ", swap, OOM kill"),
            "guarded" if found["features"]["preempt_guard"] else "task storage alone",
            _word(_passed(cases, "kernel_log"), "clean"),
            f"{int(facts['instructions']):,}" if _passed(cases, "verifier/") else "**fails**")


def _line(cells):
    return "| " + " | ".join(cells) + " |"


def table(results):
    lines = [_line(HEAD), "|" + "---|" * (len(HEAD) - 1) + "---:|"]
    lines += [_line(row(name, result)) for name, result in results.items()]
    return "\n".join(lines) + "\n"


def _parts(text):
    """(before the table, it, after it) of the README."""
    before, begin, rest = text.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit("README.md has no markers for the table of kernels")
    return before + begin, old, end + after


def contradiction(name, result):
    """How the README's row differs from what was found; None if it does not, or is not there."""
    with open(README) as f:
        old = _parts(f.read())[1]
    new = row(name, result)
    for line in old.splitlines():
        cells = tuple(cell.strip() for cell in line.strip("|").split("|"))
        if cells[:2] == new[:2] and cells[:-MEASURED] != new[:-MEASURED]:
            return f"the README says {_line(cells)}, found was {_line(new)}"
    return None


def _order(name):
    """By architecture, then by age."""
    series, _, suite = name.partition("-")
    return (suite.partition(":")[2], [int(n) for n in series.split(".")], suite)


def load():
    if not os.path.exists(RESULTS):
        return {}
    with open(RESULTS) as f:
        return json.load(f)


def keep(results, afresh):
    """Remembers results {name: result}, and unless afresh those of other kernels."""
    results = {**({} if afresh else load()), **results}
    with open(RESULTS, "w") as f:
        json.dump({name: results[name] for name in sorted(results, key=_order)}, f, indent=1)


def main():
    results = load()
    with open(README) as f:
        before, _, after = _parts(f.read())
    with open(README, "w") as f:
        f.write(before + table(results) + after)


if __name__ == "__main__":
    main()
