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

import fnmatch
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ansible_collections.koprogo.observability.plugins.module_utils._disk_space import Amount

__all__ = ["Choice", "Item", "Look", "Part", "Tally", "choose", "key_of", "named"]

# Bits of the inode below those of the nanoseconds.
_INODE_BITS = 64
# 2^46 ns are 19.5 h: thirty years are 13,000 buckets.
_COARSE = _INODE_BITS + 46
_FINER = 12
# Items of one bucket that are sorted in memory.
_SORTED = 20_000

#: Order key, bytes, and names of an inode that goes.
Item = tuple[int, int, int]
#: Bytes, inodes and names by bucket, and the items themselves if they are few.
Tally = tuple[dict[int, list[int]], "list[Item] | None"]


def key_of(changed_ns: int, inode: int) -> int:
    """The place of an inode in the order."""
    return (changed_ns << _INODE_BITS) | inode


def named(patterns: Sequence[str]) -> Callable[[str], object]:
    """What tells whether a name fits: asked twice for each file, so the usual C(*.log) isn't searched."""
    if all(pattern[:1] == "*" and not set("*?[") & set(pattern[1:]) for pattern in patterns):
        return operator.methodcaller("endswith", tuple(pattern[1:] for pattern in patterns))
    return re.compile("|".join(f"(?:{fnmatch.translate(p)})" for p in patterns)).match


@dataclass(frozen=True, kw_only=True)
class Part:
    """Bytes, inodes and names of some items."""

    bytes: int = 0
    inodes: int = 0
    names: int = 0

    def plus(self, size: int, inodes: int, names: int) -> Part:
        """These and some more."""
        return Part(bytes=self.bytes + size, inodes=self.inodes + inodes, names=self.names + names)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Items whose key is at most ``bound``; none where there is no name. ``parts`` are ``count``'s."""

    bound: int = 0
    total: Part = field(default_factory=Part)
    parts: tuple[Part, ...] = ()
    capped: bool = False


@dataclass(frozen=True, kw_only=True)
class Look:
    """One look at all items: counted by ``key >> shift``, those with ``key >> outer`` of ``inside`` only."""

    shift: int = _COARSE
    outer: int = 0
    inside: int | None = None

    def count(self, items: Iterable[Item]) -> Tally:
        """Bytes, inodes and names by bucket, and the items themselves if they are few."""
        shift, outer, inside = self.shift, self.outer, self.inside
        buckets: dict[int, list[int]] = {}
        kept: list[Item] | None = []
        for item in items:
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
        return buckets, kept


def _merged(tallies: Sequence[Tally]) -> tuple[dict[int, list[int]], list[tuple[Item, int]] | None]:
    """What one look at all items would have counted, and with each item the number of its part."""
    buckets: dict[int, list[int]] = {}
    kept: list[tuple[Item, int]] | None = []
    for part, (rows, items) in enumerate(tallies):
        for number, row in rows.items():
            so_far = buckets.get(number, (0, 0, 0))
            buckets[number] = [one + other for one, other in zip(so_far, row, strict=True)]
        kept = None if kept is None or items is None else [*kept, *((item, part) for item in items)]
    return buckets, kept if kept is not None and len(kept) <= _SORTED else None


def choose(
    count: Callable[[Look], Sequence[Tally]],
    *,
    need: Amount | None,
    max_bytes: int | None = None,
    max_names: int | None = None,
) -> Choice:
    """Choose from the oldest on until ``need`` is met; never more than the caps.

    ``count`` looks at the items each time, by parts of them, and has to see the same ones. ``need`` None
    takes all that the caps allow.
    """
    total, bound, look = Part(), 0, Look()
    parts: list[Part] = []

    def enough(so_far: Part) -> bool:
        return need is not None and so_far.bytes >= need.bytes and so_far.inodes >= need.inodes

    def over(so_far: Part) -> bool:
        return (max_bytes is not None and so_far.bytes > max_bytes) or (
            max_names is not None and so_far.names > max_names
        )

    if enough(total):
        return Choice()
    while True:
        tallies = count(look)
        parts = parts or [Part() for _tally in tallies]
        buckets, kept = _merged(tallies)
        if kept is not None:
            taken = Choice(bound=bound, total=total, parts=tuple(parts))
            return _exactly(sorted(kept), taken, enough, over)
        inside = None
        for number in sorted(buckets):
            after = total.plus(*buckets[number])
            if enough(after) or over(after):
                inside = number
                break
            total, bound = after, ((number + 1) << look.shift) - 1
            rows = [tally[0].get(number, (0, 0, 0)) for tally in tallies]
            parts = [part.plus(*row) for part, row in zip(parts, rows, strict=True)]
        if inside is None:
            return Choice(bound=bound, total=total, parts=tuple(parts))
        # Look into the bucket: by memory if it is small, else through finer buckets.
        look = Look(shift=max(0, look.shift - _FINER), outer=look.shift, inside=inside)


def _exactly(
    items: list[tuple[Item, int]],
    taken: Choice,
    enough: Callable[[Part], bool],
    over: Callable[[Part], bool],
) -> Choice:
    """Take sorted items one by one, after those that are taken."""
    last, total, parts, capped = taken.bound, taken.total, list(taken.parts), False
    for (key, size, names), part in items:
        after = total.plus(size, 1, names)
        if over(after):
            capped = True
            break
        total, last = after, key
        parts[part] = parts[part].plus(size, 1, names)
        if enough(total):
            break
    return Choice(bound=last, total=total, parts=tuple(parts), capped=capped)
