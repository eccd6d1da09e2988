# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters that role alertmanager shapes its configuration with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.koprogo.observability.plugins.plugin_utils._addresses import (
    address,
    endpoint,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._alertmanager import (
    errors_in,
    settings,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import setting
from ansible_collections.koprogo.observability.plugins.plugin_utils._formats import (
    duration_seconds,
)

_CLUSTER_PORT = 9094


def alertmanager_settings(
    options: Mapping[str, Any], directory: str, *, url_files: bool
) -> dict[str, Any]:
    """See alertmanager_settings.yml."""
    errors = errors_in(options)
    if errors:
        raise AnsibleFilterError("; ".join(errors))
    return settings(options, directory, url_files=url_files)


def alertmanager_peers(
    host: str, groups: Mapping[str, Iterable[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """See alertmanager_peers.yml."""
    peers = []
    for other in groups.get("monitoring", []):
        if other == host:
            continue
        variables = hostvars[other]
        if setting(variables, "alertmanager", "state") == "absent":
            continue
        port = setting(variables, "alertmanager", "cluster_port") or _CLUSTER_PORT
        peers.append(endpoint(address(other, variables), port))
    return peers


def go_duration(text: str) -> str:
    """See go_duration.yml."""
    try:
        seconds = duration_seconds(str(text))
    except ValueError as error:
        raise AnsibleFilterError(
            f"expected a duration such as 15s, 12h or 30d, found '{text}'"
        ) from error
    return f"{seconds:g}s" if seconds < 1 else f"{int(seconds)}s"


class FilterModule:
    """Alertmanager's filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map of filter names to functions."""
        return {
            "alertmanager_peers": alertmanager_peers,
            "alertmanager_settings": alertmanager_settings,
            "go_duration": go_duration,
        }
