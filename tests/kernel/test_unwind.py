#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole stacks: against the target's own word, and of programs as shipped.

backtraces.c and backtraces_cxx.cc walk their own stack at every allocation
(truth.h). Compiled in many ways, every stack of the report must equal theirs
frame by frame, by exact return address. Distribution programs, stripped and
without frame pointers, have no such word: there the share of stacks that
reach the bottom counts.
"""

import collections
import contextlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

SOURCES = os.path.join(ROOT, "tests", "workloads")
NEAR = 512              # bytes between the two calls of a site, at most


# ---- the target's own word ----

def physical(stack):
    """The stack's frames without those that were inlined into them."""
    return [f for f in stack["frames"] if not f.get("inlined")]


def address(frame):
    pc = frame["pc"]
    return pc if isinstance(pc, int) else int(pc, 0)


def told_stacks(truth):
    """{(site, callers' pcs): [leaf's pcs]}: one for each time."""
    told = collections.defaultdict(list)
    for stack in truth["stacks"]:
        pcs = [int(pc, 16) for pc in stack["pcs"]]
        told[stack["site"], tuple(pcs[1:])].append(pcs[0])
    return told


def seen_stacks(report, sites):
    """{(site, callers' pcs): [the report's stacks]} of the sites."""
    seen = collections.defaultdict(list)
    for stack in report.stacks:
        frames = physical(stack)
        site = plain_name(frames[0]["function"]) if frames else "?"
        if site in sites:
            seen[site, tuple(address(f) for f in frames[1:])].append(stack)
    return seen


def nearest_miss(key, seen):
    """What the profiler has instead, in words."""
    site, want = key
    others = [(callers, stacks[0]) for (name, callers), stacks in seen.items() if name == site]
    if not others:
        return "the report has no stack of this site"

    def same(callers):
        return next((i for i, (a, b) in enumerate(zip(callers, want)) if a != b),
                    min(len(callers), len(want)))
    callers, stack = max(others, key=lambda other: same(other[0]))
    at = same(callers)
    names = [plain_name(f["function"]) for f in physical(stack)]
    return (f"{len(callers) + 1} frames ({stack['status']}) that part at frame {at + 1}:"
            f" {' < '.join(names[max(0, at - 1):at + 3])}")


def wrong_with(key, leaves, stacks):
    """What is wrong with the report's stacks of one told stack."""
    what = f"{key[0]}, {len(key[1]) + 1} frames"
    count = sum(s["alloc_count"] for s in stacks)
    if count != len(leaves):
        yield f"{what}: {count} allocations instead of {len(leaves)}"
    for s in stacks:
        leaf = address(physical(s)[0])
        if not any(0 <= pc - leaf < NEAR for pc in leaves):
            yield f"{what}: leaf {leaf:#x} is not shortly before {leaves[0]:#x}"
        if s["status"] != "complete":
            yield f"{what}: status {s['status']}"


def without_bottom(report, sites):
    """What libraries allocate meanwhile has no word to compare with, but a bottom."""
    for s in report.stacks:
        leaf = plain_name(s["frames"][0]["function"]) if s["frames"] else "?"
        if leaf not in sites and s["status"] != "complete":
            yield f"{leaf}, {len(s['frames'])} frames: status {s['status']}"


def check_truth(report, truth, others=True):
    """others: the stacks that the target told nothing of must have a bottom, too."""
    told = told_stacks(truth)
    sites = {site for site, _ in told}
    seen = seen_stacks(report, sites)
    wrong = []
    for key, leaves in told.items():
        if key in seen:
            wrong += wrong_with(key, leaves, seen[key])
        else:
            wrong.append(f"{key[0]}, {len(key[1]) + 1} frames: {nearest_miss(key, seen)}")
    wrong += [f"{site}: {len(callers) + 1} frames that the target did not have"
              for site, callers in seen if (site, callers) not in told]
    if others:
        wrong += without_bottom(report, sites)
    if wrong:
        more = f"; and {len(wrong) - 6} more" if len(wrong) > 6 else ""
        raise Failure("; ".join(wrong[:6]) + more)
    frames = sum((len(key[1]) + 1) * len(leaves) for key, leaves in told.items())
    remark(f"{len(truth['stacks'])} stacks, {frames} frames")


