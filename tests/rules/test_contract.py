"""Rules ask only for what the exporters of both Debian releases serve, and lead only to what exists."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_catalogue import ALERTS
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_rules import (
    loki_rule_files,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._panels import (
    DASHBOARDS,
    PANELS,
)
from tests.metric_contract import selectors, unmatched, unmatched_versions
from tests.rules.harness import GROUPS, HOSTVARS, LINKS, rules_of

# PostgreSQL 16 brought the setting, Debian 12 has 15.
ONLY_NEWER = {'pg_settings_reserved_connections{job="postgresql"}': ["postgres-exporter-0.11.1"]}


def _rules(files: Any) -> list[dict[str, Any]]:
    return [rule for file in files.values() for group in file["groups"] for rule in group["rules"]]


PROMETHEUS = _rules(rules_of({}))
LOKI = _rules(loki_rule_files(GROUPS, HOSTVARS, alerts={}, links=LINKS))
RECORDED = {rule["record"] for rule in PROMETHEUS if "record" in rule}


@pytest.mark.parametrize("rule", PROMETHEUS, ids=lambda r: r.get("alert") or r["record"])
def test_every_selector_selects_what_is_served(rule: dict[str, Any]) -> None:
    assert unmatched(rule["expr"], RECORDED) == []
    missing = unmatched_versions(rule["expr"], RECORDED)
    assert {k: v for k, v in missing.items() if ONLY_NEWER.get(k) != v} == {}


@pytest.mark.parametrize(
    ("expr", "found"),
    [
        ("up", ["up{}"]),
        ("sum by (job) (rate(up[5m])) > 0.5", ["up{}"]),
        ('a{x="}"} / on (y) group_left (z) b', ['a{x="}"}', "b{}"]),
        ('time() - timestamp(up{job=~"a|b"}) < 1e3 or {__name__="c"}', ['up{job=~"a|b"}', '{__name__="c"}']),
        ("histogram_quantile(0.9, sum without (x) (h_bucket)) offset 5m", ["h_bucket{}"]),
    ],
)  # fmt: skip
def test_selectors_are_found(expr: str, found: list[str]) -> None:
    assert [str(one) for one in selectors(expr)] == found


@pytest.mark.parametrize(
    "expr",
    [
        "node_filesystem_available_bytes",
        'node_cpu_seconds_total{mode="lazy"}',
        'pg_up{job="postgres"}',
        'http_requests_total{code="500"}',
    ],
)
def test_what_nobody_serves_is_found(expr: str) -> None:
    assert unmatched(expr) != []


@pytest.mark.parametrize(
    "rule", [r for r in PROMETHEUS + LOKI if "alert" in r], ids=lambda r: r["alert"]
)
def test_alerts_lead_somewhere(rule: dict[str, Any]) -> None:
    name, alert = rule["alert"], ALERTS[rule["alert"]]
    notes = rule["annotations"]
    assert set(rule["labels"]) >= {"severity", "component"}
    assert "deployment" in alert.labels
    assert ("host" in alert.labels) is alert.per_host
    assert all(
        notes[key] for key in ("summary", "description", "value", "runbook_url", "dashboard_url")
    )
    assert re.fullmatch(r"https://runbook\.example/[a-z_]+\.md", notes["runbook_url"])
    panel = PANELS[name]
    assert panel.dashboard in DASHBOARDS
    assert f"/d/{panel.dashboard}?viewPanel={panel.number}&" in notes["dashboard_url"]
    for text in notes.values():
        used = set(re.findall(r"\$labels\.(\w+)", text))
        assert used <= set(alert.labels) | {"job"} & set(alert.labels), text


def test_the_catalogue_has_exactly_the_names_that_panels_show() -> None:
    assert set(ALERTS) == set(PANELS)


def test_the_runbooks_eight_have_a_playbook() -> None:
    assert [a.name for a in ALERTS.values() if a.playbook] == [
        "ApiDown",
        "DatabaseDown",
        "DiskFull",
        "HighErrorRate",
        "MemoryExhaustion",
        "SlowApi",
        "HighCpu",
        "DatabaseConnectionsHigh",
    ]
