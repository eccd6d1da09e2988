"""The host's key, with the real openssl in a directory of the test's own."""

from __future__ import annotations

import grp
import os
from pathlib import Path
from unittest.mock import ANY

import pytest
from cryptography import x509

from ansible_collections.koprogo.observability.plugins.module_utils import _host_key
from ansible_collections.koprogo.observability.plugins.module_utils._errors import (
    ConflictError,
    InputError,
)
from ansible_collections.koprogo.observability.plugins.module_utils._host_key import (
    HostKey,
    Outcome,
    request_options,
)
from ansible_collections.koprogo.observability.plugins.module_utils._run import Runner
from ansible_collections.koprogo.observability.plugins.plugin_utils._certificates import (
    request_problems,
)

NAMES = ["DNS:db1", "IP:192.0.2.7"]


class Here:
    """A key below a temporary directory, owned by whoever runs the test."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = root / "koprogo" / "pki" / "host.key"
        self.group = grp.getgrgid(os.getgid()).gr_name
        if os.getuid() != 0:
            monkeypatch.setattr(_host_key, "_OWNER", os.getuid())

    def key(self, *, check_mode: bool = False, group: str = "") -> HostKey:
        return HostKey(
            path=str(self.path),
            group=group or self.group,
            runner=Runner(),
            check_mode=check_mode,
        )

    def provide(self, *, content: str = "", check_mode: bool = False) -> Outcome:
        return self.key(check_mode=check_mode).provide(
            content=content, common_name="db1", names=NAMES
        )


def _may_be_signed(outcome: Outcome) -> bool:
    problems = request_problems(
        outcome.request, common_name="db1", names=NAMES, fingerprint=outcome.fingerprint
    )
    return not problems


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(tmp_path, monkeypatch)


def test_a_key_is_made_once_and_its_request_may_be_signed(here: Here) -> None:
    first = here.provide()
    made = here.path.read_bytes()
    assert [a.split()[0] for a in first.actions] == ["make", "make", "make"]
    assert here.path.stat().st_mode & 0o777 == 0o640
    assert here.path.parent.stat().st_mode & 0o777 == 0o750
    assert _may_be_signed(first)

    second = here.provide()
    assert second.actions == []
    assert second.fingerprint == first.fingerprint
    assert here.path.read_bytes() == made
    assert x509.load_pem_x509_csr(second.request.encode()).is_signature_valid


def test_check_mode_writes_nothing(here: Here) -> None:
    outcome = here.provide(check_mode=True)
    assert outcome.actions
    assert _may_be_signed(outcome), "the rest of the run can be foretold"
    assert not here.path.parent.parent.exists()
    made = here.provide()
    assert here.provide(check_mode=True) == Outcome(fingerprint=made.fingerprint, request=ANY), (
        "the key that is there"
    )


def test_check_mode_asks_for_a_key_of_the_users_own_before_it_is_there(
    here: Here, tmp_path: Path
) -> None:
    here.provide()
    before = here.path.read_bytes()
    other = Here(tmp_path / "other", pytest.MonkeyPatch())
    other.path.parent.parent.parent.mkdir()
    wanted = other.provide().fingerprint
    content = other.path.read_text(encoding="utf-8")
    outcome = here.provide(content=content, check_mode=True)
    assert outcome.actions == [f"replace {here.path}"]
    assert outcome.fingerprint == wanted
    assert _may_be_signed(outcome)
    assert here.path.read_bytes() == before


def test_check_mode_needs_no_openssl(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runner, "which", lambda *_: None)
    assert here.provide(check_mode=True) == Outcome(actions=[f"make {here.path}"])


def test_a_key_of_the_users_own_replaces_and_stays(here: Here, tmp_path: Path) -> None:
    first = here.provide()
    other = Here(tmp_path / "other", pytest.MonkeyPatch())
    other.path.parent.parent.parent.mkdir()
    other.provide()
    content = other.path.read_text(encoding="utf-8")
    replaced = here.provide(content=content.strip())
    assert replaced.actions == [f"replace {here.path}"]
    assert replaced.fingerprint != first.fingerprint
    assert here.provide(content=content).actions == []
    assert here.provide().actions == [], "without content a key stays"


def test_permissions_are_healed(here: Here) -> None:
    here.provide()
    here.path.chmod(0o644)
    assert here.provide().actions == [f"set owner and mode of {here.path}"]
    assert here.path.stat().st_mode & 0o777 == 0o640


def test_nonsense_is_refused_before_anything_is_written(here: Here) -> None:
    with pytest.raises(InputError, match="unencrypted one in PEM format"):
        here.provide(content="SECRET nonsense")
    assert not here.path.exists()
    here.provide()
    here.path.unlink()
    here.path.symlink_to("/dev/null")
    with pytest.raises(ConflictError, match="found a link"):
        here.provide()


def test_removal_leaves_other_files(here: Here) -> None:
    here.provide()
    other = here.path.parent / "other"
    other.write_text("", encoding="utf-8")
    assert here.key(group="koprogo-no-such-group").remove().actions == [f"remove {here.path}"]
    assert other.exists()
    other.unlink()
    assert here.key(group="koprogo-no-such-group").remove().actions == [
        f"remove {here.path.parent}"
    ]
    assert here.key(group="koprogo-no-such-group").remove().actions == []


@pytest.mark.parametrize("name", ["a\nb", "a,DNS:evil", "$ENV::HOME", "a b", ""])
def test_names_that_could_be_syntax_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        request_options("db1", [f"DNS:{name}" if name else ""])
    with pytest.raises(InputError):
        request_options(name, NAMES)


def test_limits_of_names() -> None:
    with pytest.raises(InputError, match="at most 64"):
        request_options("a" * 65, NAMES)
    with pytest.raises(InputError, match="at least one"):
        request_options("db1", [])
