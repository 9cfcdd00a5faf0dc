#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets of every kind, at every moment of their lives."""

import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

NOBODY = 65534


def refused(pid, *words, argv=(), status=1):
    """One clear line on stderr, nothing on stdout, the right status."""
    out = run([*argv, TOOL, "report", "-p", pid, "-d", "1", "--json"])
    check_equal("status", out.returncode, status)
    check_equal("stdout", out.stdout, "")
    lines = out.stderr.strip().split("\n")
    check_equal("lines on stderr", len(lines), 1)
    missing = [word for word in words if str(word) not in lines[0]]
    check(not missing, f"{missing} not in: {lines[0]}")
    return lines[0]


# ---- who cannot be watched ----

@case()
def no_such_process():
    gone = spawn(["true"])
    gone.wait()
    refused(gone.pid, gone.pid, "no process")


@case()
def itself():
    out = run(["sh", "-c", f'exec "{TOOL}" report -p $$ -d 1 --json'])
    check_equal("status", out.returncode, 1)
    check("itself" in out.stderr, f"stderr is {out.stderr!r}")


@case()
def zombie():
    child = spawn(["true"])
    wait_until("the child is a zombie",
               lambda: ") Z " in open(f"/proc/{child.pid}/stat").read())
    refused(child.pid, child.pid, "zombie")


def ending_in(seconds):
    """The PID of a process that lives so long, and whose parent, a shell, reaps it at once."""
    shell = spawn(["sh", "-c", 'sleep "$1" & echo $!; wait; exec sleep 60', "sh", seconds],
                  stdout=subprocess.PIPE)
    return int(shell.stdout.readline())


@case()
def ends_while_it_is_attached_to():
    """With single probes there is much time for that."""
    for seconds in ("0.1", "0.2", "0.3"):
        pid = ending_in(seconds)
        out = heapsonde("report", "-p", pid, "-d", "5", "--json", "--attach", "single")
        if out.returncode:
            check_equal("status", out.returncode, 1)
            check(str(pid) in out.stderr and "ended" in out.stderr, f"{out.stderr!r}")
            return
    raise Skip("its probes were set in less than 0.1 s")


@case()
def one_of_two_ends_while_it_is_attached_to():
    """The other is watched all the same."""
    w = Workload("family")
    for seconds in ("0.3", "0.5"):
        pid = ending_in(seconds)
        out = heapsonde("report", "-p", f"{pid},{w.pid}", "-d", "1", "--json", "--attach",
                        "single")
        check_equal(f"status ({out.stderr})", out.returncode, 0)
        targets = {t["pid"]: t for t in json.loads(out.stdout)["targets"]}
        check_equal("exited", (targets[pid]["exited"], targets[w.pid]["exited"]), (True, False))
        if "ended before" in out.stderr:
            return
    raise Skip("its probes were set in less than 0.3 s")


@case()
def kernel_thread():
    refused(2, "kernel thread")


@case()
def thread_of_a_process():
    w = Workload("threads", "churn")
    tid = max(int(t) for t in os.listdir(f"/proc/{w.pid}/task"))
    check(tid != w.pid, "the workload has no second thread")
    refused(tid, tid, w.pid)


@case()
def without_permission():
    need_root()
    tool = scratch("heapsonde")
    shutil.copy(TOOL, tool)
    w = Workload("family")
    argv = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    out = run([*argv, tool, "report", "-p", w.pid, "-d", "1", "--json"])
    check_equal("status", out.returncode, 1)
    check_equal("stdout", out.stdout, "")
    lines = out.stderr.strip().split("\n")
    check_equal("lines on stderr", len(lines), 1)
    check(re.search("permi|allow|root|CAP_", lines[0]), f"stderr is {lines[0]!r}")
    check_equal("changed code", changed_code(w.pid), [])


@case()
def nobodys_own_process_without_capabilities():
    """The process may be looked at, but BPF may not be used."""
    need_root()
    tool, target = scratch("heapsonde"), scratch("family")
    shutil.copy(TOOL, tool)
    shutil.copy(workload_path("family"), target)
    nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    w = Workload("family", argv=[*nobody, target])
    out = run([*nobody, tool, "report", "-p", w.pid, "-d", "1", "--json"])
    check_equal("status", out.returncode, 1)
    lines = out.stderr.strip().split("\n")
    check_equal("lines on stderr", len(lines), 1)
    check(re.search("root|CAP_BPF", lines[0]), f"stderr is {lines[0]!r}")


