#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Recordings: moments, marks, what SQL and other commands make of them."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403


class Server:
    """The leaking server of the demonstration, at work."""

    def __init__(self):
        self.proc = spawn([workload_path("leakserver")], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE)
        self.pid = int(re.search(rb"pid (\d+)", self.proc.stdout.readline()).group(1))


def record_server(path, seconds):
    """A recording of the leaking server."""
    out = heapsonde("record", "-q", "-o", path, "-d", str(seconds), "-i", "0.5", "-p",
                    str(Server().pid))
    check_equal(f"status of record ({out.stderr})", out.returncode, 0)


def readme_queries():
    """Every sqlite3 command of the README, as it stands there."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        blocks = re.findall(r"^```\n(sqlite3 .*?)^```", f.read(), re.M | re.S)
    check(len(blocks) >= 3, f"only {len(blocks)} queries in the README")
    return blocks


@case()
def queries_of_the_readme():
    directory = scratch()
    record_server(os.path.join(directory, "app.heapsonde"), 4)
    answers = []
    for query in readme_queries():
        out = run(["bash", "-c", query], cwd=directory)
        check_equal(f"status of {query!r} ({out.stderr})", out.returncode, 0)
        answers.append(out.stdout)
    for answer in answers[:2]:
        check("remember_request < handle_request < serve" in answer,
              f"no leak in {answer}")
    check(re.search(r"leakserver\W+\d{5}", answers[2]), f"no leakserver in {answers[2]}")


if __name__ == "__main__":
    main()
