#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What works where: the README's table, made of what the booted kernels said.

usage: tests/kernels/table.py [KERNEL]...

Writes it into README.md, between its markers. Where kernels are named, the rows of
others stay as they are.
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


def table(rows):
    """rows: {name of kernel: its cells}."""
    lines = [_line(HEAD), "|" + "---|" * (len(HEAD) - 1) + "---:|"]
    lines += [_line(rows[name]) for name in sorted(rows, key=_order)]
    return "\n".join(lines) + "\n"


def _parts(text):
    """(before the table, it, after it) of the README."""
    before, begin, rest = text.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit("README.md has no markers for the table of kernels")
    return before + begin, old, end + after


def _rows(lines):
    """The table's text as {name of kernel: its cells}."""
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|"))
            for line in lines.splitlines()[2:]]
    return {f"{cells[0]}-{cells[1].replace(', ', ':')}": cells for cells in rows}


def contradiction(name, result):
    """How the README's row differs from what was found; None if it does not, or is not there."""
    with open(README) as f:
        old = _rows(_parts(f.read())[1]).get(name)
    new = row(name, result)
    if old and old[:-MEASURED] != new[:-MEASURED]:
        return f"the README says {_line(old)}, found was {_line(new)}"
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


def main(names):
    results = load()
    with open(README) as f:
        before, old, after = _parts(f.read())
    rows = _rows(old) if names else {}
    rows.update({name: row(name, results[name]) for name in names or results})
    with open(README, "w") as f:
        f.write(before + table(rows) + after)


if __name__ == "__main__":
    main(sys.argv[1:])
