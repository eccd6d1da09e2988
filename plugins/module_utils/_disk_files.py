# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Delete files by a policy: only what it names, the oldest first, and no more than is needed.

Nothing is remembered of single files between the survey and the deletion but a bound in their order. Each
file is judged anew by a fresh stat right before its unlink, both by its folder's descriptor: one that was
replaced, opened or linked meanwhile stays.
"""

from __future__ import annotations

import contextlib
import fnmatch
import heapq
import operator
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._disk_open import OpenFiles
from ansible_collections.koprogo.observability.plugins.module_utils._disk_places import (
    Places,
    open_root,
    shown,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_select import (
    Choice,
    Item,
    choose,
    key_of,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_space import Amount
from ansible_collections.koprogo.observability.plugins.module_utils._disk_walk import (
    Folder,
    walk,
)

__all__ = ["FilePolicy", "Files", "Freed", "kept_inodes"]

# Rows of evidence; the totals count everything.
_ROWS = 50
_SKIPPED = 200
# Inodes with several names that are followed; those beyond stay.
_LINKED = 50_000
_TRUNCATE = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, kw_only=True)
class FilePolicy:
    """Which files may go. C(older_than) in seconds; caps count this policy's files and bytes.

    The newest C(keep_newest) of each folder (C(keep_by=directory)), or of all roots together, stay
    whatever their age, and so does the newest one that was verified: one with a file beside it of its
    name and C(verified_suffix), or named in C(verified).
    """

    name: str
    kind: str
    roots: tuple[str, ...]
    patterns: tuple[str, ...]
    older_than: float
    destructive: bool = False
    keep_newest: int = 0
    keep_by: str = "directory"
    verified_suffix: str = ""
    verified: tuple[str, ...] = ()
    truncate_open: bool = False
    truncate_above: int = 0
    max_bytes: int | None = None
    max_files: int | None = None
    recurse: bool = True


@dataclass(kw_only=True)
class Freed:
    """What was freed, or would be. C(files) counts names."""

    bytes: int = 0
    inodes: int = 0
    files: int = 0
    capped: bool = False

    @property
    def amount(self) -> Amount:
        """Bytes and inodes."""
        return Amount(bytes=self.bytes, inodes=self.inodes)

    def as_dict(self) -> dict[str, int]:
        """The figures as a module returns them."""
        return {"bytes": self.bytes, "inodes": self.inodes, "files": self.files}


_TYPE, _REGULAR = 0o170000, stat.S_IFREG

_Match = tuple[int, str, str, os.stat_result]


def _named(patterns: Sequence[str]) -> Callable[[str], object]:
    """What tells whether a name fits: asked twice for each file, so the usual C(*.log) isn't searched."""
    if all(pattern[:1] == "*" and not set("*?[") & set(pattern[1:]) for pattern in patterns):
        return operator.methodcaller("endswith", tuple(pattern[1:] for pattern in patterns))
    return re.compile("|".join(f"(?:{fnmatch.translate(p)})" for p in patterns)).match


