# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security Events: failed logins, bans, intrusion alerts, decisions."""

from __future__ import annotations

from lab.dashboards.board import Board, Row, deployment, host
from lab.dashboards.kit import (
    bars,
    graph,
    lines,
    log_metric,
    log_panel,
    named,
    number,
    or_else,
    prom,
    states,
)
from lab.dashboards.links import API_LOG
from lab.dashboards.security_detail import CROWDSEC, DECISIONS, INTRUSION, INTRUSIONS

__all__ = ["BOARD"]

_ANY = 'deployment=~"$deployment", host=~"$host"'
_LOGIN = f'{{{API_LOG}}} |= "401" | json | path="/api/v1/auth/login" | status="401" | __error__=""'
_CLIENT = (
    f'{{{API_LOG}}} | json status="status", remote_addr="remote_addr" | status=~"4.." '
    '| remote_addr!="-" | __error__=""'
)
_SSH = f'{{job="auth", {_ANY}}} |~ "Failed password|Invalid user|authentication failure"'
_BAN = (
    f'{{job="fail2ban", {_ANY}}} |= " Ban " '
    "| regexp `\\[(?P<jail>[A-Za-z0-9_-]+)\\] Ban (?P<address>\\S+)`"
)
_ARMED = named({"0": ("not armed", "red"), "1": ("armed", "green")})

