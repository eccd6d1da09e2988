# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rule files from the catalogue, the inventory and the users' settings.

This file is private to the collection.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import Template
from typing import Any
from urllib.parse import quote

from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts import (
    Alert,
    Duration,
    Number,
    Tier,
    snake,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_catalogue import (
    ALERTS,
    HOST_VARIABLE,
    Overrides,
    Variant,
    variants,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_records import (
    Rule,
    le_matcher,
    number,
    records,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_slo import SLO_INTERVAL
from ansible_collections.koprogo.observability.plugins.plugin_utils._formats import (
    duration_seconds,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._hostvars import HostVars
from ansible_collections.koprogo.observability.plugins.plugin_utils._panels import PANELS

__all__ = ["Links", "host_overrides", "loki_rule_files", "prometheus_rule_files"]

Groups = Mapping[str, Iterable[str]]

# Survives the encoding of an address.
_PLACE = "VALUE-OF-"


@dataclass(frozen=True, kw_only=True)
class Links:
    """Where alerts lead: the base addresses of the runbook's pages and of Grafana.

    inventory: flags of the remediation's command.
    """

    runbook: str
    dashboard: str
    inventory: str = ""

    def panel(self, alert: Alert) -> str:
        """The panel that shows what the alert judges, with its host and deployment chosen."""
        panel = PANELS[alert.name]
        return f"{self.dashboard.rstrip('/')}/d/{panel.dashboard}?viewPanel={panel.number}{_variables(alert)}"

    def logs(self, alert: Alert, settings: Mapping[str, Any] | None = None) -> str:
        """Grafana's Explore with the lines to read."""
        matcher = "".join(f',{name}="{_PLACE}{name}"' for name in _chosen(alert))
        panes = {
            "logs": {
                "datasource": "loki",
                "queries": [{"refId": "A", "expr": alert.lines(matcher, settings)}],
                "range": {"from": "now-1h", "to": "now"},
            }
        }
        encoded = quote(json.dumps(panes, separators=(",", ":")), safe="")
        # Prometheus fills in these names, which need no quoting.
        for name in _chosen(alert):
            encoded = encoded.replace(f"{_PLACE}{name}", f"{{{{ $labels.{name} }}}}")
        return f"{self.dashboard.rstrip('/')}/explore?schemaVersion=1&orgId=1&panes={encoded}"

    def page(self, alert: Alert) -> str:
        """The alert's page of the runbook."""
        return f"{self.runbook.rstrip('/')}/{snake(alert.name)}.md"

    def remediation(self, alert: Alert) -> str:
        """The command that ends it, for a shell in the project's folder."""
        page = f"playbooks/remediate/{snake(alert.name)}.yml"
        flags = f"{self.inventory} " if self.inventory else ""
        return f"ansible-playbook {flags}{page} -l {{{{ $labels.host }}}}"


def _chosen(alert: Alert) -> list[str]:
    """The labels of an alert that narrow what is shown."""
    return [name for name in ("deployment", "host") if name in alert.labels]


def _variables(alert: Alert) -> str:
    return "".join(f"&var-{name}={{{{ $labels.{name} }}}}" for name in _chosen(alert))


def _places(variant: Variant) -> dict[str, str]:
    places = {"hosts": variant.matcher}
    for name, setting in variant.alert.settings.items():
        value = variant.settings[name]
        if isinstance(setting, Number):
            places[name] = number(value)
        elif isinstance(setting, Duration):
            places[name] = number(duration_seconds(value))
    # Where PromQL wants a duration as such, and not its seconds.
    places["range"] = str(variant.settings.get("window", "5m"))
    limit = variant.settings.get("seconds", variant.settings.get("threshold", 0))
    places["le"] = le_matcher(limit)
    return places


def _filled(text: str, variant: Variant) -> str:
    """A text with the settings it names in single braces; double braces are Prometheus' own."""
    for name in variant.alert.settings:
        text = text.replace(f"{{{name}}}", str(variant.settings[name]))
    return text


def _annotations(variant: Variant, links: Links) -> dict[str, str]:
    alert = variant.alert
    annotations = {
        "summary": _filled(alert.summary, variant),
        "description": _filled(alert.description, variant),
        "value": _filled(alert.value, variant),
        "runbook_url": links.page(alert),
        "dashboard_url": links.panel(alert),
        "logs_url": links.logs(alert, variant.settings),
    }
    if alert.playbook:
        annotations["remediation"] = links.remediation(alert)
    return annotations


def _rule(tier: Tier, variant: Variant, links: Links) -> Rule:
    settings = variant.settings
    rule: Rule = {
        "alert": variant.alert.name,
        "expr": Template(tier.expr).substitute(_places(variant)),
    }
    for option, value in (
        ("for", settings[tier.hold]),
        ("keep_firing_for", settings.get("keep_firing_for", "0s")),
    ):
        if duration_seconds(value):
            rule[option] = value
    rule["labels"] = {
        "severity": settings[tier.severity],
        "component": variant.alert.component,
        **tier.labels,
    }
    rule["annotations"] = _annotations(variant, links)
    return rule


def host_overrides(groups: Groups, hostvars: HostVars) -> dict[str, Overrides]:
    """The C(koprogo_alerts) of each host that has some."""
    return {
        host: hostvars[host][HOST_VARIABLE]
        for host in groups.get("all", [])
        if hostvars[host].get(HOST_VARIABLE)
    }


def _alert_rules(
    source: str, deployment: Overrides, by_host: Mapping[str, Overrides], links: Links
) -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = {}
    for alert in ALERTS.values():
        if alert.source == source:
            rules = found.setdefault(alert.group, [])
            for variant in variants(alert, deployment, by_host):
                rules += [_rule(tier, variant, links) for tier in alert.tiers]
    return found


def prometheus_rule_files(
    host: str, groups: Groups, hostvars: HostVars, *, alerts: Overrides, links: Links
) -> dict[str, Any]:
    """Prometheus' rule files by name.

    host: where Prometheus runs. alerts: the deployment's settings.
    """
    rules = _alert_rules("prometheus", alerts, host_overrides(groups, hostvars), links)
    latency = {**ALERTS["ApiLatencyBurnRate"].defaults, **(alerts.get("ApiLatencyBurnRate") or {})}
    recorded = records(host, groups, hostvars, fast=latency["seconds"])
    # Rules of one group are evaluated one after the other: an alert sees what was recorded just before.
    together = {
        name: recorded.get(name, []) + rules.get(name, []) for name in {**recorded, **rules}
    }
    return _files(together, {"koprogo-slo": f"{SLO_INTERVAL}s"})


def loki_rule_files(
    groups: Groups, hostvars: HostVars, *, alerts: Overrides, links: Links
) -> dict[str, Any]:
    """Loki's rule files by name. alerts: the deployment's settings."""
    return _files(_alert_rules("loki", alerts, host_overrides(groups, hostvars), links), {})


def _files(rules: Mapping[str, list[Rule]], intervals: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: {
            "groups": [
                {
                    "name": name,
                    **({"interval": intervals[name]} if name in intervals else {}),
                    "rules": group,
                }
            ]
        }
        for name, group in rules.items()
        if group
    }
