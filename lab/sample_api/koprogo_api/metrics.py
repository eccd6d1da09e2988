# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API's metrics, with the names and labels that the runbook's queries use."""

from __future__ import annotations

import os

# Read by prometheus_client when it is imported: no `_created` series beside the counters.
os.environ.setdefault("PROMETHEUS_DISABLE_CREATED_SERIES", "True")

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

__all__ = ["BUCKETS", "Metrics"]

# 1 s is the runbook's limit. Buckets above it keep the 99th percentile from sticking at the limit.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0)


class Metrics:
    """All series of the process, in a registry of its own (no interpreter internals)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "http_requests_total",
            "HTTP requests answered, by method, route template and status.",
            ["method", "path", "status"],
            registry=self.registry,
        )
        self.duration = Histogram(
            "http_request_duration_seconds",
            "Time to answer an HTTP request, by method and route template.",
            ["method", "path"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.errors = Counter(
            "http_requests_errors_total",
            "HTTP requests answered with a server error.",
            ["status"],
            registry=self.registry,
        )
        # A counter that appears with its first error has no increase to see: start them at 0.
        for status in ("500", "502", "503", "504"):
            self.errors.labels(status=status)
        self.db_connections = Gauge(
            "db_connections_active",
            "Connections of the pool that are in use.",
            registry=self.registry,
        )
        self.db_query = Histogram(
            "db_query_duration_seconds",
            "Time of a database query, waiting for a connection included.",
            buckets=BUCKETS,
            registry=self.registry,
        )

    def observe_request(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self.requests.labels(method=method, path=route, status=str(status)).inc()
        self.duration.labels(method=method, path=route).observe(seconds)
        if status >= 500:
            self.errors.labels(status=str(status)).inc()

    def render(self) -> bytes:
        """The text format of /metrics."""
        rendered: bytes = generate_latest(self.registry)
        return rendered
