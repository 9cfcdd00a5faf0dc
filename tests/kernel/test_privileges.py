#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Without root: three capabilities are enough, and each of them is needed."""

import os
import shutil
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

NEEDED = ("bpf", "perfmon", "sys_ptrace")
PT_DYNAMIC, DT_GNU_HASH = 2, 0x6ffffef5
GREED = 200 << 20


# What is left of root's, and what may be awake only while a file is written (base/privileges.h).
CAP_BITS = {"chown": 0, "dac_override": 1, "dac_read_search": 2, "fowner": 3, "kill": 5,
            "sys_ptrace": 19, "sys_nice": 23, "perfmon": 38, "bpf": 39, "checkpoint_restore": 40}
KEPT = (*NEEDED, "dac_read_search", "checkpoint_restore")
FILES = ("dac_override", "fowner", "chown")


def bits(*names):
    return sum(1 << CAP_BITS[name] for name in names)


def status_of(path):
    with open(f"{path}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def family_of(pid):
    """It, and what it forked to help it."""
    below = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as children:
            below += [int(child) for child in children.read().split()]
    return [pid, *(other for child in below for other in family_of(child))]


def find_in_family(pid, name):
    """The first of that name, as soon as there is one; its relatives come and go meanwhile."""
    def look():
        try:
            return next((member for member in family_of(pid)
                         if status_of(f"/proc/{member}")["Name"] == name), None)
        except OSError:
            return None
    return wait_until(f"{name} is there", look)


def threads_of(pid):
    return [f"/proc/{pid}/task/{task}" for task in os.listdir(f"/proc/{pid}/task")]


def await_few(pid, *also, **more):
    """check_few(), when threads that have just been made had their time."""
    def few():
        try:
            return check_few(pid, *also, **more) or True
        except (Failure, OSError):
            return False
    try:
        wait_until("power is given up", few)
    except Failure:
        check_few(pid, *also, **more)
        raise


def check_few(pid, *also, asleep=(), command=None):
    """No thread of it, nor of its helpers, has more than it should."""
    seen = 0
    for member in family_of(pid):
        for thread in [] if member == command else threads_of(member):
            status = status_of(thread)
            awake, most = int(status["CapEff"], 16), int(status["CapPrm"], 16)
            what = f"{status['Name']} ({thread})"
            allowed = bits(*KEPT, *also, *(["sys_nice"] if "keep" in status["Name"] else []))
            if "read" in status["Name"]:
                allowed = 0
            check_equal(f"what {what} has too much", awake & ~allowed, 0)
            check_equal(f"what {what} could have", most & ~allowed & ~bits(*asleep), 0)
            check_equal(f"what {what} would pass on", int(status["CapInh"], 16) |
                        int(status["CapAmb"], 16), 0)
            check_equal(f"what {what} could get",
                        int(status["CapBnd"], 16) & ~allowed & ~bits(*asleep), 0)
            check_equal(f"no_new_privs of {what}", status["NoNewPrivs"], "1")
            seen += 1
    check(seen >= 4, f"only {seen} threads")


def powers(*names):
    """What stands before a command that is to have these capabilities and no others."""
    which = ",".join(["-all", *("+" + name for name in names)])
    return ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
            "--bounding-set", which, "--inh-caps", which, "--ambient-caps", which]


def tool():
    """A copy that everybody can run."""
    copy = scratch("heapsonde")
    if not os.path.exists(copy):
        shutil.copy(TOOL, copy)
        os.chmod(copy, 0o755)
    return copy


def enough(name, *args):
    """Exact to the byte, with stacks and names, on a process of root's."""
    w = Workload(name, *args)
    watch = Watch(w.pid, tool=[*powers(*NEEDED), tool()])
    books = w.work()
    check_books(watch.finish(), books)
    wait_unprobed(w.pid)
    check_equal("the workload's status", w.quit(), 0)


add_case("three_are_enough", enough, "family")
add_case("three_are_enough_for_threads", enough, "threads")


@case()
def each_is_needed():
    """One line says what is not allowed and what would be."""
    w = Workload("family")
    for missing in NEEDED:
        have = [name for name in NEEDED if name != missing]
        out = run([*powers(*have), tool(), "report", "-p", w.pid, "-d", "0.2"])
        check_equal(f"status without {missing}", out.returncode, 1)
        check_equal(f"lines in {out.stderr!r}", out.stderr.count("\n"), 1)
        check("not allowed" in out.stderr and "run as root" in out.stderr and
              "CAP_SYS_PTRACE" in out.stderr, f"without {missing}: {out.stderr}")
        check_equal("code of the target", changed_code(w.pid), [])


@case()
def own_recording():
    """Whoever watches owns the recording, and nobody else can read it."""
    w = Workload("family")
    home = scratch("home")
    os.mkdir(home)
    os.chown(home, 65534, 65534)
    path = os.path.join(home, "own.heapsonde")
    out = run([*powers(*NEEDED), tool(), "record", "-q", "-p", w.pid, "-d", "0.3", "-o", path])
    check_equal(f"status ({out.stderr})", out.returncode, 0)
    state = os.stat(path)
    check_equal("owner", state.st_uid, 65534)
    check_equal("mode", state.st_mode & 0o777, 0o600)
    check_equal("the workload's status", w.quit(), 0)


