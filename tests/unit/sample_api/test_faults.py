"""Faults: what may be asked, what is refused, and who may ask."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from lab.sample_api.koprogo_api import cli, faults
from lab.sample_api.koprogo_api.chaos import Chaos

EXAMPLES = [
    ('{"errors": {"rate": 0.5, "status": 503}}', faults.Faults(errors=faults.Errors(0.5, 503))),
    ('{"latency": {}}', faults.Faults(latency=faults.Latency())),
    ('{"hang": {}, "persist": true}', faults.Faults(hang=faults.Hang(), persist=True)),
    ('{"leak": {"mb": 64}}', faults.Faults(leak=faults.Leak(mb=64))),
    ("", faults.Faults()),
    ("{}", faults.Faults()),
]


@pytest.mark.parametrize(("text", "expected"), EXAMPLES)
def test_parse_and_write_back(text: str, expected: faults.Faults) -> None:
    parsed = faults.parse_faults(text)
    assert parsed == expected
    assert faults.parse_faults(parsed.to_json()) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "expected JSON"),
        ("[]", "expected an object"),
        ('{"burn": {}}', "unknown fault 'burn'"),
        ('{"errors": {"rate": 2}}', "errors.rate: expected a number from 0 to 1, found 2"),
        ('{"errors": {"rate": "all"}}', "found 'all'"),
        ('{"errors": {"rate": true}}', "found True"),
        ('{"errors": {"status": 404}}', "from 500 to 504"),
        ('{"errors": {"speed": 1}}', "unknown option 'speed'"),
        ('{"latency": {"seconds": 3600}}', "latency.seconds"),
        ('{"latency": {"where": "moon"}}', "application or database"),
        ('{"leak": {"mb": 100000}}', "leak.mb: expected a number from 1 to 1024"),
        ('{"hang": true}', "hang: expected an object"),
        ('{"persist": 1}', "persist: expected true or false"),
    ],
)
def test_wrong_faults_are_refused_with_a_reason(text: str, expected: str) -> None:
    with pytest.raises(faults.FaultError, match=re.escape(expected)):
        faults.parse_faults(text)


def test_assignments_of_the_command_line() -> None:
    assert faults.parse_assignments(["rate=0.5", "where=database", "mb=7"]) == {
        "rate": 0.5,
        "where": "database",
        "mb": 7,
    }
    with pytest.raises(faults.FaultError, match="name=value"):
        faults.parse_assignments(["rate"])


def test_merge_leaves_the_other_faults_alone() -> None:
    state = faults.merge(faults.Faults(), "errors", {"rate": 0.1}, persist=False)
    state = faults.merge(state, "leak", {}, persist=True)
    assert state.active() == ["errors", "leak"]
    assert state.persist
    state = faults.merge(state, "errors", None, persist=False)
    assert state.active() == ["leak"]
    with pytest.raises(faults.FaultError, match="unknown fault"):
        faults.merge(state, "fire", None, persist=False)


def test_the_switch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "faults.json"
    monkeypatch.setenv("KOPROGO_FAULTS_FILE", str(path))
    assert cli.main(["faults", "on", "errors", "rate=0.25", "status=502"]) == 0
    assert json.loads(path.read_text()) == {
        "errors": {"rate": 0.25, "status": 502},
        "persist": False,
    }
    assert path.stat().st_mode & 0o777 == 0o644
    assert cli.main(["faults", "on", "errors", "rate=7"]) == 2
    assert "errors.rate" in capsys.readouterr().err
    assert json.loads(path.read_text())["errors"]["rate"] == 0.25
    assert cli.main(["faults", "off", "errors"]) == 0
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.write_text(text)
    path.chmod(mode)


def test_watcher_takes_and_gives_back_memory(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    chaos = Chaos(path, owner=os.getuid())
    write(path, '{"leak": {"mb": 3, "mb_per_second": 2}}')
    sizes = []
    for _step in range(3):
        chaos.step(1.0)
        sizes.append(chaos.leaked_mb)
    assert sizes == [2, 3, 3]
    path.unlink()
    chaos.step(1.0)
    assert chaos.leaked_mb == 0


@pytest.mark.parametrize("persist", [False, True])
def test_a_restart_cures_unless_the_fault_persists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, persist: bool
) -> None:
    path = tmp_path / "faults.json"
    monkeypatch.setenv("KOPROGO_FAULTS_FILE", str(path))
    assert cli.main(["faults", "on", "hang", *(["--persist"] if persist else [])]) == 0
    # The unit does this before each start.
    assert cli.main(["faults", "expire"]) == 0
    assert path.exists() == persist


@pytest.mark.parametrize(
    ("text", "mode", "owner"),
    [
        ('{"errors": {}}', 0o666, 0),
        ('{"errors": {}}', 0o644, 1),
        ("{nonsense", 0o644, 0),
    ],
)
def test_a_file_that_root_did_not_write_is_ignored(
    tmp_path: Path, text: str, mode: int, owner: int
) -> None:
    path = tmp_path / "faults.json"
    write(path, text, mode)
    chaos = Chaos(path, owner=os.getuid() + owner)
    chaos.reload()
    assert chaos.faults.active() == []
