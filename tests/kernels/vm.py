# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots a kernel of the distribution in QEMU, with the built tool and tests inside.

One initramfs serves all kernels of an architecture: what is built, the tests,
Python and the libraries they need. guest.py is what runs in it. The console
and the tests' lines leave by serial ports, as files.
"""

import os
import shutil
import subprocess
import sys
import sysconfig

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
O = os.environ.get("O") or "build"
BUILD = os.path.join(ROOT, O)
KERNELS = os.path.join(BUILD, "kernels")

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tracefs none /sys/kernel/tracing
mount -t tmpfs none /tmp
mount -t cgroup2 none /sys/fs/cgroup
ip link set lo up
export PATH=/bin:/usr/bin HOME=/ LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
export TEST_PATIENCE=5 TEST_UNSTEADY=tell
stty -F /dev/LINES raw
python3 -S /heapsonde/tests/kernels/guest.py > /dev/LINES 2>&1
echo "guest ended with status $?" > /dev/LINES
poweroff -f
"""


class Machine:
    """An architecture: its emulator, and where what goes into the guest comes from.

    old_cpu: a processor that cannot exchange 16 bytes at once; None: all can.
    lines: the terminal for the tests' lines; where it is the console's own,
    the kernel says nothing there but what is wrong.
    """

    def __init__(self, arch, emulator, cpu, old_cpu, console, lines, build, root):
        self.arch, self.emulator, self.cpu, self.old_cpu = arch, emulator, cpu, old_cpu
        self.console, self.lines = console, lines
        self.build, self.root = build, root
        self.initramfs = os.path.join(KERNELS, "initramfs-" + arch)


MACHINES = {
    # Five levels of page tables only cost time.
    "amd64": Machine("amd64", ["qemu-system-x86_64"], "max,la57=off", "max,la57=off,cx16=off",
                     "ttyS0", "ttyS1", BUILD, ""),
    # The architecture's own algorithm for signing pointers is slow to emulate.
    "arm64": Machine("arm64", ["qemu-system-aarch64", "-M", "virt"],
                     "max,pauth-impdef=on,lpa2=off", None,
                     "ttyAMA0", "ttyAMA0", BUILD + "/arm64", BUILD + "/arm64/root"),
}


def machine(name):
    """The machine that a kernel is for."""
    return MACHINES[name.partition(":")[2] or "amd64"]


# Of Python's library: the modules that no test imports are the most of it.
PYTHON_LEFT_OUT = ("test", "idlelib", "lib2to3", "tkinter", "ensurepip", "distutils",
                   "pydoc_data", "asyncio", "unittest", "config-*", "*-packages", "_tkinter*",
                   "sqlite3", "_sqlite3*", "_ssl*", "_hashlib*", "_curses*")

# What a healthy kernel does not say.
COMPLAINTS = ("BUG:", "WARNING:", "Oops", "Call Trace:", "Call trace:", "general protection",
              "Kernel panic", "stack-protector", "scheduling while atomic", "rcu: INFO")


BUSYBOX = "/bin/busybox"
DISK_BYTES = 256 << 20          # for swap; of the file only what is written is there


def missing(name):
    """What the system lacks to boot such a kernel, or None."""
    m = machine(name)
    for program in (m.emulator[0], "cpio", "apt-get", "dpkg-deb"):
        if not shutil.which(program):
            return f"{program} is not installed"
    if not os.path.exists(m.root + BUSYBOX):
        return f"no {m.root}{BUSYBOX} is there (busybox-static, make {m.arch})"
    return None


def _out(argv):
    try:
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              check=False).stdout
    except FileNotFoundError:
        return b""


def _libraries(files):
    """Every library that one of the files is linked to, and the program loader."""
    words = _out(["ldd", *files]).decode().split()
    return sorted({word for word in words if word.startswith("/") and not word.endswith(":")})


def _elf_files(directory):
    for where, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as f:
                if f.read(4) == b"\x7fELF" and not name.endswith(".o"):
                    yield path


def _put(root, path, source=None):
    to = root + path
    os.makedirs(os.path.dirname(to), exist_ok=True)
    shutil.copy(source or path, to)


def _put_tree(root, path, source, *left_out):
    shutil.copytree(source, root + path, symlinks=True, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("__pycache__", "*.d", *left_out))


def _put_own_python(root):
    """The Python that runs this, and the libraries of all that is there."""
    python, stdlib = os.path.realpath(sys.executable), sysconfig.get_paths()["stdlib"]
    _put(root, python)
    os.symlink(python, root + "/bin/python3")
    _put_tree(root, stdlib, stdlib, *PYTHON_LEFT_OUT)
    for library in _libraries(list(_elf_files(root))):
        _put(root, library)


def _put_foreign_python(root, source):
    """Python and all libraries of an unpacked system."""
    shutil.copy(source + "/usr/bin/python3", root + "/bin/python3")
    for directory in ("/lib", "/usr/lib"):
        _put_tree(root, directory, source + directory, "*.a", "*.o", *PYTHON_LEFT_OUT)


