# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""What the logs of a host say about an address: the newest lines that name it, however they spell it."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner

__all__ = ["naming", "sightings"]

#: How much of a log's end is read, in bytes.
WINDOW = 32 << 20
#: Of a longer line the beginning is kept, in characters.
LONGEST = 4096


def naming(address: str) -> re.Pattern[str]:
    """An expression that finds an address in a line, in short or with all its zeros, and no longer one."""
    forms = "|".join(_forms(address))
    if ip_address(address).version == 4:
        # A colon before it may be that of an IPv4 address within IPv6.
        return re.compile(rf"(?<![\d.])(?:{forms})(?!\d|\.\d)")
    return re.compile(rf"(?<![0-9a-f:])(?:{forms})(?!:?[0-9a-f])", re.IGNORECASE)


def _forms(address: str) -> list[str]:
    ip = ip_address(address)
    return sorted({re.escape(str(ip)), re.escape(ip.exploded)})


def sightings(
    address: str,
    *,
    logs: Sequence[str],
    journal: Sequence[str],
    lines: int,
    runner: Runner,
    window: int = WINDOW,
) -> list[dict[str, Any]]:
    """For each log that names the address: how often within its last C(window) bytes, and its newest lines.

    ``logs`` are paths or patterns; what is missing, a link or no plain file is left out. ``journal`` are
    syslog identifiers.
    """
    pattern = naming(address)
    paths = sorted({path for given in logs for path in glob.glob(given)})  # noqa: PTH207 - as text
    found = [_chosen(path, _end_of(path, window), pattern, lines) for path in paths]
    if journal:
        # It looks by itself, newest first, as all that it keeps would be too long for an answer.
        argv = ["journalctl", "--quiet", "--no-pager", "--output=short-iso", f"--lines={lines}"]
        argv += ["--reverse", f"--grep={'|'.join(_forms(address))}", "--case-sensitive=no"]
        argv += [f"--identifier={name}" for name in journal]
        said = runner.run(argv, timeout=60).stdout.splitlines()
        found.append(_chosen("journal", reversed(said), pattern, lines))
    return [row for row in found if row["found"]]


def _chosen(log: str, text: Iterable[str], pattern: re.Pattern[str], lines: int) -> dict[str, Any]:
    newest: deque[str] = deque(maxlen=lines)
    count = 0
    for line in text:
        if pattern.search(line):
            count += 1
            newest.append(line[:LONGEST])
    return {"log": log, "found": count, "lines": list(newest)}


def _end_of(path: str, window: int) -> Iterator[str]:
    """The lines of a file's last bytes; whoever may write to the folder must not choose another file."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                return
            if about.st_size > window:
                file.seek(about.st_size - window)
                file.readline()
            for line in file:
                yield line.decode("utf-8", "replace").rstrip("\n")
