"""Faults of the real kind: a host is killed, Loki is stopped under log traffic."""

from __future__ import annotations

import json
import re
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
import testinfra

from tests.integration.ask import get, logql, promql, targets_up, wait_for, wait_for_each_once
from tests.integration.boxes import Box, docker
from tests.integration.remedy import records, remediate

testinfra_hosts = ["ansible://monitoring"]

MON, API, DB = "stack-mon1", "stack-api1", "stack-db1"
API_LOG = "/var/log/koprogo/api.log"


def test_no_line_is_lost_or_doubled_while_loki_is_down(host: Any) -> None:
    marker = uuid.uuid4().hex
    with Box(API).writing(API_LOG, marker) as written:
        time.sleep(5)
        host.check_output("systemctl stop loki")
        time.sleep(60)
        host.check_output("systemctl start loki")
        time.sleep(5)
    wait_for_each_once(host, marker, written)


def _psql(statement: str, *, check: bool = True) -> str:
    arguments = ("psql", "-qtAd", "koprogo_db", "-c", statement)
    return docker("exec", "-u", "postgres", DB, *arguments, check=check)


def _write(box: str, path: str, text: str) -> None:
    docker("exec", "-i", box, "sh", "-c", f"cat >> {path}", stdin=f"{text}\n")


def _arrives_once(host: Any, query: str, *, seconds: float) -> None:
    wait_for(lambda: logql(host, query, since=900), seconds=seconds, what=query)
    # A second copy would come with the next batch.
    time.sleep(3)
    assert len(logql(host, query, since=900)) == 1


def test_a_killed_host_comes_back_healthy_with_its_data(host: Any) -> None:
    marker = uuid.uuid4().hex
    _psql(f"CREATE TABLE survivor AS SELECT '{marker}' AS marker")
    _psql(f'SELECT no_such_column AS "{marker}"', check=False)
    docker("kill", DB)
    try:
        wait_for(
            lambda: promql(host, f'up{{job="node", instance="{DB}"}} == 0'),
            seconds=60,
            what="the killed host seen as down",
        )
    finally:
        docker("start", DB)
    wait_for(lambda: targets_up(host), seconds=120, what="all targets up after the host's start")
    # Its exporter is up before it is.
    wait_for(
        lambda: promql(host, f'pg_up{{instance="{DB}"}} == 1'), seconds=60, what="PostgreSQL up"
    )
    assert _psql("SELECT marker FROM survivor").strip() == marker
    _psql("DROP TABLE survivor")
    # Written in the last moment before the kill, delivered before or after it.
    _arrives_once(host, f'{{job="postgresql", host="{DB}"}} |= "{marker}"', seconds=60)


def test_the_killed_monitoring_host_loses_nothing(host: Any) -> None:
    """Neither what it had, nor what was written while it was down."""
    names = [uuid.uuid4().hex for _ in range(3)]
    kept, last, away = (f'{{job="koprogo-api", host="{API}"}} |= "{name}"' for name in names)

    def write(name: str) -> None:
        line = json.dumps({"remote_addr": "127.0.0.1", "level": "INFO", "message": name})
        _write(API, "/var/log/koprogo/api.log", line)

    write(names[0])
    _arrives_once(host, kept, seconds=30)
    moment = int(time.time()) - 30
    question = f"sum by (job) (count_over_time(up[2m] @ {moment}))"

    def samples() -> dict[str, str]:
        return {row["metric"]["job"]: row["value"][1] for row in promql(host, question)}

    before = samples()
    assert len(before) > 10
    write(names[1])
    docker("kill", MON)
    try:
        write(names[2])
    finally:
        docker("start", MON)
    wait_for(lambda: targets_up(host), seconds=150, what="all targets up after the start")
    assert samples() == before, "samples from before the kill are gone"
    for query in (kept, last, away):
        _arrives_once(host, query, seconds=90)


def test_a_host_that_is_lost_while_it_is_helped_leaves_no_silence_and_a_record(host: Any) -> None:
    place = "/run/systemd/system/koprogo-api.service.d"
    fault = "[Service]\nExecStartPre=+/usr/bin/systemctl --no-block poweroff"
    prepare = f"mkdir -p {place}; printf '{fault}\n' > {place}/lab.conf; systemctl daemon-reload"
    docker("exec", API, "sh", "-c", f"systemctl stop koprogo-api; {prepare}")
    try:
        outcome = remediate(
            "api_down", box=API, remediation_run_by="ada", remediation_verify_timeout=10
        )
    finally:
        docker("start", API)
    assert outcome.rc == 2, outcome.text
    # Which of the two depends on how much of the module's answer came through.
    assert re.search(f"ApiDown on {API}: (INCONCLUSIVE|NOT_RESOLVED)", outcome.text)
    silences = json.loads(get(host, "http://127.0.0.1:9093/api/v2/silences"))
    ours = [row["status"]["state"] for row in silences if row["createdBy"] == "ada"]
    assert set(ours) == {"expired"}
    (record,) = records(MON, "ApiDown")
    assert (record["outcome"] in ("inconclusive", "not_resolved"), record["host"]) == (True, API)
    assert record["evidence"]["prediction"]["condition"] == "down"
    # Its own was opened before, with the evidence; the same name says that they belong together.
    (opened,) = records(API, "ApiDown")
    assert opened["id"] == record["id"]
    wait_for(lambda: targets_up(host), seconds=120, what="all targets up after the host's start")


@pytest.mark.parametrize("name", [MON, API, DB])
def test_units_are_enabled_and_do_not_restart(name: str) -> None:
    """After all this, nothing crashed on the way to where it is now."""
    box = testinfra.get_host(f"docker://{name}")
    assert box.check_output("systemctl list-units --state=failed --plain --no-legend") == ""
    dropins = box.check_output("ls /etc/systemd/system/*.service.d/50-koprogo.conf").split()
    units = {Path(path).parent.name.removesuffix(".d") for path in dropins}
    # It only loads rules at boot.
    units -= {"nftables.service"}
    assert len(units) >= 3
    names = " ".join(units)

    def states() -> list[dict[str, str]]:
        properties = "Id,ActiveState,UnitFileState,NRestarts"
        shown = box.check_output(f"systemctl show --property={properties} {names}")
        return [
            dict(line.split("=", 1) for line in text.splitlines())
            for text in shown.strip().split("\n\n")
        ]

    def starting() -> list[str]:
        return [state["Id"] for state in states() if state["ActiveState"] == "activating"]

    # A target is up until the next scrape says otherwise: its host may have been away meanwhile.
    wait_for(lambda: not starting(), seconds=60, what="all units started")
    for state in states():
        found = (state["ActiveState"], state["UnitFileState"], state["NRestarts"])
        assert found == ("active", "enabled", "0"), state
