# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""The ledger's lines as bytes: a checksum in each, a chain through all, and a head that tells of the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "HEAD_BYTES",
    "Content",
    "Head",
    "content_of",
    "end_problem",
    "last_of",
    "line_of",
    "to_json",
]

# Always: what is overwritten needs no room.
HEAD_BYTES = 64


def to_json(value: Any) -> str:
    """Canonical JSON: sorted keys, pure ASCII. Names that aren't UTF-8 keep their bytes as C(\\udcXX)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)


def line_of(entry: Mapping[str, Any], previous: str) -> tuple[bytes, str]:
    body = {**entry, "prev": previous}
    digest = hashlib.sha256(to_json(body).encode()).hexdigest()
    return to_json({**body, "sum": digest}).encode() + b"\n", digest


def _parse(line: bytes) -> tuple[dict[str, Any], str, str] | None:
    """The entry, its sum and the sum of the entry before it; None if the line doesn't hold."""
    try:
        body = json.loads(line)
        found = body.pop("sum")
        if hashlib.sha256(to_json(body).encode()).hexdigest() != found:
            return None
        return body, found, str(body.pop("prev"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@dataclass(kw_only=True)
class Content:
    """One file's lines."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    torn: int = 0
    last: str = ""
    end: int = 0


def content_of(data: bytes) -> Content:
    content = Content()
    whole, _newline, rest = data.rpartition(b"\n")
    content.torn = len(rest)
    content.end = len(data) - len(rest)
    expected: str | None = ""
    for number, line in enumerate(whole.split(b"\n") if whole else [], 1):
        parsed = _parse(line)
        if parsed is None:
            content.damaged.append(number)
            # The next line's predecessor is unknown: only the damaged line itself is counted.
            expected = None
            continue
        entry, digest, previous = parsed
        if expected is not None and previous != expected:
            content.damaged.append(number)
        content.entries.append(entry)
        content.numbers.append(number)
        content.last = expected = digest
    return content


@dataclass(frozen=True, kw_only=True)
class Head:
    """The last entry, as the head has it."""

    seq: int
    uid: str

    @classmethod
    def of(cls, data: bytes) -> Head | None:
        """Read it; None if it is none."""
        try:
            found = cls(**json.loads(data))
        except (ValueError, TypeError):
            return None
        return found if isinstance(found.seq, int) else None

    @property
    def line(self) -> bytes:
        return to_json(vars(self)).encode().ljust(HEAD_BYTES - 1) + b"\n"

    def is_of(self, entries: Sequence[Mapping[str, Any]]) -> bool:
        """Whether it is one of these entries."""
        return (self.seq, self.uid) in {(entry.get("seq"), entry.get("uid")) for entry in entries}


def last_of(entries: Sequence[Mapping[str, Any]]) -> int:
    return max((entry.get("seq", 0) for entry in entries), default=0)


def end_problem(
    first: bytes | None, second: bytes | None, entries: Sequence[Mapping[str, Any]]
) -> str:
    """What two looks at the head, before and after, tell of the end of the entries."""
    if first is None or second is None:
        return "its head is missing: entries at its end may be, too"
    before, after = Head.of(first), Head.of(second)
    if before is None or after is None:
        return "its head is damaged: entries at its end may be missing"
    last = last_of(entries)
    if before.seq > last:
        return f"its last entry is {last}, and {before.seq} were written: the end is missing"
    if last > after.seq + 1 or not before.is_of(entries):
        return f"its head, entry {after.seq}, is of another ledger than its last entry, {last}"
    return ""
