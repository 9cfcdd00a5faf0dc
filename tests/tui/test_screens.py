# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole screens of a recording, compared with those saved in tests/golden/tui/.

UPDATE=1 saves what is shown instead; look at the difference before you commit it.
"""

import os
import subprocess

import terminal
from terminal import Terminal, compare
from harness import (BUILD, Failure, ROOT, TOOL, add_case, case, check, check_equal, heapsonde,
                     main, run, scratch, spawn)

WRITER = os.path.join(BUILD, "tests", "tui", "recording")


def recording(*args):
    path = scratch("shop.heapsonde")
    out = run([WRITER, path, *args])
    check(out.returncode == 0, out.stderr)
    return path


def shown(name, keys, rows=24, columns=80, args=(), **kwargs):
    """Opens the recording, presses keys, compares.

    A string after ':' is typed, one after '=' is waited for.
    """
    t = Terminal("top", recording(*args), rows=rows, columns=columns, **kwargs)
    t.wait_for("shop 4242", "lost", "  12 s")
    t.settle()
    for key in keys:
        if key.startswith(":"):
            t.type(key[1:])
        elif key.startswith("="):
            t.wait_for(key[1:])
        else:
            t.press(key)
    t.settle()
    compare(name, t.text())
    t.quit()


SCREENS = {
    "sites": [],
    "sites-sorted": ["<", "<", "r"],
    "sites-filtered": ["/", ":module:shop !handle_login live>1K"],
    "sites-no-match": ["/", ":nothing_like_it"],
    "sites-target": ["Tab", "Tab"],
    "sites-earlier": [",", ",", ",", ",", ",", ",", "=level  6.0 s"],
    "sites-since-mark": ["[", "[", "[", "=level  9.0 s", "m", "]", "]", "=level  11 s", "d"],
    "sites-compare": ["[", "[", "[", "=level  9.0 s", "m", "]", "=level  10 s", "m",
                      "]", "=level  11 s", "x", ":1 2"],
    "stack": ["Down", "Enter"],
    "stack-inlined": ["Down", "Enter", "Down"],
    "tree": ["T"],
    "tree-inverted": ["T", "i", "v"],
    "tree-unfolded": ["T", "Home", "+", "End"],
    "flame": ["F"],
    "flame-zoomed": ["F", "Down", "Down", "Down", "Enter"],
    "flame-search": ["F", "/", ":handle"],
    "timeline": ["L"],
    "timeline-grew": ["L", "Down", "Enter"],
    "account": ["A"],
    "runtime": ["R"],
    "log": ["E"],
    "help": ["?"],
}

for screen, screen_keys in SCREENS.items():
    add_case(screen, shown, screen, screen_keys)
add_case("sites-wide", shown, "sites-wide", [], 40, 132)
add_case("tree-wide", shown, "tree-wide", ["T"], 40, 132)
add_case("sites-recorded-marks", shown, "sites-recorded-marks", ["x", ":warmed-up loaded"], 24, 80,
         ("0", "marks"))
add_case("timeline-marks", shown, "timeline-marks", ["L"], 24, 80, ("0", "marks"))
add_case("sites-focus", shown, "sites-focus", [], 24, 80, ("0", "focus"))
add_case("smallest", shown, "smallest", [], 12, 60)


def ascii_only(name, keys):
    t = Terminal("top", recording(), env={"LC_ALL": "C"})
    t.wait_for("shop 4242", "lost", "level  12 s")
    t.settle()
    t.press(*keys)
    check(t.text().isascii(), "other characters than ASCII:\n" + t.text())
    compare(name, t.text())
    t.quit()


add_case("sites-ascii", ascii_only, "sites-ascii", [])
add_case("timeline-ascii", ascii_only, "timeline-ascii", ["L"])


@case()
def batch_of_a_recording():
    """Its moments from the first one on, whether or not there is a terminal."""
    path = recording()
    out = heapsonde("top", path, "--batch", "2", "-n", "3", "-s", "growth_bytes_per_s")
    check_equal("status", out.returncode, 0)
    compare("batch", out.stdout)
    out = heapsonde("top", path)
    check_equal("moments without --batch", out.stdout.count("heapsonde  "), 12)
    t = Terminal("top", path, "--batch", "12")
    check_equal("status on a terminal", t.wait(), 0)
    check(b"\x1b" not in t.bytes, "escape sequences in plain text")


@case()
def limit_bounds_the_sites():
    t = Terminal("top", recording(), "-n", "2", "-s", "live_count")
    t.wait_for("basket_add", "session_create")
    t.settle()
    check("cache_insert" not in t.text(), t.text())
    t.quit()


@case()
def out_of_memory_leaves_the_terminal_sane():
    t = Terminal(f"--as={64 << 20}", TOOL, "top", recording("20000"), tool="/usr/bin/prlimit")
    check_equal("status", t.wait(), 1)
    check(b"heapsonde: out of memory" in t.bytes, "it does not say why")
    check(b"\x1b[?1049h" in t.bytes, "the screen was not there yet")
    t.check_sane()


@case()
def keys_come_from_somewhere_or_it_says_so():
    path = recording()
    t = Terminal("-c", f"{TOOL} top {path} < /dev/null", tool="/bin/sh")
    t.wait_for("shop 4242", "lost")
    t.settle()
    t.quit()
    master, slave = os.openpty()
    alone = spawn([TOOL, "top", path], stdin=subprocess.DEVNULL, stdout=slave,
                  stderr=subprocess.PIPE, start_new_session=True)
    check_equal("status without a terminal for keys", alone.wait(timeout=20), 1)
    check(b"no terminal to read keys from" in alone.stderr.read(), "no word of why")
    os.close(master)
    os.close(slave)


def colours(t):
    cells = [cell for row in t.screen.buffer.values() for cell in row.values()]
    return {c for cell in cells for c in (cell.fg, cell.bg)} - {"default"}


@case()
def colours_of_256_of_8_and_none():
    many = Terminal("top", recording())
    many.wait_for("shop 4242")
    few = Terminal("top", recording(), term="screen")
    few.wait_for("shop 4242")
    none = Terminal("top", recording(), env={"NO_COLOR": "1"})
    none.wait_for("shop 4242")
    for t in (many, few, none):
        t.settle()
    check(any(len(c) == 6 for c in colours(many)), f"256: {colours(many)}")
    check(colours(few) and not any(len(c) == 6 for c in colours(few)), f"8: {colours(few)}")
    check(not colours(none), f"none: {colours(none)}")
    check(many.text() == few.text() == none.text(), "the text depends on colours")
    for t in (many, none):
        t.press("L")
        t.wait_for("reclaim events")
    check("\u2591" in none.text() and "\u2591" not in many.text(),
          "resident and live are not told apart without colours")
    for t in (many, few, none):
        t.quit()


@case()
def selection_is_seen_without_colours():
    t = Terminal("top", recording(), env={"NO_COLOR": "1"})
    t.wait_for("shop 4242")
    t.settle()
    reversed_rows = [y for y, row in t.screen.buffer.items()
                     if sum(cell.reverse for cell in row.values()) > 60]
    t.press("Down")
    after = [y for y, row in t.screen.buffer.items()
             if sum(cell.reverse for cell in row.values()) > 60]
    check(reversed_rows != after, f"rows {reversed_rows}, then {after}")
    t.quit()


if __name__ == "__main__":
    main()
