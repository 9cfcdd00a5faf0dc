# SPDX-License-Identifier: GPL-2.0-or-later
"""The screen on live processes: known numbers, ends of every kind, storms."""

import os
import re
import signal
import sqlite3
import subprocess
import time

from terminal import Terminal, compare
from harness import (Failure, TOOL, Workload, case, changed_code, check, check_equal,
                     heapsonde, main, need_root, scratch, spawn, wait_unprobed, wait_until)


def short_bytes(n):
    """As format_bytes_short() has it."""
    if n < 999.5:
        return f"{n:.0f}"
    for unit in "KMGT":
        n /= 1024
        if n < 999.5:
            return f"{n:.2f}{unit}" if n < 9.995 else \
                   f"{n:.1f}{unit}" if n < 99.95 else f"{n:.0f}{unit}"
    raise Failure("too large")


def watch(w, *options, **kwargs):
    need_root()
    t = Terminal("top", "-p", w if isinstance(w, str) else w.pid, "-i", "0.3", *options, **kwargs)
    t.wait_for("live", "lost")
    return t


def attached(w, *options, **kwargs):
    t = watch(w, *options, **kwargs)
    wait_until("the target is probed", lambda: changed_code(w.pid))
    t.wait_gone("attaching")
    return t


@case()
def live_numbers_are_those_of_the_books():
    w = Workload("deep", "30")
    t = attached(w, columns=120)
    books = w.work()
    site = next(s for s in books["sites"] if s["site"] == "site_deep")
    t.wait_for(site["site"], short_bytes(site["live_bytes"]))
    row = next(line for line in t.text().splitlines() if site["site"] in line)
    fields = row.split()
    check_equal("live", fields[0], short_bytes(site["live_bytes"]))
    check("nothing" in t.line(5), t.line(5))
    t.press("Enter")
    t.wait_for("frames, heap memory of deep", site["site"])
    t.wait_for("tests/workloads/deep.c:", "malloc(")
    t.quit()
    wait_unprobed(w.pid)


def books_of(books, **want):
    """Blocks and bytes of the shares for which all of want holds."""
    rows = [s for s in books["shares"] if all(test(s[k]) for k, test in want.items())]
    return sum(s["live_count"] for s in rows), sum(s["live_count"] * s["size"] for s in rows)


def site_lines(t):
    return [line for line in t.text().splitlines() if "site_shared" in line]


def expect_shares(t, *wanted):
    """Waits until the table's lines are these: (words, (blocks, bytes))."""
    want = sorted((short_bytes(bytes), str(blocks), words) for words, (blocks, bytes) in wanted)

    def as_wanted():
        lines = sorted(line for line in site_lines(t))
        return len(lines) == len(want) and all(
            any(line.split()[0] == live and all(w in line for w in words.split())
                and f" {short_count(int(blocks))} " in line for line in lines)
            for live, blocks, words in want)
    t.until(as_wanted, f"not these lines: {want}", timeout=20)


def short_count(n):
    """As format_count_short() has it."""
    return str(n) if n < 1000 else f"{n / 1000:.2f}k" if n < 9995 else f"{n / 1000:.1f}k"


def table(t, masked):
    """Its header and the lines of site_shared, without what time and chance decide."""
    lines = t.text().splitlines()
    header = next(line for line in lines if "who allocated" in line)
    start, saved = 0, []
    for line in [header] + site_lines(t):
        saved.append(list(re.sub(" ‹ .*", "", line)))
    for column in re.finditer(r"at peak|[^\s▼▲]+", header[:header.index("who allocated")]):
        for line in saved[1:]:
            if column.group() in masked:
                line[start:column.end()] = " " * (column.end() - start - 1) + "~"
        start = column.end()
    return "\n".join("".join(line) for line in saved)


BY_TIME = ("growth/s", "trend", "alloc/s", "oldest", "sure", "at peak")
BY_CHANCE = BY_TIME + ("live", "+-", "blocks", "temp", "mean", "alloc'd", "allocs", "freed", "frees")


