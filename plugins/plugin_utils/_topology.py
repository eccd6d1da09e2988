# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stack's topology, derived from the inventory's groups and host variables and from nothing else.

C(groups) and C(hostvars) are Ansible's magic variables, or plain dictionaries in tests. Nothing else
is read, but for the resolver where a Prometheus host is known by name.

This file is private to the collection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.koprogo.observability.plugins.plugin_utils._addresses import (
    address,
    endpoint,
    known_addresses,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import (
    API_PORT,
    CATALOGUE,
    DEPLOYMENT,
    DOOR_ROLES,
    Component,
    role_vars,
    setting,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._hostvars import HostVars

__all__ = [
    "Port",
    "components_of",
    "door_options",
    "expected_targets",
    "gateway_modules",
    "has_doors",
    "inventory_errors",
    "omitted",
    "packages_of",
    "port_of",
    "ports_of",
    "scrape_jobs",
]

Groups = Mapping[str, Iterable[str]]


def _members(groups: Groups, name: str) -> list[str]:
    return list(groups.get(name, []))


def has_doors(groups: Groups) -> bool:
    """Whether anything has to pass between hosts: false on the runbook's single server."""
    return len(_members(groups, "all")) > 1


def omitted(variables: Mapping[str, Any]) -> Sequence[Any]:
    """What C(koprogo_omit) names; nothing where it is no list, which preflight refuses."""
    names = variables.get("koprogo_omit")
    return names if isinstance(names, (list, tuple)) else ()


def _runs(component: Component, host: str, groups: Groups, hostvars: HostVars) -> bool:
    variables = hostvars[host]
    if component.between_hosts and not has_doors(groups):
        return False
    if component.name in omitted(variables):
        return False
    if component.only_if and not boolean(variables.get(component.only_if) or False, strict=False):
        return False
    if setting(variables, component.name, "state") == "absent":
        return False
    return not component.groups or any(host in _members(groups, g) for g in component.groups)


def components_of(host: str, groups: Groups, hostvars: HostVars) -> list[Component]:
    """The components that are to run on C(host), in the catalogue's order."""
    return [c for c in CATALOGUE if _runs(c, host, groups, hostvars)]


def packages_of(
    host: str, groups: Groups, hostvars: HostVars, *, pinned: bool = False
) -> list[str]:
    """The Debian packages of all roles on C(host) for one common transaction.

    What is pinned is left to its own role, or with C(pinned) comes along as C(name=version). What comes from
    a vendor's repository is always left to its role.
    """
    variables = hostvars[host]
    roles = [c.name for c in components_of(host, groups, hostvars) if not c.vendor_repository]
    if has_doors(groups):
        roles += DOOR_ROLES
    packages: dict[str, None] = {}
    for role in roles:
        own, required = (
            role_vars(role).get(f"__{role}_{part}", []) for part in ("packages", "requires")
        )
        version = setting(variables, role, "version")
        if setting(variables, role, "install") != "package" or (version and not pinned):
            own = []
        if own and version:
            own = [f"{own[0]}={version}", *own[1:]]
        packages |= dict.fromkeys([*own, *required])
    return list(packages)


def port_of(component: Component, host: str, hostvars: HostVars) -> int:
    """The port a component listens on: its C(<name>_port) on that host, 0 for one that listens nowhere."""
    return int(setting(hostvars[host], component.name, "port") or 0)


@dataclass(frozen=True, kw_only=True)
class Port:
    """A TCP port that a unit listens on: on loopback, or for other hosts if it is a door."""

    option: str
    unit: str
    number: int
    door: bool


def door_options(component: Component, host: str, groups: Groups, hostvars: HostVars) -> list[str]:
    """The options of a component with the ports that it serves to other hosts on this one."""
    monitoring = _members(groups, "monitoring")
    if component.name == "metrics_gateway":
        return ["port"]
    if component.name == "alertmanager":
        clustered = hostvars[host].get("alertmanager_cluster", len(monitoring) > 1)
        return ["cluster_port"] if boolean(clustered, strict=False) else []
    if component.name == "log_collector" and has_doors(groups) and host in monitoring:
        return ["door_port"]
    return []


def ports_of(host: str, groups: Groups, hostvars: HostVars) -> list[Port]:
    """Every port of a host's components; one that is no number is judged elsewhere."""
    found = []
    for component in components_of(host, groups, hostvars):
        doors = door_options(component, host, groups, hostvars)
        units = {
            "port": component.unit,
            **dict.fromkeys(doors, component.unit),
            **dict(component.further_ports),
        }
        for option, unit in units.items():
            text = str(setting(hostvars[host], component.name, option))
            if text.isdigit():
                name = f"{component.name}_{option}"
                found.append(Port(option=name, unit=unit, number=int(text), door=option in doors))
    return found


def _endpoints(host: str, groups: Groups, hostvars: HostVars) -> list[dict[str, Any]]:
    """Each metrics endpoint on a host's loopback: job, gateway module, port, path, query parameters."""
    endpoints: list[dict[str, Any]] = [
        {
            "job": c.job,
            "module": c.name,
            "port": port_of(c, host, hostvars),
            "path": c.metrics_path,
            "params": {},
        }
        for c in components_of(host, groups, hostvars)
        if c.job and c.name != "metrics_gateway"
    ]
    if any(e["job"] == "crowdsec" for e in endpoints):
        # The role's second daemon.
        endpoints.append(
            {
                "job": "crowdsec-bouncer",
                "module": "crowdsec_bouncer",
                "port": int(setting(hostvars[host], "crowdsec", "bouncer_port")),
                "path": "/metrics",
                "params": {},
            }
        )
    if host in _members(groups, "api"):
        api_port = int(hostvars[host].get("koprogo_api_port", API_PORT))
        endpoints.append(
            {
                "job": "koprogo-api",
                "module": "koprogo_api",
                "port": api_port,
                "path": "/metrics",
                "params": {},
            }
        )
        if any(c.name == "blackbox_exporter" for c in components_of(host, groups, hostvars)):
            endpoints.append(
                {
                    "job": "koprogo-api-health",
                    "module": "koprogo_api_health",
                    "port": int(setting(hostvars[host], "blackbox_exporter", "port")),
                    "path": "/probe",
                    "params": {
                        "module": ["api_health"],
                        "target": [f"http://127.0.0.1:{api_port}/health"],
                    },
                }
            )
    return endpoints


def gateway_modules(host: str, groups: Groups, hostvars: HostVars) -> dict[str, dict[str, Any]]:
    """What the metrics gateway of C(host) proxies: module name to port, path and query parameters."""
    return {
        e["module"]: {"port": e["port"], "path": e["path"], "params": e["params"]}
        for e in _endpoints(host, groups, hostvars)
    }


# The SQL exporter puts "sql_" before every name, and labels that say how it asked.
_JOB_OPTIONS: dict[str, dict[str, Any]] = {
    "koprogo-business": {
        "metric_relabel_configs": [
            {
                "source_labels": ["__name__"],
                "regex": "sql_(koprogo_.+)",
                "target_label": "__name__",
                "replacement": "$1",
            },
            {"action": "labeldrop", "regex": "col|driver|sql_job|user"},
        ]
    }
}


def _target_labels(host: str, hostvars: HostVars) -> dict[str, str]:
    # Never without a deployment: to Alertmanager two alerts that both lack it would be of the same one.
    deployment = str(hostvars[host].get("koprogo_deployment") or DEPLOYMENT)
    return {"instance": host, "host": host, "deployment": deployment}


def _gateway_address(host: str, hostvars: HostVars, asker: str = "") -> str:
    """Where C(asker) finds the metrics gateway of C(host), or without it every other host."""
    name = address(host, hostvars[host])
    if host == asker:
        # It may know its own name by a loopback address, where its gateway doesn't listen.
        name = next(iter(known_addresses(name)), name)
    return endpoint(name, int(setting(hostvars[host], "metrics_gateway", "port")))


def _gateway_group(
    host: str, metrics: Mapping[str, Any], hostvars: HostVars, asker: str
) -> tuple[str, dict[str, str]]:
    return _gateway_address(host, hostvars, asker), {
        "__scheme__": "https",
        "__metrics_path__": "/proxy",
        "__param_module": metrics["module"],
    }


def _local_group(metrics: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    labels = {"__metrics_path__": metrics["path"]}
    for name, values in metrics["params"].items():
        labels[f"__param_{name}"] = values[0]
    return f"127.0.0.1:{metrics['port']}", labels


def _probe_group(
    prober_port: int, module: str, target: str, labels: Mapping[str, str], *, asked: str = ""
) -> dict[str, Any]:
    """C(target) is its name for everybody, C(asked) the address where this prober finds it."""
    return {
        "targets": [f"127.0.0.1:{prober_port}"],
        "labels": {
            **labels,
            "target": target,
            "__metrics_path__": "/probe",
            "__param_module": module,
            "__param_target": asked or target,
        },
    }


def _probe_jobs(
    prometheus_host: str, groups: Groups, hostvars: HostVars
) -> dict[str, list[dict[str, Any]]]:
    """What the Prometheus host's blackbox exporter asks: each door's certificate, the user's targets."""
    if not any(
        c.name == "blackbox_exporter" for c in components_of(prometheus_host, groups, hostvars)
    ):
        return {}
    variables = hostvars[prometheus_host]
    port = int(setting(variables, "blackbox_exporter", "port"))
    doors = [
        _probe_group(
            port,
            "door",
            _gateway_address(host, hostvars),
            _target_labels(host, hostvars),
            asked=_gateway_address(host, hostvars, prometheus_host),
        )
        for host in _members(groups, "all")
        if any(c.name == "metrics_gateway" for c in components_of(host, groups, hostvars))
    ]
    # Labels are the same for each asker: alerts that differ in who asked would be told twice.
    first = _members(groups, "monitoring")[0]
    own = [
        _probe_group(
            port,
            probe.get("module", "https_2xx"),
            probe["target"],
            _target_labels(first, hostvars)
            | {k: str(v) for k, v in probe.get("labels", {}).items()},
        )
        for probe in setting(variables, "blackbox_exporter", "targets") or []
    ]
    return {job: found for job, found in (("probe-doors", doors), ("probe", own)) if found}


def scrape_jobs(prometheus_host: str, groups: Groups, hostvars: HostVars) -> list[dict[str, Any]]:
    """Prometheus' C(job_name) and C(static_configs) for every metrics endpoint of the inventory.

    The Prometheus host's own endpoints are scraped on loopback, all others through their host's
    metrics gateway. Scheme, path and parameters travel as C(__*) target labels, so that a job
    may mix both ways.
    """
    jobs: dict[str, list[dict[str, Any]]] = {}
    for host in _members(groups, "all"):
        own = _target_labels(host, hostvars)
        for metrics in _endpoints(host, groups, hostvars):
            if host == prometheus_host:
                target, route = _local_group(metrics)
            else:
                target, route = _gateway_group(host, metrics, hostvars, prometheus_host)
            jobs.setdefault(metrics["job"], []).append({"targets": [target], "labels": own | route})
        if any(c.name == "metrics_gateway" for c in components_of(host, groups, hostvars)):
            jobs.setdefault("metrics-gateway", []).append(
                {
                    "targets": [_gateway_address(host, hostvars, prometheus_host)],
                    "labels": own | {"__scheme__": "https", "__metrics_path__": "/metrics"},
                }
            )
    jobs |= _probe_jobs(prometheus_host, groups, hostvars)
    return [
        {"job_name": job, "static_configs": configs, **_JOB_OPTIONS.get(job, {})}
        for job, configs in sorted(jobs.items())
    ]


def expected_targets(groups: Groups, hostvars: HostVars) -> list[dict[str, str]]:
    """Every target that each Prometheus must have, and no other: C(job) and C(instance)."""
    monitoring = _members(groups, "monitoring")
    if not monitoring:
        return []
    return [
        {"job": job["job_name"], "instance": config["labels"]["instance"]}
        for job in scrape_jobs(monitoring[0], groups, hostvars)
        for config in job["static_configs"]
    ]


def _omission_errors(groups: Groups, hostvars: HostVars) -> list[str]:
    """What C(koprogo_omit) leaves out that does not exist, once for all hosts that share it."""
    known = sorted(component.name for component in CATALOGUE)
    found: dict[str, list[str]] = {}
    for host in _members(groups, "all"):
        given = hostvars[host].get("koprogo_omit") or []
        names = omitted(hostvars[host])
        if given and not names:
            found.setdefault(f"expected a list of components, found {given!r}", []).append(host)
        for name in names:
            if name not in known:
                what = f"expected some of {', '.join(known)}, found {name!r}"
                found.setdefault(what, []).append(host)
    return [f"koprogo_omit of {', '.join(hosts)}: {what}" for what, hosts in found.items()]


def inventory_errors(groups: Groups, hostvars: HostVars) -> list[str]:
    """What is wrong with the inventory itself, one sentence each; empty when it can be deployed."""
    errors = []
    if not _members(groups, "monitoring"):
        errors.append("inventory group 'monitoring': expected at least one host, found none")
    errors += _omission_errors(groups, hostvars)
    for host in _members(groups, "all"):
        seen: dict[int, str] = {}
        for port in ports_of(host, groups, hostvars):
            if port.number in seen:
                errors.append(
                    f"host '{host}': {port.option} and {seen[port.number]} are both {port.number}; "
                    "expected a port of its own for each"
                )
            seen[port.number] = port.option
    return errors
