"""The PostgreSQL exporter, asked over its own port and judged by what the database lets it do."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any

import pytest
import testinfra

from tests.integration.ask import get, wait_for
from tests.integration.play import Outcome, run_playbook

testinfra_hosts = ["ansible://database"]

BOXES = ("postgres-box12", "postgres-box13")
CONVERGE = "molecule/postgres_exporter/converge.yml"
UNIT = "prometheus-postgres-exporter.service"
ROLE = "postgres_exporter"
COUNT_ROLE = "SELECT count(*) FROM pg_roles WHERE rolname = 'postgres_exporter'"


def converge(*arguments: str, **variables: object) -> Outcome:
    return run_playbook(CONVERGE, "-e", json.dumps(variables), *arguments)


def boxes() -> list[Any]:
    return [testinfra.get_host(f"docker://{name}") for name in BOXES]


def metrics(host: Any) -> str:
    return get(host, "http://127.0.0.1:9187/metrics")


def value(host: Any, series: str) -> float | None:
    found = re.search(rf"^{re.escape(series)} (\S+)$", metrics(host), re.MULTILINE)
    return float(found[1]) if found else None


def pg_up(host: Any) -> bool:
    return value(host, "pg_up") == 1


def psql(host: Any, query: str, *, user: str = "postgres", database: str = "koprogo_db") -> Any:
    return host.run("runuser -u %s -- psql -Atq -d %s -c %s", user, database, query)


def main_unit(host: Any) -> str:
    return f"postgresql@{host.check_output('ls /etc/postgresql')}-main"


@pytest.mark.parametrize(
    "name",
    [
        "pg_up",
        "pg_stat_activity_count",
        "pg_database_size_bytes",
        "pg_stat_database_xact_commit",
        "pg_stat_database_xact_rollback",
        "pg_stat_database_blks_hit",
        "pg_stat_database_blks_read",
        "pg_locks_count",
        "pg_settings_max_connections",
        "pg_stat_activity_max_tx_duration",
        "pg_stat_database_sessions_abandoned",
        "pg_stat_database_sessions_fatal",
        "pg_stat_database_sessions_killed",
        "pg_exporter_last_scrape_error",
    ],
)
def test_what_alerts_and_dashboards_need_is_there(host: Any, name: str) -> None:
    assert re.search(rf"^{name}[ {{]", metrics(host), re.MULTILINE)


def test_checkpoints_are_counted_where_the_server_does(host: Any) -> None:
    def counted() -> tuple[float, ...]:
        names = ("pg_stat_bgwriter_checkpoints_req", "pg_stat_checkpointer_num_requested")
        series = re.findall(rf"^((?:{'|'.join(names)})_total\S*) ", metrics(host), re.MULTILINE)
        return tuple(value(host, one) or 0 for one in series)

    before = counted()
    assert len(before) == 1
    psql(host, "CHECKPOINT")
    wait_for(lambda: counted()[0] > before[0], seconds=10, what="one checkpoint more")


def test_no_collector_fails(host: Any) -> None:
    text = metrics(host)
    assert "pg_exporter_last_scrape_error 0" in text
    assert not re.search(r"^pg_scrape_collector_success\S* 0$", text, re.MULTILINE)
    assert re.search(r'^pg_database_size_bytes{datname="koprogo_db"\S* \d', text, re.MULTILINE)


def test_it_may_see_statistics_and_nothing_else(host: Any) -> None:
    assert psql(host, "SELECT count(*) FROM pg_stat_activity", user=ROLE).rc == 0
    for query in (
        "SELECT email FROM users",
        "SELECT count(*) FROM payments",
        "BEGIN READ WRITE; CREATE TABLE public.mine ()",
        "SET ROLE postgres",
        "SELECT pg_read_file('/etc/passwd')",
        "ALTER SYSTEM SET work_mem = '1GB'",
        "SELECT rolpassword FROM pg_authid",
    ):
        refused = psql(host, query, user=ROLE)
        assert refused.rc != 0, query
        assert "permission denied" in refused.stderr, refused.stderr


def test_nobody_else_signs_in_as_the_exporter(host: Any) -> None:
    assert (
        "koprogo:SCRAM"
        in psql(
            host,
            "SELECT rolname || ':' || rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL",
        ).stdout
    )
    assert (
        psql(
            host, "SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'postgres_exporter'"
        ).stdout
        == "t\n"
    )
    for user in ("nobody", "prometheus"):
        login = host.run("runuser -u %s -- psql -U %s -d postgres -c 'SELECT 1'", user, ROLE)
        assert login.rc != 0
        assert "Peer authentication failed" in login.stderr


def test_how_it_connects_is_in_no_command_line_and_no_unit(host: Any) -> None:
    assert (
        "application_name" in host.file("/etc/koprogo/postgres_exporter/environment").content_string
    )
    assert host.file("/etc/koprogo/postgres_exporter/environment").mode == 0o600
    assert "application_name" not in host.check_output("systemctl cat %s", UNIT)
    process = host.process.get(user=ROLE)
    assert "dbname" not in process.args
    assert "--web.listen-address=127.0.0.1:9187" in process.args


def test_pg_up_follows_the_database(host: Any) -> None:
    unit = main_unit(host)
    host.check_output("systemctl stop %s", unit)
    try:
        wait_for(lambda: value(host, "pg_up") == 0, seconds=30, what="pg_up 0")
        assert host.service(UNIT).is_running
    finally:
        host.check_output("systemctl start %s", unit)
    wait_for(lambda: value(host, "pg_up") == 1, seconds=30, what="pg_up 1")


def test_a_second_run_and_a_check_run_change_nothing() -> None:
    for arguments in ([], ["--check", "--diff"]):
        outcome = converge(*arguments)
        assert outcome.rc == 0, outcome.text
        assert outcome.text.count("changed=0") == len(BOXES), outcome.text


def test_a_role_that_grew_is_cut_back() -> None:
    for host in boxes():
        for grown in ("SUPERUSER", "PASSWORD 'x'", "CONNECTION LIMIT 99"):
            assert psql(host, f"ALTER ROLE {ROLE} {grown}").rc == 0
        assert psql(host, f"GRANT pg_write_all_data TO {ROLE}").rc == 0
        assert psql(host, f"GRANT TEMP ON DATABASE koprogo_db TO {ROLE}").rc == 0
    predicted, outcome = converge("--check", "--diff"), converge()
    for run in (predicted, outcome):
        assert run.rc == 0, run.text
        assert run.text.count("changed=1") == len(BOXES), run.text
    assert f"REVOKE pg_write_all_data FROM {ROLE};" in predicted.text
    assert f"REVOKE TEMPORARY ON DATABASE koprogo_db FROM {ROLE};" in predicted.text
    for host in boxes():
        assert (
            psql(host, "SELECT rolsuper FROM pg_roles WHERE rolname = 'postgres_exporter'").stdout
            == "f\n"
        )


def test_statements_on_request() -> None:
    for host in boxes():
        assert "pg_stat_statements_calls_total" not in metrics(host)
    outcome = converge(postgres_exporter_stat_statements=True)
    assert outcome.rc == 0, outcome.text
    for host in boxes():
        assert value(host, "pg_up") == 1
        found = re.findall(r"^pg_stat_statements_(\w+){", metrics(host), re.MULTILINE)
        assert {"calls_total", "seconds_total", "rows_total"} <= set(found)
        assert "pg_exporter_last_scrape_error 0" in metrics(host)
    assert converge().rc == 0
    for host in boxes():
        assert "pg_stat_statements_calls_total" not in metrics(host)


def test_a_connection_of_the_users_own_keeps_every_character_and_its_secret() -> None:
    """The characters that mean something to systemd, a shell or the connection string."""
    password = "p\"a\\s$HOME`w`%d'x"
    escaped = password.replace("\\", "\\\\").replace("'", "\\'")
    source = f"user=elsewhere password='{escaped}' host=127.0.0.1 port=5432 dbname=koprogo_db sslmode=disable"
    own = "user=elsewhere"
    sql = password.replace("'", "''")
    for host in boxes():
        made = psql(host, f"CREATE ROLE elsewhere LOGIN IN ROLE pg_monitor PASSWORD '{sql}'")
        assert made.rc == 0, made.stderr
    try:
        shown = [
            converge("--diff", *mode, postgres_exporter_data_source=source)
            for mode in (["--check"], [])
        ]
        for outcome in shown:
            assert outcome.rc == 0, outcome.text
            assert "HOME" not in outcome.text
        for host in boxes():
            assert value(host, "pg_up") == 1
            file = host.file("/etc/koprogo/postgres_exporter/environment")
            assert (file.user, file.mode) == ("root", 0o600)
            assert own in file.content_string
            seen = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'elsewhere'"
            assert wait_for(partial(sessions, host, seen), seconds=20, what="its session")
            shown_by_host = (
                f"systemctl show {UNIT}; ps axww -o args; journalctl -u {UNIT} --no-pager"
            )
            assert "$HOME`w`" not in host.check_output(shown_by_host)
        again = converge(postgres_exporter_data_source=source)
        assert again.text.count("changed=0") == len(BOXES)
    finally:
        assert converge().rc == 0
        for host in boxes():
            assert psql(host, "DROP ROLE elsewhere").rc == 0


def sessions(host: Any, query: str) -> int:
    metrics(host)
    return int(psql(host, query).stdout)


def test_a_flag_that_it_refuses_is_taken_back() -> None:
    outcome = converge(postgres_exporter_extra_flags=["--no-such-flag"])
    assert outcome.rc != 0
    assert "no-such-flag" in outcome.text
    for host in boxes():
        wait_for(partial(pg_up, host), seconds=30, what="the old configuration")


def test_a_database_that_is_down_is_said_plainly() -> None:
    down = boxes()[0]
    down.check_output("systemctl stop %s", main_unit(down))
    try:
        outcome = converge("-l", BOXES[0])
    finally:
        down.check_output("systemctl start %s", main_unit(down))
    assert outcome.rc != 0
    assert "PostgreSQL, database koprogo_db: expected an answer" in outcome.text
    assert "Is it running" in outcome.text


def test_absence_and_anothers_role() -> None:
    assert converge(postgres_exporter_state="absent").rc == 0
    for host in boxes():
        assert not host.service(UNIT).is_running
        assert not host.file("/etc/koprogo/postgres_exporter").exists
        assert not host.file(f"/etc/systemd/system/{UNIT}.d/50-koprogo.conf").exists
        assert psql(host, COUNT_ROLE).stdout == "0\n"
        assert host.socket("tcp://127.0.0.1:5432").is_listening
        assert psql(host, f"CREATE ROLE {ROLE}").rc == 0
    assert converge(postgres_exporter_state="absent").text.count("changed=0") == len(BOXES)
    refused = converge()
    assert refused.rc != 0
    assert "was not made by this collection" in refused.text
    for host in boxes():
        assert psql(host, f"DROP ROLE {ROLE}").rc == 0
    assert converge().rc == 0
    for host in boxes():
        assert value(host, "pg_up") == 1
