#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each way to attach counts the same, comes quickly and leaves nothing behind."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

WORK = [("family",), ("threads", "realloc"), ("threads", "handover"),
        ("failures", "unknown")]

# Seconds; single probes are removed one by one, each waiting for the kernel
# to be sure that nobody is in it.
DETACH_LIMIT = {"session": 2, "multi": 4, "single": 15}


def same_numbers(method, *args):
    w = Workload(*args)
    watch = Watch(w.pid, attach=method)
    books = w.work()
    report = watch.finish()
    wait_unprobed(w.pid)
    check_equal("the workload's status", w.quit(), 0)
    check_books(report, books)


def no_probe_after(method, end):
    w = Workload("threads", "churn")
    clean = changed_code(w.pid)
    check_equal("changed code before attaching", clean, [])
    watch = Watch(w.pid, attach=method)
    check(len(changed_code(w.pid)) > 5, "hardly a probe stands in the target")
    begun = time.monotonic()
    watch.proc.send_signal(end)
    watch.proc.wait()
    wait_unprobed(w.pid, timeout=DETACH_LIMIT[method])
    took = time.monotonic() - begun
    check(took < DETACH_LIMIT[method], f"detaching took {took:.1f} s")
    check(book_totals(w.work())["alloc_count"] > 1000, "the target works no more")
    check_equal("the workload's status", w.quit(), 0)


def killed_under_load(method):
    """kill -9 while every thread is in and out of probed functions."""
    w = Workload("churn", "-t", "4", "-S", "3", "-w")
    watch = Watch(w.pid, attach=method)
    w.say("go")
    time.sleep(0.5)
    watch.proc.kill()
    watch.proc.wait()
    wait_unprobed(w.pid, timeout=DETACH_LIMIT[method])
    result = json.loads(w.line())
    check(result["pairs"] > 0, "the target did not go on")
    check_equal("the workload's status", w.quit(), 0)


for method in ATTACH_METHODS:
    for args in WORK:
        add_case(f"{method}_{'_'.join(args)}", same_numbers, method, *args)
    for end in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        add_case(f"{method}_leaves_nothing_after_{end.name}", no_probe_after, method, end)
    add_case(f"{method}_killed_under_load", killed_under_load, method)


def without(features, method, *args):
    """As on an older kernel: what it lacks is not used."""
    os.environ["HEAPSONDE_WITHOUT"] = ",".join(features)
    try:
        same_numbers(method, *args)
    finally:
        del os.environ["HEAPSONDE_WITHOUT"]


# Our programs keep their stacks too small for private ones: what is refused can be tested.
PLAIN = ["preempt_guard", "private_stacks"]
for args in WORK:
    add_case(f"plain_single_{'_'.join(args)}", without, PLAIN, "single", *args)
add_case("plain_multi_family", without, PLAIN, "multi", "family")
add_case("best_of_an_old_kernel", without,
         ["uprobe_multi", "uprobe_session", *PLAIN], None, "family")


@case()
def refuses_what_the_kernel_lacks():
    w = Workload("family")
    for lacking, options, words in (("attach_cookie", [], "too old"),
                                    ("task_storage", [], "too old"),
                                    ("btf", [], "CONFIG_DEBUG_INFO_BTF"),
                                    ("uprobe_multi", ["--attach", "multi"], "cannot attach")):
        out = heapsonde("report", "-p", w.pid, "-d", "0.1", *options,
                        env=dict(os.environ, HEAPSONDE_WITHOUT=lacking))
        check_equal(f"status without {lacking}", out.returncode, 1)
        check(words in out.stderr, f"without {lacking} it says {out.stderr!r}")
        check_equal(f"lines of complaint without {lacking}", out.stderr.count("\n"), 1)
        check_equal(f"stdout without {lacking}", out.stdout, "")


@case()
def refuses_where_the_kernel_may_panic():
    """Without the guard, on a kernel whose programs have stacks that are not their own."""
    guarded = json.loads(heapsonde("doctor", "--json").stdout)
    env = dict(os.environ, HEAPSONDE_WITHOUT="preempt_guard")
    doctor = json.loads(heapsonde("doctor", "--json", env=env).stdout)
    if tuple(int(n) for n in os.uname().release.split(".")[:2]) < (6, 13):
        check_equal("private stacks", doctor["hazards"]["private_stacks"], False)
        return
    check_equal("a hazard with the guard", guarded["hazards"]["private_stacks"], False)
    check_equal("a hazard without it", doctor["hazards"]["private_stacks"], True)
    w = Workload("family")
    out = heapsonde("report", "-p", w.pid, "-d", "0.1", env=env)
    check_equal("status", out.returncode, 1)
    check("may panic" in out.stderr, f"it says {out.stderr!r}")
    check_equal("lines of complaint", out.stderr.count("\n"), 1)
    check_equal("code of the target", changed_code(w.pid), [])


def in_a_host_where(mounts, *command):
    """Runs it where files say something else, in a mount namespace of its own."""
    return run(["unshare", "-m", "sh", "-c", f"{mounts} && exec \"$@\"", "-", *command])


@case()
def refuses_a_host_that_is_locked_down():
    w = Workload("family")
    locked = ("mount -t tmpfs none /sys/kernel/security && "
              "echo 'none integrity [confidentiality]' > /sys/kernel/security/lockdown")
    out = in_a_host_where(locked, TOOL, "report", "-p", str(w.pid), "-d", "0.1")
    check_equal("status", out.returncode, 1)
    check("locked down" in out.stderr, f"it says {out.stderr!r}")
    doctor = in_a_host_where(locked, TOOL, "doctor")
    check_equal("doctor's status", doctor.returncode, 1)
    check("cannot run  this kernel is locked down" in doctor.stdout, doctor.stdout)


@case()
def warns_of_a_kernel_that_panics_at_warnings():
    """By a file in its place: nobody's kernel is set so for a test."""
    w = Workload("family")
    one = scratch("one")
    with open(one, "w") as file:
        file.write("1\n")
    out = in_a_host_where(f"mount --bind {one} /proc/sys/kernel/panic_on_warn", TOOL, "report",
                          "-p", str(w.pid), "-d", "0.1")
    check_equal("status", out.returncode, 0)
    check("panic_on_warn is set" in out.stderr, f"it says {out.stderr!r}")
    doctor = in_a_host_where(f"mount --bind {one} /proc/sys/kernel/panic_on_warn", TOOL, "doctor")
    check("hazard      kernel.panic_on_warn is set" in doctor.stdout, doctor.stdout)


@case(timeout=120)
def again_and_again():
    """Twenty times attached and detached, the target allocating all the while."""
    w = Workload("churn", "-r", "5000", "-t", "2", "-S", "100", "-w")
    w.say("go")
    for _ in range(20):
        out = heapsonde("report", "-p", w.pid, "-d", "0.1", "--json", "--mode", "exact")
        check_equal("status", out.returncode, 0)
        data = json.loads(out.stdout)
        check(data["loss"]["complete"], f"not complete: {data['loss']}")
        check(data["totals"]["live_count"] <= 2, f"{data['totals']['live_count']} blocks live")
    wait_unprobed(w.pid)
    check(w.proc.poll() is None, f"the target ended, status {w.proc.returncode}")


if __name__ == "__main__":
    main()
