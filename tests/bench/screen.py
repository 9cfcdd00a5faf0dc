# SPDX-License-Identifier: GPL-2.0-or-later
"""How soon the screen answers a key, and what it costs, under load.

The target makes 200,000 pairs of malloc and free a second (400,000 events)
from 20,000 call paths (10,000 that keep a block, and the same from another
caller). A key's answer is the first byte that is written after it, which the
refreshes in between can only make sooner by chance. What it cost the screen's
thread is told beside it: that does not depend on what else the machine does.
"""

import os
import select
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tui"))
from terminal import Terminal, key_bytes
import harness
from harness import Workload

KEYS = ("Down", "Up", "PgDn", "End", "Home", ">", "<", "r", "r", "Right", "Left", "Enter", "S",
        "A", "L", "E", "S")
HEAVY = ("T", "i", "v", "S", "F", "i", "S", "m", "d", "d")
REPEAT = 12


def thread_ms(t):
    """CPU time of the screen's thread, which is the first one."""
    with open(f"/proc/{t.pid}/task/{t.pid}/schedstat") as f:
        return int(f.read().split()[0]) / 1e6


def answer(t, key):
    """Until the answer: milliseconds that passed, and that were worked."""
    while t.pump(0.03):
        pass
    worked, begin = thread_ms(t), time.monotonic()
    os.write(t.fd, key_bytes(key).encode())
    ready, _, _ = select.select([t.fd], [], [], 5)
    took = 1000 * (time.monotonic() - begin)
    if not ready:
        raise SystemExit(f"no answer to {key}")
    t.pump(0)
    return took, thread_ms(t) - worked, key


def measure(t, name, keys):
    answers = [answer(t, key) for _ in range(REPEAT) for key in keys]
    times = sorted(took for took, _, _ in answers)
    dearest = max(answers, key=lambda a: a[1])
    print(f"bench {name}_median {statistics.median(times):.1f} ms")
    print(f"bench {name}_95 {times[len(times) * 95 // 100]:.1f} ms <=50")
    print(f"bench {name}_worst {times[-1]:.1f} ms <=50")
    print(f"bench {name}_worst_cpu {dearest[1]:.1f} ms <=50")
    print(f"({name}: the dearest key is {dearest[2]!r})")


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost(t, name, target, seconds=10):
    before, began, events = cpu_s(t.pid), time.monotonic(), hits(t)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        t.pump(0.2)
    share = (cpu_s(t.pid) - before) / (time.monotonic() - began)
    print(f"bench {name} {100 * share:.1f} %{target}")
    print(f"({name}: {hits(t)}; before: {events})")


def hits(t):
    return t.line(4)


def main():
    harness._scratch = "/tmp"
    busy = Workload("callpaths", "-r", "200000", "-S", "300", "-n", "10000")
    t = Terminal("top", "-p", str(busy.pid), rows=50, columns=160)
    t.wait_for("nothing")
    busy.say("go")
    t.until(lambda: "% of 20" in t.text(), "20,000 call paths did not appear", timeout=60)
    time.sleep(2)
    cost(t, "screen_own_cpu_20000_stacks_400k", "")
    measure(t, "screen_key", KEYS)
    measure(t, "screen_key_heavy", HEAVY)
    t.quit()
    busy.proc.kill()
    calm = Workload("callpaths", "-r", "1000", "-S", "60", "-n", "250")
    t = Terminal("top", "-p", str(calm.pid))
    t.wait_for("nothing")
    calm.say("go")
    t.until(lambda: "% of 50" in t.text(), "500 call paths did not appear", timeout=60)
    cost(t, "screen_own_cpu_500_stacks", " <=10")
    t.quit()
    calm.proc.kill()


main()
