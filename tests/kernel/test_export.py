#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Exports of real processes: live ones say what recordings say, and tools understand them."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403


class Seen:
    """The workload "family", exported live in each format and recorded meanwhile."""

    def __init__(self, *formats):
        self.path = scratch("seen.heapsonde")
        target = Workload("family")
        watchers = [spawn([TOOL, "record", "-q", "-p", target.pid, "--mode", "exact",
                           "-o", self.path], stderr=subprocess.PIPE)]
        for name in formats:
            watchers.append(spawn([TOOL, "export", "-q", "-p", target.pid, "--mode", "exact",
                                   "--format", name, "-o", scratch(f"live.{name}")],
                                  stderr=subprocess.PIPE))
        for watcher in watchers:
            wait_until("it watches", lambda: watches(watcher.pid))
        time.sleep(0.5)
        self.books = target.work()
        for watcher in watchers:
            watcher.send_signal(signal.SIGINT)
            err = watcher.communicate()[1]
            check_equal(f"status ({text(err)})", watcher.returncode, 0)

    def live(self, name):
        with open(scratch(f"live.{name}"), "rb") as f:
            return f.read()

    def recorded(self, name, *options):
        path = scratch(f"recorded.{name}")
        out = heapsonde("export", self.path, "--format", name, "--force", "-o", path, *options)
        check_equal(f"status ({out.stderr})", out.returncode, 0)
        with open(path, "rb") as f:
            return f.read()


def watches(pid):
    """Whether that process has opened a ring buffer and attached something to it."""
    links = 0
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{fd}") as f:
                links += "link_type" in f.read()
        except OSError:
            pass
    return links > 2


@case()
def folded_live_is_recorded():
    seen = Seen("folded")
    check(seen.live("folded").count(b"\n") > 5, "hardly anything was exported")
    check_equal("the live export", seen.live("folded"), seen.recorded("folded"))


if __name__ == "__main__":
    main()
