"""What all remediations share, and a unit that burns the processors."""

from __future__ import annotations

import re

import pytest

from tests.integration.remedy import (
    BOXES,
    host_of,
    ledger,
    records,
    remediate,
    session,
    task,
)

testinfra_hosts = ["ansible://database"]

EIGHT = (
    "api_down",
    "database_down",
    "disk_full",
    "high_error_rate",
    "memory_exhaustion",
    "slow_api",
    "high_cpu",
    "database_connections_high",
)


@pytest.mark.parametrize("alert", EIGHT)
def test_a_check_run_tells_and_changes_nothing(alert: str) -> None:
    outcome = remediate(alert, "--check", box=BOXES[1])
    assert outcome.rc == 0, outcome.text
    assert re.search(r"remedy-box13: (predicted|refused)\. ", outcome.text), outcome.text
    assert ledger(BOXES[1]) == []
    name = "".join(word.capitalize() for word in alert.split("_"))
    assert records(BOXES[1], name) == []


def test_an_incident_keeps_evidence_prediction_and_result() -> None:
    box = BOXES[0]
    host = host_of(box)
    host.check_output("systemctl stop koprogo-api")
    outcome = remediate("api_down", box=box, remediation_run_by="ada")
    assert outcome.rc == 0, outcome.text
    record = records(box, f"ApiDown-{box}")[-1]
    assert record["outcome"] == "resolved"
    assert record["who"] == "ada"
    assert "prediction" in record["evidence"]
    assert record["prediction"] == {"restarts": 1}
    assert [(e["phase"], e.get("outcome")) for e in ledger(box)] == [
        ("begin", None),
        ("end", "resolved"),
        ("verdict", "resolved"),
    ]


def test_a_record_has_what_was_done_on_the_databases_host() -> None:
    api, database = BOXES
    with session(database, "SELECT pg_sleep(120);", name="runaway"):
        outcome = remediate(
            "slow_api",
            box=api,
            remediation_runaway_seconds=1,
            # As where they are not on one host.
            remediation_database_host=database,
        )
    assert outcome.rc == 0, outcome.text
    record = records(api, f"SlowApi-{api}")[-1]
    assert ledger(api) == []
    assert [row["uid"] for row in record["actions"]] == [row["uid"] for row in ledger(database)]
    assert [row["phase"] for row in record["actions"]] == ["begin", "end", "verdict"]


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
            least_share=0.05,
            allow=["burner.service"],
        )
        assert done["outcome"] == "resolved", done
        pids = host.check_output("systemctl show -P MainPID burner")
        assert host.check_output(f"ps -o ni= -p {pids}").strip() == "10"
    finally:
        host.check_output("systemctl stop burner")
