#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every kind of process: in containers, another user's, upgraded under way, confined, crowded."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403
from musl import compile_musl   # noqa: E402

NOBODY = 65534


def doctor(pid, *options):
    out = heapsonde("doctor", "-p", pid, "--json", *options)
    return json.loads(out.stdout)["targets"][0]


def hazards(pid):
    return {h["kind"]: h["detail"] for h in doctor(pid)["hazards"]}


def exact(w, *options, **rules):
    watch = Watch(w.pid, *options)
    books = w.work()
    report = watch.finish()
    wait_unprobed(w.pid)
    check_books(report, books, **rules)
    return report


# ---- containers ----

def image(*files):
    """A directory that holds each (path in it, file)."""
    root = scratch("image")
    for path, file in files:
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        shutil.copy(file, root + path)
    return root


def loaded_by(program):
    """[(path, path)] of all that the loader maps for the program."""
    paths = re.findall(r"(/\S+) \(0x", run(["ldd", program]).stdout)
    return [(p, os.path.realpath(p)) for p in paths]


def contained(root, program, *args):
    os.makedirs(scratch("work"), exist_ok=True)
    script = os.path.join(ROOT, "tests", "container.py")
    try:
        w = Workload(program, argv=[sys.executable, script, root, scratch("work"), program, *args],
                     stderr=subprocess.PIPE)
    except Failure as e:
        raise Skip(f"no container can be made here: {e}") from None
    children = f"/proc/{w.proc.pid}/task/{w.proc.pid}/children"
    w.pid = int(open(children).read().split()[0])
    check_equal("PID inside", w.pid_inside, 1)
    return w


def in_container(root, program, *args, **rules):
    w = contained(root, program, *args)
    told = hazards(w.pid)
    check("user mnt pid" in told.get("namespaces", ""), f"no word of the container: {told}")
    report = exact(w, **rules)
    target = report.data["targets"][0]
    check_equal("pid", target["pid"], w.pid)
    check_equal("exe", target["exe"], program)
    return report


@case()
def container_of_glibc():
    program = workload_path("family")
    in_container(image(("/bin/family", program), *loaded_by(program)), "/bin/family")


def container_of_musl(kind):
    loader = "/lib/ld-musl-x86_64.so.1"
    program = compile_musl(kind, "family.c", loader)
    files = [("/family", program)]
    if kind == "dynamic":
        from musl import find_musl
        files.append((loader, find_musl("libc.so")))
    in_container(image(*files), "/family", "posix")


for kind in ("static", "dynamic"):
    add_case(f"container_of_musl_{kind}", container_of_musl, kind)


@case()
def container_has_names_and_build_ids():
    program = workload_path("deep")
    report = in_container(image(("/deep", program), *loaded_by(program)), "/deep", "7",
                          caller_is_leaf=False)
    notes = run(["readelf", "-n", program]).stdout
    build_id = re.search(r"Build ID: (\w+)", notes)[1]
    frames = [f for s in report.stacks for f in s["frames"] if f["module"] == "deep"]
    check_equal("build ids", {f["build_id"] for f in frames}, {build_id})
    check(all(f["function"] for f in frames), "frames without names")


# ---- what doctor says of each kind, before anything is touched ----

def compiled(*flags):
    program = scratch("family")
    out = run(["gcc", "-std=gnu11", "-O1", "-g", "-D_GNU_SOURCE", "-w", "-fno-builtin", *flags,
               "-o", program, os.path.join(ROOT, "tests", "workloads", "family.c"), "-pthread"])
    if out.returncode:
        raise Skip(f"gcc {flags} does not work here")
    return program


