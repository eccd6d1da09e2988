"""The business figures: compared with the database, and known to be old when they are."""

from __future__ import annotations

import json
import re
import time
from functools import partial
from typing import Any

import pytest
import testinfra

from tests.integration.ask import get, wait_for
from tests.integration.play import Outcome, run_playbook

testinfra_hosts = ["ansible://database"]

BOXES = ("sql-box12", "sql-box13")
CONVERGE = "molecule/sql_exporter/converge.yml"
UNIT = "prometheus-sql-exporter.service"
ROLE = "sql_exporter"
COUNT_ROLE = "SELECT count(*) FROM pg_roles WHERE rolname = 'sql_exporter'"
COLLECTED = "sql_koprogo_business_collected_timestamp_seconds"
DAYS = {"1d": 1, "7d": 7, "30d": 30}


def converge(*arguments: str, **variables: object) -> Outcome:
    return run_playbook(CONVERGE, "-e", json.dumps(variables), *arguments)


def boxes() -> list[Any]:
    return [testinfra.get_host(f"docker://{name}") for name in BOXES]


def values(host: Any, name: str) -> dict[str, float]:
    """Values of a metric by its C(window) or C(query) label, empty for none."""
    text = get(host, "http://127.0.0.1:9237/metrics")
    found: dict[str, float] = {}
    for labels, number in re.findall(rf"^{name}{{(.*)}} (\S+)$", text, re.MULTILINE):
        key = re.search(r'(?:window|query)="([^"]+)"', labels)
        found[key[1] if key else ""] = float(number)
    return found


def psql(host: Any, query: str, *, user: str = "postgres") -> Any:
    return host.run("runuser -u %s -- psql -Atq -d koprogo_db -c %s", user, query)


def main_unit(host: Any) -> str:
    return f"postgresql@{host.check_output('ls /etc/postgresql')}-main"


@pytest.mark.parametrize(
    ("metric", "count"),
    [
        (
            "sql_koprogo_users_new",
            "count(*) FROM users WHERE created_at > now() - interval '{} days'",
        ),
        (
            "sql_koprogo_users_active",
            "count(DISTINCT user_id) FROM sessions WHERE last_seen_at > now() - interval '{} days'",
        ),
        (
            "sql_koprogo_expenses_created",
            "count(*) FROM expenses WHERE created_at > now() - interval '{} days'",
        ),
        (
            "sql_koprogo_expenses_validated",
            "count(*) FROM expenses WHERE validated_at > now() - interval '{} days'",
        ),
    ],
)
def test_figures_by_window_are_the_databases(host: Any, metric: str, count: str) -> None:
    def agree() -> bool:
        truth = {w: float(psql(host, "SELECT " + count.format(d)).stdout) for w, d in DAYS.items()}
        assert truth["1d"] > 0
        return values(host, metric) == truth

    # Time passes between the two questions.
    wait_for(agree, seconds=20, what=metric)


def test_the_seeded_share_of_payments_on_time(host: Any) -> None:
    ratio = values(host, "sql_koprogo_payments_on_time_ratio")
    assert ratio == {"30d": pytest.approx(0.8, abs=0.03)}
    late = "SELECT count(*) FROM payments WHERE paid_at IS NULL AND due_date < current_date"
    assert values(host, "sql_koprogo_payments_overdue") == {"": float(psql(host, late).stdout)}


def test_a_new_user_is_counted(host: Any) -> None:
    before = values(host, "sql_koprogo_users_new")["1d"]
    insert = "INSERT INTO users (email, password_hash) VALUES (gen_random_uuid(), 'x')"
    assert psql(host, insert).rc == 0
    wait_for(
        lambda: values(host, "sql_koprogo_users_new")["1d"] == before + 1,
        seconds=20,
        what="the new user",
    )


def test_no_ratio_is_made_up_when_nothing_was_due(host: Any) -> None:
    hide = "UPDATE payments SET due_date = due_date + 1000"
    show = "UPDATE payments SET due_date = due_date - 1000"
    metric = "sql_koprogo_payments_on_time_ratio"
    assert psql(host, hide).rc == 0
    try:
        wait_for(lambda: not values(host, metric), seconds=20, what="no ratio")
        assert (
            values(host, "sql_exporter_last_scrape_failed")["koprogo_payments_on_time_ratio"] == 0
        )
    finally:
        assert psql(host, show).rc == 0
    wait_for(lambda: values(host, metric), seconds=20, what="the ratio")