def reduced(*options):
    """Root's own power is gone once it watches, in every thread and helper."""
    w = Workload("family")
    watch = Watch(w.pid, *options)
    await_few(watch.proc.pid)
    books = w.work()
    report = watch.finish()
    if not options:
        check_books(report, books)
    check_equal("the workload's status", w.quit(), 0)


add_case("root_gives_up_the_rest", reduced)
add_case("root_gives_up_the_rest_in_windows", reduced, "--mode", "windows")
add_case("root_gives_up_the_rest_in_auto", reduced, "--mode", "auto")


def kept_for(directory, owner, *asleep):
    """Where root could not write without them, three capabilities sleep."""
    w = Workload("family")
    home = scratch(directory)
    os.mkdir(home, 0o700)
    os.chown(home, owner, owner)
    path = os.path.join(home, "a.heapsonde")
    watch = spawn([TOOL, "record", "-p", w.pid, "-o", path, "-i", "0.1"],
                  stderr=subprocess.PIPE)
    check("recording to" in watch.stderr.readline().decode(), "it does not begin")
    await_few(watch.pid, asleep=asleep)
    wait_until("there is a log beside it", lambda: os.path.exists(path + "-wal"))
    watch.send_signal(signal.SIGINT)
    check_equal("status", watch.wait(), 0)
    state = os.stat(path)
    check_equal("owner", state.st_uid, 0)
    check_equal("mode", state.st_mode & 0o777, 0o600)
    check_equal("what is left there", os.listdir(home), ["a.heapsonde"])


add_case("none_sleep_for_a_directory_of_its_own", kept_for, "own", 0)
add_case("some_sleep_for_a_directory_of_others", kept_for, "others", 65534, *FILES)


@case()
def recording_of_who_called_sudo():
    """In a directory of theirs, of which root without capabilities sees nothing."""
    w = Workload("family")
    home = scratch("home")
    os.mkdir(home, 0o700)
    os.chown(home, 65534, 65534)
    path = os.path.join(home, "a.heapsonde")
    out = heapsonde("record", "-q", "-p", w.pid, "-d", "0.3", "-o", path,
                    env=dict(os.environ, SUDO_UID="65534", SUDO_GID="65534"))
    check_equal(f"status ({out.stderr})", out.returncode, 0)
    state = os.stat(path)
    check_equal("owner", state.st_uid, 65534)
    check_equal("mode", state.st_mode & 0o777, 0o600)


