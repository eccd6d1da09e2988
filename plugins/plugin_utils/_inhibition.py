# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which alert silences which others: a cause hides its symptoms, on its own deployment and nowhere else.

Alertmanager takes a label that both alerts lack for equal, and a rule would then silence strangers.
So every label that must be equal is also asked to be there, on both sides.

This file is private to the collection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["CAUSES", "Cause", "inhibit_rules"]

_API_SYMPTOMS = ("SlowApi", "HighErrorRate", "ApiErrorBurst", "ApiSlowRequests")
_BURN_RATES = ("ApiAvailabilityBurnRate", "ApiLatencyBurnRate")
_HOST = ("deployment", "host")


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One alert and the alerts that need no notification of their own while it fires.

    equal: labels that both must have, with the same value.
    alert_with, symptoms_with: further matchers of one side.
    """

    alert: str
    symptoms: tuple[str, ...]
    equal: tuple[str, ...] = ("deployment",)
    alert_with: tuple[str, ...] = ()
    symptoms_with: tuple[str, ...] = ()


# DatabaseDown hides no ApiDown: an API that is down has to be told, whatever the reason is. It also
# fires when only its exporter is dead, and hides nothing of the API then. Of severity critical only
# HighErrorRate and the availability's burn rate are ever hidden: they say once more what their cause
# says already.
CAUSES: tuple[Cause, ...] = (
    Cause(alert="ApiDown", symptoms=_API_SYMPTOMS, equal=_HOST),
    # Judged for all of a deployment's API hosts together: one that pages may be another host's.
    Cause(alert="ApiDown", symptoms=_BURN_RATES, symptoms_with=('severity="warning"',)),
    Cause(
        alert="DatabaseDown",
        symptoms=("DatabaseConnectionsHigh", "DatabaseErrors", *_API_SYMPTOMS, *_BURN_RATES),
        alert_with=('reason="refused"',),
    ),
    # The same errors, counted by metrics and by log lines.
    Cause(alert="HighErrorRate", symptoms=("ApiErrorBurst",), equal=_HOST),
    Cause(alert="SlowApi", symptoms=("ApiSlowRequests",), equal=_HOST),
    Cause(
        alert="DiskFull",
        symptoms=("DiskFullPredicted",),
        equal=(*_HOST, "mountpoint"),
    ),
    # A burn rate that pages hides the slower one that only warns.
    *(
        Cause(
            alert=name,
            symptoms=(name,),
            alert_with=('severity="critical"',),
            symptoms_with=('severity="warning"',),
        )
        for name in _BURN_RATES
    ),
    # What is down can't be scraped.
    Cause(
        alert="ApiDown",
        symptoms=("TargetMissing", "ExporterScrapeErrors"),
        equal=_HOST,
        symptoms_with=('job=~"koprogo-api|koprogo-api-health"',),
    ),
    Cause(
        alert="DatabaseDown",
        symptoms=("TargetMissing", "ExporterScrapeErrors"),
        equal=_HOST,
        symptoms_with=('job=~"postgresql|koprogo-business"',),
    ),
    Cause(
        alert="LokiUnhealthy",
        symptoms=("TargetMissing",),
        equal=_HOST,
        symptoms_with=('job="loki"',),
    ),
    Cause(
        alert="LogCollectorUnhealthy",
        symptoms=("TargetMissing",),
        equal=_HOST,
        symptoms_with=('job="log-collector"',),
    ),
    # All of a host's metrics come through its gateway.
    Cause(
        alert="TargetMissing",
        symptoms=("TargetMissing", "ExporterScrapeErrors"),
        equal=_HOST,
        alert_with=('job="metrics-gateway"',),
        symptoms_with=('job!="metrics-gateway"',),
    ),
    Cause(
        alert="TargetMissing",
        symptoms=("ExporterScrapeErrors",),
        equal=(*_HOST, "job"),
    ),
    # Logs that arrive nowhere look like logs that nobody writes, and fill the collectors' queues. No
    # collector dies of it.
    Cause(alert="LokiUnhealthy", symptoms=("LogStreamSilent",)),
    Cause(
        alert="LokiUnhealthy",
        symptoms=("LogCollectorUnhealthy",),
        symptoms_with=('reason=~"full|stuck"',),
    ),
    Cause(alert="LogCollectorUnhealthy", symptoms=("LogStreamSilent",), equal=_HOST),
)


def _named(names: tuple[str, ...]) -> str:
    return f'alertname="{names[0]}"' if len(names) == 1 else f'alertname=~"{"|".join(names)}"'


def inhibit_rules() -> list[dict[str, Any]]:
    """C(inhibit_rules) for Alertmanager."""
    rules = []
    for cause in CAUSES:
        there = [f'{label}=~".+"' for label in cause.equal]
        rules.append(
            {
                "source_matchers": [_named((cause.alert,)), *cause.alert_with, *there],
                "target_matchers": [_named(cause.symptoms), *cause.symptoms_with, *there],
                "equal": list(cause.equal),
            }
        )
    return rules
