# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alertmanager's options, judged before anything is changed."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.koprogo.observability.plugins.filter.alertmanager import (
    alertmanager_peers,
    alertmanager_settings,
    go_duration,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._alertmanager import (
    variable_errors,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import setting
from ansible_collections.koprogo.observability.plugins.plugin_utils._notifications import OPTIONS

DEFAULTS = {name: setting({}, "alertmanager", name) for name in OPTIONS} | {"inhibition": False}
DIRECTORY = "/etc/koprogo/alertmanager"
PAGER = {"name": "pager", "pagerduty_configs": [{"routing_key_file": "secrets/pagerduty"}]}
ROUTE = {"receiver": "pager"}

WRONG: list[tuple[str, dict[str, Any], dict[str, str], str]] = [
    (
        "unknown receiver in a child route",
        {"route": {**ROUTE, "routes": [{"receiver": "sms"}]}, "receivers": [PAGER]},
        {"pagerduty": "key"},
        "alertmanager_route.routes[0].receiver: "
        "expected a receiver that exists (nowhere, pager), found 'sms'",
    ),
    (
        "no default receiver",
        {"route": {"group_wait": "1s"}, "receivers": [PAGER]},
        {"pagerduty": "key"},
        "alertmanager_route.receiver: expected the default receiver, found none",
    ),
    (
        "receiver twice",
        {"route": ROUTE, "receivers": [PAGER, PAGER]},
        {"pagerduty": "key"},
        "alertmanager_receivers: expected 'pager' once, found it 2 times",
    ),
    (
        "receiver without a name",
        {"route": ROUTE, "receivers": [PAGER, {"webhook_configs": []}]},
        {"pagerduty": "key"},
        "alertmanager_receivers[1]: expected a name, found none",
    ),
    (
        "secret that isn't there",
        {"route": ROUTE, "receivers": [PAGER]},
        {},
        "alertmanager_receivers[pager].pagerduty_configs[0].routing_key_file: "
        "expected an entry 'pagerduty' in alertmanager_secrets, found none",
    ),
    (
        "empty secret",
        {"route": ROUTE, "receivers": [PAGER]},
        {"pagerduty": " "},
        "alertmanager_secrets.pagerduty: expected a secret, found an empty value",
    ),
    (
        "secret that would leave its folder",
        {"route": ROUTE, "receivers": [{"name": "pager"}]},
        {"../x": "key"},
        "alertmanager_secrets: expected a plain file name, found '../x'",
    ),
    (
        "unknown time interval",
        {
            "route": {**ROUTE, "routes": [{"mute_time_intervals": ["night"]}]},
            "receivers": [{"name": "pager"}],
        },
        {},
        "alertmanager_route.routes[0].mute_time_intervals: "
        "expected a time interval that exists (none), found 'night'",
    ),
]


def built(config: dict[str, Any], secrets: dict[str, str]) -> dict[str, Any]:
    options = DEFAULTS | config | {"secrets": secrets}
    result: dict[str, Any] = alertmanager_settings(options, DIRECTORY, url_files=True)["config"]
    return result


@pytest.mark.parametrize(
    ("config", "secrets", "sentence"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_wrong_options_are_named(
    config: dict[str, Any], secrets: dict[str, str], sentence: str
) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        built(config, secrets)
    assert sentence in str(caught.value)
    assert "key" not in str(caught.value).replace("routing_key_file", "")


def test_all_mistakes_are_reported_together() -> None:
    config = {"route": {"receiver": "a"}, "receivers": [PAGER]}
    with pytest.raises(AnsibleFilterError) as caught:
        built(config, {})
    assert str(caught.value).count("expected") == 2


def test_secrets_become_absolute_and_empty_sections_go() -> None:
    config = {
        "global": {},
        "route": ROUTE,
        "receivers": [PAGER],
        "inhibit_rules": [],
    }
    assert built(config, {"pagerduty": "key"}) == {
        "route": ROUTE,
        "receivers": [
            {
                "name": "pager",
                "pagerduty_configs": [{"routing_key_file": f"{DIRECTORY}/secrets/pagerduty"}],
            },
            {"name": "nowhere"},
        ],
        "templates": ["templates/*.tmpl"],
    }


def test_files_that_are_not_ours_stay_as_they_are() -> None:
    receiver = {
        "name": "pager",
        "webhook_configs": [{"url_file": "/run/secret", "url": "secrets/x"}],
    }
    config = {"route": ROUTE, "receivers": [receiver]}
    assert built(config, {})["receivers"] == [receiver, {"name": "nowhere"}]


def test_peers_are_the_other_monitoring_hosts() -> None:
    hostvars: dict[str, dict[str, Any]] = {
        "mon1": {"koprogo_address": "192.0.2.1"},
        "mon2": {"koprogo_address": "192.0.2.2", "alertmanager_cluster_port": 9194},
        "mon3": {"alertmanager_state": "absent"},
        "mon4": {},
    }
    groups = {"monitoring": list(hostvars)}
    assert alertmanager_peers("mon1", groups, hostvars) == ["192.0.2.2:9194", "mon4:9094"]
    assert alertmanager_peers("mon1", {"monitoring": ["mon1"]}, hostvars) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5d", "432000s"), ("120h", "432000s"), ("1h30m", "5400s"), ("15s", "15s")],
)
def test_durations_in_go_notation(text: str, expected: str) -> None:
    assert go_duration(text) == expected


def test_a_wrong_duration_is_named() -> None:
    with pytest.raises(AnsibleFilterError, match="found '5 days'"):
        go_duration("5 days")


def test_a_hosts_variables_are_judged_with_the_roles_defaults() -> None:
    assert variable_errors({}) == []
    assert variable_errors({"alertmanager_receivers": [PAGER], "alertmanager_route": ROUTE}) == [
        "alertmanager_receivers[pager].pagerduty_configs[0].routing_key_file: "
        "expected an entry 'pagerduty' in alertmanager_secrets, found none",
    ]
