#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Without root: three capabilities are enough, and each of them is needed."""

import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

NEEDED = ("bpf", "perfmon", "sys_ptrace")


def powers(*names):
    """What stands before a command that is to have these capabilities and no others."""
    which = ",".join(["-all", *("+" + name for name in names)])
    return ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
            "--bounding-set", which, "--inh-caps", which, "--ambient-caps", which]


def tool():
    """A copy that everybody can run."""
    copy = scratch("heapsonde")
    shutil.copy(TOOL, copy)
    os.chmod(copy, 0o755)
    return copy


def enough(name, *args):
    """Exact to the byte, with stacks and names, on a process of root's."""
    w = Workload(name, *args)
    watch = Watch(w.pid, tool=[*powers(*NEEDED), tool()])
    books = w.work()
    check_books(watch.finish(), books)
    wait_unprobed(w.pid)
    check_equal("the workload's status", w.quit(), 0)


add_case("three_are_enough", enough, "family")
add_case("three_are_enough_for_threads", enough, "threads")


@case()
def each_is_needed():
    """One line says what is not allowed and what would be."""
    w = Workload("family")
    for missing in NEEDED:
        have = [name for name in NEEDED if name != missing]
        out = run([*powers(*have), tool(), "report", "-p", w.pid, "-d", "0.2"])
        check_equal(f"status without {missing}", out.returncode, 1)
        check_equal(f"lines in {out.stderr!r}", out.stderr.count("\n"), 1)
        check("not allowed" in out.stderr and "run as root" in out.stderr and
              "CAP_SYS_PTRACE" in out.stderr, f"without {missing}: {out.stderr}")
        check_equal("code of the target", changed_code(w.pid), [])


@case()
def own_recording():
    """Whoever watches owns the recording, and nobody else can read it."""
    w = Workload("family")
    home = scratch("home")
    os.mkdir(home)
    os.chown(home, 65534, 65534)
    path = os.path.join(home, "own.heapsonde")
    out = run([*powers(*NEEDED), tool(), "record", "-q", "-p", w.pid, "-d", "0.3", "-o", path])
    check_equal(f"status ({out.stderr})", out.returncode, 0)
    state = os.stat(path)
    check_equal("owner", state.st_uid, 65534)
    check_equal("mode", state.st_mode & 0o777, 0o600)
    check_equal("the workload's status", w.quit(), 0)


need_root()
main()
