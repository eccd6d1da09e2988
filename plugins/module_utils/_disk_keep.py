# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""The newest files, which stay whatever any policy says."""

from __future__ import annotations

import contextlib
import heapq
import os
import stat
from collections.abc import Sequence

from ansible_collections.koprogo.observability.plugins.module_utils._disk_file_policy import (
    FilePolicy,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_files import Files

__all__ = ["kept_inodes"]


def kept_inodes(all_files: Sequence[Files]) -> frozenset[int]:
    """Inodes that some policy keeps: no other one may delete them."""
    kept: set[int] = set()
    for files in all_files:
        if files.policy.keep_newest or files.policy.verified_suffix or files.policy.verified:
            with contextlib.suppress(FileNotFoundError):
                kept |= _newest(files)
    return frozenset(kept)


def _newest(files: Files) -> set[int]:
    policy = files.policy
    groups: dict[str, list[tuple[int, int]]] = {}
    verified: dict[str, tuple[int, int]] = {}
    for folder, path, name, info in files.matches():
        group = path if policy.keep_by == "directory" else ""
        this = (info.st_mtime_ns, info.st_ino)
        if this > verified.get(group, (-(1 << 80), 0)) and _is_verified(policy, folder, name):
            verified[group] = this
        # A backup that a full disk left empty restores nothing: it must not take a good one's place.
        if info.st_size == 0:
            continue
        heap = groups.setdefault(group, [])
        if len(heap) < policy.keep_newest:
            heapq.heappush(heap, this)
        elif heap:
            heapq.heappushpop(heap, this)
    kept = {inode for heap in groups.values() for _changed, inode in heap}
    return kept | {inode for _changed, inode in verified.values()}


def _is_verified(policy: FilePolicy, folder: int, name: str) -> bool:
    if name in policy.verified:
        return True
    if not policy.verified_suffix:
        return False
    try:
        info = os.stat(name + policy.verified_suffix, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISREG(info.st_mode)
