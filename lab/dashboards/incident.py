# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Incident: what the on-call engineer opens first."""

from __future__ import annotations

from lab.dashboards.board import Board, Row, deployment, host
from lab.dashboards.kit import (
    PanelBuilder,
    column,
    graph,
    lines,
    log_panel,
    named,
    note,
    number,
    or_else,
    prom,
    records,
    states,
)
from lab.dashboards.links import RUNBOOKS, remediations, snake_case
from plugins.plugin_utils._panels import DASHBOARDS, PANELS

__all__ = ["BOARD"]

_D = 'deployment=~"$deployment"'
_ANY = f'{_D}, host=~"$host"'
_API = f'job="koprogo-api", {_D}'
_RATE = "$__rate_interval"
_FIRING = f'ALERTS{{alertstate="firing", alertname!="Watchdog", {_D}}}'


def _since(what: str, metric: str) -> str:
    return f'label_replace(time() - max by (host) ({metric}), "what", "{what}", "", "")'


_CHANGED = " or ".join(
    (
        _since("API started", f"process_start_time_seconds{{{_API}}}"),
        _since("host started", f"node_boot_time_seconds{{{_D}}}"),
        _since(
            "Prometheus configured",
            f"prometheus_config_last_reload_success_timestamp_seconds{{{_D}}}",
        ),
        _since(
            "Alertmanager configured",
            f"alertmanager_config_last_reload_success_timestamp_seconds{{{_D}}}",
        ),
    )
)


def _firing() -> PanelBuilder:
    labels = "alertname, severity, deployment, host, component"
    # The page, the dashboard and the command have the alert's name in other words.
    expr = f"max by ({labels}) ({_FIRING})"
    for field in ("page", "board", "command"):
        expr = f'label_replace({expr}, "{field}", "$1", "alertname", "(.*)")'
    panel = records(
        "Firing now",
        "Each alert that fires, the gravest first. The runbook's page says what to do; the command is "
        "the remediation (add the host).",
        "none",
        prom(expr, instant=True),
        columns={
            "severity": "Severity",
            "alertname": "Alert",
            "deployment": "Deployment",
            "host": "Host",
            "page": "Runbook",
            "board": "Dashboard",
            "command": "Remediation",
        },
        empty="Nothing fires.",
        size=(24, 7),
    )
    grave = {"critical": "red", "warning": "orange", "info": "blue"}
    panel = column(
        panel, "Severity", names=named({name: (name, color) for name, color in grave.items()})
    )
    panel = column(
        panel,
        "Runbook",
        names=named({alert: (snake_case(alert), "blue") for alert in PANELS}),
        links=[
            {
                "title": "What to do",
                "url": f"{RUNBOOKS}/${{__value.text}}.md",
                "targetBlank": True,
            }
        ],
    )
    panel = column(
        panel,
        "Dashboard",
        names=named({alert: (place.dashboard, "blue") for alert, place in PANELS.items()}),
        links=[{"title": "What it judges", "url": "/d/${__value.text}?${__url_time_range}"}],
    )
    commands = {alert: (command, "text") for alert, command in remediations().items()}
    commands |= {alert: ("see the runbook", "text") for alert in PANELS if alert not in commands}
    return column(panel, "Remediation", names=named(commands))


def _count(severity: str, color: str) -> PanelBuilder:
    selector = f'{_FIRING[:-1]}, severity="{severity}"}}'
    return number(
        severity.capitalize(),
        f"Alerts of severity {severity} that fire.",
        "short",
        prom(f"count({selector}) or vector(0)"),
        levels=[(None, "green"), (1, color)],
        size=(3, 4),
    )


_STEPS = f"""1. **Firing now** says what, **What changed** says since when.
2. Open the alert's runbook page; run its first three commands.
3. Remediate: `ansible-playbook playbooks/remediate/<alert>.yml -l <host> --check`, then without `--check`.
4. Watch the four signals below until they are back; the alert resolves by itself.
5. Not within 15 minutes, or data at risk: escalate
   ([L3, L4]({RUNBOOKS}/disaster_recovery.md)).
6. Write it down in **#incidents**; a critical one gets a post-mortem.
"""
_BOARDS = " · ".join(
    f"[{title}](/d/{uid})" for uid, title in DASHBOARDS.items() if uid != "koprogo-incident"
)