def preflight(start, allocators, *kinds):
    """Allocators and where, price, stacks, and hazards of these kinds, besides those of the code's make."""
    w = start()
    told = doctor(w.pid)
    found = {o["allocator"]: os.path.basename(o["path"]) for o in told["objects"] if o["allocator"]}
    check_equal("allocators", set(found), set(allocators))
    check(all(found.values()), f"{found}")
    probes = [p for o in told["objects"] for p in o["probes"]]
    check_equal("probes by price", told["emulated_probes"] + told["single_stepped_probes"],
                len(probes))
    check(500 < told["trap_ns_per_alloc_and_free"] < 1e6, f"{told['trap_ns_per_alloc_and_free']}")
    check(told["objects_with_call_frames"] + told["objects_without_call_frames"] > 0, "no stacks")
    check_equal("hazards", {h["kind"] for h in told["hazards"]} - {"single_stepped", "no_call_frames"},
                set(kinds))
    check(all(h["detail"] for h in told["hazards"]), "a hazard without a word")
    check_equal("changed code", changed_code(w.pid), [])


add_case("preflight_glibc", preflight, lambda: Workload("family"), ["glibc"])
add_case("preflight_in_front", preflight, lambda: Workload("family", preload="libwrap.so"),
         ["glibc", "an allocator"], "passes_on")
add_case("preflight_static", preflight, lambda: Workload("family", argv=[compiled("-static")]),
         ["glibc"])
add_case("preflight_musl", preflight,
         lambda: Workload("family", argv=[compile_musl("dynamic", "family.c"), "posix"]),
         ["musl"])
add_case("preflight_python", preflight, lambda: Workload("python3", argv=[
    sys.executable, "-c", "import os; print('ready', os.getpid(), flush=True); input()"]),
         ["glibc"])


@case()
def preflight_stripped_static():
    w = Workload("family", argv=[compiled("-static", "-s")])
    out = heapsonde("doctor", "-p", w.pid, "--json")
    check_equal("status", out.returncode, 1)
    told = json.loads(out.stdout)["targets"][0]
    check("no known allocator" in told["error"], told["error"])
    check(any("--allocator takes their addresses" in n for n in told["notes"]), f"{told['notes']}")


# ---- another user's ----

@case()
def another_users_process():
    need_root()
    target = scratch("family")
    shutil.copy(workload_path("family"), target)
    w = Workload("family", argv=["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
                                 "--clear-groups", "--no-new-privs", target])
    check_equal("its user", os.stat(f"/proc/{w.pid}").st_uid, NOBODY)
    exact(w)


# ---- upgraded under way ----

def upgraded(program, *args, **rules):
    """What dpkg does: the new file is written beside the old one and renamed over it."""
    path = scratch("program")
    shutil.copy(workload_path(program), path)
    w = Workload(program, argv=[path, *args])
    old = re.search(r"Build ID: (\w+)", run(["readelf", "-n", path]).stdout)[1]
    shutil.copy(workload_path("arena"), path + ".new")
    os.rename(path + ".new", path)
    told = hazards(w.pid)
    check("deleted or replaced" in told.get("deleted_file", ""), f"no word of it: {told}")
    report = exact(w, **rules)
    ids = {f["build_id"] for s in report.stacks for f in s["frames"]
           if f["function"] and f["function"].startswith("site_")}
    check_equal("build ids of its sites", ids, {old})


add_case("upgraded_program", lambda: upgraded("family"))
add_case("upgraded_deep_program", lambda: upgraded("deep", "7", caller_is_leaf=False))


@case()
def upgraded_static_allocator():
    """The probes themselves are in the file that has no name any more."""
    program = scratch("static")
    out = run(["gcc", "-static", "-std=gnu11", "-O1", "-g", "-D_GNU_SOURCE", "-w", "-fno-builtin",
               "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls", "-o", program,
               os.path.join(ROOT, "tests", "workloads", "family.c")])
    if out.returncode:
        raise Skip("no static C library here")
    w = Workload("family", argv=[program])
    shutil.copy(workload_path("arena"), program + ".new")
    os.rename(program + ".new", program)
    exact(w)


# ---- many threads, many processes ----

