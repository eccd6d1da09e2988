"""What there is to know of a key: whose it is, and until when it signs."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils import _openpgp
from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from tests.unit.plugins.module_utils.openpgp_lab import (
    BODY,
    KEY,
    MADE,
    armored,
    fingerprint,
    key_body,
    packet,
    self_signature,
)

SUB = key_body(b"sub")
OTHER = fingerprint(key_body(b"other"))
NAMED = packet(6, BODY) + packet(13, b"Vendor")


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("wrap", [lambda data: data, lambda data: armored(data).encode()])
def test_the_fingerprint_of_a_key(new: bool, wrap: Any) -> None:
    data = packet(6, BODY, new=new) + packet(14, key_body(b"sub"), new=new)
    assert _openpgp.primary_fingerprints(wrap(data)) == [fingerprint(BODY)]


def test_what_is_written_for_apt_is_the_same_key() -> None:
    text = _openpgp.armored(armored(KEY).encode())
    assert _openpgp.primary_fingerprints(text.encode()) == [fingerprint(BODY)]


@pytest.mark.parametrize("data", [b"<html>not found</html>", b"", KEY[:3], b"\xc6\xe0rest"])
def test_no_key_is_no_fingerprint(data: bytes) -> None:
    try:
        found = _openpgp.primary_fingerprints(data)
    except InputError:
        return
    assert found != [fingerprint(BODY)]


def on_subkey(valid_for: int, flags: int = 0x02) -> bytes:
    return packet(14, SUB) + self_signature(BODY, valid_for=valid_for, kind=0x18, flags=flags)


REVOCATION = self_signature(BODY, kind=0x28)


@pytest.mark.parametrize(
    ("key", "seconds"),
    [
        (KEY, math.inf),
        (NAMED + self_signature(BODY), math.inf),
        (NAMED + self_signature(BODY, valid_for=100), 100),
        # The newest signature counts, wherever it stands, also when it takes the end away.
        (
            NAMED
            + self_signature(BODY, valid_for=300, made=MADE + 2)
            + self_signature(BODY, valid_for=100),
            300,
        ),
        (
            NAMED + self_signature(BODY, valid_for=100) + self_signature(BODY, made=MADE + 2),
            math.inf,
        ),
        # Other people's signatures, and subkeys that encrypt, say nothing.
        (
            NAMED
            + self_signature(BODY, valid_for=100)
            + self_signature(BODY, valid_for=9, made=MADE + 5, issuer=OTHER),
            100,
        ),
        (NAMED + self_signature(BODY, valid_for=100) + on_subkey(50, flags=0x0C), 100),
        # Of the subkeys that sign the last one counts.
        (NAMED + self_signature(BODY, valid_for=100) + on_subkey(50), 50),
        (NAMED + self_signature(BODY, valid_for=100) + on_subkey(50) + on_subkey(70), 70),
        (NAMED + self_signature(BODY, valid_for=100) + on_subkey(500), 100),
        # One without an end that was revoked signs no more.
        (NAMED + self_signature(BODY) + on_subkey(50) + on_subkey(0) + REVOCATION, 50),
        # One that is cut.
        (NAMED + packet(2, b"\x04\x13\x16\x08\x00\x09\xff"), math.inf),
    ],
)
def test_until_when_a_key_signs(key: bytes, seconds: float) -> None:
    assert _openpgp.signs_until(armored(key).encode()) == MADE + seconds
