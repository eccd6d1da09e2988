"""Runs on a host: a root file system that is small enough to fill up, and what fills it.

C(small_root.py make tmpfs|ext4) makes it; C(small_root.py fill bytes|inodes|both) leaves none of them. What
runs in it is started by the shell C(/opt/in-small), which inside of it is the usual one.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path("/srv/small")
SHELL = Path("/opt/in-small")
# What it shares with the machine.
SHARED = ("usr", "proc", "sys", "dev", "dev/shm", "run")
OWN = ("tmp", "root", "opt", "var/tmp", "var/lib/app", "var/log/app", "var/backups")
INODES = 4000
DAY = 86_400
MIB = 1024 * 1024


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def mount(kind: str) -> None:
    ROOT.mkdir(exist_ok=True)
    if kind == "tmpfs":
        options = f"size=32m,nr_inodes={INODES},mode=755"
        run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(ROOT))
        return
    nodes = [("loop-control", "c", 10, 237), *((f"loop{n}", "b", 7, n) for n in range(32))]
    for name, type_, major, minor in nodes:
        if not Path("/dev", name).exists():
            run("mknod", f"/dev/{name}", type_, str(major), str(minor))
    image = ROOT.with_suffix(".img")
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(32 * MIB)
    run("mkfs.ext4", "-q", "-N", str(INODES), str(image))
    run("mount", "-o", "loop", str(image), str(ROOT))


def furnish() -> None:
    for name in (*OWN, *(name for name in SHARED if name != "dev/shm")):
        (ROOT / name).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (ROOT / name).symlink_to(f"usr/{name}")
    (ROOT / "var/run").symlink_to("/run")
    run("cp", "-a", "/etc", str(ROOT))
    for name in SHARED:
        run("mount", "--bind", f"/{name}", str(ROOT / name))
        # Else what is mounted in it would be mounted over the machine's own.
        run("mount", "--make-private", str(ROOT / name))
    run("mount", "-o", "remount,bind,ro", str(ROOT / "usr"))
    (ROOT / "opt/in-small").symlink_to("/bin/sh")
    SHELL.write_text(f'#!/bin/sh\nexec chroot {ROOT} /bin/sh "$@"\n', encoding="ascii")
    SHELL.chmod(0o755)


def write(name: str, *, days: float, size: int = 4096) -> None:
    path = ROOT / name
    path.write_bytes(b"x" * size)
    changed = time.time() - days * DAY
    os.utime(path, (changed, changed))


def settle(kind: str) -> None:
    """Old logs, each younger than the one before; and what has to stay, whatever it is called."""
    # How many, and one in how many holds something.
    many, one_in = {"bytes": (14, 1), "inodes": (1400, 1400), "both": (1400, 100)}[kind]
    for number in range(many):
        held = 0 if number % one_in else MIB
        write(f"var/log/app/old.log.{number:04}", days=90 - 50 * number / many, size=held)
    write("var/log/app/fresh.log", days=0)
    write("var/log/app/week.log.1", days=7)
    write("var/log/app/old.dump", days=90)
    for number in range(5):
        write(f"var/backups/{number}.gpg", days=80 - number)
    for name in ("tmp", "root", "var/tmp", "var/lib/app"):
        write(f"{name}/old.log.1", days=90)


def fill(kind: str) -> None:
    """Until nothing fits; of both, names first: a folder of many of them takes room too."""
    with (ROOT / "var/lib/app/data").open("wb", buffering=0) as data:
        if kind != "bytes":
            with contextlib.suppress(OSError):
                for number in itertools.count():
                    (ROOT / f"var/lib/app/session-{number}").touch(exist_ok=False)
        if kind != "inodes":
            with contextlib.suppress(OSError):
                while True:
                    data.write(bytes(MIB))
    os.sync()


if __name__ == "__main__":
    what, kind = sys.argv[1:]
    if what == "make":
        mount(kind)
        furnish()
    else:
        settle(kind)
        fill(kind)
