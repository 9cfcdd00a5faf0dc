#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Manual pages and completion: of all commands, all options, and well-formed."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

COMMANDS = ("top", "record", "report", "export", "symbolize", "mark", "diff", "doctor")


def installed():
    """What make install puts down."""
    where = scratch("root")
    done = run(["make", "-s", "-C", ROOT, "install", f"O={BUILD}", f"DESTDIR={where}",
                "PREFIX=/usr"], timeout=120)
    check_equal(f"status of make install ({done.stderr})", done.returncode, 0)
    return os.path.join(where, "usr")


def options_of(command):
    found = re.findall(r"^ {2}(?:-\w, | {4})--([\w-]+)", heapsonde(command, "--help").stdout, re.M)
    check(len(found) >= 3, f"options of {command}: {found}")
    return found


@case(timeout=180)
def manual_pages():
    """One a command; groff has nothing to warn of; every option is there."""
    root = installed()
    for command in COMMANDS:
        page = os.path.join(root, "share/man/man1", f"heapsonde-{command}.1")
        shown = run(["groff", "-man", "-Tutf8", "-ww", "-P-cbou", page])
        check_equal(f"groff on {command}", (shown.returncode, shown.stderr), (0, ""))
        words = re.sub(r"[‐\-]\s*\n\s*", "-", shown.stdout.replace("−", "-"))
        for option in options_of(command):
            check(f"--{option}" in words, f"{command}: --{option} is not in its page")
        for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"):
            check(re.search(f"^{section}$", words, re.M), f"{command} has no {section}")
    for command in ("top", "record", "report", "export"):
        page = open(os.path.join(root, "share/man/man1", f"heapsonde-{command}.1")).read()
        check(".SH OVERHEAD" in page and ".SH CAVEATS" in page, f"{command}: price and limits")
    check_equal("top's page", "@KEYS@" in page, False)
    shown = run(["groff", "-man", "-Tutf8", "-ww", os.path.join(root, "share/man/man1/heapsonde.1")])
    check_equal("groff on heapsonde", (shown.returncode, shown.stderr), (0, ""))


COMPLETE = r"""
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_heapsonde
printf '%s\n' "${COMPREPLY[@]}"
"""


def completed(script, *words):
    done = run(["bash", "-c", COMPLETE, "bash", script, "heapsonde", *words])
    check_equal(f"bash on {words}: {done.stderr}", done.returncode, 0)
    return done.stdout.split()


@case(timeout=180)
def completion_in_bash():
    script = os.path.join(installed(), "share/bash-completion/completions/heapsonde")
    check_equal("lint", run(["shellcheck", "-s", "bash", script]).stdout, "")
    check_equal("commands", completed(script, "re"), ["record", "report"])
    for command in COMMANDS:
        check_equal(f"options of {command}", sorted(completed(script, command, "--")),
                    sorted(f"--{option}" for option in options_of(command)))
    check_equal("modes", "exact" in completed(script, "record", "--mode", ""), True)
    check_equal("formats", completed(script, "export", "--format", "s"), ["speedscope", "svg"])
    check_equal("those of diff", completed(script, "diff", "--format", "s"), ["svg"])
    check_equal("metrics", completed(script, "report", "--sort", "temp"), ["temporary_count"])
    check(str(os.getpid()) in completed(script, "top", "--pid", ""), "no PIDs")
    check_equal("of a number", completed(script, "record", "--max-depth", ""), [])


@case(timeout=180)
def completion_in_others():
    """Of zsh and fish at least that every option of every command is told."""
    root = installed()
    zsh = open(os.path.join(root, "share/zsh/site-functions/_heapsonde")).read()
    fish = open(os.path.join(root, "share/fish/vendor_completions.d/heapsonde.fish")).read()
    for command in COMMANDS:
        part = zsh.split(f"\t{command})\n")[1].split(";;")[0]
        for option in options_of(command):
            check(re.search(rf"\*--{option}=?-?\[", part), f"zsh: {command} --{option}")
            check(re.search(f"_from {command}' -l {option}( |$)", fish), f"fish: {command} {option}")


@case()
def unknown_names():
    for words in (("--completion", "tcsh"), ("--manual", "nonsense")):
        out = heapsonde(*words)
        check_equal(f"status of {words}", out.returncode, 2)
        check_equal(f"lines of {out.stderr!r}", out.stderr.count("\n"), 1)


main()
