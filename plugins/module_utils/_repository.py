# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""A vendor's package repository: one deb822 file with the vendor's key inside, pinned by its fingerprint."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
from ansible_collections.koprogo.observability.plugins.module_utils._outcome import Outcome
from ansible_collections.koprogo.observability.plugins.module_utils._record import Places, Record

__all__ = ["KeyMismatchError", "Repository", "RepositoryFile", "armored", "primary_fingerprints"]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_FINGERPRINT = re.compile(r"[0-9A-F]{40}")
_ARMOR = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL
)
_BEGIN = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_END = "-----END PGP PUBLIC KEY BLOCK-----"
_PUBLIC_KEY = 6


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


def _dearmored(data: bytes) -> bytes:
    match = _ARMOR.search(data)
    if match is None:
        return data
    lines = match.group(1).replace(b"\r", b"").split(b"\n")
    # Headers end at the first empty line; the line that begins with = is a checksum.
    body = lines[lines.index(b"", 1) + 1 :] if b"" in lines[1:] else lines
    try:
        return base64.b64decode(b"".join(line for line in body if not line.startswith(b"=")))
    except binascii.Error as exc:
        raise InputError(
            f"repository.key: expected an OpenPGP key, found bad base64: {exc}."
        ) from exc


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """OpenPGP packets: tag and body (RFC 4880, section 4.2)."""
    at = 0
    while at < len(data):
        header = data[at]
        if not header & 0x80:
            raise InputError("repository.key: expected an OpenPGP key, found something else.")
        at += 1
        if header & 0x40:
            tag, first = header & 0x3F, data[at]
            if first < 192:
                size, at = first, at + 1
            elif first < 224:
                size, at = ((first - 192) << 8) + data[at + 1] + 192, at + 2
            elif first == 255:
                size, at = int.from_bytes(data[at + 1 : at + 5], "big"), at + 5
            else:
                raise InputError("repository.key: found a packet of partial length.")
        else:
            tag, width = (header >> 2) & 0x0F, 1 << (header & 0x03)
            if width == 8:
                size = len(data) - at
            else:
                size, at = int.from_bytes(data[at : at + width], "big"), at + width
        yield tag, data[at : at + size]
        at += size


def primary_fingerprints(key: bytes) -> list[str]:
    """The fingerprints of a key file's primary keys, armored or not."""
    try:
        bodies = [body for tag, body in _packets(_dearmored(key)) if tag == _PUBLIC_KEY]
    except IndexError as exc:
        raise InputError("repository.key: expected an OpenPGP key, found a cut one.") from exc
    if any(not body or body[0] != 4 for body in bodies):
        raise InputError("repository.key: expected an OpenPGP key of version 4.")
    # OpenPGP fixes SHA-1 for this; the pin is as strong as what gpg itself shows.
    return [
        hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False)
        .hexdigest()
        .upper()
        for body in bodies
    ]


def armored(key: bytes) -> str:
    """The key as text, without what may stand around it in its file."""
    packets = base64.b64encode(_dearmored(key)).decode("ascii")
    lines = [packets[i : i + 64] for i in range(0, len(packets), 64)]
    return "\n".join([_BEGIN, "", *lines, _END])


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
        text = self._content(key if key is not None else self._fetched_key())
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

    def _fetched_key(self) -> bytes:
        file = io.BytesIO()
        fetch(self._repository.key, file, total=60.0)
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
