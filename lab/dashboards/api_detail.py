# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lower rows of API Overview: by endpoint, inside the process, and its log."""

from __future__ import annotations

from lab.dashboards.api_queries import API, ROUTE, quantile
from lab.dashboards.board import Row
from lab.dashboards.kit import (
    column,
    graph,
    heat,
    lines,
    log_metric,
    log_panel,
    on_right_axis,
    or_else,
    prom,
    records,
)
from lab.dashboards.links import API_LOG

__all__ = ["INSIDE", "LOGS", "TRAFFIC"]

TRAFFIC = Row(
    "Traffic",
    [
        (
            20,
            graph(
                "Requests per endpoint",
                "Requests answered per second, by method and route.",
                "reqps",
                prom(
                    "sum by (method, path) "
                    f"(rate(http_requests_total{{{ROUTE}}}[$__rate_interval]))",
                    "{{method}} {{path}}",
                ),
                stacked=True,
                size=(12, 9),
            ),
        ),
        (
            21,
            graph(
                "Answers by class",
                "Requests per second by class of status: 2xx done, 4xx the client's error, 5xx ours.",
                "reqps",
                prom(
                    "sum by (class) (label_replace("
                    f"rate(http_requests_total{{{ROUTE}}}[$__rate_interval]), "
                    '"class", "${1}xx", "status", "(.).."))',
                    "{{class}}",
                ),
                colors={"2xx": "green", "3xx": "blue", "4xx": "orange", "5xx": "red"},
                stacked=True,
                size=(12, 9),
            ),
        ),
        (
            23,
            column(
                column(
                    records(
                        "Slowest Endpoints",
                        "Routes by their P95 over the chosen time; the first one is where to look.",
                        "s",
                        prom(quantile("0.50", "$__range", ", method, path"), instant=True),
                        prom(quantile("0.95", "$__range", ", method, path"), instant=True),
                        prom(quantile("0.99", "$__range", ", method, path"), instant=True),
                        prom(
                            "sum by (method, path) "
                            f"(increase(http_requests_total{{{ROUTE}}}[$__range]))",
                            instant=True,
                        ),
                        columns={
                            "method": "Method",
                            "path": "Route",
                            "Value #A": "P50",
                            "Value #B": "P95",
                            "Value #C": "P99",
                            "Value #D": "Requests",
                        },
                        sort="P95",
                    ),
                    "P99",
                    levels=[(None, "green"), (0.5, "orange"), (1, "red")],
                ),
                "Requests",
                unit="short",
            ),
        ),
        (
            22,
            heat(
                "How long requests take",
                "Requests by duration: a second band is a second kind of request.",
                "s",
                prom(
                    "sum by (le) (increase("
                    f"http_request_duration_seconds_bucket{{{ROUTE}}}[$__rate_interval]))",
                    "{{le}}",
                    heat=True,
                ),
            ),
        ),
        (
            24,
            graph(
                "P95 per endpoint",
                "95 of 100 requests took at most this long, by route.",
                "s",
                prom(quantile("0.95", "5m", ", path"), "{{path}}"),
            ),
        ),
        (
            25,
            graph(
                "Refused and failed requests per endpoint",
                "4xx and 5xx answers per second, the ten most frequent.",
                "reqps",
                prom(
                    "topk(10, sum by (path, status) "
                    f'(rate(http_requests_total{{{ROUTE}, status=~"[45].."}}[$__rate_interval])))',
                    "{{status}} {{path}}",
                ),
                stacked=True,
            ),
        ),
    ],
)
INSIDE = Row(
    "Inside",
    [
        (
            30,
            graph(
                "Database queries",
                "Time of the API's database queries, waiting for a connection included.",
                "s",
                prom(
                    "histogram_quantile(0.95, sum by (le, host) "
                    f"(rate(db_query_duration_seconds_bucket{{{API}}}[5m])))",
                    "{{host}} P95",
                ),
                prom(
                    f"sum by (host) (rate(db_query_duration_seconds_sum{{{API}}}[5m])) "
                    f"/ sum by (host) (rate(db_query_duration_seconds_count{{{API}}}[5m]))",
                    "{{host}} mean",
                ),
                size=(8, 7),
            ),
        ),
        (
            31,
            on_right_axis(
                graph(
                    "Pool and queries",
                    "Connections of the pool in use. Dashed: queries per second.",
                    "short",
                    prom(f"sum by (host) (db_connections_active{{{API}}})", "{{host}} in use"),
                    prom(
                        f"sum by (host) (rate(db_query_duration_seconds_count{{{API}}}"
                        "[$__rate_interval]))",
                        "{{host}} queries",
                    ),
                    size=(8, 7),
                ),
                ".* queries",
                "ops",
            ),
        ),
        (
            32,
            on_right_axis(
                graph(
                    "Process",
                    "Memory of the API's process. Dashed: cores that it keeps busy.",
                    "bytes",
                    prom(f"process_resident_memory_bytes{{{API}}}", "{{host}} memory"),
                    prom(
                        f"rate(process_cpu_seconds_total{{{API}}}[$__rate_interval])",
                        "{{host}} cores",
                    ),
                    size=(8, 7),
                ),
                ".* cores",
                "short",
            ),
        ),
        (
            33,
            graph(
                "Open files",
                "Files and sockets that the API's process has open; dashed, how many it may have.",
                "short",
                prom(f"process_open_fds{{{API}}}", "{{host}} open"),
                prom(f"process_max_fds{{{API}}}", "{{host}} limit"),
                size=(8, 7),
            ),
        ),
        (
            34,
            graph(
                "Restarts",
                "How often the API's process was started within the hour before.",
                "short",
                prom(f"changes(process_start_time_seconds{{{API}}}[1h])", "{{host}}"),
                size=(8, 7),
                decimals=0,
            ),
        ),
        (
            35,
            graph(
                "Log lines by level",
                "Lines per second in the API's log.",
                "short",
                log_metric(
                    f'sum by (level) (rate({{{API_LOG}}} | json level="level" [$__auto]))',
                    "{{level}}",
                ),
                colors={"INFO": "green", "WARN": "orange", "ERROR": "red"},
                stacked=True,
                size=(8, 7),
            ),
        ),
    ],
)
# The line's own words, and the whole line where it isn't JSON.
_READABLE = (
    "| line_format `{{if .message}}{{.level}} {{.message}} {{.request_id}}"
    "{{else}}{{__line__}}{{end}}`"
)

LOGS = Row(
    "Logs",
    [
        (
            50,
            or_else(
                log_panel(
                    "Errors",
                    "The runbook's query for errors, newest first.",
                    lines(f'{{{API_LOG}}} |= "ERROR" | json {_READABLE}'),
                    size=(12, 10),
                ),
                "No errors.",
            ),
        ),
        (
            51,
            or_else(
                log_panel(
                    "Slow requests",
                    "Requests that took more than 1 s, newest first.",
                    lines(
                        f'{{{API_LOG}}} | json | route=~"$route" | duration_ms > 1000 | __error__="" '
                        "| line_format `{{.duration_ms}} ms {{.status}} {{.method}} {{.path}} "
                        "{{.request_id}}`"
                    ),
                    size=(12, 10),
                ),
                "No slow requests.",
            ),
        ),
    ],
)
