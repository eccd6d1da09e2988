"""On a fleet too, what check mode said before each real run is what the run then did, on every host."""

from __future__ import annotations

from tests.integration.predictions import recorded_runs

HOSTS = {"stack-mon1", "stack-api1", "stack-db1"}


def test_check_mode_tells_the_truth() -> None:
    foretold, done, again, foretold_again = recorded_runs()
    assert {host for host, _task in done["changed"]} == HOSTS
    assert foretold["changed"] == done["changed"]
    assert again["changed"] == []
    assert foretold_again["changed"] == []
