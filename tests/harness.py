# SPDX-License-Identifier: GPL-2.0-or-later
"""The frame of the end-to-end tests.

A test program defines cases and calls main(). Each case prints one line,
"ok NAME", "not ok NAME - why" or "skip NAME - why"; the exit status is 1 if
any failed. A case is independent of all others, has a time limit and a
scratch directory of its own, and whatever it started is ended after it, by
PID. Arguments select cases by shell pattern.

A workload (tests/workloads, protocol in books.h) does known work and keeps
books of it; Watch runs the profiler on it; check_books() compares the two.

O names the build directory (default: build, in the tree's root).
With TEST_UNSTEADY=tell a case that fails is run a second time, and what it said the
first time stands before its result as "unsteady NAME - why".
"""

import fnmatch
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, os.environ.get("O") or "build")
TOOL = os.path.join(BUILD, "heapsonde")
WORKLOADS = os.path.join(BUILD, "tests", "workloads")

ATTACH_METHODS = ("session", "multi", "single")
# Multiplies every time limit, for emulated machines.
PATIENCE = float(os.environ.get("TEST_PATIENCE") or 1)
SUMS = ("live_bytes", "live_count", "alloc_bytes", "alloc_count",
        "free_bytes", "free_count")


class Failure(Exception):
    """The program under test did something wrong."""


class Skip(Exception):
    """This machine cannot run the case. Never for what went wrong."""


# ---- cases ----

class Case:
    def __init__(self, name, run, timeout):
        self.name, self.run, self.timeout = name, run, timeout


_cases = []
_started = []           # processes of the running case
_scratch = None         # its directory
_remark = ""            # what it says about itself


def case(timeout=60):
    """Registers a function without arguments as a case of its name."""
    def register(run):
        add_case(run.__name__, run, timeout=timeout)
        return run
    return register


def add_case(name, run, *args, timeout=60):
    """Registers run(*args), for cases that differ in their arguments only."""
    _cases.append(Case(name, lambda: run(*args), timeout))


def check(condition, why):
    if not condition:
        raise Failure(why)


def check_equal(what, got, want):
    if got != want:
        raise Failure(f"{what} is {got!r}, not {want!r}")


def remark(words):
    """A figure that the case's line is to show when it passes."""
    global _remark
    _remark = f" - {words}"


def spawn(argv, **kwargs):
    """subprocess.Popen that is ended with the case."""
    proc = subprocess.Popen([str(a) for a in argv], **kwargs)
    _started.append(proc)
    return proc


def run(argv, timeout=50, **kwargs):
    """Runs to the end; the result has returncode, stdout and stderr as text."""
    kwargs.setdefault("stdout", subprocess.PIPE)
    kwargs.setdefault("stderr", subprocess.PIPE)
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    proc = spawn(argv, **kwargs)
    try:
        out, err = proc.communicate(timeout=timeout * PATIENCE)
    except subprocess.TimeoutExpired:
        raise Failure(f"{shown(argv)} does not end within {timeout} s") from None
    return subprocess.CompletedProcess(argv, proc.returncode, text(out), text(err))


def text(data):
    return "" if data is None else data.decode(errors="replace")


def shown(argv):
    return " ".join(os.path.basename(str(argv[0])) if i == 0 else str(a)
                    for i, a in enumerate(argv))


def scratch(name=""):
    """A path in the case's own directory, which everybody may read."""
    return os.path.join(_scratch, name)


def _end_all():
    for proc in reversed(_started):
        if proc.poll() is None:
            proc.kill()
        proc.wait()
        for stream in (proc.stdin, proc.stdout, proc.stderr):
            try:
                if stream:
                    stream.close()
            except OSError:
                pass
    _started.clear()


def _out_of_time(signum, frame):
    raise Failure("out of time")


def _run_case(c):
    """Returns the case's line."""
    global _scratch, _remark
    _remark = ""
    _scratch = tempfile.mkdtemp(prefix="heapsonde-test-")
    os.chmod(_scratch, 0o755)
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.alarm(round(c.timeout * PATIENCE))
    try:
        c.run()
        return f"ok {c.name}{_remark}"
    except Skip as why:
        return f"skip {c.name} - {why}"
    except Failure as why:
        return f"not ok {c.name} - {why}"
    except Exception as e:      # a bug in the test, or an answer of unheard-of shape
        where = traceback.extract_tb(e.__traceback__)[-1]
        return f"not ok {c.name} - {type(e).__name__}: {e} ({where.name}:{where.lineno})"
    finally:
        signal.alarm(0)
        _end_all()
        shutil.rmtree(_scratch, ignore_errors=True)


