"""PostgreSQL 15 and 17, killed, damaged, crowded and locked."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from tests.integration.ask import wait_for
from tests.integration.remedy import (
    BOXES,
    FLOOD,
    LEDGER,
    host_of,
    ledger,
    on_each_box,
    psql,
    remediate,
    session,
    task,
)

testinfra_hosts = ["ansible://database"]


@contextlib.contextmanager
def put_back(host: Any, path: str, *, then: str = "true") -> Iterator[None]:
    """A file that may be changed meanwhile; it is as before, and the command run, afterwards."""
    host.check_output(f"cp -p {path} {path}.aside")
    try:
        yield
    finally:
        host.check_output(f"mv {path}.aside {path} && {then}")


@on_each_box
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


def test_a_server_that_hangs_is_restarted() -> None:
    box = BOXES[0]
    host = host_of(box)
    limits = "/etc/postgresql/15/main/pg_ctl.conf"
    process = host.check_output("head -1 /var/lib/postgresql/15/main/postmaster.pid")
    with put_back(host, limits):
        # How long Debian's unit waits for a server that does not hear it; a minute by default.
        host.check_output(f"echo \"pg_ctl_options = '-t 5'\" > {limits}; kill -STOP {process}")
        done = task(box, "postgresql_recovery")
    assert (done["condition"], done["outcome"]) == ("hung", "resolved"), done
    assert psql(host, "SELECT 1") == "1"
    assert host.check_output("head -1 /var/lib/postgresql/15/main/postmaster.pid") != process


@on_each_box
def test_a_server_that_serves_others_is_left_alone(box: str) -> None:
    host = host_of(box)
    version, name, _port, _status, _owner, data = host.check_output("pg_lsclusters -h").split()[:6]
    rules = f"/etc/postgresql/{version}/{name}/pg_hba.conf"
    process = host.check_output(f"head -1 {data}/postmaster.pid")
    reload = "systemctl reload 'postgresql@*'"
    with put_back(host, rules, then=reload):
        host.check_output(f"sed -i '1i local all postgres reject' {rules} && {reload}")
        outcome = remediate("database_down", box=box)
    assert outcome.rc != 0
    assert "takes connections, and serves whoever may come in" in outcome.text
    assert host.check_output(f"head -1 {data}/postmaster.pid") == process


@on_each_box
def test_signs_of_damage_lead_to_disaster_recovery(box: str) -> None:
    host = host_of(box)
    log = host.check_output("pg_lsclusters -h").split()[6]
    host.check_output("systemctl stop 'postgresql@*'")
    stamp = host.check_output("date -u '+%F %T.000 UTC'")
    line = f"{stamp} [1] PANIC:  could not locate a valid checkpoint record"
    with put_back(host, log):
        # As the server: in a folder like that of its logs a kernel may keep root from others' files.
        host.check_output(f"echo '{line}' | runuser -u postgres -- tee -a {log}")
        outcome = remediate("database_down", box=box)
    assert outcome.rc != 0
    assert "go to disaster recovery" in outcome.text
    assert "down" in host.check_output("pg_lsclusters -h")


@on_each_box
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


@on_each_box
def test_a_runaway_query_is_cancelled_and_its_session_lives(box: str) -> None:
    host = host_of(box)
    with session(box, "SELECT pg_sleep(120);", name="runaway"):
        choice: dict[str, Any] = {"states": ["active"], "min_age": 1, "applications": ["runaway"]}
        done = task(box, "postgresql_sessions", **choice)
        assert len(done["cancelled"]) == 1
        assert done["terminated"] == []
        state = psql(host, "SELECT state FROM pg_stat_activity WHERE application_name = 'runaway'")
        assert state == "idle"


# Tables whose index takes a while to compute, for those who say so.
TENDED = """
SET client_min_messages = warning;
CREATE OR REPLACE FUNCTION slowly(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_sleep(coalesce(current_setting('slow.seconds', true), '0')::float); RETURN $1; END $$;
CREATE TABLE IF NOT EXISTS {0} (id int PRIMARY KEY); ALTER TABLE {0} OWNER TO clerk;
INSERT INTO {0} VALUES (1) ON CONFLICT DO NOTHING;
CREATE INDEX IF NOT EXISTS {0}_slowly ON {0} (slowly(id));
"""


@on_each_box
def test_maintenance_is_never_cancelled(box: str) -> None:
    host = host_of(box)
    work = {
        "clustered": "CLUSTER clustered USING clustered_pkey",
        "rewritten": "VACUUM FULL rewritten",
        "analysed": "ANALYZE analysed",
        "indexed": "REINDEX TABLE indexed",
    }
    for table in work:
        psql(host, TENDED.format(table))
    # What begins with a remark is known by its progress alone, what waits for a lock by its words.
    statements = [f"/* nightly */ {sql}" for sql in work.values()]
    statements += [
        "/* export */ COPY (SELECT pg_sleep(60)) TO STDOUT",
        "ALTER TABLE indexed SET (fillfactor = 90)",
    ]
    try:
        with contextlib.ExitStack() as stack:
            for sql in statements:
                stack.enter_context(session(box, f"SET slow.seconds = 60; {sql};", name="tending"))
            stack.enter_context(session(box, "SELECT pg_sleep(120);", name="runaway"))
            choice: dict[str, Any] = {"states": ["active"], "min_age": 1, "action": "terminate"}
            seen = task(box, "postgresql_sessions", check=True, **choice)
    finally:
        # The server does not notice that its client is gone before the statement's end.
        psql(
            host,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name IN ('tending', 'runaway')",
        )
    assert [row["application"] for row in seen["sessions"]] == ["runaway"], seen
    assert seen["left_alone"] == {"maintenance": len(statements)}


@on_each_box
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


@on_each_box
def test_who_blocks_whom_is_told(box: str) -> None:
    host = host_of(box)
    psql(host, "CREATE TABLE IF NOT EXISTS queue (id int); ALTER TABLE queue OWNER TO clerk")
    with (
        session(box, "BEGIN; LOCK TABLE queue;", name="holder"),
        session(box, "SELECT * FROM queue WHERE id = 42;", name="waiter"),
    ):
        seen = task(box, "postgresql_activity_info", database="koprogo_db")
        # The one that waits is old enough, and is not the one to be cancelled.
        choice: dict[str, Any] = {"states": ["active"], "min_age": 1, "applications": ["waiter"]}
        spared = task(box, "postgresql_sessions", check=True, **choice)
    assert (spared["sessions"], spared["left_alone"]) == ([], {"waiting for a lock": 1})
    (chain,) = seen["blocking"]
    (waiting,) = seen["waiting"]
    assert chain["application"] == "holder"
    assert chain["waiting"] == [waiting["pid"]]
    assert waiting["relation"] == "queue"
    assert waiting["query"] == "SELECT * FROM queue WHERE id = ?;"


# A second cluster that follows the first; what Debian keeps in /etc comes with no base backup.
REPLICA = """
set -e
cd /var/lib/postgresql
pg_basebackup -h /var/run/postgresql -D replica -R -c fast
printf "port = 5433\nlisten_addresses = ''\nunix_socket_directories = '/var/run/postgresql'\n" \
  > replica/postgresql.conf
echo 'local all all peer' > replica/pg_hba.conf
touch replica/pg_ident.conf
pg_ctl -s -w -D replica -l replica.log start
"""
SERVER = "PATH=$PATH:$(pg_config --bindir 2> /dev/null || ls -d /usr/lib/postgresql/*/bin)"


@contextlib.contextmanager
def replica(box: str) -> Iterator[None]:
    host = host_of(box)
    as_server = f"runuser -u postgres -- env {SERVER}"
    try:
        host.check_output(f"{as_server} sh -c %s", REPLICA)
        yield
    finally:
        host.run(f"{as_server} pg_ctl -s -m immediate -D /var/lib/postgresql/replica stop")
        host.run("rm -rf /var/lib/postgresql/replica /var/lib/postgresql/replica.log")


@contextlib.contextmanager
def client(box: str, command: str) -> Iterator[subprocess.Popen[str]]:
    """A command that is running as the server's user."""
    process = subprocess.Popen(
        ["docker", "exec", "-u", "postgres", box, "sh", "-c", f"exec {command}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        host_of(box).run("pkill -x %s", command.partition(" ")[0])
        process.wait(timeout=30)


@on_each_box
def test_what_replicates_and_what_backs_up_goes_on(box: str) -> None:
    host = host_of(box)
    psql(host, "CREATE TABLE IF NOT EXISTS queue (id int); ALTER TABLE queue OWNER TO clerk")
    socket = "-h /var/run/postgresql"
    base = f"pg_basebackup {socket} -D - -Ft -X none -c fast --max-rate=32"
    dump = f"pg_dump {socket} -U clerk -t queue koprogo_db"
    senders = (
        "SELECT pid, application_name, state FROM pg_stat_replication ORDER BY application_name"
    )
    with (
        replica(box),
        session(box, "BEGIN; LOCK TABLE queue; SELECT pg_sleep(120);", name="runaway"),
        client(box, f"{base} > /dev/null"),
        # It waits for the table's lock, and its statement grows old.
        client(box, dump) as dumping,
    ):
        wait_for(
            lambda: (
                [row.split("|")[2] for row in psql(host, senders).splitlines()]
                == ["backup", "streaming"]
            ),
            seconds=20,
            what="the replica and the base backup",
        )
        time.sleep(1.5)
        before = psql(host, senders)
        seen = task(box, "postgresql_activity_info", database="koprogo_db")
        assert not seen["standby"]
        backup, standby = sorted(seen["replicas"], key=lambda row: str(row["state"]))
        assert (backup["state"], backup["behind_bytes"]) == ("backup", None)
        assert (standby["application"], standby["sync"]) == ("walreceiver", "async")
        assert 0 <= standby["behind_bytes"] < 1 << 20
        choice: dict[str, Any] = {"states": ["active"], "min_age": 1, "action": "terminate"}
        predicted = task(box, "postgresql_sessions", check=True, **choice)
        assert [row["application"] for row in predicted["sessions"]] == ["runaway"]
        assert predicted["left_alone"] == {"walsender": 2, "backup": 1}
        outcome = remediate("slow_api", box=box, remediation_runaway_seconds=1)
        assert outcome.rc == 0, outcome.text
        host.check_output(f"rm {LEDGER}")
        # What is left would be next, if it could be.
        assert not task(box, "postgresql_sessions", **choice)["changed"]
        assert psql(host, senders) == before
        # The lock went with the statement, and the dump comes to its end.
        assert dumping.wait(timeout=20) == 0, dumping.stderr
        follower = task(box, "postgresql_activity_info", port=5433)
        assert (follower["standby"], follower["replicas"]) == (True, [])


@on_each_box
def test_slow_statements_bloat_and_missing_indexes_are_told(box: str) -> None:
    host = host_of(box)
    psql(host, "DROP TABLE IF EXISTS letters")
    psql(
        host,
        "CREATE TABLE letters AS SELECT n AS id, repeat('x', 60) AS text FROM generate_series(1, 50000) n",
    )
    psql(host, "DELETE FROM letters WHERE id % 4 <> 0")
    psql(host, "ANALYZE letters")
    psql(host, "SELECT pg_stat_statements_reset()")
    psql(host, "SELECT count(*) FROM letters WHERE text = 'Mme Martin, 06 12 34 56 78';" * 12)
    seen = task(
        box, "postgresql_activity_info", database="koprogo_db", big_table_bytes=1 << 20, top=100
    )
    assert seen["statistics"]
    query = "SELECT count(*) FROM letters WHERE text = $1"
    (slow,) = [row for row in seen["statements"] if row["query"] == query]
    assert slow["calls"] == 12
    assert 0 < slow["mean_ms"] <= slow["max_ms"] <= slow["total_ms"]
    assert "Martin" not in str(seen["statements"])
    (bloated,) = [row for row in seen["bloat"] if row["table"] == "public.letters"]
    assert bloated["rows"] == 12_500
    # Three rows of four are gone, and their pages are still there.
    assert 0.6 < bloated["bloat_bytes"] / bloated["bytes"] < 0.8
    (hint,) = [row for row in seen["missing_indexes"] if row["table"] == "public.letters"]
    assert (hint["index_scans"], hint["statements"]) == (0, [query])
    assert hint["sequential_scans"] >= 12
    (cache,) = [row for row in seen["cache"] if row["database"] == "koprogo_db"]
    assert cache["hits"] > 0
    assert 0 < cache["hit_ratio"] <= 1


@on_each_box
def test_a_deadlock_is_counted(box: str) -> None:
    host = host_of(box)
    psql(host, "CREATE TABLE IF NOT EXISTS pair AS SELECT generate_series(1, 2) AS id")
    psql(host, "ALTER TABLE pair OWNER TO clerk")

    def deadlocks() -> int:
        seen = task(box, "postgresql_activity_info", database="koprogo_db")
        (row,) = [row for row in seen["cache"] if row["database"] == "koprogo_db"]
        return int(row["deadlocks"])

    before = deadlocks()
    update = "UPDATE pair SET id = id WHERE id ="
    said = host.check_output(
        "for order in '1 2' '2 1'; do set -- $order; runuser -u postgres -- psql -q -U clerk "
        f'-d koprogo_db -c "BEGIN; {update} $1; SELECT pg_sleep(0.5); {update} $2; COMMIT" 2>&1 & done; wait'
    )
    assert said.count("deadlock detected") == 1, said
    assert deadlocks() == before + 1


@on_each_box
def test_a_cluster_that_cannot_start_ends_with_its_own_words(box: str) -> None:
    host = host_of(box)
    conf = host.check_output("ls /etc/postgresql/*/main/postgresql.conf")
    host.check_output(f"cp -p {conf} {conf}.aside && echo 'shared_buffers = plenty' >> {conf}")
    host.check_output("systemctl stop 'postgresql@*'")
    try:
        outcome = remediate("database_down", box=box)
    finally:
        host.check_output(f"mv {conf}.aside {conf}")
    assert outcome.rc == 2, outcome.text
    assert "NOT_RESOLVED" in outcome.text
    assert 'invalid value for parameter "shared_buffers": "plenty"' in outcome.text
    assert ledger(box)[-1]["outcome"] == "not_resolved"


def test_of_two_clusters_the_one_on_the_port_is_meant() -> None:
    box = BOXES[0]
    host = host_of(box)
    # As an upgrade leaves them: the old one stays, and stays down.
    host.check_output("pg_createcluster 15 old && systemctl stop postgresql@15-main")
    try:
        # Whose name and port are two clusters', who knows what is meant?
        unclear = remediate("database_down", box=box, remediation_postgresql_cluster="old")
        assert unclear.rc == 2, unclear.text
        assert "REFUSED. version, cluster, port: expected options that mean one" in unclear.text
        assert "15/main (port 5432), 15/old (port 5433)" in unclear.text
        assert not host.service("postgresql@15-main").is_running
        by_port = remediate("database_down", box=box)
        assert by_port.rc == 0, by_port.text
        assert psql(host, "SELECT 1") == "1"
        assert not host.service("postgresql@15-old").is_running
    finally:
        host.check_output("pg_dropcluster 15 old")


def test_sessions_of_the_other_cluster_are_never_touched() -> None:
    box = BOXES[0]
    host = host_of(box)
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'forgotten'"
    choice: dict[str, Any] = {
        "remediation_postgresql_cluster": "old",
        "remediation_idle_in_transaction_seconds": 1,
    }
    host.check_output(
        "pg_createcluster 15 old && sed -i '1i local all clerk trust' /etc/postgresql/15/old/pg_hba.conf"
        " && systemctl start postgresql@15-old && cd / && for sql in 'CREATE ROLE clerk LOGIN' "
        "'CREATE DATABASE koprogo_db'; do runuser -u postgres -- psql -qp 5433 -c \"$sql\"; done"
    )
    try:
        with (
            session(box, "BEGIN; SELECT 1;", name="forgotten"),
            session(box, "BEGIN; SELECT 1;", name="forgotten", port=5433),
        ):
            unclear = remediate("database_connections_high", box=box, **choice)
            assert "REFUSED. version, cluster, port: expected options" in unclear.text
            assert [psql(host, query, port=port) for port in (5432, 5433)] == ["1", "1"]
            done = remediate(
                "database_connections_high", box=box, remediation_postgresql_port=5433, **choice
            )
            assert done.rc == 0, done.text
            assert "resolved. it acted" in done.text
            assert [psql(host, query, port=port) for port in (5432, 5433)] == ["1", "0"]
    finally:
        host.check_output("pg_dropcluster --stop 15 old")
