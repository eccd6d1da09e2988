# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts serve Prometheus while they are well, and from their fault on: the runbook's eight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["FAULTS", "Fault", "Metric"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A series: what it begins with, grows by each second, jumps by at the fault, grows by from then on."""

    series: str
    value: float = 0
    rate: float = 0
    jump: float = 0
    then: float = 0

    def at(self, well: float, faulty: float) -> float:
        """The value after so many seconds without the fault, and so many with it."""
        return self.value + self.rate * well + (self.jump + self.then * faulty if faulty else 0)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault and the alert that tells of it.

    settings: what is set of the alert so that nobody waits for minutes. condition: seconds that its
    expression needs until it holds. answers: whether a scrape still succeeds.
    """

    alert: str
    job: str
    metrics: Sequence[Metric]
    group: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    condition: float = 0
    answers: bool = True

    def page(self, well: float, faulty: float) -> str:
        """What is served; empty for an error."""
        if faulty and not self.answers:
            return ""
        return "".join(f"{one.series} {one.at(well, faulty)}\n" for one in self.metrics)


def _bucket(limit: str, jump: float) -> Metric:
    series = f'http_request_duration_seconds_bucket{{path="/api/v1/expenses",le="{limit}"}}'
    return Metric(series=series, rate=10, jump=jump, then=10)


_REQUESTS = 'http_requests_total{path="/api/v1/expenses"}'
_ROOT = '{device="/dev/sda1",fstype="ext4",mountpoint="/"}'

FAULTS = (
    Fault(
        alert="ApiDown",
        job="koprogo-api",
        group="api",
        metrics=(Metric(series=_REQUESTS, rate=10),),
        answers=False,
    ),
    Fault(
        alert="DatabaseDown",
        job="postgresql",
        group="database",
        metrics=(Metric(series="pg_up", value=1, jump=-1),),
    ),
    Fault(
        alert="DiskFull",
        job="node",
        metrics=(
            Metric(series=f"node_filesystem_avail_bytes{_ROOT}", value=50e9, jump=-49e9),
            Metric(series=f"node_filesystem_size_bytes{_ROOT}", value=100e9),
        ),
    ),
    Fault(
        alert="HighErrorRate",
        job="koprogo-api",
        group="api",
        # As many at once as the threshold asks for in its five minutes.
        metrics=(
            Metric(series=_REQUESTS, rate=10, jump=10_000, then=10),
            Metric(series="http_requests_errors_total", jump=10_000),
        ),
    ),
    Fault(
        alert="MemoryExhaustion",
        job="node",
        metrics=(
            Metric(series="node_memory_MemAvailable_bytes", value=4e9, jump=-3.95e9),
            Metric(series="node_memory_MemTotal_bytes", value=8e9),
        ),
    ),
    Fault(
        alert="SlowApi",
        job="koprogo-api",
        group="api",
        settings={"for": "30s"},
        metrics=(
            Metric(series=_REQUESTS, rate=10, jump=10_000, then=10),
            _bucket("1", 0),
            _bucket("2.5", 10_000),
            _bucket("+Inf", 10_000),
        ),
    ),
    Fault(
        alert="HighCpu",
        job="node",
        settings={"for": "30s", "window": "1m"},
        # Of a minute that was idle but for a tenth, less than a fifth is left.
        condition=47,
        metrics=(Metric(series='node_cpu_seconds_total{cpu="0",mode="idle"}', rate=0.9),),
    ),
    Fault(
        alert="DatabaseConnectionsHigh",
        job="postgresql",
        group="database",
        settings={"for": "30s"},
        metrics=(
            Metric(series="pg_up", value=1),
            Metric(series='pg_stat_activity_count{state="idle"}', value=10, jump=80),
        ),
    ),
)
