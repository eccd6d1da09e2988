# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""Where the sets of a component live, and the few steps that exchange them.

::

    /etc/koprogo/prometheus -> .sets/prometheus-<id>     the active set, exchanged by rename(2)
    /etc/koprogo/.sets/prometheus-<id>/                  a complete set with its manifest
    /etc/koprogo/.sets/prometheus-<id>.staging/          one that is being built
    /etc/koprogo/.sets/.prometheus.lock                  held while a run works
    /etc/koprogo/.sets/.prometheus.pending               exists from before the exchange until
                                                         the service is known to be well
"""

from __future__ import annotations

import contextlib
import json
import posixpath
import re
import secrets
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._errors import ConflictError
from ansible_collections.koprogo.observability.plugins.module_utils._transaction_options import (
    MANIFEST,
)

__all__ = ["BASE", "Manifest", "OwnedFile", "Pending", "Store"]

BASE = "/etc/koprogo"

_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class OwnedFile:
    """A file that a run of ours wrote: what it has to look like, and whom it concerns."""

    sha256: str
    mode: int
    owner: str
    group: str
    on_change: str
    secret: bool = False


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What of a set is ours. ``previous`` is the set to return to; ``links`` point into the set."""

    set_id: str = ""
    previous: str | None = None
    files: Mapping[str, OwnedFile] = field(default_factory=dict)
    directories: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    link_directories: tuple[str, ...] = ()

    def dump(self) -> bytes:
        """Return the manifest as it is stored."""
        document = {"format": _FORMAT, **asdict(self)}
        return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def load(cls, data: bytes) -> Manifest | None:
        """Read a stored manifest; None where it is damaged."""
        try:
            document: dict[str, Any] = json.loads(data)
            if document.pop("format") != _FORMAT:
                return None
            document["files"] = {
                path: OwnedFile(**item) for path, item in document["files"].items()
            }
            document["directories"] = tuple(document["directories"])
            document["link_directories"] = tuple(document["link_directories"])
            return cls(**document)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A change of which it is not known yet whether the service is well with it.

    ``target`` is the set that was to become active (None: none at all), ``good`` the last one
    known to work, ``action`` what the service still has to do. ``undo`` tells a return to
    ``good`` from a step forward. ``found`` is the state of the unit before all this began, ``owed``
    the action that an earlier change left undone, whether this one comes to its exchange or not.
    """

    target: str | None
    good: str | None
    action: str
    daemon_reload: bool
    undo: bool = False
    found: str = ""
    owed: str = "none"


class Store:
    """The sets of one component on one host."""

    def __init__(self, name: str, *, base: str = BASE) -> None:
        """Look after the component ``name`` below ``base``."""
        self.name = name
        self.base = base
        self.sets = f"{base}/.sets"
        self.link = f"{base}/{name}"
        self._flip = f"{base}/.{name}.flip"
        self._lock = f"{self.sets}/.{name}.lock"
        self._pending = f"{self.sets}/.{name}.pending"
        # The exact form: the component "log" must not take the sets of "log-collector".
        self._own = re.compile(
            rf"{re.escape(name)}-(\d{{8}}T\d{{6}}Z-[0-9a-f]{{8}})(\.staging)?", re.ASCII
        )

    # Names

    def new_id(self) -> str:
        """Return an identifier that sorts by time and that a person can read."""
        return time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime()) + secrets.token_hex(4)

    def folder(self, set_id: str) -> str:
        """Return the directory of a set."""
        return f"{self.sets}/{self.name}-{set_id}"

    # Reading

    @contextlib.contextmanager
    def locked(self, *, create: bool, timeout: float = 60.0) -> Iterator[None]:
        """Keep other runs for the same component out."""
        if create:
            with _io.no_space("prepare the sets", self.base, needed=2 * 4096):
                self._make_base()
        elif _io.lookup(self.sets) is None:
            yield
            return
        with _io.locked(self._lock, timeout=timeout):
            try:
                yield
            finally:
                if _io.lookup(self.link) is None and not self._all():
                    _io.remove_file(self._lock)

    def active(self) -> str | None:
        """Return the active set; None where there is none. Raises ConflictError for a stranger."""
        entry = _io.lookup(self.link)
        if entry is None:
            return None
        expected = f"a symbolic link to a set below {self.sets}"
        advice = "Move it away (its files can be given back as options) and run again."
        if entry.kind != "link":
            raise ConflictError(
                f"{self.link} is a {entry.kind} that is not ours, expected nothing or {expected}. "
                f"{advice}",
                path=self.link,
            )
        folder, _slash, last = entry.target.rpartition("/")
        match = self._own.fullmatch(last)
        if folder != ".sets" or match is None or match.group(2):
            raise ConflictError(
                f"{self.link} points to {entry.target}, expected {expected}. {advice}",
                path=self.link,
                target=entry.target,
            )
        folder_entry = _io.lookup(self.folder(match.group(1)))
        if folder_entry is None or folder_entry.kind != "directory":
            return None
        return match.group(1)

    def manifest(self, set_id: str | None) -> Manifest | None:
        """Read a set's manifest; None where there is none that can be read."""
        if set_id is None:
            return None
        try:
            return Manifest.load(_io.read_bytes(f"{self.folder(set_id)}/{MANIFEST}"))
        except OSError:
            return None

    def manifests(self) -> list[Manifest]:
        """Read the manifests of all sets: they know which links were ever ours."""
        found = (self.manifest(set_id) for set_id in self._existing())
        return [manifest for manifest in found if manifest is not None]

    def scan(self, set_id: str | None, *, contents: Container[str]) -> dict[str, _io.Entry]:
        """Describe what a set holds, except its manifest; ``contents`` names what to read."""
        if set_id is None:
            return {}
        entries = _io.scan(self.folder(set_id), contents=contents)
        entries.pop(MANIFEST, None)
        return entries

    def pending(self) -> Pending | None:
        """Return the change that an interrupted run did not finish."""
        text = _io.read_text(self._pending)
        if text is None:
            return None
        try:
            return Pending(**json.loads(text))
        except (ValueError, TypeError):
            # It is written atomically, so only a stranger can have damaged it. Assume the most.
            return Pending(target=None, good=None, action="restart", daemon_reload=True)

    def leftovers(self) -> list[str]:
        """Return what dead runs left: unfinished sets, and finished ones nobody refers to."""
        active = self.active()
        pending = self.pending()
        manifest = self.manifest(active)
        kept = {active, manifest.previous if manifest else None}
        if pending is not None:
            kept |= {pending.good, pending.target}
        names = []
        for name in _io.list_directory(self.sets):
            match = self._own.fullmatch(name)
            if match and (match.group(2) or match.group(1) not in kept):
                names.append(f"{self.sets}/{name}")
        return names

    def _existing(self) -> list[str]:
        matches = (self._own.fullmatch(name) for name in _io.list_directory(self.sets))
        return [match.group(1) for match in matches if match and not match.group(2)]

    # Writing

    def complete(self, set_id: str) -> None:
        """Give a staged set its final name."""
        _io.move(self.staging(set_id), self.folder(set_id))

    def staging(self, set_id: str) -> str:
        """Return where a set is built."""
        return f"{self.folder(set_id)}.staging"

    def mark(self, pending: Pending) -> None:
        """Note durably that a change is under way."""
        _io.write_atomic(self._pending, json.dumps(asdict(pending)).encode(), mode=0o600)

    def unmark(self) -> None:
        """Note durably that the change is done."""
        if _io.remove_file(self._pending):
            _io.sync_directory(self.sets)

    def activate(self, set_id: str | None) -> None:
        """Exchange the active set in one step; None takes the link away."""
        if set_id is None:
            if _io.remove_file(self.link):
                _io.sync_directory(self.base)
            return
        _io.flip_link(f".sets/{self.name}-{set_id}", self.link, temporary=self._flip)

    def clean(self, folders: Iterable[str]) -> None:
        """Remove sets that nobody needs any more, and what an interrupted exchange left."""
        for folder in folders:
            _io.remove_tree(folder)
        for path in self.strays():
            _io.remove_file(path)

    def strays(self) -> list[str]:
        """Return the files that a run was killed over while it wrote them."""
        found = [self._flip] if _io.lookup(self._flip) else []
        begin = f"..{self.name}.pending."
        names = _io.list_directory(self.sets)
        return found + [f"{self.sets}/{name}" for name in names if name.startswith(begin)]

    def forget(self) -> None:
        """Remove the last traces of the component."""
        self.clean([f"{self.sets}/{name}" for name in self._all()])
        self.unmark()

    def _all(self) -> list[str]:
        return [name for name in _io.list_directory(self.sets) if self._own.fullmatch(name)]

    def _make_base(self) -> None:
        for path, mode in ((self.base, 0o755), (self.sets, 0o711)):
            entry = _io.lookup(path)
            if entry is None:
                _io.make_directory(path, mode=mode)
            elif entry.kind != "directory":
                raise ConflictError(
                    f"{path} is a {entry.kind}, expected a directory. Move it away and run again.",
                    path=path,
                )
        # Daemons pass through it to their own set, and only root may list it.
        entry = _io.lookup(self.sets)
        if entry is not None and entry.mode != 0o711:
            _io.set_owner_and_mode(self.sets, mode=0o711)

    def link_target(self, relative: str) -> str:
        """Return what a link from elsewhere points to: always through the active set."""
        return posixpath.normpath(f"{self.link}/{relative}")
