"""Remedies on a real API and a real PostgreSQL 15 and 17 that are really broken, with the ledger between."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra

from tests.integration.ask import wait_for
from tests.integration.play import ROOT, Outcome, run_playbook

testinfra_hosts = ["ansible://database"]

BOXES = ("remedy-box12", "remedy-box13")
LEDGER = "/var/lib/koprogo/remediation/ledger.jsonl"
HEALTH = "http://127.0.0.1:8080/health"

# Opens connections and a transaction in each, says how many there were, and holds them.
FLOOD = """
import socket, struct, sys, time
def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body
held = []
for _ in range(int(sys.argv[1])):
    one = socket.socket(socket.AF_UNIX)
    one.connect("/var/run/postgresql/.s.PGSQL.5432")
    words = b"user\\0clerk\\0database\\0koprogo_db\\0application_name\\0flood\\0\\0"
    one.sendall(message(b"", struct.pack("!I", 196608) + words))
    if one.recv(1) == b"R":
        one.sendall(message(b"Q", b"BEGIN\\0"))
        held.append(one)
print(len(held), flush=True)
time.sleep(120)
"""


def remediate(alert: str, *arguments: str, box: str = "", **variables: object) -> Outcome:
    """A remediation's playbook as the one on call types it."""
    limit = ["-l", box] if box else []
    playbook = f"playbooks/remediate/{alert}.yml"
    return run_playbook(playbook, *limit, "-e", json.dumps(variables), *arguments)


