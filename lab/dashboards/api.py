# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""API Overview: is it up, how many requests, how many fail, how long do they take, and which."""

from __future__ import annotations

from lab.dashboards.api_detail import INSIDE, LOGS, TRAFFIC
from lab.dashboards.api_queries import (
    API,
    DAYS,
    HEALTH,
    LOGGED,
    ROUTE,
    WINDOWS,
    failed,
    quantile,
    recorded,
    slow,
)
from lab.dashboards.board import Board, Row, Variable, deployment, host
from lab.dashboards.kit import graph, log_metric, number, on_right_axis, prom, states
from lab.dashboards.links import API_LOG

__all__ = ["BOARD"]

_NOW = Row(
    "Now",
    [
        (
            10,
            number(
                "Requests",
                "Requests answered per second.",
                "reqps",
                prom(f"sum(rate(http_requests_total{{{ROUTE}}}[$__rate_interval]))"),
                decimals=1,
            ),
        ),
        (
            11,
            number(
                "Failed",
                "Share of requests of the last 5 minutes that were answered with a server error.",
                "percentunit",
                prom(failed("5m")),
                levels=[(None, "green"), (0.01, "orange"), (0.05, "red")],
                decimals=2,
            ),
        ),
        (
            12,
            number(
                "P99",
                "99 of 100 requests of the last 5 minutes took at most this long.",
                "s",
                prom(quantile("0.99", "5m")),
                levels=[(None, "green"), (0.5, "orange"), (1, "red")],
            ),
        ),
        (
            13,
            number(
                "Availability",
                "Share of the chosen time in which /health answered.",
                "percentunit",
                prom(f"avg(avg_over_time(probe_success{{{HEALTH}}}[$__range]))", instant=True),
                levels=[(None, "red"), (0.99, "orange"), (0.999, "green")],
                decimals=2,
                curve=False,
            ),
        ),
        (
            14,
            number(
                "Database connections in use",
                "Connections of the API's pool that are in use.",
                "short",
                prom(f"sum(db_connections_active{{{API}}})"),
            ),
        ),
        (
            15,
            number(
                "Running since",
                "Time since the API's process was started: a deploy, or a restart.",
                "s",
                prom(f"time() - max(process_start_time_seconds{{{API}}})"),
                curve=False,
            ),
        ),
    ],
)
_ALERTS = Row(
    "What the alerts judge",
    [
        (
            1,
            states(
                "Is the API up",
                "The scrape of /metrics (process), and the probe of /health (answers). Both must be up.",
                prom(f"up{{{API}}}", "{{host}} process"),
                prom(f"probe_success{{{HEALTH}}}", "{{host}} /health"),
            ),
        ),
        (
            2,
            on_right_axis(
                graph(
                    "Server errors per second",
                    "All 5xx answers of a host together, over 5 minutes; the alert's limit is 10/s, or "
                    "5 % of the requests where there are few. Dashed: that share.",
                    "reqps",
                    prom(
                        f"sum by (host) (rate(http_requests_errors_total{{{API}}}[5m]))",
                        "{{host}}",
                    ),
                    prom(failed("5m", by="host"), "{{host}} share"),
                    levels=[(None, "green"), (10, "red")],
                ),
                ".* share",
                "percentunit",
                1,
            ),
        ),
        (
            3,
            graph(
                "Latency",
                "P50, P95 and P99 over 5 minutes; the alert's limit for P99 is 1 s.",
                "s",
                prom(quantile("0.99", "5m", ", host"), "{{host}} P99"),
                prom(quantile("0.95", "5m", ", host"), "{{host}} P95"),
                prom(quantile("0.50", "5m", ", host"), "{{host}} P50"),
                levels=[(None, "green"), (1, "red")],
            ),
        ),
        (
            7,
            graph(
                "Slow requests in the log",
                "Requests that took more than 1 s, counted from the log lines of 5 minutes; the alert's "
                "limit is 20.",
                "short",
                log_metric(
                    f"sum by (host) (count_over_time({{{API_LOG}}} {LOGGED} "
                    '| duration_ms > 1000 | __error__="" [5m])) or on () vector(0)',
                    "{{host}} slower than 1 s",
                ),
                levels=[(None, "green"), (20, "red")],
                drawn_as_bars=True,
            ),
        ),
        (
            4,
            graph(
                "Failed requests by window",
                "Share of failed requests over several windows. The alert compares a long and a short "
                "window with the budget of 0.1 %: above the line both, it burns fast.",
                "percentunit",
                *(prom(failed(one), f"{{{{deployment}}}} {one}") for one in WINDOWS),
                *(prom(recorded("errors", one), f"{{{{deployment}}}} {one}") for one in DAYS),
                levels=[(None, "green"), (0.0144, "red")],
                size=(8, 8),
            ),
        ),
        (
            5,
            graph(
                "Requests over 1 s by window",
                "Share of requests that took more than 1 s over several windows. The budget is 1 %: "
                "above the line in a long and a short window, it burns fast.",
                "percentunit",
                *(prom(slow(one), f"{{{{deployment}}}} {one}") for one in WINDOWS),
                *(prom(recorded("slow", one), f"{{{{deployment}}}} {one}") for one in DAYS),
                levels=[(None, "green"), (0.144, "red")],
                size=(8, 8),
            ),
        ),
        (
            6,
            graph(
                "Errors in the log",
                "Lines of level ERROR in the API's log, of 5 minutes; the alert's limit is 50.",
                "short",
                log_metric(
                    f'sum by (host) (count_over_time({{{API_LOG}}} |= "ERROR" '
                    '| json level="level" | level="ERROR" | __error__="" [5m])) or on () vector(0)',
                    "{{host}} ERROR",
                ),
                levels=[(None, "green"), (50, "red")],
                size=(8, 8),
                drawn_as_bars=True,
            ),
        ),
    ],
)
BOARD = Board(
    uid="koprogo-api",
    about="The KoproGo API: traffic, errors, latency, by endpoint; and what is behind them.",
    variables=[
        deployment(),
        host("koprogo-api"),
        Variable(
            name="route",
            label="Route",
            query=(
                'label_values(http_requests_total{job="koprogo-api", deployment=~"$deployment"}, path)'
            ),
        ),
    ],
    rows=[_NOW, _ALERTS, TRAFFIC, INSIDE, LOGS],
)
