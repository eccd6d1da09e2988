"""Wrong configurations change nothing; an absent collector leaves nothing but its data."""

from __future__ import annotations

import json

import pytest

from tests.integration.boxes import Box
from tests.integration.play import run_playbook

CONVERGE = "molecule/log_collector/converge.yml"
WRONG = [
    ({"receivers": {"file_log/journal": {"include": []}}}, "'include' must be specified"),
    ({"service": {"pipelines": {"logs/host": {"exporters": ["nowhere"]}}}}, "nowhere"),
    ({"exporters": {"otlp_htp": {}}}, "otlp_htp"),
]


@pytest.mark.parametrize(("overrides", "expected"), WRONG)
@pytest.mark.parametrize("mode", [[], ["--check", "--diff"]], ids=["real", "check"])
def test_a_wrong_configuration_is_refused(
    app: Box, overrides: dict[str, object], expected: str, mode: list[str]
) -> None:
    before = app.sh(
        "readlink /etc/koprogo/log_collector; systemctl show -P InvocationID log-collector"
    )
    variables = json.dumps({"log_collector_config_overrides": overrides})
    arguments = ("--tags", "log_collector_configure", "-e", variables, *mode)
    outcome = run_playbook(CONVERGE, *arguments)
    assert outcome.rc != 0
    assert expected in outcome.text
    assert "nothing was changed" in outcome.text
    after = app.sh(
        "readlink /etc/koprogo/log_collector; systemctl show -P InvocationID log-collector"
    )
    assert after == before


def test_the_journal_s_unit_is_started_again_after_too_many_starts(app: Box) -> None:
    unit = "log-collector-journal"
    app.sh(f"for _ in 1 2 3 4 5 6 7; do systemctl restart {unit}; done 2>/dev/null; true")
    assert app.sh(f"systemctl show -P Result {unit}").strip() == "start-limit-hit"
    outcome = run_playbook(CONVERGE, "--limit", app.name, "--tags", "log_collector_service")
    assert outcome.rc == 0, outcome.text
    assert app.sh(f"systemctl is-active {unit}").strip() == "active"


def test_a_dry_run_on_configured_hosts_finds_nothing_to_do() -> None:
    outcome = run_playbook(CONVERGE, "--check", "--diff")
    assert outcome.rc == 0, outcome.text
    assert outcome.text.count("changed=0") == 2


def test_absent_leaves_the_data_only(app: Box) -> None:
    arguments = ("--limit", "logs-app1", "-e", json.dumps({"log_collector_state": "absent"}))
    outcome = run_playbook(CONVERGE, *arguments)
    assert outcome.rc == 0, outcome.text
    left = app.sh(
        "ls -d /etc/koprogo/log_collector /etc/systemd/system/log-collector* /usr/local/bin/otelcol"
        " /opt/koprogo/log_collector 2>/dev/null; systemctl list-units --no-legend 'log-collector*'",
        check=False,
    )
    assert left == ""
    assert app.sh("ls /var/lib/log-collector").split() == ["journal", "positions", "queue"]
    assert "changed=0" in run_playbook(CONVERGE, *arguments).text
