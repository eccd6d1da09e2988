# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is told what: the options, what they are refused for, and what is built from them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.koprogo.observability.plugins.plugin_utils._alertmanager import (
    settings,
    variable_errors,
    variable_warnings,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import setting
from ansible_collections.koprogo.observability.plugins.plugin_utils._notifications import OPTIONS

KEY, HOOK, BEAT = (
    "r0uting-k3y",
    "https://hooks.example.org/s3cret",
    "https://beat.example.org/s3cret",
)
PAGERDUTY = {"routing_key": KEY}
SLACK = {"webhook_url": HOOK}
SNS = {
    "region": "eu-west-1",
    "phone_numbers": ["+32470123456", "+32470123457"],
    "access_key": "AKIDEXAMPLE",
    "secret_key": "s3cret-of-aws",
}
WEBHOOK = {"url": "https://sms.example.org/s3cret", "token": "t0ken-of-sms"}
ALL: dict[str, Any] = {
    "pagerduty": PAGERDUTY,
    "slack": SLACK,
    "sms": {"sns": SNS},
    "heartbeat": {"url": BEAT},
}


def prefixed(options: dict[str, Any]) -> dict[str, Any]:
    return {f"alertmanager_{name}": value for name, value in options.items()}


def made(*, url_files: bool = True, **options: Any) -> dict[str, Any]:
    assert variable_errors(prefixed(options)) == []
    every = {name: setting(prefixed(options), "alertmanager", name) for name in OPTIONS}
    return settings(every, "/etc/am", url_files=url_files)


def receivers(made_of: dict[str, Any]) -> dict[str, set[str]]:
    """The channels of each receiver."""
    return {
        receiver["name"]: {key.removesuffix("_configs") for key in receiver} - {"name"}
        for receiver in made_of["config"]["receivers"]
    }


def test_each_severity_reaches_its_channels() -> None:
    assert receivers(made(**ALL)) == {
        "nowhere": set(),
        "critical": {"pagerduty", "slack", "sns"},
        "warning": {"slack"},
        "heartbeat": {"webhook"},
    }


def test_the_tree_has_watchdog_first_and_every_severity() -> None:
    route = made(**ALL)["config"]["route"]
    assert route["receiver"] == "warning"
    assert [(child["matchers"][0], child["receiver"]) for child in route["routes"]] == [
        ('alertname="Watchdog"', "heartbeat"),
        ('severity="critical"', "critical"),
        ('severity="warning"', "warning"),
        ('severity="info"', "nowhere"),
    ]


@pytest.mark.parametrize(
    ("options", "default"),
    [
        ({"slack": SLACK}, "warning"),
        ({"pagerduty": PAGERDUTY}, "critical"),
        ({"heartbeat": {"url": BEAT}}, "nowhere"),
        ({}, "nowhere"),
    ],
)
def test_an_alert_without_a_known_severity_is_not_lost(
    options: dict[str, Any], default: str
) -> None:
    assert made(**options)["config"]["route"]["receiver"] == default


def test_nothing_asked_for_is_one_route_to_nowhere_and_a_warning() -> None:
    config = made()["config"]
    assert config["receivers"] == [{"name": "nowhere"}]
    assert "routes" not in config["route"]
    assert len(variable_warnings({})) == 1
    assert len(variable_warnings(prefixed({"heartbeat": {"url": BEAT}}))) == 1
    for name in ("pagerduty", "slack", "sms"):
        assert variable_warnings(prefixed({name: ALL[name]})) == []


def test_every_phone_gets_the_message() -> None:
    critical = next(r for r in made(**ALL)["config"]["receivers"] if r["name"] == "critical")
    assert [c["phone_number"] for c in critical["sns_configs"]] == SNS["phone_numbers"]


