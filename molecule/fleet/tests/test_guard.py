"""Two of three hosts have the same alert at once: nothing is remedied on either, until a human says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.ask import promql, wait_for
from tests.integration.faults import FAULTS, LIMITED
from tests.integration.remedy import host_of, ledger, records, remediate

MONITOR, SPARED, APP = HOSTS = ("fleet-mon1", "fleet-mon2", "fleet-app1")
SICK = (MONITOR, APP)
BOTH = ",".join(SICK)
POLICY: dict[str, object] = {
    "remediation_run_by": "ada",
    "remediation_hold": 0,
    "remediation_disk_policies": [
        {"kind": "logs", "roots": [f"{LIMITED}/log", "/var/log"], "patterns": ["*.log.*"]},
    ],
}
SHARED = f"2 of 3 hosts of the group all have this alert at once ({APP}, {MONITOR})"


def files() -> dict[str, set[str]]:
    """All that a remediation could delete, and on the disk that is full also what it could empty."""
    listing = (
        f"find {LIMITED} -type f -printf '%p %s %T@ %C@\\n' 2> /dev/null; "
        "find /var/log /var/backups /var/cache/apt -type f ! -path /var/log/koprogo/remediation.log"
    )
    return {name: set(host_of(name).run(listing).stdout.splitlines()) for name in HOSTS}


def ids(name: str) -> set[str]:
    return {record["id"] for record in records(name, "DiskFull")}


def hosts_with_a_full_disk() -> set[str]:
    query = 'ALERTS{alertname="DiskFull", alertstate="firing"}'
    return {alert["metric"]["host"] for alert in promql(host_of(MONITOR), query)}


@pytest.fixture(scope="module", autouse=True)
def full_disks() -> Iterator[None]:
    for name in SICK:
        host_of(name).check_output(FAULTS["disk"][0])
    # Old enough to go, where no disk is full.
    for name in HOSTS:
        host_of(name).check_output("touch -d '-40 days' /var/log/aged.log.1")
    wait_for(
        lambda: hosts_with_a_full_disk() == set(SICK), seconds=120, what="the alert on two of three"
    )
    yield
    for name in SICK:
        host_of(name).run(f"{FAULTS['disk'][1]}; rm -rf {LIMITED}/log")


@pytest.mark.parametrize(
    ("limit", "variables", "expected"),
    [
        (BOTH, {}, "expected at most 1 hosts in one run, found 2"),
        (BOTH, {"remediation_max_hosts": 2}, SHARED),
        (APP, {}, SHARED),
    ],
)
def test_what_most_of_a_fleet_has_is_remedied_on_none(
    limit: str, variables: dict[str, Any], expected: str
) -> None:
    before = files()
    kept = {name: ids(name) for name in HOSTS}
    outcome = remediate("disk_full", box=limit, **POLICY | variables)
    assert outcome.rc == 2, outcome.text
    assert f"REFUSED: {expected}" in outcome.text
    after = files()
    assert all(before[name] <= after[name] for name in HOSTS), {
        name: before[name] - after[name] for name in HOSTS
    }
    assert not any(ledger(name) for name in HOSTS)
    # Who was not named has nothing of it; what concerns no single host is told where the monitoring is.
    told = {
        name: [row for row in records(name, "DiskFull") if row["id"] not in kept[name]]
        for name in HOSTS
    }
    where = limit.split(",") if expected == SHARED else [MONITOR]
    assert {name for name in HOSTS if told[name]} == set(where), json.dumps(told)
    for name in where:
        (record,) = told[name]
        assert record["outcome"] == "refused"
        assert expected in record["summary"]
        assert set(record["evidence"]["guard"]["played"]) == set(limit.split(","))


def test_who_knows_that_it_is_no_shared_cause_says_so_and_is_helped() -> None:
    """The same files, and the same alert: it was the guard that kept them."""
    before = files()
    outcome = remediate("disk_full", box=APP, **POLICY, remediation_fleet_share=1)
    assert outcome.rc == 0, outcome.text
    assert f"DiskFull on {APP}: resolved. it acted" in outcome.text
    after = files()
    gone = {line.split()[0] for line in before[APP] - after[APP]}
    assert gone
    assert all(path.startswith(f"{LIMITED}/log/app.log.") for path in gone), gone
    assert all(before[name] <= after[name] for name in (MONITOR, SPARED))