@case()
def a_command_keeps_its_user_s_power():
    """It is what it would be without us, though heapsonde itself is less."""
    fields = ("Uid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
    watch = spawn([TOOL, "record", "-q", "-o", scratch("c.heapsonde"), "--", "cat"],
                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    watch.stdin.write(b"ready\n")
    watch.stdin.flush()
    check_equal("its output", watch.stdout.readline(), b"ready\n")
    command = find_in_family(watch.pid, "cat")
    alone = status_of("/proc/self")
    there = status_of(f"/proc/{command}")
    check_equal("the command's power", {f: there[f] for f in fields},
                {f: alone[f] for f in fields})
    await_few(watch.pid, "kill", command=command)
    watch.stdin.close()
    check_equal("status", watch.wait(), 0)


@case()
def readers_that_die():
    """Whatever becomes of who reads lines, the numbers are whole and the report says it."""
    w = Workload("family")
    watch = Watch(w.pid)
    books = w.work()
    over = threading.Event()

    def kill_readers():
        steward = find_in_family(watch.proc.pid, "heapsonde-read")
        while not over.is_set():
            try:
                for reader in family_of(steward)[1:]:
                    os.kill(reader, signal.SIGKILL)
            except OSError:
                pass

    killer = threading.Thread(target=kill_readers)
    killer.start()
    try:
        report = watch.finish()
    finally:
        over.set()
        killer.join()
    check_books(report, books)
    lost = report.data["unwind"]["unreadable_files"]
    check(lost > 0, "no reader was killed")
    check("crashed, or took too long" in watch.errors(), watch.errors())
    check_equal("the workload's status", w.quit(), 0)
    remark(f"{lost} files")


def without_build_id(program):
    """Its bytes, the note of the build id made a note of nobody's."""
    return program.replace(b"\3\0\0\0GNU\0", b"\3\0\0\0XYZ\0", 1)


def hostile_program(directory):
    """The workload "family", which names a debug file that has no end."""
    if not shutil.which("objcopy"):
        raise Skip("no objcopy")
    os.mkdir(directory)
    program, link = os.path.join(directory, "family"), os.path.join(directory, "link")
    with open(workload_path("family"), "rb") as f:
        contents = without_build_id(f.read())
    with open(program, "wb") as f:
        f.write(contents)
    with open(link, "wb") as f:
        f.write(b"endless.debug\0\0\0" + b"\1\2\3\4")
    os.chmod(program, 0o755)
    subprocess.run(["objcopy", "--strip-all", "--add-section", f".gnu_debuglink={link}", program],
                   check=True)
    with open(os.path.join(directory, "endless.debug"), "wb") as f:
        try:
            f.truncate(1 << 42)
        except OSError as why:
            raise Skip(f"no file of 4 TB: {why}") from None
    return program


def endless_program(directory):
    """The workload "family" without sections, whose table of hashes has no end."""
    os.mkdir(directory)
    program = os.path.join(directory, "family")
    with open(workload_path("family"), "rb") as f:
        image = bytearray(f.read())
    headers, = struct.unpack_from("<Q", image, 0x20)
    count, = struct.unpack_from("<H", image, 0x38)
    segments = [struct.unpack_from("<IIQQQQQQ", image, headers + 56 * i) for i in range(count)]
    at, size = next((s[2], s[5]) for s in segments if s[0] == PT_DYNAMIC)
    tags = dict(struct.unpack_from("<QQ", image, at + i) for i in range(0, size, 16))
    # Addresses of the first segment are offsets.
    table = tags[DT_GNU_HASH]
    blooms, = struct.unpack_from("<I", image, table + 8)
    # No name may be in it, so the loader does not look; who counts symbols goes to the end.
    struct.pack_into(f"<{blooms}Q", image, table + 16, *[0] * blooms)
    struct.pack_into("<I", image, table + 16 + 8 * blooms, 1 << 30)
    struct.pack_into("<Q", image, 0x28, 0)
    struct.pack_into("<HH", image, 0x3c, 0, 0)
    with open(program, "wb") as f:
        f.write(image)
        try:
            f.truncate(1 << 42)
        except OSError as why:
            raise Skip(f"no file of 4 TB: {why}") from None
    os.chmod(program, 0o755)
    return program


def greedy_program(directory):
    """The workload "family", with a thousand times more debug information than it looks."""
    if not shutil.which("objcopy"):
        raise Skip("no objcopy")
    os.mkdir(directory)
    program, zeros = os.path.join(directory, "family"), os.path.join(directory, "zeros")
    shutil.copy(workload_path("family"), program)
    with open(zeros, "wb") as f:
        f.truncate(GREED)
    subprocess.run(["objcopy", "--update-section", f".debug_info={zeros}", program], check=True)
    subprocess.run(["objcopy", "--compress-debug-sections=zlib", program], check=True)
    os.unlink(zeros)
    return program


def check_told(watch, words):
    check_equal(f"lines that say '{words}' in {watch.errors()}", watch.errors().count(words), 1)


class PatientWatch(Watch):
    """A reader that hangs is waited for half a minute."""

    attach_most_s = 90


def watch_patiently(program):
    """(what watched family as that program, its report, the workload): no event is missing."""
    w = Workload("family", argv=[program], env=dict(os.environ, LD_LIBRARY_PATH=WORKLOADS))
    watch = PatientWatch(w.pid)
    books = w.work()
    report = watch.finish()
    check_equal("totals", {m: report.totals[m] for m in SUMS},
                {m: book_totals(books)[m] for m in SUMS})
    check_consistent(report)
    return watch, report, w


@case(timeout=200)
def a_reader_that_hangs():
    """It is given up in time; the numbers are whole, and the report says what is not there."""
    watch, report, w = watch_patiently(hostile_program(scratch("hostile")))
    check(report.data["unwind"]["unreadable_files"] > 0, "no file was unreadable")
    check_told(watch, "endless.debug: whoever reads its symbols")
    check_equal("the workload's status", w.quit(), 0)
    remark(f"attached in {watch.attach_s:.0f} s, "
           f"{report.data['unwind']['unreadable_files']} files")


def family_frames(report):
    """Of the call paths through the program itself."""
    return [frame for stack in report.stacks for frame in stack["frames"]
            if frame["module"] == "family"]


@case(timeout=200)
def a_reader_of_symbols_that_hangs():
    """All that the program's own functions are called is unknown, and nothing else."""
    watch, report, w = watch_patiently(endless_program(scratch("endless")))
    frames = family_frames(report)
    check(frames and not any(frame["function"] for frame in frames), f"{frames[:3]}")
    check_equal("files", report.data["unwind"]["unreadable_files"], 1)
    check_told(watch, "family: whoever reads its symbols")
    check_equal("the workload's status", w.quit(), 0)


@case()
def a_reader_that_wants_too_much():
    """The program's lines are unknown, and nothing else."""
    w = Workload("family", argv=[greedy_program(scratch("greedy"))],
                 env=dict(os.environ, LD_LIBRARY_PATH=WORKLOADS))
    watch = Watch(w.pid, "--memory-limit", "512M")
    books = w.work()
    report = watch.finish()
    check_books(report, books)
    frames = family_frames(report)
    check(frames and not any(frame["line"] for frame in frames), f"{frames[:3]}")
    check_equal("files", report.data["unwind"]["unreadable_files"], 1)
    check_told(watch, "family: it has more debug information")
    check_equal("the workload's status", w.quit(), 0)


need_root()
main()
