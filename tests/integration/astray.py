"""Units that go astray until they are restarted, and a host with little memory for them.

Copied to the scenario's host: standard library only.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["hoard", "meminfo", "spin"]

_MIB_IN_KIB = 1024


def _used() -> int:
    """Memory of all processes that is theirs alone, in KiB; in a container its own processes only."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            match = re.search(r"^RssAnon:\s+(\d+)", status.read_text(), re.MULTILINE)
        except OSError:  # ended meanwhile
            continue
        total += int(match[1]) if match else 0
    return total


def meminfo(path: str, spare: str) -> None:
    """Write C(/proc/meminfo) of a host that has only C(spare) MiB left now, again and again.

    What is used is real, only the size of the host isn't.
    """
    real = Path("/proc/meminfo").read_text()
    total = _used() + int(spare) * _MIB_IN_KIB
    with Path(path).open("w", encoding="ascii") as file:
        while True:
            left = max(0, total - _used())
            text = re.sub(r"(MemTotal: +)\d+", rf"\g<1>{total}", real)
            text = re.sub(r"(Mem(?:Free|Available): +)\d+", rf"\g<1>{left:012d}", text)
            # In place and of one length: whoever reads it has it mounted, and reads it whole.
            os.pwrite(file.fileno(), text.encode(), 0)
            time.sleep(1)


def _goes_astray(flag: str) -> bool:
    """Whether it does so this time; once restarted it doesn't."""
    astray = Path(flag).exists()
    Path(flag).unlink(missing_ok=True)
    return astray


def hoard(flag: str, size: str) -> None:
    """Hold C(size) MiB."""
    held = b"\xff" * ((int(size) if _goes_astray(flag) else 0) << 20)
    while held is not None:
        time.sleep(60)


def spin(flag: str) -> None:
    """Keep all processors busy."""
    if _goes_astray(flag):
        for _processor in range((os.cpu_count() or 1) - 1):
            if os.fork() == 0:
                break
        while True:
            pass
    while True:
        time.sleep(60)


if __name__ == "__main__":
    programs: dict[str, Callable[..., None]] = {"meminfo": meminfo, "hoard": hoard, "spin": spin}
    programs[sys.argv[1]](*sys.argv[2:])
