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
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

SOURCES = os.path.join(ROOT, "tests", "workloads")
# Where a fault interrupts is no call, and so no row of a table of call sites.
# Such a stack may part from the truth behind the interrupted frame, the third
# (handler, __restore_rt, interrupted), if it is marked as guessed.
INEXACT_SITES = {"site_signal_fault"}
INEXACT_FRAMES = 3
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


def forgive_guesses(told, seen):
    """Puts marked guesses that are right as far as they can be where they belong."""
    for site, callers in [key for key in seen if key[0] in INEXACT_SITES and key not in told]:
        known = INEXACT_FRAMES - 1
        belongs = next((key for key in told if key[0] == site and
                        key[1][:known] == callers[:known]), None)
        if belongs and all(s["status"] == "guessed" for s in seen[site, callers]):
            seen[belongs] += seen.pop((site, callers))


def check_truth(report, truth):
    told = told_stacks(truth)
    sites = {site for site, _ in told}
    seen = seen_stacks(report, sites)
    forgive_guesses(told, seen)
    wrong, guessed = [], 0
    for key, leaves in told.items():
        stacks = seen.get(key, [])
        if not stacks:
            wrong.append(f"{key[0]}, {len(key[1]) + 1} frames: {nearest_miss(key, seen)}")
            continue
        count = sum(s["alloc_count"] for s in stacks)
        if count != len(leaves):
            wrong.append(f"{key[0]}: {count} allocations instead of {len(leaves)}")
        for s in stacks:
            leaf = address(physical(s)[0])
            if not any(0 <= pc - leaf < NEAR for pc in leaves):
                wrong.append(f"{key[0]}: leaf {leaf:#x} is not shortly before {leaves[0]:#x}")
            guessed += s["status"] == "guessed"
            if s["status"] != "complete" and not (s["status"] == "guessed" and key[0] in INEXACT_SITES):
                wrong.append(f"{key[0]}, {len(key[1]) + 1} frames: status {s['status']}")
    wrong += [f"{site}: {len(callers) + 1} frames that the target did not have"
              for site, callers in seen if (site, callers) not in told]
    # What libraries allocate meanwhile has no word to compare with, but a bottom.
    wrong += [f"{plain_name(s['frames'][0]['function'])}, {len(s['frames'])} frames:"
              f" status {s['status']}" for s in report.stacks
              if s["status"] not in ("complete", "guessed") and
              plain_name(s["frames"][0]["function"]) not in sites]
    if wrong:
        more = f"; and {len(wrong) - 6} more" if len(wrong) > 6 else ""
        raise Failure("; ".join(wrong[:6]) + more)
    frames = sum((len(key[1]) + 1) * len(leaves) for key, leaves in told.items())
    remark(f"{len(truth['stacks'])} stacks, {frames} frames" +
           (f", {guessed} guessed" if guessed else ""))


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
        add_case(f"plugins_{cc}_{way}", plugin_stacks, cc, *ways[way])


@case()
def debug_frame_is_no_substitute_at_run_time_but_in_tables():
    """Code that keeps its unwind information out of what is loaded."""
    program = compile_source("gcc", "backtraces.c", "backtraces", "-O2", NO_FP,
                             "-fno-asynchronous-unwind-tables", "-fno-unwind-tables")
    w = Workload("backtraces", argv=[program])
    watch = Watch(w.pid, "--max-depth", "512", settle=0.5)
    w.work()
    chains = [(c, s) for c, s in watch.finish().chains() if c[0] == "site_recursion"]
    check_equal("stacks of the recursion", len(chains), 2)
    for chain, stack in chains:
        check_equal("its bottom", chain[-4:][0], "main")
        check_equal("status", stack["status"], "complete")


if __name__ == "__main__":
    main()
