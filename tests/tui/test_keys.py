# SPDX-License-Identifier: GPL-2.0-or-later
"""Every key that the help names is pressed, and does what it says.

The keys come from heapsonde top --help. A key that is added there and not
here fails the first case.
"""

import os
import re

import terminal
from terminal import Terminal
from harness import (BUILD, add_case, case, check, check_equal, heapsonde, main, run,
                     scratch)

WRITER = os.path.join(BUILD, "tests", "tui", "recording")
VIEW_KEYS = {"Help": "?", "Sites": "S", "Stack": "C", "Tree": "T", "Flame": "F", "Time": "L",
             "Account": "A", "Runtime": "R", "Log": "E"}


def documented():
    """[(keys, help, views or None)] of the help's list."""
    text = heapsonde("top", "--help").stdout
    rows = []
    for part in text.split("\n\n"):
        if not re.match(r"\n*(Views|Keys)", part):
            continue
        for line in part.strip("\n").splitlines()[1:]:
            keys, words = line[2:16].split(), line[17:]
            places = re.search(r"  \[(.*)\]$", words)
            views = places.group(1).split(", ") if places else None
            rows.append((keys, words.split("  [")[0], views))
    return rows


def opened(rows=24, columns=80, recording=None):
    path = recording or scratch("shop.heapsonde")
    if not os.path.exists(path):
        out = run([WRITER, path])
        check(out.returncode == 0, out.stderr)
    t = Terminal("top", path, rows=rows, columns=columns, cwd=scratch())
    t.wait_for("shop 4242", "lost", "level  12 s")
    t.settle()
    return t


def body(t):
    """The view's part of the screen."""
    return t.text().splitlines()[6:22]


def selected(t):
    """What colour most of each row has: one of them is the cursor's."""
    rows = [[t.screen.buffer[y][x].bg for x in range(t.screen.columns)] for y in range(7, 22)]
    return [max(set(row), key=row.count) for row in rows]


def changes(t, key):
    """Presses the key; the view must look different."""
    before = body(t), selected(t)
    t.press(key)
    t.until(lambda: (body(t), selected(t)) != before, f"{key} changes nothing")


def shows(t, key, *words):
    t.press(key)
    t.wait_for(*words, timeout=5)


# ---- what each key does, by its help; called for each of its keys in each of its views ----

def moves(first):
    """In a list that is longer than the screen; first: keys pressed before."""
    def press(t, key, view):
        t.press("?", *first)
        changes(t, key)
    return press


def opens_view(word):
    def press(t, key, view):
        start = "A" if word != "resident memory is" else "S"
        t.press(start)
        if word == "frames, heap memory":
            t.press("S", "Down")
        shows(t, key, word)
    return press


def left(t, key, view):
    t.press("S", "Right", "Right")
    changes(t, key)
    t.press("T", "Home")
    changes(t, key)


def right(t, key, view):
    t.press("S")
    changes(t, key)
    t.press("L", "Home")
    changes(t, key)


def back(t, key, view):
    t.press("F", "Down", "Down", "Enter")
    t.wait_for("zoomed to")
    t.press(key)
    t.wait_gone("zoomed to")
    t.press("A")
    t.wait_for("resident memory is")
    shows(t, key, "callees below")


def searches(t, key, view):
    word = {"Stack": "serve", "Flame": "handle", "Log": "reclaim"}[view]
    t.press(key)
    t.type(word)
    t.until(lambda: any(cell.bg == "d787d7" for y in range(6, 22)
                        for cell in t.screen.buffer[y].values()),
            f"nothing is marked in {view}")


def next_found(t, key, view):
    searches(t, "/", view)
    changes(t, key)


def filters(t, key, view):
    t.press(key)
    t.write("\x15worker")
    t.wait_gone("session_create")
    t.write("\r")
    t.wait_for("filter: worker")
    t.wait_gone("session_create")
    t.press(key, "Esc")
    t.wait_for("filter: worker")
    t.press(key)
    t.type("[")
    t.wait_for("is no regular expression")


def no_filter(t, key, view):
    t.press("S", "/")
    t.type("worker")
    t.wait_for("filter: worker")
    t.press(key)
    t.wait_gone("filter: worker")