@pytest.mark.parametrize("url_files", [True, False])
def test_secrets_are_in_files_as_far_as_the_version_can(url_files: bool) -> None:
    result = made(url_files=url_files, **(ALL | {"sms": {"webhook": WEBHOOK}}))
    text = json.dumps(result["config"])
    assert KEY not in text
    assert HOOK not in text
    assert WEBHOOK["token"] not in text
    assert (BEAT in text) is not url_files
    assert (WEBHOOK["url"] in text) is not url_files
    assert {KEY, HOOK, BEAT, *WEBHOOK.values()} <= set(result["masks"])
    assert set(result["secrets"].values()) == {KEY, HOOK, BEAT, *WEBHOOK.values()}


def test_aws_keys_are_in_a_file_that_the_service_is_told_of() -> None:
    result = made(**ALL)
    assert "AKIDEXAMPLE" not in json.dumps(result["config"])
    assert "aws_secret_access_key = s3cret-of-aws" in result["secrets"]["aws_credentials"]
    assert result["environment"] == {
        "AWS_SHARED_CREDENTIALS_FILE": "/etc/am/secrets/aws_credentials"
    }
    role = made(
        sms={
            "sns": {"region": "eu-west-1", "topic_arn": "arn:aws:sns:eu-west-1:123456789012:oncall"}
        }
    )
    assert role["environment"] == {}
    assert role["secrets"] == {}


def test_a_gateways_token_keeps_the_global_http_options() -> None:
    tls = {"tls_config": {"ca_file": "/ca.crt"}}
    options: dict[str, Any] = {"sms": {"webhook": WEBHOOK}, "global": {"http_config": tls}}
    config = made(**options)["config"]
    hook = next(r for r in config["receivers"] if r["name"] == "critical")["webhook_configs"][0]
    assert hook["http_config"] == tls | {
        "authorization": {"credentials_file": "/etc/am/secrets/sms_token"}
    }


def test_warnings_wait_for_the_office_and_critical_ones_do_not() -> None:
    config = made(**ALL, office_hours={"location": "Europe/Brussels"})["config"]
    waiting = {
        child["receiver"]: child.get("active_time_intervals") for child in config["route"]["routes"]
    }
    assert waiting["warning"] == ["office-hours"]
    assert waiting["critical"] is None
    assert config["time_intervals"] == [
        {
            "name": "office-hours",
            "time_intervals": [
                {
                    "weekdays": ["monday:friday"],
                    "times": [{"start_time": "08:00", "end_time": "18:00"}],
                    "location": "Europe/Brussels",
                }
            ],
        }
    ]


def test_a_range_of_days_may_go_beyond_alertmanagers_week() -> None:
    interval = made(**ALL, office_hours={"days": ["Monday:Sunday", "friday"]})["config"][
        "time_intervals"
    ][0]
    weekdays = interval["time_intervals"][0]["weekdays"]
    assert weekdays == ["monday:saturday", "sunday:sunday", "friday"]


