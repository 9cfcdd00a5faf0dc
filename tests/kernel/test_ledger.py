#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The account of the resident memory: each kind in its line, and all of it the RSS.

A workload makes memory of one kind and says how much; the line of that kind must hold
it within 2 %, the lines must add up to what smaps says while the workload rests, and
at most 5 % of it may stay unexplained.
"""

import os
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403


def smaps_rss(pid):
    with open(f"/proc/{pid}/smaps") as smaps:
        return sum(int(line.split()[1]) * 1024 for line in smaps if line.startswith("Rss:"))


def account_of(kind, mode="exact"):
    """(the lines, the report, the books) of the workload of that kind, at rest."""
    w = Workload("ledger", kind, cwd=scratch())
    watch = Watch(w.pid, mode=mode)
    books = w.work()
    rss = smaps_rss(w.pid)
    report = watch.finish()
    check_equal("the workload's status", w.quit(), 0)
    memory = report.data["memory"]
    lines = check_account(memory)
    check_equal("RSS by smaps", memory["rss_bytes"], rss)
    return lines, report, books


def stands_in(kind, line):
    lines, _, books = account_of(kind)
    got, want = lines.get(line, 0), books["bytes"]
    check(abs(got - want) <= 0.02 * want, f"{line}: {got}, not {want}: {lines}")


for kind, line in (("small", "live"), ("large", "live"), ("older", "older than the watch"),
                   ("top", "freed, kept (top)"), ("bins", "freed, kept (bins)"),
                   ("stacks", "thread stacks"), ("anonymous", "anonymous mappings"),
                   ("huge", "anonymous mappings"), ("shared", "shmem"), ("file", "file"),
                   ("bss", "program data"), ("dirtied", "program data"),
                   ("break", "anonymous mappings"), ("lazy", "freed, kept (lazily)"),
                   ("cow", "anonymous mappings"), ("stack", "main stack")):
    add_case(f"{kind}_is_{line.split()[0].strip(',')}", stands_in, kind, line)


@case()
def shared_after_fork_in_part():
    """Half of it is the child's own, half is of both: a quarter less by PSS."""
    _, report, books = account_of("cow")
    memory = report.data["memory"]
    less = memory["rss_bytes"] - memory["pss_bytes"]
    check(less >= books["bytes"] / 4, f"PSS is {less} below RSS")


@case()
def what_malloc_trim_would_give_back():
    w = Workload("ledger", "trim", cwd=scratch())
    watch = Watch(w.pid)
    w.work()
    memory = watch.finish().data["memory"]
    given = w.work()["bytes"]
    check(given > 10 << 20, f"only {given} given back")
    check(abs(memory["trimmable_bytes"] - given) <= 0.02 * given,
          f"{memory['trimmable_bytes']} foretold, {given} given back")


@case()
def census_at_attach():
    """What was there before, by size class, against the workload's own books."""
    w = Workload("ledger", "older", cwd=scratch())
    watch = Watch(w.pid)
    report = watch.finish()
    w.quit()
    census, = report.data["memory"]["census"]
    check_equal("pid", census["pid"], w.pid)
    check_equal("heaps that could not be walked", census["unfinished_heaps"], 0)
    check(32000 <= census["older_count"] < 32100, f"{census['older_count']} older blocks")
    check(32000 * 1008 <= census["older_bytes"] < 32000 * 1008 * 1.01,
          f"{census['older_bytes']} older bytes")
    kilobyte, = [c for c in census["classes"] if c["max_bytes"] == 1024]
    check(32000 <= kilobyte["in_use_count"] < 32010, f"{kilobyte} in use")
    for what in ("count", "bytes"):
        check_equal(f"{what} of all classes",
                    sum(c[f"in_use_{what}"] for c in census["classes"]),
                    census[f"in_use_{what}"] + census[f"mapped_{what}"])
        check_equal(f"{what} free of all classes",
                    sum(c[f"free_{what}"] for c in census["classes"]), census[f"free_{what}"])


@case()
def live_to_the_byte():
    lines, report, _ = account_of("small")
    check_equal("live", lines["live"], report.totals["live_bytes"])


@case()
def in_use_where_no_allocation_is_seen():
    lines, _, books = account_of("small", mode="growth")
    check(abs(lines["in use"] - books["bytes"]) <= 0.02 * books["bytes"], f"in use: {lines}")
    for line in ("live", "older than the watch"):
        check(line not in lines, f"{line}: {lines}")


@case()
def untouched_memory_is_not_resident():
    lines, report, _ = account_of("untouched")
    check(report.totals["live_bytes"] >= 256 << 20, "the block is not live")
    check(lines.get("live", 0) < 64 << 10, f"live and resident: {lines}")


# ---- programs that others wrote ----

NODE = """
const kept = [], line = require('readline').createInterface({input: process.stdin})
line.on('line', () => {
  for (let i = 0; i < 1000; i++) kept.push(Buffer.alloc(20000, 1))
  console.log(20000 * 1000)
})
console.log('ready')
"""


