# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The alerts about the service level: how fast the budget for failures and for slowness burns.

Two windows each, so that an alert starts fast and also ends fast; two factors each, so that a sudden failure
and a slow leak are both found. The factors are those of Google's Site Reliability Workbook for a budget of
thirty days: 2 % of it in an hour, 5 % in six hours, 10 % in three days.

This file is private to the collection.
"""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts import (
    SEVERITIES,
    Alert,
    Choice,
    Duration,
    Number,
    Setting,
    Tier,
)

__all__ = ["LONG_WINDOWS", "SLO_ALERTS", "SLO_INTERVAL"]

#: Windows beyond the five minutes that a rate is taken over.
LONG_WINDOWS = ("30m", "1h", "2h", "6h", "1d", "3d")
#: Seconds between two evaluations of this group: each recorded rate stands for as many.
SLO_INTERVAL = 60
# Long window, short window, factor.
_FAST = (("1h", "5m", 14.4), ("6h", "30m", 6.0))
_SLOW = (("1d", "2h", 3.0), ("3d", "6h", 1.0))


def _burns(kind: str, windows: tuple[tuple[str, str, float], ...]) -> str:
    """Where both windows of a pair burn too fast, and there are failures enough to speak of a share."""
    return "\nor ".join(
        f"(\n"
        f"  deployment:http_requests_{kind}:ratio_rate{long} > {factor:g} * (1 - $threshold)\n"
        f"  and deployment:http_requests_{kind}:ratio_rate{short} > {factor:g} * (1 - $threshold)\n"
        f"  and {SLO_INTERVAL} * sum_over_time(deployment:http_requests_{kind}:rate5m[{long}]) > $minimum\n"
        f")"
        for long, short, factor in windows
    )


def _settings(**more: Setting) -> Mapping[str, Setting]:
    return {
        **more,
        "minimum": Number(
            default=10, what="requests that must have missed the objective in the long window"
        ),
        "slow_for": Duration(default="15m", what="how long the slow leak waits"),
        "slow_severity": Choice(
            default="warning", among=SEVERITIES, what="severity of the slow leak"
        ),
    }


def _tiers(kind: str) -> tuple[Tier, ...]:
    return (
        Tier(expr=_burns(kind, _FAST), labels={"burn": "fast"}),
        Tier(
            expr=_burns(kind, _SLOW),
            hold="slow_for",
            severity="slow_severity",
            labels={"burn": "slow"},
        ),
    )


SLO_ALERTS: tuple[Alert, ...] = (
    Alert(
        name="ApiAvailabilityBurnRate",
        group="koprogo-slo",
        component="api",
        severity="critical",
        hold="2m",
        threshold=Number(default=0.999, high=1, what="share of the requests that shall succeed"),
        further=_settings(),
        tiers=_tiers("errors"),
        labels=("deployment",),
        per_host=False,
        summary="The API of {{ $labels.deployment }} uses up its budget of errors",
        value="{{ $value | humanizePercentage }} of requests fail",
        description=(
            "{{ $value | humanizePercentage }} of the requests to {{ $labels.deployment }} fail. At this "
            "speed the budget of thirty days is spent early: the objective is that {threshold} of them "
            "succeed."
        ),
        logs='{job="koprogo-api"$hosts} |= "ERROR" | json',
    ),
    Alert(
        name="ApiLatencyBurnRate",
        group="koprogo-slo",
        component="api",
        hold="2m",
        threshold=Number(default=0.99, high=1, what="share of the requests that shall be fast"),
        further=_settings(
            seconds=Number(
                default=1, what="seconds that count as fast; a bucket of the histogram ends there"
            )
        ),
        tiers=_tiers("slow"),
        labels=("deployment",),
        per_host=False,
        summary="The API of {{ $labels.deployment }} uses up its budget of slow requests",
        value="{{ $value | humanizePercentage }} of requests are slow",
        description=(
            "{{ $value | humanizePercentage }} of the requests to {{ $labels.deployment }} take longer "
            "than {seconds} s. The objective is that {threshold} of them are faster."
        ),
        logs='{job="koprogo-api"$hosts} | json | duration_ms > 1000',
    ),
)
