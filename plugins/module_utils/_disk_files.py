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

import heapq
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._disk_file_policy import (
    FilePolicy,
    Freed,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_halves import (
    beside,
    half_of,
    halves,
    is_orphan,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_open import OpenFiles
from ansible_collections.koprogo.observability.plugins.module_utils._disk_places import (
    Places,
    counts_folders,
    open_root,
    shown,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_select import (
    Choice,
    Item,
    Look,
    Part,
    Tally,
    choose,
    key_of,
    named,
)
from ansible_collections.koprogo.observability.plugins.module_utils._disk_space import Amount
from ansible_collections.koprogo.observability.plugins.module_utils._disk_walk import (
    Folder,
    walk,
)

__all__ = ["Files"]

# Rows of evidence; the totals count everything.
_ROWS = 50
_SKIPPED = 200
# Inodes with several names that are followed; those beyond stay.
_LINKED = 50_000
_TRUNCATE = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_TYPE, _REGULAR = 0o170000, stat.S_IFREG

_Match = tuple[int, str, str, os.stat_result]
_Row = tuple[int, str, int]
_Seen = tuple[Tally, dict[int, list[int]], dict[int, int], dict[str, str]]


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
    halves: tuple[int | None, ...] = field(default_factory=halves)
    choice: Choice = field(default_factory=Choice)
    truncations: dict[int, int] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    truncated: list[dict[str, Any]] = field(default_factory=list)
    _linked: dict[int, int] = field(default_factory=dict)
    _writable: dict[int, int] = field(default_factory=dict)
    _largest: list[_Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Prepare the comparison of names."""
        self._named = named(self.policy.patterns)
        self._counted = counts_folders(self.device)
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

    def matches(self, half: int | None = None) -> Iterator[_Match]:
        """Regular files of the right name, each with a fresh stat; age and use aren't judged."""
        fits, recurse, device = self._named, self.policy.recurse, self.device
        for folder, path, entries, folders in self._folders():
            if is_orphan():
                return
            if half is not None and half_of(path) != half:
                if recurse and not (self._counted and os.fstat(folder).st_nlink == 2):
                    folders += [e.name for e in entries if e.is_dir(follow_symlinks=False)]
                continue
            for entry in entries:
                # By the type that the folder's listing gives; the stat below has the last word.
                if not entry.is_file(follow_symlinks=False):
                    if recurse and entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    continue
                name = entry.name
                if not fits(name):
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

    def _skip_too(self, rows: dict[str, str]) -> None:
        for path, reason in rows.items():
            self.skip(path, reason)

    # Judging

    def takes(self, path: str, name: str, info: os.stat_result) -> bool:
        """Whether this policy, as planned, deletes a file that another policy sees too."""
        inside = any(path == root or path.startswith(f"{root}/") for root in self.policy.roots)
        if not inside or not self.choice.total.names or not self._named(name):
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
        # Whoever follows the journal has all of its files open, and lets go of one that is deleted.
        if use == "written" or (use and self.policy.kind != "journal"):
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
            # Another name may be a snapshot's, outside the roots.
            and info.st_nlink == 1
            and info.st_blocks * 512 > self.policy.truncate_above
        )

    def _items(self, half: int | None, linked: dict[int, list[int]]) -> Iterator[Item]:
        """Inodes of one name that go; what has more is put into C(linked)."""
        before, special = self._before, self._special()
        for _folder, path, name, info in self.matches(half):
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

    def _look(self, look: Look, half: int | None) -> _Seen:
        self._writable = {}
        linked: dict[int, list[int]] = {}
        tally = look.count(self._items(half, linked))
        return tally, linked, self._writable, self.skipped

    def _count(self, look: Look) -> list[Tally]:
        """Look at all files: what each half has of one name, and inodes of several names."""
        mine, *theirs = self.halves
        seen = []
        if theirs:
            with beside(lambda: self._look(look, theirs[0]), repeatable=True) as other:
                seen = [self._look(look, mine), other()]
        else:
            seen = [self._look(look, mine)]
        linked: dict[int, list[int]] = {}
        self._writable = {}
        for _tally, rows, writable, skipped in seen:
            self._writable |= writable
            self._skip_too(skipped)
            for inode, row in rows.items():
                linked.setdefault(inode, [0, *row[1:]])[0] += row[0]
        # Inodes that go altogether: one with a name elsewhere would free nothing.
        self._linked = {inode: row[1] for inode, row in linked.items() if row[0] == row[1]}
        whole = [
            (key_of(linked[inode][2], inode), linked[inode][3], names)
            for inode, names in self._linked.items()
        ]
        return [*(tally for tally, *_rest in seen), look.count(whole)]

    def plan(self, need: Amount | None) -> Freed:
        """Choose what goes; nothing is changed. ``need`` None takes all that the caps allow."""
        policy = self.policy
        self.choice = choose(
            self._count, need=need, max_bytes=policy.max_bytes, max_names=policy.max_files
        )
        total = self.choice.total
        freed = Freed(
            bytes=total.bytes, inodes=total.inodes, files=total.names, capped=self.choice.capped
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

    def execute(self, opened: OpenFiles, freed: Freed | None = None) -> Freed:
        """Delete what was chosen, and count it in ``freed`` as it goes: what breaks off has freed something.

        ``opened`` are the files that are open now.
        """
        freed = Freed() if freed is None else freed
        self.opened = opened
        freed.capped = self.choice.capped
        if self.choice.total.names:
            self._delete(freed)
        if self.truncations:
            self._empty(freed)
        return freed

    def _delete(self, freed: Freed) -> None:
        """Delete what has one name in halves, each within what was chosen of it; then what has several."""
        if len(self.halves) == 1:
            self._unlink(freed, None, self.choice.total)
            return
        with beside(self._second_half, repeatable=False) as other:
            self._unlink(freed, 0, self.choice.parts[0])
            size, inodes, files, largest, skipped = other()
        freed.bytes += size
        freed.inodes += inodes
        freed.files += files
        self._largest = heapq.nlargest(_ROWS, [*self._largest, *largest])
        self._skip_too(skipped)
        if self._linked:
            heapq.heapify(self._largest)
            self._unlink(freed, None, self.choice.total)

    def _second_half(self) -> tuple[int, int, int, list[_Row], dict[str, str]]:
        freed = Freed()
        self._unlink(freed, 1, self.choice.parts[1])
        return freed.bytes, freed.inodes, freed.files, self._largest, self.skipped

    def _unlink(self, freed: Freed, half: int | None, most: Part) -> None:
        bound, linked, unlink = self.choice.bound, self._linked, os.unlink
        most_bytes, most_names = most.bytes, most.names
        largest, smallest = self._largest, 0
        before, special = self._before, self._special()
        for folder, path, name, info in self.matches(half):
            if ((info.st_mtime_ns << 64) | info.st_ino) > bound:
                continue
            if (special is None or info.st_ino in special or info.st_mtime_ns >= before) and (
                not self._may_go(path, name, info)
            ):
                continue
            size = 0
            if info.st_nlink == 1:
                size = info.st_blocks * 512
            elif half is not None or info.st_ino not in linked:
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
            if not freed.files & 255 and is_orphan():
                return
            if info.st_nlink == 1:
                freed.inodes += 1
                freed.bytes += size
            if len(largest) < _ROWS or size > smallest:
                row = (size, f"{path}/{name}", info.st_mtime_ns)
                (heapq.heappush if len(largest) < _ROWS else heapq.heappushpop)(largest, row)
                smallest = largest[0][0]

    def _empty(self, freed: Freed) -> None:
        left = dict(self.truncations)
        for folder, path, name, info in self.matches():
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
                if not (
                    self._may_empty(now) and self.opened.holds(now.st_dev, now.st_ino) == "written"
                ):
                    self.skip(f"{path}/{name}", "no_longer_written")
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
