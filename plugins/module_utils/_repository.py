# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""A vendor's package repository: one deb822 file with the vendor's key inside, pinned by its fingerprint."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ansible_collections.koprogo.observability.plugins.module_utils import _io
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    InputError,
    KoprogoError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._fetch import (
    fetch,
    is_url,
    refuse_userinfo,
    shown_url,
)
from ansible_collections.koprogo.observability.plugins.module_utils._openpgp import (
    armored,
    primary_fingerprints,
    signs_until,
)
from ansible_collections.koprogo.observability.plugins.module_utils._outcome import Outcome
from ansible_collections.koprogo.observability.plugins.module_utils._record import Places, Record

__all__ = ["KeyMismatchError", "Repository", "RepositoryFile", "withdraw"]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_FINGERPRINT = re.compile(r"[0-9A-F]{40}")
# A vendor prolongs its key in good time; within these seconds of its end it is worth asking for.
_SOON = 14 * 86400


class KeyMismatchError(KoprogoError):
    """A repository's key is not the pinned one; nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class Repository:
    """What the task asks for. ``key`` is a URL that the host fetches, or the key's own text."""

    name: str
    uri: str
    fingerprint: str
    key: str
    suites: str = "stable"
    components: str = "main"

    @classmethod
    def parse(cls, options: Mapping[str, Any] | None) -> Repository | None:
        """Read the option; an empty URI means that there is nothing to do."""
        if not options or not options.get("uri"):
            return None
        values = {key: str(value).strip() for key, value in options.items() if value is not None}
        found = cls(
            **{**values, "fingerprint": values.get("fingerprint", "").replace(" ", "").upper()}
        )
        if not _NAME.fullmatch(found.name):
            raise InputError(f"repository.name: expected lower-case letters, found '{found.name}'.")
        if not _FINGERPRINT.fullmatch(found.fingerprint):
            raise InputError(
                "repository.fingerprint: expected 40 hexadecimal digits, "
                f"found '{options.get('fingerprint')}'."
            )
        for option in ("uri", "suites", "components"):
            if "\n" in getattr(found, option):
                raise InputError(f"repository.{option}: expected one line.")
        refuse_userinfo(found.uri, option="repository.uri")
        return found


class RepositoryFile:
    """The deb822 file of a repository, shared by the components that name it."""

    def __init__(self, repository: Repository, record: Record, places: Places) -> None:
        """Nothing is read or written yet."""
        self._repository = repository
        self._record = record
        self._places = places
        self._path = _path(repository.name, places)

    def provide(self, outcome: Outcome, *, check: bool) -> None:
        """Write the file, if what it says differs or its key is not the pinned one."""
        wanted = self._repository
        if not check and self._record.repository != wanted.name:
            self._record.repository = wanted.name
            self._record.save(self._places)
        before = _io.read_text(self._path) or ""
        key = self._known_key(before)
        if key is None and check and is_url(wanted.key):
            outcome.change(self._shown, "differs" if before else "absent", wanted.uri)
            outcome.notes.append(f"{shown_url(wanted.key)} is not downloaded in check mode.")
            return
        if key is None:
            key = self._fetched_key()
        elif before and is_url(wanted.key):
            key = self._prolonged(key, outcome, check=check)
        text = self._content(key)
        if before == text:
            return
        outcome.change_file(self._shown, before, text)
        if not check:
            _io.write_atomic(self._path, text.encode(), mode=0o644, uid=0, gid=0)

    @property
    def _shown(self) -> str:
        return f"/etc/apt/sources.list.d/koprogo-{self._repository.name}.sources"

    def _known_key(self, text: str) -> bytes | None:
        """The key that need not be fetched: the task's own, or the one that is in the file already."""
        if not is_url(self._repository.key):
            return self._checked(self._repository.key.encode(), source="repository.key")
        inside = text.partition("Signed-By:")[2].replace("\n .\n", "\n\n").replace("\n ", "\n")
        try:
            return self._checked(inside.encode(), source=self._path) if inside else None
        except KoprogoError:
            return None

    def _prolonged(self, key: bytes, outcome: Outcome, *, check: bool) -> bytes:
        """The key in the file, or the vendor's if that may sign for longer: the fingerprint is the same.

        A vendor that does not answer is no failure: packages may be there already, or come from a cache.
        """
        until = signs_until(key)
        if until - time.time() > _SOON:
            return key
        url = shown_url(self._repository.key)
        ends = f"The key in {self._shown} ends on {datetime.fromtimestamp(until, UTC):%Y-%m-%d}"
        if check:
            outcome.notes.append(f"{ends}; the real run looks for a prolonged one at {url}.")
            return key
        told = outcome.notes if until > time.time() else outcome.warnings
        try:
            fetched = self._fetched_key(stall=5.0)
        except KoprogoError as error:
            told.append(f"{ends}, and no prolonged one can be had. {error.message}")
            return key
        if signs_until(fetched) > until:
            return fetched
        told.append(f"{ends}, and {url} has no prolonged one yet.")
        return key

    def _fetched_key(self, *, stall: float = 30.0) -> bytes:
        file = io.BytesIO()
        fetch(self._repository.key, file, stall=stall, total=60.0)
        return self._checked(file.getvalue(), source=shown_url(self._repository.key))

    def _checked(self, key: bytes, *, source: str) -> bytes:
        found = primary_fingerprints(key)
        if found != [self._repository.fingerprint]:
            raise KeyMismatchError(
                f"{source}: expected the one key {self._repository.fingerprint}, "
                f"found {', '.join(found) or 'no key'}. Nothing was changed; if the vendor has announced a "
                "new key, give its fingerprint.",
                expected=self._repository.fingerprint,
                found=found,
            )
        return key

    def _content(self, key: bytes) -> str:
        wanted = self._repository
        lines = [f" {line or '.'}" for line in armored(key).splitlines()]
        return "\n".join(
            [
                "# Written by koprogo.observability.component_install.",
                "Types: deb",
                f"URIs: {wanted.uri}",
                f"Suites: {wanted.suites}",
                *([f"Components: {wanted.components}"] if wanted.components else []),
                "Signed-By:",
                *lines,
                "",
            ]
        )


def _path(name: str, places: Places) -> str:
    return str(places.on_host(f"/etc/apt/sources.list.d/koprogo-{name}.sources"))


def withdraw(record: Record, places: Places, outcome: Outcome, *, check: bool) -> None:
    """Remove the file of a recorded repository, unless another component still names it."""
    name = record.repository
    if not name:
        return
    users = [other.name for other in Record.others(record.name, places) if other.repository == name]
    path = _path(name, places)
    if users:
        outcome.kept.append(f"repository {name} (component {', '.join(users)} needs it)")
    elif (before := _io.read_text(path)) is not None:
        outcome.change_file(f"/etc/apt/sources.list.d/koprogo-{name}.sources", before, "")
        if not check:
            _io.remove_file(path)
    if not check:
        record.repository = ""
