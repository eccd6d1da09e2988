# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to ask each host, derived from the inventory.

This file is private to the collection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.koprogo.observability.plugins.plugin_utils._addresses import (
    address,
    known_addresses,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import (
    CATALOGUE,
    dashboards,
    setting,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._hostvars import HostVars
from ansible_collections.koprogo.observability.plugins.plugin_utils._topology import (
    components_of,
    door_options,
    expected_targets,
    port_of,
)

__all__ = ["API_UNIT", "host_plan", "monitoring_plan"]

#: The application's own unit. It isn't ours: only that it runs is judged.
API_UNIT = "koprogo-api.service"

Groups = Mapping[str, Iterable[str]]


def host_plan(
    host: str,
    groups: Groups,
    hostvars: HostVars,
    logs: Iterable[Mapping[str, Any]],
    max_exposure: float,
) -> dict[str, Any]:
    """The options of M(koprogo.observability.stack_verify_host) for one host."""
    components = components_of(host, groups, hostvars)
    units: list[dict[str, Any]] = [
        {
            "unit": component.unit,
            **({"port": port} if (port := port_of(component, host, hostvars)) else {}),
            "doors": [
                int(setting(hostvars[host], component.name, option))
                for option in door_options(component, host, groups, hostvars)
            ],
            "max_exposure": max_exposure,
        }
        for component in components
    ]
    if host in groups.get("api", []):
        units.append({"unit": API_UNIT})
    return {
        "host": host,
        "units": units,
        # Not resolved on the host, which may know its own name by a loopback address.
        "addresses": known_addresses(address(host, hostvars[host])),
        "logs": _logs(host, groups, hostvars, logs),
    }


def _logs(
    host: str, groups: Groups, hostvars: HostVars, logs: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The logs of one host that are collected: those given, and each unit's own in the journal."""
    components = components_of(host, groups, hostvars)
    if not any(component.name == "log_collector" for component in components):
        return []
    given = [
        dict(log) for log in logs if not log.get("group") or host in groups.get(log["group"], [])
    ]
    if not setting(hostvars[host], "log_collector", "journal"):
        return [log for log in given if log["kind"] not in ("journal", "auth")]
    # The collector gives a unit's lines the name of its component as their job.
    return given + [{"job": c.name, "kind": "unit", "path": c.unit} for c in components]


def _targets(groups: Groups, hostvars: HostVars) -> list[dict[str, str]]:
    """The expected targets, each with the unit that answers behind it."""
    unit_of = {component.job: component.unit for component in CATALOGUE}
    unit_of |= {"koprogo-api": API_UNIT, "koprogo-api-health": API_UNIT}
    return [
        {**target, "unit": unit_of.get(target["job"], "")}
        for target in expected_targets(groups, hostvars)
    ]


def monitoring_plan(
    host: str,
    groups: Groups,
    hostvars: HostVars,
    *,
    marks: Iterable[Mapping[str, Any]],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """The options of M(koprogo.observability.stack_verify_monitoring) for one monitoring host.

    Queries and metrics of jobs that the inventory doesn't have are left out.
    """
    variables = hostvars[host]
    targets = _targets(groups, hostvars)
    jobs = {target["job"] for target in targets}
    log_jobs = {
        "koprogo-api": bool(list(groups.get("api", []))),
        "postgresql": bool(list(groups.get("database", []))),
    }
    plan: dict[str, Any] = {
        "host": host,
        "timeout": options.get("timeout", 45),
        "promql": [q for q in options.get("promql", []) if q.get("job", "node") in jobs],
        "logql": [q for q in options.get("logql", []) if log_jobs.get(q.get("job", ""), True)],
        "metrics": {job: names for job, names in options.get("metrics", {}).items() if job in jobs},
        "routes": list(options.get("routes", [])),
    }
    extra: dict[str, dict[str, Any]] = {
        "prometheus": {
            "targets": targets,
            "allowed_jobs": [
                str(job["job_name"])
                for job in setting(variables, "prometheus", "scrape_configs") or []
            ],
            "retention": str(setting(variables, "prometheus", "retention")),
        },
        "loki": {
            "retention": str(setting(variables, "loki", "retention")),
            "marks": list(marks),
        },
        "alertmanager": {"members": len(list(groups.get("monitoring", [])))},
        "grafana": {
            "user": str(setting(variables, "grafana", "admin_user") or "admin"),
            "dashboards": dashboards() if setting(variables, "grafana", "dashboards") else {},
        },
    }
    for component in components_of(host, groups, hostvars):
        if component.name in extra:
            url = f"http://127.0.0.1:{port_of(component, host, hostvars)}"
            plan[component.name] = {"url": url, "unit": component.unit, **extra[component.name]}
    password = setting(variables, "grafana", "admin_password")
    if "grafana" in plan and password:
        plan["grafana_password"] = str(password)
    return plan