def _populate(root, m):
    """Lays out the guest's file system."""
    inside = root + "/heapsonde"
    for directory in ("bin", "dev", "proc", "sys", "tmp", "heapsonde/build/tests"):
        os.makedirs(os.path.join(root, directory))
    _put(root, BUSYBOX, m.root + BUSYBOX)
    shutil.copy(m.build + "/heapsonde", inside + "/build/heapsonde")
    _put_tree(inside, "/build/tests/workloads", m.build + "/tests/workloads", "*.o")
    _put_tree(inside, "/build/tests/kernel", m.build + "/tests/kernel")
    for directory in ("kernel", "kernels"):
        _put_tree(inside, "/tests/" + directory, ROOT + "/tests/" + directory)
    shutil.copy(ROOT + "/tests/harness.py", inside + "/tests/harness.py")
    if m.root:
        _put_foreign_python(root, m.root)
    else:
        _put_own_python(root)
    with open(root + "/init", "w") as f:
        f.write(INIT.replace("LINES", m.lines))
    os.chmod(root + "/init", 0o755)


def pack(m):
    """Makes the machine's initramfs from what is built now."""
    root = os.path.join(KERNELS, "root")
    os.makedirs(KERNELS, exist_ok=True)
    shutil.rmtree(root, ignore_errors=True)
    _populate(root, m)
    with open(m.initramfs, "wb") as f:
        find = subprocess.Popen(["find", "."], cwd=root, stdout=subprocess.PIPE)
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, stdin=find.stdout,
                       stdout=f, check=True)
        find.wait()
    shutil.rmtree(root)


def fetch(name):
    """None, or why the kernel cannot be had."""
    done = subprocess.run([ROOT + "/scripts/fetch-kernel", name], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False,
                          env=dict(os.environ, O=O))
    if done.returncode == 0:
        return None
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"fetch-kernel ended with status {done.returncode}"


def available(*suites):
    """The names of the kernels that the mirror has, in all suites or these, oldest first."""
    return _out([ROOT + "/scripts/fetch-kernel", "--list", *suites]).decode().split()


def _read(path):
    try:
        with open(path, errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def _since_the_tests(console):
    """The console's lines from the guest's first on: the emulator has warnings of its own.
    Without the traces by which the kernel tells where memory ran out."""
    lines = console.splitlines()
    begin = [i for i, line in enumerate(lines) if "heapsonde: the tests begin" in line]
    lines = lines[begin[0]:] if begin else lines
    return [line for i, line in enumerate(lines)
            if "Call " not in line or not any("invoked oom-killer" in before
                                              for before in lines[max(0, i - 8):i])]


def picky(name):
    """Whether the kernel has no BPF storage on an old processor."""
    series = [int(n) for n in name.partition("-")[0].split(".")]
    return bool(machine(name).old_cpu) and series >= [6, 19]


def _cpu(name, old):
    """The processor for a kernel, an old one if told.

    Emulated, CMPXCHG16B may leave anything in the flags (QEMU 7.2), and kernels then step
    or die at it. They do without where they can.
    """
    m = machine(name)
    return m.old_cpu if m.old_cpu and (old or not picky(name)) else m.cpu


def boot(name, words, timeout, old_cpu=False):
    """Runs the guest's tests on a kernel: (their lines, the console's complaints)."""
    m, at = machine(name), os.path.join(KERNELS, name)
    lines, console, disk = (os.path.join(at, file) for file in ("lines", "console", "disk"))
    for path in (lines, console, disk):
        open(path, "w").close()
    os.truncate(disk, DISK_BYTES)
    # Two processors that take turns: running at once, they miss each other's changes of
    # code (int3 left behind by static keys).
    argv = ["nice", "-n", "15", *m.emulator, "-accel", "tcg,thread=single",
            "-cpu", _cpu(name, old_cpu), "-smp", "2", "-m", "1536",
            "-nodefaults", "-display", "none", "-no-reboot",
            "-kernel", os.path.join(at, "vmlinuz"), "-initrd", m.initramfs,
            "-serial", f"file:{console}",
            "-drive", f"if=none,id=disk,file={disk},format=raw,cache=unsafe",
            "-device", "nvme,drive=disk,serial=disk",
            "-append", f"console={m.console} loglevel={4 if m.lines == m.console else 6} "
                       "panic=-1 oops=panic mitigations=off nokaslr "
                       f"heapsonde={words}"]
    if m.lines != m.console:
        argv += ["-serial", f"file:{lines}"]
    try:
        subprocess.run(argv, timeout=timeout, stdin=subprocess.DEVNULL, check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        pass
    if m.lines == m.console:
        shutil.copy(console, lines)
    complaints = [line.strip() for line in _since_the_tests(_read(console))
                  if any(words in line for words in COMPLAINTS)]
    return _read(lines).splitlines(), complaints
