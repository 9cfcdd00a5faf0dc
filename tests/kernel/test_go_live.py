#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Go programs: which call path holds the live heap, against the program's own books.

sites.go (tests/workloads/go), by every toolchain that is there, knows how many
objects each of its call sites allocated and keeps. With profile.go it also
says what runtime.MemProfile tells it.
"""

import glob
import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403
from pprof import pprof, top    # noqa: E402

COUNTS = ("live_count", "live_bytes", "alloc_count", "alloc_bytes")


def programs(kind):
    return sorted(glob.glob(os.path.join(BUILD, "go", "*", f"sites-{kind}")))


class Sites:
    """The program, told what to do by lines."""

    def __init__(self, path, godebug=""):
        self.heap_file = scratch("own.pb.gz")
        self.proc = spawn([path, self.heap_file], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=dict(os.environ, GODEBUG=godebug))
        self.pid = self.proc.pid

    def tell(self, command):
        self.proc.stdin.write(command.encode() + b"\n")
        self.proc.stdin.flush()
        line = self.proc.stdout.readline().decode()
        check(line, f"the program ended at '{command}', status {self.proc.poll()}")
        return line

    def ask(self, command):
        return json.loads(self.tell(command))


def report(pid, *options):
    out = heapsonde("report", "-p", pid, "-d", "0.05", "--json", "--limit", "0", *options)
    check_equal(f"status ({out.stderr.strip()[:300]})", out.returncode, 0)
    return json.loads(out.stdout)


def by_leaf(stacks, kind):
    sums = {}
    for stack in stacks:
        if stack["kind"] != kind:
            continue
        leaf = stack["frames"][0]["function"] if stack["frames"] else None
        row = sums.setdefault(leaf, dict.fromkeys(COUNTS, 0))
        for name in COUNTS:
            row[name] += stack[name]
    return sums


def scaled_as_pprof(records):
    """{site: counts}: one sample of SIZE stands for 1 / (1 - exp(-SIZE / rate))."""
    sums = {}
    for record in records:
        scale = 1
        if record["rate"] > 1 and record["alloc_count"]:
            size = record["alloc_bytes"] / record["alloc_count"]
            scale = 1 / (1 - math.exp(-size / record["rate"]))
        row = sums.setdefault(record["site"], dict.fromkeys(COUNTS, 0))
        for name in COUNTS:
            row[name] += record[name] * scale
    return sums


PPROF_TYPES = ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")


def same_tables(name, ours, own):
    """Each site rounds by itself, and so may each of ours."""
    for which, mine, theirs in zip(("flat", "cumulated"), ours, own):
        check_equal(f"{name}: {which}: functions", sorted(f for f in mine if mine[f]),
                    sorted(f for f in theirs if theirs[f]))
        for function, value in theirs.items():
            check(abs(mine.get(function, 0) - value) <= 8,
                  f"{name}: {which} of {function} is {mine.get(function)}, not {value}")


def start_lines(path):
    """{function: the line it begins at}"""
    return {row[1]: int(row[2]) for row in
            re.finditer(r" (\S+) \S+:\d+(?::\d+)? s=(\d+)", pprof("-raw", path))}


def as_its_own(path):
    """What go tool pprof shows of our profile and of the one that the program writes."""
    program, file, ours = Sites(path), scratch("go.heapsonde"), scratch("ours.pb.gz")
    for command in WORK + ("gc",):
        program.tell(command)
    out = heapsonde("record", "-p", program.pid, "-d", "0.05", "-o", file)
    check_equal(f"status ({out.stderr})", out.returncode, 0)
    out = heapsonde("export", file, "--format", "pprof", "-o", ours)
    check_equal(f"status ({out.stderr})", out.returncode, 0)
    check_equal("it writes its profile", program.tell("heap").strip(), "ok")
    for name in PPROF_TYPES:
        for options in ((), ("-lines",)):
            own = top(program.heap_file, f"-sample_index={name}", *options)
            check(sum(own[0].values()) > 0, f"{name}: its own profile is empty")
            same_tables(" ".join((name,) + options),
                        top(ours, f"-sample_index={name}", *options), own)
    # What it shows when nothing is asked for: types, the default among them, the period.
    for line in ("Type: inuse_space", "File: sites-profile"):
        check(line in pprof("-top", ours) and line in pprof("-top", program.heap_file), line)
    shown, own = start_lines(ours), start_lines(program.heap_file)
    sites = [name for name in own if name.startswith("main.")]
    check(len(sites) > 5, f"its own profile has only {own}")
    for name in sites:
        check_equal(f"first line of {name}", shown.get(name), own[name])
    remark(f"{sites[0]} begins at line {own[sites[0]]}")
    shown, own = (re.search("PeriodType: .*\nPeriod: .*", pprof("-raw", p))[0]
                  for p in (ours, program.heap_file))
    check_equal("period", shown, own)


def own_profile(path, godebug):
    program = Sites(path, godebug)
    # Twice: a profile is of the collection before the last.
    for command in ("work 100000", "gc", "drop", "work 20000", "gc"):
        program.tell(command)
    shown = report(program.pid)
    records = program.ask("profile")
    own, rate = scaled_as_pprof(records), records[0]["rate"]
    check_equal("mode", shown["mode"], "sampled")
    check_equal("sample_bytes", shown["sample_bytes"], rate)
    stacks = by_leaf(shown["stacks"], "profile")
    sites = [site for site in own if site.startswith("main.site")]
    check(len(sites) > 5, f"the program's profile has only {sorted(own)}")
    for site in sites:
        check(site in stacks, f"{site} is not among {sorted(map(str, stacks))}")
        for name in COUNTS:
            check(abs(stacks[site][name] - own[site][name]) <= 8,
                  f"{site}: {name} is {stacks[site][name]}, the profile has {own[site][name]}")
    for stack in shown["stacks"]:
        check(("live_bytes_error" in stack) == (rate > 1),
              f"an estimate has an error, an exact figure has none: {stack}")
    remark(f"{shown['runtime']['version']}, {len(sites)} sites")


# In the midst of an allocation the runtime may need a small object for itself.
RUNTIMES = 2048
# Half-widths of 95 % intervals; of some hundred comparisons in a run a few
# lie outside of one, and none this far.
FAR = 2.5
WORK = ("work 60000", "gc", "drop", "work 20000", "gc")
TINY = "main.siteTiny4"         # four of its objects share a block, which is what is seen


def watched(path, *options, commands=WORK):
    """(the program, the report of it, its books) after it obeyed the commands."""
    program = Sites(path)
    watch = Watch(program.pid, *options, mode="auto")
    for command in commands:
        program.tell(command)
    return program, watch.finish(), {b["site"]: b for b in program.ask("books")}


def compare(name, shown, error, true, outside):
    distance = abs(shown - true)
    check(distance <= FAR * error + RUNTIMES,
          f"{name} is {shown} +- {error}, in truth {true}")
    if distance > error + RUNTIMES:
        outside.append(name)


# make go-runs: how often intervals hold can only be seen in many runs.
RUNS = int(os.environ.get("HEAPSONDE_GO_RUNS") or 1)


def sampled_sites(path):
    compared = outside = worst = 0
    for _ in range(RUNS):
        version, all_of_run, outside_of_run = sampled_run(path)
        compared += all_of_run
        outside += len(outside_of_run)
        worst = max(worst, len(outside_of_run))
    if RUNS > 1:
        check(outside <= 0.05 * compared, f"{outside} of {compared} lie outside of 95 % intervals")
    remark(f"{version}, {outside} of {compared} outside, at most {worst} in a run")


def sampled_for_long(path):
    """Who takes spans fast and for seconds is seen in windows only."""
    version, compared, outside = sampled_run(path, (*("work 40000", "drop") * 60, "gc"))
    remark(f"{version}, {len(outside)} of {compared} outside")


def sampled_run(path, commands=WORK):
    """(Go's version, how many estimates there were, which were outside of their intervals)"""
    program, shown, books = watched(path, commands=commands)
    check_equal("mode", shown.data["mode"], "sampled")
    check(shown.loss["complete"], f"lost: {shown.loss}")
    stacks = {}
    for stack in shown.stacks:
        if stack["frames"] and stack["frames"][0]["function"] in books:
            site = stack["frames"][0]["function"]
            check(site not in stacks, f"two call paths lead to {site}")
            check_equal("status", stack["status"], "complete")
            check_equal("root", stack["frames"][-1]["function"], "runtime.goexit")
            stacks[site] = stack
    outside, total_true, compared = [], 0, 1
    for site, book in books.items():
        total_true += book["live_count"] * book["size"]
        if site == TINY:
            continue
        if commands != WORK and site not in stacks:
            continue
        check(site in stacks, f"{site} was not seen: {sorted(stacks)}")
        compared += 2
        for what in ("live", "alloc"):
            compare(f"{what}_bytes of {site}", stacks[site][f"{what}_bytes"],
                    stacks[site].get(f"{what}_bytes_error", 0),
                    book[f"{what}_count"] * book["size"], outside)
    check(len(outside) <= 6, f"too many lie outside of their intervals: {outside}")
    compare("live_bytes of all", shown.totals["live_bytes"],
            shown.totals["live_bytes_error"], total_true, outside)
    # How many objects a size class gave is known exactly, whatever the samples were.
    of_one_class = [site for site in books if "48" in site]
    true = sum(books[site]["alloc_count"] for site in of_one_class)
    seen = sum(stacks[site]["alloc_count"] for site in of_one_class)
    check(abs(seen - true) <= 400 + 0.02 * true, f"of one class {seen} were seen, not {true}")
    wait_unprobed(program.pid)
    program.proc.stdin.close()
    program.proc.wait()
    return shown.data["runtime"]["version"], compared, outside


TYPES = {"Tiny4": "uint32", "Scan8": "main.scan8", "Noscan16": "main.noscan16",
         "Scan48": "main.scan48", "Noscan48": "main.noscan48", "Noscan100": "[]uint8",
         "Header600": "main.header",
         "Noscan1k": "main.noscan1k", "Scan4k": "main.scan4k", "Noscan20k": "[]uint8",
         "Large64k": "[]uint8", "Large160k": "main.scanBig", "Crowd": "main.scan48"}


def check_types(stacks):
    """What each site asks for, by its name in the source."""
    seen = {s["frames"][0]["function"]: s["type"] for s in stacks if s["frames"]}
    for site, wanted in TYPES.items():
        check_equal(f"type of {site}", seen[f"main.site{site}"], wanted)


def types_everywhere(path):
    """In a recording, on paper, and as labels of pprof."""
    program = Sites(path)
    out, profile = scratch("types.heapsonde"), scratch("types.pprof")
    tool = spawn([TOOL, "record", "-p", program.pid, "-o", out, "--mode", "exact"],
                 stderr=subprocess.PIPE)
    while b"Ctrl-C" not in tool.stderr.readline():
        check_equal("status", tool.poll(), None)
    program.tell("work 20000")
    program.tell("crowd 100")
    tool.send_signal(signal.SIGINT)
    tool.communicate()
    shown = heapsonde("report", out, "--json", "--limit", "0").stdout
    check_types(json.loads(shown)["stacks"])
    check("allocates main.scanBig" in heapsonde("report", out).stdout, "not in the text")
    heapsonde("export", "-q", "--format", "pprof", "-o", profile, out)
    go = os.path.join(BUILD, "go", "system", "bin", "go")
    tags = run([go, "tool", "pprof", "-tags", profile],
               env={**os.environ, "HOME": scratch(), "PPROF_TMPDIR": scratch()})
    check(" type: " in tags.stdout and "main.scanBig" in tags.stdout,
          f"pprof says {tags.stdout} {tags.stderr}")


def exact_sites(path):
    """Every block of each site, and which of them the collector left."""
    program, shown, books = watched(path, "--mode", "exact",
                                    commands=(*WORK[:-1], "crowd 2500", "gc"))
    check_equal("mode", shown.data["mode"], "exact")
    check(shown.loss["complete"], f"lost: {shown.loss}")
    check(not any(name.endswith("_error") for s in shown.stacks for name in s),
          "exact figures have errors")
    stacks = by_leaf(shown.stacks, "heap")
    for site, book in books.items():
        check(site in stacks, f"{site} was not seen: {sorted(map(str, stacks))}")
        seen = stacks[site]
        check_equal(f"live_bytes of {site}", seen["live_bytes"],
                    seen["live_count"] * book["size"])
        if site == TINY:
            # What else is tiny may have begun a block, or go on with one.
            check(abs(seen["live_count"] - book["live_blocks"]) <= 4,
                  f"{seen['live_count']} live blocks of {site}, not {book['live_blocks']}")
            continue
        for name in ("alloc_count", "live_count"):
            check_equal(f"{name} of {site}", seen[name], book[name])
    check_types(shown.stacks)
    wait_unprobed(program.pid)
    program.proc.stdin.close()
    program.proc.wait()
    remark(f"{shown.data['runtime']['version']}, {shown.totals['alloc_count']} blocks")


def exact_often(path):
    for _ in range(RUNS):
        exact_sites(path)


def exact_until_too_fast(path):
    """What allocates faster than it is good for is sampled from then on; it is told."""
    program = Sites(path)
    watch = Watch(program.pid)
    program.tell("work 20000")
    while "sampling from now on" not in watch.errors():
        program.tell("churn 200000")
    program.tell("gc")
    before = program.ask("books")
    shown = watch.finish()
    check_equal("mode", shown.data["mode"], "sampled")
    check("more than the 50000" in watch.errors(), f"it says {watch.errors()}")
    stacks = by_leaf(shown.stacks, "heap")
    for book in before:
        if book["site"] == TINY:
            continue
        # Known one by one to their end; the classes of nothing else are sampled.
        for name in ("alloc_count", "live_count"):
            check_equal(f"{name} of {book['site']}", stacks[book["site"]][name], book[name])
    wait_unprobed(program.pid)


def budget_too_small(path):
    """From all blocks to samples, to fewer of them, to none: told each time."""
    program = Sites(path)
    watch = Watch(program.pid, "--max-overhead", "0.02")
    while "the watching ends here" not in watch.errors():
        check(watch.proc.poll() is None, f"heapsonde ended: {watch.errors()}")
        program.tell("churn 100000")
    check_equal("mode", watch.wait().data["mode"], "sampled")
    said = [watch.errors().find(words) for words in
            ("sampling from now on", "fewer samples of its Go heap", "even sampling takes")]
    check(-1 < said[0] < said[1] < said[2], f"it says {watch.errors()}")
    wait_unprobed(program.pid)
    program.tell("gc")


def other_levels(path):
    """Growth probes nothing."""
    program, shown, _ = watched(path, "--mode", "growth")
    check_equal("mode", shown.data["mode"], "growth")
    check_equal("stacks", [s for s in shown.stacks if s["kind"] == "heap"], [])
    wait_unprobed(program.pid)


def attached_often(path):
    program = Sites(path)
    for _ in range(5):
        watch = Watch(program.pid, mode="auto")
        program.tell("work 3000")
        watch.finish()
        wait_unprobed(program.pid)
    program.tell("gc")
    check_equal("status", program.proc.poll(), None)


def by_size(path):
    """Each size class by itself, as the program's own ReadMemStats has it."""
    server = Sites(path)
    for command in ("keep 1009 100", "churn 10007 64", "gc", "keep 53 20000"):
        server.tell(command)
        shown = report(server.pid)["runtime"]["BySize"]
        own = [tuple(int(n) for n in word.split(":"))
               for word in server.tell("sizes").split() if ":" in word]
        own = {size: (mallocs, frees) for size, mallocs, frees in own if size}
        check(len(own) > 50, f"the program says only {own}")
        differ = 0
        for row in shown:
            mallocs, frees = own.get(row["Size"], (row["Mallocs"], row["Frees"]))
            differ += abs(row["Mallocs"] - mallocs) + abs(row["Frees"] - frees)
        check(differ <= 4, f"after '{command}': {shown} is not {own}")


@case()
def programs_are_there():
    if not programs("default") or not programs("profile"):
        raise Skip("no Go program: make fetch-targets go-programs")


for path in programs("profile"):
    toolchain = path.split(os.sep)[-2]
    add_case(f"own_profile_{toolchain}", own_profile, path, "")
    add_case(f"own_profile_of_every_object_{toolchain}", own_profile, path,
             "memprofilerate=1")
    add_case(f"pprof_shows_it_as_its_own_{toolchain}", as_its_own, path)

for path in sorted(glob.glob(os.path.join(BUILD, "go", "*", "server-default"))):
    add_case(f"by_size_{path.split(os.sep)[-2]}", by_size, path)

for kind in ("default", "small", "pie", "nogreenteagc", "sizespecializedmalloc"):
    for path in programs(kind):
        toolchain = path.split(os.sep)[-2]
        add_case(f"sampled_{toolchain}_{kind}", sampled_sites, path, timeout=60 + 30 * RUNS)
        add_case(f"exact_{toolchain}_{kind}", exact_often, path, timeout=60 + 30 * RUNS)
        if kind == "pie" and toolchain == "system":
            add_case("other_levels", other_levels, path)
            add_case("exact_until_too_fast", exact_until_too_fast, path)
            add_case("budget_too_small", budget_too_small, path)
            add_case("sampled_for_long", sampled_for_long, path)
            add_case("types_everywhere", types_everywhere, path)
        if kind == "small":
            add_case(f"attached_often_{toolchain}", attached_often, path)


main()