def main(tool=True):
    """Runs the cases; tool: they need the profiler itself."""
    patterns = sys.argv[1:] or ["*"]
    failed = False
    twice = os.environ.get("TEST_UNSTEADY") == "tell"
    if tool and not os.path.exists(TOOL):
        sys.exit(f"{TOOL} is not built")
    for c in _cases:
        if not any(fnmatch.fnmatch(c.name, p) for p in patterns):
            continue
        line = _run_case(c)
        if twice and line.startswith("not ok"):
            print(line.replace("\n", " ").replace("not ok", "unsteady", 1), flush=True)
            line = _run_case(c)
        print(line.replace("\n", " "), flush=True)
        failed |= line.startswith("not ok")
    sys.exit(1 if failed else 0)


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root")


# ---- workloads ----

def workload_path(name):
    path = os.path.join(WORKLOADS, name)
    if not os.path.exists(path):
        raise Failure(f"{path} is not built")
    return path


class Workload:
    """A workload that stands at "ready"."""

    def __init__(self, name, *args, preload=None, env=None, argv=None, **kwargs):
        env = dict(os.environ if env is None else env)
        if preload:
            env["LD_PRELOAD"] = workload_path(preload)
        self.name = name
        self.proc = spawn(argv or [workload_path(name), *args], env=env,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, **kwargs)
        words = self.line().split()
        if len(words) != 2 or words[0] != "ready":
            raise Failure(f"{name} says {words} instead of ready")
        self.pid = self.proc.pid
        self.pid_inside = int(words[1])

    def line(self):
        line = self.proc.stdout.readline().decode()
        if not line:
            raise Failure(f"{self.name} ended early, status {self.proc.wait()}")
        return line

    def say(self, word):
        self.proc.stdin.write(word.encode() + b"\n")
        self.proc.stdin.flush()

    def work(self):
        """Lets it do its work; returns its books."""
        self.say("go")
        return json.loads(self.line())

    def quit(self):
        """Lets it end; returns its status."""
        try:
            self.proc.stdin.close()
        except BrokenPipeError:
            pass
        return self.proc.wait()


def book_totals(books):
    sums = {m: sum(s[m] for s in books["sites"]) for m in SUMS}
    for name in ("unknown_free_count", "failed_alloc_count"):
        if name in books:
            sums[name] = books[name]
    return sums


# ---- cgroups ----

class MemoryCgroup:
    """A memory cgroup of the test's own, of the version that this machine has."""

    controller = "memory"

    def __init__(self):
        need_root()
        self.version, top = self._hierarchy()
        self.path = os.path.join(top, f"heapsonde-test-{os.getpid()}-{len(_started)}")

    def _hierarchy(self):
        v2 = "/sys/fs/cgroup"
        if not os.path.exists(f"{v2}/cgroup.controllers") and \
                os.path.exists(f"{v2}/{self.controller}/cgroup.procs"):
            return 1, f"{v2}/{self.controller}"
        try:
            with open(f"{v2}/cgroup.controllers") as f:
                if self.controller not in f.read().split():
                    raise Skip(f"no {self.controller} controller")
            with open(f"{v2}/cgroup.subtree_control", "w") as f:
                f.write(f"+{self.controller}")
        except OSError as e:
            raise Skip(f"no {self.controller} cgroup can be made here: {e}") from None
        return 2, v2

    def __enter__(self):
        try:
            os.mkdir(self.path)
        except OSError as e:
            raise Skip(f"no memory cgroup can be made here: {e}") from None
        return self

    def __exit__(self, *ignored):
        """What still lives in it goes back to where it came from."""
        for pid in self.pids():
            try:
                self._put(os.path.join(os.path.dirname(self.path), "cgroup.procs"), pid)
            except OSError:
                pass
        wait_until("the cgroup is empty", self._removed)

    def _removed(self):
        try:
            os.rmdir(self.path)
            return True
        except OSError:
            return not os.path.exists(self.path)

    @staticmethod
    def _put(path, value):
        with open(path, "w") as f:
            f.write(str(value))

    def pids(self):
        with open(os.path.join(self.path, "cgroup.procs")) as f:
            return f.read().split()

    def add(self, pid):
        self._put(os.path.join(self.path, "cgroup.procs"), pid)

    def disable_kills(self):
        """Version 1: who wants more than the limit waits, and is not killed."""
        self._put(os.path.join(self.path, "memory.oom_control"), 1)

    def is_held(self):
        with open(os.path.join(self.path, "memory.oom_control")) as f:
            return "under_oom 1" in f.read()

    def set_limit(self, size):
        self._put(os.path.join(self.path, "memory.limit_in_bytes" if self.version == 1
                               else "memory.max"), size)


