#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Recordings: moments, marks, what SQL and other commands make of them."""

import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403


class Server:
    """The leaking server of the demonstration, at work."""

    def __init__(self):
        self.proc = spawn([workload_path("leakserver")], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE)
        self.pid = int(re.search(rb"pid (\d+)", self.proc.stdout.readline()).group(1))


def record_server(path, seconds):
    """A recording of the leaking server."""
    out = heapsonde("record", "-q", "--mode", "exact", "-o", path, "-d", str(seconds),
                    "-i", "0.5", "-p", str(Server().pid))
    check_equal(f"status of record ({out.stderr})", out.returncode, 0)


def readme_queries():
    """Every sqlite3 command of the README, as it stands there."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        blocks = re.findall(r"^```\n(sqlite3 .*?)^```", f.read(), re.M | re.S)
    check(len(blocks) >= 3, f"only {len(blocks)} queries in the README")
    return blocks


@case()
def queries_of_the_readme():
    directory = scratch()
    record_server(os.path.join(directory, "app.heapsonde"), 4)
    answers = []
    for query in readme_queries():
        out = run(["bash", "-c", query], cwd=directory)
        check_equal(f"status of {query!r} ({out.stderr})", out.returncode, 0)
        answers.append(out.stdout)
    for answer in answers[:2]:
        check("remember_request < handle_request < serve" in answer,
              f"no leak in {answer}")
    check(re.search(r"leakserver\W+\d{5}", answers[2]), f"no leakserver in {answers[2]}")


class Record:
    """heapsonde record -p PID, running."""

    def __init__(self, pid, path, *options):
        self.path = path
        self.proc = spawn([TOOL, "record", "-q", "-p", str(pid), "-o", path, "--mode", "exact",
                           *options], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_until("the recorder listens", lambda: f"@heapsonde.record.{self.proc.pid}\n" in
                   open("/proc/net/unix", encoding="ascii", errors="replace").read())

    def finish(self):
        self.proc.send_signal(signal.SIGINT)
        err = text(self.proc.communicate()[1])
        check_equal(f"status of record ({err})", self.proc.returncode, 0)


def mark(*args):
    """heapsonde mark; the time it says."""
    out = heapsonde("mark", *map(str, args))
    check_equal(f"status of mark ({out.stderr})", out.returncode, 0)
    return float(re.search(r"mark '.*' set at ([0-9.]+) s", out.stderr).group(1))


def json_of(*args):
    out = heapsonde(*args)
    check_equal(f"status of {args[0]} ({out.stderr})", out.returncode, 0)
    return json.loads(out.stdout)


def fails(out, *words):
    """Status 1 and one line on stderr that has the words."""
    check_equal(f"status ({out.stderr})", out.returncode, 1)
    check_equal(f"lines in {out.stderr!r}", out.stderr.strip().count("\n") + 1, 1)
    missing = [w for w in words if str(w) not in out.stderr]
    check(not missing, f"{missing} not in {out.stderr!r}")


@case()
def marks_name_moments():
    """What happened between two marks is what diff shows, to the byte."""
    w = Workload("family")
    path = scratch("m.heapsonde")
    record = Record(w.pid, path, "-i", "5")
    wait_until("probes stand", lambda: len(changed_code(w.pid)) > 5)
    time.sleep(0.2)
    before = mark("before", "-p", record.proc.pid)
    books = w.work()
    time.sleep(0.2)
    after = mark("after", path)
    numbered = mark("-p", record.proc.pid)
    record.proc.send_signal(signal.SIGUSR1)
    time.sleep(0.2)
    record.finish()
    check(before < after < numbered, f"{before} {after} {numbered}")
    marks = json_of("report", path, "--json")["marks"]
    check_equal("marks", [m["name"] for m in marks], ["before", "after", "3", "4"])
    check(abs(marks[1]["t_s"] - after) < 0.001, f"{marks} and {after}")
    check_equal("bytes at the first mark",
                json_of("report", f"{path}@before", "--json")["totals"]["alloc_bytes"], 0)
    diff = json_of("diff", f"{path}@before", "@after", "--json", "--limit", "0")
    want = book_totals(books)
    for metric in SUMS:
        check_equal(f"{metric} between the marks", diff["totals"]["delta"][metric], want[metric])
    check_equal("live bytes of its rows", sum(s["delta"]["live_bytes"] for s in diff["stacks"]),
                want["live_bytes"])
    check(all(s["state"] == "new" for s in diff["stacks"]), f"states {diff['states']}")
    folded = heapsonde("diff", f"{path}@1", f"{path}@2", "--format", "folded").stdout
    columns = [line.rsplit(" ", 2) for line in folded.splitlines()]
    check_equal("old column", sum(int(c[1]) for c in columns), 0)
    check_equal("new column", sum(int(c[2]) for c in columns), want["live_bytes"])
    fails(heapsonde("report", f"{path}@never"), "never", "before, after, 3, 4")
    fails(heapsonde("report", f"{path}@1h"), "1h", "covers")


@case()
def marks_of_no_recorder():
    fails(heapsonde("mark", "x", "-p", "1"), "1", "heapsonde record")
    fails(heapsonde("mark", "x", scratch("nowhere.heapsonde")), "nowhere.heapsonde")


@case()
def marks_of_one_among_several():
    w = Workload("family")
    one, two = (Record(w.pid, scratch(f"{name}.heapsonde")) for name in ("one", "two"))
    fails(heapsonde("mark", "x"), "-p", "one.heapsonde", "two.heapsonde")
    mark("x", two.path)
    for record in (one, two):
        record.finish()
    check_equal("marks of one", json_of("report", one.path, "--json")["marks"], [])
    check_equal("marks of two", len(json_of("report", two.path, "--json")["marks"]), 1)


@case()
def strangers_set_no_marks():
    need_root()
    w = Workload("family")
    record = Record(w.pid, scratch("m.heapsonde"))
    name = b"\0heapsonde.record.%d" % record.proc.pid
    stranger = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    os.seteuid(65534)
    stranger.connect(name)
    os.seteuid(0)
    stranger.send(b"mark\0x")
    answer = stranger.recv(999)
    check(b"another user" in answer, f"the answer is {answer}")
    # Nor do they hold up others.
    silent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    silent.connect(name)
    mark("-p", record.proc.pid)
    silent.close()
    record.finish()


@case()
def diff_of_two_runs():
    """Two processes of one program: addresses differ, call paths do not."""
    paths = []
    for name in ("old", "new"):
        w = Workload("family")
        paths.append(scratch(f"{name}.heapsonde"))
        record = Record(w.pid, paths[-1])
        wait_until("probes stand", lambda w=w: len(changed_code(w.pid)) > 5)
        time.sleep(0.2)
        w.work()
        record.finish()
        w.quit()
    diff = json_of("diff", *paths, "--json")
    changed = {k: v for k, v in diff["states"].items() if k != "same"}
    check(not any(changed.values()), f"{diff['states']}, {diff['stacks'][:1]}")
    check(diff["states"]["same"] > 10, f"{diff['states']}")
    check("No call path changed" in heapsonde("diff", *paths).stdout, "text says otherwise")


@case()
def conditions_fail_a_run():
    path = scratch("c.heapsonde")
    program = [sys.executable, "-c", "x = bytes(50 << 20)"]
    out = heapsonde("record", "-q", "-o", path, "--fail-on", "peak>40MB", "--fail-on", "peak>1G",
                    "--", *program)
    fails(out, "peak>40MB", "MiB")
    out = heapsonde("record", "-q", "-o", path, "--fail-on", "peak>60MB", "--", *program)
    check_equal(f"status ({out.stderr})", out.returncode, 0)
    fails(heapsonde("report", path, "--fail-on", "alloc_bytes>=50MiB"), "alloc_bytes")
    out = heapsonde("report", path, "--fail-on", "allocated<50MB", "--fail-on", "lost>0")
    check_equal(f"status ({out.stderr})", out.returncode, 0)
    out = heapsonde("record", "-q", "-o", path, "--fail-on", "peak>1", "--",
                    sys.executable, "-c", "exit(7)")
    check_equal(f"status of the command ({out.stderr})", out.returncode, 7)


@case()
def leaks_are_found_as_they_grow():
    path = scratch("l.heapsonde")
    record_server(path, 4)
    fails(heapsonde("report", path, "--fail-on", "growth>1MB/h"), "growth>1MB/h", "MiB/h")
    fails(heapsonde("report", path, "--fail-on", "leaks>0"), "leaks>0")
    out = heapsonde("report", path, "--fail-on", "growth>1GB/s", "--fail-on", "live>1G")
    check_equal(f"status ({out.stderr})", out.returncode, 0)


def frames_of(report):
    """What each stack's frames are called, by the stack's identity."""
    keys = ("pc", "offset", "function", "raw", "module", "path", "build_id", "file", "line",
            "column", "inlined")
    return {(s["id"], s["kind"]): [tuple(f[k] for k in keys) for f in s["frames"]]
            for s in report["stacks"]}


@case()
def names_given_later_are_the_same():
    """One run recorded with names and without; symbolized, both say the same."""
    w = Workload("maps")
    named = Record(w.pid, scratch("named.heapsonde"))
    bare = Record(w.pid, scratch("bare.heapsonde"), "--no-symbolize")
    wait_until("probes stand", lambda: len(changed_code(w.pid)) > 5)
    time.sleep(0.3)
    w.work()
    named.finish()
    bare.finish()
    everything = ("--json", "--limit", "0")
    want = frames_of(json_of("report", named.path, *everything))
    before = frames_of(json_of("report", bare.path, *everything))
    names = [f[2] for frames in before.values() for f in frames]
    check(names and not any(names), f"named already: {[n for n in names if n][:3]}")
    out = heapsonde("symbolize", bare.path)
    check_equal(f"status of symbolize ({out.stderr})", out.returncode, 0)
    got = frames_of(json_of("report", bare.path, *everything))
    check(any(f[-1] for frames in want.values() for f in frames), "nothing is inlined here")
    check_equal("stacks", sorted(got), sorted(want))
    for key, frames in want.items():
        check_equal(f"frames of {key}", got[key], frames)


def run_elsewhere(directory):
    """The leaking server's code, stripped, in @directory; where its debug file is."""
    program = os.path.join(directory, "server")
    debug = os.path.join(directory, "debug")
    source = workload_path("leakserver")
    notes = run(["readelf", "-n", source]).stdout
    build_id = re.search(r"Build ID: ([0-9a-f]+)", notes).group(1)
    place = os.path.join(debug, ".build-id", build_id[:2])
    os.makedirs(place)
    for argv in (["objcopy", "--only-keep-debug", source,
                  os.path.join(place, build_id[2:] + ".debug")],
                 ["strip", "-o", program, source]):
        out = run(argv)
        check_equal(f"status of {argv[0]} ({out.stderr})", out.returncode, 0)
    return program, debug


