#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: statuses, streams, files, and that all commands say the same."""

import contextlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

COMMANDS = ("top", "record", "report", "export", "symbolize", "mark", "diff", "doctor")

WRONG_USAGE = (
    (), ("nonsense",), ("--nonsense",), ("report",), ("record",), ("export",), ("top",),
    ("report", "-p"), ("report", "-p", "abc"), ("report", "-p", "1,x"), ("report", "-p", "0"),
    ("report", "-p", "-5"), ("report", "--nonsense", "-p", "1"),
    ("report", "-p", "1", "-d", "-1"), ("report", "-p", "1", "-d", "soon"),
    ("report", "-p", "1", "--mode", "psychic"), ("report", "-p", "1", "--max-depth", "0"),
    ("report", "-p", "1", "--max-depth", "513"), ("report", "-p", "1", "--ring-size", "many"),
    ("report", "-p", "1", "--min-size", "-1"), ("report", "-p", "1", "--sort", "beauty"),
    ("report", "file", "-p", "1"), ("report", "one", "two"),
    ("record", "-p", "1", "--", "true"), ("record", "--"),
    ("export", "file"), ("export", "file", "--format", "stone"),
    ("export", "file", "--format", "folded", "--metric", "beauty"),
    ("export", "file", "--format", "folded", "--metric", "oldest_live_s"),
    ("export", "file", "-p", "1", "--format", "folded"), ("export", "--format", "folded"),
    ("diff",), ("diff", "one"), ("diff", "a", "b", "c"), ("diff", "a", "b", "--format", "svgg"),
    ("mark", "30s"), ("mark", "a@b"), ("mark", "", "file"), ("mark", "a", "b", "c"),
    ("report", "file", "--fail-on", "live"), ("report", "file", "--fail-on", "beauty>1"),
    ("report", "file", "--fail-on", "live>1MB/s"), ("report", "file", "--fail-on", "growth>fast"),
    ("report", "file", "-o", ""), ("record", "-o", "", "--", "true"),
    ("symbolize",), ("symbolize", "a", "b"), ("doctor", "extra"), ("report", "-p", "1", "--attach", "glue"),
)


