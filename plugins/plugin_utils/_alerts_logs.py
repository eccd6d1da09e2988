# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The alerts that Loki evaluates over the logs.

This file is private to the collection.
"""

from __future__ import annotations

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts import (
    Alert,
    Number,
    Tier,
)

__all__ = ["LOG_ALERTS"]

_API = '{job="koprogo-api"$hosts}'


def _lines(selection: str, by: str = "deployment, host") -> str:
    return f"sum by ({by}) (count_over_time({selection} [5m])) > $threshold"


LOG_ALERTS: tuple[Alert, ...] = (
    Alert(
        name="ApiErrorBurst",
        group="koprogo-logs",
        component="api",
        source="loki",
        hold="1m",
        threshold=Number(default=50, what="errors in five minutes"),
        tiers=(Tier(expr=_lines(f'{_API} |= "ERROR" | json level="level" | level="ERROR"')),),
        labels=("deployment", "host"),
        summary="The API on {{ $labels.host }} logs many errors",
        value="{{ $value }} errors in five minutes",
        description="The API on {{ $labels.host }} logged {{ $value }} errors in five minutes.",
        logs='{job="koprogo-api"$hosts} |= "ERROR" | json',
    ),
    Alert(
        name="ApiSlowRequests",
        group="koprogo-logs",
        component="api",
        source="loki",
        hold="1m",
        threshold=Number(default=20, what="slow requests in five minutes"),
        further={"milliseconds": Number(default=1000, what="milliseconds above which one is slow")},
        tiers=(
            Tier(
                expr=_lines(
                    f'{_API} | json duration_ms="duration_ms" | duration_ms > $milliseconds | __error__=""'
                )
            ),
        ),
        labels=("deployment", "host"),
        summary="The API on {{ $labels.host }} logs many slow requests",
        value="{{ $value }} slow requests in five minutes",
        description=(
            "The API on {{ $labels.host }} took longer than {milliseconds} ms for {{ $value }} requests "
            "in five minutes."
        ),
        logs='{job="koprogo-api"$hosts} | json | duration_ms > $milliseconds',
    ),
    Alert(
        name="FailedLogins",
        group="koprogo-logs",
        component="security",
        source="loki",
        threshold=Number(default=10, what="failed sign-ins of one address in five minutes"),
        tiers=(
            Tier(
                expr=_lines(
                    f'{_API} |= "401" | json path="path", status="status", remote_addr="remote_addr" '
                    '| path="/api/v1/auth/login" | status="401"',
                    by="deployment, host, remote_addr",
                )
            ),
        ),
        labels=("deployment", "host", "remote_addr"),
        summary="{{ $labels.remote_addr }} fails to sign in, again and again",
        value="{{ $value }} failed sign-ins in five minutes",
        description=(
            "{{ $labels.remote_addr }} failed to sign in to the API on {{ $labels.host }} {{ $value }} "
            "times in five minutes."
        ),
        logs='{job="koprogo-api"$hosts} |= "401" | json | path="/api/v1/auth/login"',
    ),
    Alert(
        name="DatabaseErrors",
        group="koprogo-logs",
        component="database",
        source="loki",
        hold="1m",
        threshold=Number(default=10, what="errors in five minutes"),
        tiers=(Tier(expr=_lines('{job="postgresql"$hosts} |~ "(ERROR|FATAL|PANIC):"')),),
        labels=("deployment", "host"),
        summary="PostgreSQL on {{ $labels.host }} logs many errors",
        value="{{ $value }} errors in five minutes",
        description="PostgreSQL on {{ $labels.host }} logged {{ $value }} errors in five minutes.",
        logs='{job="postgresql"$hosts} |~ "ERROR|FATAL|PANIC"',
    ),
)