@case()
def tables_are_as_saved():
    """A line for each thread, for each class, for both; and with intervals."""
    w = Workload("shares")
    t = attached(w, columns=140)
    books = w.work()
    expect_shares(t, ("worker-3 +2", books_of(books)))
    t.press("Space")
    compare("live-sites", table(t, BY_TIME))
    for name, lines in (("threads", 3), ("classes", 4), ("threads-classes", 12)):
        t.press("y")
        t.until(lambda n=lines: len(site_lines(t)) == n, f"not {lines} lines")
        compare(f"live-{name}", table(t, BY_TIME))
    t.press("y", "Space", "l")
    t.wait_for("mean bytes between samples")
    t.type("4K")
    t.wait_for("sampled 1 in 4.00K since")
    w.work()
    t.until(lambda: " +- " in t.text() and len(site_lines(t)) == 1, "no interval is shown")
    compare("live-sampled", table(t, BY_CHANCE))
    t.quit()


@case()
def shares_of_threads_and_sizes_are_those_of_the_books():
    w = Workload("shares")
    t = attached(w, columns=140)
    books = w.work()
    one = ("worker-1", "worker-2", "worker-3")
    expect_shares(t, ("worker-3 +2", books_of(books)))
    t.press("y")
    t.wait_for("a line for each thread")
    expect_shares(t, *((name, books_of(books, thread=name.__eq__)) for name in one))
    t.press("y")
    expect_shares(t, *((f" {name} site_shared", books_of(books, size=size.__eq__))
                       for name, size in (("32", 24), ("64", 64), ("1K", 1000), ("8K", 5000))))
    t.press("y")
    expect_shares(t, *((thread, books_of(books, thread=thread.__eq__, size=size.__eq__))
                       for thread in one for size in (24, 64, 1000, 5000)))
    t.press("y")
    for text, want in (("thread:worker-2", books_of(books, thread="worker-2".__eq__)),
                       ("size>64", books_of(books, size=lambda n: n > 64)),
                       ("size<64", books_of(books, size=lambda n: n <= 64)),
                       ("!thread:worker-[12]$ size<1K size>32",
                        books_of(books, thread="worker-3".__eq__,
                                 size=lambda n: 32 < n <= 1024))):
        t.press("/")
        t.type(text)
        t.wait_for(f"filter: {text}")
        expect_shares(t, ("", want))
    t.press("\\", "Enter")
    t.wait_for("threads worker-3", "worker-1", "blocks of up to 8K")
    books = w.work()
    t.press("S", "m", "d")
    t.wait_for("changes since mark")
    t.press("d", "/")
    t.type("thread:worker-1")
    expect_shares(t, ("", books_of(books, thread="worker-1".__eq__)))
    t.press("/")
    t.type("size>100")
    t.wait_for("power of two")
    t.quit()
    wait_unprobed(w.pid)


@case()
def a_recording_tells_threads_and_sizes_apart_at_its_end():
    need_root()
    w = Workload("shares")
    path = scratch("shares.heapsonde")
    record = spawn([TOOL, "record", "-p", w.pid, "-o", path, "-i", "0.3", "--mode", "exact"],
                   stderr=subprocess.PIPE)
    check(b"Ctrl-C" in record.stderr.readline(), "it does not say that it watches")
    books = w.work()
    record.send_signal(signal.SIGINT)
    check_equal("status", record.wait(timeout=30), 0)
    t = Terminal("top", path, columns=140)
    t.wait_for("site_shared")
    t.press("y")
    expect_shares(t, *((name, books_of(books, thread=name.__eq__))
                       for name in ("worker-1", "worker-2", "worker-3")))
    t.press("/")
    t.type("size>64 thread:worker-2")
    expect_shares(t, ("worker-2", books_of(books, thread="worker-2".__eq__,
                                           size=lambda n: n > 64)))
    t.quit()