def check_backtraces(program, *args, options=(), settle=0.5):
    """Runs it under the profiler. settle: how long it may take to read tables."""
    w = Workload(os.path.basename(program), argv=[program, *args])
    watch = Watch(w.pid, "--max-depth", "512", *options, settle=settle)
    truth = w.work()
    report = watch.finish()
    check_equal("how stacks are walked", report.data["stack_mode"], "dwarf")
    check_complete(report)
    return report, truth


def tool_version(compiler):
    if not shutil.which(compiler):
        raise Skip(f"{compiler} is not installed")
    return compiler


def compile_source(compiler, source, output, *flags):
    out = run([tool_version(compiler), "-w", "-g", "-D_GNU_SOURCE", "-pthread", *flags,
               "-o", scratch(output), os.path.join(SOURCES, source), "-ldl"])
    check_equal(f"status of {compiler} {' '.join(flags)} ({out.stderr.strip()[:200]})",
                out.returncode, 0)
    return scratch(output)


def plugins(compiler, *flags):
    """The plugin, and another one that may take its addresses."""
    for output, site in (("libone.so", "site_plugin"), ("libtwo.so", "site_other_plugin")):
        yield compile_source(compiler, "libplugin.c", output, *flags, "-shared", "-fPIC",
                             f"-DPLUGIN_SITE={site}")


def c_stacks(compiler, *flags):
    program = compile_source(compiler, "backtraces.c", "backtraces", *flags)
    check_truth(*check_backtraces(program))


def cxx_stacks(compiler, *flags):
    program = compile_source(compiler, "backtraces_cxx.cc", "backtraces_cxx", *flags)
    check_truth(*check_backtraces(program))


def plugin_stacks(compiler, *flags):
    """One library, loaded, unloaded and loaded again."""
    program = compile_source(compiler, "backtraces.c", "backtraces", *flags)
    check_truth(*check_backtraces(program, next(plugins(compiler, *flags))))


def plugin_succession_stacks(compiler, *flags):
    """The second library comes to lie where the first one was."""
    program = compile_source(compiler, "backtraces.c", "backtraces", *flags)
    check_truth(*check_backtraces(program, *plugins(compiler, *flags)))


NO_FP = "-fomit-frame-pointer"
FLAGS = {
    "O0": ("-O0", NO_FP),
    "O1": ("-O1", NO_FP),
    "O2": ("-O2", NO_FP),
    "O3": ("-O3", NO_FP),
    "Os": ("-Os", NO_FP),
    "frame_pointers": ("-O2", "-fno-omit-frame-pointer"),
    "realigned_everywhere": ("-O2", NO_FP, "-mstackrealign"),
    "cet": ("-O2", NO_FP, "-fcf-protection=full"),
    "stack_protector": ("-O2", NO_FP, "-fstack-protector-all", "-fstack-clash-protection"),
    "no_pie": ("-O2", NO_FP, "-no-pie"),
    "native": ("-O3", NO_FP, "-march=native", "-funroll-loops"),
}
FOR = {
    "gcc": {**FLAGS, "lto": ("-O2", NO_FP, "-flto"),
            "static_pie": ("-O2", NO_FP, "-static-pie"),
            "static": ("-O2", NO_FP, "-static"),
            "split_stack_adjustments": ("-O2", NO_FP, "-mno-accumulate-outgoing-args",
                                        "-mpush-args")},
    "clang": {**FLAGS, "lto": ("-O2", NO_FP, "-flto", "-fuse-ld=lld"),
              "static_pie": ("-O2", NO_FP, "-static-pie")},
}
CXX = {"gcc": "g++", "clang": "clang++"}