def test_ones_own_sections_win() -> None:
    mine = {"name": "critical", "webhook_configs": [{"url": "https://example.org"}]}
    team = {"name": "team"}
    own = {"matchers": ['team="a"'], "receiver": "team"}
    config = made(**ALL, receivers=[mine, team], routes=[own])["config"]
    assert [r["name"] for r in config["receivers"]].count("critical") == 1
    assert mine in config["receivers"]
    assert config["route"]["routes"][1] == own
    assert made(**ALL, route={"receiver": "nowhere"})["config"]["route"] == {"receiver": "nowhere"}
    assert "inhibit_rules" not in made(inhibition=False)["config"]
    assert made(config={"route": {"receiver": "nowhere"}})["config"]["route"] == {
        "receiver": "nowhere"
    }


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"pagerduty": {"severities": ["critical"]}},
        "pagerduty.routing_key: expected a secret, found an empty value",
    ),
    (
        {"pagerduty": {"routing_key": "a b"}},
        "pagerduty.routing_key: expected a secret without spaces",
    ),
    ({"pagerduty": PAGERDUTY | {"url": "events"}}, "pagerduty.url: expected a URL"),
    ({"pagerduty": PAGERDUTY | {"severities": []}}, "pagerduty.severities: expected at least one"),
    (
        {"pagerduty": PAGERDUTY | {"severities": ["crit"]}},
        "Got no match for: crit found in alertmanager_pagerduty",
    ),
    ({"pagerduty": PAGERDUTY | {"key": "x"}}, "alertmanager_pagerduty.key"),
    (
        {"slack": {"channel": "#alerts"}},
        "slack.webhook_url: expected a secret, found an empty value",
    ),
    (
        {"slack": {"webhook_url": "hooks.s3cret"}},
        "slack.webhook_url: expected a URL such as https://example.org/path, found something else",
    ),
    (
        {"slack": SLACK | {"channel": "# alerts"}},
        "slack.channel: expected a channel such as #alerts, found '# alerts'",
    ),
    (
        {"sms": {"send_resolved": True}},
        "alertmanager_sms: expected either sns or webhook, found neither",
    ),
    (
        {"sms": {"sns": SNS, "webhook": WEBHOOK}},
        "alertmanager_sms: expected either sns or webhook, found both",
    ),
    (
        {"sms": {"sns": SNS | {"region": "Brussels"}}},
        "sms.sns.region: expected a region such as eu-west-1, found 'Brussels'",
    ),
    (
        {"sms": {"sns": SNS | {"phone_numbers": ["0470"]}}},
        "sms.sns.phone_numbers: expected a number such as +32470123456, found '0470'",
    ),
    (
        {"sms": {"sns": {"region": "eu-west-1"}}},
        "alertmanager_sms.sns: expected either phone_numbers or topic_arn, found neither",
    ),
    (
        {"sms": {"sns": SNS | {"phone_numbers": [], "topic_arn": "oncall"}}},
        "sms.sns.topic_arn: expected an ARN",
    ),
    (
        {"sms": {"sns": SNS | {"secret_key": ""}}},
        "sms.sns.secret_key: expected a secret, found an empty value",
    ),
    (
        {"sms": {"sns": SNS | {"access_key": ""}}},
        "sms.sns.access_key: expected a value because secret_key has one",
    ),
    (
        {"sms": {"webhook": {"token": "x"}}},
        "sms.webhook.url: expected a secret, found an empty value",
    ),
    (
        {"sms": {"webhook": WEBHOOK | {"max_alerts": 0}}},
        "sms.webhook.max_alerts: expected at least 1, found '0'",
    ),
    ({"heartbeat": {"interval": "1m"}}, "heartbeat.url: expected a secret, found an empty value"),
    (
        {"heartbeat": {"url": BEAT, "interval": "-1m"}},
        "heartbeat.interval: expected a duration longer than zero such as 30s or 4h, found '-1m'",
    ),
    ({"group_wait": "-30s"}, "alertmanager_group_wait: expected a duration longer than zero"),
    (
        {"repeat_interval": "0s"},
        "alertmanager_repeat_interval: expected a duration longer than zero",
    ),
    (
        {"repeat_interval": "1m"},
        "alertmanager_repeat_interval: expected at least alertmanager_group_interval (5m), found '1m'",
    ),
    (
        {"group_by": ["alert name"]},
        "alertmanager_group_by: expected a label's name or '...', found 'alert name'",
    ),
    (
        {"office_hours": {"days": ["fryday"]}},
        "office_hours.days: expected a day or a range of days such as monday:friday, found 'fryday'",
    ),
    (
        {"office_hours": {"begin": "8:00"}},
        "office_hours.begin: expected a time such as 08:00, found '8:00'",
    ),
    (
        {"office_hours": {"begin": "18:00", "end": "08:00"}},
        "office_hours.end: expected a time after 18:00, found '08:00'",
    ),
    (
        {"office_hours": {"location": "Europe/Bruxelles"}},
        "office_hours.location: expected a time zone such as Europe/Brussels, found 'Europe/Bruxelles'",
    ),
    (
        {"office_hours": {"severities": ["critical"]}},
        "Got no match for: critical found in alertmanager_office_hours",
    ),
    (
        {"routes": [{"matchers": ['severity="crit"']}]},
        "alertmanager_routes[0].matchers: expected a severity such as critical, warning, info, "
        "found 'crit'; did you mean critical?",
    ),
    (
        {"routes": [{"receiver": "team"}]},
        "alertmanager_routes[0].receiver: expected a receiver that exists",
    ),
    (
        {"group_by": "alertname"},
        "alertmanager_group_by: expected a list, found 'alertname'",
    ),
    (
        {"routes": [{"reciever": "critical"}]},
        "alertmanager_routes[0].reciever: unknown option of a route; did you mean receiver?",
    ),
    (
        {"routes": [{"receiver": "nowhere", "who": "me"}]},
        "alertmanager_routes[0].who: unknown option of a route; expected one of receiver, continue",
    ),
    (
        {"routes": [{"routes": [{"group_wait": "soon"}]}]},
        "alertmanager_routes[0].routes[0].group_wait: expected a duration such as 30s or 4h, found 'soon'",
    ),
    (
        {"routes": [{"repeat_interval": "0s"}]},
        "alertmanager_routes[0].repeat_interval: expected a duration longer than zero, found '0s'",
    ),
    (
        {"routes": [{"matchers": "team=payments"}]},
        "alertmanager_routes[0].matchers: expected a list, found 'team=payments'",
    ),
    (
        {"routes": [{"matchers": ["team payments"]}]},
        'alertmanager_routes[0].matchers: expected a matcher such as team="payments", '
        "found 'team payments'",
    ),
    (
        {"routes": [{"routes": {"receiver": "nowhere"}}]},
        "alertmanager_routes[0].routes: expected a list",
    ),
    (
        {"routes": [{"routes": ["nowhere"]}]},
        "alertmanager_routes[0].routes[0]: expected a route, found 'nowhere'",
    ),
    (
        {"route": "nowhere"},
        "alertmanager_route: expected a route, found 'nowhere'",
    ),
    (
        {"receivers": [{"name": "team", "slak_configs": []}]},
        "alertmanager_receivers[team].slak_configs: unknown integration; did you mean slack_configs?",
    ),
    (
        {"route": {"receiver": "nowhere", "routes": [{"match": {"severity": "Warning"}}]}},
        "alertmanager_route.routes[0].match: expected a severity such as critical, warning, info, "
        "found 'Warning'; did you mean warning?",
    ),
]


