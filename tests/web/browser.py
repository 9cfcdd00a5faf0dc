# SPDX-License-Identifier: GPL-2.0-or-later
"""Running the browser scripts of this directory as cases of the frame (tests/harness.py)."""

import fcntl
import os
import shutil
import subprocess
import sys

WEB = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(WEB))

import harness  # noqa: E402 - its directory is known only now

MODULES = os.path.join(harness.BUILD, "web")
CHROMIUM = next(filter(None, map(shutil.which, (
    "chromium", "chromium-browser", "google-chrome"))), None)


def need_browser():
    """What the distribution does not have is a skip, what npm cannot fetch a failure."""
    if not CHROMIUM:
        raise harness.Skip("no Chromium here (scripts/install-deps test)")
    if not shutil.which("npm"):
        raise harness.Skip("no npm here (scripts/install-deps build)")


def fetch_modules():
    """Puts what package-lock.json names under build/web, once."""
    os.makedirs(MODULES, exist_ok=True)
    with open(os.path.join(MODULES, ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fetched = os.path.join(MODULES, "fetched")
        with open(os.path.join(WEB, "package-lock.json")) as f:
            wanted = f.read()
        if os.path.exists(fetched) and open(fetched).read() == wanted:
            return
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(os.path.join(WEB, name), MODULES)
        done = subprocess.run(["npm", "ci"], cwd=MODULES, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        if done.returncode:
            raise harness.Failure("npm ci failed: " + done.stderr.strip()[-200:])
        with open(fetched, "w") as f:
            f.write(wanted)


def browse(script, case, *args, timeout=100):
    """Runs a case of a script; what it prints becomes the case's remark."""
    need_browser()
    fetch_modules()
    done = harness.run(["node", os.path.join(WEB, script), case, *args], timeout=timeout,
                       env={**os.environ, "WEB_MODULES": MODULES, "CHROMIUM": CHROMIUM})
    if done.returncode:
        raise harness.Failure(done.stderr.strip() or f"{script} ended with {done.returncode}")
    if done.stdout.strip():
        harness.remark(done.stdout.strip())
