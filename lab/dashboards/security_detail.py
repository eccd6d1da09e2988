# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of Security Events about Suricata and CrowdSec."""

from __future__ import annotations

from lab.dashboards.board import Row
from lab.dashboards.kit import (
    bars,
    graph,
    lines,
    log_metric,
    log_panel,
    on_right_axis,
    or_else,
    prom,
)

__all__ = ["CROWDSEC", "DECISIONS", "INTRUSION", "INTRUSIONS"]

_ANY = 'deployment=~"$deployment", host=~"$host"'
_EVE = (
    f'{{job="suricata", {_ANY}}} | json event_type="event_type", signature="alert.signature", '
    'category="alert.category", severity="alert.severity", src_ip="src_ip" | __error__=""'
)
INTRUSION = f'{_EVE} | event_type="alert"'
DECISIONS = f"cs_active_decisions{{{_ANY}}}"

INTRUSIONS = Row(
    "Suricata",
    [
        (
            40,
            or_else(
                graph(
                    "Intrusion alerts",
                    "Alerts of 5 minutes, by signature.",
                    "short",
                    log_metric(
                        f"topk(10, sum by (signature) (count_over_time({INTRUSION} [5m])))",
                        "{{signature}}",
                    ),
                    drawn_as_bars=True,
                    stacked=True,
                ),
                "No alerts, or no Suricata on these hosts.",
            ),
        ),
        (
            41,
            or_else(
                bars(
                    "Where they come from",
                    "The addresses with most alerts in the chosen time.",
                    "short",
                    log_metric(
                        f"topk(10, sum by (src_ip) (count_over_time({INTRUSION} [$__range])))",
                        "{{src_ip}}",
                        instant=True,
                    ),
                    size=(6, 8),
                ),
                "No alerts, or no Suricata on these hosts.",
            ),
        ),
        (
            42,
            or_else(
                bars(
                    "By severity",
                    "Alerts of the chosen time by severity; 1 is the gravest.",
                    "short",
                    log_metric(
                        f"sum by (severity, category) (count_over_time({INTRUSION} [$__range]))",
                        "{{severity}} {{category}}",
                        instant=True,
                    ),
                    size=(6, 8),
                ),
                "No alerts, or no Suricata on these hosts.",
            ),
        ),
        (
            43,
            or_else(
                on_right_axis(
                    graph(
                        "The sensor itself",
                        "Packets that Suricata saw and lost, as the running engine counts them. Lost packets "
                        "are attacks not seen; no packets is a blind sensor. Dashed: rules that are loaded.",
                        "pps",
                        prom(f"rate(koprogo_suricata_packets{{{_ANY}}}[5m])", "{{host}} seen"),
                        prom(
                            f"rate(koprogo_suricata_dropped_packets{{{_ANY}}}[5m])", "{{host}} lost"
                        ),
                        prom(f"koprogo_suricata_rules_loaded{{{_ANY}}}", "{{host}} rules"),
                        size=(8, 9),
                    ),
                    ".* rules",
                    "short",
                ),
                "Suricata is not on these hosts.",
            ),
        ),
        (
            44,
            or_else(
                log_panel(
                    "Alerts with their evidence",
                    "Suricata's alerts as they are in eve.json, newest first.",
                    lines(
                        f"{INTRUSION} | line_format `{{{{.severity}}}} {{{{.src_ip}}}} {{{{.signature}}}}`"
                    ),
                    size=(16, 9),
                ),
                "No alerts, or no Suricata on these hosts.",
            ),
        ),
    ],
)
CROWDSEC = Row(
    "CrowdSec",
    [
        (
            50,
            or_else(
                graph(
                    "Decisions in force",
                    "Decisions by their reason and origin (own scenarios, or the community's list).",
                    "short",
                    prom(f"sum by (reason, origin) ({DECISIONS})", "{{origin}} {{reason}}"),
                    stacked=True,
                    size=(8, 8),
                ),
                "No decisions, or no CrowdSec on these hosts.",
            ),
        ),
        (
            51,
            or_else(
                graph(
                    "Alerts",
                    "What CrowdSec's scenarios noticed, by scenario.",
                    "short",
                    prom(f"sum by (reason) (cs_alerts{{{_ANY}}})", "{{reason}}"),
                    size=(8, 8),
                ),
                "No alerts, or no CrowdSec on these hosts.",
            ),
        ),
        (
            52,
            or_else(
                graph(
                    "Lines read",
                    "Lines per second that CrowdSec reads, by source. A source at 0 is not watched.",
                    "short",
                    prom(
                        f"sum by (host, source) (rate(cs_filesource_hits_total{{{_ANY}}}[5m])) or "
                        f"sum by (host, source) (rate(cs_journalctlsource_hits_total{{{_ANY}}}[5m]))",
                        "{{host}} {{source}}",
                    ),
                    size=(8, 8),
                ),
                "CrowdSec is not on these hosts.",
            ),
        ),
        (
            53,
            or_else(
                log_panel(
                    "CrowdSec's log",
                    "Newest first. What is in force: cscli decisions list",
                    lines(f'{{job="crowdsec", {_ANY}}}'),
                    size=(24, 8),
                ),
                "CrowdSec is not on these hosts.",
            ),
        ),
    ],
)
