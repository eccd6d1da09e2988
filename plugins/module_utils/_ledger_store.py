# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""The ledger's lines on the disk: a checksum in each, a chain through all, and room where none is.

A line goes to the first of three places that takes it: the ledger itself; a reserve of zeros beside
it, written in place, so that a disk with 0 bytes free takes it too; memory (C(/run), C(/dev/shm)).
What was written elsewhere is moved to the ledger as soon as that has room again.

The chain cannot tell that lines at its end are gone. So a head beside it has the last entry's number and
name, overwritten in place after each entry: a crash between the two leaves the ledger one entry ahead.

One that has grown long is written anew with what is still wanted, under another name that takes its place in
one step; as it was before it is kept beside it until the next time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._errors import KoprogoError
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_lines import (
    Head,
    content_of,
    end_problem,
    last_of,
    line_of,
)

__all__ = ["LONG_BYTES", "MEMORY", "PATH", "RESERVE_BYTES", "LedgerError", "Reading", "Store"]

PATH = "/var/lib/koprogo/remediation/ledger.jsonl"
MEMORY = (
    "/run/koprogo-remediation/ledger.jsonl",
    "/dev/shm/koprogo-remediation/ledger.jsonl",  # noqa: S108 - folder of our own, owner checked
)
#: A hundred entries fit.
RESERVE_BYTES = 128 * 1024
#: Some four thousand entries.
LONG_BYTES = 2 * 1024 * 1024

_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class LedgerError(KoprogoError):
    """The ledger cannot be written, or its content cannot be trusted."""


@dataclass(kw_only=True)
class Reading:
    """What was read: entries in order, without C(prev) and C(sum).

    ``damaged`` are line numbers of the ledger that don't hold, ``torn`` the bytes of a last line
    that a crash cut off; ``stored`` counts entries by place; ``end`` is what is wrong with the end of
    it by the head, empty if nothing is.
    """

    exists: bool = False
    entries: list[dict[str, Any]] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    torn: int = 0
    stored: dict[str, int] = field(default_factory=dict)
    end: str = ""


