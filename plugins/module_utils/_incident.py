# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""The record of an incident: what was seen, what was done, what came of it; for people and for machines."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._incident_text import (
    markdown,
    post_mortem,
)
from ansible_collections.koprogo.observability.plugins.module_utils._io import (
    make_directory,
    read_text,
    write_atomic,
)
from ansible_collections.koprogo.observability.plugins.module_utils._ledger_lines import to_json
from ansible_collections.koprogo.observability.plugins.module_utils._mask import Masker
from ansible_collections.koprogo.observability.plugins.module_utils._probe import Answer, fetch

__all__ = ["FOLDER", "LOG", "MEMORY", "Desk", "closed", "merged"]

FOLDER = "/var/lib/koprogo/remediation/incidents"
MEMORY = "/run/koprogo-remediation/incidents"
LOG = "/var/log/koprogo/remediation.log"
#: Debian's group for those who read logs, the log collector among them.
_READERS = "adm"

_UNTOLD = "Its run ended without telling what came of it."
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LARGEST = 4 * 1024 * 1024
# Of the log, some ten thousand lines, and as much of the one before it. It grows on a host whose logrotate
# may be what has failed.
_LARGEST_LOG = 4 * 1024 * 1024
_FILES = {"record.json", "record.md", "post-mortem.md"}
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_PLAIN = ("alert", "severity", "host", "who", "automatic", "started", "ended", "outcome", "summary")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def merged(
    record: Mapping[str, Any], news: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The record with what is new; nothing that it said before is lost.

    ``entries`` are the ledger's, of which those of the record's runs, and those that began with its
    evidence, are its actions.
    """
    result = {**record, **{key: news[key] for key in _PLAIN if news.get(key) not in (None, "")}}
    for key in ("evidence", "prediction", "result"):
        result[key] = {**record.get(key, {}), **(news.get(key) or {})}
    timeline = [*record.get("timeline", ()), *(news.get("timeline") or ())]
    unique = {to_json(row): row for row in timeline}
    result["timeline"] = sorted(unique.values(), key=lambda row: str(row.get("time", "")))
    # Of what was seen alone, so that it can be told before anything is done.
    digest = hashlib.sha256(to_json(result["evidence"]).encode()).hexdigest()
    result["evidence_sha256"] = digest if result["evidence"] else ""
    # A run that was killed could not tell its id, but it began with what was seen here.
    seen = {record.get("evidence_sha256"), result["evidence_sha256"]} - {None, ""}
    since = str(result.get("started") or "")
    begun = [
        row["id"]
        for row in entries
        if row.get("evidence") in seen and str(row.get("time", "")) >= since
    ]
    runs = [*record.get("runs", ()), *(news.get("runs") or ()), *begun]
    result["runs"] = list(dict.fromkeys(runs))
    known = {row["uid"]: row for row in record.get("actions", ())}
    known |= {row["uid"]: dict(row) for row in entries if row.get("id") in result["runs"]}
    result["actions"] = sorted(known.values(), key=lambda row: int(row.get("seq", 0)))
    return result


def closed(
    record: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], *, now: str
) -> dict[str, Any]:
    """An abandoned record with its end, as of C(now) in ISO 8601: what the ledger says, or inconclusive."""
    found = merged(record, {}, entries)
    told = {row["id"]: row["outcome"] for row in found["actions"] if row["phase"] == "verdict"}
    said = {told.get(run, "") for run in found["runs"]}
    outcome = said.pop() if len(said) == 1 else ""
    news = {
        "outcome": outcome or "inconclusive",
        "ended": now,
        "summary": _UNTOLD,
        "timeline": [{"time": now, "text": f"{outcome or 'inconclusive'}: {_UNTOLD}"}],
    }
    return {**merged(found, news, ()), "id": record["id"]}


@dataclass(kw_only=True)
class Desk:
    """Where records are kept. Where the disk is full they are kept in memory until there is room."""

    folder: str = FOLDER
    memory: str = MEMORY
    log: str = LOG
    webhook: str = ""
    fetch: Callable[..., Answer] = fetch

    def load(self, name: str) -> dict[str, Any]:
        """A record as it is, empty where there is none. What stands in memory is newer."""
        if not _ID.fullmatch(name):
            raise InputError(
                f"id: expected letters, digits, '.', '_' and '-', at most 100, found '{name}'."
            )
        for folder in (self.memory, self.folder):
            text = read_text(os.path.join(folder, name, "record.json"))
            with contextlib.suppress(ValueError):
                found = json.loads(text or "")
                if isinstance(found, dict):
                    return found
        return {}

    def records(self) -> Iterator[dict[str, Any]]:
        """All records, one at a time: each may be large. What people have put beside them is none."""
        names: set[str] = set()
        for folder in (self.memory, self.folder):
            with contextlib.suppress(OSError), os.scandir(folder) as found:
                names.update(one.name for one in found if one.is_dir(follow_symlinks=False))
        for name in sorted(filter(_ID.fullmatch, names)):
            record = {}
            # One that can't be read hides no other.
            with contextlib.suppress(OSError):
                record = self.load(name)
            if record:
                yield record | {"id": name}

    def abandoned(self, alert: str, host: str, *, before: str) -> list[dict[str, Any]]:
        """Records of an alert on a host that began before a time, in ISO 8601, and have no outcome."""
        return [
            record
            for record in self.records()
            if (record.get("alert"), record.get("host")) == (alert, host)
            and not record.get("outcome")
            and str(record.get("started") or "") < before
        ]

    def is_ours(self, name: str) -> bool:
        """Whether a record has nothing in it that people wrote: no file, and no word in the draft."""
        digest = self.load(name).get("draft_sha256")
        for place in (self.memory, self.folder):
            folder = os.path.join(place, name)
            if not os.path.lexists(folder):
                continue
            if not stat.S_ISDIR(os.lstat(folder).st_mode) or set(os.listdir(folder)) - _FILES:
                return False
            draft = read_text(os.path.join(folder, "post-mortem.md"))
            if draft is not None and _digest(draft) != digest:
                return False
        return True

    def forget(self, name: str) -> None:
        """Delete a record. It goes in one step: one that was half deleted would be nobody's."""
        for place in (self.memory, self.folder):
            gone = os.path.join(place, f".{name}.gone")
            with contextlib.suppress(FileNotFoundError):
                os.rename(os.path.join(place, name), gone)
            self._delete(gone)

    def tidy(self) -> None:
        """Delete what a process that was killed while it forgot has left."""
        for place in (self.memory, self.folder):
            with contextlib.suppress(FileNotFoundError):
                for name in os.listdir(place):
                    if name.startswith(".") and name.endswith(".gone"):
                        self._delete(os.path.join(place, name))

    @staticmethod
    def _delete(folder: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            for name in _FILES & set(os.listdir(folder)):
                os.unlink(os.path.join(folder, name))
            os.rmdir(folder)

    def save(self, record: Mapping[str, Any]) -> str:
        """Write the record's files; return their folder."""
        name = str(record["id"])
        draft = post_mortem(record) if record.get("severity") == "critical" else ""
        # One begun in memory goes on as it is, with what people have written.
        if draft and (begun := read_text(os.path.join(self.memory, name, "post-mortem.md"))):
            draft = begun
        if draft and not self._has_draft(name):
            record = {**record, "draft_sha256": _digest(draft)}
        data = to_json(record)
        if len(data) > _LARGEST:
            raise InputError(
                f"evidence: expected a record of at most {_LARGEST} bytes, found {len(data)}."
            )
        files = {
            "record.json": json.dumps(record, indent=2, sort_keys=True, default=str) + "\n",
            "record.md": markdown(record),
        }
        if draft:
            files["post-mortem.md"] = draft
        try:
            self._write(os.path.join(self.folder, name), files)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self._write(os.path.join(self.memory, name), files)
            return os.path.join(self.memory, name)
        for file in files:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self.memory, name, file))
        return os.path.join(self.folder, name)

    def _has_draft(self, name: str) -> bool:
        places = (self.memory, self.folder)
        return any(os.path.exists(os.path.join(at, name, "post-mortem.md")) for at in places)

    def _write(self, folder: str, files: Mapping[str, str]) -> None:
        parts = folder.strip("/").split("/")
        for depth in range(1, len(parts) + 1):
            path = "/" + "/".join(parts[:depth])
            if not os.path.isdir(path):
                make_directory(path, mode=0o700 if depth > len(parts) - 3 else 0o755)
        for name, text in files.items():
            path = os.path.join(folder, name)
            # A draft belongs to whoever has begun to write it.
            if name == "post-mortem.md" and os.path.exists(path):
                continue
            if read_text(path) != text:
                write_atomic(path, text.encode("utf-8", "backslashreplace"), mode=0o600)

    def announce(self, record: Mapping[str, Any]) -> dict[str, str]:
        """One line to the log and one to Slack; what failed is told, not raised."""
        told = {"log": "written", "slack": "none"}
        line = {
            key: record.get(key, "")
            for key in ("id", "alert", "severity", "host", "who", "automatic", "outcome", "summary")
        } | {"job": "koprogo-remediation", "time": record.get("ended") or record.get("started", "")}
        line["actions"] = sorted({str(row.get("action")) for row in record.get("actions", ())})
        try:
            os.makedirs(os.path.dirname(self.log), mode=0o755, exist_ok=True)
            descriptor = os.open(self.log, _APPEND, 0o640)
            try:
                self._share(descriptor)
                os.write(descriptor, f"{to_json(line)}\n".encode())
                self._rotate(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            told["log"] = error.strerror or str(error)
        if self.webhook:
            told["slack"] = self._slack(record)
        return told

    def _rotate(self, descriptor: int) -> None:
        """Move the log aside once it is long; of two runs at once only one does."""
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        own = os.fstat(descriptor)
        with contextlib.suppress(FileNotFoundError):
            if own.st_size > _LARGEST_LOG and os.path.samestat(own, os.lstat(self.log)):
                os.replace(self.log, f"{self.log}.1")

    @staticmethod
    def _share(descriptor: int) -> None:
        """Let the group that reads logs read root's; a folder's own group, or a person's choice, stays."""
        if os.fstat(descriptor).st_gid == 0:
            with contextlib.suppress(KeyError, PermissionError):
                os.fchown(descriptor, -1, grp.getgrnam(_READERS).gr_gid)

    def _slack(self, record: Mapping[str, Any]) -> str:
        text = (
            f"{record.get('alert')} on {record.get('host')}: {record.get('outcome') or 'begun'} "
            f"({record.get('who')}). {record.get('summary', '')} Incident {record['id']}."
        )
        # What Slack reads as markup comes from people and machines that aren't trusted.
        for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(sign, entity)
        answer = self.fetch(
            self.webhook,
            method="POST",
            headers={"Content-Type": "application/json"},
            data=json.dumps({"text": text}).encode(),
            timeout=5.0,
        )
        problem = answer.error or ("" if answer.status == 200 else f"status {answer.status}")
        return Masker([self.webhook]).text(problem) or "sent"