for cc, ways in FOR.items():
    for way, flags in ways.items():
        add_case(f"c_{cc}_{way}", c_stacks, cc, *flags)
    for way in ("O0", "O2", "O3", "Os", "lto", "static_pie"):
        add_case(f"cxx_{cc}_{way}", cxx_stacks, CXX[cc], *ways[way])
    for way in ("O0", "O2"):
        add_case(f"plugin_{cc}_{way}", plugin_stacks, cc, *ways[way])
        add_case(f"plugins_in_turn_{cc}_{way}", plugin_succession_stacks, cc, *ways[way])


def interrupted_stacks(compiler, *flags):
    """Interrupted at any instruction, by a timer."""
    program = compile_source(compiler, "interrupts.c", "interrupts", *flags)
    check_truth(*check_backtraces(program))


for cc, way in (("gcc", "O0"), ("gcc", "O2"), ("gcc", "Os"), ("gcc", "static_pie"),
                ("clang", "O1"), ("clang", "O3")):
    add_case(f"interrupted_anywhere_{cc}_{way}", interrupted_stacks, cc, *FOR[cc][way])
add_case("interrupted_anywhere_lazy_binding", interrupted_stacks, "gcc", "-O2", NO_FP,
         "-Wl,-z,lazy")


def rust_stacks(*flags):
    rustc = shutil.which("rustc") or shutil.which("rustc", path=os.path.expanduser("~/.cargo/bin"))
    if not rustc:
        raise Skip("rustc is not installed")
    truth = compile_source("gcc", "libtruth.c", "truth.o", "-O2", NO_FP, "-c")
    program = scratch("backtraces_rust")
    out = run([rustc, "--edition", "2021", "-g", "-A", "warnings", *flags,
               "-C", f"link-arg={truth}", "-o", program,
               os.path.join(SOURCES, "backtraces.rs")])
    check_equal(f"status of rustc ({out.stderr.strip()[:300]})", out.returncode, 0)
    check_truth(*check_backtraces(program))


for way, flags in (("O0", ()), ("O3", ("-O",)), ("lto", ("-O", "-C", "lto=fat")),
                   ("static_pie", ("-O", "-C", "target-feature=+crt-static"))):
    add_case(f"rust_{way}", rust_stacks, *flags)


@case()
def unwind_information_in_debug_frame_only():
    """Code that keeps its unwind information out of what is loaded: libgcc is at a loss."""
    program = compile_source("gcc", "backtraces.c", "backtraces", "-O2", NO_FP,
                             "-fno-asynchronous-unwind-tables", "-fno-unwind-tables")
    report, _ = check_backtraces(program)
    chains = [(c, s) for c, s in report.chains() if c[0] == "site_recursion"]
    check_equal("stacks of the recursion", len(chains), 2)
    for chain, stack in chains:
        check_equal("its bottom", chain[-5:-3] + chain[-1:], ["run_all", "main", "_start"])
        check_equal("status", stack["status"], "complete")


