# SPDX-License-Identifier: GPL-2.0-or-later
"""A terminal without a person: a pty of our own, and what it shows.

Keys go in by the names that heapsonde top --help prints, the screen comes out
as lines of text (and colours), emulated by pyte.
"""

import difflib
import errno
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

# Where the distribution puts it, whichever Python runs the tests.
sys.path.append("/usr/lib/python3/dist-packages")
import pyte

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import harness
from harness import Failure, TOOL

KEYS = {
    "Up": "\x1bOA", "Down": "\x1bOB", "Right": "\x1bOC", "Left": "\x1bOD",
    "PgUp": "\x1b[5~", "PgDn": "\x1b[6~", "Home": "\x1b[1~", "End": "\x1b[4~",
    "Backspace": "\x7f", "Enter": "\r", "Tab": "\t", "Space": " ", "Esc": "\x1b",
    "F1": "\x1bOP", "F2": "\x1bOQ", "F3": "\x1bOR", "F4": "\x1bOS", "F5": "\x1b[15~",
    "F6": "\x1b[17~", "F7": "\x1b[18~", "F8": "\x1b[19~", "F9": "\x1b[20~",
    "F10": "\x1b[21~",
}


def key_bytes(name):
    if name in KEYS:
        return KEYS[name]
    if len(name) == 2 and name[0] == "^":
        return chr(ord(name[1]) & 0x1f)
    if len(name) == 1:
        return name
    raise Failure(f"no terminal has a key '{name}'")


class Screen(pyte.Screen):
    """With what pyte does not know and curses uses: scrolling a region by itself."""

    def scroll_up(self, count=1):
        self._scroll(count, self.delete_lines)

    def scroll_down(self, count=1):
        self._scroll(count, self.insert_lines)

    def _scroll(self, count, change):
        y, self.cursor.y = self.cursor.y, (self.margins or pyte.screens.Margins(0, 0)).top
        x = self.cursor.x
        change(count or 1)
        self.cursor.y, self.cursor.x = y, x


GOLDEN = os.path.join(harness.ROOT, "tests", "golden", "tui")


def compare(name, text):
    """With what was saved under that name; UPDATE=1 saves it."""
    path = os.path.join(GOLDEN, name + ".txt")
    text = text.rstrip("\n") + "\n"
    if os.environ.get("UPDATE"):
        os.makedirs(GOLDEN, exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        return
    with open(path) as f:
        want = f.read()
    if text != want:
        lines = difflib.unified_diff(want.splitlines(), text.splitlines(), "saved", "shown",
                                     lineterm="", n=0)
        raise Failure(f"{name} is not as saved: " + " | ".join(list(lines)[2:12]))


class Stream(pyte.ByteStream):
    csi = dict(pyte.ByteStream.csi, S="scroll_up", T="scroll_down")
    events = pyte.ByteStream.events | {"scroll_up", "scroll_down"}


class Terminal:
    """A program on a terminal of its own.

    The terminal is screen-256color unless term says otherwise: it has what a
    real one has, and nothing that pyte does not know.
    """

    def __init__(self, *argv, rows=24, columns=80, term="screen-256color", env=None,
                 cwd=None, tool=TOOL):
        self.screen = Screen(columns, rows)
        self.stream = Stream(self.screen)
        self.bytes = b""
        environ = dict(os.environ, TERM=term, LC_ALL="C.UTF-8")
        for name in ("NO_COLOR", "LINES", "COLUMNS"):
            environ.pop(name, None)
        environ.update(env or {})
        master, slave = pty.openpty()
        self.fd = master
        self.set_size(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.proc = harness.spawn([tool, *argv], stdin=slave, stdout=slave, stderr=slave,
                                  env=environ, cwd=cwd, start_new_session=True,
                                  preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.slave = slave      # kept open, so that its settings can be read at the end
        self.pid = self.proc.pid

    def set_size(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows, columns):
        self.screen.resize(rows, columns)
        self.set_size(rows, columns)

    def pump(self, seconds):
        """Takes in what is written within that time; whether there was anything."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError as e:
            if e.errno == errno.EIO:
                return False
            raise
        self.bytes += data
        self.stream.feed(data)
        return bool(data)

    def settle(self, quiet=0.15, timeout=10):
        """Until nothing was written for a while."""
        deadline = time.monotonic() + timeout
        while self.pump(quiet):
            if time.monotonic() > deadline:
                raise Failure("the screen does not come to rest")

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def line(self, row):
        return self.screen.display[row].rstrip()

    def wait_for(self, *words, timeout=20):
        """Until all words are on the screen."""
        deadline = time.monotonic() + timeout
        while not all(word in self.text() for word in words):
            if time.monotonic() > deadline:
                missing = [w for w in words if w not in self.text()]
                raise Failure(f"{missing} did not appear:\n{self.text()}")
            if not self.pump(0.05) and self.proc.poll() is not None:
                raise Failure(f"it ended, status {self.proc.returncode}, before"
                              f" {words}:\n{self.text()}")

    def wait_gone(self, word, timeout=20):
        deadline = time.monotonic() + timeout
        while word in self.text():
            if time.monotonic() > deadline:
                raise Failure(f"{word!r} stays:\n{self.text()}")
            self.pump(0.05)

    def write(self, text):
        os.write(self.fd, text.encode())

    def press(self, *names):
        """Keys by name, one after the other, each taken in before the next."""
        for name in names:
            self.write(key_bytes(name))
            self.pump(0.3)
            self.settle(0.06)

    def until(self, condition, what, timeout=10):
        """Takes in what is written until the condition holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise Failure(f"{what}:\n{self.text()}")
            self.pump(0.05)

    def type(self, text):
        """Into a prompt that has a proposal."""
        self.write("\x15" + text + "\r")
        self.pump(0.3)
        self.settle(0.06)

    def wait(self, timeout=20):
        """Its status, when it has ended by itself."""
        deadline = time.monotonic() + timeout
        while self.proc.poll() is None:
            if time.monotonic() > deadline:
                raise Failure(f"it does not end:\n{self.text()}")
            self.pump(0.05)
        while self.pump(0.05):
            pass
        return self.proc.returncode

    def check_sane(self):
        """The terminal is as it was: line mode, echo, cursor, its own screen."""
        now = termios.tcgetattr(self.slave)
        wrong = [name for name, i in (("input", 0), ("output", 1), ("local", 3))
                 if now[i] != self.before[i]]
        if wrong:
            raise Failure(f"the terminal's {', '.join(wrong)} flags are not restored")
        entered, left = self.bytes.count(b"\x1b[?1049h"), self.bytes.count(b"\x1b[?1049l")
        if entered != left:
            raise Failure(f"the other screen was entered {entered} times, left {left} times")
        hidden, shown = self.bytes.rfind(b"\x1b[?25l"), self.bytes.rfind(b"\x1b[?25h")
        if hidden > shown:
            raise Failure("the cursor stays hidden")

    def quit(self):
        self.write("q")
        status = self.wait()
        if status != 0:
            raise Failure(f"q ended it with status {status}:\n{self.text()}")
        self.check_sane()

    def signal(self, sig):
        os.kill(self.pid, sig)

    def hang_up(self):
        """The terminal vanishes."""
        os.close(self.slave)
        os.close(self.fd)
        self.fd = self.slave = -1
