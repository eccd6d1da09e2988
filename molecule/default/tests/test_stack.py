"""The three-host stack, asked over the daemons' own interfaces."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import uuid
from typing import Any

import pytest
import testinfra

from tests.integration.ask import get, logql, promql, sockets, targets_up, wait_for

testinfra_hosts = ["ansible://monitoring"]

MON, API, DB = "stack-mon1", "stack-api1", "stack-db1"
EXPECTED = {
    ("prometheus", MON),
    ("alertmanager", MON),
    ("loki", MON),
    ("blackbox", MON),
    ("blackbox", API),
    ("koprogo-api", API),
    ("koprogo-api-health", API),
    ("postgresql", DB),
    ("koprogo-business", DB),
    *(
        (job, host)
        for job in ("node", "log-collector", "metrics-gateway", "probe-doors")
        for host in (MON, API, DB)
    ),
    *((("grafana", MON),) if os.environ.get("GRAFANA_DEB") else ()),
}
# The runbook's own queries, word for word where they are well-formed.
RUNBOOK_PROMQL = [
    '100 - (avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m])) * 100)',
    "(node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes) / node_memory_MemTotal_bytes * 100",
    "rate(node_network_receive_bytes_total[5m])",
    "rate(node_network_transmit_bytes_total[5m])",
    "pg_stat_activity_count",
    'pg_database_size_bytes{datname="koprogo_db"}',
    'rate(pg_stat_database_xact_commit{datname="koprogo_db"}[5m])',
    'rate(pg_stat_database_xact_rollback{datname="koprogo_db"}[5m])',
    "rate(http_requests_errors_total[5m])",
    "http_requests_total",
    "http_request_duration_seconds_bucket",
    "db_connections_active",
    "db_query_duration_seconds_sum",
]
RUNBOOK_LOGQL = [
    '{job="koprogo-api"} |= "ERROR" | json',
    '{job="koprogo-api"} | json | duration_ms > 1000',
    '{job="koprogo-api"} |= "401" | json | path="/api/v1/auth/login"',
    '{job="postgresql"} |= "ERROR" | logfmt',
]


def test_every_expected_target_is_up_and_no_other(host: Any) -> None:
    found = wait_for(lambda: targets_up(host), seconds=60, what="all targets up")
    assert set(found) == EXPECTED


def test_retention_is_the_runbooks(host: Any) -> None:
    flags = json.loads(get(host, "http://127.0.0.1:9090/api/v1/status/flags"))["data"]
    assert flags["storage.tsdb.retention.time"] == "30d"
    assert flags["storage.tsdb.retention.size"] == "20GiB"  # as Prometheus prints 20GB
    assert flags["storage.tsdb.wal-compression"] == "true"
    assert "retention_period: 1w" in get(host, "http://127.0.0.1:3100/config")


@pytest.mark.parametrize("query", RUNBOOK_PROMQL)
def test_the_runbooks_promql_returns_data(host: Any, query: str) -> None:
    assert wait_for(lambda: promql(host, query), seconds=60, what=query)


@pytest.fixture(scope="module")
def trouble() -> None:
    """A healthy product logs no error: a few requests fail, a few are slow, a statement is wrong."""
    faults = ["docker", "exec", API, "koprogo-api", "faults"]
    subprocess.run([*faults, "on", "errors", "rate=0.5", "status=503"], check=True)
    subprocess.run([*faults, "on", "latency", "seconds=1.2", "rate=0.3"], check=True)
    time.sleep(10)
    subprocess.run([*faults, "clear"], check=True)
    statement = ["psql", "-c", "SELECT no_such_column"]
    subprocess.run(["docker", "exec", "-u", "postgres", DB, *statement], check=False)


@pytest.mark.usefixtures("trouble")
@pytest.mark.parametrize("query", RUNBOOK_LOGQL)
def test_the_runbooks_logql_returns_lines(host: Any, query: str) -> None:
    assert wait_for(lambda: logql(host, query, since=1800), seconds=60, what=query)


@pytest.mark.parametrize(
    "metric",
    [
        "koprogo_users_new",
        "koprogo_expenses_created",
        "koprogo_expenses_validated",
        "koprogo_payments_on_time_ratio",
        "koprogo_users_active",
    ],
)
def test_business_metrics_have_values(host: Any, metric: str) -> None:
    values = promql(host, f'{{__name__=~"{metric}.*"}}')
    assert values
    assert any(float(v["value"][1]) > 0 for v in values)


def test_a_line_of_the_api_log_is_found_within_seconds(host: Any) -> None:
    marker = uuid.uuid4().hex
    line = json.dumps({"remote_addr": "127.0.0.1", "level": "INFO", "message": marker})
    append = ["docker", "exec", "-i", API, "sh", "-c", "cat >> /var/log/koprogo/api.log"]
    subprocess.run(append, input=f"{line}\n", text=True, check=True)
    lines = wait_for(
        lambda: logql(host, f'{{job="koprogo-api", host="{API}"}} |= "{marker}"', since=300),
        seconds=15,
        what="the line in Loki",
        every=0.5,
    )
    assert len(lines) == 1
    assert marker in lines[0][1]


@pytest.mark.parametrize("name", [MON, API, DB])
def test_only_the_doors_answer_from_a_strangers_address(name: str) -> None:
    """The control node is no host of the inventory, so it is a stranger to the doors."""
    target = testinfra.get_host(f"docker://{name}")
    address = target.check_output("hostname -i").split()[0]
    open_to_all = {
        int(where.rsplit(":", 1)[1])
        for where, process in sockets(target).items()
        if not where.startswith(("127.", "[::1]")) and process != "sshd"
    }
    # PostgreSQL's own door to the API belongs to the product, not to the stack.
    for port in sorted(open_to_all - {5432}):
        with socket.socket() as connection:
            connection.settimeout(1)
            assert connection.connect_ex((address, port)) != 0, f"{name}:{port} answers a stranger"
    assert open_to_all - {5432} <= {9998, 4318, 9094, 22}
