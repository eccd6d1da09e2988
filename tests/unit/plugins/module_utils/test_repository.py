"""A vendor's repository: only the pinned key gets in, and the file goes with the last that needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.module_utils import _io, _repository
from ansible_collections.koprogo.observability.plugins.module_utils._errors import InputError
from ansible_collections.koprogo.observability.plugins.module_utils._outcome import Outcome
from ansible_collections.koprogo.observability.plugins.module_utils._record import Places, Record
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


DAY = 86400.0


def key_until(days: float) -> bytes:
    """The vendor's key with a term from when it was made."""
    return packet(6, BODY) + packet(13, b"Vendor") + self_signature(BODY, valid_for=days * DAY)


@pytest.mark.parametrize(
    ("now", "vendor", "changed", "told"),
    [
        # Long before its end the vendor is not asked; then it is, and has a longer key, the same, or none.
        (80, None, False, ""),
        (87, key_until(400), True, ""),
        (200, key_until(400), True, ""),
        (87, key_until(100), False, "has no prolonged one yet"),
        (200, None, False, "no prolonged one can be had"),
        (200, packet(6, key_body(b"other")), False, "expected the one key"),
    ],
)
def test_a_key_whose_term_ends_is_fetched_again(
    *,
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    now: float,
    vendor: bytes | None,
    changed: bool,
    told: str,
) -> None:
    host.provide("loki", repository(key=armored(key_until(100))))
    before = host.file.read_text()
    served = host.places.root / "key.asc"
    if vendor is not None:
        served.write_text(armored(vendor))
    wanted = repository(key=served.as_uri())
    monkeypatch.setattr("time.time", lambda: MADE + now * DAY)
    foretold = host.provide("loki", wanted, check=True)
    assert (foretold.changed, bool(foretold.notes)) == (False, now > 86)
    outcome = host.provide("loki", wanted)
    assert outcome.changed is changed
    assert (host.file.read_text() != before) is changed
    # Until the term has ended there is nothing to warn of.
    (said, silent) = (
        (outcome.notes, outcome.warnings) if now < 100 else (outcome.warnings, outcome.notes)
    )
    assert silent == []
    assert [told in one for one in said] == [True] * bool(told)
    if changed:
        assert not host.provide("loki", wanted).changed
