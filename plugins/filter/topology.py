# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters that turn the inventory into targets, gateway modules and package lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.koprogo.observability.plugins.plugin_utils import _topology
from ansible_collections.koprogo.observability.plugins.plugin_utils._hostvars import (
    HostVars,
    remembered,
)

Groups = Mapping[str, Iterable[str]]


def _known(host: str, hostvars: HostVars) -> str:
    if host not in hostvars:
        raise AnsibleFilterError(f"'{host}': expected a host of the inventory, found no such host")
    return host


def scrape_jobs(host: str, groups: Groups, hostvars: HostVars) -> list[dict[str, Any]]:
    """See scrape_jobs.yml."""
    return _topology.scrape_jobs(_known(host, hostvars), groups, remembered(hostvars))


def gateway_modules(host: str, groups: Groups, hostvars: HostVars) -> dict[str, dict[str, Any]]:
    """See gateway_modules.yml."""
    return _topology.gateway_modules(_known(host, hostvars), groups, remembered(hostvars))


def host_packages(host: str, groups: Groups, hostvars: HostVars) -> list[str]:
    """See host_packages.yml."""
    return _topology.packages_of(_known(host, hostvars), groups, remembered(hostvars))


def host_components(host: str, groups: Groups, hostvars: HostVars) -> list[dict[str, Any]]:
    """See host_components.yml."""
    hostvars = remembered(hostvars)
    return [
        {"name": c.name, "unit": c.unit, "port": _topology.port_of(c, host, hostvars), "job": c.job}
        for c in _topology.components_of(_known(host, hostvars), groups, hostvars)
    ]


def expected_targets(groups: Groups, hostvars: HostVars) -> list[dict[str, str]]:
    """See expected_targets.yml."""
    return _topology.expected_targets(groups, remembered(hostvars))


class FilterModule:
    """The collection's topology filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map of filter names to functions."""
        return {
            "expected_targets": expected_targets,
            "gateway_modules": gateway_modules,
            "host_components": host_components,
            "host_packages": host_packages,
            "scrape_jobs": scrape_jobs,
        }
