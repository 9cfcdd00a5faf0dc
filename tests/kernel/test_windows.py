#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Estimates of --mode windows against books that the targets keep themselves.

Short watches of small programs: what is asserted is that the estimates are
sound (intervals hold, the heap's total is right, the leak is found), not that
they are sharp; tests/bench/windows.py measures that.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403
from musl import compile_musl   # noqa: E402
from preload import preloaded   # noqa: E402


def site_of(chain):
    return next((f for f in chain if f and f.startswith("site_")), None)


def by_site(report):
    rows = {}
    for chain, stack in report.chains():
        site = site_of(chain)
        if site:
            check(site not in rows, f"two stacks of {site}")
            rows[site] = stack
    return rows


def watch(scenario, seconds, *options, budget="5", attach=None, rate="40000", program=None, env=None):
    """Its report and the books of its sites."""
    argv = [program or workload_path("services"), scenario, str(seconds), rate]
    w = Workload("services", argv=argv, env=env)
    watching = Watch(w.pid, "--max-overhead", budget, *options, mode="windows", attach=attach)
    books = w.work()
    report = watching.finish()
    wait_unprobed(w.pid)
    check_equal("the workload's status", w.quit(), 0)
    check_equal("mode", report.data["mode"], "windows")
    check(report.loss["complete"], f"lost: {report.loss}")
    return report, {s["site"]: s for s in books["sites"] if s["alloc_count"]}


def check_total(report, books):
    """What the heap holds is read, not estimated."""
    want = sum(s["live_bytes"] for s in books.values())
    got, error = report.totals["live_bytes"], report.totals["live_bytes_error"]
    check(abs(got - want) <= 0.1 * want + 2 * error, f"live_bytes is {got} ±{error:.0f}, not {want}")
    return got / want - 1


def check_cost(report, budget):
    share = report.data["cost"]["target_cpu_share"]
    check(share <= 1.5 * budget / 100, f"probes took {share:.4f} of the CPU time")


def intervals(report, books, metric):
    """In how many of how many cases the interval holds."""
    rows = by_site(report)
    held = [abs(rows.get(site, {}).get(metric, 0) - truth[metric]) <=
            rows.get(site, {}).get(metric + "_error", 0)
            for site, truth in books.items() if truth["alloc_count"] > 2000]
    return sum(held), len(held)


def sound(scenario, leaks, attach=None, program=None, env=None):
    report, books = watch(scenario, 9, attach=attach, program=program, env=env)
    off = check_total(report, books)
    check_cost(report, 5)
    held, cases = intervals(report, books, "alloc_bytes")
    check(held >= cases * 0.5, f"{cases - held} of {cases} intervals of alloc_bytes do not hold")
    rows = by_site(report)
    ranked = sorted(rows, key=lambda site: -rows[site]["growth_bytes_per_s"])
    for leak in leaks:
        check(leak in ranked[:3], f"{leak} is not among {ranked[:3]}")
    quality = report.data["windows"]
    # One each 2 s at least: on a busy machine a hit is dear, and the budget allows few.
    check(quality["windows"] >= 3, f"only {quality['windows']} windows")
    check("heap walk" in quality["evidence"], quality["evidence"])
    remark(f"total off by {100 * off:.1f} %, {held} of {cases} intervals hold, "
           f"{quality['windows']} windows")
    return report, books


# The leak that is worst by bytes.
add_case("leak", sound, "leaky", ("site_10",))
add_case("freed_by_other_threads", sound, "threads", ())
add_case("without_sessions", sound, "leaky", ("site_10",), "multi")


def other(scenario, leaks, cached=0, **how):
    """A heap that is read as glibc's is: what is in use there is what was asked for, and slack."""
    report, books = sound(scenario, leaks, **how)
    live = sum(s["live_bytes"] for s in books.values())
    held = report.data["windows"]["held_bytes"]
    # Sizes are four to the octave, and few of the blocks are smaller than 32 bytes.
    check(live <= held <= 1.4 * live + cached,
          f"what is in use holds {held} bytes, blocks in it {live}")


def musl(kind, *args):
    other(*args, program=compile_musl(kind, "services.c"))


def jemalloc(*args):
    # The harness's own blocks, and those that threads have for later, are in use as well.
    other(*args, cached=3 << 20, env=preloaded("jemalloc"))


add_case("musl_leak", musl, "dynamic", "leaky", ("site_10",))
add_case("musl_static_and_freed_by_other_threads", musl, "static", "threads", ())
@case()
def jemalloc_holds_what_it_counts():
    """At rest, with caches flushed, to the byte: its tree was found, and all of it read."""
    w = Workload("counters", env=preloaded("jemalloc"))
    want = w.work()["held"]
    # A heap is read when a window opens: that may take longer than is watched once.
    for _ in range(10):
        out = heapsonde("report", "-p", w.pid, "-d", "1", "--mode", "windows", "--json")
        got = json.loads(out.stdout)["windows"]["held_bytes"]
        if got:
            break
    check_equal("the workload's status", w.quit(), 0)
    check_equal("bytes in use", got, want)


add_case("jemalloc_leak", jemalloc, "leaky", ("site_10",))
add_case("jemalloc_freed_by_other_threads", jemalloc, "threads", ())


@case()
def a_heap_that_grows_while_it_is_read():
    """All of it is of the last seconds, and grows on: what is told is what is there by then."""
    w = Workload("services", "flood", "60", "60000")
    watching = Watch(w.pid, "--max-overhead", "5", mode="windows")
    w.say("go")
    time.sleep(4)
    report = watching.finish()
    w.proc.send_signal(signal.SIGUSR2)
    w.line()
    check_equal("the workload's status", w.quit(), 0)
    # The last moment is the end of the watch; the ledger is read some time after that.
    resident = [moment["rss_bytes"] for moment in report.data["timeline"]]
    want = resident[-1] - resident[0]
    got, error = report.totals["live_bytes"], report.totals["live_bytes_error"]
    said = f"{got / 1e6:.0f} ±{error / 1e6:.0f} MB of {want / 1e6:.0f}"
    check(want > 100e6, f"it grew by {want} bytes only")
    # Resident is also what lies between blocks, and what came since the heap was read.
    check(abs(got - want) <= 0.04 * want + 1.25 * error, said)
    check(error <= 0.5 * want, said)
    check("heap walk" in report.data["windows"]["evidence"], report.data["windows"])
    account = {line["kind"]: line["bytes"] for line in report.data["memory"]["account"]}
    unknown = account.get("unexplained", 0)
    check(unknown < 0.1 * want, f"{unknown} bytes of the memory are unexplained")
    remark(said)


@case()
def windows_are_as_long_as_the_budget_pays_for():
    """Where they cannot be closer to each other."""
    report, _ = watch("leaky", 4, budget="50", rate="8000")
    windows = report.data["windows"]
    check(windows["covered_share"] > 0.18, f"they cover {windows['covered_share']} of the time")
    check(report.data["cost"]["target_cpu_share"] < 0.5, f"{report.data['cost']}")
    remark(f"{1000 * windows['window_s']:.0f} ms, {100 * windows['covered_share']:.0f} %")


@case()
def windows_share_their_budget_with_the_ledger():
    report, _ = watch("leaky", 6, budget="2")
    cost, windows = report.data["cost"], report.data["windows"]["windows"]
    probes = cost["probe_hits"] * cost["probe_ns_per_hit"]
    ledger = cost["ledger_hits"] * cost["ledger_ns_per_hit"] + \
        cost["slowed_calls"] * (cost["ns_per_slowed_call"] or 0)
    budget = 0.02 * (probes + ledger) / cost["target_cpu_share"]
    left = budget - min(ledger, budget / 2)
    said = (f"probes {probes / 1e6:.1f} and ledger {ledger / 1e6:.1f} of {budget / 1e6:.1f} ms, "
            f"{windows} windows")
    check(probes <= 1.1 * left + 1.5 * probes / windows, said)
    remark(said)


MAPS_MUCH = """
import mmap, time
while True:
    for _ in range(8):
        mmap.mmap(-1, 4096).close()
    kept = [bytearray(700) for _ in range(20)]
    time.sleep(0.01)
"""


@case()
def windows_go_on_where_mmap_is_probed_all_the_time():
    """What it costs is none of the windows', however long they wait for the next one."""
    target = spawn([sys.executable, "-c", MAPS_MUCH])
    time.sleep(0.5)
    out = heapsonde("report", "-p", target.pid, "-d", "10", "--mode", "windows", "--max-overhead",
                    "20", "--json")
    target.kill()
    windows = json.loads(out.stdout)["windows"]["windows"]
    check(windows >= 10, f"only {windows} windows")
    remark(f"{windows} windows")


EXACT = ("live_bytes", "live_count", "alloc_bytes", "alloc_count", "free_bytes", "free_count")


def mapped(rounds, attach=None):
    """Blocks with mappings of their own: what there is room for, to the byte, of each stack."""
    w = Workload("mapped", str(rounds))
    watching = Watch(w.pid, "--max-overhead", "5", mode="windows", attach=attach)
    books = w.work()
    report = watching.finish()
    wait_unprobed(w.pid)
    check_equal("the workload's status", w.quit(), 0)
    check(report.loss["complete"], f"lost: {report.loss}")
    rows = by_site(report)
    for book in books["sites"]:
        row = rows[book["site"]]
        for metric in EXACT:
            check_equal(f"{metric} of {book['site']}", row[metric], book[metric])
            check(metric + "_error" not in row, f"{metric} of {book['site']} is an estimate")
    others = [s["live_bytes"] for s in report.data["stacks"] if s["kind"] == "heap"
              and s["id"] not in {row["id"] for row in rows.values()}]
    # Small blocks, and what walks met while a block was on its way in or out.
    check(sum(others) < 4 << 20, f"{others} bytes beside the books")
    check("system calls" in report.data["windows"]["evidence"], report.data["windows"])
    remark(f"{report.data['windows']['windows']} windows")


add_case("mapped_blocks_are_exact", mapped, 200)
add_case("mapped_blocks_without_sessions", mapped, 100, "multi")


KNOWN_GLIBCS = ("2.36", "2.41")     # as Debian compiles them for x86-64


@case()
def large_requests_are_all_told():
    """Few of them are in windows: without that these sites would be off by half, or not seen."""
    report, books = watch("bulk", 12, "--allocator", "glibc", budget="20", rate="10000")
    check_total(report, books)
    quality = report.data["windows"]
    check_equal("told above", quality["told_above_bytes"], 1032)
    check("large requests" in quality["evidence"], quality["evidence"])
    rows = by_site(report)
    for site, sharp in ("site_01", 0.6), ("site_02", 0.6), ("site_04", 2):
        got, error = rows[site]["live_bytes"], rows[site]["live_bytes_error"]
        want = books[site]["live_bytes"]
        # What is younger than the last look, and what is older than the probe, are estimates.
        check(abs(got - want) <= 0.05 * want + error and error <= sharp * want,
              f"{site}: {got} ±{error:.0f}, not {want}")
    got, want = rows["site_03"]["alloc_count"], books["site_03"]["alloc_count"]
    error = rows["site_03"]["alloc_count_error"]
    check(abs(got - want) <= 0.1 * want + error, f"site_03: {got} ±{error:.0f} births, not {want}")


def untold(*options, env=None):
    """Windows go on, and nobody claims more."""
    report, books = watch("bulk", 5, "--allocator", "glibc", *options, budget="20", rate="10000",
                          env=env)
    quality = report.data["windows"]
    check_equal("told above", quality["told_above_bytes"], 0)
    check("large requests" not in quality["evidence"], quality["evidence"])
    check(quality["windows"] >= 3, f"only {quality['windows']} windows")


@case()
def large_requests_that_threads_may_cache():
    untold(env={**os.environ, "GLIBC_TUNABLES": "glibc.malloc.tcache_max=1032"})


add_case("large_requests_without_whole_stacks", untold, "--stack", "fp")


@case()
def doctor_tries_where_large_requests_pass():
    """The instruction that it names is the jump behind a comparison with the next size."""
    w = Workload("churn", "-S", "60", "-w")
    target = json.loads(heapsonde("doctor", "-p", w.pid, "--json").stdout)["targets"][0]
    w.proc.kill()
    told, version = target["large_requests"], os.confstr("CS_GNU_LIBC_VERSION").split()[1]
    if not told["proven"] and (os.uname().machine != "x86_64" or version not in KNOWN_GLIBCS):
        check(told["why_not"], told)
        raise Skip(f"glibc {version}: {told['why_not']}")
    check(told["proven"], told)
    check_equal("larger than", told["above"], 1023)
    libc = next(o["path"] for o in target["objects"] if o["allocator"] == "glibc")
    with open(libc, "rb") as f:
        f.seek(told["file_offset"] - 4)
        code = f.read(5)
    check(code[:4] == (0xc3f).to_bytes(4, "little"), f"{code.hex()} is no comparison with 0xc3f")
    check(code[4] in (0x76, 0x0f), f"{code.hex()} is no jump")


def moved(seconds, *options):
    """--mode auto, with a program that is too dear to be watched exactly for long."""
    w = Workload("services", "leaky", str(seconds), "40000")
    watching = Watch(w.pid, *options, mode="auto")
    books = w.work()
    report = watching.finish()
    wait_unprobed(w.pid)
    check_equal("the workload's status", w.quit(), 0)
    check(report.loss["complete"], f"lost: {report.loss}")
    return report, {s["site"]: s for s in books["sites"] if s["alloc_count"]}


@case()
def auto_goes_over_to_windows():
    """One report of both levels: what was live at the move is followed on."""
    report, books = moved(9, "--max-overhead", "5")
    check_equal("mode", report.data["mode"], "windows")
    since = report.data["windows"]["since_s"]
    check(0 < since < 8, f"windows only since {since} s")
    check_total(report, books)
    held, cases = intervals(report, books, "alloc_bytes")
    check(held >= cases * 0.5, f"{cases - held} of {cases} intervals of alloc_bytes do not hold")
    # Nothing that was seen exactly is doubted: the leak began before the move.
    leak = by_site(report)["site_10"]
    age = report.data["duration_s"] - since
    check(leak["oldest_live_s"] > age, f"the oldest is {leak['oldest_live_s']} s, windows {age} s")
    check(report.totals["alloc_count"] >= report.totals["free_count"], "more freed than allocated")


def within_budget(budget, busy, *argv):
    """--mode auto, and that hits times their price, by the counters, keep the budget."""
    w = Workload(*argv)
    if busy:
        w.say("go")
        time.sleep(0.2)
    tool = spawn([TOOL, "report", "-p", w.pid, "--json", "-d", "2", "--max-overhead", budget],
                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if not busy:
        wait_until("probes are set", lambda: changed_code(w.pid))
        w.say("go")
    out, err = tool.communicate(timeout=60)
    check_equal("status", tool.returncode, 0)
    w.proc.kill()
    report = json.loads(out)
    check(report["windows"], f"the target is dear, and was seen {report['mode']}: {text(err)}")
    # Beside the budget, what it gives in a quarter of a second, and two looks, which are
    # 5 ms apart where a thread that is due does not have to wait.
    remark(check_budget(report, budget, budget / 100 * 0.25e9 + (0 if busy else 100e6)))


for percent in (1, 2, 5, 10):
    add_case(f"auto_keeps_{percent}_percent_when_met_busy", within_budget, percent,
             True, "churn", "-S", "60", "-w")
add_case("auto_keeps_1_percent_when_load_comes", within_budget, 1, False,
         "churn", "-S", "60", "-w")


class PidsCgroup(MemoryCgroup):
    """One that bounds how many threads its processes may have."""

    controller = "pids"

    def allow_no_more(self):
        with open(os.path.join(self.path, "pids.current")) as f:
            self._put(os.path.join(self.path, "pids.max"), f.read().strip())


@case()
def auto_without_threads_for_windows():
    """Says that it goes on exactly, does so, and that it was blind for a moment."""
    with PidsCgroup() as group:
        w = Workload("services", "churn", "120", "400000")
        watching = Watch(w.pid, "-i", "0.1", mode="auto")
        group.add(watching.proc.pid)
        group.allow_no_more()
        w.say("go")
        wait_until("it has tried", lambda: "cannot be had" in watching.errors(), 60)
        time.sleep(0.5)
        w.proc.send_signal(signal.SIGUSR2)
        allocated = sum(s["alloc_count"] for s in json.loads(w.line())["sites"])
        report = watching.finish()
    check("every allocation is recorded on" in watching.errors(), watching.errors())
    # Sampled, if a busy machine gave it the time to overspend its budget that way, too.
    exact = report.data["mode"] == "exact"
    check(exact or report.data["mode"] == "sampled", f"mode is {report.data['mode']}")
    check_equal("windows", report.data["windows"], None)
    check_equal("times without probes", report.loss["missed_probes"], 1)
    totals = report.totals
    check(totals["alloc_count"] < allocated, f"{totals['alloc_count']} of {allocated}")
    seen = [moment["alloc_bytes"] for moment in report.data["timeline"]]
    check(seen[-1] > seen[-3], f"in the end nothing was recorded: {seen}")
    check(not exact or "alloc_count_error" not in totals, "what was recorded is called an estimate")
    check_equal("the workload's status", w.quit(), 0)


@case()
def auto_comes_back():
    """One report from exact to windows, back, and over again, as a load comes and goes."""
    w = Workload("services", "leaky", "120", "40000")
    watching = Watch(w.pid, "--max-overhead", "10", mode="auto")
    w.say("go")
    for turn in (1, 2):
        wait_until(f"it went down {turn} times",
                   lambda: watching.errors().count("watching in windows") >= turn, 30)
        time.sleep(0.5)
        w.proc.send_signal(signal.SIGUSR1)
        wait_until(f"it came back {turn} times",
                   lambda: watching.errors().count("and begins") >= turn, 60)
        w.proc.send_signal(signal.SIGUSR1 if turn == 1 else signal.SIGUSR2)
    books = json.loads(w.line())
    report = watching.finish()
    check_equal("the workload's status", w.quit(), 0)
    check(report.loss["complete"], f"lost: {report.loss}")
    levels = [at["level"] for at in report.data["levels"]]
    check_equal("levels", [at for at in levels if at != "sampled"],
                ["exact", "windows", "exact", "windows", "exact"])
    check_equal("mode", report.data["mode"], levels[-1])
    books = {s["site"]: s for s in books["sites"] if s["alloc_count"]}
    check_total(report, books)
    totals = report.totals
    for metric in ("alloc_bytes", "alloc_count"):
        want = sum(s[metric] for s in books.values())
        check(abs(totals[metric] - want) <= 2.5 * totals[metric + "_error"],
              f"{metric} is {totals[metric]} ±{totals[metric + '_error']:.0f}, not {want}")
    check(totals["alloc_count"] >= totals["free_count"], "more freed than allocated")
    rows = by_site(report)
    ranked = sorted(rows, key=lambda site: -rows[site]["live_bytes"])
    check("site_10" in ranked[:3], f"the leak is not among {ranked[:3]}")
    spent = report.data["cost"]["target_cpu_share"]
    remark(f"{', '.join(levels)}; {100 * spent:.1f} % of the CPU time")


@case()
def auto_stays_exact_within_its_budget():
    w = Workload("services", "leaky", "3", "500")
    watching = Watch(w.pid, "--max-overhead", "90", mode="auto")
    books = w.work()
    report = watching.finish()
    check_equal("the workload's status", w.quit(), 0)
    check_equal("mode", report.data["mode"], "exact")
    rows = by_site(report)
    for book in books["sites"]:
        if book["alloc_count"]:
            for metric in ("alloc_count", "live_bytes"):
                check_equal(f"{metric} of {book['site']}", rows[book["site"]][metric],
                            book[metric])


@case()
def auto_lets_a_burst_be():
    """Without a budget of the user's, a second of CPU time may be overspent."""
    w = Workload("churn", "-n", "20000", "-s", "2000", "-w")
    watching = Watch(w.pid, mode="auto")
    pairs = w.work()["pairs"]
    report = watching.finish()
    check_equal("mode", report.data["mode"], "exact")
    check_equal("alloc_count", report.totals["alloc_count"], pairs)


@case()
def auto_of_a_quiet_program():
    """Half a percent of a core is always there, but not where a budget is named."""
    levels = {}
    for named in (["--max-overhead", "0.5"], []):
        w = Workload("services", "leaky", "60", "300")
        watching = Watch(w.pid, *named, mode="auto")
        w.say("go")
        if named:
            wait_until("it has left exact", lambda: "from now on" in watching.errors(), 40)
        else:
            time.sleep(3)
        report = watching.finish()
        levels[bool(named)] = [at["level"] for at in report.data["levels"]]
    check(levels[True] != ["exact"], f"levels: {levels[True]}")
    check_equal("levels", levels[False], ["exact"])
    check("live_bytes_error" not in report.totals, "what was recorded is called an estimate")
    remark(f"named: {', '.join(levels[True])}")


@case()
def no_leak_is_no_growth():
    report, books = watch("steady", 9)
    check_total(report, books)
    live = report.totals["live_bytes"]
    for site, stack in by_site(report).items():
        grown = stack["growth_bytes_per_s"] * 4.5
        check(grown < live, f"{site} is said to have grown by {grown:.0f} of {live}")


@case()
def killed_in_the_middle():
    """Whenever it is killed, the target runs on without a probe."""
    w = Workload("services", "churn", "8")
    w.say("go")
    for delay in (0.5, 0.313, 0.271, 0.407):
        watching = Watch(w.pid, mode="windows")
        time.sleep(delay)
        watching.proc.kill()
        watching.proc.wait()
        wait_unprobed(w.pid)
    json.loads(w.line())
    check_equal("the workload's status", w.quit(), 0)


@case()
def started_command():
    out = scratch("command.heapsonde")
    ran = heapsonde("record", "-o", out, "--mode", "windows", "--max-overhead", "10", "--",
                    workload_path("services"), "churn", "3", stdin=subprocess.DEVNULL)
    check_equal("status", ran.returncode, 0)
    report = Report(json.loads(heapsonde("report", out, "--json", "--limit", "0").stdout))
    check(report.data["windows"]["windows"] > 0, f"{report.data['windows']}")
    check("site_07" in by_site(report), "the busiest site was not seen")


main()
