#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages: what is in them, that they run, and that they can be made again."""

import glob
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

WANTED = ("./usr/bin/heapsonde", "./usr/share/man/man1/heapsonde-top.1.gz",
          "./usr/share/bash-completion/completions/heapsonde",
          "./usr/share/doc/heapsonde/copyright",
          "./usr/share/doc/heapsonde/examples/heapsonde-record@.service")


def make_deb(source, build, *switches):
    done = run(["make", "-s", "-j2", "-C", source, f"O={build}", *switches, "deb"], timeout=400)
    check_equal(f"status of make deb ({done.stderr})", done.returncode, 0)
    return os.path.join(source, done.stdout.strip().splitlines()[-1])


def need_dpkg():
    if not shutil.which("dpkg-shlibdeps"):
        raise Skip("this system does not make Debian packages")


@case(timeout=450)
def contents():
    need_dpkg()
    package = make_deb(ROOT, BUILD)
    listed = run(["dpkg-deb", "-c", package]).stdout
    for path in WANTED:
        check(f" {path}\n" in listed, f"{path} is not in\n{listed}")
    fields = run(["dpkg-deb", "-f", package]).stdout
    for library in ("libbpf", "libdw", "libsqlite3", "libcapstone"):
        check(library in fields, f"does not depend on {library}: {fields}")
    root = scratch("root")
    check_equal("unpacking", run(["dpkg-deb", "-x", package, root]).returncode, 0)
    out = run([os.path.join(root, "usr/bin/heapsonde"), "--version"])
    check_equal("the program's version", out.stdout, heapsonde("--version").stdout)
    if shutil.which("lintian"):
        told = run(["lintian", "--fail-on", "error,warning", "--allow-root", package])
        check_equal(f"lintian: {told.stdout}", told.returncode, 0)
        remark("lintian has nothing to say")


@case(timeout=500)
def made_twice():
    """The same sources give the same bytes, in whatever directory."""
    need_dpkg()
    status = run(["git", "-C", ROOT, "status", "--porcelain"])
    if status.returncode or status.stdout:
        raise Skip("these sources are no commit that could be cloned")
    source = os.path.join(scratch("another-place"), "heapsonde")
    check_equal("git clone", run(["git", "clone", "-q", ROOT, source]).returncode, 0)
    # By the same words: a path that the compiler is given leaves a trace.
    here, there = (open(make_deb(*where), "rb").read()
                   for where in ((ROOT, os.path.relpath(BUILD, ROOT)), (source, "build")))
    check(here == there, "the packages differ")


MACROS = {"%{_bindir}": "/usr/bin", "%{_mandir}": "/usr/share/man", "%{_datadir}": "/usr/share"}


def spec_files():
    """The %files of the spec: those that are installed, as patterns, and those of the sources."""
    with open(os.path.join(ROOT, "scripts/package/heapsonde.spec")) as f:
        lines = f.read().split("%files\n")[1].split()
    installed = [line for line in lines if line.startswith("%{")]
    for macro, path in MACROS.items():
        installed = [line.replace(macro, path) for line in installed]
    return installed, [line for line in lines if not line.startswith("%")]


@case(timeout=300)
def the_spec_lists_what_is_installed():
    """rpmbuild fails where a file is not there, and where one is not listed."""
    root = scratch("installed")
    done = run(["make", "-s", "-C", ROOT, f"O={BUILD}", "install", f"DESTDIR={root}",
                "PREFIX=/usr"], timeout=250)
    check_equal(f"status of make install ({done.stderr[-500:]})", done.returncode, 0)
    installed, of_sources = spec_files()
    listed = {path for pattern in installed for path in glob.glob(root + pattern)}
    for pattern in installed:
        check(glob.glob(root + pattern), f"{pattern} is not installed")
    there = {os.path.join(at, name) for at, _, names in os.walk(root) for name in names}
    check_equal("installed, not listed", sorted(there - listed), [])
    for path in of_sources:
        check(os.path.exists(os.path.join(ROOT, path)), f"{path} is not in the sources")


@case(timeout=300)
def tarball_needs_no_library():
    """It runs, and watches, where there is nothing but itself."""
    done = run(["make", "-s", "-j2", "-C", ROOT, f"O={BUILD}", "tarball"], timeout=250)
    check_equal(f"status of make tarball ({done.stderr[-500:]})", done.returncode, 0)
    packed = os.path.join(ROOT, done.stdout.strip().splitlines()[-1])
    root = scratch("bare")
    os.mkdir(root)
    check_equal("unpacking", run(["tar", "-C", root, "-xf", packed]).returncode, 0)
    name = os.listdir(root)[0]
    for path in ("share/man/man1/heapsonde-top.1", "README.md", "LICENSE",
                 "share/bash-completion/completions/heapsonde"):
        check(os.path.exists(os.path.join(root, name, path)), f"{path} is not in it")
    if os.geteuid():
        raise Skip("chroot needs root")
    out = run(["chroot", root, f"/{name}/bin/heapsonde", "--version"])
    check_equal("the program's version", out.stdout, heapsonde("--version").stdout)
    w = Workload("family")
    watch = Watch(w.pid, tool=[os.path.join(root, name, "bin/heapsonde")])
    books = w.work()
    check_books(watch.finish(), books)


main()
