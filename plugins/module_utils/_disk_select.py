# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Choose the oldest files that are enough for a target, with constant memory.

Files are ordered by modification time and then by inode, so all names of one inode stand together. The
choice is a bound in that order: what lies below it goes. The bound is found by counting into coarse
buckets of time, and then looking into the one bucket in which the target is reached; a choice therefore
never depends on the order in which a folder lists its files, and a prediction is what the run does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ansible_collections.koprogo.observability.plugins.module_utils._disk_space import Amount

__all__ = ["Choice", "Item", "choose", "key_of"]

# Bits of the inode below those of the nanoseconds.
_INODE_BITS = 64
# 2^46 ns are 19.5 h: thirty years are 13,000 buckets.
_COARSE = _INODE_BITS + 46
_FINER = 12
# Items of one bucket that are sorted in memory.
_SORTED = 20_000

#: Order key, bytes, and names of an inode that goes.
Item = tuple[int, int, int]


def key_of(changed_ns: int, inode: int) -> int:
    """The place of an inode in the order."""
    return (changed_ns << _INODE_BITS) | inode


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Items whose key is at most ``bound``; none where there is no name."""

    bound: int = 0
    bytes: int = 0
    inodes: int = 0
    names: int = 0
    capped: bool = False

    @property
    def amount(self) -> Amount:
        """What the choice frees."""
        return Amount(bytes=self.bytes, inodes=self.inodes)


@dataclass(kw_only=True)
class _Sum:
    bytes: int = 0
    inodes: int = 0
    names: int = 0

    def plus(self, size: int, inodes: int, names: int) -> _Sum:
        return _Sum(bytes=self.bytes + size, inodes=self.inodes + inodes, names=self.names + names)


def choose(
    items: Callable[[], Iterable[Item]],
    *,
    need: Amount | None,
    max_bytes: int | None = None,
    max_names: int | None = None,
) -> Choice:
    """Choose from the oldest on until ``need`` is met; never more than the caps.

    ``items`` is called for each look at them and has to return the same ones. ``need`` None takes all
    that the caps allow.
    """
    total, bound, shift, outer, inside = _Sum(), 0, _COARSE, 0, None

    def enough(so_far: _Sum) -> bool:
        return need is not None and so_far.bytes >= need.bytes and so_far.inodes >= need.inodes

    def over(so_far: _Sum) -> bool:
        return (max_bytes is not None and so_far.bytes > max_bytes) or (
            max_names is not None and so_far.names > max_names
        )

    if enough(total):
        return Choice()
    while True:
        buckets: dict[int, list[int]] = {}
        kept: list[Item] | None = []
        for item in items():
            key, size, names = item
            if inside is not None and key >> outer != inside:
                continue
            number = key >> shift
            bucket = buckets.get(number)
            if bucket is None:
                buckets[number] = [size, 1, names]
            else:
                bucket[0] += size
                bucket[1] += 1
                bucket[2] += names
            if kept is not None:
                kept.append(item)
                if len(kept) > _SORTED:
                    kept = None
        if kept is not None:
            return _exactly(sorted(kept), total, bound, enough, over)
        inside = None
        for number in sorted(buckets):
            after = total.plus(*buckets[number])
            if enough(after) or over(after):
                inside = number
                break
            total, bound = after, ((number + 1) << shift) - 1
        if inside is None:
            return Choice(bound=bound, bytes=total.bytes, inodes=total.inodes, names=total.names)
        # Look into the bucket: by memory if it is small, else through finer buckets.
        outer, shift = shift, max(0, shift - _FINER)


def _exactly(
    items: list[Item],
    total: _Sum,
    bound: int,
    enough: Callable[[_Sum], bool],
    over: Callable[[_Sum], bool],
) -> Choice:
    """Take sorted items one by one."""
    capped = False
    last = bound
    for key, size, names in items:
        after = total.plus(size, 1, names)
        if over(after):
            capped = True
            break
        total, last = after, key
        if enough(total):
            break
    return Choice(
        bound=last, bytes=total.bytes, inodes=total.inodes, names=total.names, capped=capped
    )
