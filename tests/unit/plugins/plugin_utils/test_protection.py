"""The options of the roles that detect and ban: each mistake has its sentence."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.plugin_utils._protection import (
    host_needs,
    local_connection,
    variable_errors,
)


@pytest.mark.parametrize(
    ("role", "variables", "expected"),
    [
        ("fail2ban", {"fail2ban_allowlist": ["nobody"]}, "fail2ban_allowlist: expected an address"),
        ("fail2ban", {"fail2ban_control_addresses": ["x"]}, "fail2ban_control_addresses"),
        ("fail2ban", {"fail2ban_sshd_maxretry": 0}, "fail2ban_sshd_maxretry: expected a number"),
        ("fail2ban", {"fail2ban_jails": {"own": {}}}, "fail2ban_jails.own: expected logpath"),
        ("fail2ban", {"fail2ban_jails": {"a b": {"logpath": "/x"}}}, "letters, digits"),
        ("fail2ban", {"fail2ban_jails": {"own": "x"}}, "expected options by name"),
        ("fail2ban", {"fail2ban_watch_interval": "soon"}, "fail2ban_watch_interval: expected"),
        ("firewall", {"firewall_watch_interval": "soon"}, "firewall_watch_interval: expected"),
        ("suricata", {"suricata_home_net": ["10.0.0.0/33"]}, "suricata_home_net: expected"),
        ("suricata", {"suricata_interfaces": []}, "suricata_interfaces: expected at least one"),
        ("crowdsec", {"crowdsec_ban_duration": "long"}, "crowdsec_ban_duration: expected"),
        ("crowdsec", {"crowdsec_api_port": 6060}, "expected a port of its own"),
        ("crowdsec", {"crowdsec_allowlist": ["0.0.0.0/0"]}, "at least /8"),
    ],
)
def test_a_mistake_has_a_sentence(role: str, variables: dict[str, Any], expected: str) -> None:
    assert any(expected in error for error in variable_errors(role, variables))


@pytest.mark.parametrize("role", ["fail2ban", "suricata", "crowdsec", "firewall", "loki"])
def test_defaults_are_sound(role: str) -> None:
    assert variable_errors(role, {}) == []


def test_what_the_host_must_have() -> None:
    needs = host_needs(
        ["suricata", "fail2ban", "crowdsec"], {"suricata_interfaces": ["eth7"]}, ["api"]
    )
    assert needs["interfaces"] == ["eth7"]
    (log,) = needs["files"]
    assert (log["option"], log["path"]) == ("fail2ban_api_log", "/var/log/koprogo/api.log")
    assert needs["control_node"] is True


@pytest.mark.parametrize(
    "variables",
    [{"ansible_connection": "local"}, {"koprogo_control_addresses": ["192.0.2.1"]}],
)
def test_a_control_node_that_is_known_need_not_be_asked(variables: dict[str, Any]) -> None:
    assert host_needs(["fail2ban"], variables, [])["control_node"] is False


def test_nothing_asked_nothing_needed() -> None:
    needs = host_needs(["node_exporter"], {}, ["api"])
    assert needs == {"interfaces": [], "files": [], "control_node": False}


@pytest.mark.parametrize(
    ("plugin", "local"), [("ssh", False), ("paramiko", False), ("local", True), ("docker", True)]
)
def test_who_comes_without_an_address(plugin: str, *, local: bool) -> None:
    assert local_connection(plugin) is local
