"""What check mode said before each real run is what the run then did."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

MOST_RESULTS = 90


@pytest.fixture(scope="module")
def runs() -> list[dict[str, Any]]:
    """The four runs of this scenario: check and real on a fresh host, real and check on a configured one."""
    record = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "runs.jsonl"
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    found = [line for line in lines if line["playbook"] == "converge"][-4:]
    assert [run["check"] for run in found] == [True, False, False, True]
    return found


def test_check_on_a_fresh_host_predicts_the_real_run(runs: list[dict[str, Any]]) -> None:
    predicted, done = runs[0]["changed"], runs[1]["changed"]
    assert done
    assert predicted == done


def test_nothing_changes_on_a_configured_host(runs: list[dict[str, Any]]) -> None:
    assert runs[2]["changed"] == []
    assert runs[3]["changed"] == []


def test_a_run_that_changes_nothing_costs_few_task_results(runs: list[dict[str, Any]]) -> None:
    (host,) = runs[2]["hosts"].values()
    assert host["ok"] + host["skipped"] <= MOST_RESULTS
