# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The alerts about the monitoring itself: who watches the watchers.

This file is private to the collection.
"""

from __future__ import annotations

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts import (
    Alert,
    Number,
    Tier,
)

__all__ = ["STACK_ALERTS"]

_BY_HOST = "deployment, host, instance"
# These have an alert of their own, which also tells when they are missing.
_OWN_ALERT = "koprogo-api|postgresql|loki|log-collector"
# What the alerts and dashboards stand on; others fail on many a machine that lacks their hardware.
_COLLECTORS = "cpu|diskstats|filesystem|loadavg|meminfo|netdev|stat|systemd|textfile|vmstat"


def _down(job: str) -> str:
    return (
        f'max by ({_BY_HOST}) ((koprogo:target_expected{{job="{job}"$hosts}} or up{{job="{job}"$hosts}}) '
        f'unless on (deployment, instance) up{{job="{job}"}} == 1)'
    )


def _because(expr: str, reason: str) -> str:
    return f'label_replace({expr}, "reason", "{reason}", "", "")'


# A sample that is older than some scrapes is no proof, although queries would still find it.
_WATCHDOG = (
    'count by (deployment) (time() - timestamp(up{deployment!=""}) < $threshold and up == 1)'
)
_TARGET_MISSING = f"""\
max by ({_BY_HOST}, job) (
  (koprogo:target_expected{{job!~"{_OWN_ALERT}"$hosts}} or up{{job!~"{_OWN_ALERT}"$hosts}})
  unless on (deployment, instance, job) up == 1
)"""
_RELOAD_FAILED = "\nor ".join(
    f'max by ({_BY_HOST}, job) ({metric}{{job="{job}"$hosts}} == 0)'
    for metric, job in (
        ("prometheus_config_last_reload_successful", "prometheus"),
        ("alertmanager_config_last_reload_successful", "alertmanager"),
        ("blackbox_exporter_config_last_reload_successful", "blackbox"),
        ("loki_ruler_config_last_reload_successful", "loki"),
    )
)
_RULES_FAILING = "\nor ".join(
    f'sum by ({_BY_HOST}, job) (increase({metric}{{job="{job}"$hosts}}[5m])) > $threshold'
    for metric, job in (
        ("prometheus_rule_evaluation_failures_total", "prometheus"),
        ("prometheus_rule_group_iterations_missed_total", "prometheus"),
        ("loki_prometheus_rule_evaluation_failures_total", "loki"),
    )
)
# Alertmanager counts a failure once for each group that it tells, and tells a group again after its
# group_interval, five minutes: a window of no more than that would be empty in between. And C(for) is longer
# than the window, so that one failure after which it worked is none.
_NOTIFICATIONS_FAILING = f"""\
sum by ({_BY_HOST}, job, integration) (
  rate(alertmanager_notifications_failed_total{{job="alertmanager"$hosts}}[11m])
) > $threshold
or sum by ({_BY_HOST}, job) (
  rate(prometheus_notifications_errors_total{{job="prometheus"$hosts}}[5m])
) > $threshold
or sum by ({_BY_HOST}, job) (
  rate(prometheus_notifications_dropped_total{{job="prometheus"$hosts}}[5m])
) > $threshold"""
_LOKI_REQUESTS = 'loki_request_duration_seconds_count{job="loki",route!="ready"'
_LOKI_FAILS = (
    f'sum by ({_BY_HOST}) (rate({_LOKI_REQUESTS},status_code=~"5.."$hosts}}[5m])) / '
    f"sum by ({_BY_HOST}) (rate({_LOKI_REQUESTS}}}[5m])) > $threshold"
)
# 0 for the share is taken by a Loki that answers; one that doesn't fails whole.
_LOKI = f"""\
{_because(f"{_down('loki')} * 0 + 1", "down")}
or {_because(_LOKI_FAILS, "errors")}"""
_QUEUE = (
    f'max by ({_BY_HOST}) (otelcol_exporter_queue_size{{job="log-collector"$hosts}} / '
    'otelcol_exporter_queue_capacity{job="log-collector"})'
)
# A collector that delivers nothing, and one destination of several that gets nothing of what waits for it.
_STUCK = f"""\
{_QUEUE}
and sum by ({_BY_HOST}) (rate(otelcol_receiver_accepted_log_records_total{{job="log-collector"}}[5m])) > 0
unless sum by ({_BY_HOST}) (rate(otelcol_exporter_sent_log_records_total{{job="log-collector"}}[5m])) > 0
or max by ({_BY_HOST}) (
  (otelcol_exporter_queue_size{{job="log-collector"$hosts}} > 0)
  / otelcol_exporter_queue_capacity{{job="log-collector"}}
  unless on ({_BY_HOST}, exporter)
  rate(otelcol_exporter_sent_log_records_total{{job="log-collector"}}[5m]) > 0
)"""
# What Loki refuses is not tried again. A Loki that fails is, so this counts nothing while it is down.
_LOSING = f"""\
{_QUEUE}
and sum by ({_BY_HOST}) (
  rate(otelcol_exporter_send_failed_log_records_total{{job="log-collector"}}[5m])
) > 0"""
_COLLECTOR = f"""\
{_because(f"{_down('log-collector')} * 0", "down")}
or {_because(f"{_QUEUE} > $threshold", "full")}
or {_because(_STUCK, "stuck")}
or {_because(_LOSING, "refused")}"""
_STREAM_SILENT = """\
max by (deployment, host, instance) (
  instance:http_requests:rate5m{host!=""$hosts} > $threshold
  unless on (deployment, instance) sum by (deployment, host, instance) (
    rate(otelcol_receiver_accepted_log_records_total{job="log-collector",receiver=~"file_log/koprogo_api.*"}[5m])
  ) > 0
  and on (deployment, instance) up{job="log-collector"} == 1
)"""
_SCRAPE_ERRORS = "\nor ".join(
    f"count by ({_BY_HOST}, job) ({condition}) > $threshold"
    for condition in (
        'pg_exporter_last_scrape_error{job="postgresql"$hosts} == 1 '
        'or pg_scrape_collector_success{job="postgresql"$hosts} == 0',
        'node_textfile_scrape_error{job="node"$hosts} == 1 '
        f'or node_scrape_collector_success{{job="node",collector=~"{_COLLECTORS}"$hosts}} == 0',
        'sql_exporter_last_scrape_failed{job="koprogo-business"$hosts} == 1',
    )
)
_CERTIFICATE = f"""\
min by ({_BY_HOST}, certificate) (
  koprogo_certificate_not_after_seconds{{job="node"$hosts}} - time()
) < 86400 * $threshold
or min by ({_BY_HOST}, target) (
  probe_ssl_earliest_cert_expiry{{job=~"probe|probe-doors"$hosts}} - time()
) < 86400 * $threshold"""
_PROBE_FAILED = f'max by ({_BY_HOST}, target) (probe_success{{job="probe"$hosts}} == 0)'

STACK_ALERTS: tuple[Alert, ...] = (
    Alert(
        name="Watchdog",
        group="koprogo-stack",
        component="monitoring",
        severity="none",
        severities=("none",),
        threshold=Number(default=60, what="seconds that a sample may be old to count as fresh"),
        tiers=(Tier(expr=_WATCHDOG),),
        labels=("deployment",),
        per_host=False,
        summary="The monitoring of {{ $labels.deployment }} is alive",
        value="{{ $value }} targets with fresh data",
        description=(
            "Fires as long as fresh samples of {{ $labels.deployment }} arrive and rules are evaluated. "
            "Its silence is the alarm: who receives it has to raise one when it stops."
        ),
        logs='{job=~"prometheus|alertmanager"$hosts}',
    ),
    Alert(
        name="TargetMissing",
        group="koprogo-stack",
        component="monitoring",
        hold="5m",
        tiers=(Tier(expr=_TARGET_MISSING),),
        labels=("deployment", "host", "instance", "job"),
        summary="{{ $labels.job }} of {{ $labels.host }} is not measured",
        value="{{ $labels.job }} gives no answer",
        description=(
            "The inventory expects {{ $labels.job }} on {{ $labels.host }}; Prometheus gets no answer "
            "from it, or does not ask it."
        ),
        logs='{job=~".+_exporter|metrics_gateway|prometheus|alertmanager|grafana|crowdsec"$hosts}',
    ),
    Alert(
        name="ConfigurationReloadFailed",
        group="koprogo-stack",
        component="monitoring",
        hold="5m",
        tiers=(Tier(expr=_RELOAD_FAILED),),
        labels=("deployment", "host", "instance", "job"),
        summary="{{ $labels.job }} on {{ $labels.host }} runs on an old configuration",
        value="last reload failed",
        description=(
            "{{ $labels.job }} on {{ $labels.host }} refused its configuration when it last read it, and "
            "goes on with the one before."
        ),
        logs='{job=~"prometheus|alertmanager|blackbox_exporter|loki"$hosts} |~ "(?i)reload|config"',
    ),
    Alert(
        name="RuleEvaluationFailing",
        group="koprogo-stack",
        component="monitoring",
        hold="1m",
        threshold=Number(default=0, what="failed or missed evaluations in five minutes"),
        tiers=(Tier(expr=_RULES_FAILING),),
        labels=("deployment", "host", "instance", "job"),
        summary="{{ $labels.job }} on {{ $labels.host }} cannot evaluate a rule",
        value="{{ $value | humanize }} in five minutes",
        description=(
            "{{ $labels.job }} on {{ $labels.host }} failed to evaluate rules, or came too late to, {{ "
            "$value | humanize }} times in five minutes: an alert may be blind."
        ),
        logs='{job=~"prometheus|loki"$hosts} |~ "(?i)rule"',
    ),
    Alert(
        name="NotificationsFailing",
        group="koprogo-stack",
        component="monitoring",
        severity="critical",
        hold="12m",
        threshold=Number(default=0, what="failed notifications a second"),
        tiers=(Tier(expr=_NOTIFICATIONS_FAILING),),
        labels=("deployment", "host", "instance", "job", "integration"),
        summary="Alerts of {{ $labels.host }} do not get out",
        value="{{ $value | humanize }} failures/s",
        description=(
            "{{ $labels.job }} on {{ $labels.host }} fails to deliver {{ $value | humanize }} alerts a "
            "second{{ if $labels.integration }} by {{ $labels.integration }}{{ end }}."
        ),
        logs='{job=~"prometheus|alertmanager"$hosts}',
    ),
    Alert(
        name="LokiUnhealthy",
        group="koprogo-stack",
        component="monitoring",
        hold="5m",
        threshold=Number(default=0.1, high=1, what="share of the requests that fail"),
        tiers=(Tier(expr=_LOKI),),
        labels=("deployment", "host", "instance", "reason"),
        summary="Loki on {{ $labels.host }} is not well",
        value="{{ $value | humanizePercentage }} of requests fail",
        description=(
            "Loki on {{ $labels.host }} fails {{ $value | humanizePercentage }} of the requests ({{ "
            "$labels.reason }})."
        ),
        logs='{job="loki"$hosts}',
    ),
    Alert(
        name="LogCollectorUnhealthy",
        group="koprogo-stack",
        component="monitoring",
        hold="5m",
        threshold=Number(default=0.5, high=1, what="share of the queue that is in use"),
        tiers=(Tier(expr=_COLLECTOR),),
        labels=("deployment", "host", "instance", "reason"),
        summary="The log collector of {{ $labels.host }} is not well",
        value="{{ $labels.reason }}, queue {{ $value | humanizePercentage }} full",
        description=(
            "The log collector of {{ $labels.host }} is {{ $labels.reason }}; {{ $value | "
            "humanizePercentage }} of its queue is in use. No line is lost before the queue is full, but "
            "for those that Loki refuses for good."
        ),
        logs='{job="log_collector"$hosts}',
    ),
    Alert(
        name="LogStreamSilent",
        group="koprogo-api",
        component="monitoring",
        hold="10m",
        threshold=Number(default=0.01, what="requests a second from which lines are expected"),
        tiers=(Tier(expr=_STREAM_SILENT),),
        summary="The API on {{ $labels.host }} answers and logs nothing",
        value="no line for {{ $value | humanize }} requests/s",
        description=(
            "The API on {{ $labels.host }} answers {{ $value | humanize }} requests a second, and the "
            "collector finds no line about them: searches and alerts on its log are blind."
        ),
        logs='{job="log_collector"$hosts}',
    ),
    Alert(
        name="ExporterScrapeErrors",
        group="koprogo-stack",
        component="monitoring",
        hold="5m",
        threshold=Number(default=0, what="failing parts of one exporter"),
        tiers=(Tier(expr=_SCRAPE_ERRORS),),
        labels=("deployment", "host", "instance", "job"),
        summary="{{ $labels.job }} of {{ $labels.host }} is measured in part",
        value="{{ $value }} parts fail",
        description=(
            "The exporter {{ $labels.job }} of {{ $labels.host }} answers, but {{ $value }} of its parts "
            "fail."
        ),
        logs='{job=~".+_exporter"$hosts}',
    ),
    Alert(
        name="ProbeFailed",
        group="koprogo-stack",
        component="monitoring",
        severity="critical",
        hold="3m",
        tiers=(Tier(expr=_PROBE_FAILED),),
        labels=("deployment", "host", "instance", "target"),
        summary="{{ $labels.target }} gives no good answer",
        value="no good answer",
        description=(
            "{{ $labels.target }}, asked from the monitoring hosts as its users do, gives no answer, a "
            "wrong one, or shows a certificate that is not valid."
        ),
        logs='{job="blackbox_exporter"$hosts}',
    ),
    Alert(
        name="CertificateExpiring",
        group="koprogo-stack",
        component="monitoring",
        hold="1h",
        threshold=Number(default=14, what="days that are left"),
        tiers=(Tier(expr=_CERTIFICATE),),
        labels=("deployment", "host", "instance", "certificate", "target"),
        summary="A certificate of {{ $labels.host }} ends soon",
        value="{{ $value | humanizeDuration }} left",
        description=(
            "The certificate {{ $labels.certificate }}{{ $labels.target }} of {{ $labels.host }} ends in "
            "{{ $value | humanizeDuration }}. Running the playbook site.yml renews those of the doors."
        ),
        logs='{job=~"metrics_gateway|log_collector"$hosts}',
    ),
)
