"""One server for everything: the same stack without a door."""

from __future__ import annotations

import os
from typing import Any

from tests.integration.ask import logql, promql, sockets, targets_up, wait_for

testinfra_hosts = ["ansible://monitoring"]
BOX = "single-box1"
JOBS = {
    "prometheus",
    "alertmanager",
    "loki",
    "blackbox",
    "node",
    "log-collector",
    "postgresql",
    "koprogo-business",
    "koprogo-api",
    "koprogo-api-health",
    "probe",
    *(("grafana",) if os.environ.get("GRAFANA_DEB") else ()),
}


def test_every_expected_target_is_up_and_no_other(host: Any) -> None:
    found = wait_for(lambda: targets_up(host), seconds=60, what="all targets up")
    assert {job for job, _instance in found} == JOBS
    assert {instance for _job, instance in found} == {BOX}


def state_of(host: Any, alert: str) -> str:
    """What Prometheus itself makes of an alert: an empty string, pending or firing."""
    found = promql(host, f'ALERTS{{alertname="{alert}"}}')
    return found[0]["metric"]["alertstate"] if found else ""


def test_an_address_of_the_users_that_gives_no_answer_is_told(host: Any) -> None:
    assert state_of(host, "ProbeFailed") == ""
    host.run_test("systemctl stop koprogo-api")
    try:
        wait_for(
            lambda: state_of(host, "ProbeFailed"), seconds=60, what="an alert that waits its time"
        )
    finally:
        host.run_test("systemctl start koprogo-api")
    wait_for(lambda: not state_of(host, "ProbeFailed"), seconds=60, what="no alert")


def test_nothing_of_ours_listens_beyond_loopback(host: Any) -> None:
    wide = {
        where: process
        for where, process in sockets(host).items()
        if not where.startswith(("127.", "[::1]")) and process not in ("sshd", "postgres")
    }
    assert wide == {}


def test_there_is_no_door_and_no_certificate(host: Any) -> None:
    assert not host.file("/etc/koprogo/pki").exists
    assert not host.file("/etc/koprogo/metrics_gateway").exists
    assert not host.file("/etc/koprogo/firewall").exists


def test_metrics_and_logs_flow(host: Any) -> None:
    assert wait_for(lambda: promql(host, "pg_up == 1"), seconds=60, what="pg_up")
    assert wait_for(
        lambda: logql(host, '{job="koprogo-api"} | json | status >= 200', since=900),
        seconds=60,
        what="lines of the API",
    )