_ALERTS = Row(
    "Alerts",
    [
        (11, _count("critical", "red")),
        (12, _count("warning", "orange")),
        (
            13,
            number(
                "Silenced or inhibited",
                "Alerts that Alertmanager tells nobody, because of a silence or because their cause fires.",
                "short",
                prom(f'sum(alertmanager_marked_alerts{{{_D}, state="suppressed"}})'),
                levels=[(None, "green"), (1, "orange")],
                size=(3, 4),
            ),
        ),
        (
            14,
            number(
                "Targets down",
                "Scrape targets that do not answer.",
                "short",
                prom(f"count(up{{{_D}}} == 0) or vector(0)"),
                levels=[(None, "green"), (1, "red")],
                size=(3, 4),
            ),
        ),
        (
            15,
            states(
                "API and database",
                "Whether they are up, and answer.",
                prom(f"up{{{_API}}}", "{{host}} API process"),
                prom(f'probe_success{{job="koprogo-api-health", {_D}}}', "{{host}} API /health"),
                prom(f'max by (host) (pg_up{{job="postgresql", {_D}}})', "{{host}} PostgreSQL"),
                size=(12, 4),
            ),
        ),
        (10, _firing()),
    ],
)
_SIGNALS = Row(
    "Golden signals",
    [
        (
            20,
            graph(
                "Traffic",
                "Requests answered per second.",
                "reqps",
                prom(
                    f"sum by (deployment) (rate(http_requests_total{{{_API}}}[{_RATE}]))",
                    "{{deployment}}",
                ),
                size=(6, 8),
            ),
        ),
        (
            21,
            graph(
                "Errors",
                "Server errors per second, over 5 minutes.",
                "reqps",
                prom(
                    f"sum by (deployment) (rate(http_requests_errors_total{{{_API}}}[5m]))",
                    "{{deployment}}",
                ),
                levels=[(None, "green"), (10, "red")],
                size=(6, 8),
            ),
        ),
        (
            22,
            graph(
                "Latency",
                "P50 and P99 over 5 minutes.",
                "s",
                *(
                    prom(
                        f"histogram_quantile({share}, sum by (le, deployment) "
                        f"(rate(http_request_duration_seconds_bucket{{{_API}}}[5m])))",
                        f"{{{{deployment}}}} {name}",
                    )
                    for share, name in (("0.99", "P99"), ("0.50", "P50"))
                ),
                levels=[(None, "green"), (1, "red")],
                size=(6, 8),
            ),
        ),
        (
            23,
            graph(
                "Saturation",
                "The fullest of each resource: CPU, memory, disk, database connections.",
                "percentunit",
                prom(
                    "max(1 - avg by (host) "
                    f'(rate(node_cpu_seconds_total{{{_ANY}, mode="idle"}}[5m])))',
                    "CPU",
                ),
                prom(
                    f"max(1 - node_memory_MemAvailable_bytes{{{_ANY}}} "
                    f"/ node_memory_MemTotal_bytes{{{_ANY}}})",
                    "memory",
                ),
                prom(
                    "max(1 - node_filesystem_avail_bytes"
                    f'{{{_ANY}, fstype=~"ext.|xfs|btrfs|zfs"}} / (node_filesystem_size_bytes'
                    f'{{{_ANY}, fstype=~"ext.|xfs|btrfs|zfs"}} > 0))',
                    "disk",
                ),
                prom(
                    f"max(sum by (host) (pg_stat_activity_count{{{_D}}} >= 0) "
                    f"/ max by (host) (pg_settings_max_connections{{{_D}}}))",
                    "connections",
                ),
                high=1,
                size=(6, 8),
            ),
        ),
    ],
)
_CHANGES = Row(
    "What changed, what was done",
    [
        (
            30,
            column(
                column(
                    records(
                        "Started or reloaded last",
                        "The time since each host, API process and configuration was last started or "
                        "loaded: what is younger than the incident may be its cause.",
                        "s",
                        prom(
                            _CHANGED,
                            instant=True,
                        ),
                        columns={"what": "What", "host": "Host", "Value #A": "Ago"},
                        size=(8, 9),
                    ),
                    "Ago",
                    unit="s",
                    levels=[(None, "orange"), (3600, "text")],
                ),
                "What",
                unit="string",
            ),
        ),
        (
            31,
            or_else(
                log_panel(
                    "Services started and stopped",
                    "What systemd started, stopped or saw fail, newest first.",
                    lines(
                        f'{{job=~".+", {_ANY}}} | identifier="systemd" '
                        '|~ "^(Started|Stopped|Reloaded|Failed)|Main process exited|Scheduled restart" '
                        '!~ "Session|session|User Manager|slice"'
                    ),
                    size=(8, 9),
                    labels=True,
                ),
                "Nothing was started or stopped.",
            ),
        ),
        (
            32,
            or_else(
                log_panel(
                    "Remediations",
                    "What was done about it, by whom or what, and how it ended.",
                    lines(f'{{job="koprogo-remediation", {_D}}} | json'),
                    size=(8, 9),
                ),
                "Nothing was remediated.",
            ),
        ),
    ],
)
_LOGS = Row(
    "Latest errors",
    [
        (
            40,
            or_else(
                log_panel(
                    "API",
                    "Errors of the API's log, newest first.",
                    lines(
                        f'{{job=~"koprogo-api|koprogo-api-journal", {_D}}} |~ "ERROR|CRITICAL|panic"'
                    ),
                    size=(12, 9),
                ),
                "No errors.",
            ),
        ),
        (
            41,
            or_else(
                log_panel(
                    "PostgreSQL",
                    "Errors of PostgreSQL's log, newest first.",
                    lines(f'{{job="postgresql", {_D}}} |~ "ERROR|FATAL|PANIC"'),
                    size=(12, 9),
                ),
                "No errors.",
            ),
        ),
        (
            42,
            or_else(
                log_panel(
                    "Hosts",
                    "Errors of the journals, newest first.",
                    lines(f'{{job=~".+", {_ANY}}} | severity_text=~"err.*|crit.*|alert|emerg.*"'),
                    size=(12, 9),
                    labels=True,
                ),
                "No errors.",
            ),
        ),
        (
            43,
            note(
                "What to do",
                "The first minutes of an incident, and where to look further.",
                f"{_STEPS}\n{_BOARDS}",
                (12, 9),
            ),
        ),
    ],
)

BOARD = Board(
    uid="koprogo-incident",
    about="What fires, what changed, the four golden signals, the latest errors, what to do.",
    variables=[deployment(), host("node")],
    since="now-1h",
    refresh="15s",
    rows=[_ALERTS, _SIGNALS, _CHANGES, _LOGS],
)
