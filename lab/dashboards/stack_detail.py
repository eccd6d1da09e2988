# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other rows of Stack Health: summary, stores, components, log."""

from __future__ import annotations

from lab.dashboards.board import Row
from lab.dashboards.kit import (
    column,
    graph,
    lines,
    log_panel,
    number,
    on_right_axis,
    or_else,
    prom,
    records,
)

__all__ = ["COMPONENTS", "LOGS", "NOW", "STORES"]

_ANY = 'deployment=~"$deployment", host=~"$host"'
_RATE = "$__rate_interval"

NOW = Row(
    "Now",
    [
        (
            20,
            number(
                "Targets down",
                "Scrape targets that do not answer.",
                "short",
                prom(f"count(up{{{_ANY}}} == 0) or vector(0)"),
                levels=[(None, "green"), (1, "red")],
            ),
        ),
        (
            21,
            number(
                "Alerts firing",
                "Alerts that fire, the Watchdog not counted.",
                "short",
                prom(
                    'count(ALERTS{alertstate="firing", alertname!="Watchdog", '
                    'deployment=~"$deployment"}) or vector(0)'
                ),
                levels=[(None, "green"), (1, "orange")],
            ),
        ),
        (
            22,
            number(
                "Silences",
                "Silences that are in force: what they cover tells nobody.",
                "short",
                prom(f'sum(alertmanager_silences{{{_ANY}, state="active"}})'),
                levels=[(None, "green"), (1, "orange")],
            ),
        ),
        (
            23,
            number(
                "Series",
                "Series that Prometheus keeps in memory.",
                "short",
                prom(f"sum(prometheus_tsdb_head_series{{{_ANY}}})"),
            ),
        ),
        (
            24,
            number(
                "Samples",
                "Samples taken in per second.",
                "ops",
                prom(f"sum(rate(prometheus_tsdb_head_samples_appended_total{{{_ANY}}}[{_RATE}]))"),
            ),
        ),
        (
            25,
            number(
                "Log lines",
                "Lines that Loki takes in per second.",
                "ops",
                prom(f"sum(rate(loki_distributor_lines_received_total{{{_ANY}}}[{_RATE}]))"),
                decimals=1,
            ),
        ),
    ],
)
STORES = Row(
    "Stores",
    [
        (
            30,
            graph(
                "Prometheus on disk",
                "Bytes of blocks and of the write-ahead log.",
                "bytes",
                prom(
                    f'prometheus_tsdb_storage_blocks_bytes{{{_ANY}, job="prometheus"}}',
                    "{{host}} blocks",
                ),
                prom(
                    f'prometheus_tsdb_wal_storage_size_bytes{{{_ANY}, job="prometheus"}}',
                    "{{host}} write-ahead log",
                ),
                size=(8, 8),
            ),
        ),
        (
            31,
            graph(
                "Prometheus in trouble",
                "Failed compactions, damaged write-ahead logs, samples that came too late: of the hour "
                "before.",
                "short",
                *(
                    prom(
                        f'increase(prometheus_{metric}_total{{{_ANY}, job="prometheus"}}[1h])',
                        f"{{{{host}}}} {name}",
                    )
                    for metric, name in (
                        ("tsdb_compactions_failed", "failed compactions"),
                        ("tsdb_wal_corruptions", "damaged logs"),
                        ("target_scrapes_sample_out_of_order", "out of order"),
                        ("target_scrapes_sample_duplicate_timestamp", "doubled"),
                    )
                ),
                size=(8, 8),
            ),
        ),
        (
            32,
            graph(
                "Time of a query",
                "99 of 100 queries of Prometheus took at most this long, by what took the time.",
                "s",
                prom(
                    "max by (slice) (prometheus_engine_query_duration_seconds"
                    f'{{{_ANY}, job="prometheus", quantile="0.99"}})',
                    "{{slice}}",
                ),
                size=(8, 8),
            ),
        ),
        (
            33,
            on_right_axis(
                graph(
                    "Loki takes in",
                    "Bytes per second. Dashed: streams that are open.",
                    "Bps",
                    prom(
                        "sum by (host) "
                        f"(rate(loki_distributor_bytes_received_total{{{_ANY}}}[{_RATE}]))",
                        "{{host}}",
                    ),
                    prom(
                        f"sum by (host) (loki_ingester_memory_streams{{{_ANY}}})",
                        "{{host}} streams",
                    ),
                    size=(8, 8),
                ),
                ".* streams",
                "short",
            ),
        ),
        (
            34,
            graph(
                "Loki's answers",
                "95 of 100 requests took at most this long, by kind.",
                "s",
                prom(
                    "histogram_quantile(0.95, sum by (le, route) (rate("
                    "loki_request_duration_seconds_bucket"
                    f'{{{_ANY}, route=~"otlp_v1_logs|loki_api_v1_.*"}}[5m])))',
                    "{{route}}",
                ),
                size=(8, 8),
            ),
        ),
        (
            35,
            graph(
                "Notifications",
                "Notifications that Alertmanager sent per second, by kind.",
                "ops",
                prom(
                    f"sum by (integration) (rate(alertmanager_notifications_total{{{_ANY}}}[5m]))",
                    "{{integration}}",
                ),
                size=(8, 8),
            ),
        ),
    ],
)
COMPONENTS = Row(
    "Components",
    [
        (
            40,
            graph(
                "Memory",
                "Memory of each daemon of the stack.",
                "bytes",
                prom(
                    "sum by (job) (process_resident_memory_bytes"
                    f'{{{_ANY}, job!="koprogo-api"}}) '
                    f"or sum by (job) (otelcol_process_memory_rss_bytes{{{_ANY}}})",
                    "{{job}}",
                ),
                stacked=True,
                size=(8, 8),
            ),
        ),
        (
            41,
            graph(
                "CPU",
                "Cores that each daemon of the stack keeps busy.",
                "short",
                prom(
                    "sum by (job) (rate(process_cpu_seconds_total"
                    f'{{{_ANY}, job!="koprogo-api"}}[{_RATE}])) '
                    "or sum by (job) "
                    f"(rate(otelcol_process_cpu_seconds_total{{{_ANY}}}[{_RATE}]))",
                    "{{job}}",
                ),
                stacked=True,
                size=(8, 8),
            ),
        ),
        (
            42,
            graph(
                "Time of a scrape",
                "How long each job's slowest target takes to answer; it has 10 s.",
                "s",
                prom(f"max by (job) (scrape_duration_seconds{{{_ANY}}})", "{{job}}"),
                levels=[(None, "green"), (8, "red")],
                size=(8, 8),
            ),
        ),
        (
            43,
            column(
                records(
                    "Versions",
                    "What runs where.",
                    "short",
                    prom(
                        "max by (job, host, version) "
                        f'({{__name__=~".*build_info", {_ANY}, version!=""}})',
                        instant=True,
                    ),
                    columns={"host": "Host", "job": "Job", "version": "Version"},
                    size=(12, 9),
                ),
                "Version",
                unit="string",
            ),
        ),
        (
            44,
            graph(
                "Samples per scrape",
                "How many samples each job delivers; a jump is a label with too many values.",
                "short",
                prom(f"sum by (job) (scrape_samples_post_metric_relabeling{{{_ANY}}})", "{{job}}"),
                stacked=True,
                size=(12, 9),
            ),
        ),
    ],
)
LOGS = Row(
    "Logs",
    [
        (
            50,
            or_else(
                log_panel(
                    "What the stack complains about",
                    "Lines of the stack's daemons at level warning or worse, newest first.",
                    lines(
                        '{job=~"prometheus|alertmanager|loki|log_collector|.*_exporter|metrics_gateway", '
                        'deployment=~"$deployment", host=~"$host"} '
                        '|~ "level=(warn|error)|(?i)\\\\berror\\\\b|panic"'
                    ),
                    labels=True,
                ),
                "No complaints.",
            ),
        )
    ],
)
