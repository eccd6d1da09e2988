# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the inventory asks of a verification, and how its findings are shown."""

from __future__ import annotations

from typing import Any

from ansible_collections.koprogo.observability.plugins.plugin_utils._stack_plan import (
    host_plan,
    monitoring_plan,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._stack_report import (
    counts,
    failures,
    rows,
    table,
)

LOGS = [
    {"job": "koprogo-api", "kind": "json", "path": "/x", "group": "api"},
    {"job": "system", "kind": "journal"},
]
THREE: dict[str, Any] = {
    "all": ["mon1", "api1", "db1"],
    "monitoring": ["mon1"],
    "api": ["api1"],
    "database": ["db1"],
}
ONE: dict[str, Any] = {name: ["box"] for name in THREE}
PORTS = {
    f"{role}_port": 9000 + number
    for number, role in enumerate(
        [
            "node_exporter",
            "log_collector",
            "metrics_gateway",
            "postgres_exporter",
            "sql_exporter",
            "blackbox_exporter",
            "loki",
            "prometheus",
            "alertmanager",
            "grafana",
        ]
    )
}


def hostvars(groups: dict[str, Any], **more: Any) -> dict[str, dict[str, Any]]:
    return {
        host: {**PORTS, "koprogo_address": f"192.0.2.{number}", **more}
        for number, host in enumerate(groups["all"])
    }


def test_the_api_host_of_three() -> None:
    plan = host_plan("api1", THREE, hostvars(THREE), LOGS, 2.0)
    units = {unit["unit"]: unit for unit in plan["units"]}
    assert units["koprogo-api.service"] == {"unit": "koprogo-api.service"}
    assert units["prometheus-exporter-exporter.service"]["doors"] == [9002]
    assert units["prometheus-node-exporter.service"]["doors"] == []
    assert "prometheus.service" not in units
    assert [log["job"] for log in plan["logs"][:2]] == ["koprogo-api", "system"]
    assert {"job": "node_exporter", "kind": "unit", "path": "prometheus-node-exporter.service"} in (
        plan["logs"]
    )
    assert plan["addresses"] == ["192.0.2.1"]


def test_a_single_host_has_no_door() -> None:
    plan = host_plan("box", ONE, hostvars(ONE), LOGS, 2.0)
    assert not any(unit.get("doors") for unit in plan["units"])
    assert len(plan["units"]) == 10


def test_only_monitoring_hosts_of_a_cluster_have_gossip_and_a_door_for_logs() -> None:
    groups = {**THREE, "all": [*THREE["all"], "mon2"], "monitoring": ["mon1", "mon2"]}
    units = {
        unit["unit"]: unit.get("doors")
        for unit in host_plan("mon2", groups, hostvars(groups), [], 2.0)["units"]
    }
    assert units["prometheus-alertmanager.service"] == [9094]
    assert units["log-collector.service"] == [4318]


def test_no_log_is_marked_where_nothing_collects_it() -> None:
    plan = host_plan("api1", THREE, hostvars(THREE, koprogo_omit=["log_collector"]), LOGS, 2.0)
    assert plan["logs"] == []
    plan = host_plan("api1", THREE, hostvars(THREE, log_collector_journal=False), LOGS, 2.0)
    assert [log["job"] for log in plan["logs"]] == ["koprogo-api"]


def test_questions_about_what_the_inventory_lacks_are_left_out() -> None:
    groups = {**THREE, "all": ["mon1", "api1"], "database": []}
    options = {
        "promql": [
            {"name": "a", "query": "a", "job": "postgresql"},
            {"name": "b", "query": "b", "job": "koprogo-api"},
            {"name": "c", "query": "c"},
        ],
        "logql": [
            {"name": "d", "query": "d", "job": "postgresql"},
            {"name": "e", "query": "e", "job": "system"},
        ],
        "metrics": {"postgresql": ["pg_up"], "node": ["node_load1"]},
    }
    variables = hostvars(groups, prometheus_retention="15d", grafana_admin_password="s3cret")
    plan = monitoring_plan("mon1", groups, variables, marks=[], options=options)
    assert [q["name"] for q in plan["promql"]] == ["b", "c"]
    assert [q["name"] for q in plan["logql"]] == ["e"]
    assert list(plan["metrics"]) == ["node"]
    assert plan["prometheus"]["retention"] == "15d"
    assert plan["prometheus"]["url"] == "http://127.0.0.1:9007"
    assert plan["alertmanager"]["members"] == 1
    assert plan["grafana_password"] == "s3cret"
    jobs = {(t["job"], t["instance"]): t["unit"] for t in plan["prometheus"]["targets"]}
    assert jobs[("koprogo-api", "api1")] == "koprogo-api.service"
    assert jobs[("node", "mon1")] == "prometheus-node-exporter.service"


def test_an_omitted_component_is_not_asked() -> None:
    variables = hostvars(THREE, koprogo_omit=["grafana"])
    plan = monitoring_plan("mon1", THREE, variables, marks=[], options={})
    assert "grafana" not in plan
    assert "grafana_password" not in plan


def check(name: str, where: str, result: str = "passed", evidence: str = "fine") -> dict[str, str]:
    look = "systemctl status x" if result == "failed" else ""
    return {"check": name, "where": where, "result": result, "evidence": evidence, "look": look}


def test_hosts_that_agree_share_a_row_and_failures_stand_alone() -> None:
    found = rows(
        [
            check("units", "a"),
            check("units", "b", "failed", "x is dead"),
            check("targets", "a"),
            check("units", "c"),
            check("units", "d", "failed", "y is dead"),
            check("units", "d", "failed", "y is dead"),
        ]
    )
    assert [(r.check, r.where, r.result) for r in found] == [
        ("units", "b", "failed"),
        ("units", "d", "failed"),
        ("units", "a, c", "passed"),
        ("targets", "a", "passed"),
    ]
    assert counts(found) == {"passed": 2, "failed": 2, "skipped": 0}
    assert failures(found)[0] == "units, b: x is dead\n   look on b: systemctl status x"


def test_thirty_hosts_are_one_row() -> None:
    many = [check("units", f"h{n}", evidence=f"{n % 2 + 7} run") for n in range(30)]
    found = rows(many)
    assert [(r.where, r.evidence) for r in found] == [
        ("30 hosts", "7 run on h0, alike on the others")
    ]
    assert len(found[0].hosts) == 30


def test_the_table_keeps_its_width_and_loses_no_word() -> None:
    words = " ".join(f"word{n}" for n in range(60))
    text = table(rows([check("units", "a", "failed", words)]), width=100)
    assert max(map(len, text.splitlines())) <= 100
    assert " ".join(text.split()).endswith("word59")
    assert "FAILED" in text
