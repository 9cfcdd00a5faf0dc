#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of export --format speedscope in the real application: tests/web/speedscope.mjs."""

import os

from browser import MODULES, browse
from harness import BUILD, add_case, check, main, run

GRAPHS = os.path.join(BUILD, "tests", "web", "graphs")


def profile(name):
    prefix = os.path.join(MODULES, name)
    os.makedirs(MODULES, exist_ok=True)
    done = run([GRAPHS, name, prefix])
    check(not done.returncode, f"graphs {name}: {done.stderr}")
    return prefix + ".speedscope.json"


def step(what, name, *args):
    browse("speedscope.mjs", what, profile(name), *args)


for name in ("plain", "hostile", "large", "idle"):
    add_case(f"schema_{name}", step, "schema", name, timeout=120)
add_case("opens", step, "opens", "plain", "server", "63.5", timeout=120)

main()
