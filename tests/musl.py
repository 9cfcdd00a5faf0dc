# SPDX-License-Identifier: GPL-2.0-or-later
"""musl, installed or fetched (make fetch-targets), and workloads compiled for it."""

import glob
import os

from harness import BUILD, ROOT, Skip, run, scratch

# What the Makefile compiles workloads with.
CFLAGS = ["-O1", "-g", "-D_GNU_SOURCE", "-w", "-fno-omit-frame-pointer", "-fno-builtin",
          "-fno-optimize-sibling-calls", "-pthread"]


def find_musl(name):
    for where in (f"{BUILD}/targets/musl*/usr/lib/*-linux-musl/{name}",
                  f"{BUILD}/targets/musl*/lib/*-linux-musl/{name}",
                  f"/usr/lib/*-linux-musl/{name}", f"/lib/*-linux-musl/{name}"):
        found = glob.glob(where)
        if found:
            return os.path.realpath(found[0])
    raise Skip("musl is neither installed nor fetched (make fetch-targets)")


def compile_to(name, argv):
    out = run([argv[0], "-o", scratch(name), *argv[1:]])
    if out.returncode:
        raise Skip(f"{argv[0]} cannot build it: {out.stderr.strip().splitlines()[-1][:100]}")
    return scratch(name)


def compile_musl(kind, source, loader=None):
    """A workload over musl, "static" or "dynamic"; @loader is where its loader will be."""
    lib = os.path.dirname(find_musl("libc.a"))
    libc = os.path.join(os.path.dirname(find_musl("libc.so")), "libc.so")
    gcc = run(["gcc", "-print-file-name="]).stdout.strip()
    # By its name: the loader is the library.
    link = ["-static", f"{lib}/libc.a"] if kind == "static" else \
        [f"-Wl,-dynamic-linker,{loader or libc}", f"-L{os.path.dirname(libc)}", "-l:libc.so"]
    return compile_to("musl", ["gcc", "-std=gnu11", *CFLAGS, "-nostdinc", "-isystem",
                               lib.replace("/lib/", "/include/"), "-isystem", f"{gcc}include",
                               "-nostdlib", "-no-pie", f"{lib}/crt1.o", f"{lib}/crti.o",
                               os.path.join(ROOT, "tests", "workloads", source), *link,
                               "-lgcc", "-lgcc_eh", link[-1], f"{lib}/crtn.o"])