@case(timeout=120)
def focus_comes_and_goes():
    """On demand, in windows: the leak is traced, its probes go again; elsewhere it says why not."""
    w = Workload("slowleak", "malloc", "200")
    t = attached(w, "--mode", "windows", "--max-overhead", "10", columns=140)
    w.say("go")
    t.wait_for("windows level", timeout=30)
    t.press("E", "f")
    t.wait_for("up to 5 call paths that look most like leaks", timeout=30)
    t.wait_for("focus: each allocation by", "leak_by_malloc", timeout=60)
    t.press("S")
    t.wait_for("windows level + focus ", "\u25c9 leak_by_malloc", timeout=30)
    t.press("E", "f")
    t.wait_for("focus: ended", timeout=30)
    t.press("S")
    t.wait_for("windows level  ", timeout=30)
    check("\u25c9" not in t.text(), "a path is marked yet:\n" + t.text())
    t.quit()
    wait_unprobed(w.pid)
    os.kill(w.pid, signal.SIGUSR1)
    w.line()
    check_equal("the workload's status", w.quit(), 0)


@case()
def focus_is_for_windows():
    t = attached(Workload("shares"))
    t.press("f")
    t.wait_for("focus is for what windows do not see")
    t.quit()


@case()
def level_changes_while_it_runs():
    """To samples and back: estimates, no phantom, exact again for what comes after."""
    w = Workload("shares")
    t = attached(w, columns=120)
    exact = books_of(w.work())
    expect_shares(t, ("", exact))
    t.press("l")
    t.wait_for("mean bytes between samples")
    t.type("4K")
    t.wait_for("sampled 1 in 4.00K since", "+-")
    books = [w.work() for _ in range(3)][-1]
    live = books_of(books)[1]

    def near():
        words = t.line(2).split()
        error = re.match(r"\+-([\d.]+)([KM])", words[words.index("in") - 1])
        shown = re.match(r"([\d.]+)([KM])", words[1])
        unit = {"K": 1 << 10, "M": 1 << 20}
        return abs(float(shown[1]) * unit[shown[2]] - live) < \
            2.5 * float(error[1]) * unit[error[2]]
    t.until(near, f"the estimate is not near {live}", timeout=20)
    t.press("l")
    t.wait_for("mean bytes between samples")
    t.type("1K")
    t.wait_for("sampled 1 in 1.00K since")
    t.press("l")
    t.type("exact")
    t.wait_for("exact level since", "stay unknown")
    w.say("free")
    w.line()
    t.until(lambda: t.line(2).split()[1] == "0", "something lives on", timeout=20)
    expect_shares(t, ("", books_of(w.work())))
    t.press("l")
    t.type("sometimes")
    t.wait_for("neither 'exact' nor a number")
    t.press("E")
    t.wait_for("level: sampled, after exact", "level: exact, after sampled")
    t.quit()
    wait_unprobed(w.pid)


@case()
def growth_level_does_not_rank_leaks():
    w = Workload("services", "leaky", "20", "20000")
    w.say("go")
    t = watch(w, "--mode", "growth", columns=100)
    t.wait_for("who touched it first, not who leaks", "resident")
    t.quit()


@case()
def target_that_dies_is_told_and_the_screen_stays():
    w = Workload("deep", "30")
    t = attached(w)
    w.work()
    os.kill(w.pid, signal.SIGKILL)
    w.proc.wait()
    t.wait_for("killed by signal 9", "ENDED", "site_deep")
    t.press("E")
    t.wait_for("killed by signal 9")
    t.press("S", "Down", "Up", "Enter")
    t.wait_for("frames, heap memory")
    t.quit()


@case()
def target_that_stops_and_goes_on_is_told():
    w = Workload("deep", "30")
    t = attached(w)
    os.kill(w.pid, signal.SIGSTOP)
    t.wait_for("(stopped)")
    t.press("T", "S")
    os.kill(w.pid, signal.SIGCONT)
    t.wait_gone("(stopped)")
    t.press("E")
    t.wait_for("stopped", "continued")
    t.quit()


@case()
def target_that_is_stopped_already_is_told():
    w = Workload("deep", "30")
    os.kill(w.pid, signal.SIGSTOP)
    t = attached(w)
    t.wait_for("(stopped)")
    t.press("E")
    t.wait_for("stopped")
    os.kill(w.pid, signal.SIGCONT)
    t.wait_for("continued")
    t.quit()


@case()
def target_that_execs_is_followed():
    w = Workload("execs")
    t = attached(w)
    w.say("go")
    t.press("E")
    t.wait_for("exec")
    t.quit()


