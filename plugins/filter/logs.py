# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter that makes the log collector's configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.koprogo.observability.plugins.plugin_utils import _logs
from ansible_collections.koprogo.observability.plugins.plugin_utils._hostvars import HostVars

Groups = Mapping[str, Iterable[str]]


def log_destinations(host: str, groups: Groups, hostvars: HostVars) -> list[str]:
    """See log_destinations.yml."""
    if host not in hostvars:
        raise AnsibleFilterError(
            f"log_destinations: expected a host of the inventory, found '{host}'"
        )
    return _logs.destinations(host, groups, hostvars)


def log_collector_config(settings: Mapping[str, Any], host: str, groups: Groups) -> dict[str, Any]:
    """See log_collector_config.yml."""
    try:
        return _logs.collector_config(settings, host=host, groups=groups)
    except (KeyError, TypeError) as exc:
        raise AnsibleFilterError(f"log_collector_config: {type(exc).__name__}: {exc}") from exc


class FilterModule:
    """The collection's filters for logs."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map of filter names to functions."""
        return {"log_collector_config": log_collector_config, "log_destinations": log_destinations}
