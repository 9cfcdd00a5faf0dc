#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The flight recorder: a target is driven to its OOM kill in a memory cgroup, and the
recording names the stack that leaked and says what killed it.

HEAPSONDE_OOM_KILLS says how often (default 3).
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

KILLS = int(os.environ.get("HEAPSONDE_OOM_KILLS") or 3)
LIMIT = 64 << 20
OWN_BYTES = 128 << 20           # for heapsonde, where it lives in the same cgroup


class Flight:
    """A target in a cgroup of its own, and a recorder, outside of it or within."""

    def __init__(self, group, within=False, env=None):
        self.group = group
        group.set_limit(LIMIT + (OWN_BYTES if within else 0))
        self.w = Workload("outofmemory", cwd=scratch(),
                          preexec_fn=lambda: group.add(os.getpid()))
        self.path = scratch("flight.heapsonde")
        self.err = open(scratch("record.err"), "w+b")
        self.record = spawn(
            [TOOL, "record", "-p", self.w.pid, "--mode", "exact", "-o", self.path, "--force"],
            stdin=subprocess.DEVNULL, stdout=self.err, stderr=self.err, env=env,
            preexec_fn=(lambda: group.add(os.getpid())) if within else None)
        wait_until("it records", lambda: "recording to" in self.errors(), timeout=60)
        if within:
            wait_until("its memory is locked", self.locked, timeout=30)
        self.w.say("go")

    def score(self, pid):
        with open(f"/proc/{pid}/oom_score_adj") as adj:
            return int(adj.read())

    def locked(self):
        with open(f"/proc/{self.record.pid}/status") as status:
            return next(int(line.split()[1]) for line in status
                        if line.startswith("VmLck:")) * 1024

    def errors(self):
        self.err.seek(0)
        return text(self.err.read()).strip()

    def wait(self):
        """Until the target was killed and the recorder is done."""
        check_equal("how the target ended", self.w.proc.wait(), -signal.SIGKILL)
        if self.record.wait() != 0:
            raise Failure(f"record ended with {self.record.returncode}: {self.errors()}")

    def report(self):
        result = heapsonde("report", self.path, "--json")
        check_equal("status of report", result.returncode, 0)
        return Report(json.loads(result.stdout))


def check_leak(report, share):
    """The leaking stack is on top, and holds what there was."""
    top = report.stacks[0]
    name = plain_name(top["frames"][0]["function"])
    check_equal("who holds most", name, "leak_blocks")
    check(top["live_bytes"] >= share * LIMIT, f"{top['live_bytes']} live bytes")
    memory = report.data["memory"]
    # On a busy machine the last reading may lie a second back.
    check(memory["rss_bytes"] >= 0.25 * LIMIT, f"RSS {memory['rss_bytes']} in the account")
    limit = memory["cgroups"][0]["limit_bytes"]
    remark(f"account at {memory['rss_bytes'] >> 20} of {limit >> 20} MiB")
    check_equal("the account's sum", sum(a["bytes"] for a in memory["account"]),
                memory["rss_bytes"])


def check_killed(report, limit=LIMIT):
    target, = report.data["targets"]
    check(target["oom_killed"], f"not known as an OOM kill: {target}")
    check("OOM killer" in target["exit_reason"] and "cgroup" in target["exit_reason"],
          f"exit reason {target['exit_reason']!r}")
    kills = [r for r in report.data["reclaim"] if r["kind"] == "oom_kill"]
    check_equal("OOM kills among the reclaim events", len(kills), 1)
    mine, = report.data["memory"]["cgroups"]
    check_equal("the limit", mine["limit_bytes"], limit)


def kill_once(within=False, env=None):
    with MemoryCgroup() as group:
        flight = Flight(group, within, env)
        if within:
            locked = flight.locked()
            check(8 << 20 <= locked <= OWN_BYTES, f"{locked} bytes locked")
            mine = flight.score("self")
            check_equal("oom_score_adj of the recorder", flight.score(flight.record.pid), mine)
            check_equal("of the target", flight.score(flight.w.pid), mine)
        flight.wait()
        report = flight.report()
        check_killed(report, LIMIT + (OWN_BYTES if within else 0))
        check("crashed, or took" not in flight.errors(), f"a reader died: {flight.errors()}")
        check_leak(report, 0.7)
        check_text(flight.path)


