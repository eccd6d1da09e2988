# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters that turn the inventory into what the firewall lets through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from ansible.errors import AnsibleFilterError

from ansible_collections.koprogo.observability.plugins.plugin_utils import _doors
from ansible_collections.koprogo.observability.plugins.plugin_utils._addresses import (
    endpoint,
    resolve,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._hostvars import remembered


def resolved_doors(
    doors: Mapping[str, Mapping[str, Any]], hostvars: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """See resolved_doors.yml."""
    try:
        return _doors.resolved_doors(doors, remembered(hostvars))
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


def resolved_address(name: str) -> str:
    """See resolved_address.yml."""
    try:
        return resolve(str(name))[0]
    except OSError as error:
        raise AnsibleFilterError(
            f"'{name}': expected an address or a name that the control node can resolve, "
            f"found: {error.strerror}"
        ) from error


def listen_address(name: str, port: int) -> str:
    """See listen_address.yml."""
    return endpoint(resolved_address(name), port)


def path_with_query(module: Mapping[str, Any]) -> str:
    """See path_with_query.yml."""
    path = str(module.get("path") or "/metrics")
    query = urlencode(module.get("params") or {}, doseq=True)
    return f"{path}?{query}" if query else path


class FilterModule:
    """The collection's firewall filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map of filter names to functions."""
        return {
            "listen_address": listen_address,
            "path_with_query": path_with_query,
            "resolved_address": resolved_address,
            "resolved_doors": resolved_doors,
        }