def ends(name, how, status):
    def run_case():
        w = Workload("deep", "30")
        t = attached(w)
        how(t)
        check_equal("status", t.wait(), status)
        t.check_sane()
        wait_unprobed(w.pid)
        check(w.proc.poll() is None, "the target ended with it")
    run_case.__name__ = name
    case()(run_case)


ends("ends_by_q", lambda t: t.write("q"), 0)
ends("ends_by_ctrl_c", lambda t: t.write("\x03"), 0)
ends("ends_by_sigint", lambda t: t.signal(signal.SIGINT), 0)
ends("ends_by_sigterm", lambda t: t.signal(signal.SIGTERM), 0)
ends("ends_by_sighup", lambda t: t.signal(signal.SIGHUP), 0)
ends("ends_by_abort", lambda t: t.signal(signal.SIGABRT), -signal.SIGABRT)
ends("ends_by_a_bug", lambda t: t.signal(signal.SIGSEGV), -signal.SIGSEGV)
ends("ends_by_sigquit", lambda t: t.signal(signal.SIGQUIT), -signal.SIGQUIT)


@case()
def terminal_that_vanishes_ends_it():
    w = Workload("deep", "30")
    t = attached(w)
    t.press("w")
    t.type(scratch("kept.heapsonde"))
    t.wait_for("REC")
    t.hang_up()
    t.proc.wait(timeout=20)
    wait_unprobed(w.pid)
    out = heapsonde("report", scratch("kept.heapsonde"))
    check_equal("status of report", out.returncode, 0)


@case()
def suspended_and_continued():
    """By a shell with job control: nobody else may be stopped by Ctrl-Z."""
    need_root()
    w = Workload("deep", "30")
    t = Terminal("-mc", f"{TOOL} top -p {w.pid}; echo status $?; read line; fg >&2; echo end $?",
                 tool="/bin/bash")
    t.wait_for("F10Quit", "nothing")
    t.settle(0.1)
    t.write("\x1a")
    t.wait_for("status 148")
    t.check_sane()
    t.screen.reset()
    t.write("\n")
    t.wait_for("F10Quit", "nothing")
    t.settle()
    t.press("T")
    t.wait_for("callees below")
    t.write("q")
    t.wait_for("end 0")
    t.wait()
    t.check_sane()


@case()
def resize_storm():
    w = Workload("churn", "-r", "20000", "-S", "30", "-w")
    t = attached(w)
    w.say("go")
    sizes = [(24, 80), (5, 20), (60, 200), (12, 60), (1, 1), (11, 59), (40, 132), (2, 300)]
    for i in range(60):
        t.resize(*sizes[i % len(sizes)])
        t.write("SCTFLAR?E"[i % 9])
        t.pump(0.01)
    t.resize(10, 40)
    t.wait_for("is too small")
    t.resize(24, 80)
    t.press("S")
    t.wait_for("allocate_batch", "F10Quit")
    check_equal("rows", len(t.screen.display), 24)
    t.quit()


@case()
def paused_screen_holds_still():
    w = Workload("churn", "-r", "2000", "-S", "30", "-l", "2", "-w")
    t = attached(w)
    w.say("go")
    t.wait_for("allocate_batch")
    t.press("Space")
    t.wait_for("PAUSED")
    t.settle(0.1)
    before = t.text()
    time.sleep(1)
    t.settle(0.05, timeout=3)
    check_equal("the paused screen", t.text(), before)
    t.press("Space")
    t.wait_gone("PAUSED")
    wait_until("it goes on", lambda: t.pump(0.1) and t.text() != before)
    t.quit()


@case()
def recording_from_now_on():
    w = Workload("churn", "-r", "2000", "-S", "30", "-l", "2", "-w")
    path = scratch("now.heapsonde")
    t = attached(w)
    w.say("go")
    t.wait_for("allocate_batch")
    t.press("w")
    t.type(path)
    t.wait_for("REC")
    time.sleep(0.7)
    t.press("m")
    t.wait_for("mark 1 set")
    time.sleep(0.5)
    t.press("w")
    t.wait_for("recorded to")
    t.wait_gone("REC")
    out = heapsonde("report", path)
    check("allocate_batch" in out.stdout, out.stdout + out.stderr)
    moments = sqlite3.connect(path).execute("SELECT count(*) FROM snapshot").fetchone()[0]
    check(moments >= 3, f"{moments} moments")
    out = heapsonde("report", path + "@1")
    check_equal("status of a report of the mark", out.returncode, 0)
    t.press("w")
    t.type("/nowhere/at/all")
    t.wait_for("/nowhere/at/all")
    t.quit()


