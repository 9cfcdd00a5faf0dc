#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What targets fork and exec: of a started command exactly, of a running process from soon after."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403


def recorded(path):
    out = heapsonde("report", path, "--json", "--limit", "0")
    check_equal("report's status", out.returncode, 0)
    return Report(json.loads(out.stdout))


def of_target(report, wanted):
    """The report's stacks of the targets that wanted(target) is true of, as a report."""
    chosen = {i for i, t in enumerate(report.data["targets"]) if wanted(t)}
    check(chosen, "no such target in the report")
    part = Report(dict(report.data))
    part.stacks = [s for s in report.stacks if s["target"] in chosen]
    return part


def check_sites(what, report, books):
    check_complete(report)
    want = {(s["site"], s["kind"]): s for s in books["sites"]}
    got = report.sites({site for site, kind in want})
    wrong = []
    for key, row in want.items():
        wrong += differences(f"{what}'s {key[0]}", got.get(key, dict.fromkeys(SUMS, 0)), row)
    check(not wrong, "; ".join(wrong[:6]))


def status_field(pid, name):
    with open(f"/proc/{pid}/status") as f:
        return next(line.split()[1] for line in f if line.startswith(name + ":"))


def state(pid):
    return status_field(pid, "State")


# ---- a command's tree: exact from the first allocation ----

def record_workload(name, *args, options=()):
    """The books of a workload started under record, and what was recorded."""
    path = scratch("tree.heapsonde")
    w = Workload(name, *args, argv=[TOOL, "record", "-q", "--mode", "exact", "-o", path,
                                    *options, "--", workload_path(name), *args])
    books = w.work()
    check_equal("status", w.quit(), 0)
    return books, recorded(path), w.pid_inside


@case()
def forked_child_has_books_of_its_own():
    books, report, pid = record_workload("forks", "fork")
    check_sites("the parent", of_target(report, lambda t: t["pid"] == pid), books)
    check_sites("the child", of_target(report, lambda t: t["pid"] != pid), books["child"])
    want = books["unknown_free_count"] + books["child"]["unknown_free_count"]
    check_equal("unknown frees", report.totals["unknown_free_count"], want)


for mode in ("vfork", "spawn"):
    def by(mode):
        books, report, pid = record_workload("forks", mode)
        check_sites("the parent", of_target(report, lambda t: t["pid"] == pid), books)
        trues = [t for t in report.data["targets"] if t["comm"] == "true"]
        check_equal("programs called true", len(trues), 3)
        check(all(t["exit_reason"] == "exited with status 0" for t in trues), f"{trues}")
    add_case("children_by_" + mode, by, mode)


@case(timeout=120)
def hundreds_of_forks():
    path = scratch("many.heapsonde")
    out = heapsonde("record", "-q", "-o", path, "--", "sh", "-c",
                    "i=0; while [ $i -lt 211 ]; do (exit 7); [ $? = 7 ] || exit 3;"
                    " i=$((i + 1)); done; exit 5", timeout=110)
    check_equal("status", out.returncode, 5)
    report = recorded(path)
    check_complete(report)
    ends = [t["exit_reason"] for t in report.data["targets"]]
    check_equal("processes", len(ends), 212)
    check_equal("children that ended as they should", ends.count("exited with status 7"), 211)


@case()
def without_children():
    path = scratch("alone.heapsonde")
    out = heapsonde("record", "--no-children", "-o", path, "--", "sh", "-c", "ls; ls; true")
    check_equal("status", out.returncode, 0)
    check_equal("targets", len(recorded(path).data["targets"]), 1)
    check("2 child processes of the target were not watched" in out.stderr, out.stderr)


@case()
def children_yes_and_no():
    out = heapsonde("record", "--children", "--no-children", "--", "true")
    check_equal("status", out.returncode, 2)


# ---- nobody is harmed by being followed ----

@case()
def stopped_and_continued_by_job_control():
    """A stop is a stop, not one of ours, and the shell sees it."""
    path = scratch("jobs.heapsonde")
    w = spawn([TOOL, "record", "-q", "-o", path, "--", "sh", "-c",
               "(kill -STOP $$; echo woken) & wait; echo parent; exit 9"],
              stdout=subprocess.PIPE)
    # heapsonde has children of its own besides.
    pid = lambda: next((p for p in children_of(w.pid) if comm(p) == "sh"), None)
    wait_until("the command is stopped", lambda: pid() and state(pid()) in "Tt", 20)
    time.sleep(0.3)
    check(state(pid()) in "Tt", "it did not stay stopped")
    os.kill(pid(), signal.SIGCONT)
    out = w.communicate(timeout=20)[0].decode()
    check_equal("status", w.returncode, 9)
    check_equal("what it says", sorted(out.split()), ["parent", "woken"])


def comm(pid):
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except OSError:
        return ""


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(p) for p in f.read().split()]
    except FileNotFoundError:
        return []


@case()
def signals_arrive():
    out = heapsonde("record", "-q", "-o", scratch("s.heapsonde"), "--", "sh", "-c",
                    "trap 'echo got; exit 4' TERM; (sleep 0.2; kill -TERM $$) & "
                    "while :; do sleep 0.1; done")
    check_equal("status", out.returncode, 4)
    check_equal("stdout", out.stdout, "got\n")
    out = heapsonde("record", "-q", "-o", scratch("k.heapsonde"), "--", "sh", "-c",
                    "(kill -SEGV $(sh -c 'echo $PPID')); exit $?")
    check_equal("status after a child's violent end", out.returncode, 128 + signal.SIGSEGV)


