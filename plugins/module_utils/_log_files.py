# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""A log and its rotated files, newest first, in blocks of whole lines and in constant memory."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from ansible_collections.koprogo.observability.plugins.module_utils import _io

__all__ = ["LogFile", "blocks", "log_files"]

_BLOCK = 512 * 1024
# A line longer than this is damage: a block that lost its line breaks must not fill the memory.
_LONGEST_LINE = 1024 * 1024
# Below this, looking for the beginning of the window costs as much as reading up to it.
_WORTH_SEEKING = 4 * 1024 * 1024
_ROTATED = re.compile(r"[.-](?:\d+|\d{8}(?:-\d+)?)(?:\.gz)?")


@dataclass(frozen=True, kw_only=True)
class LogFile:
    """One file of a log; ``size`` is in bytes as stored, ``changed_at`` a Unix time in seconds."""

    path: str
    size: int
    changed_at: float

    @property
    def packed(self) -> bool:
        """Whether it is gzipped."""
        return self.path.endswith(".gz")


def log_files(path: str) -> list[LogFile]:
    """Return the log and its rotated files, the one that was written last first; links are left out."""
    folder, base = Path(path).parent, Path(path).name
    found = []
    for name in _io.list_directory(str(folder)):
        if name != base and not (
            name.startswith(base) and _ROTATED.fullmatch(name.removeprefix(base))
        ):
            continue
        entry = _io.lookup(str(folder / name))
        if entry is not None and entry.kind == "file":
            found.append(
                LogFile(
                    path=str(folder / name),
                    size=entry.size,
                    changed_at=entry.changed_at / 1e9,
                )
            )
    return sorted(found, key=lambda file: (-file.changed_at, file.path != path, file.path))


def blocks(
    file: LogFile, *, limit: int, before_window: Callable[[bytes], bool], block: int = _BLOCK
) -> Iterator[tuple[bytes, int]]:
    """Yield blocks of whole lines, each ending with a line break, and the damaged bytes' lines.

    At most ``limit`` bytes, of a plain file its last ones. ``before_window`` tells of a line whether
    the window begins after it: with it the beginning is found by bisection. A gzip file that breaks
    off yields what could be read, and one damaged line.
    """
    with _io.open_file(file.path) as raw:
        source: BinaryIO = raw
        if file.packed:
            source = cast("BinaryIO", gzip.GzipFile(fileobj=raw))
        else:
            start = max(0, file.size - limit)
            if file.size - start > _WORTH_SEEKING:
                start = _first_offset(raw, start, file.size, before_window)
            raw.seek(start)
            if start:
                _skip_line(raw)
        yield from _whole_lines(source, limit, block)


def _whole_lines(source: BinaryIO, limit: int, block: int) -> Iterator[tuple[bytes, int]]:
    rest, left, skipping = b"", limit, False
    while left > 0:
        try:
            piece = source.read(min(block, left))
        except (OSError, EOFError, zlib.error):
            yield rest + b"\n" if rest else b"", 1
            return
        if not piece:
            break
        left -= len(piece)
        end = piece.rfind(b"\n") + 1
        if skipping:
            begin = piece.find(b"\n") + 1
            if not begin:
                continue
            skipping = False
            piece, end = piece[begin:], end - begin
        if end <= 0:
            rest += piece
            if len(rest) > _LONGEST_LINE:
                rest, skipping = b"", True
                yield b"", 1
            continue
        yield rest + piece[:end], 0
        rest = piece[end:]
    if rest and not skipping:
        yield rest + b"\n", 0


def _first_offset(
    raw: BinaryIO, low: int, high: int, before_window: Callable[[bytes], bool]
) -> int:
    """Return an offset from which on the window's lines are, by bisection over whole lines."""
    while high - low > _BLOCK:
        half = (low + high) // 2
        raw.seek(half)
        _skip_line(raw)
        line = _line(raw)
        if line and before_window(line):
            low = half
        else:
            high = half
    return low


def _skip_line(raw: BinaryIO) -> None:
    """Move behind the next line break, or to the end of a piece that has none."""
    start = raw.tell()
    piece = raw.read(64 * 1024)
    found = piece.find(b"\n")
    raw.seek(start + (found + 1 if found >= 0 else len(piece)))


def _line(raw: BinaryIO) -> bytes:
    return raw.read(64 * 1024).partition(b"\n")[0]