@case(timeout=120)
def thousands_of_threads():
    w = Workload("crowd", "4000")
    threads = len(os.listdir(f"/proc/{w.pid}/task"))
    check_equal("threads", threads, 4001)
    exact(w)


@case()
def several_processes():
    works = [Workload("family"), Workload("deep", "5"), Workload("family")]
    watch = Watch(",".join(str(w.pid) for w in works))
    books = [w.work() for w in works]
    report = watch.finish()
    check_complete(report)
    check_equal("targets", [t["pid"] for t in report.data["targets"]], [w.pid for w in works])
    for i, w in enumerate(works):
        part = Report(dict(report.data))
        part.stacks = [s for s in report.stacks if s["target"] == i]
        want = book_totals(books[i])
        got = {m: sum(s[m] for s in part.stacks) for m in SUMS}
        check_equal(f"sums of process {i}", got, {m: want[m] for m in SUMS})
        wait_unprobed(w.pid)


# ---- confined ----

# A filter that ends the process at the system call of probed returns, and at that alone.
CONFINE = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 335), (0x06, 0, 0, 0x80000000), (0x06, 0, 0, 0x7fff0000)]
text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *c) for c in code))
program = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(text))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program):
    sys.exit("no seccomp")
os.execv(sys.argv[1], sys.argv[1:])
"""


def confined(program, *args):
    if os.uname().machine != "x86_64":
        raise Skip("other machines have no such system call")
    w = Workload(program, argv=[sys.executable, "-c", CONFINE, workload_path(program), *args])
    with open(f"/proc/{w.pid}/status") as f:
        check("Seccomp:\t2" in f.read(), "it is not confined")
    return w


class Without:
    """Takes a feature of the kernel for absent."""

    def __init__(self, feature):
        self.feature = feature

    def __enter__(self):
        os.environ["HEAPSONDE_WITHOUT"] = self.feature

    def __exit__(self, *_):
        del os.environ["HEAPSONDE_WITHOUT"]


@case()
def confined_process():
    """On this kernel, whichever it is, by what doctor says it can do."""
    w = confined("family")
    exact(w)
    check_equal("the workload's status", w.quit(), 0)


for program, args, rules in (("family", (), {}), ("threads", ("churn",), {}),
                             ("threads", ("realloc",), {}), ("maps", (), {}),
                             ("failures", ("refused",), {})):
    def without_returns(program, args, rules):
        with Without("return_passes"):
            w = confined(program, *args)
            told = doctor(w.pid)
            check_equal("return probes", told["return_probes"], 0)
            check(told["functions_with_probed_exits"] > 8, f"{told}")
            check("seccomp" in [h["kind"] for h in told["hazards"]], f"{told['hazards']}")
            exact(w, **rules)
        check_equal("the workload's status", w.quit(), 0)
    add_case("_".join(("confined", program, *args)), without_returns, program, args, rules)


@case()
def confined_with_an_allocator_in_front():
    """libwrap's free passes on to the C library's: its exits are probed, too."""
    with Without("return_passes"):
        w = Workload("family", preload="libwrap.so",
                     argv=[sys.executable, "-c", CONFINE, workload_path("family")])
        check_equal("return probes", doctor(w.pid)["return_probes"], 0)
        exact(w)


@case()
def command_that_may_confine_itself():
    """Where confined processes die at probed returns, nobody waits for a command to be one."""
    with Without("return_passes"):
        out = heapsonde("record", "-q", "-o", scratch("c.heapsonde"), "--", sys.executable, "-c",
                        CONFINE, workload_path("family"), stdin=subprocess.DEVNULL)
    check_equal(f"status ({out.stderr})", out.returncode, 0)
    out = heapsonde("report", scratch("c.heapsonde"), "--json")
    check(json.loads(out.stdout)["totals"]["alloc_count"] > 100, "nothing was seen")


if __name__ == "__main__":
    main()
