# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""What the log of a PostgreSQL server tells: signs of damage, want of space, and why it gave up.

Text, CSV and JSON are read. It errs towards damage: then a person decides before a server is started.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._log_files import (
    blocks,
    log_files,
)

__all__ = ["STARTING", "corruption_signs", "last_words", "log_paths", "names_damage", "tail_of"]

_TAIL = 1024 * 1024
_SEVERITIES = ("LOG", "WARNING", "ERROR", "FATAL", "PANIC")
_SPOKEN = "|".join(_SEVERITIES)
# The first of a line is the server's own: what a client sends stands behind it, in a statement or in quotes.
# With log_error_verbosity=verbose the SQLSTATE follows.
_TEXT = re.compile(
    rf"\b(DEBUG[1-5]?|INFO|NOTICE|{_SPOKEN}|DETAIL|HINT|QUERY|CONTEXT|LOCATION|STATEMENT|BACKTRACE)"
    r":  +(?:([0-9A-Z]{5}): )?(.*)"
)
_CSV = re.compile(rf",({_SPOKEN}),([0-9A-Z]{{5}}),(.*)")
# data_corrupted and index_corrupted (PostgreSQL, Appendix A).
_CORRUPTED = ("XX001", "XX002")
_DISK_FULL = "53100"
# What a damaged data directory says. A function may raise the same words.
_DAMAGE = re.compile(
    r"invalid page in block|could not read block|page verification failed"
    r"|(?:index \"[^\"]*\" contains |)(?:unexpected zero page|corrupted page)"
    r"|invalid (?:primary |secondary )?checkpoint record|could not locate a valid checkpoint record"
    r"|missing chunk number|unexpected chunk number|compressed (?:lz4|pglz)? ?data is corrupt"
    r"|incorrect (?:resource manager data )?checksum|database files are incompatible"
    r"|could not access status of transaction|found .* from before rel(?:frozenxid|minmxid)"
    r"|could not open file \"(?:base|global|pg_xact|pg_multixact|pg_control)[^:]*: (?:No such|Input/output)"
    r"|bogus data in file|control file contains invalid|xlog flush request .* is not satisfied"
    r"|could not .*: Input/output error"
)
_DAMAGED_FILE = re.compile(r"Could not \w+ file \"(?:base|global|pg_xact|pg_multixact)/")
# ENOSPC and EDQUOT as the C library says them, in English and in Belgium's languages: the log may be in any.
_NO_SPACE = re.compile(
    r"No space left on device|Disk quota exceeded|Aucun espace disponible|Débordement du quota"
    r"|kein Speicherplatz mehr|Plattenplatzbegrenzung überschritten"
    r"|[Gg]een ruimte (?:meer )?(?:over|beschikbaar)"
)
#: In a server's words while it is on its way up or down.
STARTING = re.compile(
    r"starting up|not yet accepting connections|in recovery mode|shutting down", re.IGNORECASE
)
# Process, severity and message of a line that begins as Debian sets it.
_LAST = re.compile(rf"\[(\d+)\] .*?\b({_SPOKEN}):  +(?:[0-9A-Z]{{5}}: )?(.*)")
_AT = re.compile(r"^(?:\{\"timestamp\":\")?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)? ([^\s,\"]+)")


class _Said(NamedTuple):
    severity: str
    code: str
    message: str


def _said(line: str) -> _Said | None:
    """What a line says, by its first severity; None for one that goes on from the line before."""
    if line.startswith("{"):
        with contextlib.suppress(ValueError, AttributeError):
            row = json.loads(line)
            return _Said(
                *(str(row.get(k, "")) for k in ("error_severity", "state_code", "message"))
            )
    if match := _TEXT.search(line):
        return _Said(match[1], match[2] or "", match[3])
    if match := _CSV.search(line):
        return _Said(match[1], match[2], match[3].lstrip('"').replace('""', '"'))
    return None


def names_damage(line: str) -> bool:
    """Whether a line names damage; a PANIC alone may have other reasons."""
    said = _said(line)
    return said is not None and not _NO_SPACE.search(said.message) and _tells_damage(said)


def _tells_damage(said: _Said) -> bool:
    if said.severity == "DETAIL":
        return bool(_DAMAGED_FILE.match(said.message))
    if said.severity not in _SEVERITIES:
        return False
    return said.code in _CORRUPTED or bool(_DAMAGE.match(said.message))


def corruption_signs(
    lines: Iterable[str], *, since: datetime | None = None
) -> tuple[list[str], list[str]]:
    """Return the lines that tell of a damaged data directory, and those of a full disk.

    Lines with a readable time before ``since`` are left out. A PANIC for want of space is no damage.
    """
    signs, full = [], []
    for line in lines:
        said = _said(line)
        if said is None or (since is not None and (at := _time_of(line)) and at < since):
            continue
        if said.code == _DISK_FULL or _NO_SPACE.search(said.message):
            full.append(line[:300])
        elif said.severity == "PANIC" or _tells_damage(said):
            signs.append(line[:300])
    return signs[-10:], full[-5:]


def last_words(lines: Iterable[str], *, since: datetime) -> str:
    """Return why a server gave up: its last fatal message, and what the same process said before it."""
    words, before = "", ("", "")
    for line in lines:
        match = _LAST.search(line)
        if match is None or ((at := _time_of(line)) and at < since) or STARTING.search(match[3]):
            continue
        process, severity, message = match.groups()
        if severity in ("FATAL", "PANIC"):
            words = f"{before[1]}; {message}" if before[0] == process else message
        before = (process, message)
    return words[:300]


def _time_of(line: str) -> datetime | None:
    """When a line was written: in UTC or this host's own zone, None where the zone is another."""
    match = _AT.match(line)
    if match is None:
        return None
    moment = datetime.fromisoformat(match[1])
    if match[2] in ("UTC", "GMT"):
        return moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC) if match[2] in time.tzname else None


def log_paths(data: str, destination: str) -> list[str]:
    """Where a cluster logs: the file that Debian redirects it to, then those of its logging collector.

    ``destination`` is the last column of C(pg_lsclusters), which may be a pattern below ``data``, several
    names or C(syslog); what the collector really writes is in C(current_logfiles).
    """
    collected = (_io.read_text(f"{data}/current_logfiles") or "").splitlines()
    found = [destination.partition(",")[0], *(line.partition(" ")[2] for line in collected)]
    absolute = [found[0]] if found[0].startswith("/") else []
    return [*absolute, *(str(Path(data, path)) for path in found[1:] if path)]


def tail_of(path: str) -> list[str] | None:
    """The last lines of a log, of its rotated files where it is young; None where none can be read."""
    lines: list[str] | None = None
    left = _TAIL
    for file in log_files(path):
        if file.packed:
            continue
        try:
            read = [
                block for block, _bad in blocks(file, limit=left, before_window=lambda _: False)
            ]
        except OSError:
            continue
        data = b"".join(read)
        lines = [*data.decode("utf-8", "replace").splitlines(), *(lines or [])]
        left -= len(data)
        if left <= 0:
            break
    return lines