def _sync_folder(path: str) -> None:
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Store:
    """The places of one ledger."""

    def __init__(
        self,
        path: str = PATH,
        *,
        memory: Sequence[str] = MEMORY,
        reserve_bytes: int = RESERVE_BYTES,
        long_bytes: int = LONG_BYTES,
    ) -> None:
        """``memory`` are paths on file systems in RAM, the best first."""
        self.path = path
        self.before = f"{path}.1"
        self._long_bytes = long_bytes
        self.reserve = f"{path}.reserve"
        self.head = f"{path}.head"
        self._memory = tuple(memory)
        self._reserve_bytes = reserve_bytes

    # Reading

    def read(self) -> Reading:
        """All entries of all places; writes nothing. A torn or damaged line is reported."""
        # Another run may write meanwhile: the first look is not newer than the entries, the second not older.
        first = self._load(self.head)
        reading = self._entries()
        if reading.exists:
            reading.end = end_problem(first, self._load(self.head), reading.entries)
        return reading

    def _entries(self) -> Reading:
        main = self._load(self.path)
        reading = Reading(exists=main is not None)
        content = content_of(main or b"")
        reading.entries, reading.damaged = content.entries, content.damaged
        reading.torn = content.torn
        known = {entry.get("uid") for entry in content.entries}
        reading.stored["ledger"] = len(content.entries)
        for path in (self.reserve, *self._memory):
            for entry in self._elsewhere(path):
                # Moved already, and the process died before it could clear this place.
                if entry.get("uid") in known:
                    continue
                known.add(entry.get("uid"))
                reading.entries.append(entry)
                reading.stored[path] = reading.stored.get(path, 0) + 1
        if len(reading.stored) > 1:
            reading.entries.sort(key=lambda entry: entry.get("seq", 0))
        return reading

    def damaged_before(self, uid: str) -> list[int]:
        """Damaged lines that stand before the entry with this uid."""
        content = content_of(self._load(self.path) or b"")
        for entry, number in zip(content.entries, content.numbers, strict=True):
            if entry.get("uid") == uid:
                return [line for line in content.damaged if line < number]
        return []

    def _elsewhere(self, path: str) -> list[dict[str, Any]]:
        data = self._load(path)
        return content_of(data.rstrip(b"\0")).entries if data else []

    def _load(self, path: str) -> bytes | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | _FLAGS)
        except OSError:
            return None
        try:
            info = os.fstat(descriptor)
            # In a folder that anybody may write to only our own file counts.
            if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid():
                return None
            parts = []
            while part := os.read(descriptor, 1 << 20):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(descriptor)

    # Writing

    def append(
        self, entry: Mapping[str, Any], *, renew: bool = False
    ) -> tuple[str, dict[str, Any]]:
        """Bring an entry to the disk; return the place that took it, and the entry as it is stored.

        ``renew`` makes a new head of it, whatever was there: a human has looked. Raises LedgerError when
        no place takes it.
        """
        problems = []
        for path, write in (
            (self.path, self._append_main),
            (self.reserve, self._append_reserve),
            *((path, self._append_memory) for path in self._memory),
        ):
            try:
                with self._locked(path, create=path != self.reserve) as descriptor:
                    entries = self._entries().entries
                    head = Head.of(self._load(self.head) or b"")
                    # What is gone from the end keeps its numbers, so that the gap stays to be seen.
                    last = last_of(entries)
                    number = 1 + max(last, head.seq if head else 0)
                    full = {**entry, "seq": number, "uid": secrets.token_hex(8)}
                    write(descriptor, full)
                    # One that does not hold is left for a human to see.
                    holds = head and (
                        head.seq > last or (last <= head.seq + 1 and head.is_of(entries))
                    )
                    if renew or not entries or holds:
                        self._note_head(full, create=renew or not entries)
                return path, full
            except OSError as error:
                problems.append(f"{path}: {error.strerror or error}")
        raise LedgerError(
            f"The ledger of remediations cannot be written: {'; '.join(problems)}.",
            ledger=self.path,
        )

    def shorten(
        self, wanted: Callable[[Reading], tuple[Sequence[dict[str, Any]], Mapping[str, Any]] | None]
    ) -> bool:
        """Write a ledger that has grown long anew; say whether it was.

        ``wanted`` tells which entries stay, with the entry that says so and becomes the last one; None
        leaves the ledger alone. Where there is no room for it, it goes on growing.
        """
        new = f"{self.path}.new"
        try:
            if os.stat(self.path, follow_symlinks=False).st_size < self._long_bytes:
                return False
            with self._locked(self.path, create=False):
                reading = self.read()
                # What is not in its place yet is moved by the next entry that the disk takes.
                if reading.torn or len(reading.stored) > 1 or (told := wanted(reading)) is None:
                    return False
                kept, note = told
                number = 1 + last_of(reading.entries)
                full = {**note, "seq": number, "uid": secrets.token_hex(8)}
                lines, last = b"", ""
                for each in [*kept, full]:
                    line, last = line_of(each, last)
                    lines += line
                # Nobody gets hold of the one that takes its place before the head tells of it, too.
                with self._locked(new, create=True) as fresh:
                    os.ftruncate(fresh, 0)
                    self._write(fresh, lines, 0)
                    self._place(new)
                    self._note_head(full, create=False)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(new)
            return False
        return True

    def _place(self, new: str) -> None:
        """At each moment there is one whole ledger."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.before)
        os.link(self.path, self.before)
        os.replace(new, self.path)
        _sync_folder(self.path)

    def provide(self) -> bool:
        """Make the reserve where it lacks and there is room for it; say whether it is there."""
        info = None
        with contextlib.suppress(OSError):
            info = os.stat(self.reserve, follow_symlinks=False)
        if info is not None and info.st_size >= self._reserve_bytes:
            return True
        try:
            with self._locked(self.reserve, create=True) as descriptor:
                # Written, not only allocated: overwriting needs no block any more, ever.
                written = 0
                zeros = bytes(self._reserve_bytes)
                while written < len(zeros):
                    written += os.pwrite(descriptor, zeros[written:], written)
                os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(self.reserve)
            return False
        return True

    def _note_head(self, entry: Mapping[str, Any], *, create: bool) -> None:
        """Bring the last entry's number to the head."""
        head = Head(seq=entry["seq"], uid=entry["uid"])
        # Without it the entry stands all the same; that it lacks is seen when the ledger is judged.
        with contextlib.suppress(OSError), self._locked(self.head, create=create) as descriptor:
            try:
                self._write(descriptor, head.line, 0)
            except OSError:
                # One of no bytes would be damage, once there is room again.
                if not os.fstat(descriptor).st_size:
                    os.unlink(self.head)
                raise
            if create:
                _sync_folder(self.head)

    def _append_main(self, descriptor: int, entry: Mapping[str, Any]) -> None:
        content = content_of(self._load(self.path) or b"")
        if content.torn:
            # Half an entry says nothing; the sum would call it damage for ever.
            os.ftruncate(descriptor, content.end)
        known = {e.get("uid") for e in content.entries}
        moved = [
            other
            for path in (self.reserve, *self._memory)
            for other in self._elsewhere(path)
            if other.get("uid") not in known
        ]
        lines, last = b"", content.last
        for each in [*sorted(moved, key=lambda e: e.get("seq", 0)), entry]:
            line, last = line_of(each, last)
            lines += line
        self._write(descriptor, lines, content.end)
        if not content.end:
            _sync_folder(self.path)
        for path in (self.reserve, *self._memory):
            self._clear(path)

    def _append_reserve(self, descriptor: int, entry: Mapping[str, Any]) -> None:
        size = os.fstat(descriptor).st_size
        data = (self._load(self.reserve) or b"").rstrip(b"\0")
        content = content_of(data)
        line, _sum = line_of(entry, content.last)
        if content.end + len(line) > size:
            raise OSError(28, "the reserve is used up")
        # The rest of a torn line, if it was longer than the new one, ends before the next zero.
        self._write(descriptor, line + bytes(max(0, content.torn - len(line))), content.end)

    def _append_memory(self, descriptor: int, entry: Mapping[str, Any]) -> None:
        content = content_of(os.pread(descriptor, os.fstat(descriptor).st_size, 0))
        if content.torn:
            os.ftruncate(descriptor, content.end)
        line, _sum = line_of(entry, content.last)
        self._write(descriptor, line, content.end)

    def _write(self, descriptor: int, data: bytes, offset: int) -> None:
        """All of it or none of it, on the disk."""
        size = os.fstat(descriptor).st_size
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(descriptor, data[written:], offset + written)
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            raise

    def _clear(self, path: str) -> None:
        with contextlib.suppress(OSError):
            if path != self.reserve:
                os.unlink(path)
                return
            with self._locked(path, create=False) as descriptor:
                size = os.fstat(descriptor).st_size
                if os.pread(descriptor, 1, 0) not in (b"", b"\0"):
                    os.pwrite(descriptor, bytes(size), 0)
                    os.fsync(descriptor)

    @contextlib.contextmanager
    def _locked(self, path: str, *, create: bool) -> Iterator[int]:
        if create:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            if path in self._memory:
                self._own_folder(os.path.dirname(path))
        flags = os.O_RDWR | _FLAGS | (os.O_CREAT if create else 0)
        while True:
            descriptor = os.open(path, flags, 0o600)
            try:
                info = os.fstat(descriptor)
                if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid():
                    raise OSError(1, "it is not a file of our own")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                # Whoever had the lock may have put another file into its place.
                if not self._is_at(descriptor, path):
                    continue
                yield descriptor
                return
            finally:
                os.close(descriptor)

    @staticmethod
    def _is_at(descriptor: int, path: str) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
        return False

    def _own_folder(self, folder: str) -> None:
        info = os.stat(folder, follow_symlinks=False)
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o022:
            raise OSError(1, f"{folder} is not a folder of our own")
