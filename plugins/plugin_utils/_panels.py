# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dashboards' names, and the panel that each alert leads to.

Alert rules link to panels, dashboards give their panels these numbers; a test holds both to it.

This file is private to the collection.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DASHBOARDS", "PANELS", "Panel"]

# uid: title. The uid is the address: it never changes.
DASHBOARDS = {
    "koprogo-incident": "Incident",
    "koprogo-api": "API Overview",
    "koprogo-system": "System Health",
    "koprogo-postgresql": "PostgreSQL Performance",
    "koprogo-business": "Business Metrics",
    "koprogo-security": "Security Events",
    "koprogo-stack": "Stack Health",
}


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel: the dashboard's uid and the panel's number in it."""

    dashboard: str
    number: int


def _panel(dashboard: str, number: int) -> Panel:
    return Panel(dashboard=f"koprogo-{dashboard}", number=number)


# Alert name: the panel that shows what it judges.
PANELS = {
    "ApiDown": _panel("api", 1),
    "HighErrorRate": _panel("api", 2),
    "SlowApi": _panel("api", 3),
    "ApiAvailabilityBurnRate": _panel("api", 4),
    "ApiLatencyBurnRate": _panel("api", 5),
    "ApiErrorBurst": _panel("api", 6),
    "ApiSlowRequests": _panel("api", 7),
    "DatabaseDown": _panel("postgresql", 1),
    "DatabaseConnectionsHigh": _panel("postgresql", 2),
    "DatabaseErrors": _panel("postgresql", 3),
    "DiskFull": _panel("system", 1),
    "DiskFullPredicted": _panel("system", 1),
    "MemoryExhaustion": _panel("system", 2),
    "HighCpu": _panel("system", 3),
    "FailedLogins": _panel("security", 1),
    "AttackDetected": _panel("security", 40),
    "ProtectionUnarmed": _panel("security", 16),
    "Watchdog": _panel("stack", 1),
    "TargetMissing": _panel("stack", 2),
    "ConfigurationReloadFailed": _panel("stack", 3),
    "RuleEvaluationFailing": _panel("stack", 4),
    "NotificationsFailing": _panel("stack", 5),
    "LokiUnhealthy": _panel("stack", 6),
    "LogCollectorUnhealthy": _panel("stack", 7),
    "LogStreamSilent": _panel("stack", 8),
    "ExporterScrapeErrors": _panel("stack", 9),
    "CertificateExpiring": _panel("stack", 10),
    "ProbeFailed": _panel("stack", 11),
}
