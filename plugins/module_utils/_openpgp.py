# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection: may change without notice.

"""What there is to know of an OpenPGP key before it is given to apt, without a program of the host."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError

__all__ = ["armored", "primary_fingerprints", "signs_until"]

_ARMOR = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL
)
_BEGIN = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_END = "-----END PGP PUBLIC KEY BLOCK-----"
# Tags of packets.
_SIGNATURE, _PUBLIC_KEY, _SUBKEY = 2, 6, 14
# Types of signatures: on a name of the key (four degrees of care) or on the key itself; on a subkey;
# against one.
_ON_KEY, _ON_SUBKEY, _REVOKES_SUBKEY = {0x10, 0x11, 0x12, 0x13, 0x1F}, 0x18, 0x28
# Types of subpackets.
_MADE, _VALID_FOR, _ISSUER, _FLAGS, _ISSUER_FINGERPRINT = 2, 9, 16, 27, 33
_MAY_SIGN = 0x02


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
    return [_fingerprint(body).hex().upper() for body in bodies]


def armored(key: bytes) -> str:
    """The key as text, without what may stand around it in its file."""
    packets = base64.b64encode(_dearmored(key)).decode("ascii")
    lines = [packets[i : i + 64] for i in range(0, len(packets), 64)]
    return "\n".join([_BEGIN, "", *lines, _END])


@dataclass(kw_only=True)
class _Term:
    """Until when a key is valid (seconds since 1970) and whether it signs, as its newest signature says."""

    body: bytes
    until: float = math.inf
    signs: bool = False
    revoked: bool = False
    said: int = -1

    def hear(self, parts: dict[int, bytes]) -> None:
        """Believe a signature, if it is newer than the last one."""
        said = int.from_bytes(parts.get(_MADE, b""), "big")
        if said < self.said:
            return
        seconds = int.from_bytes(parts.get(_VALID_FOR, b""), "big")
        self.said = said
        self.until = int.from_bytes(self.body[1:5], "big") + seconds if seconds else math.inf
        self.signs = bool(int.from_bytes(parts.get(_FLAGS, b"")[:1], "big") & _MAY_SIGN)


def signs_until(key: bytes) -> float:
    """When a key's term ends, in seconds since 1970; infinity where it has no end or none can be read.

    That is its primary key's end, or before that the one of the last subkey that signs. No signature is
    verified: whoever could forge one could as well give the key as it was.
    """
    keys: list[_Term] = []
    try:
        for tag, body in _packets(_dearmored(key)):
            if tag in (_PUBLIC_KEY, _SUBKEY):
                keys.append(_Term(body=body))
            elif tag == _SIGNATURE and keys and body[0] == 4:
                parts = _subpackets(body)
                if body[1] in _ON_KEY and _is_own(parts, keys[0].body):
                    keys[0].hear(parts)
                elif body[1] == _ON_SUBKEY:
                    keys[-1].hear(parts)
                elif body[1] == _REVOKES_SUBKEY:
                    keys[-1].revoked = True
    except IndexError:
        return math.inf
    signing = [one.until for one in keys[1:] if one.signs and not one.revoked]
    return min(
        [one.until for one in keys[:1]] + ([max(signing)] if signing else []), default=math.inf
    )


def _is_own(parts: dict[int, bytes], primary: bytes) -> bool:
    """Others may sign a key too; that says nothing of its term."""
    own = _fingerprint(primary)
    issuer = parts.get(_ISSUER_FINGERPRINT, b"")[1:] or parts.get(_ISSUER, b"")
    return own.endswith(issuer)


def _subpackets(signature: bytes) -> dict[int, bytes]:
    """Types and contents of what a signature says, the signed part winning (RFC 4880, section 5.2.3)."""
    size = int.from_bytes(signature[4:6], "big")
    signed, rest = signature[6 : 6 + size], signature[6 + size :]
    unsigned = rest[2 : 2 + int.from_bytes(rest[:2], "big")]
    return {**dict(_parts(unsigned)), **dict(_parts(signed))}


def _parts(area: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(area):
        first = area[at]
        if first < 192:
            size, at = first, at + 1
        elif first < 255:
            size, at = ((first - 192) << 8) + area[at + 1] + 192, at + 2
        else:
            size, at = int.from_bytes(area[at + 1 : at + 5], "big"), at + 5
        yield area[at] & 0x7F, area[at + 1 : at + size]
        at += size


def _fingerprint(body: bytes) -> bytes:
    # OpenPGP fixes SHA-1 for this; the pin is as strong as what gpg itself shows.
    data = b"\x99" + len(body).to_bytes(2, "big") + body
    return hashlib.sha1(data, usedforsecurity=False).digest()