def test_it_reads_dates_and_nothing_else(host: Any) -> None:
    for query in ("SELECT created_at FROM users", "SELECT count(*) FROM sessions"):
        assert psql(host, query, user=ROLE).rc == 0, query
    for query in (
        "SELECT email FROM users",
        "SELECT password_hash FROM users",
        "SELECT * FROM payments",
        "SELECT amount FROM expenses",
        "SELECT token_hash FROM sessions",
        "SELECT * FROM buildings",
        "BEGIN READ WRITE; DELETE FROM sessions",
        "SELECT rolpassword FROM pg_authid",
    ):
        refused = psql(host, query, user=ROLE)
        assert refused.rc != 0, query
        assert "permission denied" in refused.stderr, refused.stderr
    slow = psql(host, "SELECT pg_sleep(30)", user=ROLE)
    assert "statement timeout" in slow.stderr


def test_old_figures_are_known_to_be_old(host: Any) -> None:
    """The exporter serves its last values when the database is gone; two metrics tell."""
    unit = main_unit(host)
    host.check_output("systemctl stop %s", unit)
    try:
        wait_for(
            lambda: set(values(host, "sql_exporter_last_scrape_failed").values()) == {1.0},
            seconds=30,
            what="failed scrapes",
        )
        assert values(host, "sql_koprogo_users_new"), "the exporter has changed: it forgets now"
        first = values(host, COLLECTED)[""]
        time.sleep(5)
        assert values(host, COLLECTED)[""] == first
        assert time.time() - first > 5
    finally:
        host.check_output("systemctl start %s", unit)
    wait_for(
        lambda: (
            values(host, COLLECTED)[""] > time.time() - 5
            and set(values(host, "sql_exporter_last_scrape_failed").values()) == {0.0}
        ),
        seconds=60,
        what="fresh figures",
    )


def test_a_second_run_and_a_check_run_change_nothing() -> None:
    for arguments in ([], ["--check", "--diff"]):
        outcome = converge(*arguments)
        assert outcome.rc == 0, outcome.text
        assert outcome.text.count("changed=0") == len(BOXES), outcome.text


def test_a_query_of_ones_own() -> None:
    query = {
        "name": "koprogo_buildings",
        "help": "Buildings.",
        "values": ["value"],
        "query": "SELECT count(*)::float8 AS value FROM buildings",
    }
    refused = converge(sql_exporter_extra_queries=[query])
    assert refused.rc != 0
    assert "sql_exporter_last_scrape_failed" in refused.text
    for host in boxes():
        assert (
            "koprogo_buildings"
            not in host.file("/etc/koprogo/sql_exporter/sql_exporter.yml").content_string
        )
    done = converge(
        sql_exporter_extra_queries=[query],
        sql_exporter_extra_select={"buildings": ["id"], "users": ["id"]},
    )
    assert done.rc == 0, done.text
    for host in boxes():
        assert values(host, "sql_koprogo_buildings") == {"": 12.0}
        assert psql(host, "SELECT id, created_at FROM users LIMIT 1", user=ROLE).rc == 0
        assert psql(host, "SELECT name FROM buildings", user=ROLE).rc != 0
    # Without the query its privileges go too.
    assert converge().rc == 0
    for host in boxes():
        assert psql(host, "SELECT id FROM buildings", user=ROLE).rc != 0


def test_a_missing_table_is_named() -> None:
    outcome = converge(sql_exporter_extra_select={"invoices": ["id"]})
    assert outcome.rc != 0
    assert (
        "expected the table public.invoices in the database koprogo_db, found none" in outcome.text
    )


def test_absence() -> None:
    assert converge(sql_exporter_state="absent").rc == 0
    for host in boxes():
        assert not host.service(UNIT).is_running
        assert not host.file("/etc/koprogo/sql_exporter").exists
        assert psql(host, COUNT_ROLE).stdout == "0\n"
        assert psql(host, "SELECT count(*) FROM users").rc == 0
    assert converge(sql_exporter_state="absent").text.count("changed=0") == len(BOXES)
    assert converge().rc == 0
    for host in boxes():
        wait_for(partial(values, host, COLLECTED), seconds=20, what="figures again")
