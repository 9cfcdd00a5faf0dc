# SPDX-License-Identifier: GPL-2.0-or-later
"""The page of export --format html in a real browser: tests/web/html.mjs has the steps.

The pages are of snapshots made by hand (tests/web/pages.c) and of a real recording. Their
pictures are left in build/check for people to look at.
"""

import json
import os
import signal
import subprocess

from browser import MODULES, browse
from harness import (BUILD, Skip, add_case, case, check, check_equal, heapsonde, main,
                     need_root, run, scratch, spawn, workload_path)

PAGES = os.path.join(BUILD, "tests", "web", "pages")
PICTURES = os.path.join(BUILD, "check")
MADE = {}


def page(name):
    """(page, JSON) of a snapshot made by hand; made once."""
    if name not in MADE:
        os.makedirs(MODULES, exist_ok=True)
        paths = [os.path.join(MODULES, f"{name}.{suffix}") for suffix in ("html", "json")]
        done = run([PAGES, name, *paths])
        if "HTML=0" in done.stderr:
            raise Skip(done.stderr.strip())
        check(not done.returncode, f"pages {name}: {done.stderr}")
        MADE[name] = paths
    return MADE[name]


def on_page(name, step, files, *more):
    browse("html.mjs", step, *page(name)[:files], *more)


def add(name, step, *more, files=2):
    add_case(f"{step}_{name}", on_page, name, step, files, *more, timeout=150)


def add_pages():
    for name in ("everything", "large"):
        add(name, "numbers")
        add(name, "frames")
    for step in ("zoom", "keyboard", "colours", "narrow", "accessible"):
        add("everything", step, files=1)
    add("everything", "everything", files=1)
    add("everything", "search", "cache")
    add("many", "search", "module_7:")
    add("many", "sorting")
    add("large", "brush")
    add("large", "keyboard", files=1)
    add("many", "zoom", files=1)
    add("large", "large", files=1)
    add("hostile", "hostile")
    add("hostile", "policy", files=1)
    add("hostile", "colours", files=1)
    add("idle", "idle", files=1)
    add("windows", "level", "321 short windows", "2.0 % of the time", "more than 150 blocks would",
        "4.0 KiB that are in use", "2.0 KiB", "not to be relied on", "estimates", files=1)
    add("profile", "level", "says the heap profile", "since the program's start",
        "live bytes +0 B", files=1)
    add("growth", "level", "3.0 MiB became resident", "not who leaks", "not seen at this level",
        files=1)


def record(seconds):
    """A recording of the leaking server at work."""
    need_root()
    server = spawn([workload_path("leakserver"), "-r", "500", "-S", "60"],
                   stdout=subprocess.PIPE)
    check(server.stdout.readline().startswith(b"listening"), "the server does not listen")
    path = scratch("leak.heapsonde")
    done = heapsonde("record", "-p", server.pid, "-d", seconds, "-i", "0.1", "-o", path)
    check_equal("status of record", done.returncode, 0)
    server.send_signal(signal.SIGTERM)
    return path


def export(recording, *options):
    out = scratch("page.html")
    done = heapsonde("export", recording, "--format", "html", "-o", out, "--force", *options)
    if "HTML=0" in done.stderr:
        raise Skip(done.stderr.strip())
    check(not done.returncode, f"export: {done.stderr}")
    return out


@case(timeout=200)
def real_recording():
    recording = record(3)
    made, report = export(recording), scratch("report.json")
    with open(report, "w") as f:
        f.write(heapsonde("report", recording, "--json", "--limit", "0").stdout)
    with open(report) as f:
        check(json.load(f)["totals"]["live_bytes"] > 0, "nothing is live")
    for step in ("numbers", "frames"):
        browse("html.mjs", step, made, report)
    browse("html.mjs", "search", made, report, "touch_session")
    browse("html.mjs", "zoom", made)
    for name, width, height, scheme in (("light", 1280, 800, "light"), ("dark", 1280, 800, "dark"),
                                        ("narrow", 390, 800, "light")):
        browse("html.mjs", "picture", made, os.path.join(PICTURES, f"html-{name}.png"),
               width, height, scheme)


@case()
def to_standard_output():
    recording = record(1)
    done = heapsonde("export", recording, "--format", "html")
    check_equal("status", done.returncode, 0)
    with open(export(recording)) as f:
        check(f.read() == done.stdout, "the file is not what stdout gets")
    out = scratch("there.html")
    with open(out, "w") as f:
        f.write("something else")
    done = heapsonde("export", recording, "--format", "html", "-o", out)
    check_equal("status on a file that is there", done.returncode, 1)
    check("--force" in done.stderr, f"says {done.stderr}")


add_pages()
main()
