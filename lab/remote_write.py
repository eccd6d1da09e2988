# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples into a Prometheus by its remote-write interface, with the standard library alone.

https://prometheus.io/docs/specs/prw/remote_write_spec/: a protocol buffer, compressed as snappy, of which
only what stands for itself is used here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["HEADERS", "labels_field", "request_body", "sample_field"]

HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
# A field's number and the kind of its content, as a protocol buffer begins it.
_FIRST, _SECOND, _DOUBLE, _VARINT = b"\x0a", b"\x12", b"\x09", b"\x10"


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _sized(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


def labels_field(labels: Mapping[str, str]) -> bytes:
    """A series' labels, C(__name__) among them; an empty one is none."""
    found = b""
    for name, value in sorted(labels.items()):
        if value:
            pair = _sized(_FIRST, name.encode()) + _sized(_SECOND, value.encode())
            found += _sized(_FIRST, pair)
    return found


def sample_field(value: float, milliseconds: int) -> bytes:
    """A sample, at milliseconds since 1970."""
    return _sized(_SECOND, _DOUBLE + struct.pack("<d", value) + _VARINT + _varint(milliseconds))


def _as_snappy(data: bytes) -> bytes:
    # The length of all, then one literal: its tag says that its length less one follows in four bytes.
    return _varint(len(data)) + b"\xfc" + struct.pack("<I", len(data) - 1) + data


def request_body(series: Iterable[Sequence[bytes]]) -> bytes:
    """A request's body from each series' fields: its labels, then its samples, oldest first."""
    return _as_snappy(b"".join(_sized(_FIRST, b"".join(fields)) for fields in series))