_NOW = Row(
    "Now",
    [
        (
            10,
            number(
                "Failed logins",
                "Refused logins to the API within the chosen time.",
                "short",
                log_metric(f"sum(count_over_time({_LOGIN} [$__range])) or vector(0)", instant=True),
                curve=False,
            ),
        ),
        (
            11,
            number(
                "Failed SSH logins",
                "Refused SSH logins within the chosen time.",
                "short",
                log_metric(f"sum(count_over_time({_SSH} [$__range])) or vector(0)", instant=True),
                curve=False,
            ),
        ),
        (
            12,
            number(
                "fail2ban bans",
                "Addresses banned within the chosen time.",
                "short",
                log_metric(f"sum(count_over_time({_BAN} [$__range])) or vector(0)", instant=True),
                levels=[(None, "green"), (1, "orange")],
                curve=False,
            ),
        ),
        (
            13,
            number(
                "Intrusion alerts",
                "Alerts of Suricata within the chosen time.",
                "short",
                log_metric(
                    f"sum(count_over_time({INTRUSION} [$__range])) or vector(0)", instant=True
                ),
                levels=[(None, "green"), (1, "orange")],
                curve=False,
            ),
        ),
        (
            14,
            number(
                "CrowdSec decisions",
                "Decisions that are in force now.",
                "short",
                prom(f"sum({DECISIONS})"),
                empty="none",
            ),
        ),
        (
            15,
            number(
                "Dropped packets",
                "Packets per second that the firewall dropped on a decision.",
                "pps",
                prom(f"sum(rate(fw_bouncer_dropped_packets{{{_ANY}}}[$__rate_interval]))"),
                empty="none",
            ),
        ),
        (
            16,
            or_else(
                states(
                    "Armed",
                    "Whether each watcher can do its work, as it says itself: rules are loaded, logs are "
                    "read, the firewall's sets are in place.",
                    *(
                        prom(f"koprogo_{name}_armed{{{_ANY}}}", f"{{{{host}}}} {name}")
                        for name in ("suricata", "fail2ban", "crowdsec", "firewall")
                    ),
                    names=_ARMED,
                    size=(24, 6),
                ),
                "Suricata, fail2ban, CrowdSec and doors are not on these hosts.",
            ),
        ),
    ],
)
_LOGINS = Row(
    "Logins",
    [
        (
            1,
            graph(
                "Failed logins to the API",
                "Refused logins counted from the API's log, of 5 minutes: all, and the ten addresses "
                "with most. The alert's limit is 10 of one address.",
                "short",
                log_metric(f"sum(count_over_time({_LOGIN} [5m])) or vector(0)", "all addresses"),
                log_metric(
                    f"topk(10, sum by (remote_addr) (count_over_time({_LOGIN} [5m])))",
                    "{{remote_addr}}",
                ),
                levels=[(None, "green"), (10, "red")],
                drawn_as_bars=True,
            ),
        ),
        (
            20,
            or_else(
                bars(
                    "Failed logins by client",
                    "The ten addresses with most refused logins in the chosen time. One address is a "
                    "guesser, many with few each are a spread attack.",
                    "short",
                    log_metric(
                        f"topk(10, sum by (remote_addr) (count_over_time({_LOGIN} [$__range])))",
                        "{{remote_addr}}",
                        instant=True,
                    ),
                    size=(6, 8),
                ),
                "Nobody was refused.",
            ),
        ),
        (
            21,
            or_else(
                bars(
                    "Refused requests by client",
                    "The ten addresses with most 4xx answers in the chosen time: who probes the API.",
                    "short",
                    log_metric(
                        f"topk(10, sum by (remote_addr) (count_over_time({_CLIENT} [$__range])))",
                        "{{remote_addr}}",
                        instant=True,
                    ),
                    size=(6, 8),
                ),
                "Nobody was refused.",
            ),
        ),
        (
            22,
            or_else(
                graph(
                    "Failed SSH logins",
                    "Refused SSH logins of 5 minutes, by host.",
                    "short",
                    log_metric(f"sum by (host) (count_over_time({_SSH} [5m]))", "{{host}}"),
                    drawn_as_bars=True,
                    size=(12, 7),
                ),
                "Nobody was refused.",
            ),
        ),
        (
            23,
            or_else(
                graph(
                    "sudo and SSH sessions",
                    "Sessions that were opened, of 5 minutes: who works on the hosts, and when.",
                    "short",
                    log_metric(
                        f'sum by (host) (count_over_time({{job="auth", {_ANY}}} |= "session opened" [5m]))',
                        "{{host}}",
                    ),
                    drawn_as_bars=True,
                    size=(12, 7),
                ),
                "Nobody signed in.",
            ),
        ),
    ],
)
_BANS = Row(
    "fail2ban",
    [
        (
            30,
            or_else(
                graph(
                    "Bans",
                    "Addresses that were banned, of 5 minutes, by jail.",
                    "short",
                    log_metric(f"sum by (jail) (count_over_time({_BAN} [5m]))", "{{jail}}"),
                    drawn_as_bars=True,
                    size=(6, 8),
                ),
                "Nobody was banned.",
            ),
        ),
        (
            33,
            or_else(
                graph(
                    "Banned now",
                    "Addresses that are banned, by jail.",
                    "short",
                    prom(f"koprogo_fail2ban_jail_banned{{{_ANY}}}", "{{host}} {{jail}}"),
                    size=(6, 8),
                ),
                "fail2ban is not on these hosts.",
            ),
        ),
        (
            31,
            or_else(
                bars(
                    "Banned addresses",
                    "The addresses banned most often in the chosen time.",
                    "short",
                    log_metric(
                        f"topk(10, sum by (address, jail) (count_over_time({_BAN} [$__range])))",
                        "{{address}} {{jail}}",
                        instant=True,
                    ),
                    size=(6, 8),
                ),
                "Nobody was banned.",
            ),
        ),
        (
            32,
            or_else(
                log_panel(
                    "fail2ban's log",
                    "Bans and unbans, newest first. Lift one: fail2ban-client set JAIL unbanip ADDRESS",
                    lines(f'{{job="fail2ban", {_ANY}}} |~ "Ban|Unban|ERROR"'),
                    size=(6, 8),
                ),
                "Nobody was banned.",
            ),
        ),
    ],
)
_LOGS = Row(
    "Logs",
    [
        (
            60,
            or_else(
                log_panel(
                    "Failed logins to the API",
                    "The runbook's query for failed logins, newest first.",
                    lines(f"{_LOGIN} | line_format `{{{{.remote_addr}}}} {{{{.user_agent}}}}`"),
                    size=(12, 9),
                ),
                "Nobody was refused.",
            ),
        ),
        (
            61,
            or_else(
                log_panel(
                    "SSH and sudo",
                    "The hosts' log of logins, newest first.",
                    lines(f'{{job="auth", {_ANY}}}'),
                    size=(12, 9),
                    labels=True,
                ),
                "Nobody signed in.",
            ),
        ),
    ],
)

BOARD = Board(
    uid="koprogo-security",
    about="Failed logins, bans of fail2ban, alerts of Suricata, decisions of CrowdSec.",
    variables=[deployment(), host("node")],
    since="now-24h",
    refresh="1m",
    rows=[_NOW, _LOGINS, _BANS, INTRUSIONS, CROWDSEC, _LOGS],
)
