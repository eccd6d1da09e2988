"""Runs on a host: a million small files, and how much memory the processes that delete them need.

C(million.py make FOLDER COUNT) makes them, a thousand in each folder, 40 to 140 days old, in no order of age;
C(million.py watch SECONDS) waits for a remediation to take the host's lock and prints, when it has ended, how
many processes it was at most, and the peak of what they needed together in MiB, from before the lock on;
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
from collections.abc import Callable
from dataclasses import dataclass, field
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


def holder(seconds: float, meanwhile: Callable[[], None] = lambda: None) -> int:
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
        meanwhile()
        time.sleep(0.001)
    raise SystemExit("nobody took the lock")


@dataclass(kw_only=True)
class Watch:
    """Of each Python here its peak, and with those that it started: how many they were, what they needed."""

    own: dict[int, int] = field(default_factory=dict)
    together: dict[int, int] = field(default_factory=dict)
    processes: dict[int, int] = field(default_factory=dict)

    def look(self) -> None:
        """One sample. What processes share, as a fork does nearly all, counts once (Pss)."""
        found: dict[int, tuple[int, int]] = {}
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                status = (path / "status").read_text("ascii")
                if not status.startswith("Name:\tpython3") or path.name == str(os.getpid()):
                    continue
                rows = dict(re.findall(r"(PPid|VmHWM):\s+(\d+)", status))
                share = re.search(
                    r"^Pss:\s+(\d+)", (path / "smaps_rollup").read_text("ascii"), re.M
                )
                if share and "VmHWM" in rows:
                    pid = int(path.name)
                    found[pid] = (int(rows["PPid"]), int(share[1]))
                    self.own[pid] = int(rows["VmHWM"])
        for pid in found:
            parts = [share for one, (above, share) in found.items() if pid in (one, above)]
            self.together[pid] = max(self.together.get(pid, 0), sum(parts))
            self.processes[pid] = max(self.processes.get(pid, 0), len(parts))


def watch(seconds: float) -> str:
    seen = Watch()
    pid = holder(seconds, seen.look)
    while Path(f"/proc/{pid}").exists():
        seen.look()
        time.sleep(0.005)
    return f"{seen.processes[pid]} {max(seen.own[pid], seen.together[pid]) / 1024:.1f}"


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
        print(watch(float(words[0])))  # noqa: T201 - its answer
    else:
        kill(holder(60), Path(words[0]), int(words[1]))
