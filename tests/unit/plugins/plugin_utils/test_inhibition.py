# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules that silence: no label that must be equal may be missing, and no alert may silence its silencer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.koprogo.observability.plugins.plugin_utils._inhibition import (
    CAUSES,
    inhibit_rules,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._panels import PANELS


def edges() -> Iterator[tuple[str, str]]:
    for cause in CAUSES:
        for symptom in cause.symptoms:
            if symptom != cause.alert:
                yield cause.alert, symptom


@pytest.mark.parametrize("rule", inhibit_rules(), ids=lambda rule: rule["source_matchers"][0])
def test_every_equal_label_is_there_on_both_sides(rule: dict[str, list[str]]) -> None:
    assert "deployment" in rule["equal"]
    for label in rule["equal"]:
        for side in ("source_matchers", "target_matchers"):
            assert f'{label}=~".+"' in rule[side]


def test_every_alert_exists() -> None:
    named = {cause.alert for cause in CAUSES} | {s for cause in CAUSES for s in cause.symptoms}
    assert named <= PANELS.keys()


def test_nothing_silences_what_must_be_heard() -> None:
    silenced = {symptom for _alert, symptom in edges()}
    assert not silenced & {
        "Watchdog",
        "ApiDown",
        "DatabaseDown",
        "DiskFull",
        "MemoryExhaustion",
        "NotificationsFailing",
        "LokiUnhealthy",
        "FailedLogins",
    }


def test_no_alert_silences_its_own_silencer() -> None:
    reached = set(edges())
    while more := {(a, d) for a, b in reached for c, d in reached if b == c} - reached:
        reached |= more
    assert not [pair for pair in reached if pair[0] == pair[1]]


def test_an_alert_that_silences_its_own_kind_never_silences_itself() -> None:
    for cause in CAUSES:
        if cause.alert in cause.symptoms:
            assert cause.alert_with
            assert cause.symptoms_with
            assert cause.alert_with != cause.symptoms_with
