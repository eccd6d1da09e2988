"""Processors of which a host's node exporter sees only what the host itself keeps busy.

The test hosts are containers: /proc/stat is the machine's, whose other work would raise HighCpu on a healthy
host, and would keep a busy one from its share. So the exporter gets a /proc/stat in which a processor is busy
as long as a process of this host wants it without a pause, whether the machine lets it run or not.

Copied to the scenario's host, where it is run: standard library only.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

__all__ = ["main", "stat_text"]

_TICKS = 100
_LOOKS, _PAUSE = 6, 0.5


def _wanting(proc: Path) -> Iterator[tuple[str, str]]:
    """Number and start of every process that runs or waits for a processor."""
    for path in proc.glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        if fields[0] == "R" and path.parent.name != str(os.getpid()):
            yield path.parent.name, fields[19]


def stat_text(real: str, busy: float, idle: float) -> str:
    """C(/proc/stat) after so many seconds in which all processors were busy, and were idle.

    real: the machine's, whose other figures stay. Always of one length.
    """
    count = sum(line[3:4].isdigit() for line in real.splitlines() if line.startswith("cpu"))

    def ours(line: str) -> str:
        if not line.startswith("cpu"):
            return line
        ticks = _TICKS * (1 if line[3:4].isdigit() else count)
        user, waste = round(busy * ticks), round(idle * ticks)
        return f"{line.split(maxsplit=1)[0]} {user:012d} 0 0 {waste:012d} 0 0 0 0 0 0"

    return "".join(f"{ours(line)}\n" for line in real.splitlines())


def main(path: str) -> None:
    """Write that file again and again."""
    real = Path("/proc/stat").read_text(encoding="ascii")
    count = os.cpu_count() or 1
    busy = idle = 0.0
    looks: deque[set[tuple[str, str]]] = deque([set()], maxlen=_LOOKS)
    before = time.monotonic()
    with Path(path).open("w", encoding="ascii") as file:
        while True:
            looks.append(set(_wanting(Path("/proc"))))
            share = min(1.0, len(set.intersection(*looks)) / count)
            now = time.monotonic()
            busy += (now - before) * share
            idle += (now - before) * (1 - share)
            before = now
            # In place and of one length: whoever reads it has it mounted, and reads it whole.
            os.pwrite(file.fileno(), stat_text(real, busy, idle).encode(), 0)
            time.sleep(_PAUSE)


if __name__ == "__main__":
    main(sys.argv[1])
