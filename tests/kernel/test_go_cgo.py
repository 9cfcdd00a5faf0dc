#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Go programs with a C heap: both books in one report, stacks whole in both directions.

cgo.go (tests/workloads/go) is stripped of all: C is walked by .eh_frame, Go by the
table that its own runtime unwinds by, from C to the Go code that called it, from Go to
the C code that called back, down to the goroutine's or the thread's beginning.
"""

import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

PROGRAMS = sorted(glob.glob(os.path.join(BUILD, "go", "*", "cgo-small")))

# What keeps blocks, leaf first, but for the runtime's own frames and C without names.
IN_C = ["main._Cfunc_keep_in_c", "main.keepInC", "main.do", "main.main"]
CALLED_BACK = ["main._Cfunc_keep_in_c", "main.inCallback", "main.goCallback",
               "_cgoexp_goCallback", "crosscall2", "goCallback"]
BY_CALLBACK = CALLED_BACK + ["main._Cfunc_call_back", "main.keepByCallback", "main.do", "main.main"]
BY_THREAD = CALLED_BACK + ["start_thread", "clone3"]
TO_GO = ["main.keepInGo", "main.goCallback", "_cgoexp_goCallback", "crosscall2", "goCallback"]
# What Go keeps, each object large enough to be a sample for itself.
SLICES = 8
GO_WORK = (("go", 53, 100000, ["main.keepInGo", "main.do", "main.main"]),
           ("gocallback", 59, 120000,
            TO_GO + ["main._Cfunc_call_back", "main.keepByCallback", "main.do", "main.main"]),
           ("gothread", 61, 140000, TO_GO + ["start_thread", "clone3"]))
WORK = (("c", 101, 1000, IN_C), ("callback", 103, 2000, BY_CALLBACK),
        ("thread", 107, 3000, BY_THREAD))


class Program:
    def __init__(self, path):
        self.proc = spawn([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.proc.pid
        self.tell("mem")

    def tell(self, command):
        self.proc.stdin.write(command.encode() + b"\n")
        self.proc.stdin.flush()
        return self.proc.stdout.readline().decode()

    def mem(self):
        return {name: int(value) for name, value in
                (word.split("=") for word in self.tell("mem").split() if "=" in word)}


def own_frames(stack):
    names = [f["function"] or "" for f in stack["frames"]]
    names = [re.sub("^_cgoexp_[0-9a-f]+_", "_cgoexp_", n) for n in names]
    return [n for n in names if n and not n.startswith("runtime.")]


def leaf(stack):
    return (own_frames(stack) or [""])[0]


def check_stack(stack, command, want):
    names = [f["function"] or "" for f in stack["frames"]]
    check_equal(f"{command}: status", stack["status"], "complete")
    check_equal(f"{command}: frames", [re.sub("^__clone$", "clone3", n) for n in own_frames(stack)],
                want)
    crossings = {"callback": 2, "go": 0, "gothread": 0}.get(command, 1)
    check_equal(f"{command}: calls of C", names.count("runtime.asmcgocall"), crossings)
    if "thread" not in command:
        check_equal(f"{command}: the stack's bottom", names[-1], "runtime.goexit")


def both_heaps(path):
    program = Program(path)
    watch = Watch(program.pid)
    for command, count, size, _ in WORK:
        program.tell(f"{command} {count} {size}")
    for command, count, size, _ in GO_WORK:
        program.tell(f"{command} {count} {size}")
    own = program.mem()
    report = watch.finish()
    check_complete(report)
    for command, count, size, want in GO_WORK:
        # In whole pages, and append's own slices are in there too.
        stacks = [s for s in report.stacks if leaf(s) == "main.keepInGo"
                  and count * size <= s["live_bytes"] <= count * size * 1.1
                  and count <= s["live_count"] <= count + SLICES]
        check_equal(f"{command}: call paths that keep {count} objects", len(stacks), 1)
        check_stack(stacks[0], command, want)
    kept = {stack["live_count"]: stack for stack in report.stacks
            if stack["live_count"] > 100 and leaf(stack) != "main.keepInGo"}
    for command, count, size, want in WORK:
        check(count in kept, f"no stack keeps {count} blocks: {sorted(kept)}")
        check_equal(f"{command}: bytes", kept[count]["live_bytes"], count * size)
        check_stack(kept[count], command, want)
    check_equal("blocks that C keeps", sum(kept), own["c_blocks"])
    runtime = report.data["runtime"]
    # Answering mem allocates a little.
    check(abs(runtime["HeapAlloc"] - own["HeapAlloc"]) < 100000 and
          runtime["HeapAlloc"] > sum(count * size for _, count, size, _ in GO_WORK),
          f"HeapAlloc is {runtime['HeapAlloc']}, the program says {own['HeapAlloc']}")
    guessed = [s for s in report.stacks if s["status"] != "complete"]
    check(not guessed, f"{len(guessed)} stacks are not complete: {guessed[:1]}")


for path in PROGRAMS:
    add_case(f"both_heaps_{path.split(os.sep)[-2]}", both_heaps, path)


def newest():
    if not PROGRAMS:
        raise Skip("no Go program: make fetch-targets go-programs")
    return max(PROGRAMS, key=lambda path: [int(n) for n in re.findall(r"\d+", path)] or [0])


@case()
def the_report_says_what_c_holds():
    """Old blocks and new ones, and no block of Go's, which mode exact records too."""
    program = Program(newest())
    program.tell("c 5003 1000")
    file = scratch("go.heapsonde")
    recorder = spawn([TOOL, "record", "-p", program.pid, "--mode", "exact", "-o", file],
                     stderr=subprocess.PIPE)
    while b"Ctrl-C" not in recorder.stderr.readline():
        check(recorder.poll() is None, "it ended early")
    program.tell("c 3001 1000")
    program.tell("go 211 100000")
    own = program.mem()
    recorder.send_signal(signal.SIGINT)
    check_equal("status", recorder.wait(), 0)
    words = heapsonde("report", file).stdout
    line = re.search(r"([\d.]+) MiB C's heap \(cgo\)", words)
    check(line, words)
    told = float(line[1]) * (1 << 20)
    check(own["c_bytes"] * 0.98 < told < own["c_bytes"] + (2 << 20),
          f"{told:.0f} bytes, the program keeps {own['c_bytes']}")


