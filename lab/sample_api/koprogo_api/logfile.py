# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Append lines to a log file that others may rotate, on a disk that may be full.

The standard handlers raise into the caller when the directory is gone, and leave half a line behind
when the disk fills up. A request must not fail because its log line can't be written.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from .logline import event_line

__all__ = ["EventHandler", "LineFile"]

_LEVELS = {"WARNING": "WARN", "CRITICAL": "ERROR"}


class LineFile:
    """Whole lines, appended by one write each; reopened when the file was moved or removed."""

    def __init__(self, path: Path, mode: int = 0o640) -> None:
        self._path = path
        self._mode = mode
        self._fd = -1
        self._identity: tuple[int, int] | None = None
        self._torn = False
        self.dropped = 0

    def write(self, line: str) -> bool:
        """Append one line. False if it was lost; `dropped` counts those."""
        try:
            self._reopen_if_moved()
            data = line.encode() + b"\n"
            if self._torn:
                data = b"\n" + data
            written = os.write(self._fd, data)
        except OSError as error:
            if not self.dropped:
                # Once: the journal is no place for a copy of every lost line.
                print(f"log lines are being lost: {error}", file=sys.stderr)
            self.dropped += 1
            return False
        self._torn = written < len(data)
        self.dropped += self._torn
        return not self._torn

    def close(self) -> None:
        """Close the file; a later write opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._identity = -1, None

    def _reopen_if_moved(self) -> None:
        try:
            found = self._path.stat()
            identity: tuple[int, int] | None = (found.st_dev, found.st_ino)
        except FileNotFoundError:
            identity = None
        if self._fd >= 0 and identity == self._identity:
            return
        self.close()
        self._fd = os.open(
            self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, self._mode
        )
        opened = os.fstat(self._fd)
        self._identity = (opened.st_dev, opened.st_ino)
        self._torn = False


class EventHandler(logging.Handler):
    """Bring what the libraries log into the same file, in the same shape."""

    def __init__(self, target: LineFile) -> None:
        super().__init__()
        self._target = target

    def emit(self, record: logging.LogRecord) -> None:
        """Write one event line; an exception is named with its type, its traceback goes to the journal."""
        message = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            message = f"{message}: {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        level = _LEVELS.get(record.levelname, record.levelname)
        self._target.write(
            event_line(moment=record.created, level=level, logger=record.name, message=message)
        )