@case(timeout=90)
def node_holds_buffers():
    node = spawn([need("node"), "-e", NODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                 text=True)
    check_equal("node's first line", node.stdout.readline(), "ready\n")
    watch = Watch(node.pid)
    node.stdin.write("\n")
    node.stdin.flush()
    want = int(node.stdout.readline())
    lines = check_account(watch.finish().data["memory"])
    # V8 allocates, and collects, as it pleases.
    check(0.98 * want <= lines["live"] <= 1.25 * want, f"{lines['live']} live, not {want}: {lines}")


def glibc():
    """The C library of this very program."""
    paths = [path for *_, path in executable_mappings(os.getpid()) if "/libc.so" in path]
    if not paths:
        raise Skip("the C library is not glibc")
    return paths[0]


def resp(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def change_keys(port, over):
    """Sets, grows and deletes values of all sizes, many commands at a time."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
        stream, seed = s.makefile("rwb"), 1
        while not over.is_set():
            for _ in range(50):
                seed = (seed * 1103515245 + 12345) % (1 << 31)
                key, size = b"k%d" % ((seed >> 8) % 20000), (seed >> 4) % 3000 + 10
                stream.write((resp(b"SET", key, b"x" * size), resp(b"SET", key, b"y" * size),
                              resp(b"APPEND", key, b"z" * 200), resp(b"DEL", key))[seed >> 6 & 3])
            stream.flush()
            for _ in range(50):
                if stream.readline()[:1] not in (b"+", b":"):
                    raise Failure("redis answers otherwise")


@case(timeout=90)
def redis_under_load():
    """On glibc's allocator, which its author's jemalloc gives way to here."""
    server, port, over = need("redis-server"), free_port(), threading.Event()
    redis = spawn([server, "--port", port, "--save", "", "--dir", scratch()],
                  stdout=subprocess.DEVNULL, env={**os.environ, "LD_PRELOAD": glibc()})

    def answers():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    wait_until("redis answers", answers)
    load = threading.Thread(target=change_keys, args=(port, over))
    load.start()
    try:
        watch = Watch(redis.pid, "-d", "3")
        memory = watch.wait().data["memory"]
    finally:
        over.set()
        load.join()
    lines = check_account(memory)
    check(lines["live"] > 5 << 20, f"next to nothing is live: {lines}")
    census, = memory["census"]
    check_equal("heaps that could not be walked", census["unfinished_heaps"], 0)
    check(census["in_use_count"] > 1000, f"the heap is empty: {census}")


# ---- where it is going ----

@case()
def a_plateau_is_no_leak():
    w = Workload("ledger", "plateau", cwd=scratch())
    watch = Watch(w.pid)
    begun = time.monotonic()
    books = w.work()
    took = time.monotonic() - begun
    time.sleep(1.5 * took)
    memory = watch.finish().data["memory"]
    check(memory["rss_bytes"] > books["bytes"], "it did not grow")
    check_equal("seconds to the limit", memory["seconds_to_limit"], None)
    check(abs(memory["growth_bytes_per_s"]) < 0.01 * books["bytes"] / took,
          f"grows by {memory['growth_bytes_per_s']}/s after it stopped")
    check(memory["live_growth_bytes_per_s"] < 0.01 * books["bytes"] / took,
          f"live grows by {memory['live_growth_bytes_per_s']}/s")


def rss_of(pid):
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def check_forecast(memory, slope, limit):
    got = memory["growth_bytes_per_s"]
    check(abs(got - slope) <= 0.3 * slope, f"grows by {got}/s, not {slope}")
    check(memory["growth_confidence"] >= 0.99, f"confidence {memory['growth_confidence']}")
    check_equal("the limit's kind", memory["limit_kind"], limit)
    left = (memory["limit_bytes"] - memory["limit_used_bytes"]) / got
    check(abs(memory["seconds_to_limit"] - left) < 0.01 * left + 1,
          f"{memory['seconds_to_limit']} s left, not {left}")


@case()
def a_leak_meets_its_limit():
    """First the machine's memory, then its cgroup's limit."""
    need_root()
    limit = 4 << 30
    w = Workload("ledger", "grows", cwd=scratch())
    with MemoryCgroup() as group:
        for kind in ("machine", "cgroup"):
            if kind == "cgroup":
                group.set_limit(limit)
                group.add(w.pid)
            else:
                w.work()
            watch = Watch(w.pid)
            begun, rss = time.monotonic(), rss_of(w.pid)
            time.sleep(3)
            slope = (rss_of(w.pid) - rss) / (time.monotonic() - begun)
            memory = watch.finish().data["memory"]
            check_forecast(memory, slope, kind)
        check_equal("the limit", memory["limit_bytes"], limit)
        mine, = memory["cgroups"]
        check_equal("the cgroup", mine["path"], group.path)
        check_equal("its limit", mine["limit_bytes"], limit)
        check(0 < mine["usage_bytes"] <= memory["rss_bytes"], f"it uses {mine['usage_bytes']}")
        check(mine["pressure_of"] in ("cgroup", "machine", None), "no pressure")
        check_equal("kills", mine["oom_kills"], 0)
        w.proc.kill()
        w.proc.wait()


@case()
def several_targets():
    """The account of each, and of all together."""
    both = [Workload("ledger", kind, cwd=scratch()) for kind in ("anonymous", "small")]
    watch = Watch(",".join(str(w.pid) for w in both))
    wants = [w.work()["bytes"] for w in both]
    rss = [smaps_rss(w.pid) for w in both]
    memory = watch.finish().data["memory"]
    for w in both:
        w.quit()
    check_equal("RSS of all", memory["rss_bytes"], sum(rss))
    check_equal("the sum", sum(a["bytes"] for a in memory["account"]), sum(rss))
    check_equal("processes", [p["pid"] for p in memory["processes"]], [w.pid for w in both])
    for process, line, want, all_of_it in zip(
            memory["processes"], ("anonymous mappings", "live"), wants, rss):
        lines = {a["kind"]: a["bytes"] for a in process["account"]}
        check_equal("its lines' sum", sum(lines.values()), process["rss_bytes"])
        check_equal("its RSS", process["rss_bytes"], all_of_it)
        check(abs(lines[line] - want) <= 0.02 * want, f"{line}: {lines[line]}, not {want}")


if __name__ == "__main__":
    main()
