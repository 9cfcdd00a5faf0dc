# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a program as containers are run: user, mount, PID and IPC namespaces of its
own, an overlay over a directory as its root, the old root detached.

usage: container.py LOWER WORK PROGRAM [ARG]...

LOWER is the image, WORK an empty directory; PROGRAM is named as it is in the image.
"""

import ctypes
import os
import platform
import sys

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x8000000, 0x10000000, 0x20000000
MS_REC, MS_PRIVATE, MNT_DETACH = 0x4000, 0x40000, 2
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

libc = ctypes.CDLL(None, use_errno=True)


def must(what, result):
    if result:
        sys.exit(f"cannot make a container: {what}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind, flags=0, options=None):
    must(f"mount {target}", libc.mount(source.encode(), target.encode(),
                                       kind.encode() if kind else None, ctypes.c_ulong(flags),
                                       options.encode() if options else None))


def enter_namespaces():
    uid, gid = os.getuid(), os.getgid()
    must("unshare", libc.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID))
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as f:
            f.write(text)


def enter_root(lower, work):
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", work, "tmpfs")
    for name in ("upper", "work", "merged"):
        os.mkdir(f"{work}/{name}")
    mount("overlay", f"{work}/merged", "overlay", 0,
          f"lowerdir={lower},upperdir={work}/upper,workdir={work}/work")
    os.makedirs(f"{work}/merged/proc", exist_ok=True)
    mount("proc", f"{work}/merged/proc", "proc")
    os.chdir(f"{work}/merged")
    must("pivot_root", libc.syscall(SYS_PIVOT_ROOT[platform.machine()], b".", b"."))
    must("umount the old root", libc.umount2(b".", MNT_DETACH))
    os.chdir("/")


def main():
    lower, work, *argv = sys.argv[1:]
    enter_namespaces()
    child = os.fork()
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    enter_root(lower, work)
    os.execv(argv[0], argv)


main()
