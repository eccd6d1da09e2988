# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out the faults that the control file asks for."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .faults import FaultError, Faults, Leak, parse_faults

if TYPE_CHECKING:  # the driver isn't needed to decide what is switched on
    from .database import Database

__all__ = ["Chaos"]

_LOG = logging.getLogger("koprogo.faults")
POLL_SECONDS = 0.5
HANG_STEP_SECONDS = 0.2
_MIB = 1 << 20


class Chaos:
    """Follows the control file; knows what is switched on now."""

    def __init__(self, path: Path, *, owner: int = 0) -> None:
        self._path = path
        self._owner = owner
        self._seen: tuple[int, int, int] | None = None
        self._random = random.Random()  # noqa: S311 - dice, not a secret
        self._ballast: list[bytes] = []
        self.faults = Faults()

    @property
    def leaked_mb(self) -> int:
        """MiB taken by the leak now."""
        return len(self._ballast)

    def reload(self) -> None:
        """Read the control file if it changed."""
        try:
            found = self._path.stat()
            seen: tuple[int, int, int] | None = (found.st_ino, found.st_mtime_ns, found.st_size)
        except OSError:
            seen = None
        if seen == self._seen:
            return
        self._seen = seen
        before, self.faults = self.faults.active(), self._read() if seen else Faults()
        if before != self.faults.active():
            _LOG.warning("faults switched on now: %s", ", ".join(self.faults.active()) or "none")

    def _read(self) -> Faults:
        try:
            with self._path.open(encoding="utf-8") as stream:
                found = os.fstat(stream.fileno())
                if found.st_uid != self._owner or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                    raise FaultError("control file: expected one that only root can write")
                faults = parse_faults(stream.read(4096))
        except (OSError, ValueError) as error:
            _LOG.error("faults ignored: %s", error)
            return Faults()
        return faults

    def step(self, seconds: float) -> None:
        """One round of the watcher, `seconds` after the last; doesn't return while a hang is on."""
        self.reload()
        while self.faults.hang is not None:
            time.sleep(HANG_STEP_SECONDS)
            self.reload()
        self._grow(self.faults.leak, seconds)

    def _grow(self, leak: Leak | None, seconds: float) -> None:
        if leak is None:
            self._ballast.clear()
            return
        wanted = min(leak.mb - len(self._ballast), max(1, round(leak.mb_per_second * seconds)))
        # Written, not only reserved: resident memory is what the alert sees.
        self._ballast.extend(b"\xff" * _MIB for _ in range(wanted))

    async def watch(self) -> None:
        """Follow the control file until cancelled."""
        while True:
            self.step(POLL_SECONDS)
            await asyncio.sleep(POLL_SECONDS)

    async def disturb(self, database: Database) -> int | None:
        """Delay this request if asked to; return the status to fail with, or None."""
        latency, errors = self.faults.latency, self.faults.errors
        if latency is not None and self._random.random() < latency.rate:
            if latency.where == "database":
                await database.row("SELECT pg_sleep($1)", latency.seconds)
            else:
                await asyncio.sleep(latency.seconds)
        if errors is not None and self._random.random() < errors.rate:
            return errors.status
        return None