@case()
def after_exec():
    """Attached to before it becomes another program, and given time to notice."""
    program = compile_source("gcc", "backtraces.c", "backtraces", "-O2", NO_FP)
    proc = spawn(["/bin/sh", "-c", f"read line; exec {program}"],
                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    time.sleep(0.2)
    watch = Watch(proc.pid, "--max-depth", "512", settle=0.5)
    proc.stdin.write(b"\n")
    proc.stdin.flush()
    check_equal("what it says", proc.stdout.readline().split()[:1], [b"ready"])
    time.sleep(0.5)
    proc.stdin.write(b"\n")
    proc.stdin.flush()
    truth = json.loads(proc.stdout.readline())
    report = watch.finish()
    check_complete(report)
    check_truth(report, truth, others=False)


TRACING = "/sys/kernel/tracing"


def trace(what, *path):
    # Not open(): its mode for appending seeks, which these files refuse.
    fd = os.open(os.path.join(TRACING, *path), os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, what.encode())
    finally:
        os.close(fd)


@contextlib.contextmanager
def return_probes(program, names):
    """Somebody else's: the kernel's own tracing."""
    starts = {line.split()[2]: int(line.split()[0], 16)
              for line in run(["nm", program]).stdout.splitlines() if " T " in line}
    group, placed = f"heapsonde_test_{os.getpid()}", []
    try:
        for name in names:
            trace(f"r:{group}/{name} {program}:{starts[name]:#x}", "uprobe_events")
            placed.append(name)
            trace("1", "events", group, name, "enable")
        yield
    finally:
        for name in placed:
            trace("0", "events", group, name, "enable")
            trace(f"-:{group}/{name}", "uprobe_events")


def places(report):
    """{((module, offset)...): allocations}, the same for every run of a program."""
    counts = collections.Counter()
    for stack in report.stacks:
        key = tuple((f["module"], f["offset"]) for f in physical(stack))
        counts[key, stack["status"]] += stack["alloc_count"]
    return counts


@case()
def through_somebody_elses_return_probes():
    """They replace return addresses on the stack by a trampoline's.

    libgcc's walk ends there: the same program without them is the truth.
    """
    need_root()
    if not os.path.exists(f"{TRACING}/uprobe_events"):
        raise Skip("there is no tracefs with uprobe_events")
    program = compile_source("gcc", "backtraces.c", "backtraces", "-O2", NO_FP)
    want = places(check_backtraces(program)[0])
    # Not the recursion: the kernel lets 64 of them pend and no more.
    with return_probes(program, ("plain_two", "site_big_frame", "site_realigned", "run_all")):
        report, truth = check_backtraces(program, settle=1.5)
    # Proof that the probes did stand there: libgcc's walk got stuck at one.
    check(len(truth["stacks"][0]["pcs"]) < 6, f"no probe hid a frame: {truth['stacks'][0]}")
    got = places(report)
    lost, more = want - got, got - want
    check(not lost and not more, f"{len(lost)} stacks are missing, such as"
          f" {[(s, len(k)) for k, s in lost][:3]}; {len(more)} are new, such as"
          f" {[(s, len(k)) for k, s in more][:3]}")
    remark(f"{got.total()} allocations at the same places")


# ---- programs as the distribution ships them ----

# Where threads begin; that no unwind information covers it is no loss.
BOTTOMS = {"_start", "_dl_start_user", "clone", "clone3", "__clone", "__clone3"}
ENOUGH = 99.5  # percent


def is_generated(frame):
    """Code that a just-in-time compiler made, or its built-in templates."""
    return not frame["module"] or (frame["function"] or "").startswith("Builtins_")


def fate(stack):
    """The stack's status, and what excuses it."""
    frames = stack["frames"]
    if stack["status"] == "guessed" and plain_name(frames[-1]["function"]) in BOTTOMS:
        return "to the bottom by frame pointers"
    if stack["status"] in ("no_cfi", "guessed", "bad_cfa", "read_fault") and \
            any(is_generated(f) for f in frames):
        return "generated code"
    return stack["status"]


class Shares:
    """How many of a report's allocations, and of its stacks, ended how."""

    def __init__(self, report):
        self.allocs, self.stacks = collections.Counter(), collections.Counter()
        for stack in report.stacks:
            if stack["kind"] == "heap" and stack["alloc_count"]:
                self.allocs[fate(stack)] += stack["alloc_count"]
                self.stacks[fate(stack)] += 1

    def reached(self, counts, *without):
        """Percent that reached the bottom, of all but those with the fates given."""
        whole = sum(n for f, n in counts.items() if f not in without)
        good = counts["complete"] + counts["to the bottom by frame pointers"]
        return 100 * good / whole if whole else 0

    def __str__(self):
        words = [f"{self.reached(self.allocs):.2f} % of {self.allocs.total()} allocations and"
                 f" {self.reached(self.stacks):.2f} % of {self.stacks.total()} stacks whole"]
        words += [f"{f}: {n} ({self.stacks[f]})" for f, n in self.allocs.most_common()
                  if f != "complete"]
        return ", ".join(words)


def check_shares(report, enough=ENOUGH, excepted=(), least=100):
    shares = Shares(report)
    check_complete(report)
    check_equal("how stacks are walked", report.data["stack_mode"], "dwarf")
    check(shares.allocs.total() >= least, f"only {shares.allocs.total()} allocations seen")
    check(shares.reached(shares.allocs, *excepted) >= enough, f"less than {enough} %: {shares}")
    remark(shares)


def record(*argv, **kwargs):
    """The Report of a command, watched from its first allocation to its end."""
    recording = scratch("run.heapsonde")
    out = run([TOOL, "record", "-q", "-o", recording, "--mode", "exact", "--max-depth", "512",
               "--", *argv], timeout=100, **kwargs)
    check_equal(f"status of {shown(argv)} ({out.stderr.strip()[:200]})", out.returncode, 0)
    report = heapsonde("report", recording, "--json", "--limit", "0")
    check_equal(f"status of report ({report.stderr.strip()[:200]})", report.returncode, 0)
    return Report(json.loads(report.stdout))


PYTHON = """
import json, re
def work():
    table = {i: [str(j) for j in range(i % 17)] for i in range(2003)}
    json.loads(json.dumps(table))
    return len(re.findall(r"1\\d", repr(table)))
"""
PERL = """
use POSIX;
sub work { my %h; $h{$_} = "x" x ($_ % 97) for 1..3001;
           delete $h{$_ * 2} for 1..1009; return scalar keys %h }
"""
SQL = ("create table t(a integer primary key, b text);"
       "with recursive n(i) as (select 1 union all select i+1 from n where i<3001)"
       " insert into t select i, hex(i*i) from n;"
       "create index u on t(b); select count(*), max(b) from t; drop table t;")
NODE = """
const zlib = require("zlib");
function work() {
  const all = [];
  for (let i = 0; i < 20000; i++) all.push({i, text: "x" + i});
  return zlib.gzipSync(JSON.stringify(all)).length + Buffer.alloc(100000).length;
}
"""
C = "#define T(n) int f##n(int a, char **b) { return a * n + **b; }\n" + \
    "".join(f"T({n})\n" for n in range(200))


def write(name, content):
    with open(scratch(name), "w") as f:
        f.write(content)
    return scratch(name)


def make_repository():
    """A repository with some history."""
    def git(*args):
        out = run([need("git"), "-C", scratch("repo"), "-c", "user.name=a", "-c",
                   "user.email=a@b", *args])
        check_equal(f"status of git {args[0]} ({out.stderr.strip()[:100]})", out.returncode, 0)
    os.mkdir(scratch("repo"))
    git("init", "-q")
    for i in range(20):
        write("repo/file", "".join(f"line {j * i}\n" for j in range(300)))
        write(f"repo/file{i}", f"{i}\n" * i)
        git("add", ".")
        git("commit", "-q", "-m", f"change {i}")
    return scratch("repo")


#
# From the first allocation on, which python3 and perl make much of in modules
# that were loaded a moment before.
#

def from_the_start(argv, enough=ENOUGH, excepted=(), prepare=None):
    directory = prepare() if prepare else None
    check_shares(record(need(argv[0]), *argv[1:], cwd=directory,
                        stdout=subprocess.DEVNULL), enough, excepted)


def cc1():
    path = run([need("gcc"), "-print-prog-name=cc1"]).stdout.strip()
    check_shares(record(path, "-quiet", "-O2", write("many.c", C), "-o", scratch("many.s")))


for name, argv, options in (
        ("python3", ["/usr/bin/python3", "-c", PYTHON + "work()"], {}),
        ("perl", ["perl", "-e", PERL + "work()"], {}),
        ("sqlite3", ["sqlite3", ":memory:", SQL], {}),
        ("git_log", ["git", "--no-pager", "log", "-p", "--stat"], {"prepare": make_repository}),
        ("git_diff", ["git", "--no-pager", "diff", "HEAD~9"], {"prepare": make_repository}),
        ("gdb", ["gdb", "--batch", "-nx", "-ex", "info functions main", "/usr/bin/git"], {}),
        ("objdump", ["objdump", "-d", "-C", "/bin/ls"], {}),
        ("java", ["java", "-version"], {"excepted": ("generated code",)}),
        ("node", ["node", "-e", NODE + "work()"], {"excepted": ("generated code",)})):
    add_case(f"from_the_start_{name}", lambda argv=argv, options=options:
             from_the_start(argv, **options), timeout=120)
add_case("from_the_start_cc1", cc1, timeout=120)


@case(timeout=120)
def from_the_start_ripgrep():
    """In Rust. Not through the wrapper that finds it: exec has a case elsewhere."""
    path = next((p for p in ("/usr/bin/rg", f"{BUILD}/targets/ripgrep/usr/bin/rg")
                 if os.path.exists(p)), None)
    if not path:
        raise Skip("ripgrep is neither installed nor fetched")
    check_shares(record(path, "-c", "[a-z]+_alloc", ROOT + "/user", ROOT + "/tests",
                        stdout=subprocess.DEVNULL))


#
# Attached to while they run, all modules in place.
#

def attached(pid, work, excepted=(), seconds=0, least=100):
    """Lets a process work under the profiler, after it has come to rest."""
    time.sleep(0.3)
    watch = Watch(pid, "--max-depth", "512", settle=1)
    work()
    time.sleep(seconds)
    check_shares(watch.finish(), excepted=excepted, least=least)


def converse(argv, line, rounds=5, excepted=(), greeting=None, **kwargs):
    """A program that does work for each line it reads, and answers it with one."""
    proc = spawn([need(argv[0]), *argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                 stderr=subprocess.DEVNULL, **kwargs)

    def ask():
        proc.stdin.write(line.encode() + b"\n")
        proc.stdin.flush()
        check(proc.stdout.readline(), f"{argv[0]} ended, status {proc.poll()}")

    ask()
    attached(proc.pid, lambda: [ask() for _ in range(rounds)], excepted)


add_case("attached_python3", converse,
         ["/usr/bin/python3", "-c",
          PYTHON + "import sys\nfor line in sys.stdin: print(work(), flush=True)"], "go")
add_case("attached_perl", converse,
         ["perl", "-e", PERL + '$| = 1; while (<STDIN>) { print work(), "\n" }'], "go")
add_case("attached_sqlite3", converse, ["sqlite3", ":memory:"], SQL)
add_case("attached_gdb", converse,
         ["gdb", "-q", "-nx", "-ex", "file /bin/true", "-ex", "set style enabled off"],
         "python print(sum(len(str(gdb.parse_and_eval(str(i)))) for i in range(999)))")
add_case("attached_node", converse,
         ["node", "-e", NODE + 'require("readline").createInterface({input: process.stdin})'
          '.on("line", () => console.log(work()))'], "go", 5, ("generated code",), timeout=120)


@case()
def attached_git():
    repository = make_repository()
    converse(["git", "-C", repository, "cat-file", "--batch-check"], "HEAD~5:file", rounds=300)


JAVA = """
import java.util.zip.*;
public class Work {
    static int work() {
        Deflater d = new Deflater();
        byte[] out = new byte[10000];
        d.setInput(new byte[50000]);
        d.finish();
        int n = d.deflate(out);
        d.end();
        return n + java.nio.ByteBuffer.allocateDirect(1000).capacity();
    }
    public static void main(String[] args) throws java.io.IOException {
        while (System.in.read() >= 0)
            for (int i = 0; i < 50; i++)
                if (work() > 0 && i == 49)
                    System.out.println(i);
    }
}
"""


@case(timeout=120)
def attached_java():
    need("java")
    out = run([need("javac"), "-d", scratch(), write("Work.java", JAVA)])
    check_equal(f"status of javac ({out.stderr[:200]})", out.returncode, 0)
    converse(["java", "-cp", scratch(), "Work"], "go", 5, ("generated code",))


@case(timeout=90)
def attached_redis_server():
    server, port = need("redis-server"), free_port()
    proc = spawn([server, "--port", port, "--bind", "127.0.0.1", "--save", "",
                  "--dir", scratch()], stdout=subprocess.DEVNULL)
    cli = [need("redis-cli"), "-p", str(port)]
    wait_until("redis answers", lambda: run([*cli, "ping"]).stdout.strip() == "PONG")

    def work():
        commands = "".join(f"set key{i} {'x' * (i % 99)}\nlpush list{i % 7} {i}\n"
                           f"hset hash{i % 9} f{i} {i}\nzadd z {i} m{i}\nget key{i}\n"
                           for i in range(1000))
        commands += "eval 'local t = {} for i = 1, 999 do t[i] = i end return #t' 0\n"
        with open(write("commands", commands)) as f:
            out = run(cli, stdin=f)
        check_equal("status of redis-cli", out.returncode, 0)
    attached(proc.pid, work, least=1000)


NGINX = """
daemon off; master_process off; pid DIR/pid; error_log DIR/error.log;
events {}
http { access_log DIR/access.log; gzip on; gzip_min_length 1;
  client_body_temp_path DIR/b; proxy_temp_path DIR/p; fastcgi_temp_path DIR/f;
  uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;
  server { listen 127.0.0.1:PORT; root DIR; } }
"""


@case(timeout=90)
def attached_nginx():
    import urllib.request
    port = free_port()
    conf = write("nginx.conf", NGINX.replace("DIR", scratch()).replace("PORT", str(port)))
    write("index.html", "text " * 5000)
    proc = spawn([need("nginx"), "-c", conf, "-p", scratch()], stderr=subprocess.DEVNULL)
    request = urllib.request.Request(f"http://127.0.0.1:{port}/index.html",
                                     headers={"Accept-Encoding": "gzip"})

    def answers():
        try:
            return urllib.request.urlopen(request, timeout=5).status == 200
        except OSError:
            return False
    wait_until("nginx answers", answers)
    attached(proc.pid, lambda: [check(answers(), "nginx does not answer")
                                for _ in range(300)])


@case(timeout=90)
def attached_postgres_backend():
    as_user = [need("setpriv"), "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    if run(["getent", "passwd", "postgres"]).returncode:
        raise Skip("there is no user postgres")
    binaries, data = os.path.dirname(os.path.realpath(need("postgres"))), scratch("data")
    os.mkdir(data)
    shutil.chown(data, "postgres", "postgres")
    out = run([*as_user, f"{binaries}/initdb", "-D", data, "-A", "trust", "-N"], cwd=data)
    check_equal(f"status of initdb ({out.stderr[:200]})", out.returncode, 0)
    spawn([*as_user, f"{binaries}/postgres", "-D", data, "-k", data, "-c",
           "listen_addresses="], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until("the server is up",
               lambda: run([f"{binaries}/pg_isready", "-q", "-h", data]).returncode == 0)
    psql = spawn([f"{binaries}/psql", "-h", data, "-U", "postgres", "-qAtX"],
                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(sql):
        psql.stdin.write(sql.encode() + b"\n")
        psql.stdin.flush()
        return psql.stdout.readline().decode().strip()

    backend = ask("select pg_backend_pid();")
    check(backend.isdigit(), f"psql says {backend!r}")
    query = ("with t as (select i, md5(i::text) m from generate_series(1, 20000) i)"
             " select count(distinct m) + max(length(m)) from t where i % 3 = 0;")
    ask(query)
    attached(int(backend), lambda: [ask(query) for _ in range(30)])


if __name__ == "__main__":
    main()
