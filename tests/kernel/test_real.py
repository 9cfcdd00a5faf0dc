#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that were not written for the test, from their first allocation to exit.

libcount.so, preloaded into the program, counts along; see there for why its
figures are exact up to the very end. The profiler must come to the same.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

PYTHON = """
import json, re
table = {i: [str(j) for j in range(i % 17)] for i in range(2003)}
json.loads(json.dumps(table))
print(len(re.findall(r"1\\d", repr(table))))
"""
PERL = """
my %h; $h{$_} = "x" x ($_ % 97) for 1..3001;
delete $h{$_ * 2} for 1..1009; print scalar keys %h
"""
SQL = ("create table t(a integer primary key, b text);"
       "with recursive n(i) as (select 1 union all select i+1 from n where i<3001)"
       " insert into t select i, hex(i*i) from n;"
       "create index u on t(b); select count(*), max(b) from t;")
C = "int main(int argc, char **argv)\n{\n\treturn argc * 7 + **argv;\n}\n"


def need(program):
    path = shutil.which(program, path="/usr/bin:/bin")
    if not path:
        raise Skip(f"{program} is not installed")
    return path


def record_counted(argv, options=(), status=0, cwd=None):
    """Records argv with the library preloaded: (Report, counts of its images)."""
    counts, recording = scratch("counts"), scratch("run.heapsonde")
    os.mkdir(counts)
    env = dict(os.environ, COUNT_OUT=counts, LC_ALL="C")
    out = run([TOOL, "record", "-q", "-o", recording, "--mode", "exact", *options, "--",
               workload_path("preload"), workload_path("libcount.so"), *argv],
              env=env, cwd=cwd)
    check_equal(f"status of {shown(argv)} ({out.stderr.strip()[:200]})", out.returncode, status)
    shown_json = heapsonde("report", recording, "--json", "--limit", "0")
    check_equal(f"status of report ({shown_json.stderr.strip()[:200]})", shown_json.returncode, 0)
    return Report(json.loads(shown_json.stdout)), all_counts(counts), out.stdout


def check_counts(report, records):
    check_complete(report)
    check_consistent(report)
    want = sum_counts(records)
    check(want["alloc_count"] > 50, f"the program allocated {want['alloc_count']} times only")
    got = report.kind_totals("heap")
    got["unknown_free_count"] = report.totals["unknown_free_count"]
    got["failed_alloc_count"] = report.totals["failed_alloc_count"]
    wrong = differences("total", got, want, want.keys())
    check(not wrong, "; ".join(wrong))


def same_totals(program, *args):
    report, records, out = record_counted([need(program), *args])
    check_equal("images counted", len(records), 1)
    check_counts(report, records)
    check(out.strip(), f"{program} printed nothing")


add_case("python3", same_totals, "python3", "-c", PYTHON)
add_case("python3_every_object", lambda: record_python_malloc())
add_case("perl", same_totals, "perl", "-e", PERL)
add_case("sqlite3", same_totals, "sqlite3", ":memory:", SQL)


def record_python_malloc():
    """Python without its own allocator: each object is a block."""
    os.environ["PYTHONMALLOC"] = "malloc"
    try:
        same_totals("python3", "-c", PYTHON)
    finally:
        del os.environ["PYTHONMALLOC"]


@case()
def git_in_one_process():
    git = need("git")
    run([git, "init", "-q", scratch("repo")])
    for i in range(31):
        with open(scratch(f"repo/file{i}"), "w") as f:
            f.write("line\n" * i)
    run([git, "-C", scratch("repo"), "add", "."])
    report, records, out = record_counted([git, "-C", scratch("repo"), "ls-files", "-s"])
    check_equal("lines", out.count("\n"), 31)
    check_counts(report, records)


def write_c():
    with open(scratch("hello.c"), "w") as f:
        f.write(C)
    return scratch("hello.c")


@case(timeout=120)
def c_compiler_proper():
    cc1 = run([need("gcc"), "-print-prog-name=cc1"]).stdout.strip()
    report, records, _ = record_counted([cc1, "-quiet", "-O2", write_c(), "-o", scratch("hello.s")])
    check_equal("images counted", len(records), 1)
    check_counts(report, records)
    check(os.path.getsize(scratch("hello.s")) > 0, "nothing was compiled")


add_case("objdump", lambda: same_totals("objdump", "-d", "-C", "/usr/bin/git"), timeout=120)


@case(timeout=120)
def gcc_with_its_children():
    need_option("record", "--children")
    report, records, _ = record_counted([need("gcc"), "-c", "-o", scratch("hello.o"), write_c()])
    check_equal("images counted", len(records), 3)          # gcc, cc1, as
    check_counts(report, records)


@case()
def shell_with_forks():
    need_option("record", "--children")
    report, records, out = record_counted(
        [need("sh"), "-c",
         "for i in 1 2 3; do (echo $i; exec sed s/1/one/ /etc/passwd) | wc -l; done"])
    check(len(records) > 6, f"only {len(records)} images")
    check_counts(report, records)


@case()
def books_up_to_a_violent_end():
    report, records, _ = record_counted(
        [need("python3"), "-c", PYTHON + "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"],
        status=128 + signal.SIGKILL)
    check_counts(report, records)


if __name__ == "__main__":
    main()