def tiny_program(bits):
    """A program that has nothing but a loop around pause(), in machine code."""
    if bits == 32:
        code = bytes.fromhex("b81d000000cd80ebf7")      # mov $29,%eax; int $0x80; jmp
        ident, machine, base, header, phent = 1, 3, 0x08048000, 52, 32
    else:
        code = bytes.fromhex("b8220000000f05ebf7")      # mov $34,%eax; syscall; jmp
        ident, machine, base, header, phent = 2, 62, 0x400000, 64, 56
    size = header + phent + len(code)
    entry = base + header + phent
    word = "I" if bits == 32 else "Q"
    elf = b"\x7fELF" + bytes([ident, 1, 1]) + bytes(9)
    elf += struct.pack(f"<HHI{word}{word}{word}IHHHHHH", 2, machine, 1, entry, header, 0, 0,
                       header, phent, 1, 0, 0, 0)
    if bits == 32:
        elf += struct.pack("<8I", 1, 0, base, base, size, size, 5, 4096)
    else:
        elf += struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 4096)
    path = scratch(f"tiny{bits}")
    with open(path, "wb") as f:
        f.write(elf + code)
    os.chmod(path, 0o755)
    return path


def start_tiny(bits):
    try:
        tiny = spawn([tiny_program(bits)])
    except OSError as e:
        raise Skip(f"this kernel runs no {bits}-bit programs ({e})") from None
    time.sleep(0.1)
    check(tiny.poll() is None, f"the {bits}-bit program ended, status {tiny.returncode}")
    return tiny


@case()
def program_of_32_bits():
    tiny = start_tiny(32)
    refused(tiny.pid, tiny.pid, "32-bit")
    check(tiny.poll() is None, "the target was harmed")


@case()
def program_without_an_allocator():
    tiny = start_tiny(64)
    refused(tiny.pid, tiny.pid)
    check(tiny.poll() is None, "the target was harmed")


# ---- ends and changes under watch ----

def ends_while_watched(end, *words):
    w = Workload("family")
    watch = Watch(w.pid)
    books = w.work()
    end(w)
    report = watch.wait()
    check_books(report, books)
    target = report.data["targets"][0]
    check_equal("exited", target["exited"], True)
    reason = target["exit_reason"] or ""
    check(all(word in reason for word in words), f"exit_reason is {reason!r}")


@case()
def exits_while_watched():
    ends_while_watched(Workload.quit, "0")


@case()
def killed_while_watched():
    ends_while_watched(lambda w: w.proc.kill(), "9")


@case()
def terminated_while_watched():
    ends_while_watched(lambda w: w.proc.terminate(), "15")


@case()
def one_of_two_ends():
    a, b = Workload("family"), Workload("failures", "refused")
    watch = Watch(f"{a.pid},{b.pid}")
    wait_until("the second target is probed", lambda: changed_code(b.pid))
    books = a.work()
    a.quit()
    time.sleep(0.3)
    check(watch.proc.poll() is None, "it does not watch the other one any more")
    more = b.work()
    b.quit()
    report = watch.wait()
    check_books(report, {"sites": books["sites"] + more["sites"]})
    check_equal("exited", [t["exited"] for t in report.data["targets"]], [True, True])


@case(timeout=120)
def exits_while_being_attached():
    """At any moment: a report or one clear line, and never a crash."""
    rng = random.Random(7)
    for _ in range(25):
        target = spawn(["sleep", f"{rng.uniform(0, 0.4):.3f}"])
        out = heapsonde("report", "-p", target.pid, "-d", "0.3", "--json", "--mode", "exact")
        target.wait()
        check(out.returncode in (0, 1), f"status {out.returncode}: {out.stderr}")
        if out.returncode == 0:
            json.loads(out.stdout)
        else:
            check_equal(f"lines in {out.stderr!r}", out.stderr.strip().count("\n"), 0)
            check(out.stderr.strip(), "it failed without a word")


