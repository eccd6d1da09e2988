# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters that turn the catalogue of alerts, the inventory and the settings into rule files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.koprogo.observability.plugins.plugin_utils import _alerts_rules
from ansible_collections.koprogo.observability.plugins.plugin_utils._alerts_catalogue import (
    DEPLOYMENT_VARIABLE,
    HOST_VARIABLE,
    own_rule_errors,
    settings_errors,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import (
    role_defaults,
    setting,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._hostvars import (
    HostVars,
    remembered,
)

Groups = Mapping[str, Iterable[str]]


def _judge(
    groups: Groups, hostvars: HostVars, alerts: Any, variable: str, own: Mapping[str, Any]
) -> None:
    errors = settings_errors(DEPLOYMENT_VARIABLE, alerts)
    for host in groups.get("all", []):
        found = settings_errors(HOST_VARIABLE, hostvars[host].get(HOST_VARIABLE))
        errors += [f"host '{host}': {error}" for error in found]
    errors = errors or own_rule_errors(variable, own, alerts or {})
    if errors:
        raise AnsibleFilterError("; ".join(errors))


def _links(
    variables: Mapping[str, Any], runbook_url: str, dashboard_url: str, inventory: str = ""
) -> Any:
    own_grafana = f"http://127.0.0.1:{setting(variables, 'grafana', 'port')}"
    return _alerts_rules.Links(
        runbook=runbook_url or role_defaults("prometheus")["prometheus_runbook_url"],
        dashboard=dashboard_url or setting(variables, "grafana", "url") or own_grafana,
        inventory=inventory,
    )


def prometheus_rule_files(
    host: str,
    groups: Groups,
    hostvars: HostVars,
    *,
    alerts: Mapping[str, Any],
    own: Mapping[str, Any],
    runbook_url: str = "",
    dashboard_url: str = "",
    inventory: str = "",
) -> dict[str, Any]:
    """See prometheus_rule_files.yml."""
    hostvars = remembered(hostvars)
    _judge(groups, hostvars, alerts, "prometheus_rules", own)
    links = _links(hostvars[host], runbook_url, dashboard_url, inventory)
    rules = _alerts_rules.prometheus_rule_files(
        host, groups, hostvars, alerts=alerts or {}, links=links
    )
    return {**rules, **own}


def loki_rule_files(
    host: str,
    groups: Groups,
    hostvars: HostVars,
    *,
    alerts: Mapping[str, Any],
    own: Mapping[str, Any],
    runbook_url: str = "",
    dashboard_url: str = "",
) -> dict[str, Any]:
    """See loki_rule_files.yml."""
    hostvars = remembered(hostvars)
    _judge(groups, hostvars, alerts, "loki_rules", own)
    links = _links(hostvars[host], runbook_url, dashboard_url)
    rules = _alerts_rules.loki_rule_files(groups, hostvars, alerts=alerts or {}, links=links)
    return {**rules, **own}


class FilterModule:
    """The collection's filters for alerts."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map of filter names to functions."""
        return {
            "loki_rule_files": loki_rule_files,
            "prometheus_rule_files": prometheus_rule_files,
        }
