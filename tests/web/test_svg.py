#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Flame graphs of export --format svg in a real browser: tests/web/svg.mjs has the steps.

Their pictures are left in build/check for people to look at.
"""

import os

from browser import MODULES, browse
from harness import BUILD, add_case, case, check, main, run

GRAPHS = os.path.join(BUILD, "tests", "web", "graphs")
PICTURES = os.path.join(BUILD, "check")
MADE = set()


def graph(name, suffix=".svg"):
    """A file of a snapshot made by hand; made once."""
    prefix = os.path.join(MODULES, name)
    if name not in MADE:
        os.makedirs(MODULES, exist_ok=True)
        done = run([GRAPHS, name, prefix])
        check(not done.returncode, f"graphs {name}: {done.stderr}")
        MADE.add(name)
    return prefix + suffix


def step(what, name, suffix=".svg"):
    browse("svg.mjs", what, graph(name, suffix))


for what in ("drawing", "zoom", "search", "hover", "keys", "still", "print"):
    add_case(what, step, what, "plain", timeout=120)
add_case("icicle", step, "icicle", "plain", "-icicle.svg", timeout=120)
add_case("comparison", step, "comparison", "plain", "-diff.svg", timeout=120)
add_case("hostile", step, "hostile", "hostile", timeout=120)
add_case("resized", step, "resized", "large", timeout=120)
add_case("large", step, "large", "large", timeout=120)


@case(timeout=120)
def pictures():
    os.makedirs(PICTURES, exist_ok=True)
    for name, suffix, scheme in (("plain", ".svg", "light"), ("plain", "-diff.svg", "light"),
                                 ("plain", "-icicle.svg", "dark"), ("large", ".svg", "light")):
        path = os.path.join(PICTURES, f"svg-{name}{suffix[:-4]}-{scheme}.png")
        browse("svg.mjs", "picture", graph(name, suffix), path, 1200, 800, scheme)
        check(os.path.getsize(path) > 5000, f"{path} is empty")


main()
