# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""A file system's room, and how much has to be freed until a target is reached."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError

__all__ = ["Amount", "Space", "Target", "size_of", "space_of"]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
# mke2fs's default, where the file system itself cannot be asked.
_USUAL_RESERVE = 0.05
_EXT_MAGIC = 0xEF53
_EXT_EXTENTS = 0x40


@dataclass(frozen=True, kw_only=True)
class Amount:
    """Bytes and inodes."""

    bytes: int = 0
    inodes: int = 0

    def __sub__(self, other: Amount) -> Amount:
        """What is left, at least nothing."""
        return Amount(
            bytes=max(0, self.bytes - other.bytes), inodes=max(0, self.inodes - other.inodes)
        )

    def __add__(self, other: Amount) -> Amount:
        """Both together."""
        return Amount(bytes=self.bytes + other.bytes, inodes=self.inodes + other.inodes)

    def __bool__(self) -> bool:
        """Whether it is anything."""
        return bool(self.bytes or self.inodes)

    def as_dict(self) -> dict[str, int]:
        """The amount as a module returns it."""
        return {"bytes": self.bytes, "inodes": self.inodes}


@dataclass(frozen=True, kw_only=True)
class Space:
    """One file system. C(available) is for users, C(free) counts root's reserve too; bytes."""

    device: int
    size: int
    free: int
    available: int
    reserved: int
    inodes: int
    inodes_free: int

    @property
    def available_percent(self) -> float:
        """As the alert counts it."""
        return 100.0 * self.available / self.size if self.size else 0.0

    @property
    def inodes_percent(self) -> float:
        """Free inodes; file systems that make them as needed have no limit."""
        return 100.0 * self.inodes_free / self.inodes if self.inodes else 100.0

    def as_dict(self) -> dict[str, Any]:
        """The file system as a module returns it."""
        return {
            "size_bytes": self.size,
            "free_bytes": self.free,
            "available_bytes": self.available,
            "reserved_bytes": self.reserved,
            "available_percent": round(self.available_percent, 2),
            "inodes": self.inodes,
            "inodes_free": self.inodes_free,
            "inodes_free_percent": round(self.inodes_percent, 2),
        }


def space_of(path: str) -> Space:
    """Ask the file system that a path is on."""
    info = os.statvfs(path)
    device = os.stat(path).st_dev
    unit = info.f_frsize
    reserved = info.f_bfree - info.f_bavail
    if info.f_bavail == 0:
        # Below the reserve the difference says only what is left of it.
        known = _ext_reserve(device)
        if known is None and info.f_bfree:
            known = int(info.f_blocks * _USUAL_RESERVE) * unit
        reserved = max(reserved, (known or 0) // unit)
    return Space(
        device=device,
        size=info.f_blocks * unit,
        free=info.f_bfree * unit,
        available=info.f_bavail * unit,
        reserved=reserved * unit,
        inodes=info.f_files,
        inodes_free=info.f_ffree,
    )


def _ext_reserve(device: int) -> int | None:
    """Bytes that an ext2, ext3 or ext4 keeps for root and itself, from its superblock; None for others."""
    name = f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"
    with contextlib.suppress(OSError):
        node = os.path.join("/dev", os.path.basename(os.readlink(name)))
        descriptor = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
        try:
            block = os.pread(descriptor, 1024, 1024)
        finally:
            os.close(descriptor)
        return _reserve_in(block)
    return None


def _reserve_in(block: bytes) -> int | None:
    def number(*at: int) -> int:
        return sum(int.from_bytes(block[n : n + 4], "little") << 32 * i for i, n in enumerate(at))

    if len(block) < 1024 or int.from_bytes(block[0x38:0x3A], "little") != _EXT_MAGIC:
        return None
    features, block_bits = number(0x60), number(0x18)
    wide = features & 0x80
    blocks = number(0x08, 0x154) if wide else number(0x08)
    if features & _EXT_EXTENTS:
        # The kernel's own, for extents that have to be split: a fiftieth, 4096 clusters at most.
        cluster_bits = max(0, number(0x1C) - block_bits)
        total = number(0x04, 0x150) if wide else number(0x04)
        blocks += min((total >> cluster_bits) // 50, 4096) << cluster_bits
    return blocks * (1024 << block_bits)


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is to be free. C(None) asks for nothing."""

    percent: float | None = None
    bytes: int | None = None
    inodes_percent: float | None = None

    @staticmethod
    def of(options: Mapping[str, Any]) -> Target:
        """Of a module's options; InputError for percentages that cannot be."""
        for name in ("free_percent", "free_inodes_percent"):
            value = options.get(name)
            if value is not None and not 0 < value < 100:
                raise InputError(
                    f"{name}: expected more than 0 and less than 100, found {value:g}."
                )
        size = options.get("free_bytes")
        return Target(
            percent=options.get("free_percent"),
            bytes=None if size is None else size_of(size, option="free_bytes"),
            inodes_percent=options.get("free_inodes_percent"),
        )

    def missing(self, space: Space, *, spare: Amount | None = None) -> Amount:
        """What has to be freed, with ``spare`` on top. Root's reserve fills up before any is available."""
        more = spare or Amount()
        wanted = max(int(space.size * (self.percent or 0) / 100), self.bytes or 0) + more.bytes
        lacking = max(0, wanted - space.available)
        if lacking and space.free < space.reserved:
            lacking += space.reserved - space.free
        inodes = 0
        if self.inodes_percent is not None and space.inodes:
            wanted = -int(-space.inodes * self.inodes_percent // 100) + more.inodes
            inodes = max(0, wanted - space.inodes_free)
        return Amount(bytes=lacking, inodes=inodes)


def size_of(text: str | int, *, option: str) -> int:
    """Bytes in C(5G), C(512 MiB) or a plain number; powers of 1024."""
    match = _SIZE.fullmatch(str(text).strip())
    if match is None:
        raise InputError(f"{option}: expected a size such as 512M or 5G, found '{text}'.")
    return int(float(match.group(1)) * 1024 ** _UNITS[match.group(2).upper()])
