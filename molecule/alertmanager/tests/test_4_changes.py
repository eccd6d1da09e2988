"""What a wrong option, a new route and the end do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.cluster import API, NAMES, converge, of, status

SECRETS = (
    "R0UTING-k3y-only-for-alertmanager",
    "aws-s3cret-only-for-alertmanager",
    "s3cret-of-an-inhibit-rule",
)


@pytest.mark.parametrize("check", [True, False], ids=["check mode", "for real"])
@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (
            {"alertmanager_route": {"receiver": "nobody"}},
            "alertmanager_route.receiver: expected a receiver that exists "
            "(critical, heartbeat, nowhere, warning), found 'nobody'",
        ),
        (
            {"alertmanager_pagerduty": {"routing_key": ""}},
            "alertmanager_pagerduty.routing_key: expected a secret, found an empty value",
        ),
        (
            {
                "alertmanager_inhibit_rules": [
                    {"source_match": {"x": SECRETS[2]}, "nonsense": True}
                ],
                "alertmanager_secrets": {"mine": SECRETS[2]},
            },
            "field nonsense not found",
        ),
    ],
    ids=["unknown receiver", "missing secret", "amtool refuses"],
)
def test_wrong_options_change_nothing(option: dict[str, Any], sentence: str, check: bool) -> None:
    before = [of(name).check_output("readlink /etc/koprogo/alertmanager") for name in NAMES]
    flags = ["--tags", "alertmanager_configure", *(["--check"] if check else [])]
    run = converge(*flags, **option)
    assert run.returncode != 0
    assert sentence in " ".join((run.stdout + run.stderr).split())
    assert not any(secret in run.stdout + run.stderr for secret in SECRETS)
    assert [of(name).check_output("readlink /etc/koprogo/alertmanager") for name in NAMES] == before
    assert all("pagerduty_configs" in status(of(name))["config"]["original"] for name in NAMES)


def test_a_new_route_is_a_reload_and_no_restart() -> None:
    host = of(NAMES[0])
    pid = host.check_output("systemctl show --value -p MainPID prometheus-alertmanager")
    route = {"receiver": "critical", "routes": []}
    run = converge("--tags", "alertmanager_configure", alertmanager_route=route)
    assert run.returncode == 0, run.stdout[-3000:]
    assert pid == host.check_output("systemctl show --value -p MainPID prometheus-alertmanager")
    tested = host.check_output(
        f"amtool --alertmanager.url={API} config routes test severity=warning"
    )
    assert tested.strip() == "critical"
    assert converge("--tags", "alertmanager_configure").returncode == 0


def test_absent_leaves_nothing_of_ours() -> None:
    run = converge(alertmanager_state="absent")
    assert run.returncode == 0, run.stdout[-3000:]
    for name in NAMES:
        host = of(name)
        assert not host.file("/etc/koprogo/alertmanager").exists
        assert not host.file(
            "/etc/systemd/system/prometheus-alertmanager.service.d/50-koprogo.conf"
        ).exists
        assert not host.package("prometheus-alertmanager").is_installed
        assert not host.group("koprogo-alertmanager").exists
        assert not host.socket("tcp://127.0.0.1:9093").is_listening
    again = converge(alertmanager_state="absent")
    assert again.returncode == 0
    assert "changed=0" in again.stdout
