"""The inventory alone says what is watched: a host that leaves takes its targets along."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.ask import targets, targets_up, wait_for
from tests.integration.boxes import Box
from tests.integration.play import run_playbook

testinfra_hosts = ["ansible://monitoring"]

MON, API = "stack-mon1", "stack-api1"
FLEET = Path(os.environ["MOLECULE_INVENTORY_FILE"])
LOGS_DOOR = 4318
# What is written of the inventory on the hosts that stay: who is asked, and who may knock.
TAGS = "prometheus_configure,firewall_configure"


@pytest.fixture
def smaller() -> Iterator[Path]:
    """A place for another inventory, beside the scenario's own and so with its variables."""
    place = FLEET.with_name("smaller.yml")
    yield place
    place.unlink()


def _provision(inventory: Path) -> None:
    outcome = run_playbook("playbooks/site.yml", "--tags", TAGS, inventory=str(inventory))
    assert outcome.rc == 0, outcome.text


def _wait_for_targets(host: Any, expected: set[tuple[str, str]]) -> None:
    """Prometheus takes up to five seconds from a reload to its targets."""
    wait_for(lambda: set(targets(host)) == expected, seconds=20, what=f"the targets {expected}")


def test_a_host_that_leaves_takes_its_targets_along(host: Any, smaller: Path) -> None:
    mon, api = Box(MON), Box(API)
    before = set(wait_for(lambda: targets_up(host), seconds=60, what="all targets up"))
    of_group = {("koprogo-api", API), ("koprogo-api-health", API), ("blackbox", API)}
    of_host = {(job, instance) for job, instance in before if instance == API}
    assert of_group < of_host
    assert api.ask("knock", mon.address, port=LOGS_DOOR)["outcome"] == "open"
    inventory = yaml.safe_load(FLEET.read_text(encoding="utf-8"))
    try:
        inventory["api"] = {}
        smaller.write_text(json.dumps(inventory), encoding="utf-8")
        _provision(smaller)
        _wait_for_targets(host, before - of_group)

        del inventory["all"]["hosts"][API]
        smaller.write_text(json.dumps(inventory), encoding="utf-8")
        _provision(smaller)
        _wait_for_targets(host, before - of_host)
        assert api.ask("knock", mon.address, port=LOGS_DOOR, timeout=3)["outcome"] == "timeout"
        verified = run_playbook("playbooks/verify.yml", inventory=str(smaller))
        assert verified.rc == 0, verified.text
    finally:
        _provision(FLEET)
    _wait_for_targets(host, before)
    wait_for(lambda: targets_up(host), seconds=60, what="all targets up again")