def task(box: str, module: str, *, check: bool = False, **options: object) -> dict[str, Any]:
    """The result of one module on one host, a failure too."""
    play = {
        "hosts": box,
        "gather_facts": False,
        "tasks": [
            {
                "name": "It",
                "ignore_errors": True,
                f"koprogo.observability.{module}": options,
            }
        ],
    }
    path = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "task.json"
    path.write_text(json.dumps([play]))
    program = str(Path(sys.executable).parent / "ansible-playbook")
    done = subprocess.run(
        [
            program,
            "-i",
            os.environ["MOLECULE_INVENTORY_FILE"],
            str(path),
            *(["--check"] if check else []),
        ],
        cwd=ROOT,
        env=os.environ
        | {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    begin = done.stdout.find("{")
    assert begin >= 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout[begin:])["plays"][0]["tasks"][0]["hosts"][box]
    assert "Traceback" not in str(result), result
    return result


def host_of(box: str) -> Any:
    return testinfra.get_host(f"docker://{box}")


def psql(host: Any, query: str) -> str:
    return str(
        host.check_output("runuser -u postgres -- psql -Atq -d koprogo_db -c %s", query)
    ).strip()


@contextlib.contextmanager
def session(
    box: str, sql: str, *, name: str, user: str = "clerk", hold: int = 300
) -> Iterator[None]:
    """A client that sends SQL and then keeps its connection open for a while."""
    host = host_of(box)
    host.run("runuser -u postgres -- psql -qc 'CREATE ROLE clerk LOGIN'")
    host.run("runuser -u postgres -- psql -qd koprogo_db -c 'GRANT ALL ON SCHEMA public TO clerk'")
    client = f"psql -q -h /var/run/postgresql -U {user} -d koprogo_db"
    command = f'( echo "{sql}"; sleep {hold} ) | PGAPPNAME={name} {client}'
    connected = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'"  # noqa: S608
    process = subprocess.Popen(
        ["docker", "exec", "-u", "postgres", box, "sh", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(lambda: psql(host, connected) != "0", seconds=15, what=f"the session {name}")
        time.sleep(1.2)
        yield
    finally:
        process.kill()
        host.run(f"pkill -f 'sleep {hold}'")


@pytest.fixture(autouse=True)
def fresh_ledger() -> Iterator[None]:
    """Each test has its cool-down to itself."""
    for box in BOXES:
        host_of(box).check_output(f"rm -f {LEDGER} /run/koprogo/remediation* || true")
    yield
    for box in BOXES:
        host = host_of(box)
        host.check_output("koprogo-api faults clear")
        host.check_output("systemctl reset-failed; systemctl start postgresql koprogo-api")


@pytest.fixture(scope="module", autouse=True)
def clerks() -> None:
    """An ordinary user of the database signs in through the socket."""
    for box in BOXES:
        host = host_of(box)
        host.check_output(
            "f=$(ls -d /etc/postgresql/*/main)/pg_hba.conf; "
            "grep -q clerk $f || sed -i '1i local all clerk trust' $f; systemctl reload postgresql"
        )


def ledger(box: str) -> list[dict[str, Any]]:
    text = host_of(box).run(f"cat {LEDGER}").stdout
    return [json.loads(line) for line in text.splitlines()]


# The limit


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ([], "expected --limit with the alert's host, found none"),
        (["-l", "all"], "found 'all'"),
        (["-l", "*"], "found '*'"),
        (["-l", "!remedy-box12"], "found '!remedy-box12'"),
        (["-l", "database"], "found 'database'"),
        (["-l", "~remedy.*"], "found '~remedy.*'"),
        (["-l", "remedy-box12,remedy-box13"], "expected at most 1 hosts in one run, found 2"),
        (["-e", "ansible_limit=remedy-box12"], "expected a play on remedy-box12 alone"),
    ],
)
def test_a_run_on_other_hosts_than_were_named_is_refused(limit: list[str], expected: str) -> None:
    for box in BOXES:
        host_of(box).check_output("systemctl stop koprogo-api")
    outcome = remediate("api_down", *limit)
    assert outcome.rc != 0
    assert "REFUSED" in outcome.text
    assert expected in outcome.text.replace("''", "'"), outcome.text
    for box in BOXES:
        assert not host_of(box).service("koprogo-api").is_running


# The API


@pytest.mark.parametrize("box", BOXES)
def test_a_hung_api_is_found_predicted_restarted_and_cools_down(box: str) -> None:
    host = host_of(box)
    host.check_output("koprogo-api faults on hang")
    wait_for(
        lambda: (
            host.run(
                f"timeout 2 python3 -c 'import urllib.request as u;u.urlopen(\"{HEALTH}\")'"
            ).rc
            != 0
        ),
        seconds=20,
        what="a hang",
    )
    before = host.check_output("systemctl show -P MainPID koprogo-api")
    predicted = remediate("api_down", "--check", box=box)
    assert predicted.rc == 0, predicted.text
    assert "predicted. a real run would act" in predicted.text
    assert host.check_output("systemctl show -P MainPID koprogo-api") == before
    assert ledger(box) == []
    outcome = remediate("api_down", box=box)
    assert outcome.rc == 0, outcome.text
    assert "resolved" in outcome.text
    assert host.check_output("systemctl show -P MainPID koprogo-api") != before
    assert [(e["phase"], e.get("outcome")) for e in ledger(box)] == [
        ("begin", None),
        ("end", "resolved"),
    ]
    again = remediate("api_down", box=box)
    assert (again.rc, "changed=0" in again.text) == (0, True), again.text
    host.check_output("systemctl stop koprogo-api")
    refused = remediate("api_down", box=box)
    assert refused.rc != 0
    assert "REFUSED" in refused.text
    assert "may again in" in refused.text


def test_an_api_whose_database_is_down_is_not_restarted() -> None:
    box = BOXES[0]
    host = host_of(box)
    host.check_output("systemctl stop postgresql@15-main koprogo-api")
    outcome = remediate("api_down", box=box)
    assert outcome.rc != 0
    assert "the cause is elsewhere (PostgreSQL: 127.0.0.1:5432 does not answer" in outcome.text
    assert not host.service("koprogo-api").is_running


def test_a_port_that_another_holds_is_named() -> None:
    box = BOXES[1]
    host = host_of(box)
    host.check_output("systemctl stop koprogo-api")
    squatter = subprocess.Popen(
        [
            "docker",
            "exec",
            box,
            "timeout",
            "60",
            "python3",
            "-m",
            "http.server",
            "-b",
            "127.0.0.1",
            "8080",
        ]
    )
    try:
        wait_for(
            lambda: host.socket("tcp://127.0.0.1:8080").is_listening,
            seconds=10,
            what="the squatter",
        )
        outcome = remediate("api_down", box=box)
    finally:
        host.run("pkill -f http.server")
        squatter.wait(timeout=20)
    assert outcome.rc != 0
    assert "127.0.0.1:8080 is served by" in outcome.text
    assert "python3" in outcome.text


def test_an_api_that_a_restart_does_not_cure_is_not_called_resolved() -> None:
    box = BOXES[0]
    host = host_of(box)
    host.check_output(
        "systemctl stop koprogo-api && mv /usr/local/bin/koprogo-api /usr/local/bin/aside"
    )
    host.check_output(
        "printf '#!/bin/sh\\necho no such setting >&2\\nexit 3\\n' > /usr/local/bin/koprogo-api"
    )
    host.check_output("chmod +x /usr/local/bin/koprogo-api")
    try:
        outcome = remediate("api_down", box=box)
    finally:
        host.check_output("mv /usr/local/bin/aside /usr/local/bin/koprogo-api")
    assert outcome.rc != 0
    assert "NOT_RESOLVED" in outcome.text
    assert ledger(box)[-1]["outcome"] == "not_resolved"


# The database


@pytest.mark.parametrize("box", BOXES)
def test_a_killed_database_comes_back_and_its_lock_file_is_explained(box: str) -> None:
    host = host_of(box)
    host.check_output("pkill -9 -u postgres postgres; sleep 1")
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
    choice = {"states": ["idle in transaction"], "min_age": 1, "action": "terminate"}
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
        choice = {"states": ["active"], "min_age": 1, "applications": ["runaway"]}
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


# The host


def test_a_unit_that_burns_the_processors_is_slowed_down() -> None:
    box = BOXES[0]
    host = host_of(box)
    host.check_output(
        "systemd-run --unit=burner --collect sh -c 'while :; do :; done & while :; do :; done & wait'"
    )
    try:
        refused = task(
            box,
            "process_relief",
            resource="cpu",
            action="renice",
            below=0.9,
            least_share=0.05,
            allow=["x.service"],
        )
        assert refused["code"] == "not_allowed", refused
        assert refused["offender"] == "burner.service"
        done = task(
            box,
            "process_relief",
            resource="cpu",
            action="renice",
            below=0.9,
            allow=["burner.service"],
        )
        assert done["outcome"] == "resolved", done
        pids = host.check_output("systemctl show -P MainPID burner")
        assert host.check_output(f"ps -o ni= -p {pids}").strip() == "10"
    finally:
        host.check_output("systemctl stop burner")
