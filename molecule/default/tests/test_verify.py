"""What playbooks/verify.yml says of a healthy stack, and of one with a fault of each kind."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.integration.ask import targets_up, wait_for
from tests.integration.boxes import Box
from tests.integration.play import Outcome, run_playbook

testinfra_hosts = ["ansible://monitoring"]

MON, API, DB = "stack-mon1", "stack-api1", "stack-db1"
# A fault and its undoing, as systemctl's commands for a unit.
FAULTS = [
    (DB, "prometheus-postgres-exporter", "stop", "start"),
    (DB, "prometheus-node-exporter", "disable", "enable"),
    (API, "log-collector", "stop", "start"),
    (MON, "prometheus-alertmanager", "stop", "start"),
]
# What a failed row has to say: check, host, part of its evidence.
EXPECTED = [
    ("units run", DB, "prometheus-postgres-exporter.service: inactive"),
    ("units run", DB, "prometheus-node-exporter.service: runs but is disabled"),
    ("units run", API, "log-collector"),
    ("units run", MON, "prometheus-alertmanager.service: inactive"),
    ("targets up", DB, "postgresql of stack-db1 is down"),
    ("targets up", API, "log-collector of stack-api1 is down"),
]
# All that is asked of a stack like this one; what is asked of Grafana too depends on whether it can be had.
CHECKS = {
    *("units run", "units hardened", "sockets closed to strangers", "marked line written"),
    *("targets up", "configuration loaded", "rules evaluate", "alerts have somewhere to go"),
    *("retention of metrics", "retention of logs", "Alertmanager cluster", "notifications"),
    *(f"metrics of {job}" for job in ("prometheus", "alertmanager", "loki", "node")),
    *(f"metrics of {job}" for job in ("koprogo-api", "koprogo-api-health")),
    *(f"metrics of {job}" for job in ("postgresql", "koprogo-business")),
    *(f"log arrives: {job}" for job in ("koprogo-api", "postgresql", "system", "auth")),
    *(f"log arrives: {job}" for job in ("prometheus", "alertmanager", "loki", "log_collector")),
    *(f"log arrives: {job}" for job in ("node_exporter", "postgres_exporter", "sql_exporter")),
    *(f"log arrives: {job}" for job in ("blackbox_exporter", "metrics_gateway")),
    *(f"LogQL: {name}" for name in ("API errors", "slow requests", "failed logins")),
    "LogQL: database errors",
    *(f"PromQL: {name}" for name in ("processor in use", "memory in use", "disk in use")),
    *(f"PromQL: {name}" for name in ("network received", "network sent", "database size")),
    *(f"PromQL: {name}" for name in ("database connections", "commits", "rollbacks")),
    *(f"PromQL: {name}" for name in ("probes succeed", "PostgreSQL answers", "exporters work")),
    *(f"PromQL: alert {name}" for name in ("1, API down", "2, database down", "3, disk full")),
    *(f"PromQL: alert {name}" for name in ("4, error rate", "5, memory", "6, slow API")),
    *(f"PromQL: alert {name}" for name in ("7, processor", "8, connections")),
}


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """Where the playbook is told to write its findings."""
    return tmp_path / "report.json"


def _verify(report: Path, **options: Any) -> tuple[Outcome, dict[str, Any]]:
    variables = json.dumps({"verify_report": str(report), **options})
    outcome = run_playbook("playbooks/verify.yml", "--extra-vars", variables)
    return outcome, json.loads(report.read_text(encoding="utf-8"))


def test_a_healthy_stack_passes(host: Any, report: Path) -> None:
    wait_for(lambda: targets_up(host), seconds=60, what="all targets up")
    outcome, found = _verify(report)
    assert outcome.rc == 0, outcome.text
    assert found["ok"] and found["failures"] == []
    asked = {row["check"] for row in found["rows"]}
    of_grafana = {
        check for check in asked if re.search("grafana|data source|dashboards", check.lower())
    }
    assert of_grafana
    assert asked - of_grafana == CHECKS
    rows = {
        (row["check"], name)
        for row in found["rows"]
        for name in row["hosts"]
        if row["result"] == "passed"
    }
    assert {("units run", name) for name in (MON, API, DB)} <= rows
    assert {("targets up", MON), ("retention of metrics", MON)} <= rows
    assert f"{found['counts']['passed']} ok, 0 failed" in outcome.text
    assert "changed=0" in outcome.text


def test_each_fault_is_named_with_where_to_look(host: Any, report: Path) -> None:
    for name, unit, fault, _undo in FAULTS:
        Box(name).sh(f"systemctl {fault} {unit}")
    try:
        wait_for(
            lambda: not targets_up(host), seconds=60, what="a target seen as down by Prometheus"
        )
        outcome, found = _verify(report, verify_timeout=15)
    finally:
        for name, unit, _fault, undo in FAULTS:
            Box(name).sh(f"systemctl {undo} {unit}")
    assert outcome.rc != 0
    assert not found["ok"]
    wrong = [row for row in found["rows"] if row["result"] == "failed"]
    for check, where, evidence in EXPECTED:
        assert any(
            row["check"] == check and row["where"] == where and evidence in row["evidence"]
            for row in wrong
        ), f"{check} at {where} with {evidence!r} is not among {wrong}"
    # The lines that were written on the host of the stopped collector did not arrive, the others did.
    lost = [row for row in wrong if row["check"].startswith("log arrives")]
    assert {row["where"] for row in lost} == {API}, lost
    assert all(row["look"] for row in wrong)
    assert "checks failed. The table above says which" in outcome.text
    wait_for(lambda: targets_up(host), seconds=60, what="all targets up after the faults")


def test_a_host_that_is_down_is_a_finding(host: Any, report: Path) -> None:
    with Box(DB).frozen():
        outcome, found = _verify(report, verify_timeout=5, ansible_timeout=5)
    assert outcome.rc != 0
    assert any(row["check"] == "host answers" and row["where"] == DB for row in found["rows"])
    wait_for(lambda: targets_up(host), seconds=60, what="all targets up after the pause")
