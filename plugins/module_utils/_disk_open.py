# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Which files processes hold open, and which of those have no name any more."""

from __future__ import annotations

import contextlib
import functools
import heapq
import os
import re
import stat
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._disk_places import shown

__all__ = ["OpenFile", "OpenFiles", "open_files"]

_FLAGS = re.compile(rb"^flags:\s*(\d+)", re.MULTILINE)
# Of /proc/PID/maps: a shared mapping that may be written, with its device and inode.
_SHARED = re.compile(rb"^\S+ .w.s \S+ ([0-9a-f]+):([0-9a-f]+) (\d+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class OpenFile:
    """A file that a process holds. C(bytes) are allocated ones; C(path) is shown, not exact."""

    pid: int
    command: str
    fd: int
    path: str
    bytes: int
    writes: bool
    deleted: bool

    def as_dict(self) -> dict[str, Any]:
        """The file as a module returns it."""
        return dict(vars(self))


@dataclass(kw_only=True)
class OpenFiles:
    """Open files by device and inode. C(complete) is false when processes could not be read."""

    writers: dict[tuple[int, int], OpenFile] = field(default_factory=dict)
    readers: dict[tuple[int, int], OpenFile] = field(default_factory=dict)
    mapped: set[tuple[int, int]] = field(default_factory=set)
    complete: bool = True

    @functools.cached_property
    def inodes(self) -> frozenset[int]:
        """Inodes of open files on any device: most files can be told from these at once."""
        return frozenset(
            inode for keys in (self.writers, self.readers, self.mapped) for _device, inode in keys
        )

    def holds(self, device: int, inode: int) -> str:
        """C(written), C(read) or nothing."""
        key = (device, inode)
        if key in self.writers or key in self.mapped:
            return "written"
        return "read" if key in self.readers else ""

    def deleted(self, device: int, *, top: int) -> tuple[list[dict[str, Any]], int]:
        """The largest files of a device without a name that are held open, and their bytes together."""
        rows = {
            key: file
            for files in (self.readers, self.writers)
            for key, file in files.items()
            if file.deleted and key[0] == device
        }
        largest = heapq.nlargest(top, rows.values(), key=lambda file: (file.bytes, file.pid))
        return [file.as_dict() for file in largest], sum(file.bytes for file in rows.values())


def open_files(proc: str = "/proc") -> OpenFiles:
    """Ask all processes that can be seen. Those that end meanwhile hold nothing any more."""
    found = OpenFiles()
    own = str(os.getpid())
    for pid in os.listdir(proc):
        if not pid.isdigit() or pid == own:
            continue
        try:
            numbers = os.listdir(f"{proc}/{pid}/fd")
        except PermissionError:
            found.complete = False
            continue
        except OSError:
            continue
        for number in numbers:
            with contextlib.suppress(OSError):
                _add(found, proc, pid, number)
        with contextlib.suppress(OSError), open(f"{proc}/{pid}/maps", "rb") as file:
            for major, minor, inode in _SHARED.findall(file.read()):
                device = os.makedev(int(major, 16), int(minor, 16))
                found.mapped.add((device, int(inode)))
    return found


def _add(found: OpenFiles, proc: str, pid: str, number: str) -> None:
    info = os.stat(f"{proc}/{pid}/fd/{number}")
    if not stat.S_ISREG(info.st_mode):
        return
    with open(f"{proc}/{pid}/fdinfo/{number}", "rb") as file:
        match = _FLAGS.search(file.read())
    flags = int(match.group(1), 8) if match else os.O_RDWR
    with open(f"{proc}/{pid}/comm", encoding="utf-8", errors="replace") as file:
        command = file.read().strip()
    writes = flags & os.O_ACCMODE != os.O_RDONLY
    rows = found.writers if writes else found.readers
    key = (info.st_dev, info.st_ino)
    if key not in rows:
        rows[key] = OpenFile(
            pid=int(pid),
            command=command,
            fd=int(number),
            path=shown(os.readlink(f"{proc}/{pid}/fd/{number}").removesuffix(" (deleted)")),
            bytes=info.st_blocks * 512,
            writes=writes,
            deleted=info.st_nlink == 0,
        )
