"""OpenPGP keys that nobody can sign with."""

from __future__ import annotations

import base64
import hashlib

# When the keys were made, in seconds since 1970.
MADE = 1_700_000_000


def packet(tag: int, body: bytes, *, new: bool = True) -> bytes:
    if new:
        return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4, "big") + body
    return bytes([0x80 | tag << 2 | 1]) + len(body).to_bytes(2, "big") + body


def key_body(seed: bytes) -> bytes:
    return b"\x04" + MADE.to_bytes(4, "big") + seed.ljust(36, b"k")


def fingerprint(body: bytes) -> str:
    data = b"\x99" + len(body).to_bytes(2, "big") + body
    return hashlib.sha1(data, usedforsecurity=False).hexdigest().upper()


def armored(data: bytes) -> str:
    text = base64.encodebytes(data).decode()
    return (
        "-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: x\n\n"
        f"{text}=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"
    )


BODY = key_body(b"vendor")
KEY = packet(6, BODY) + packet(13, b"Vendor <v@invalid>") + packet(14, key_body(b"sub"))


def self_signature(
    body: bytes,
    *,
    valid_for: float = 0,
    kind: int = 0x13,
    made: int = MADE,
    flags: int = 0x03,
    issuer: str = "",
) -> bytes:
    """A signature of a key on itself (or of another ``issuer``), valid for so many seconds, 0 for ever."""
    parts = _part(2, made.to_bytes(4, "big")) + _part(27, bytes([flags]))
    parts += _part(33, b"\x04" + bytes.fromhex(issuer or fingerprint(body)))
    if valid_for:
        parts += _part(9, int(valid_for).to_bytes(4, "big"))
    # A long one, whose size takes two octets.
    parts += _part(20, b"note" * 60)
    key_id = _part(16, bytes.fromhex(issuer or fingerprint(body))[-8:])
    text = b"\x04" + bytes([kind]) + b"\x16\x08" + len(parts).to_bytes(2, "big") + parts
    return packet(2, text + len(key_id).to_bytes(2, "big") + key_id + b"\0\0")


def _part(kind: int, data: bytes) -> bytes:
    size = len(data) + 1
    if size < 192:
        return bytes([size, kind]) + data
    return bytes([((size - 192) >> 8) + 192, (size - 192) & 0xFF, kind]) + data