@case(timeout=120)
def execs_while_being_attached():
    rng = random.Random(11)
    for _ in range(15):
        target = spawn(["sh", "-c", f"sleep {rng.uniform(0, 0.2):.3f}; exec sleep 1"])
        out = heapsonde("report", "-p", target.pid, "-d", "0.5", "--json", "--mode", "exact")
        check(out.returncode in (0, 1), f"status {out.returncode}: {out.stderr}")
        target.kill()
        target.wait()


@case()
def stopped_target():
    w = Workload("family")
    w.proc.send_signal(signal.SIGSTOP)
    watch = Watch(w.pid)
    w.proc.send_signal(signal.SIGCONT)
    books = w.work()
    w.proc.send_signal(signal.SIGSTOP)
    report = watch.finish()
    wait_unprobed(w.pid)
    w.proc.send_signal(signal.SIGCONT)
    check_books(report, books)


@case()
def duration_ends_it():
    w = Workload("family")
    begun = time.monotonic()
    out = heapsonde("report", "-p", w.pid, "-d", "0.7", "--json")
    took = time.monotonic() - begun
    check_equal("status", out.returncode, 0)
    check(took >= 0.7, f"it took {took:.2f} s")
    data = json.loads(out.stdout)
    check(0.6 < data["duration_s"] < took, f"duration_s is {data['duration_s']}")
    target = data["targets"][0]
    check_equal("pid", target["pid"], w.pid)
    check_equal("comm", target["comm"], "family")
    check_equal("exe", target["exe"], workload_path("family"))
    check_equal("exited", target["exited"], False)
    check_equal("exit_reason", target["exit_reason"], None)


# ---- other places ----

def child_of(proc):
    path = f"/proc/{proc.pid}/task/{proc.pid}/children"
    wait_until("the workload has started", lambda: open(path).read().strip())
    return int(open(path).read().split()[0])


@case()
def other_namespaces():
    need_root()
    w = Workload("family", argv=["unshare", "--mount", "--pid", "--fork", "--mount-proc",
                                 workload_path("family")])
    w.pid = child_of(w.proc)
    check_equal("PID inside", w.pid_inside, 1)
    watch = Watch(w.pid)
    books = w.work()
    report = watch.finish()
    check_books(report, books)
    check_equal("pid", report.data["targets"][0]["pid"], w.pid)


def make_root(*programs):
    """A root directory with copies of the programs and all that they load."""
    root = scratch("root")
    files = set()
    for program in programs:
        files.update(re.findall(r"(/\S+) \(0x", run(["ldd", program]).stdout))
        os.makedirs(root, exist_ok=True)
        shutil.copy(program, root)
    for path in files:
        os.makedirs(root + os.path.dirname(path), exist_ok=True)
        shutil.copy(path, root + path)
    return root


@case()
def own_root_directory():
    """Its C library has our C library's name and is another file."""
    need_root()
    root = make_root(workload_path("deep"))
    w = Workload("deep", argv=["chroot", root, "/deep", "7"])
    watch = Watch(w.pid)
    books = w.work()
    report = watch.finish()
    check_books(report, books, caller_is_leaf=False)


@case()
def library_replaced_on_disk():
    """What a package upgrade does: the mapped file has no name any more."""
    need_root()
    root = make_root(workload_path("deep"))
    w = Workload("deep", argv=["chroot", root, "/deep", "7"])
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            os.unlink(path)
            with open(path, "w") as f:
                f.write("not what was mapped\n")
    watch = Watch(w.pid)
    books = w.work()
    check_books(watch.finish(), books, caller_is_leaf=False)


@case()
def static_program():
    program = scratch("family-static")
    source = os.path.join(ROOT, "tests", "workloads", "family.c")
    out = run(["gcc", "-static", "-O1", "-g", "-D_GNU_SOURCE", "-fno-omit-frame-pointer",
               "-fno-builtin", "-fno-optimize-sibling-calls", "-o", program, source])
    if out.returncode:
        raise Skip("no static C library here")
    w = Workload("family", argv=[program])
    watch = Watch(w.pid)
    books = w.work()
    check_books(watch.finish(), books)


if __name__ == "__main__":
    main()