def check_text(path):
    out = heapsonde("report", path).stdout
    check("killed by the OOM killer" in out, "the text does not say what killed it")
    check("leak_blocks" in out.split("\n\n")[1], f"nor, above all, who held it: {out[:1500]}")


for nr in range(KILLS):
    add_case(f"outside_{nr + 1}", kill_once, timeout=180)
    add_case(f"within_the_same_cgroup_{nr + 1}", kill_once, True, timeout=180)


@case(timeout=180)
def without_the_tracepoint():
    kill_once(env=dict(os.environ, HEAPSONDE_WITHOUT="oom_victim"))


@case(timeout=180)
def on_the_disk_before_the_kill():
    """The target is held at its limit: what is in the file then is all one would have."""
    with MemoryCgroup() as group:
        if group.version != 1:
            raise Skip("only version 1 can hold a cgroup at its limit")
        group.disable_kills()
        flight = Flight(group)
        wait_until("it is at its limit", group.is_held, timeout=30)
        wait_until("that is told", lambda: "on the disk" in flight.errors())
        time.sleep(0.2)
        flight.record.kill()
        flight.record.wait()
        check_leak(flight.report(), 0.7)
        flight.w.proc.kill()
        flight.w.proc.wait()


# Fills a cgroup until so many bytes are left, and stays.
FILLER = """
import sys
usage, most = sys.argv[1], int(sys.argv[2])
blocks = []
while int(open(usage).read()) < most:
    blocks.append(bytearray(b"x" * (1 << 20)))
print("full", flush=True)
sys.stdin.read()
"""
SHORT_LIMIT = 256 << 20
SHORT_LEFT = 20 << 20           # less than an eighth


def readers_of(pid):
    """Processes that read files for it: children of its child of that name."""
    def children(of):
        with open(f"/proc/{of}/task/{of}/children") as file:
            return file.read().split()

    def name(of):
        with open(f"/proc/{of}/comm") as comm:
            return comm.read().strip()
    return [reader for child in children(pid) if name(child) == "heapsonde-read"
            for reader in children(child)]


class Short:
    """A target and a recorder in one cgroup, which somebody else fills before they work."""

    def __init__(self, group):
        group.set_limit(SHORT_LIMIT)
        self.group = group
        self.w = Workload("family", preexec_fn=self.join)
        self.path = scratch("short.heapsonde")
        self.err = open(scratch("short.err"), "w+b")
        self.record = spawn(
            [TOOL, "record", "-p", self.w.pid, "--mode", "exact", "-i", "0.2", "-o", self.path],
            stdin=subprocess.DEVNULL, stdout=self.err, stderr=self.err, preexec_fn=self.join)
        wait_until("it records", lambda: "recording to" in self.errors(), timeout=60)
        self.filler = self.fill()
        wait_until("it is told", lambda: "memory is short" in self.errors(), timeout=30)
        wait_until("nobody reads", lambda: not readers_of(self.record.pid), timeout=30)
        self.books = self.w.work()
        self.names = {site["site"] for site in self.books["sites"]}
        wait_until("the work is on the disk", lambda: self.has_all(self.report()), timeout=30)
        check(not self.names_in(self.report()), "there are names")
        check_equal("who reads", readers_of(self.record.pid), [])

    def join(self):
        self.group.add(os.getpid())

    def fill(self):
        usage = os.path.join(self.group.path, "memory.usage_in_bytes"
                             if self.group.version == 1 else "memory.current")
        filler = spawn([sys.executable, "-c", FILLER, usage, str(SHORT_LIMIT - SHORT_LEFT)],
                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=self.join)
        check_equal("the filler", filler.stdout.readline(), b"full\n")
        return filler

    def errors(self):
        self.err.seek(0)
        return text(self.err.read()).strip()

    def report(self):
        result = heapsonde("report", self.path, "--json", "--limit", "0")
        check_equal("status of report", result.returncode, 0)
        return Report(json.loads(result.stdout))

    def has_all(self, report):
        return all(report.totals[m] == book_totals(self.books)[m] for m in SUMS)

    def names_in(self, report):
        return {frame["function"] for stack in report.stacks for frame in stack["frames"]} & \
            self.names

    def end(self):
        self.record.send_signal(signal.SIGINT)
        check_equal("status of record", self.record.wait(), 0)
        check_equal("status of the target", self.w.quit(), 0)
        return self.report()


