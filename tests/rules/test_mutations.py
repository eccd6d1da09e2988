"""The cases are sharp: whichever threshold or wait is moved, a case fails."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts import Duration, Number
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_catalogue import ALERTS
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_slo import (
    SLO_INTERVAL,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._formats import (
    duration_seconds,
)
from tests.rules.harness import CASES, check


def _moved(value: float) -> tuple[float, ...]:
    """A number a quarter higher and a fifth lower; of a share near 1, what is missing to 1."""
    if value == 0:
        return (10,)
    if 0.9 < value < 1:
        return (1 - (1 - value) * 1.25, 1 - (1 - value) * 0.8)
    return (value * 1.25, value * 0.8)


def mutations(name: str) -> Iterator[tuple[str, Any]]:
    """Each setting of an alert with a value that it must not have."""
    for setting, what in ALERTS[name].settings.items():
        if isinstance(what, Number):
            yield from ((setting, value) for value in _moved(what.default))
        elif isinstance(what, Duration) and duration_seconds(what.default):
            seconds = duration_seconds(what.default)
            # At least as long as between two evaluations, or it could not be seen.
            step = max(SLO_INTERVAL if ALERTS[name].group == "koprogo-slo" else 15, seconds // 5)
            yield from ((setting, f"{int(moved)}s") for moved in (seconds + step, seconds - step))
    yield "enabled", False


def _survivors(promtool: Path, folder: Path, name: str) -> list[str]:
    """The mutations of an alert that no case notices.

    The case that noticed the last one is asked first: it is likely to be about the same setting.
    """
    # A case with settings of its own judges those, and says nothing about the defaults.
    cases = [case for case in CASES[name] if not {"alerts", "hosts"} & set(case)]
    survivors = []
    for setting, value in mutations(name):
        said = ""
        for case in cases:
            said = check(promtool, folder, name, [case], {name: {setting: value}})
            # A rule that does not even load is no case that fails.
            if "got:" in said:
                cases.remove(case)
                cases.insert(0, case)
                break
        else:
            survivors.append(f"{name}.{setting}: {value} {said}")
    return survivors


def test_every_moved_setting_fails_a_case(promtool: Path, tmp_path: Path) -> None:
    def judge(name: str) -> list[str]:
        folder = tmp_path / name
        folder.mkdir()
        return _survivors(promtool, folder, name)

    # Those that look back for days take the longest.
    names = sorted(CASES, key=lambda name: ALERTS[name].group != "koprogo-slo")
    with ThreadPoolExecutor(max_workers=2) as pool:
        assert [found for one in pool.map(judge, names) for found in one] == []
    assert sum(1 for name in CASES for _mutation in mutations(name)) > 100
