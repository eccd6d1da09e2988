"""The sensor's rules read a capture, as whoever runs the tests, in an engine that is nowhere installed."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.shell import LabError
from lab.suricata import Engine, ensure_suricata
from tests.integration.attacks import raw_request
from tests.integration.captures import capture
from tests.integration.judgement import assert_just, evidence
from tests.role_lab import rendered

RULES = "rules/koprogo.rules"


@pytest.fixture(scope="module")
def engine() -> Engine:
    """Without it the tests fail with what was tried."""
    try:
        return ensure_suricata()
    except LabError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Path:
    """The role's configuration with its defaults, for the host that the capture is about."""
    folder = tmp_path_factory.mktemp("suricata")
    (folder / "rules").mkdir()
    for name in ("suricata.yaml", RULES):
        made = rendered(
            "suricata",
            f"etc/koprogo/suricata/{name}.j2",
            suricata_interfaces=["lo"],
            suricata_home_net=["198.51.100.1"],
            __suricata_dir=str(folder),
        )
        (folder / name).write_text(
            made.replace("/etc/suricata", str(engine.settings)), encoding="utf-8"
        )
    return folder


def judge(
    engine: Engine, configured: Path, folder: Path, packets_of: Callable[[], bytes] = evidence
) -> str:
    """The engine's eve.json about the capture."""
    packets = folder / "case.pcap"
    packets.write_bytes(packets_of())
    argv: list[str | Path] = [engine.program, "-c", configured / "suricata.yaml", "-k", "none"]
    argv += ["--set", "unix-command.enabled=no", "-l", folder, "-r", packets]
    done = subprocess.run(argv, env=engine.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / "eve.json").read_text(encoding="utf-8")


def test_each_rule_sees_its_attacks_and_nothing_else(
    engine: Engine, configured: Path, tmp_path: Path
) -> None:
    rules = (configured / RULES).read_text(encoding="utf-8")
    assert_just(judge(engine, configured, tmp_path), rules=rules)


def test_an_attack_behind_a_large_upload_on_the_same_connection_is_seen(
    engine: Engine, configured: Path, tmp_path: Path
) -> None:
    upload = raw_request("POST", "/api/v1/documents", "x" * 1_500_000)
    attack = raw_request("GET", "/api/v1/expenses?id=1%20UNION%20SELECT%20password%20FROM%20users")
    one_after_the_other = capture([(20000, (upload + attack).encode())])
    eve = judge(engine, configured, tmp_path, lambda: one_after_the_other)
    seen = {
        event["alert"]["signature_id"]
        for event in map(json.loads, eve.splitlines())
        if event["event_type"] == "alert"
    }
    assert 9100001 in seen


def test_a_rule_that_sees_nothing_is_found(
    engine: Engine, configured: Path, tmp_path: Path
) -> None:
    whole = (configured / RULES).read_text(encoding="utf-8")
    blind = re.sub(r'content:"select"; nocase; ', 'content:"never"; ', whole, count=1)
    assert blind != whole
    (configured / RULES).write_text(blind, encoding="utf-8")
    try:
        with pytest.raises(AssertionError, match="9100001"):
            assert_just(judge(engine, configured, tmp_path), rules=blind)
    finally:
        (configured / RULES).write_text(whole, encoding="utf-8")