def left_behind(end):
    """A child that outlives the watching runs on, untraced and without probes."""
    path, said = scratch("daemon.heapsonde"), scratch("said")
    w = spawn([TOOL, "record", "-q", "-o", path, "--", "sh", "-c",
               f"(trap '' HUP; i=0; while [ $i -lt 100000 ]; do /bin/true; i=$((i + 1));"
               f" echo $i > {said}; done) </dev/null >/dev/null 2>&1 & echo $!; {end}"],
              stdout=subprocess.PIPE)
    daemon = int(w.stdout.readline())
    return w, daemon, said


def check_free(daemon, said):
    wait_until("nobody traces it", lambda: status_field(daemon, "TracerPid") == "0", 20)
    wait_unprobed(daemon)
    before = open(said).read()
    wait_until("it goes on", lambda: open(said).read() not in ("", before), 20)
    os.kill(daemon, signal.SIGKILL)


@case()
def daemon_outlives_the_command():
    w, daemon, said = left_behind("exit 0")
    check_equal("status", w.wait(timeout=30), 0)
    check_free(daemon, said)


def kernel_complaints():
    """How often the kernel left a breakpoint in a program for good."""
    out = run(["dmesg"])
    if out.returncode:
        raise Skip("the kernel's log cannot be read")
    return out.stdout.count("leaking uprobe")


@case(timeout=120)
def profiler_is_killed():
    """At any moment, also while it removes the probes of children that have ended."""
    before = kernel_complaints()
    for i in range(7):
        w, daemon, said = left_behind("wait")
        wait_until("the daemon works", lambda: os.path.exists(said))
        time.sleep(0.1 + 0.07 * i)
        w.kill()
        w.wait()
        check_free(daemon, said)
        os.remove(said)
    check_equal("breakpoints left for good", kernel_complaints() - before, 0)


@case()
def duration_is_over():
    path, said = scratch("d.heapsonde"), scratch("said")
    w = spawn([TOOL, "record", "-q", "-d", "1", "-o", path, "--", "sh", "-c",
               f"echo $$; i=0; while [ $i -lt 100000 ]; do sleep 0.05; i=$((i + 1));"
               f" echo $i > {said}; done"], stdout=subprocess.PIPE)
    pid = int(w.stdout.readline())
    check_equal("status", w.wait(timeout=30), 0)
    check_free(pid, said)
    check(len(recorded(path).data["targets"]) > 3, "no children in the recording")


# ---- children of a process that was attached to ----

@case()
def child_that_execs_later():
    """From soon after its exec on it is watched as if it had been attached to."""
    family = workload_path("family")
    sh = spawn(["sh", "-c", f"read line; {family}; echo status $?"],
               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    watch = Watch(sh.pid, "--children")
    sh.stdin.write(b"start\n")
    sh.stdin.flush()
    pid = int(sh.stdout.readline().split()[1])
    time.sleep(1)
    sh.stdin.write(b"go\n")
    sh.stdin.flush()
    books = json.loads(sh.stdout.readline())
    sh.stdin.close()
    check_equal("what the shell says", sh.stdout.readline(), b"status 0\n")
    sh.wait()
    report = watch.wait()
    check_sites("family", of_target(report, lambda t: t["pid"] == pid and t["comm"] == "family"),
                books)


FORKING = """
import ctypes, os, sys, time
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
sys.stdin.readline()
inherited = [libc.malloc(7001) for i in range(53)]
pid = os.fork()
if not pid:
    time.sleep(1)
    for p in inherited[:31]: libc.free(p)
    for i in range(101): libc.malloc(5003)
    os._exit(0)
os.waitpid(pid, 0)
for p in inherited[:17]: libc.free(p)
"""


@case()
def forked_child_of_a_running_process():
    """What it inherited is not its own, and not lost for its parent."""
    target = spawn(["/usr/bin/python3", "-c", FORKING], stdin=subprocess.PIPE)
    wait_until("the C library is mapped",
               lambda: any("libc.so" in path for *_, path in executable_mappings(target.pid)))
    watch = Watch(target.pid, "--children")
    target.stdin.write(b"go\n")
    target.stdin.close()
    target.wait()
    report = watch.wait()

    def live(part, size):
        return sum(s["live_count"] for s in part.stacks
                   if s["live_count"] and s["alloc_bytes"] == size * s["alloc_count"])
    parent = of_target(report, lambda t: t["pid"] == target.pid)
    child = of_target(report, lambda t: t["pid"] != target.pid)
    check_equal("inherited blocks live in the parent", live(parent, 7001), 53 - 17)
    check_equal("inherited blocks in the child", live(child, 7001), 0)
    check_equal("the child's own blocks", live(child, 5003), 101)
    check(report.totals["unknown_free_count"] >= 31, "frees of inherited blocks were not counted")


@case()
def children_only_when_asked_for():
    target = spawn(["sh", "-c", "read line; ls >/dev/null; true"], stdin=subprocess.PIPE)
    watch = Watch(target.pid)
    target.stdin.write(b"go\n")
    target.stdin.close()
    target.wait()
    report = watch.wait()
    check_equal("targets", len(report.data["targets"]), 1)
    check("1 child process of the target was not watched" in watch.errors(), watch.errors())


if __name__ == "__main__":
    main()