def targets(t, key, view):
    t.press("S")
    shows(t, key, "shop 4242 alone")
    shows(t, key, "worker 4243 (killed by signal 9) alone")
    t.press(key)
    t.wait_gone("alone")


def plays(t, key, view):
    t.press("[", "[")
    t.wait_for("level  10 s")
    shows(t, key, "PLAYING")
    t.wait_for("level  12 s", "RECORDED")
    t.press(key)
    t.wait_for("level  2.0 s", "PLAYING")
    shows(t, key, "RECORDED")


def steps(by):
    def press(t, key, view):
        t.press(",", ",", ",", ",")
        t.wait_for("level  8.0 s")
        shows(t, key, "level  %.1f s" % (8 + by))
    return press


def marks(t, key, view):
    shows(t, key, "mark 1 set at 12 s")
    shows(t, key, "mark 2 set at 12 s")


def since(t, key, view):
    t.press("S")
    shows(t, key, "no mark is set")
    t.press(",", ",")
    t.wait_for("level  10 s")
    t.press("m", ".", ".")
    t.wait_for("level  12 s")
    shows(t, key, "changes since mark 1 (10 s)", "188K    300")
    t.press(key)
    t.wait_gone("changes since")


def compares(t, key, view):
    shows(t, key, "two are needed")
    t.press("S", ",")
    t.wait_for("level  11 s")
    t.press("m", ".")
    t.wait_for("level  12 s")
    t.press("m", key)
    t.type("1 3")
    t.wait_for("two different marks")
    t.press(key)
    t.type("1 2")
    t.wait_for("from mark 1 (11 s) to mark 2 (12 s)", "93.8K    150")


def interval(t, key, view):
    t.press(key)
    t.type("0.5")
    t.wait_for("a refresh every 0.5 s")
    t.press(key)
    t.type("never")
    t.wait_for("'never' is not a number of seconds")


def records(t, key, view):
    shows(t, key, "this is a recording already")


def exports(t, key, view):
    t.press("S", "/")
    t.type("worker")
    name = f"out-{ord(key[0])}"
    t.press(key)
    t.type(name + ".folded")
    t.wait_for(f"written to {name}.folded")
    with open(scratch(name + ".folded")) as f:
        lines = f.read().splitlines()
    check(len(lines) == 2 and all("worker_main" in line for line in lines),
          f"not what the filter leaves: {lines}")
    t.press(key)
    t.type(name + ".json")
    t.wait_for(f"written to {name}.json")
    t.press(key)
    t.type(name + ".json")
    t.wait_for("exists")
    t.press(key)
    t.type(name + ".doc")
    t.wait_for("the name's end tells the format")


def prints(t, key, view):
    t.press("A", key)
    t.type("screen.txt")
    t.wait_for("this screen went to screen.txt")
    with open(scratch("screen.txt")) as f:
        check("sum, resident (RSS)" in f.read(), "not the screen")
    t.press(key)
    t.type("screen.txt")
    t.wait_for("cannot write 'screen.txt'")
    os.unlink(scratch("screen.txt"))


def redraws(t, key, view):
    before = t.text()
    t.screen.reset()
    check(t.text().strip() == "", "the emulator was not cleared")
    t.press(key)
    t.until(lambda: t.text() == before, "the screen is not what it was")


def quits(t, key, view):
    t.write(terminal.key_bytes(key))
    check_equal("status", t.wait(), 0)
    t.check_sane()


def sorts(t, key, view):
    header = t.line(6)
    t.press(key)
    t.until(lambda: header != t.line(6) and "\u25bc" in t.line(6), "the sign does not move")


def enters(word):
    def press(t, key, view):
        if view == "Tree":
            t.press("Home")
        if view == "Flame":
            t.press("Down", "Down")
        if view == "Time":
            t.press("Down")
        before = body(t)
        t.press(key)
        t.until(lambda: body(t) != before, f"{key} changes nothing in {view}")
        if word:
            t.wait_for(word)
    return press


def folds_all(t, key, view):
    t.press("Home", "+")
    t.wait_for("basket_add")
    t.press("Home", key)
    t.wait_gone("basket_add")


