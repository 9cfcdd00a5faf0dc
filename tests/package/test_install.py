#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian package where nothing else is: apt installs it in a fresh system, it watches
from there to the byte, and leaves nothing behind.

usage: make check-package

What debootstrap makes of this system's suite is kept in $O/fresh; a minute or two without.
"""

import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

FILES = ("usr/bin/heapsonde", "usr/share/man/man1/heapsonde-record.1.gz",
         "usr/share/bash-completion/completions/heapsonde")
# What a system that runs has, in a mount namespace that ends with the command.
INSIDE = ("for d in proc sys dev; do mount --rbind /$d $0/$d || exit; done; "
          "exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "
          "DEBIAN_FRONTEND=noninteractive chroot $0 \"$@\"")


def inside(root):
    """The words before a command that is to run in there."""
    return ("unshare", "-m", "--propagation", "private", "sh", "-c", INSIDE, root)


def suite():
    with open("/etc/os-release") as release:
        words = dict(line.rstrip().split("=", 1) for line in release if "=" in line)
    if words.get("ID") != "debian":
        raise Skip("this system is no Debian")
    return words["VERSION_CODENAME"]


def mirror():
    lines = run(["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)",
                 "Created-By: Packages"]).stdout.splitlines()
    found = [line.split()[1] for line in lines if line.startswith("Debian ")]
    if not found:
        raise Skip("apt names no mirror of Debian")
    return found[0]


def bootstrap(root):
    """A system of what is essential, and how apt reaches the mirror from here."""
    if not shutil.which("debootstrap"):
        raise Skip("debootstrap is not installed")
    kept = os.path.join(BUILD, "fresh", f"{suite()}.tar")
    if not os.path.exists(kept):
        made = run(["debootstrap", "--variant=minbase", suite(), root, mirror()], timeout=1200)
        if "Failed getting release" in made.stdout + made.stderr:
            raise Skip(f"no mirror can be reached: {mirror()}")
        check_equal(f"debootstrap ({made.stdout[-500:]})", made.returncode, 0)
        os.makedirs(os.path.dirname(kept), exist_ok=True)
        done = run(["tar", "-C", root, "-cf", kept + ".new", "."], timeout=300)
        check_equal(f"tar ({done.stderr})", done.returncode, 0)
        os.rename(kept + ".new", kept)
    else:
        os.makedirs(root)
        done = run(["tar", "-C", root, "-xf", kept], timeout=300)
        check_equal(f"tar ({done.stderr})", done.returncode, 0)
    settings = run(["apt-config", "dump", "--format", '%F "%v";%n', "Acquire"]).stdout
    with open(os.path.join(root, "etc/apt/apt.conf.d/99-as-outside"), "w") as f:
        f.write("\n".join(line for line in settings.splitlines() if '"";' not in line) + "\n")
    for path in ("etc/resolv.conf", "etc/hosts"):
        shutil.copy("/" + path, os.path.join(root, path))


def apt(root, *words):
    done = run([*inside(root), "apt-get", "-y", "-q", "--no-install-recommends", *words],
               timeout=600)
    if "Could not resolve" in done.stderr or "Unable to connect" in done.stderr:
        raise Skip(f"the mirror cannot be reached: {done.stderr.splitlines()[0]}")
    check_equal(f"apt-get {words[0]} ({done.stdout[-500:]} {done.stderr[-500:]})",
                done.returncode, 0)


def watches(root):
    """A process outside is watched from in there."""
    w = Workload("family", env=dict(os.environ, LD_LIBRARY_PATH=WORKLOADS))
    watch = Watch(w.pid, tool=[*inside(root), "heapsonde"])
    books = w.work()
    check_books(watch.finish(), books)
    check_equal("status of the workload", w.quit(), 0)


@case(timeout=2400)
def installed_run_and_removed():
    if os.geteuid():
        raise Skip("chroot needs root")
    built = run(["make", "-s", "-C", ROOT, f"O={os.path.relpath(BUILD, ROOT)}", "deb"], timeout=600)
    check_equal(f"make deb ({built.stderr[-500:]})", built.returncode, 0)
    package = os.path.join(ROOT, built.stdout.split()[-1])
    root = scratch("fresh")
    bootstrap(root)
    shutil.copy(package, os.path.join(root, "heapsonde.deb"))
    apt(root, "update")
    apt(root, "install", "/heapsonde.deb")
    for path in FILES:
        check(os.path.exists(os.path.join(root, path)), f"{path} is not installed")
    check_equal("dpkg --verify", run([*inside(root), "dpkg", "--verify", "heapsonde"]).stdout, "")
    out = run([*inside(root), "heapsonde", "--version"])
    check_equal("the program's version", out.stdout, heapsonde("--version").stdout)
    out = run([*inside(root), "heapsonde", "record", "-q", "-o", "/recorded.heapsonde", "--",
               "ls", "/"])
    check_equal(f"status of record ({out.stderr})", out.returncode, 0)
    out = run([*inside(root), "heapsonde", "report", "/recorded.heapsonde", "--json"])
    report = Report(json.loads(out.stdout))
    check(report.totals["alloc_count"] > 0, "ls allocated nothing")
    watches(root)
    apt(root, "purge", "heapsonde")
    for path in FILES:
        check(not os.path.exists(os.path.join(root, path)), f"{path} is left")


main()
