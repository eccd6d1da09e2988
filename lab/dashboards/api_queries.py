# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Selectors and queries of the API's dashboards."""

from __future__ import annotations

__all__ = [
    "API",
    "DAYS",
    "HEALTH",
    "LOGGED",
    "ROUTE",
    "WINDOWS",
    "failed",
    "quantile",
    "recorded",
    "slow",
]

API = 'job="koprogo-api", deployment=~"$deployment", host=~"$host"'
ROUTE = f'{API}, path=~"$route"'
HEALTH = 'job="koprogo-api-health", deployment=~"$deployment", host=~"$host"'
WINDOWS = ("5m", "30m", "1h", "6h")
DAYS = ("1d", "3d")
LOGGED = '| json route="route", status="status", duration_ms="duration_ms" | route=~"$route"'


def quantile(share: str, window: str, by: str = "") -> str:
    return (
        f"histogram_quantile({share}, sum by (le{by}) "
        f"(rate(http_request_duration_seconds_bucket{{{ROUTE}}}[{window}])))"
    )


def failed(window: str, by: str = "deployment") -> str:
    return (
        f"sum by ({by}) (rate(http_requests_errors_total{{{API}}}[{window}])) "
        f"/ sum by ({by}) (rate(http_requests_total{{{API}}}[{window}]))"
    )


def recorded(kind: str, window: str) -> str:
    """A share over days, as the rules record it: from the counters it would cost too much."""
    return f'deployment:http_requests_{kind}:ratio_rate{window}{{deployment=~"$deployment"}}'


def slow(window: str) -> str:
    # Prometheus 3 writes le="1.0", older ones keep what the API wrote.
    return (
        "1 - sum by (deployment) "
        f'(rate(http_request_duration_seconds_bucket{{{API}, le=~"1|1.0"}}[{window}])) '
        f"/ sum by (deployment) (rate(http_request_duration_seconds_count{{{API}}}[{window}]))"
    )
