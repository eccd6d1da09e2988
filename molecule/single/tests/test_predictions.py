"""What check mode said before each real run is what the run then did."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.predictions import recorded_runs

MOST_RESULTS = 90


@pytest.fixture(scope="module")
def runs() -> list[dict[str, Any]]:
    """What each of the scenario's four runs changed."""
    return recorded_runs()


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