def unfolds_all(t, key, view):
    t.press("Home", "-")
    t.wait_gone("session_create")
    shows(t, key, "session_create")


def changes_view(t, key, view):
    changes(t, key)


EFFECTS = {
    "this list of keys": opens_view("Keys (in square brackets"),
    "who allocated, a line per call path": opens_view("who allocated"),
    "the whole call path of a site": opens_view("frames, heap memory"),
    "callers and callees, folding": opens_view("callees below"),
    "the same as a flame graph": opens_view("all: 13.0M"),
    "memory over time, reclaim events": opens_view("2 reclaim events"),
    "what the resident memory is made of": opens_view("resident memory is"),
    "what the language's runtime says": opens_view("runtime"),
    "events: what happened, and when": opens_view("what happened ("),
    "one line up": moves(["Down", "Down"]),
    "one line down": moves([]),
    "one page up": moves(["PgDn", "PgDn"]),
    "one page down": moves([]),
    "to the first line": moves(["PgDn"]),
    "to the last line": moves(["Home"]),
    "left: scroll, fold, or back in time": left,
    "right: scroll, unfold, or on in time": right,
    "the call path of this site": enters("frames"),
    "fold or unfold this function": enters(None),
    "zoom into this function": enters("zoomed to"),
    "what grew before this event": enters("changes before malloc_trim at 8.5 s"),
    "zoom out, or to the view before": back,
    "unfold all below": unfolds_all,
    "fold all below": folds_all,
    "callers instead of callees, and back": changes_view,
    "another metric": changes_view,
    "sort by the column to the left": sorts,
    "sort by the column to the right": sorts,
    "smallest first, and back": changes_view,
    "show only call paths that match (see below)": filters,
    "search functions (in the log: lines)": searches,
    "the next one found": next_found,
    "no filter, no search": no_filter,
    "the next target alone, then all": targets,
    "hold what is shown; of a recording: play": plays,
    "of a recording: one moment back": steps(-1),
    "of a recording: one moment on": steps(1),
    "of a recording: a tenth back": steps(-1),
    "of a recording: a tenth on": steps(1),
    "remember this moment": marks,
    "show changes since the last mark, and back": since,
    "what changed between two marks": compares,
    "another time between refreshes": interval,
    "record every allocation, or a sample, from now on":
        lambda t, key, view: shows(t, key, "its level was chosen when it was made"),
    "in windows: trace all allocations of likely leaks, and back":
        lambda t, key, view: shows(t, key, "its level was chosen when it was made"),
    "a line for each thread, size class, both, and back":
        lambda t, key, view: shows(t, key, "are not told apart here"),
    "save a recording from now on; again: end it": records,
    "what is shown, to a file of a format you choose": exports,
    "this screen, to a text file": prints,
    "draw everything again": redraws,
    "end": quits,
}


@case()
def every_key_of_the_help_has_a_test():
    rows = documented()
    check(len(rows) > 40, f"only {len(rows)} keys found in the help")
    missing = [words for _, words, _ in rows if words not in EFFECTS]
    check(not missing, f"keys without a test: {missing}")
    unknown = set(EFFECTS) - {words for _, words, _ in rows}
    check(not unknown, f"tests of keys that the help does not name: {unknown}")


@case()
def help_view_names_the_same_keys():
    t = opened(rows=64, columns=120)
    t.press("?")
    shown = t.text()
    missing = [f"{' '.join(keys)}: {words}" for keys, words, _ in documented()
               if words not in shown]
    check(not missing, f"not in the help view: {missing}")
    t.quit()


def press_all(keys, words, views):
    for key in keys:
        for view in views or ["Sites"]:
            t = opened()
            if views:
                if view == "Stack":
                    t.press("S", "Down", "Enter")
                else:
                    t.press(VIEW_KEYS[view])
            EFFECTS[words](t, key, view)
            if words != "end":
                t.quit()


for doc_keys, doc_words, doc_views in documented():
    if doc_words in EFFECTS:
        add_case(f"{'-or-'.join(doc_keys)}_in_{'-'.join(doc_views or ['all'])}", press_all,
                 doc_keys, doc_words, doc_views)


if __name__ == "__main__":
    main()