@case(timeout=120)
def names_wait_for_memory():
    """No process is started that reads files, until there is memory again."""
    with MemoryCgroup() as group:
        short = Short(group)
        short.filler.kill()
        short.filler.wait()
        wait_until("there are names", lambda: short.names_in(short.report()), timeout=30)
        check_books(short.end(), short.books)


@case(timeout=120)
def names_of_a_recording_that_ends_in_want():
    """The numbers are whole, it is told that names are missing, and they can be had later."""
    with MemoryCgroup() as group:
        short = Short(group)
        report = short.end()
        check(short.has_all(report), "the numbers are not whole")
        check(not short.names_in(report), "there are names")
        check_equal("lines that say so", short.errors().count("heapsonde symbolize"), 1)
        check_equal("symbolize", heapsonde("symbolize", short.path).returncode, 0)
        check_books(short.report(), short.books)


@case(timeout=180)
def a_kill_by_somebody_is_none():
    w = Workload("outofmemory", cwd=scratch())
    path = scratch("killed.heapsonde")
    proc = spawn([TOOL, "record", "-p", w.pid, "--mode", "exact", "-o", path],
                 stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    check("recording" in text(proc.stderr.readline()), "it does not record")
    w.say("go")
    w.proc.kill()
    w.proc.wait()
    proc.wait()
    target, = json.loads(heapsonde("report", path, "--json").stdout)["targets"]
    check(not target["oom_killed"], "taken for an OOM kill")
    check("signal 9" in target["exit_reason"], target["exit_reason"])


# Touches memory until somebody dies for it.
HOG = """
blocks = []
while True:
    blocks.append(b"x" * (1 << 20))
"""


def join_as_victim(group):
    group.add(os.getpid())
    with open("/proc/self/oom_score_adj", "w") as adj:
        adj.write("1000")


def kill_the_recorder(group, mode):
    """The OOM killer takes heapsonde, while its probes are set or come and go."""
    w = Workload("churn", "-t", "2", "-S", "100", "-w")
    watch = spawn([TOOL, "report", "-q", "-p", w.pid, *mode], stdin=subprocess.DEVNULL,
                  stdout=subprocess.DEVNULL, preexec_fn=lambda: join_as_victim(group))
    w.say("go")
    wait_until("a probe was set", lambda: changed_code(w.pid), timeout=30, every=0.001)
    hog = spawn([sys.executable, "-c", HOG], preexec_fn=lambda: group.add(os.getpid()))
    check_equal("how heapsonde ended", watch.wait(), -signal.SIGKILL)
    hog.kill()
    wait_unprobed(w.pid, timeout=20)
    check(w.proc.poll() is None, f"the target ended, status {w.proc.returncode}")
    w.proc.kill()
    w.proc.wait()


def recorder_is_chosen(rounds, *mode):
    log = KernelLog()
    for _ in range(rounds):
        with MemoryCgroup() as group:
            group.set_limit(OWN_BYTES)
            kill_the_recorder(group, mode)
    log.check_clean()


add_case("recorder_is_chosen", recorder_is_chosen, 2, "--mode", "exact", timeout=120)
add_case("recorder_is_chosen_in_windows", recorder_is_chosen, 8, "--mode", "windows",
         "--max-overhead", "80", timeout=180)


if __name__ == "__main__":
    main()