@pytest.mark.parametrize(("options", "sentence"), WRONG, ids=[case[1][:40] for case in WRONG])
def test_a_wrong_option_is_named_and_no_secret_is_shown(
    options: dict[str, Any], sentence: str
) -> None:
    errors = variable_errors(prefixed(options))
    assert len(errors) == 1
    assert sentence in errors[0]
    assert "s3cret" not in errors[0]


def test_what_newer_versions_may_have_is_no_slip() -> None:
    team = {"name": "team", "msteams_configs": [], "jira_configs": []}
    route = {"receiver": "team", "group_wait": "0s", "matchers": ['a!~"x|y"', "c = d"]}
    assert variable_errors(prefixed({"receivers": [team], "routes": [route]})) == []


def test_severities_of_ones_own_rules_are_no_slip() -> None:
    routes = [{"matchers": ['severity="page"', 'severity=~"crit.*"'], "receiver": "nowhere"}]
    assert variable_errors(prefixed({"routes": routes})) == []


@given(
    st.dictionaries(
        st.sampled_from(["pagerduty", "slack", "sms"]),
        st.sets(st.sampled_from(["critical", "warning", "info"]), min_size=1),
    ),
    st.booleans(),
)
def test_whatever_is_wanted_every_route_ends_at_a_receiver_that_exists(
    wanted: dict[str, set[str]], heartbeat: bool
) -> None:
    options = {name: ALL[name] | {"severities": sorted(found)} for name, found in wanted.items()}
    result = made(**options, **({"heartbeat": ALL["heartbeat"]} if heartbeat else {}))
    route = result["config"]["route"]
    found = receivers(result)
    reached = {
        child["matchers"][0].split('"')[1]: found[child["receiver"]]
        for child in route.get("routes", [])
    }
    assert route["receiver"] in found
    for severity in ("critical", "warning", "info"):
        expected = {name for name, those in wanted.items() if severity in those}
        names = {"sms" if name == "sns" else name for name in reached.get(severity, set())}
        assert names == expected