# ---- programs that are there anyway ----

def need(program):
    """Its path: fetched (scripts/fetch-target), or installed."""
    path = shutil.which(program, path=f"{BUILD}/targets/bin:{os.environ['PATH']}:/usr/sbin")
    if not path:
        raise Skip(f"{program} is neither installed nor fetched")
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# ---- what a target's code looks like ----

def executable_mappings(pid):
    """(start, end, file offset, path) of the executable mappings of files."""
    with open(f"/proc/{pid}/maps") as maps:
        for line in maps:
            fields = line.rstrip("\n").split(None, 5)
            if len(fields) == 6 and fields[1][2] == "x" and fields[5][0] == "/":
                start, end = (int(x, 16) for x in fields[0].split("-"))
                yield start, end, int(fields[2], 16), fields[5]


def changed_code(pid):
    """[(path, file offset)] of the bytes of code that differ from their file."""
    changed = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for start, end, offset, path in executable_mappings(pid):
            with open(f"/proc/{pid}/map_files/{start:x}-{end:x}", "rb") as f:
                f.seek(offset)
                want = f.read(end - start)
            mem.seek(start)
            got = mem.read(len(want))
            if got != want:
                changed += [(path, offset + i) for i in range(len(want))
                            if got[i] != want[i]]
    return changed


def wait_until(what, condition, timeout=30, every=0.02):
    """Returns what the condition was true with."""
    deadline = time.monotonic() + timeout * PATIENCE
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise Failure(f"after {timeout} s still not so: {what}")
        time.sleep(every)
    return found


def wait_unprobed(pid, timeout=10):
    """Until no probe is left in the target; fails, naming what is left."""
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        left = changed_code(pid)
        if not left:
            return
        if time.monotonic() > deadline:
            raise Failure(f"{len(left)} bytes of code still changed after {timeout} s,"
                          f" the first in {left[0][0]} at {left[0][1]:#x}")
        time.sleep(0.02)


# ---- what the kernel says ----

# Of what we do, and of nothing that others on this machine may do meanwhile.
COMPLAINTS = re.compile(r"uprobe|\bbpf|BUG:|Oops|general protection|stack-protector|"
                        r"scheduling while atomic|rcu.*(stall|detected)|blocked for more")


CALL_TRACE = re.compile(r"\+0x[0-9a-f]+/0x[0-9a-f]+")


class KernelLog:
    """What the kernel has logged since this was made."""

    def __init__(self):
        try:
            self.file = open("/dev/kmsg", "rb", buffering=0, opener=lambda path, flags:
                             os.open(path, flags | os.O_NONBLOCK))
            self.file.seek(0, os.SEEK_END)
        except OSError as e:
            raise Skip(f"the kernel's log cannot be read: {e}") from None

    def lines(self):
        lines = []
        while True:
            try:
                record = self.file.read(8192)
            except BrokenPipeError:         # overwritten: the next read goes on behind it
                continue
            if not record:
                return lines
            line = text(record).split(";", 1)[-1].split("\n")[0]
            if not CALL_TRACE.search(line):
                lines.append(line)

    def check_clean(self):
        said = [line for line in self.lines() if COMPLAINTS.search(line)]
        check(not said, f"the kernel complains: {said[:3]}")


# ---- the profiler ----

def heapsonde(*args, timeout=50, **kwargs):
    return run([TOOL, *args], timeout=timeout, **kwargs)


