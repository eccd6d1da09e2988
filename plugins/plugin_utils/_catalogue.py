# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs where: one entry for each component, the single source for everything that crosses roles.

Ports, packages and installation methods are the roles' own: C(roles/<name>/defaults) and
C(roles/<name>/vars) are read, never repeated here.

This file is private to the collection.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

# By libyaml, where it is: each worker reads the files.
from ansible.module_utils.common.yaml import yaml_load

__all__ = [
    "API_PORT",
    "CATALOGUE",
    "DEPLOYMENT",
    "DOOR_ROLES",
    "Component",
    "role_argument_spec",
    "role_defaults",
    "role_vars",
    "setting",
]

#: Where the KoproGo API listens on its own host's loopback, unless C(koprogo_api_port) says otherwise.
API_PORT = 8080

#: What a deployment is called unless C(koprogo_deployment) says otherwise.
DEPLOYMENT = "koprogo"

_ROLES = Path(__file__).resolve().parents[2] / "roles"


@dataclass(frozen=True, kw_only=True)
class Component:
    """One daemon of ours, named like its role.

    groups: the inventory groups it runs in; empty means every host.
    job: its scrape job, empty for a component without metrics.
    between_hosts: needed only where there is more than one host.
    needs: options without which it can't run.
    vendor_repository: its package can't be installed with the others' (it isn't in Debian's main release, or
        something must be there first), so the common package transaction leaves it out.
    only_if: the variable that must be true on a host for it to run there; empty means none.
    further_ports: options with ports that it listens on beside C(port), and the unit that does.
    """

    name: str
    unit: str
    groups: tuple[str, ...] = ()
    job: str = ""
    metrics_path: str = "/metrics"
    between_hosts: bool = False
    vendor_repository: bool = False
    needs: tuple[str, ...] = ()
    only_if: str = ""
    further_ports: tuple[tuple[str, str], ...] = ()


CATALOGUE: tuple[Component, ...] = (
    Component(name="node_exporter", unit="prometheus-node-exporter.service", job="node"),
    Component(name="log_collector", unit="log-collector.service", job="log-collector"),
    Component(
        name="metrics_gateway",
        unit="prometheus-exporter-exporter.service",
        job="metrics-gateway",
        between_hosts=True,
    ),
    Component(
        name="postgres_exporter",
        unit="prometheus-postgres-exporter.service",
        groups=("database",),
        job="postgresql",
    ),
    Component(
        name="sql_exporter",
        unit="prometheus-sql-exporter.service",
        groups=("database",),
        job="koprogo-business",
    ),
    Component(
        name="blackbox_exporter",
        unit="prometheus-blackbox-exporter.service",
        groups=("monitoring", "api"),
        job="blackbox",
    ),
    Component(
        name="loki",
        unit="loki.service",
        groups=("monitoring",),
        job="loki",
        vendor_repository=True,
        further_ports=(("grpc_port", "loki.service"),),
    ),
    Component(
        name="prometheus", unit="prometheus.service", groups=("monitoring",), job="prometheus"
    ),
    Component(
        name="alertmanager",
        unit="prometheus-alertmanager.service",
        groups=("monitoring",),
        job="alertmanager",
    ),
    Component(
        name="grafana",
        unit="grafana-server.service",
        groups=("monitoring",),
        job="grafana",
        vendor_repository=True,
        needs=("admin_password",),
    ),
    Component(
        name="suricata",
        unit="suricata.service",
        groups=("sensors",),
        vendor_repository=True,
        only_if="koprogo_protect",
    ),
    Component(
        name="crowdsec",
        unit="crowdsec.service",
        job="crowdsec",
        further_ports=(
            ("api_port", "crowdsec.service"),
            ("bouncer_port", "crowdsec-firewall-bouncer.service"),
        ),
        # Its own configuration must be there before its package is.
        vendor_repository=True,
        only_if="koprogo_protect",
    ),
    Component(name="fail2ban", unit="fail2ban.service", only_if="koprogo_protect"),
)

#: Roles without a daemon of their own that build the doors between hosts.
DOOR_ROLES = ("pki", "firewall")


@cache
def _role_file(role: str, part: str) -> Mapping[str, Any]:
    path = _ROLES / role / part
    if not path.is_file():
        return {}
    content: Mapping[str, Any] | None = yaml_load(path.read_text(encoding="utf-8"))
    return content or {}


def role_defaults(role: str) -> Mapping[str, Any]:
    """The role's public variables with their defaults, untemplated."""
    return _role_file(role, "defaults/main.yml")


def role_vars(role: str) -> Mapping[str, Any]:
    """The role's internal variables, untemplated."""
    return _role_file(role, "vars/main.yml")


def role_argument_spec(role: str) -> Mapping[str, Any]:
    """The options of the role's entry point C(main), as in C(meta/argument_specs.yml)."""
    specs = _role_file(role, "meta/argument_specs.yml").get("argument_specs", {})
    options: Mapping[str, Any] = specs.get("main", {}).get("options", {})
    return options


def dashboards() -> Mapping[str, str]:
    """Title of each dashboard that role grafana brings, by uid."""
    files = sorted((_ROLES / "grafana/files/dashboards").glob("*.json"))
    found = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    return {str(one["uid"]): str(one["title"]) for one in found}


def setting(variables: Mapping[str, Any], role: str, option: str) -> Any:
    """What C(<role>_<option>) is on a host: its variable, else the role's default."""
    name = f"{role}_{option}"
    if name in variables:
        return variables[name]
    return role_defaults(role).get(name)
