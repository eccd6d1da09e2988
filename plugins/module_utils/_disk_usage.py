# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""What uses a file system: its largest folders and files, and what no folder shows."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._disk_open import open_files
from ansible_collections.koprogo.observability.plugins.module_utils._disk_places import (
    Places,
    shown,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_space import space_of
from ansible_collections.koprogo.observability.plugins.module_utils._disk_walk import walk
from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError

__all__ = ["Tree", "usage"]

# Inodes with several names that are counted once; beyond, each name counts.
_LINKED = 200_000
_ERRORS = 50
_JOURNAL = "/var/log/journal"
_PACKAGES = "/var/cache/apt"


@dataclass(kw_only=True)
class Tree:
    """Totals of a tree. Bytes are allocated ones; C(truncated) says that a limit ended the walk."""

    bytes: int = 0
    files: int = 0
    folders: int = 0
    truncated: bool = False
    largest_folders: list[tuple[int, str, int]] = field(default_factory=list)
    largest_files: list[tuple[int, str, int]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def measure(
    root: str,
    *,
    top: int = 20,
    max_entries: int = 5_000_000,
    max_seconds: float = 60.0,
    mounts: frozenset[str] = frozenset(),
    clock: Callable[[], float] = time.monotonic,
) -> Tree:
    """Walk one file system. A folder's figures contain all below it."""
    tree = Tree()
    until = clock() + max_seconds
    # Bytes and entries of the folders that the walk is in.
    sums: list[list[int]] = []
    linked: set[int] = set()

    def skip(path: str, reason: str) -> None:
        if len(tree.skipped) < _ERRORS:
            tree.skipped.setdefault(path, reason)

    def leave(path: str, depth: int) -> None:
        size, entries = sums.pop()
        _keep(tree.largest_folders, (size, path, entries), top)
        if depth:
            sums[-1][0] += size
            sums[-1][1] += entries
        else:
            tree.bytes = size

    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    device = os.fstat(descriptor).st_dev
    steps = walk(descriptor, root, skip=skip, mounts=mounts, databases=True, leave=leave)
    for folder, path, entries, folders in steps:
        tree.folders += 1
        size, count = os.fstat(folder).st_blocks * 512, 0
        for entry in entries:
            count += 1
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
                continue
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if info.st_dev != device:
                continue
            tree.files += 1
            allocated = info.st_blocks * 512
            if info.st_nlink > 1:
                if info.st_ino in linked:
                    continue
                if len(linked) < _LINKED:
                    linked.add(info.st_ino)
            size += allocated
            if len(tree.largest_files) < top or allocated > tree.largest_files[0][0]:
                _keep(
                    tree.largest_files,
                    (allocated, f"{path.rstrip('/')}/{entry.name}", info.st_mtime_ns),
                    top,
                )
        sums.append([size, count])
        if tree.files + tree.folders >= max_entries or clock() >= until:
            tree.truncated = True
            break
    if tree.truncated:
        # What was seen so far, upwards.
        steps.close()
        tree.bytes = sum(size for size, _count in sums)
    return tree


def _keep(heap: list[tuple[int, str, int]], row: tuple[int, str, int], top: int) -> None:
    if len(heap) < top:
        heapq.heappush(heap, row)
    elif row > heap[0]:
        heapq.heapreplace(heap, row)


def usage(
    path: str, *, top: int, max_entries: int, max_seconds: float, root: str | None = None
) -> dict[str, Any]:
    """All that is known of the file system of ``path``, measured from its mount point or ``root``."""
    if not path.startswith("/"):
        raise InputError(f"path: expected an absolute path, found '{path}'.")
    if not 1 <= top <= 1000:
        raise InputError(f"top: expected from 1 to 1000, found {top}.")
    if max_entries < 1 or max_seconds <= 0:
        raise InputError("max_entries, max_seconds: expected figures above 0.")
    space = space_of(path)
    mounts = Places.of_host().mounts
    start = root or _mount_point(path)
    tree = measure(start, top=top, max_entries=max_entries, max_seconds=max_seconds, mounts=mounts)
    opened = open_files()
    rows, hidden = opened.deleted(space.device, top=top)
    return {
        "file_system": start,
        "space": space.as_dict(),
        "tree": {
            "bytes": tree.bytes,
            "files": tree.files,
            "folders": tree.folders,
            "truncated": tree.truncated,
        },
        "largest_folders": [
            {"path": shown(name), "bytes": size, "entries": count}
            for size, name, count in sorted(tree.largest_folders, reverse=True)
        ],
        "largest_files": [
            {"path": shown(name), "bytes": size, "modified": changed // 10**9}
            for size, name, changed in sorted(tree.largest_files, reverse=True)
        ],
        "deleted_open": rows,
        "deleted_open_bytes": hidden,
        "open_files_complete": opened.complete,
        "journal_bytes": _part(_JOURNAL, space.device),
        "package_cache_bytes": _part(_PACKAGES, space.device),
        "skipped": [
            {"path": shown(name), "reason": reason} for name, reason in tree.skipped.items()
        ],
    }


def _mount_point(path: str) -> str:
    """The topmost folder on the path's file system, upwards from it."""
    here = os.path.realpath(path)
    while here != "/" and not os.path.ismount(here):
        here = os.path.dirname(here)
    return here


def _part(path: str, device: int) -> int:
    """Bytes of a known place, 0 where it isn't on the device."""
    try:
        if os.stat(path).st_dev != device:
            return 0
        return measure(path, top=1, max_entries=100_000, max_seconds=5.0).bytes
    except OSError:
        return 0