@case()
def no_return_probe_is_planned():
    program = Program(newest())
    out = heapsonde("doctor", "-p", program.pid)
    lines = [line for line in out.stdout.splitlines() if re.match(r"    \w+ +\+\d", line)]
    for function in ("malloc", "calloc", "realloc", "posix_memalign", "mmap"):
        line = next((line for line in lines if line.split()[0] == function), "")
        check("its returns too, in a Go program" in line, f"{function}: '{line}'\n{out.stdout}")
    # What windows would know is nothing to tell where they cannot be.
    check("  auto        Go's heap by samples" in out.stdout, out.stdout)
    check("  windows  " not in out.stdout, out.stdout)


@case()
def windows_are_refused():
    """A window has one link, which returns and return instructions cannot share."""
    program = Program(newest())
    out = heapsonde("report", "-p", program.pid, "-d", "0.5", "--mode", "windows")
    check_equal("status", out.returncode, 1)
    check("--mode sampled" in out.stderr, f"no way out is told: {out.stderr}")
    wait_unprobed(program.pid)
    program.tell("mem")


@case(timeout=120)
def a_million_hits_while_stacks_move():
    """Goroutines' stacks are copied and shrunk all the while, threads come and go."""
    program = Program(newest())
    watch = Watch(program.pid)
    for _ in range(7):
        check_equal("answer", program.tell("churn 50000 100").strip(), "ok")
    own = program.mem()
    report = watch.finish()
    check_complete(report)
    check(report.data["cost"]["probe_hits"] >= 1000000, f"only {report.data['cost']}")
    in_c = [s for s in report.stacks
            if any(f["function"] == "main.descend" for f in s["frames"])]
    churned = sum(s["alloc_count"] for s in in_c)
    check(churned >= 350000, f"only {churned} blocks")
    check_equal("bytes that live in C", sum(s["live_bytes"] for s in in_c), own["c_bytes"])
    check_equal("it lives on", program.tell("c 1 1").strip(), "ok")
    wait_unprobed(program.pid)


@case(timeout=120)
def attached_and_detached_while_it_works():
    program = Program(newest())
    program.proc.stdin.write(b"churn 3000000 100\n")
    program.proc.stdin.flush()
    for _ in range(20):
        out = heapsonde("report", "-q", "-p", program.pid, "-d", "0.05", "--json",
                        "--mode", "exact")
        check_equal(f"status ({out.stderr})", out.returncode, 0)
    check_equal("it lives on", program.proc.poll(), None)
    wait_unprobed(program.pid)


@case()
def a_new_image_is_watched_as_well():
    program = Program(newest())
    watch = Watch(program.pid)
    program.tell("c 101 1000")
    program.tell("exec")
    program.tell("mem")         # answered by the new image
    # Probes are the file's, and stay; those of a thread that was not the first are set anew.
    wait_until("probes are set", lambda: len(changed_code(program.pid)) > 10)
    program.tell("c 103 1000")
    report = watch.finish()
    check(any(s["live_count"] == 103 for s in report.stacks), "the second image is not seen")


@case()
def programs_are_there():
    if not PROGRAMS:
        raise Skip("no Go program: make fetch-targets go-programs")


main()
