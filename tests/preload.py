# SPDX-License-Identifier: GPL-2.0-or-later
"""Allocators to put in front of the C library's, installed or fetched (make fetch-targets)."""

import glob
import os

from harness import BUILD, Skip

TARGETS = os.path.join(BUILD, "targets")
# A name, the shared library, the static one and what it needs besides.
ALLOCATORS = {
    "jemalloc": ("libjemalloc.so.2", "libjemalloc.a", ["-lstdc++", "-lm"]),
    "tcmalloc_minimal": ("libtcmalloc_minimal.so.4", "libtcmalloc_minimal.a", ["-lstdc++", "-lm"]),
    "tcmalloc": ("libtcmalloc.so.4", None, []),
    "mimalloc": ("libmimalloc.so.[23]*", None, []),
}


def find_file(pattern):
    for where in (f"{TARGETS}/*/usr/lib/*-linux-gnu/{pattern}",
                  f"{TARGETS}/*/usr/lib/*-linux-gnu/*/{pattern}",
                  f"/usr/lib/*-linux-gnu/{pattern}"):
        found = sorted(f for f in glob.glob(where) if os.path.exists(f))
        if found:
            return found[0]
    raise Skip(f"{pattern} is neither installed nor fetched (make fetch-targets)")


def preloaded(allocator):
    library = find_file(ALLOCATORS[allocator][0])
    directories = sorted({os.path.dirname(f) for f in
                          glob.glob(f"{TARGETS}/*/usr/lib/*-linux-gnu/libunwind.so*")})
    env = dict(os.environ, LD_PRELOAD=library)
    if directories:
        env["LD_LIBRARY_PATH"] = ":".join(directories)
    return env
