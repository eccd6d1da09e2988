"""A vendor's repository: only the pinned key gets in, and the file goes with the last that needs it."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils import _io, _repository
from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._outcome import Outcome
from ansible_collections.koprogo.observability.plugins.module_utils._record import Places, Record


def packet(tag: int, body: bytes, *, new: bool = True) -> bytes:
    if new:
        return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4, "big") + body
    return bytes([0x80 | tag << 2 | 1]) + len(body).to_bytes(2, "big") + body


def key_body(seed: bytes) -> bytes:
    return b"\x04" + seed.ljust(40, b"k")


def fingerprint(body: bytes) -> str:
    data = b"\x99" + len(body).to_bytes(2, "big") + body
    return hashlib.sha1(data).hexdigest().upper()  # noqa: S324 - what OpenPGP says


def armored(data: bytes) -> str:
    text = base64.encodebytes(data).decode()
    return (
        "-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: x\n\n"
        f"{text}=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"
    )


BODY = key_body(b"vendor")
KEY = packet(6, BODY) + packet(13, b"Vendor <v@invalid>") + packet(14, key_body(b"sub"))


def repository(**changes: Any) -> _repository.Repository:
    options = {
        "name": "vendor",
        "uri": "https://vendor.invalid/apt",
        "key": armored(KEY),
        "fingerprint": fingerprint(BODY),
        **changes,
    }
    found = _repository.Repository.parse(options)
    assert found is not None
    return found


class Host:
    """The places of a host in a folder."""

    def __init__(self, root: Path) -> None:
        self.places = Places(root=root)
        self.file = root / "etc/apt/sources.list.d/koprogo-vendor.sources"
        self.file.parent.mkdir(parents=True)

    def provide(
        self, component: str, wanted: _repository.Repository, *, check: bool = False
    ) -> Outcome:
        outcome = Outcome()
        record = Record.load(component, self.places)
        _repository.RepositoryFile(wanted, record, self.places).provide(outcome, check=check)
        return outcome

    def withdraw(self, component: str) -> Outcome:
        outcome = Outcome()
        record = Record.load(component, self.places)
        _repository.withdraw(record, self.places, outcome, check=False)
        record.save(self.places)
        return outcome


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(
        _io,
        "write_atomic",
        lambda path, data, **_options: Path(path).write_bytes(data),
    )
    return Host(tmp_path)


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("wrap", [lambda data: data, lambda data: armored(data).encode()])
def test_the_fingerprint_of_a_key(new: bool, wrap: Any) -> None:
    data = packet(6, BODY, new=new) + packet(14, key_body(b"sub"), new=new)
    assert _repository.primary_fingerprints(wrap(data)) == [fingerprint(BODY)]


def test_what_is_written_for_apt_is_the_same_key() -> None:
    text = _repository.armored(armored(KEY).encode())
    assert _repository.primary_fingerprints(text.encode()) == [fingerprint(BODY)]


@pytest.mark.parametrize("data", [b"<html>not found</html>", b"", KEY[:3], b"\xc6\xe0rest"])
def test_no_key_is_no_fingerprint(data: bytes) -> None:
    try:
        found = _repository.primary_fingerprints(data)
    except InputError:
        return
    assert found != [fingerprint(BODY)]


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprint": "short"},
        {"name": "../other"},
        {"uri": "https://a\nTrusted: yes"},
        {"suites": "stable\nTrusted: yes"},
    ],
)
def test_options_that_cannot_be(changes: dict[str, str]) -> None:
    with pytest.raises(InputError):
        repository(**changes)


@pytest.mark.parametrize("userinfo", ["me:hunter2", "hunter2", "me:hunter2@x"])
def test_credentials_have_no_place_in_a_file_that_everybody_reads(userinfo: str) -> None:
    with pytest.raises(InputError) as caught:
        repository(uri=f"https://{userinfo}@vendor.invalid/apt")
    assert "repository.uri: expected https://vendor.invalid/apt, found" in caught.value.message
    assert "/etc/apt/auth.conf.d" in caught.value.message
    assert "hunter2" not in caught.value.message


def test_no_uri_means_no_repository() -> None:
    assert _repository.Repository.parse({"name": "vendor", "uri": ""}) is None
    assert _repository.Repository.parse(None) is None


def test_written_once(host: Host) -> None:
    assert host.provide("loki", repository(), check=True).changed
    assert not host.file.exists()
    assert host.provide("loki", repository()).changed
    assert "URIs: https://vendor.invalid/apt" in host.file.read_text()
    assert not host.provide("loki", repository()).changed
    # The key inside is the pinned one, so that no network is needed to see it.
    assert not host.provide("loki", repository(key="https://nowhere.invalid/key")).changed


def test_another_key_is_refused_and_nothing_is_written(host: Host) -> None:
    for key in (armored(packet(6, key_body(b"other"))), armored(KEY + packet(6, key_body(b"two")))):
        with pytest.raises(_repository.KeyMismatchError, match="expected the one key"):
            host.provide("loki", repository(key=key))
    assert not host.file.exists()


def test_the_file_goes_with_the_last_component_that_names_it(host: Host) -> None:
    for component in ("loki", "grafana"):
        host.provide(component, repository())
    outcome = host.withdraw("loki")
    assert outcome.kept == ["repository vendor (component grafana needs it)"]
    assert host.file.exists()
    assert host.withdraw("grafana").changed
    assert not host.file.exists()
    assert not host.withdraw("grafana").changed
