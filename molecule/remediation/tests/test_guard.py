"""What the guard refuses is recorded, what it does not know makes it careful, and what a check run counts."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.integration.remedy import BOXES, RECORDS, host_of, ledger, records, remediate, task

testinfra_hosts = ["ansible://database"]

# Nobody listens there.
NO_PROMETHEUS: dict[str, object] = {
    "remediation_prometheus_url": "http://127.0.0.1:9",
    "remediation_verify_timeout": 1,
}


@pytest.fixture(autouse=True)
def fresh_records() -> None:
    for box in BOXES:
        host_of(box).check_output(f"rm -rf {RECORDS}")


def test_a_run_on_everything_leaves_one_record_and_touches_no_service() -> None:
    for box in BOXES:
        host_of(box).check_output("systemctl stop koprogo-api")
    outcome = remediate("api_down", "-l", "all", remediation_run_by="ada")
    assert outcome.rc == 2, outcome.text
    (record,) = [record for box in BOXES for record in records(box, "ApiDown")]
    assert (record["outcome"], record["host"], record["who"]) == ("refused", "all", "ada")
    assert "found 'all'" in record["summary"]
    assert record["evidence"]["guard"]["played"] == list(BOXES)
    assert not any(host_of(box).service("koprogo-api").is_running for box in BOXES)
    assert "changed=1 " in outcome.text


def test_without_an_answer_of_prometheus_a_machine_acts_on_nothing() -> None:
    box = BOXES[0]
    host_of(box).check_output("systemctl stop koprogo-api")
    outcome = remediate("api_down", box=box, remediation_automatic=True, **NO_PROMETHEUS)
    assert outcome.rc == 2, outcome.text
    assert "REFUSED" in outcome.text
    assert not host_of(box).service("koprogo-api").is_running
    (record,) = records(box, "ApiDown")
    assert (record["outcome"], record["host"], record["automatic"]) == ("refused", box, True)
    assert "http://127.0.0.1:9 doesn't answer" in record["summary"]
    outcome = remediate("api_down", box=box, remediation_automatic=True)
    assert "remediation_prometheus_url is empty: nobody knows" in outcome.text
    both = ",".join(BOXES)
    outcome = remediate("api_down", box=both, remediation_max_hosts=2, **NO_PROMETHEUS)
    assert "a run on 2 hosts" in outcome.text
    assert not any(ledger(box) for box in BOXES)


def test_a_machine_that_can_keep_no_evidence_acts_on_nothing_and_a_human_does() -> None:
    box = BOXES[0]
    host = host_of(box)
    host.check_output(f"systemctl stop koprogo-api; rm -rf {RECORDS}; touch {RECORDS}")
    try:
        outcome = remediate(
            "api_down", box=box, remediation_automatic=True, remediation_unseen=True
        )
        assert outcome.rc == 2, outcome.text
        assert "REFUSED. the evidence could not be saved" in outcome.text
        assert not host.service("koprogo-api").is_running
        assert not ledger(box)
        assert "resolved. it acted" in remediate("api_down", box=box).text
    finally:
        host.check_output(f"rm -f {RECORDS}")


def test_without_an_answer_of_prometheus_a_human_helps_and_nobody_calls_it_resolved() -> None:
    box = BOXES[0]
    host_of(box).check_output("systemctl stop koprogo-api")
    outcome = remediate("api_down", box=box, **NO_PROMETHEUS)
    assert outcome.rc == 2, outcome.text
    assert "INCONCLUSIVE. it acted, and Prometheus does not say" in outcome.text
    assert host_of(box).service("koprogo-api").is_running
    (record,) = records(box, "ApiDown")
    assert record["outcome"] == ledger(box)[-1]["outcome"] == "inconclusive"


def test_without_an_answer_of_prometheus_no_backup_is_deleted() -> None:
    box = BOXES[1]
    host = host_of(box)
    task(box, "remediation_ledger", state="trusted", reason="provisioned")
    host.check_output(
        "mkdir -p /srv/store && mount -t tmpfs -o size=16m tmpfs /srv/store && cd /srv/store && "
        "for n in 1 2 3 4; do head -c 3M /dev/zero > $n.gpg && touch -d -3$n\\ days $n.gpg; done; "
        "head -c 1M /dev/zero > old.log && touch -d '-40 days' old.log"
    )
    choice: dict[str, object] = {
        "remediation_disk_path": "/srv/store",
        "remediation_disk_free_percent": 30,
        "remediation_disk_policies": [
            {"kind": "logs", "roots": ["/srv/store"], "patterns": ["*.log"]},
            {"kind": "backups", "roots": ["/srv/store"], "patterns": ["*.gpg"]},
        ],
    }
    try:
        outcome = remediate("disk_full", box=box, **choice, **NO_PROMETHEUS)
        assert outcome.rc == 2, outcome.text
        left = host.check_output("ls /srv/store").split()
        assert left == ["1.gpg", "2.gpg", "3.gpg", "4.gpg"]
        # Who says so knows better.
        outcome = remediate(
            "disk_full", box=box, **choice, **NO_PROMETHEUS, remediation_unseen=True
        )
        assert "INCONCLUSIVE. it acted" in outcome.text
        assert host.check_output("ls /srv/store").split() == ["1.gpg", "2.gpg", "3.gpg"]
    finally:
        host.check_output("umount /srv/store")


def test_a_prediction_counts_as_a_change_in_a_check_run_that_would_change_something() -> None:
    box = BOXES[0]
    host = host_of(box)
    host.check_output("systemctl stop koprogo-api")
    assert "changed=1 " in remediate("api_down", "--check", box=box).text
    host.check_output("systemctl stop postgresql@15-main")
    assert "changed=0 " in remediate("api_down", "--check", box=box).text
    host.check_output("systemctl start postgresql@15-main")
    # The record is opened and closed, the API restarted, the ledger told; predicting is no change.
    assert "changed=4 " in remediate("api_down", box=box).text
    assert "changed=0 " in remediate("api_down", "--check", box=box).text


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"roots": ["srv/store"]}, "expected an absolute path, found 'srv/store'"),
        ({"roots": ["/"]}, "expected a folder below /, found '/' itself"),
        ({"roots": ["/var/lib/postgresql"]}, "the data of a database or another service"),
        ({"patterns": []}, "expected patterns of file names, found none"),
        ({"older_than": -1}, "expected days above 0, found -1"),
        ({"older_than": "soon"}, "older_than: expected a number, found 'soon'"),
        ({"kind": "rubbish"}, "kind: expected one of journal, apt_cache, logs, docker, "),
        ("logs", "policies[0]: expected a mapping with kind, found 'logs'"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_at_once_and_nothing_is_touched(
    wrong: dict[str, Any] | str, expected: str
) -> None:
    box = BOXES[0]
    host = host_of(box)
    old = "/srv/store /var/lib/postgresql/aged.log"
    host.check_output(
        "mkdir -p /srv/store && touch -d '-40 days' /srv/store/old.log /var/lib/postgresql/aged.log"
    )
    files = host.check_output(f"find {old} -printf '%p %T@ %C@\\n'")
    policy = {"kind": "logs", "roots": ["/srv/store"], "patterns": ["*.log"], "older_than": 30}
    began = time.monotonic()
    try:
        outcome = remediate(
            "disk_full",
            box=box,
            remediation_disk_path="/srv/store",
            remediation_disk_free_percent=99.9,
            remediation_disk_policies=[policy | wrong if isinstance(wrong, dict) else wrong],
            **NO_PROMETHEUS | {"remediation_verify_timeout": 300},
        )
        assert outcome.rc == 2, outcome.text
        assert "REFUSED. policies[0]" in outcome.text
        assert expected in outcome.text.replace("''", "'")
        assert time.monotonic() - began < 60
        assert host.check_output(f"find {old} -printf '%p %T@ %C@\\n'") == files
    finally:
        host.check_output(f"rm -r {old}")
    assert ledger(box) == []
    (record,) = records(box, "DiskFull")
    assert (record["outcome"], record["runs"]) == ("refused", [])
    assert expected in record["summary"]
