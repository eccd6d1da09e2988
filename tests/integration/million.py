"""Runs on a host: a million small files, and how much memory the process that deletes them needs.

C(million.py make FOLDER COUNT) makes them, a thousand in each folder, 40 to 140 days old, in no order of age;
C(million.py watch SECONDS) waits for a remediation to take the host's lock and prints its peak of resident
memory in MiB when it has ended;
C(million.py kill FOLDER COUNT) kills it when it has deleted so many.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

LOCK = Path("/run/koprogo-remediation.lock")


def make(folder: Path, count: int) -> None:
    now = int(time.time())
    for first in range(0, count, 1000):
        below = folder / f"{first // 1000:04}"
        below.mkdir()
        os.chdir(below)
        for number in range(first, min(first + 1000, count)):
            name = f"{number}.log"
            os.mknod(name)
            # One in a hundred holds something.
            if number % 100 == 0:
                Path(name).write_bytes(b"x")
            changed = now - 40 * 86_400 - number * 7919 % 8_640_000
            os.utime(name, (changed, changed))


def holder(seconds: float) -> int:
    """The process that takes the lock next."""

    def said() -> str:
        with contextlib.suppress(OSError):
            return LOCK.read_text(encoding="ascii")
        return ""

    before, end = said(), time.monotonic() + seconds
    while time.monotonic() < end:
        now = said()
        if now != before:
            with contextlib.suppress(ValueError, KeyError):
                return int(json.loads(now)["pid"])
        time.sleep(0.001)
    raise SystemExit("nobody took the lock")


def watch(pid: int) -> float:
    peak = 0
    with contextlib.suppress(OSError):
        while found := re.search(
            r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text("ascii")
        ):
            peak = int(found[1])
            time.sleep(0.005)
    return peak / 1024


def kill(pid: int, folder: Path, count: int) -> None:
    before = os.statvfs(folder).f_ffree
    while os.statvfs(folder).f_ffree - before < count:
        # One that has ended already ends this too.
        os.kill(pid, 0)
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "make":
        make(Path(words[0]), int(words[1]))
    elif what == "watch":
        print(watch(holder(float(words[0]))))  # noqa: T201 - its answer
    else:
        kill(holder(60), Path(words[0]), int(words[1]))
