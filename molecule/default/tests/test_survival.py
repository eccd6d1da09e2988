"""Faults of the real kind: a host is killed, Loki is stopped under log traffic."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections import Counter
from typing import Any

from tests.integration.ask import get, logql, promql, targets_up, wait_for
from tests.integration.boxes import docker
from tests.integration.remedy import records, remediate

testinfra_hosts = ["ansible://monitoring"]

MON, API, DB = "stack-mon1", "stack-api1", "stack-db1"


def test_no_line_is_lost_or_doubled_while_loki_is_down(host: Any) -> None:
    marker = uuid.uuid4().hex[:12]
    stop = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        while not stop.is_set():
            written += 1
            line = f'{{"remote_addr":"127.0.0.1","level":"INFO","message":"{marker} {written}"}}'
            docker("exec", API, "sh", "-c", f"echo '{line}' >> /var/log/koprogo/api.log")
            time.sleep(0.2)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        time.sleep(5)
        host.check_output("systemctl stop loki")
        time.sleep(60)
        host.check_output("systemctl start loki")
        time.sleep(5)
    finally:
        stop.set()
        writer.join()

    def arrived() -> Counter[str] | None:
        query = f'{{job="koprogo-api"}} |= "{marker}"'
        lines = Counter(text for _time, text in logql(host, query, since=600))
        return lines if len(lines) == written else None

    lines = wait_for(arrived, seconds=120, what=f"all {written} lines in Loki", every=3)
    assert set(lines.values()) == {1}, "a line is there twice"


def test_a_killed_host_comes_back_healthy_with_its_data(host: Any) -> None:
    before = promql(host, f'node_boot_time_seconds{{instance="{DB}"}}')
    assert before
    docker("kill", DB)
    wait_for(
        lambda: promql(host, f'up{{job="node", instance="{DB}"}} == 0'),
        seconds=60,
        what="the killed host seen as down",
    )
    docker("start", DB)
    wait_for(lambda: targets_up(host), seconds=120, what="all targets up after the host's start")


def test_the_killed_monitoring_host_loses_nothing(host: Any) -> None:
    moment = int(time.time()) - 30
    lines_before = len(logql(host, '{job="koprogo-api"}', since=120))
    assert lines_before
    docker("kill", MON)
    docker("start", MON)
    wait_for(lambda: targets_up(host), seconds=150, what="all targets up after the start")
    old = promql(host, f"count(up @ {moment})")
    assert int(old[0]["value"][1]) > 10, "samples from before the kill are gone"
    wait_for(
        lambda: len(logql(host, '{job="koprogo-api"}', since=240)) >= lines_before,
        seconds=60,
        what="log lines from before the kill",
    )


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


def test_units_are_enabled_and_do_not_restart(host: Any) -> None:
    units = host.check_output("systemctl list-units --state=failed --plain --no-legend --no-pager")
    assert units == ""
