#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Go programs as the distribution ships them: stripped, built by whatever Go it has.

What they publish of themselves must hold what is read of them, their call paths must
make sense, and they must survive being watched: HEAPSONDE_HITS probe hits (a million
in the long form) and HEAPSONDE_CYCLES times of attaching (200).
"""

import os
import sys
import threading
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

HITS = int(os.environ.get("HEAPSONDE_HITS") or 20000)
CYCLES = int(os.environ.get("HEAPSONDE_CYCLES") or 3)
SLACK = 4 << 20         # bytes, and blocks, that caches of Ps hold: in ours, not in theirs


def get(url):
    with urllib.request.urlopen(url, timeout=20) as page:
        return page.read().decode()


class Program:
    def __init__(self, name, argv, page, metrics=None, cwd=None):
        env = dict(os.environ, HOME=scratch("home"), XDG_CACHE_HOME=scratch("cache"))
        self.proc = spawn([need(name), *argv], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, env=env, cwd=cwd)
        self.pid, self.page, self.metrics_page = self.proc.pid, page, metrics
        wait_until(f"{name} answers", self.answers, timeout=30 * PATIENCE)

    def answers(self):
        check_equal("it runs on", self.proc.poll(), None)
        try:
            return get(self.page)
        except OSError:
            return None

    def metrics(self):
        return {name: float(value) for name, value in
                re.findall(r"^go_memstats_(\w+) (\S+)$", get(self.metrics_page), re.M)}


def node_exporter():
    page = f"127.0.0.1:{free_port()}"
    return Program("prometheus-node-exporter", [f"--web.listen-address={page}"],
                   f"http://{page}/metrics", f"http://{page}/metrics")


def caddy():
    site, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    config = {"admin": {"listen": admin, "config": {"persist": False}},
              "apps": {"http": {"servers": {"site": {
                  "listen": [site], "automatic_https": {"disable": True},
                  "routes": [{"handle": [{"handler": "static_response", "body": "yes"}]}]}}}}}
    with open(scratch("caddy.json"), "w") as f:
        json.dump(config, f)
    return Program("caddy", ["run", "--config", f.name], f"http://{site}/",
                   f"http://{admin}/metrics")


def hugo():
    root, port = scratch("site"), free_port()
    os.makedirs(os.path.join(root, "content"))
    os.makedirs(os.path.join(root, "layouts"))
    for path, text in (("config.toml", ""), ("content/page.md", "words"),
                       ("layouts/index.html", "<html>{{ range .Site.Pages }}{{ .Title }}{{ end }}")):
        with open(os.path.join(root, path), "w") as f:
            f.write(text)
    return Program("hugo", ["server", "--source", root, "--port", str(port), "--watch=false"],
                   f"http://127.0.0.1:{port}/", cwd=root)


PROGRAMS = {"node_exporter": node_exporter, "caddy": caddy, "hugo": hugo}


class Load(threading.Thread):
    """Asks for the page over and over; what fails is kept."""

    def __init__(self, program):
        super().__init__()
        self.program, self.over, self.count, self.error = program, False, 0, None
        self.start()

    def run(self):
        while not self.over and not self.error:
            try:
                get(self.program.page)
                self.count += 1
            except OSError as error:
                self.error = error

    def finish(self):
        self.over = True
        self.join()
        check(not self.error and self.count, f"{self.count} answers, then {self.error}")


def told_as_by_itself(name):
    program = PROGRAMS[name]()
    for _ in range(20):
        get(program.page)
    before = program.metrics()
    out = heapsonde("report", "-p", program.pid, "-d", "0.05", "--json")
    check_equal(f"status ({out.stderr})", out.returncode, 0)
    after, runtime = program.metrics(), json.loads(out.stdout)["runtime"]
    check(runtime, "it is not recognised")
    for name, key, slack in (("Sys", "sys_bytes", 0), ("TotalAlloc", "alloc_bytes_total", SLACK),
                             ("Mallocs", "mallocs_total", 20000),
                             ("Frees", "frees_total", 20000),
                             ("MCacheSys", "mcache_sys_bytes", 0),
                             ("BuckHashSys", "buck_hash_sys_bytes", 0)):
        low, high = sorted((before[key], after[key]))
        check(low <= runtime[name] <= high + slack,
              f"{name} is {runtime[name]}, not between its own {before[key]} and {after[key]}")
    remark(runtime["version"])


# Where a goroutine begins, and where the runtime works on a stack of its own.
ROOTS = ("runtime.goexit", "runtime.main", "runtime.systemstack", "runtime.mcall",
         "runtime.mstart", "runtime.morestack")
OWN_DEPTH = 32          # frames that a program's own profile keeps, before Go 1.23


def is_whole(stack):
    frames = sum(not f["inlined"] for f in stack["frames"])
    cut = stack["kind"] == "profile" and frames >= OWN_DEPTH
    return stack["status"] == "complete" and (cut or stack["frames"][-1]["function"] in ROOTS)


def check_stacks(report):
    # C of these programs has a heap too, whose stacks are other tests' affair.
    stacks = [s for s in report.stacks if s["kind"] in ("heap", "profile") and s["frames"]
              and (s["frames"][0]["file"] or "").endswith(".go")]
    check(len(stacks) > 5, f"only {len(stacks)} call paths")
    broken = [s for s in stacks if not is_whole(s)]
    check(not broken, f"{len(broken)} of {len(stacks)} stacks are not whole: {broken[:2]}")
    unnamed = [f for s in stacks for f in s["frames"]
               if not (f["function"] and f["file"] and f["line"])]
    check(not unnamed, f"{len(unnamed)} frames have no name or line: {unnamed[:3]}")


def watched(program, requests, mode):
    """The report of so many requests and a few more."""
    watch, load = Watch(program.pid, mode=mode), Load(program)
    wait_until("it answers", lambda: load.count > requests or load.error,
               timeout=(60 + requests / 50) * PATIENCE)
    load.finish()
    return watch.finish()


def has_sane_stacks(name):
    check_stacks(watched(PROGRAMS[name](), 50, "auto"))


def survives_hits(name):
    program, hits, requests = PROGRAMS[name](), 0, 50
    while hits < HITS:
        report = watched(program, requests, "exact")
        got = report.data["cost"]["probe_hits"]
        check(got > requests, f"only {got} hits for {requests} requests")
        check_stacks(report)
        wait_unprobed(program.pid)
        hits += got
        requests = min(requests * 2, 2000)
    check(get(program.page), "it answers no more")
    remark(f"{hits} hits")


def attached_often(name):
    program = PROGRAMS[name]()
    load = Load(program)
    for _ in range(CYCLES):
        out = heapsonde("report", "-q", "-p", program.pid, "-d", "0.05", "--json",
                        "--mode", "exact")
        check_equal(f"status ({out.stderr})", out.returncode, 0)
    load.finish()
    wait_unprobed(program.pid)
    check_equal("it lives on", program.proc.poll(), None)


for name in ("node_exporter", "caddy"):
    add_case(f"{name}_is_told_as_by_itself", told_as_by_itself, name)
for name in PROGRAMS:
    add_case(f"{name}_has_sane_stacks", has_sane_stacks, name)
add_case("caddy_survives_hits", survives_hits, "caddy", timeout=120 + HITS / 200)
add_case("caddy_is_attached_to_often", attached_often, "caddy", timeout=60 + 10 * CYCLES)

main()