@dataclass(kw_only=True)
class Files:
    """One policy at work on one file system (``device``); ``now`` is a Unix time in seconds."""

    policy: FilePolicy
    places: Places
    device: int
    now: float
    opened: OpenFiles
    kept: frozenset[int] = frozenset()
    earlier: Sequence[Files] = ()
    choice: Choice = field(default_factory=Choice)
    truncations: dict[int, int] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    truncated: list[dict[str, Any]] = field(default_factory=list)
    _linked: dict[int, int] = field(default_factory=dict)
    _writable: dict[int, int] = field(default_factory=dict)
    _largest: list[tuple[int, str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Prepare the comparison of names."""
        self._named = _named(self.policy.patterns)
        self._before = int((self.now - self.policy.older_than) * 1e9)

    # Seeing

    def _folders(self) -> Iterator[Folder]:
        """Every folder of the roots that are on this file system."""
        for root in self.policy.roots:
            try:
                descriptor = open_root(root)
            except FileNotFoundError:
                self.skip(root, "missing")
                continue
            except OSError as error:
                self.skip(root, error.strerror or str(error))
                continue
            if os.fstat(descriptor).st_dev != self.device:
                os.close(descriptor)
                self.skip(root, "other_file_system")
                continue
            yield from walk(descriptor, root, skip=self.skip, mounts=self.places.mounts)

    def _matches(self) -> Iterator[_Match]:
        """Regular files of the right name, each with a fresh stat; age and use aren't judged."""
        named, recurse, device = self._named, self.policy.recurse, self.device
        for folder, path, entries, folders in self._folders():
            for entry in entries:
                # By the type that the folder's listing gives; the stat below has the last word.
                if not entry.is_file(follow_symlinks=False):
                    if recurse and entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    continue
                name = entry.name
                if not named(name):
                    continue
                try:
                    info = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if info.st_mode & _TYPE == _REGULAR and info.st_dev == device:
                    yield folder, path, name, info

    def skip(self, path: str, reason: str) -> None:
        """Remember why something stays."""
        if len(self.skipped) < _SKIPPED:
            self.skipped.setdefault(path, reason)

    def newest(self) -> frozenset[int]:
        """Inodes that stay, whatever any policy says."""
        policy = self.policy
        kept: set[int] = set()
        groups: dict[str, list[tuple[int, int]]] = {}
        verified: dict[str, tuple[int, int]] = {}
        for folder, path, name, info in self._matches():
            group = path if policy.keep_by == "directory" else ""
            this = (info.st_mtime_ns, info.st_ino)
            heap = groups.setdefault(group, [])
            if len(heap) < policy.keep_newest:
                heapq.heappush(heap, this)
            elif heap:
                heapq.heappushpop(heap, this)
            if this > verified.get(group, (-(1 << 80), 0)) and self._is_verified(folder, name):
                verified[group] = this
        for heap in groups.values():
            kept.update(inode for _changed, inode in heap)
        kept.update(inode for _changed, inode in verified.values())
        return frozenset(kept)

    def _is_verified(self, folder: int, name: str) -> bool:
        if name in self.policy.verified:
            return True
        if not self.policy.verified_suffix:
            return False
        try:
            beside = name + self.policy.verified_suffix
            info = os.stat(beside, dir_fd=folder, follow_symlinks=False)
        except OSError:
            return False
        return stat.S_ISREG(info.st_mode)

    # Judging

    def takes(self, path: str, name: str, info: os.stat_result) -> bool:
        """Whether this policy, as planned, deletes a file that another policy sees too."""
        inside = any(path == root or path.startswith(f"{root}/") for root in self.policy.roots)
        if not inside or not self.choice.names or not self._named(name):
            return False
        if not self.policy.recurse and path not in self.policy.roots:
            return False
        return (
            info.st_mtime_ns < self._before
            and key_of(info.st_mtime_ns, info.st_ino) <= self.choice.bound
            and info.st_ino not in self.kept
            and (info.st_nlink == 1 or self._linked.get(info.st_ino) == info.st_nlink)
        )

    def _may_go(self, path: str, name: str, info: os.stat_result) -> bool:
        """Whether a match is old enough, not kept, not in use, and not taken by an earlier policy."""
        old = info.st_mtime_ns < self._before
        if not old and not self.policy.truncate_open:
            return False
        use = (
            self.opened.holds(info.st_dev, info.st_ino) if info.st_ino in self.opened.inodes else ""
        )
        if use == "written" and self._may_empty(info):
            self._writable[info.st_ino] = info.st_blocks * 512
            return False
        if not old or info.st_ino in self.kept:
            return False
        if use:
            self.skip(f"{path}/{name}", "open_for_writing" if use == "written" else "open")
            return False
        # One of several names that are ours altogether looks like an only one when the others went.
        return info.st_ino in self._linked or not any(
            files.takes(path, name, info) for files in self.earlier
        )

    def _special(self) -> frozenset[int] | None:
        """Inodes that have to be judged one by one; None where every file has to be."""
        return None if self.earlier else self.kept | self.opened.inodes

    def _may_empty(self, info: os.stat_result) -> bool:
        return (
            self.policy.truncate_open
            and info.st_ino not in self.kept
            and info.st_blocks * 512 > self.policy.truncate_above
        )

    def _items(self) -> Iterator[Item]:
        """Inodes that go altogether: one with a name elsewhere would free nothing."""
        linked: dict[int, list[int]] = {}
        self._writable = {}
        before, special = self._before, self._special()
        for _folder, path, name, info in self._matches():
            # Most files are nothing special: no call for them.
            if (special is None or info.st_ino in special or info.st_mtime_ns >= before) and (
                not self._may_go(path, name, info)
            ):
                continue
            if info.st_nlink == 1:
                yield (info.st_mtime_ns << 64) | info.st_ino, info.st_blocks * 512, 1
            elif info.st_ino in linked:
                linked[info.st_ino][0] += 1
            elif len(linked) < _LINKED:
                linked[info.st_ino] = [1, info.st_nlink, info.st_mtime_ns, info.st_blocks * 512]
            else:
                self.skip(f"{path}/{name}", "too_many_links")
        self._linked = {}
        for inode, (seen, names, changed, size) in linked.items():
            if seen == names:
                self._linked[inode] = names
                yield key_of(changed, inode), size, names

    def plan(self, need: Amount | None) -> Freed:
        """Choose what goes; nothing is changed. ``need`` None takes all that the caps allow."""
        policy = self.policy
        self.choice = choose(
            self._items, need=need, max_bytes=policy.max_bytes, max_names=policy.max_files
        )
        chosen = self.choice
        freed = Freed(
            bytes=chosen.bytes, inodes=chosen.inodes, files=chosen.names, capped=chosen.capped
        )
        self.truncations = {}
        # What is being written is worth more than what is old: last, and the largest first.
        for inode, size in sorted(self._writable.items(), key=lambda item: (-item[1], item[0])):
            if need is not None and freed.bytes >= need.bytes:
                break
            if policy.max_bytes is not None and freed.bytes + size > policy.max_bytes:
                freed.capped = True
                continue
            self.truncations[inode] = size
            freed.bytes += size
        return freed

    # Doing

    def execute(self, opened: OpenFiles) -> Freed:
        """Delete what was chosen. ``opened`` are the files that are open now."""
        self.opened = opened
        freed = Freed(capped=self.choice.capped)
        if self.choice.names:
            self._delete(freed)
        if self.truncations:
            self._empty(freed)
        return freed

    def _delete(self, freed: Freed) -> None:
        bound, linked, unlink = self.choice.bound, self._linked, os.unlink
        most_bytes, most_names = self.choice.bytes, self.choice.names
        largest, smallest = self._largest, 0
        before, special = self._before, self._special()
        for folder, path, name, info in self._matches():
            if ((info.st_mtime_ns << 64) | info.st_ino) > bound:
                continue
            if (special is None or info.st_ino in special or info.st_mtime_ns >= before) and (
                not self._may_go(path, name, info)
            ):
                continue
            size = 0
            if info.st_nlink == 1:
                size = info.st_blocks * 512
            elif info.st_ino not in linked:
                continue
            # Files that came or grew meanwhile must not carry it beyond what was announced.
            if freed.files >= most_names or freed.bytes + size > most_bytes:
                self.skip(f"{path}/{name}", "beyond_the_plan")
                continue
            try:
                unlink(name, dir_fd=folder)
            except FileNotFoundError:
                continue
            except OSError as error:
                self.skip(f"{path}/{name}", error.strerror or str(error))
                continue
            freed.files += 1
            if info.st_nlink == 1:
                freed.inodes += 1
                freed.bytes += size
            if len(largest) < _ROWS or size > smallest:
                row = (size, f"{path}/{name}", info.st_mtime_ns)
                (heapq.heappush if len(largest) < _ROWS else heapq.heappushpop)(largest, row)
                smallest = largest[0][0]

    def _empty(self, freed: Freed) -> None:
        left = dict(self.truncations)
        for folder, path, name, info in self._matches():
            if info.st_ino not in left:
                continue
            left.pop(info.st_ino)
            try:
                descriptor = os.open(name, _TRUNCATE, dir_fd=folder)
            except OSError as error:
                self.skip(f"{path}/{name}", error.strerror or str(error))
                continue
            try:
                now = os.fstat(descriptor)
                if (now.st_dev, now.st_ino) != (info.st_dev, info.st_ino):
                    self.skip(f"{path}/{name}", "replaced")
                    continue
                os.ftruncate(descriptor, 0)
                size = (now.st_blocks - os.fstat(descriptor).st_blocks) * 512
            finally:
                os.close(descriptor)
            freed.bytes += size
            self.truncated.append({"path": shown(f"{path}/{name}"), "bytes": size})

    # Evidence

    def evidence(self) -> dict[str, Any]:
        """Rows of what went and what stayed, the largest first; bounded."""
        return {
            "deleted": [
                {"path": shown(path), "bytes": size, "modified": changed // 10**9}
                for size, path, changed in sorted(self._largest, reverse=True)
            ],
            "truncated": self.truncated,
            "skipped": [
                {"path": shown(path), "reason": reason} for path, reason in self.skipped.items()
            ],
        }


def kept_inodes(all_files: Sequence[Files]) -> frozenset[int]:
    """Inodes that some policy keeps: no other one may delete them."""
    kept: set[int] = set()
    for files in all_files:
        if files.policy.keep_newest or files.policy.verified_suffix or files.policy.verified:
            with contextlib.suppress(FileNotFoundError):
                kept |= files.newest()
    return frozenset(kept)
