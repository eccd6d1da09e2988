# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stack Health: does the monitoring itself see, keep and tell what happens."""

from __future__ import annotations

from lab.dashboards.board import Board, Row, deployment, host
from lab.dashboards.kit import graph, log_metric, named, on_right_axis, or_else, prom, states
from lab.dashboards.stack_detail import COMPONENTS, LOGS, NOW, STORES

__all__ = ["BOARD"]

_ANY = 'deployment=~"$deployment", host=~"$host"'
_LOKI = f'loki_request_duration_seconds_count{{{_ANY}, job="loki", route!="ready"'
_RELOADED = named({"0": ("refused", "red"), "1": ("loaded", "green")})
# Those that panels and alerts read; others may fail where the kernel lacks what they ask for.
_COLLECTORS = "cpu|diskstats|filesystem|loadavg|meminfo|netdev|stat|systemd|textfile|vmstat"
_ANSWERS = named({"0": ("fails", "red"), "1": ("answers", "green")})
_FAILED = named({"0": ("answers", "green"), "1": ("fails", "red")})


def _job(name: str) -> str:
    return f'job="{name}", {_ANY}'


_ALERTS = Row(
    "What the alerts judge",
    [
        (
            2,
            states(
                "Targets",
                "Each scrape job on each host. A target that is missing altogether has no band.",
                prom(f"min by (host, job) (up{{{_ANY}}})", "{{host}} {{job}}"),
                size=(24, 11),
            ),
        ),
        (
            1,
            on_right_axis(
                graph(
                    "Is the data fresh",
                    "Age of each job's newest sample; it should stay below twice the scrape interval. "
                    "Dashed: whether the Watchdog fires, which it always should.",
                    "s",
                    prom(
                        f"max by (job) (time() - timestamp(up{{{_ANY}}}))",
                        "{{job}}",
                    ),
                    prom(
                        'count(ALERTS{alertname="Watchdog", alertstate="firing"}) or vector(0)',
                        "Watchdog fires",
                    ),
                    levels=[(None, "green"), (60, "red")],
                ),
                "Watchdog.*",
                "short",
            ),
        ),
        (
            3,
            states(
                "Configuration",
                "Whether the daemon took its newest configuration.",
                prom(f"prometheus_config_last_reload_successful{{{_ANY}}}", "{{host}} prometheus"),
                prom(
                    f"alertmanager_config_last_reload_successful{{{_ANY}}}",
                    "{{host}} alertmanager",
                ),
                prom(
                    f"blackbox_exporter_config_last_reload_successful{{{_ANY}}}",
                    "{{host}} blackbox exporter",
                ),
                prom(
                    f"loki_ruler_config_last_reload_successful{{{_ANY}}}", "{{host}} Loki's rules"
                ),
                names=_RELOADED,
            ),
        ),
        (
            4,
            graph(
                "Rules that fail",
                "Evaluations per second that failed, and groups that were skipped because the one "
                "before was not done.",
                "ops",
                prom(
                    "sum by (host, rule_group) "
                    f"(rate(prometheus_rule_evaluation_failures_total{{{_ANY}}}[5m]))",
                    "{{host}} {{rule_group}} failed",
                ),
                prom(
                    "sum by (host, rule_group) "
                    f"(rate(prometheus_rule_group_iterations_missed_total{{{_ANY}}}[5m]))",
                    "{{host}} {{rule_group}} skipped",
                ),
            ),
        ),
        (
            5,
            graph(
                "Notifications that fail",
                "Per second: what Alertmanager could not deliver, and what Prometheus could not hand "
                "to Alertmanager.",
                "ops",
                prom(
                    "sum by (integration) "
                    f"(rate(alertmanager_notifications_failed_total{{{_ANY}}}[5m])) "
                    "and on (integration) sum by (integration) "
                    f"(alertmanager_notifications_total{{{_ANY}}}) > 0 "
                    f"or sum(rate(alertmanager_notifications_failed_total{{{_ANY}}}[5m]))",
                    "Alertmanager {{integration}}",
                ),
                prom(
                    f"sum by (host) (rate(prometheus_notifications_errors_total{{{_ANY}}}[5m]))",
                    "{{host}} Prometheus, refused",
                ),
                prom(
                    f"sum by (host) (rate(prometheus_notifications_dropped_total{{{_ANY}}}[5m]))",
                    "{{host}} Prometheus, dropped",
                ),
            ),
        ),
        (
            6,
            on_right_axis(
                graph(
                    "Loki",
                    "Share of requests that fail; the alert's limit is 10 %. Dashed: whether it answers.",
                    "percentunit",
                    prom(
                        f'(sum by (host) (rate({_LOKI}, status_code=~"5.."}}[5m])) '
                        f"or sum by (host) (0 * up{{{_job('loki')}}})) "
                        f"/ sum by (host) (rate({_LOKI}}}[5m]))",
                        "{{host}} failed",
                    ),
                    prom(f"up{{{_job('loki')}}}", "{{host}} up"),
                    levels=[(None, "green"), (0.1, "red")],
                    high=1,
                ),
                ".* up",
                "short",
                1,
            ),
        ),
        (
            7,
            on_right_axis(
                graph(
                    "Log collectors",
                    "Share of the queue that is full: it fills while Loki can't be reached. Dashed: "
                    "lines per second that were refused or given up.",
                    "percentunit",
                    prom(
                        f"max by (host) (otelcol_exporter_queue_size{{{_ANY}}} "
                        f"/ otelcol_exporter_queue_capacity{{{_ANY}}})",
                        "{{host}} queue",
                    ),
                    prom(
                        "sum by (host) "
                        f"(rate(otelcol_receiver_refused_log_records_total{{{_ANY}}}[5m])) "
                        "+ (sum by (host) "
                        f"(rate(otelcol_exporter_send_failed_log_records_total{{{_ANY}}}[5m])) "
                        f"or sum by (host) (0 * up{{{_job('log-collector')}}}))",
                        "{{host}} lost",
                    ),
                    levels=[(None, "green"), (0.5, "red")],
                    high=1,
                ),
                ".* lost",
                "ops",
            ),
        ),
        (
            8,
            on_right_axis(
                graph(
                    "Log lines by stream",
                    "Lines per minute of each job. A stream that ends is no longer written, or no longer "
                    "read. Dashed: requests to the API, each of which should be a line.",
                    "short",
                    log_metric(
                        'sum by (job, host) (count_over_time({job=~".+", deployment=~"$deployment", '
                        'host=~"$host"} [5m])) / 5',
                        "{{host}} {{job}}",
                    ),
                    prom(
                        f"60 * sum by (host) (rate(http_requests_total{{{_job('koprogo-api')}}}[5m]))",
                        "{{host}} API requests",
                    ),
                    stacked=True,
                ),
                ".* API requests",
                "short",
            ),
        ),
        (
            9,
            states(
                "Exporters that fail inside",
                "An exporter may answer and still not have asked: its own report.",
                prom(
                    f"max by (host) (pg_exporter_last_scrape_error{{{_ANY}}})",
                    "{{host}} PostgreSQL exporter",
                ),
                prom(
                    f"max by (host) (sql_exporter_last_scrape_failed{{{_ANY}}})",
                    "{{host}} SQL exporter",
                ),
                prom(
                    f"max by (host) (node_textfile_scrape_error{{{_ANY}}})",
                    "{{host}} textfile collector",
                ),
                prom(
                    f"1 - min by (host) (pg_scrape_collector_success{{{_ANY}}})",
                    "{{host}} PostgreSQL collectors",
                ),
                prom(
                    "1 - min by (host) (node_scrape_collector_success"
                    f'{{{_ANY}, collector=~"{_COLLECTORS}"}})',
                    "{{host}} node collectors",
                ),
                names=_FAILED,
            ),
        ),
        (
            10,
            or_else(
                graph(
                    "Certificates",
                    "Time until each certificate ends; the alert comes 14 days before.",
                    "s",
                    prom(
                        f"min by (host, certificate) (koprogo_certificate_not_after_seconds{{{_ANY}}}) "
                        "- time()",
                        "{{host}} {{certificate}}",
                    ),
                    prom(
                        f"min by (host, target) (probe_ssl_earliest_cert_expiry{{{_ANY}}}) - time()",
                        "{{host}} as served at {{target}}",
                    ),
                    levels=[(None, "red"), (1209600, "transparent")],
                    size=(24, 7),
                ),
                "No certificates: one host alone has no doors.",
            ),
        ),
        (
            11,
            or_else(
                states(
                    "Addresses that are asked",
                    "Whether each of blackbox_exporter_targets gave a good answer.",
                    prom(f"min by (target) (probe_success{{{_job('probe')}}})", "{{target}}"),
                    names=_ANSWERS,
                ),
                "None is configured: blackbox_exporter_targets.",
            ),
        ),
    ],
)

BOARD = Board(
    uid="koprogo-stack",
    about="The monitoring itself: targets, rules, notifications, logs, certificates, storage.",
    variables=[deployment(), host(".+")],
    rows=[NOW, _ALERTS, STORES, COMPONENTS, LOGS],
)
