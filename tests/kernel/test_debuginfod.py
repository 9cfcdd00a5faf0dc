#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""--debuginfod: names and lines of a stripped program, from a server on this machine."""

import http.server
import os
import shutil
import socket
import sys
import threading
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403


def build_id(path):
    notes = run(["readelf", "-n", path]).stdout
    return notes.split("Build ID:")[1].split()[0]


def split(directory):
    """(stripped program, its debug file) of the workload deep, linked to each other by id only."""
    os.mkdir(directory)
    program, debug = os.path.join(directory, "deep"), os.path.join(directory, "deep.debug")
    run(["objcopy", "--only-keep-debug", workload_path("deep"), debug])
    run(["strip", "-o", program, workload_path("deep")])
    return program, debug


class Server:
    """Speaks what debuginfod(8) does of /buildid/ID/debuginfo; asked: the ids."""

    def __init__(self, files, answer=200):
        asked = self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                part = self.path.split("/")
                asked.append(part[2])
                body = files.get(part[2]) if part[3] == "debuginfo" else None
                self.send_response(answer if body else 404)
                self.end_headers()
                if body:
                    self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def use(url):
    os.environ["DEBUGINFOD_CACHE_PATH"] = scratch("debuginfod-cache")
    os.environ["DEBUGINFOD_TIMEOUT"] = "10"
    if url is None:
        os.environ.pop("DEBUGINFOD_URLS", None)
    else:
        os.environ["DEBUGINFOD_URLS"] = url


def watch(program, *options):
    w = Workload("deep", argv=[program, "5"])
    watching = Watch(w.pid, *options)
    books = w.work()
    return watching.finish(), watching, books


def own_frames(report):
    return [f for s in report.stacks for f in s["frames"] if f["module"] == "deep"]


def check_named(report):
    chains = list(report.chains())
    check(any("site_deep" in c for c, _ in chains), f"no site_deep in {chains[:3]}")
    frames = own_frames(report)
    for function in ("site_deep", "main"):
        named = [f for f in frames if f["function"] == function]
        check(named, f"no frame of {function}")
        check(all(f["file"].endswith("deep.c") and f["line"] > 0 for f in named),
              f"{function} without a line: {named[0]}")


@case()
def names_and_lines_come_from_the_server():
    program, debug = split(scratch("split"))
    with open(debug, "rb") as f:
        server = Server({build_id(program): f.read()})
    use(server.url)
    report, watching, _ = watch(program, "--debuginfod")
    check_named(report)
    check(build_id(program) in server.asked, f"asked for: {server.asked}")
    check("1 of" in watching.errors(), f"stderr: {watching.errors()}")


@case()
def nothing_is_fetched_unless_asked():
    program, debug = split(scratch("split"))
    with open(debug, "rb") as f:
        server = Server({build_id(program): f.read()})
    use(server.url)
    report, _, _ = watch(program)
    check_equal("questions", server.asked, [])
    frames = own_frames(report)
    check(frames and not any(f["file"] for f in frames), "lines without debug data")
    for frame in frames:
        check(frame["build_id"] == build_id(program) and frame["offset"],
              f"neither name nor place: {frame}")


@case()
def a_wrong_file_is_not_used():
    program, _ = split(scratch("split"))
    with open(workload_path("churn"), "rb") as f:
        server = Server({build_id(program): f.read()})
    use(server.url)
    report, watching, books = watch(program, "--debuginfod")
    check(not any(f["file"] for f in own_frames(report)), "lines of another program")
    check_equal("alloc_bytes", report.totals["alloc_bytes"], book_totals(books)["alloc_bytes"])


@case()
def a_server_that_fails_costs_only_the_names():
    program, _ = split(scratch("split"))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{s.getsockname()[1]}"
    use(url)
    report, watching, books = watch(program, "--debuginfod")
    check_equal("alloc_bytes", report.totals["alloc_bytes"], book_totals(books)["alloc_bytes"])
    check("debug data of deep" in watching.errors(), f"stderr: {watching.errors()}")


@case()
def without_a_server_it_says_so():
    program, _ = split(scratch("split"))
    use(None)
    report, watching, books = watch(program, "--debuginfod")
    check_equal("alloc_bytes", report.totals["alloc_bytes"], book_totals(books)["alloc_bytes"])
    check("DEBUGINFOD_URLS" in watching.errors(), f"stderr: {watching.errors()}")


@case()
def a_recording_has_the_names():
    program, debug = split(scratch("split"))
    with open(debug, "rb") as f:
        use(Server({build_id(program): f.read()}).url)
    path = scratch("r.heapsonde")
    w = Workload("deep", argv=[program, "5"])
    recorder = spawn([TOOL, "record", "-p", str(w.pid), "-o", path, "--debuginfod"],
                     stderr=subprocess.PIPE, text=True)
    wait_until("the recording", lambda: os.path.exists(path) and changed_code(w.pid))
    w.work()
    w.quit()
    check_equal("status", recorder.wait(30), 0)
    report = Report(json.loads(heapsonde("report", path, "--json").stdout))
    check_named(report)


@case(timeout=90)
def a_real_server():
    if not shutil.which("debuginfod"):
        raise Skip("no debuginfod")
    program, debug = split(scratch("split"))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    spawn(["debuginfod", "-d", scratch("server.sqlite"), "-p", str(port), "-L", "-F",
           os.path.dirname(debug)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def has_file():
        try:
            return urllib.request.urlopen(f"{url}/buildid/{build_id(program)}/debuginfo").read(4)
        except OSError:
            return False

    wait_until("the server's index", has_file, timeout=40, every=0.3)
    use(url)
    report, _, _ = watch(program, "--debuginfod")
    check_named(report)


if __name__ == "__main__":
    main()
