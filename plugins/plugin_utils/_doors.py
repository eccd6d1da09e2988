# Copyright: (c) 2026, KoproGo contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may knock at which door: addresses from the inventory, names resolved on the control node.

This file is private to the collection.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.koprogo.observability.plugins.plugin_utils._addresses import (
    address,
    resolve,
)
from ansible_collections.koprogo.observability.plugins.plugin_utils._catalogue import setting
from ansible_collections.koprogo.observability.plugins.plugin_utils._formats import port_problem
from ansible_collections.koprogo.observability.plugins.plugin_utils._hostvars import HostVars
from ansible_collections.koprogo.observability.plugins.plugin_utils._topology import has_doors

__all__ = ["address_errors", "option_errors", "resolved_doors"]

Groups = Mapping[str, Iterable[str]]
Resolver = Callable[[str], list[str]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# As nftables wants the name of a set.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def address_errors(
    host: str, groups: Groups, hostvars: HostVars, resolver: Resolver = resolve
) -> list[str]:
    """What is wrong with the address that others are to reach C(host) by; nothing where there are none."""
    if not has_doors(groups):
        return []
    name = address(host, hostvars[host])
    expected = (
        f"koprogo_address of {host}: expected an address that the other hosts reach it by, "
        "or a name of one"
    )
    try:
        found = ipaddress.ip_address(resolver(name)[0])
    except OSError as error:
        return [
            f"{expected}, found '{name}', which the control node can't resolve: {error.strerror}"
        ]
    if not (found.is_loopback or found.is_unspecified):
        return []
    seen = "" if str(found) == name else f", which the control node resolves to {found}"
    return [f"{expected}, found '{name}'{seen}"]


def _networks(source: str, hostvars: HostVars, resolver: Resolver) -> list[Network]:
    """A source is a host of the inventory, a network, an address or a name; ValueError for anything else."""
    name = address(source, hostvars[source]) if source in hostvars else source
    try:
        return [ipaddress.ip_network(name, strict=False)]
    except ValueError:
        pass
    try:
        return [ipaddress.ip_network(found) for found in resolver(name)]
    except OSError as error:
        raise ValueError(
            f"expected '{source}' to be a host of the inventory, an address, a network or a name that "
            f"the control node can resolve, found: {error.strerror}"
        ) from error


def _source_errors(
    option: str, sources: Iterable[Any], hostvars: HostVars, resolver: Resolver
) -> list[str]:
    errors = []
    for source in sources:
        try:
            _networks(str(source), hostvars, resolver)
        except ValueError as error:
            errors.append(f"{option}: {error}")
    return errors


def option_errors(
    variables: Mapping[str, Any], hostvars: HostVars, resolver: Resolver = resolve
) -> list[str]:
    """One sentence for each source and door of the user's own that the firewall could not use.

    variables: the host's C(firewall_*), templated and of the right types.
    """
    sources = setting(variables, "firewall", "extra_sources") or []
    errors = _source_errors("firewall_extra_sources", sources, hostvars, resolver)
    for name, door in (setting(variables, "firewall", "extra_doors") or {}).items():
        where = f"firewall_extra_doors.{name}"
        if not _NAME.fullmatch(str(name)):
            errors.append(f"{where}: expected a name of letters, digits and '_', a letter first")
        if not isinstance(door, Mapping) or not door.keys() >= {"port", "sources"}:
            errors.append(f"{where}: expected port and sources, found {door!r}")
        elif not isinstance(door["sources"], list):
            errors.append(f"{where}.sources: expected a list, found {door['sources']!r}")
        else:
            if problem := port_problem(door["port"]):
                errors.append(f"{where}.port: {problem}, found {door['port']!r}")
            errors += _source_errors(f"{where}.sources", door["sources"], hostvars, resolver)
    return errors


def _shown(networks: Iterable[Network], version: int) -> list[str]:
    # Overlapping elements are an error in an nftables set, so they are merged here.
    of_version: list[Any] = [n for n in networks if n.version == version]
    return [
        str(n.network_address) if n.num_addresses == 1 else str(n)
        for n in ipaddress.collapse_addresses(of_version)
    ]


def resolved_doors(
    doors: Mapping[str, Mapping[str, Any]], hostvars: HostVars, resolver: Resolver = resolve
) -> list[dict[str, Any]]:
    """Each door with its C(name), C(port) and the addresses that may pass: C(ipv4), C(ipv6).

    doors: name to C(port) and C(sources).
    Raises ValueError for a source that is no known host, address, network or name.
    """
    result = []
    for name, door in doors.items():
        networks: list[Network] = []
        for source in door["sources"]:
            try:
                networks += _networks(str(source), hostvars, resolver)
            except ValueError as error:
                raise ValueError(f"door '{name}': {error}") from error
        result.append(
            {
                "name": name,
                "port": int(door["port"]),
                "ipv4": _shown(networks, 4),
                "ipv6": _shown(networks, 6),
            }
        )
    return result