def record_family(path, *options):
    """A recording of the workload "family"; returns its books."""
    w = Workload("family")
    record = spawn([TOOL, "record", "-q", "-p", w.pid, "-o", path, "--mode", "exact", *options],
                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until("probes stand", lambda: len(changed_code(w.pid)) > 5)
    time.sleep(0.2)
    books = w.work()
    record.send_signal(signal.SIGINT)
    out, err = record.communicate()
    check_equal(f"status of record ({text(err)})", record.returncode, 0)
    check_equal("stdout of record", out, b"")
    check_equal("stderr of record -q", err, b"")
    return books


def report_json(path, *options):
    out = heapsonde("report", path, "--json", "--limit", "0", *options)
    check_equal(f"status of report ({out.stderr})", out.returncode, 0)
    return Report(json.loads(out.stdout))


def json_objects(text):
    """Those that stand in the text, one after the other."""
    objects, decoder = [], json.JSONDecoder()
    while text.strip():
        text = text.lstrip()
        found, end = decoder.raw_decode(text)
        objects.append(found)
        text = text[end:]
    return objects


def fails(out, *words):
    """Status 1 and one line on stderr that has the words."""
    check_equal(f"status ({out.stderr})", out.returncode, 1)
    check_equal(f"lines in {out.stderr!r}", out.stderr.strip().count("\n") + 1, 1)
    missing = [w for w in words if str(w) not in out.stderr]
    check(not missing, f"{missing} not in {out.stderr!r}")


# ---- usage ----

def wrong_usage(*args):
    out = heapsonde(*args)
    check_equal(f"status ({out.stderr})", out.returncode, 2)
    check_equal("stdout", out.stdout, "")
    check(out.stderr.strip(), "not a word on stderr")


for args in WRONG_USAGE:
    add_case("usage_" + ("_".join(args) or "nothing"), wrong_usage, *args)


@case()
def help_of_every_command():
    for args in (("--help",), ("-h",), *((c, "--help") for c in COMMANDS)):
        out = heapsonde(*args)
        check_equal(f"status of {args}", out.returncode, 0)
        check_equal(f"stderr of {args}", out.stderr, "")
        check("heapsonde" in out.stdout, f"{args} prints {out.stdout[:60]!r}")
    for command in COMMANDS:
        check(command in heapsonde("--help").stdout, f"--help does not name {command}")


@case()
def version():
    for args in (("--version",), ("--version", "-v")):
        out = heapsonde(*args)
        check_equal(f"status of {args}", out.returncode, 0)
        check(out.stdout.startswith("heapsonde "), f"{args} prints {out.stdout[:60]!r}")
        check_equal("stderr", out.stderr, "")


# ---- commands say the same ----

FIELDS = {
    "": ("heapsonde", "schema", "targets", "duration_s", "mode", "sample_bytes", "stack_mode",
         "totals", "loss", "stacks", "reclaim", "memory", "runtime", "timeline", "unwind", "cost"),
    "totals": (*SUMS, "temporary_count", "peak_live_bytes", "growth_bytes_per_s",
               "growth_confidence", "oldest_live_s", "unknown_free_count",
               "failed_alloc_count", "ignored_count"),
    "loss": ("dropped_events", "dropped_stacks", "untracked_allocs", "missed_probes", "complete"),
    "memory": ("rss_bytes", "pss_bytes", "anon_bytes", "file_bytes", "shmem_bytes", "swap_bytes",
               "page_tables_bytes", "limit_bytes", "limit_kind", "growth_bytes_per_s",
               "seconds_to_limit", "account"),
    "unwind": ("complete", "truncated", "guessed", "failed"),
    "cost": ("probe_hits", "probe_ns_per_hit", "target_cpu_share", "own_cpu_s", "own_rss_bytes"),
}


@case()
def json_has_every_field():
    w = Workload("family")
    watch = Watch(w.pid)
    w.work()
    time.sleep(1.2)             # a point or two of the timeline
    data = watch.finish().data
    for part, names in FIELDS.items():
        have = data[part] if part else data
        missing = [n for n in names if n not in have]
        check(not missing, f"{part or 'the object'} has no {missing}")
    check_equal("schema", data["schema"], 1)
    check_equal("mode", data["mode"], "exact")
    check_equal("sample_bytes", data["sample_bytes"], None)
    stack = data["stacks"][0]
    missing = [n for n in ("id", *SUMS, "kind", "status", "frames") if n not in stack]
    missing += [n for n in ("pc", "function", "module", "build_id", "offset", "file", "line",
                            "inlined") if n not in stack["frames"][0]]
    check(not missing, f"a stack has no {missing}")
    check(data["timeline"], "no timeline")
    missing = [n for n in ("t_s", "live_bytes", "rss_bytes", "alloc_bytes", "free_bytes")
               if n not in data["timeline"][0]]
    check(not missing, f"the timeline has no {missing}")
    check_equal("live_bytes at the end of the timeline", data["timeline"][-1]["live_bytes"],
                data["totals"]["live_bytes"])
    memory = data["memory"]
    check(memory["rss_bytes"] > 1 << 20, f"rss_bytes is {memory['rss_bytes']}")
    check_equal("the account's sum", sum(a["bytes"] for a in memory["account"]),
                memory["rss_bytes"])


@case()
def recording_equals_live():
    """Both watch the same work; what each says of it must be the same."""
    w = Workload("family")
    path = scratch("a.heapsonde")
    watch = Watch(w.pid)
    record = spawn([TOOL, "record", "-q", "-p", w.pid, "-o", path, "--mode", "exact"],
                   stdin=subprocess.DEVNULL)
    # Its probes stand beside the other's and cannot be counted: it listens once they do.
    wait_until("the recorder listens", lambda: f"@heapsonde.record.{record.pid}\n" in
               open("/proc/net/unix", encoding="ascii", errors="replace").read())
    books = w.work()
    live = watch.finish()
    record.send_signal(signal.SIGINT)
    check_equal("status of record", record.wait(), 0)
    recorded = report_json(path)
    check_books(live, books)
    check_books(recorded, books)

    def rows(report):
        return sorted((s["kind"], s["status"], *(s[m] for m in SUMS), s["temporary_count"],
                       *(f"{f['module']}+{f['offset']}:{f['function']}" for f in s["frames"]))
                      for s in report.stacks)
    a, b = rows(live), rows(recorded)
    check_equal("number of stacks", len(b), len(a))
    check(a == b, f"differ: {[(x, y) for x, y in zip(a, b) if x != y][:1]}")
    check_equal("targets", [t["exe"] for t in recorded.data["targets"]],
                [t["exe"] for t in live.data["targets"]])
    check_equal("peak", recorded.totals["peak_live_bytes"], live.totals["peak_live_bytes"])


@case()
def folded_adds_up():
    path = scratch("a.heapsonde")
    record_family(path)
    totals = report_json(path).totals
    for metric in ("live_bytes", "live_count", "alloc_bytes", "alloc_count", "free_bytes"):
        out = heapsonde("export", path, "--format", "folded", "--metric", metric)
        check_equal(f"status ({out.stderr})", out.returncode, 0)
        lines = out.stdout.splitlines()
        bad = [line for line in lines if not re.fullmatch(r"family(;[^;]+)+ \d+", line)]
        check(not bad, f"not a folded stack: {bad[:1]}")
        check_equal(f"sum of {metric}", sum(int(line.rsplit(" ", 1)[1]) for line in lines),
                    totals[metric])
    roots = [line.split(";") for line in lines]
    check(any("main" in r and r.index("main") < len(r) - 1 for r in roots), "main is no root")


@case()
def default_metric_is_live_bytes():
    path = scratch("a.heapsonde")
    record_family(path)
    one = heapsonde("export", path, "--format", "folded").stdout
    two = heapsonde("export", path, "--format", "folded", "--metric", "live_bytes").stdout
    check(one and one == two, "the default is another metric")


@case()
def exported_json_is_the_report():
    path = scratch("a.heapsonde")
    record_family(path)
    out = heapsonde("export", path, "--format", "json")
    check_equal(f"status ({out.stderr})", out.returncode, 0)
    check(json.loads(out.stdout) == report_json(path).data, "export and report differ")


@case()
def limit_and_sort():
    path = scratch("a.heapsonde")
    record_family(path)
    everything = report_json(path)
    for metric in ("alloc_bytes", "alloc_count", "live_bytes"):
        some = report_json(path, "--limit", "3", "--sort", metric)
        check_equal("stacks", len(some.stacks), 3)
        want = sorted((s[metric] for s in everything.stacks), reverse=True)[:3]
        check_equal(f"largest {metric}", [s[metric] for s in some.stacks], want)
        check_equal("totals", some.totals, everything.totals)


@case()
def text_names_the_largest_site():
    path = scratch("a.heapsonde")
    books = record_family(path)
    out = heapsonde("report", path)
    check_equal("status", out.returncode, 0)
    largest = max(books["sites"], key=lambda s: s["live_bytes"])["site"]
    check(largest in out.stdout, f"{largest} is not in the text")
    long = [line for line in out.stdout.splitlines() if len(line) > 100]
    check(not long, f"wider than 100 columns: {long[:1]}")


@case()
def recording_is_a_database():
    path = scratch("a.heapsonde")
    record_family(path)
    with open(path, "rb") as f:
        check_equal("magic", f.read(16), b"SQLite format 3\0")
    left = [n for n in os.listdir(scratch()) if n.startswith("a.heapsonde") and n != "a.heapsonde"]
    check_equal("files left beside it", left, [])


@case()
def a_targets_name_cannot_drive_the_terminal():
    path = scratch("evil\x1b[31m\n")
    shutil.copy(workload_path("family"), path)
    w = Workload("family", argv=[path])
    watch = spawn([TOOL, "report", "-p", w.pid, "-d", "0.5"], stdin=subprocess.DEVNULL,
                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until("probes stand", lambda: changed_code(w.pid))
    w.work()
    out, err = watch.communicate()
    check_equal(f"status ({text(err)})", watch.returncode, 0)
    check(b"evil" in out, "the target is not named")
    check(b"\x1b" not in out and b"\x1b" not in err, "an escape character came through")


# ---- record -- CMD ----

def record_command(*argv, options=(), **kwargs):
    return heapsonde("record", "-q", "-o", scratch("cmd.heapsonde"), *options, "--", *argv,
                     **kwargs)


@case()
def status_of_the_command():
    for want in (0, 1, 7, 42, 255):
        out = record_command("sh", "-c", f"echo out; echo err >&2; exit {want}",
                             options=["--force"])
        check_equal("status", out.returncode, want)
        check_equal("stdout", out.stdout, "out\n")
        check_equal("stderr", out.stderr, "err\n")


@case()
def status_of_a_signal():
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
        out = record_command("sh", "-c", f"kill -{int(number)} $$", options=["--force"])
        check_equal("status", out.returncode, 128 + number)
        check_equal("exited", report_json(scratch("cmd.heapsonde")).data["targets"][0]["exited"],
                    True)


@case()
def command_not_found():
    out = record_command("no-such-command-anywhere")
    check_equal("status", out.returncode, 127)
    check("no-such-command-anywhere" in out.stderr, f"stderr is {out.stderr!r}")
    check(not os.path.exists(scratch("cmd.heapsonde")), "a recording of nothing is left")


@case()
def command_not_executable():
    path = scratch("plain")
    with open(path, "w") as f:
        f.write("plain text\n")
    out = record_command(path)
    check_equal("status", out.returncode, 126)
    check(path in out.stderr, f"stderr is {out.stderr!r}")


@case()
def command_reads_stdin():
    with open(scratch("in"), "w") as f:
        f.write("some\nlines\n")
    with open(scratch("in")) as f:
        out = record_command("cat", stdin=f)
    check_equal("stdout", out.stdout, "some\nlines\n")


@case()
def command_inherits_no_descriptor():
    out = record_command("sh", "-c", "ls -l /proc/$$/fd")
    strange = [line for line in out.stdout.splitlines()
               if re.search("bpf|ring|heapsonde$|sqlite|pidfd", line)]
    check(not strange, f"inherited: {strange[:3]}")


@case()
def counts_from_the_first_allocation():
    out = record_command(workload_path("family"), stdin=subprocess.DEVNULL)
    check_equal("status", out.returncode, 0)
    books = json.loads(out.stdout.splitlines()[1])
    check_books(report_json(scratch("cmd.heapsonde")), books)


@case()
def interrupted_command():
    """Ctrl-C in a terminal reaches both; the recording is whole."""
    path = scratch("cmd.heapsonde")
    record = spawn([TOOL, "record", "-q", "-o", path, "--", "sleep", "30"],
                   stdin=subprocess.DEVNULL, start_new_session=True)
    time.sleep(1)
    os.killpg(record.pid, signal.SIGINT)
    check_equal("status", record.wait(), 128 + signal.SIGINT)
    report = report_json(path)
    check_equal("exited", report.data["targets"][0]["exited"], True)


# ---- files and streams ----

@case()
def record_spares_foreign_files():
    path = scratch("letter.txt")
    with open(path, "w") as f:
        f.write("dear heap\n")
    out = heapsonde("record", "-o", path, "--", "touch", scratch("ran"))
    fails(out, path, "--force")
    check_equal("the file", open(path).read(), "dear heap\n")
    check(not os.path.exists(scratch("ran")), "the command ran for nothing")
    out = heapsonde("record", "-q", "--force", "-o", path, "--", "true")
    check_equal(f"status with --force ({out.stderr})", out.returncode, 0)
    report_json(path)


@case()
def record_replaces_a_recording():
    path = scratch("a.heapsonde")
    for _ in range(2):
        out = heapsonde("record", "-q", "-o", path, "--", "true")
        check_equal(f"status ({out.stderr})", out.returncode, 0)


@case()
def export_spares_files():
    path, to = scratch("a.heapsonde"), scratch("letter.txt")
    record_family(path)
    with open(to, "w") as f:
        f.write("dear heap\n")
    fails(heapsonde("export", path, "--format", "folded", "-o", to), to, "--force")
    check_equal("the file", open(to).read(), "dear heap\n")
    out = heapsonde("export", path, "--format", "folded", "-o", to, "--force")
    check_equal(f"status with --force ({out.stderr})", out.returncode, 0)
    check("main;" in open(to).read(), "nothing was exported")


@case()
def missing_recording():
    for command in (("report",), ("export", "--format", "folded")):
        fails(heapsonde(*command, scratch("nothing.heapsonde")), "nothing.heapsonde")
    check(not os.path.exists(scratch("nothing.heapsonde")), "reading made a file")


@case()
def no_recording():
    for name, data in (("letter", b"dear heap\n"), ("empty", b""), ("noise", os.urandom(8192)),
                       ("half", b"SQLite format 3\0" + bytes(100))):
        with open(scratch(name), "wb") as f:
            f.write(data)
        fails(heapsonde("report", scratch(name)), name)
    fails(heapsonde("report", scratch()), scratch())


@case()
def recording_from_a_pipe():
    """A file that is redirected is as good as its name; a pipe is told to be one."""
    path = scratch("a.heapsonde")
    record_family(path)
    out = run(["sh", "-c", '"$1" report /dev/stdin < "$2"', "sh", TOOL, path])
    check_equal(f"status ({out.stderr})", out.returncode, 0)
    fails(run(["sh", "-c", 'cat "$2" | "$1" report /dev/stdin', "sh", TOOL, path]), "pipe")


@case(timeout=120)
def damaged_recording():
    """Cut off anywhere, or with bytes changed: a report or one clear line."""
    import random
    rng = random.Random(3)
    path = scratch("a.heapsonde")
    record_family(path)
    with open(path, "rb") as f:
        whole = f.read()
    for i in range(40):
        data = bytearray(whole)
        if i < 20:
            data = data[:len(whole) * i // 20]
        else:
            for _ in range(rng.choice((1, 10, 300))):
                data[rng.randrange(len(data))] = rng.randrange(256)
        with open(scratch("bad.heapsonde"), "wb") as f:
            f.write(data)
        out = heapsonde("report", scratch("bad.heapsonde"), "--json")
        check(out.returncode in (0, 1), f"status {out.returncode} of damage {i}: {out.stderr}")
        if out.returncode:
            fails(out, "bad.heapsonde")
        else:
            json.loads(out.stdout)


@case()
def killed_recorder_leaves_a_readable_file():
    w = Workload("family")
    path = scratch("a.heapsonde")
    record = spawn([TOOL, "record", "-q", "-p", w.pid, "-o", path, "-i", "0.2", "--mode", "exact"],
                   stdin=subprocess.DEVNULL)
    wait_until("probes stand", lambda: len(changed_code(w.pid)) > 5)
    time.sleep(0.3)
    books = w.work()
    time.sleep(1)
    record.kill()
    record.wait()
    report = report_json(path)
    check_equal("alloc_bytes", report.totals["alloc_bytes"], book_totals(books)["alloc_bytes"])


@case()
def closed_stdout():
    path = scratch("a.heapsonde")
    record_family(path)
    for options in ((), ("--json",)):
        out = run(["sh", "-c", '"$@" >&-', "sh", TOOL, "report", path, *options])
        fails(out)


@case()
def closed_streams_are_nobody_elses():
    """What is opened next must not be taken for them."""
    w = Workload("family")
    out = run(["sh", "-c", '"$@" >&- <&-', "sh", TOOL, "report", "-q", "-p", str(w.pid),
               "-d", "0.1"])
    fails(out, "standard output", os.strerror(9))
    books = scratch("books")
    out = run(["sh", "-c", '"$@" >&- <&- 2>&-', "sh", TOOL, "record", "-o",
               scratch("a.heapsonde"), "--", "sh", "-c", f'echo x; echo $? > {books}'])
    check_equal("status", out.returncode, 0)
    with open(books) as f:
        check(f.read() != "0\n", "the command has a stdout that it was not started with")
    report_json(scratch("a.heapsonde"))


@case()
def full_disk():
    path = scratch("a.heapsonde")
    record_family(path)
    with open("/dev/full", "w") as full:
        for args in (("report", path), ("report", path, "--json"),
                     ("export", path, "--format", "folded"),
                     ("export", path, "--format", "html"), ("--help",), ("--version",)):
            out = heapsonde(*args, stdout=full)
            check_equal(f"status of {args[0]}", out.returncode, 1)
            fails(out, os.strerror(28))


@case()
def full_disk_under_a_recording():
    need_root()
    mount = scratch("small")
    os.mkdir(mount)
    inner = ('mount -t tmpfs -o size=64k none "$1" && shift && '
             'dd if=/dev/zero of="$1/fill" bs=1k 2>/dev/null; '
             '"$2" record -o "$1/a.heapsonde" -- true; echo status $?')
    out = run(["unshare", "--mount", "sh", "-c", inner, "sh", mount, mount, TOOL])
    check("status 1" in out.stdout, f"it prints {out.stdout!r} {out.stderr!r}")
    check("/a.heapsonde'" in out.stderr, f"it names another file: {out.stderr!r}")
    check_equal(f"lines in {out.stderr!r}", out.stderr.strip().count("\n") + 1, 1)


@case()
def file_size_limit():
    """Told as a full disk is, and nothing half is left; a command's own limit stays deadly."""
    path = scratch("a.heapsonde")
    record_family(path)
    for args in (["export", path, "--format", "html", "-o"], ["record", "-o"]):
        more = [scratch("limited"), *(["--", "true"] if args[0] == "record" else [])]
        before = set(os.listdir(scratch()))
        out = run(["sh", "-c", 'ulimit -f 8; exec "$@"', "sh", TOOL, *args, *more])
        fails(out, "limited", os.strerror(27) if args[0] == "export" else "ulimit -f")
        check_equal("files", set(os.listdir(scratch())), before)
    grows = 'ulimit -f 1; exec dd if=/dev/zero of="$1" bs=4k count=1'
    out = heapsonde("record", "-o", scratch("b.heapsonde"), "--", "sh", "-c", grows, "sh",
                    scratch("grown"))
    check_equal("status of the command", out.returncode, 128 + signal.SIGXFSZ)


@case()
def broken_pipe():
    path = scratch("a.heapsonde")
    record_family(path)
    out = run(["sh", "-c", '"$1" report "$2" --json --limit 0 | head -c 1', "sh", TOOL, path])
    check_equal("stdout", out.stdout, "{")
    check(out.stderr.count("\n") <= 1, f"it says {out.stderr!r}")


@case()
def quiet_and_talk():
    w = Workload("family")
    quiet = heapsonde("report", "-q", "-p", w.pid, "-d", "0.2", "--json")
    check_equal("stderr of -q", quiet.stderr, "")
    json.loads(quiet.stdout)
    talk = heapsonde("report", "-p", w.pid, "-d", "0.2", "--json")
    json.loads(talk.stdout)


@case()
def progress_on_a_terminal():
    """How many seconds are over, until the report stands there; nothing of it for -q."""
    w = Workload("family")
    for options, shown in (((), True), (("-q",), False)):
        outside, inside = os.openpty()
        report = spawn([TOOL, "report", "-p", w.pid, "-d", "2.5", "-i", "0.2", "--json", *options],
                       stdout=subprocess.PIPE, stderr=inside)
        out, _ = report.communicate()
        os.close(inside)
        json.loads(out)
        os.set_blocking(outside, False)
        said = b""
        with contextlib.suppress(OSError):
            said = os.read(outside, 4096)
        os.close(outside)
        check_equal(f"progress in {said!r}", b"seconds watched: 2 of 3" in said, shown)
        check(not shown or said.endswith(b"\r\x1b[K"), f"it stays there: {said!r}")


# ---- doctor ----

@case()
def doctor():
    w = Workload("family")
    for args in ((), ("-p", w.pid)):
        out = heapsonde("doctor", *args)
        check_equal(f"status ({out.stderr})", out.returncode, 0)
        check(out.stdout.strip(), "doctor is silent")
        data = json.loads(heapsonde("doctor", *args, "--json").stdout)
        check(data, "the object is empty")
    check("malloc" in out.stdout, "doctor -p does not name malloc")
    check_equal("changed code", changed_code(w.pid), [])


@case()
def doctor_says_where_auto_begins():
    busy = spawn([workload_path("churn"), "-S", "60"], stdout=subprocess.DEVNULL)
    want = {busy.pid: "windows", spawn(["sleep", "60"]).pid: "exact"}
    wait_until("they are there", lambda: all(
        os.readlink(f"/proc/{pid}/exe").endswith(("churn", "sleep")) for pid in want))
    for pid, level in want.items():
        told = json.loads(heapsonde("doctor", "-p", pid, "--json").stdout)["targets"][0]
        check_equal("where it begins", (told["auto_begins"], told["no_windows_because"]),
                    (level, None))
        shown = heapsonde("doctor", "-p", pid).stdout
        check("few short windows" in shown if level == "windows" else "at rest" in shown, shown)


@case()
def doctor_of_a_dead_process():
    gone = spawn(["true"])
    gone.wait()
    out = heapsonde("doctor", "-p", gone.pid)
    check_equal("status", out.returncode, 1)
    check(f"no process has PID {gone.pid}" in out.stdout, f"it prints {out.stdout!r}")
    fails(out, f"no process has PID {gone.pid}")
    out = heapsonde("doctor", "-p", gone.pid, "--json")
    check_equal("status of --json", out.returncode, 1)
    check(str(gone.pid) in json.loads(out.stdout)["targets"][0]["error"], out.stdout)


@case()
def top_shows_the_site_and_its_bytes():
    """Plain refreshes when there is no terminal: each a head and a line per call path."""
    w = Workload("deep", "30")
    top = spawn([TOOL, "top", "-q", "-p", w.pid, "-d", "4"], stdout=subprocess.PIPE, text=True)
    first = top.stdout.readline()       # printed when all probes are set
    books = w.work()
    out = first + top.stdout.read()
    check_equal("status", top.wait(), 0)
    screens = out.split("heapsonde  ")[1:]
    check(len(screens) >= 2, f"{len(screens)} refreshes")
    check(books["sites"][0]["site"] in screens[-1], screens[-1])
    check("nothing lost" in screens[-1], screens[-1])


@case()
def top_in_json():
    """An object a refresh, as report's: live, and of a recording's moments."""
    w = Workload("deep", "30")
    top = spawn([TOOL, "top", "-q", "--json", "-n", "0", "--batch", "3", "-i", "0.3", "-p", w.pid],
                stdout=subprocess.PIPE, text=True)
    first = top.stdout.readline()       # printed when all probes are set
    books = w.work()
    objects = json_objects(first + top.stdout.read())
    check_equal("status", top.wait(), 0)
    check_equal("objects", len(objects), 3)
    check_books(Report(objects[-1]), books)
    path = scratch("a.heapsonde")
    record_family(path, "-i", "0.1")
    out = heapsonde("top", path, "--json", "--limit", "0")
    moments = json_objects(out.stdout)
    check(len(moments) > 1, f"{len(moments)} moments")
    check_equal("the last one", moments[-1], report_json(path).data)


@case()
def doctor_of_whom_it_tells_little():
    """Without privileges nothing is known of the kernel: null, not false."""
    need_root()
    w = Workload("family")
    out = run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", TOOL, "doctor",
               "-p", str(w.pid), "--json"])
    check_equal("status", out.returncode, 1)
    data = json.loads(out.stdout)
    check_equal("features", set(data["features"].values()), {None})
    check_equal("attach", (data["attach"], data["targets"][0]["auto_begins"]), (None, None))
    check(data["memory_limit_bytes"] > data["ring_bytes"] > 0, "no limits are told")
    check("CAP_BPF" in out.stderr, f"stderr is {out.stderr!r}")


if __name__ == "__main__":
    main()
