# SPDX-License-Identifier: GPL-2.0-or-later
"""What go tool pprof shows of a profile."""

import glob
import os
import re
import shutil

from harness import Skip, check_equal, run, scratch


def pprof(*args):
    """What go tool pprof prints."""
    go = shutil.which("go") or next(iter(sorted(glob.glob("/usr/lib/go-*/bin/go"))), None)
    if not go:
        raise Skip("no go here (scripts/install-deps test)")
    out = run([go, "tool", "pprof", *args],
              env={**os.environ, "HOME": scratch(), "PPROF_TMPDIR": scratch(),
                   "GOTOOLCHAIN": "local", "GOCACHE": scratch("cache")})
    check_equal(f"status of pprof ({out.stderr})", out.returncode, 0)
    return out.stdout


def top(path, *options):
    """({function: flat}, {function: cumulated}) of pprof's table."""
    flat, cumulated = {}, {}
    lines = pprof("-top", "-nodecount=0", "-nodefraction=0", "-unit=B", *options, path)
    for line in lines.splitlines():
        row = re.match(r" *(-?\d+)B? +\S+ +\S+ +(-?\d+)B? +\S+ +(.*?)(?: \(inline\))?$", line)
        if row:
            flat[row[3]] = flat.get(row[3], 0) + int(row[1])
            cumulated[row[3]] = max(cumulated.get(row[3], 0), int(row[2]))
    return flat, cumulated
