#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Exports of real processes: live ones say what recordings say, and tools understand them."""

import glob
import os
import sys
import xml.dom.minidom

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403
from pprof import pprof, top    # noqa: E402


class Seen:
    """The workload "family", exported live in each format and recorded meanwhile."""

    def __init__(self, *formats):
        self.path = scratch("seen.heapsonde")
        target = Workload("family")
        watchers = [spawn([TOOL, "record", "-q", "-p", target.pid, "--mode", "exact",
                           "-o", self.path], stderr=subprocess.PIPE)]
        for name in formats:
            watchers.append(spawn([TOOL, "export", "-q", "-p", target.pid, "--mode", "exact",
                                   "--format", name, "-o", scratch(f"live.{name}")],
                                  stderr=subprocess.PIPE))
        for watcher in watchers:
            wait_until("it watches", lambda: watches(watcher.pid))
        time.sleep(0.5)
        self.books = target.work()
        for watcher in watchers:
            watcher.send_signal(signal.SIGINT)
            err = watcher.communicate()[1]
            check_equal(f"status ({text(err)})", watcher.returncode, 0)

    def live(self, name):
        with open(scratch(f"live.{name}"), "rb") as f:
            return f.read()

    def recorded(self, name, *options):
        path = scratch(f"recorded.{name}")
        out = heapsonde("export", self.path, "--format", name, "--force", "-o", path, *options)
        check_equal(f"status ({out.stderr})", out.returncode, 0)
        with open(path, "rb") as f:
            return f.read()


def watches(pid):
    """Whether that process has opened a ring buffer and attached something to it."""
    links = 0
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{fd}") as f:
                links += "link_type" in f.read()
        except OSError:
            pass
    return links > 2


def plain(data):
    """An export without what differs from one watcher to the next: how long it watched."""
    return re.sub(rb"watched for [^,;<\"]*", b"watched", data).decode()


@case()
def live_is_recorded():
    formats = ("folded", "svg", "speedscope")
    seen = Seen(*formats)
    for name in formats:
        live, recorded = plain(seen.live(name)), plain(seen.recorded(name))
        check("reallocated" in live, f"hardly anything was exported as {name}")
        check(live == recorded, f"{name} of a live process is not that of its recording")


@case()
def all_formats_have_the_totals():
    """Of the metric that was asked for."""
    seen = Seen()
    report = Report(json.loads(heapsonde("report", seen.path, "--json", "--limit", "0").stdout))
    for metric in ("live_bytes", "alloc_count", "free_bytes", "peak_live_bytes"):
        want = report.totals[metric]
        lines = seen.recorded("folded", "--metric", metric).decode().splitlines()
        check_equal(f"folded {metric}", sum(int(x.rsplit(" ", 1)[1]) for x in lines), want)
        scope = json.loads(seen.recorded("speedscope", "--metric", metric))
        check_equal(f"speedscope {metric}", scope["profiles"][0]["endValue"], want)
        svg = xml.dom.minidom.parseString(seen.recorded("svg", "--metric", metric))
        data = next(e for e in svg.getElementsByTagName("script") if e.getAttribute("id"))
        boxes = json.loads(data.firstChild.data)["boxes"]
        check_equal(f"svg {metric}", boxes[3], want)
        check_equal(f"svg {metric}, selves", sum(boxes[4::5]), want)


@case()
def no_profile_on_a_terminal():
    seen = Seen()
    outside, inside = os.openpty()
    refused = spawn([TOOL, "export", seen.path, "--format", "pprof"], stdout=inside,
                    stderr=subprocess.PIPE)
    err = text(refused.communicate()[1])
    os.close(inside)
    os.close(outside)
    check_equal("status", refused.returncode, 2)
    check("-o" in err, err)
    out = run([TOOL, "export", seen.path, "--format", "pprof"])
    check_equal("status into a pipe", out.returncode, 0)


@case()
def difference_as_a_picture():
    seen = Seen()
    out = heapsonde("diff", seen.path, seen.path, "--format", "svg", "--icicle")
    check_equal(f"status ({out.stderr})", out.returncode, 0)
    svg = xml.dom.minidom.parseString(out.stdout)
    boxes = json.loads(next(e for e in svg.getElementsByTagName("script")
                            if e.getAttribute("id")).firstChild.data)["boxes"]
    check_equal("now and before", boxes[5::8], boxes[6::8])
    check_equal("colours", set(boxes[7::8]), {"d0"})


# ---- pprof ----

def by_function(report, metric):
    """The same of a report: what a function asked for itself, and with all it called."""
    flat, cumulated = {}, {}
    for stack in report.stacks:
        names = [f["function"] or (f"{f['module']}+{f['offset']:#x}" if f["module"] else
                                   f"[{f['pc']}]") for f in stack["frames"]] or ["[lost]"]
        flat[names[0]] = flat.get(names[0], 0) + stack[metric]
        for name in set(names):
            cumulated[name] = cumulated.get(name, 0) + stack[metric]
    return flat, cumulated


def without_zeros(table):
    return {name: n for name, n in table.items() if n}


PPROF_TYPES = (("inuse_space", "live_bytes"), ("inuse_objects", "live_count"),
               ("alloc_space", "alloc_bytes"), ("alloc_objects", "alloc_count"))


@case(timeout=120)
def pprof_shows_what_the_report_says():
    seen = Seen("pprof")
    report = Report(json.loads(heapsonde("report", seen.path, "--json", "--limit", "0").stdout))
    seen.recorded("pprof")
    for path in scratch("live.pprof"), scratch("recorded.pprof"):
        for kind, metric in PPROF_TYPES:
            got, want = top(path, f"-sample_index={kind}"), by_function(report, metric)
            check_equal(f"{kind} flat", without_zeros(got[0]), without_zeros(want[0]))
            check_equal(f"{kind} cum", without_zeros(got[1]), without_zeros(want[1]))
            check_equal(f"sum of {kind}", sum(got[0].values()), report.totals[metric])


@case(timeout=120)
def pprof_knows_the_heap():
    seen = Seen("pprof")
    path = scratch("live.pprof")
    text = pprof("-top", path)
    for words in ("File: family", "Build ID: ", "Type: inuse_space", "complete: nothing was lost",
                  "Duration: "):
        check(words in text, f"no {words!r} in {text!r}")
    peek = pprof("-peek=^main$", path)
    check(re.search(r"\| +main$", peek, re.M) and re.search(r"\| +plain$", peek, re.M), peek)
    tags = pprof("-tags", path)
    check(re.search(r"heap$", tags, re.M) and "family" in tags, tags)
    lines = pprof("-list=^main$", path)
    check("family.c" in lines, "main has no source lines")
    check(seen.books, "no books")


@case(timeout=120)
def pprof_compares():
    seen = Seen("pprof")
    flat, _ = top(scratch("live.pprof"), "-diff_base", scratch("live.pprof"))
    check_equal("difference of a profile to itself", without_zeros(flat), {})
    other = scratch("other.pprof")
    out = heapsonde("export", "-q", "--format", "pprof", "-o", other, seen.path)
    check_equal(f"status ({out.stderr})", out.returncode, 0)
    flat, _ = top(other, "-diff_base", scratch("live.pprof"))
    check_equal("difference of live and recorded", without_zeros(flat), {})


if __name__ == "__main__":
    main()
