#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Go programs: what is read of their runtime from outside against what they say themselves.

server.go (tests/workloads/go), by every toolchain that is there, answers with its
own runtime.ReadMemStats; a stripped program of the distribution publishes its figures.
"""

import glob
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

PROGRAMS = sorted(path for kind in ("default", "small", "pie")
                  for path in glob.glob(os.path.join(BUILD, "go", "*", "server-" + kind)))
# What reading them itself changes: the world stops, which makes a new record of
# statistics and may shrink a stack; and what the scavenger does meanwhile.
SLACK = {"HeapAlloc": 64, "TotalAlloc": 64, "Mallocs": 2, "Frees": 2, "HeapObjects": 2,
         "HeapInuse": 64 << 10, "HeapIdle": 64 << 10, "StackInuse": 64 << 10,
         "StackSys": 64 << 10, "HeapSys": 64 << 10}
RECORDS = 256 << 10     # the runtime gets memory for its own by so much at once
STEPS = ("gc", "keep 1009 100", "nodes 5003", "keep 53 100000", "churn 100003 64", "gogc 50",
         "drop", "free", "limit 200000000", "churn 3001 5000")


class Server:
    def __init__(self, path, **kwargs):
        self.proc = spawn([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **kwargs)

    def tell(self, command):
        self.proc.stdin.write(command.encode() + b"\n")
        self.proc.stdin.flush()
        return self.proc.stdout.readline().decode()

    def mem(self):
        pairs = (word.split("=") for word in self.tell("mem").split() if "=" in word)
        return {name: float(value) for name, value in pairs}


def report(pid, *options, status=0):
    out = heapsonde("report", "-p", pid, "-d", "0.05", "--json", *options)
    check_equal(f"status ({out.stderr.strip()[:300]})", out.returncode, status)
    return json.loads(out.stdout)


def check_same(step, ours, own):
    for name, want in own.items():
        if name in ("GCSys", "OtherSys", "HeapReleased", "Sys"):
            continue
        check(abs(ours[name] - want) <= SLACK.get(name, 1e-8 * abs(want)),
              f"after '{step}': {name} is {ours[name]}, the program says {want:.15g}")
    for a, b in (("GCSys", "OtherSys"), ("HeapIdle", "HeapInuse")):
        check(abs(ours[a] + ours[b] - own[a] - own[b]) <= RECORDS,
              f"after '{step}': {a} + {b} is {ours[a] + ours[b]}, not {own[a] + own[b]}")
    check(abs(ours["HeapReleased"] - own["HeapReleased"]) <= RECORDS,
          f"after '{step}': HeapReleased is {ours['HeapReleased']}, not {own['HeapReleased']}")


def equals_memstats(path, steps):
    server = Server(path)
    for step in steps:
        server.tell(step)
        shown_json = report(server.proc.pid)
        check_equal("mode", shown_json["mode"], "sampled")
        runtime, own = shown_json["runtime"], server.mem()
        check_equal("language", runtime["language"], "go")
        check_same(step, runtime, own)
    check(len(own) > 20, f"the program says only {own}")
    remark(f"{runtime['version']}, {len(own)} figures x {len(steps)}")
    return runtime


def whole_sequence(path):
    runtime = equals_memstats(path, STEPS)
    check_equal("GOGC", runtime["GOGC"], 50)
    check_equal("MemoryLimit", runtime["MemoryLimit"], 200000000)


def few_steps(path):
    runtime = equals_memstats(path, ("keep 1009 100", "gc"))
    check_equal("GOGC", runtime["GOGC"], 100)
    check_equal("MemoryLimit", runtime["MemoryLimit"], None)


@case()
def programs_are_there():
    if not PROGRAMS:
        raise Skip("no Go program: make fetch-targets go-programs")


for program in PROGRAMS:
    toolchain, kind = program.split(os.sep)[-2:]
    add_case(f"memstats_{toolchain}_{kind[7:]}",
             whole_sequence if kind == "server-default" else few_steps, program)


def any_program():
    if not PROGRAMS:
        raise Skip("no Go program: make fetch-targets go-programs")
    return PROGRAMS[0]


def stripped():
    paths = [path for path in PROGRAMS if path.endswith("server-small")]
    if not paths:
        raise Skip("no Go program: make fetch-targets go-programs")
    return paths


def newest(paths):
    return max(paths, key=lambda path: [int(n) for n in re.findall(r"1\.(\d+)/", path)] or [0])


def with_version(path, version):
    """A copy whose build info says that another Go made it; it must not be longer."""
    data, copy = bytearray(open(path, "rb").read()), scratch("server")
    at = data.index(b"\xff Go buildinf:") + 32
    check(data[at + 1:at + 5] == b"go1." and len(version) <= data[at], f"no version at {at}")
    data[at] = len(version)
    data[at + 1:at + 1 + len(version)] = version.encode()
    with open(copy, "wb") as f:
        f.write(data)
    os.chmod(copy, 0o755)
    return copy


def of_unknown_version(path, version):
    runtime = equals_memstats(with_version(path, version), ("keep 1009 100", "gc"))
    check_equal("version", runtime["version"], version)


for version in ("go1.28", "go1.99", "nothing"):
    add_case(f"neighbours_of_{version}_are_tried",
             lambda version=version: of_unknown_version(newest(stripped()), version))
# Between two that are known: it has the layout of the older.
add_case("neighbours_of_go1.20_are_tried",
         lambda: of_unknown_version(next(path for path in stripped() if "system" in path),
                                    "go1.20"))


def refused(path, version):
    server = Server(path)
    server.tell("keep 1009 100")
    out = heapsonde("report", "-p", server.proc.pid, "-d", "0.05", "--json")
    check_equal("status", out.returncode, 1)
    check_equal("lines", len(out.stderr.strip().splitlines()), 1)
    for part in (f"a Go program ({version}", "laid out as no version that is known"):
        check(part in out.stderr, f"'{part}' is not said: {out.stderr}")
    # What the kernel knows of it is shown all the same, if that is what is asked for.
    out = heapsonde("report", "-p", server.proc.pid, "-d", "0.05", "--json", "--mode", "growth")
    check_equal("status at the level growth", out.returncode, 0)
    check_equal("runtime", json.loads(out.stdout)["runtime"], None)
    check("laid out as no version that is known" in out.stderr, out.stderr)
    check_equal("it lives on", server.tell("gc").strip(), "ok")
    wait_unprobed(server.proc.pid)


@case()
def a_version_that_lies_is_refused():
    refused(with_version(newest(stripped()), "go1.19"), "go1.19")


def odd(kind):
    """A program whose runtime has fields that no version of Go has."""
    paths = glob.glob(os.path.join(BUILD, "go", "*", kind))
    if not paths:
        raise Skip("no Go program: make fetch-targets go-programs")
    return paths[0]


@case()
def a_layout_that_nobody_knows_is_refused():
    refused(odd("server-odd-small"), "go1.")


@case()
def its_own_debug_data_tells_it():
    equals_memstats(odd("server-odd"), ("keep 1009 100", "gc"))


@case()
def samples_are_no_line_of_the_account():
    """Of a heap that is sampled, the few blocks that are known are not what is live."""
    for mode, known in ("auto", False), ("exact", True):
        server = Server(any_program())
        watch = Watch(server.proc.pid, mode=mode)
        server.tell("nodes 300000")
        memory = watch.finish().data["memory"]
        live = check_account(memory).get("live", 0)
        check(live >= 0.9 * 48 * 300000 if known else live == 0,
              f"{live} bytes live in mode {mode}: {memory['account']}")


@case()
def recorded_and_told_in_words():
    server, file = Server(any_program()), scratch("go.heapsonde")
    server.tell("keep 107 100000")
    server.tell("gc")
    out = heapsonde("record", "-p", server.proc.pid, "-d", "0.3", "-i", "0.1", "-o", file)
    check_equal(f"status ({out.stderr})", out.returncode, 0)
    own = server.mem()
    recorded = json.loads(heapsonde("report", file, "--json").stdout)["runtime"]
    check_same("gc", recorded, own)
    words = heapsonde("report", file).stdout
    for part in ("The Go runtime (go1.", "HeapAlloc", "by GOGC=100, no memory limit",
                 "live when the last collection ended", "GOGC=50 would collect at about"):
        check(part in words, f"'{part}' is not in the report:\n{words}")


# Each step, and the kind of event that it must be told as.
EVENTS = (("keep 400 100000", "go_heap_growth"), ("gc", "gc"), ("gogc 50", "go_gogc"), ("drop", None),
          ("free", "free_os_memory"), ("keep 300 100000", "go_heap_growth"),
          ("limit 200000000", "go_memory_limit"))


@case()
def what_the_collector_did_is_told():
    server, file = Server(any_program()), scratch("go.heapsonde")
    recorder = spawn([TOOL, "record", "-p", server.proc.pid, "-i", "0.2", "-o", file],
                     stderr=subprocess.PIPE)
    while b"Ctrl-C" not in recorder.stderr.readline():
        check(recorder.poll() is None, "it ended early")
    before = server.mem()
    for step, _ in EVENTS:
        server.tell(step)
        time.sleep(1 * PATIENCE)        # so that no two steps are between the same readings
    after = server.mem()
    recorder.send_signal(signal.SIGINT)
    check_equal("status", recorder.wait(), 0)
    told = json.loads(heapsonde("report", file, "--json").stdout)["reclaim"]
    for step, kind in EVENTS:
        check(not kind or any(e["kind"] == kind for e in told), f"'{step}': no {kind} in {told}")
    check_equal("GOGC", [e["detail"] for e in told if e["kind"] == "go_gogc"], ["from 100 to 50"])
    freed = [e for e in told if e["kind"] == "free_os_memory"]
    check(len(freed) == 1 and freed[0]["bytes"] > 35e6, f"freed: {freed}")
    collections = [e for e in told if e["kind"] == "gc"]
    check(all("stopped the world for" in e["detail"] for e in collections), f"{collections}")
    check_equal("forced collections", sum("forced" in e["detail"] for e in collections),
                after["NumForcedGC"] - before["NumForcedGC"])
    words = heapsonde("report", file).stdout
    check(re.search(r"FreeOSMemory at \S+ s gave back \S+ MiB; \S+ MiB were taken again within",
                    words), words)


OOM_LIMIT = 96 << 20


@case(timeout=90)
def the_books_at_an_oom_kill_are_kept():
    """A server leaks until its cgroup is full; what it says of itself dies with it."""
    file = scratch("go.heapsonde")
    with MemoryCgroup() as group:
        group.set_limit(OOM_LIMIT)
        server = Server(any_program(), preexec_fn=lambda: group.add(os.getpid()))
        err = open(scratch("record.err"), "w+b")
        recorder = spawn([TOOL, "record", "-p", server.proc.pid, "-i", "0.2", "-o", file],
                         stderr=err)
        wait_until("it records", lambda: b"recording to" in open(err.name, "rb").read())
        try:
            while server.tell("keep 300 10007"):
                time.sleep(0.02)
        except BrokenPipeError:
            pass
        check_equal("how it ended", server.proc.wait(), -signal.SIGKILL)
        status = recorder.wait()
        check_equal(f"status ({open(err.name).read()})", status, 0)
    data = json.loads(heapsonde("report", file, "--json").stdout)
    check(data["targets"][0]["oom_killed"], f"{data['targets']}")
    runtime, top = data["runtime"], data["stacks"][0]
    check(runtime and runtime["HeapAlloc"] > 0.7 * OOM_LIMIT, f"the runtime was {runtime}")
    check_equal("who holds most", top["frames"][0]["function"], "main.keep")
    check(top["live_bytes"] > 0.5 * OOM_LIMIT, f"{top['live_bytes']} live bytes")


@case()
def a_process_that_becomes_go_is_told():
    """What only Go needs was not loaded for a shell."""
    shell = spawn(["sh", "-c", f"read line; exec {any_program()}"], stdin=subprocess.PIPE,
                  stdout=subprocess.PIPE)
    watch = spawn([TOOL, "report", "-p", shell.pid], stdin=subprocess.DEVNULL,
                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    check("watching" in text(watch.stderr.readline()), "it does not watch")
    shell.stdin.write(b"go\n")
    shell.stdin.flush()
    told = text(watch.stderr.readline())
    check("has become a Go program (go1." in told and "watch it anew" in told, told)
    shell.stdin.close()
    check_equal("status of the program", shell.wait(), 0)
    check_equal("status of the report", watch.wait(), 0)


@case()
def watched_from_its_start():
    file = scratch("go.heapsonde")
    recorder = spawn([TOOL, "record", "-q", "-i", "0.1", "-o", file, "--", any_program()],
                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    recorder.stdin.write(b"keep 109 100000\n")
    recorder.stdin.flush()
    recorder.stdout.readline()
    time.sleep(0.5)
    recorder.stdin.close()
    check_equal("status", recorder.wait(20), 0)
    runtime = json.loads(heapsonde("report", file, "--json").stdout)["runtime"]
    check(runtime and runtime["HeapAlloc"] >= 10900000, f"the runtime is {runtime}")


main()
