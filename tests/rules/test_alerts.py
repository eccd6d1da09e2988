"""Each alert of Prometheus fires when it shall, and only then: promtool on rules as the role renders them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_catalogue import ALERTS
from tests.rules.harness import CASES, Case, check


def test_every_alert_of_prometheus_has_cases() -> None:
    assert sorted(CASES) == sorted(n for n, a in ALERTS.items() if a.source == "prometheus")


@pytest.mark.parametrize("name", CASES)
def test_each_alert_is_seen_firing_quiet_without_its_series_and_without_a_number(name: str) -> None:
    fires = [hosts for case in CASES[name] for hosts in case["fires"].values()]
    assert any(fires)
    assert not all(fires)
    assert any("stale" in values or not values for values in map(_values, CASES[name]))
    assert any("NaN" in values for values in map(_values, CASES[name]))


def _values(case: Case) -> str:
    """The values of all of a case's series."""
    return " ".join(map(str, case["series"].values()))


@pytest.fixture(scope="module")
def answers(promtool: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What promtool says of each alert's cases; two at a time."""

    # Two threads that ask pytest for its first folder at once take it from each other.
    root = tmp_path_factory.mktemp("answers")

    def ask(name: str) -> str:
        (root / name).mkdir()
        return check(promtool, root / name, name, CASES[name], {})

    with ThreadPoolExecutor(max_workers=2) as pool:
        return dict(zip(CASES, pool.map(ask, CASES), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_cases(answers: dict[str, str], name: str) -> None:
    assert not answers[name], answers[name]


def test_a_case_that_does_not_hold_is_found(promtool: Path, tmp_path: Path) -> None:
    case = {"name": "wrong", "series": {}, "fires": {"5m": []}}
    assert 'got: {host="api1"}' in check(promtool, tmp_path, "ApiDown", [case], {})