def check_budget(report, percent, credit_ns):
    """Hits times their price keep the budget, a credit and one window aside; in words."""
    cost, windows = report["cost"], report["windows"]["windows"]
    spent = cost["probe_hits"] * cost["probe_ns_per_hit"]
    cpu = spent / cost["target_cpu_share"]
    said = f"{spent / 1e6:.1f} ms of {cpu / 1e6:.0f} ms, {windows} windows"
    check(spent <= percent / 100 * cpu + credit_ns + 1.5 * spent / max(windows, 1), said)
    return said


class Watch:
    """heapsonde report -p PID --json, running. Extra options as given."""

    attach_most_s = 20

    def __init__(self, pid, *options, mode="exact", attach=None, settle=0.25, tool=(TOOL,)):
        argv = [*tool, "report", "-p", pid, "--json", "--limit", "0", "--mode", mode]
        if attach:
            argv += ["--attach", attach]
        self.out = open(scratch(f"report-{len(_started)}.json"), "w+b")
        self.err = open(scratch(f"report-{len(_started)}.err"), "w+b")
        self.proc = spawn(argv + list(options), stdin=subprocess.DEVNULL,
                          stdout=self.out, stderr=self.err)
        self.target = int(str(pid).split(",")[0])
        self.quiet = "-q" in argv + list(options)
        self.wait_attached(settle)

    def errors(self):
        self.err.seek(0)
        return text(self.err.read()).strip()

    def wait_attached(self, settle):
        """Until it says that it watches; if it is to be quiet, until the probes
        in the target's code are steady for @settle seconds."""
        count, since = 0, time.monotonic()
        begun = since
        while "Ctrl-C reports" not in self.errors():
            if self.proc.poll() is not None:
                raise Failure(f"heapsonde ended, status {self.proc.returncode}:"
                              f" {self.errors()}")
            if time.monotonic() - begun > self.attach_most_s * PATIENCE:
                raise Failure(f"no probe stands in the target after {self.attach_most_s} s")
            now = len(changed_code(self.target)) if self.quiet else 0
            if now != count:
                count, since = now, time.monotonic()
            if count and time.monotonic() - since > settle:
                break
            time.sleep(0.02)
        self.attach_s = time.monotonic() - begun - (settle if count else 0)

    def wait(self, status=0):
        """Waits for its own end; returns the Report."""
        if self.proc.wait() != status:
            raise Failure(f"heapsonde ended with {self.proc.returncode}, not {status}:"
                          f" {self.errors()}")
        self.out.seek(0)
        data = self.out.read()
        try:
            return Report(json.loads(data))
        except ValueError as e:
            raise Failure(f"no JSON ({e}): {data[:100]!r}; {self.errors()}") from None

    def finish(self):
        """Ends it as Ctrl-C does; returns the Report."""
        self.proc.send_signal(signal.SIGINT)
        return self.wait()


def need_option(command, option):
    if option not in heapsonde(command, "--help").stdout:
        raise Skip(f"this heapsonde's {command} has no {option} yet")


# What stands between an allocator and the site that calls it.
PASSED_THROUGH = ("operator new", "alloc::alloc::", "std::sys::alloc::", "<std::alloc::System",
                  "std::alloc::", "__rustc::", "__rust_", "__rdl_", "__rg_", "<boxes::own::")


def plain_name(function):
    """A function's name without C++ arguments and compilers' suffixes."""
    if not function:
        return "?"
    return re.sub(r"(\(.*\)|\.(part|isra|constprop|cold)\.?\d*)+$", "", function)


def check_account(memory):
    """Its lines: together they are the RSS, and at least 95 % of it is explained."""
    lines, rss = {a["kind"]: a["bytes"] for a in memory["account"]}, memory["rss_bytes"]
    check_equal("the kinds, each once", len(lines), len(memory["account"]))
    check_equal("the lines' sum", sum(lines.values()), rss)
    check(0 <= lines["unexplained"] <= 0.05 * rss, f"{lines['unexplained']} of {rss} unexplained")
    return lines