@case()
def another_machine():
    """Without the binary a recording says the same; with its debug file it gets names."""
    program, debug = run_elsewhere(scratch())
    server = spawn([program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    pid = int(re.search(rb"pid (\d+)", server.stdout.readline()).group(1))
    record = Record(pid, scratch("r.heapsonde"))
    time.sleep(2)
    record.finish()
    server.kill()
    server.wait()
    there = heapsonde("report", record.path, "--json").stdout
    os.unlink(program)
    check_equal("the report elsewhere", heapsonde("report", record.path, "--json").stdout, there)
    check("remember_request" not in there, "named without symbols")
    out = heapsonde("symbolize", record.path)
    check_equal(f"status of symbolize ({out.stderr})", out.returncode, 0)
    check("--debug-dir" in out.stderr and "server (" in out.stderr, out.stderr)
    out = heapsonde("symbolize", record.path, "--debug-dir", debug)
    check_equal(f"status of symbolize ({out.stderr})", out.returncode, 0)
    chains = [[f["function"] for f in s["frames"]]
              for s in json_of("report", record.path, "--json")["stacks"]]
    check(["remember_request", "handle_request", "serve"] in [c[:3] for c in chains],
          f"call paths {chains}")
    lines = [f["line"] for s in json_of("report", record.path, "--json")["stacks"]
             for f in s["frames"] if f["function"] == "remember_request"]
    check(lines and all(lines), f"lines {lines}")


@case()
def symbolize_spares_what_is_not_its():
    path = scratch("r.heapsonde")
    fails(heapsonde("symbolize", path), path)
    with open(path, "w", encoding="ascii") as f:
        f.write("precious")
    fails(heapsonde("symbolize", path), "not a heapsonde recording")
    w = Workload("family")
    record = Record(w.pid, scratch("busy.heapsonde"), "-i", "0.2")
    time.sleep(0.6)
    fails(heapsonde("symbolize", record.path), "still being recorded")
    record.finish()


@case()
def full_disk_spares_the_command():
    """The command ends as it would; what was recorded until then stays."""
    need_root()
    mount = scratch("small")
    os.mkdir(mount)
    program = ("import time; x = [bytes(999) for i in range(9999)];"
               "[(x.pop(), x.extend(eval(f'[bytes({i})]')), time.sleep(0.01)) "
               "for i in range(300)]; print('done'); exit(9)")
    inner = ('mount -t tmpfs -o size=1500k none "$1" && '
             '"$2" record -i 0.02 -o "$1/a.heapsonde" -- "$3" -c "$4"; echo status $?; '
             '"$2" report "$1/a.heapsonde" --json >"$1/../report.json"')
    out = run(["unshare", "--mount", "sh", "-c", inner, "sh", mount, TOOL, sys.executable,
               program])
    check("done\nstatus 9\n" in out.stdout, f"it prints {out.stdout!r} {out.stderr!r}")
    check(os.strerror(28) in out.stderr, f"it says {out.stderr!r}")
    with open(scratch("report.json"), encoding="utf-8") as f:
        data = f.read()
    check(data, f"no report: {out.stderr!r}")
    report = json.loads(data)
    check(report["totals"]["live_count"] > 5000, f"{report['totals']}")


if __name__ == "__main__":
    main()