@case()
def several_targets_each_alone():
    a = Workload("deep", "30")
    b = Workload("churn", "-r", "2000", "-S", "30", "-l", "2", "-w")
    t = watch(f"{a.pid},{b.pid}")
    wait_until("both are probed", lambda: changed_code(a.pid) and changed_code(b.pid))
    a.work()
    b.say("go")
    t.wait_for("site_deep", "allocate_batch", f"deep {a.pid}", f"churn {b.pid}")
    t.press("Tab")
    t.wait_for(f"deep {a.pid}", "alone", "site_deep")
    t.wait_gone("allocate_batch")
    t.press("Tab")
    t.wait_for(f"churn {b.pid}", "allocate_batch")
    t.wait_gone("site_deep")
    t.press("Tab", "T")
    t.wait_for("deep", "churn", "allocate_batch")
    t.quit()


@case()
def interval_changes_while_it_runs():
    w = Workload("churn", "-r", "2000", "-S", "30", "-w")
    t = attached(w)
    t.press("u")
    t.type("5")
    t.wait_for("a refresh every 5 s")
    t.press("S")
    t.settle(1, timeout=8)
    t.press("u")
    t.type("0.1")
    wait_until("it is fast again", lambda: len([1 for _ in range(10) if t.pump(0.2)]) > 8)
    t.quit()


@case()
def duration_ends_it():
    w = Workload("deep", "30")
    t = watch(w, "-d", "1")
    check_equal("status", t.wait(), 0)
    t.check_sane()


@case()
def batch_prints_so_many_refreshes():
    need_root()
    w = Workload("churn", "-r", "2000", "-S", "30", "-l", "2", "-w")
    w.say("go")
    out = heapsonde("top", "-p", w.pid, "--batch", "3", "-i", "0.2", "-n", "1", "-s", "live_count")
    check_equal("status", out.returncode, 0)
    heads = re.findall(r"^heapsonde  .*level  pid %d churn$" % w.pid, out.stdout, re.M)
    check_equal("heads", len(heads), 3)
    check_equal("lines of the site", out.stdout.count("allocate_batch churn.c"), 3)
    check("\x1b" not in out.stdout, "escape sequences in plain text")


@case()
def batch_ends_with_its_target_and_with_its_reader():
    need_root()
    w = Workload("deep", "30")
    with open(scratch("out"), "wb") as f:
        top = spawn([TOOL, "top", "-q", "-p", w.pid, "-i", "0.2"], stdout=f)
        wait_until("all probes are set, and it was shown", lambda: os.path.getsize(f.name))
        w.quit()
        check_equal("status", top.wait(timeout=20), 0)
    with open(scratch("out")) as f:
        check("deep (" in f.read().split("\n\n")[-2], "its end is not told")
    w = Workload("deep", "30")
    top = spawn([TOOL, "top", "-p", w.pid, "-i", "0.1"], stdout=subprocess.PIPE,
                stderr=subprocess.PIPE)
    top.stdout.readline()
    top.stdout.close()
    check_equal("status without a reader", top.wait(timeout=20), 1)
    check(b"cannot write to standard output" in top.stderr.read(), "no word of why")


@case()
def terminals_that_cannot():
    need_root()
    w = Workload("deep", "30")
    for kwargs, words in (({"term": "dumb"}, "cannot place the cursor"),
                          ({"term": "no-such-terminal"}, "cannot place the cursor"),
                          ({"rows": 8, "columns": 40}, "top needs 12 of 60")):
        t = Terminal("top", "-p", w.pid, **kwargs)
        check_equal("status", t.wait(), 1)
        check(words in t.bytes.decode(errors="replace"), f"it says {t.bytes!r}")
        t.check_sane()


if __name__ == "__main__":
    main()