class Report:
    """The JSON of heapsonde report."""

    def __init__(self, data):
        self.data = data
        self.totals, self.loss = data["totals"], data["loss"]
        self.stacks = data["stacks"]

    def chains(self):
        """(function names, leaf first; stack) of every stack."""
        for stack in self.stacks:
            yield [plain_name(f["function"]) for f in stack["frames"]], stack

    def sites(self, names):
        """{(site, kind): metrics} of the stacks that allocate right there.

        Through C++'s operator new and Rust's layers the caller's caller counts.
        What a site's callees allocate, say libgcc for an exception, is none of its books.
        """
        sums = {}
        for chain, stack in self.chains():
            site = next((f for f in chain if not f.startswith(PASSED_THROUGH)), None)
            if site in names:
                row = sums.setdefault((site, stack["kind"]), dict.fromkeys(SUMS, 0))
                for m in SUMS:
                    row[m] += stack[m]
        return sums

    def kind_totals(self, kind):
        return {m: sum(s[m] for s in self.stacks if s["kind"] == kind) for m in SUMS}


def differences(what, got, want, metrics=SUMS):
    return [f"{what} {m} {got.get(m)} not {want[m]}" for m in metrics
            if m in want and got.get(m) != want[m]]


def check_consistent(report):
    """What holds in every exact report, whatever the target did."""
    wrong = []
    for m in SUMS:
        total = sum(s[m] for s in report.stacks)
        if total != report.totals[m]:
            wrong.append(f"stacks' {m} add up to {total}, totals say {report.totals[m]}")
    for s in [report.totals, *report.stacks]:
        if s["live_bytes"] != s["alloc_bytes"] - s["free_bytes"]:
            wrong.append(f"live_bytes {s['live_bytes']} is not allocated minus freed")
    order = [s["live_bytes"] for s in report.stacks]
    if order != sorted(order, reverse=True):
        wrong.append("stacks are not sorted by live_bytes")
    if wrong:
        raise Failure("; ".join(wrong[:5]))


def check_complete(report):
    if not report.loss["complete"]:
        raise Failure(f"not complete: {report.loss}")


def check_books(report, books, totals=True, caller_is_leaf=True):
    """Every site's figures, to the byte, and unless told otherwise the totals."""
    check_complete(report)
    check_consistent(report)
    want = {(s["site"], s["kind"]): s for s in books["sites"]}
    names = {site for site, kind in want}
    got = report.sites(names)
    wrong = []
    for key, row in want.items():
        wrong += differences(key[0], got.get(key, dict.fromkeys(SUMS, 0)), row)
    wrong += [f"{s} has memory of kind {k}" for s, k in got if (s, k) not in want]
    # Where libraries allocate inside a site, their totals are not in the books either.
    if caller_is_leaf and totals:
        wrong += [f"leaf of {chain[:3]} is not the caller of the allocator"
                  for chain, _ in report.chains()
                  if chain[0] not in names and names.intersection(chain)]
    if totals:
        wrong += differences("total", report.totals, book_totals(books),
                             [*SUMS, "unknown_free_count", "failed_alloc_count"])
    if wrong:
        more = f"; and {len(wrong) - 6} more" if len(wrong) > 6 else ""
        raise Failure("; ".join(wrong[:6]) + more)


# ---- the second opinion: libcount.so ----

COUNTS_MAGIC = 0x31544e554f434848
COUNTED = ("alloc_bytes", "alloc_count", "free_bytes", "free_count",
           "unknown_free_count", "failed_alloc_count")
COUNTED_CALLS = ("malloc", "calloc", "realloc", "reallocarray", "memalign",
                 "aligned_alloc", "posix_memalign", "valloc", "pvalloc", "free")


def read_counts(path):
    words = 2 + len(COUNTED) + len(COUNTED_CALLS)
    with open(path, "rb") as f:
        data = f.read()
    if len(data) != 8 * words:
        raise Failure(f"{path} has {len(data)} bytes")
    magic, pid, *numbers = struct.unpack(f"={words}Q", data)
    if magic != COUNTS_MAGIC:
        raise Failure(f"{path} is no file of counts")
    counts = dict(zip(COUNTED, numbers))
    counts["pid"] = pid
    counts["calls"] = dict(zip(COUNTED_CALLS, numbers[len(COUNTED):]))
    return counts


def all_counts(directory):
    """One record for every image that ran with libcount.so."""
    return [read_counts(os.path.join(directory, name))
            for name in sorted(os.listdir(directory))]


def sum_counts(records):
    sums = {m: sum(r[m] for r in records) for m in COUNTED}
    sums["live_bytes"] = sums["alloc_bytes"] - sums["free_bytes"]
    sums["live_count"] = sums["alloc_count"] - sums["free_count"]
    return sums
