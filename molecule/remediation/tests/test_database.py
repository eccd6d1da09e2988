"""PostgreSQL 15 and 17, killed, damaged, crowded and locked."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import pytest

from tests.integration.remedy import (
    BOXES,
    FLOOD,
    host_of,
    psql,
    remediate,
    session,
    task,
)

testinfra_hosts = ["ansible://database"]


@pytest.mark.parametrize("box", BOXES)
def test_a_killed_database_comes_back_and_its_lock_file_is_explained(box: str) -> None:
    host = host_of(box)
    host.check_output("pkill -9 -u postgres postgres; sleep 2")
    # What a loss of power leaves: nobody tidied up.
    data = host.check_output("pg_lsclusters -h").split()[5]
    host.check_output(
        f"echo 4194000 > {data}/postmaster.pid && chown postgres: {data}/postmaster.pid"
    )
    predicted = task(box, "postgresql_recovery", check=True)
    assert predicted["condition"] == "down"
    assert predicted["lock_file"]["state"] == "stale"
    assert predicted["changed"]
    outcome = remediate("database_down", box=box)
    assert outcome.rc == 0, outcome.text
    assert psql(host, "SELECT 1") == "1"


@pytest.mark.parametrize("box", BOXES)
def test_signs_of_damage_lead_to_disaster_recovery(box: str) -> None:
    host = host_of(box)
    log = host.check_output("pg_lsclusters -h").split()[6]
    host.check_output("systemctl stop 'postgresql@*'")
    host.check_output(f"cp -p {log} {log}.aside")
    stamp = host.check_output("date -u '+%F %T.000 UTC'")
    host.check_output(
        f"echo '{stamp} [1] PANIC:  could not locate a valid checkpoint record' >> {log}"
    )
    try:
        outcome = remediate("database_down", box=box)
    finally:
        host.check_output(f"mv {log}.aside {log}")
    assert outcome.rc != 0
    assert "go to disaster recovery" in outcome.text
    assert "down" in host.check_output("pg_lsclusters -h")


@pytest.mark.parametrize("box", BOXES)
def test_forgotten_transactions_are_ended_and_nobody_else(box: str) -> None:
    host = host_of(box)
    choice: dict[str, Any] = {
        "states": ["idle in transaction"],
        "min_age": 1,
        "action": "terminate",
    }
    with (
        session(box, "BEGIN; SELECT 1;", name="forgotten"),
        session(box, "BEGIN; SELECT 1;", name="pg_dump"),
        session(box, "BEGIN; SELECT 1;", name="admin", user="postgres"),
    ):
        predicted = task(box, "postgresql_sessions", check=True, **choice)
        assert [row["application"] for row in predicted["sessions"]] == ["forgotten"]
        assert predicted["left_alone"] == {"backup": 1, "superuser": 1}
        done = task(box, "postgresql_sessions", **choice)
        assert done["terminated"] == [predicted["sessions"][0]["pid"]]
        assert done["outcome"] == "resolved"
        names = psql(
            host, "SELECT application_name FROM pg_stat_activity WHERE state LIKE 'idle in%'"
        )
        assert sorted(names.splitlines()) == ["admin", "pg_dump"]
        again = task(box, "postgresql_sessions", **choice)
        assert not again["changed"]


@pytest.mark.parametrize("box", BOXES)
def test_a_runaway_query_is_cancelled_and_its_session_lives(box: str) -> None:
    host = host_of(box)
    with session(box, "SELECT pg_sleep(120);", name="runaway"):
        choice: dict[str, Any] = {"states": ["active"], "min_age": 1, "applications": ["runaway"]}
        done = task(box, "postgresql_sessions", **choice)
        assert len(done["cancelled"]) == 1
        assert done["terminated"] == []
        state = psql(host, "SELECT state FROM pg_stat_activity WHERE application_name = 'runaway'")
        assert state == "idle"


@pytest.mark.parametrize("box", BOXES)
def test_it_gets_in_when_all_ordinary_connections_are_taken(box: str) -> None:
    host = host_of(box)
    # Bare connections: a hundred clients would take longer to start than the test may last.
    flood = subprocess.Popen(
        ["docker", "exec", "-i", "-u", "postgres", box, "python3", "-", "110"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert flood.stdin is not None
    assert flood.stdout is not None
    flood.stdin.write(FLOOD)
    flood.stdin.close()
    try:
        assert int(flood.stdout.readline()) >= 80
        assert host.run("psql -h /var/run/postgresql -U clerk -d koprogo_db -c 'SELECT 1'").rc != 0
        time.sleep(1.5)
        seen = task(box, "postgresql_activity_info", database="koprogo_db")
        assert seen["free"] <= 0
        assert seen["states"]["idle in transaction"] >= 80
        outcome = remediate(
            "database_connections_high",
            box=box,
            remediation_idle_in_transaction_seconds=1,
            remediation_max_sessions=20,
        )
        assert outcome.rc == 0, outcome.text
        assert "resolved" in outcome.text
        assert task(box, "postgresql_activity_info")["free"] >= 15
    finally:
        flood.kill()
        host.run("pkill -f 'python3 - 110'")


@pytest.mark.parametrize("box", BOXES)
def test_who_blocks_whom_is_told(box: str) -> None:
    host = host_of(box)
    psql(host, "CREATE TABLE IF NOT EXISTS queue (id int); ALTER TABLE queue OWNER TO clerk")
    with (
        session(box, "BEGIN; LOCK TABLE queue;", name="holder"),
        session(box, "SELECT * FROM queue WHERE id = 42;", name="waiter"),
    ):
        seen = task(box, "postgresql_activity_info", database="koprogo_db")
    (chain,) = seen["blocking"]
    (waiting,) = seen["waiting"]
    assert chain["application"] == "holder"
    assert chain["waiting"] == [waiting["pid"]]
    assert waiting["relation"] == "queue"
    assert waiting["query"] == "SELECT * FROM queue WHERE id = ?;"
