"""What users set of the alerts is judged before anything is changed, and split where hosts differ."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.koprogo.observability.plugins.filter.alerts import (
    loki_rule_files,
    prometheus_rule_files,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts import snake
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_catalogue import (
    ALERTS,
    interval_errors,
    own_rule_errors,
    settings_errors,
    variants,
)

HOSTS = ("mon1", "mon2", "api1", "db1", "db.2")
GROUPS = {
    "all": [*HOSTS],
    "monitoring": ["mon1", "mon2"],
    "api": ["api1"],
    "database": ["db1", "db.2"],
}
ONE = {"all": ["box"], "monitoring": ["box"], "api": ["box"], "database": ["box"]}


def hostvars(**alerts: Any) -> dict[str, dict[str, Any]]:
    return {host: {"koprogo_alerts": alerts.get(host, {})} for host in HOSTS}


def rules(
    groups: Any = None, variables: Any = None, host: str = "mon1", **options: Any
) -> dict[str, list[dict[str, Any]]]:
    """All rules by name, as role prometheus writes them."""
    options = {"alerts": {}, "own": {}} | options
    files = prometheus_rule_files(host, groups or GROUPS, variables or hostvars(), **options)
    found: dict[str, list[dict[str, Any]]] = {}
    for file in files.values():
        for group in file["groups"]:
            for rule in group["rules"]:
                found.setdefault(rule.get("alert") or rule["record"], []).append(rule)
    return found


@pytest.mark.parametrize(
    "given",
    [
        {},
        None,
        {"DiskFull": {"threshold": 0.2, "inodes": 0, "for": "5m", "keep_firing_for": "0s"}},
        {"HighCpu": {"enabled": False}, "FailedLogins": {"severity": "critical"}},
        {"ApiLatencyBurnRate": {"seconds": 0.5, "slow_severity": "info"}},
    ],
)
def test_good_settings(given: Any) -> None:
    assert settings_errors("prometheus_alerts", given) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["DiskFull"], ["prometheus_alerts: expected a dictionary of alerts, found list"]),
        ({"DiskFul": {}}, ["prometheus_alerts.DiskFul: unknown alert; did you mean DiskFull?"]),
        ({"Qqqqq": {}}, ["Qqqqq: unknown alert", "docs/alerts.md"]),
        ({"DiskFull": 0.2}, ["DiskFull: expected a dictionary of settings", "float"]),
        ({"DiskFull": {"treshold": 1}}, ["DiskFull.treshold", "did you mean threshold?"]),
        ({"DiskFull": {"zzz": 1}}, ["DiskFull.zzz: unknown setting", "inodes"]),
        ({"DiskFull": {"threshold": "10%"}}, ["DiskFull.threshold: expected a number", "'10%'"]),
        ({"DiskFull": {"threshold": True}}, ["expected a number", "'True'"]),
        ({"DiskFull": {"threshold": 10}}, ["expected a number from 0 to 1", "'10'"]),
        ({"HighErrorRate": {"threshold": -1}}, ["expected a number of at least 0", "'-1'"]),
        ({"ApiDown": {"for": "-1m"}}, ["ApiDown.for: expected a duration", "'-1m'"]),
        ({"ApiDown": {"for": 60}}, ["ApiDown.for: expected a duration", "'60'"]),
        ({"ApiDown": {"keep_firing_for": "soon"}}, ["keep_firing_for: expected a duration"]),
        ({"FailedLogins": {"keep_firing_for": "5m"}}, ["keep_firing_for: unknown setting"]),
        ({"ApiDown": {"severity": "high"}}, ["expected one of critical, warning, info", "'high'"]),
        ({"ApiDown": {"enabled": "no"}}, ["enabled: expected true or false", "'no'"]),
        ({"ApiDown": {"threshold": 1}}, ["ApiDown.threshold: unknown setting"]),
        ({"ApiDown": None}, ["ApiDown: expected a dictionary of settings", "NoneType"]),
        ({"SlowApi": {"threshold": float("nan")}}, ["expected a number of at least 0", "'nan'"]),
        (
            {"SlowApi": {"threshold": float("inf")}},
            ["SlowApi.threshold: expected a number", "'inf'"],
        ),
        ({"HighCpu": {"window": "10s"}}, ["HighCpu.window: expected at least 30s", "'10s'"]),
    ],
)
def test_bad_settings(given: Any, words: list[str]) -> None:
    [error] = settings_errors("prometheus_alerts", given)
    assert all(word in error for word in words), error


def test_a_host_cannot_set_what_concerns_the_deployment() -> None:
    [error] = settings_errors("koprogo_alerts", {"Watchdog": {"threshold": 90}})
    assert "koprogo_alerts.Watchdog: expected an alert that concerns one host" in error


@pytest.mark.parametrize(
    ("files", "taken", "words"),
    [
        ({"g": {"groups": [{"rules": [{"alert": "ApiDown", "expr": "x"}]}]}}, {}, ["'ApiDown'"]),
        ({"koprogo-x": {"groups": []}}, {}, ["prometheus_rules.koprogo-x: expected another file name"]),
        ({"../x": {"groups": []}}, {}, ["prometheus_rules: expected a file name of letters", "'../x'"]),
        (
            {n: {"groups": [{"name": "g", "rules": [{"alert": "Mine", "expr": "x"}]}]} for n in ("a", "b")},
            {},
            ["prometheus_rules.b: expected alert 'Mine'", "found it in 'a' too"],
        ),
    ],
)  # fmt: skip
def test_alerts_that_exist_already(files: Any, taken: Any, words: list[str]) -> None:
    [error] = own_rule_errors("prometheus_rules", files, taken)
    assert all(word in error for word in words), error


@pytest.mark.parametrize(("severity", "found"), [("info", 1), ("critical", 0)])
def test_prometheus_and_loki_share_their_alerts_names(severity: str, found: int) -> None:
    def file(labels: dict[str, str]) -> Any:
        return {"g": {"groups": [{"rules": [{"alert": "Mine", "expr": "x", "labels": labels}]}]}}

    beside = ("prometheus_rules", file({"severity": "info"}))
    errors = own_rule_errors("loki_rules", file({"severity": severity}), {}, beside=beside)
    assert len(errors) == found
    assert all("found it in 'prometheus_rules.g' too" in error for error in errors)
    assert own_rule_errors("loki_rules", file({}), {}, beside=("prometheus_rules", "text")) == []


@pytest.mark.parametrize(
    "files", [{"a": "text"}, {"a": {"groups": "x"}}, {"a": {"groups": [{"rules": 1}]}}, "x"]
)
def test_other_shapes_are_left_to_promtool(files: Any) -> None:
    assert own_rule_errors("prometheus_rules", files, {}) == []


def test_own_alerts_are_possible() -> None:
    def own(name: str, severity: str) -> dict[str, Any]:
        return {"alert": name, "expr": "x", "labels": {"severity": severity}}

    mine = {
        "g": {"groups": [{"name": "g", "rules": [own("Mine", "info"), own("Mine", "critical")]}]}
    }
    assert own_rule_errors("prometheus_rules", mine, {}) == []
    instead = {"g": {"groups": [{"name": "g", "rules": [own("ApiDown", "info")]}]}}
    assert own_rule_errors("prometheus_rules", instead, {"ApiDown": {"enabled": False}}) == []


def test_an_alert_needs_to_see_a_failure_twice() -> None:
    intervals = {"prometheus_scrape_interval": "15s", "prometheus_evaluation_interval": "1m"}
    [error] = interval_errors({}, intervals)
    assert error.startswith("prometheus_evaluation_interval: expected at most half")
    assert "DatabaseDown" in error
    assert "'1m'" in error
    patient = {name: {"for": "2m"} for name in ALERTS}
    assert interval_errors(patient, intervals) == []


def test_hosts_with_equal_settings_share_a_rule() -> None:
    by_host = {
        "db1": {"DiskFull": {"threshold": 0.3}},
        "db.2": {"DiskFull": {"threshold": 0.3}},
        "api1": {},
    }
    common, own = variants(ALERTS["DiskFull"], {"DiskFull": {"for": "3m"}}, by_host)
    assert common.matcher == ',host!~"db1|db\\\\.2"'
    assert own.matcher == ',host=~"db1|db\\\\.2"'
    assert (common.settings["threshold"], own.settings["threshold"]) == (0.1, 0.3)
    assert own.settings["for"] == "3m"


def test_what_is_switched_off_is_not_written() -> None:
    assert "HighCpu" not in rules(alerts={"HighCpu": {"enabled": False}})
    only = rules(
        alerts={"HighCpu": {"enabled": False}},
        variables=hostvars(db1={"HighCpu": {"enabled": True}}),
    )
    assert [',host=~"db1"' in rule["expr"] for rule in only["HighCpu"]] == [True]


@pytest.mark.parametrize(("groups", "host"), [(GROUPS, "mon1"), (GROUPS, "mon2"), (ONE, "box")])
def test_rules_follow_the_inventory(groups: Any, host: str) -> None:
    variables = {name: {"koprogo_deployment": "eu"} for name in groups["all"]}
    expected = rules(groups, variables, host)["koprogo:target_expected"]
    labels = [rule["labels"] for rule in expected]
    assert len({tuple(sorted(one.items())) for one in labels}) == len(labels)
    assert {one["instance"] for one in labels} == set(groups["all"])
    assert {one["deployment"] for one in labels} == {"eu"}
    gateways = [one for one in labels if one["job"] == "metrics-gateway"]
    assert bool(gateways) is (groups is GROUPS)


def test_twins_evaluate_the_same_rules() -> None:
    assert rules(host="mon1") == rules(host="mon2")


def test_there_is_always_a_deployment() -> None:
    expected = rules(ONE, {"box": {}}, "box")["koprogo:target_expected"]
    assert {rule["labels"]["deployment"] for rule in expected} == {"koprogo"}


def test_links_lead_where_grafana_is() -> None:
    variables = hostvars()
    variables["mon1"]["grafana_url"] = "https://grafana.example.org/"
    [rule] = rules(variables=variables)["ApiDown"]
    assert rule["annotations"]["dashboard_url"].startswith(
        "https://grafana.example.org/d/koprogo-api?viewPanel=1"
    )
    assert rule["annotations"]["runbook_url"].endswith("/docs/runbooks/api_down.md")
    assert rule["annotations"]["remediation"].startswith(
        "ansible-playbook playbooks/remediate/api_down.yml -l "
    )
    [rule] = rules(dashboard_url="https://g", runbook_url="https://r/", inventory="-i hosts.yml")[
        "ApiDown"
    ]
    assert rule["annotations"]["remediation"] == (
        "ansible-playbook -i hosts.yml playbooks/remediate/api_down.yml -l {{ $labels.host }}"
    )
    assert rule["annotations"]["dashboard_url"].startswith("https://g/d/")
    assert rule["annotations"]["runbook_url"] == "https://r/api_down.md"


def test_loki_takes_the_same_settings() -> None:
    files = loki_rule_files(
        "mon1",
        GROUPS,
        hostvars(db1={"DatabaseErrors": {"threshold": 99}}),
        alerts={
            "ApiErrorBurst": {"threshold": 7},
            "ApiSlowRequests": {"milliseconds": 250},
            "FailedLogins": {"enabled": False},
        },
        own={"mine": {"groups": []}},
    )
    text = str(files)
    assert "> 7" in text
    # In the rule, in its text, and in the link to the lines.
    assert re.findall(r"duration_ms(?: > |%20%3E%20)(\d+)", text) == ["250", "250"]
    assert "FailedLogins" not in text
    assert 'job="postgresql",host=~"db1"' in text
    assert list(files) == ["koprogo-logs", "mine"]


def test_the_filters_refuse_what_is_wrong() -> None:
    with pytest.raises(AnsibleFilterError, match="did you mean ApiDown"):
        rules(alerts={"ApiDwn": {}})
    with pytest.raises(
        AnsibleFilterError, match=r"host 'db1': koprogo_alerts\.DiskFull\.threshold"
    ):
        rules(variables=hostvars(db1={"DiskFull": {"threshold": "x"}}))


@pytest.mark.parametrize(("name", "page"), [("ApiDown", "api_down"), ("HighCpu", "high_cpu")])
def test_pages_are_named_like_their_alert(name: str, page: str) -> None:
    assert snake(name) == page
