"""The API, hung, blamed, squatted upon and beyond a restart; and runs that are refused."""

from __future__ import annotations

import subprocess
import time

import pytest

from tests.integration.ask import wait_for
from tests.integration.remedy import (
    BOXES,
    HEALTH,
    broken_api,
    host_of,
    ledger,
    on_each_box,
    remediate,
)

testinfra_hosts = ["ansible://database"]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ([], "expected --limit with the alert's host, found none"),
        (["-l", "all"], "found 'all'"),
        (["-l", "*"], "found '*'"),
        (["-l", "!remedy-box12"], "found '!remedy-box12'"),
        (["-l", "database"], "found 'database'"),
        (["-l", "~remedy.*"], "found '~remedy.*'"),
        (["-l", "remedy-box12,nosuch"], "found 'nosuch'"),
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


def test_a_run_on_an_unknown_host_ends_with_ansibles_own_error() -> None:
    outcome = remediate("api_down", "-l", "nosuch")
    assert outcome.rc == 1
    assert "--limit leaves us with no hosts to target" in outcome.text, outcome.text
    assert "PLAY" not in outcome.text


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("127.0.0.1:8080/health", "health_url must begin with http:// or https://"),
        (HEALTH.replace("http:", "https:"), "is no health endpoint that can be asked"),
    ],
)
def test_a_wrong_health_endpoint_restarts_no_healthy_api(url: str, expected: str) -> None:
    box = BOXES[0]
    pid = host_of(box).check_output("systemctl show -P MainPID koprogo-api")
    outcome = remediate("api_down", box=box, remediation_api_health_url=url)
    assert outcome.rc == 2, outcome.text
    assert "REFUSED. " in outcome.text
    assert expected in outcome.text
    assert host_of(box).check_output("systemctl show -P MainPID koprogo-api") == pid != "0"
    assert ledger(box) == []


@on_each_box
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
        ("verdict", "resolved"),
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
    with broken_api(box):
        outcome = remediate("api_down", box=box)
    assert outcome.rc != 0
    assert "NOT_RESOLVED" in outcome.text
    assert ledger(box)[-1]["outcome"] == "not_resolved"


def test_an_api_that_fails_most_requests_is_restarted_although_it_says_it_is_well() -> None:
    box = BOXES[0]
    host = host_of(box)
    host.check_output("koprogo-api faults on errors rate=1.0 status=500")
    time.sleep(8)
    outcome = remediate("high_error_rate", box=box, remediation_window="5s")
    assert outcome.rc == 0, outcome.text
    assert "resolved" in outcome.text
    assert '"errors"' not in host.check_output("koprogo-api faults show")
