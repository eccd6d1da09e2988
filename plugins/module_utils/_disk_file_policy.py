# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Which files may go, and what went."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.koprogo.observability.plugins.module_utils._disk_space import Amount

__all__ = ["FilePolicy", "Freed"]


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
