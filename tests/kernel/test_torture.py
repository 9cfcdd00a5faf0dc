#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is hard on whoever watches: the target is never harmed, no probe is left, every
loss is counted, and the kernel has nothing to complain of.

HEAPSONDE_TORTURE multiplies what is done: 100 (make torture) is ten minutes of 64 threads
on one processor, and a thousand times attached and cut off. Default: 1.
"""

import os
import pty
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

FACTOR = int(os.environ.get("HEAPSONDE_TORTURE") or 1)
STATUS = 17                     # what the workload ends with


def output_alone(mode, rounds):
    out = run([workload_path("torture"), mode, str(rounds)], timeout=60 * FACTOR,
              cwd=WORKLOADS, env=dict(os.environ, LD_LIBRARY_PATH=WORKLOADS))
    check_equal("status of the workload alone", out.returncode, STATUS)
    return out.stdout.split("\n")[1]


class Tortured(Workload):
    """A torture workload at its start; finish() sees that it came through."""

    def __init__(self, mode, rounds):
        self.alone = output_alone(mode, rounds)
        self.log = KernelLog()
        super().__init__("torture", mode, str(rounds), env=dict(
            os.environ, LD_LIBRARY_PATH=WORKLOADS))

    def finish(self):
        check_equal("what it says", self.line().rstrip("\n"), self.alone)
        check_equal("its status", self.quit(), STATUS)
        self.log.check_clean()


def comes_through(mode, rounds, *options, attach=None, seen=True):
    w = Tortured(mode, rounds * FACTOR)
    watch = Watch(w.pid, *options, attach=attach)
    w.say("go")
    w.finish()
    report = watch.wait()
    check_consistent(report)
    check(report.totals["alloc_count"] > 0 or not seen, "nothing was seen")
    remark(f"{report.totals['alloc_count']} allocations, {report.loss}")


for method in ATTACH_METHODS:
    add_case(f"crowd_on_one_core_{method}", lambda m=method: comes_through(
        "crowd", 60 if FACTOR == 1 else 8000, attach=m), timeout=60 * FACTOR)
# Where it is over soon no window may have been open.
add_case("crowd_in_windows", lambda: comes_through("crowd", 2000, "--mode", "windows", seen=False),
         timeout=60 * FACTOR)
add_case("forks", comes_through, "forks", 60, timeout=60 * FACTOR)
add_case("forks_with_children", comes_through, "forks", 40, "--children", timeout=90 * FACTOR)
add_case("plugins", comes_through, "plugins", 150, timeout=60 * FACTOR)
add_case("births", comes_through, "births", 200, timeout=60 * FACTOR)


@case(timeout=60 * FACTOR)
def attached_and_cut_off_again_and_again():
    """At whatever moment of attaching, watching or detaching, and by whatever signal."""
    rng = random.Random(5)
    w = Workload("churn", "-r", "5000", "-t", "2", "-S", "100000", "-w")
    log = KernelLog()
    w.say("go")
    for _ in range(10 * FACTOR):
        watch = spawn([TOOL, "report", "-q", "-p", w.pid, "--json", "--mode", "exact"],
                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, 1))
        watch.send_signal(rng.choice((signal.SIGINT, signal.SIGTERM, signal.SIGKILL,
                                      signal.SIGHUP)))
        watch.wait()
        wait_unprobed(w.pid)
    check(w.proc.poll() is None, f"the target ended, status {w.proc.returncode}")
    log.check_clean()


@case(timeout=60 * FACTOR)
def targets_killed_at_any_moment():
    rng = random.Random(3)
    log = KernelLog()
    for _ in range(6 * FACTOR):
        w = Workload("churn", "-t", "3", "-S", "100", "-w")
        w.say("go")
        watch = spawn([TOOL, "report", "-q", "-p", w.pid, "--json", "--mode", "exact"],
                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        time.sleep(rng.uniform(0, 1))
        w.proc.kill()
        out, _ = watch.communicate()
        check(watch.returncode in (0, 1), f"status {watch.returncode}")
        if watch.returncode == 0:
            check_consistent(Report(json.loads(out)))
    log.check_clean()


@case()
def another_tool_on_the_same_functions():
    """bpftrace's probes on malloc and free stay its own, and ours are exact."""
    tool = shutil.which("bpftrace")
    if not tool:
        raise Skip("no bpftrace")
    w = Workload("family")
    log = KernelLog()
    libc = next(path for _, _, _, path in executable_mappings(w.pid) if "/libc." in path)
    script = (f"uprobe:{libc}:malloc {{ @n = count(); }} uretprobe:{libc}:malloc {{ }} "
              f"uprobe:{libc}:free {{ }}")
    other = spawn([tool, "-p", w.pid, "-e", script], stdin=subprocess.DEVNULL,
                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until("its probes stand", lambda: changed_code(w.pid), timeout=30)
    theirs = changed_code(w.pid)
    watch = Watch(w.pid)
    books = w.work()
    check_books(watch.finish(), books)
    check_equal("probes left", changed_code(w.pid), theirs)
    other.send_signal(signal.SIGINT)
    other.wait()
    wait_unprobed(w.pid)
    check_equal("status of the target", w.quit(), 0)
    log.check_clean()


@case()
def its_terminal_is_gone():
    w = Workload("churn", "-t", "1", "-S", "100", "-w")
    log = KernelLog()
    w.say("go")
    master, slave = pty.openpty()
    top = spawn([TOOL, "top", "-p", w.pid], stdin=slave, stdout=slave, stderr=slave,
                start_new_session=True, env=dict(os.environ, TERM="xterm"))
    os.close(slave)
    wait_until("probes stand", lambda: len(changed_code(w.pid)) > 5, timeout=20)
    os.close(master)
    top.wait()
    wait_unprobed(w.pid)
    check(w.proc.poll() is None, f"the target ended, status {w.proc.returncode}")
    log.check_clean()


@case()
def stacks_that_find_no_room():
    """New call paths while nobody empties the ring: dropped, counted, nothing invented."""
    w = Workload("callpaths", "-n", "20000", "-r", "1000", "-S", "1")
    watch = Watch(w.pid, "--ring-size", "64K")
    watch.proc.send_signal(signal.SIGSTOP)
    w.say("go")
    wait_until("it has walked its paths", lambda: w.proc.stdout.peek(1), timeout=30)
    watch.proc.send_signal(signal.SIGCONT)
    report = watch.finish()
    check(report.loss["dropped_stacks"] > 0, f"no stack was dropped: {report.loss}")
    check_equal("complete", report.loss["complete"], False)
    check_consistent(report)


if __name__ == "__main__":
    main()
