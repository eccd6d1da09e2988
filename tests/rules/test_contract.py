"""Rules ask only for what the exporters of both Debian releases serve, and lead only to what exists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_catalogue import ALERTS
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_rules import (
    loki_rule_files,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._panels import (
    DASHBOARDS,
    PANELS,
)
from lab.panel_check import FOLDER, span_of
from lab.panels import annotation_queries, fill, load, panel_queries, panels, variables
from tests.metric_contract import selectors, unmatched, unmatched_versions
from tests.rules.harness import GROUPS, HOSTVARS, LINKS, rules_of

# PostgreSQL 16 brought the setting, Debian 12 has 15.
ONLY_NEWER = {'pg_settings_reserved_connections{job="postgresql"}': ["postgres-exporter-0.11.1"]}

# What panels show where it is to be had, and who has it not.
LACKING = {
    # PostgreSQL 17 counts checkpoints in another view: either of the two is there.
    "pg_stat_bgwriter_checkpoints_req_total": ["postgres-exporter-0.17.1"],
    "pg_stat_bgwriter_checkpoints_timed_total": ["postgres-exporter-0.17.1"],
    "pg_stat_checkpointer_num_requested_total": ["postgres-exporter-0.11.1"],
    "pg_stat_checkpointer_num_timed_total": ["postgres-exporter-0.11.1"],
    # Their panels say so.
    "pg_stat_user_tables_n_dead_tup": ["postgres-exporter-0.11.1"],
    "prometheus_tsdb_wal_storage_size_bytes": ["prometheus-2.42.0"],
}
# Not served before Loki has refused a line for good.
AFTER_A_FAULT = {"otelcol_exporter_send_failed_log_records_total"}
# Of those variables whose "all" is every value that there is.
CHOSEN = {"datname": ["koprogo_db"]}


def _rules(files: Any) -> list[dict[str, Any]]:
    return [rule for file in files.values() for group in file["groups"] for rule in group["rules"]]


PROMETHEUS = _rules(rules_of({}))
LOKI = _rules(loki_rule_files(GROUPS, HOSTVARS, alerts={}, links=LINKS))
RECORDED = {rule["record"] for rule in PROMETHEUS if "record" in rule}


@pytest.mark.parametrize("rule", PROMETHEUS, ids=lambda r: r.get("alert") or r["record"])
def test_every_selector_selects_what_is_served(rule: dict[str, Any]) -> None:
    known = {*RECORDED, *AFTER_A_FAULT}
    assert unmatched(rule["expr"], known) == []
    missing = unmatched_versions(rule["expr"], known)
    assert {k: v for k, v in missing.items() if ONLY_NEWER.get(k) != v} == {}


def _shown() -> Iterator[tuple[str, str]]:
    """Every PromQL expression of the dashboards with everything chosen, by its address."""
    for dashboard in load(FOLDER).values():
        known = variables(dashboard)
        asked = [
            *annotation_queries(dashboard),
            *(q for p in panels(dashboard) for q in panel_queries(p)),
        ]
        for query in asked:
            if query.datasource == "prometheus":
                yield query.address, fill(query.expr, chosen=CHOSEN, known=known, span=span_of(60))


@pytest.mark.parametrize("expr", [pytest.param(expr, id=address) for address, expr in _shown()])
def test_every_panel_selects_what_is_served(expr: str) -> None:
    known = {*RECORDED, "ALERTS", *AFTER_A_FAULT}
    assert unmatched(expr, known) == []
    missing = unmatched_versions(expr, known)
    assert {k: v for k, v in missing.items() if LACKING.get(k.partition("{")[0]) != v} == {}


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
    assert all(notes[key] for key in ("summary", "description", "value"))
    assert re.fullmatch(r"https://runbook\.example/[a-z_]+\.md", notes["runbook_url"])
    panel = PANELS[name]
    assert panel.dashboard in DASHBOARDS
    assert f"/d/{panel.dashboard}?viewPanel={panel.number}&" in notes["dashboard_url"]
    chosen = {label: f"{{{{ $labels.{label} }}}}" for label in ("deployment", "host")}
    matcher = "".join(f',{k}="{v}"' for k, v in chosen.items() if k in alert.labels)
    panes = json.loads(parse_qs(urlsplit(notes["logs_url"]).query)["panes"][0])
    assert panes["logs"]["queries"][0]["expr"] == alert.lines(matcher)
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
